/*
 * Foreign weight files under one set of names. What changed over the years (prefixes, counters of
 * flax's old modules, stacked blocks, a pooling head at the top level, torchvision's own words) is
 * a table of rewrites here, so that import.c sees one spelling.
 */
#include "model/foreign.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/text.h"
#include "model/model.h"

#define MHA "MultiHeadDotProductAttention_"
#define BLOCK "Transformer/encoderblock"

/* `from` at the start of a name, or anywhere in it, becomes `to`; all rows are tried in order. */
struct rewrite {
    const char *from, *to;
    bool anywhere;
};

static const struct rewrite big_vision[] = {
    {"Transformer/posembed_input/pos_embedding", "pos_embedding", false},
    {"Transformer/pos_embedding", "pos_embedding", false},
    {"probe", "MAPHead_0/probe", false},
    {"MlpBlock_0/", "MAPHead_0/MlpBlock_0/", false},
    {MHA "0/", "MAPHead_0/" MHA "0/", false},
    {"LayerNorm_0/", "MAPHead_0/LayerNorm_0/", false},
    {"/" MHA "1/", "/" MHA "0/", true},
    {"/MlpBlock_3/", "/MlpBlock_0/", true},
    {"/LayerNorm_2/", "/LayerNorm_1/", true},
};

static const struct rewrite torch[] = {
    {"class_token", "cls_token", false},
    {"conv_proj.", "patch_embed.proj.", false},
    {"encoder.pos_embedding", "pos_embed", false},
    {"encoder.layers.encoder_layer_", "blocks.", false},
    {"encoder.ln.", "norm.", false},
    {"heads.head.", "head.", false},
    {".ln_1.", ".norm1.", true},
    {".ln_2.", ".norm2.", true},
    {".self_attention.in_proj_", ".attn.qkv.", true},
    {".self_attention.out_proj.", ".attn.proj.", true},
    {".mlp.linear_1.", ".mlp.fc1.", true},
    {".mlp.linear_2.", ".mlp.fc2.", true},
    {".mlp.0.", ".mlp.fc1.", true},
    {".mlp.3.", ".mlp.fc2.", true},
};

/* The name after all rewrites; NULL when memory is out. */
static char *rewritten(const char *name, const struct rewrite *rules, size_t n)
{
    char *now = sl_strdup(name);
    for (size_t i = 0; now && i < n; i++) {
        const struct rewrite *r = &rules[i];
        const char *at = r->anywhere ? strstr(now, r->from) : now;
        if (!at || strncmp(at, r->from, strlen(r->from)) != 0)
            continue;
        char *next = sl_asprintf("%.*s%s%s", (int)(at - now), now, r->to, at + strlen(r->from));
        sl_free(now);
        now = next;
    }
    return now;
}

/* ---- npz ---- */

/* Prefixes under which trainers have put the parameters. */
static const char *const prefixes[] = {"", "params/", "opt/target/"};

static sl_status find_prefix(const struct sl_foreign *f, const char *part, char **prefix)
{
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        char *try = sl_asprintf("%s%s%s", prefixes[i], part ? part : "", part ? "/" : "");
        char *probe = try ? sl_asprintf("%sembedding/kernel", try) : NULL;
        if (!probe) {
            sl_free(try);
            return SL_ERR_MEMORY;
        }
        const bool found = sl_npz_find(&f->npz, probe) != NULL;
        sl_free(probe);
        if (found) {
            *prefix = try;
            return SL_OK;
        }
        sl_free(try);
    }
    SL_FAIL(SL_ERR_DATA,
            "%s: no Vision Transformer of big_vision's (no embedding/kernel%s%s); name the part of "
            "the file that holds one, e.g. --part img",
            f->path, part ? " under " : "", part ? part : "");
}

/* One array as one tensor, or one of a stack of blocks as one per block. */
static sl_status add_array(struct sl_foreign *f, const struct sl_npz_array *a, const char *name)
{
    const size_t head = strlen(BLOCK);
    const bool stacked = strncmp(name, BLOCK "/", head + 1) == 0 && a->rank > 0 && a->shape[0] > 0;
    const size_t n = stacked ? a->shape[0] : 1;
    if (n > SL_ST_TENSORS_MAX - f->n)
        SL_FAIL(SL_ERR_DATA, "%s: more than %d tensors", f->path, SL_ST_TENSORS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct sl_foreign_tensor *t = &f->tensors[f->n];
        char *unstacked = stacked ? sl_asprintf(BLOCK "_%zu%s", i, name + head) : sl_strdup(name);
        t->name = unstacked
                      ? rewritten(unstacked, big_vision, sizeof big_vision / sizeof *big_vision)
                      : NULL;
        sl_free(unstacked);
        if (!t->name)
            return SL_ERR_MEMORY;
        f->n++;
        t->array = a;
        t->layer = i;
        t->layers = stacked ? n : 0;
        t->rank = a->rank - stacked;
        t->count = a->count / n;
        memcpy(t->shape, a->shape + stacked, t->rank * sizeof *t->shape);
    }
    return SL_OK;
}

