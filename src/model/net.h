/*
 * The inside of a net, shared by layout.c (memory), net.c, forward.c, backward.c and calls.c: the
 * tables' pointers and the builders of op operands that forward and backward have in common.
 */
#ifndef SL_MODEL_NET_H
#define SL_MODEL_NET_H

#include "model/model.h"

/* y[m, n] = x[m, k] W^T + b, W stored [n, k]. */
struct sl_linear {
    size_t weight, bias; /* indices into the parameter table; SIZE_MAX = the layer is absent */
    size_t n, k;
    void *fwd; /* W^T packed for y = x W^T */
    void *bwd; /* W packed for dx = dy W; NULL unless training */
};

struct sl_block_linears {
    struct sl_linear qkv, gate, proj, fc1, fc2;
};

struct sl_net_linears {
    struct sl_linear patch, map_q, map_kv, map_proj, map_fc1, map_fc2, pre, head;
};

/* What a block keeps for its backward pass; T = B*L. "act" = of the net's activation type. In an
 * inference net all blocks share one set, x == mid and pre is NULL. */
struct sl_block_acts {
    float *x;                                 /* [T, D] residual stream on entry */
    float *mean1, *rstd1;                     /* [T] */
    void *ln1;                                /* act [T, D] */
    void *qkv;                                /* act [T, 3D] */
    void *qk;                                 /* act [T, 2D] normalised q and k; qk_norm only */
    float *q_mean, *q_rstd, *k_mean, *k_rstd; /* [T, H]; qk_norm only */
    void *att;                                /* act [T, D] heads side by side */
    void *gate, *gated;                       /* act [T, D]; gate only */
    void *branch1, *branch2;                  /* act [T, D] before gamma; LayerScale only */
    float *mid;                               /* [T, D] residual stream after attention */
    float *mean2, *rstd2;                     /* [T] */
    void *ln2;                                /* act [T, D] */
    void *pre, *hidden;                       /* act [T, F] before and after gelu */
};

/* What exists once. N grid tokens, C classes. */
struct sl_net_acts {
    float *pos;         /* [N, D] sincos2d table, computed once; sincos2d only */
    void *patches;      /* act [B*N, 3PP] */
    float *last;        /* [T, D] residual stream after the last block */
    float *mean, *rstd; /* [T] */
    void *tokens;       /* act [T, D] after the final norm */
    void *pooled;       /* act [B, D] */
    void *rep;          /* act [B, D] tanh output; rep_size only */
    float *logits;      /* [B, C] */
    /* MAP head only */
    float *latent;              /* [B, D] the probe, once per image */
    void *latent_act;           /* act [B, D]; is `latent` in fp32 */
    void *map_q;                /* act [B, D] */
    void *map_kv;               /* act [T, 2D] */
    void *map_att;              /* act [B, D] */
    float *map_x;               /* [B, D] after attention */
    float *map_mean, *map_rstd; /* [B] */
    void *map_ln;               /* act [B, D] */
    void *map_pre, *map_hidden; /* act [B, F] */
    float *map_out;             /* [B, D]; is `pooled` in fp32 */
    /* Gradients, one set for all blocks; training only, but for dx. */
    float *dx; /* [T, D] of the residual stream; in forward: patches before positions [B*N, D] */
    void *dbranch; /* act [T, D] gradient entering a branch; is dx in fp32 without LayerScale */
    void *dhidden; /* act [T, F] */
    void *dln;     /* [T, D] in dln_type: float where two products add up (gate), else act */
    void *datt;    /* act [T, D]; also of the tokens, and of the patches [B*N, D] */
    void *dgate;   /* act [T, D]; gate only */
    void *dqkv;    /* act [T, 3D]; also of map_kv [T, 2D] */
    void *dqk;     /* act [T, 2D]; qk_norm only */
    void *dlogits; /* act [B, C] */
    void *drep;    /* act [B, D]; rep_size only */
    void *dpooled; /* [B, D] float with the MAP head, else act */
    void *dmap;    /* act [B, D] gradient entering a branch of the MAP head; is dpooled in fp32 */
    void *dmap_hidden; /* act [B, F] */
    void *dmap_ln;     /* act [B, D]; also of map_att and map_q */
    void *dmap_q;      /* act [B, D] */
    float *dlatent;    /* [B, D] */
};

enum sl_net_arena {
    SL_ARENA_PARAMS,
    SL_ARENA_GRADS,
    SL_ARENA_PACKED,
    SL_ARENA_ACTIVATIONS,
    SL_ARENA_INPUTS,
    SL_ARENA_COUNT
};

