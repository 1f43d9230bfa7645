/*
 * From a foreign file to a model of ours: the architecture is read off the shapes, then every
 * parameter of our table is put together from the tensors that a row of the table below names.
 * MODEL.md gives our layouts; big_vision's are its own, torch's are ours.
 */
#include "model/import.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/log.h"
#include "base/text.h"
#include "model/foreign.h"
#include "model/posemb.h"

#define BLOCK "Transformer/encoderblock_#/"
#define ATT BLOCK "MultiHeadDotProductAttention_0/"
#define MAP "MAPHead_0/"
#define MAP_ATT MAP "MultiHeadDotProductAttention_0/"

enum form {
    COPY,   /* the sources, one after another */
    KERNEL, /* [in, out] each, transposed to [out, in] */
    CONV    /* [P, P, 3, D] -> [D, 3, P, P] */
};

/* How a parameter is put together; # stands for the block's number. */
struct recipe_row {
    const char *ours, *sources[3];
    enum form form;
};

static const struct recipe_row big_vision[] = {
    {"patch_embed.proj.weight", {"embedding/kernel"}, CONV},
    {"patch_embed.proj.bias", {"embedding/bias"}, COPY},
    {"cls_token", {"cls"}, COPY},
    {"blocks.#.norm1.weight", {BLOCK "LayerNorm_0/scale"}, COPY},
    {"blocks.#.norm1.bias", {BLOCK "LayerNorm_0/bias"}, COPY},
    {"blocks.#.attn.qkv.weight",
     {ATT "query/kernel", ATT "key/kernel", ATT "value/kernel"},
     KERNEL},
    {"blocks.#.attn.qkv.bias", {ATT "query/bias", ATT "key/bias", ATT "value/bias"}, COPY},
    {"blocks.#.attn.q_norm.weight", {ATT "query_ln/scale"}, COPY},
    {"blocks.#.attn.k_norm.weight", {ATT "key_ln/scale"}, COPY},
    {"blocks.#.attn.proj.weight", {ATT "out/kernel"}, KERNEL},
    {"blocks.#.attn.proj.bias", {ATT "out/bias"}, COPY},
    {"blocks.#.norm2.weight", {BLOCK "LayerNorm_1/scale"}, COPY},
    {"blocks.#.norm2.bias", {BLOCK "LayerNorm_1/bias"}, COPY},
    {"blocks.#.mlp.fc1.weight", {BLOCK "MlpBlock_0/Dense_0/kernel"}, KERNEL},
    {"blocks.#.mlp.fc1.bias", {BLOCK "MlpBlock_0/Dense_0/bias"}, COPY},
    {"blocks.#.mlp.fc2.weight", {BLOCK "MlpBlock_0/Dense_1/kernel"}, KERNEL},
    {"blocks.#.mlp.fc2.bias", {BLOCK "MlpBlock_0/Dense_1/bias"}, COPY},
    {"norm.weight", {"Transformer/encoder_norm/scale"}, COPY},
    {"norm.bias", {"Transformer/encoder_norm/bias"}, COPY},
    {"attn_pool.latent", {MAP "probe"}, COPY},
    {"attn_pool.q.weight", {MAP_ATT "query/kernel"}, KERNEL},
    {"attn_pool.q.bias", {MAP_ATT "query/bias"}, COPY},
    {"attn_pool.kv.weight", {MAP_ATT "key/kernel", MAP_ATT "value/kernel"}, KERNEL},
    {"attn_pool.kv.bias", {MAP_ATT "key/bias", MAP_ATT "value/bias"}, COPY},
    {"attn_pool.proj.weight", {MAP_ATT "out/kernel"}, KERNEL},
    {"attn_pool.proj.bias", {MAP_ATT "out/bias"}, COPY},
    {"attn_pool.norm.weight", {MAP "LayerNorm_0/scale"}, COPY},
    {"attn_pool.norm.bias", {MAP "LayerNorm_0/bias"}, COPY},
    {"attn_pool.mlp.fc1.weight", {MAP "MlpBlock_0/Dense_0/kernel"}, KERNEL},
    {"attn_pool.mlp.fc1.bias", {MAP "MlpBlock_0/Dense_0/bias"}, COPY},
    {"attn_pool.mlp.fc2.weight", {MAP "MlpBlock_0/Dense_1/kernel"}, KERNEL},
    {"attn_pool.mlp.fc2.bias", {MAP "MlpBlock_0/Dense_1/bias"}, COPY},
    {"pre_logits.fc.weight", {"pre_logits/kernel"}, KERNEL},
    {"pre_logits.fc.bias", {"pre_logits/bias"}, COPY},
    {"head.weight", {"head/kernel"}, KERNEL},
    {"head.bias", {"head/bias"}, COPY},
};

