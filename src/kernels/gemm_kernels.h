/*
 * The kernels under a matrix product on the CPU: one tile of C, the packing of its two operands,
 * and what is done to a finished tile. One table per instruction set; the block sizes stand beside
 * the functions that they fit. Sums are float; operands may be bf16, which packing widens.
 *
 * A table may instead multiply bf16 itself (AVX512-BF16, AMX); then its packed panels are its own
 * affair, and `float *` points to them all the same. Else a packed panel holds mr rows of A or nr
 * columns of B, k after k, padded to whole vectors, so that a kernel never meets an edge along its
 * lanes.
 *
 * Sums of float are one chain of fused multiply-adds over k in ascending order, or one for each
 * chunk of k of the plan, whatever the tile, the block sizes or the number of rows: AVX2 and
 * AVX-512 give the same bits.
 */
#ifndef SL_KERNELS_GEMM_KERNELS_H
#define SL_KERNELS_GEMM_KERNELS_H

#include "config/config.h"
#include "kernels/cpu.h"
#include "kernels/epilogue.h"

enum {
    SL_GEMM_NR_MAX = 64,
    SL_GEMM_K_UNIT_MAX = 32,
    SL_GEMM_PANEL_GAP =
        16 /* floats behind a packed panel that packing may overwrite; they also
            * keep panels from lying 4 KB apart, where they would share cache sets */
};

/* out[i, j] = start[i, j] + sum_p a(i, p) b[p, j] + bias[j] + addend[i, j]; i < rows, j < cols;
 * what is written for cols <= j < nr is of no use. bias and addend only with cols = nr. */
struct sl_gemm_tile {
    size_t rows, cols, k; /* 1 <= rows <= mr, 1 <= cols <= nr */
    const float *a;       /* a(i, p) = a[i*a_row + p*a_step]; bf16 kernels: their elements */
    size_t a_row, a_step; /* elements */
    const float *b;       /* [k, nr], rows b_step apart */
    size_t b_step;
    const float *start;  /* [rows, nr] sums so far; NULL = 0 */
    const float *bias;   /* [nr] or NULL */
    const float *addend; /* [rows, nr], rows addend_ld apart, may be out; NULL = 0 */
    size_t addend_ld;
    float *out; /* [rows, nr], rows out_ld apart, may be start */
    size_t out_ld;
    const char *ahead; /* one cache line per k is prefetched from here, ahead_step bytes apart */
    size_t ahead_step;
};

/* Panels one after another, each [k, width], width = mr for A and nr for B: panel t holds the lanes
 * of op(src) from t*width on; lanes past its end hold nothing that may be used. For A the gap
 * behind each panel is overwritten. op(src)(i, p) = src[p*ld + i], or src[i*ld + p] if crossed. */
struct sl_gemm_pack {
    size_t lanes, k;
    const void *src; /* crossed: [lanes, k], rows ld apart; else [k, lanes], rows ld apart */
    size_t ld;
    bool crossed, bf16;
    float *dst; /* [ceil(lanes / width)][k, width], panels `panel` floats apart */
    size_t panel;
    float *sum; /* [lanes] += sum over k; or NULL */
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
    void *aux; /* [rows, cols], rows ldaux apart; GELU: NULL = not wanted */
    size_t ldaux;
};

struct sl_gemm_kernels {
    enum sl_isa isa;
    bool bf16;       /* multiplies bf16 as it is: for bf16 operands only */
    bool reads_rows; /* of bf16: tile can read rows of A where they lie, `rows` and no more */
    bool fused;      /* tile adds bias and addend, and writes no rows past `rows` */
    size_t k_unit;   /* packed panels are padded with zeros to a multiple of this depth */
    size_t mr, nr;   /* the tile */
    size_t a_floats, b_floats; /* size of a packed panel of A, B per k, in floats */
    size_t kc;      /* depth of a pass: a panel of A [kc, mr] stays in L1 while B streams past */
    size_t columns; /* of a task: its panels of B [columns, kc] stay in L2 */
    /* Of a task with transposed A, which packs both operands: they and its sums stay in L2. */
    size_t long_rows, long_columns, long_kc;
    /* Before and after a thread's tiles; NULL = nothing to do. */
    void (*enter)(void);
    void (*leave)(void);
    void (*tile)(const struct sl_gemm_tile *);
    void (*pack_a)(const struct sl_gemm_pack *);
    void (*pack_b)(const struct sl_gemm_pack *);
    /* sum[i] += sum over k of src[k*ld + i], i < lanes */
    void (*sum_rows)(size_t lanes, size_t k, const float *src, size_t ld, float *sum);
    void (*finish)(const struct sl_gemm_finish *);
    void (*add)(size_t n, const float *src, float *dst);       /* dst += src */
    void (*narrow)(size_t n, const float *src, uint16_t *dst); /* float -> bf16 */
    double (*peak)(size_t rounds); /* register-only multiply-adds; returns their FLOP */
};

/* The table of the best instruction set that is not above `isa`, for operands of `type`. */
const struct sl_gemm_kernels *sl_gemm_kernels_for(enum sl_isa isa, sl_dtype type);

#endif
