/*
 * What a device can do. One table of functions per backend (cpu/, cuda/); operands travel in
 * structs with a shape beside each pointer, so that the two sides cannot drift.
 *
 * Rules: every pointer is device memory. "assigned" outputs are overwritten, "+=" outputs
 * accumulate; parameter gradients always accumulate, activation gradients are assigned unless said
 * otherwise. An op never allocates: while `planning` is set it only notes the scratch it would need
 * (and prepares what is cached per shape) and touches no operand; running with a shape that was not
 * planned is SL_ERR_INTERNAL. A backend returns SL_ERR_UNSUPPORTED naming the shape; it never falls
 * back silently. Results do not depend on the number of threads.
 *
 * Alphabet: B images, L tokens, D width, H heads, K head size, F MLP width, C classes, S image
 * side, P patch side, T = B*L rows. `type` is the type of activations (SL_F32 or SL_BF16); the
 * residual stream, statistics, parameters and parameter gradients are always float.
 */
#ifndef SL_OPS_OPS_H
#define SL_OPS_OPS_H

#include "base/error.h"
#include "config/config.h"
#include "kernels/epilogue.h"
#include "softless_phases.h"

struct sl_device;

/* ---- image bytes -> patches ---- */
struct sl_patch_args {
    const uint8_t *images; /* [B, SH, SW, 3] */
    size_t B, SH, SW, P;
    float value_min, value_max; /* 0 -> min, 255 -> max */
    float mix;                  /* x = mix x_b + (1-mix) x_{b-1 mod B}; 1 = no mixup */
    void *patches;              /* [B, SH/P * SW/P, 3*P*P] (channel, row, column), assigned */
    sl_dtype type;
};

/* ---- matrix product ---- */
/* r[m, n] = sum_k op(a)[m, k] op(b)[k, n] + bias[n]; then the epilogue; sums are float. */
struct sl_gemm_args {
    size_t m, n, k;
    const void *a; /* [m, k] rows lda apart; a_t: stored [k, m] */
    size_t lda;
    bool a_t;
    const void *b; /* [k, n] rows ldb apart; b_t: stored [n, k]; ignored if b_packed */
    size_t ldb;
    bool b_t;
    const void *b_packed; /* from pack_weight with the same n, k, type; NULL = none */
    sl_dtype type;        /* of a and b */
    void *c;              /* [m, n] rows ldc apart */
    size_t ldc;
    sl_dtype c_type;
    bool accumulate;   /* c += r; only with SL_EPI_NONE and c float */
    const float *bias; /* [n] or NULL */
    enum sl_epilogue epilogue;
    enum sl_gelu gelu; /* which gelu the epilogue is */
    void *aux;
    size_t ldaux;
    float *a_sum; /* [m] += sum_k op(a)[m, k]: the bias gradient beside dW = dY^T X; or NULL */
};

/* A weight as the gemm wants it: op(b) [k, n] of float master -> packed in `type`. */
struct sl_pack_args {
    size_t n, k;
    const float *b; /* [k, n] rows ldb apart; b_t: stored [n, k] */
    size_t ldb;
    bool b_t;
    sl_dtype type;
    void *packed; /* pack_weight_bytes(n, k, type) bytes */
};

/* ---- normalisation over the last axis ---- */
/* Rows are [outer, inner] pairs: row (i, j) of x starts at x + i*x_outer + j*x_inner elements.
 * Block norms: inner = 1. qk_norm: outer = T tokens, inner = H heads, width = K. */
struct sl_norm_args {
    size_t outer, inner, width;
    bool rms; /* x / sqrt(mean(x^2) + eps), no mean */
    float eps;
    const void *x;
    sl_dtype x_type;
    size_t x_outer, x_inner;
    const float *scale; /* [width] */
    const float *bias;  /* [width] or NULL */
    void *y;            /* forward: assigned */
    sl_dtype y_type;
    size_t y_outer, y_inner;
    float *mean,
        *rstd; /* [outer, inner]: written by forward, read by backward; mean unused if rms */
    /* backward only */
    const void *dy; /* type y_type, strides of y */
    void *dx;       /* type x_type, at dx_outer, dx_inner; assigned, or += if dx_accumulate */
    size_t dx_outer, dx_inner;
    bool dx_accumulate;
    float *dscale, *dbias; /* [width] +=; dbias NULL if no bias */
};

