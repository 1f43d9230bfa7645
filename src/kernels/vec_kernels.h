/*
 * The kernels under everything that is not a matrix product or attention: rows and ranges of float.
 * One table per instruction set (kernel_list.h). Kernels take raw pointers; they never allocate,
 * lock, fail or start threads. Activations in bf16 are widened to float before and narrowed after.
 *
 * Every sum is taken in a fixed number of lanes and folded by a fixed tree, so that it depends on
 * the length alone; AVX2 and AVX-512 give the same bits, plain C lacks the fused multiply-add.
 * Output ranges may be an input range itself where noted "in place", else they must not overlap.
 */
#ifndef SL_KERNELS_VEC_KERNELS_H
#define SL_KERNELS_VEC_KERNELS_H

#include "config/config.h"
#include "kernels/cpu.h"

/* Rows of one normalisation: row (i, j) of x starts at x + i*x_outer + j*x_inner. */
struct sl_vec_norm {
    size_t outer, inner, width;
    bool rms; /* no mean */
    float eps;
    const float *scale; /* [width] */
    const float *bias;  /* [width] or NULL */
    const float *x;
    size_t x_outer, x_inner;
    float *y; /* forward: may be x */
    size_t y_outer, y_inner;
    float *mean, *rstd; /* [outer, inner] written by forward, read by backward; rms: mean unused */
    /* backward */
    const float *dy; /* strides of y */
    float *dx;       /* assigned, or += if accumulate; may be dy if not */
    size_t dx_outer, dx_inner;
    bool accumulate;
    float *dscale, *dbias; /* [width] +=; dbias NULL = none */
};

/* One row of a loss. Targets: `base` for every class and `weight` more for two labelled ones, which
 * differ unless the second weight is 0. */
struct sl_vec_xent {
    size_t C;
    const float *z; /* [C] logits */
    double base;
    size_t label[2];
    double weight[2];
    float scale; /* of the gradient */
    float *dz;   /* [C] assigned scale * (p - target), or NULL */
};

/* Factors of one update; see ops.h for the formulas. The products with the learning rate and the
 * schedule are taken in double before. */
struct sl_vec_update {
    float grad_scale;
    float take_m, take_v;     /* adam: 1-beta1, 1-beta2 */
    float unbias_m, unbias_v; /* adam: 1/(1-beta^k) */
    float eps;
    float momentum; /* sgd */
    float rate;     /* schedule * lr */
    float decay;    /* what of w is taken off */
    bool bf16_moment;
};

struct sl_vec_kernels {
    enum sl_isa isa;
    void (*widen)(size_t n, const uint16_t *src, float *dst);             /* bf16 -> float */
    void (*narrow)(size_t n, const float *src, uint16_t *dst);            /* float -> bf16 */
    void (*add)(size_t n, const float *a, const float *b, float *y);      /* in place */
    void (*scale)(size_t n, float c, const float *x, float *y);           /* in place */
    void (*mul_add)(size_t n, const float *a, const float *b, float *y);  /* y += a b */
    void (*mul)(size_t n, const float *a, const float *b, float *y);      /* in place */
    void (*tanh_bwd)(size_t n, const float *x, const float *t, float *y); /* x (1 - t^2) */
    void (*gate_fwd)(enum sl_gate kind, size_t n, const float *o, const float *g,
                     float *y); /* in place */
    void (*gate_bwd)(enum sl_gate kind, size_t n, const float *dy, const float *o, const float *g,
                     float *d_o, float *dg); /* in place */
    void (*norm_fwd)(const struct sl_vec_norm *n);
    void (*norm_bwd)(const struct sl_vec_norm *n);
    /* The row's loss: the sum over classes of the cross-entropies, or the cross-entropy. */
    double (*sigmoid_xent)(const struct sl_vec_xent *x);
    double (*softmax_xent)(const struct sl_vec_xent *x);
    /* How many classes come before `label` when logits are sorted downwards, equal ones by number;
     * C if any logit is NaN. */
    size_t (*rank)(size_t C, const float *z, size_t label);
    double (*sumsq)(size_t n, const float *x);
    void (*adam)(const struct sl_vec_update *u, size_t n, const float *g, float *w, void *m,
                 float *v);
    void (*sgd)(const struct sl_vec_update *u, size_t n, const float *g, float *w, void *m);
};

/* The table of the best instruction set that is not above `isa`. Static, never NULL. */
const struct sl_vec_kernels *sl_vec_kernels_for(enum sl_isa isa);

#endif
