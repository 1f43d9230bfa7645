/*
 * Sigmoid and softmax cross-entropy with label smoothing and mixed labels, their gradients, and the
 * counts of right answers. Each row is computed in double and the rows summed in index order.
 */
#include <math.h>

#include "base/bf16.h"
#include "ops/cpu/blocks.h"

struct row_result {
    double loss;
    bool correct, within5;
};

struct loss_job {
    const struct sl_loss_args *a;
    struct sl_blocks blocks;
    struct row_result *rows; /* [B] */
};

/* Target of class c for image b (softless: ops.h). */
static double target(const struct sl_loss_args *a, int32_t label, int32_t other, size_t c)
{
    const double smooth = a->smoothing, mix = a->mix;
    const double hit = mix * (label == (int32_t)c) + (1 - mix) * (other == (int32_t)c);
    return (1 - smooth) * hit + smooth / (double)a->C;
}

static void put_gradient(const struct sl_loss_args *a, size_t b, size_t c, double g)
{
    const float x = (float)((double)a->grad_scale * g);
    if (a->dtype == SL_BF16)
        ((uint16_t *)a->dlogits)[b * a->C + c] = sl_bf16_from_f32(x);
    else
        ((float *)a->dlogits)[b * a->C + c] = x;
}

static double sigmoid_row(const struct sl_loss_args *a, size_t b, int32_t label, int32_t other)
{
    const float *z = a->logits + b * a->C;
    double loss = 0;
    for (size_t c = 0; c < a->C; c++) {
        const double x = (double)z[c], y = target(a, label, other, c);
        const double e = exp(-fabs(x));
        loss += fmax(x, 0) - x * y + log1p(e); /* -y log s(x) - (1-y) log s(-x) */
        if (isnan(x))
            loss = x;
        if (a->dlogits)
            put_gradient(a, b, c, (x < 0 ? e : 1) / (1 + e) - y);
    }
    return loss;
}

static double softmax_row(const struct sl_loss_args *a, size_t b, int32_t label, int32_t other)
{
    const float *z = a->logits + b * a->C;
    double top = -INFINITY, sum = 0, loss = 0;
    for (size_t c = 0; c < a->C; c++)
        top = fmax(top, (double)z[c]);
    for (size_t c = 0; c < a->C; c++)
        sum += exp((double)z[c] - top);
    const double log_sum = top + log(sum);
    for (size_t c = 0; c < a->C; c++) {
        const double log_p = (double)z[c] - log_sum, y = target(a, label, other, c);
        loss -= y > 0 ? y * log_p : 0;
        if (a->dlogits)
            put_gradient(a, b, c, exp(log_p) - y);
    }
    return loss;
}

/* The label ranks first if no logit before it is as large and none after it is larger: the first
 * maximum wins. A NaN anywhere makes the answer wrong. */
static void rank_label(const struct sl_loss_args *a, size_t b, int32_t label, struct row_result *r)
{
    const float *z = a->logits + b * a->C;
    const float own = z[label];
    size_t before = 0;
    for (size_t c = 0; c < a->C; c++) {
        if (isnan(z[c]))
            return;
        before += z[c] > own || (z[c] == own && (int32_t)c < label);
    }
    r->correct = before == 0;
    r->within5 = before < 5;
}

static void loss_task(void *arg, size_t task, size_t worker)
{
    const struct loss_job *j = arg;
    const struct sl_loss_args *a = j->a;
    (void)worker;
    for (size_t b = task * j->blocks.block; b < sl_block_end(&j->blocks, task); b++) {
        const int32_t label = a->labels[b], other = a->labels[(b + a->B - 1) % a->B];
        struct row_result r = {0, false, false};
        if (label >= 0) {
            r.loss = a->kind == SL_LOSS_SIGMOID_XENT ? sigmoid_row(a, b, label, other)
                                                     : softmax_row(a, b, label, other);
            rank_label(a, b, label, &r);
        } else if (a->dlogits) {
            for (size_t c = 0; c < a->C; c++)
                put_gradient(a, b, c, 0);
        }
        j->rows[b] = r;
    }
}

sl_status sl_cpu_loss(struct sl_device *dev, const struct sl_loss_args *a)
{
    struct loss_job j = {.a = a, .blocks = sl_blocks_of(a->B, 8 * a->C)};
    struct sl_cpu_scratch scratch;
    bool planned;
    SL_TRY(sl_cpu_scratch_get(dev, a->B * sizeof *j.rows, 0, &scratch, &planned));
    if (planned)
        return SL_OK;
    for (size_t b = 0; b < a->B; b++)
        if (a->labels[b] >= (int32_t)a->C)
            SL_FAIL(SL_ERR_DATA, "label %d of image %zu is not one of %zu classes", a->labels[b], b,
                    a->C);
    j.rows = (struct row_result *)(void *)scratch.shared;
    sl_parallel_for(dev->threads, j.blocks.n, loss_task, &j);
    double loss = 0;
    size_t correct = 0, within5 = 0;
    for (size_t b = 0; b < a->B; b++) {
        loss += j.rows[b].loss;
        correct += j.rows[b].correct;
        within5 += j.rows[b].within5;
    }
    *a->loss = loss;
    *a->correct = correct;
    if (a->top5)
        *a->top5 = within5;
    return SL_OK;
}