/* What only the trainers of these files use. */
static const char *const ignored[] = {"mask_token"};

/* ---- the architecture ---- */

/* Names of the tensors that tell the architecture, and the axis that does. */
struct anatomy {
    const char *patch;
    size_t patch_width, patch_side; /* axes */
    const char *fc1;
    size_t mlp;
    const char *block, *q_norm, *q_norm_bias, *cls, *pos, *registers, *map, *pre, *layer_scale,
        *head;
    size_t classes;
};
static const struct anatomy anatomies[] = {
    [SL_FAMILY_BIG_VISION] = {"embedding/kernel", 3, 0, BLOCK "MlpBlock_0/Dense_0/kernel", 1,
                              BLOCK "LayerNorm_0/scale", ATT "query_ln/scale", ATT "query_ln/bias",
                              "cls", "pos_embedding", "", MAP "probe", "pre_logits/kernel", "",
                              "head/kernel", 1},
    [SL_FAMILY_TORCH] = {"patch_embed.proj.weight", 0, 2, "blocks.#.mlp.fc1.weight", 0,
                         "blocks.#.norm1.weight", "blocks.#.attn.q_norm.weight",
                         "blocks.#.attn.q_norm.bias", "cls_token", "pos_embed", "reg_token",
                         "attn_pool.latent", "pre_logits.fc.weight", "blocks.#.ls1.gamma",
                         "head.weight", 0},
};

/* The name with the block's number in the place of #. */
static struct sl_foreign_tensor *find(const struct sl_foreign *f, const char *pattern, size_t block)
{
    char name[SL_ST_NAME_MAX];
    const char *mark = strchr(pattern, '#');
    if (!mark)
        return sl_foreign_find(f, pattern);
    snprintf(name, sizeof name, "%.*s%zu%s", (int)(mark - pattern), pattern, block, mark + 1);
    return sl_foreign_find(f, name);
}

static sl_status need(const struct sl_foreign *f, const char *pattern, size_t rank,
                      const struct sl_foreign_tensor **t)
{
    *t = find(f, pattern, 0);
    if (!*t)
        SL_FAIL(SL_ERR_DATA, "%s: no tensor %s: not a Vision Transformer of a known layout",
                f->path, pattern);
    if ((*t)->rank != rank)
        SL_FAIL(SL_ERR_DATA, "%s: tensor %s has %zu axes, not %zu", f->path, (*t)->name, (*t)->rank,
                rank);
    return SL_OK;
}

static sl_status find_heads(const struct sl_foreign *f, size_t given, struct sl_vit_config *v)
{
    const struct sl_foreign_tensor *q;
    v->heads = given;
    if (f->family == SL_FAMILY_BIG_VISION) {
        SL_TRY(need(f, ATT "query/kernel", 3, &q));
        v->heads = q->shape[1];
    } else if ((q = find(f, anatomies[f->family].q_norm, 0)) && q->count > 0) {
        v->heads = v->width / q->count;
    }
    if (v->heads == 0)
        SL_FAIL(SL_ERR_ARGUMENT,
                "%s: the number of heads cannot be read off the file; give --heads (timm's and "
                "torchvision's ViTs have width / 64 of them: %zu)",
                f->path, v->width / 64);
    if (given && v->heads != given)
        SL_FAIL(SL_ERR_ARGUMENT, "%s: the file has %zu heads, not %zu", f->path, v->heads, given);
    return SL_OK;
}

/* Rows of a position table: `extra` class and register rows, then a grid. */
struct positions {
    struct sl_foreign_tensor *t;
    size_t extra, height, width;
};

static size_t square_side(size_t n)
{
    const size_t side = (size_t)lround(sqrt((double)n));
    return side * side == n ? side : 0;
}

