/*
 * The row of a run that ended: axes, seed, results, and where they come from (machine, version,
 * commit), read from what the run left in its folder.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "format/json.h"
#include "study/commit.h"
#include "study/study.h"
#include "train/run_dir.h"

enum { TEXT_CAP = 1 << 20, STRUCTURE_CAP = 4096 };

/* As a CSV field; a row is one line, whatever the text holds. */
static void add_field(sl_text *t, const char *text)
{
    const bool quote = strpbrk(text, ",\"\n\r") != NULL;
    sl_text_add(t, quote ? ",\"" : ",");
    for (; *text; text++) {
        const char c = *text == '\n' || *text == '\r' ? ' ' : *text;
        sl_text_addf(t, c == '"' ? "\"%c" : "%c", c);
    }
    sl_text_add(t, quote ? "\"" : "");
}

static void add_real(sl_text *t, double x)
{
    sl_text_add(t, ",");
    if (isfinite(x))
        sl_text_add_json_number(t, x);
}

/* A value of env.json; "" where there is none. */
static void add_env(sl_text *t, const json_t *env, const char *key)
{
    const json_t *v = json_object_get(env, key);
    if (json_is_integer(v))
        sl_text_addf(t, ",%lld", (long long)json_integer_value(v));
    else
        add_field(t, json_is_string(v) ? json_string_value(v) : "");
}

static sl_status read_env(const struct sl_study *s, size_t i, json_t **env)
{
    char *path = sl_study_path(s, "runs/", i, "/env.json"), *text = NULL;
    size_t size;
    sl_status st = path ? SL_OK : SL_ERR_MEMORY;
    if (st == SL_OK && sl_is_file(path)) {
        SL_TRY_FREE(sl_read_file(path, TEXT_CAP, &text, &size));
        SL_TRY_FREE(sl_json_parse(text, size, path, STRUCTURE_CAP, env));
    }
fail:
    sl_free(text);
    sl_free(path);
    return st;
}

static sl_status add_axes(const struct sl_study *s, size_t i, sl_text *t)
{
    bool seed = false;
    for (size_t k = 0; k < s->n_axes; k++) {
        char *value = NULL;
        SL_TRY(sl_study_value(s->axes[k].option, &s->runs[i].recipe.config, &value));
        add_field(t, value);
        sl_free(value);
        seed = seed || strcmp(sl_options[s->axes[k].option].key, "seed") == 0;
    }
    if (!seed)
        sl_text_addf(t, ",%llu", (unsigned long long)s->runs[i].recipe.config.seed);
    return SL_OK;
}

static sl_status build_row(const struct sl_study *s, size_t i, const sl_train_result *r,
                           bool diverged, sl_text *t)
{
    json_t *env = NULL;
    SL_TRY(read_env(s, i, &env));
    sl_text_addf(t, "%s\n%s,%.*s,%s", s->header, s->runs[i].name, SL_RECIPE_DIGITS,
                 s->runs[i].digest, diverged ? "diverged" : "done");
    const sl_status st = add_axes(s, i, t);
    const double values[] = {r->val_top1, r->val_top1_se, r->val_loss, r->train_loss};
    for (size_t k = 0; k < sizeof values / sizeof *values; k++)
        add_real(t, values[k]);
    sl_text_addf(t, ",%llu", (unsigned long long)r->step);
    add_real(t, r->cpu_s);
    add_real(t, r->wall_s);
    add_real(t, r->img_per_sec);
    add_env(t, env, "threads");
    add_env(t, env, "isa");
    add_env(t, env, "cpu");
    add_env(t, env, "version");
    add_field(t, SL_COMMIT);
    sl_text_add(t, "\n");
    json_decref(env);
    return st;
}

static sl_status record_row(struct sl_study *s, size_t i, bool diverged, double core_s)
{
    sl_train_result r = {.val_top1 = NAN,
                         .val_top1_se = NAN,
                         .val_loss = NAN,
                         .train_loss = NAN,
                         .img_per_sec = NAN,
                         .cpu_s = core_s};
    char *path = sl_study_path(s, "rows/", i, ".csv"), *run = sl_study_path(s, "runs/", i, ""),
         *text = NULL;
    sl_text t = {0};
    bool done = false;
    sl_status st = path && run ? SL_OK : SL_ERR_MEMORY;
    SL_TRY_FREE(st);
    if (diverged)
        SL_TRY_FREE(sl_study_progress(s, i, &r.step, &r.wall_s));
    else
        SL_TRY_FREE(sl_run_load_result(run, &r, &done));
    if (!diverged && !done)
        SL_TRY_FREE(sl_error_set(SL_ERR_INTERNAL, "%s: no mark DONE of a run that ended", run));
    SL_TRY_FREE(build_row(s, i, &r, diverged, &t));
    SL_TRY_FREE(sl_text_take(&t, &text));
    SL_TRY_FREE(sl_write_file_atomic(path, text, strlen(text)));
    SL_TRY_FREE(sl_study_merge(s, true));
fail:
    sl_text_clear(&t);
    sl_free(text);
    sl_free(run);
    sl_free(path);
    return st;
}

sl_status sl_study_record(sl_study *s, size_t i, sl_status status, const char *why, double core_s)
{
    char *failed = sl_study_path(s, "logs/", i, ".failed");
    if (!failed)
        return SL_ERR_MEMORY;
    sl_status st;
    if (status == SL_OK || status == SL_ERR_DIVERGED) {
        unlink(failed);
        st = record_row(s, i, status == SL_ERR_DIVERGED, core_s);
    } else {
        st = sl_write_file_atomic(failed, why, strlen(why));
    }
    sl_free(failed);
    return st;
}
