/*
 * Recipes: bases, values with their origin, dumps, differences, digests.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/io.h"
#include "config/yaml.h"

enum { BASE_LEVELS = 8, FILE_CAP = 1 << 20, SCHEMA = 1 };

sl_status sl_recipe_init(struct sl_recipe *recipe)
{
    *recipe = (struct sl_recipe){.origin = NULL};
    sl_config_defaults(&recipe->config);
    return SL_NEW(recipe->origin, sl_n_options);
}

void sl_recipe_clear(struct sl_recipe *recipe)
{
    for (size_t i = 0; recipe->origin && i < sl_n_options; i++)
        sl_free(recipe->origin[i]);
    sl_free(recipe->origin);
    recipe->origin = NULL;
}

static sl_status note_origin(struct sl_recipe *recipe, size_t option, const char *origin)
{
    if (!recipe->origin)
        SL_TRY(SL_NEW(recipe->origin, sl_n_options));
    char *copy = sl_strdup(origin);
    if (!copy)
        return SL_ERR_MEMORY;
    sl_free(recipe->origin[option]);
    recipe->origin[option] = copy;
    return SL_OK;
}

sl_status sl_recipe_unknown_key(const char *where, const char *key)
{
    char escaped[SL_ESCAPED_SIZE];
    const size_t n = strlen(key);
    for (size_t i = 0; i < sl_n_options; i++)
        if (strncmp(sl_options[i].key, key, n) == 0 && sl_options[i].key[n] == '.')
            SL_FAIL(SL_ERR_CONFIG, "%s: '%s' is a section; its keys stand below it, as %s does",
                    where, key, sl_options[i].key);
    const char *near = sl_option_nearest(key);
    SL_FAIL(SL_ERR_CONFIG, "%s: unknown key '%s'%s%s%s", where,
            sl_escape(key, strlen(key), escaped),
            near ? ", did you mean '" : "; 'softless config keys' lists all", near ? near : "",
            near ? "'?" : "");
}

sl_status sl_recipe_set(struct sl_recipe *recipe, const char *assignment, const char *origin)
{
    char key[SL_NAME_MAX], escaped[SL_ESCAPED_SIZE];
    const char *equals = strchr(assignment, '=');
    const size_t n = equals ? (size_t)(equals - assignment) : 0;
    if (n == 0 || n >= sizeof key)
        SL_FAIL(SL_ERR_CONFIG, "%s: '%s' is not section.key=value", origin,
                sl_escape(assignment, strlen(assignment), escaped));
    memcpy(key, assignment, n);
    key[n] = '\0';
    const size_t i = sl_option_find(key);
    if (i == sl_n_options)
        return sl_recipe_unknown_key(origin, key);
    const sl_status st = sl_option_set_text(&sl_options[i], &recipe->config, equals + 1);
    if (st != SL_OK)
        return sl_error_prefix(st, "%s", origin);
    return note_origin(recipe, i, origin);
}

/* ---- YAML ---- */

/* One level of a chain of recipes; `up` is the recipe that named this one as its base. */
struct level {
    struct sl_recipe *recipe;
    const struct sl_sweep_sink *sweep; /* NULL: a sweep is an error */
    const char *path;
    const struct level *up;
    int depth;
    bool only_base; /* first pass: look for base: and schema: */
    bool schema_seen;
};

static sl_status parse_level(struct level *l, const char *text, size_t size);

static sl_status read_recipe_file(const char *path, char **text, size_t *size)
{
    const sl_status st = sl_read_file(path, FILE_CAP, text, size);
    return st == SL_ERR_DATA ? SL_ERR_CONFIG : st; /* larger than a recipe may be */
}

static sl_status read_base(const struct level *l, const char *name, size_t line)
{
    const char *slash = strrchr(l->path, '/');
    const int folder = slash ? (int)(slash - l->path) + 1 : 0;
    char *path = sl_asprintf("%.*s%s", name[0] == '/' ? 0 : folder, l->path, name), *text = NULL;
    size_t size;
    sl_status st = path ? SL_OK : SL_ERR_MEMORY;
    for (const struct level *u = l; st == SL_OK && u; u = u->up)
        if (strcmp(u->path, path) == 0)
            st = sl_error_set(SL_ERR_CONFIG, "%s:%zu: base '%s' leads back to itself", l->path,
                              line, name);
    if (st == SL_OK && l->depth == BASE_LEVELS)
        st = sl_error_set(SL_ERR_CONFIG, "%s:%zu: more than %d levels of base files", l->path, line,
                          BASE_LEVELS);
    if (st == SL_OK) {
        st = read_recipe_file(path, &text, &size);
        if (st != SL_OK)
            sl_error_prefix(st, "%s:%zu: base", l->path, line);
    }
    if (st == SL_OK) {
        struct level base = {
            .recipe = l->recipe, .sweep = l->sweep, .path = path, .up = l, .depth = l->depth + 1};
        st = parse_level(&base, text, size);
    }
    sl_free(text);
    sl_free(path);
    return st;
}

