/*
 * The optimizer over ranges of the flat parameter arena, and the sum of squares behind the global
 * norm.
 */
#include <math.h>

#include "ops/cpu/blocks.h"

struct sumsq_job {
    const struct sl_sumsq_args *a;
    const struct sl_vec_kernels *kernels;
    struct sl_blocks blocks;
    double *partials; /* [blocks] */
};

static void sumsq_task(void *arg, size_t task, size_t worker)
{
    const struct sumsq_job *j = arg;
    const size_t i = task * j->blocks.block;
    (void)worker;
    j->partials[task] = j->kernels->sumsq(sl_block_end(&j->blocks, task) - i, j->a->x + i);
}

sl_status sl_cpu_sumsq(struct sl_device *dev, const struct sl_sumsq_args *a)
{
    struct sumsq_job j = {.a = a, .kernels = sl_cpu_vec(dev), .blocks = sl_blocks_of(a->n, 1)};
    struct sl_cpu_scratch scratch;
    bool planned;
    SL_TRY(sl_cpu_scratch_get(dev, j.blocks.n * sizeof(double), 0, &scratch, &planned));
    if (planned)
        return SL_OK;
    j.partials = (double *)(void *)scratch.shared;
    sl_parallel_for(dev->threads, j.blocks.n, sumsq_task, &j);
    double sum = 0;
    for (size_t i = 0; i < j.blocks.n; i++)
        sum += j.partials[i];
    *a->sum = sum;
    return SL_OK;
}

struct update_job {
    const struct sl_update_args *a;
    const struct sl_vec_kernels *kernels;
    struct sl_vec_update row;
    struct sl_blocks blocks;
};

static void update_task(void *arg, size_t task, size_t worker)
{
    const struct update_job *j = arg;
    const struct sl_update_args *a = j->a;
    const size_t i = task * j->blocks.block;
    (void)worker;
    j->kernels->update(&j->row, sl_block_end(&j->blocks, task) - i, a->w + i, a->g + i,
                       sl_at_mut(a->m, a->bf16_moment ? SL_BF16 : SL_F32, i),
                       a->v ? a->v + i : NULL);
}

sl_status sl_cpu_update(struct sl_device *dev, const struct sl_update_args *a)
{
    const double k = (double)a->t + 1;
    if (dev->planning)
        return SL_OK;
    struct update_job j = {.a = a,
                           .kernels = sl_cpu_vec(dev),
                           .row = {.kind = a->kind,
                                   .grad_scale = a->grad_scale,
                                   .bf16_moment = a->bf16_moment,
                                   .beta1 = (float)a->beta1,
                                   .beta2 = (float)a->beta2,
                                   .rest1 = (float)(1 - a->beta1),
                                   .rest2 = (float)(1 - a->beta2),
                                   .eps = (float)a->eps,
                                   .momentum = (float)a->momentum,
                                   .correct1 = (float)(1 / (1 - pow(a->beta1, k))),
                                   .correct2 = (float)(1 / (1 - pow(a->beta2, k))),
                                   .lr = (float)a->lr,
                                   .wd = (float)a->wd,
                                   .schedule = (float)a->schedule},
                           .blocks = sl_blocks_of(a->n, 1)};
    sl_parallel_for(dev->threads, j.blocks.n, update_task, &j);
    return SL_OK;
}
