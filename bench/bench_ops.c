/*
 * The ops that stream memory, at the shapes of ViT-S/16 (batch 16) and of the demo's small model
 * (batch 64): microseconds per call and GB/s of what each must read and write, beside a copy of
 * 32 MiB in the same run.
 *
 *     bench_ops [--isa c|avx2|avx512|avx512bf16|amx] [--threads N] [--rounds N] [--cpu-time]
 *
 * One line per op: median and quartiles over the rounds. --cpu-time takes the process's CPU time
 * instead of wall time: for one thread on a machine that others use.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/ops.h"

enum { ROUNDS_MOST = 1001, COPY = 32 << 20 };

static clockid_t clock_id = CLOCK_MONOTONIC;

static double now(void)
{
    struct timespec t;
    clock_gettime(clock_id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* T rows of D, H heads of K, B images, C classes, N parameters; memory for all. */
struct model {
    const char *name;
    size_t B, L, D, H, C, S, P, N;
};

static const struct model models[] = {
    {"S/16", 16, 196, 384, 6, 1000, 224, 16, 22000000},
    {"small", 64, 16, 64, 2, 10, 28, 7, 220000},
};

/* Buffers as large as the largest use, filled with numbers near 1. */
struct memory {
    float *a, *b, *c, *d, *stats, *params;
    uint8_t *images;
    int32_t *labels;
};

static float *floats(size_t n)
{
    float *p = malloc(n * sizeof *p);
    for (size_t i = 0; p && i < n; i++)
        p[i] = 0.5f + (float)(i * 2654435761u % 1000) / 1000.0f;
    return p;
}

struct bench {
    const struct model *m;
    struct memory *mem;
    struct sl_device *dev;
};

static sl_status norm(const struct bench *b, bool backward, bool heads, double *bytes)
{
    const struct model *m = b->m;
    const size_t T = m->B * m->L, K = m->D / m->H, width = heads ? K : m->D;
    const size_t row = heads ? 3 * m->D : m->D;
    const struct sl_norm_args a = {.outer = T,
                                   .inner = heads ? m->H : 1,
                                   .width = width,
                                   .eps = 1e-6f,
                                   .x = b->mem->a,
                                   .x_outer = row,
                                   .x_inner = width,
                                   .scale = b->mem->params,
                                   .bias = heads ? NULL : b->mem->params,
                                   .y = b->mem->b,
                                   .y_outer = m->D,
                                   .y_inner = width,
                                   .mean = b->mem->stats,
                                   .rstd = b->mem->stats + T * m->H,
                                   .dy = b->mem->b,
                                   .dx = b->mem->c,
                                   .dx_outer = row,
                                   .dx_inner = width,
                                   .dx_accumulate = !heads,
                                   .dscale = b->mem->d,
                                   .dbias = heads ? NULL : b->mem->d + m->D};
    *bytes = 4.0 * (double)(T * m->D) * (backward ? (heads ? 3 : 4) : 2);
    return backward ? b->dev->ops->norm_bwd(b->dev, &a) : b->dev->ops->norm_fwd(b->dev, &a);
}

static sl_status norm_fwd(const struct bench *b, double *bytes)
{
    return norm(b, false, false, bytes);
}

static sl_status norm_bwd(const struct bench *b, double *bytes)
{
    return norm(b, true, false, bytes);
}

static sl_status qk_norm_fwd(const struct bench *b, double *bytes)
{
    return norm(b, false, true, bytes);
}

static sl_status qk_norm_bwd(const struct bench *b, double *bytes)
{
    return norm(b, true, true, bytes);
}

static sl_status patch(const struct bench *b, double *bytes)
{
    const struct model *m = b->m;
    const struct sl_patch_args a = {b->mem->images, m->B,  m->S, m->S, m->P, -1, 1, 1,
                                    b->mem->a,      SL_F32};
    *bytes = 5.0 * (double)(m->B * m->S * m->S * 3);
    return b->dev->ops->patch(b->dev, &a);
}

static struct sl_gate_args gate_args(const struct bench *b)
{
    const struct memory *p = b->mem;
    return (struct sl_gate_args){.kind = SL_GATE_SILU,
                                 .rows = b->m->B * b->m->L,
                                 .width = b->m->D,
                                 .o = p->a,
                                 .g = p->b,
                                 .y = p->c,
                                 .dy = p->c,
                                 .d_o = p->c,
                                 .dg = p->d};
}

