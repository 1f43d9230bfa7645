/*
 * One backward pass: the list of forward.c reversed. acts.dx carries the gradient of the residual
 * stream from the head to the patches; each branch reads it, and the branch's norm adds to it.
 * Parameter gradients accumulate.
 */
#include "base/error.h"
#include "model/net.h"

/* The gradient that enters a branch, in the type its products take: gamma * dx, or dx itself. */
static sl_status enter_branch(struct sl_net *net, size_t gamma, const void *branch)
{
    const struct sl_net_acts *g = &net->acts;
    if (gamma != SIZE_MAX) {
        const struct sl_scale_add_args args = sl_net_scale_add_args(net, gamma, branch);
        return net->dev->ops->scale_add_bwd(net->dev, &args);
    }
    if (net->type == SL_F32)
        return SL_OK;
    return sl_net_convert(net, g->dx, SL_F32, g->dbranch, net->type, net->T * net->D);
}

/* dx += d MLP(LN(mid)) */
static sl_status mlp_branch(struct sl_net *net, size_t l)
{
    const struct sl_block_params *p = &net->table.blocks[l];
    const struct sl_block_linears *lin = &net->block_linears[l];
    const struct sl_block_acts *a = &net->blocks[l];
    const struct sl_net_acts *g = &net->acts;
    SL_TRY(enter_branch(net, p->ls2, a->branch2));
    SL_TRY(sl_net_linear_dw(net, &lin->fc2, net->T, g->dbranch, a->hidden));
    SL_TRY(sl_net_linear_dx(net, &lin->fc2, net->T, g->dbranch, g->dhidden, net->type, false,
                            SL_EPI_GELU_BWD, a->pre));
    SL_TRY(sl_net_linear_dw(net, &lin->fc1, net->T, g->dhidden, a->ln2));
    SL_TRY(sl_net_linear_dx(net, &lin->fc1, net->T, g->dhidden, g->dln, net->dln_type, false,
                            SL_EPI_NONE, NULL));
    struct sl_norm_args norm = sl_net_norm_args(net, net->T, a->mid, NULL, net->dln_type,
                                                p->norm2_w, p->norm2_b, a->mean2, a->rstd2);
    norm.dy = g->dln;
    norm.dx = g->dx;
    norm.dx_accumulate = true;
    return net->dev->ops->norm_bwd(net->dev, &norm);
}

/* datt -> dqkv: attention, and the norms of q and k before it */
static sl_status attention_core(struct sl_net *net, size_t l)
{
    const struct sl_backend_ops *ops = net->dev->ops;
    const struct sl_attn_args attn = sl_net_attn_args(net, l);
    SL_TRY(ops->attn_bwd(net->dev, &attn));
    for (size_t which = 0; which < 2 && net->acts.dqk; which++) {
        const struct sl_norm_args qk_norm = sl_net_qk_norm_args(net, l, which);
        SL_TRY(ops->norm_bwd(net->dev, &qk_norm));
    }
    return SL_OK;
}

/* dx += d MHSA(LN(x)) */
static sl_status attention_branch(struct sl_net *net, size_t l)
{
    const struct sl_backend_ops *ops = net->dev->ops;
    const struct sl_block_params *p = &net->table.blocks[l];
    const struct sl_block_linears *lin = &net->block_linears[l];
    const struct sl_block_acts *a = &net->blocks[l];
    const struct sl_net_acts *g = &net->acts;
    SL_TRY(enter_branch(net, p->ls1, a->branch1));
    SL_TRY(sl_net_linear_dw(net, &lin->proj, net->T, g->dbranch, a->gate ? a->gated : a->att));
    SL_TRY(sl_net_linear_dx(net, &lin->proj, net->T, g->dbranch, g->datt, net->type, false,
                            SL_EPI_NONE, NULL));
    if (a->gate) {
        SL_TRY(ops->gate_bwd(net->dev, &(struct sl_gate_args){.kind = net->options.vit.gate,
                                                              .rows = net->T,
                                                              .width = net->D,
                                                              .type = net->type,
                                                              .o = a->att,
                                                              .g = a->gate,
                                                              .dy = g->datt,
                                                              .d_o = g->datt,
                                                              .dg = g->dgate}));
        SL_TRY(sl_net_linear_dw(net, &lin->gate, net->T, g->dgate, a->ln1));
    }
    SL_TRY(attention_core(net, l));
    SL_TRY(sl_net_linear_dw(net, &lin->qkv, net->T, g->dqkv, a->ln1));
    SL_TRY(sl_net_linear_dx(net, &lin->qkv, net->T, g->dqkv, g->dln, net->dln_type, false,
                            SL_EPI_NONE, NULL));
    if (a->gate)
        SL_TRY(sl_net_linear_dx(net, &lin->gate, net->T, g->dgate, g->dln, net->dln_type, true,
                                SL_EPI_NONE, NULL));
    struct sl_norm_args norm = sl_net_norm_args(net, net->T, a->x, NULL, net->dln_type, p->norm1_w,
                                                p->norm1_b, a->mean1, a->rstd1);
    norm.dy = g->dln;
    norm.dx = g->dx;
    norm.dx_accumulate = true;
    return ops->norm_bwd(net->dev, &norm);
}

/* The gradient of the MAP head's stream (dpooled, float) in the type its products take. */
static sl_status enter_map_branch(struct sl_net *net)
{
    if (net->type == SL_F32)
        return SL_OK;
    return sl_net_convert(net, net->acts.dpooled, SL_F32, net->acts.dmap, net->type,
                          net->B * net->D);
}

