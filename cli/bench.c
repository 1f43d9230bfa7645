/*
 * softless bench: picks the bench.
 */
#include "bench.h"

#include <string.h>

sl_status cli_peak(sl_context *ctx, sl_dtype dtype, double *gflops)
{
    double flops;
    sl_status st = sl_measure_peak(ctx, dtype, 0.1, &flops);
    if (st == SL_ERR_UNSUPPORTED)
        st = sl_measure_peak(ctx, SL_F32, 0.1, &flops);
    if (st == SL_OK)
        *gflops = 1e-9 * flops;
    return st;
}

int cli_bench(const struct cli_verb *verb, int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "--help";
    if (strcmp(what, "attention") == 0)
        return cli_finish(cli_bench_attention(verb, argc - 1, argv + 1));
    if (strcmp(what, "train") == 0 || strcmp(what, "infer") == 0)
        return cli_finish(cli_bench_model(verb, argc - 1, argv + 1, what[0] == 't'));
    if (strcmp(what, "phases") == 0)
        return cli_finish(cli_bench_phases(verb, argc - 1, argv + 1));
    if (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0) {
        printf("softless bench - %s\n\nExamples:\n%s\nUsage: softless bench %s\n\n"
               "'softless bench attention --help' lists the options of that bench, and so on.\n",
               verb->summary, verb->examples, verb->arguments);
        return cli_finish(SL_OK);
    }
    return cli_finish(
        cli_usage("unknown bench '%s'; there are attention, train, infer and phases", what));
}
