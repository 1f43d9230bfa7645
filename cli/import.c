/*
 * softless import: weights of other projects as a weights file of this one.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct import_args {
    struct cli_machine machine;
    const char *out, *part, *image_size, *pixels, *positions;
    long heads;
};

/* What the pixels were normalised with when the network was trained. */
static const struct {
    const char *name;
    double mean[3], std[3];
} pixel_kinds[] = {
    {"half", {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}},
    {"imagenet", {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}},
};

static sl_status parse_pixels(const char *name, sl_import_options *options)
{
    for (size_t i = 0; i < sizeof pixel_kinds / sizeof *pixel_kinds; i++) {
        if (strcmp(name, pixel_kinds[i].name) == 0) {
            options->mean = pixel_kinds[i].mean;
            options->std = pixel_kinds[i].std;
            return SL_OK;
        }
    }
    return cli_usage("--pixels %s: it is half (mean and deviation 0.5) or imagenet", name);
}

/* "384" or "224x384", height first. */
static sl_status parse_size(const char *text, sl_import_options *options)
{
    enum { SIDE_MAX = 65536 };
    char *end;
    const unsigned long height = strtoul(text, &end, 10);
    const unsigned long width = *end == 'x' ? strtoul(end + 1, &end, 10) : height;
    if (*end || height == 0 || width == 0 || height > SIDE_MAX || width > SIDE_MAX ||
        strchr(text, '-'))
        return cli_usage("--image-size %s: give a side in pixels, or HEIGHTxWIDTH", text);
    options->image_height = height;
    options->image_width = width;
    return SL_OK;
}

static sl_status import_options(const struct import_args *a, sl_import_options *options)
{
    sl_status st = SL_OK;
    *options =
        (sl_import_options){.part = a->part, .heads = (size_t)a->heads, .positions = a->positions};
    if (!a->out)
        return cli_usage("give --out FILE.safetensors");
    if (a->heads < 0)
        return cli_usage("--heads %ld: a number of heads is positive", a->heads);
    if (a->image_size)
        st = parse_size(a->image_size, options);
    if (st == SL_OK)
        st = parse_pixels(a->pixels, options);
    return st;
}

static void report(const sl_model *model, const char *out)
{
    sl_model_info i;
    if (sl_model_get_info(model, &i) == SL_OK)
        printf("%s: width %zu, depth %zu, heads %zu, mlp %zu, patch %zu, %zux%zu pixels, %zu "
               "tokens, %zu classes, %zu parameters\n",
               out, i.width, i.depth, i.heads, i.mlp, i.patch, i.image_height, i.image_width,
               i.tokens, i.classes, i.parameters);
}

int cli_import(const struct cli_verb *verb, int argc, char **argv)
{
    struct import_args a = {.pixels = "half"};
    const struct cli_option options[] = {
        {"out", 0, CLI_TEXT, &a.out, "WEIGHTS", "the file to write"},
        {"heads", 0, CLI_INT, &a.heads, "N", "attention heads, where the file does not say"},
        {"image-size", 0, CLI_TEXT, &a.image_size, "SIZE",
         "side in pixels, or HEIGHTxWIDTH: positions are resampled (default: the file's)"},
        {"pixels", 0, CLI_TEXT, &a.pixels, "half|imagenet",
         "normalisation in training: half is [-1, 1] (default)"},
        {"positions", 0, CLI_TEXT, &a.positions, "linear|antialiased|bicubic",
         "resampling to another image size: linear is the default for big_vision, antialiased "
         "(bicubic) for timm and torchvision; bicubic is DINOv2's"},
        {"part", 0, CLI_TEXT, &a.part, "NAME", "the model inside a file that holds several: img"},
    };
    const struct cli_parse p = {verb,       options, sizeof options / sizeof options[0],
                                &a.machine, 1,       1};
    int first;
    bool stop;
    sl_context *ctx = NULL;
    sl_model *model = NULL;
    sl_import_options import;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st == SL_OK && stop)
        return cli_finish(st);
    if (st == SL_OK)
        st = import_options(&a, &import);
    if (st == SL_OK)
        st = cli_open(&a.machine, &ctx);
    if (st == SL_OK)
        st = sl_model_import(ctx, argv[first], &import, &model);
    if (st == SL_OK)
        st = sl_model_save(model, a.out);
    if (st == SL_OK)
        report(model, a.out);
    const int code = cli_finish(st);
    sl_model_free(&model);
    sl_context_close(&ctx);
    return code;
}
