/*
 * The kernels under a matrix product on the CPU: one tile of C, the packing of its two operands,
 * and what is done to a finished tile. One table per instruction set; the block sizes stand beside
 * the functions that they fit. Sums are float; operands may be bf16, which packing widens.
 *
 * A packed panel is [k, lanes] with lanes = mr (rows of A) or nr (columns of B), zero where the
 * matrix ends, so that a kernel never meets an edge along its lanes.
 *
 * Every element of C is one chain of fused multiply-adds over k in ascending order, whatever the
 * tile, the block sizes or the number of rows: AVX2 and AVX-512 give the same bits.
 */
#ifndef SL_KERNELS_GEMM_KERNELS_H
#define SL_KERNELS_GEMM_KERNELS_H

#include "config/config.h"
#include "kernels/cpu.h"
#include "kernels/epilogue.h"

enum { SL_GEMM_MR_MAX = 14, SL_GEMM_NR_MAX = 32 };

/* out[i, j] = start[i, j] + sum_p a(i, p) b[p, j] + bias[j] + addend[i, j]; i < rows, j < nr. */
struct sl_gemm_tile {
    size_t rows, k;       /* 1 <= rows <= mr */
    const float *a;       /* a(i, p) = a[i*a_row + p*a_step] */
    size_t a_row, a_step; /* elements */
    const float *b;       /* [k, nr] packed panel */
    const float *start;   /* [rows, nr] sums so far; NULL = 0 */
    const float *bias;    /* [nr] or NULL */
    const float *addend;  /* [rows, nr], rows addend_ld apart, may be out; NULL = 0 */
    size_t addend_ld;
    float *out; /* [rows, nr], rows out_ld apart, may be start */
    size_t out_ld;
};

/* dst[p, i] = op(src)(i, p) for i < lanes, 0 up to the panel's width; p < k. */
struct sl_gemm_panel {
    size_t lanes, k;
    const void *src; /* crossed: [lanes, k], rows ld apart; else [k, lanes], rows ld apart */
    size_t ld;
    bool crossed, bf16;
    float *dst; /* [k, width] */
    float *sum; /* [width] += sum_p dst[p, i]; or NULL */
};

/* c = epilogue(r + bias) for one tile; r is read in whole rows of nr. */
struct sl_gemm_finish {
    size_t rows, cols; /* cols <= nr */
    float *r;          /* [rows, nr], overwritten */
    const float *bias; /* [cols] or NULL */
    enum sl_epilogue epilogue;
    enum sl_gelu gelu;
    bool accumulate;
    bool bf16; /* type of c, and of aux but for RESIDUAL */
    void *c;   /* [rows, cols], rows ldc apart */
    size_t ldc;
    void *aux; /* [rows, cols], rows ldaux apart */
    size_t ldaux;
};

struct sl_gemm_kernels {
    enum sl_isa isa;
    size_t mr, nr; /* the tile */
    size_t kc;     /* depth whose B panel [kc, nr] stays in L1 beside an A panel */
    void (*tile)(const struct sl_gemm_tile *);
    void (*pack_a)(const struct sl_gemm_panel *); /* width mr */
    void (*pack_b)(const struct sl_gemm_panel *); /* width nr */
    void (*finish)(const struct sl_gemm_finish *);
    void (*narrow)(size_t n, const float *src, uint16_t *dst); /* float -> bf16 */
    double (*peak)(size_t rounds); /* register-only multiply-adds; returns their FLOP */
};

/* The table of the best instruction set that is not above `isa`. */
const struct sl_gemm_kernels *sl_gemm_kernels_for(enum sl_isa isa);

#endif
