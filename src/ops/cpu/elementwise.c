/*
 * Copies between types and the backward of tanh.
 */
#include "ops/cpu/blocks.h"

struct unary_job {
    const struct sl_unary_args *a;
    const struct sl_vec_kernels *kernels;
    struct sl_blocks blocks;
};

static void unary_task(void *arg, size_t task, size_t worker)
{
    const struct unary_job *j = arg;
    const struct sl_unary_args *a = j->a;
    const size_t i = task * j->blocks.block, n = sl_block_end(&j->blocks, task) - i;
    const void *aux = a->kind == SL_UNARY_TANH_BWD ? sl_at(a->aux, a->x_type, i) : NULL;
    (void)worker;
    j->kernels->convert(n, sl_at(a->x, a->x_type, i), a->x_type == SL_BF16, aux,
                        sl_at_mut(a->y, a->y_type, i), a->y_type == SL_BF16, a->accumulate);
}

sl_status sl_cpu_unary(struct sl_device *dev, const struct sl_unary_args *a)
{
    if (dev->planning)
        return SL_OK;
    struct unary_job j = {a, sl_cpu_vec(dev), sl_blocks_of(a->n, 1)};
    sl_parallel_for(dev->threads, j.blocks.n, unary_task, &j);
    return SL_OK;
}
