/*
 * Matrix products at the shapes of ViT-S/16 and of the demo's small model: forward, input gradient
 * and weight gradient, interleaved with the multiply-add peak of the same run.
 *
 *     bench_gemm [--isa c|avx2|avx512|avx512bf16|amx] [--threads N] [--rounds N] [--type f32|bf16]
 * [--cpu-time]
 *
 * One line per product: median and quartiles of GFLOP/s over the rounds, median of the share of the
 * peak measured directly before. --cpu-time divides by the process's CPU time instead of wall time:
 * for one thread on a machine that others use.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/gemm_kernels.h"
#include "ops/ops.h"

enum kind { FORWARD, FORWARD_GELU, FORWARD_RESIDUAL, FORWARD_UNPACKED, INPUT_GRAD, WEIGHT_GRAD };

/* y[rows, out] = x[rows, in] w^T */
struct shape {
    const char *name;
    size_t rows, in, out;
};

static const struct shape shapes[] = {
    {"S/16 qkv", 3136, 384, 1152},   {"S/16 proj", 3136, 384, 384},
    {"S/16 fc1", 3136, 384, 1536},   {"S/16 fc2", 3136, 1536, 384},
    {"S/16 b1 qkv", 196, 384, 1152}, {"S/16 b1 proj", 196, 384, 384},
    {"S/16 b1 fc1", 196, 384, 1536}, {"S/16 b1 fc2", 196, 1536, 384},
    {"small qkv", 1024, 64, 192},    {"small proj", 1024, 64, 64},
    {"small fc1", 1024, 64, 256},    {"small fc2", 1024, 256, 64},
};

static const char *const kind_names[] = {"y = x w^T, packed", "gelu(x w^T + b)", "y += x w^T + b",
                                         "y = x w^T",         "dx = dy w",       "dw += dy^T x"};

static clockid_t clock_id = CLOCK_MONOTONIC;

