/*
 * softless bench attention: the operator through the public API. All columns (phi x implementation)
 * of a row (type, pass, length, head size) run interleaved, and the peak of every implementation is
 * measured around them. A ratio of two columns is the median over rounds of their times' ratio.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { COLUMNS_MAX = 32, REPEATS_MAX = 1000 };

struct args {
    struct cli_machine machine;
    const char *phi, *impl, *len, *head_dim, *dtype, *pass, *format_text;
    enum cli_format format;
    long heads, batch, repeats;
    struct cli_list phis, impls, lens, head_dims, dtypes, passes;
    sl_context *contexts[COLUMNS_MAX]; /* one per implementation */
    bool header_done;
};

enum pass { FWD, BWD, FWD_BWD, PASSES };
static const char *const pass_names[PASSES] = {"fwd", "bwd", "fwd+bwd"};
static const double pass_flops[PASSES] = {4, 10, 14}; /* times L^2 d a head */

struct row {
    enum pass pass;
    sl_dtype dtype;
    size_t B, H, L, K;
    char *memory; /* q k v o, d_o dq dk dv: 8 tensors [B, L, H, K] */
    size_t bytes; /* of one tensor */
};

static const char *const dtype_names[SL_DTYPE_COUNT] = {"fp32", "bf16"};

/* Uniform in [-1.7, 1.7), variance 1, from a multiplicative congruence: no constant inputs. */
static void fill(struct row *r)
{
    uint64_t state = 1;
    const size_t n = 8 * r->B * r->L * r->H * r->K;
    for (size_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const float x = ((float)(state >> 40) * 0x1p-23f - 1.0f) * 1.7f;
        if (r->dtype == SL_F32)
            ((float *)(void *)r->memory)[i] = x;
        else
            memcpy(r->memory + 2 * i, (const char *)&x + 2, 2);
    }
}

static sl_status run_once(sl_context *ctx, const struct row *r, sl_phi phi)
{
    const sl_strides s = {r->L * r->H * r->K, r->H * r->K, r->K};
    char *t[8];
    for (size_t i = 0; i < 8; i++)
        t[i] = r->memory + i * r->bytes;
    const sl_attention a = {.phi = phi,
                            .alpha = 1,
                            .dtype = r->dtype,
                            .B = r->B,
                            .H = r->H,
                            .Lq = r->L,
                            .Lk = r->L,
                            .K = r->K,
                            .q = t[0],
                            .k = t[1],
                            .v = t[2],
                            .q_strides = s,
                            .k_strides = s,
                            .v_strides = s};
    const sl_attention_grads g = {.d_o = t[4],
                                  .o_strides = s,
                                  .dq = t[5],
                                  .dk = t[6],
                                  .dv = t[7],
                                  .dq_strides = s,
                                  .dk_strides = s,
                                  .dv_strides = s};
    sl_status st = SL_OK;
    if (r->pass != BWD)
        st = sl_attention_forward(ctx, &a, t[3], s);
    if (st == SL_OK && r->pass != FWD)
        st = sl_attention_backward(ctx, &a, &g);
    return st;
}

/* ---- what is printed ---- */

/* One column of a row, measured. */
struct result {
    const char *phi, *impl;
    struct cli_spread seconds;
    double gflops, peak_gflops;
    double ratios[COLUMNS_MAX]; /* times as fast as the columns, in their order */
};

/* Bytes of the operands and results, each counted once. */
static size_t touched(const struct row *r)
{
    static const size_t tensors[PASSES] = {4, 7, 11};
    return tensors[r->pass] * r->bytes;
}

static void print_json(const struct args *a, const struct row *r, const struct result *all,
                       size_t n, const struct result *x)
{
    printf("{\"phi\": \"%s\", \"impl\": \"%s\", \"dtype\": \"%s\", \"pass\": \"%s\", \"len\": %zu, "
           "\"head_dim\": %zu, \"batch\": %zu, \"heads\": %zu, \"threads\": %d, \"gflops\": %.2f, "
           "\"peak_percent\": %.2f, \"peak_gflops\": %.1f, \"ms\": %.5f, \"ms_q1\": %.5f, "
           "\"ms_q3\": %.5f, \"bytes\": %zu, \"ratios\": {",
           x->phi, x->impl, dtype_names[r->dtype], pass_names[r->pass], r->L, r->K, r->B, r->H,
           sl_context_threads(a->contexts[0]), x->gflops, 100 * x->gflops / x->peak_gflops,
           x->peak_gflops, 1e3 * x->seconds.median, 1e3 * x->seconds.q1, 1e3 * x->seconds.q3,
           touched(r));
    for (size_t c = 0; c < n; c++)
        printf("%s\"%s/%s\": %.4f", c ? ", " : "", all[c].phi, all[c].impl, x->ratios[c]);
    printf("}}\n");
}

