/*
 * Option tables on getopt_long: parsing, and the help made of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { HELP_INDENT = 30, HELP_WIDTH = 100 };

static bool has_letter(const struct cli_parse *p, char letter)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->options[i].letter == letter)
            return true;
    return false;
}

/* The verb's options, those of every verb that computes, and --help, which has no value. */
static size_t all_options(const struct cli_parse *p, struct cli_option all[CLI_OPTIONS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        all[n++] = p->options[i];
    if (p->machine) {
        struct cli_machine *m = p->machine;
        const char letter = has_letter(p, 'j') ? 0 : 'j'; /* sweep: -j is --jobs */
        all[n++] =
            (struct cli_option){"threads",   letter, CLI_INT,
                                &m->threads, "N",    "compute threads (default: one per core)"};
        all[n++] = (struct cli_option){"isa",
                                       0,
                                       CLI_TEXT,
                                       &m->isa,
                                       "c|avx2|avx512|avx512bf16|amx",
                                       "kernels at most of this kind"};
        all[n++] = (struct cli_option){"device", 0, CLI_TEXT, &m->device, "NAME", "cpu"};
        all[n++] =
            (struct cli_option){"quiet", 'q', CLI_FLAG, &m->quiet, NULL, "no progress, no log"};
    }
    all[n++] = (struct cli_option){"help", 'h', CLI_FLAG, NULL, NULL, "this text"};
    return n;
}

/* After `at` columns, from HELP_INDENT on, in lines broken at blanks before HELP_WIDTH. */
static void print_wrapped(const char *text, int at)
{
    if (at > HELP_INDENT)
        putchar('\n');
    printf("%*s", at > HELP_INDENT ? HELP_INDENT : HELP_INDENT - at, "");
    at = HELP_INDENT;
    while (*text) {
        const int width = (int)strcspn(text, " ");
        if (at + 1 + width > HELP_WIDTH) {
            printf("\n%*s", HELP_INDENT, "");
            at = HELP_INDENT;
        }
        at += printf(" %.*s", width, text);
        text += width;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_help(const struct cli_verb *verb, const struct cli_option *all, size_t n)
{
    printf("softless %s - %s\n\nExamples:\n%s\nUsage: softless %s %s\n\nOptions:\n", verb->name,
           verb->summary, verb->examples, verb->name, verb->arguments);
    for (size_t i = 0; i < n; i++) {
        const struct cli_option *o = &all[i];
        const int width = printf("  %c%c%c --%s%s%s", o->letter ? '-' : ' ',
                                 o->letter ? o->letter : ' ', o->letter ? ',' : ' ', o->name,
                                 o->argument ? " " : "", o->argument ? o->argument : "");
        print_wrapped(o->help, width);
    }
}

cli_help_fn *cli_help = print_help;

static sl_status store(const struct cli_option *o, const char *text)
{
    char *end = NULL;
    struct cli_list *list = o->value;
    errno = 0;
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)o->value = true;
        break;
    case CLI_TEXT:
        *(const char **)o->value = text;
        break;
    case CLI_LIST:
        if (list->n == CLI_LIST_MAX)
            return cli_usage("--%s is given more than %d times", o->name, CLI_LIST_MAX);
        list->items[list->n++] = text;
        break;
    case CLI_INT:
        *(long *)o->value = strtol(text, &end, 10);
        if (end == text || *end || errno || *(long *)o->value < 0)
            return cli_usage("--%s takes a whole number, not '%s'", o->name, text);
        break;
    case CLI_REAL:
        *(double *)o->value = strtod(text, &end);
        if (end == text || *end || !isfinite(*(double *)o->value))
            return cli_usage("--%s takes a number, not '%s'", o->name, text);
        break;
    }
    return SL_OK;
}

static sl_status unknown_option(const struct cli_parse *p, const struct cli_option *all, size_t n,
                                const char *word)
{
    const char *names[CLI_OPTIONS_MAX];
    char bare[64];
    for (size_t i = 0; i < n; i++)
        names[i] = all[i].name;
    snprintf(bare, sizeof bare, "%s", word + strspn(word, "-"));
    bare[strcspn(bare, "=")] = '\0';
    const char *near = sl_nearest(bare, names, n);
    return cli_usage("unknown option '%s'%s%s%s; see 'softless %s --help'", word,
                     near ? ", did you mean '--" : "", near ? near : "", near ? "'?" : "",
                     p->verb->name);
}

sl_status cli_parse(const struct cli_parse *p, int argc, char **argv, int *first, bool *exit_now)
{
    enum { LONG_BASE = 256 };
    struct cli_option all[CLI_OPTIONS_MAX];
    struct option longs[CLI_OPTIONS_MAX + 1] = {{0}};
    char shorts[2 * CLI_OPTIONS_MAX + 2] = ":";
    const size_t n = all_options(p, all);
    size_t used = strlen(shorts);
    for (size_t i = 0; i < n; i++) {
        const int has = all[i].kind == CLI_FLAG ? no_argument : required_argument;
        longs[i] = (struct option){all[i].name, has, NULL, LONG_BASE + (int)i};
        if (all[i].letter) {
            shorts[used++] = all[i].letter;
            if (has == required_argument)
                shorts[used++] = ':';
        }
    }
    opterr = 0;
    optind = 0; /* from the start, also where this is not the first parse */
    *exit_now = false;
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        size_t i = 0;
        if (c == ':')
            return cli_usage("option '%s' needs a value; see 'softless %s --help'",
                             argv[optind - 1], p->verb->name);
        if (c == '?')
            return unknown_option(p, all, n, argv[optind - 1]);
        while (c != LONG_BASE + (int)i && (c >= LONG_BASE || all[i].letter != c))
            i++;
        if (!all[i].value) {
            cli_help(p->verb, all, n);
            *exit_now = true;
            return SL_OK;
        }
        const sl_status st = store(&all[i], optarg);
        if (st != SL_OK)
            return st;
    }
    const int given = argc - optind;
    if (given < p->min || (p->max >= 0 && given > p->max))
        return cli_usage("%d argument%s given; usage: softless %s %s; see 'softless %s --help'",
                         given, given == 1 ? " is" : "s are", p->verb->name, p->verb->arguments,
                         p->verb->name);
    *first = optind;
    return SL_OK;
}
