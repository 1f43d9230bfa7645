/*
 * Loading checkpoints: what dead processes left is cleared, the newest folder that verifies whole
 * is compared with the config and data set at hand, then read into the caller's arrays. A damaged
 * one is reported and put aside as bad-*, never silently skipped or started over.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"
#include "format/safetensors.h"
#include "train/checkpoint.h"

enum { CHUNK = 1 << 16, KEEP_BAD = 2 };

/* ---- verifying one folder ---- */

static sl_status digest_file(const sl_file *f, char digest[SL_DIGEST_SIZE])
{
    sl_status st = SL_OK;
    unsigned char chunk[CHUNK];
    sl_hash *hash = NULL;
    SL_TRY(sl_hash_new(&hash));
    for (uint64_t at = 0; at < f->size;) {
        const size_t n = f->size - at < CHUNK ? (size_t)(f->size - at) : CHUNK;
        SL_TRY_FREE(sl_file_read(f, at, chunk, n));
        sl_hash_add(hash, chunk, n);
        at += n;
    }
fail:
    sl_hash_end(&hash, digest); /* of what was read; the caller looks at the status first */
    return st;
}

static sl_status verify_opened(const sl_file *f, const struct sl_manifest_file *expected)
{
    char digest[SL_DIGEST_SIZE];
    if (f->size != expected->size)
        SL_FAIL(SL_ERR_DATA, "%s: %" PRIu64 " bytes, the manifest says %" PRIu64, f->path, f->size,
                expected->size);
    SL_TRY(digest_file(f, digest));
    if (strcmp(digest, expected->digest) != 0)
        SL_FAIL(SL_ERR_DATA, "%s: XXH3-128 is %s, the manifest says %s: the file is damaged",
                f->path, digest, expected->digest);
    return SL_OK;
}

static sl_status verify_file(const char *dir, int i, const struct sl_manifest_file *expected)
{
    sl_status st;
    sl_file f = {0};
    char *path = sl_path_join(dir, sl_checkpoint_file_names[i]);
    SL_TRY_FREE(path ? SL_OK : SL_ERR_MEMORY);
    if (!sl_is_file(path)) {
        st = sl_error_set(SL_ERR_DATA, "%s: it is missing", path);
        goto fail;
    }
    SL_TRY_FREE(sl_file_open(path, &f));
    st = verify_opened(&f, expected);
    sl_file_close(&f);
fail:
    sl_free(path);
    return st;
}

/* A folder named for a step must hold that step: a copy under another name is no checkpoint. */
static sl_status check_step(const char *dir, uint64_t step)
{
    char name[SL_STEP_NAME_SIZE];
    const char *slash = strrchr(dir, '/'), *base = slash ? slash + 1 : dir;
    sl_checkpoint_name(step, name);
    if (strncmp(base, "step-", 5) == 0 && strcmp(base, name) != 0)
        SL_FAIL(SL_ERR_DATA, "%s: its manifest belongs to %s", dir, name);
    return SL_OK;
}

sl_status sl_checkpoint_verify(const char *dir, struct sl_checkpoint_info *info)
{
    sl_status st;
    struct sl_manifest manifest;
    SL_TRY(sl_manifest_read(dir, &manifest));
    SL_TRY_FREE(check_step(dir, manifest.info.state.step));
    for (int i = 0; i < SL_CHECKPOINT_FILES; i++)
        SL_TRY_FREE(verify_file(dir, i, &manifest.files[i]));
    if (info) {
        *info = manifest.info;
        return SL_OK;
    }
fail:
    sl_checkpoint_info_free(&manifest.info);
    return st;
}

/* ---- clearing up ---- */

