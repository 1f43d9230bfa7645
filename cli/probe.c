/*
 * softless probe: few-shot accuracies of a model's features on one or several data sets, as a
 * table, JSON or CSV.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "softless_probe.h"

/* ---- reading the options ---- */

enum { NUMBERS_MAX = 64 };
struct numbers {
    uint64_t values[NUMBERS_MAX];
    size_t n;
};

/* "1,5,10" -> numbers; NULL leaves them empty, which stands for the default. */
static sl_status read_numbers(const char *option, const char *text, struct numbers *out)
{
    out->n = 0;
    while (text && *text) {
        char *end;
        errno = 0;
        const unsigned long long x = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || errno || (*end && *end != ',') || out->n == NUMBERS_MAX)
            return cli_usage("--%s takes up to %d whole numbers with commas, not '%s'", option,
                             NUMBERS_MAX, text);
        out->values[out->n++] = x;
        text = *end ? end + 1 : end;
    }
    return SL_OK;
}

/* Every --data is a list with commas; one with '=' is a single SPEC (synthetic:n=..,classes=..). */
static sl_status read_data(const struct cli_list *given, char *copies[CLI_LIST_MAX],
                           struct cli_list *out)
{
    struct cli_list some;
    out->n = 0;
    for (size_t i = 0; i < given->n; i++) {
        copies[i] = strdup(given->items[i]);
        if (!copies[i])
            return SL_ERR_MEMORY;
        some = (struct cli_list){.items = {copies[i]}, .n = 1};
        if (!strchr(copies[i], '=')) {
            const sl_status st = cli_split(copies[i], &some);
            if (st != SL_OK)
                return st;
        }
        if (out->n + some.n > CLI_LIST_MAX)
            return cli_usage("more than %d data sets", CLI_LIST_MAX);
        memcpy(out->items + out->n, some.items, some.n * sizeof some.items[0]);
        out->n += some.n;
    }
    return out->n > 0 ? SL_OK : cli_usage("--data is missing: the data sets to probe on");
}

/* ---- output ---- */

static double mean(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] / (double)n;
    return sum;
}

static void print_row(int width, const char *name, size_t shots, const double *top1, size_t n)
{
    printf("%-*s %5zu", width, name, shots);
    for (size_t j = 0; j < n; j++)
        printf("  %7.2f%%", 100 * top1[j]);
    printf("  %7.2f%%\n", 100 * mean(top1, n));
}

static void print_text(const sl_probe_result *r, const sl_model_info *info)
{
    const int seeds_width = 10 * (int)r->n_seeds;
    int width = (int)strlen("average");
    for (size_t s = 0; s < r->n_sets; s++)
        width = (int)strlen(r->sets[s].data) > width ? (int)strlen(r->sets[s].data) : width;
    printf("attention %s, alpha %g, L = %zu\n", sl_phi_name(info->phi), info->alpha, info->tokens);
    for (size_t s = 0; s < r->n_sets; s++) {
        const sl_probe_set *set = &r->sets[s];
        printf("%s: %zu classes, %zu training and %zu test images", set->data, set->classes,
               set->train, set->test);
        if (set->skipped)
            printf(", %zu not decodable", set->skipped);
        printf("\n");
    }
    printf("\n%-*s %5s", width, "data", "shots");
    for (size_t j = 0; j < r->n_seeds; j++)
        printf("  seed %3llu", (unsigned long long)r->seeds[j]);
    printf("      mean\n");
    for (size_t s = 0; s < r->n_sets; s++) {
        const sl_probe_set *set = &r->sets[s];
        for (size_t i = 0; i < r->n_shots; i++)
            print_row(width, set->data, r->shots[i], set->top1 + i * r->n_seeds, r->n_seeds);
        if (!isnan(set->knn_top1))
            printf("%-*s %5s%*s  %7.2f%%\n", width, set->data, "knn", seeds_width, "",
                   100 * set->knn_top1);
    }
    for (size_t i = 0; i < r->n_shots; i++)
        printf("%-*s %5zu%*s  %7.2f%%\n", width, "average", r->shots[i], seeds_width, "",
               100 * r->average[i]);
    if (!isnan(r->knn_average))
        printf("%-*s %5s%*s  %7.2f%%\n", width, "average", "knn", seeds_width, "",
               100 * r->knn_average);
}

