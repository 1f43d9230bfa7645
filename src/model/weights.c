/*
 * Weights in and out: an arena of floats and its parameter table on one side, a safetensors file
 * with timm's names on the other. The file's metadata carries everything a prediction needs (model,
 * preprocessing, class names) and where the weights come from. Reading compares the table with the
 * file before a byte of data is taken and lists every difference in one error.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"
#include "format/json.h"
#include "format/safetensors.h"
#include "model/model.h"
#include "model/posemb.h"

/* softless.version: raised when older programs could misread a file. Older files load for ever. */
enum { VERSION = 1 };

#define KEY_VERSION "softless.version"
#define KEY_PREPROCESS "softless.preprocess"
#define KEY_CLASSES "softless.classes"
#define KEY_TRAIN "softless.train"

void sl_weights_meta_free(struct sl_weights_meta *meta)
{
    for (size_t i = 0; meta->classes && i < meta->vit.classes; i++)
        sl_free(meta->classes[i]);
    sl_free(meta->classes);
    meta->classes = NULL;
}

/* ---- metadata out ---- */

static sl_status classes_to_json(const struct sl_weights_meta *meta, char **json)
{
    sl_text t = {0};
    sl_text_add(&t, "[");
    for (size_t i = 0; i < meta->vit.classes; i++) {
        sl_text_add(&t, i ? "," : "");
        sl_text_add_json_string(&t, meta->classes[i]);
    }
    sl_text_add(&t, "]");
    return sl_text_take(&t, json);
}

static sl_status train_to_json(const struct sl_weights_meta *meta, char **json)
{
    sl_text t = {0};
    sl_text_addf(&t, "{\"step\":%" PRIu64 ",\"config\":", meta->step);
    sl_text_add_json_string(&t, meta->train_digest);
    sl_text_add(&t, "}");
    return sl_text_take(&t, json);
}

static sl_status write_with(const char *path, const struct sl_weights_meta *meta,
                            const struct sl_st_out *tensors, size_t n, char *digest, uint64_t *size)
{
    sl_status st;
    char *model = NULL, *preprocess = NULL, *train = NULL, *classes = NULL, *version = NULL;
    SL_TRY_FREE(sl_vit_to_json(&meta->vit, &model));
    SL_TRY_FREE(sl_preprocess_to_json(&meta->data, &preprocess));
    SL_TRY_FREE(train_to_json(meta, &train));
    version = sl_asprintf("%d", VERSION);
    SL_TRY_FREE(version ? SL_OK : SL_ERR_MEMORY);
    if (meta->classes)
        SL_TRY_FREE(classes_to_json(meta, &classes));
    const struct sl_st_meta entries[] = {
        {"format", "pt"}, /* Python's readers ask for it */
        {"license", "unspecified"},
        {KEY_VERSION, version},
        {SL_WEIGHTS_KEY_MODEL, model},
        {KEY_PREPROCESS, preprocess},
        {KEY_TRAIN, train},
        {KEY_CLASSES, classes}, /* last, because it may be absent */
    };
    const size_t n_entries = sizeof entries / sizeof *entries - (classes ? 0 : 1);
    st = sl_st_write(path, tensors, n, entries, n_entries, digest, size);
fail:
    sl_free(model);
    sl_free(preprocess);
    sl_free(train);
    sl_free(classes);
    sl_free(version);
    return st;
}

sl_status sl_weights_write(const char *path, const struct sl_weights_meta *meta,
                           const struct sl_param_table *table, const float *params, char *digest,
                           uint64_t *size)
{
    struct sl_st_out *tensors;
    SL_TRY(SL_NEW(tensors, table->n));
    for (size_t i = 0; i < table->n; i++) {
        const struct sl_param *p = &table->params[i];
        tensors[i] = (struct sl_st_out){
            .name = p->name, .dtype = SL_ST_F32, .rank = p->rank, .data = params + p->offset};
        memcpy(tensors[i].shape, p->shape, p->rank * sizeof *p->shape);
    }
    const sl_status st = write_with(path, meta, tensors, table->n, digest, size);
    sl_free(tensors);
    return st;
}

