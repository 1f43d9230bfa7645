/*
 * Where recipes are: a path, ./recipes, the recipes installed with the program, those of the
 * build's prefix.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/text.h"
#include "config/config.h"

enum { PATH_SIZE = 4096, FOLDERS = 4, NAMES_MAX = 1000, HEAD_CAP = 1 << 20 };

#ifndef SOFTLESS_DATADIR
#define SOFTLESS_DATADIR "/usr/local/share/softless"
#endif
#ifndef SOFTLESS_DATADIR_FROM_BIN
#define SOFTLESS_DATADIR_FROM_BIN "../share/softless"
#endif

static const char ending[] = ".yaml";

/* The folder `below` the running program's, "" if /proc does not say. */
static void beside_program(const char *below, char folder[PATH_SIZE])
{
    char program[PATH_SIZE];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program);
    folder[0] = '\0';
    if (n <= 0 || n == (ssize_t)sizeof program)
        return;
    program[n] = '\0';
    *strrchr(program, '/') = '\0';
    const int written = snprintf(folder, PATH_SIZE, "%s/%s", program, below);
    if (written < 0 || written >= PATH_SIZE)
        folder[0] = '\0';
}

struct search {
    char installed[PATH_SIZE]; /* with the program, also where the tree was moved */
    char built[PATH_SIZE];     /* of the sources, for a program that lies in their build folder */
    const char *folders[FOLDERS];
};

/* In the order of search. */
static void search_init(struct search *s)
{
    beside_program(SOFTLESS_DATADIR_FROM_BIN "/recipes", s->installed);
    beside_program("../recipes", s->built);
    s->folders[0] = "recipes";
    s->folders[1] = s->installed;
    s->folders[2] = s->built;
    s->folders[3] = SOFTLESS_DATADIR "/recipes";
}

/* ---- every recipe there is ---- */

struct recipes {
    char *names[NAMES_MAX], *paths[NAMES_MAX];
    size_t n;
};

static void recipes_clear(struct recipes *r)
{
    for (size_t i = 0; i < r->n; i++) {
        sl_free(r->names[i]);
        sl_free(r->paths[i]);
    }
    r->n = 0;
}

/* FOLDER/BELOW/FILE as BELOW/FILE without its ending, unless an earlier folder has that name. */
static sl_status add_recipe(struct recipes *r, const char *folder, const char *below,
                            const char *file)
{
    const int stem = (int)(strlen(file) - strlen(ending));
    char *name = sl_asprintf("%s%.*s", below, stem, file);
    char *path = sl_asprintf("%s/%s%s", folder, below, file);
    bool known = r->n == NAMES_MAX;
    for (size_t i = 0; name && i < r->n && !known; i++)
        known = strcmp(r->names[i], name) == 0;
    const sl_status st = name && path ? SL_OK : SL_ERR_MEMORY;
    if (st != SL_OK || known || !sl_is_file(path)) {
        sl_free(name);
        sl_free(path);
        return st;
    }
    r->names[r->n] = name;
    r->paths[r->n++] = path;
    return SL_OK;
}

/* What cannot be listed holds no recipes. `deeper`: look into subfolders, too. */
static sl_status add_folder(struct recipes *r, const char *folder, const char *below, bool deeper)
{
    char **names = NULL, *path = sl_asprintf("%s/%s", folder, below);
    size_t n = 0;
    sl_status st = path ? SL_OK : SL_ERR_MEMORY;
    if (st == SL_OK && sl_is_dir(path) && sl_list_dir(path, &names, &n) != SL_OK)
        n = 0;
    for (size_t i = 0; i < n && st == SL_OK; i++) {
        if (sl_ends_with(names[i], ending)) {
            st = add_recipe(r, folder, below, names[i]);
        } else if (deeper) {
            char *deep = sl_asprintf("%s/", names[i]);
            st = deep ? add_folder(r, folder, deep, false) : SL_ERR_MEMORY;
            sl_free(deep);
        }
    }
    sl_names_free(&names, n);
    sl_free(path);
    return st;
}

static sl_status all_recipes(struct recipes *r)
{
    struct search s;
    sl_status st = SL_OK;
    search_init(&s);
    for (size_t i = 0; i < FOLDERS && st == SL_OK; i++)
        if (s.folders[i][0])
            st = add_folder(r, s.folders[i], "", true);
    return st;
}

/* The first line of the comment that a shipped recipe begins with: the command. */
static void add_head(sl_text *t, const char *path)
{
    char *text = NULL;
    size_t size;
    if (sl_read_file(path, HEAD_CAP, &text, &size) == SL_OK && strncmp(text, "# ", 2) == 0) {
        char escaped[SL_ESCAPED_SIZE];
        sl_text_add(t, sl_escape(text + 2, strcspn(text + 2, "\n"), escaped));
    }
    sl_free(text);
}

sl_status sl_recipe_list(char **text)
{
    struct recipes r = {.n = 0};
    sl_text t = {0};
    sl_status st = all_recipes(&r);
    for (size_t i = 0; i < r.n && st == SL_OK; i++) {
        sl_text_addf(&t, "%-22s ", r.names[i]);
        add_head(&t, r.paths[i]);
        sl_text_add(&t, "\n");
    }
    recipes_clear(&r);
    if (st == SL_OK)
        st = sl_text_take(&t, text);
    sl_text_clear(&t);
    return st;
}

/* ---- one of them ---- */

static sl_status not_found(const char *name)
{
    struct recipes r = {.n = 0};
    SL_TRY(all_recipes(&r));
    const char *near = sl_nearest(name, (const char *const *)r.names, r.n);
    sl_error_set(SL_ERR_INPUT, "no recipe '%s'%s%s%s; 'softless config list' names all", name,
                 near ? ", did you mean '" : ": neither a file nor a name", near ? near : "",
                 near ? "'?" : "");
    recipes_clear(&r);
    return SL_ERR_INPUT;
}

sl_status sl_recipe_find(const char *name, char **path)
{
    struct search s;
    char *found = sl_strdup(name);
    search_init(&s);
    for (size_t i = 0; found && !sl_is_file(found) && i < FOLDERS; i++) {
        if (!s.folders[i][0])
            continue;
        sl_free(found);
        found = sl_asprintf("%s/%s%s", s.folders[i], name, ending);
    }
    if (!found)
        return SL_ERR_MEMORY;
    if (!sl_is_file(found)) {
        sl_free(found);
        return not_found(name);
    }
    *path = found;
    return SL_OK;
}