static void print_csv(FILE *f, const sl_probe_result *r)
{
    fprintf(f, "data,classes,train,test,skipped,method,shots,seed,top1\n");
    for (size_t s = 0; s < r->n_sets; s++) {
        const sl_probe_set *set = &r->sets[s];
        for (size_t i = 0; i <= r->n_shots * r->n_seeds; i++) {
            const bool knn = i == r->n_shots * r->n_seeds;
            if (knn && isnan(set->knn_top1))
                continue;
            cli_csv_string(f, set->data);
            fprintf(f, ",%zu,%zu,%zu,%zu,", set->classes, set->train, set->test, set->skipped);
            if (knn)
                fprintf(f, "knn,,,%.6f\n", set->knn_top1);
            else
                fprintf(f, "linear,%zu,%llu,%.6f\n", r->shots[i / r->n_seeds],
                        (unsigned long long)r->seeds[i % r->n_seeds], set->top1[i]);
        }
    }
}

static void print_json_set(const sl_probe_result *r, const sl_probe_set *set)
{
    printf("  {\"data\": ");
    cli_json_string(stdout, set->data);
    printf(", \"classes\": %zu, \"train\": %zu, \"test\": %zu, \"skipped\": %zu, \"knn\": ",
           set->classes, set->train, set->test, set->skipped);
    cli_json_number(stdout, set->knn_top1);
    printf(", \"shots\": [");
    for (size_t i = 0; i < r->n_shots; i++) {
        printf("%s{\"shots\": %zu, \"top1\": [", i ? ", " : "", r->shots[i]);
        for (size_t j = 0; j < r->n_seeds; j++) {
            printf("%s", j ? ", " : "");
            cli_json_number(stdout, set->top1[i * r->n_seeds + j]);
        }
        printf("], \"mean\": ");
        cli_json_number(stdout, mean(set->top1 + i * r->n_seeds, r->n_seeds));
        printf("}");
    }
    printf("]}");
}

static void print_json(const sl_probe_result *r, const sl_model_info *info)
{
    printf("{\"h\": \"%s\", \"alpha\": %g, \"seeds\": [", sl_phi_name(info->phi), info->alpha);
    for (size_t j = 0; j < r->n_seeds; j++)
        printf("%s%llu", j ? ", " : "", (unsigned long long)r->seeds[j]);
    printf("],\n \"sets\": [\n");
    for (size_t s = 0; s < r->n_sets; s++) {
        printf("%s", s ? ",\n" : "");
        print_json_set(r, &r->sets[s]);
    }
    printf("],\n \"average\": [");
    for (size_t i = 0; i < r->n_shots; i++) {
        printf("%s{\"shots\": %zu, \"mean\": ", i ? ", " : "", r->shots[i]);
        cli_json_number(stdout, r->average[i]);
        printf("}");
    }
    printf("], \"knn_average\": ");
    cli_json_number(stdout, r->knn_average);
    printf("}\n");
}

static sl_status print_result(const sl_probe_result *r, const sl_model_info *info,
                              enum cli_format format, const char *csv)
{
    if (format == CLI_JSON_FORMAT)
        print_json(r, info);
    else if (format == CLI_CSV_FORMAT)
        print_csv(stdout, r);
    else
        print_text(r, info);
    if (!csv)
        return SL_OK;
    FILE *f = fopen(csv, "w");
    if (f)
        print_csv(f, r);
    const bool bad = !f || ferror(f);
    if ((f && fclose(f) != 0) || bad)
        return cli_cannot_write(csv);
    return SL_OK;
}

/* ---- the verb ---- */

struct texts {
    const char *shots, *seeds, *format, *csv;
    struct cli_list data;
    long knn, batch;
};