static void print_header(bool csv, const struct result *all, size_t n)
{
    printf(
        csv ? "phi,impl,dtype,pass,len,head_dim,gflops,peak_percent,ms,ms_q1,ms_q3,bytes"
            : "phi       impl    dtype pass      len  dim   GFLOP/s  %% peak        ms   (q1 .. q3)"
              "           MB  times as fast as");
    for (size_t c = 0; c < n; c++)
        printf(csv ? ",ratio_%s_%s" : " %s/%s", all[c].phi, all[c].impl);
    printf("\n");
}

static void print_line(bool csv, const struct row *r, const struct result *x, size_t n)
{
    const double bytes = (double)touched(r);
    printf(csv ? "%s,%s,%s,%s,%zu,%zu,%.2f,%.2f,%.5f,%.5f,%.5f,%.0f"
               : "%-9s %-7s %-5s %-7s %5zu %4zu %9.1f %7.1f %9.4f (%.4f .. %.4f) %8.2f ",
           x->phi, x->impl, dtype_names[r->dtype], pass_names[r->pass], r->L, r->K, x->gflops,
           100 * x->gflops / x->peak_gflops, 1e3 * x->seconds.median, 1e3 * x->seconds.q1,
           1e3 * x->seconds.q3, csv ? bytes : 1e-6 * bytes);
    for (size_t c = 0; c < n; c++)
        printf(csv ? ",%.4f" : " %5.2f", x->ratios[c]);
    printf("\n");
}

static void print_row(struct args *a, const struct row *r, const struct result *all, size_t n)
{
    const bool csv = a->format == CLI_CSV_FORMAT, json = a->format == CLI_JSON_FORMAT;
    if (!json && !a->header_done)
        print_header(csv, all, n);
    a->header_done = true;
    for (size_t c = 0; c < n; c++) {
        if (json)
            print_json(a, r, all, n, &all[c]);
        else
            print_line(csv, r, &all[c], n);
    }
    fflush(stdout);
}

/* ---- measuring ---- */

/* Times of n columns, [n][repeats] seconds, taken in turn. */
static sl_status time_columns(struct args *a, const struct row *r, double *times)
{
    const size_t n = a->phis.n * a->impls.n, repeats = (size_t)a->repeats;
    sl_phi phis[CLI_LIST_MAX];
    sl_status st = SL_OK;
    for (size_t p = 0; p < a->phis.n && st == SL_OK; p++)
        st = sl_phi_parse(a->phis.items[p], &phis[p]);
    for (size_t k = 0; k <= repeats && st == SL_OK; k++) /* round 0 warms up */
        for (size_t c = 0; c < n && st == SL_OK; c++) {
            const double start = cli_now();
            st = run_once(a->contexts[c % a->impls.n], r, phis[c / a->impls.n]);
            if (k > 0)
                times[c * repeats + k - 1] = cli_now() - start;
        }
    return st;
}

/* What is printed of the times, which are sorted at the end. */
static void summarise(const struct args *a, const struct row *r, double *times, double *spare,
                      const double *peaks, struct result *all)
{
    const size_t n = a->phis.n * a->impls.n, repeats = (size_t)a->repeats;
    const double flop =
        pass_flops[r->pass] * (double)(r->B * r->H) * (double)(r->L * r->L) * (double)r->K;
    for (size_t c = 0; c < n; c++)
        for (size_t o = 0; o < n; o++) {
            for (size_t k = 0; k < repeats; k++)
                spare[k] = times[o * repeats + k] / times[c * repeats + k];
            all[c].ratios[o] = cli_spread_of(spare, repeats).median;
        }
    for (size_t c = 0; c < n; c++) {
        all[c].phi = a->phis.items[c / a->impls.n];
        all[c].impl = a->impls.items[c % a->impls.n];
        all[c].seconds = cli_spread_of(times + c * repeats, repeats);
        all[c].gflops = 1e-9 * flop / all[c].seconds.median;
        all[c].peak_gflops = peaks[c % a->impls.n];
    }
}

