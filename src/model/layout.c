/*
 * Where everything in a net lies. Tables name every packed weight and every activation with its
 * size; laying them out over base addresses gives the pointers and the bytes of each arena, so that
 * the forecast and the allocation cannot differ.
 */
#include <string.h>

#include "base/checked.h"
#include "model/net.h"

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

/* ---- linear layers and where their tensors are ---- */

struct linear_row {
    size_t field, weight, bias; /* offsets into the structs of linears and of parameters */
    bool first;                 /* nothing before it has parameters: no dx, no second packing */
};
#define NET_LINEAR(name, first)                                                                    \
    {                                                                                              \
        offsetof(struct sl_net_linears, name), offsetof(struct sl_param_table, name##_w),          \
            offsetof(struct sl_param_table, name##_b), first                                       \
    }
#define BLOCK_LINEAR(name)                                                                         \
    {                                                                                              \
        offsetof(struct sl_block_linears, name), offsetof(struct sl_block_params, name##_w),       \
            offsetof(struct sl_block_params, name##_b), false                                      \
    }

static const struct linear_row net_linears[] = {
    NET_LINEAR(patch, true),     NET_LINEAR(map_q, false),   NET_LINEAR(map_kv, false),
    NET_LINEAR(map_proj, false), NET_LINEAR(map_fc1, false), NET_LINEAR(map_fc2, false),
    NET_LINEAR(pre, false),      NET_LINEAR(head, false),
};
static const struct linear_row block_linears[] = {
    BLOCK_LINEAR(qkv), BLOCK_LINEAR(gate), BLOCK_LINEAR(proj), BLOCK_LINEAR(fc1), BLOCK_LINEAR(fc2),
};

/* ---- activations ---- */

/* Sizes an activation is made of; 0 when the option that needs it is off. */
enum dim {
    DIM_1,
    DIM_B,
    DIM_BN,
    DIM_T,
    DIM_D,
    DIM_3D,
    DIM_F,
    DIM_C,
    DIM_PATCH,   /* 3PP */
    DIM_SINCOS,  /* N with sincos2d positions */
    DIM_QK_2D,   /* 2D with qk_norm */
    DIM_QK_H,    /* H with qk_norm */
    DIM_QK_MEAN, /* H with a qk_norm that has a mean */
    DIM_GATE,    /* D with a gate */
    DIM_LS,      /* D with LayerScale */
    DIM_REP,     /* D with pre_logits */
    DIM_MAP,     /* D with the MAP head */
    DIM_MAP_2D,
    DIM_MAP_F,
    DIM_MAP_1,
    DIM_MAP_CONVERT, /* D with the MAP head, where act is not float */
    DIM_CONVERT,     /* D where a branch's gradient is not dx itself */
    DIM_COUNT
};
enum element { FLOATS, ACT, DLN, DPOOLED };

struct act_row {
    size_t field; /* of sl_block_acts or sl_net_acts */
    enum dim rows, columns;
    enum element element;
    bool training; /* absent from inference nets */
};
#define BLOCK(name, rows, columns, element, training)                                              \
    {                                                                                              \
        offsetof(struct sl_block_acts, name), rows, columns, element, training                     \
    }
#define NET(name, rows, columns, element, training)                                                \
    {                                                                                              \
        offsetof(struct sl_net_acts, name), rows, columns, element, training                       \
    }

static const struct act_row block_acts[] = {
    BLOCK(x, DIM_T, DIM_D, FLOATS, false),
    BLOCK(mean1, DIM_T, DIM_1, FLOATS, false),
    BLOCK(rstd1, DIM_T, DIM_1, FLOATS, false),
    BLOCK(ln1, DIM_T, DIM_D, ACT, false),
    BLOCK(qkv, DIM_T, DIM_3D, ACT, false),
    BLOCK(qk, DIM_T, DIM_QK_2D, ACT, false),
    BLOCK(q_mean, DIM_T, DIM_QK_MEAN, FLOATS, false),
    BLOCK(q_rstd, DIM_T, DIM_QK_H, FLOATS, false),
    BLOCK(k_mean, DIM_T, DIM_QK_MEAN, FLOATS, false),
    BLOCK(k_rstd, DIM_T, DIM_QK_H, FLOATS, false),
    BLOCK(att, DIM_T, DIM_D, ACT, false),
    BLOCK(gate, DIM_T, DIM_GATE, ACT, false),
    BLOCK(gated, DIM_T, DIM_GATE, ACT, false),
    BLOCK(branch1, DIM_T, DIM_LS, ACT, false),
    BLOCK(mid, DIM_T, DIM_D, FLOATS, true),
    BLOCK(mean2, DIM_T, DIM_1, FLOATS, false),
    BLOCK(rstd2, DIM_T, DIM_1, FLOATS, false),
    BLOCK(ln2, DIM_T, DIM_D, ACT, false),
    BLOCK(pre, DIM_T, DIM_F, ACT, true),
    BLOCK(hidden, DIM_T, DIM_F, ACT, false),
    BLOCK(branch2, DIM_T, DIM_LS, ACT, false),
};

static const struct act_row net_acts[] = {
    NET(pos, DIM_SINCOS, DIM_D, FLOATS, false),
    NET(patches, DIM_BN, DIM_PATCH, ACT, false),
    NET(last, DIM_T, DIM_D, FLOATS, true),
    NET(mean, DIM_T, DIM_1, FLOATS, false),
    NET(rstd, DIM_T, DIM_1, FLOATS, false),
    NET(tokens, DIM_T, DIM_D, ACT, false),
    NET(pooled, DIM_B, DIM_D, ACT, false),
    NET(rep, DIM_B, DIM_REP, ACT, false),
    NET(logits, DIM_B, DIM_C, FLOATS, false),
    NET(latent, DIM_B, DIM_MAP, FLOATS, false),
    NET(latent_act, DIM_B, DIM_MAP_CONVERT, ACT, false),
    NET(map_q, DIM_B, DIM_MAP, ACT, false),
    NET(map_kv, DIM_T, DIM_MAP_2D, ACT, false),
    NET(map_att, DIM_B, DIM_MAP, ACT, false),
    NET(map_x, DIM_B, DIM_MAP, FLOATS, false),
    NET(map_mean, DIM_B, DIM_MAP_1, FLOATS, false),
    NET(map_rstd, DIM_B, DIM_MAP_1, FLOATS, false),
    NET(map_ln, DIM_B, DIM_MAP, ACT, false),
    NET(map_pre, DIM_B, DIM_MAP_F, ACT, true),
    NET(map_hidden, DIM_B, DIM_MAP_F, ACT, false),
    NET(map_out, DIM_B, DIM_MAP_CONVERT, FLOATS, false),
    NET(dx, DIM_T, DIM_D, FLOATS, false),
    NET(dbranch, DIM_T, DIM_CONVERT, ACT, true),
    NET(dhidden, DIM_T, DIM_F, ACT, true),
    NET(dln, DIM_T, DIM_D, DLN, true),
    NET(datt, DIM_T, DIM_D, ACT, true),
    NET(dgate, DIM_T, DIM_GATE, ACT, true),
    NET(dqkv, DIM_T, DIM_3D, ACT, true),
    NET(dqk, DIM_T, DIM_QK_2D, ACT, true),
    NET(dlogits, DIM_B, DIM_C, ACT, true),
    NET(drep, DIM_B, DIM_REP, ACT, true),
    NET(dpooled, DIM_B, DIM_D, DPOOLED, true),
    NET(dmap, DIM_B, DIM_MAP_CONVERT, ACT, true),
    NET(dmap_hidden, DIM_B, DIM_MAP_F, ACT, true),
    NET(dmap_ln, DIM_B, DIM_MAP, ACT, true),
    NET(dmap_q, DIM_B, DIM_MAP, ACT, true),
    NET(dlatent, DIM_B, DIM_MAP, FLOATS, true),
};

/* ---- laying out ---- */

/* Takes bytes from an arena; base NULL only counts. Every piece starts on a cache line. */
struct bump {
    char *base;
    size_t used;
    bool overflow;
};

static void *take(struct bump *b, size_t bytes)
{
    void *p = bytes ? b->base + b->used : NULL;
    if (!sl_size_add(b->used, bytes, &b->used) || !sl_size_align(b->used, 64, &b->used))
        b->overflow = true;
    return p;
}

static void take_linear(struct sl_net *net, const struct linear_row *row, const void *params,
                        void *linears, struct bump *b)
{
    struct sl_linear lin = {0};
    memcpy(&lin.weight, (const char *)params + row->weight, sizeof lin.weight);
    memcpy(&lin.bias, (const char *)params + row->bias, sizeof lin.bias);
    if (lin.weight != SIZE_MAX) {
        const struct sl_param *p = &net->table.params[lin.weight];
        const struct sl_backend_ops *ops = net->dev->ops;
        lin.n = p->shape[0];
        lin.k = p->count / p->shape[0];
        lin.fwd = take(b, ops->pack_weight_bytes(lin.n, lin.k, net->type));
        if (net->options.training && !row->first)
            lin.bwd = take(b, ops->pack_weight_bytes(lin.k, lin.n, net->type));
    }
    memcpy((char *)linears + row->field, &lin, sizeof lin);
}

static void take_packed(struct sl_net *net, struct bump *b)
{
    for (size_t l = 0; l < net->options.vit.depth; l++)
        for (size_t i = 0; i < COUNT(block_linears); i++)
            take_linear(net, &block_linears[i], &net->table.blocks[l], &net->block_linears[l], b);
    for (size_t i = 0; i < COUNT(net_linears); i++)
        take_linear(net, &net_linears[i], &net->table, &net->linears, b);
}

static size_t element_bytes(const struct sl_net *net, enum element element)
{
    const sl_dtype pooled = net->options.vit.pool == SL_POOL_MAP ? SL_F32 : net->type;
    const sl_dtype types[] = {
        [FLOATS] = SL_F32, [ACT] = net->type, [DLN] = net->dln_type, [DPOOLED] = pooled};
    return types[element] == SL_BF16 ? 2 : 4;
}

static void take_acts(const struct sl_net *net, const struct act_row *rows, size_t n,
                      const size_t *dims, void *acts, struct bump *b)
{
    for (size_t i = 0; i < n; i++) {
        size_t bytes = 0;
        const struct act_row *row = &rows[i];
        if (row->training && !net->options.training)
            continue;
        if (!sl_size_mul(dims[row->rows], dims[row->columns], &bytes) ||
            !sl_size_mul(bytes, element_bytes(net, row->element), &bytes))
            b->overflow = true;
        void *p = take(b, bytes);
        memcpy((char *)acts + row->field, &p, sizeof p);
    }
}

static void resolve_dims(const struct sl_net *net, size_t dims[DIM_COUNT])
{
    const struct sl_vit_config *v = &net->options.vit;
    const bool bf16 = net->type == SL_BF16, map = v->pool == SL_POOL_MAP;
    const bool qk = v->qk_norm != SL_QK_NORM_NONE, rms = v->qk_norm == SL_QK_NORM_RMS;
    const size_t D = net->D;
    const size_t resolved[DIM_COUNT] = {
        [DIM_1] = 1,
        [DIM_B] = net->B,
        [DIM_BN] = net->B * net->N,
        [DIM_T] = net->T,
        [DIM_D] = D,
        [DIM_3D] = 3 * D,
        [DIM_F] = net->F,
        [DIM_C] = net->C,
        [DIM_PATCH] = 3 * v->patch * v->patch,
        [DIM_SINCOS] = v->posemb == SL_POSEMB_SINCOS2D ? net->N : 0,
        [DIM_QK_2D] = qk ? 2 * D : 0,
        [DIM_QK_H] = qk ? net->H : 0,
        [DIM_QK_MEAN] = qk && !rms ? net->H : 0,
        [DIM_GATE] = v->gate != SL_GATE_NONE ? D : 0,
        [DIM_LS] = v->layer_scale > 0 ? D : 0,
        [DIM_REP] = v->rep_size ? D : 0,
        [DIM_MAP] = map ? D : 0,
        [DIM_MAP_2D] = map ? 2 * D : 0,
        [DIM_MAP_F] = map ? net->F : 0,
        [DIM_MAP_1] = map,
        [DIM_MAP_CONVERT] = map && bf16 ? D : 0,
        [DIM_CONVERT] = bf16 || v->layer_scale > 0 ? D : 0,
    };
    memcpy(dims, resolved, sizeof resolved);
}

static void take_activations(struct sl_net *net, struct bump *b)
{
    size_t dims[DIM_COUNT];
    resolve_dims(net, dims);
    struct sl_net_acts *a = &net->acts;
    take_acts(net, net_acts, COUNT(net_acts), dims, a, b);
    for (size_t l = 0; l < net->options.vit.depth; l++) {
        if (l == 0 || net->options.training)
            take_acts(net, block_acts, COUNT(block_acts), dims, &net->blocks[l], b);
        else
            net->blocks[l] = net->blocks[0];
    }
    if (!net->options.training) { /* one residual stream, updated in place */
        a->last = net->blocks[0].x;
        for (size_t l = 0; l < net->options.vit.depth; l++)
            net->blocks[l].mid = net->blocks[0].x;
    } else if (!a->dbranch) {
        a->dbranch = a->dx;
    }
    if (net->type == SL_F32 && net->options.vit.pool == SL_POOL_MAP) { /* act is float */
        a->latent_act = a->latent;
        a->map_out = a->pooled;
        a->dmap = a->dpooled;
    }
}

sl_status sl_net_lay_out(struct sl_net *net, void *const bases[SL_ARENA_COUNT])
{
    struct bump b[SL_ARENA_COUNT] = {0};
    for (size_t i = 0; i < SL_ARENA_COUNT; i++)
        b[i].base = bases[i];
    const size_t floats = net->table.floats * sizeof(float); /* checked when the table was built */
    net->params = take(&b[SL_ARENA_PARAMS], floats);
    net->grads = take(&b[SL_ARENA_GRADS], net->options.training ? floats : 0);
    take_packed(net, &b[SL_ARENA_PACKED]);
    take_activations(net, &b[SL_ARENA_ACTIVATIONS]);
    size_t bytes;
    if (!sl_size_mul(net->B * 3, net->options.vit.image_height, &bytes) ||
        !sl_size_mul(bytes, net->options.vit.image_width, &bytes))
        b[SL_ARENA_INPUTS].overflow = true;
    else
        net->images = take(&b[SL_ARENA_INPUTS], bytes);
    for (size_t i = 0; i < SL_ARENA_COUNT; i++) {
        if (b[i].overflow)
            SL_FAIL(SL_ERR_MEMORY, "a batch of %zu images does not fit into memory", net->B);
        net->arena_bytes[i] = b[i].used;
    }
    return SL_OK;
}

/* ---- packing ---- */

static sl_status pack_linear(struct sl_net *net, const struct sl_linear *lin)
{
    if (lin->weight == SIZE_MAX)
        return SL_OK;
    struct sl_pack_args args = {.n = lin->n,
                                .k = lin->k,
                                .b = sl_net_param(net, lin->weight),
                                .ldb = lin->k,
                                .b_t = true,
                                .type = net->type,
                                .packed = lin->fwd};
    SL_TRY(net->dev->ops->pack_weight(net->dev, &args));
    if (!lin->bwd)
        return SL_OK;
    args.n = lin->k;
    args.k = lin->n;
    args.b_t = false;
    args.packed = lin->bwd;
    return net->dev->ops->pack_weight(net->dev, &args);
}

/* The linear layer of a row, inside its struct. */
static const struct sl_linear *linear_at(const void *linears, const struct linear_row *row)
{
    return (const struct sl_linear *)(const void *)((const char *)linears + row->field);
}

sl_status sl_net_params_changed(struct sl_net *net)
{
    for (size_t l = 0; l < net->options.vit.depth; l++)
        for (size_t i = 0; i < COUNT(block_linears); i++)
            SL_TRY(pack_linear(net, linear_at(&net->block_linears[l], &block_linears[i])));
    for (size_t i = 0; i < COUNT(net_linears); i++)
        SL_TRY(pack_linear(net, linear_at(&net->linears, &net_linears[i])));
    return SL_OK;
}
