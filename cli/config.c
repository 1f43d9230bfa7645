/*
 * softless config: recipes resolved, recipes checked with a forecast of their cost, and the list of
 * keys.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { MEASURED_BATCH = 8, MEASURED_STEPS = 2 };

struct config_args {
    struct cli_machine machine;
    struct cli_list set;
    const char *format_text;
    bool origin, measure;
    double gflops; /* 0 = not given */
};

static sl_status show(const char *path, const struct config_args *a)
{
    sl_recipe *recipe = NULL;
    char *text = NULL;
    sl_status st = sl_recipe_load(path, a->set.items, a->set.n, &recipe);
    if (st == SL_OK)
        st = sl_recipe_text(recipe, a->origin, &text);
    if (st == SL_OK)
        fputs(text, stdout);
    sl_text_free(&text);
    sl_recipe_free(&recipe);
    return st;
}

static sl_status print_text_of(sl_status (*make)(char **text))
{
    char *text = NULL;
    const sl_status st = make(&text);
    if (st == SL_OK)
        fputs(text, stdout);
    sl_text_free(&text);
    return st;
}

/* ---- check ---- */

static size_t number_of(const sl_recipe *recipe, const char *key)
{
    char *text = NULL;
    size_t x = 0;
    if (sl_recipe_get(recipe, key, &text) == SL_OK)
        x = strtoul(text, NULL, 10);
    sl_text_free(&text);
    return x;
}

/* Seconds of the fastest of a few training steps. */
static sl_status time_steps(sl_trainer *trainer, const uint8_t *images, const int32_t *labels,
                            double *seconds)
{
    sl_step_result result;
    sl_status st = sl_trainer_step(trainer, images, labels, &result); /* not timed */
    *seconds = INFINITY;
    for (int i = 0; i < MEASURED_STEPS && st == SL_OK; i++) {
        const double start = cli_now();
        st = sl_trainer_step(trainer, images, labels, &result);
        *seconds = fmin(*seconds, cli_now() - start);
    }
    return st;
}

/* GFLOP/s of training steps of this recipe on this machine, with few images. */
static sl_status measure(sl_context *ctx, const struct config_args *a, const char *path,
                         const sl_forecast *f, double *gflops)
{
    static const char *const few[] = {"train.batch=8", "train.accumulate=1"};
    struct cli_list set = a->set;
    sl_recipe *recipe = NULL;
    sl_trainer *trainer = NULL;
    double seconds = 0;
    if (set.n + 2 > CLI_LIST_MAX)
        return cli_usage("too many --set");
    set.items[set.n++] = few[0];
    set.items[set.n++] = few[1];
    sl_status st = sl_recipe_load(path, set.items, set.n, &recipe);
    if (st == SL_OK)
        st = sl_trainer_create(ctx, recipe, number_of(recipe, "model.classes") ? 0 : 10, &trainer);
    if (st == SL_OK) {
        sl_model_info info;
        st = sl_model_get_info(sl_trainer_model(trainer), &info);
        uint8_t *images =
            st == SL_OK ? calloc(MEASURED_BATCH * info.image_height * info.image_width, 3) : NULL;
        const int32_t labels[MEASURED_BATCH] = {0};
        if (st == SL_OK)
            st = images ? time_steps(trainer, images, labels, &seconds)
                        : cli_error(SL_ERR_MEMORY, "out of memory for %d images", MEASURED_BATCH);
        free(images);
    }
    if (st == SL_OK)
        *gflops = 3e-9 * f->flops_forward * MEASURED_BATCH / seconds;
    sl_trainer_free(&trainer);
    sl_recipe_free(&recipe);
    return st;
}

static void print_text(const char *path, const char *variant, const char *phi, const sl_forecast *f,
                       double gflops)
{
    const bool large = f->flops_train > 1e16;
    printf("%s: in order\n"
           "  model     %s%swidth %zu, depth %zu, %s, %zu tokens, %zu parameters, %.4g GFLOP "
           "forward an image\n"
           "  training  %llu steps, %.4g images (%.4g passes over %zu), %.4g %s\n"
           "  memory    %.2f GiB besides data, %zu images a pass\n",
           path, variant, *variant ? ", " : "", f->width, f->depth, phi, f->tokens, f->parameters,
           1e-9 * f->flops_forward, (unsigned long long)f->steps, f->images,
           f->images / (double)f->train_images, f->train_images,
           (large ? 1e-18 : 1e-12) * f->flops_train, large ? "EFLOP" : "TFLOP",
           (double)f->memory_bytes / (1 << 30), f->pass_images);
    if (gflops > 0)
        printf("  time      %.4g hours at %.4g GFLOP/s, %.4g img/s\n",
               1e-9 * f->flops_train / gflops / 3600, gflops,
               1e9 * gflops / (3 * f->flops_forward));
}

