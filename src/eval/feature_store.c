/*
 * Features kept on disk: one safetensors file, two tensors for each data set, under a key that is a
 * digest of weights, preprocessing and data. What does not match is computed anew, never used.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "eval/probe.h"
#include "format/safetensors.h"

struct entry {
    char *key;
    size_t n, width;
    float *features; /* [n, width] */
    int32_t *labels; /* [n] */
};

struct sl_feature_store {
    char *path;
    struct entry *entries; /* [n] */
    size_t n;
};

static const char features_suffix[] = ".features", labels_suffix[] = ".labels";

static const struct entry *find(const struct sl_feature_store *store, const char *key)
{
    for (size_t i = 0; i < store->n; i++)
        if (strcmp(store->entries[i].key, key) == 0)
            return &store->entries[i];
    return NULL;
}

/* A new entry with room for n rows; the store has room for its pointers. */
static sl_status make_entry(const char *key, size_t n, size_t width, struct entry *e)
{
    e->n = n;
    e->width = width;
    e->key = sl_strdup(key);
    SL_TRY(e->key ? SL_OK : SL_ERR_MEMORY);
    SL_TRY(SL_NEW(e->features, n * width));
    return SL_NEW(e->labels, n);
}

static void free_entry(struct entry *e)
{
    sl_free(e->key);
    sl_free(e->features);
    sl_free(e->labels);
}

/* ---- reading ---- */

static sl_status check_labels(const struct sl_feature_store *store, const struct entry *e)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->labels[i] < -1)
            SL_FAIL(SL_ERR_DATA, "%s: label %d of image %zu; remove the file, it is made anew",
                    store->path, e->labels[i], i);
    return SL_OK;
}

/* The entry whose features are tensor t. */
static sl_status read_entry(struct sl_feature_store *store, const struct sl_safetensors *file,
                            const struct sl_st_tensor *t, struct entry *e)
{
    char key[SL_DIGEST_SIZE] = "", labels_name[64];
    const size_t length = strlen(t->name) - strlen(features_suffix);
    memcpy(key, t->name, length < sizeof key ? length : sizeof key - 1);
    snprintf(labels_name, sizeof labels_name, "%s%s", key, labels_suffix);
    const struct sl_st_tensor *labels = sl_st_find(file, labels_name);
    if (length != sizeof key - 1 || t->dtype != SL_ST_F32 || t->rank != 2 || !labels ||
        labels->dtype != SL_ST_I32 || labels->rank != 1 || labels->shape[0] != t->shape[0])
        SL_FAIL(SL_ERR_DATA,
                "%s: tensor '%s' is not what `softless probe --features` writes; "
                "give another file",
                store->path, t->name);
    SL_TRY(make_entry(key, t->shape[0], t->shape[1], e));
    SL_TRY(sl_st_read(file, t, e->features, e->n * e->width * sizeof(float)));
    SL_TRY(sl_st_read(file, labels, e->labels, e->n * sizeof *e->labels));
    return check_labels(store, e);
}

static sl_status read_all(struct sl_feature_store *store)
{
    struct sl_safetensors file;
    SL_TRY(sl_st_open(store->path, &file));
    sl_status st = sl_st_check_digest(&file);
    if (st == SL_OK)
        st = SL_NEW(store->entries, file.n + 1);
    for (size_t i = 0; i < file.n && st == SL_OK; i++) {
        if (sl_ends_with(file.tensors[i].name, features_suffix))
            st = read_entry(store, &file, &file.tensors[i], &store->entries[store->n++]);
        else if (!sl_ends_with(file.tensors[i].name, labels_suffix))
            st = sl_error_set(SL_ERR_DATA,
                              "%s: tensor '%s' is not what `softless probe --features` writes; "
                              "give another file",
                              store->path, file.tensors[i].name);
    }
    sl_st_close(&file);
    return st;
}

