/*
 * The parameter table: which tensors a configuration has, their timm names, shapes, initial values
 * and places in one float arena. Three small tables of rows (before, inside and after the blocks)
 * are resolved against the sizes of the configuration; a row with a zero dimension is absent.
 * Initialisation is big_vision's; every tensor draws from its own stream, addressed by
 * its name, so that models which differ in an option share the initial values they have in common.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/rng.h"
#include "model/model.h"

/* Sizes a shape is made of; 0 when the option that needs it is off. */
enum dim {
    DIM_NONE, /* past the rank */
    DIM_1,
    DIM_3,
    DIM_P,
    DIM_D,
    DIM_3D,
    DIM_F,
    DIM_C,
    DIM_POS,     /* N with a learned position embedding */
    DIM_CLS,     /* 1 with pool tok */
    DIM_REG,     /* register tokens */
    DIM_QK,      /* K with qk_norm */
    DIM_QK_BIAS, /* K with qk_norm layernorm-bias */
    DIM_GATE,    /* D with a gate */
    DIM_LS,      /* D with LayerScale */
    DIM_MAP,     /* D with pool map */
    DIM_MAP_2D,
    DIM_MAP_F,
    DIM_REP, /* D with pre_logits */
    DIM_COUNT
};

/* Parameters of an initialisation that depend on the sizes. */
enum value {
    VALUE_NONE,
    VALUE_LECUN_PATCH,
    VALUE_LECUN_D,
    VALUE_POS,
    VALUE_XAVIER_DD,
    VALUE_XAVIER_DF,
    VALUE_XAVIER_1D,
    VALUE_MLP_BIAS,
    VALUE_LAYER_SCALE,
    VALUE_HEAD_BIAS,
    VALUE_COUNT
};

struct row {
    const char *name; /* after "blocks.i." for rows of a block */
    size_t field;     /* where the index goes in sl_param_table or sl_block_params */
    enum dim shape[4];
    enum sl_init init;
    enum value value;
    bool decay;
};

#define TABLE(field) offsetof(struct sl_param_table, field)
#define BLOCK(field) offsetof(struct sl_block_params, field)
#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

/* Registers have no position, so they start as position embeddings do: different from each other.
 * reg_token follows cls_token without a gap: together they are the prefix of the tokens. */
static const struct row stem_rows[] = {
    {"patch_embed.proj.weight",
     TABLE(patch_w),
     {DIM_D, DIM_3, DIM_P, DIM_P},
     SL_INIT_LECUN,
     VALUE_LECUN_PATCH,
     true},
    {"patch_embed.proj.bias", TABLE(patch_b), {DIM_D}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"cls_token", TABLE(cls), {DIM_1, DIM_CLS, DIM_D}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"reg_token", TABLE(reg), {DIM_1, DIM_REG, DIM_D}, SL_INIT_NORMAL, VALUE_POS, false},
    {"pos_embed", TABLE(pos), {DIM_1, DIM_POS, DIM_D}, SL_INIT_NORMAL, VALUE_POS, false},
};

