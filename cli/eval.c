/*
 * softless eval: accuracy of a model on a data set.
 */
#include <math.h>
#include <string.h>

#include "cli.h"

static void print_result(const sl_eval_result *r, const sl_model_info *info, bool json)
{
    const struct {
        const char *key;
        double value;
    } fields[] = {{"top1", r->top1}, {"top1_se", r->top1_se}, {"top5", r->top5},
                  {"loss", r->loss}, {"alpha", info->alpha},  {"length", r->length_used}};
    if (!json) {
        printf("images %zu, top-1 %.2f%% +- %.2f, top-5 %.2f%%", r->images, 100 * r->top1,
               100 * r->top1_se, 100 * r->top5);
        if (!isnan(r->loss))
            printf(", loss %.4f", r->loss);
        printf("\n");
        if (r->matched_classes < r->set_classes)
            printf("%zu of %zu classes matched; images of the others count as wrong\n",
                   r->matched_classes, r->set_classes);
        if (r->unlabelled)
            printf("%zu images without a label are not counted\n", r->unlabelled);
        printf("attention %s, alpha %g, L = %g; %.0f img/s\n", sl_phi_name(info->phi), info->alpha,
               r->length_used, r->img_per_sec);
        return;
    }
    printf("{\"images\": %zu, \"skipped\": %zu, \"unlabelled\": %zu, \"classes\": %zu, "
           "\"matched_classes\": %zu",
           r->images, r->skipped, r->unlabelled, r->set_classes, r->matched_classes);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        printf(", \"%s\": ", fields[i].key);
        cli_json_number(stdout, fields[i].value);
    }
    printf(", \"h\": \"%s\", \"img_per_sec\": ", sl_phi_name(info->phi));
    cli_json_number(stdout, r->img_per_sec);
    printf("}\n");
}

int cli_eval(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_machine machine = {0};
    const char *classes = "all", *format_text = "text";
    sl_eval_options o = {0};
    long batch = 0;
    double require = 0;
    const struct cli_option options[] = {
        {"data", 0, CLI_TEXT, &o.data, "SPEC", "data set (default: the one of training)"},
        {"classes", 0, CLI_TEXT, &classes, "WHICH",
         "all: the model's; intersect: those that the data set names too"},
        {"labels", 0, CLI_TEXT, &o.labels, "FILE",
         "JSON labels, several for an image: ReaL's list, or by file name"},
        {"batch", 0, CLI_INT, &batch, "N", "images a pass (default 32)"},
        {"format", 0, CLI_TEXT, &format_text, "FORMAT", "text or json"},
        {"require-top1", 0, CLI_REAL, &require, "PERCENT", "exit 1 below this accuracy"},
    };
    const struct cli_parse p = {verb, options, sizeof options / sizeof options[0], &machine, 1, 1};
    int first;
    bool stop;
    enum cli_format format = CLI_TEXT_FORMAT;
    sl_context *ctx = NULL;
    sl_model *model = NULL;
    sl_model_info info;
    sl_eval_result result = {0};
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st == SL_OK && stop)
        return cli_finish(st);
    if (st == SL_OK)
        st = cli_format_parse(format_text, false, &format);
    o.intersect = strcmp(classes, "intersect") == 0;
    o.batch = (size_t)batch;
    if (st == SL_OK && !o.intersect && strcmp(classes, "all") != 0)
        st = cli_usage("--classes is '%s'; it must be all or intersect", classes);
    if (st == SL_OK)
        st = cli_open(&machine, &ctx);
    if (st == SL_OK)
        st = sl_model_load(ctx, argv[first], &model);
    if (st == SL_OK)
        st = sl_model_get_info(model, &info);
    if (st == SL_OK)
        st = sl_evaluate(model, &o, &result);
    if (st == SL_OK)
        print_result(&result, &info, format == CLI_JSON_FORMAT);
    sl_model_free(&model);
    sl_context_close(&ctx);
    const int code = cli_finish(st);
    return code == 0 && require > 0 && !(100 * result.top1 >= require) ? 1 : code;
}
