/*
 * Names, makes and reads run directories.
 */
#include "train/run_dir.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "format/json.h"

enum { HASH_DIGITS = 12, TEXT_CAP = 1 << 20, STRUCTURE_CAP = 4096 };

static sl_status default_dir(const struct sl_config *config, const char *root, char **dir)
{
    char digest[SL_DIGEST_SIZE];
    SL_TRY(sl_config_digest(config, digest));
    *dir = sl_asprintf("%s/%s-%.*s", root ? root : "runs", config->name, HASH_DIGITS, digest);
    return *dir ? SL_OK : SL_ERR_MEMORY;
}

sl_status sl_run_dir_choose(const struct sl_config *config, const sl_train_options *options,
                            char **dir)
{
    char *base = NULL;
    if (options->run_dir) {
        base = sl_strdup(options->run_dir);
        if (!base)
            return SL_ERR_MEMORY;
    } else {
        SL_TRY(default_dir(config, options->runs_root, &base));
    }
    char *path = base;
    for (unsigned n = 2; options->fresh && path && sl_is_dir(path); n++) {
        if (path != base)
            sl_free(path);
        path = sl_asprintf("%s-%u", base, n);
    }
    if (path != base)
        sl_free(base);
    if (!path)
        return SL_ERR_MEMORY;
    *dir = path;
    return SL_OK;
}

static sl_status compare_config(const char *path, const struct sl_config *config)
{
    char *text = NULL, *diff = NULL;
    size_t size;
    struct sl_recipe old = {0};
    sl_status st = SL_OK;
    SL_TRY_FREE(sl_read_file(path, TEXT_CAP, &text, &size));
    sl_config_defaults(&old.config);
    SL_TRY_FREE(sl_recipe_parse(&old, path, text, size));
    SL_TRY_FREE(sl_config_resolve(&old.config));
    SL_TRY_FREE(sl_config_diff(&old.config, config, &diff));
    if (diff[0])
        st =
            sl_error_set(SL_ERR_CONFIG,
                         "%s belongs to a run of another config; use another --run-dir or --fresh. "
                         "Differences (there -> now):\n%s",
                         path, diff);
fail:
    sl_recipe_clear(&old);
    sl_free(diff);
    sl_free(text);
    return st;
}

/* A folder without config.yaml may hold what a process leaves that dies before it is written. */
static bool may_precede_config(const char *name)
{
    static const char temporary[] = "config.yaml" SL_TEMP_MARK;
    return strcmp(name, "lock") == 0 || strcmp(name, "lost+found") == 0 ||
           strncmp(name, temporary, sizeof temporary - 1) == 0;
}

static sl_status refuse_foreign(const char *dir)
{
    char **names = NULL, shown[SL_ESCAPED_SIZE];
    size_t n = 0;
    sl_status st = SL_OK;
    SL_TRY(sl_list_dir(dir, &names, &n));
    for (size_t i = 0; i < n && st == SL_OK; i++)
        if (!may_precede_config(names[i]))
            st = sl_error_set(SL_ERR_CREATE,
                              "%s: it holds '%s' but no config.yaml, so it is not a run directory; "
                              "name another one, or an empty one",
                              dir, sl_escape(names[i], strlen(names[i]), shown));
    sl_names_free(&names, n);
    return st;
}

sl_status sl_run_dir_make(const char *dir)
{
    char *config = sl_path_join(dir, "config.yaml");
    if (!config)
        return SL_ERR_MEMORY;
    const bool ours = sl_is_file(config);
    sl_free(config);
    SL_TRY(sl_make_dirs(dir));
    return ours ? SL_OK : refuse_foreign(dir);
}

sl_status sl_run_dir_prepare(const char *dir, const struct sl_config *config)
{
    char *path = NULL, *yaml = NULL;
    sl_status st = SL_OK;
    path = sl_path_join(dir, "config.yaml");
    if (!path)
        return SL_ERR_MEMORY;
    if (sl_is_file(path)) {
        st = compare_config(path, config);
    } else {
        SL_TRY_FREE(sl_config_to_yaml(config, NULL, &yaml));
        SL_TRY_FREE(sl_write_file_atomic(path, yaml, strlen(yaml)));
    }
fail:
    sl_free(yaml);
    sl_free(path);
    return st;
}

static sl_status write_text(const char *dir, const char *name, sl_text *t)
{
    char *text = NULL, *path = sl_path_join(dir, name);
    sl_status st = path ? sl_text_take(t, &text) : SL_ERR_MEMORY;
    if (st == SL_OK)
        st = sl_write_file_atomic(path, text, strlen(text));
    sl_text_clear(t);
    sl_free(text);
    sl_free(path);
    return st;
}

static void add_cpu_name(sl_text *t)
{
    char line[256] = "", *name = NULL;
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && !name && fgets(line, sizeof line, f))
        if (strncmp(line, "model name", 10) == 0)
            name = strchr(line, ':');
    if (f)
        fclose(f);
    if (name)
        name[strcspn(name, "\n")] = '\0';
    sl_text_add_json_string(t, name && name[1] ? name + 2 : "unknown");
}

