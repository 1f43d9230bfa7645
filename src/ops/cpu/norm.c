/*
 * Layer and RMS norm over the last axis, forward and backward. Parameter gradients are summed in
 * one partial row per block and the partials added in index order.
 */
#include <string.h>

#include "ops/cpu/blocks.h"

struct norm_job {
    const struct sl_norm_args *a;
    const struct sl_vec_kernels *kernels;
    struct sl_vec_norm row;
    struct sl_blocks blocks;
    float *partials; /* [blocks, 2, width] */
};

static struct norm_job job_of(const struct sl_device *dev, const struct sl_norm_args *a)
{
    return (struct norm_job){.a = a,
                             .kernels = sl_cpu_vec(dev),
                             .row = {.n = a->width,
                                     .rms = a->rms,
                                     .eps = a->eps,
                                     .scale = a->scale,
                                     .bias = a->bias,
                                     .x_bf16 = a->x_type == SL_BF16,
                                     .y_bf16 = a->y_type == SL_BF16},
                             .blocks = sl_blocks_of(a->outer * a->inner, a->width)};
}

static sl_status check(const struct sl_norm_args *a)
{
    if (a->x_type == SL_BF16 && a->y_type == SL_F32)
        SL_FAIL(SL_ERR_UNSUPPORTED, "norm of bf16 rows into float rows is not supported");
    return SL_OK;
}

static void fwd_task(void *arg, size_t task, size_t worker)
{
    const struct norm_job *j = arg;
    const struct sl_norm_args *a = j->a;
    (void)worker;
    for (size_t r = task * j->blocks.block; r < sl_block_end(&j->blocks, task); r++) {
        const size_t i = r / a->inner, k = r % a->inner;
        float mean, rstd;
        j->kernels->norm_fwd(&j->row, sl_at(a->x, a->x_type, i * a->x_outer + k * a->x_inner),
                             sl_at_mut(a->y, a->y_type, i * a->y_outer + k * a->y_inner), &mean,
                             &rstd);
        if (a->mean)
            a->mean[r] = mean;
        if (a->rstd)
            a->rstd[r] = rstd;
    }
}

static void bwd_task(void *arg, size_t task, size_t worker)
{
    const struct norm_job *j = arg;
    const struct sl_norm_args *a = j->a;
    float *dscale = j->partials + task * 2 * a->width, *dbias = dscale + a->width;
    (void)worker;
    memset(dscale, 0, 2 * a->width * sizeof(float));
    for (size_t r = task * j->blocks.block; r < sl_block_end(&j->blocks, task); r++) {
        const size_t i = r / a->inner, k = r % a->inner;
        j->kernels->norm_bwd(&j->row, sl_at(a->x, a->x_type, i * a->x_outer + k * a->x_inner),
                             sl_at(a->dy, a->y_type, i * a->y_outer + k * a->y_inner),
                             a->rms ? 0.0f : a->mean[r], a->rstd[r],
                             sl_at_mut(a->dx, a->x_type, i * a->dx_outer + k * a->dx_inner),
                             a->dx_accumulate, dscale, a->dbias ? dbias : NULL);
    }
}

sl_status sl_cpu_norm_fwd(struct sl_device *dev, const struct sl_norm_args *a)
{
    SL_TRY(check(a));
    if (dev->planning)
        return SL_OK;
    struct norm_job j = job_of(dev, a);
    sl_parallel_for(dev->threads, j.blocks.n, fwd_task, &j);
    return SL_OK;
}

sl_status sl_cpu_norm_bwd(struct sl_device *dev, const struct sl_norm_args *a)
{
    struct norm_job j = job_of(dev, a);
    struct sl_cpu_scratch scratch;
    bool planned;
    SL_TRY(check(a));
    SL_TRY(
        sl_cpu_scratch_get(dev, j.blocks.n * 2 * a->width * sizeof(float), 0, &scratch, &planned));
    if (planned)
        return SL_OK;
    j.partials = (float *)scratch.shared;
    sl_parallel_for(dev->threads, j.blocks.n, bwd_task, &j);
    for (size_t b = 0; b < j.blocks.n; b++) {
        const float *p = j.partials + b * 2 * a->width;
        for (size_t i = 0; i < a->width; i++)
            a->dscale[i] += p[i];
        for (size_t i = 0; a->dbias && i < a->width; i++)
            a->dbias[i] += p[a->width + i];
    }
    return SL_OK;
}