static sl_status on_leaf(void *user, const char *key, const struct sl_value *value, size_t line)
{
    struct level *l = user;
    char where[512];
    snprintf(where, sizeof where, "%s:%zu", l->path, line);
    const bool schema = strcmp(key, "schema") == 0, base = strcmp(key, "base") == 0;
    if (schema) {
        l->schema_seen = true;
        if (value->list || strcmp(value->items[0], "1") != 0)
            SL_FAIL(SL_ERR_CONFIG, "%s: schema must be %d, the only one this version reads", where,
                    SCHEMA);
        return SL_OK;
    }
    if (base && value->list)
        SL_FAIL(SL_ERR_CONFIG, "%s: base names one file", where);
    if (base)
        return l->only_base ? read_base(l, value->items[0], line) : SL_OK;
    if (l->only_base)
        return SL_OK;
    if (strncmp(key, "sweep.", 6) == 0 && l->sweep)
        return l->sweep->leaf(l->sweep->user, key + 6, value, where);
    if (strcmp(key, "sweep") == 0 || strncmp(key, "sweep.", 6) == 0)
        SL_FAIL(SL_ERR_CONFIG,
                "%s: '%s' belongs to a study of several runs; 'softless sweep RECIPE' works it off",
                where, key);
    const size_t i = sl_option_find(key);
    if (i == sl_n_options)
        return sl_recipe_unknown_key(where, key);
    const sl_status st = sl_option_set(&sl_options[i], &l->recipe->config, value);
    if (st != SL_OK)
        return sl_error_prefix(st, "%s", where);
    return note_origin(l->recipe, i, where);
}

/* Two passes, so that a base comes first wherever its line stands. */
static sl_status parse_level(struct level *l, const char *text, size_t size)
{
    l->only_base = true;
    SL_TRY(sl_yaml_read(l->path, text, size, on_leaf, l));
    if (!l->schema_seen)
        SL_FAIL(SL_ERR_CONFIG, "%s: the line 'schema: %d' is missing", l->path, SCHEMA);
    l->only_base = false;
    return sl_yaml_read(l->path, text, size, on_leaf, l);
}

static sl_status parse_all(struct sl_recipe *recipe, const struct sl_sweep_sink *sweep,
                           const char *path, const char *text, size_t size)
{
    struct level top = {.recipe = recipe, .sweep = sweep, .path = path};
    return parse_level(&top, text, size);
}

sl_status sl_recipe_parse(struct sl_recipe *recipe, const char *path, const char *text, size_t size)
{
    return parse_all(recipe, NULL, path, text, size);
}

sl_status sl_recipe_read(const char *path, struct sl_recipe *recipe)
{
    return sl_recipe_read_study(path, NULL, recipe);
}

sl_status sl_recipe_read_study(const char *path, const struct sl_sweep_sink *sweep,
                               struct sl_recipe *recipe)
{
    struct sl_recipe r = {.origin = NULL};
    char *file = NULL, *text = NULL;
    size_t size;
    sl_status st = SL_OK;
    SL_TRY_FREE(sl_recipe_init(&r));
    SL_TRY_FREE(sl_recipe_find(path, &file));
    SL_TRY_FREE(read_recipe_file(file, &text, &size));
    SL_TRY_FREE(parse_all(&r, sweep, file, text, size));
    *recipe = r;
    r = (struct sl_recipe){.origin = NULL};
fail:
    sl_recipe_clear(&r);
    sl_free(text);
    sl_free(file);
    return st;
}

/* ---- text out ---- */

/* The part of a key before the dot; 0 for keys of no section. */
static size_t section_length(const char *key)
{
    const char *dot = strchr(key, '.');
    return dot ? (size_t)(dot - key) : 0;
}

sl_status sl_config_to_yaml(const struct sl_config *config, char *const *origin, char **yaml)
{
    const char *section = "";
    char escaped[SL_ESCAPED_SIZE];
    size_t length = 0;
    sl_text t = {0};
    sl_text_addf(&t, "schema: %d\n", SCHEMA);
    for (size_t i = 0; i < sl_n_options; i++) {
        const struct sl_option *o = &sl_options[i];
        const size_t n = section_length(o->key);
        if (n != length || strncmp(section, o->key, n) != 0) {
            section = o->key;
            length = n;
            sl_text_addf(&t, "%.*s:\n", (int)n, o->key);
        }
        sl_text_addf(&t, "%s%s: ", n ? "  " : "", o->key + (n ? n + 1 : 0));
        sl_option_format(o, config, &t);
        const char *from = origin && origin[i] ? origin[i] : "default";
        if (origin) /* a path may hold a line break, which would end the comment */
            sl_text_addf(&t, "  # %s", sl_escape(from, strlen(from), escaped));
        sl_text_add(&t, "\n");
    }
    return sl_text_take(&t, yaml);
}

sl_status sl_config_diff(const struct sl_config *old_config, const struct sl_config *new_config,
                         char **text)
{
    sl_text t = {0};
    for (size_t i = 0; i < sl_n_options; i++) {
        sl_text a = {0}, b = {0};
        if (sl_options[i].inert)
            continue;
        sl_option_format(&sl_options[i], old_config, &a);
        sl_option_format(&sl_options[i], new_config, &b);
        t.failed = t.failed || a.failed || b.failed;
        if (!t.failed && strcmp(a.text, b.text) != 0)
            sl_text_addf(&t, "%s%s: %s -> %s", t.length ? "\n" : "", sl_options[i].key, a.text,
                         b.text);
        sl_text_clear(&a);
        sl_text_clear(&b);
    }
    return sl_text_take(&t, text);
}

sl_status sl_config_digest(const struct sl_config *config, char digest[33])
{
    struct sl_config defaults;
    char *text = NULL;
    sl_config_defaults(&defaults);
    SL_TRY(sl_config_diff(&defaults, config, &text));
    sl_digest(text, strlen(text), digest);
    sl_free(text);
    return SL_OK;
}

sl_status sl_recipe_get(const struct sl_recipe *recipe, const char *key, char **text)
{
    if (!recipe || !key || !text)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_recipe_get: recipe, key and text must not be NULL");
    const size_t i = sl_option_find(key);
    sl_text t = {0};
    if (i == sl_n_options)
        return sl_recipe_unknown_key("sl_recipe_get", key);
    sl_option_format(&sl_options[i], &recipe->config, &t);
    return sl_text_take(&t, text);
}