/* dpooled -> gradient of the tokens, in datt */
static sl_status map_pool(struct sl_net *net)
{
    const struct sl_backend_ops *ops = net->dev->ops;
    const struct sl_net_linears *lin = &net->linears;
    const struct sl_net_acts *a = &net->acts;
    const struct sl_param_table *t = &net->table;
    SL_TRY(enter_map_branch(net));
    SL_TRY(sl_net_linear_dw(net, &lin->map_fc2, net->B, a->dmap, a->map_hidden));
    SL_TRY(sl_net_linear_dx(net, &lin->map_fc2, net->B, a->dmap, a->dmap_hidden, net->type, false,
                            SL_EPI_GELU_BWD, a->map_pre));
    SL_TRY(sl_net_linear_dw(net, &lin->map_fc1, net->B, a->dmap_hidden, a->map_ln));
    SL_TRY(sl_net_linear_dx(net, &lin->map_fc1, net->B, a->dmap_hidden, a->dmap_ln, net->type,
                            false, SL_EPI_NONE, NULL));
    struct sl_norm_args norm =
        sl_net_norm_args(net, net->B, a->map_x, NULL, net->type, t->map_norm_w, t->map_norm_b,
                         a->map_mean, a->map_rstd);
    norm.dy = a->dmap_ln;
    norm.dx = a->dpooled;
    norm.dx_accumulate = true;
    SL_TRY(ops->norm_bwd(net->dev, &norm));
    SL_TRY(enter_map_branch(net));
    SL_TRY(sl_net_linear_dw(net, &lin->map_proj, net->B, a->dmap, a->map_att));
    SL_TRY(sl_net_linear_dx(net, &lin->map_proj, net->B, a->dmap, a->dmap_ln, net->type, false,
                            SL_EPI_NONE, NULL));
    const struct sl_attn_args attn = sl_net_map_attn_args(net);
    SL_TRY(ops->attn_bwd(net->dev, &attn));
    SL_TRY(sl_net_linear_dw(net, &lin->map_q, net->B, a->dmap_q, a->latent_act));
    SL_TRY(sl_net_linear_dx(net, &lin->map_q, net->B, a->dmap_q, a->dlatent, SL_F32, false,
                            SL_EPI_NONE, NULL));
    const struct sl_embed_args latent = sl_net_latent_args(net);
    SL_TRY(ops->embed_bwd(net->dev, &latent));
    SL_TRY(sl_net_linear_dw(net, &lin->map_kv, net->T, a->dqkv, a->tokens));
    return sl_net_linear_dx(net, &lin->map_kv, net->T, a->dqkv, a->datt, net->type, false,
                            SL_EPI_NONE, NULL);
}

/* dlogits -> dx of the residual stream after the last block */
static sl_status head(struct sl_net *net)
{
    const struct sl_backend_ops *ops = net->dev->ops;
    const struct sl_net_linears *lin = &net->linears;
    const struct sl_net_acts *a = &net->acts;
    const struct sl_param_table *t = &net->table;
    const bool map = net->options.vit.pool == SL_POOL_MAP;
    const sl_dtype pooled_type = map ? SL_F32 : net->type;
    SL_TRY(sl_net_linear_dw(net, &lin->head, net->B, a->dlogits, a->rep ? a->rep : a->pooled));
    if (a->rep) {
        SL_TRY(sl_net_linear_dx(net, &lin->head, net->B, a->dlogits, a->drep, net->type, false,
                                SL_EPI_NONE, NULL));
        SL_TRY(ops->unary(net->dev, &(struct sl_unary_args){.kind = SL_UNARY_TANH_BWD,
                                                            .n = net->B * net->D,
                                                            .x = a->drep,
                                                            .x_type = net->type,
                                                            .aux = a->rep,
                                                            .y = a->drep,
                                                            .y_type = net->type}));
        SL_TRY(sl_net_linear_dw(net, &lin->pre, net->B, a->drep, a->pooled));
        SL_TRY(sl_net_linear_dx(net, &lin->pre, net->B, a->drep, a->dpooled, pooled_type, false,
                                SL_EPI_NONE, NULL));
    } else {
        SL_TRY(sl_net_linear_dx(net, &lin->head, net->B, a->dlogits, a->dpooled, pooled_type, false,
                                SL_EPI_NONE, NULL));
    }
    if (map) {
        SL_TRY(map_pool(net));
    } else {
        const struct sl_pool_args pool = sl_net_pool_args(net);
        SL_TRY(ops->pool_bwd(net->dev, &pool));
    }
    struct sl_norm_args norm = sl_net_norm_args(net, net->T, a->last, NULL, net->type, t->norm_w,
                                                t->norm_b, a->mean, a->rstd);
    norm.dy = a->datt;
    norm.dx = a->dx;
    return ops->norm_bwd(net->dev, &norm);
}

sl_status sl_net_run_backward(struct sl_net *net)
{
    SL_TRY(head(net));
    for (size_t l = net->options.vit.depth; l-- > 0;) {
        SL_TRY(mlp_branch(net, l));
        SL_TRY(attention_branch(net, l));
    }
    const struct sl_embed_args embed = sl_net_embed_args(net);
    SL_TRY(net->dev->ops->embed_bwd(net->dev, &embed));
    return sl_net_linear_dw(net, &net->linears.patch, net->B * net->N, net->acts.datt,
                            net->acts.patches);
}
