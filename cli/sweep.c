/*
 * softless sweep: what a study costs, how far it is, and working it off.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct sweep_args {
    struct cli_machine machine;
    struct cli_list set, from;
    const char *dir;
    long jobs;
    double gflops, expiry;
    bool plan, status;
};

static const char *const state_names[SL_RUN_STATE_COUNT] = {
    [SL_RUN_MISSING] = "missing", [SL_RUN_CLAIMED] = "running",   [SL_RUN_FAILED] = "failed",
    [SL_RUN_DONE] = "done",       [SL_RUN_DIVERGED] = "diverged",
};

static void count_states(const sl_study *study, size_t counts[SL_RUN_STATE_COUNT])
{
    memset(counts, 0, SL_RUN_STATE_COUNT * sizeof *counts);
    for (size_t i = 0; i < sl_study_count(study); i++)
        counts[sl_study_state(study, i)]++;
}

static void print_counts(FILE *f, const sl_study *study)
{
    size_t counts[SL_RUN_STATE_COUNT];
    count_states(study, counts);
    fprintf(f, "%s: %zu runs", sl_study_dir(study), sl_study_count(study));
    for (size_t s = 0; s < SL_RUN_STATE_COUNT; s++)
        if (counts[s])
            fprintf(f, ", %zu %s", counts[s], state_names[s]);
    fputc('\n', f);
}

/* Columns that the names of runs take. */
static int name_width(const sl_study *study)
{
    size_t width = 3;
    for (size_t i = 0; i < sl_study_count(study); i++) {
        const size_t n = strlen(sl_study_run_name(study, i));
        width = n > width ? n : width;
    }
    return (int)width;
}

/* ---- --plan ---- */

static sl_status plan(const struct sweep_args *a, const sl_study *study)
{
    sl_context *ctx = NULL;
    double flops = 0, missing = 0;
    size_t memory = 0, n_missing = 0;
    const int width = name_width(study);
    sl_status st = cli_open(&a->machine, &ctx);
    if (st == SL_OK)
        printf("%-*s %-8s %12s %10s %10s%s\n", width, "run", "state", "images", "TFLOP", "MiB",
               a->gflops > 0 ? "    minutes" : "");
    for (size_t i = 0; i < sl_study_count(study) && st == SL_OK; i++) {
        sl_forecast f;
        st = sl_recipe_check(ctx, sl_study_run_recipe(study, i), &f);
        if (st != SL_OK)
            break;
        const sl_run_state state = sl_study_state(study, i);
        const bool open = state != SL_RUN_DONE && state != SL_RUN_DIVERGED;
        flops += f.flops_train;
        missing += open ? f.flops_train : 0;
        n_missing += open;
        memory = f.memory_bytes > memory ? f.memory_bytes : memory;
        printf("%-*s %-8s %12.0f %10.3f %10.1f", width, sl_study_run_name(study, i),
               state_names[state], f.images, 1e-12 * f.flops_train,
               (double)f.memory_bytes / (1 << 20));
        if (a->gflops > 0)
            printf(" %10.2f", 1e-9 * f.flops_train / a->gflops / 60);
        putchar('\n');
    }
    if (st == SL_OK) {
        printf("%zu runs, %.4g TFLOP; %zu to do, %.4g TFLOP; %.1f MiB a job besides data\n",
               sl_study_count(study), 1e-12 * flops, n_missing, 1e-12 * missing,
               (double)memory / (1 << 20));
        if (a->gflops > 0)
            printf("%.3f hours at %g GFLOP/s in all (evaluation not counted)\n",
                   1e-9 * missing / a->gflops / 3600, a->gflops);
        else
            printf("hours: give the rate of this machine by --gflops, as 'softless config check "
                   "--measure' finds it\n");
    }
    sl_context_close(&ctx);
    return st;
}

/* ---- --status ---- */

/* What is known of a study's cost: processor seconds and FLOP of runs that are done, FLOP to do. */
struct cost {
    double core_s, done, left;
};

static sl_status add_done(const sl_study *study, size_t run, double flops, struct cost *cost)
{
    char *text = NULL;
    const sl_status st = sl_study_field(study, run, "core_s", &text);
    const double core_s = st == SL_OK && text && text[0] ? strtod(text, NULL) : 0;
    sl_text_free(&text);
    cost->core_s += core_s;
    cost->done += core_s > 0 ? flops : 0;
    return st;
}

static sl_status print_row(sl_context *ctx, const sl_study *study, size_t i, int width,
                           struct cost *cost)
{
    const sl_run_state state = sl_study_state(study, i);
    uint64_t step = 0;
    double wall = 0;
    sl_forecast f;
    sl_status st = sl_study_progress(study, i, &step, &wall);
    /* Unknown where the data set is missing, which is no reason to say nothing of the others. */
    const bool known = sl_recipe_check(ctx, sl_study_run_recipe(study, i), &f) == SL_OK;
    if (st == SL_OK && known && state == SL_RUN_DONE)
        st = add_done(study, i, f.flops_train, cost);
    if (st != SL_OK)
        return st;
    printf("%-*s %-8s", width, sl_study_run_name(study, i), state_names[state]);
    if (step > 0)
        printf(" %10" PRIu64, step);
    if (known && state != SL_RUN_DONE && state != SL_RUN_DIVERGED) {
        const double left = f.steps > step ? (double)(f.steps - step) : 0;
        cost->left += f.flops_train * left / (double)f.steps;
        if (step > 0)
            printf(" %9.1f %9.1f", 100 * (1 - left / (double)f.steps),
                   wall / (double)step * left / 60);
    }
    if (state == SL_RUN_FAILED) {
        printf("  ");
        cli_plain_string(stdout, sl_study_why(study, i), 0);
    }
    putchar('\n');
    return SL_OK;
}

