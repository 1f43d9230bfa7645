/*
 * The optimizer over ranges of the flat arenas: the sum of squares that clipping needs, and one
 * update. Factors that depend on the step alone are taken in double here.
 */
#include <math.h>

#include "ops/cpu/tasks.h"

/* ---- sum of squares ---- */

struct sumsq_job {
    const struct sl_sumsq_args *a;
    const struct sl_vec_kernels *k;
    struct sl_blocks blocks;
    struct sl_cpu_scratch scratch;
};

static void sumsq_task(void *arg, size_t t, size_t worker)
{
    const struct sumsq_job *j = arg;
    const size_t first = sl_block_first(&j->blocks, t);
    (void)worker;
    ((double *)(void *)j->scratch.shared)[t] =
        j->k->sumsq(sl_block_end(&j->blocks, t) - first, j->a->x + first);
}

sl_status sl_cpu_sumsq(struct sl_device *dev, const struct sl_sumsq_args *a)
{
    bool planned;
    struct sumsq_job j = {a, sl_cpu_vec(dev), sl_blocks_of(a->n, 1, 0), {0}};
    SL_TRY(sl_cpu_scratch_get(dev, j.blocks.count * sizeof(double), 0, &j.scratch, &planned));
    if (planned)
        return SL_OK;
    sl_parallel_for(dev->threads, j.blocks.count, sumsq_task, &j);
    double sum = 0;
    for (size_t b = 0; b < j.blocks.count; b++)
        sum += ((const double *)(const void *)j.scratch.shared)[b];
    *a->sum = sum;
    return SL_OK;
}

/* ---- update ---- */

struct update_job {
    const struct sl_update_args *a;
    const struct sl_vec_kernels *k;
    struct sl_blocks blocks;
    struct sl_vec_update factors;
};

static void update_task(void *arg, size_t t, size_t worker)
{
    const struct update_job *j = arg;
    const struct sl_update_args *a = j->a;
    const size_t i = sl_block_first(&j->blocks, t), n = sl_block_end(&j->blocks, t) - i;
    void *m = sl_typed_at(a->m, a->bf16_moment ? SL_BF16 : SL_F32, i);
    (void)worker;
    if (a->kind == SL_OPT_SGD)
        j->k->sgd(&j->factors, n, a->g + i, a->w + i, m);
    else
        j->k->adam(&j->factors, n, a->g + i, a->w + i, m, a->v + i);
}

sl_status sl_cpu_update(struct sl_device *dev, const struct sl_update_args *a)
{
    if (dev->planning)
        return SL_OK;
    const double k = (double)(a->t + 1);
    const double decay = a->kind == SL_OPT_ADAM ? a->wd : a->lr * a->wd;
    struct update_job j = {
        .a = a,
        .k = sl_cpu_vec(dev),
        .blocks = sl_blocks_of(a->n, 1, 0),
        .factors = {.grad_scale = a->grad_scale,
                    .take_m = (float)(1.0 - a->beta1),
                    .take_v = (float)(1.0 - a->beta2),
                    .unbias_m = (float)(1.0 / (1.0 - pow(a->beta1, k))),
                    .unbias_v = (float)(1.0 / (1.0 - pow(a->beta2, k))),
                    .eps = (float)a->eps,
                    .momentum = (float)a->momentum,
                    .rate = (float)(a->schedule * a->lr),
                    .decay = (float)(a->schedule * decay),
                    .bf16_moment = a->bf16_moment},
    };
    sl_parallel_for(dev->threads, j.blocks.count, update_task, &j);
    return SL_OK;
}
