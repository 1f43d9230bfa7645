/*
 * Exit codes, signals, output.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static char own_text[512]; /* of an error that is not the library's */

sl_status cli_usage(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(own_text, sizeof own_text, fmt, args);
    va_end(args);
    return SL_ERR_USAGE;
}

sl_status cli_error(sl_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(own_text, sizeof own_text, fmt, args);
    va_end(args);
    return status;
}

sl_status cli_cannot_write(const char *path)
{
    snprintf(own_text, sizeof own_text, "%s: cannot be written: %s", path, strerror(errno));
    return SL_ERR_CREATE;
}

/* ---- the one table of exit codes ---- */

int cli_exit_code(sl_status status)
{
    static const int codes[SL_STATUS_COUNT] = {
        [SL_OK] = 0,
        [SL_ERR_ARGUMENT] = 64,
        [SL_ERR_USAGE] = 64,
        [SL_ERR_DATA] = 65,
        [SL_ERR_INPUT] = 66,
        [SL_ERR_UNAVAILABLE] = 69,
        [SL_ERR_UNSUPPORTED] = 69,
        [SL_ERR_INTERNAL] = 70,
        [SL_ERR_MEMORY] = 71,
        [SL_ERR_CREATE] = 73,
        [SL_ERR_IO] = 74,
        [SL_ERR_INTERRUPTED] = 75,
        [SL_ERR_DIVERGED] = 76,
        [SL_ERR_CONFIG] = 78,
    };
    return (unsigned)status < SL_STATUS_COUNT ? codes[status] : 70;
}

static volatile sig_atomic_t stop_signal; /* the one that asked for a stop, or 0 */

void cli_report(sl_status status)
{
    const bool stopped = status == SL_ERR_INTERRUPTED && stop_signal;
    if (status != SL_OK)
        fprintf(stderr, "softless: %s%s%s%s\n", own_text[0] ? own_text : sl_error_message(),
                stopped ? " (signal: " : "", stopped ? strsignal(stop_signal) : "",
                stopped ? ")" : "");
}

int cli_leave(sl_status status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "softless: standard output cannot be written: %s\n", strerror(errno));
        return cli_exit_code(status == SL_OK ? SL_ERR_IO : status);
    }
    return cli_exit_code(status);
}

int cli_finish(sl_status status)
{
    cli_report(status);
    return cli_leave(status);
}

/* ---- context, log, signals ---- */

static void log_line(void *user, sl_log_level level, const char *line)
{
    (void)user;
    if (level != SL_LOG_DEBUG)
        fprintf(stderr, "%s%s\n", level == SL_LOG_WARN ? "warning: " : "", line);
}

sl_status cli_open(const struct cli_machine *machine, sl_context **ctx)
{
    if (machine->threads > 4096)
        return cli_usage("--threads %ld is more than 4096", machine->threads);
    const sl_context_options options = {(int)machine->threads, machine->device, machine->isa};
    if (!machine->quiet)
        sl_set_log(log_line, NULL);
    return sl_context_open(&options, ctx);
}

static sl_context *volatile signal_context;
static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
enum { N_STOP = sizeof stop_signals / sizeof stop_signals[0] };
static bool caught[N_STOP];

static void on_signal(int number)
{
    stop_signal = number;
    for (size_t i = 0; i < N_STOP; i++)
        if (caught[i])
            signal(stop_signals[i], SIG_DFL);
    sl_context_request_stop(signal_context);
}

void cli_catch_signals(sl_context *ctx)
{
    struct sigaction action = {.sa_handler = ctx ? on_signal : SIG_DFL, .sa_flags = SA_RESTART};
    struct sigaction before = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    if (ctx)
        signal_context = ctx;
    for (size_t i = 0; i < N_STOP; i++) {
        sigaction(stop_signals[i], NULL, &before);
        caught[i] = stop_signals[i] != SIGHUP || before.sa_handler != SIG_IGN;
        if (caught[i])
            sigaction(stop_signals[i], &action, NULL);
    }
}

/* ---- output ---- */

sl_status cli_format_parse(const char *text, bool csv_too, enum cli_format *format)
{
    static const char *const names[] = {"text", "json", "csv"};
    for (int i = 0; i < (csv_too ? 3 : 2); i++) {
        if (strcmp(text, names[i]) == 0) {
            *format = (enum cli_format)i;
            return SL_OK;
        }
    }
    return cli_usage("--format is '%s'; it must be text%s", text,
                     csv_too ? ", json or csv" : " or json");
}

void cli_json_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        const unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 0x20)
            fprintf(f, "\\u%04x", c);
        else
            fputc(c, f);
    }
    fputc('"', f);
}

void cli_json_number(FILE *f, double x)
{
    if (isfinite(x))
        fprintf(f, "%.17g", x);
    else
        fputs("null", f);
}

void cli_plain_string(FILE *f, const char *s, int width)
{
    for (; *s; s++, width--)
        fputc((unsigned char)*s < 0x20 || *s == 0x7F ? '?' : *s, f);
    fprintf(f, "%*s", width > 0 ? width : 0, "");
}

void cli_csv_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"')
            fputc('"', f);
        fputc(*s, f);
    }
    fputc('"', f);
}

sl_status cli_split(char *copy, struct cli_list *list)
{
    list->n = 0;
    for (char *item = strtok(copy, ","); item; item = strtok(NULL, ",")) {
        if (list->n == CLI_LIST_MAX)
            return cli_usage("a list has more than %d items", CLI_LIST_MAX);
        list->items[list->n++] = item;
    }
    return list->n > 0 ? SL_OK : cli_usage("a list is empty");
}

double cli_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct cli_spread cli_spread_of(double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_value);
    return (struct cli_spread){x[n / 4], x[n / 2], x[n - 1 - n / 4]};
}
