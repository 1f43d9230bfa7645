/*
 * The gate on the concatenated heads: y = o act(g).
 */
#include "ops/cpu/blocks.h"

struct gate_job {
    const struct sl_gate_args *a;
    const struct sl_vec_kernels *kernels;
    struct sl_blocks blocks;
    bool backward;
};

static void gate_task(void *arg, size_t task, size_t worker)
{
    const struct gate_job *j = arg;
    const struct sl_gate_args *a = j->a;
    const size_t first = task * j->blocks.block * a->width;
    const size_t n = sl_block_end(&j->blocks, task) * a->width - first;
    const void *o = sl_at(a->o, a->type, first), *g = sl_at(a->g, a->type, first);
    (void)worker;
    if (j->backward)
        j->kernels->gate_bwd(a->kind, n, a->type == SL_BF16, o, g, sl_at(a->dy, a->type, first),
                             sl_at_mut(a->d_o, a->type, first), sl_at_mut(a->dg, a->type, first));
    else
        j->kernels->gate_fwd(a->kind, n, a->type == SL_BF16, o, g, sl_at_mut(a->y, a->type, first));
}

static sl_status run(struct sl_device *dev, const struct sl_gate_args *a, bool backward)
{
    if (a->kind == SL_GATE_NONE)
        SL_FAIL(SL_ERR_UNSUPPORTED, "a gate of kind none is not an operation");
    if (dev->planning)
        return SL_OK;
    struct gate_job j = {a, sl_cpu_vec(dev), sl_blocks_of(a->rows, a->width), backward};
    sl_parallel_for(dev->threads, j.blocks.n, gate_task, &j);
    return SL_OK;
}

sl_status sl_cpu_gate_fwd(struct sl_device *dev, const struct sl_gate_args *a)
{
    return run(dev, a, false);
}

sl_status sl_cpu_gate_bwd(struct sl_device *dev, const struct sl_gate_args *a)
{
    return run(dev, a, true);
}
