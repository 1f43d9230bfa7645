/*
 * Where the cycles of attention go: one head after another on one thread, the steps of the float
 * kernels (kernels/attn.inc, compiled into this program for the instruction set it is built for)
 * timed one by one. A head's operands are brought into the caches first, as a step of its own, so
 * that the others show what they cost by themselves; the last column is the kernel as it is, which
 * finds its operands cold but for what it fetches of the next head, and no clock inside.
 *
 *     bench_attention [--heads N] [--rounds N] [LENGTH ...]
 *
 * Built by hand: cc -std=c11 -O3 -march=native -mprefer-vector-width=512 -Iinclude -Isrc
 * bench/bench_attention.c build/libsoftless.a and the libraries of softless.pc.
 *
 * Microseconds a head, median over the rounds, and for products the share of the multiply-add peak
 * of the same run.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__AVX512F__)
#include "kernels/x86/vec_avx512.h"
#define TILE_ROWS 14
#define ISA "avx512"
#elif defined(__AVX2__)
#include "kernels/x86/vec_avx2.h"
#define TILE_ROWS 6
#define ISA "avx2"
#else
#include "kernels/c/vec_c.h"
#define TILE_ROWS 6
#define ISA "c"
#endif
#include "kernels/attn.inc"

#include "ops/ops.h"

enum step {
    LOADS,   /* q, k, v (and d_o) into the caches */
    PACKING, /* K and V, and in the backward pass strips of q and d_o */
    SCORES,
    PHI,
    PV,
    DP,
    DQ,
    DK_DV,
    STEPS
};
static const char *const names[STEPS] = {"loads", "packing", "scores", "phi",
                                         "PV",    "dP",      "dQ",     "dK, dV"};
static const double macs[STEPS] = {0, 0, 1, 0, 1, 1, 1, 2}; /* times L^2 K */

