/*
 * The gate on the concatenated heads: y = o act(g), and its backward.
 */
#include "ops/cpu/tasks.h"

struct job {
    const struct sl_gate_args *a;
    const struct sl_vec_kernels *k;
    struct sl_blocks blocks; /* of elements */
};

/* n <= SL_CHUNK elements from i on. */
static void forward_chunk(const struct job *j, size_t i, size_t n)
{
    const struct sl_gate_args *a = j->a;
    float o_buffer[SL_CHUNK], g_buffer[SL_CHUNK], y_buffer[SL_CHUNK];
    const float *o = sl_read(j->k, a->o, a->type, i, n, o_buffer);
    const float *g = sl_read(j->k, a->g, a->type, i, n, g_buffer);
    j->k->gate_fwd(a->kind, n, o, g, sl_write(a->y, a->type, i, y_buffer));
    sl_written(j->k, a->y, a->type, i, n, y_buffer);
}

static void backward_chunk(const struct job *j, size_t i, size_t n)
{
    const struct sl_gate_args *a = j->a;
    float dy_buffer[SL_CHUNK], o_buffer[SL_CHUNK], g_buffer[SL_CHUNK], dg_buffer[SL_CHUNK];
    const float *dy = sl_read(j->k, a->dy, a->type, i, n, dy_buffer);
    const float *o = sl_read(j->k, a->o, a->type, i, n, o_buffer);
    const float *g = sl_read(j->k, a->g, a->type, i, n, g_buffer);
    float *d_o = sl_write(a->d_o, a->type, i, o_buffer);
    j->k->gate_bwd(a->kind, n, dy, o, g, d_o, sl_write(a->dg, a->type, i, dg_buffer));
    sl_written(j->k, a->d_o, a->type, i, n, o_buffer);
    sl_written(j->k, a->dg, a->type, i, n, dg_buffer);
}

static void forward_task(void *arg, size_t t, size_t worker)
{
    const struct job *j = arg;
    (void)worker;
    const size_t end = sl_block_end(&j->blocks, t);
    for (size_t i = sl_block_first(&j->blocks, t); i < end; i += SL_CHUNK)
        forward_chunk(j, i, end - i < SL_CHUNK ? end - i : SL_CHUNK);
}

static void backward_task(void *arg, size_t t, size_t worker)
{
    const struct job *j = arg;
    (void)worker;
    const size_t end = sl_block_end(&j->blocks, t);
    for (size_t i = sl_block_first(&j->blocks, t); i < end; i += SL_CHUNK)
        backward_chunk(j, i, end - i < SL_CHUNK ? end - i : SL_CHUNK);
}

static sl_status run(struct sl_device *dev, const struct sl_gate_args *a, sl_task_fn fn)
{
    if (dev->planning)
        return SL_OK;
    struct job j = {a, sl_cpu_vec(dev), sl_blocks_of(a->rows * a->width, 1, 0)};
    sl_parallel_for(dev->threads, j.blocks.count, fn, &j);
    return SL_OK;
}

sl_status sl_cpu_gate_fwd(struct sl_device *dev, const struct sl_gate_args *a)
{
    return run(dev, a, forward_task);
}

sl_status sl_cpu_gate_bwd(struct sl_device *dev, const struct sl_gate_args *a)
{
    return run(dev, a, backward_task);
}
