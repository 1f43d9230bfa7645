/*
 * Layer norm and RMS norm over the last axis: rows of activations of either type are brought to
 * float rows for the kernels. Parameter gradients are summed per block of rows in scratch and then
 * in block order.
 */
#include "ops/cpu/tasks.h"

enum { BLOCKS_MOST = 64 }; /* partial parameter gradients of the backward pass */

struct job {
    const struct sl_norm_args *a;
    const struct sl_vec_kernels *k;
    struct sl_vec_norm shape;
    struct sl_blocks blocks; /* of outer rows */
    struct sl_cpu_scratch scratch;
    size_t grads; /* floats per partial: dscale, then dbias */
};

static struct job job_of(const struct sl_device *dev, const struct sl_norm_args *a, size_t most)
{
    return (struct job){
        .a = a,
        .k = sl_cpu_vec(dev),
        .shape = {a->width, a->rms, a->eps, a->scale, a->bias},
        .blocks = sl_blocks_of(a->outer, a->inner * a->width, most),
        .grads = (a->dbias ? 2 : 1) * a->width,
    };
}

static void forward_task(void *arg, size_t t, size_t worker)
{
    const struct job *j = arg;
    const struct sl_norm_args *a = j->a;
    float *x_buffer = sl_cpu_worker_scratch(&j->scratch, worker); /* [width] */
    float *y_buffer = x_buffer + a->width;                        /* [width] */
    for (size_t o = sl_block_first(&j->blocks, t); o < sl_block_end(&j->blocks, t); o++)
        for (size_t i = 0; i < a->inner; i++) {
            const size_t at = o * a->inner + i, y_at = o * a->y_outer + i * a->y_inner;
            const float *x =
                sl_read(j->k, a->x, a->x_type, o * a->x_outer + i * a->x_inner, a->width, x_buffer);
            float mean, rstd;
            j->k->norm_fwd(&j->shape, x, sl_write(a->y, a->y_type, y_at, y_buffer), &mean, &rstd);
            sl_written(j->k, a->y, a->y_type, y_at, a->width, y_buffer);
            if (!a->rms)
                a->mean[at] = mean;
            a->rstd[at] = rstd;
        }
}

sl_status sl_cpu_norm_fwd(struct sl_device *dev, const struct sl_norm_args *a)
{
    bool planned;
    struct job j = job_of(dev, a, 0);
    SL_TRY(sl_cpu_scratch_get(dev, 0, 2 * a->width * sizeof(float), &j.scratch, &planned));
    if (!planned)
        sl_parallel_for(dev->threads, j.blocks.count, forward_task, &j);
    return SL_OK;
}

static void backward_task(void *arg, size_t t, size_t worker)
{
    const struct job *j = arg;
    const struct sl_norm_args *a = j->a;
    float *x_buffer = sl_cpu_worker_scratch(&j->scratch, worker);              /* [width] */
    float *dy_buffer = x_buffer + a->width, *dx_buffer = dy_buffer + a->width; /* [width] */
    float *grads = (float *)(void *)j->scratch.shared + t * j->grads;
    memset(grads, 0, j->grads * sizeof *grads);
    struct sl_vec_norm_grad g = {.accumulate = a->dx_accumulate,
                                 .dscale = grads,
                                 .dbias = a->dbias ? grads + a->width : NULL};
    for (size_t o = sl_block_first(&j->blocks, t); o < sl_block_end(&j->blocks, t); o++)
        for (size_t i = 0; i < a->inner; i++) {
            const size_t at = o * a->inner + i, dx_at = o * a->dx_outer + i * a->dx_inner;
            g.x =
                sl_read(j->k, a->x, a->x_type, o * a->x_outer + i * a->x_inner, a->width, x_buffer);
            g.dy = sl_read(j->k, a->dy, a->y_type, o * a->y_outer + i * a->y_inner, a->width,
                           dy_buffer);
            g.mean = a->rms ? 0.0f : a->mean[at];
            g.rstd = a->rstd[at];
            g.dx = sl_write(a->dx, a->x_type, dx_at, dx_buffer);
            if (a->dx_accumulate && a->x_type == SL_BF16)
                j->k->widen(a->width, sl_typed_at(a->dx, SL_BF16, dx_at), dx_buffer);
            j->k->norm_bwd(&j->shape, &g);
            sl_written(j->k, a->dx, a->x_type, dx_at, a->width, dx_buffer);
        }
}

sl_status sl_cpu_norm_bwd(struct sl_device *dev, const struct sl_norm_args *a)
{
    bool planned;
    struct job j = job_of(dev, a, BLOCKS_MOST);
    SL_TRY(sl_cpu_scratch_get(dev, j.blocks.count * j.grads * sizeof(float),
                              3 * a->width * sizeof(float), &j.scratch, &planned));
    if (planned)
        return SL_OK;
    sl_parallel_for(dev->threads, j.blocks.count, backward_task, &j);
    const float *grads = (const float *)(const void *)j.scratch.shared;
    for (size_t b = 0; b < j.blocks.count; b++, grads += j.grads) {
        j.k->add(a->width, a->dscale, grads, a->dscale);
        if (a->dbias)
            j.k->add(a->width, a->dbias, grads + a->width, a->dbias);
    }
    return SL_OK;
}
