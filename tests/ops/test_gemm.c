/*
 * The CPU's matrix product against double-precision loops: random shapes, every epilogue, layout
 * and type. Padding between rows holds NaN in the operands and a fixed pattern in the results.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/bf16.h"
#include "base/rng.h"
#include "kernels/cpu.h"
#include "ops/cpu/cpu.h"
#include "ops/ops.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const uint64_t seed = 20261107;
static const double pi = 3.14159265358979323846;
static const double unit_f32 = 0x1p-24, unit_bf16 = 0x1p-8; /* largest relative rounding errors */

/* One product: its operands, the initial C and aux, and the results of a run. */
struct problem {
    struct sl_gemm_args args;
    bool integer;
    size_t size_c, size_aux; /* bytes */
    void *a_typed, *b_typed;
    float *bias, *sum0;
    unsigned char *c0, *aux0;
    unsigned char *c, *aux;
    float *sum;
};

static void *allocate(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    assert_non_null(p);
    return p;
}

static float draw(sl_rng *rng, bool integer)
{
    return integer ? (float)((int)sl_rng_below(rng, 9) - 4) : (float)sl_rng_normal(rng);
}

static float rounded(float x, sl_dtype type)
{
    return type == SL_BF16 ? sl_bf16_to_f32(sl_bf16_from_f32(x)) : x;
}