/* The larger of the peaks so far and of now, for each implementation. */
static sl_status take_peaks(const struct args *a, sl_dtype dtype, double *peaks)
{
    sl_status st = SL_OK;
    for (size_t i = 0; i < a->impls.n && st == SL_OK; i++) {
        double now = 0;
        st = cli_peak(a->contexts[i], dtype, &now);
        peaks[i] = fmax(peaks[i], now);
    }
    return st;
}

/* All columns of one row, interleaved. */
static sl_status run_columns(struct args *a, const struct row *r)
{
    const size_t n = a->phis.n * a->impls.n, repeats = (size_t)a->repeats;
    double *times = calloc((n + 1) * repeats, sizeof *times), peaks[COLUMNS_MAX] = {0};
    struct result *all = calloc(n, sizeof *all);
    sl_status st = times && all
                       ? take_peaks(a, r->dtype, peaks)
                       : cli_error(SL_ERR_MEMORY, "out of memory for %zu timings", n * repeats);
    if (st == SL_OK)
        st = time_columns(a, r, times);
    if (st == SL_OK)
        st = take_peaks(a, r->dtype, peaks);
    if (st == SL_OK) {
        summarise(a, r, times, times + n * repeats, peaks, all);
        print_row(a, r, all, n);
    }
    free(times);
    free(all);
    return st;
}

/* Enough images for about 2e8 FLOP a call, so that both threads have work. */
static size_t auto_batch(const struct args *a, size_t L, size_t K)
{
    const double flop = 4.0 * (double)a->heads * (double)(L * L) * (double)K;
    const double n = ceil(2e8 / flop);
    return n < 1 ? 1 : n > 256 ? 256 : (size_t)n;
}

static sl_status run_row(struct args *a, const char *dtype, const char *pass, const char *len,
                         const char *dim)
{
    struct row r = {.H = (size_t)a->heads};
    while (r.pass < PASSES && strcmp(pass, pass_names[r.pass]) != 0)
        r.pass++;
    while (r.dtype < SL_DTYPE_COUNT && strcmp(dtype, dtype_names[r.dtype]) != 0)
        r.dtype++;
    const long L = strtol(len, NULL, 10), K = strtol(dim, NULL, 10);
    if (r.pass == PASSES)
        return cli_usage("--pass '%s' is not fwd, bwd or fwd+bwd", pass);
    if (r.dtype == SL_DTYPE_COUNT)
        return cli_usage("--dtype '%s' is not fp32 or bf16", dtype);
    if (L < 1 || L > 65536 || K < 1 || K > 256)
        return cli_usage("--len %s, --head-dim %s: lengths are 1 .. 65536, head sizes 1 .. 256",
                         len, dim);
    r.L = (size_t)L;
    r.K = (size_t)K;
    r.B = a->batch ? (size_t)a->batch : auto_batch(a, r.L, r.K);
    r.bytes = r.B * r.L * r.H * r.K * (r.dtype == SL_BF16 ? 2 : 4);
    r.memory = aligned_alloc(64, (8 * r.bytes + 63) & ~(size_t)63);
    if (!r.memory)
        return cli_error(SL_ERR_MEMORY, "out of memory: %zu bytes of tensors", 8 * r.bytes);
    fill(&r);
    const sl_status st = run_columns(a, &r);
    free(r.memory);
    return st;
}

static sl_status run_rows(struct args *a)
{
    sl_status st = SL_OK;
    for (size_t d = 0; d < a->dtypes.n; d++)
        for (size_t p = 0; p < a->passes.n; p++)
            for (size_t k = 0; k < a->head_dims.n; k++)
                for (size_t l = 0; l < a->lens.n && st == SL_OK; l++)
                    st = run_row(a, a->dtypes.items[d], a->passes.items[p], a->lens.items[l],
                                 a->head_dims.items[k]);
    return st;
}

