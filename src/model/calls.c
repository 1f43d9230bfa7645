/*
 * Builders of op operands: the one place where a layer's pointers, strides and parameters are put
 * into the structs of ops.h, for forward and backward alike, so that the two cannot drift.
 */
#include "base/error.h"
#include "model/net.h"

void *sl_net_at(const void *p, size_t index, sl_dtype type)
{
    const size_t size = type == SL_BF16 ? 2 : 4;
    return (char *)(uintptr_t)p + index * size;
}

const float *sl_net_param(const struct sl_net *net, size_t index)
{
    return index == SIZE_MAX ? NULL : net->params + net->table.params[index].offset;
}

float *sl_net_grad(const struct sl_net *net, size_t index)
{
    return index == SIZE_MAX || !net->grads ? NULL : net->grads + net->table.params[index].offset;
}

sl_status sl_net_linear(struct sl_net *net, const struct sl_linear *lin, size_t m, const void *x,
                        void *y, sl_dtype y_type, enum sl_epilogue epilogue, void *aux)
{
    return net->dev->ops->gemm(net->dev, &(struct sl_gemm_args){
                                             .m = m,
                                             .n = lin->n,
                                             .k = lin->k,
                                             .a = x,
                                             .lda = lin->k,
                                             .b = sl_net_param(net, lin->weight),
                                             .ldb = lin->k,
                                             .b_t = true,
                                             .b_packed = lin->fwd,
                                             .type = net->type,
                                             .c = y,
                                             .ldc = lin->n,
                                             .c_type = y_type,
                                             .bias = sl_net_param(net, lin->bias),
                                             .epilogue = epilogue,
                                             .gelu = net->options.vit.gelu,
                                             .aux = aux,
                                             .ldaux = aux ? lin->n : 0,
                                         });
}

sl_status sl_net_linear_dx(struct sl_net *net, const struct sl_linear *lin, size_t m,
                           const void *dy, void *dx, sl_dtype dx_type, bool accumulate,
                           enum sl_epilogue epilogue, void *aux)
{
    return net->dev->ops->gemm(net->dev, &(struct sl_gemm_args){
                                             .m = m,
                                             .n = lin->k,
                                             .k = lin->n,
                                             .a = dy,
                                             .lda = lin->n,
                                             .b = sl_net_param(net, lin->weight),
                                             .ldb = lin->k,
                                             .b_packed = lin->bwd,
                                             .type = net->type,
                                             .c = dx,
                                             .ldc = lin->k,
                                             .c_type = dx_type,
                                             .accumulate = accumulate,
                                             .epilogue = epilogue,
                                             .gelu = net->options.vit.gelu,
                                             .aux = aux,
                                             .ldaux = aux ? lin->k : 0,
                                         });
}

sl_status sl_net_linear_dw(struct sl_net *net, const struct sl_linear *lin, size_t m,
                           const void *dy, const void *x)
{
    return net->dev->ops->gemm(net->dev, &(struct sl_gemm_args){
                                             .m = lin->n,
                                             .n = lin->k,
                                             .k = m,
                                             .a = dy,
                                             .lda = lin->n,
                                             .a_t = true,
                                             .b = x,
                                             .ldb = lin->k,
                                             .type = net->type,
                                             .c = sl_net_grad(net, lin->weight),
                                             .ldc = lin->k,
                                             .c_type = SL_F32,
                                             .accumulate = true,
                                             .epilogue = SL_EPI_NONE,
                                             .a_sum = sl_net_grad(net, lin->bias),
                                         });
}

struct sl_norm_args sl_net_norm_args(const struct sl_net *net, size_t rows, const float *x, void *y,
                                     sl_dtype y_type, size_t weight, size_t bias, float *mean,
                                     float *rstd)
{
    return (struct sl_norm_args){
        .outer = rows,
        .inner = 1,
        .width = net->D,
        .eps = (float)net->options.vit.norm_eps,
        .x = x,
        .x_type = SL_F32,
        .x_outer = net->D,
        .x_inner = net->D,
        .scale = sl_net_param(net, weight),
        .bias = sl_net_param(net, bias),
        .y = y,
        .y_type = y_type,
        .y_outer = net->D,
        .y_inner = net->D,
        .mean = mean,
        .rstd = rstd,
        .dx_outer = net->D,
        .dx_inner = net->D,
        .dscale = sl_net_grad(net, weight),
        .dbias = sl_net_grad(net, bias),
    };
}