static float element(const void *p, sl_dtype type, size_t i)
{
    return type == SL_BF16 ? sl_bf16_to_f32(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

static size_t size_of(sl_dtype type)
{
    return type == SL_BF16 ? 2 : 4;
}

/* [rows, cols] in rows of ld, drawn; NaN between the rows. */
static void *matrix(sl_rng *rng, bool integer, size_t rows, size_t cols, size_t ld, sl_dtype type)
{
    const size_t n = rows * ld + 16;
    void *p = allocate(n * size_of(type));
    for (size_t i = 0; i < n; i++) {
        const bool inside = i / ld < rows && i % ld < cols;
        const float x = inside ? draw(rng, integer) : NAN;
        if (type == SL_BF16)
            ((uint16_t *)p)[i] = sl_bf16_from_f32(x);
        else
            ((float *)p)[i] = x;
    }
    return p;
}

static sl_dtype aux_type(const struct sl_gemm_args *g)
{
    return g->epilogue == SL_EPI_RESIDUAL ? SL_F32 : g->c_type;
}

static size_t pick(sl_rng *rng, const size_t *from, size_t n)
{
    return from[sl_rng_below(rng, n)];
}

/* args holds shape, layout, types and epilogue; this adds operands. */
static void fill(struct problem *p, sl_rng *rng)
{
    struct sl_gemm_args *g = &p->args;
    const size_t rows_a = g->a_t ? g->k : g->m, cols_a = g->a_t ? g->m : g->k;
    const size_t rows_b = g->b_t ? g->n : g->k, cols_b = g->b_t ? g->k : g->n;
    g->lda = cols_a + sl_rng_below(rng, 4);
    g->ldb = cols_b + sl_rng_below(rng, 4);
    g->ldc = g->n + sl_rng_below(rng, 4);
    g->ldaux = g->n + sl_rng_below(rng, 4);
    g->a = p->a_typed = matrix(rng, p->integer, rows_a, cols_a, g->lda, g->type);
    g->b = p->b_typed = matrix(rng, p->integer, rows_b, cols_b, g->ldb, g->type);
    p->size_c = (g->m * g->ldc + 16) * size_of(g->c_type);
    p->size_aux = (g->m * g->ldaux + 16) * size_of(aux_type(g));
    p->c0 = matrix(rng, p->integer, g->m, g->n, g->ldc, g->c_type);
    p->aux0 = matrix(rng, p->integer, g->m, g->n, g->ldaux, aux_type(g));
    p->c = allocate(p->size_c);
    p->aux = allocate(p->size_aux);
    if (g->bias)
        p->bias = matrix(rng, p->integer, 1, g->n, g->n, SL_F32);
    if (g->a_sum)
        p->sum0 = matrix(rng, p->integer, 1, g->m, g->m, SL_F32);
    p->sum = allocate(g->m * sizeof(float));
    g->bias = p->bias;
    g->c = p->c;
    g->aux = p->aux;
    g->a_sum = p->sum0 ? p->sum : NULL;
}

static void release(struct problem *p)
{
    free(p->a_typed);
    free(p->b_typed);
    free(p->bias);
    free(p->sum0);
    free(p->c0);
    free(p->aux0);
    free(p->c);
    free(p->aux);
    free(p->sum);
}

#ifdef __x86_64__
extern const struct sl_gemm_kernels emulated_gemm_kernels_amx; /* support_gemm_amx.c */
#endif

/* NULL if this machine lacks the instruction set. "amx emulated" has all of AVX-512's kernels and
 * AMX's for bf16 products. */
static struct sl_device *open_device(const char *isa, int threads)
{
    const bool emulated = isa && strcmp(isa, "amx emulated") == 0;
    struct sl_device *dev = NULL;
    if (sl_device_open("cpu", threads, emulated ? "avx512" : isa, &dev) != SL_OK)
        return NULL;
#ifdef __x86_64__
    if (emulated)
        sl_cpu_of(dev)->gemm[SL_BF16] = &emulated_gemm_kernels_amx;
#endif
    return dev;
}

/* Plans and runs the product on fresh copies of C and aux; packs B first if asked to. */
static void run(struct sl_device *dev, struct problem *p, bool packed)
{
    struct sl_gemm_args g = p->args;
    memcpy(p->c, p->c0, p->size_c);
    memcpy(p->aux, p->aux0, p->size_aux);
    if (p->sum0)
        memcpy(p->sum, p->sum0, g.m * sizeof(float));
    void *weight = NULL;
    float *master = NULL;
    if (packed) {
        const size_t rows = g.b_t ? g.n : g.k, count = rows * g.ldb + 16;
        master = allocate(count * sizeof *master);
        for (size_t i = 0; i < count; i++)
            master[i] = element(g.b, g.type, i);
        weight = allocate(dev->ops->pack_weight_bytes(g.n, g.k, g.type));
        const struct sl_pack_args pack = {g.n, g.k, master, g.ldb, g.b_t, g.type, weight};
        assert_int_equal(dev->ops->pack_weight(dev, &pack), SL_OK);
        g.b_packed = weight;
        g.b = NULL;
    }
    sl_device_plan_begin(dev);
    assert_int_equal(dev->ops->gemm(dev, &g), SL_OK);
    assert_int_equal(sl_device_plan_end(dev), SL_OK);
    const size_t calls = sl_alloc_stats_get().calls;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_OK);
    assert_int_equal(sl_alloc_stats_get().calls, calls);
    free(master);
    free(weight);
}

/* ---- reference ---- */

static double gelu(double x, enum sl_gelu kind)
{
    if (kind == SL_GELU_ERF)
        return 0.5 * x * erfc(-x / sqrt(2));
    return x / (1 + exp(-2 * sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
}

static double gelu_slope(double x, enum sl_gelu kind)
{
    if (kind == SL_GELU_ERF)
        return 0.5 * erfc(-x / sqrt(2)) + x * exp(-0.5 * x * x) / sqrt(2 * pi);
    const double c = 2 * sqrt(2 / pi), s = 1 / (1 + exp(-c * (x + 0.044715 * x * x * x)));
    return s + x * s * (1 - s) * c * (1 + 3 * 0.044715 * x * x);
}

/* The largest slope of either gelu is 1.13 (at x = sqrt 2 for erf). */
static const double gelu_lipschitz = 1.13;

/* A float implementation of gelu is a handful of roundings of terms below 1 + |x|: polynomial
 * (2 ulp), quotient, products. 16 units cover them; a wrong constant is off by thousands. */
static double function_error(double x)
{
    return 16 * unit_f32 * (1 + fabs(x));
}

struct expected {
    double value, bound;
};

/* r with the textbook bound (k+4) u sum|terms|: k products, the sum's start, bias and addend. */
static struct expected product(const struct problem *p, size_t i, size_t j)
{
    const struct sl_gemm_args *g = &p->args;
    double r = 0, s = 0;
    for (size_t q = 0; q < g->k; q++) {
        const double a = element(g->a, g->type, g->a_t ? q * g->lda + i : i * g->lda + q);
        const double b = element(g->b, g->type, g->b_t ? j * g->ldb + q : q * g->ldb + j);
        r += a * b;
        s += fabs(a * b);
    }
    if (p->bias) {
        r += (double)p->bias[j];
        s += fabs((double)p->bias[j]);
    }
    if (g->accumulate || g->epilogue == SL_EPI_RESIDUAL) {
        const double add = g->accumulate ? (double)element(p->c0, g->c_type, i * g->ldc + j)
                                         : (double)element(p->aux0, SL_F32, i * g->ldaux + j);
        r += add;
        s += fabs(add);
    }
    return (struct expected){r, (double)(g->k + 4) * unit_f32 * s};
}

static struct expected after_epilogue(const struct problem *p, struct expected r, double aux)
{
    const struct sl_gemm_args *g = &p->args;
    switch (g->epilogue) {
    case SL_EPI_GELU:
        return (struct expected){gelu(r.value, g->gelu),
                                 gelu_lipschitz * r.bound + function_error(r.value)};
    case SL_EPI_GELU_BWD: {
        const double slope = gelu_slope(aux, g->gelu);
        return (struct expected){r.value * slope,
                                 fabs(slope) * r.bound +
                                     (fabs(r.value) + r.bound) * function_error(aux)};
    }
    case SL_EPI_TANH:
        return (struct expected){tanh(r.value), r.bound + function_error(0)};
    case SL_EPI_NONE:
    case SL_EPI_RESIDUAL:
        break;
    }
    return r;
}

static void compare(struct expected e, float got, sl_dtype type, const char *what,
                    const struct problem *p, size_t i, size_t j)
{
    const struct sl_gemm_args *g = &p->args;
    double bound = e.bound;
    if (type == SL_BF16)
        bound += unit_bf16 * (fabs(e.value) + bound);
    const bool exact = p->integer && g->epilogue <= SL_EPI_RESIDUAL;
    const bool good =
        exact ? got == rounded((float)e.value, type) : fabs((double)got - e.value) <= bound;
    if (!good)
        fail_msg("%s[%zu,%zu] of %zux%zux%zu (a_t %d b_t %d type %d c_type %d epilogue %d): %.9g, "
                 "expected %.9g +- %.3g",
                 what, i, j, g->m, g->n, g->k, g->a_t, g->b_t, (int)g->type, (int)g->c_type,
                 (int)g->epilogue, (double)got, e.value, exact ? 0.0 : bound);
}

/* Bytes outside [rows, cols] are those of the start. */
static void check_padding(const unsigned char *now, const unsigned char *before, size_t rows,
                          size_t cols, size_t ld, sl_dtype type)
{
    const size_t size = size_of(type);
    for (size_t i = 0; i < rows; i++)
        assert_memory_equal(now + (i * ld + cols) * size, before + (i * ld + cols) * size,
                            (ld - cols) * size);
    assert_memory_equal(now + rows * ld * size, before + rows * ld * size, 16 * size);
}

static void check_results(const struct problem *p)
{
    const struct sl_gemm_args *g = &p->args;
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++) {
            const struct expected r = product(p, i, j);
            const double aux = (double)element(p->aux0, aux_type(g), i * g->ldaux + j);
            if (g->epilogue == SL_EPI_GELU)
                compare(r, element(p->aux, g->c_type, i * g->ldaux + j), g->c_type, "aux", p, i, j);
            compare(after_epilogue(p, r, aux), element(p->c, g->c_type, i * g->ldc + j), g->c_type,
                    "c", p, i, j);
        }
    check_padding(p->c, p->c0, g->m, g->n, g->ldc, g->c_type);
    check_padding(p->aux, p->aux0, g->m, g->n, g->ldaux, aux_type(g));
    if (g->epilogue != SL_EPI_GELU)
        assert_memory_equal(p->aux, p->aux0, p->size_aux);
    for (size_t i = 0; p->sum0 && i < g->m; i++) {
        struct expected s = {(double)p->sum0[i], fabs((double)p->sum0[i])};
        for (size_t q = 0; q < g->k; q++) {
            const double a = element(g->a, g->type, g->a_t ? q * g->lda + i : i * g->lda + q);
            s.value += a;
            s.bound += fabs(a);
        }
        s.bound *= (double)(g->k + 4) * unit_f32;
        compare(s, p->sum[i], SL_F32, "a_sum", p, i, 0);
    }
}

/* ---- tests ---- */

static const char *const isas[] = {"c", "avx2", "avx512", "amx", "amx emulated"};
static bool seen[COUNT(isas)]; /* for the summary */
static const int thread_counts[] = {1, 2, 3, 7};

/* Runs on every instruction set and thread count; checks the first run of each set, and that the
 * others give its bits. In the exact regime all sets agree, since each equals the reference. */
static size_t run_everywhere(struct problem *p)
{
    size_t runs = 0;
    unsigned char *c = allocate(p->size_c), *aux = allocate(p->size_aux);
    float *sum = allocate(p->args.m * sizeof *sum);
    for (size_t s = 0; s < COUNT(isas); s++)
        for (size_t t = 0; t < COUNT(thread_counts); t++) {
            struct sl_device *dev = open_device(isas[s], thread_counts[t]);
            if (!dev)
                break;
            seen[s] = true;
            run(dev, p, t % 2 == 1 && !p->args.a_t);
            sl_device_close(&dev);
            if (t == 0) {
                check_results(p);
                memcpy(c, p->c, p->size_c);
                memcpy(aux, p->aux, p->size_aux);
                memcpy(sum, p->sum, p->args.m * sizeof *sum);
            } else {
                assert_memory_equal(c, p->c, p->size_c);
                assert_memory_equal(aux, p->aux, p->size_aux);
                assert_memory_equal(sum, p->sum, p->sum0 ? p->args.m * sizeof *sum : 0);
            }
            runs++;
        }
    free(c);
    free(aux);
    free(sum);
    return runs;
}

static struct problem random_problem(sl_rng *rng)
{
    static const size_t rows[] = {1,  2,  3,  5,  6,  7,  8,  13, 14, 15,
                                  16, 17, 28, 29, 31, 32, 53, 64, 97, 113};
    static const size_t columns[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 64, 65, 97, 130};
    static const size_t depths[] = {1, 2, 3, 4, 7, 8, 17, 31, 64, 65, 100, 197, 257, 400};
    struct problem p = {.integer = sl_rng_below(rng, 2) == 0};
    struct sl_gemm_args *g = &p.args;
    static float marker;
    g->m = pick(rng, rows, COUNT(rows));
    g->n = pick(rng, columns, COUNT(columns));
    g->k = pick(rng, depths, COUNT(depths));
    g->a_t = sl_rng_below(rng, 3) == 0;
    g->b_t = sl_rng_below(rng, 2) == 0;
    g->type = sl_rng_below(rng, 3) == 0 ? SL_BF16 : SL_F32;
    g->epilogue = (enum sl_epilogue)sl_rng_below(rng, 5);
    g->gelu = (enum sl_gelu)sl_rng_below(rng, 2);
    g->c_type = g->epilogue != SL_EPI_RESIDUAL && sl_rng_below(rng, 3) == 0 ? SL_BF16 : SL_F32;
    g->accumulate = g->epilogue == SL_EPI_NONE && g->c_type == SL_F32 && sl_rng_below(rng, 2) == 0;
    g->bias = sl_rng_below(rng, 2) == 0 ? &marker : NULL;
    g->a_sum = sl_rng_below(rng, 4) == 0 ? &marker : NULL;
    return p;
}

static void test_random_shapes(void **state)
{
    (void)state;
    enum { CASES = 240 };
    size_t runs = 0;
    for (uint32_t i = 0; i < CASES; i++) {
        sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, i, 0);
        struct problem p = random_problem(&rng);
        fill(&p, &rng);
        runs += run_everywhere(&p);
        release(&p);
    }
    print_message("seed %llu: %d products, %zu runs on", (unsigned long long)seed, CASES, runs);
    for (size_t s = 0; s < COUNT(isas); s++)
        print_message(seen[s] ? " %s," : " (not %s),", isas[s]);
    print_message(" the unmarked native\n");
}

/* Shapes of a model: several blocks, several passes over k, several chunks of k. */
static void test_model_shapes(void **state)
{
    (void)state;
    static float marker;
    static const struct sl_gemm_args shapes[] = {
        {.m = 196, .n = 96, .k = 800, .b_t = true, .bias = &marker, .epilogue = SL_EPI_GELU},
        {.m = 131, .n = 200, .k = 1537, .epilogue = SL_EPI_RESIDUAL, .bias = &marker},
        {.m = 64, .n = 48, .k = 2100, .a_t = true, .accumulate = true, .a_sum = &marker},
        {.m = 200, .n = 33, .k = 1031, .a_t = true, .type = SL_BF16, .a_sum = &marker},
        {.m = 70, .n = 100, .k = 1100, .b_t = true, .type = SL_BF16, .bias = &marker},
        {.m = 400, .n = 64, .k = 64, .type = SL_BF16, .c_type = SL_BF16, .epilogue = SL_EPI_TANH},
    };
    for (uint32_t i = 0; i < 2 * COUNT(shapes); i++) {
        sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 1000 + i, 0);
        struct problem p = {.args = shapes[i / 2], .integer = i % 2 == 0};
        fill(&p, &rng);
        assert_true(run_everywhere(&p) > 0);
        release(&p);
    }
}

