/*
 * Which images train a probe, and how well it does. Draws are addressed by (seed, class), so that a
 * choice depends on the labels of a set alone. Features are whitened by the chosen images' mean and
 * population standard deviation, and a constant feature stands in for the bias.
 */
#include <math.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "base/threads.h"
#include "eval/probe.h"

#define STD_FLOOR 1e-5
#define BIAS_FEATURE 100.0

void sl_probe_data_free(struct sl_probe_data *data)
{
    sl_free(data->features);
    sl_free(data->labels);
    sl_free(data->train);
    sl_free(data->test);
    *data = (struct sl_probe_data){0};
}

/* ---- draws ---- */

/* What a draw under one seed and class is for. */
enum { DRAW_SHOTS, DRAW_SPLIT };

/* Puts a random choice of `some` of the n indices to the front, in random order. */
static void draw(size_t *index, size_t n, size_t some, sl_rng rng)
{
    for (size_t i = 0; i < some && i < n; i++) {
        const size_t j = i + (size_t)sl_rng_below(&rng, n - i);
        const size_t kept = index[i];
        index[i] = index[j];
        index[j] = kept;
    }
}

/* The images among from[0..n) that are of class c; returns how many. */
static size_t of_class(const struct sl_probe_data *data, const size_t *from, size_t n, size_t c,
                       size_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        if (data->labels[from[i]] >= 0 && (size_t)data->labels[from[i]] == c)
            out[found++] = from[i];
    return found;
}

/* Images of a class of n that train. */
static size_t share_of(size_t n, double share)
{
    const size_t some = (size_t)rint(share * (double)n);
    if (n < 2)
        return n;
    return some < 1 ? 1 : some > n - 1 ? n - 1 : some;
}

sl_status sl_probe_split(struct sl_probe_data *data, double share)
{
    bool *trains = NULL;
    size_t *all = NULL, *members = NULL;
    sl_status st = SL_OK;
    SL_TRY_FREE(SL_NEW(trains, data->n));
    SL_TRY_FREE(SL_NEW(all, data->n));
    SL_TRY_FREE(SL_NEW(members, data->n));
    SL_TRY_FREE(SL_NEW(data->train, data->n));
    SL_TRY_FREE(SL_NEW(data->test, data->n));
    for (size_t i = 0; i < data->n; i++)
        all[i] = i;
    for (size_t c = 0; c < data->classes; c++) {
        const size_t n = of_class(data, all, data->n, c, members), some = share_of(n, share);
        draw(members, n, some, sl_rng_at(0, SL_RNG_FEWSHOT, c, DRAW_SPLIT));
        for (size_t i = 0; i < some; i++)
            trains[members[i]] = true;
    }
    data->n_train = data->n_test = 0;
    for (size_t i = 0; i < data->n; i++) {
        if (data->labels[i] < 0)
            continue;
        if (trains[i])
            data->train[data->n_train++] = i;
        else
            data->test[data->n_test++] = i;
    }
fail:
    sl_free(trains);
    sl_free(all);
    sl_free(members);
    return st;
}

sl_status sl_shots_draw(const struct sl_probe_data *data, uint64_t seed, size_t most,
                        struct sl_shots *shots)
{
    struct sl_shots s = {.classes = data->classes, .most = most};
    size_t *members = NULL;
    sl_status st = SL_OK;
    SL_TRY_FREE(SL_NEW(members, data->n_train));
    SL_TRY_FREE(SL_NEW(s.index, data->classes * most));
    SL_TRY_FREE(SL_NEW(s.count, data->classes));
    for (size_t c = 0; c < data->classes; c++) {
        const size_t n = of_class(data, data->train, data->n_train, c, members);
        s.count[c] = n < most ? n : most;
        draw(members, n, s.count[c], sl_rng_at(seed, SL_RNG_FEWSHOT, c, DRAW_SHOTS));
        for (size_t i = 0; i < s.count[c]; i++)
            s.index[c * most + i] = members[i];
    }
    *shots = s;
    s = (struct sl_shots){0};
fail:
    sl_free(members);
    sl_shots_free(&s);
    return st;
}

void sl_shots_free(struct sl_shots *shots)
{
    sl_free(shots->index);
    sl_free(shots->count);
    *shots = (struct sl_shots){0};
}

/* ---- one probe ---- */

struct probe {
    const struct sl_probe_data *data;
    size_t n, p;       /* chosen images; features with the constant one */
    size_t *chosen;    /* [n] */
    int32_t *labels;   /* [n] */
    double *mean, *sd; /* [p - 1] */
    double *x, *w;     /* [n, p], [p, classes] */
    int threads;
};

