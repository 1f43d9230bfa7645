/*
 * softless predict: classes of image files. A file that cannot be used is reported and the others
 * go on; the exit code is the first failure's.
 */
#include <math.h>
#include <stdlib.h>

#include "cli.h"

struct answer {
    size_t class_index;
    double logit, probability;
};

struct predict_args {
    struct cli_machine machine;
    const char *format_text;
    enum cli_format format;
    long top;
    bool logits;
    struct cli_list set;
};

static int by_logit(const void *a, const void *b)
{
    const struct answer *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return x->class_index < y->class_index ? -1 : 1;
}

static void rank(const float *logits, size_t n, struct answer *answers)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        top = fmax(top, (double)logits[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - top);
    for (size_t i = 0; i < n; i++)
        answers[i] = (struct answer){i, (double)logits[i], exp((double)logits[i] - top) / sum};
    qsort(answers, n, sizeof *answers, by_logit);
}

static const char *class_name(const sl_model *model, size_t i, char buf[32])
{
    const char *name = sl_model_class_name(model, i);
    if (name)
        return name;
    snprintf(buf, 32, "class %zu", i);
    return buf;
}

static void print_json(const sl_model *model, const char *path, const struct answer *answers,
                       size_t top, const float *logits, size_t n, bool all)
{
    char buf[32];
    printf("{\"file\": ");
    cli_json_string(stdout, path);
    printf(", \"top\": [");
    for (size_t i = 0; i < top; i++) {
        printf("%s{\"class\": ", i ? ", " : "");
        cli_json_string(stdout, class_name(model, answers[i].class_index, buf));
        printf(", \"probability\": ");
        cli_json_number(stdout, answers[i].probability);
        printf("}");
    }
    printf("]");
    if (all) {
        printf(", \"logits\": [");
        for (size_t i = 0; i < n; i++)
            printf("%s%.9g", i ? ", " : "", (double)logits[i]);
        printf("]");
    }
    printf("}\n");
}

static void print_answer(const struct predict_args *a, const sl_model *model, const char *path,
                         const float *logits, struct answer *answers, size_t n)
{
    const bool all = a->format == CLI_CSV_FORMAT && a->logits; /* a row for each */
    const size_t top = (size_t)a->top < n && !all ? (size_t)a->top : n;
    char buf[32];
    rank(logits, n, answers);
    if (a->format == CLI_JSON_FORMAT) {
        print_json(model, path, answers, top, logits, n, a->logits);
        return;
    }
    if (a->format == CLI_TEXT_FORMAT)
        printf("%s\n", path);
    for (size_t i = 0; i < top; i++) {
        const char *name = class_name(model, answers[i].class_index, buf);
        if (a->format == CLI_TEXT_FORMAT) {
            printf("  ");
            cli_plain_string(stdout, name, 20);
            printf(" : %.4f\n", answers[i].probability);
            continue;
        }
        cli_csv_string(stdout, path);
        printf(",%zu,", i + 1);
        cli_csv_string(stdout, name);
        printf(",%.9g,%.9g\n", answers[i].probability, answers[i].logit);
    }
    if (a->format == CLI_TEXT_FORMAT && a->logits) {
        printf("  logits");
        for (size_t i = 0; i < n; i++)
            printf(" %.9g", (double)logits[i]);
        printf("\n");
    }
}

/* Reports every failure and returns the first. */
static sl_status predict_all(const struct predict_args *a, sl_model *model, char **paths, int n)
{
    sl_model_info info;
    sl_status first = sl_model_get_info(model, &info);
    float *logits = calloc(info.classes, sizeof *logits);
    struct answer *answers = calloc(info.classes, sizeof *answers);
    if (!logits || !answers) {
        free(logits);
        free(answers);
        fprintf(stderr, "softless: out of memory for %zu classes\n", info.classes);
        return SL_ERR_MEMORY;
    }
    if (a->format == CLI_CSV_FORMAT)
        printf("file,rank,class,probability,logit\n");
    for (int i = 0; i < n; i++) {
        const sl_status st = sl_model_predict_file(model, paths[i], logits);
        if (st == SL_OK)
            print_answer(a, model, paths[i], logits, answers, info.classes);
        cli_report(st);
        if (first == SL_OK)
            first = st;
    }
    free(logits);
    free(answers);
    return first;
}

int cli_predict(const struct cli_verb *verb, int argc, char **argv)
{
    struct predict_args a = {.format_text = "text", .top = 5};
    const struct cli_option options[] = {
        {"top", 0, CLI_INT, &a.top, "K", "classes to print (default 5)"},
        {"format", 0, CLI_TEXT, &a.format_text, "text|json|csv", "of the output"},
        {"logits", 0, CLI_FLAG, &a.logits, NULL,
         "print all logits too (csv: a row for every class)"},
        {"set", 0, CLI_LIST, &a.set, "KEY=VALUE",
         "as eval's: precision=auto is faster on some CPUs"},
    };
    const struct cli_parse p = {verb,       options, sizeof options / sizeof options[0],
                                &a.machine, 2,       -1};
    int first;
    bool stop;
    sl_context *ctx = NULL;
    sl_model *model = NULL;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st == SL_OK && stop)
        return cli_finish(st);
    if (st == SL_OK && a.top == 0)
        st = cli_usage("--top takes 1 or more classes, not 0");
    if (st == SL_OK)
        st = cli_format_parse(a.format_text, true, &a.format);
    if (st == SL_OK)
        st = cli_open(&a.machine, &ctx);
    if (st == SL_OK)
        st = sl_model_load_with(ctx, argv[first], a.set.items, a.set.n, &model);
    cli_report(st);
    if (st == SL_OK)
        st = predict_all(&a, model, argv + first + 1, argc - first - 1);
    const int code = cli_leave(st);
    sl_model_free(&model);
    sl_context_close(&ctx);
    return code;
}