/* The residual stream is added in place: aux is c. */
static void test_residual_in_place(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 2000, 0);
    struct problem p = {.args = {.m = 57, .n = 71, .k = 40, .epilogue = SL_EPI_RESIDUAL},
                        .integer = true};
    fill(&p, &rng);
    struct sl_device *dev = open_device(NULL, 2);
    run(dev, &p, false);
    struct sl_gemm_args g = p.args;
    float *x = allocate(p.size_aux);
    memcpy(x, p.aux0, p.size_aux);
    g.aux = g.c = x;
    g.ldc = g.ldaux;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_OK);
    for (size_t i = 0; i < g.m; i++)
        assert_memory_equal(x + i * g.ldc, (float *)(void *)p.c + i * p.args.ldc,
                            g.n * sizeof(float));
    free(x);
    sl_device_close(&dev);
    release(&p);
}

/* Inference keeps no pre-activation: aux NULL, same c. */
static void test_gelu_without_aux(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 2500, 0);
    struct problem p = {.args = {.m = 31, .n = 45, .k = 20, .epilogue = SL_EPI_GELU}};
    fill(&p, &rng);
    struct sl_device *dev = open_device(NULL, 2);
    run(dev, &p, false);
    struct sl_gemm_args g = p.args;
    float *c = allocate(p.size_c);
    memcpy(c, p.c0, p.size_c);
    g.c = c;
    g.aux = NULL;
    g.ldaux = 0;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_OK);
    assert_memory_equal(c, p.c, p.size_c);
    free(c);
    sl_device_close(&dev);
    release(&p);
}

