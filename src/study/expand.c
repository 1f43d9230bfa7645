/*
 * From `sweep:` to runs. Each axis is a recipe key with its values; the product runs like an
 * odometer, the last axis fastest; a run's name is made of the values as the option table writes
 * them, so that 1 and 1.0 are one value and give one name.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/number.h"
#include "study/study.h"

enum { NAME_BYTES = 200 };

sl_status sl_study_value(size_t option, const struct sl_config *config, char **text)
{
    sl_text t = {0};
    char *s = NULL;
    sl_option_format(&sl_options[option], config, &t);
    SL_TRY(sl_text_take(&t, &s));
    const size_t n = strlen(s);
    if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
        memmove(s, s + 1, n - 2);
        s[n - 2] = '\0';
    }
    *text = s;
    return SL_OK;
}

/* ---- reading the section ---- */

static void clear_values(struct sl_axis *a)
{
    for (size_t i = 0; i < a->n; i++)
        sl_free(a->values[i]);
    sl_free(a->values);
    a->values = NULL;
    a->n = 0;
}

/* The axis of a key; a new one if there is none. */
static sl_status axis_of(struct sl_study *s, const char *key, const char *where,
                         struct sl_axis **axis)
{
    const size_t option = sl_option_find(key);
    if (option == sl_n_options)
        return sl_recipe_unknown_key(where, key);
    if (sl_options[option].inert)
        SL_FAIL(SL_ERR_CONFIG, "%s: '%s' changes no result, so it cannot be an axis", where, key);
    size_t i = 0;
    while (i < s->n_axes && s->axes[i].option != option)
        i++;
    if (i == SL_AXES_MAX)
        SL_FAIL(SL_ERR_CONFIG, "%s: more than %d axes", where, SL_AXES_MAX);
    *axis = &s->axes[i];
    if (i == s->n_axes) {
        s->axes[i] = (struct sl_axis){.option = option};
        s->n_axes++;
    }
    snprintf((*axis)->where, sizeof(*axis)->where, "%s", where);
    return SL_OK;
}

static sl_status copy_values(const struct sl_value *value, char ***values, size_t *n)
{
    char **copies = NULL;
    if (value->n > 0)
        SL_TRY(SL_NEW(copies, value->n));
    for (size_t i = 0; i < value->n; i++) {
        copies[i] = sl_strdup(value->items[i]);
        if (!copies[i]) {
            sl_names_free(&copies, i);
            return SL_ERR_MEMORY;
        }
    }
    *values = copies;
    *n = value->n;
    return SL_OK;
}

static sl_status read_excludes(struct sl_study *s, const struct sl_value *value, const char *where)
{
    if (value->n > SL_EXCLUDES_MAX)
        SL_FAIL(SL_ERR_CONFIG, "%s: more than %d lines of exclude", where, SL_EXCLUDES_MAX);
    for (size_t i = 0; i < s->n_excludes; i++)
        sl_free(s->excludes[i]);
    s->n_excludes = 0;
    snprintf(s->exclude_where, sizeof s->exclude_where, "%s", where);
    for (size_t i = 0; i < value->n; i++) {
        s->excludes[i] = sl_strdup(value->items[i]);
        if (!s->excludes[i])
            return SL_ERR_MEMORY;
        s->n_excludes++;
    }
    return SL_OK;
}

/* model.alpha.from and its like; *taken says whether the key is one. */
static sl_status read_range(struct sl_study *s, const char *key, const struct sl_value *value,
                            const char *where, bool *taken)
{
    static const char *const words[] = {"from", "to", "step"};
    char stem[SL_NAME_MAX];
    const char *dot = strrchr(key, '.');
    size_t word = 0;
    while (dot && word < 3 && strcmp(dot + 1, words[word]) != 0)
        word++;
    *taken = dot && word < 3 && (size_t)(dot - key) < sizeof stem;
    if (!*taken)
        return SL_OK;
    struct sl_axis *a = NULL;
    double x = 0;
    memcpy(stem, key, (size_t)(dot - key));
    stem[dot - key] = '\0';
    SL_TRY(axis_of(s, stem, where, &a));
    if (value->list || !sl_parse_real(value->items[0], &x))
        SL_FAIL(SL_ERR_CONFIG, "%s: %s of %s must be a number", where, words[word], stem);
    clear_values(a);
    a->range = true;
    a->given |= 1U << word;
    *(word == 0 ? &a->from : word == 1 ? &a->to : &a->step) = x;
    return SL_OK;
}