static sl_status find_positions(const struct sl_foreign *f, const struct sl_vit_config *v,
                                struct positions *p)
{
    const struct anatomy *names = &anatomies[f->family];
    const size_t prefix = (v->pool == SL_POOL_TOK) + v->registers;
    *p = (struct positions){.t = sl_foreign_find(f, names->pos)};
    if (!p->t)
        return SL_OK;
    const size_t rank = p->t->rank, rows = rank >= 2 ? p->t->shape[rank - 2] : 0;
    if (rank < 2 || p->t->shape[rank - 1] != v->width || p->t->count != rows * v->width)
        SL_FAIL(SL_ERR_DATA, "%s: tensor %s is not [1, tokens, %zu]", f->path, names->pos,
                v->width);
    p->height = p->width = square_side(rows);
    if (!p->height && rows > prefix) {
        p->extra = prefix;
        p->height = p->width = square_side(rows - prefix);
    }
    if (!p->height)
        SL_FAIL(SL_ERR_DATA, "%s: %zu positions are no square grid", f->path, rows);
    return SL_OK;
}

static sl_status find_image(const struct sl_foreign *f, const struct sl_import *o,
                            struct sl_vit_config *v)
{
    struct positions p;
    SL_TRY(find_positions(f, v, &p));
    if (!p.t && f->family == SL_FAMILY_TORCH)
        SL_FAIL(SL_ERR_DATA, "%s: no position embedding; rotary positions are not supported",
                f->path);
    if (!p.t && !o->image_height)
        SL_FAIL(SL_ERR_ARGUMENT,
                "%s: its positions are computed, so the image size is not in the file; give "
                "--image-size",
                f->path);
    v->posemb = p.t ? SL_POSEMB_LEARN : SL_POSEMB_SINCOS2D;
    v->image_height = o->image_height ? o->image_height : p.height * v->patch;
    v->image_width = o->image_width ? o->image_width : p.width * v->patch;
    return SL_OK;
}

static sl_status read_architecture(const struct sl_foreign *f, const struct sl_import *o,
                                   struct sl_vit_config *vit)
{
    const struct anatomy *names = &anatomies[f->family];
    const struct sl_foreign_tensor *patch, *fc1, *head, *registers;
    struct sl_config defaults;
    if (sl_foreign_find(f, "fc_norm.weight"))
        SL_FAIL(SL_ERR_DATA,
                "%s: normalises after pooling (fc_norm), another function than this program's norm "
                "before it",
                f->path);
    SL_TRY(need(f, names->patch, 4, &patch));
    SL_TRY(need(f, names->fc1, 2, &fc1));
    head = sl_foreign_find(f, names->head);
    registers = sl_foreign_find(f, names->registers);
    sl_config_defaults(&defaults);
    struct sl_vit_config v = defaults.model;
    v.phi = SL_PHI_SOFTMAX;
    v.norm_eps = 1e-6;
    v.gelu = f->family == SL_FAMILY_BIG_VISION ? SL_GELU_TANH : SL_GELU_ERF;
    v.width = patch->shape[names->patch_width];
    v.patch = patch->shape[names->patch_side];
    v.mlp = fc1->shape[names->mlp];
    v.depth = 0;
    while (find(f, names->block, v.depth))
        v.depth++;
    v.classes = head && head->rank == 2 ? head->shape[names->classes] : 1;
    v.pool = sl_foreign_find(f, names->map)   ? SL_POOL_MAP
             : sl_foreign_find(f, names->cls) ? SL_POOL_TOK
                                              : SL_POOL_GAP;
    v.registers = registers && registers->rank == 3 ? registers->shape[1] : 0;
    v.rep_size = sl_foreign_find(f, names->pre) != NULL;
    v.layer_scale = find(f, names->layer_scale, 0) ? 1 : 0;
    v.qk_norm = !find(f, names->q_norm, 0)       ? SL_QK_NORM_NONE
                : find(f, names->q_norm_bias, 0) ? SL_QK_NORM_LAYERNORM_BIAS
                                                 : SL_QK_NORM_LAYERNORM;
    if (f->family == SL_FAMILY_TORCH && v.pool == SL_POOL_MAP &&
        (v.registers > 0 || sl_foreign_find(f, names->cls)))
        SL_FAIL(SL_ERR_DATA,
                "%s: its attention pooling leaves class and register tokens out; here it sees all",
                f->path);
    SL_TRY(find_heads(f, o->heads, &v));
    SL_TRY(find_image(f, o, &v));
    SL_TRY(sl_vit_check(&v));
    v.train_length = (double)sl_vit_tokens(&v);
    *vit = v;
    return SL_OK;
}

/* ---- parameters ---- */

/* One import under way. */
struct import {
    struct sl_foreign file;
    const struct sl_import *options;
    const struct sl_vit_config *vit;
    const struct sl_param_table *table;
    float *params;
    float *buffer; /* room for the largest tensor */
};