/* A NaN or Inf in an operand reaches every result it belongs to. */
static void test_nan_propagates(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(isas); s++) {
        struct sl_device *dev = open_device(isas[s], 1);
        if (!dev)
            continue;
        for (int e = 0; e < 5; e++) {
            sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 3000, 0);
            struct problem p = {
                .args = {.m = 9, .n = 20, .k = 11, .epilogue = (enum sl_epilogue)e}};
            fill(&p, &rng);
            ((float *)p.a_typed)[4 * p.args.lda + 3] = NAN;
            run(dev, &p, false);
            for (size_t i = 0; i < 9 * 20; i++)
                assert_int_equal(isnan(((float *)(void *)p.c)[i / 20 * p.args.ldc + i % 20]) != 0,
                                 i / 20 == 4);
            release(&p);
        }
        sl_device_close(&dev);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct sl_device *dev = open_device(NULL, 2);
    float x[64] = {0};
    struct sl_gemm_args g = {
        .m = 4, .n = 4, .k = 4, .a = x, .lda = 4, .b = x, .ldb = 4, .c = x, .ldc = 3};
    assert_int_equal(dev->ops->gemm(dev, &g), SL_ERR_ARGUMENT);
    g.ldc = 4;
    g.lda = 3;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_ERR_ARGUMENT);
    g.lda = 4;
    g.accumulate = true;
    g.c_type = SL_BF16;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_ERR_ARGUMENT);
    g.accumulate = false;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_ERR_INTERNAL); /* never planned */
    g.m = (size_t)1 << 40;
    g.n = (size_t)1 << 40;
    g.ldc = g.ldb = g.n;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_ERR_ARGUMENT);
    sl_device_close(&dev);
}