struct sl_net {
    struct sl_device *dev;
    struct sl_net_options options;
    struct sl_param_table table;
    struct sl_net_linears linears;
    struct sl_block_linears *block_linears; /* [depth] */
    struct sl_net_acts acts;
    struct sl_block_acts *blocks; /* [depth] */
    void *arena[SL_ARENA_COUNT];
    size_t arena_bytes[SL_ARENA_COUNT];
    float *params, *grads; /* arenas [table.floats]; grads NULL unless training */
    uint8_t *images;       /* [B, SH, SW, 3] */
    size_t B, N, L, T, D, H, K, F, C, prefix; /* alphabet of ops.h; prefix = L - N */
    sl_dtype type, dln_type;
    size_t images_in;              /* images of the last forward pass */
    float mix;                     /* of the last forward pass */
    sl_attention_stats *watched;   /* [depth, H], or NULL */
    const int32_t *watched_labels; /* [B] of the next forward pass, or NULL: all count */
    struct sl_net_tap *tap;        /* owned, or NULL */
};

/* ---- layout.c ---- */
/* Points everything into arenas at `bases` and sets arena_bytes. The addresses may lead nowhere:
 * while planning they are never followed. */
sl_status sl_net_lay_out(struct sl_net *net, void *const bases[SL_ARENA_COUNT]);

/* The lists of op calls. While the device plans they only plan. */
sl_status sl_net_run_forward(struct sl_net *net);
sl_status sl_net_run_loss(struct sl_net *net, struct sl_loss_args *args);
sl_status sl_net_run_backward(struct sl_net *net);

/* weights_tap.c: hands the weights of one block's heads, first image, to the sink. */
sl_status sl_net_tap_block(struct sl_net *net, size_t block);
void sl_net_tap_close(struct sl_net *net);

/* ---- calls.c: operands that forward and backward share ---- */

/* Pointer to element `index` of an array of `type`. */
void *sl_net_at(const void *p, size_t index, sl_dtype type);
/* Parameter and gradient of a table index; NULL if absent. */
const float *sl_net_param(const struct sl_net *net, size_t index);
float *sl_net_grad(const struct sl_net *net, size_t index);

/* y [m, n] in y_type = x W^T + b, then the epilogue with aux [m, n]. */
sl_status sl_net_linear(struct sl_net *net, const struct sl_linear *lin, size_t m, const void *x,
                        void *y, sl_dtype y_type, enum sl_epilogue epilogue, void *aux);
/* dx [m, k] in dx_type = dy W (+= with accumulate); GELU_BWD multiplies by gelu'(aux [m, k]). */
sl_status sl_net_linear_dx(struct sl_net *net, const struct sl_linear *lin, size_t m,
                           const void *dy, void *dx, sl_dtype dx_type, bool accumulate,
                           enum sl_epilogue epilogue, void *aux);
/* dW += dy^T x, db += column sums of dy. */
sl_status sl_net_linear_dw(struct sl_net *net, const struct sl_linear *lin, size_t m,
                           const void *dy, const void *x);

/* Operands of a norm over whole rows of the residual stream: y [rows, D] in y_type. */
struct sl_norm_args sl_net_norm_args(const struct sl_net *net, size_t rows, const float *x, void *y,
                                     sl_dtype y_type, size_t weight, size_t bias, float *mean,
                                     float *rstd);
/* Operands of qk_norm of block l; which: 0 = q, 1 = k. */
struct sl_norm_args sl_net_qk_norm_args(const struct sl_net *net, size_t l, size_t which);
/* Operands of the attention of block l, and of the MAP head. */
struct sl_attn_args sl_net_attn_args(const struct sl_net *net, size_t l);
struct sl_attn_args sl_net_map_attn_args(const struct sl_net *net);
/* y [n] in y_type = x in x_type. */
sl_status sl_net_convert(struct sl_net *net, const void *x, sl_dtype x_type, void *y,
                         sl_dtype y_type, size_t n);
struct sl_embed_args sl_net_embed_args(const struct sl_net *net);
struct sl_embed_args sl_net_latent_args(const struct sl_net *net);
struct sl_pool_args sl_net_pool_args(const struct sl_net *net);
struct sl_scale_add_args sl_net_scale_add_args(const struct sl_net *net, size_t gamma,
                                               const void *y);

#endif