static const struct row block_rows[] = {
    {"norm1.weight", BLOCK(norm1_w), {DIM_D}, SL_INIT_ONES, VALUE_NONE, false},
    {"norm1.bias", BLOCK(norm1_b), {DIM_D}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"attn.qkv.weight", BLOCK(qkv_w), {DIM_3D, DIM_D}, SL_INIT_XAVIER, VALUE_XAVIER_DD, true},
    {"attn.qkv.bias", BLOCK(qkv_b), {DIM_3D}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"attn.q_norm.weight", BLOCK(q_norm_w), {DIM_QK}, SL_INIT_ONES, VALUE_NONE, false},
    {"attn.q_norm.bias", BLOCK(q_norm_b), {DIM_QK_BIAS}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"attn.k_norm.weight", BLOCK(k_norm_w), {DIM_QK}, SL_INIT_ONES, VALUE_NONE, false},
    {"attn.k_norm.bias", BLOCK(k_norm_b), {DIM_QK_BIAS}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"attn.gate.weight", BLOCK(gate_w), {DIM_GATE, DIM_D}, SL_INIT_XAVIER, VALUE_XAVIER_DD, true},
    {"attn.gate.bias", BLOCK(gate_b), {DIM_GATE}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"attn.proj.weight", BLOCK(proj_w), {DIM_D, DIM_D}, SL_INIT_XAVIER, VALUE_XAVIER_DD, true},
    {"attn.proj.bias", BLOCK(proj_b), {DIM_D}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"ls1.gamma", BLOCK(ls1), {DIM_LS}, SL_INIT_CONSTANT, VALUE_LAYER_SCALE, false},
    {"norm2.weight", BLOCK(norm2_w), {DIM_D}, SL_INIT_ONES, VALUE_NONE, false},
    {"norm2.bias", BLOCK(norm2_b), {DIM_D}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"mlp.fc1.weight", BLOCK(fc1_w), {DIM_F, DIM_D}, SL_INIT_XAVIER, VALUE_XAVIER_DF, true},
    {"mlp.fc1.bias", BLOCK(fc1_b), {DIM_F}, SL_INIT_NORMAL, VALUE_MLP_BIAS, false},
    {"mlp.fc2.weight", BLOCK(fc2_w), {DIM_D, DIM_F}, SL_INIT_XAVIER, VALUE_XAVIER_DF, true},
    {"mlp.fc2.bias", BLOCK(fc2_b), {DIM_D}, SL_INIT_NORMAL, VALUE_MLP_BIAS, false},
    {"ls2.gamma", BLOCK(ls2), {DIM_LS}, SL_INIT_CONSTANT, VALUE_LAYER_SCALE, false},
};

static const struct row head_rows[] = {
    {"norm.weight", TABLE(norm_w), {DIM_D}, SL_INIT_ONES, VALUE_NONE, false},
    {"norm.bias", TABLE(norm_b), {DIM_D}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"attn_pool.latent",
     TABLE(map_latent),
     {DIM_1, DIM_1, DIM_MAP},
     SL_INIT_XAVIER,
     VALUE_XAVIER_1D,
     false},
    {"attn_pool.q.weight", TABLE(map_q_w), {DIM_MAP, DIM_D}, SL_INIT_XAVIER, VALUE_XAVIER_DD, true},
    {"attn_pool.q.bias", TABLE(map_q_b), {DIM_MAP}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"attn_pool.kv.weight",
     TABLE(map_kv_w),
     {DIM_MAP_2D, DIM_D},
     SL_INIT_XAVIER,
     VALUE_XAVIER_DD,
     true},
    {"attn_pool.kv.bias", TABLE(map_kv_b), {DIM_MAP_2D}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"attn_pool.proj.weight",
     TABLE(map_proj_w),
     {DIM_MAP, DIM_D},
     SL_INIT_XAVIER,
     VALUE_XAVIER_DD,
     true},
    {"attn_pool.proj.bias", TABLE(map_proj_b), {DIM_MAP}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"attn_pool.norm.weight", TABLE(map_norm_w), {DIM_MAP}, SL_INIT_ONES, VALUE_NONE, false},
    {"attn_pool.norm.bias", TABLE(map_norm_b), {DIM_MAP}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"attn_pool.mlp.fc1.weight",
     TABLE(map_fc1_w),
     {DIM_MAP_F, DIM_D},
     SL_INIT_XAVIER,
     VALUE_XAVIER_DF,
     true},
    {"attn_pool.mlp.fc1.bias",
     TABLE(map_fc1_b),
     {DIM_MAP_F},
     SL_INIT_NORMAL,
     VALUE_MLP_BIAS,
     false},
    {"attn_pool.mlp.fc2.weight",
     TABLE(map_fc2_w),
     {DIM_MAP, DIM_F},
     SL_INIT_XAVIER,
     VALUE_XAVIER_DF,
     true},
    {"attn_pool.mlp.fc2.bias", TABLE(map_fc2_b), {DIM_MAP}, SL_INIT_NORMAL, VALUE_MLP_BIAS, false},
    {"pre_logits.fc.weight", TABLE(pre_w), {DIM_REP, DIM_D}, SL_INIT_LECUN, VALUE_LECUN_D, true},
    {"pre_logits.fc.bias", TABLE(pre_b), {DIM_REP}, SL_INIT_ZEROS, VALUE_NONE, false},
    {"head.weight", TABLE(head_w), {DIM_C, DIM_D}, SL_INIT_ZEROS, VALUE_NONE, true},
    {"head.bias", TABLE(head_b), {DIM_C}, SL_INIT_CONSTANT, VALUE_HEAD_BIAS, false},
};