/* "blocks.12.norm1.weight" -> row "blocks.#.norm1.weight" and 12. */
static bool matches(const char *pattern, const char *name, size_t *block)
{
    const char *mark = strchr(pattern, '#');
    if (!mark)
        return strcmp(pattern, name) == 0;
    const size_t head = (size_t)(mark - pattern);
    if (strncmp(pattern, name, head) != 0)
        return false;
    size_t n = 0;
    const char *at = name + head;
    for (; *at >= '0' && *at <= '9'; at++)
        n = 10 * n + (size_t)(*at - '0');
    *block = n;
    return strcmp(at, mark + 1) == 0;
}

/* dst [out, in] = src [in, out] transposed; for CONV in = (y, x, c) here, (c, y, x) there. */
static void transpose(const float *src, size_t in, size_t out, enum form form, float *dst)
{
    const size_t side2 = in / 3;
    for (size_t i = 0; i < in; i++) {
        const size_t to = form == CONV ? i % 3 * side2 + i / 3 : i;
        for (size_t j = 0; j < out; j++)
            dst[j * in + to] = src[i * out + j];
    }
}

/* Counts alone would let a transposed tensor pass: torch's shapes are ours, and the first axes of a
 * kernel make up what goes in. */
static bool fits(const struct sl_foreign_tensor *t, const struct sl_param *p, enum form form,
                 enum sl_family family)
{
    const size_t in = p->count / p->shape[0];
    size_t axis = 0, leading = 1;
    if (family == SL_FAMILY_TORCH)
        return t->rank == p->rank && memcmp(t->shape, p->shape, p->rank * sizeof *p->shape) == 0;
    if (form == COPY)
        return true;
    while (axis < t->rank && leading < in)
        leading *= t->shape[axis++];
    return leading == in;
}

static sl_status assemble(struct import *im, const struct sl_param *p, const struct recipe_row *row,
                          size_t block)
{
    enum { SOURCES = sizeof row->sources / sizeof *row->sources };
    struct sl_foreign *f = &im->file;
    float *dst = im->params + p->offset;
    size_t parts = 0, done = 0;
    while (parts < SOURCES && row->sources[parts])
        parts++;
    for (size_t i = 0; i < parts; i++) {
        struct sl_foreign_tensor *t = find(f, row->sources[i], block);
        if (!t)
            SL_FAIL(SL_ERR_DATA, "%s: no tensor for %s (%s)", f->path, p->name, row->sources[i]);
        if (t->count * parts != p->count || !fits(t, p, row->form, f->family))
            SL_FAIL(SL_ERR_DATA, "%s: tensor %s with %zu numbers does not fit %s, which needs %zu",
                    f->path, t->name, t->count, p->name, p->count / parts);
        if (row->form == COPY) {
            SL_TRY(sl_foreign_read(f, t, dst + done));
        } else {
            const size_t out = p->shape[0] / parts, in = p->count / p->shape[0];
            SL_TRY(sl_foreign_read(f, t, im->buffer));
            transpose(im->buffer, in, out, row->form, dst + done);
        }
        done += t->count;
    }
    return SL_OK;
}

static sl_status read_param(struct import *im, const struct sl_param *p)
{
    const struct recipe_row same = {.ours = p->name, .sources = {p->name}, .form = COPY};
    size_t block = 0;
    if (im->file.family == SL_FAMILY_TORCH)
        return assemble(im, p, &same, 0);
    for (size_t i = 0; i < sizeof big_vision / sizeof *big_vision; i++)
        if (matches(big_vision[i].ours, p->name, &block))
            return assemble(im, p, &big_vision[i], block);
    SL_FAIL(SL_ERR_DATA, "%s: big_vision's files have no tensor for %s", im->file.path, p->name);
}

