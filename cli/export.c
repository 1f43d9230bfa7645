/*
 * softless export: a model for other programs.
 */
#include <string.h>

#include "cli.h"

/* By the ending of the file's name. */
static const struct {
    const char *ending;
    sl_status (*write)(const sl_model *model, const char *path);
} formats[] = {
    {".onnx", sl_model_export_onnx},
    {".safetensors", sl_model_save},
};

static sl_status export_to(const sl_model *model, const char *out)
{
    const char *ending = strrchr(out, '.');
    for (size_t i = 0; ending && i < sizeof formats / sizeof *formats; i++)
        if (strcmp(ending, formats[i].ending) == 0)
            return formats[i].write(model, out);
    return cli_usage("--out %s: the name ends in .onnx or .safetensors", out);
}

int cli_export(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_machine machine = {0};
    const char *out = NULL;
    const struct cli_option options[] = {
        {"out", 0, CLI_TEXT, &out, "FILE", "model.onnx or model.safetensors"},
    };
    const struct cli_parse p = {verb, options, sizeof options / sizeof options[0], &machine, 1, 1};
    int first;
    bool stop;
    sl_context *ctx = NULL;
    sl_model *model = NULL;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st == SL_OK && stop)
        return cli_finish(st);
    if (st == SL_OK && !out)
        st = cli_usage("give --out FILE.onnx or --out FILE.safetensors");
    if (st == SL_OK)
        st = cli_open(&machine, &ctx);
    if (st == SL_OK)
        st = sl_model_load(ctx, argv[first], &model);
    if (st == SL_OK)
        st = export_to(model, out);
    const int code = cli_finish(st);
    sl_model_free(&model);
    sl_context_close(&ctx);
    return code;
}