struct sl_norm_args sl_net_qk_norm_args(const struct sl_net *net, size_t l, size_t which)
{
    const struct sl_block_params *p = &net->table.blocks[l];
    const struct sl_block_acts *a = &net->blocks[l];
    const struct sl_net_acts *g = &net->acts;
    const size_t weight = which ? p->k_norm_w : p->q_norm_w;
    const size_t bias = which ? p->k_norm_b : p->q_norm_b;
    const size_t at = which * net->D; /* q comes first in both layouts, then k */
    return (struct sl_norm_args){
        .outer = net->T,
        .inner = net->H,
        .width = net->K,
        .rms = net->options.vit.qk_norm == SL_QK_NORM_RMS,
        .eps = (float)net->options.vit.norm_eps,
        .x = sl_net_at(a->qkv, at, net->type),
        .x_type = net->type,
        .x_outer = 3 * net->D,
        .x_inner = net->K,
        .scale = sl_net_param(net, weight),
        .bias = sl_net_param(net, bias),
        .y = sl_net_at(a->qk, at, net->type),
        .y_type = net->type,
        .y_outer = 2 * net->D,
        .y_inner = net->K,
        .mean = which ? a->k_mean : a->q_mean,
        .rstd = which ? a->k_rstd : a->q_rstd,
        .dy = g->dqk ? sl_net_at(g->dqk, at, net->type) : NULL,
        .dx = g->dqkv ? sl_net_at(g->dqkv, at, net->type) : NULL,
        .dx_outer = 3 * net->D,
        .dx_inner = net->K,
        .dscale = sl_net_grad(net, weight),
        .dbias = sl_net_grad(net, bias),
    };
}

/* Strides of an operand that lies in rows of `row` elements, L rows per image. */
static sl_strides strides(const struct sl_net *net, size_t rows_per_image, size_t row)
{
    return (sl_strides){.batch = rows_per_image * row, .token = row, .head = net->K};
}

/* phi and everything that is the same in the blocks and in the MAP head; L = Lk keys. */
static sl_attention attention(const struct sl_net *net, size_t Lq)
{
    const struct sl_vit_config *v = &net->options.vit;
    return (sl_attention){
        .phi = v->phi,
        .alpha = (float)v->alpha,
        .bias = (float)v->bias,
        .bias_neg_log_length = v->bias_neg_log_length,
        .length = v->length == SL_LENGTH_TRAIN ? v->train_length : 0,
        .dtype = net->type,
        .B = net->B,
        .H = net->H,
        .Lq = Lq,
        .Lk = net->L,
        .K = net->K,
    };
}

struct sl_attn_args sl_net_attn_args(const struct sl_net *net, size_t l)
{
    const struct sl_block_acts *a = &net->blocks[l];
    const struct sl_net_acts *g = &net->acts;
    const size_t D = net->D;
    const sl_dtype type = net->type;
    const void *qk = a->qk ? a->qk : a->qkv;
    void *dqk = g->dqk ? g->dqk : g->dqkv;
    const sl_strides packed = strides(net, net->L, 3 * D), plain = strides(net, net->L, D);
    const sl_strides qk_strides = a->qk ? strides(net, net->L, 2 * D) : packed;
    struct sl_attn_args args = {.a = attention(net, net->L), .o = a->att, .o_strides = plain};
    args.a.q = qk;
    args.a.k = sl_net_at(qk, D, type);
    args.a.v = sl_net_at(a->qkv, 2 * D, type);
    args.a.q_strides = args.a.k_strides = qk_strides;
    args.a.v_strides = packed;
    if (!net->options.training)
        return args;
    args.g = (sl_attention_grads){.d_o = g->datt,
                                  .o_strides = plain,
                                  .dq = dqk,
                                  .dk = sl_net_at(dqk, D, type),
                                  .dv = sl_net_at(g->dqkv, 2 * D, type),
                                  .dq_strides = qk_strides,
                                  .dk_strides = qk_strides,
                                  .dv_strides = packed};
    return args;
}

