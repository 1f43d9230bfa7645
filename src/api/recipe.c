/*
 * Recipes behind the public header.
 */
#include "base/alloc.h"
#include "base/text.h"
#include "config/config.h"

sl_status sl_recipe_load(const char *path, const char *const *overrides, size_t n,
                         sl_recipe **recipe)
{
    sl_recipe *r = NULL;
    sl_status st = SL_OK;
    if (!path || !recipe || (n > 0 && !overrides))
        SL_FAIL(SL_ERR_ARGUMENT, "sl_recipe_load: path, overrides and recipe must not be NULL");
    SL_TRY(SL_NEW(r, 1));
    SL_TRY_FREE(sl_recipe_read(path, r));
    for (size_t i = 0; i < n; i++) {
        if (!overrides[i])
            SL_TRY_FREE(sl_error_set(SL_ERR_ARGUMENT, "sl_recipe_load: override %zu is NULL", i));
        SL_TRY_FREE(sl_recipe_set(r, overrides[i], "--set"));
    }
    st = sl_config_resolve(&r->config);
    if (st != SL_OK)
        SL_TRY_FREE(sl_error_prefix(st, "%s", path));
    *recipe = r;
    return SL_OK;
fail:
    sl_recipe_free(&r);
    return st;
}

void sl_recipe_free(sl_recipe **recipe)
{
    if (!recipe || !*recipe)
        return;
    sl_recipe_clear(*recipe);
    sl_free(*recipe);
    *recipe = NULL;
}

sl_status sl_recipe_text(const sl_recipe *recipe, bool with_origin, char **text)
{
    if (!recipe || !text)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_recipe_text: recipe and text must not be NULL");
    return sl_config_to_yaml(&recipe->config, with_origin ? recipe->origin : NULL, text);
}

sl_status sl_recipe_keys_text(char **text)
{
    if (!text)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_recipe_keys_text: text must not be NULL");
    return sl_options_help(text);
}

sl_status sl_recipe_list_text(char **text)
{
    if (!text)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_recipe_list_text: text must not be NULL");
    return sl_recipe_list(text);
}

void sl_text_free(char **text)
{
    if (text) {
        sl_free(*text);
        *text = NULL;
    }
}