sl_status sl_run_env_write(const char *dir, const struct sl_device *dev, sl_dtype type,
                           const char *data_digest)
{
    sl_text t = {0};
    sl_text_addf(&t, "{\n  \"version\": \"%s\",\n  \"device\": \"%s\",\n  \"isa\": \"%s\",\n",
                 sl_version(), dev->ops->name, dev->isa);
    sl_text_addf(&t, "  \"threads\": %d,\n  \"precision\": \"%s\",\n  \"data_digest\": \"%s\",\n",
                 dev->threads, type == SL_BF16 ? "bf16" : "fp32", data_digest);
    sl_text_add(&t, "  \"cpu\": ");
    add_cpu_name(&t);
    sl_text_add(&t, ",\n  \"build\": ");
    sl_text_add_json_string(&t, sl_build_info());
    sl_text_add(&t, "\n}\n");
    return write_text(dir, "env.json", &t);
}

sl_status sl_run_env_precision(const char *dir, enum sl_precision *precision)
{
    char *path = sl_path_join(dir, "env.json"), *text = NULL;
    json_t *root = NULL;
    const char *name;
    size_t size;
    sl_status st = path ? SL_OK : SL_ERR_MEMORY;
    if (st != SL_OK || !sl_is_file(path))
        goto fail;
    SL_TRY_FREE(sl_read_file(path, TEXT_CAP, &text, &size));
    SL_TRY_FREE(sl_json_parse(text, size, path, STRUCTURE_CAP, &root));
    SL_TRY_FREE(sl_json_string(root, "precision", path, &name));
    *precision = strcmp(name, "bf16") == 0 ? SL_PRECISION_BF16 : SL_PRECISION_FP32;
fail:
    json_decref(root);
    sl_free(text);
    sl_free(path);
    return st;
}

/* The fields of summary.json, one table for writing and reading. */
static const struct {
    const char *key;
    size_t offset;
    bool later; /* may be missing */
} summary_fields[] = {
    {"val_top1", offsetof(sl_train_result, val_top1), false},
    {"val_top1_se", offsetof(sl_train_result, val_top1_se), false},
    {"val_loss", offsetof(sl_train_result, val_loss), false},
    {"train_loss", offsetof(sl_train_result, train_loss), false},
    {"img_per_sec", offsetof(sl_train_result, img_per_sec), false},
    {"wall_s", offsetof(sl_train_result, wall_s), false},
    {"cpu_s", offsetof(sl_train_result, cpu_s), false},
    {"core_hours", offsetof(sl_train_result, core_hours), false},
    {"attention_mass", offsetof(sl_train_result, attention.mass), true},
    {"attention_entropy", offsetof(sl_train_result, attention.entropy), true},
    {"attention_zeros", offsetof(sl_train_result, attention.zeros), true},
    {"attention_dead_rows", offsetof(sl_train_result, attention.dead_rows), true},
    {"attention_dead_heads", offsetof(sl_train_result, attention.dead_heads), true},
    {"attention_distance", offsetof(sl_train_result, attention.distance), true},
    {"transfer", offsetof(sl_train_result, transfer), true},
};
enum { N_SUMMARY = sizeof summary_fields / sizeof summary_fields[0] };

sl_status sl_run_finish(const char *dir, const sl_train_result *result)
{
    sl_text t = {0}, done = {0};
    sl_text_addf(&t, "{\n  \"step\": %llu", (unsigned long long)result->step);
    for (size_t i = 0; i < N_SUMMARY; i++) {
        double x;
        memcpy(&x, (const char *)result + summary_fields[i].offset, sizeof x);
        sl_text_addf(&t, ",\n  \"%s\": ", summary_fields[i].key);
        sl_text_add_json_number(&t, x);
    }
    sl_text_add(&t, "\n}\n");
    SL_TRY(write_text(dir, "summary.json", &t));
    sl_text_addf(&done, "%llu\n", (unsigned long long)result->step);
    return write_text(dir, "DONE", &done);
}

static sl_status parse_summary(const char *path, const json_t *root, sl_train_result *result)
{
    uint64_t step;
    SL_TRY(sl_json_uint(root, "step", path, UINT64_MAX >> 1, &step));
    result->step = step;
    for (size_t i = 0; i < N_SUMMARY; i++) {
        double x = NAN; /* null: not finite when written */
        const json_t *v = json_object_get(root, summary_fields[i].key);
        if (!json_is_null(v) && (v || !summary_fields[i].later))
            SL_TRY(sl_json_double(root, summary_fields[i].key, path, &x));
        memcpy((char *)result + summary_fields[i].offset, &x, sizeof x);
    }
    return SL_OK;
}

sl_status sl_run_load_result(const char *dir, sl_train_result *result, bool *done)
{
    char *mark = sl_path_join(dir, "DONE"), *path = sl_path_join(dir, "summary.json"), *text = NULL;
    json_t *root = NULL;
    size_t size;
    sl_train_result r = {0};
    sl_status st = mark && path ? SL_OK : SL_ERR_MEMORY;
    if (st != SL_OK)
        goto fail;
    *done = sl_is_file(mark);
    if (!*done)
        goto fail;
    SL_TRY_FREE(sl_read_file(path, TEXT_CAP, &text, &size));
    SL_TRY_FREE(sl_json_parse(text, size, path, STRUCTURE_CAP, &root));
    SL_TRY_FREE(parse_summary(path, root, &r));
    snprintf(r.run_dir, sizeof r.run_dir, "%s", dir);
    r.already_done = true;
    *result = r;
fail:
    json_decref(root);
    sl_free(text);
    sl_free(path);
    sl_free(mark);
    return st;
}
