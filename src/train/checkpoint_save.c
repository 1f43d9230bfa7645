/*
 * Saving a checkpoint. Arrays enter, a folder that is complete or absent leaves: files are written
 * and synced in tmp-*, the manifest last; one rename publishes. A failed attempt is thrown away,
 * never repaired (a file whose sync failed may lie), and repeated in a new folder. Pruning comes
 * after publishing and renames a checkpoint away before it removes a byte of it.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bf16.h"
#include "base/log.h"
#include "base/text.h"
#include "format/safetensors.h"
#include "train/checkpoint.h"

enum { ATTEMPTS = 3, TMP_NAMES = 100, KEEP_MIN = 2 };

/* ---- before anything is written ---- */

/* First element of [n] that is not finite, or n. */
static size_t find_bad(const void *data, sl_dtype type, size_t offset, size_t n)
{
    const float *f = data;
    const uint16_t *h = data;
    for (size_t i = 0; i < n; i++) {
        const float x = type == SL_F32 ? f[offset + i] : sl_bf16_to_f32(h[offset + i]);
        if (!isfinite(x))
            return i;
    }
    return n;
}

static sl_status check_finite(const struct sl_checkpoint_io *io)
{
    const struct {
        const char *what;
        const void *data;
        sl_dtype type;
    } arrays[] = {
        {"parameter", io->params, SL_F32},
        {"first moment of", io->moments.m, io->moments.m_type},
        {"second moment of", io->moments.v, SL_F32},
    };
    for (size_t a = 0; a < sizeof arrays / sizeof *arrays; a++) {
        for (size_t i = 0; arrays[a].data && i < io->table->n; i++) {
            const struct sl_param *p = &io->table->params[i];
            const size_t bad = find_bad(arrays[a].data, arrays[a].type, p->offset, p->count);
            if (bad < p->count)
                SL_FAIL(SL_ERR_DIVERGED, "%s %s: element %zu is not finite; nothing was saved",
                        arrays[a].what, p->name, bad);
        }
    }
    return SL_OK;
}

static size_t bytes_of(sl_dtype type)
{
    return type == SL_F32 ? sizeof(float) : sizeof(uint16_t);
}

static sl_status check_space(const struct sl_checkpoint_io *io, const char *root)
{
    struct statvfs info;
    const uint64_t headers = 2 << 20;
    uint64_t need = io->table->floats * sizeof(float) + headers;
    need += io->moments.m ? io->table->floats * bytes_of(io->moments.m_type) : 0;
    need += io->moments.v ? io->table->floats * sizeof(float) : 0;
    need += need / 20;
    if (sl_io.statvfs(root, &info) != 0)
        return sl_io_error(SL_ERR_IO, "ask for its free space", root);
    const uint64_t available = (uint64_t)info.f_bavail * info.f_frsize;
    if (info.f_blocks > 0 && available < need) /* 0 blocks: the file system does not tell */
        SL_FAIL(SL_ERR_IO,
                "%s: a checkpoint needs %" PRIu64 " bytes, %" PRIu64 " are free; free some space",
                root, need, available);
    return SL_OK;
}

/* ---- the files of one attempt ---- */

static sl_status write_weights(const struct sl_checkpoint_io *io, uint64_t step, const char *path,
                               struct sl_manifest_file *file)
{
    struct sl_weights_meta meta = *io->meta;
    meta.step = step;
    return sl_weights_write(path, &meta, io->table, io->params, file->digest, &file->size);
}

/* Moments as flat tensors "m.NAME" and "v.NAME"; v first, so that floats stay aligned. */
static sl_status add_moment(const struct sl_checkpoint_io *io, const char *prefix, sl_dtype type,
                            const void *data, struct sl_st_out *tensors, size_t *n)
{
    for (size_t i = 0; data && i < io->table->n; i++) {
        const struct sl_param *p = &io->table->params[i];
        char *name = sl_asprintf("%s%s", prefix, p->name);
        if (!name)
            return SL_ERR_MEMORY;
        tensors[(*n)++] = (struct sl_st_out){
            .name = name,
            .dtype = type == SL_F32 ? SL_ST_F32 : SL_ST_BF16,
            .rank = 1,
            .shape = {p->count},
            .data = (const char *)data + p->offset * bytes_of(type),
        };
    }
    return SL_OK;
}

static sl_status write_state(const struct sl_checkpoint_io *io, const char *path,
                             struct sl_manifest_file *file)
{
    sl_status st;
    struct sl_st_out *tensors = NULL;
    const struct sl_st_meta meta = {"format", "pt"};
    size_t n = 0;
    SL_TRY(SL_NEW(tensors, 2 * io->table->n + 1));
    SL_TRY_FREE(add_moment(io, "v.", SL_F32, io->moments.v, tensors, &n));
    SL_TRY_FREE(add_moment(io, "m.", io->moments.m_type, io->moments.m, tensors, &n));
    st = sl_st_write(path, tensors, n, &meta, 1, file->digest, &file->size);
fail:
    for (size_t i = 0; i < n; i++)
        sl_free((char *)(uintptr_t)tensors[i].name);
    sl_free(tensors);
    return st;
}

