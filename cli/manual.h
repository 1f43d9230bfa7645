/*
 * What manual pages and shell completion are made of: the tables of every verb.
 */
#ifndef SL_CLI_MANUAL_H
#define SL_CLI_MANUAL_H

#include "cli.h"

enum { CLI_TABLES_MAX = 4 };

/* Options of a verb behind these first words, "attention" or "train, infer". */
struct cli_table {
    char words[64];
    struct cli_option options[CLI_OPTIONS_MAX];
    size_t n;
};

/* One table, or several where options depend on the first word. Options' values are not to be used.
 */
size_t cli_tables(const struct cli_verb *verb, struct cli_table tables[CLI_TABLES_MAX]);

/* Writes DIR/softless.1, DIR/softless-VERB.1, DIR/softless-recipe.5. */
sl_status cli_manual(const char *dir);
/* Prints a script for bash, zsh or fish. */
sl_status cli_completion(const char *shell);

#endif
