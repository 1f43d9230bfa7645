/*
 * The benches of `softless bench`, and the peak they are measured against.
 */
#ifndef SL_CLI_BENCH_H
#define SL_CLI_BENCH_H

#include "cli.h"

sl_status cli_bench_attention(const struct cli_verb *verb, int argc, char **argv);
/* train: steps of sl_trainer on synthetic images; infer: forward passes. */
sl_status cli_bench_model(const struct cli_verb *verb, int argc, char **argv, bool train);

/* Peak of a type in GFLOP/s, of about 0.1 s; the float peak where the type has none of its own. */
sl_status cli_peak(sl_context *ctx, sl_dtype dtype, double *gflops);

#endif
