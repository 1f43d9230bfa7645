/*
 * softless bench phases: where the time of a training step goes. The models of a shape take their
 * steps in turn, on the same batches; what differs between two of them is the median over rounds of
 * the ratio within a round.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

enum { ROUNDS_MAX = 1000 };

struct args {
    struct cli_machine machine;
    struct cli_list set, shapes, models;
    const char *recipe, *format_text;
    enum cli_format format;
    long rounds;
};

/* ---- overrides as names ---- */

/* "model.h=relu model.gate=silu" -> "relu, gate silu": h bare, of other keys the last word. */
static sl_status name_of(const char *overrides, char name[PHASES_NAME])
{
    size_t n = 0;
    name[0] = '\0';
    for (const char *at = overrides + strspn(overrides, " "); *at; at += strspn(at, " ")) {
        const int length = (int)strcspn(at, " ");
        int word = (int)strcspn(at, "=");
        word = word < length ? word : length;
        const char *value = at + word + (word < length), *key = at;
        for (int i = 0; i < word; i++)
            key = at[i] == '.' ? at + i + 1 : key;
        const int key_length = (int)(at + word - key), value_length = (int)(at + length - value);
        const bool bare = strncmp(at, "model.h=", 8) == 0;
        n += (size_t)snprintf(name + n, PHASES_NAME - n, "%s%.*s%s%.*s", n ? ", " : "",
                              bare ? 0 : key_length, key, bare ? "" : " ", value_length, value);
        if (n >= PHASES_NAME)
            return cli_usage("the name of '%.60s...' is too long for a table", overrides);
        at += length;
    }
    return SL_OK;
}

/* Appends the overrides of `copy`, which is cut at its blanks and must outlive the list. */
static sl_status append(struct cli_list *list, char *copy)
{
    for (char *item = strtok(copy, " "); item; item = strtok(NULL, " ")) {
        if (list->n == CLI_LIST_MAX)
            return cli_usage("more than %d overrides", CLI_LIST_MAX);
        list->items[list->n++] = item;
    }
    return SL_OK;
}

static sl_status load(const struct args *a, const char *shape, const char *model,
                      sl_recipe **recipe)
{
    struct cli_list all = a->set;
    char *copies[2] = {strdup(shape), strdup(model)};
    sl_status st = copies[0] && copies[1] ? SL_OK : cli_error(SL_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < 2 && st == SL_OK; i++)
        st = append(&all, copies[i]);
    if (st == SL_OK)
        st = sl_recipe_load(a->recipe, all.items, all.n, recipe);
    free(copies[0]);
    free(copies[1]);
    return st;
}

/* ---- measuring ---- */

/* A shape under way. */
struct trial {
    sl_profile *profiles[PHASES_MODELS_MAX];
    sl_profile_info infos[PHASES_MODELS_MAX];
    sl_phase_cost *costs; /* [models][PHASES_ROWS][rounds] */
    double *spare;        /* [rounds] */
    size_t rounds;
};

/* The costs of a row, a round each. */
static sl_phase_cost *row_of(const struct trial *t, size_t model, size_t row)
{
    return t->costs + (model * PHASES_ROWS + row) * t->rounds;
}

static sl_status open_models(sl_context *ctx, const struct args *a, const char *overrides,
                             struct phases_shape *s, struct trial *t)
{
    sl_status st = SL_OK;
    for (size_t m = 0; m < a->models.n && st == SL_OK; m++) {
        sl_recipe *recipe = NULL;
        st = name_of(a->models.items[m], s->bars[m].model);
        for (size_t k = 0; k < m && st == SL_OK; k++)
            if (strcmp(s->bars[k].model, s->bars[m].model) == 0)
                st = cli_usage("two models have the name '%s'", s->bars[m].model);
        if (st == SL_OK)
            st = load(a, overrides, a->models.items[m], &recipe);
        if (st == SL_OK)
            st = sl_profile_create(ctx, recipe, &t->profiles[m]);
        if (st == SL_OK)
            st = sl_profile_get_info(t->profiles[m], &t->infos[m]);
        if (st == SL_OK && t->infos[m].batch != t->infos[0].batch)
            st =
                cli_usage("'%s' has a batch of %zu, '%s' of %zu: a batch belongs to the shape",
                          s->bars[m].model, t->infos[m].batch, s->bars[0].model, t->infos[0].batch);
        sl_recipe_free(&recipe);
        s->n = m + 1;
    }
    return st;
}