struct resolved {
    size_t dims[DIM_COUNT];
    double values[VALUE_COUNT];
};

static sl_status resolve(const struct sl_vit_config *v, struct resolved *r)
{
    const bool map = v->pool == SL_POOL_MAP, qk = v->qk_norm != SL_QK_NORM_NONE;
    const size_t d = v->width, k = d / v->heads;
    size_t d3;
    if (!sl_size_mul(d, 3, &d3))
        SL_FAIL(SL_ERR_CONFIG, "a model width of %zu is too large", d);
    *r = (struct resolved){
        .dims = {[DIM_1] = 1,
                 [DIM_3] = 3,
                 [DIM_P] = v->patch,
                 [DIM_D] = d,
                 [DIM_3D] = d3,
                 [DIM_F] = v->mlp,
                 [DIM_C] = v->classes,
                 [DIM_POS] = v->posemb == SL_POSEMB_LEARN ? sl_vit_grid(v) : 0,
                 [DIM_CLS] = v->pool == SL_POOL_TOK,
                 [DIM_REG] = v->registers,
                 [DIM_QK] = qk ? k : 0,
                 [DIM_QK_BIAS] = v->qk_norm == SL_QK_NORM_LAYERNORM_BIAS ? k : 0,
                 [DIM_GATE] = v->gate != SL_GATE_NONE ? d : 0,
                 [DIM_LS] = v->layer_scale > 0 ? d : 0,
                 [DIM_MAP] = map ? d : 0,
                 [DIM_MAP_2D] = map ? 2 * d : 0,
                 [DIM_MAP_F] = map ? v->mlp : 0,
                 [DIM_REP] = v->rep_size ? d : 0},
        .values = {[VALUE_LECUN_PATCH] = sqrt(1.0 / (3.0 * (double)v->patch * (double)v->patch)),
                   [VALUE_LECUN_D] = sqrt(1.0 / (double)d),
                   [VALUE_POS] = sqrt(1.0 / (double)d),
                   [VALUE_XAVIER_DD] = sqrt(3.0 / (double)d),
                   [VALUE_XAVIER_DF] = sqrt(6.0 / ((double)d + (double)v->mlp)),
                   [VALUE_XAVIER_1D] = sqrt(6.0 / (1.0 + (double)d)),
                   [VALUE_MLP_BIAS] = 1e-6,
                   [VALUE_LAYER_SCALE] = v->layer_scale,
                   [VALUE_HEAD_BIAS] = v->head_bias},
    };
    return SL_OK;
}

/* Appends one row's tensor, or leaves the index SIZE_MAX where a dimension is 0. */
static sl_status add_row(struct sl_param_table *t, const struct row *row, const struct resolved *r,
                         const char *prefix, size_t block, void *indices)
{
    struct sl_param p = {.count = 1,
                         .offset = t->floats,
                         .init = row->init,
                         .value = r->values[row->value],
                         .decay = row->decay};
    size_t index = SIZE_MAX;
    for (; p.rank < 4 && row->shape[p.rank] != DIM_NONE; p.rank++) {
        p.shape[p.rank] = r->dims[row->shape[p.rank]];
        if (!sl_size_mul(p.count, p.shape[p.rank], &p.count))
            SL_FAIL(SL_ERR_CONFIG, "parameter %s is too large", row->name);
    }
    if (p.count > 0) {
        if (prefix)
            snprintf(p.name, sizeof p.name, "%s.%zu.%s", prefix, block, row->name);
        else
            snprintf(p.name, sizeof p.name, "%s", row->name);
        size_t end, bytes;
        /* The class token is not padded, so that the registers follow it at once. */
        const size_t align = row->field == TABLE(cls) && !prefix && r->dims[DIM_REG] ? 1 : 16;
        if (!sl_size_add(p.offset, p.count, &end) || !sl_size_align(end, align, &end) ||
            !sl_size_mul(end, sizeof(float), &bytes))
            SL_FAIL(SL_ERR_CONFIG, "the parameters of the model do not fit into memory");
        t->floats = end;
        index = t->n;
        t->params[t->n++] = p;
    }
    memcpy((char *)indices + row->field, &index, sizeof index);
    return SL_OK;
}

