/*
 * softless explain: what each head of each block looks at in an image. A file that cannot be used
 * is reported and the others go on; the exit code is the first failure's.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "softless_explain.h"

enum { PATH_SIZE = 4096 };

struct explain_args {
    struct cli_machine machine;
    const char *format_text, *out;
    enum cli_format format;
    bool weights;
};

/* What is made of one image; the model's shape. */
struct explained {
    sl_model_info info;
    sl_head_figures *figures; /* [depth, heads] */
    float *logits;            /* [classes] */
};

/* The columns of every format. */
static const struct {
    const char *key, *title;
    size_t offset;
} columns[] = {
    {"mass", "mass", offsetof(sl_head_figures, mass)},
    {"mass_min", "least", offsetof(sl_head_figures, mass_min)},
    {"mass_max", "most", offsetof(sl_head_figures, mass_max)},
    {"entropy", "entropy", offsetof(sl_head_figures, entropy)},
    {"zeros", "zeros", offsetof(sl_head_figures, zeros)},
    {"dead_rows", "dead rows", offsetof(sl_head_figures, dead_rows)},
    {"distance", "distance", offsetof(sl_head_figures, distance)},
};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

static double value_of(const sl_head_figures *x, size_t column)
{
    double value;
    memcpy(&value, (const char *)x + columns[column].offset, sizeof value);
    return value;
}

static void print_text(const struct explained *e, const char *path, const char *class)
{
    cli_plain_string(stdout, path, 0);
    printf(": %s\nblock head", class);
    for (size_t c = 0; c < N_COLUMNS; c++)
        printf(" %9s", columns[c].title);
    printf("\n");
    for (size_t i = 0; i < e->info.depth * e->info.heads; i++) {
        printf("%5zu %4zu", i / e->info.heads, i % e->info.heads);
        for (size_t c = 0; c < N_COLUMNS; c++)
            printf(" %9.4g", value_of(&e->figures[i], c));
        printf("\n");
    }
}

static void print_json(const struct explained *e, const char *path, const char *class)
{
    printf("{\"file\": ");
    cli_json_string(stdout, path);
    printf(", \"class\": ");
    cli_json_string(stdout, class);
    printf(", \"heads\": [");
    for (size_t i = 0; i < e->info.depth * e->info.heads; i++) {
        printf("%s{\"block\": %zu, \"head\": %zu", i ? ", " : "", i / e->info.heads,
               i % e->info.heads);
        for (size_t c = 0; c < N_COLUMNS; c++) {
            printf(", \"%s\": ", columns[c].key);
            cli_json_number(stdout, value_of(&e->figures[i], c));
        }
        printf("}");
    }
    printf("]}\n");
}

static void print_csv(const struct explained *e, const char *path)
{
    for (size_t i = 0; i < e->info.depth * e->info.heads; i++) {
        cli_csv_string(stdout, path);
        printf(",%zu,%zu", i / e->info.heads, i % e->info.heads);
        for (size_t c = 0; c < N_COLUMNS; c++)
            printf(",%.9g", value_of(&e->figures[i], c));
        printf("\n");
    }
}

static const char *best_class(const sl_model *model, const struct explained *e, char buf[32])
{
    size_t best = 0;
    for (size_t i = 1; i < e->info.classes; i++)
        if (e->logits[i] > e->logits[best])
            best = i;
    const char *name = sl_model_class_name(model, best);
    if (name)
        return name;
    snprintf(buf, 32, "class %zu", best);
    return buf;
}

/* The file name without folder and ending. */
static const char *stem_of(const char *path, size_t *n)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    *n = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    return name;
}

/* Two images of one name would write one picture. */
static sl_status check_names(char **paths, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++) {
            size_t a, b;
            const char *x = stem_of(paths[i], &a), *y = stem_of(paths[k], &b);
            if (a == b && strncmp(x, y, a) == 0)
                return cli_usage(
                    "%s and %s would both be drawn to %.*s.attention.png; explain them one "
                    "after the other, with different --out",
                    paths[k], paths[i], (int)a, x);
        }
    return SL_OK;
}