static sl_status gate_fwd(const struct bench *b, double *bytes)
{
    const struct sl_gate_args a = gate_args(b);
    *bytes = 12.0 * (double)(a.rows * a.width);
    return b->dev->ops->gate_fwd(b->dev, &a);
}

static sl_status gate_bwd(const struct bench *b, double *bytes)
{
    const struct sl_gate_args a = gate_args(b);
    *bytes = 20.0 * (double)(a.rows * a.width);
    return b->dev->ops->gate_bwd(b->dev, &a);
}

static struct sl_embed_args embed_args(const struct bench *b)
{
    const struct memory *p = b->mem;
    return (struct sl_embed_args){.B = b->m->B,
                                  .N = b->m->L,
                                  .D = b->m->D,
                                  .patch = p->a,
                                  .pos = p->b,
                                  .x = p->c,
                                  .dx = p->c,
                                  .dpatch = p->a,
                                  .dpos = p->d};
}

static sl_status embed_fwd(const struct bench *b, double *bytes)
{
    const struct sl_embed_args a = embed_args(b);
    *bytes = 8.0 * (double)(a.B * a.N * a.D);
    return b->dev->ops->embed_fwd(b->dev, &a);
}

static sl_status embed_bwd(const struct bench *b, double *bytes)
{
    const struct sl_embed_args a = embed_args(b);
    *bytes = 8.0 * (double)(a.B * a.N * a.D);
    return b->dev->ops->embed_bwd(b->dev, &a);
}

static struct sl_pool_args pool_args(const struct bench *b)
{
    const struct memory *p = b->mem;
    return (struct sl_pool_args){.B = b->m->B,
                                 .L = b->m->L,
                                 .D = b->m->D,
                                 .count = b->m->L,
                                 .x = p->a,
                                 .y = p->b,
                                 .dy = p->b,
                                 .dx = p->c};
}

static sl_status pool_fwd(const struct bench *b, double *bytes)
{
    const struct sl_pool_args a = pool_args(b);
    *bytes = 4.0 * (double)(a.B * a.L * a.D);
    return b->dev->ops->pool_fwd(b->dev, &a);
}

static sl_status pool_bwd(const struct bench *b, double *bytes)
{
    const struct sl_pool_args a = pool_args(b);
    *bytes = 4.0 * (double)(a.B * a.L * a.D);
    return b->dev->ops->pool_bwd(b->dev, &a);
}

static sl_status loss_of(const struct bench *b, enum sl_loss kind, double *bytes)
{
    double loss;
    size_t correct;
    const struct sl_loss_args a = {kind, b->m->B,   b->m->C, b->mem->a, b->mem->labels, 1,   0,
                                   1,    b->mem->b, SL_F32,  &loss,     &correct,       NULL};
    *bytes = 8.0 * (double)(a.B * a.C);
    return b->dev->ops->loss(b->dev, &a);
}

static sl_status sigmoid_loss(const struct bench *b, double *bytes)
{
    return loss_of(b, SL_LOSS_SIGMOID_XENT, bytes);
}

static sl_status softmax_loss(const struct bench *b, double *bytes)
{
    return loss_of(b, SL_LOSS_SOFTMAX_XENT, bytes);
}

static sl_status sumsq(const struct bench *b, double *bytes)
{
    double sum;
    const struct sl_sumsq_args a = {b->mem->a, b->m->N, &sum};
    *bytes = 4.0 * (double)a.n;
    return b->dev->ops->sumsq(b->dev, &a);
}

static sl_status update(const struct bench *b, double *bytes)
{
    const struct sl_update_args a = {.kind = SL_OPT_ADAM,
                                     .n = b->m->N,
                                     .w = b->mem->a,
                                     .g = b->mem->b,
                                     .grad_scale = 1,
                                     .m = b->mem->c,
                                     .v = b->mem->d,
                                     .lr = 1e-3,
                                     .wd = 1e-4,
                                     .beta1 = 0.9,
                                     .beta2 = 0.999,
                                     .eps = 1e-8,
                                     .schedule = 1e-6,
                                     .t = 9};
    *bytes = 28.0 * (double)a.n;
    return b->dev->ops->update(b->dev, &a);
}

