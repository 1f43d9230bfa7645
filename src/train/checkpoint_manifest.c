/*
 * manifest.json: what a checkpoint consists of, with a digest of every file and, as the last
 * member, of the manifest itself. A folder without a manifest that verifies is no checkpoint.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "format/json.h"
#include "train/checkpoint.h"

enum { SCHEMA = 1, SIZE_MAX_BYTES = 4 << 20, STRUCTURE = 524288, TAIL = 36 };

#define MANIFEST "manifest.json"
#define SELF "xxh3_128"

/* The numbers of the train state, one line each for writing and reading. */
static const struct {
    const char *key;
    size_t offset;
    bool later; /* 0 in manifests of versions that did not write it */
} counters[] = {
    {"metrics_offset", offsetof(struct sl_train_state, metrics_offset), false},
    {"best_step", offsetof(struct sl_train_state, best_step), false},
    {"skipped_updates", offsetof(struct sl_train_state, skipped_updates), false},
    {"skipped_in_row", offsetof(struct sl_train_state, skipped_in_row), true},
    {"interval_correct", offsetof(struct sl_train_state, interval_correct), false},
    {"interval_images", offsetof(struct sl_train_state, interval_images), false},
};
static const struct {
    const char *key;
    size_t offset;
} reals[] = {
    {"best_top1", offsetof(struct sl_train_state, best_top1)},
    {"interval_loss", offsetof(struct sl_train_state, interval_loss)},
};
enum { COUNTERS = sizeof counters / sizeof *counters, REALS = sizeof reals / sizeof *reals };

static uint64_t *counter_at(const struct sl_train_state *state, size_t i)
{
    return (uint64_t *)((char *)(uintptr_t)state + counters[i].offset);
}

static double *real_at(const struct sl_train_state *state, size_t i)
{
    return (double *)((char *)(uintptr_t)state + reals[i].offset);
}

/* ---- writing ---- */

static void add_string(sl_text *t, const char *key, const char *value)
{
    sl_text_addf(t, "\"%s\": ", key);
    sl_text_add_json_string(t, value);
    sl_text_add(t, ",\n");
}

static void add_members(sl_text *t, const struct sl_manifest *m)
{
    const struct sl_train_state *state = &m->info.state;
    sl_text_addf(t, "{\"schema\": %d,\n\"step\": %" PRIu64 ",\n\"ranks\": 1,\n", SCHEMA,
                 state->step);
    add_string(t, "reason", m->info.reason);
    sl_text_add(t, "\"files\": [\n");
    for (int i = 0; i < SL_CHECKPOINT_FILES; i++)
        sl_text_addf(t, "{\"name\": \"%s\", \"size\": %" PRIu64 ", \"" SELF "\": \"%s\"}%s\n",
                     sl_checkpoint_file_names[i], m->files[i].size, m->files[i].digest,
                     i + 1 < SL_CHECKPOINT_FILES ? "," : "],");
    sl_text_add(t, "\"state\": {");
    for (size_t i = 0; i < COUNTERS; i++)
        sl_text_addf(t, "\"%s\": %" PRIu64 ", ", counters[i].key, *counter_at(state, i));
    for (size_t i = 0; i < REALS; i++) {
        sl_text_addf(t, "\"%s\": ", reals[i].key);
        sl_text_add_json_number(t, *real_at(state, i));
        sl_text_add(t, i + 1 < REALS ? ", " : "},\n");
    }
    add_string(t, "data_digest", m->info.data_digest);
    add_string(t, "build", m->info.build);
    add_string(t, "config", m->info.config);
    sl_text_add(t, "\"" SELF "\": ");
}

static sl_status write_bytes(const char *path, const char *bytes, size_t n)
{
    sl_status st;
    sl_writer *w = NULL;
    SL_TRY(sl_writer_open(path, &w));
    SL_TRY_FREE(sl_writer_write(w, bytes, n));
    return sl_writer_close(&w, true, NULL, NULL);
fail:
    sl_writer_abandon(&w);
    return st;
}

sl_status sl_manifest_write(const char *dir, const struct sl_manifest *manifest)
{
    sl_status st;
    char digest[SL_DIGEST_SIZE], *bytes = NULL;
    sl_text text = {0};
    char *path = sl_path_join(dir, MANIFEST);
    SL_TRY_FREE(path ? SL_OK : SL_ERR_MEMORY);
    add_members(&text, manifest);
    if (!text.failed) {
        sl_digest(text.text, text.length, digest);
        sl_text_addf(&text, "\"%s\"}\n", digest); /* TAIL bytes */
    }
    const size_t n = text.length;
    SL_TRY_FREE(sl_text_take(&text, &bytes));
    st = write_bytes(path, bytes, n);
fail:
    sl_free(bytes);
    sl_free(path);
    return st;
}

/* ---- reading ---- */

/* The digest stands before anything is parsed: a damaged manifest is never interpreted. */
static sl_status check_self(const char *bytes, size_t n, const char *path)
{
    char expected[TAIL + 1], digest[SL_DIGEST_SIZE];
    if (n > TAIL) {
        sl_digest(bytes, n - TAIL, digest);
        memcpy(expected, "\"", 1);
        memcpy(expected + 1, digest, 32);
        memcpy(expected + 33, "\"}\n", 3);
        if (memcmp(expected, bytes + n - TAIL, TAIL) == 0)
            return SL_OK;
    }
    SL_FAIL(SL_ERR_DATA, "%s: its own XXH3-128 does not match: it is damaged or truncated", path);
}

