/*
 * Row and element kernels of the ops that move memory: norms, gates, optimizer, conversions. One
 * table per instruction set from one source (vec.inc). They never allocate, lock or fail; a `bool`
 * named *_bf16 says that the pointer beside it is bfloat16, else float. Reductions run over 16
 * fixed lanes, so that a result depends on the shape alone.
 */
#ifndef SL_KERNELS_VEC_KERNELS_H
#define SL_KERNELS_VEC_KERNELS_H

#include "config/config.h"
#include "kernels/cpu.h"

struct sl_vec_norm {
    size_t n; /* width of the row */
    bool rms;
    float eps;
    const float *scale, *bias; /* [n]; bias may be NULL */
    bool x_bf16, y_bf16;       /* x and dx; y and dy */
};

struct sl_vec_update {
    enum sl_optimizer kind;
    float grad_scale;
    bool bf16_moment;
    float beta1, beta2, rest1, rest2; /* rest = 1 - beta, rounded once */
    float eps, momentum;
    float correct1, correct2; /* 1/(1-beta1^k), 1/(1-beta2^k) */
    float lr, wd, schedule;
};

struct sl_vec_kernels {
    enum sl_isa isa;
    /* one row: y = norm(x) scale + bias; *mean (0 if rms) and *rstd are written */
    void (*norm_fwd)(const struct sl_vec_norm *, const void *x, void *y, float *mean, float *rstd);
    /* one row: dx assigned or +=; dscale, dbias [n] += (dbias may be NULL) */
    void (*norm_bwd)(const struct sl_vec_norm *, const void *x, const void *dy, float mean,
                     float rstd, void *dx, bool accumulate, float *dscale, float *dbias);
    /* y = o act(g); all of one type */
    void (*gate_fwd)(enum sl_gate kind, size_t n, bool bf16, const void *o, const void *g, void *y);
    void (*gate_bwd)(enum sl_gate kind, size_t n, bool bf16, const void *o, const void *g,
                     const void *dy, void *d_o, void *dg);
    /* y = x, or y += x; with aux: x (1 - aux^2) */
    void (*convert)(size_t n, const void *x, bool x_bf16, const void *aux, void *y, bool y_bf16,
                    bool accumulate);
    /* x += gamma y */
    void (*scale_add)(size_t n, float *x, const void *y, bool bf16, const float *gamma);
    /* dy = gamma dx; dgamma += dx y */
    void (*scale_add_bwd)(size_t n, const float *dx, const void *y, void *dy, bool bf16,
                          const float *gamma, float *dgamma);
    double (*sumsq)(size_t n, const float *x);
    void (*update)(const struct sl_vec_update *, size_t n, float *w, const float *g, void *m,
                   float *v);
};

/* The table of the best instruction set that is not above `isa`. */
const struct sl_vec_kernels *sl_vec_kernels_for(enum sl_isa isa);

#endif