/* An empty sum is the bias; an empty C is nothing. */
static void test_empty(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 4000, 0);
    static float marker;
    struct problem p = {.args = {.m = 5, .n = 7, .k = 0, .bias = &marker}, .integer = true};
    fill(&p, &rng);
    p.args.lda = p.args.ldb = 7;
    run_everywhere(&p);
    release(&p);
    struct sl_device *dev = open_device(NULL, 1);
    const struct sl_gemm_args nothing = {.m = 0, .n = 3, .k = 2, .lda = 2, .ldb = 3, .ldc = 3};
    assert_int_equal(dev->ops->gemm(dev, &nothing), SL_OK);
    sl_device_close(&dev);
}

static void test_peak_and_precision(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(isas); s++) {
        struct sl_device *dev = open_device(isas[s], 2);
        if (!dev || strcmp(isas[s], dev->isa) != 0) {
            sl_device_close(&dev);
            continue;
        }
        double flops = 0;
        assert_int_equal(dev->ops->measure_peak(dev, SL_F32, 0.01, &flops), SL_OK);
        assert_true(flops > 1e6);
        const bool amx = strcmp(isas[s], "amx") == 0;
        const bool bf16 = amx || (strcmp(isas[s], "avx512") == 0 && sl_cpu_has_avx512_bf16());
        assert_int_equal(dev->ops->measure_peak(dev, SL_BF16, 0.01, &flops),
                         bf16 ? SL_OK : SL_ERR_UNSUPPORTED);
        sl_dtype type = SL_DTYPE_COUNT;
        assert_int_equal(sl_device_precision(dev, SL_PRECISION_AUTO, &type), SL_OK);
        assert_int_equal(type, amx ? SL_BF16 : SL_F32);
        assert_int_equal(sl_device_precision(dev, SL_PRECISION_FP32, &type), SL_OK);
        assert_int_equal(type, SL_F32);
        assert_int_equal(sl_device_precision(dev, SL_PRECISION_BF16, &type),
                         bf16 ? SL_OK : SL_ERR_UNAVAILABLE);
        assert_int_equal(type, bf16 ? SL_BF16 : SL_F32);
        sl_device_close(&dev);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_shapes),
        cmocka_unit_test(test_model_shapes),
        cmocka_unit_test(test_residual_in_place),
        cmocka_unit_test(test_gelu_without_aux),
        cmocka_unit_test(test_nan_propagates),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_peak_and_precision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