static sl_status explain_one(const struct explain_args *a, sl_model *model, const char *path,
                             struct explained *e)
{
    char png[PATH_SIZE], npy[PATH_SIZE], buf[32];
    size_t n;
    const char *stem = stem_of(path, &n);
    const int length = snprintf(png, sizeof png, "%s/%.*s.attention.png", a->out, (int)n, stem);
    if (length < 0 || (size_t)length >= sizeof png)
        return cli_usage("--out %s: the path of the picture is longer than %d bytes", a->out,
                         PATH_SIZE);
    snprintf(npy, sizeof npy, "%s/%.*s.attention.npy", a->out, (int)n, stem);
    const sl_explain_options options = {.png = png, .npy = a->weights ? npy : NULL};
    const sl_status st = sl_model_explain_file(model, path, &options, e->figures, e->logits);
    if (st != SL_OK)
        return st;
    if (!a->machine.quiet)
        fprintf(stderr, "%s: a row for each block: the mean of its heads, then each head\n", png);
    if (a->format == CLI_TEXT_FORMAT)
        print_text(e, path, best_class(model, e, buf));
    else if (a->format == CLI_JSON_FORMAT)
        print_json(e, path, best_class(model, e, buf));
    else
        print_csv(e, path);
    return SL_OK;
}

/* Reports every failure and returns the first. */
static sl_status explain_all(const struct explain_args *a, sl_model *model, char **paths, int n)
{
    struct explained e = {0};
    sl_status first = sl_model_get_info(model, &e.info);
    e.figures = calloc(e.info.depth * e.info.heads, sizeof *e.figures);
    e.logits = calloc(e.info.classes, sizeof *e.logits);
    if (!e.figures || !e.logits) {
        fprintf(stderr, "softless: out of memory for the figures of the heads\n");
        first = SL_ERR_MEMORY;
        n = 0;
    }
    if (a->format == CLI_CSV_FORMAT && n > 0) {
        printf("file,block,head");
        for (size_t c = 0; c < N_COLUMNS; c++)
            printf(",%s", columns[c].key);
        printf("\n");
    }
    for (int i = 0; i < n; i++) {
        const sl_status st = explain_one(a, model, paths[i], &e);
        cli_report(st);
        if (first == SL_OK)
            first = st;
    }
    free(e.figures);
    free(e.logits);
    return first;
}

int cli_explain(const struct cli_verb *verb, int argc, char **argv)
{
    struct explain_args a = {.format_text = "text", .out = "."};
    const struct cli_option options[] = {
        {"out", 0, CLI_TEXT, &a.out, "DIR",
         "folder of the pictures IMAGE.attention.png (default: here)"},
        {"weights", 0, CLI_FLAG, &a.weights, NULL,
         "write IMAGE.attention.npy too: all weights, float32 [blocks, heads, L, L]"},
        {"format", 0, CLI_TEXT, &a.format_text, "text|json|csv", "of the figures"},
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
    if (st == SL_OK)
        st = cli_format_parse(a.format_text, true, &a.format);
    if (st == SL_OK)
        st = check_names(argv + first + 1, argc - first - 1);
    if (st == SL_OK)
        st = cli_open(&a.machine, &ctx);
    if (st == SL_OK)
        st = sl_model_load(ctx, argv[first], &model);
    if (st == SL_OK && mkdir(a.out, 0777) != 0 && errno != EEXIST)
        st = cli_cannot_write(a.out);
    cli_report(st);
    if (st == SL_OK)
        st = explain_all(&a, model, argv + first + 1, argc - first - 1);
    const int code = cli_leave(st);
    sl_model_free(&model);
    sl_context_close(&ctx);
    return code;
}