static sl_status list_npz(struct sl_foreign *f, const char *part)
{
    char *prefix = NULL;
    sl_status st = SL_OK;
    f->family = SL_FAMILY_BIG_VISION;
    SL_TRY(find_prefix(f, part, &prefix));
    SL_TRY_FREE(SL_NEW(f->tensors, SL_ST_TENSORS_MAX));
    for (size_t i = 0; i < f->npz.n; i++) {
        const struct sl_npz_array *a = &f->npz.arrays[i];
        if (strncmp(a->name, prefix, strlen(prefix)) == 0)
            SL_TRY_FREE(add_array(f, a, a->name + strlen(prefix)));
    }
fail:
    sl_free(prefix);
    return st;
}

/* ---- safetensors ---- */

static sl_status list_safetensors(struct sl_foreign *f, const char *part)
{
    const size_t skip = part ? strlen(part) + 1 : 0;
    f->family = SL_FAMILY_TORCH;
    SL_TRY(SL_NEW(f->tensors, f->st.n + 1));
    for (size_t i = 0; i < f->st.n; i++) {
        const struct sl_st_tensor *s = &f->st.tensors[i];
        struct sl_foreign_tensor *t = &f->tensors[f->n];
        if (part && (strncmp(s->name, part, skip - 1) != 0 || s->name[skip - 1] != '.'))
            continue;
        t->name = rewritten(s->name + skip, torch, sizeof torch / sizeof *torch);
        if (!t->name)
            return SL_ERR_MEMORY;
        f->n++;
        t->tensor = s;
        t->rank = s->rank;
        t->count = (size_t)((s->end - s->begin) / sl_st_dtype_size(s->dtype));
        memcpy(t->shape, s->shape, s->rank * sizeof *s->shape);
    }
    return SL_OK;
}

/* ---- both ---- */

static int by_name(const void *x, const void *y)
{
    const struct sl_foreign_tensor *a = x, *b = y;
    return strcmp(a->name, b->name);
}

static sl_status check_names(const struct sl_foreign *f)
{
    char escaped[SL_ESCAPED_SIZE];
    for (size_t i = 1; i < f->n; i++)
        if (strcmp(f->tensors[i].name, f->tensors[i - 1].name) == 0)
            SL_FAIL(SL_ERR_DATA, "%s: two tensors stand for %s", f->path,
                    sl_escape(f->tensors[i].name, strlen(f->tensors[i].name), escaped));
    return SL_OK;
}

sl_status sl_foreign_open(const char *path, const char *part, struct sl_foreign *out)
{
    struct sl_foreign f = {.path = path};
    sl_status st = SL_OK;
    if (sl_is_dir(path))
        SL_FAIL(
            SL_ERR_INPUT,
            "%s is a folder: a tensorstore or flax checkpoint must first be saved as one npz file",
            path);
    if (sl_ends_with(path, ".pt") || sl_ends_with(path, ".pth") || sl_ends_with(path, ".pkl"))
        SL_FAIL(SL_ERR_DATA, "%s: pickles can run code and are never read; save safetensors", path);
    f.is_npz = sl_ends_with(path, ".npz");
    SL_TRY(f.is_npz ? sl_npz_open(path, &f.npz) : sl_st_open(path, &f.st));
    if (!f.is_npz && sl_st_meta_get(&f.st, SL_WEIGHTS_KEY_MODEL))
        SL_TRY_FREE(
            sl_error_set(SL_ERR_DATA,
                         "%s: a weights file of softless, which needs no import; as a foreign "
                         "one it would lose its phi and options",
                         path));
    SL_TRY_FREE(f.is_npz ? list_npz(&f, part) : list_safetensors(&f, part));
    qsort(f.tensors, f.n, sizeof *f.tensors, by_name);
    SL_TRY_FREE(check_names(&f));
    *out = f;
    return SL_OK;
fail:
    sl_foreign_close(&f);
    return st;
}

void sl_foreign_close(struct sl_foreign *f)
{
    for (size_t i = 0; i < f->n; i++)
        sl_free(f->tensors[i].name);
    sl_free(f->tensors);
    f->is_npz ? sl_npz_close(&f->npz) : sl_st_close(&f->st);
    *f = (struct sl_foreign){0};
}

struct sl_foreign_tensor *sl_foreign_find(const struct sl_foreign *f, const char *name)
{
    const struct sl_foreign_tensor key = {.name = (char *)(uintptr_t)name};
    return f->n > 0 ? bsearch(&key, f->tensors, f->n, sizeof key, by_name) : NULL;
}

/* A slice of a stacked array is cut out of the whole, which is read for each block anew: stacks are
 * rare and a block's tensors small. */
static sl_status read_npz(const struct sl_foreign *f, const struct sl_foreign_tensor *t, float *dst)
{
    if (t->layers == 0)
        return sl_npz_read_f32(&f->npz, t->array, dst, t->count);
    float *all;
    SL_TRY(SL_NEW(all, t->array->count + 1));
    const sl_status st = sl_npz_read_f32(&f->npz, t->array, all, t->array->count);
    if (st == SL_OK)
        memcpy(dst, all + t->layer * t->count, t->count * sizeof *dst);
    sl_free(all);
    return st;
}

sl_status sl_foreign_read(const struct sl_foreign *f, struct sl_foreign_tensor *t, float *dst)
{
    t->used = true;
    SL_TRY(f->is_npz ? read_npz(f, t, dst) : sl_st_read_f32(&f->st, t->tensor, dst, t->count));
    for (size_t i = 0; i < t->count; i++)
        if (!isfinite(dst[i]))
            SL_FAIL(SL_ERR_DATA, "%s: tensor %s: element %zu is not finite", f->path, t->name, i);
    return SL_OK;
}
