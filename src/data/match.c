/*
 * Makes the labels of a data set mean a model's classes. Folders number their classes by what they
 * hold, so a test folder that lacks one class would number all later ones differently: names
 * decide.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"
#include "data/format.h"

enum { NAMES_SHOWN = 6 };

/* Whether the names are the numbers 0 .. n-1: a set whose file names no classes. */
static bool numbered(const char *const *names, size_t n)
{
    char number[24];
    for (size_t c = 0; c < n; c++) {
        snprintf(number, sizeof number, "%zu", c);
        if (strcmp(names[c], number) != 0)
            return false;
    }
    return true;
}

static size_t find(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return n;
}

static sl_status unknown_class(const struct sl_dataset *set, const char *class_name,
                               const char *const *names, size_t n)
{
    char shown[SL_ESCAPED_SIZE], *text = NULL;
    sl_text t = {0};
    for (size_t i = 0; i < n && i < NAMES_SHOWN; i++)
        sl_text_addf(&t, "%s%s", i ? ", " : "", sl_escape(names[i], strlen(names[i]), shown));
    SL_TRY(sl_text_take(&t, &text));
    const sl_status st = sl_error_set(
        SL_ERR_DATA,
        "%s: the class '%s' is none of the %zu classes of the model (%.600s%s); rename it, or take "
        "another data set",
        set->spec, sl_escape(class_name, strlen(class_name), shown), n, text,
        n > NAMES_SHOWN ? ", ..." : "");
    sl_free(text);
    return st;
}

/* to[c] = the model's number of the set's class c. */
static sl_status match(const struct sl_dataset *set, const char *const *names, size_t n,
                       int32_t *to)
{
    for (size_t c = 0; c < set->classes; c++) {
        const size_t i = find(set->class_names[c], names, n);
        if (i == n)
            return unknown_class(set, set->class_names[c], names, n);
        to[c] = (int32_t)i;
    }
    return SL_OK;
}

sl_status sl_dataset_match_classes(struct sl_dataset *set, const char *const *names, size_t n)
{
    const char *const *own = (const char *const *)set->class_names;
    int32_t *to = NULL;
    sl_status st = SL_OK;
    if (set->classes > n)
        SL_FAIL(SL_ERR_DATA, "%s has %zu classes, but the model tells %zu apart", set->spec,
                set->classes, n);
    if (!names || numbered(names, set->classes))
        return SL_OK;
    if (numbered(own, set->classes)) {
        sl_log(SL_LOG_WARN,
               "%s does not name its classes: its labels 0 .. %zu are taken as the model's, 0 = %s",
               set->spec, set->classes - 1, names[0]);
        return SL_OK;
    }
    SL_TRY(SL_NEW(to, set->classes));
    SL_TRY_FREE(match(set, names, n, to));
    for (size_t i = 0; i < set->total; i++)
        set->labels[i] = to[set->labels[i]];
    sl_names_free(&set->class_names, set->classes);
    set->classes = n;
    st = sl_copy_class_names(set, names);
fail:
    sl_free(to);
    return st;
}
