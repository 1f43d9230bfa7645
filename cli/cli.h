/*
 * What the verbs share: option tables, exit codes, output that must arrive. A verb is one file with
 * one entry in the table of main.c; it sees the library through softless.h alone.
 */
#ifndef SL_CLI_CLI_H
#define SL_CLI_CLI_H

#include <stdio.h>

#include "softless_study.h"

/* ---- options: options.c ---- */
enum { CLI_OPTIONS_MAX = 40 };
enum cli_kind { CLI_FLAG, CLI_TEXT, CLI_LIST, CLI_INT, CLI_REAL };

enum { CLI_LIST_MAX = 256 };
struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t n;
};

struct cli_option {
    const char *name; /* "run-dir" */
    char letter;      /* short form or 0 */
    enum cli_kind kind;
    void *value;          /* bool, const char *, struct cli_list, long or double */
    const char *argument; /* "DIR" in the help, or the choices "a|b"; NULL for flags */
    const char *help;
};

/* Options of every verb that computes. */
struct cli_machine {
    long threads;
    const char *isa, *device;
    bool quiet;
};

struct cli_verb {
    const char *name, *arguments, *summary;
    const char
        *examples;     /* shown first in the help, one command a line; prose after a blank line */
    const char *words; /* what the first argument may be, if that is a word; else NULL */
    int (*run)(const struct cli_verb *verb, int argc, char **argv);
};
extern const struct cli_verb cli_verbs[];
extern const size_t cli_n_verbs;

/* What --help does with the options of a verb: prints them, but where manuals are made. */
typedef void cli_help_fn(const struct cli_verb *verb, const struct cli_option *all, size_t n);
extern cli_help_fn *cli_help;

/* Parses argv[1..]; --help is handled (*exit_now). machine may be NULL. On SL_OK *first is the
 * first positional argument, of which there are min .. max. */
struct cli_parse {
    const struct cli_verb *verb;
    const struct cli_option *options;
    size_t n;
    struct cli_machine *machine;
    int min, max; /* positional arguments; max < 0 = any number */
};
sl_status cli_parse(const struct cli_parse *p, int argc, char **argv, int *first, bool *exit_now);

/* Opens the context of the machine options; log lines go to stderr unless quiet. */
sl_status cli_open(const struct cli_machine *machine, sl_context **ctx);

/* ---- output ---- */
enum cli_format { CLI_TEXT_FORMAT, CLI_JSON_FORMAT, CLI_CSV_FORMAT };
sl_status cli_format_parse(const char *text, bool csv_too, enum cli_format *format);
void cli_json_string(FILE *f, const char *s);
void cli_json_number(FILE *f, double x);
void cli_csv_string(FILE *f, const char *s);
/* In at least `width` columns; control characters, which could steer a terminal, as '?'. */
void cli_plain_string(FILE *f, const char *s, int width);

/* Records a usage error for cli_finish. */
sl_status cli_usage(const char *fmt, ...) SL_PRINTF(1, 2);

/* The same for an error of another kind. */
sl_status cli_error(sl_status status, const char *fmt, ...) SL_PRINTF(2, 3);

/* Records that `path` cannot be written, by errno. */
sl_status cli_cannot_write(const char *path);

/* Prints the error sentence; nothing for SL_OK. */
void cli_report(sl_status status);
/* Flushes stdout (a full or closed one is an error) and gives the exit code. */
int cli_leave(sl_status status);
/* Both. */
int cli_finish(sl_status status);
int cli_exit_code(sl_status status);

/* TERM, INT, HUP and USR1 ask the context to stop; a second one kills. HUP stays ignored where it
 * was (nohup). NULL: as before, to be called before the context is closed. */
void cli_catch_signals(sl_context *ctx);

/* Splits "a,b,c" at commas in place of `copy`, which must outlive the list. */
sl_status cli_split(char *copy, struct cli_list *list);

double cli_now(void); /* seconds, monotonic */
/* Median and quartiles of n values, which are sorted in place. */
struct cli_spread {
    double q1, median, q3;
};
struct cli_spread cli_spread_of(double *x, size_t n);

/* ---- working off a study: sweep_work.c ---- */
struct cli_work {
    long jobs, threads; /* of each job; 0 = the machine's processors shared out */
    double expiry_s;
    const char *isa;
    bool quiet;
};
/* Executes what is missing. *code is the exit code: of the first failed run, or 75 when stopped. */
sl_status cli_sweep_work(sl_study *study, const struct cli_work *work, int *code);

/* ---- train --max-restarts: supervise.c ---- */
/* Runs `train` in a child process until it ends with anything but 75, restarted at most
 * max_restarts times and never after two tries that came no further. *step is where the child notes
 * its step. Returns the exit code. */
int cli_supervise(long max_restarts, int (*train)(void *user), void *user, uint64_t **step);

/* ---- verbs ---- */
int cli_train(const struct cli_verb *verb, int argc, char **argv);
int cli_eval(const struct cli_verb *verb, int argc, char **argv);
int cli_probe(const struct cli_verb *verb, int argc, char **argv);
int cli_predict(const struct cli_verb *verb, int argc, char **argv);
int cli_import(const struct cli_verb *verb, int argc, char **argv);
int cli_export(const struct cli_verb *verb, int argc, char **argv);
int cli_explain(const struct cli_verb *verb, int argc, char **argv);
int cli_inspect(const struct cli_verb *verb, int argc, char **argv);
int cli_config(const struct cli_verb *verb, int argc, char **argv);
int cli_data(const struct cli_verb *verb, int argc, char **argv);
int cli_sweep(const struct cli_verb *verb, int argc, char **argv);
int cli_plot(const struct cli_verb *verb, int argc, char **argv);
int cli_bench(const struct cli_verb *verb, int argc, char **argv);

#endif