/* One step of a model; round 0 warms up and is not noted. */
static sl_status step(struct trial *t, size_t model, size_t round)
{
    sl_phase_cost costs[SL_PHASE_COUNT], whole;
    const sl_status st = sl_profile_step(t->profiles[model], costs, &whole);
    if (st != SL_OK || round == 0)
        return st;
    sl_phase_cost between = {whole.seconds, whole.core_s, 0};
    for (size_t p = 0; p < SL_PHASE_COUNT; p++) {
        row_of(t, model, p)[round - 1] = costs[p];
        between.seconds -= costs[p].seconds;
        between.core_s -= costs[p].core_s;
    }
    row_of(t, model, PHASES_BETWEEN)[round - 1] = between;
    row_of(t, model, PHASES_STEP)[round - 1] = whole;
    return SL_OK;
}

/* GFLOP a processor second of the loop that the peak is measured by. */
static sl_status take_peak(sl_context *ctx, sl_dtype dtype, double *peak)
{
    const double start = cli_now();
    const clock_t cpu = clock();
    double rate = 0;
    const sl_status st = cli_peak(ctx, dtype, &rate);
    const double core_s = (double)(clock() - cpu) / CLOCKS_PER_SEC;
    *peak = rate * (cli_now() - start) / core_s;
    return st;
}

static sl_status measure(sl_context *ctx, struct phases_shape *s, struct trial *t)
{
    sl_status st = SL_OK;
    for (size_t k = 0; k <= t->rounds && st == SL_OK; k++) {
        for (size_t m = 0; m < s->n && st == SL_OK; m++)
            st = step(t, m, k);
        if (st == SL_OK && k > 0)
            st = take_peak(ctx, s->dtype, &t->spare[k - 1]);
    }
    if (st == SL_OK)
        s->peak = cli_spread_of(t->spare, t->rounds).median;
    return st;
}

/* ---- summary ---- */

static void summarise_row(struct phases_shape *s, struct trial *t, size_t model, size_t row)
{
    struct phases_row *r = &s->bars[model].rows[row];
    const sl_phase_cost *costs = row_of(t, model, row);
    for (size_t k = 0; k < t->rounds; k++)
        t->spare[k] = costs[k].core_s / (double)s->batch * 1e6 / 3600;
    r->core_h = cli_spread_of(t->spare, t->rounds);
    for (size_t k = 0; k < t->rounds; k++)
        t->spare[k] = costs[k].seconds;
    r->seconds = cli_spread_of(t->spare, t->rounds);
    r->counted = costs[0].flops; /* of every step */
    for (size_t p = 0; p < SL_PHASE_COUNT; p++)
        r->formula += p == row || row == PHASES_STEP ? t->infos[model].flops[p] : 0;
}

static void summarise(struct phases_shape *s, struct trial *t)
{
    for (size_t m = 0; m < s->n; m++) {
        for (size_t row = 0; row < PHASES_ROWS; row++)
            summarise_row(s, t, m, row);
        for (size_t o = 0; o < s->n; o++) {
            for (size_t k = 0; k < t->rounds; k++)
                t->spare[k] =
                    row_of(t, m, PHASES_STEP)[k].core_s / row_of(t, o, PHASES_STEP)[k].core_s;
            s->bars[m].ratios[o] = cli_spread_of(t->spare, t->rounds);
        }
    }
}

/* The phases should leave nothing of a step out. */
static void check_sum(const struct phases_shape *s)
{
    for (size_t m = 0; m < s->n; m++) {
        const struct phases_row *rows = s->bars[m].rows;
        const double share = rows[PHASES_BETWEEN].core_h.median / rows[PHASES_STEP].core_h.median;
        if (share > 0.02)
            fprintf(stderr, "warning: %s: %.1f %% of a step is in no phase: the model is small\n",
                    s->bars[m].model, 100 * share);
    }
}

