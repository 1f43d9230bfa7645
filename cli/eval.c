/*
 * softless eval: accuracy of a model on a data set.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* Shares of zero weights and zero tiles, and the row mass, of heads taken together. */
struct summary {
    double zeros, tiles[SL_ATTENTION_TILES], mass, mass_min, mass_max;
    size_t dead;
};

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static struct summary summarise(const sl_attention_stats *s, size_t heads)
{
    struct summary x = {.mass_min = s[0].mass_min, .mass_max = s[0].mass_max};
    double weights = 0, rows = 0, tiles[SL_ATTENTION_TILES] = {0};
    for (size_t h = 0; h < heads; h++) {
        weights += (double)s[h].weights;
        rows += (double)s[h].rows;
        x.zeros += (double)s[h].zeros;
        x.mass += s[h].mass;
        x.mass_min = s[h].mass_min < x.mass_min ? s[h].mass_min : x.mass_min;
        x.mass_max = s[h].mass_max > x.mass_max ? s[h].mass_max : x.mass_max;
        x.dead += s[h].zeros == s[h].weights;
        for (size_t t = 0; t < SL_ATTENTION_TILES; t++) {
            tiles[t] += (double)s[h].tiles[t];
            x.tiles[t] += (double)s[h].zero_tiles[t];
        }
    }
    x.zeros = share(x.zeros, weights);
    x.mass = share(x.mass, rows);
    for (size_t t = 0; t < SL_ATTENTION_TILES; t++)
        x.tiles[t] = share(x.tiles[t], tiles[t]);
    return x;
}

static void print_stats_json(const sl_attention_stats *stats, const sl_model_info *info)
{
    printf(", \"attention\": [");
    for (size_t i = 0; i < info->depth * info->heads; i++) {
        const struct summary s = summarise(&stats[i], 1);
        printf("%s{\"block\": %zu, \"head\": %zu, \"zeros\": ", i ? ", " : "", i / info->heads,
               i % info->heads);
        cli_json_number(stdout, s.zeros);
        printf(", \"zero_tiles\": {");
        for (size_t t = 0; t < SL_ATTENTION_TILES; t++) {
            size_t queries, keys;
            sl_attention_tile(t, &queries, &keys);
            printf("%s\"%zux%zu\": ", t ? ", " : "", queries, keys);
            cli_json_number(stdout, s.tiles[t]);
        }
        printf("}, \"mass\": ");
        cli_json_number(stdout, s.mass);
        printf(", \"mass_min\": ");
        cli_json_number(stdout, s.mass_min);
        printf(", \"mass_max\": ");
        cli_json_number(stdout, s.mass_max);
        printf("}");
    }
    printf("]");
}

static void print_stats_line(const struct summary *s)
{
    printf("%7.2f", 100 * s->zeros);
    for (size_t t = 0; t < SL_ATTENTION_TILES; t++)
        printf(" %7.2f", 100 * s->tiles[t]);
    printf(" %5zu  %.4g (%.4g .. %.4g)\n", s->dead, s->mass, s->mass_min, s->mass_max);
}

/* A line for each block, and one for all. */
static void print_stats(const sl_attention_stats *stats, const sl_model_info *info)
{
    printf("\nblock  zero %%  all-zero tiles, %% of them, by queries x keys\n             ");
    for (size_t t = 0; t < SL_ATTENTION_TILES; t++) {
        size_t queries, keys;
        sl_attention_tile(t, &queries, &keys);
        printf("  %3zux%-2zu", queries, keys);
    }
    printf("  dead  row mass (least .. most)\n");
    for (size_t l = 0; l < info->depth; l++) {
        const struct summary s = summarise(stats + l * info->heads, info->heads);
        printf("%5zu ", l);
        print_stats_line(&s);
    }
    const struct summary all = summarise(stats, info->depth * info->heads);
    printf("  all ");
    print_stats_line(&all);
}

static void print_result(const sl_eval_result *r, const sl_model_info *info, bool json,
                         const sl_attention_stats *stats)
{
    const struct {
        const char *key;
        double value;
    } fields[] = {{"top1", r->top1}, {"top1_se", r->top1_se}, {"top5", r->top5},
                  {"loss", r->loss}, {"alpha", info->alpha},  {"length", r->length_used}};
    if (!json) {
        if (r->skipped)
            printf("damaged images left out: %zu\n", r->skipped);
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
        if (stats)
            print_stats(stats, info);
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
    if (stats)
        print_stats_json(stats, info);
    printf("}\n");
}

int cli_eval(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_machine machine = {0};
    struct cli_list set = {.n = 0};
    const char *classes = "all", *format_text = "text";
    sl_eval_options o = {0};
    long batch = 0;
    double require = 0;
    bool attention = false;
    const struct cli_option options[] = {
        {"data", 0, CLI_TEXT, &o.data, "SPEC", "data set (default: the one of training)"},
        {"set", 0, CLI_LIST, &set, "KEY=VALUE",
         "model.image_size (positions are resampled), length, h, alpha, bias or precision other "
         "than in "
         "training; may be repeated"},
        {"classes", 0, CLI_TEXT, &classes, "all|intersect",
         "all: the model's (default); intersect: those that the data set names too"},
        {"labels", 0, CLI_TEXT, &o.labels, "FILE",
         "JSON labels, several for an image: ReaL's list, or by file name"},
        {"batch", 0, CLI_INT, &batch, "N", "images a pass (default 32)"},
        {"max-bad", 0, CLI_REAL, &o.max_bad_fraction, "SHARE",
         "leave out, and count, up to this share of damaged images (default 0)"},
        {"format", 0, CLI_TEXT, &format_text, "text|json", "of the output"},
        {"attention-stats", 0, CLI_FLAG, &attention, NULL,
         "zero weights, zero tiles, dead heads and row mass of every block"},
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
    if (st == SL_OK && !(o.max_bad_fraction >= 0 && o.max_bad_fraction <= 1))
        st = cli_usage("--max-bad takes a share from 0 to 1, not %g", o.max_bad_fraction);
    if (st == SL_OK)
        st = cli_open(&machine, &ctx);
    if (st == SL_OK)
        st = sl_model_load_with(ctx, argv[first], set.items, set.n, &model);
    if (st == SL_OK)
        st = sl_model_get_info(model, &info);
    if (st == SL_OK && attention) {
        o.attention = calloc(info.depth * info.heads, sizeof *o.attention);
        if (!o.attention)
            st = cli_error(SL_ERR_MEMORY, "out of memory for the statistics of attention");
    }
    if (st == SL_OK)
        st = sl_evaluate(model, &o, &result);
    if (st == SL_OK)
        print_result(&result, &info, format == CLI_JSON_FORMAT, o.attention);
    free(o.attention);
    sl_model_free(&model);
    sl_context_close(&ctx);
    const int code = cli_finish(st);
    if (code == 0 && require > 0 && !(100 * result.top1 >= require)) {
        fprintf(stderr, "softless: top-1 is below the required %g%%\n", require);
        return 1;
    }
    return code;
}
