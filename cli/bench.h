/*
 * The benches of `softless bench`, and the peak they are measured against.
 */
#ifndef SL_CLI_BENCH_H
#define SL_CLI_BENCH_H

#include "figure.h"
#include "softless_phases.h"

sl_status cli_bench_attention(const struct cli_verb *verb, int argc, char **argv);
/* train: steps of sl_trainer on synthetic images; infer: forward passes. */
sl_status cli_bench_model(const struct cli_verb *verb, int argc, char **argv, bool train);
sl_status cli_bench_phases(const struct cli_verb *verb, int argc, char **argv);

/* Peak of a type in GFLOP/s, of about 0.1 s; the float peak where the type has none of its own. */
sl_status cli_peak(sl_context *ctx, sl_dtype dtype, double *gflops);

/* ---- phases: measured by bench_phases.c, written by bench_phases_out.c ---- */

enum { PHASES_NAME = 120, PHASES_DATA = 1024, PHASES_MODELS_MAX = 16, PHASES_SHAPES_MAX = 16 };

/* Rows of a bar: the phases, what passes between their op calls, and all of a step. */
enum { PHASES_BETWEEN = SL_PHASE_COUNT, PHASES_STEP, PHASES_ROWS };

struct phases_row {
    struct cli_spread seconds; /* of a batch and a step */
    struct cli_spread core_h;  /* processor time of all threads: hours a million images */
    double formula, counted;   /* FLOP of products */
};

/* A model in a shape. */
struct phases_bar {
    char model[PHASES_NAME];
    struct phases_row rows[PHASES_ROWS];
    struct cli_spread ratios[PHASES_MODELS_MAX]; /* its core-hours to those of the shape's models */
};

struct phases_shape {
    char name[PHASES_NAME], data[PHASES_DATA];
    size_t tokens, width, depth, batch, rounds, n;
    int threads;
    sl_dtype dtype;
    double peak; /* GFLOP a processor second; beside other programs the clock would mislead */
    struct phases_bar bars[PHASES_MODELS_MAX];
};

void phases_print(FILE *f, const struct phases_shape *shape, enum cli_format format, bool first);
/* Table and figure, a panel a shape, a stacked bar a model. SL_ERR_UNAVAILABLE without gnuplot. */
sl_status phases_draw(const struct phases_shape *shapes, size_t n, const struct figure *figure);

#endif