static sl_status read_files(const json_t *root, const char *path, struct sl_manifest *m)
{
    static const char *const keys[] = {"name", "size", SELF};
    const json_t *files = json_object_get(root, "files");
    if (!json_is_array(files) || json_array_size(files) != SL_CHECKPOINT_FILES)
        SL_FAIL(SL_ERR_DATA, "%s: \"files\" must list %d files", path, SL_CHECKPOINT_FILES);
    for (size_t i = 0; i < SL_CHECKPOINT_FILES; i++) {
        const json_t *file = json_array_get(files, i);
        const char *name;
        SL_TRY(sl_json_known_keys(file, keys, 3, path));
        SL_TRY(sl_json_string(file, "name", path, &name));
        if (strcmp(name, sl_checkpoint_file_names[i]) != 0)
            SL_FAIL(SL_ERR_DATA, "%s: file %zu must be \"%s\"", path, i,
                    sl_checkpoint_file_names[i]);
        SL_TRY(sl_json_uint(file, "size", path, INT64_MAX, &m->files[i].size));
        SL_TRY(sl_json_string_copy(file, SELF, path, m->files[i].digest, SL_DIGEST_SIZE));
    }
    return SL_OK;
}

static sl_status read_state(const json_t *root, const char *path, struct sl_train_state *state)
{
    const char *names[COUNTERS + REALS];
    const json_t *object = json_object_get(root, "state");
    for (size_t i = 0; i < COUNTERS; i++)
        names[i] = counters[i].key;
    for (size_t i = 0; i < REALS; i++)
        names[COUNTERS + i] = reals[i].key;
    SL_TRY(sl_json_known_keys(object, names, COUNTERS + REALS, path));
    for (size_t i = 0; i < COUNTERS; i++)
        if (!counters[i].later || json_object_get(object, counters[i].key))
            SL_TRY(sl_json_uint(object, counters[i].key, path, INT64_MAX, counter_at(state, i)));
    for (size_t i = 0; i < REALS; i++)
        SL_TRY(sl_json_double(object, reals[i].key, path, real_at(state, i)));
    return SL_OK;
}

static sl_status read_members(const json_t *root, const char *path, struct sl_manifest *m)
{
    static const char *const keys[] = {"schema", "step",        "ranks", "reason", "files",
                                       "state",  "data_digest", "build", "config", SELF};
    const char *config;
    uint64_t schema, ranks;
    SL_TRY(sl_json_uint(root, "schema", path, INT64_MAX, &schema));
    if (schema > SCHEMA)
        SL_FAIL(SL_ERR_UNSUPPORTED,
                "%s: checkpoint schema %" PRIu64 ", this program reads up to %d; use a newer "
                "softless",
                path, schema, SCHEMA);
    SL_TRY(sl_json_known_keys(root, keys, sizeof keys / sizeof *keys, path));
    SL_TRY(sl_json_uint(root, "ranks", path, 1, &ranks));
    SL_TRY(read_files(root, path, m));
    SL_TRY(read_state(root, path, &m->info.state));
    SL_TRY(sl_json_uint(root, "step", path, INT64_MAX, &m->info.state.step));
    SL_TRY(sl_json_string_copy(root, "reason", path, m->info.reason, sizeof m->info.reason));
    SL_TRY(sl_json_string_copy(root, "data_digest", path, m->info.data_digest,
                               sizeof m->info.data_digest));
    SL_TRY(sl_json_string_copy(root, "build", path, m->info.build, sizeof m->info.build));
    SL_TRY(sl_json_string(root, "config", path, &config));
    m->info.config = sl_strdup(config);
    return m->info.config ? SL_OK : SL_ERR_MEMORY;
}

sl_status sl_manifest_parse(const char *bytes, size_t n, const char *what,
                            struct sl_manifest *manifest)
{
    struct sl_manifest m = {0};
    json_t *root = NULL;
    SL_TRY(check_self(bytes, n, what));
    SL_TRY(sl_json_parse(bytes, n, what, STRUCTURE, &root));
    const sl_status st = read_members(root, what, &m);
    json_decref(root);
    if (st == SL_OK)
        *manifest = m;
    else
        sl_checkpoint_info_free(&m.info);
    return st;
}

sl_status sl_manifest_read(const char *dir, struct sl_manifest *manifest)
{
    sl_status st;
    char *bytes = NULL;
    size_t n = 0;
    char *path = sl_path_join(dir, MANIFEST);
    SL_TRY_FREE(path ? SL_OK : SL_ERR_MEMORY);
    if (!sl_is_file(path)) {
        st = sl_error_set(SL_ERR_DATA, "%s: it is missing", path);
        goto fail;
    }
    SL_TRY_FREE(sl_read_file(path, SIZE_MAX_BYTES, &bytes, &n));
    st = sl_manifest_parse(bytes, n, path, manifest);
fail:
    sl_free(bytes);
    sl_free(path);
    return st;
}

void sl_checkpoint_info_free(struct sl_checkpoint_info *info)
{
    sl_free(info->config);
    info->config = NULL;
}
