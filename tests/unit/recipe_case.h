/* Recipe texts in tests. */
#ifndef TESTS_UNIT_RECIPE_CASE_H
#define TESTS_UNIT_RECIPE_CASE_H

#include <stdlib.h>

#include "unit/config_case.h"

#define HEAD "schema: 1\n"

static inline sl_status parse(struct sl_recipe *r, const char *text, size_t size)
{
    char *copy = malloc(size + 1); /* exact, for the sanitizers */
    assert_non_null(copy);
    memcpy(copy, text, size);
    const sl_status st = sl_recipe_parse(r, "r.yaml", copy, size);
    free(copy);
    return st;
}

/* Parses into fresh defaults; the recipe is in use afterwards. */
static inline void parse_good(struct sl_recipe *r, const char *text)
{
    require_ok(sl_recipe_init(r));
    require_ok(parse(r, text, strlen(text)));
}

#endif