enum { K = 64, ROUNDS_MOST = 101 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of each step of one round, and what taking the time costs. */
struct clocks {
    double seconds[STEPS], last, cost;
};

static void lap(struct clocks *c, enum step step)
{
    const double t = now();
    c->seconds[step] += t - c->last - c->cost;
    c->last = t;
}

static double clock_cost(void)
{
    enum { N = 10000 };
    const double start = now();
    for (int i = 0; i < N; i++)
        now();
    return (now() - start) / N;
}

static volatile float sink;

static void touch(const void *p, size_t token, size_t rows)
{
    vf sum = v_set1(0);
    for (size_t i = 0; i < rows; i++)
        for (size_t d = 0; d < K; d += VL)
            sum = v_add(sum, v_load((const float *)p + i * token + d));
    sink = v_sum(sum);
}

/* ---- forward, as forward() and forward_strip() do it ---- */

static void forward_steps(const struct sl_attn_head *h, float *packed, float *work,
                          struct clocks *c)
{
    struct source k, v;
    float *rows_mem = packed + pack_floats(h, &k, &v), norm[FORWARD_ROWS];
    float top[FORWARD_ROWS * VL], sum[FORWARD_ROWS * VL];
    struct softmax w = {.top = top, .sum = sum};
    struct fetch none = {0};
    c->last = now();
    touch(h->q, h->q_token, h->Lq);
    touch(h->k, h->k_token, h->Lk);
    touch(h->v, h->v_token, h->Lk);
    lap(c, LOADS);
    pack(h, packed);
    lap(c, PACKING);
    const struct rows value = rows_view(&v, rows_mem);
    const size_t tiles = tiles_of(h->Lq), per_strip = FORWARD_ROWS / TILE_ROWS;
    for (size_t t = 0; t < tiles; t += per_strip) {
        const size_t end = t + per_strip < tiles ? t + per_strip : tiles;
        const size_t r0 = part(h->Lq, t, tiles), rows = part(h->Lq, end, tiles) - r0;
        const bool softmax = h->phi == SL_PHI_SOFTMAX;
        const struct left q = {(const float *)h->q + r0 * h->q_token, h->q_token};
        const struct right o = {(float *)h->o + r0 * h->o_token, h->o_token};
        c->last = now();
        const struct tile score = score_tile(h, &w, rows, h->n);
        strip_from_columns(&score, q, rows, packed, h->n, K, SL_PHI_IDENTITY, NULL, work, &none);
        lap(c, SCORES);
        for (size_t p = 0; !softmax && p < panels_of(h->n); p++)
            panel_map(h->phi, work + p * rows * NR, NULL, rows, panel_width(h->n, p));
        if (softmax)
            softmax_exp(&w, work, NULL, rows, h->n, norm);
        lap(c, PHI);
        strip_times_rows(work, rows, h->n, &value, K, false, h->factor, softmax ? norm : NULL, o,
                         &none);
        lap(c, PV);
    }
}

/* ---- backward, as backward() and backward_strip() do it ---- */

static void strip_steps(const struct sl_attn_head *h, const struct backward *b,
                        const struct span *at, struct clocks *c)
{
    const size_t n = at->keys, rows = at->rows;
    float *lanes = b->lanes, *norm = lanes + 3 * rows * VL;
    struct softmax w = {.top = lanes, .sum = lanes + rows * VL, .dot = lanes + 2 * rows * VL};
    const struct tile score = score_tile(h, &w, rows, n), grad = gradient_tile(&score);
    const struct source q_source = source_queries(h, h->q, h->q_token);
    const struct source do_source = source_queries(h, h->d_o, h->do_token);
    const struct right dv = {b->dv.p + at->j * b->dv.ld, b->dv.ld};
    const struct right dk = {b->dk.p + at->j * b->dk.ld, b->dk.ld};
    struct left q, d_o;
    c->last = now();
    const struct rows q_rows = take_strip(&q_source, at, b->q_rows, &q);
    const struct rows do_rows = take_strip(&do_source, at, b->do_rows, &d_o);
    lap(c, PACKING);
    strip_from_columns(&score, q, rows, b->k_columns + at->j * K, n, K, SL_PHI_IDENTITY, NULL,
                       b->scores, b->fetch);
    lap(c, SCORES);
    strip_from_columns(&grad, d_o, rows, b->v_columns + at->j * K, n, K, SL_PHI_IDENTITY, b->scores,
                       b->grads, b->fetch);
    lap(c, DP);
    for (size_t p = 0; p < panels_of(n); p++)
        panel_map(h->phi, b->scores + p * rows * NR, b->grads + p * rows * NR, rows,
                  panel_width(n, p));
    if (h->phi == SL_PHI_SOFTMAX)
        softmax_gradient(&w, b->scores, b->grads, rows, n, norm);
    lap(c, PHI);
    backward_dq(h, b, at);
    lap(c, DQ);
    strip_transposed_times_rows(b->scores, rows, n, &do_rows, K, !at->first_rows,
                                at->last_rows ? b->dv_factor : 1.0f, dv, b->fetch);
    strip_transposed_times_rows(b->grads, rows, n, &q_rows, K, !at->first_rows,
                                at->last_rows ? b->dk_factor : 1.0f, dk, b->fetch);
    lap(c, DK_DV);
}

static void backward_steps(const struct sl_attn_head *h, float *packed, float *work,
                           struct clocks *c)
{
    const struct backward_pack pm = backward_pack_layout(h);
    const struct backward_work m = backward_layout(h, h->Lq);
    const struct source k = source_keys(h, h->k, h->k_token);
    const size_t block = backward_keys(h, h->n);
    struct fetch none = {0};
    const struct backward b = {.fetch = &none,
                               .k = rows_view(&k, packed + pm.k_rows),
                               .k_columns = packed + pm.k_columns,
                               .v_columns = packed + pm.v_columns,
                               .q_rows = work + m.q_rows,
                               .do_rows = work + m.do_rows,
                               .scores = work + m.scores,
                               .grads = work + m.grads,
                               .dq = work + m.dq,
                               .lanes = work + m.lanes,
                               .dk = {h->dk, h->dk_token},
                               .dv = {h->dv, h->dv_token},
                               .dk_factor = h->factor * h->scale,
                               .dv_factor = h->factor};
    const size_t strips = (h->Lq + m.strip_rows - 1) / m.strip_rows;
    c->last = now();
    touch(h->q, h->q_token, h->Lq);
    touch(h->k, h->k_token, h->Lk);
    touch(h->v, h->v_token, h->Lk);
    touch(h->d_o, h->do_token, h->Lq);
    lap(c, LOADS);
    backward_pack(h, packed);
    lap(c, PACKING);
    for (size_t j = 0; j < h->n; j += block)
        for (size_t i = 0; i < strips; i++) {
            const size_t r0 = part(h->Lq, i, strips), keys = h->n - j;
            const struct span at = {.j = j,
                                    .keys = keys < block ? keys : block,
                                    .i = r0,
                                    .rows = part(h->Lq, i + 1, strips) - r0,
                                    .first_keys = j == 0,
                                    .last_keys = keys <= block,
                                    .first_rows = i == 0,
                                    .last_rows = i + 1 == strips};
            strip_steps(h, &b, &at, c);
        }
}

/* ---- rounds ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_value);
    return x[n / 2];
}

/* qkv and its gradients [L, 3, heads, K], o and d_o [L, heads, K] of one image. */
struct memory {
    size_t L, heads;
    float *qkv, *d_qkv, *o, *d_o, *packed, *work;
};

static struct sl_attn_head head_of(const struct memory *m, sl_phi phi, size_t i)
{
    const size_t D = m->heads * K;
    return (struct sl_attn_head){.phi = phi,
                                 .dtype = SL_F32,
                                 .Lq = m->L,
                                 .Lk = m->L,
                                 .K = K,
                                 .n = m->L,
                                 .scale = 0.125f,
                                 .factor = phi == SL_PHI_SOFTMAX ? 1 : 1 / (float)m->L,
                                 .q = m->qkv + i * K,
                                 .k = m->qkv + D + i * K,
                                 .v = m->qkv + 2 * D + i * K,
                                 .q_token = 3 * D,
                                 .k_token = 3 * D,
                                 .v_token = 3 * D,
                                 .o = m->o + i * K,
                                 .o_token = D,
                                 .d_o = m->d_o + i * K,
                                 .dq = m->d_qkv + i * K,
                                 .dk = m->d_qkv + D + i * K,
                                 .dv = m->d_qkv + 2 * D + i * K,
                                 .do_token = D,
                                 .dq_token = 3 * D,
                                 .dk_token = 3 * D,
                                 .dv_token = 3 * D};
}

static float *get(size_t n)
{
    float *p = aligned_alloc(64, (n * sizeof *p + 63) / 64 * 64);
    if (!p)
        exit(71);
    for (size_t i = 0; i < n; i++)
        p[i] = (float)((i * 2654435761u >> 8) % 4096) / 1180.0f - 1.7f;
    return p;
}

static void run(const struct memory *m, sl_phi phi, bool backward_pass, size_t rounds, double peak)
{
    static double steps[STEPS][ROUNDS_MOST], whole[ROUNDS_MOST];
    const double cost = clock_cost(), L = (double)m->L, products = backward_pass ? 5 : 2;
    for (size_t r = 0; r <= rounds; r++) {
        struct clocks c = {.cost = cost};
        for (size_t i = 0; i < m->heads; i++) {
            const struct sl_attn_head h = head_of(m, phi, i);
            if (backward_pass)
                backward_steps(&h, m->packed, m->work, &c);
            else
                forward_steps(&h, m->packed, m->work, &c);
        }
        const double start = now();
        for (size_t i = 0; i < m->heads; i++) {
            const struct sl_attn_head next = head_of(m, phi, i + 1 < m->heads ? i + 1 : i);
            struct sl_attn_head h = head_of(m, phi, i);
            h.next = i + 1 < m->heads ? &next : NULL;
            if (backward_pass) {
                backward_pack(&h, m->packed);
                backward(&h, m->packed, 0, m->L, NULL, m->work);
            } else {
                pack(&h, m->packed);
                forward(&h, m->packed, 0, m->L, m->work);
            }
        }
        if (r == 0)
            continue;
        whole[r - 1] = (now() - start) / (double)m->heads;
        for (size_t s = 0; s < STEPS; s++)
            steps[s][r - 1] = c.seconds[s] / (double)m->heads;
    }
    printf("%-8s %-8s %5zu", sl_phi_name(phi), backward_pass ? "backward" : "forward", m->L);
    for (size_t s = 0; s < STEPS; s++) {
        const double t = median(steps[s], rounds);
        if (backward_pass ? s == PV : s > PV)
            continue;
        printf("  %s %.2f", names[s], 1e6 * t);
        if (macs[s] > 0)
            printf(" (%.0f %%)", 100 * macs[s] * 2 * L * L * K / t / peak);
    }
    const double t = median(whole, rounds);
    printf("  whole %.2f (%.0f %%)\n", 1e6 * t, 100 * products * 2 * L * L * K / t / peak);
    fflush(stdout);
}

static void bench(struct sl_device *dev, size_t L, size_t heads, size_t rounds)
{
    struct memory m = {.L = L, .heads = heads};
    m.qkv = get(3 * L * heads * K);
    m.d_qkv = get(3 * L * heads * K);
    m.o = get(L * heads * K);
    m.d_o = get(L * heads * K);
    for (int p = 0; p < 4; p++) {
        const sl_phi phi = p / 2 ? SL_PHI_SOFTMAX : SL_PHI_RELU;
        const struct sl_attn_head h = head_of(&m, phi, 0);
        const size_t pack_need = p % 2 ? backward_pack_bytes(&h) : pack_bytes(&h);
        const size_t work_need = p % 2 ? backward_bytes(&h, L) : forward_bytes(&h);
        double peak = 0;
        m.packed = get(pack_need / sizeof(float) + 16);
        m.work = get(work_need / sizeof(float) + 16);
        if (dev->ops->measure_peak(dev, SL_F32, 0.1, &peak) != SL_OK)
            exit(1);
        run(&m, phi, p % 2, rounds, peak);
        free(m.packed);
        free(m.work);
    }
    free(m.qkv);
    free(m.d_qkv);
    free(m.o);
    free(m.d_o);
}

int main(int argc, char **argv)
{
    static const size_t lengths[] = {49, 196, 784, 4096};
    size_t heads = 0, rounds = 21;
    struct sl_device *dev = NULL;
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        size_t *option = strcmp(argv[i], "--heads") == 0 ? &heads : &rounds;
        *option = (size_t)atoi(argv[i + 1]);
    }
    if (rounds < 1 || rounds > ROUNDS_MOST || sl_device_open("cpu", 1, ISA, &dev) != SL_OK) {
        fprintf(stderr, "bench_attention: rounds 1 to %d; %s\n", ROUNDS_MOST, sl_error_message());
        return 64;
    }
    printf("%s, one thread, K %d; microseconds a head (share of the peak)\n", ISA, K);
    for (size_t l = 0; i < argc ? i + (int)l < argc : l < 4; l++) {
        const size_t L = i < argc ? (size_t)atoi(argv[i + (int)l]) : lengths[l];
        bench(dev, L, heads ? heads : L < 100 ? 96 : L < 1000 ? 12 : 2, rounds);
    }
    sl_device_close(&dev);
    return 0;
}
