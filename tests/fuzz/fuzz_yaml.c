/*
 * libFuzzer: recipes. What is accepted dumps to YAML that reads back as the same values.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Inputs name no file: the first line of a base would open it. */
static bool names_a_base(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 4 <= size; i++)
        if (memcmp(data + i, "base", 4) == 0)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_recipe r, back;
    char *yaml = NULL, *diff = NULL;
    if (names_a_base(data, size))
        return 0;
    if (sl_recipe_init(&r) != SL_OK || sl_recipe_init(&back) != SL_OK)
        abort();
    const char *text = size > 0 ? (const char *)data : "";
    if (sl_recipe_parse(&r, "input", text, size) == SL_OK) {
        if (sl_config_to_yaml(&r.config, r.origin, &yaml) != SL_OK ||
            sl_recipe_parse(&back, "dump", yaml, strlen(yaml)) != SL_OK ||
            sl_config_diff(&r.config, &back.config, &diff) != SL_OK || *diff)
            abort();
        (void)sl_config_resolve(&r.config);
    }
    sl_free(yaml);
    sl_free(diff);
    sl_recipe_clear(&r);
    sl_recipe_clear(&back);
    return 0;
}
