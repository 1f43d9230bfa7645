/*
 * Manual pages, made of the tables that --help, 'config keys' and the exit codes come from.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "manual.h"

static struct cli_table collected;

static void collect(const struct cli_verb *verb, const struct cli_option *all, size_t n)
{
    (void)verb;
    memcpy(collected.options, all, n * sizeof *all);
    collected.n = n;
}

static bool same_options(const struct cli_table *a, const struct cli_table *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->options[i].name, b->options[i].name) == 0;
    return same;
}

size_t cli_tables(const struct cli_verb *verb, struct cli_table tables[CLI_TABLES_MAX])
{
    char words[64], name[32], help[] = "--help", *rest = NULL;
    size_t n = 0;
    snprintf(words, sizeof words, "%s", verb->words ? verb->words : help);
    snprintf(name, sizeof name, "%s", verb->name);
    cli_help = collect;
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *argv[] = {name, word, help, NULL};
        size_t i = 0;
        (void)verb->run(verb, 3, argv);
        while (i < n && !same_options(&tables[i], &collected))
            i++;
        if (i < n) {
            const size_t used = strlen(tables[i].words);
            snprintf(tables[i].words + used, sizeof tables[i].words - used, ", %s", word);
        } else if (n < CLI_TABLES_MAX) {
            tables[n] = collected;
            snprintf(tables[n++].words, sizeof tables[0].words, "%s", word);
        }
    }
    return n;
}

/* ---- roff ---- */

/* n bytes of text, with what would be a request or an escape made harmless. */
static void put(FILE *f, const char *text, size_t n)
{
    for (size_t i = 0; i < n && text[i]; i++) {
        if ((i == 0 || text[i - 1] == '\n') && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", f);
        if (text[i] == '\\')
            fputs("\\e", f);
        else if (text[i] == '-')
            fputs("\\-", f);
        else
            fputc(text[i], f);
    }
}

static void put_all(FILE *f, const char *text)
{
    put(f, text, strlen(text));
}

static FILE *begin(const char *dir, const char *name, int section, const char *summary)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%d", dir, name, section);
    FILE *f = fopen(path, "w");
    if (!f) {
        (void)cli_cannot_write(path);
        return NULL;
    }
    fprintf(f, ".\\\" made by 'softless help --man'\n.TH \"");
    put_all(f, name);
    fprintf(f, "\" %d \"\" \"softless %s\" \"softless\"\n.SH NAME\n", section, sl_version());
    put_all(f, name);
    fputs(" \\- ", f);
    put_all(f, summary);
    fputs("\n", f);
    return f;
}

static sl_status end(FILE *f)
{
    const bool failed = ferror(f);
    return fclose(f) == 0 && !failed ? SL_OK : cli_cannot_write("a manual page");
}

/* .TP with a bold term. */
static void item(FILE *f, const char *term)
{
    fputs(".TP\n.B \"", f);
    put_all(f, term);
    fputs("\"\n", f);
}

/* ---- softless-VERB(1) ---- */

static void put_options(FILE *f, const struct cli_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct cli_option *o = &t->options[i];
        fputs(".TP\n", f);
        if (o->letter)
            fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
        fputs("\\fB\\-\\-", f);
        put_all(f, o->name);
        fputs("\\fR", f);
        if (o->argument) {
            fputs(" \\fI", f);
            put_all(f, o->argument);
            fputs("\\fR", f);
        }
        fputc('\n', f);
        put_all(f, o->help);
        fputc('\n', f);
    }
}

static sl_status verb_page(const char *dir, const struct cli_verb *verb)
{
    struct cli_table tables[CLI_TABLES_MAX];
    const size_t n = cli_tables(verb, tables);
    const char *prose = strstr(verb->examples, "\n\n");
    const size_t examples = prose ? (size_t)(prose - verb->examples) + 1 : strlen(verb->examples);
    char name[64];
    snprintf(name, sizeof name, "softless-%s", verb->name);
    FILE *f = begin(dir, name, 1, verb->summary);
    if (!f)
        return SL_ERR_CREATE;
    fprintf(f, ".SH SYNOPSIS\n.B softless %s\n", verb->name);
    put_all(f, verb->arguments);
    fputs("\n", f);
    if (prose) {
        fputs(".SH DESCRIPTION\n", f);
        put_all(f, prose + 2);
    }
    for (size_t i = 0; i < n; i++) {
        fprintf(f, ".SH OPTIONS%s%s\n", n > 1 ? " OF " : "", n > 1 ? tables[i].words : "");
        put_options(f, &tables[i]);
    }
    fputs(".SH EXIT STATUS\nSee\n.BR softless (1).\n.SH EXAMPLES\n.nf\n", f);
    put(f, verb->examples, examples);
    fputs(".fi\n.SH SEE ALSO\n.BR softless (1),\n.BR softless\\-recipe (5)\n", f);
    return end(f);
}

/* ---- softless(1) ---- */

