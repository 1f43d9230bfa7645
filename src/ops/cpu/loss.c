/*
 * Cross-entropy over a batch of logits, its gradient, and how many images are right. The kernels
 * do one row. An image counts if it has a label and, under mixup, its partner has one too.
 */
#include "ops/cpu/tasks.h"

enum { PASSES = 4 }; /* a logit costs about as much as so many numbers of a plain pass */

/* What a row leaves for the sum in order. */
struct row {
    double loss;
    bool correct, top5;
};

struct job {
    const struct sl_loss_args *a;
    const struct sl_vec_kernels *k;
    struct sl_blocks blocks; /* of images */
    struct sl_cpu_scratch scratch;
    double (*xent)(const struct sl_vec_xent *x);
};

/* Whether image b counts; its labels and their shares of the target. */
static bool labels_of(const struct sl_loss_args *a, size_t b, size_t label[2], double weight[2])
{
    const double sure = 1.0 - (double)a->smoothing, mix = (double)a->mix;
    const int32_t own = a->labels[b];
    const int32_t other = mix < 1.0 ? a->labels[b ? b - 1 : a->B - 1] : own;
    if (own < 0 || other < 0)
        return false;
    label[0] = (size_t)own;
    label[1] = (size_t)other;
    weight[0] = own == other ? sure : sure * mix;
    weight[1] = sure - weight[0];
    return true;
}

static void task(void *arg, size_t t, size_t worker)
{
    const struct job *j = arg;
    const struct sl_loss_args *a = j->a;
    const size_t C = a->C;
    float *buffer = sl_cpu_worker_scratch(&j->scratch, worker); /* [C] */
    struct row *rows = (struct row *)(void *)j->scratch.shared; /* [B] */
    for (size_t b = sl_block_first(&j->blocks, t); b < sl_block_end(&j->blocks, t); b++) {
        struct sl_vec_xent x = {
            .C = C,
            .z = a->logits + b * C,
            .base = (double)a->smoothing / (double)C,
            .scale = a->grad_scale,
            .dz = a->dlogits ? sl_write(a->dlogits, a->dtype, b * C, buffer) : NULL,
        };
        rows[b] = (struct row){0, false, false};
        if (labels_of(a, b, x.label, x.weight)) {
            const size_t before = j->k->rank(C, x.z, x.label[a->mix < 0.5f]);
            const double loss = j->xent(&x);
            rows[b] = (struct row){loss, before == 0, before < 5 && before < C};
        } else if (x.dz) {
            memset(x.dz, 0, C * sizeof *x.dz);
        }
        if (x.dz)
            sl_written(j->k, a->dlogits, a->dtype, b * C, C, buffer);
    }
}

static sl_status check(const struct sl_loss_args *a)
{
    for (size_t b = 0; b < a->B; b++)
        if (a->labels[b] < -1 || (a->labels[b] >= 0 && (size_t)a->labels[b] >= a->C))
            SL_FAIL(SL_ERR_ARGUMENT, "label %d of image %zu is outside -1 .. %zu", a->labels[b], b,
                    a->C - 1);
    return SL_OK;
}

sl_status sl_cpu_loss(struct sl_device *dev, const struct sl_loss_args *a)
{
    bool planned;
    struct job j = {.a = a, .k = sl_cpu_vec(dev), .blocks = sl_blocks_of(a->B, PASSES * a->C, 0)};
    j.xent = a->kind == SL_LOSS_SIGMOID_XENT ? j.k->sigmoid_xent : j.k->softmax_xent;
    if (a->C == 0)
        SL_FAIL(SL_ERR_ARGUMENT, "loss over 0 classes");
    SL_TRY(sl_cpu_scratch_get(dev, a->B * sizeof(struct row), a->C * sizeof(float), &j.scratch,
                              &planned));
    if (planned)
        return SL_OK;
    SL_TRY(check(a));
    sl_parallel_for(dev->threads, j.blocks.count, task, &j);
    const struct row *rows = (const struct row *)(const void *)j.scratch.shared;
    double loss = 0;
    size_t correct = 0, top5 = 0;
    for (size_t b = 0; b < a->B; b++) {
        loss += rows[b].loss;
        correct += rows[b].correct;
        top5 += rows[b].top5;
    }
    *a->loss = loss;
    *a->correct = correct;
    if (a->top5)
        *a->top5 = top5;
    return SL_OK;
}
