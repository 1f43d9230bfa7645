/*
 * How one matrix product is cut into tasks: decided by shape and instruction set alone, never by
 * the number of threads.
 */
#ifndef SL_OPS_CPU_GEMM_PLAN_H
#define SL_OPS_CPU_GEMM_PLAN_H

#include "kernels/gemm_kernels.h"
#include "ops/ops.h"

/* Where the panels of B come from. */
enum sl_gemm_b {
    SL_GEMM_B_DIRECT, /* read where it lies */
    SL_GEMM_B_READY,  /* packed by pack_weight as kernels read it */
    SL_GEMM_B_ONCE,   /* packed into shared scratch before the tasks start */
    SL_GEMM_B_LOCAL   /* packed, or widened from bf16, by the task that uses them */
};

/* A task is (chunk of k, block of rows, block of columns); blocks are counted in tiles. */
struct sl_gemm_plan {
    const struct sl_gemm_kernels *kernels;
    size_t m_tiles, n_tiles;
    size_t block_m, block_n; /* tiles per task */
    size_t blocks_m, blocks_n;
    size_t chunks;   /* > 1: partial sums of each chunk of k are added in order afterwards */
    size_t chunk_k;  /* k per chunk */
    size_t k_step;   /* k per pass over a block */
    size_t k_packed; /* depth of a panel of B over all k */
    size_t k_passes; /* per chunk */
    enum sl_gemm_b b;
    bool a_direct;           /* kernels read A where it lies */
    size_t a_panel, b_panel; /* floats from panel to panel in a worker's buffers */
    /* scratch, in floats: shared = panels of B, partial tiles, partial sums of A; worker = one
     * tile, sums of A, the block's panels of A and B, its partial tiles */
    size_t shared_b, shared_tiles, shared_sums;
    size_t worker_sums, worker_a, worker_b, worker_tiles;
};

static inline size_t sl_gemm_ceil(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* How many k one plan may cover: all, or for long weight gradients a part. */
size_t sl_gemm_range(const struct sl_gemm_args *args);

sl_status sl_gemm_plan_make(const struct sl_gemm_args *args, const struct sl_gemm_kernels *kernels,
                            struct sl_gemm_plan *plan);

#endif
