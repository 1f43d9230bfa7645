/*
 * Drawing, running and checking one matrix product.
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
#include "gemm_case.h"
#include "kernels/cpu.h"
#include "ops/cpu/cpu.h"
#include "ops/ops.h"

static const double unit_f32 = 0x1p-24, unit_bf16 = 0x1p-8; /* largest relative rounding errors */
static const double pi = 3.14159265358979323846;

void *gemm_allocate(size_t bytes)
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
    void *p = gemm_allocate(n * size_of(type));
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

size_t gemm_pick(sl_rng *rng, const size_t *from, size_t n)
{
    return from[sl_rng_below(rng, n)];
}

/* args holds shape, layout, types and epilogue; this adds operands. */
void gemm_fill(struct gemm_problem *p, sl_rng *rng)
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
    p->c = gemm_allocate(p->size_c);
    p->aux = gemm_allocate(p->size_aux);
    if (g->bias)
        p->bias = matrix(rng, p->integer, 1, g->n, g->n, SL_F32);
    if (g->a_sum)
        p->sum0 = matrix(rng, p->integer, 1, g->m, g->m, SL_F32);
    p->sum = gemm_allocate(g->m * sizeof(float));
    g->bias = p->bias;
    g->c = p->c;
    g->aux = p->aux;
    g->a_sum = p->sum0 ? p->sum : NULL;
}

void gemm_release(struct gemm_problem *p)
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

struct sl_device *gemm_open_device(const char *isa, int threads)
{
    struct sl_device *dev = NULL;
    assert_int_equal(sl_device_open("cpu", threads, isa, &dev), SL_OK);
    return dev;
}

/* Plans and runs the product on fresh copies of C and aux; packs B first if asked to. */
void gemm_run(struct sl_device *dev, struct gemm_problem *p, bool packed)
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
        master = gemm_allocate(count * sizeof *master);
        for (size_t i = 0; i < count; i++)
            master[i] = element(g.b, g.type, i);
        weight = gemm_allocate(dev->ops->pack_weight_bytes(g.n, g.k, g.type));
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
static struct expected product(const struct gemm_problem *p, size_t i, size_t j)
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

static struct expected after_epilogue(const struct gemm_problem *p, struct expected r, double aux)
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
                    const struct gemm_problem *p, size_t i, size_t j)
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

void gemm_check_results(const struct gemm_problem *p)
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
