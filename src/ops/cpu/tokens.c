/*
 * Tokens in and out of the residual stream: embedding with its prefix, pooling, LayerScale.
 */
#include "ops/cpu/tasks.h"

/* ---- embed ---- */

struct embed_job {
    const struct sl_embed_args *a;
    const struct sl_vec_kernels *k;
    struct sl_blocks blocks; /* forward: of all B*L tokens; backward: of the L places */
};

static void embed_fwd_task(void *arg, size_t t, size_t worker)
{
    const struct embed_job *j = arg;
    const struct sl_embed_args *a = j->a;
    const size_t L = a->n_prefix + a->N, D = a->D;
    (void)worker;
    for (size_t i = sl_block_first(&j->blocks, t); i < sl_block_end(&j->blocks, t); i++) {
        const size_t b = i / L, l = i % L;
        if (l < a->n_prefix) {
            memcpy(a->x + i * D, a->prefix + l * D, D * sizeof(float));
            continue;
        }
        const size_t n = l - a->n_prefix;
        j->k->add(D, a->patch + (b * a->N + n) * D, a->pos + n * D, a->x + i * D);
    }
}

sl_status sl_cpu_embed_fwd(struct sl_device *dev, const struct sl_embed_args *a)
{
    if (dev->planning)
        return SL_OK;
    struct embed_job j = {a, sl_cpu_vec(dev), sl_blocks_of(a->B * (a->n_prefix + a->N), a->D, 0)};
    sl_parallel_for(dev->threads, j.blocks.count, embed_fwd_task, &j);
    return SL_OK;
}

/* A task has places of the sequence to itself, so that the sum over images needs no partials. */
static void embed_bwd_task(void *arg, size_t t, size_t worker)
{
    const struct embed_job *j = arg;
    const struct sl_embed_args *a = j->a;
    const size_t L = a->n_prefix + a->N, D = a->D;
    (void)worker;
    for (size_t b = 0; b < a->B; b++)
        for (size_t l = sl_block_first(&j->blocks, t); l < sl_block_end(&j->blocks, t); l++) {
            const float *dx = a->dx + (b * L + l) * D;
            const bool prefix = l < a->n_prefix;
            float *sums = prefix ? a->dprefix : a->dpos;
            if (sums) {
                float *sum = sums + (prefix ? l : l - a->n_prefix) * D;
                j->k->add(D, sum, dx, sum);
            }
            if (prefix)
                continue;
            void *dpatch = sl_typed_at(a->dpatch, a->dpatch_type, (b * a->N + l - a->n_prefix) * D);
            if (a->dpatch_type == SL_BF16)
                j->k->narrow(D, dx, dpatch);
            else
                memcpy(dpatch, dx, D * sizeof(float));
        }
}

sl_status sl_cpu_embed_bwd(struct sl_device *dev, const struct sl_embed_args *a)
{
    if (dev->planning)
        return SL_OK;
    struct embed_job j = {a, sl_cpu_vec(dev), sl_blocks_of(a->n_prefix + a->N, a->B * a->D, 0)};
    sl_parallel_for(dev->threads, j.blocks.count, embed_bwd_task, &j);
    return SL_OK;
}

/* ---- pool ---- */

struct pool_job {
    const struct sl_pool_args *a;
    const struct sl_vec_kernels *k;
    struct sl_blocks blocks; /* of images */
};

/* Columns d .. d+n-1 of image b, n <= SL_CHUNK. */
static void pool_fwd_chunk(const struct pool_job *j, size_t b, size_t d, size_t n)
{
    const struct sl_pool_args *a = j->a;
    float buffer[SL_CHUNK], sum[SL_CHUNK] = {0};
    for (size_t l = a->first; l < a->first + a->count; l++)
        j->k->add(n, sum, sl_read(j->k, a->x, a->type, (b * a->L + l) * a->D + d, n, buffer), sum);
    j->k->scale(n, 1.0f / (float)a->count, sum, sum);
    if (a->type == SL_F32)
        memcpy((float *)a->y + b * a->D + d, sum, n * sizeof *sum);
    sl_written(j->k, a->y, a->type, b * a->D + d, n, sum);
}

static void pool_fwd_task(void *arg, size_t t, size_t worker)
{
    const struct pool_job *j = arg;
    (void)worker;
    for (size_t b = sl_block_first(&j->blocks, t); b < sl_block_end(&j->blocks, t); b++)
        for (size_t d = 0; d < j->a->D; d += SL_CHUNK)
            pool_fwd_chunk(j, b, d, j->a->D - d < SL_CHUNK ? j->a->D - d : SL_CHUNK);
}

static void pool_bwd_chunk(const struct pool_job *j, size_t b, size_t d, size_t n)
{
    const struct sl_pool_args *a = j->a;
    const size_t bytes = n * (a->type == SL_BF16 ? sizeof(uint16_t) : sizeof(float));
    float buffer[SL_CHUNK];
    uint16_t narrowed[SL_CHUNK];
    const void *row = buffer;
    j->k->scale(n, 1.0f / (float)a->count, sl_read(j->k, a->dy, a->type, b * a->D + d, n, buffer),
                buffer);
    if (a->type == SL_BF16) {
        j->k->narrow(n, buffer, narrowed);
        row = narrowed;
    }
    for (size_t l = 0; l < a->L; l++) {
        void *dx = sl_typed_at(a->dx, a->type, (b * a->L + l) * a->D + d);
        if (l >= a->first && l - a->first < a->count)
            memcpy(dx, row, bytes);
        else
            memset(dx, 0, bytes);
    }
}

