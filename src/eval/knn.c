/*
 * Nearest neighbours by cosine similarity, as DINO evaluates its features: each of the k nearest
 * training images votes for its class with weight exp(cosine / 0.07). Similarities are float matrix
 * products of the device, chunk by chunk, so that memory does not grow with the sets.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "eval/probe.h"

#define TEMPERATURE 0.07
enum { TEST_CHUNK = 256, TRAIN_CHUNK = 4096 };

struct neighbour {
    float cosine;
    int32_t label;
};

struct knn {
    struct sl_device *dev;
    const struct sl_probe_data *data;
    size_t k;
    void *train, *test;        /* device float [n_train, D], [TEST_CHUNK, D], rows of length 1 */
    void *cosines;             /* device float [TEST_CHUNK, TRAIN_CHUNK] */
    float *host;               /* [TEST_CHUNK, TRAIN_CHUNK or D] */
    struct neighbour *nearest; /* [TEST_CHUNK, k], largest cosine first */
    double *votes;             /* [classes] */
};

/* Row `index` of the features, divided by its length, to dst [D]. */
static void unit_row(const struct sl_probe_data *d, size_t index, float *dst)
{
    const float *f = d->features + index * d->width;
    double sum = 0;
    for (size_t j = 0; j < d->width; j++)
        sum += (double)f[j] * (double)f[j];
    const double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (size_t j = 0; j < d->width; j++)
        dst[j] = (float)(scale * (double)f[j]);
}

static sl_status upload_rows(struct knn *k, const size_t *index, size_t n, float *dst)
{
    const size_t D = k->data->width;
    for (size_t i = 0; i < n; i += TEST_CHUNK) {
        const size_t some = n - i < TEST_CHUNK ? n - i : TEST_CHUNK;
        for (size_t r = 0; r < some; r++)
            unit_row(k->data, index[i + r], k->host + r * D);
        SL_TRY(k->dev->ops->upload(k->dev, dst + i * D, k->host, some * D * sizeof(float)));
    }
    return SL_OK;
}

/* cosines [tests, trains] = test train^T */
static sl_status multiply(struct knn *k, size_t tests, const float *train, size_t trains)
{
    const size_t D = k->data->width;
    const struct sl_gemm_args args = {.m = tests,
                                      .n = trains,
                                      .k = D,
                                      .a = k->test,
                                      .lda = D,
                                      .b = train,
                                      .ldb = D,
                                      .b_t = true,
                                      .type = SL_F32,
                                      .c = k->cosines,
                                      .ldc = trains,
                                      .c_type = SL_F32,
                                      .epilogue = SL_EPI_NONE};
    sl_device_plan_begin(k->dev);
    const sl_status planned = k->dev->ops->gemm(k->dev, &args);
    SL_TRY(sl_device_plan_end(k->dev));
    SL_TRY(planned);
    return k->dev->ops->gemm(k->dev, &args);
}

/* Keeps the k largest; of equal ones those that came first. held: how many are kept so far. */
static size_t insert(struct neighbour *nearest, size_t held, size_t k, struct neighbour x)
{
    if (held == k && !(x.cosine > nearest[k - 1].cosine))
        return held;
    size_t at = held < k ? held : k - 1;
    for (; at > 0 && x.cosine > nearest[at - 1].cosine; at--)
        nearest[at] = nearest[at - 1];
    nearest[at] = x;
    return held < k ? held + 1 : held;
}

static int32_t vote(const struct knn *k, const struct neighbour *nearest, size_t n)
{
    size_t best = 0;
    memset(k->votes, 0, k->data->classes * sizeof *k->votes);
    for (size_t i = 0; i < n; i++)
        k->votes[nearest[i].label] += exp((double)nearest[i].cosine / TEMPERATURE);
    for (size_t c = 1; c < k->data->classes; c++)
        if (k->votes[c] > k->votes[best])
            best = c;
    return (int32_t)best;
}

/* Right answers among test images first .. first+tests-1. */
static sl_status count_right(struct knn *k, size_t first, size_t tests, size_t *right)
{
    const struct sl_probe_data *d = k->data;
    size_t held = 0;
    SL_TRY(upload_rows(k, d->test + first, tests, k->test));
    for (size_t i = 0; i < d->n_train; i += TRAIN_CHUNK) {
        const size_t some = d->n_train - i < TRAIN_CHUNK ? d->n_train - i : TRAIN_CHUNK;
        size_t now_held = held;
        SL_TRY(multiply(k, tests, (const float *)k->train + i * d->width, some));
        SL_TRY(k->dev->ops->download(k->dev, k->host, k->cosines, tests * some * sizeof(float)));
        for (size_t r = 0; r < tests; r++) {
            now_held = held;
            for (size_t j = 0; j < some; j++)
                now_held =
                    insert(k->nearest + r * k->k, now_held, k->k,
                           (struct neighbour){k->host[r * some + j], d->labels[d->train[i + j]]});
        }
        held = now_held;
    }
    for (size_t r = 0; r < tests; r++)
        *right += vote(k, k->nearest + r * k->k, held) == d->labels[d->test[first + r]];
    return SL_OK;
}

static sl_status prepare(struct knn *k)
{
    const struct sl_probe_data *d = k->data;
    const size_t wide = d->width > TRAIN_CHUNK ? d->width : TRAIN_CHUNK;
    const struct sl_backend_ops *ops = k->dev->ops;
    SL_TRY(ops->mem_alloc(k->dev, d->n_train * d->width * sizeof(float), &k->train));
    SL_TRY(ops->mem_alloc(k->dev, TEST_CHUNK * d->width * sizeof(float), &k->test));
    SL_TRY(ops->mem_alloc(k->dev, TEST_CHUNK * TRAIN_CHUNK * sizeof(float), &k->cosines));
    SL_TRY(SL_NEW(k->host, TEST_CHUNK * wide));
    SL_TRY(SL_NEW(k->nearest, TEST_CHUNK * k->k));
    SL_TRY(SL_NEW(k->votes, d->classes));
    return upload_rows(k, d->train, d->n_train, k->train);
}

sl_status sl_probe_knn(struct sl_device *dev, const struct sl_probe_data *data, size_t k,
                       double *top1)
{
    struct knn knn = {.dev = dev, .data = data, .k = k < data->n_train ? k : data->n_train};
    size_t right = 0;
    if (data->n_train == 0 || data->n_test == 0)
        SL_FAIL(SL_ERR_DATA, "no %s image can be used", data->n_train ? "test" : "training");
    sl_status st = prepare(&knn);
    for (size_t i = 0; i < data->n_test && st == SL_OK; i += TEST_CHUNK)
        st = count_right(&knn, i, data->n_test - i < TEST_CHUNK ? data->n_test - i : TEST_CHUNK,
                         &right);
    if (st == SL_OK)
        *top1 = (double)right / (double)data->n_test;
    dev->ops->mem_free(dev, knn.train);
    dev->ops->mem_free(dev, knn.test);
    dev->ops->mem_free(dev, knn.cosines);
    sl_free(knn.host);
    sl_free(knn.nearest);
    sl_free(knn.votes);
    return st;
}
