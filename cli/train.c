/*
 * softless train: trains a recipe, or goes on with its run directory.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

struct train_args {
    struct cli_machine machine;
    struct cli_list set;
    sl_train_options options;
    const char *format;
    double require_top1;
    long max_restarts;
    bool dry_run;
    const char *recipe;
    uint64_t *reached; /* the step, for a supervising process; NULL without one */
};

struct screen {
    bool terminal, quiet;
    uint64_t printed_step;
    uint64_t *reached;
};

static void show_time(char out[32], double s)
{
    const long t = isfinite(s) ? lround(s) : 0;
    if (t >= 3600)
        snprintf(out, 32, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    else
        snprintf(out, 32, "%ld:%02ld", t / 60, t % 60);
}

/* What the terminal is too narrow for is cut off, item by item: a line that breaks could not be
 * rewritten. */
static void fit_terminal(char *line)
{
    struct winsize size;
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    size_t n = known ? size.ws_col - 1u : 79u;
    if (strlen(line) <= n)
        return;
    while (n > 0 && strncmp(line + n, "  ", 2) != 0)
        n--;
    line[n] = '\0';
}

/* On a terminal one line that is rewritten, with what matters most in front; into a pipe a line now
 * and then. */
static void on_progress(void *user, const sl_train_progress *p)
{
    struct screen *s = user;
    char eta[32], val[32] = "", line[256];
    const bool last = p->step == p->total_steps;
    if (s->reached)
        *s->reached = p->step;
    if (s->quiet)
        return;
    if (!s->terminal && !last && p->step < s->printed_step + p->total_steps / 20)
        return;
    show_time(eta, p->eta_s);
    if (isfinite(p->val_top1))
        snprintf(val, sizeof val, "  val top-1 %.2f%%", 100 * p->val_top1);
    snprintf(
        line, sizeof line,
        "step %llu/%llu  ETA %s  loss %.4f  train top-1 %.1f%%%s  %.0f img/s  data wait %.0f%%  "
        "epoch %.2f/%.4g",
        (unsigned long long)p->step, (unsigned long long)p->total_steps, eta, p->loss,
        100 * p->train_top1, val, p->img_per_sec, 100 * p->data_wait_frac, p->epoch,
        p->total_epochs);
    if (s->terminal)
        fit_terminal(line);
    fprintf(stderr, "%s%s%s", s->terminal ? "\r\033[K" : "", line,
            s->terminal && !last ? "" : "\n");
    s->printed_step = p->step;
}

static void print_result(const sl_train_result *r, bool json)
{
    if (json) {
        printf("{\"run_dir\": ");
        cli_json_string(stdout, r->run_dir);
        printf(", \"step\": %llu, \"val_top1\": ", (unsigned long long)r->step);
        cli_json_number(stdout, r->val_top1);
        printf(", \"val_top1_se\": ");
        cli_json_number(stdout, r->val_top1_se);
        printf(", \"val_loss\": ");
        cli_json_number(stdout, r->val_loss);
        printf(", \"train_loss\": ");
        cli_json_number(stdout, r->train_loss);
        printf(", \"transfer\": ");
        cli_json_number(stdout, r->transfer);
        printf(", \"img_per_sec\": ");
        cli_json_number(stdout, r->img_per_sec);
        printf(", \"wall_s\": ");
        cli_json_number(stdout, r->wall_s);
        printf(", \"core_hours\": ");
        cli_json_number(stdout, r->core_hours);
        printf(", \"already_done\": %s}\n", r->already_done ? "true" : "false");
        return;
    }
    printf("%s: %s at step %llu\n", r->run_dir, r->already_done ? "already done" : "done",
           (unsigned long long)r->step);
    if (isfinite(r->val_top1))
        printf("val top-1 %.2f%% +- %.2f, val loss %.4f, train loss %.4f\n", 100 * r->val_top1,
               100 * r->val_top1_se, r->val_loss, r->train_loss);
    if (isfinite(r->transfer))
        printf("transfer %.2f%% (10 shots, mean of the sets)\n", 100 * r->transfer);
    printf("%.0f img/s, %.2f minutes, %.4f core-hours\n", r->img_per_sec, r->wall_s / 60,
           r->core_hours);
}

/* The resolved recipe, and as comments what it makes. */
static sl_status dry_run(sl_context *ctx, const sl_recipe *recipe)
{
    char *text = NULL;
    sl_forecast f;
    sl_status st = sl_recipe_check(ctx, recipe, &f);
    if (st == SL_OK)
        st = sl_recipe_text(recipe, true, &text);
    if (st == SL_OK)
        printf("%s# %zu parameters, %zu tokens, %.4g GFLOP forward an image\n"
               "# %llu steps over %zu images, %.4g TFLOP, %.1f MiB besides data\n",
               text, f.parameters, f.tokens, 1e-9 * f.flops_forward, (unsigned long long)f.steps,
               f.train_images, 1e-12 * f.flops_train, (double)f.memory_bytes / (1 << 20));
    sl_text_free(&text);
    return st;
}

static sl_status run(struct train_args *a, bool *missed)
{
    sl_context *ctx = NULL;
    sl_recipe *recipe = NULL;
    sl_train_result result;
    enum cli_format format;
    sl_status st = cli_format_parse(a->format, false, &format);
    struct screen screen = {isatty(STDERR_FILENO) && !getenv("NO_COLOR"), a->machine.quiet, 0,
                            a->reached};
    if (st == SL_OK)
        st = cli_open(&a->machine, &ctx);
    if (st == SL_OK)
        st = sl_recipe_load(a->recipe, a->set.items, a->set.n, &recipe);
    if (st == SL_OK && a->dry_run) {
        st = dry_run(ctx, recipe);
    } else if (st == SL_OK) {
        a->options.progress = on_progress;
        a->options.user = &screen;
        cli_catch_signals(ctx);
        st = sl_train(ctx, recipe, &a->options, &result);
        cli_catch_signals(NULL);
        if (st == SL_OK) {
            print_result(&result, format == CLI_JSON_FORMAT);
            *missed = a->require_top1 > 0 && !(100 * result.val_top1 >= a->require_top1);
        } else if (screen.terminal && screen.printed_step) {
            fputc('\n', stderr);
        }
    }
    sl_recipe_free(&recipe);
    sl_context_close(&ctx);
    return st;
}

static int train_once(void *user)
{
    struct train_args *a = user;
    bool missed = false;
    const int code = cli_finish(run(a, &missed));
    if (code == 0 && missed) {
        fprintf(stderr, "softless: top-1 is below the required %g%%\n", a->require_top1);
        return 1;
    }
    return code;
}

int cli_train(const struct cli_verb *verb, int argc, char **argv)
{
    struct train_args a = {.format = "text"};
    const struct cli_option options[] = {
        {"set", 0, CLI_LIST, &a.set, "KEY=VALUE", "override a recipe key; may be repeated"},
        {"run-dir", 0, CLI_TEXT, &a.options.run_dir, "DIR",
         "directory of the run (default: "
         "runs/<name>-<hash of the recipe>)"},
        {"fresh", 0, CLI_FLAG, &a.options.fresh, NULL,
         "start anew in another directory (-2, -3, ...)"},
        {"init", 0, CLI_TEXT, &a.options.init, "WEIGHTS", "start from these weights, or a run's"},
        {"reset-head", 0, CLI_FLAG, &a.options.reset_head, NULL, "with --init: a new head"},
        {"strict", 0, CLI_FLAG, &a.options.strict, NULL, "a damaged checkpoint is an error"},
        {"max-restarts", 0, CLI_INT, &a.max_restarts, "N",
         "go on by itself, up to N times, after a signal stopped or killed the training"},
        {"dry-run", 0, CLI_FLAG, &a.dry_run, NULL,
         "print the resolved recipe, sizes and memory, and stop"},
        {"format", 0, CLI_TEXT, &a.format, "text|json", "of the result"},
        {"require-top1", 0, CLI_REAL, &a.require_top1, "PERCENT", "exit 1 below this accuracy"},
    };
    const struct cli_parse p = {verb,       options, sizeof options / sizeof options[0],
                                &a.machine, 1,       1};
    int first;
    bool stop;
    const sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st != SL_OK || stop)
        return cli_finish(st);
    if (a.max_restarts && a.options.fresh)
        return cli_finish(cli_usage("--fresh does not go with --max-restarts; name a --run-dir"));
    a.recipe = argv[first];
    return a.max_restarts ? cli_supervise(a.max_restarts, train_once, &a, &a.reached)
                          : train_once(&a);
}
