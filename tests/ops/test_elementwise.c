/*
 * Gate and element-wise maps against double-precision formulas.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bf16.h"
#include "trial.h"

static const uint64_t seed = 20261112;

/* ---- gate ---- */

static sl_status gate_fwd(struct sl_device *dev, const void *args)
{
    return dev->ops->gate_fwd(dev, args);
}

static sl_status gate_bwd(struct sl_device *dev, const void *args)
{
    return dev->ops->gate_bwd(dev, args);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double act(enum sl_gate kind, double g)
{
    return kind == SL_GATE_LINEAR ? g : sigmoid(g) * (kind == SL_GATE_SILU ? g : 1);
}

static double act_slope(enum sl_gate kind, double g)
{
    const double p = sigmoid(g), q = sigmoid(-g);
    return kind == SL_GATE_LINEAR ? 1 : kind == SL_GATE_SIGMOID ? p * q : p * (1 + g * q);
}

struct gate_start {
    const void *o, *dy; /* inputs that the call may overwrite */
};

/* exp 2 ulp = 4 units, then 1+e, 1/, the products: relative to act, which has no cancellation.
 * exp flushes below 2^-126, and what it is multiplied by here stays below 2^10. */
static const double gate_units = 10, tiny = 0x1p-116;

static void check_gate_fwd(const void *args, const void *expected)
{
    const struct sl_gate_args *a = args;
    const struct gate_start *start = expected;
    for (size_t i = 0; i < a->rows * a->width; i++) {
        const double exact =
            test_get(start->o, a->type, i) * act(a->kind, test_get(a->g, a->type, i));
        test_near("y", i, test_get(a->y, a->type, i), exact,
                  tiny + test_bound(gate_units, fabs(exact), exact, a->type));
    }
}

static void check_gate_bwd(const void *args, const void *expected)
{
    const struct sl_gate_args *a = args;
    const struct gate_start *start = expected;
    for (size_t i = 0; i < a->rows * a->width; i++) {
        const double dy = test_get(start->dy, a->type, i), g = test_get(a->g, a->type, i);
        const double d_o = dy * act(a->kind, g), p = sigmoid(g), q = sigmoid(-g);
        const double dg = dy * test_get(a->o, a->type, i) * act_slope(a->kind, g);
        /* 1 + g q of silu may cancel: its parts count */
        const double parts = a->kind == SL_GATE_SILU
                                 ? fabs(dy * test_get(a->o, a->type, i)) * p * (1 + fabs(g) * q)
                                 : fabs(dg);
        test_near("d_o", i, test_get(a->d_o, a->type, i), d_o,
                  tiny + test_bound(gate_units, fabs(d_o), d_o, a->type));
        test_near("dg", i, test_get(a->dg, a->type, i), dg,
                  tiny + test_bound(2 * gate_units, parts, dg, a->type));
    }
}

static void try_gate(sl_rng *rng, enum sl_gate kind, size_t rows, size_t width, double spread)
{
    const size_t n = rows * width;
    const sl_dtype type = test_any_type(rng);
    const bool in_place = sl_rng_below(rng, 2) == 0;
    struct trial *t = trial_new(rng);
    struct sl_gate_args a = {.kind = kind, .rows = rows, .width = width, .type = type};
    struct gate_start start;
    a.o = trial_normal(t, in_place, type, n, 0, 1);
    a.g = trial_normal(t, false, type, n, 0, spread);
    a.y = in_place ? (void *)(uintptr_t)a.o : trial_output(t, n * test_size_of(type));
    void *copy = test_copy(a.o, n * test_size_of(type));
    start = (struct gate_start){copy, NULL};
    trial_run(t, gate_fwd, &a, check_gate_fwd, &start);
    trial_free(&t);
    free(copy);
    t = trial_new(rng);
    a.y = NULL;
    a.o = trial_normal(t, false, type, n, 0, 1);
    a.g = trial_normal(t, false, type, n, 0, spread);
    a.dy = trial_normal(t, in_place, type, n, 0, 1);
    a.d_o = in_place ? (void *)(uintptr_t)a.dy : trial_output(t, n * test_size_of(type));
    a.dg = trial_output(t, n * test_size_of(type));
    copy = test_copy(a.dy, n * test_size_of(type));
    start = (struct gate_start){NULL, copy};
    trial_run(t, gate_bwd, &a, check_gate_bwd, &start);
    trial_free(&t);
    free(copy);
}

static void test_gate(void **state)
{
    static const enum sl_gate kinds[] = {SL_GATE_LINEAR, SL_GATE_SIGMOID, SL_GATE_SILU};
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 5, 0);
    for (size_t k = 0; k < TEST_COUNT(kinds); k++) {
        try_gate(&rng, kinds[k], 1, 1, 1);
        try_gate(&rng, kinds[k], 300, 64, 2);
        try_gate(&rng, kinds[k], 7, 513, 40); /* saturated on both sides */
        for (int i = 0; i < 10; i++)
            try_gate(&rng, kinds[k], 1 + sl_rng_below(&rng, 20), 1 + sl_rng_below(&rng, 200), 3);
    }
}

