/*
 * Completion scripts for bash, zsh and fish, made of the tables that --help is made of.
 */
#include <string.h>

#include "manual.h"

/* Calls `each` for every option of a verb, once where several of its tables have it. */
static void each_option(const struct cli_verb *verb,
                        void (*each)(const struct cli_verb *verb, const struct cli_option *o))
{
    struct cli_table tables[CLI_TABLES_MAX];
    const size_t n = cli_tables(verb, tables);
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < tables[t].n; i++) {
            bool seen = false;
            for (size_t u = 0; u < t; u++)
                for (size_t k = 0; k < tables[u].n; k++)
                    seen =
                        seen || strcmp(tables[u].options[k].name, tables[t].options[i].name) == 0;
            if (!seen)
                each(verb, &tables[t].options[i]);
        }
    }
}

/* "a|b" as "a b". */
static void put_choices(const char *argument)
{
    for (const char *c = argument; *c; c++)
        putchar(*c == '|' ? ' ' : *c);
}

static bool has_choices(const struct cli_option *o)
{
    return o->argument && strchr(o->argument, '|');
}

/* Text inside '...', with `special` characters behind a backslash and ' as `quote`. */
static void put_quoted(const char *text, const char *special, const char *quote)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs(quote, stdout);
        else if (strchr(special, *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

/* ---- bash: file names wherever nothing else fits ---- */

static void bash_option(const struct cli_verb *verb, const struct cli_option *o)
{
    (void)verb;
    printf("--%s ", o->name);
}

static void bash_values(const struct cli_verb *verb, const struct cli_option *o)
{
    if (!has_choices(o))
        return;
    printf("        %s:--%s) words='", verb->name, o->name);
    put_choices(o->argument);
    puts("' ;;");
}

static void bash(void)
{
    puts("# bash completion for softless, made by 'softless help --completion bash'\n"
         "_softless()\n{\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
         "    local verb=${COMP_WORDS[1]} words= first= options=\n"
         "    case $verb in");
    for (size_t i = 0; i < cli_n_verbs; i++) {
        printf("        %s) first='%s'; options='", cli_verbs[i].name,
               cli_verbs[i].words ? cli_verbs[i].words : "");
        each_option(&cli_verbs[i], bash_option);
        puts("' ;;");
    }
    fputs("    esac\n"
          "    case $verb in train | sweep | plot)\n"
          "        first=$(softless config list | cut -d' ' -f1) ;;\n"
          "    esac\n"
          "    [ \"$COMP_CWORD\" = 2 ] && words=$first\n"
          "    [[ $cur == -* ]] && words=$options\n"
          "    [ \"$COMP_CWORD\" = 1 ] && words='",
          stdout);
    for (size_t i = 0; i < cli_n_verbs; i++)
        printf("%s ", cli_verbs[i].name);
    puts("help --help --version'\n    case $verb:$prev in");
    for (size_t i = 0; i < cli_n_verbs; i++)
        each_option(&cli_verbs[i], bash_values);
    puts("        *:--set)\n"
         "            words=$(softless config keys | sed -n 's/^\\([a-z0-9_.]*\\) (.*/\\1=/p')\n"
         "            compopt -o nospace 2>/dev/null ;;\n"
         "    esac\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
         "complete -o default -F _softless softless");
}

/* ---- zsh ---- */

static void zsh_spec(const struct cli_option *o, const char *name)
{
    printf(" \\\n                '%s%s%s[", o->kind == CLI_LIST ? "*" : "", name,
           o->argument && name[1] == '-' ? "=" : "");
    put_quoted(o->help, "[]:\\", "'\\''");
    putchar(']');
    if (o->argument) {
        printf(":%s:", o->name);
        fputs(has_choices(o) ? "(" : "_files", stdout);
        if (has_choices(o)) {
            put_choices(o->argument);
            putchar(')');
        }
    }
    putchar('\'');
}

static void zsh_option(const struct cli_verb *verb, const struct cli_option *o)
{
    char name[64];
    (void)verb;
    snprintf(name, sizeof name, "--%s", o->name);
    zsh_spec(o, name);
    snprintf(name, sizeof name, "-%c", o->letter);
    if (o->letter)
        zsh_spec(o, name);
}

static void zsh(void)
{
    puts("#compdef softless\n# made by 'softless help --completion zsh'\n"
         "_softless()\n{\n    local -a verbs\n    verbs=(");
    for (size_t i = 0; i < cli_n_verbs; i++) {
        printf("        '%s:", cli_verbs[i].name);
        put_quoted(cli_verbs[i].summary, ":\\", "'\\''");
        puts("'");
    }
    puts("    )\n"
         "    if (( CURRENT == 2 )); then\n        _describe verb verbs\n        return\n    fi\n"
         "    local verb=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $verb in");
    for (size_t i = 0; i < cli_n_verbs; i++) {
        printf("        %s)\n            _arguments -s", cli_verbs[i].name);
        each_option(&cli_verbs[i], zsh_option);
        if (cli_verbs[i].words)
            printf(" \\\n                '1:what:(%s)'", cli_verbs[i].words);
        puts(" \\\n                '*:file:_files' ;;");
    }
    puts("    esac\n}\n_softless \"$@\"");
}

/* ---- fish ---- */

static void fish_option(const struct cli_verb *verb, const struct cli_option *o)
{
    printf("complete -c softless -n '__fish_seen_subcommand_from %s' -l %s", verb->name, o->name);
    if (o->letter)
        printf(" -s %c", o->letter);
    if (has_choices(o)) {
        fputs(" -x -a '", stdout);
        put_choices(o->argument);
        putchar('\'');
    } else if (o->argument) {
        fputs(" -r", stdout);
    }
    fputs(" -d '", stdout);
    put_quoted(o->help, "\\", "\\'");
    puts("'");
}

static void fish(void)
{
    puts("# made by 'softless help --completion fish'");
    for (size_t i = 0; i < cli_n_verbs; i++) {
        const struct cli_verb *verb = &cli_verbs[i];
        printf("complete -c softless -f -n __fish_use_subcommand -a %s -d '", verb->name);
        put_quoted(verb->summary, "\\", "\\'");
        puts("'");
        if (verb->words)
            printf("complete -c softless -n '__fish_seen_subcommand_from %s' -a '%s'\n", verb->name,
                   verb->words);
        each_option(verb, fish_option);
    }
}

sl_status cli_completion(const char *shell)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].print();
            return SL_OK;
        }
    }
    return cli_usage("no completion for '%s'; there are bash, zsh and fish", shell);
}