static bool has_prefix(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static sl_status clear_one(const char *root, const char *name)
{
    sl_status st;
    char *path = sl_path_join(root, name), *back = NULL;
    SL_TRY_FREE(path ? SL_OK : SL_ERR_MEMORY);
    if (has_prefix(name, SL_CHECKPOINT_REPLACED)) {
        back = sl_path_join(root, name + strlen(SL_CHECKPOINT_REPLACED));
        SL_TRY_FREE(back ? SL_OK : SL_ERR_MEMORY);
        st = sl_is_dir(back) ? sl_remove_tree(path) : sl_rename_sync(path, back);
    } else {
        st = sl_remove_tree(path);
    }
fail:
    sl_free(path);
    sl_free(back);
    return st;
}

static bool is_leftover(const char *name)
{
    static const char *const prefixes[] = {SL_CHECKPOINT_TMP, SL_CHECKPOINT_TRASH,
                                           SL_CHECKPOINT_REPLACED, "LAST" SL_TEMP_MARK,
                                           "best" SL_TEMP_MARK};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (has_prefix(name, prefixes[i]))
            return true;
    }
    return false;
}

static sl_status clear_leftovers(const char *root)
{
    char **names = NULL;
    size_t n = 0;
    SL_TRY(sl_list_dir(root, &names, &n));
    /* A process that died may have published and not synced: what its checkpoint replaced must not
     * go before that name is on the disk. */
    sl_status st = sl_sync_dir(root);
    for (size_t i = 0; i < n && st == SL_OK; i++) {
        if (is_leftover(names[i]))
            st = clear_one(root, names[i]);
    }
    sl_names_free(&names, n);
    return st;
}

/* ---- damaged ones ---- */

static sl_status drop_old_bad(const char *root)
{
    uint64_t *steps = NULL;
    size_t n = 0;
    sl_status st = sl_checkpoint_list(root, SL_CHECKPOINT_BAD, &steps, &n);
    for (size_t i = KEEP_BAD; st == SL_OK && i < n; i++) {
        char *dir = sl_checkpoint_dir(root, SL_CHECKPOINT_BAD, steps[i]);
        st = dir ? sl_remove_tree(dir) : SL_ERR_MEMORY;
        sl_free(dir);
    }
    sl_free(steps);
    return st;
}

static sl_status put_aside(const char *root, uint64_t step)
{
    sl_log(SL_LOG_WARN, "damaged checkpoint put aside as " SL_CHECKPOINT_BAD "*: %s",
           sl_error_message());
    char *dir = sl_checkpoint_dir(root, "", step);
    char *bad = sl_checkpoint_dir(root, SL_CHECKPOINT_BAD, step);
    sl_status st = dir && bad ? sl_remove_tree(bad) : SL_ERR_MEMORY;
    if (st == SL_OK)
        st = sl_rename_sync(dir, bad);
    if (st == SL_OK)
        st = drop_old_bad(root);
    sl_free(dir);
    sl_free(bad);
    return st;
}

/* Newest of steps[n] that verifies; with `aside` damaged ones are renamed on the way. dir NULL:
 * none does. Trouble other than damage (a disk error, a newer schema) stops the search. */
static sl_status newest(const char *root, const uint64_t *steps, size_t n, bool aside, bool strict,
                        char **dir, struct sl_checkpoint_info *info)
{
    for (size_t i = 0; i < n; i++) {
        char *path = sl_checkpoint_dir(root, "", steps[i]);
        if (!path)
            return SL_ERR_MEMORY;
        const sl_status st = sl_checkpoint_verify(path, info);
        if (st == SL_OK) {
            *dir = path;
            return SL_OK;
        }
        sl_free(path);
        if (st != SL_ERR_DATA || strict)
            return st;
        if (aside)
            SL_TRY(put_aside(root, steps[i]));
    }
    *dir = NULL;
    return SL_OK;
}

/* ---- guard ---- */

/* The text was written resolved, so nothing is derived again. */
static sl_status parse_config(const char *yaml, const char *dir, struct sl_config *config)
{
    sl_status st;
    struct sl_recipe recipe;
    SL_TRY_FREE(sl_recipe_init(&recipe));
    SL_TRY_FREE(sl_recipe_parse(&recipe, dir, yaml, strlen(yaml)));
    *config = recipe.config;
fail:
    sl_recipe_clear(&recipe);
    return st;
}