sl_status sl_weights_replace(const char *path, const struct sl_weights_meta *meta,
                             const struct sl_param_table *table, const float *params)
{
    char *part = sl_asprintf("%s.part", path);
    if (!part)
        return SL_ERR_MEMORY;
    sl_io.unlink(part); /* left over from a killed process; absent is fine */
    sl_status st = sl_weights_write(part, meta, table, params, NULL, NULL);
    if (st == SL_OK)
        st = sl_rename_sync(part, path);
    if (st != SL_OK)
        sl_io.unlink(part);
    sl_free(part);
    return st;
}

/* ---- metadata in ---- */

static sl_status meta_text(const struct sl_safetensors *st, const char *key, const char **text)
{
    *text = sl_st_meta_get(st, key);
    if (!*text)
        SL_FAIL(SL_ERR_DATA, "%s: the metadata has no \"%s\"; is it a weights file of softless?",
                st->file.path, key);
    return SL_OK;
}

static sl_status check_version(const struct sl_safetensors *st)
{
    const char *text;
    char escaped[SL_ESCAPED_SIZE];
    SL_TRY(meta_text(st, KEY_VERSION, &text));
    uint64_t version = 0;
    size_t i = 0;
    for (; text[i] >= '0' && text[i] <= '9' && i < 9; i++)
        version = 10 * version + (uint64_t)(text[i] - '0');
    if (i == 0 || text[i] != '\0' || version == 0)
        SL_FAIL(SL_ERR_DATA, "%s: \"%s\" is no version of a weights file", st->file.path,
                sl_escape(text, strlen(text), escaped));
    if (version > VERSION)
        SL_FAIL(SL_ERR_DATA,
                "%s: weights file of version %" PRIu64 ", this program reads up to %d; use a newer "
                "softless",
                st->file.path, version, VERSION);
    return SL_OK;
}

static sl_status classes_from_json(const struct sl_safetensors *st, struct sl_weights_meta *meta)
{
    const char *text = sl_st_meta_get(st, KEY_CLASSES);
    const char *path = st->file.path;
    json_t *root = NULL;
    if (!text || meta->vit.classes == 0)
        return SL_OK;
    const size_t n = meta->vit.classes;
    SL_TRY(sl_json_parse(text, strlen(text), path, n + 1, &root));
    sl_status status = SL_OK;
    if (!json_is_array(root) || json_array_size(root) != n)
        status = sl_error_set(SL_ERR_DATA, "%s: \"" KEY_CLASSES "\" must list %zu names", path, n);
    if (status == SL_OK)
        status = SL_NEW(meta->classes, n);
    for (size_t i = 0; status == SL_OK && i < n; i++) {
        const char *name = json_string_value(json_array_get(root, i));
        if (!name)
            status =
                sl_error_set(SL_ERR_DATA, "%s: \"" KEY_CLASSES "\"[%zu] must be a string", path, i);
        else if (!(meta->classes[i] = sl_strdup(name)))
            status = SL_ERR_MEMORY;
    }
    json_decref(root);
    return status;
}

static sl_status train_from_json(const struct sl_safetensors *st, struct sl_weights_meta *meta)
{
    static const char *const keys[] = {"step", "config"};
    const char *text, *path = st->file.path;
    json_t *root = NULL;
    sl_status status;
    SL_TRY(meta_text(st, KEY_TRAIN, &text));
    SL_TRY(sl_json_parse(text, strlen(text), path, 64, &root));
    status = sl_json_known_keys(root, keys, sizeof keys / sizeof *keys, path);
    if (status == SL_OK)
        status = sl_json_uint(root, "step", path, INT64_MAX, &meta->step);
    if (status == SL_OK)
        status = sl_json_string_copy(root, "config", path, meta->train_digest,
                                     sizeof meta->train_digest);
    json_decref(root);
    return status;
}

sl_status sl_weights_read_meta(const char *path, struct sl_weights_meta *out)
{
    sl_status st;
    struct sl_safetensors file;
    struct sl_weights_meta meta = {0};
    const char *text;
    SL_TRY(sl_st_open(path, &file));
    SL_TRY_FREE(check_version(&file));
    SL_TRY_FREE(meta_text(&file, SL_WEIGHTS_KEY_MODEL, &text));
    SL_TRY_FREE(sl_vit_from_json(text, strlen(text), &meta.vit));
    SL_TRY_FREE(meta_text(&file, KEY_PREPROCESS, &text));
    SL_TRY_FREE(sl_preprocess_from_json(text, strlen(text), &meta.data));
    SL_TRY_FREE(classes_from_json(&file, &meta));
    SL_TRY_FREE(train_from_json(&file, &meta));
    sl_st_close(&file);
    *out = meta;
    return SL_OK;
fail:
    sl_weights_meta_free(&meta);
    sl_st_close(&file);
    return st;
}