static void print_json(const char *path, const char *variant, const char *phi, const sl_forecast *f,
                       double gflops)
{
    printf("{\"recipe\": ");
    cli_json_string(stdout, path);
    printf(", \"variant\": ");
    cli_json_string(stdout, variant);
    printf(", \"h\": ");
    cli_json_string(stdout, phi);
    printf(
        ", \"width\": %zu, \"depth\": %zu, \"tokens\": %zu, \"parameters\": %zu, \"train_images\": "
        "%zu, \"steps\": %llu, "
        "\"images\": %.0f, \"flops_forward\": %.0f, \"flops_train\": %.8g, \"pass_images\": %zu, "
        "\"memory_bytes\": %zu, \"gflops\": ",
        f->width, f->depth, f->tokens, f->parameters, f->train_images, (unsigned long long)f->steps,
        f->images, f->flops_forward, f->flops_train, f->pass_images, f->memory_bytes);
    cli_json_number(stdout, gflops > 0 ? gflops : NAN);
    printf(", \"hours\": ");
    cli_json_number(stdout, gflops > 0 ? 1e-9 * f->flops_train / gflops / 3600 : NAN);
    printf("}\n");
}

static sl_status check_one(sl_context *ctx, const struct config_args *a, const char *path,
                           enum cli_format format)
{
    sl_recipe *recipe = NULL;
    sl_forecast f;
    char *variant = NULL, *phi = NULL;
    double gflops = a->gflops;
    sl_status st = sl_recipe_load(path, a->set.items, a->set.n, &recipe);
    if (st == SL_OK)
        st = sl_recipe_check(ctx, recipe, &f);
    if (st == SL_OK && a->measure)
        st = measure(ctx, a, path, &f, &gflops);
    if (st == SL_OK)
        st = sl_recipe_get(recipe, "model.variant", &variant);
    if (st == SL_OK)
        st = sl_recipe_get(recipe, "model.h", &phi);
    if (st == SL_OK) {
        variant[strcspn(variant + 1, "\"") + 1] = '\0'; /* the value is text in quotes */
        (format == CLI_JSON_FORMAT ? print_json : print_text)(path, variant + 1, phi, &f, gflops);
    }
    sl_text_free(&variant);
    sl_text_free(&phi);
    sl_recipe_free(&recipe);
    return st;
}

/* Every file, also after a bad one; the exit code is that of the first bad one. */
static int check(const struct config_args *a, int n, char **paths)
{
    sl_context *ctx = NULL;
    enum cli_format format = CLI_TEXT_FORMAT;
    int code = 0;
    sl_status st = SL_OK;
    if (a->gflops < 0 || !isfinite(a->gflops))
        st = cli_usage("--gflops takes a number above 0");
    if (st == SL_OK)
        st = cli_format_parse(a->format_text, false, &format);
    if (st == SL_OK)
        st = cli_open(&a->machine, &ctx);
    for (int i = 0; i < n && st == SL_OK; i++) {
        const sl_status one = check_one(ctx, a, paths[i], format);
        const int one_code = one == SL_OK ? 0 : cli_finish(one);
        code = code ? code : one_code;
    }
    sl_context_close(&ctx);
    const int last = cli_finish(st);
    return code ? code : last;
}

int cli_config(const struct cli_verb *verb, int argc, char **argv)
{
    struct config_args a = {.format_text = "text"};
    const struct cli_option options[] = {
        {"set", 0, CLI_LIST, &a.set, "KEY=VALUE", "override a recipe key; may be repeated"},
        {"origin", 0, CLI_FLAG, &a.origin, NULL, "show: say where each value came from"},
        {"gflops", 0, CLI_REAL, &a.gflops, "G", "check: hours at so many GFLOP/s"},
        {"measure", 0, CLI_FLAG, &a.measure, NULL, "check: hours at the speed of two steps here"},
        {"format", 0, CLI_TEXT, &a.format_text, "text|json", "of check; JSON is a line each"},
    };
    const struct cli_parse p = {verb,       options, sizeof options / sizeof options[0],
                                &a.machine, 1,       -1};
    int first;
    bool stop;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st == SL_OK && stop)
        return cli_finish(st);
    if (st == SL_OK && strcmp(argv[first], "check") == 0 && argc - first >= 2)
        return check(&a, argc - first - 1, argv + first + 1);
    if (st == SL_OK && strcmp(argv[first], "show") == 0 && argc - first == 2)
        st = show(argv[first + 1], &a);
    else if (st == SL_OK && strcmp(argv[first], "keys") == 0 && argc - first == 1)
        st = print_text_of(sl_recipe_keys_text);
    else if (st == SL_OK && strcmp(argv[first], "list") == 0 && argc - first == 1)
        st = print_text_of(sl_recipe_list_text);
    else if (st == SL_OK)
        st = cli_usage("usage: softless config %s; see 'softless config --help'", verb->arguments);
    return cli_finish(st);
}
