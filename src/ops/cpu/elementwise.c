/*
 * Element-wise maps over flat ranges: conversion, accumulation, the derivative of tanh.
 */
#include "ops/cpu/tasks.h"

struct job {
    const struct sl_unary_args *a;
    const struct sl_vec_kernels *k;
    struct sl_blocks blocks;
};

/* n <= SL_CHUNK elements from i on. */
static void chunk(const struct job *j, size_t i, size_t n)
{
    const struct sl_unary_args *a = j->a;
    float x_buffer[SL_CHUNK], t_buffer[SL_CHUNK], y_buffer[SL_CHUNK];
    const float *r = sl_read(j->k, a->x, a->x_type, i, n, x_buffer);
    if (a->kind == SL_UNARY_TANH_BWD) {
        const float *t = sl_read(j->k, a->aux, a->x_type, i, n, t_buffer);
        j->k->tanh_bwd(n, r, t, y_buffer);
        r = y_buffer;
    }
    if (a->accumulate)
        j->k->add(n, r, (float *)a->y + i, (float *)a->y + i);
    else if (a->y_type == SL_F32)
        memmove((float *)a->y + i, r, n * sizeof *r);
    else
        j->k->narrow(n, r, (uint16_t *)a->y + i);
}

static void task(void *arg, size_t t, size_t worker)
{
    const struct job *j = arg;
    (void)worker;
    const size_t end = sl_block_end(&j->blocks, t);
    for (size_t i = sl_block_first(&j->blocks, t); i < end; i += SL_CHUNK)
        chunk(j, i, end - i < SL_CHUNK ? end - i : SL_CHUNK);
}

sl_status sl_cpu_unary(struct sl_device *dev, const struct sl_unary_args *a)
{
    if (a->accumulate && a->y_type != SL_F32)
        SL_FAIL(SL_ERR_UNSUPPORTED, "unary op on %zu elements accumulates into float only", a->n);
    if (dev->planning)
        return SL_OK;
    struct job j = {a, sl_cpu_vec(dev), sl_blocks_of(a->n, 1, 0)};
    sl_parallel_for(dev->threads, j.blocks.count, task, &j);
    return SL_OK;
}
