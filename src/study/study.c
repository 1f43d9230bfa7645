/*
 * The folder of a study. sweep.csv is the record: one row a finished run, with the digest of the
 * recipe that made it. A worker writes the row of its run to rows/NAME.csv and then merges all rows
 * into the table; merging twice changes nothing, so workers that merge at once lose no row for
 * good: the next refresh adds it. A table from another machine counts just as well.
 */
#define _POSIX_C_SOURCE 200809L
#include "study/study.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

char *sl_study_path(const struct sl_study *s, const char *folder, size_t run, const char *ending)
{
    return sl_asprintf("%s/%s%s%s", s->dir, folder, s->runs[run].name, ending);
}

/* ---- rows ---- */

/* The n-th comma-separated field of a row that quotes none before it. */
static void field(const char *row, unsigned n, const char **at, size_t *length)
{
    for (; n > 0 && *row; row++)
        n -= *row == ',';
    *at = row;
    *length = strcspn(row, ",\n");
}

static bool field_is(const char *row, unsigned n, const char *text, size_t length)
{
    const char *at;
    size_t has;
    field(row, n, &at, &has);
    return has == length && memcmp(at, text, length) == 0;
}

void sl_study_row_text(const char *row, size_t n, char *text)
{
    bool quoted = false;
    for (; *row; row++) {
        const bool twice = quoted && row[0] == '"' && row[1] == '"';
        row += twice;
        if (*row == '"' && !twice) {
            quoted = !quoted;
        } else if (*row == ',' && !quoted) {
            if (n-- == 0)
                break;
        } else if (n == 0) {
            *text++ = *row;
        }
    }
    *text = '\0';
}

static size_t count_fields(const char *row)
{
    bool quoted = false;
    size_t n = 1;
    for (; *row; row++) {
        quoted = quoted != (*row == '"');
        n += *row == ',' && !quoted;
    }
    return n;
}

sl_status sl_study_next_row(const char *path, const char *header, char **rest, char **row)
{
    char *start = *rest + strspn(*rest, "\r\n"), *end = start + strcspn(start, "\r\n");
    *row = end > start ? start : NULL;
    *rest = end + (*end != '\0');
    *end = '\0';
    if (*row && header && count_fields(*row) != count_fields(header))
        SL_FAIL(
            SL_ERR_DATA,
            "%s is damaged: its row '%.60s' has %zu fields instead of %zu; take the row out and "
            "its run is trained again",
            path, *row, count_fields(*row), count_fields(header));
    return SL_OK;
}

bool sl_study_column(const char *header, const char *name, size_t length, size_t *n)
{
    size_t column = 0;
    for (const char *at = header; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
            *n = column;
            return true;
        }
        column++;
    }
    return false;
}

sl_status sl_study_field(const sl_study *s, size_t run, const char *column, char **text)
{
    size_t n;
    if (!sl_study_column(s->header, column, strlen(column), &n))
        SL_FAIL(SL_ERR_ARGUMENT, "sl_study_field: the table has no column '%.100s'", column);
    char *found = NULL;
    const char *row = s->runs[run].row;
    if (row) {
        found = sl_strdup(row);
        if (!found)
            return SL_ERR_MEMORY;
        sl_study_row_text(row, n, found);
    }
    *text = found;
    return SL_OK;
}

static sl_status add_line(char ***lines, size_t *n, const char *line)
{
    char **grown = sl_regrow(*lines, *n, *n + 1, sizeof *grown);
    if (!grown)
        return SL_ERR_MEMORY;
    *lines = grown;
    grown[*n] = sl_strdup(line);
    if (!grown[*n])
        return SL_ERR_MEMORY;
    (*n)++;
    return SL_OK;
}

/* Takes a row into the study; *added: it was not known. */
static sl_status take_row(struct sl_study *s, const char *path, const char *row, bool *added)
{
    size_t i = 0;
    while (i < s->n && !field_is(row, 0, s->runs[i].name, strlen(s->runs[i].name)))
        i++;
    if (i == s->n)
        return add_line(&s->extra, &s->n_extra, row);
    struct sl_study_run *r = &s->runs[i];
    if (!field_is(row, 1, r->digest, SL_RECIPE_DIGITS))
        SL_FAIL(SL_ERR_CONFIG,
                "%s: the run %s was made by another recipe; give the study another --dir", path,
                r->name);
    r->state = field_is(row, 2, "diverged", 8) ? SL_RUN_DIVERGED : SL_RUN_DONE;
    if (r->row)
        return SL_OK;
    r->row = sl_strdup(row);
    *added = true;
    return r->row ? SL_OK : SL_ERR_MEMORY;
}