/* ---- tensors in ---- */

static bool same_shape(const struct sl_param *p, const struct sl_st_tensor *t)
{
    return p->rank == t->rank && memcmp(p->shape, t->shape, p->rank * sizeof *p->shape) == 0;
}

static bool is_head(const char *name)
{
    return strncmp(name, "head.", 5) == 0;
}

/* What may differ from the table: a head, which is then left alone even where it fits, and the
 * number of positions. */
struct leeway {
    bool head, positions;
};

static bool left_alone(const struct leeway *l, const char *name)
{
    return l->head && is_head(name);
}

static bool may_differ(const struct leeway *l, const struct sl_param *p,
                       const struct sl_st_tensor *t)
{
    return l->positions && t && strcmp(p->name, "pos_embed") == 0 && t->rank == 3 &&
           t->shape[0] == 1 && t->shape[2] == p->shape[2];
}

static void add_shape(sl_text *text, const size_t *shape, size_t rank)
{
    sl_text_add(text, "[");
    for (size_t i = 0; i < rank; i++)
        sl_text_addf(text, "%s%zu", i ? ", " : "", shape[i]);
    sl_text_add(text, "]");
}

/* Differences found so far: counted all, the first few spelled out. */
struct differences {
    sl_text text;
    size_t n;
};

static bool spelled_out(struct differences *d)
{
    enum { SPELLED = 12 };
    if (++d->n > SPELLED)
        return false;
    sl_text_add(&d->text, d->n > 1 ? "; " : "");
    return true;
}

static void add_grid(sl_text *text, const char *before, size_t tokens)
{
    const size_t side = (size_t)lround(sqrt((double)tokens));
    sl_text_addf(text, "%s %zu tokens", before, tokens);
    if (side * side == tokens)
        sl_text_addf(text, " (%zu x %zu)", side, side);
}

static void compare(struct differences *d, const struct sl_param *p, const struct sl_st_tensor *t)
{
    if (!t) {
        if (spelled_out(d))
            sl_text_addf(&d->text, "%s is missing", p->name);
        return;
    }
    if (!same_shape(p, t)) {
        if (!spelled_out(d))
            return;
        const bool grid = strcmp(p->name, "pos_embed") == 0 && p->rank == 3 && t->rank == 3;
        if (grid && p->shape[2] == t->shape[2]) {
            add_grid(&d->text, "pos_embed is for a grid of", t->shape[1]);
            add_grid(&d->text, ", the model has one of", p->shape[1]);
            return;
        }
        sl_text_addf(&d->text, "%s is ", p->name);
        add_shape(&d->text, t->shape, t->rank);
        sl_text_add(&d->text, ", the model has ");
        add_shape(&d->text, p->shape, p->rank);
        return;
    }
    if (!sl_st_is_float(t->dtype) && spelled_out(d))
        sl_text_addf(&d->text, "%s has dtype %s", p->name, sl_st_dtype_name(t->dtype));
}

/* Tensors that no parameter asks for. Both lists are walked once: seen[i] marks file.tensors[i]. */
static sl_status compare_all(const struct sl_safetensors *file, const struct sl_param_table *table,
                             const struct leeway *leeway, struct differences *d)
{
    bool *seen = NULL;
    if (file->n > 0)
        SL_TRY(SL_NEW(seen, file->n));
    for (size_t i = 0; i < table->n; i++) {
        const struct sl_param *p = &table->params[i];
        const struct sl_st_tensor *t = sl_st_find(file, p->name);
        if (t)
            seen[t - file->tensors] = true;
        if (left_alone(leeway, p->name))
            continue;
        if (!may_differ(leeway, p, t) || same_shape(p, t))
            compare(d, p, t);
    }
    for (size_t i = 0; i < file->n; i++) {
        char escaped[SL_ESCAPED_SIZE];
        const char *name = file->tensors[i].name;
        if (seen[i] || left_alone(leeway, name) || !spelled_out(d))
            continue;
        sl_text_addf(&d->text, "%s is unexpected", sl_escape(name, strlen(name), escaped));
    }
    sl_free(seen);
    return SL_OK;
}