/* ---- attention (softless.h describes the operator) ---- */
struct sl_attn_args {
    sl_attention a;
    void *o; /* forward: [B, Lq, H, K] at o_strides, assigned */
    sl_strides o_strides;
    sl_attention_grads g; /* backward */
    bool through_scores;  /* identity too, never as q (k^T v): the oracle of that in tests */
};
/* SL_OK, or SL_ERR_ARGUMENT / SL_ERR_UNSUPPORTED with what is wrong: sizes, numbers, strides, and
 * unless `planning` the pointers. Every device and the API ask it. */
sl_status sl_attention_check(const struct sl_attn_args *args, bool backward, bool planning);
/* Gradient strides: those given, or the operand's own if all are 0. */
sl_strides sl_attention_strides(sl_strides given, sl_strides fallback);

/* ---- gate: y = o * act(g) ---- */
struct sl_gate_args {
    enum sl_gate kind;
    size_t rows, width;
    sl_dtype type;
    const void *o, *g; /* [rows, width], contiguous */
    void *y;           /* forward: assigned; may be o */
    const void *dy;    /* backward: */
    void *d_o, *dg;    /* assigned; d_o may be dy */
};

/* ---- tokens: x[b, t] = prefix_t for t < n_prefix, else patch[b, t - n_prefix] + pos[t - n_prefix]
 */
struct sl_embed_args {
    size_t B, N, D, n_prefix; /* N grid tokens, L = n_prefix + N; prefix = class token, registers */
    const float *patch;       /* [B, N, D] */
    const float *pos;         /* [N, D] */
    const float *prefix;      /* [n_prefix, D] or NULL */
    float *x;                 /* [B, L, D] assigned */
    /* backward */
    const float *dx; /* [B, L, D] */
    void *dpatch;    /* [B, N, D] in dpatch_type, assigned */
    sl_dtype dpatch_type;
    float *dpos;    /* [N, D] += or NULL (sincos2d) */
    float *dprefix; /* [n_prefix, D] += or NULL */
};

/* ---- pooling: gap = mean of tokens first..first+count-1; tok: first = 0, count = 1 ---- */
struct sl_pool_args {
    size_t B, L, D, first, count;
    const void *x; /* [B, L, D] */
    void *y;       /* [B, D], forward: assigned */
    sl_dtype type;
    const void *dy; /* [B, D], backward: */
    void *dx;       /* [B, L, D] assigned (zero outside the pooled tokens) */
};

/* ---- LayerScale: x += gamma * y ---- */
struct sl_scale_add_args {
    size_t rows, width;
    float *x;      /* [rows, width] += */
    const void *y; /* [rows, width] */
    sl_dtype type;
    const float *gamma; /* [width] */
    const float *dx;    /* backward: dy = gamma dx (assigned), dgamma += sum_rows dx y */
    void *dy;
    float *dgamma;
};

/* ---- element-wise ---- */
enum sl_unary { SL_UNARY_COPY, SL_UNARY_TANH_BWD /* y = x * (1 - aux^2) */ };
struct sl_unary_args {
    enum sl_unary kind;
    size_t n;
    const void *x;
    sl_dtype x_type;
    const void *aux; /* [n] of x's type, or NULL */
    void *y;         /* [n] assigned, or += if accumulate (y float) */
    sl_dtype y_type;
    bool accumulate;
};

/* ---- loss ---- */
/* targets: t = (1-smooth) onehot + smooth/C, mixed: mix t_b + (1-mix) t_{b-1 mod B}. sigmoid_xent:
 * sum over classes, mean over images; softmax_xent: mean (recipe.md 5). */
struct sl_loss_args {
    enum sl_loss kind;
    size_t B, C;
    const float *logits;   /* [B, C] */
    const int32_t *labels; /* [B]; -1 = image does not count (padding), nor one mixed with it */
    float mix, smoothing;
    float grad_scale; /* dlogits = grad_scale * d(sum over images of the loss)/dlogits */
    void *dlogits;    /* [B, C] in dtype, assigned, or NULL */
    sl_dtype dtype;
    double *loss;    /* [1] host, sum over counted images, assigned */
    size_t *correct; /* [1] host: argmax == label (label of the heavier mixup half), assigned */
    size_t *top5;    /* [1] host or NULL */
};

/* ---- optimizer over ranges of the flat arenas ---- */
struct sl_sumsq_args {
    const float *x; /* [n] */
    size_t n;
    double *sum; /* [1] host: sum x^2 in double, fixed shape; NaN or Inf if any element is */
};
/* One update of w[0..n) (recipe.md 4). step_size = s(t); adam (big_vision): u = lr m^ /
 * (sqrt(v^)+eps)
 * + wd w, w -= s u. adamw: w -= s lr (m^/(..) + wd w). sgd: m = momentum m + g, w -= s lr (m + wd
 * w). m is rounded to bf16 after its use; moments below the smallest normal float become 0. */