/* A table file: the header must be ours. */
static sl_status read_rows(struct sl_study *s, const char *path, bool *added)
{
    char *text = NULL, *row;
    size_t size;
    SL_TRY(sl_read_file(path, SL_TABLE_CAP, &text, &size));
    char *rest = text;
    sl_status st = sl_study_next_row(path, NULL, &rest, &row);
    if (row && strcmp(row, s->header) != 0)
        st = sl_error_set(SL_ERR_CONFIG,
                          "%s is the table of a study with other axes or of another version (its "
                          "first line differs); give the study another --dir and take the rows of "
                          "the same recipes over by --from",
                          path);
    while (row && st == SL_OK) {
        st = sl_study_next_row(path, s->header, &rest, &row);
        if (row && st == SL_OK)
            st = take_row(s, path, row, added);
    }
    sl_free(text);
    return st;
}

static sl_status write_table(const struct sl_study *s)
{
    sl_text t = {0};
    char *text = NULL;
    sl_text_addf(&t, "%s\n", s->header);
    for (size_t i = 0; i < s->n; i++)
        if (s->runs[i].row)
            sl_text_addf(&t, "%s\n", s->runs[i].row);
    for (size_t i = 0; i < s->n_extra; i++)
        sl_text_addf(&t, "%s\n", s->extra[i]);
    SL_TRY(sl_text_take(&t, &text));
    const sl_status st = sl_write_file_atomic(s->table, text, strlen(text));
    sl_free(text);
    return st;
}

static void clear_extra(struct sl_study *s)
{
    sl_names_free(&s->extra, s->n_extra);
    s->n_extra = 0;
}

sl_status sl_study_merge(struct sl_study *s, bool write)
{
    bool from_table = false, from_runs = false;
    clear_extra(s);
    for (size_t i = 0; i < s->n; i++) {
        sl_free(s->runs[i].row);
        s->runs[i].row = NULL;
    }
    if (sl_is_file(s->table))
        SL_TRY(read_rows(s, s->table, &from_table));
    for (size_t i = 0; i < s->n; i++) {
        if (s->runs[i].row)
            continue;
        char *path = sl_study_path(s, "rows/", i, ".csv");
        if (!path)
            return SL_ERR_MEMORY;
        const sl_status st = sl_is_file(path) ? read_rows(s, path, &from_runs) : SL_OK;
        sl_free(path);
        SL_TRY(st);
    }
    return from_runs && write ? write_table(s) : SL_OK;
}

/* ---- opening ---- */

static sl_status make_header(struct sl_study *s)
{
    sl_text t = {0};
    bool seed = false;
    sl_text_add(&t, "run,recipe,status");
    for (size_t i = 0; i < s->n_axes; i++) {
        sl_text_addf(&t, ",%s", sl_options[s->axes[i].option].key);
        seed = seed || strcmp(sl_options[s->axes[i].option].key, "seed") == 0;
    }
    sl_text_addf(&t,
                 "%s,top1,top1_se,transfer,loss,train_loss,step,core_s,wall_s,img_per_s,row_mass,"
                 "entropy,zeros,dead_rows,dead_heads,distance",
                 seed ? "" : ",seed");
    for (size_t k = 0; k < s->n_sizes; k++)
        sl_text_addf(&t, ",top1_%s_actual,top1_%s_train", s->sizes[k], s->sizes[k]);
    sl_text_add(&t, ",threads,isa,cpu,version,commit");
    return sl_text_take(&t, &s->header);
}

static sl_status list_sizes(struct sl_study *s, const char *sizes)
{
    char *copy = sl_strdup(sizes), *rest = NULL;
    sl_status st = copy ? SL_OK : SL_ERR_MEMORY;
    for (char *side = copy ? strtok_r(copy, SL_LIST_BLANKS, &rest) : NULL; side && st == SL_OK;
         side = strtok_r(NULL, SL_LIST_BLANKS, &rest))
        st = add_line(&s->sizes, &s->n_sizes, side);
    sl_free(copy);
    return st;
}

