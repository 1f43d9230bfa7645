/*
 * The row of a run that ended: axes, seed, results, and where they come from (machine, version,
 * commit), read from what the run left in its folder, or from the table of another study that had
 * a run of the same recipe.
 */
#define _POSIX_C_SOURCE 200809L
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

/* Header, name, recipe, status and axes: what a study knows of its run. */
static sl_status begin_row(const struct sl_study *s, size_t i, const char *status, sl_text *t)
{
    bool seed = false;
    sl_text_addf(t, "%s\n%s,%.*s,%s", s->header, s->runs[i].name, SL_RECIPE_DIGITS,
                 s->runs[i].digest, status);
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

/* Accuracies at other resolutions from the run's own table, in the order of the header. */
static sl_status add_sizes(const struct sl_study *s, size_t i, sl_text *t)
{
    static const char *const modes[] = {"actual", "train"};
    char *path = sl_study_path(s, "runs/", i, "/sizes.csv"), *text = NULL;
    size_t size;
    sl_status st = path ? SL_OK : SL_ERR_MEMORY;
    if (st == SL_OK && s->n_sizes > 0 && sl_is_file(path))
        st = sl_read_file(path, TEXT_CAP, &text, &size);
    for (size_t k = 0; k < 2 * s->n_sizes && st == SL_OK; k++) {
        char *start = sl_asprintf("\n%s,%s,", s->sizes[k / 2], modes[k % 2]);
        char *line = start && text ? strstr(text, start) : NULL;
        st = start ? SL_OK : SL_ERR_MEMORY;
        sl_text_add(t, ",");
        if (line) { /* side,length,length_used,images,top1,... */
            for (int n = 0; n < 4 && line; n++)
                line = strchr(line + (n > 0), ',');
            if (line)
                sl_text_addf(t, "%.*s", (int)strcspn(line + 1, ",\n"), line + 1);
        }
        sl_free(start);
    }
    sl_free(text);
    sl_free(path);
    return st;
}

static sl_status build_row(const struct sl_study *s, size_t i, const sl_train_result *r,
                           bool diverged, sl_text *t)
{
    json_t *env = NULL;
    SL_TRY(read_env(s, i, &env));
    sl_status st = begin_row(s, i, diverged ? "diverged" : "done", t);
    const double values[] = {r->val_top1, r->val_top1_se, r->transfer, r->val_loss, r->train_loss};
    for (size_t k = 0; k < sizeof values / sizeof *values; k++)
        add_real(t, values[k]);
    sl_text_addf(t, ",%llu", (unsigned long long)r->step);
    add_real(t, r->cpu_s);
    add_real(t, r->wall_s);
    add_real(t, r->img_per_sec);
    const sl_attention_summary *a = &r->attention;
    const double figures[] = {a->mass,      a->entropy,    a->zeros,
                              a->dead_rows, a->dead_heads, a->distance};
    for (size_t k = 0; k < sizeof figures / sizeof *figures; k++)
        add_real(t, figures[k]);
    if (st == SL_OK)
        st = add_sizes(s, i, t);
    add_env(t, env, "threads");
    add_env(t, env, "isa");
    add_env(t, env, "cpu");
    add_env(t, env, "version");
    add_field(t, SL_COMMIT);
    sl_text_add(t, "\n");
    json_decref(env);
    return st;
}

static sl_status write_row(const struct sl_study *s, size_t i, sl_text *t)
{
    char *path = sl_study_path(s, "rows/", i, ".csv"), *text = NULL;
    sl_status st = path ? sl_text_take(t, &text) : SL_ERR_MEMORY;
    if (st == SL_OK)
        st = sl_write_file_atomic(path, text, strlen(text));
    sl_free(text);
    sl_free(path);
    return st;
}

static sl_status record_row(struct sl_study *s, size_t i, bool diverged, double core_s)
{
    sl_train_result r = {.val_top1 = NAN,
                         .val_top1_se = NAN,
                         .transfer = NAN,
                         .attention = {NAN, NAN, NAN, NAN, NAN, NAN},
                         .val_loss = NAN,
                         .train_loss = NAN,
                         .img_per_sec = NAN,
                         .cpu_s = core_s};
    char *run = sl_study_path(s, "runs/", i, "");
    sl_text t = {0};
    bool done = false;
    sl_status st = run ? SL_OK : SL_ERR_MEMORY;
    SL_TRY_FREE(st);
    if (diverged)
        SL_TRY_FREE(sl_study_progress(s, i, &r.step, &r.wall_s));
    else
        SL_TRY_FREE(sl_run_load_result(run, &r, &done));
    if (!diverged && !done)
        SL_TRY_FREE(sl_error_set(SL_ERR_INTERNAL, "%s: no mark DONE of a run that ended", run));
    SL_TRY_FREE(build_row(s, i, &r, diverged, &t));
    SL_TRY_FREE(write_row(s, i, &t));
    SL_TRY_FREE(sl_study_merge(s, true));
fail:
    sl_text_clear(&t);
    sl_free(run);
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

/* ---- rows of another study ---- */

/* A table of another study: its lines, and where in a line status and recipe stand. */
struct foreign {
    char *header, **rows, *field; /* [n]; room for the longest line */
    size_t n, status, recipe;
};

/* Splits text, which must outlive t, into lines. */
static sl_status read_foreign(const char *path, char *text, struct foreign *t)
{
    char *row;
    SL_TRY(sl_study_next_row(path, NULL, &text, &t->header));
    if (!t->header || !sl_study_column(t->header, "status", 6, &t->status) ||
        !sl_study_column(t->header, "recipe", 6, &t->recipe))
        SL_FAIL(SL_ERR_DATA, "%s is not the table of a study: no columns recipe and status", path);
    for (;;) {
        SL_TRY(sl_study_next_row(path, t->header, &text, &row));
        if (!row)
            return SL_OK;
        char **grown = sl_regrow(t->rows, t->n, t->n + 1, sizeof *grown);
        if (!grown)
            return SL_ERR_MEMORY;
        t->rows = grown;
        t->rows[t->n++] = row;
    }
}

/* The row in t becomes that of a run, in memory only; the file it would be has a first line too. */
static sl_status keep_row(struct sl_study *s, size_t i, sl_text *t)
{
    char *text = NULL;
    SL_TRY(sl_text_take(t, &text));
    char *row = strchr(text, '\n') + 1;
    row[strcspn(row, "\n")] = '\0';
    s->runs[i].row = sl_strdup(row);
    sl_free(text);
    return s->runs[i].row ? SL_OK : SL_ERR_MEMORY;
}

/* The columns behind the axes are the same for every study; one that the other lacks stays empty.
 */
static sl_status adopt_row(struct sl_study *s, size_t i, const struct foreign *f, const char *row,
                           bool write)
{
    sl_text t = {0};
    sl_study_row_text(row, f->status, f->field);
    s->runs[i].state = strcmp(f->field, "diverged") == 0 ? SL_RUN_DIVERGED : SL_RUN_DONE;
    sl_status st = begin_row(s, i, f->field, &t);
    for (const char *at = strstr(s->header, ",top1,"); at; at = strchr(at, ',')) {
        const size_t length = strcspn(++at, ",");
        size_t n;
        f->field[0] = '\0';
        if (sl_study_column(f->header, at, length, &n))
            sl_study_row_text(row, n, f->field);
        add_field(&t, f->field);
    }
    sl_text_add(&t, "\n");
    if (st == SL_OK)
        st = write ? write_row(s, i, &t) : keep_row(s, i, &t);
    sl_text_clear(&t);
    return st;
}

static const char *find_row(const struct sl_study *s, size_t i, const struct foreign *f)
{
    for (size_t k = 0; k < f->n; k++) {
        sl_study_row_text(f->rows[k], f->recipe, f->field);
        if (strlen(f->field) != SL_RECIPE_DIGITS ||
            memcmp(f->field, s->runs[i].digest, SL_RECIPE_DIGITS) != 0)
            continue;
        sl_study_row_text(f->rows[k], f->status, f->field);
        if (strcmp(f->field, "done") == 0 || strcmp(f->field, "diverged") == 0)
            return f->rows[k];
    }
    return NULL;
}

sl_status sl_study_adopt(sl_study *s, const char *table, bool write, size_t *taken)
{
    struct foreign f = {0};
    char *text = NULL;
    size_t size, n = 0;
    if (!s || !table || !taken)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_study_adopt: study, table and taken must not be NULL");
    SL_TRY(sl_read_file(table, SL_TABLE_CAP, &text, &size));
    sl_status st = SL_NEW(f.field, size + 1);
    SL_TRY_FREE(st);
    SL_TRY_FREE(read_foreign(table, text, &f));
    for (size_t i = 0; i < s->n; i++) {
        const char *row = s->runs[i].row ? NULL : find_row(s, i, &f);
        if (row)
            SL_TRY_FREE(adopt_row(s, i, &f, row, write));
        n += row != NULL;
    }
    if (write)
        SL_TRY_FREE(sl_study_merge(s, true));
    *taken = n;
fail:
    sl_free(f.rows);
    sl_free(f.field);
    sl_free(text);
    return st;
}