/* "key: old -> new" of everything that matters, joined by "; "; "" if nothing differs. */
static sl_status differences(const struct sl_checkpoint_io *io, const char *dir,
                             const struct sl_checkpoint_info *info, char **text)
{
    struct sl_config old;
    char *lines = NULL;
    sl_text t = {0};
    const char *data = io->data_digest ? io->data_digest : "";
    SL_TRY(parse_config(info->config, dir, &old));
    SL_TRY(sl_config_diff(&old, io->config, &lines));
    for (char *c = strchr(lines, '\n'); c; c = strchr(c, '\n'))
        *c = ';';
    sl_text_add(&t, lines);
    if (strcmp(data, info->data_digest) != 0)
        sl_text_addf(&t, "%sdata set: %s -> %s", lines[0] ? ";" : "", info->data_digest, data);
    sl_free(lines);
    return sl_text_take(&t, text);
}

static sl_status guard(const struct sl_checkpoint_io *io, const char *dir,
                       const struct sl_checkpoint_info *info)
{
    sl_status st = SL_OK;
    char *text = NULL;
    const char *build = io->build ? io->build : "";
    SL_TRY(differences(io, dir, info, &text));
    if (text[0] != '\0')
        st = sl_error_set(SL_ERR_CONFIG,
                          "%s belongs to another recipe or data set; undo the change, or use a "
                          "fresh run directory: %.800s",
                          dir, text);
    else if (strcmp(build, info->build) != 0)
        sl_log(SL_LOG_WARN, "%s was written by \"%s\", this is \"%s\": bits may differ", dir,
               info->build, build);
    sl_free(text);
    return st;
}

/* ---- reading ---- */

static sl_status read_moment(const struct sl_safetensors *file, const char *prefix,
                             const struct sl_param *p, sl_dtype type, void *data)
{
    const size_t size = type == SL_F32 ? sizeof(float) : sizeof(uint16_t);
    const enum sl_st_dtype dtype = type == SL_F32 ? SL_ST_F32 : SL_ST_BF16;
    char *name = sl_asprintf("%s%s", prefix, p->name);
    if (!name)
        return SL_ERR_MEMORY;
    const struct sl_st_tensor *t = sl_st_find(file, name);
    sl_free(name);
    if (!t || t->dtype != dtype || t->rank != 1 || t->shape[0] != p->count)
        SL_FAIL(SL_ERR_DATA, "%s: %s%s of %zu values of type %s is not in it", file->file.path,
                prefix, p->name, p->count, sl_st_dtype_name(dtype));
    return sl_st_read(file, t, (char *)data + p->offset * size, p->count * size);
}

static sl_status read_moments(const struct sl_checkpoint_io *io, const struct sl_safetensors *file)
{
    const struct sl_moments *moments = &io->moments;
    const size_t kinds = (size_t)(moments->m != NULL) + (size_t)(moments->v != NULL);
    if (file->n != kinds * io->table->n)
        SL_FAIL(SL_ERR_DATA, "%s: %zu tensors, %zu moments of %zu parameters were expected",
                file->file.path, file->n, kinds, io->table->n);
    for (size_t i = 0; i < io->table->n; i++) {
        const struct sl_param *p = &io->table->params[i];
        if (moments->m)
            SL_TRY(read_moment(file, "m.", p, moments->m_type, moments->m));
        if (moments->v)
            SL_TRY(read_moment(file, "v.", p, SL_F32, moments->v));
    }
    return SL_OK;
}