static void moments(struct probe *p)
{
    const size_t D = p->data->width;
    const double n = (double)p->n;
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < D; j++)
            p->mean[j] += (double)p->data->features[p->chosen[i] * D + j];
    for (size_t j = 0; j < D; j++)
        p->mean[j] /= n; /* after an exact sum, so that a constant feature becomes 0 */
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < D; j++) {
            const double d = (double)p->data->features[p->chosen[i] * D + j] - p->mean[j];
            p->sd[j] += d * d;
        }
    for (size_t j = 0; j < D; j++)
        p->sd[j] = sqrt(p->sd[j] / n) + STD_FLOOR;
}

/* x [p]: the whitened features of image `index` and the constant. */
static void whiten(const struct probe *p, size_t index, double *x)
{
    const size_t D = p->data->width;
    const float *f = p->data->features + index * D;
    for (size_t j = 0; j < D; j++)
        x[j] = ((double)f[j] - p->mean[j]) / p->sd[j];
    x[D] = BIAS_FEATURE;
}

static sl_status choose(struct probe *p, const struct sl_shots *shots, size_t count)
{
    for (size_t c = 0; c < shots->classes; c++)
        p->n += shots->count[c] < count ? shots->count[c] : count;
    if (p->n == 0)
        SL_FAIL(SL_ERR_DATA, "no training image can be used");
    SL_TRY(SL_NEW(p->chosen, p->n));
    SL_TRY(SL_NEW(p->labels, p->n));
    size_t n = 0;
    for (size_t c = 0; c < shots->classes; c++)
        for (size_t i = 0; i < shots->count[c] && i < count; i++, n++) {
            p->chosen[n] = shots->index[c * shots->most + i];
            p->labels[n] = (int32_t)c;
        }
    return SL_OK;
}

static sl_status train(struct probe *p, double l2)
{
    const size_t D = p->data->width;
    SL_TRY(SL_NEW(p->mean, D));
    SL_TRY(SL_NEW(p->sd, D));
    SL_TRY(SL_NEW(p->x, p->n * p->p));
    SL_TRY(SL_NEW(p->w, p->p * p->data->classes));
    moments(p);
    for (size_t i = 0; i < p->n; i++)
        whiten(p, p->chosen[i], p->x + i * p->p);
    return sl_ridge_solve(p->threads, &(struct sl_ridge){.n = p->n,
                                                         .p = p->p,
                                                         .classes = p->data->classes,
                                                         .x = p->x,
                                                         .labels = p->labels,
                                                         .l2 = l2,
                                                         .w = p->w});
}

/* The first of the largest. */
static size_t argmax(const double *scores, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (scores[i] > scores[best])
            best = i;
    return best;
}

static sl_status test(const struct probe *p, double *top1)
{
    enum { CHUNK = 256 };
    const struct sl_probe_data *d = p->data;
    double *x = NULL, *scores = NULL;
    size_t correct = 0;
    sl_status st = SL_OK;
    SL_TRY_FREE(SL_NEW(x, CHUNK * p->p));
    SL_TRY_FREE(SL_NEW(scores, CHUNK * d->classes));
    for (size_t i = 0; i < d->n_test; i += CHUNK) {
        const size_t some = d->n_test - i < CHUNK ? d->n_test - i : CHUNK;
        for (size_t r = 0; r < some; r++)
            whiten(p, d->test[i + r], x + r * p->p);
        sl_product_run(p->threads, &(struct sl_product){.m = some,
                                                        .n = d->classes,
                                                        .k = p->p,
                                                        .a = x,
                                                        .a_k = 1,
                                                        .a_m = p->p,
                                                        .b = p->w,
                                                        .c = scores});
        for (size_t r = 0; r < some; r++)
            correct +=
                argmax(scores + r * d->classes, d->classes) == (size_t)d->labels[d->test[i + r]];
    }
    *top1 = (double)correct / (double)d->n_test;
fail:
    sl_free(x);
    sl_free(scores);
    return st;
}

sl_status sl_probe_fewshot(int threads, const struct sl_probe_data *data,
                           const struct sl_shots *shots, size_t count, double l2, double *top1,
                           double **w)
{
    struct probe p = {.data = data, .p = data->width + 1, .threads = threads};
    sl_status st = SL_OK;
    if (data->n_test == 0)
        SL_FAIL(SL_ERR_DATA, "no test image can be used");
    SL_TRY_FREE(choose(&p, shots, count));
    SL_TRY_FREE(train(&p, l2));
    SL_TRY_FREE(test(&p, top1));
    if (w) {
        *w = p.w;
        p.w = NULL;
    }
fail:
    sl_free(p.chosen);
    sl_free(p.labels);
    sl_free(p.mean);
    sl_free(p.sd);
    sl_free(p.x);
    sl_free(p.w);
    return st;
}