static double now(void)
{
    struct timespec t;
    clock_gettime(clock_id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* FLOP per second of the multiply-add units, by the same clock as the products. */
static double peak_rate(struct sl_device *dev, double seconds)
{
    double rate = 0;
    if (clock_id == CLOCK_MONOTONIC)
        return dev->ops->measure_peak(dev, SL_F32, seconds, &rate) == SL_OK ? rate : 0;
    enum sl_isa isa = SL_ISA_C;
    if (sl_isa_choose(dev->isa, &isa) != SL_OK)
        return 0;
    double flop = 0, start = now();
    while (now() - start < seconds)
        flop += sl_gemm_kernels_for(isa, SL_F32)->peak(10000);
    return flop / (now() - start);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void *filled(size_t n, sl_dtype type)
{
    void *p = aligned_alloc(64, (n * 4 + 63) / 64 * 64);
    for (size_t i = 0; i < n; i++) {
        const float x = (float)((double)rand() / RAND_MAX - 0.5);
        if (type == SL_F32)
            ((float *)p)[i] = x;
        else
            memcpy((uint16_t *)p + i, (const char *)&x + 2, 2);
    }
    return p;
}

struct buffers {
    void *x, *y, *w, *packed;
    float *bias, *aux;
};

static struct sl_gemm_args product(const struct shape *s, enum kind kind, sl_dtype type,
                                   const struct buffers *b)
{
    if (kind == WEIGHT_GRAD)
        return (struct sl_gemm_args){.m = s->out,
                                     .n = s->in,
                                     .k = s->rows,
                                     .a = b->y,
                                     .lda = s->out,
                                     .a_t = true,
                                     .b = b->x,
                                     .ldb = s->in,
                                     .type = type,
                                     .c = b->w,
                                     .ldc = s->in,
                                     .accumulate = true,
                                     .a_sum = b->bias};
    if (kind == INPUT_GRAD)
        return (struct sl_gemm_args){.m = s->rows,
                                     .n = s->in,
                                     .k = s->out,
                                     .a = b->y,
                                     .lda = s->out,
                                     .b_packed = b->packed,
                                     .ldb = s->in,
                                     .type = type,
                                     .c = b->x,
                                     .ldc = s->in,
                                     .c_type = type};
    struct sl_gemm_args g = {.m = s->rows,
                             .n = s->out,
                             .k = s->in,
                             .a = b->x,
                             .lda = s->in,
                             .b = b->w,
                             .b_t = true,
                             .ldb = s->in,
                             .b_packed = b->packed,
                             .type = type,
                             .c = b->y,
                             .ldc = s->out,
                             .c_type = type};
    if (kind == FORWARD_UNPACKED)
        g.b_packed = NULL;
    if (kind == FORWARD_GELU || kind == FORWARD_RESIDUAL) {
        g.bias = b->bias;
        g.aux = b->aux;
        g.ldaux = s->out;
        g.epilogue = kind == FORWARD_GELU ? SL_EPI_GELU : SL_EPI_RESIDUAL;
    }
    if (kind == FORWARD_RESIDUAL)
        g.c_type = SL_F32;
    return g;
}

static int measure(struct sl_device *dev, const struct shape *s, enum kind kind, sl_dtype type,
                   int rounds)
{
    const size_t nx = s->rows * s->in, ny = s->rows * s->out, nw = s->in * s->out;
    struct buffers b = {filled(nx, type),       filled(ny, type),  filled(nw, type), NULL,
                        filled(s->out, SL_F32), filled(ny, SL_F32)};
    const size_t pn = kind == INPUT_GRAD ? s->in : s->out, pk = kind == INPUT_GRAD ? s->out : s->in;
    b.packed = aligned_alloc(64, (dev->ops->pack_weight_bytes(pn, pk, type) + 63) / 64 * 64);
    float *master = filled(nw, SL_F32);
    const struct sl_pack_args pack = {pn, pk, master, s->in, kind != INPUT_GRAD, type, b.packed};
    const struct sl_gemm_args g = product(s, kind, type, &b);
    sl_device_plan_begin(dev);
    sl_status st = dev->ops->gemm(dev, &g);
    if (sl_device_plan_end(dev) != SL_OK || st != SL_OK ||
        dev->ops->pack_weight(dev, &pack) != SL_OK) {
        fprintf(stderr, "%s: %s\n", s->name, sl_error_message());
        return 1;
    }
    const double flop = 2.0 * (double)s->rows * (double)s->in * (double)s->out;
    const int repeats = flop < 1e8 ? 50 : flop < 5e8 ? 10 : 2;
    double *rates = calloc((size_t)rounds, sizeof *rates), *shares = calloc((size_t)rounds, 8);
    for (int i = -1; i < rounds; i++) {
        const double peak = peak_rate(dev, 0.005);
        st = dev->ops->gemm(dev, &g);
        const double start = now();
        for (int r = 0; r < repeats; r++)
            st = dev->ops->gemm(dev, &g);
        if (i < 0)
            continue;
        rates[i] = flop * repeats / (now() - start) * 1e-9;
        shares[i] = rates[i] / (peak * 1e-9);
    }
    const size_t n = (size_t)rounds;
    qsort(rates, n, sizeof *rates, ascending);
    qsort(shares, n, sizeof *shares, ascending);
    printf("%-13s %5zu x %4zu x %4zu  %-18s %6.1f  [%6.1f %6.1f] GFLOP/s  %5.1f %% of peak\n",
           s->name, g.m, g.n, g.k, kind_names[kind], rates[n / 2], rates[n / 4], rates[3 * n / 4],
           100 * shares[n / 2]);
    fflush(stdout);
    void *all[] = {b.x, b.y, b.w, b.packed, b.bias, b.aux, master, rates, shares};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    return st != SL_OK;
}

int main(int argc, char **argv)
{
    const char *isa = NULL, *only = "", *product_only = "";
    int threads = 0, rounds = 20;
    sl_dtype type = SL_F32;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--cpu-time") == 0) {
            clock_id = CLOCK_PROCESS_CPUTIME_ID;
            continue;
        }
        if (strcmp(argv[i], "--isa") == 0)
            isa = value;
        else if (strcmp(argv[i], "--threads") == 0)
            threads = atoi(value);
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = atoi(value);
        else if (strcmp(argv[i], "--type") == 0)
            type = strcmp(value, "bf16") == 0 ? SL_BF16 : SL_F32;
        else if (strcmp(argv[i], "--only") == 0)
            only = value;
        else if (strcmp(argv[i], "--product") == 0)
            product_only = value;
        i++;
    }
    struct sl_device *dev = NULL;
    if (rounds < 1 || sl_device_open("cpu", threads, isa, &dev) != SL_OK) {
        fprintf(stderr, "bench_gemm: %s\n", sl_error_message());
        return 1;
    }
    printf("isa %s, %d threads, fp32 peak %.1f GFLOP/s, %d rounds\n", dev->isa, dev->threads,
           peak_rate(dev, 0.2) * 1e-9, rounds);
    int failed = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int kind = FORWARD; kind <= WEIGHT_GRAD; kind++)
            if (strstr(shapes[i].name, only) && strstr(kind_names[kind], product_only))
                failed |= measure(dev, &shapes[i], (enum kind)kind, type, rounds);
    sl_device_close(&dev);
    return failed;
}