static sl_status run_shape(sl_context *ctx, const struct args *a, const char *overrides,
                           struct phases_shape *s)
{
    struct trial t = {.rounds = (size_t)a->rounds};
    const size_t rows = a->models.n * PHASES_ROWS;
    t.costs = calloc(rows * t.rounds, sizeof *t.costs);
    t.spare = calloc(t.rounds, sizeof *t.spare);
    sl_status st = t.costs && t.spare ? SL_OK : cli_error(SL_ERR_MEMORY, "out of memory");
    if (st == SL_OK)
        st = name_of(overrides, s->name);
    if (st == SL_OK)
        st = open_models(ctx, a, overrides, s, &t);
    if (st == SL_OK) {
        const sl_profile_info *info = &t.infos[0];
        if (!s->name[0])
            snprintf(s->name, sizeof s->name, "%s", a->recipe);
        snprintf(s->data, sizeof s->data, "%s", info->data);
        s->tokens = info->model.tokens;
        s->width = info->model.width;
        s->depth = info->model.depth;
        s->batch = info->batch;
        s->dtype = info->model.dtype;
        s->rounds = t.rounds;
        s->threads = sl_context_threads(ctx);
        st = measure(ctx, s, &t);
    }
    if (st == SL_OK) {
        summarise(s, &t);
        if (!a->machine.quiet)
            check_sum(s);
    }
    for (size_t m = 0; m < s->n; m++)
        sl_profile_free(&t.profiles[m]);
    free(t.costs);
    free(t.spare);
    return st;
}

static sl_status run(const struct args *a, const struct figure *figure)
{
    struct phases_shape *shapes = calloc(a->shapes.n, sizeof *shapes);
    sl_context *ctx = NULL;
    sl_status st = shapes ? cli_open(&a->machine, &ctx) : cli_error(SL_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < a->shapes.n && st == SL_OK; i++) {
        st = run_shape(ctx, a, a->shapes.items[i], &shapes[i]);
        if (st == SL_OK)
            phases_print(stdout, &shapes[i], a->format, i == 0);
    }
    if (st == SL_OK && figure->out)
        st = phases_draw(shapes, a->shapes.n, figure);
    sl_context_close(&ctx);
    free(shapes);
    return st;
}

sl_status cli_bench_phases(const struct cli_verb *verb, int argc, char **argv)
{
    struct args a = {.format_text = "text", .rounds = 9};
    struct figure figure = {.name = "phases"};
    const struct cli_option options[] = {
        {"set", 0, CLI_LIST, &a.set, "KEY=VALUE", "override a recipe key; may be repeated"},
        {"shape", 0, CLI_LIST, &a.shapes, "KEYS",
         "overrides of a panel, \"model.variant=S/8 train.batch=4\"; repeated"},
        {"model", 0, CLI_LIST, &a.models, "KEYS",
         "overrides of a bar (default: softmax, relu, relu with silu gate); repeated"},
        {"rounds", 0, CLI_INT, &a.rounds, "N", "timed steps of each model, in turn (default 9)"},
        {"out", 'o', CLI_TEXT, &figure.out, "DIR",
         "also phases.csv and the figure: .gp, .svg, .png"},
        {"format", 0, CLI_TEXT, &a.format_text, "text|json|csv",
         "of the table; JSON is a line each"},
    };
    const struct cli_parse p = {verb,       options, sizeof options / sizeof options[0],
                                &a.machine, 1,       1};
    int first;
    bool stop;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st != SL_OK || stop)
        return st;
    if (a.rounds < 1 || a.rounds > ROUNDS_MAX)
        return cli_usage("--rounds takes 1 .. %d", ROUNDS_MAX);
    if (a.shapes.n > PHASES_SHAPES_MAX || a.models.n > PHASES_MODELS_MAX)
        return cli_usage("at most %d shapes and %d models", PHASES_SHAPES_MAX, PHASES_MODELS_MAX);
    a.recipe = argv[first];
    if (a.shapes.n == 0)
        a.shapes = (struct cli_list){{""}, 1};
    if (a.models.n == 0)
        a.models = (struct cli_list){
            {"model.h=softmax", "model.h=relu", "model.h=relu model.gate=silu"}, 3};
    st = cli_format_parse(a.format_text, true, &a.format);
    if (st == SL_OK && figure.out)
        st = figure_begin(&figure);
    return st == SL_OK ? run(&a, &figure) : st;
}