/* Rows before the grid are part of the class and register tokens; the grid is resampled. */
static sl_status read_positions(struct import *im)
{
    const struct sl_vit_config *v = im->vit;
    const struct sl_param_table *table = im->table;
    const size_t h = v->image_height / v->patch, w = v->image_width / v->patch, D = v->width;
    struct positions p;
    SL_TRY(find_positions(&im->file, v, &p));
    if (table->pos == SIZE_MAX)
        return SL_OK;
    SL_TRY(sl_foreign_read(&im->file, p.t, im->buffer));
    const size_t first = table->cls != SIZE_MAX ? table->cls : table->reg;
    for (size_t i = 0; i < p.extra * D; i++) /* reg_token follows cls_token at once */
        im->params[table->params[first].offset + i] += im->buffer[i];
    enum sl_posemb_filter filter =
        im->file.family == SL_FAMILY_BIG_VISION ? SL_POSEMB_ALIGNED : SL_POSEMB_BICUBIC;
    if (im->options->positions)
        SL_TRY(sl_posemb_filter_find(im->options->positions, &filter));
    if (p.height != h || p.width != w)
        sl_log(SL_LOG_INFO, "%s: positions of %zu x %zu patches resampled to %zu x %zu (%s)",
               im->file.path, p.height, p.width, h, w, sl_posemb_description(filter));
    return sl_posemb_resample(filter, im->buffer + p.extra * D, p.height, p.width,
                              im->params + table->params[table->pos].offset, h, w, D);
}

/* W (x - mean) / std + b as W' v + b', where x = (v + 1) / 2. */
static void fold_normalisation(struct import *im)
{
    const struct sl_import *o = im->options;
    const size_t side2 = im->vit->patch * im->vit->patch;
    float *w = im->params + im->table->params[im->table->patch_w].offset;
    float *b = im->params + im->table->params[im->table->patch_b].offset;
    for (size_t j = 0; j < im->vit->width; j++) {
        double shift = 0;
        for (size_t c = 0; c < 3; c++)
            for (size_t i = 0; i < side2; i++, w++) {
                shift += *w * (0.5 - o->mean[c]) / o->std[c];
                *w = (float)(*w * 0.5 / o->std[c]);
            }
        b[j] = (float)(b[j] + shift);
    }
}

static sl_status check_used(const struct sl_foreign *f)
{
    sl_text names = {0};
    size_t n = 0;
    char *list = NULL, escaped[SL_ESCAPED_SIZE];
    for (size_t i = 0; i < f->n; i++) {
        const struct sl_foreign_tensor *t = &f->tensors[i];
        bool known = t->used;
        for (size_t k = 0; k < sizeof ignored / sizeof *ignored; k++)
            known |= strcmp(t->name, ignored[k]) == 0;
        if (known)
            continue;
        if (n++ < 12)
            sl_text_addf(&names, "%s%s", n > 1 ? ", " : "",
                         sl_escape(t->name, strlen(t->name), escaped));
    }
    if (n == 0)
        return SL_OK;
    SL_TRY(sl_text_take(&names, &list));
    const sl_status st = sl_error_set(
        SL_ERR_DATA, "%s: %zu tensors have no place in the model: %.800s", f->path, n, list);
    sl_free(list);
    return st;
}

static sl_status read_params(struct import *im)
{
    size_t largest = 0;
    const size_t head = im->table->head_w;
    for (size_t i = 0; i < im->file.n; i++)
        if (im->file.tensors[i].count > largest)
            largest = im->file.tensors[i].count;
    SL_TRY(SL_NEW(im->buffer, largest + 1));
    const bool headless = !sl_foreign_find(&im->file, anatomies[im->file.family].head);
    if (headless)
        sl_log(SL_LOG_WARN, "%s has no head: one class with zero weights is put in its place",
               im->file.path);
    for (size_t i = 0; i < im->table->n; i++) {
        const bool absent = headless && (i == head || i == im->table->head_b);
        if (!absent && i != im->table->pos)
            SL_TRY(read_param(im, &im->table->params[i]));
    }
    SL_TRY(read_positions(im));
    fold_normalisation(im);
    return check_used(&im->file);
}

sl_status sl_import_read(const char *path, const struct sl_import *options,
                         struct sl_vit_config *vit, struct sl_param_table *table, float **params)
{
    struct sl_vit_config v;
    struct sl_param_table t = {0};
    struct import im = {.options = options, .vit = &v, .table = &t};
    sl_status st;
    SL_TRY(sl_foreign_open(path, options->part, &im.file));
    SL_TRY_FREE(read_architecture(&im.file, options, &v));
    SL_TRY_FREE(sl_param_table_build(&v, &t));
    SL_TRY_FREE(SL_NEW(im.params, t.floats));
    SL_TRY_FREE(read_params(&im));
    *vit = v;
    *table = t;
    *params = im.params;
    sl_free(im.buffer);
    sl_foreign_close(&im.file);
    return SL_OK;
fail:
    sl_free(im.buffer);
    sl_free(im.params);
    sl_param_table_free(&t);
    sl_foreign_close(&im.file);
    return st;
}