static sl_status check_table(const struct sl_safetensors *file, const struct sl_param_table *table,
                             const struct leeway *leeway)
{
    sl_status st;
    struct differences d = {0};
    char *text = NULL;
    SL_TRY_FREE(compare_all(file, table, leeway, &d));
    if (d.n > 0) {
        SL_TRY_FREE(sl_text_take(&d.text, &text));
        st = sl_error_set(SL_ERR_DATA, "%s: %zu tensors do not fit the model: %.800s",
                          file->file.path, d.n, text);
    }
fail:
    sl_text_clear(&d.text);
    sl_free(text);
    return st;
}

static sl_status read_param(const struct sl_safetensors *file, const struct sl_param *p,
                            const struct leeway *leeway, float *dst)
{
    const struct sl_st_tensor *t = sl_st_find(file, p->name);
    if (left_alone(leeway, p->name) || !same_shape(p, t))
        return SL_OK; /* positions may differ; check_table has seen everything else */
    SL_TRY(sl_st_read_f32(file, t, dst, p->count));
    for (size_t i = 0; i < p->count; i++) {
        if (!isfinite(dst[i]))
            SL_FAIL(SL_ERR_DATA, "%s: tensor %s: element %zu is not finite", file->file.path,
                    p->name, i);
    }
    return SL_OK;
}

static sl_status read_table(const struct sl_safetensors *file, const struct sl_param_table *table,
                            const struct leeway *leeway, float *params)
{
    SL_TRY(check_table(file, table, leeway));
    SL_TRY(sl_st_check_digest(file));
    for (size_t i = 0; i < table->n; i++)
        SL_TRY(read_param(file, &table->params[i], leeway, params + table->params[i].offset));
    return SL_OK;
}

sl_status sl_weights_read(const char *path, const struct sl_param_table *table, float *params)
{
    const struct leeway none = {0};
    struct sl_safetensors file;
    SL_TRY(sl_st_open(path, &file));
    const sl_status st = read_table(&file, table, &none, params);
    sl_st_close(&file);
    return st;
}

static bool same_grid(const struct sl_vit_config *a, const struct sl_vit_config *b)
{
    return a->image_height / a->patch == b->image_height / b->patch &&
           a->image_width / a->patch == b->image_width / b->patch;
}

/* Positions of the grid that `old` was trained on, brought to the grid of `vit`. */
static sl_status resample_positions(const struct sl_safetensors *file,
                                    const struct sl_vit_config *old, const struct sl_param *p,
                                    const struct sl_vit_config *vit, float *params)
{
    const struct sl_st_tensor *t = sl_st_find(file, p->name);
    const size_t old_h = old->image_height / old->patch, old_w = old->image_width / old->patch;
    const size_t h = vit->image_height / vit->patch, w = vit->image_width / vit->patch;
    const size_t D = vit->width;
    if (t->shape[1] != old_h * old_w)
        SL_FAIL(SL_ERR_DATA, "%s: %zu positions, but a grid of %zu x %zu patches", file->file.path,
                t->shape[1], old_h, old_w);
    float *grid;
    SL_TRY(SL_NEW(grid, t->shape[1] * D));
    sl_status st = sl_st_read_f32(file, t, grid, t->shape[1] * D);
    if (st == SL_OK)
        st = sl_posemb_resample(SL_POSEMB_BICUBIC, grid, old_h, old_w, params + p->offset, h, w, D);
    sl_free(grid);
    if (st == SL_OK)
        sl_log(SL_LOG_INFO,
               "%s: positions of %zu x %zu patches resampled to %zu x %zu (bicubic, antialiased)",
               file->file.path, old_h, old_w, h, w);
    return st;
}

sl_status sl_weights_init(const char *path, const struct sl_vit_config *vit,
                          const struct sl_param_table *table, bool reset_head, float *params)
{
    const struct leeway leeway = {.head = reset_head, .positions = true};
    struct sl_weights_meta meta = {0};
    struct sl_safetensors file;
    SL_TRY(sl_weights_read_meta(path, &meta));
    sl_weights_meta_free(&meta);
    SL_TRY(sl_st_open(path, &file));
    sl_status st = read_table(&file, table, &leeway, params);
    if (st == SL_OK && table->pos != SIZE_MAX) {
        const struct sl_param *p = &table->params[table->pos];
        if (!same_shape(p, sl_st_find(&file, p->name)) || !same_grid(&meta.vit, vit))
            st = resample_positions(&file, &meta.vit, p, vit, params);
    }
    sl_st_close(&file);
    return st;
}
