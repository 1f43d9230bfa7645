/*
 * softless config: recipes resolved, and the list of keys.
 */
#include <string.h>

#include "cli.h"

static sl_status show(const char *path, const struct cli_list *set, bool origin)
{
    sl_recipe *recipe = NULL;
    char *text = NULL;
    sl_status st = sl_recipe_load(path, set->items, set->n, &recipe);
    if (st == SL_OK)
        st = sl_recipe_text(recipe, origin, &text);
    if (st == SL_OK)
        fputs(text, stdout);
    sl_text_free(&text);
    sl_recipe_free(&recipe);
    return st;
}

static sl_status keys(void)
{
    char *text = NULL;
    const sl_status st = sl_recipe_keys_text(&text);
    if (st == SL_OK)
        fputs(text, stdout);
    sl_text_free(&text);
    return st;
}

int cli_config(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_list set = {{0}, 0};
    bool origin = false;
    const struct cli_option options[] = {
        {"set", 0, CLI_LIST, &set, "KEY=VALUE", "override a recipe key; may be repeated"},
        {"origin", 0, CLI_FLAG, &origin, NULL, "say where each value came from"},
    };
    const struct cli_parse p = {verb, options, sizeof options / sizeof options[0], NULL, 1, 2};
    int first;
    bool stop;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st == SL_OK && stop)
        return cli_finish(st);
    if (st == SL_OK && strcmp(argv[first], "show") == 0 && argc - first == 2)
        st = show(argv[first + 1], &set, origin);
    else if (st == SL_OK && strcmp(argv[first], "keys") == 0 && argc - first == 1)
        st = keys();
    else if (st == SL_OK)
        st = cli_usage("usage: softless config %s; see 'softless config --help'", verb->arguments);
    return cli_finish(st);
}