static void pool_bwd_task(void *arg, size_t t, size_t worker)
{
    const struct pool_job *j = arg;
    (void)worker;
    for (size_t b = sl_block_first(&j->blocks, t); b < sl_block_end(&j->blocks, t); b++)
        for (size_t d = 0; d < j->a->D; d += SL_CHUNK)
            pool_bwd_chunk(j, b, d, j->a->D - d < SL_CHUNK ? j->a->D - d : SL_CHUNK);
}

static sl_status pool_run(struct sl_device *dev, const struct sl_pool_args *a, sl_task_fn fn,
                          size_t tokens)
{
    if (a->count == 0 || a->first > a->L || a->count > a->L - a->first)
        SL_FAIL(SL_ERR_ARGUMENT, "pool of %zu tokens from %zu on, but there are %zu", a->count,
                a->first, a->L);
    if (dev->planning)
        return SL_OK;
    struct pool_job j = {a, sl_cpu_vec(dev), sl_blocks_of(a->B, tokens * a->D, 0)};
    sl_parallel_for(dev->threads, j.blocks.count, fn, &j);
    return SL_OK;
}

sl_status sl_cpu_pool_fwd(struct sl_device *dev, const struct sl_pool_args *a)
{
    return pool_run(dev, a, pool_fwd_task, a->count);
}

sl_status sl_cpu_pool_bwd(struct sl_device *dev, const struct sl_pool_args *a)
{
    return pool_run(dev, a, pool_bwd_task, a->L);
}

/* ---- LayerScale ---- */

struct scale_add_job {
    const struct sl_scale_add_args *a;
    const struct sl_vec_kernels *k;
    struct sl_blocks blocks; /* of rows */
    struct sl_cpu_scratch scratch;
};

static void scale_add_fwd_task(void *arg, size_t t, size_t worker)
{
    const struct scale_add_job *j = arg;
    const struct sl_scale_add_args *a = j->a;
    float *buffer = sl_cpu_worker_scratch(&j->scratch, worker); /* [width] */
    for (size_t r = sl_block_first(&j->blocks, t); r < sl_block_end(&j->blocks, t); r++) {
        const float *y = sl_read(j->k, a->y, a->type, r * a->width, a->width, buffer);
        j->k->mul_add(a->width, a->gamma, y, a->x + r * a->width);
    }
}

sl_status sl_cpu_scale_add_fwd(struct sl_device *dev, const struct sl_scale_add_args *a)
{
    bool planned;
    struct scale_add_job j = {a, sl_cpu_vec(dev), sl_blocks_of(a->rows, a->width, 0), {0}};
    SL_TRY(sl_cpu_scratch_get(dev, 0, a->width * sizeof(float), &j.scratch, &planned));
    if (!planned)
        sl_parallel_for(dev->threads, j.blocks.count, scale_add_fwd_task, &j);
    return SL_OK;
}

static void scale_add_bwd_task(void *arg, size_t t, size_t worker)
{
    const struct scale_add_job *j = arg;
    const struct sl_scale_add_args *a = j->a;
    const size_t D = a->width;
    float *buffer = sl_cpu_worker_scratch(&j->scratch, worker); /* [width] */
    float *dgamma = (float *)(void *)j->scratch.shared + t * D;
    memset(dgamma, 0, D * sizeof *dgamma);
    for (size_t r = sl_block_first(&j->blocks, t); r < sl_block_end(&j->blocks, t); r++) {
        const float *dx = a->dx + r * D;
        j->k->mul_add(D, dx, sl_read(j->k, a->y, a->type, r * D, D, buffer), dgamma);
        j->k->mul(D, a->gamma, dx, sl_write(a->dy, a->type, r * D, buffer));
        sl_written(j->k, a->dy, a->type, r * D, D, buffer);
    }
}

sl_status sl_cpu_scale_add_bwd(struct sl_device *dev, const struct sl_scale_add_args *a)
{
    enum { BLOCKS_MOST = 64 };
    bool planned;
    struct scale_add_job j = {
        a, sl_cpu_vec(dev), sl_blocks_of(a->rows, a->width, BLOCKS_MOST), {0}};
    SL_TRY(sl_cpu_scratch_get(dev, j.blocks.count * a->width * sizeof(float),
                              a->width * sizeof(float), &j.scratch, &planned));
    if (planned)
        return SL_OK;
    sl_parallel_for(dev->threads, j.blocks.count, scale_add_bwd_task, &j);
    const float *partial = (const float *)(const void *)j.scratch.shared;
    for (size_t b = 0; b < j.blocks.count; b++, partial += a->width)
        j.k->add(a->width, a->dgamma, partial, a->dgamma);
    return SL_OK;
}