static sl_status run(const char *weights, const struct cli_machine *machine,
                     const struct texts *given, sl_probe_options *o)
{
    static struct cli_list data;
    char *copies[CLI_LIST_MAX] = {NULL};
    struct numbers shots, seeds;
    size_t shot_counts[NUMBERS_MAX];
    enum cli_format format = CLI_TEXT_FORMAT;
    sl_context *ctx = NULL;
    sl_model *model = NULL;
    sl_model_info info;
    sl_probe_result result = {0};
    sl_status st = cli_format_parse(given->format, true, &format);
    if (st == SL_OK)
        st = read_numbers("shots", given->shots, &shots);
    if (st == SL_OK)
        st = read_numbers("seeds", given->seeds, &seeds);
    if (st == SL_OK)
        st = read_data(&given->data, copies, &data);
    if (st == SL_OK)
        st = cli_open(machine, &ctx);
    if (st == SL_OK)
        st = sl_model_load(ctx, weights, &model);
    if (st == SL_OK)
        st = sl_model_get_info(model, &info);
    if (st == SL_OK) {
        for (size_t i = 0; i < shots.n; i++)
            shot_counts[i] = (size_t)shots.values[i];
        o->data = data.items;
        o->n_data = data.n;
        o->shots = shots.n ? shot_counts : NULL;
        o->n_shots = shots.n;
        o->seeds = seeds.n ? seeds.values : NULL;
        o->n_seeds = seeds.n;
        o->knn = (size_t)given->knn;
        o->batch = (size_t)given->batch;
        st = sl_probe(model, o, &result);
    }
    if (st == SL_OK)
        st = print_result(&result, &info, format, given->csv);
    sl_probe_result_free(&result);
    sl_model_free(&model);
    sl_context_close(&ctx);
    for (size_t i = 0; i < given->data.n; i++)
        free(copies[i]);
    return st;
}

int cli_probe(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_machine machine = {0};
    struct texts t = {.format = "text"};
    sl_probe_options o = {.max_bad_fraction = 0.01};
    const struct cli_option options[] = {
        {"data", 0, CLI_LIST, &t.data, "A,B,C",
         "data sets; each a name or folder with training and test images, TRAIN::TEST, or one SPEC "
         "that is split by a draw"},
        {"shots", 0, CLI_TEXT, &t.shots, "N,N", "training images per class (1,5,10,25)"},
        {"seeds", 0, CLI_TEXT, &t.seeds, "N,N", "choices of shots (0,1,2)"},
        {"l2", 0, CLI_REAL, &o.l2, "X", "strength of the ridge (1024)"},
        {"knn", 0, CLI_INT, &t.knn, "K", "also vote of the K nearest of all training images"},
        {"train-share", 0, CLI_REAL, &o.train_share, "X",
         "training images of a set that is split by a draw (0.5)"},
        {"model-ops", 0, CLI_FLAG, &o.model_ops, NULL,
         "preprocess as the model file says, not by square resize and central crop"},
        {"indices", 0, CLI_TEXT, &o.indices, "FILE",
         "JSON lists of the chosen images: read if the file is there, else written"},
        {"features", 0, CLI_TEXT, &o.features, "FILE", "keeps features for the next run"},
        {"max-bad", 0, CLI_REAL, &o.max_bad_fraction, "X",
         "share of images that may be undecodable (0.01)"},
        {"batch", 0, CLI_INT, &t.batch, "N", "images a pass (default 32)"},
        {"format", 0, CLI_TEXT, &t.format, "text|json|csv", "of the table"},
        {"csv", 0, CLI_TEXT, &t.csv, "FILE", "writes the CSV too"},
    };
    const struct cli_parse p = {verb, options, sizeof options / sizeof options[0], &machine, 1, 1};
    int first;
    bool stop;
    const sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st != SL_OK || stop)
        return cli_finish(st);
    return cli_finish(run(argv[first], &machine, &t, &o));
}
