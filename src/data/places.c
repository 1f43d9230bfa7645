/*
 * Where data sets are looked for, and the "[DIR:]train|test" part of a SPEC.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/format.h"

#define SYSTEM_FOLDER "/usr/share/datasets"

static bool exists(const char *path)
{
    return sl_is_dir(path) || sl_is_file(path);
}

static sl_status not_found(const char *name, const char *package, const char *user_folder)
{
    char shown[SL_ESCAPED_SIZE];
    const bool absolute = name[0] == '/';
    const char *end = package ? "install Debian's package " : "check the spelling";
    sl_escape(name, strlen(name), shown);
    if (absolute)
        SL_FAIL(SL_ERR_INPUT, "no file or folder %s; %s%s", shown, end, package ? package : "");
    SL_FAIL(SL_ERR_INPUT,
            "no file or folder %s: searched here, under SOFTLESS_DATA (%s) and " SYSTEM_FOLDER
            "; %s%s or set SOFTLESS_DATA",
            shown, user_folder ? user_folder : "not set", end, package ? package : "");
}

sl_status sl_find_data(const char *name, const char *package, char **path)
{
    const char *user_folder = getenv("SOFTLESS_DATA");
    const char *const places[] = {NULL, user_folder, SYSTEM_FOLDER};
    const size_t n = name[0] == '/' ? 1 : sizeof places / sizeof *places;
    if (name[0] == '\0')
        SL_FAIL(SL_ERR_CONFIG, "the data set has no name or folder");
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (!places[i] || !*places[i]))
            continue;
        char *candidate = i == 0 ? sl_strdup(name) : sl_path_join(places[i], name);
        if (!candidate)
            return SL_ERR_MEMORY;
        if (exists(candidate)) {
            *path = candidate;
            return SL_OK;
        }
        sl_free(candidate);
    }
    return not_found(name, package, user_folder);
}

sl_status sl_parse_split(const struct sl_dataset *set, const char *rest, char **dir, bool *train)
{
    const struct sl_known_set *known = set->format->known;
    const char *colon = strrchr(rest, ':');
    const char *split = colon ? colon + 1 : rest;
    const bool is_train = strcmp(split, "train") == 0;
    if (!is_train && strcmp(split, "test") != 0)
        SL_FAIL(SL_ERR_CONFIG, "data set \"%s\": write %s", set->spec, set->format->usage);
    if (!colon && !known)
        SL_FAIL(SL_ERR_CONFIG, "data set \"%s\" names no folder: write %s", set->spec,
                set->format->usage);
    if (!colon) {
        SL_TRY(sl_find_data(known->folder, known->package, dir));
    } else {
        char *name = sl_strdup(rest);
        if (!name)
            return SL_ERR_MEMORY;
        name[colon - rest] = '\0';
        const sl_status st = sl_find_data(name, known ? known->package : NULL, dir);
        sl_free(name);
        if (st != SL_OK)
            return st;
    }
    *train = is_train;
    return SL_OK;
}

sl_status sl_bytes_reserve(struct sl_bytes *file, size_t n)
{
    if (n > file->room) {
        char *data = NULL;
        SL_TRY(SL_NEW(data, n));
        sl_free(file->data);
        *file = (struct sl_bytes){.data = data, .room = n};
    }
    file->n = n;
    return SL_OK;
}

sl_status sl_copy_class_names(struct sl_dataset *set, const char *const *names)
{
    SL_TRY(SL_NEW(set->class_names, set->classes));
    for (size_t c = 0; c < set->classes; c++) {
        set->class_names[c] = names ? sl_strdup(names[c]) : sl_asprintf("%zu", c);
        if (!set->class_names[c])
            return SL_ERR_MEMORY;
    }
    return SL_OK;
}
