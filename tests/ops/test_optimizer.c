/*
 * The update against twenty steps of the chain in double precision, whose rounding error bound is
 * carried along; the identity of Adam in big_vision's order with AdamW; the sum of squares.
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

static const uint64_t seed = 20261111;

enum { STEPS = 20, WARMUP = 5 };

/* A run of STEPS updates; args.g is [STEPS][n]. */
struct course {
    struct sl_update_args args;
};

/* Warm-up from exactly 0, then cosine to 0. */
static double factor(size_t t)
{
    if (t < WARMUP)
        return (double)t / WARMUP;
    return 0.5 * (1 + cos(3.14159265358979323846 * (double)(t - WARMUP) / (STEPS - WARMUP)));
}

static sl_status course_run(struct sl_device *dev, const void *args)
{
    const struct course *c = args;
    for (size_t t = 0; t < STEPS; t++) {
        struct sl_update_args a = c->args;
        a.g += t * a.n;
        a.t = t;
        a.schedule = factor(t);
        const sl_status st = dev->ops->update(dev, &a);
        if (st != SL_OK)
            return st;
    }
    return SL_OK;
}

/* ---- reference ---- */

/* One parameter and bounds on how far the float ones may be off. */
struct cell {
    double w, m, v, e_w, e_m, e_v;
};

/* recipe.md 4 as it is written: m and v, bias correction, lr, decay, schedule. */
static void adam_step(const struct sl_update_args *a, size_t t, double g, struct cell *c)
{
    const double k = (double)t + 1, s = factor(t), u = u_f32;
    const double c1 = 1 / (1 - pow(a->beta1, k)), c2 = 1 / (1 - pow(a->beta2, k));
    c->m = a->beta1 * c->m + (1 - a->beta1) * g;
    c->v = a->beta2 * c->v + (1 - a->beta2) * g * g;
    c->e_m = a->beta1 * c->e_m + 3 * u * (fabs(c->m) + (1 - a->beta1) * fabs(g));
    c->e_v = a->beta2 * c->e_v + 4 * u * (c->v + (1 - a->beta2) * g * g);
    const double below = sqrt(c->v * c2) + a->eps, step = c->m * c1 / below;
    const double e_step =
        c->e_m * c1 / below + fabs(step) * (0.5 * c->e_v / (c->v + 1e-300) + 8 * u);
    double change = a->lr * step;
    double weight = a->wd;
    if (a->kind == SL_OPT_ADAMW)
        weight *= a->lr;
    change += weight * c->w;
    c->e_w += s * (a->lr * e_step + weight * c->e_w) +
              4 * u * (fabs(c->w) + s * a->lr * fabs(step) + s * weight * fabs(c->w));
    c->w -= s * change;
    if (a->bf16_moment)
        c->e_m += u_bf16 * (fabs(c->m) + c->e_m); /* kept rounded, used before */
}

static void sgd_step(const struct sl_update_args *a, size_t t, double g, struct cell *c)
{
    const double rate = factor(t) * a->lr, u = u_f32;
    c->m = a->momentum * c->m + g;
    c->e_m = a->momentum * c->e_m + 3 * u * (fabs(c->m) + fabs(g));
    c->e_w += rate * (c->e_m + a->wd * c->e_w) +
              4 * u * (fabs(c->w) + rate * fabs(c->m) + rate * a->wd * fabs(c->w));
    c->w -= rate * (c->m + a->wd * c->w);
    if (a->bf16_moment)
        c->e_m += u_bf16 * (fabs(c->m) + c->e_m);
}

struct start {
    const float *w, *v;
    const void *m;
};

static void check_course(const void *args, const void *expected)
{
    const struct sl_update_args *a = &((const struct course *)args)->args;
    const struct start *start = expected;
    const sl_dtype m_type = a->bf16_moment ? SL_BF16 : SL_F32;
    for (size_t i = 0; i < a->n; i++) {
        struct cell c = {(double)start->w[i],
                         test_get(start->m, m_type, i),
                         a->v ? (double)start->v[i] : 0,
                         0,
                         0,
                         0};
        for (size_t t = 0; t < STEPS; t++) {
            const double g = (double)a->g[t * a->n + i] * (double)a->grad_scale;
            (a->kind == SL_OPT_SGD ? sgd_step : adam_step)(a, t, g, &c);
        }
        const double slack = 1.1; /* bounds are first order */
        test_near("w", i, (double)a->w[i], c.w, slack * c.e_w);
        test_near("m", i, test_get(a->m, m_type, i), c.m, slack * c.e_m + 0x1p-126);
        if (a->v)
            test_near("v", i, (double)a->v[i], c.v, slack * c.e_v + 0x1p-126);
    }
}

/* ---- cases ---- */