/* The reference's slope is the derivative of its act: step 1e-5 leaves 1e-9. */
static void test_gate_reference(void **state)
{
    (void)state;
    for (double g = -6; g <= 6; g += 0.37)
        for (enum sl_gate k = SL_GATE_LINEAR; k <= SL_GATE_SILU; k++)
            test_near("act'", (size_t)k, act_slope(k, g),
                      (act(k, g + 1e-5) - act(k, g - 1e-5)) / 2e-5, 1e-8);
}

/* ---- unary ---- */

static sl_status unary(struct sl_device *dev, const void *args)
{
    return dev->ops->unary(dev, args);
}

static void check_unary(const void *args, const void *expected)
{
    const struct sl_unary_args *a = args;
    const float *y0 = expected;
    for (size_t i = 0; i < a->n; i++) {
        double exact = test_get(a->x, a->x_type, i);
        if (a->kind == SL_UNARY_TANH_BWD) {
            const double t = test_get(a->aux, a->x_type, i);
            exact *= (1 - t) * (1 + t);
        }
        const double units = a->kind == SL_UNARY_COPY ? 0 : 4, before = y0 ? (double)y0[i] : 0;
        const double sum = exact + before;
        test_near("y", i, test_get(a->y, a->y_type, i), sum,
                  test_bound(units, fabs(exact), sum, a->y_type) + (y0 ? u_f32 * fabs(sum) : 0));
    }
}

static void try_unary(sl_rng *rng, enum sl_unary kind, size_t n)
{
    struct trial *t = trial_new(rng);
    struct sl_unary_args a = {.kind = kind, .n = n, .x_type = test_any_type(rng)};
    a.y_type = test_any_type(rng);
    a.accumulate = a.y_type == SL_F32 && sl_rng_below(rng, 2);
    a.x = trial_normal(t, false, a.x_type, n, 0, 1);
    a.aux = kind == SL_UNARY_TANH_BWD ? trial_normal(t, false, a.x_type, n, 0, 0.6) : NULL;
    a.y = trial_normal(t, true, a.y_type, n, 0, 1);
    float *y0 = a.accumulate ? test_copy(a.y, n * sizeof(float)) : NULL;
    trial_run(t, unary, &a, check_unary, y0);
    trial_free(&t);
    free(y0);
}

static void test_unary(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 511, 512, 513, 16384, 16385, 50000};
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 6, 0);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        for (int again = 0; again < 4; again++) {
            try_unary(&rng, SL_UNARY_COPY, sizes[i]);
            try_unary(&rng, SL_UNARY_TANH_BWD, sizes[i]);
        }
    uint16_t y[1];
    const struct sl_unary_args bad = {.n = 1, .y = y, .y_type = SL_BF16, .accumulate = true};
    assert_int_equal(unary(trial_device(), &bad), SL_ERR_UNSUPPORTED);
    print_message("seed %llu\n", (unsigned long long)seed);
}

/* Every bf16 value goes to float and back unchanged; NaNs may become quiet. */
static void test_conversion(void **state)
{
    enum { VALUES = 1 << 16 };
    (void)state;
    uint16_t *in = malloc(VALUES * sizeof *in), *out = malloc(VALUES * sizeof *out);
    float *wide = malloc(VALUES * sizeof *wide);
    assert_true(in && out && wide);
    for (int i = 0; i < VALUES; i++)
        in[i] = (uint16_t)i;
    const struct sl_unary_args up = {.n = VALUES, .x = in, .x_type = SL_BF16, .y = wide};
    const struct sl_unary_args down = {.n = VALUES, .x = wide, .y = out, .y_type = SL_BF16};
    assert_int_equal(trial_plan_and_run(trial_device(), unary, &up), SL_OK);
    assert_int_equal(trial_plan_and_run(trial_device(), unary, &down), SL_OK);
    for (int i = 0; i < VALUES; i++) {
        const bool nan = (in[i] & 0x7FFF) > 0x7F80;
        assert_int_equal(out[i], nan ? in[i] | 0x40 : in[i]);
    }
    free(in);
    free(out);
    free(wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate),
        cmocka_unit_test(test_gate_reference),
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_conversion),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
