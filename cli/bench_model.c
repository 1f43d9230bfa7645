/*
 * softless bench train, bench infer: steps or forward passes of a recipe's model on synthetic
 * images, against the peak of the same run.
 */
#include <math.h>
#include <stdlib.h>

#include "bench.h"

struct model_args {
    struct cli_machine machine;
    struct cli_list set;
    const char *format_text;
    long steps, batch, classes;
    bool train;
};

struct subject {
    sl_recipe *recipe;
    sl_trainer *trainer;
    sl_model *model;
    sl_model_info info;
    size_t batch;
    uint8_t *images;
    int32_t *labels;
    float *logits;
};

static long recipe_number(const sl_recipe *recipe, const char *key)
{
    char *text = NULL;
    long x = 0;
    if (sl_recipe_get(recipe, key, &text) == SL_OK)
        x = strtol(text, NULL, 10);
    sl_text_free(&text);
    return x;
}

static sl_status open_subject(sl_context *ctx, const struct model_args *a, const char *path,
                              struct subject *s)
{
    sl_status st = sl_recipe_load(path, a->set.items, a->set.n, &s->recipe);
    if (st != SL_OK)
        return st;
    const long own = recipe_number(s->recipe, "model.classes");
    const size_t classes = a->classes ? (size_t)a->classes : own ? 0 : 1000;
    if (a->train) {
        st = sl_trainer_create(ctx, s->recipe, classes, &s->trainer);
        s->model = sl_trainer_model(s->trainer);
        s->batch = (size_t)recipe_number(s->recipe, "train.batch");
    } else {
        st = sl_model_create(ctx, s->recipe, classes, &s->model);
        s->batch = a->batch ? (size_t)a->batch : 1;
    }
    return st == SL_OK ? sl_model_get_info(s->model, &s->info) : st;
}

static sl_status make_inputs(struct subject *s)
{
    const size_t bytes = s->batch * s->info.image_height * s->info.image_width * 3;
    s->images = malloc(bytes);
    s->labels = calloc(s->batch, sizeof *s->labels);
    s->logits = calloc(s->batch * s->info.classes, sizeof *s->logits);
    if (!s->images || !s->labels || !s->logits)
        return cli_error(SL_ERR_MEMORY, "out of memory for %zu images", s->batch);
    uint64_t state = 1;
    for (size_t i = 0; i < bytes; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        s->images[i] = (uint8_t)(state >> 56);
    }
    for (size_t i = 0; i < s->batch; i++)
        s->labels[i] = (int32_t)(i % s->info.classes);
    return SL_OK;
}

static sl_status once(struct subject *s)
{
    sl_step_result result;
    return s->trainer ? sl_trainer_step(s->trainer, s->images, s->labels, &result)
                      : sl_model_forward(s->model, s->images, s->batch, s->logits);
}

static void print_result(const struct model_args *a, const struct subject *s, double peak,
                         struct cli_spread t, bool json)
{
    const double passes = a->train ? 3 : 1, n = (double)s->batch;
    const char *type = s->info.dtype == SL_BF16 ? "bf16" : "fp32";
    const double gflops = 1e-9 * passes * s->info.flops_forward * n / t.median;
    if (json)
        printf(
            "{\"bench\": \"%s\", \"h\": \"%s\", \"tokens\": %zu, \"width\": %zu, \"depth\": %zu, "
            "\"batch\": %zu, \"dtype\": \"%s\", \"img_per_sec\": %.3f, \"ms\": %.4f, \"ms_q1\": "
            "%.4f, \"ms_q3\": "
            "%.4f, "
            "\"gflops\": %.1f, \"peak_percent\": %.2f, \"peak_gflops\": %.1f}\n",
            a->train ? "train" : "infer", sl_phi_name(s->info.phi), s->info.tokens, s->info.width,
            s->info.depth, s->batch, type, n / t.median, 1e3 * t.median, 1e3 * t.q1, 1e3 * t.q3,
            gflops, 100 * gflops / peak, peak);
    else
        printf("%s: %s, L %zu, D %zu, depth %zu, batch %zu, %s\n%.2f img/s, %.3f ms a %s (%.3f .. "
               "%.3f), "
               "%.1f GFLOP/s, %.1f %% of a peak of %.0f\n",
               a->train ? "train" : "infer", sl_phi_name(s->info.phi), s->info.tokens,
               s->info.width, s->info.depth, s->batch, type, n / t.median, 1e3 * t.median,
               a->train ? "step" : "pass", 1e3 * t.q1, 1e3 * t.q3, gflops, 100 * gflops / peak,
               peak);
}

static sl_status measure(sl_context *ctx, const struct model_args *a, struct subject *s, bool json)
{
    const size_t n = (size_t)a->steps;
    double *times = calloc(n, sizeof *times), before = 0, after = 0;
    if (!times)
        return cli_error(SL_ERR_MEMORY, "out of memory");
    sl_status st = once(s); /* warm-up */
    if (st == SL_OK)
        st = cli_peak(ctx, s->info.dtype, &before);
    for (size_t i = 0; i < n && st == SL_OK; i++) {
        const double start = cli_now();
        st = once(s);
        times[i] = cli_now() - start;
    }
    if (st == SL_OK)
        st = cli_peak(ctx, s->info.dtype, &after);
    if (st == SL_OK)
        print_result(a, s, fmax(before, after), cli_spread_of(times, n), json);
    free(times);
    return st;
}

sl_status cli_bench_model(const struct cli_verb *verb, int argc, char **argv, bool train)
{
    struct model_args a = {.format_text = "text", .steps = 10, .train = train};
    const struct cli_option options[] = {
        {"set", 0, CLI_LIST, &a.set, "KEY=VALUE", "override a recipe key; may be repeated"},
        {"steps", 0, CLI_INT, &a.steps, "N", "timed steps or passes (default 10)"},
        {"batch", 0, CLI_INT, &a.batch, "N", "images a pass of infer (train: the recipe's)"},
        {"classes", 0, CLI_INT, &a.classes, "C", "classes where the recipe leaves them open"},
        {"format", 0, CLI_TEXT, &a.format_text, "text|json", "of the result"},
    };
    const struct cli_parse p = {verb,       options, sizeof options / sizeof options[0],
                                &a.machine, 1,       1};
    struct subject s = {0};
    sl_context *ctx = NULL;
    enum cli_format format;
    int first;
    bool stop;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st != SL_OK || stop)
        return st;
    if (a.steps < 1 || a.steps > 100000)
        return cli_usage("--steps takes 1 .. 100000");
    st = cli_format_parse(a.format_text, false, &format);
    if (st == SL_OK)
        st = cli_open(&a.machine, &ctx);
    if (st == SL_OK)
        st = open_subject(ctx, &a, argv[first], &s);
    if (st == SL_OK)
        st = make_inputs(&s);
    if (st == SL_OK)
        st = measure(ctx, &a, &s, format == CLI_JSON_FORMAT);
    free(s.images);
    free(s.labels);
    free(s.logits);
    if (s.trainer)
        sl_trainer_free(&s.trainer);
    else
        sl_model_free(&s.model);
    sl_recipe_free(&s.recipe);
    sl_context_close(&ctx);
    return st;
}