static sl_status on_leaf(void *user, const char *key, const struct sl_value *value,
                         const char *where)
{
    struct sl_study *s = user;
    struct sl_axis *a = NULL;
    bool taken;
    if (strcmp(key, "exclude") == 0)
        return read_excludes(s, value, where);
    SL_TRY(read_range(s, key, value, where, &taken));
    if (taken)
        return SL_OK;
    SL_TRY(axis_of(s, key, where, &a));
    clear_values(a);
    a->range = false;
    a->given = 0;
    return copy_values(value, &a->values, &a->n);
}

static sl_status fill_range(struct sl_axis *a)
{
    const char *key = sl_options[a->option].key;
    if (a->given != 7)
        SL_FAIL(SL_ERR_CONFIG, "%s: the axis %s needs from, to and step", a->where, key);
    /* A step that does not divide the range exactly in binary, as 0.1, must not lose the end. */
    const double steps = floor((a->to - a->from) / a->step + 1e-6);
    if (!(a->step != 0 && steps >= 0))
        SL_FAIL(SL_ERR_CONFIG, "%s: the axis %s never gets from %g to %g in steps of %g", a->where,
                key, a->from, a->to, a->step);
    if (steps >= SL_AXIS_VALUES_MAX)
        SL_FAIL(SL_ERR_CONFIG, "%s: the axis %s has more than %d values", a->where, key,
                SL_AXIS_VALUES_MAX);
    SL_TRY(SL_NEW(a->values, (size_t)steps + 1));
    for (size_t i = 0; i <= (size_t)steps; i++) {
        char text[40];
        sl_print(text, sizeof text, "%.12g", a->from + (double)i * a->step);
        a->values[i] = sl_strdup(text);
        if (!a->values[i])
            return SL_ERR_MEMORY;
        a->n++;
    }
    return SL_OK;
}

/* ---- exclude ---- */

/* Whether one condition, "key=value" or "key!=value", holds. */
static sl_status holds(const struct sl_study *s, const char *condition,
                       const struct sl_config *config, bool *yes)
{
    char key[SL_NAME_MAX];
    const char *equals = strchr(condition, '=');
    const bool unequal = equals && equals > condition && equals[-1] == '!';
    const size_t n = equals ? (size_t)(equals - condition) - unequal : 0;
    if (n == 0 || n >= sizeof key)
        SL_FAIL(SL_ERR_CONFIG, "%s: exclude: '%.200s' is neither key=value nor key!=value",
                s->exclude_where, condition);
    memcpy(key, condition, n);
    key[n] = '\0';
    const size_t option = sl_option_find(key);
    if (option == sl_n_options)
        return sl_recipe_unknown_key(s->exclude_where, key);
    struct sl_config other = *config;
    const sl_status st = sl_option_set_text(&sl_options[option], &other, equals + 1);
    if (st != SL_OK)
        return sl_error_prefix(st, "%s: exclude", s->exclude_where);
    char *is = NULL, *excluded = NULL;
    SL_TRY(sl_study_value(option, config, &is));
    const sl_status second = sl_study_value(option, &other, &excluded);
    if (second == SL_OK)
        *yes = (strcmp(is, excluded) == 0) != unequal;
    sl_free(is);
    sl_free(excluded);
    return second;
}

/* A line of exclude holds conditions between blanks; the run goes if all of one line hold. */
static sl_status is_excluded(const struct sl_study *s, const struct sl_config *config, bool *out)
{
    *out = false;
    for (size_t i = 0; i < s->n_excludes; i++) {
        bool all = true, any = false;
        for (const char *at = s->excludes[i]; *at;) {
            const size_t n = strcspn(at, " \t");
            char condition[SL_SPEC_MAX];
            snprintf(condition, sizeof condition, "%.*s", (int)n, at);
            bool yes = true;
            if (n > 0)
                SL_TRY(holds(s, condition, config, &yes));
            any = any || n > 0;
            all = all && yes;
            at += n + (at[n] != '\0');
        }
        *out = *out || (any && all);
    }
    return SL_OK;
}

/* ---- product ---- */