static sl_status read_arrays(const struct sl_checkpoint_io *io, const char *dir)
{
    sl_status st;
    struct sl_safetensors file;
    char *weights = sl_path_join(dir, sl_checkpoint_file_names[SL_CHECKPOINT_WEIGHTS]);
    char *state = sl_path_join(dir, sl_checkpoint_file_names[SL_CHECKPOINT_STATE]);
    SL_TRY_FREE(weights && state ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(sl_weights_read(weights, io->table, io->params));
    SL_TRY_FREE(sl_st_open(state, &file));
    st = read_moments(io, &file);
    sl_st_close(&file);
fail:
    sl_free(weights);
    sl_free(state);
    return st;
}

/* ---- all of it ---- */

static sl_status load_from(const struct sl_checkpoint_io *io, const char *root, bool strict,
                           struct sl_train_state *state, bool *found)
{
    sl_status st;
    struct sl_checkpoint_info info = {0};
    uint64_t *steps = NULL, *bad = NULL;
    size_t n = 0, n_bad = 0;
    char *dir = NULL;
    SL_TRY_FREE(clear_leftovers(root));
    SL_TRY_FREE(sl_checkpoint_list(root, "", &steps, &n));
    SL_TRY_FREE(sl_checkpoint_list(root, SL_CHECKPOINT_BAD, &bad, &n_bad));
    SL_TRY_FREE(newest(root, steps, n, true, strict, &dir, &info));
    if (!dir && n + n_bad > 0) {
        st = sl_error_set(SL_ERR_DATA,
                          "%s: none of its %zu checkpoints verifies; restore one, or start afresh "
                          "in another run directory",
                          root, n + n_bad);
        goto fail;
    }
    if (dir) {
        SL_TRY_FREE(guard(io, dir, &info));
        SL_TRY_FREE(read_arrays(io, dir));
        *state = info.state;
    }
    *found = dir != NULL;
fail:
    sl_checkpoint_info_free(&info);
    sl_free(steps);
    sl_free(bad);
    sl_free(dir);
    return st;
}

sl_status sl_checkpoint_load(const struct sl_checkpoint_io *io, bool strict,
                             struct sl_train_state *state, bool *found)
{
    sl_status st = SL_OK;
    char *root = sl_checkpoint_root(io->run_dir);
    if (!root)
        return SL_ERR_MEMORY;
    if (sl_is_dir(root))
        st = load_from(io, root, strict, state, found);
    else
        *found = false;
    sl_free(root);
    return st;
}

/* The best step is told by the newest manifest; the file `best` is only for people. */
static sl_status best_dir(const char *root, const struct sl_checkpoint_info *info, char **dir)
{
    if (info->state.best_top1 < 0)
        SL_FAIL(SL_ERR_INPUT, "%s: no checkpoint was evaluated yet, so none is the best", root);
    char *path = sl_checkpoint_dir(root, "", info->state.best_step);
    if (!path)
        return SL_ERR_MEMORY;
    const sl_status st = sl_checkpoint_verify(path, NULL);
    if (st != SL_OK) {
        sl_free(path);
        return sl_error_prefix(st, "the best checkpoint cannot be used");
    }
    sl_free(*dir);
    *dir = path;
    return SL_OK;
}

/* Why none of the n checkpoints of a folder can be used; `newest` has left the last one's damage in
 * the error text. */
static sl_status no_checkpoint(const char *run_dir, size_t n)
{
    char text[SL_ERROR_TEXT_SIZE];
    sl_error_copy(text);
    if (n == 0)
        SL_FAIL(
            SL_ERR_INPUT,
            "%s: there are neither weights nor checkpoints in it; name a run directory that has "
            "some, a checkpoint or a .safetensors file",
            run_dir);
    SL_FAIL(SL_ERR_DATA, "%s: no checkpoint of %zu verifies; the last one tried: %s", run_dir, n,
            text);
}

sl_status sl_checkpoint_weights_path(const char *run_dir, bool best, char **path)
{
    sl_status st;
    struct sl_checkpoint_info info = {0};
    uint64_t *steps = NULL;
    size_t n = 0;
    char *dir = NULL, *weights = NULL, *root = sl_checkpoint_root(run_dir);
    SL_TRY_FREE(root ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(sl_checkpoint_list(root, "", &steps, &n));
    SL_TRY_FREE(newest(root, steps, n, false, false, &dir, &info));
    if (!dir) {
        st = no_checkpoint(run_dir, n);
        goto fail;
    }
    if (best)
        SL_TRY_FREE(best_dir(root, &info, &dir));
    weights = sl_path_join(dir, sl_checkpoint_file_names[SL_CHECKPOINT_WEIGHTS]);
    SL_TRY_FREE(weights ? SL_OK : SL_ERR_MEMORY);
    *path = weights;
fail:
    sl_checkpoint_info_free(&info);
    sl_free(steps);
    sl_free(dir);
    sl_free(root);
    return st;
}
