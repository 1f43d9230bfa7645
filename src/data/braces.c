/*
 * Brace patterns: one pass replaces the first brace of every name by its choices, until no name has
 * one. Braces do not nest.
 */
#include "data/braces.h"

#include <string.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/text.h"

struct list {
    char **names;
    size_t n, room;
};

/* A brace within a name: before{inside}after. */
struct brace {
    const char *open, *close;
};

static sl_status malformed(const char *pattern, const char *problem)
{
    char shown[SL_ESCAPED_SIZE];
    SL_FAIL(SL_ERR_CONFIG, "the pattern \"%s\" %s; write shard-{000000..000127}.tar or {a,b}.tar",
            sl_escape(pattern, strlen(pattern), shown), problem);
}

/* Appends "before" "choice" "after"; the name is taken over by the list. */
static sl_status append(struct list *to, char *name)
{
    if (name && to->n == to->room) {
        const size_t room = to->room ? 2 * to->room : 16;
        char **grown = sl_regrow(to->names, to->n, room, sizeof *grown);
        if (!grown) {
            sl_free(name);
            return SL_ERR_MEMORY;
        }
        to->names = grown;
        to->room = room;
    }
    if (!name)
        return SL_ERR_MEMORY;
    to->names[to->n++] = name;
    return SL_OK;
}

static bool all_digits(const char *from, const char *to, uint64_t *x)
{
    uint64_t value = 0;
    if (from == to || to - from > 15)
        return false;
    for (; from < to; from++) {
        if (*from < '0' || *from > '9')
            return false;
        value = value * 10 + (uint64_t)(*from - '0');
    }
    *x = value;
    return true;
}

static sl_status add_range(const char *name, struct brace b, const char *dots, struct list *to)
{
    uint64_t first, last;
    if (!all_digits(b.open + 1, dots, &first) || !all_digits(dots + 2, b.close, &last) ||
        last < first)
        return malformed(name, "has a range that is not FIRST..LAST");
    if (last - first >= SL_BRACES_MAX - to->n)
        return malformed(name, "stands for more than 1000000 names");
    const int width = (int)(dots - b.open - 1);
    for (uint64_t x = first; x <= last; x++)
        SL_TRY(append(to, sl_asprintf("%.*s%0*llu%s", (int)(b.open - name), name, width,
                                      (unsigned long long)x, b.close + 1)));
    return SL_OK;
}

static sl_status add_choices(const char *name, struct brace b, struct list *to)
{
    for (const char *at = b.open + 1; at <= b.close;) {
        const char *comma = memchr(at, ',', (size_t)(b.close - at));
        const char *stop = comma ? comma : b.close;
        if (to->n >= SL_BRACES_MAX)
            return malformed(name, "stands for more than 1000000 names");
        SL_TRY(append(to, sl_asprintf("%.*s%.*s%s", (int)(b.open - name), name, (int)(stop - at),
                                      at, b.close + 1)));
        at = stop + 1;
    }
    return SL_OK;
}

static sl_status expand_name(const char *name, struct list *to)
{
    const struct brace b = {strchr(name, '{'), strchr(name, '}')};
    if (!b.open && !b.close)
        return append(to, sl_strdup(name));
    if (!b.open || !b.close || b.close < b.open)
        return malformed(name, "has a brace without its other half");
    if (memchr(b.open + 1, '{', (size_t)(b.close - b.open - 1)))
        return malformed(name, "has a brace in a brace");
    const char *dots = strstr(b.open, "..");
    if (dots && dots < b.close)
        return add_range(name, b, dots, to);
    if (!memchr(b.open, ',', (size_t)(b.close - b.open)))
        return malformed(name, "has a brace without a choice");
    return add_choices(name, b, to);
}

sl_status sl_braces_expand(const char *pattern, char ***names, size_t *n)
{
    struct list now = {0};
    SL_TRY(append(&now, sl_strdup(pattern)));
    while (strpbrk(now.names[0], "{}")) {
        struct list next = {0};
        sl_status st = SL_OK;
        for (size_t i = 0; i < now.n && st == SL_OK; i++)
            st = expand_name(now.names[i], &next);
        sl_names_free(&now.names, now.n);
        now = next;
        if (st != SL_OK) {
            sl_names_free(&now.names, now.n);
            return st;
        }
    }
    *names = now.names;
    *n = now.n;
    return SL_OK;
}