sl_status sl_feature_store_open(const char *path, struct sl_feature_store **store)
{
    struct sl_feature_store *s = NULL;
    sl_status st = SL_OK;
    SL_TRY_FREE(SL_NEW(s, 1));
    s->path = sl_strdup(path);
    SL_TRY_FREE(s->path ? SL_OK : SL_ERR_MEMORY);
    if (sl_is_file(path))
        SL_TRY_FREE(read_all(s));
    *store = s;
    return SL_OK;
fail:
    sl_feature_store_free(&s);
    return st;
}

sl_status sl_feature_store_get(const struct sl_feature_store *store, const char *key, size_t n,
                               size_t width, float *features, int32_t *labels, bool *found)
{
    const struct entry *e = find(store, key);
    if (e && (e->n != n || e->width != width))
        SL_FAIL(SL_ERR_DATA,
                "%s: %zu x %zu features under %s, %zu x %zu are expected; remove the "
                "file, it is made anew",
                store->path, e->n, e->width, key, n, width);
    if (e) {
        memcpy(features, e->features, n * width * sizeof *features);
        memcpy(labels, e->labels, n * sizeof *labels);
    }
    *found = e != NULL;
    return SL_OK;
}

/* ---- writing ---- */

static sl_status write_all(const struct sl_feature_store *store)
{
    struct sl_st_out *out = NULL;
    char(*names)[64] = NULL;
    char *part = sl_asprintf("%s.part", store->path);
    sl_status st = part ? SL_OK : SL_ERR_MEMORY;
    if (st == SL_OK)
        st = SL_NEW(out, 2 * store->n);
    if (st == SL_OK)
        st = SL_NEW(names, 2 * store->n);
    for (size_t i = 0; i < store->n && st == SL_OK; i++) {
        const struct entry *e = &store->entries[i];
        snprintf(names[2 * i], sizeof names[0], "%s%s", e->key, features_suffix);
        snprintf(names[2 * i + 1], sizeof names[0], "%s%s", e->key, labels_suffix);
        out[2 * i] = (struct sl_st_out){
            .name = names[2 * i], .dtype = SL_ST_F32, .rank = 2, .data = e->features};
        out[2 * i].shape[0] = e->n;
        out[2 * i].shape[1] = e->width;
        out[2 * i + 1] = (struct sl_st_out){
            .name = names[2 * i + 1], .dtype = SL_ST_I32, .rank = 1, .data = e->labels};
        out[2 * i + 1].shape[0] = e->n;
    }
    if (st == SL_OK) {
        sl_io.unlink(part); /* left over from a killed process; absent is fine */
        st = sl_st_write(part, out, 2 * store->n, NULL, 0, NULL, NULL);
    }
    if (st == SL_OK)
        st = sl_rename_sync(part, store->path);
    sl_free(out);
    sl_free(names);
    sl_free(part);
    return st;
}

sl_status sl_feature_store_put(struct sl_feature_store *store, const char *key, size_t n,
                               size_t width, const float *features, const int32_t *labels)
{
    struct entry *grown =
        sl_regrow(store->entries, store->entries ? store->n : 0, store->n + 1, sizeof *grown);
    if (!grown)
        return SL_ERR_MEMORY;
    store->entries = grown;
    struct entry *e = &store->entries[store->n];
    const sl_status st = make_entry(key, n, width, e);
    if (st != SL_OK) {
        free_entry(e);
        return st;
    }
    store->n++;
    memcpy(e->features, features, n * width * sizeof *features);
    memcpy(e->labels, labels, n * sizeof *labels);
    return write_all(store);
}

void sl_feature_store_free(struct sl_feature_store **store)
{
    if (!store || !*store)
        return;
    for (size_t i = 0; i < (*store)->n; i++)
        free_entry(&(*store)->entries[i]);
    sl_free((*store)->entries);
    sl_free((*store)->path);
    sl_free(*store);
    *store = NULL;
}
