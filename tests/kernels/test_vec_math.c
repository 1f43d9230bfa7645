/*
 * vec_math.inc against the double functions of libm, over floats of every exponent and both signs.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bf16.h"
#include "kernels/vec_math.inc"

static const double pi = 3.14159265358979323846;
static const double smallest_normal = 0x1p-126, largest = 0x1.fffffep127;
/* A prime step through the 2^32 bit patterns: 7 million floats with all kinds of mantissas, or
 * 850,000 in a brief run (sanitizers). */
static uint64_t step(void)
{
    return getenv("SOFTLESS_TEST_BRIEF") ? 5003 : 601;
}

/* Half a unit of the last place is the best possible; the header promises 2 for a float chain of
 * about ten roundings whose terms shrink. */
static const double promised_ulp = 2.0;

static double ulp(double v)
{
    int e;
    frexp(v, &e);
    return ldexp(1, (e < -125 ? -125 : e) - 24);
}

static double exact_exp(double x)
{
    return exp(x);
}

static double exact_tanh(double x)
{
    return tanh(x);
}

static double exact_erf(double x)
{
    return erf(x);
}

static double exact_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double exact_gelu_tanh(double x)
{
    return x * exact_sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x * x * x));
}

static double exact_gelu_erf(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2));
}

static double exact_slope_tanh(double x)
{
    const double c = 2 * sqrt(2 / pi), s = exact_sigmoid(c * (x + 0.044715 * x * x * x));
    return s + x * s * (1 - s) * c * (1 + 3 * 0.044715 * x * x);
}

static double exact_slope_erf(double x)
{
    return 0.5 * erfc(-x / sqrt(2)) + x * exp(-0.5 * x * x) / sqrt(2 * pi);
}

struct function {
    const char *name;
    float (*approximate)(float);
    double (*exact)(double);
    bool relative; /* error in ulp of the result, else in units 2^-24 (1 + |x|) */
    double bound;
};

/* The gelus are sums and products of about ten rounded terms bounded by 1 + |x|, the slope's factor
 * x p (1-p) (1.6 + 0.2 x^2) stays below 2. */
static const struct function functions[] = {
    {"exp", v_exp, exact_exp, true, promised_ulp},
    {"tanh", v_tanh, exact_tanh, true, promised_ulp},
    {"erf", v_erf, exact_erf, true, promised_ulp},
    {"gelu tanh", v_gelu_tanh, exact_gelu_tanh, false, 10},
    {"gelu erf", v_gelu_erf, exact_gelu_erf, false, 10},
    {"gelu' tanh", v_gelu_tanh_grad, exact_slope_tanh, false, 10},
    {"gelu' erf", v_gelu_erf_grad, exact_slope_erf, false, 10},
};

static void test_accuracy(void **state)
{
    (void)state;
    const uint64_t stride = step();
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        const struct function *fn = &functions[f];
        double worst = 0;
        size_t count = 0;
        for (uint64_t bits = 0; bits < (uint64_t)1 << 32; bits += stride) {
            const float x = v_from_bits((uint32_t)bits);
            if (!isfinite(x) || (!fn->relative && fabsf(x) > 1e6f))
                continue;
            const double exact = fn->exact((double)x), got = (double)fn->approximate(x);
            if (fabs(exact) > largest || (fn->relative && fabs(exact) < 2 * smallest_normal))
                continue;
            const double unit = fn->relative ? ulp(exact) : 0x1p-24 * (1 + fabs((double)x));
            const double error = fabs(got - exact) / unit;
            if (!(error <= fn->bound))
                fail_msg("%s(%.9g) = %.9g, expected %.9g: off by %.2f", fn->name, (double)x, got,
                         exact, error);
            worst = error > worst ? error : worst;
            count++;
        }
        print_message("%-10s worst %.2f of %.0f over %zu floats\n", fn->name, worst, fn->bound,
                      count);
        assert_true(count > 100000);
    }
}

static void test_ends(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++)
        assert_true(isnan(functions[f].approximate(NAN)));
    assert_true(v_exp(INFINITY) == INFINITY && v_exp(-INFINITY) == 0.0f);
    assert_true(v_exp(-100.0f) == 0.0f && v_exp(0.0f) == 1.0f);
    assert_true(v_tanh(INFINITY) == 1.0f && v_tanh(-INFINITY) == -1.0f);
    assert_true(v_erf(INFINITY) == 1.0f && v_erf(-INFINITY) == -1.0f);
    assert_true(v_gelu_tanh_grad(1e30f) == 1.0f);
    assert_true(v_gelu_tanh_grad(-1e30f) == 0.0f);
}

/* The bf16 neighbours of x's upper half, as numbers: exact in double, 2^128 standing for what is
 * beyond the largest. */
static double bf16_value(uint32_t magnitude)
{
    return magnitude < 0x7F80u ? (double)v_from_bits(magnitude << 16) : 0x1p128;
}

/* Rounding to nearest even, from its definition: the upper half decides between itself and the
 * next, the lower half only through its distance to the middle. So all 2^16 upper halves with lower
 * halves at, around and far from the middle cover every case. */
static void test_bf16_rounding(void **state)
{
    (void)state;
    static const uint32_t lows[] = {0,      1,      2,      0x100,  0x3FFF, 0x4000, 0x7FFE, 0x7FFF,
                                    0x8000, 0x8001, 0x8002, 0xBFFF, 0xC000, 0xFF00, 0xFFFE, 0xFFFF};
    size_t count = 0;
    for (uint32_t high = 0; high < 0x10000; high++) {
        for (size_t i = 0; i < sizeof lows / sizeof *lows; i++, count++) {
            const float x = v_from_bits(high << 16 | lows[i]);
            const uint32_t got = sl_bf16_from_f32(x), magnitude = high & 0x7FFFu;
            if (isnan(x)) {
                assert_true(isnan(sl_bf16_to_f32((uint16_t)got)));
                assert_int_equal(got >> 15, high >> 15);
                continue;
            }
            const double v = isinf(x) ? 0x1p128 : fabs((double)x);
            const double below = v - bf16_value(magnitude), above = bf16_value(magnitude + 1) - v;
            const bool up = below > above || (below == above && (magnitude & 1));
            const uint32_t want = (high & 0x8000u) | (magnitude + (magnitude < 0x7F80u && up));
            if (got != want)
                fail_msg("bf16(%a) is %04x, not %04x", (double)x, got, want);
        }
        const float back = sl_bf16_to_f32((uint16_t)high);
        assert_true(isnan(back) || sl_bf16_from_f32(back) == high);
    }
    print_message("bf16: %zu roundings\n", count);
    assert_int_equal(count, 0x10000 * 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bf16_rounding),
                                       cmocka_unit_test(test_accuracy),
                                       cmocka_unit_test(test_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