static void try_course(sl_rng *rng, enum sl_optimizer kind, size_t n, bool bf16, double g_size)
{
    struct trial *t = trial_new(rng);
    const bool sgd = kind == SL_OPT_SGD;
    float *g = trial_normal(t, false, SL_F32, STEPS * n, 0, g_size);
    for (size_t i = 0; i < STEPS * n; i += 7)
        g[i] = 0.0f;
    const struct course c = {{.kind = kind,
                              .n = n,
                              .w = trial_normal(t, true, SL_F32, n, 0, 1),
                              .g = g,
                              .grad_scale = 0.37f,
                              .m = trial_normal(t, true, bf16 ? SL_BF16 : SL_F32, n, 0, 0),
                              .bf16_moment = bf16,
                              .v = sgd ? NULL : trial_normal(t, true, SL_F32, n, 0, 0),
                              .lr = sgd ? 0.05 : 1e-3,
                              .wd = kind == SL_OPT_ADAM ? 1e-4 : 0.05,
                              .beta1 = 0.9,
                              .beta2 = 0.999,
                              .eps = 1e-8,
                              .momentum = 0.9}};
    float *w0 = test_copy(c.args.w, n * sizeof(float));
    float *zero = calloc(n, sizeof *zero);
    assert_non_null(zero);
    trial_run(t, course_run, &c, check_course, &(struct start){w0, zero, zero});
    trial_free(&t);
    free(w0);
    free(zero);
}

static void test_courses(void **state)
{
    static const enum sl_optimizer kinds[] = {SL_OPT_ADAM, SL_OPT_ADAMW, SL_OPT_SGD};
    static const size_t sizes[] = {1, 15, 16, 17, 333, 20011};
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 1, 0);
    for (size_t k = 0; k < TEST_COUNT(kinds); k++)
        for (size_t i = 0; i < TEST_COUNT(sizes); i++)
            for (int bf16 = 0; bf16 < 2; bf16++)
                if (sizes[i] < 1000 || bf16 == (int)(k % 2)) /* the large ones take long */
                    try_course(&rng, kinds[k], sizes[i], bf16 == 1, i % 2 ? 1.0 : 1e-3);
    print_message("seed %llu\n", (unsigned long long)seed);
}

/* Decay scaled by the schedule but not by lr is AdamW with weight decay wd / lr; AdamW here as it
 * is usually written, in double: shrink by 1 - lr_t wd, then step. */
static void test_adamw_identity(void **state)
{
    enum { N = 100 };
    const double lr = 1e-3, wd = 1e-4, adamw_wd = wd / lr;
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 2, 0);
    float w[2][N], m[2][N] = {{0}}, v[2][N] = {{0}};
    static float g[STEPS * N];
    double exact[N], em[N] = {0}, ev[N] = {0};
    for (int i = 0; i < N; i++)
        exact[i] = (double)(w[0][i] = w[1][i] = (float)sl_rng_normal(&rng));
    for (int i = 0; i < STEPS * N; i++)
        g[i] = (float)sl_rng_normal(&rng);
    for (int kind = 0; kind < 2; kind++) {
        const struct course c = {{.kind = kind ? SL_OPT_ADAMW : SL_OPT_ADAM,
                                  .n = N,
                                  .w = w[kind],
                                  .g = g,
                                  .grad_scale = 1,
                                  .m = m[kind],
                                  .v = v[kind],
                                  .lr = lr,
                                  .wd = kind ? adamw_wd : wd,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .eps = 1e-8}};
        assert_int_equal(trial_plan_and_run(trial_device(), course_run, &c), SL_OK);
    }
    for (int t = 0; t < STEPS; t++)
        for (int i = 0; i < N; i++) {
            const double gi = (double)g[t * N + i], rate = lr * factor((size_t)t);
            em[i] = 0.9 * em[i] + 0.1 * gi;
            ev[i] = 0.999 * ev[i] + 0.001 * gi * gi;
            exact[i] *= 1 - rate * adamw_wd;
            exact[i] -= rate * em[i] / (1 - pow(0.9, t + 1)) /
                        (sqrt(ev[i] / (1 - pow(0.999, t + 1))) + 1e-8);
        }
    /* w, at most 4, is rounded once per step: 20 * 4 * 2^-24 = 5e-6 at worst, half a unit of at
     * most 2^-24 * |w| on average; the identity itself is exact. */
    for (size_t i = 0; i < N; i++) {
        test_near("adam as adamw", i, (double)w[0][i], exact[i], STEPS * u_f32 * 4);
        test_near("adam and adamw", i, (double)w[0][i], (double)w[1][i], 1e-6);
    }
}

/* The first factor of the schedule is 0: moments move, parameters keep their bits. */
static void test_first_step(void **state)
{
    (void)state;
    float w[3] = {1.5f, -1.25f, 3e-30f}, m[3] = {0}, v[3] = {0};
    const float g[3] = {1.0f, -2.0f, 0.0f}, before[3] = {1.5f, -1.25f, 3e-30f};
    const struct sl_update_args a = {.kind = SL_OPT_ADAM,
                                     .n = 3,
                                     .w = w,
                                     .g = g,
                                     .grad_scale = 1,
                                     .m = m,
                                     .v = v,
                                     .lr = 1,
                                     .wd = 1,
                                     .beta1 = 0.9,
                                     .beta2 = 0.999,
                                     .eps = 1e-8,
                                     .schedule = 0};
    struct sl_device *dev = trial_device();
    assert_int_equal(dev->ops->update(dev, &a), SL_OK);
    assert_memory_equal(w, before, sizeof w);
    test_near("m", 0, (double)m[0], 0.1, 2 * u_f32 * 0.1);
    test_near("v", 1, (double)v[1], 0.004, 3 * u_f32 * 0.004);
}