static sl_status name_of(const struct sl_study *s, const struct sl_config *config, char **name)
{
    sl_text t = {0};
    for (size_t i = 0; i < s->n_axes; i++) {
        const char *key = sl_options[s->axes[i].option].key, *dot = strchr(key, '.');
        char *value = NULL;
        const sl_status st = sl_study_value(s->axes[i].option, config, &value);
        if (st != SL_OK) {
            sl_text_clear(&t);
            return st;
        }
        for (char *c = value; *c; c++)
            if (!isalnum((unsigned char)*c) && *c != '.' && *c != '-')
                *c = '-';
        sl_text_addf(&t, "%s%s-%s", i ? "_" : "", dot ? dot + 1 : key, value);
        sl_free(value);
    }
    char *made = NULL;
    SL_TRY(sl_text_take(&t, &made));
    if (strlen(made) > NAME_BYTES) {
        sl_free(made);
        SL_FAIL(SL_ERR_CONFIG, "the values of the axes give a run a name of more than %d bytes",
                NAME_BYTES);
    }
    *name = made;
    return SL_OK;
}

static sl_status add_run(struct sl_study *s, const struct sl_config *config)
{
    struct sl_study_run *r = &s->runs[s->n];
    char *name = NULL;
    SL_TRY(name_of(s, config, &name));
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->runs[i].name, name) == 0) {
            const sl_status st = sl_error_set(
                SL_ERR_CONFIG, "%s: two runs would have the name %s; an axis names a value twice",
                s->axes[0].where, name);
            sl_free(name);
            return st;
        }
    r->name = name;
    r->recipe.config = *config;
    s->n++;
    const sl_status st = sl_config_resolve(&r->recipe.config);
    if (st != SL_OK)
        return sl_error_prefix(st, "run %s", name);
    return sl_config_digest(&r->recipe.config, r->digest);
}

/* The config of a point of the product. */
static sl_status set_point(const struct sl_study *s, const size_t *at, struct sl_config *config)
{
    for (size_t i = 0; i < s->n_axes; i++) {
        const struct sl_axis *a = &s->axes[i];
        const sl_status st = sl_option_set_text(&sl_options[a->option], config, a->values[at[i]]);
        if (st != SL_OK)
            return sl_error_prefix(st, "%s", a->where);
    }
    return SL_OK;
}

static sl_status multiply(struct sl_study *s, const struct sl_config *base)
{
    size_t total = 1, at[SL_AXES_MAX] = {0};
    for (size_t i = 0; i < s->n_axes; i++) {
        if (s->axes[i].n == 0)
            SL_FAIL(SL_ERR_CONFIG, "%s: the axis %s has no values, so the study has no runs",
                    s->axes[i].where, sl_options[s->axes[i].option].key);
        total *= s->axes[i].n; /* each at most 1000 after a check below 10000: no overflow */
        if (total > SL_RUNS_MAX)
            SL_FAIL(SL_ERR_CONFIG, "%s: the axes give more than %d runs", s->axes[i].where,
                    SL_RUNS_MAX);
    }
    SL_TRY(SL_NEW(s->runs, total));
    for (size_t k = 0; k < total; k++) {
        size_t rest = k;
        bool excluded;
        struct sl_config config = *base;
        for (size_t i = s->n_axes; i-- > 0; rest /= s->axes[i].n)
            at[i] = rest % s->axes[i].n;
        SL_TRY(set_point(s, at, &config));
        SL_TRY(is_excluded(s, &config, &excluded));
        if (!excluded)
            SL_TRY(add_run(s, &config));
    }
    if (s->n == 0)
        SL_FAIL(SL_ERR_CONFIG, "%s: exclude leaves no run", s->exclude_where);
    return SL_OK;
}

sl_status sl_study_expand(struct sl_study *s, const char *path, const char *const *overrides,
                          size_t n, struct sl_recipe *base)
{
    const struct sl_sweep_sink sink = {on_leaf, s};
    SL_TRY(sl_recipe_read_study(path, &sink, base));
    if (s->n_axes == 0)
        SL_FAIL(SL_ERR_CONFIG,
                "%s has no axes under 'sweep:'; 'softless train' trains a single recipe", path);
    for (size_t i = 0; i < n; i++) {
        SL_TRY(sl_recipe_set(base, overrides[i], "--set"));
        for (size_t k = 0; k < s->n_axes; k++) {
            const char *key = sl_options[s->axes[k].option].key;
            const size_t length = strlen(key);
            if (strncmp(overrides[i], key, length) == 0 && overrides[i][length] == '=')
                SL_FAIL(SL_ERR_CONFIG, "--set %s: the key is an axis of the sweep", key);
        }
    }
    for (size_t i = 0; i < s->n_axes; i++)
        if (s->axes[i].range)
            SL_TRY(fill_range(&s->axes[i]));
    return multiply(s, &base->config);
}
