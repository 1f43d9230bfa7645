/*
 * One forward pass as a flat list of op calls: image bytes -> patches -> tokens -> blocks -> pooled
 * features -> logits. Shapes are those of a full batch; the order is big_vision's (MODEL.md).
 */
#include "base/error.h"
#include "model/net.h"

/* patches [B*N, 3PP] -> embedding [B*N, D] -> + position, prefix tokens -> x [T, D] */
static sl_status embed(struct sl_net *net)
{
    const struct sl_backend_ops *ops = net->dev->ops;
    const struct sl_net_options *o = &net->options;
    SL_TRY(ops->patch(net->dev, &(struct sl_patch_args){.images = net->images,
                                                        .B = net->B,
                                                        .SH = o->vit.image_height,
                                                        .SW = o->vit.image_width,
                                                        .P = o->vit.patch,
                                                        .value_min = o->value_min,
                                                        .value_max = o->value_max,
                                                        .mix = net->mix,
                                                        .patches = net->acts.patches,
                                                        .type = net->type}));
    SL_TRY(sl_net_linear(net, &net->linears.patch, net->B * net->N, net->acts.patches, net->acts.dx,
                         SL_F32, SL_EPI_NONE, NULL));
    const struct sl_embed_args args = sl_net_embed_args(net);
    return ops->embed_fwd(net->dev, &args);
}

/* to = from + gamma * (x W^T + b), or without gamma in one product. branch: act [T, D]. */
static sl_status add_branch(struct sl_net *net, const struct sl_linear *lin, const void *x,
                            size_t gamma, void *branch, float *from, float *to)
{
    if (gamma == SIZE_MAX)
        return sl_net_linear(net, lin, net->T, x, to, SL_F32, SL_EPI_RESIDUAL, from);
    SL_TRY(sl_net_linear(net, lin, net->T, x, branch, net->type, SL_EPI_NONE, NULL));
    if (to != from)
        SL_TRY(sl_net_convert(net, from, SL_F32, to, SL_F32, net->T * net->D));
    struct sl_scale_add_args args = sl_net_scale_add_args(net, gamma, branch);
    args.x = to;
    return net->dev->ops->scale_add_fwd(net->dev, &args);
}

/* mid = x + MHSA(LN(x)) */
static sl_status attention_branch(struct sl_net *net, size_t l)
{
    const struct sl_backend_ops *ops = net->dev->ops;
    const struct sl_block_params *p = &net->table.blocks[l];
    const struct sl_block_linears *lin = &net->block_linears[l];
    const struct sl_block_acts *a = &net->blocks[l];
    const struct sl_norm_args norm = sl_net_norm_args(net, net->T, a->x, a->ln1, net->type,
                                                      p->norm1_w, p->norm1_b, a->mean1, a->rstd1);
    SL_TRY(ops->norm_fwd(net->dev, &norm));
    SL_TRY(sl_net_linear(net, &lin->qkv, net->T, a->ln1, a->qkv, net->type, SL_EPI_NONE, NULL));
    for (size_t which = 0; which < 2 && a->qk; which++) {
        const struct sl_norm_args qk_norm = sl_net_qk_norm_args(net, l, which);
        SL_TRY(ops->norm_fwd(net->dev, &qk_norm));
    }
    const struct sl_attn_args attn = sl_net_attn_args(net, l);
    SL_TRY(ops->attn_fwd(net->dev, &attn));
    if (net->watched)
        SL_TRY(ops->attn_stats(net->dev, &attn, net->watched_labels, net->watched + l * net->H));
    if (net->tap)
        SL_TRY(sl_net_tap_block(net, l));
    if (a->gate) {
        SL_TRY(
            sl_net_linear(net, &lin->gate, net->T, a->ln1, a->gate, net->type, SL_EPI_NONE, NULL));
        SL_TRY(ops->gate_fwd(net->dev, &(struct sl_gate_args){.kind = net->options.vit.gate,
                                                              .rows = net->T,
                                                              .width = net->D,
                                                              .type = net->type,
                                                              .o = a->att,
                                                              .g = a->gate,
                                                              .y = a->gated}));
    }
    return add_branch(net, &lin->proj, a->gate ? a->gated : a->att, p->ls1, a->branch1, a->x,
                      a->mid);
}

/* out = mid + MLP(LN(mid)) */
static sl_status mlp_branch(struct sl_net *net, size_t l, float *out)
{
    const struct sl_block_params *p = &net->table.blocks[l];
    const struct sl_block_linears *lin = &net->block_linears[l];
    const struct sl_block_acts *a = &net->blocks[l];
    const struct sl_norm_args norm = sl_net_norm_args(net, net->T, a->mid, a->ln2, net->type,
                                                      p->norm2_w, p->norm2_b, a->mean2, a->rstd2);
    SL_TRY(net->dev->ops->norm_fwd(net->dev, &norm));
    SL_TRY(
        sl_net_linear(net, &lin->fc1, net->T, a->ln2, a->hidden, net->type, SL_EPI_GELU, a->pre));
    return add_branch(net, &lin->fc2, a->hidden, p->ls2, a->branch2, a->mid, out);
}