/* The first step uses m before it is rounded to bf16: the step of Adam is then +-1 to a few
 * roundings, while a rounded m would be off by up to 2^-8. */
static void test_moment_before_rounding(void **state)
{
    enum { N = 64 };
    (void)state;
    float w[N] = {0}, v[N] = {0}, g[N];
    uint16_t m[N] = {0};
    bool inexact = false;
    for (int i = 0; i < N; i++)
        g[i] = 1.0f + (float)i / 100.0f;
    const struct sl_update_args a = {.kind = SL_OPT_ADAM,
                                     .n = N,
                                     .w = w,
                                     .g = g,
                                     .grad_scale = 1,
                                     .m = m,
                                     .bf16_moment = true,
                                     .v = v,
                                     .lr = 1,
                                     .beta1 = 0.9,
                                     .beta2 = 0.999,
                                     .eps = 1e-8,
                                     .schedule = 1};
    struct sl_device *dev = trial_device();
    assert_int_equal(dev->ops->update(dev, &a), SL_OK);
    for (size_t i = 0; i < N; i++) {
        const double kept = (double)sl_bf16_to_f32(m[i]), full = 0.1 * (double)g[i];
        inexact = inexact || fabs(kept - full) > 1e-4 * full;
        test_near("m", i, kept, full, u_bf16 * full * 1.01);
        test_near("w", i, (double)w[i], -1, 1e-8 + 16 * u_f32);
    }
    assert_true(inexact);
}

/* A gradient that stays 0 leaves no subnormal moments behind. */
static void test_no_subnormals(void **state)
{
    (void)state;
    float w[1] = {1}, m[1] = {1e-37f}, v[1] = {1.2e-38f};
    const float g[1] = {0};
    struct sl_update_args a = {.kind = SL_OPT_ADAMW,
                               .n = 1,
                               .w = w,
                               .g = g,
                               .grad_scale = 1,
                               .m = m,
                               .v = v,
                               .lr = 1e-3,
                               .beta1 = 0.9,
                               .beta2 = 0.9,
                               .eps = 1e-8,
                               .schedule = 1};
    struct sl_device *dev = trial_device();
    for (a.t = 0; a.t < 100; a.t++) {
        assert_int_equal(dev->ops->update(dev, &a), SL_OK);
        assert_true(fpclassify(m[0]) != FP_SUBNORMAL && fpclassify(v[0]) != FP_SUBNORMAL);
    }
    assert_true(m[0] == 0 && v[0] == 0 && isfinite(w[0]));
}

/* ---- sum of squares ---- */

static sl_status sumsq(struct sl_device *dev, const void *args)
{
    return dev->ops->sumsq(dev, args);
}

static void check_sumsq(const void *args, const void *expected)
{
    const struct sl_sumsq_args *a = args;
    double sum = 0;
    (void)expected;
    for (size_t i = 0; i < a->n; i++)
        sum += (double)a->x[i] * (double)a->x[i];
    /* squares of floats are exact in double; two sums of n terms each */
    test_near("sum", 0, *a->sum, sum, 2 * (double)a->n * 0x1p-53 * sum);
}

static void test_sumsq(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 15, 16, 17, 1000, 16384, 16385, 100003};
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 3, 0);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        struct trial *t = trial_new(&rng);
        const struct sl_sumsq_args a = {trial_normal(t, false, SL_F32, sizes[i], 0, 1), sizes[i],
                                        trial_output(t, sizeof(double))};
        trial_run(t, sumsq, &a, check_sumsq, NULL);
        trial_free(&t);
    }
}

static void test_sumsq_ends(void **state)
{
    enum { N = 40000 };
    (void)state;
    static float x[N];
    double sum;
    const struct sl_sumsq_args a = {x, N, &sum};
    for (int i = 0; i < N; i++)
        x[i] = 3e38f; /* its square is beyond float, not beyond double */
    assert_int_equal(trial_plan_and_run(trial_device(), sumsq, &a), SL_OK);
    assert_true(isfinite(sum) && sum > 3.5e81);
    x[N - 1] = -INFINITY;
    assert_int_equal(trial_plan_and_run(trial_device(), sumsq, &a), SL_OK);
    assert_true(sum == INFINITY);
    x[20001] = NAN;
    assert_int_equal(trial_plan_and_run(trial_device(), sumsq, &a), SL_OK);
    assert_true(isnan(sum));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_courses),       cmocka_unit_test(test_adamw_identity),
        cmocka_unit_test(test_first_step),    cmocka_unit_test(test_moment_before_rounding),
        cmocka_unit_test(test_no_subnormals), cmocka_unit_test(test_sumsq),
        cmocka_unit_test(test_sumsq_ends),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