static void put_exit_codes(FILE *f)
{
    bool done[256] = {false};
    item(f, "0");
    fputs("done\n", f);
    item(f, "1");
    fputs("the accuracy that \\-\\-require\\-top1 asks for was missed\n", f);
    for (int s = SL_OK + 1; s < SL_STATUS_COUNT; s++) {
        const int code = cli_exit_code((sl_status)s);
        char term[8];
        if (done[code])
            continue;
        done[code] = true;
        snprintf(term, sizeof term, "%d", code);
        item(f, term);
        put_all(f, sl_status_text((sl_status)s));
        for (int other = s + 1; other < SL_STATUS_COUNT; other++)
            if (cli_exit_code((sl_status)other) == code)
                fprintf(f, ", %s", sl_status_text((sl_status)other));
        fputc('\n', f);
    }
}

static sl_status main_page(const char *dir)
{
    FILE *f = begin(dir, "softless", 1, "Vision Transformers with and without softmax");
    if (!f)
        return SL_ERR_CREATE;
    fputs(".SH SYNOPSIS\n.B softless\n.I VERB\n[option ...] argument ...\n"
          ".SH DESCRIPTION\n"
          "Trains, evaluates and runs Vision Transformers whose attention weights are softmax or\n"
          "L^\\-alpha h, with h = relu and others (arXiv 2309.08586).\n"
          "Results go to standard output, progress and messages to standard error.\n"
          ".SH VERBS\n",
          f);
    for (size_t i = 0; i < cli_n_verbs; i++) {
        fprintf(f, ".TP\n.BR softless\\-%s (1)\n", cli_verbs[i].name);
        put_all(f, cli_verbs[i].summary);
        fputc('\n', f);
    }
    fputs(".SH EXIT STATUS\n", f);
    put_exit_codes(f);
    fputs(
        ".SH SIGNALS\n"
        "Training saves its state at the next step and exits with 75 on TERM, INT, HUP and USR1;\n"
        "the same command goes on from there, bit for bit.\n"
        "A second signal kills it; what was saved before stays.\n"
        ".SH ENVIRONMENT\n"
        ".TP\n.B SOFTLESS_DATA\nfolder where data sets are looked for after the current one\n"
        ".TP\n.B SOFTLESS_THREADS\ncompute threads, where \\-\\-threads is not given\n"
        ".TP\n.B SOFTLESS_ISA\nkernels at most of this kind, where \\-\\-isa is not given\n"
        ".TP\n.B NO_COLOR\nno progress line that is rewritten, only lines\n"
        ".SH FILES\n"
        ".TP\n.I recipes/NAME.yaml\nrecipe NAME; after it those installed with the program\n"
        ".TP\n.I runs/NAME\\-DIGEST/\nrun directory of a recipe: config.yaml, metrics.jsonl,\n"
        "checkpoints, model.safetensors, DONE\n"
        ".TP\n.I /usr/share/datasets/\nwhere Debian's packages put data sets\n"
        ".SH SEE ALSO\n.BR softless\\-recipe (5)\n",
        f);
    return end(f);
}

/* ---- softless-recipe(5) ---- */

/* 'config keys' has two lines for each key: "KEY (type; default)", and its meaning indented. */
static sl_status recipe_page(const char *dir)
{
    char *text = NULL;
    sl_status st = sl_recipe_keys_text(&text);
    if (st != SL_OK)
        return st;
    FILE *f = begin(dir, "softless-recipe", 5, "what a training run is made of");
    if (!f) {
        sl_text_free(&text);
        return SL_ERR_CREATE;
    }
    fputs(
        ".SH DESCRIPTION\n"
        "A recipe is a YAML file that begins with\n.BR \"schema: 1\" .\n"
        "The part of a key before its dot is a section of the file; on the command line the whole\n"
        "key is set by\n.BR \"\\-\\-set section.key=value\" .\n"
        ".B base:\nnames a recipe whose values hold where this one has none, and\n"
        ".B sweep:\nmakes a study of many runs, see\n.BR softless\\-sweep (1).\n"
        "What is not given has the default below.\n.SH KEYS\n",
        f);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (line[0] != ' ') {
            char *type = strchr(line, ' ');
            *type++ = '\0';
            item(f, line);
            put_all(f, type);
            fputs("\n.br\n", f);
        } else {
            put_all(f, line + strspn(line, " "));
            fputc('\n', f);
        }
    }
    fputs(".SH SEE ALSO\n.BR softless\\-train (1),\n.BR softless\\-config (1)\n", f);
    sl_text_free(&text);
    return end(f);
}

sl_status cli_manual(const char *dir)
{
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return cli_cannot_write(dir);
    sl_status st = main_page(dir);
    for (size_t i = 0; i < cli_n_verbs && st == SL_OK; i++)
        st = verb_page(dir, &cli_verbs[i]);
    return st == SL_OK ? recipe_page(dir) : st;
}