/* pooled = x + MLP(LN(x)), x = MHA(probe, tokens), one row per image */
static sl_status map_pool(struct sl_net *net)
{
    const struct sl_backend_ops *ops = net->dev->ops;
    const struct sl_net_linears *lin = &net->linears;
    const struct sl_net_acts *a = &net->acts;
    const struct sl_param_table *t = &net->table;
    const struct sl_embed_args latent = sl_net_latent_args(net);
    SL_TRY(ops->embed_fwd(net->dev, &latent));
    if (net->type != SL_F32)
        SL_TRY(sl_net_convert(net, a->latent, SL_F32, a->latent_act, net->type, net->B * net->D));
    SL_TRY(sl_net_linear(net, &lin->map_q, net->B, a->latent_act, a->map_q, net->type, SL_EPI_NONE,
                         NULL));
    SL_TRY(sl_net_linear(net, &lin->map_kv, net->T, a->tokens, a->map_kv, net->type, SL_EPI_NONE,
                         NULL));
    const struct sl_attn_args attn = sl_net_map_attn_args(net);
    SL_TRY(ops->attn_fwd(net->dev, &attn));
    SL_TRY(sl_net_linear(net, &lin->map_proj, net->B, a->map_att, a->map_x, SL_F32, SL_EPI_NONE,
                         NULL));
    const struct sl_norm_args norm =
        sl_net_norm_args(net, net->B, a->map_x, a->map_ln, net->type, t->map_norm_w, t->map_norm_b,
                         a->map_mean, a->map_rstd);
    SL_TRY(ops->norm_fwd(net->dev, &norm));
    SL_TRY(sl_net_linear(net, &lin->map_fc1, net->B, a->map_ln, a->map_hidden, net->type,
                         SL_EPI_GELU, a->map_pre));
    SL_TRY(sl_net_linear(net, &lin->map_fc2, net->B, a->map_hidden, a->map_out, SL_F32,
                         SL_EPI_RESIDUAL, a->map_x));
    if (net->type == SL_F32)
        return SL_OK;
    return sl_net_convert(net, a->map_out, SL_F32, a->pooled, net->type, net->B * net->D);
}

/* x [T, D] -> logits [B, C] */
static sl_status head(struct sl_net *net)
{
    const struct sl_backend_ops *ops = net->dev->ops;
    const struct sl_net_acts *a = &net->acts;
    const struct sl_param_table *t = &net->table;
    const struct sl_norm_args norm = sl_net_norm_args(net, net->T, a->last, a->tokens, net->type,
                                                      t->norm_w, t->norm_b, a->mean, a->rstd);
    SL_TRY(ops->norm_fwd(net->dev, &norm));
    if (net->options.vit.pool == SL_POOL_MAP) {
        SL_TRY(map_pool(net));
    } else {
        const struct sl_pool_args pool = sl_net_pool_args(net);
        SL_TRY(ops->pool_fwd(net->dev, &pool));
    }
    const void *features = a->pooled;
    if (a->rep) {
        SL_TRY(sl_net_linear(net, &net->linears.pre, net->B, a->pooled, a->rep, net->type,
                             SL_EPI_TANH, NULL));
        features = a->rep;
    }
    return sl_net_linear(net, &net->linears.head, net->B, features, a->logits, SL_F32, SL_EPI_NONE,
                         NULL);
}

sl_status sl_net_run_forward(struct sl_net *net)
{
    const size_t depth = net->options.vit.depth;
    SL_TRY(embed(net));
    for (size_t l = 0; l < depth; l++) {
        SL_TRY(attention_branch(net, l));
        SL_TRY(mlp_branch(net, l, l + 1 < depth ? net->blocks[l + 1].x : net->acts.last));
    }
    return head(net);
}

sl_status sl_net_run_loss(struct sl_net *net, struct sl_loss_args *args)
{
    args->logits = net->acts.logits;
    args->B = net->images_in;
    args->C = net->C;
    args->dlogits = net->acts.dlogits;
    args->dtype = net->type;
    /* Images that fill the batch up have no loss: their gradient is zero. */
    if (args->dlogits && args->B < net->B)
        SL_TRY(net->dev->ops->zero(net->dev, sl_net_at(args->dlogits, args->B * net->C, net->type),
                                   (net->B - args->B) * net->C * (net->type == SL_BF16 ? 2 : 4)));
    return net->dev->ops->loss(net->dev, args);
}