sl_status sl_param_table_build(const struct sl_vit_config *vit, struct sl_param_table *table)
{
    SL_TRY(sl_vit_check(vit));
    if (vit->classes == 0)
        SL_FAIL(SL_ERR_CONFIG, "the model has no classes; they are taken from the data set");
    struct resolved r;
    SL_TRY(resolve(vit, &r));
    struct sl_param_table t = {0};
    size_t capacity;
    if (!sl_size_mul(vit->depth, COUNT(block_rows), &capacity) ||
        !sl_size_add(capacity, COUNT(stem_rows) + COUNT(head_rows), &capacity))
        SL_FAIL(SL_ERR_CONFIG, "model depth %zu is too large", vit->depth);
    sl_status st = SL_OK;
    SL_TRY_FREE(SL_NEW(t.params, capacity));
    SL_TRY_FREE(SL_NEW(t.blocks, vit->depth));
    for (size_t i = 0; i < COUNT(stem_rows); i++)
        SL_TRY_FREE(add_row(&t, &stem_rows[i], &r, NULL, 0, &t));
    for (size_t l = 0; l < vit->depth; l++)
        for (size_t i = 0; i < COUNT(block_rows); i++)
            SL_TRY_FREE(add_row(&t, &block_rows[i], &r, "blocks", l, &t.blocks[l]));
    for (size_t i = 0; i < COUNT(head_rows); i++)
        SL_TRY_FREE(add_row(&t, &head_rows[i], &r, NULL, 0, &t));
    *table = t;
    return SL_OK;
fail:
    sl_param_table_free(&t);
    return st;
}

void sl_param_table_free(struct sl_param_table *table)
{
    if (!table)
        return;
    sl_free(table->params);
    sl_free(table->blocks);
    *table = (struct sl_param_table){0};
}

/* FNV-1a: the address of a tensor's stream is its name. */
static uint64_t name_address(const char *name)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001B3u;
    return h;
}

/* Standard deviation of a standard normal truncated at 2: a truncated draw divided by it has
 * variance 1 (recipe of flax' lecun_normal). */
#define TRUNCATED_STD 0.87962566103423978

static double draw(const struct sl_param *p, sl_rng *rng)
{
    switch (p->init) {
    case SL_INIT_ZEROS:
        return 0.0;
    case SL_INIT_ONES:
        return 1.0;
    case SL_INIT_CONSTANT:
        return p->value;
    case SL_INIT_XAVIER:
        return p->value * (2.0 * sl_rng_uniform(rng) - 1.0);
    case SL_INIT_LECUN:
        return p->value / TRUNCATED_STD * sl_rng_truncated_normal(rng, 2.0);
    case SL_INIT_NORMAL:
        return p->value * sl_rng_normal(rng);
    }
    return 0.0;
}

void sl_param_init(const struct sl_param_table *table, uint64_t seed, float *params)
{
    memset(params, 0, table->floats * sizeof *params);
    for (size_t i = 0; i < table->n; i++) {
        const struct sl_param *p = &table->params[i];
        sl_rng rng = sl_rng_at(seed, SL_RNG_INIT, name_address(p->name), 0);
        for (size_t e = 0; e < p->count; e++)
            params[p->offset + e] = (float)draw(p, &rng);
    }
}

size_t sl_param_count(const struct sl_param_table *table)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n; i++)
        n += table->params[i].count;
    return n;
}