static sl_status print_rows(sl_context *ctx, const sl_study *study)
{
    struct cost cost = {.core_s = 0};
    const int width = name_width(study);
    sl_status st = SL_OK;
    printf("%-*s %-8s %10s %9s %9s\n", width, "run", "state", "step", "percent", "ETA min");
    for (size_t i = 0; i < sl_study_count(study) && st == SL_OK; i++)
        st = print_row(ctx, study, i, width, &cost);
    if (st != SL_OK)
        return st;
    print_counts(stdout, study);
    if (cost.done > 0 && cost.left > 0)
        printf("%.3g core-hours to do, at the rate of the runs that are done\n",
               cost.left * cost.core_s / cost.done / 3600);
    return SL_OK;
}

static sl_status print_status(const struct sweep_args *a, const sl_study *study)
{
    sl_context *ctx = NULL;
    sl_status st = cli_open(&a->machine, &ctx);
    if (st == SL_OK)
        st = print_rows(ctx, study);
    sl_context_close(&ctx);
    return st;
}

/* Rows of the tables that --from names: into the folder only when runs are going to be. */
static sl_status adopt(const struct sweep_args *a, sl_study *study)
{
    const bool write = !a->plan && !a->status;
    sl_status st = a->from.n && write ? sl_study_prepare(study) : SL_OK;
    for (size_t i = 0; i < a->from.n && st == SL_OK; i++) {
        size_t taken;
        st = sl_study_adopt(study, a->from.items[i], write, &taken);
        if (st == SL_OK && !a->machine.quiet)
            fprintf(stderr, "%s: %zu rows taken over\n", a->from.items[i], taken);
    }
    return st;
}

static sl_status work(const struct sweep_args *a, sl_study *study, int *code)
{
    const struct cli_work w = {.jobs = a->jobs,
                               .threads = a->machine.threads,
                               .expiry_s = a->expiry,
                               .isa = a->machine.isa,
                               .quiet = a->machine.quiet};
    sl_status st = cli_sweep_work(study, &w, code);
    if (st == SL_OK) {
        print_counts(stdout, study);
        printf("table: %s\n", sl_study_table(study));
    }
    return st;
}

int cli_sweep(const struct cli_verb *verb, int argc, char **argv)
{
    struct sweep_args a = {.jobs = 1, .expiry = 120};
    const struct cli_option options[] = {
        {"plan", 0, CLI_FLAG, &a.plan, NULL, "print runs, FLOPs, memory and hours; start nothing"},
        {"status", 0, CLI_FLAG, &a.status, NULL, "print how far every run is; start nothing"},
        {"jobs", 'j', CLI_INT, &a.jobs, "N", "runs at a time (default 1)"},
        {"dir", 0, CLI_TEXT, &a.dir, "DIR", "folder of the study (default: studies/<name>)"},
        {"set", 0, CLI_LIST, &a.set, "KEY=VALUE", "override a recipe key; may be repeated"},
        {"from", 0, CLI_LIST, &a.from, "TABLE",
         "take runs of the same recipe from another study's sweep.csv; may be repeated"},
        {"gflops", 0, CLI_REAL, &a.gflops, "G", "--plan: hours at so many GFLOP/s"},
        {"expiry", 0, CLI_REAL, &a.expiry, "S",
         "a claim that was not touched for so many seconds is free (default 120)"},
    };
    const struct cli_parse p = {verb,       options, sizeof options / sizeof options[0],
                                &a.machine, 1,       1};
    sl_study *study = NULL;
    int first, code = 0;
    bool stop;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st == SL_OK && stop)
        return cli_finish(st);
    if (st == SL_OK && a.plan && a.status)
        st = cli_usage("--plan and --status exclude each other");
    if (st == SL_OK && !(a.expiry >= 1 && isfinite(a.expiry)))
        st = cli_usage("--expiry takes a number of seconds from 1");
    if (st == SL_OK && !(a.gflops >= 0 && isfinite(a.gflops)))
        st = cli_usage("--gflops takes a number above 0");
    if (st == SL_OK)
        st = sl_study_open(argv[first], a.set.items, a.set.n, a.dir, &study);
    if (st == SL_OK && a.status)
        st = sl_study_refresh(study, a.expiry);
    if (st == SL_OK)
        st = adopt(&a, study);
    if (st == SL_OK)
        st = a.plan ? plan(&a, study) : a.status ? print_status(&a, study) : work(&a, study, &code);
    sl_study_free(&study);
    const int last = cli_finish(st);
    return last ? last : code;
}
