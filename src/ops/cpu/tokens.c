/*
 * Assembling tokens (patches, positions, prefix), pooling them, and LayerScale.
 */
#include <string.h>

#include "base/bf16.h"
#include "ops/cpu/blocks.h"

/* ---- embed ---- */

struct embed_job {
    const struct sl_embed_args *a;
    const struct sl_vec_kernels *kernels;
};

static void embed_fwd_task(void *arg, size_t b, size_t worker)
{
    const struct sl_embed_args *a = ((const struct embed_job *)arg)->a;
    const size_t D = a->D;
    float *x = a->x + b * (a->n_prefix + a->N) * D; /* [L, D] of image b */
    (void)worker;
    if (a->n_prefix)
        memcpy(x, a->prefix, a->n_prefix * D * sizeof(float));
    x += a->n_prefix * D;
    const float *patch = a->patch + b * a->N * D;
    for (size_t i = 0; i < a->N * D; i++)
        x[i] = patch[i] + a->pos[i];
}

/* Token t of all images, so that the sum over images has one order. */
static void embed_bwd_task(void *arg, size_t t, size_t worker)
{
    const struct embed_job *j = arg;
    const struct sl_embed_args *a = j->a;
    const size_t D = a->D, L = a->n_prefix + a->N;
    float *sum = t < a->n_prefix ? a->dprefix + t * D
                 : a->dpos       ? a->dpos + (t - a->n_prefix) * D
                                 : NULL;
    (void)worker;
    for (size_t b = 0; b < a->B; b++) {
        const float *dx = a->dx + (b * L + t) * D;
        for (size_t i = 0; sum && i < D; i++)
            sum[i] += dx[i];
        if (t < a->n_prefix)
            continue;
        void *dpatch = sl_at_mut(a->dpatch, a->dpatch_type, (b * a->N + t - a->n_prefix) * D);
        j->kernels->convert(D, dx, false, NULL, dpatch, a->dpatch_type == SL_BF16, false);
    }
}

sl_status sl_cpu_embed_fwd(struct sl_device *dev, const struct sl_embed_args *a)
{
    if (dev->planning)
        return SL_OK;
    struct embed_job j = {a, sl_cpu_vec(dev)};
    sl_parallel_for(dev->threads, a->B, embed_fwd_task, &j);
    return SL_OK;
}

sl_status sl_cpu_embed_bwd(struct sl_device *dev, const struct sl_embed_args *a)
{
    if (dev->planning)
        return SL_OK;
    struct embed_job j = {a, sl_cpu_vec(dev)};
    sl_parallel_for(dev->threads, a->n_prefix + a->N, embed_bwd_task, &j);
    return SL_OK;
}

/* ---- pool ---- */

static float load(const void *p, sl_dtype type, size_t i)
{
    return type == SL_BF16 ? sl_bf16_to_f32(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

static void store(void *p, sl_dtype type, size_t i, float x)
{
    if (type == SL_BF16)
        ((uint16_t *)p)[i] = sl_bf16_from_f32(x);
    else
        ((float *)p)[i] = x;
}

/* Sums run over the tokens in order, for a strip of the width at a time. */
static void pool_fwd_task(void *arg, size_t b, size_t worker)
{
    enum { STRIP = 64 };
    const struct sl_pool_args *a = arg;
    const float share = 1.0f / (float)a->count;
    (void)worker;
    for (size_t d = 0; d < a->D; d += STRIP) {
        const size_t n = a->D - d < STRIP ? a->D - d : STRIP;
        float sum[STRIP] = {0};
        for (size_t t = a->first; t < a->first + a->count; t++)
            for (size_t i = 0; i < n; i++)
                sum[i] += load(a->x, a->type, (b * a->L + t) * a->D + d + i);
        for (size_t i = 0; i < n; i++)
            store(a->y, a->type, b * a->D + d + i, sum[i] * share);
    }
}

static void pool_bwd_task(void *arg, size_t b, size_t worker)
{
    const struct sl_pool_args *a = arg;
    const float share = 1.0f / (float)a->count;
    (void)worker;
    memset(sl_at_mut(a->dx, a->type, b * a->L * a->D), 0, a->L * a->D * sl_type_size(a->type));
    for (size_t t = a->first; t < a->first + a->count; t++)
        for (size_t i = 0; i < a->D; i++)
            store(a->dx, a->type, (b * a->L + t) * a->D + i,
                  load(a->dy, a->type, b * a->D + i) * share);
}

sl_status sl_cpu_pool_fwd(struct sl_device *dev, const struct sl_pool_args *a)
{
    struct sl_pool_args copy = *a;
    if (!dev->planning)
        sl_parallel_for(dev->threads, a->B, pool_fwd_task, &copy);
    return SL_OK;
}

sl_status sl_cpu_pool_bwd(struct sl_device *dev, const struct sl_pool_args *a)
{
    struct sl_pool_args copy = *a;
    if (!dev->planning)
        sl_parallel_for(dev->threads, a->B, pool_bwd_task, &copy);
    return SL_OK;
}

/* ---- LayerScale ---- */

struct scale_job {
    const struct sl_scale_add_args *a;
    const struct sl_vec_kernels *kernels;
    struct sl_blocks blocks;
    float *partials; /* [blocks, width] */
};

static void scale_fwd_task(void *arg, size_t task, size_t worker)
{
    const struct scale_job *j = arg;
    const struct sl_scale_add_args *a = j->a;
    (void)worker;
    for (size_t r = task * j->blocks.block; r < sl_block_end(&j->blocks, task); r++)
        j->kernels->scale_add(a->width, a->x + r * a->width, sl_at(a->y, a->type, r * a->width),
                              a->type == SL_BF16, a->gamma);
}

static void scale_bwd_task(void *arg, size_t task, size_t worker)
{
    const struct scale_job *j = arg;
    const struct sl_scale_add_args *a = j->a;
    float *dgamma = j->partials + task * a->width;
    (void)worker;
    memset(dgamma, 0, a->width * sizeof(float));
    for (size_t r = task * j->blocks.block; r < sl_block_end(&j->blocks, task); r++)
        j->kernels->scale_add_bwd(
            a->width, a->dx + r * a->width, sl_at(a->y, a->type, r * a->width),
            sl_at_mut(a->dy, a->type, r * a->width), a->type == SL_BF16, a->gamma, dgamma);
}

sl_status sl_cpu_scale_add_fwd(struct sl_device *dev, const struct sl_scale_add_args *a)
{
    if (dev->planning)
        return SL_OK;
    struct scale_job j = {a, sl_cpu_vec(dev), sl_blocks_of(a->rows, a->width), NULL};
    sl_parallel_for(dev->threads, j.blocks.n, scale_fwd_task, &j);
    return SL_OK;
}

sl_status sl_cpu_scale_add_bwd(struct sl_device *dev, const struct sl_scale_add_args *a)
{
    struct scale_job j = {a, sl_cpu_vec(dev), sl_blocks_of(a->rows, a->width), NULL};
    struct sl_cpu_scratch scratch;
    bool planned;
    SL_TRY(sl_cpu_scratch_get(dev, j.blocks.n * a->width * sizeof(float), 0, &scratch, &planned));
    if (planned)
        return SL_OK;
    j.partials = (float *)scratch.shared;
    sl_parallel_for(dev->threads, j.blocks.n, scale_bwd_task, &j);
    for (size_t b = 0; b < j.blocks.n; b++)
        for (size_t i = 0; i < a->width; i++)
            a->dgamma[i] += j.partials[b * a->width + i];
    return SL_OK;
}