static sl_status write_files(const struct sl_checkpoint_io *io, const char *tmp,
                             struct sl_manifest *manifest)
{
    sl_status st;
    char *weights = sl_path_join(tmp, sl_checkpoint_file_names[SL_CHECKPOINT_WEIGHTS]);
    char *state = sl_path_join(tmp, sl_checkpoint_file_names[SL_CHECKPOINT_STATE]);
    SL_TRY_FREE(weights && state ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(write_weights(io, manifest->info.state.step, weights,
                              &manifest->files[SL_CHECKPOINT_WEIGHTS]));
    SL_TRY_FREE(write_state(io, state, &manifest->files[SL_CHECKPOINT_STATE]));
    SL_TRY_FREE(sl_sync_dir(tmp));
    SL_TRY_FREE(sl_manifest_write(tmp, manifest));
    st = sl_sync_dir(tmp);
fail:
    sl_free(weights);
    sl_free(state);
    return st;
}

/* ---- publishing ---- */

/* A checkpoint of the same step is put aside, and back if the new one cannot take its place. */
static sl_status publish(const char *root, const char *tmp, uint64_t step)
{
    sl_status st;
    bool aside = false;
    char *dir = sl_checkpoint_dir(root, "", step);
    char *old = sl_checkpoint_dir(root, SL_CHECKPOINT_REPLACED, step);
    SL_TRY_FREE(dir && old ? SL_OK : SL_ERR_MEMORY);
    if (sl_is_dir(dir)) {
        SL_TRY_FREE(sl_remove_tree(old));
        if (sl_io.rename(dir, old) != 0) {
            st = sl_io_error(SL_ERR_IO, "put it aside", dir);
            goto fail;
        }
        aside = true;
    }
    if (sl_io.rename(tmp, dir) != 0) {
        st = sl_io_error(SL_ERR_IO, "publish a checkpoint under this name", dir);
        if (aside)
            sl_io.rename(old, dir);
        goto fail;
    }
    SL_TRY_FREE(sl_sync_dir(root));
    if (aside && sl_remove_tree(old) != SL_OK)
        sl_log(SL_LOG_WARN, "%s", sl_error_message());
fail:
    sl_free(dir);
    sl_free(old);
    return st;
}

/* Creates tmp-<step>-<process>-<n>, the first n that is free. */
static sl_status make_tmp(const char *root, uint64_t step, char **tmp)
{
    for (int i = 0;; i++) {
        char *path = sl_asprintf("%s/" SL_CHECKPOINT_TMP "%" PRIu64 "-%ld-%d", root, step,
                                 (long)getpid(), i);
        if (!path)
            return SL_ERR_MEMORY;
        if (sl_io.mkdir(path, 0755) == 0) {
            *tmp = path;
            return SL_OK;
        }
        const bool taken = errno == EEXIST && i < TMP_NAMES;
        const sl_status st = taken ? SL_OK : sl_io_error(SL_ERR_CREATE, "create the folder", path);
        sl_free(path);
        if (!taken)
            return st;
    }
}

static sl_status attempt(const struct sl_checkpoint_io *io, const char *root,
                         struct sl_manifest *manifest)
{
    char *tmp = NULL, text[SL_ERROR_TEXT_SIZE];
    SL_TRY(make_tmp(root, manifest->info.state.step, &tmp));
    sl_status st = write_files(io, tmp, manifest);
    if (st == SL_OK)
        st = publish(root, tmp, manifest->info.state.step);
    if (st != SL_OK) { /* what failed first is what the caller hears */
        sl_error_copy(text);
        sl_remove_tree(tmp);
        sl_error_set(st, "%s", text);
    }
    sl_free(tmp);
    return st;
}

static sl_status fill_manifest(const struct sl_checkpoint_io *io,
                               const struct sl_train_state *state, const char *reason,
                               struct sl_manifest *manifest)
{
    struct sl_checkpoint_info *info = &manifest->info;
    info->state = *state;
    snprintf(info->reason, sizeof info->reason, "%s", reason);
    snprintf(info->data_digest, sizeof info->data_digest, "%s",
             io->data_digest ? io->data_digest : "");
    snprintf(info->build, sizeof info->build, "%s", io->build ? io->build : "");
    if (!isfinite(state->best_top1) || !isfinite(state->interval_loss))
        SL_FAIL(SL_ERR_DIVERGED, "best_top1 or interval_loss is not finite; nothing was saved");
    return sl_config_to_yaml(io->config, NULL, &info->config);
}

/* ---- hints and pruning: after publishing nothing is lost, so trouble is a warning ---- */

static sl_status write_hint(const char *root, const char *name, uint64_t step)
{
    char line[SL_STEP_NAME_SIZE + 1];
    sl_checkpoint_name(step, line);
    strcat(line, "\n");
    char *path = sl_path_join(root, name);
    const sl_status st = path ? sl_write_file_atomic(path, line, strlen(line)) : SL_ERR_MEMORY;
    sl_free(path);
    return st;
}

static bool is_best(const struct sl_train_state *state, uint64_t step)
{
    return state->best_top1 >= 0 && state->best_step == step;
}

/* Moves to the front of steps[] those that may go: older than the `keep` newest that verify, not
 * one of every keep_every, not the best. Damaged ones among the newest are left for the reader. */
static sl_status choose(const struct sl_checkpoint_io *io, const char *root,
                        const struct sl_train_state *state, uint64_t *steps, size_t *n)
{
    const struct sl_checkpoint_config *rules = &io->config->checkpoint;
    const size_t keep = rules->keep_last > KEEP_MIN ? rules->keep_last : KEEP_MIN;
    size_t verified = 0, chosen = 0;
    for (size_t i = 0; i<*n && * n> keep; i++) {
        if (verified < keep) {
            char *dir = sl_checkpoint_dir(root, "", steps[i]);
            const sl_status st = dir ? sl_checkpoint_verify(dir, NULL) : SL_ERR_MEMORY;
            sl_free(dir);
            if (st != SL_OK && st != SL_ERR_DATA)
                return st;
            verified += st == SL_OK;
            continue;
        }
        const bool every = rules->keep_every > 0 && steps[i] % rules->keep_every == 0;
        if (!every && !(rules->best && is_best(state, steps[i])))
            steps[chosen++] = steps[i];
    }
    *n = chosen;
    return SL_OK;
}

static sl_status rename_to_trash(const char *root, uint64_t step)
{
    char *dir = sl_checkpoint_dir(root, "", step);
    char *trash = sl_checkpoint_dir(root, SL_CHECKPOINT_TRASH, step);
    sl_status st = dir && trash ? sl_remove_tree(trash) : SL_ERR_MEMORY;
    if (st == SL_OK && sl_io.rename(dir, trash) != 0)
        st = sl_io_error(SL_ERR_IO, "rename it", dir);
    sl_free(dir);
    sl_free(trash);
    return st;
}

static sl_status prune(const struct sl_checkpoint_io *io, const char *root,
                       const struct sl_train_state *state)
{
    sl_status st;
    uint64_t *steps = NULL;
    size_t n = 0;
    SL_TRY_FREE(sl_checkpoint_list(root, "", &steps, &n));
    SL_TRY_FREE(choose(io, root, state, steps, &n));
    for (size_t i = 0; i < n; i++)
        SL_TRY_FREE(rename_to_trash(root, steps[i]));
    if (n > 0)
        SL_TRY_FREE(sl_sync_dir(root));
    for (size_t i = 0; i < n; i++) {
        char *trash = sl_checkpoint_dir(root, SL_CHECKPOINT_TRASH, steps[i]);
        st = trash ? sl_remove_tree(trash) : SL_ERR_MEMORY;
        sl_free(trash);
        SL_TRY_FREE(st);
    }
fail:
    sl_free(steps);
    return st;
}

static void after_publishing(const struct sl_checkpoint_io *io, const char *root,
                             const struct sl_train_state *state)
{
    sl_status st = write_hint(root, "LAST", state->step);
    if (st == SL_OK && is_best(state, state->step))
        st = write_hint(root, "best", state->step);
    if (st != SL_OK)
        sl_log(SL_LOG_WARN, "checkpoint saved, but: %s", sl_error_message());
    if (prune(io, root, state) != SL_OK)
        sl_log(SL_LOG_WARN, "older checkpoints were not pruned: %s", sl_error_message());
}

/* ---- all of it ---- */

static sl_status prepare(const struct sl_checkpoint_io *io, const char *root)
{
    SL_TRY(sl_make_dirs(root));
    SL_TRY(sl_sync_dir(io->run_dir)); /* a process that died may have made it and synced nothing */
    return check_space(io, root);
}

sl_status sl_checkpoint_save(const struct sl_checkpoint_io *io, const struct sl_train_state *state,
                             const char *reason)
{
    sl_status st;
    struct sl_manifest manifest = {0};
    char *root = NULL;
    SL_TRY(check_finite(io));
    root = sl_checkpoint_root(io->run_dir);
    SL_TRY_FREE(root ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(fill_manifest(io, state, reason, &manifest));
    SL_TRY_FREE(prepare(io, root));
    for (int i = 0; i < ATTEMPTS; i++) {
        st = attempt(io, root, &manifest);
        if (st == SL_OK || (st != SL_ERR_IO && st != SL_ERR_CREATE))
            break;
        if (i + 1 < ATTEMPTS)
            sl_log(SL_LOG_WARN, "checkpoint of step %" PRIu64 ": %s; trying again", state->step,
                   sl_error_message());
    }
    if (st == SL_OK)
        after_publishing(io, root, state);
fail:
    sl_checkpoint_info_free(&manifest.info);
    sl_free(root);
    return st;
}