struct sl_attn_args sl_net_map_attn_args(const struct sl_net *net)
{
    const struct sl_net_acts *g = &net->acts;
    const size_t D = net->D;
    const sl_strides one = strides(net, 1, D), kv = strides(net, net->L, 2 * D);
    struct sl_attn_args args = {.a = attention(net, 1), .o = g->map_att, .o_strides = one};
    args.a.q = g->map_q;
    args.a.k = g->map_kv;
    args.a.v = sl_net_at(g->map_kv, D, net->type);
    args.a.q_strides = one;
    args.a.k_strides = args.a.v_strides = kv;
    if (!net->options.training)
        return args;
    args.g = (sl_attention_grads){.d_o = g->dmap_ln,
                                  .o_strides = one,
                                  .dq = g->dmap_q,
                                  .dk = g->dqkv,
                                  .dv = sl_net_at(g->dqkv, D, net->type),
                                  .dq_strides = one,
                                  .dk_strides = kv,
                                  .dv_strides = kv};
    return args;
}

sl_status sl_net_convert(struct sl_net *net, const void *x, sl_dtype x_type, void *y,
                         sl_dtype y_type, size_t n)
{
    return net->dev->ops->unary(
        net->dev,
        &(struct sl_unary_args){
            .kind = SL_UNARY_COPY, .n = n, .x = x, .x_type = x_type, .y = y, .y_type = y_type});
}

struct sl_embed_args sl_net_embed_args(const struct sl_net *net)
{
    const struct sl_param_table *t = &net->table;
    const size_t first = t->cls != SIZE_MAX ? t->cls : t->reg; /* reg_token follows cls_token */
    return (struct sl_embed_args){
        .B = net->B,
        .N = net->N,
        .D = net->D,
        .n_prefix = net->prefix,
        .patch = net->acts.dx,
        .pos = net->acts.pos ? net->acts.pos : sl_net_param(net, t->pos),
        .prefix = sl_net_param(net, first),
        .x = net->blocks[0].x,
        .dx = net->acts.dx,
        .dpatch = net->acts.datt,
        .dpatch_type = net->type,
        .dpos = sl_net_grad(net, t->pos),
        .dprefix = sl_net_grad(net, first),
    };
}

/* The probe as one token per image: a prefix without patches. */
struct sl_embed_args sl_net_latent_args(const struct sl_net *net)
{
    return (struct sl_embed_args){
        .B = net->B,
        .D = net->D,
        .n_prefix = 1,
        .prefix = sl_net_param(net, net->table.map_latent),
        .x = net->acts.latent,
        .dx = net->acts.dlatent,
        .dpatch_type = net->type,
        .dprefix = sl_net_grad(net, net->table.map_latent),
    };
}

struct sl_pool_args sl_net_pool_args(const struct sl_net *net)
{
    const bool gap = net->options.vit.pool == SL_POOL_GAP;
    return (struct sl_pool_args){
        .B = net->B,
        .L = net->L,
        .D = net->D,
        .first = gap ? net->prefix : 0,
        .count = gap ? net->N : 1,
        .x = net->acts.tokens,
        .y = net->acts.pooled,
        .type = net->type,
        .dy = net->acts.dpooled,
        .dx = net->acts.datt,
    };
}

struct sl_scale_add_args sl_net_scale_add_args(const struct sl_net *net, size_t gamma,
                                               const void *y)
{
    return (struct sl_scale_add_args){
        .rows = net->T,
        .width = net->D,
        .y = y,
        .type = net->type,
        .gamma = sl_net_param(net, gamma),
        .dx = net->acts.dx,
        .dy = net->acts.dbranch,
        .dgamma = sl_net_grad(net, gamma),
    };
}
