/*
 * Makes the labels of a data set mean a model's classes. Folders number their classes by what they
 * hold, so a test folder that lacks one class would number all later ones differently: names
 * decide.
 */
#include <stdio.h>
#include <stdlib.h>
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

/* Class numbers as folder names ("0", "1", "10", "2": ImageNet-v2), to[c] < n each; false if a name
 * is anything else. */
static bool number_names(const struct sl_dataset *set, size_t n, int32_t *to)
{
    for (size_t c = 0; c < set->classes; c++) {
        const char *name = set->class_names[c];
        const size_t digits = strspn(name, "0123456789");
        if (name[digits] || digits == 0 || digits > 8 || (name[0] == '0' && digits > 1))
            return false;
        const unsigned long number = strtoul(name, NULL, 10);
        if (number >= n)
            return false;
        to[c] = (int32_t)number;
    }
    return true;
}

size_t sl_dataset_class_map(const struct sl_dataset *set, const char *const *names, size_t n,
                            int32_t *to)
{
    size_t matched = 0;
    const bool by_name = names && !numbered(names, set->classes < n ? set->classes : n);
    if (by_name && number_names(set, n, to)) {
        sl_log(SL_LOG_WARN,
               "%s names its classes by numbers: they are taken as the model's, 0 = %s", set->spec,
               names[0]);
        return set->classes;
    }
    for (size_t c = 0; c < set->classes; c++) {
        const size_t i = by_name ? find(set->class_names[c], names, n) : c;
        to[c] = i < n ? (int32_t)i : -1;
        matched += i < n;
    }
    return matched;
}

sl_status sl_dataset_match_classes(struct sl_dataset *set, const char *const *names, size_t n)
{
    int32_t *to = NULL;
    sl_status st = SL_OK;
    if (set->classes > n)
        SL_FAIL(SL_ERR_DATA, "%s has %zu classes, but the model tells %zu apart", set->spec,
                set->classes, n);
    if (!names || numbered(names, set->classes))
        return SL_OK;
    SL_TRY(SL_NEW(to, set->classes));
    if (sl_dataset_class_map(set, names, n, to) < set->classes) {
        size_t c = 0;
        while (to[c] >= 0)
            c++;
        SL_TRY_FREE(unknown_class(set, set->class_names[c], names, n));
    }
    for (size_t i = 0; i < set->total; i++)
        set->labels[i] = to[set->labels[i]];
    sl_names_free(&set->class_names, set->classes);
    set->classes = n;
    st = sl_copy_class_names(set, names);
fail:
    sl_free(to);
    return st;
}