/* Splits the list options; the copies stay until the end. */
static sl_status split_all(struct args *a, char *copies[6])
{
    const struct {
        const char *text;
        struct cli_list *list;
    } lists[6] = {{a->phi, &a->phis},           {a->impl, &a->impls},   {a->len, &a->lens},
                  {a->head_dim, &a->head_dims}, {a->dtype, &a->dtypes}, {a->pass, &a->passes}};
    for (size_t i = 0; i < 6; i++) {
        const size_t n = strlen(lists[i].text) + 1;
        copies[i] = malloc(n);
        if (!copies[i])
            return cli_error(SL_ERR_MEMORY, "out of memory");
        memcpy(copies[i], lists[i].text, n);
        const sl_status st = cli_split(copies[i], lists[i].list);
        if (st != SL_OK)
            return st;
    }
    if (a->impls.n * a->phis.n > COLUMNS_MAX)
        return cli_usage("more than %d columns (phi x impl)", COLUMNS_MAX);
    return SL_OK;
}

/* A context for each implementation that the machine has; the others are left out. */
static sl_status open_all(struct args *a)
{
    size_t n = 0;
    sl_status st = SL_OK;
    for (size_t i = 0; i < a->impls.n && st == SL_OK; i++) {
        struct cli_machine m = a->machine;
        if (strcmp(a->impls.items[i], "best") != 0)
            m.isa = a->impls.items[i];
        st = cli_open(&m, &a->contexts[n]);
        if (st == SL_OK) {
            a->impls.items[n] = sl_context_isa(a->contexts[n]);
            n++;
        } else if (st == SL_ERR_UNAVAILABLE && (n > 0 || i + 1 < a->impls.n)) {
            fprintf(stderr, "left out: %s\n", sl_error_message());
            st = SL_OK;
        }
    }
    a->impls.n = n;
    return st;
}

static sl_status run(struct args *a)
{
    char *copies[6] = {NULL};
    sl_status st = split_all(a, copies);
    if (st == SL_OK)
        st = open_all(a);
    if (st == SL_OK)
        st = run_rows(a);
    for (size_t i = 0; i < COLUMNS_MAX; i++)
        sl_context_close(&a->contexts[i]);
    for (size_t i = 0; i < 6; i++)
        free(copies[i]);
    return st;
}

sl_status cli_bench_attention(const struct cli_verb *verb, int argc, char **argv)
{
    struct args a = {.phi = "relu,softmax",
                     .impl = "best",
                     .len = "49,196,784",
                     .head_dim = "64",
                     .dtype = "fp32",
                     .pass = "fwd,fwd+bwd",
                     .format_text = "text",
                     .heads = 6,
                     .repeats = 21};
    const struct cli_option options[] = {
        {"phi", 0, CLI_TEXT, &a.phi, "LIST", "phi, e.g. relu,softmax"},
        {"impl", 0, CLI_TEXT, &a.impl, "LIST",
         "best, c, avx2, avx512, avx512bf16, amx; those missing are left out"},
        {"len", 0, CLI_TEXT, &a.len, "LIST", "lengths L"},
        {"head-dim", 0, CLI_TEXT, &a.head_dim, "LIST", "head sizes"},
        {"dtype", 0, CLI_TEXT, &a.dtype, "LIST", "fp32, bf16"},
        {"pass", 0, CLI_TEXT, &a.pass, "LIST", "fwd, bwd, fwd+bwd"},
        {"heads", 0, CLI_INT, &a.heads, "N", "heads (default 6)"},
        {"batch", 0, CLI_INT, &a.batch, "N", "images (default: about 2e8 FLOP a call)"},
        {"repeats", 0, CLI_INT, &a.repeats, "N", "timed repetitions (default 21)"},
        {"format", 0, CLI_TEXT, &a.format_text, "text|json|csv",
         "of the table; JSON is a line each"},
    };
    const struct cli_parse p = {verb,       options, sizeof options / sizeof options[0],
                                &a.machine, 0,       0};
    int first;
    bool stop;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st != SL_OK || stop)
        return st;
    if (a.heads < 1 || a.heads > 4096 || a.batch > 65536 || a.repeats < 1 ||
        a.repeats > REPEATS_MAX)
        return cli_usage("--heads 1 .. 4096, --batch up to 65536, --repeats 1 .. %d", REPEATS_MAX);
    st = cli_format_parse(a.format_text, true, &a.format);
    return st == SL_OK ? run(&a) : st;
}
