/*
 * Packing a weight for the matrix product: float master [k, n] or [n, k] -> panels [k, nr] in the
 * type of the activations, padded to whole panels.
 */
#include "base/checked.h"
#include "kernels/gemm_kernels.h"
#include "ops/cpu/cpu.h"

/* Rounded up to the largest panels, so that the size does not depend on the instruction set. */
size_t sl_cpu_pack_weight_bytes(size_t n, size_t k, sl_dtype type)
{
    const size_t size = type == SL_BF16 ? 2 : 4;
    size_t columns, depth, elements, bytes;
    if (!sl_size_align(n, SL_GEMM_NR_MAX, &columns) ||
        !sl_size_align(k, SL_GEMM_K_UNIT_MAX, &depth) || !sl_size_mul(columns, depth, &elements) ||
        !sl_size_mul(elements, size, &bytes))
        return SIZE_MAX;
    return bytes;
}

struct packing {
    const struct sl_pack_args *args;
    const struct sl_gemm_kernels *kernels;
};

/* The whole panel by kernels that keep bf16 as it is. */
static void pack_native(const struct sl_pack_args *a, const struct sl_gemm_kernels *kernels,
                        size_t j0)
{
    const size_t depth = (a->k + kernels->k_unit - 1) / kernels->k_unit * kernels->k_unit;
    const size_t panel = depth * kernels->b_floats;
    const struct sl_gemm_pack p = {.lanes = a->n - j0 < kernels->nr ? a->n - j0 : kernels->nr,
                                   .k = a->k,
                                   .src = a->b + (a->b_t ? j0 * a->ldb : j0),
                                   .ld = a->ldb,
                                   .crossed = a->b_t,
                                   .dst = (float *)a->packed + j0 / kernels->nr * panel,
                                   .panel = panel};
    kernels->pack_b(&p);
}

static void pack_task(void *arg, size_t task, size_t worker)
{
    enum { STEP = 64 };
    const struct packing *w = arg;
    const struct sl_pack_args *a = w->args;
    (void)worker;
    const size_t nr = w->kernels->nr, j0 = task * nr;
    if (w->kernels->bf16) {
        pack_native(a, w->kernels, j0);
        return;
    }
    float *panel = (float *)a->packed + task * nr * a->k;
    uint16_t *narrow = (uint16_t *)a->packed + task * nr * a->k;
    float piece[STEP * SL_GEMM_NR_MAX];
    for (size_t k0 = 0; k0 < a->k; k0 += STEP) {
        const size_t k = a->k - k0 < STEP ? a->k - k0 : STEP;
        const struct sl_gemm_pack p = {.lanes = a->n - j0 < nr ? a->n - j0 : nr,
                                       .k = k,
                                       .src = a->b + (a->b_t ? j0 * a->ldb + k0 : k0 * a->ldb + j0),
                                       .ld = a->ldb,
                                       .crossed = a->b_t,
                                       .dst = a->type == SL_BF16 ? piece
                                                                 : panel + k0 * nr}; /* one panel */
        w->kernels->pack_b(&p);
        if (a->type == SL_BF16)
            w->kernels->narrow(k * nr, piece, narrow + k0 * nr);
    }
}

sl_status sl_cpu_pack_weight(struct sl_device *dev, const struct sl_pack_args *args)
{
    if (args->ldb < (args->b_t ? args->k : args->n))
        SL_FAIL(SL_ERR_ARGUMENT, "packing a weight of %zu x %zu: its rows overlap", args->k,
                args->n);
    if (dev->planning)
        return SL_OK;
    struct packing w = {args, sl_cpu_of(dev)->gemm[args->type]};
    sl_parallel_for(dev->threads, (args->n + w.kernels->nr - 1) / w.kernels->nr, pack_task, &w);
    return SL_OK;
}