struct sl_update_args {
    enum sl_optimizer kind;
    size_t n;
    float *w;
    const float *g;
    float grad_scale; /* clip factor, applied to g */
    void *m;          /* float, or bf16 if bf16_moment */
    bool bf16_moment;
    float *v; /* NULL for sgd */
    double lr, wd, beta1, beta2, eps, momentum, schedule;
    uint64_t t; /* updates already done */
};

/* ---- the table ---- */
struct sl_backend_ops {
    const char *name;
    /* memory: 64-byte aligned, zeroed; one call per arena */
    sl_status (*mem_alloc)(struct sl_device *, size_t bytes, void **p);
    void (*mem_free)(struct sl_device *, void *p);
    sl_status (*upload)(struct sl_device *, void *dst, const void *src, size_t bytes);
    sl_status (*download)(struct sl_device *, void *dst, const void *src, size_t bytes);
    sl_status (*zero)(struct sl_device *, void *p, size_t bytes);

    sl_status (*patch)(struct sl_device *, const struct sl_patch_args *);
    sl_status (*gemm)(struct sl_device *, const struct sl_gemm_args *);
    size_t (*pack_weight_bytes)(size_t n, size_t k, sl_dtype type);
    sl_status (*pack_weight)(struct sl_device *, const struct sl_pack_args *);
    sl_status (*norm_fwd)(struct sl_device *, const struct sl_norm_args *);
    sl_status (*norm_bwd)(struct sl_device *, const struct sl_norm_args *);
    sl_status (*attn_fwd)(struct sl_device *, const struct sl_attn_args *);
    sl_status (*attn_bwd)(struct sl_device *, const struct sl_attn_args *);
    /* Adds the statistics of the weights to stats [H]; images [B] of negative label are left out,
     * NULL = none. v and o are not touched. */
    sl_status (*attn_stats)(struct sl_device *, const struct sl_attn_args *, const int32_t *labels,
                            sl_attention_stats *stats);
    sl_status (*gate_fwd)(struct sl_device *, const struct sl_gate_args *);
    sl_status (*gate_bwd)(struct sl_device *, const struct sl_gate_args *);
    sl_status (*embed_fwd)(struct sl_device *, const struct sl_embed_args *);
    sl_status (*embed_bwd)(struct sl_device *, const struct sl_embed_args *);
    sl_status (*pool_fwd)(struct sl_device *, const struct sl_pool_args *);
    sl_status (*pool_bwd)(struct sl_device *, const struct sl_pool_args *);
    sl_status (*scale_add_fwd)(struct sl_device *, const struct sl_scale_add_args *);
    sl_status (*scale_add_bwd)(struct sl_device *, const struct sl_scale_add_args *);
    sl_status (*unary)(struct sl_device *, const struct sl_unary_args *);
    sl_status (*loss)(struct sl_device *, const struct sl_loss_args *);
    sl_status (*sumsq)(struct sl_device *, const struct sl_sumsq_args *);
    sl_status (*update)(struct sl_device *, const struct sl_update_args *);
    sl_status (*measure_peak)(struct sl_device *, sl_dtype type, double seconds, double *flops);
    void (*close)(struct sl_device *);
};

struct sl_device {
    const struct sl_backend_ops *ops;
    int threads;
    const char *isa; /* name of the ISA the kernels run on */
    sl_phase phase;  /* of a training step, named by who makes the op calls; for ops/timed.c */
    bool planning;
    size_t scratch_needed; /* highest need noted since plan_begin */
    void *scratch;         /* device memory shared by all ops, one op at a time */
    size_t scratch_bytes;
    void *state; /* the backend's own */
};

/* Opens "cpu". isa NULL = SOFTLESS_ISA or the best. *dev owned by the caller. */
sl_status sl_device_open(const char *name, int threads, const char *isa, struct sl_device **dev);
void sl_device_close(struct sl_device **dev);
/* Between these two, ops only plan. plan_end grows the scratch to the highest need. */
void sl_device_plan_begin(struct sl_device *dev);
sl_status sl_device_plan_end(struct sl_device *dev);
/* What `precision` means on this device: SL_F32 or SL_BF16; SL_ERR_UNAVAILABLE with one sentence
 * when bf16 is asked for on a CPU without such instructions. */
sl_status sl_device_precision(struct sl_device *dev, enum sl_precision precision, sl_dtype *type);

#endif