sl_status sl_study_open(const char *path, const char *const *overrides, size_t n, const char *dir,
                        sl_study **study)
{
    struct sl_recipe base = {.origin = NULL};
    struct sl_study *s = NULL;
    sl_status st = SL_OK;
    if (!path || !study || (n > 0 && !overrides))
        SL_FAIL(SL_ERR_ARGUMENT, "sl_study_open: path, overrides and study must not be NULL");
    SL_TRY(SL_NEW(s, 1));
    SL_TRY_FREE(sl_study_expand(s, path, overrides, n, &base));
    s->dir = dir ? sl_strdup(dir) : sl_asprintf("studies/%s", base.config.name);
    for (size_t k = s->dir ? strlen(s->dir) : 0; k > 1 && s->dir[k - 1] == '/'; k--)
        s->dir[k - 1] = '\0'; /* "DIR/" from a shell's completion */
    s->table = s->dir ? sl_path_join(s->dir, "sweep.csv") : NULL;
    SL_TRY_FREE(s->table ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(list_sizes(s, base.config.eval.sizes));
    SL_TRY_FREE(make_header(s));
    SL_TRY_FREE(sl_study_merge(s, false));
    *study = s;
    s = NULL;
fail:
    sl_recipe_clear(&base);
    sl_study_free(&s);
    return st;
}

void sl_study_free(sl_study **study)
{
    struct sl_study *s = study ? *study : NULL;
    if (!s)
        return;
    for (size_t i = 0; i < s->n_axes; i++)
        sl_names_free(&s->axes[i].values, s->axes[i].n);
    for (size_t i = 0; i < s->n_excludes; i++)
        sl_free(s->excludes[i]);
    for (size_t i = 0; s->runs && i < s->n; i++) {
        sl_free(s->runs[i].name);
        sl_free(s->runs[i].row);
        sl_free(s->runs[i].why);
    }
    sl_free(s->runs);
    clear_extra(s);
    sl_names_free(&s->sizes, s->n_sizes);
    sl_free(s->dir);
    sl_free(s->table);
    sl_free(s->header);
    sl_free(s);
    *study = NULL;
}

/* recipes/NAME.yaml, which `softless train` reads; one that is there must say the same. */
static sl_status put_recipe(const struct sl_study *s, size_t run)
{
    char *path = sl_study_path(s, "recipes/", run, ".yaml"), *text = NULL;
    struct sl_recipe there = {.origin = NULL};
    char digest[SL_DIGEST_SIZE];
    sl_status st = path ? SL_OK : SL_ERR_MEMORY;
    if (st == SL_OK && sl_is_file(path)) {
        SL_TRY_FREE(sl_recipe_read(path, &there));
        SL_TRY_FREE(sl_config_resolve(&there.config));
        SL_TRY_FREE(sl_config_digest(&there.config, digest));
        if (strcmp(digest, s->runs[run].digest) != 0)
            st = sl_error_set(SL_ERR_CONFIG,
                              "%s belongs to a study of another recipe (%s differs); give this one "
                              "another --dir",
                              s->dir, path);
    } else if (st == SL_OK) {
        SL_TRY_FREE(sl_config_to_yaml(&s->runs[run].recipe.config, NULL, &text));
        SL_TRY_FREE(sl_write_file_atomic(path, text, strlen(text)));
    }
fail:
    sl_recipe_clear(&there);
    sl_free(text);
    sl_free(path);
    return st;
}

sl_status sl_study_prepare(sl_study *s)
{
    static const char *const folders[] = {"recipes", "runs", "rows", "claims", "logs"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = sl_path_join(s->dir, folders[i]);
        const sl_status st = path ? sl_make_dirs(path) : SL_ERR_MEMORY;
        sl_free(path);
        SL_TRY(st);
    }
    for (size_t i = 0; i < s->n; i++)
        SL_TRY(put_recipe(s, i));
    return SL_OK;
}

/* ---- looking ---- */

size_t sl_study_count(const sl_study *s)
{
    return s->n;
}

const char *sl_study_dir(const sl_study *s)
{
    return s->dir;
}

const char *sl_study_table(const sl_study *s)
{
    return s->table;
}

const char *sl_study_run_name(const sl_study *s, size_t i)
{
    return s->runs[i].name;
}

const char *sl_study_axis(const sl_study *s, size_t k)
{
    return k < s->n_axes ? sl_options[s->axes[k].option].key : NULL;
}

const char *sl_study_size(const sl_study *s, size_t k)
{
    return k < s->n_sizes ? s->sizes[k] : NULL;
}

const sl_recipe *sl_study_run_recipe(const sl_study *s, size_t i)
{
    return &s->runs[i].recipe;
}

sl_run_state sl_study_state(const sl_study *s, size_t i)
{
    return s->runs[i].state;
}

const char *sl_study_why(const sl_study *s, size_t i)
{
    return s->runs[i].why ? s->runs[i].why : "";
}