static sl_status copy(const struct bench *b, double *bytes)
{
    memcpy(b->mem->a, b->mem->b, COPY);
    *bytes = 2.0 * COPY;
    return SL_OK;
}

static const struct {
    const char *name;
    sl_status (*call)(const struct bench *b, double *bytes);
} entries[] = {
    {"copy 32 MiB", copy},          {"patch", patch},
    {"norm fwd", norm_fwd},         {"norm bwd +=", norm_bwd},
    {"qk_norm fwd", qk_norm_fwd},   {"qk_norm bwd", qk_norm_bwd},
    {"silu gate fwd", gate_fwd},    {"silu gate bwd", gate_bwd},
    {"embed fwd", embed_fwd},       {"embed bwd", embed_bwd},
    {"pool fwd", pool_fwd},         {"pool bwd", pool_bwd},
    {"sigmoid loss", sigmoid_loss}, {"softmax loss", softmax_loss},
    {"sum of squares", sumsq},      {"adam", update},
};

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int measure(const struct bench *b, size_t e, int rounds)
{
    static double seconds[ROUNDS_MOST];
    double bytes = 0;
    sl_device_plan_begin(b->dev);
    if (entries[e].call(b, &bytes) != SL_OK || sl_device_plan_end(b->dev) != SL_OK ||
        entries[e].call(b, &bytes) != SL_OK) {
        fprintf(stderr, "%s: %s\n", entries[e].name, sl_error_message());
        return 1;
    }
    /* Short calls are repeated until a round has about 4 MB. */
    const int repeats = bytes < 4e6 ? (int)(4e6 / bytes) : 1;
    for (int r = 0; r < rounds; r++) {
        const double start = now();
        for (int i = 0; i < repeats; i++)
            if (entries[e].call(b, &bytes) != SL_OK)
                return 1;
        seconds[r] = (now() - start) / repeats;
    }
    qsort(seconds, (size_t)rounds, sizeof *seconds, by_value);
    const double median = seconds[rounds / 2];
    printf("%-6s %-15s %9.1f us (%.1f to %.1f)  %6.1f GB/s\n", b->m->name, entries[e].name,
           1e6 * median, 1e6 * seconds[rounds / 4], 1e6 * seconds[rounds * 3 / 4],
           1e-9 * bytes / median);
    return 0;
}

static bool allocate(struct memory *mem)
{
    size_t n = COPY / 4;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const struct model *m = &models[i];
        const size_t acts = m->B * m->L * m->D * 3, pixels = m->B * m->S * m->S * 3;
        n = acts > n ? acts : n;
        n = pixels > n ? pixels : n;
        n = m->N > n ? m->N : n;
    }
    *mem = (struct memory){floats(n), floats(n),    floats(n),    floats(n),
                           floats(n), floats(4096), calloc(n, 1), calloc(4096, sizeof(int32_t))};
    return mem->a && mem->b && mem->c && mem->d && mem->stats && mem->params && mem->images &&
           mem->labels;
}

int main(int argc, char **argv)
{
    const char *isa = NULL;
    int threads = 0, rounds = 21;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--cpu-time") == 0)
            clock_id = CLOCK_PROCESS_CPUTIME_ID;
        else if (strcmp(argv[i], "--isa") == 0)
            isa = value, i++;
        else if (strcmp(argv[i], "--threads") == 0)
            threads = atoi(value), i++;
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = atoi(value), i++;
        else {
            fprintf(stderr, "bench_ops: unknown option %s\n", argv[i]);
            return 64;
        }
    }
    struct memory mem;
    struct sl_device *dev = NULL;
    if (rounds < 1 || rounds > ROUNDS_MOST || !allocate(&mem) ||
        sl_device_open("cpu", threads, isa, &dev) != SL_OK) {
        fprintf(stderr, "bench_ops: %s\n", sl_error_message());
        return 1;
    }
    printf("%s, %d threads, %d rounds\n", dev->isa, dev->threads, rounds);
    int failed = 0;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (size_t e = 0; e < sizeof entries / sizeof *entries; e++)
            failed += measure(&(struct bench){&models[m], &mem, dev}, e, rounds);
    sl_device_close(&dev);
    return failed != 0;
}
