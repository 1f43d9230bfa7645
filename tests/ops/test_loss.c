/*
 * Both cross-entropies, their gradients and the counts of right answers against plain double
 * formulas; mixup, smoothing, padding, ties, infinities and NaN.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trial.h"

static const uint64_t seed = 20261110;

static sl_status loss(struct sl_device *dev, const void *args)
{
    return dev->ops->loss(dev, args);
}

/* ---- reference ---- */

static double log1p_exp(double x) /* ln(1 + e^x) */
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static bool counts(const struct sl_loss_args *a, size_t b)
{
    const size_t partner = (b + a->B - 1) % a->B;
    return a->labels[b] >= 0 && (a->mix >= 1 || a->labels[partner] >= 0);
}

static double target(const struct sl_loss_args *a, size_t b, size_t c)
{
    const size_t partner = (b + a->B - 1) % a->B;
    const double s = (double)a->smoothing, mix = (double)a->mix;
    const double own = (1 - s) * ((size_t)a->labels[b] == c) + s / (double)a->C;
    if (a->mix >= 1)
        return own;
    const double other = (1 - s) * ((size_t)a->labels[partner] == c) + s / (double)a->C;
    return mix * own + (1 - mix) * other;
}

/* z and its loss, gradient (not scaled) and error bounds for one image. */
struct reference {
    double loss, loss_bound;
    double *slope, *slope_bound; /* [C] */
};

/* Per class: exp and log1p with a few roundings each of values that are at most 1. */
static void sigmoid_row(const struct sl_loss_args *a, size_t b, struct reference *r)
{
    for (size_t c = 0; c < a->C; c++) {
        const double z = (double)a->logits[b * a->C + c], y = target(a, b, c);
        const double p = 1 / (1 + exp(-z));
        r->loss += y * log1p_exp(-z) + (1 - y) * log1p_exp(z);
        r->loss_bound += 10 * u_f32 * log1p(exp(-fabs(z))) + 1e-14 * fabs(z) + 0x1p-120;
        r->slope[c] = p - y;
        r->slope_bound[c] = u_f32 * (10 * p + 4 * y) + 0x1p-120;
    }
}

/* The exponent z - max is rounded, which moves exp by u |z - max|; then exp's own error. */
static void softmax_row(const struct sl_loss_args *a, size_t b, struct reference *r)
{
    const float *z = a->logits + b * a->C;
    double most = (double)z[0], sum = 0, error = 0;
    for (size_t c = 0; c < a->C; c++)
        most = fmax(most, (double)z[c]);
    for (size_t c = 0; c < a->C; c++)
        sum += exp((double)z[c] - most);
    for (size_t c = 0; c < a->C; c++) {
        const double p = exp((double)z[c] - most) / sum, y = target(a, b, c);
        error += p > 0 ? p * u_f32 * (most - (double)z[c] + 6) : 0;
        if (y != 0)
            r->loss += y * (most + log(sum) - (double)z[c]);
        r->loss_bound += y != 0 ? 1e-14 * y * (fabs((double)z[c]) + fabs(most)) : 0;
        r->slope[c] = p - y;
    }
    r->loss_bound += error;
    for (size_t c = 0; c < a->C; c++) {
        const double p = r->slope[c] + target(a, b, c);
        const double far = p > 0 ? most - (double)z[c] : 0;
        r->slope_bound[c] =
            p * (error + u_f32 * (far + 10)) + 4 * u_f32 * target(a, b, c) + 0x1p-120;
    }
}

/* How many classes are before the label of the heavier half; C with a NaN. */
static size_t place(const struct sl_loss_args *a, size_t b)
{
    const float *z = a->logits + b * a->C;
    const size_t partner = (b + a->B - 1) % a->B;
    const size_t label = (size_t)a->labels[a->mix < 0.5f ? partner : b];
    size_t before = 0;
    for (size_t c = 0; c < a->C; c++) {
        if (isnan(z[c]))
            return a->C;
        before += z[c] > z[label] || (z[c] == z[label] && c < label);
    }
    return before;
}

static void check_slopes(const struct sl_loss_args *a, size_t b, const struct reference *r)
{
    const double scale = (double)a->grad_scale;
    for (size_t c = 0; c < a->C; c++) {
        const double exact = counts(a, b) ? scale * r->slope[c] : 0;
        const double e = counts(a, b) ? fabs(scale) * r->slope_bound[c] + u_f32 * fabs(exact) : 0;
        const double last = a->dtype == SL_BF16 ? u_bf16 * (fabs(exact) + e) : 0;
        test_near("dlogits", b * a->C + c, test_get(a->dlogits, a->dtype, b * a->C + c), exact,
                  1.1 * (e + last));
    }
}

static void check(const void *args, const void *expected)
{
    const struct sl_loss_args *a = args;
    double total = 0, bound = 0;
    size_t correct = 0, top5 = 0;
    double *memory = malloc(2 * a->C * sizeof *memory);
    assert_non_null(memory);
    (void)expected;
    for (size_t b = 0; b < a->B; b++) {
        struct reference r = {0, 0, memory, memory + a->C};
        if (counts(a, b)) {
            (a->kind == SL_LOSS_SIGMOID_XENT ? sigmoid_row : softmax_row)(a, b, &r);
            total += r.loss;
            bound += r.loss_bound;
            correct += place(a, b) == 0;
            top5 += place(a, b) < 5 && place(a, b) < a->C;
        }
        if (a->dlogits)
            check_slopes(a, b, &r);
    }
    free(memory);
    test_near("loss", 0, *a->loss, total, 1.1 * bound + 1e-14 * fabs(total));
    assert_int_equal(*a->correct, correct);
    if (a->top5)
        assert_int_equal(*a->top5, top5);
}

/* ---- cases ---- */

struct shape {
    enum sl_loss kind;
    size_t B, C;
    double spread; /* of the logits */
    bool integer;  /* logits are small whole numbers: ties */
    float mix, smoothing;
    size_t padding; /* images at the end without a label */
    bool gradient, top5;
    sl_dtype dtype;
};

static struct sl_loss_args args_of(struct trial *t, sl_rng *rng, const struct shape *s)
{
    struct sl_loss_args a = {.kind = s->kind, .B = s->B, .C = s->C};
    float *z = trial_normal(t, false, SL_F32, s->B * s->C, 0, s->spread);
    int32_t *labels = trial_input(t, s->B * sizeof *labels);
    for (size_t i = 0; s->integer && i < s->B * s->C; i++)
        z[i] = (float)((int)sl_rng_below(rng, 5));
    for (size_t b = 0; b < s->B; b++)
        labels[b] = b + s->padding < s->B ? (int32_t)sl_rng_below(rng, s->C) : -1;
    a.logits = z;
    a.labels = labels;
    a.mix = s->mix;
    a.smoothing = s->smoothing;
    a.grad_scale = 1.0f / (float)s->B;
    a.dtype = s->dtype;
    a.dlogits = s->gradient ? trial_output(t, s->B * s->C * test_size_of(s->dtype)) : NULL;
    a.loss = trial_output(t, sizeof *a.loss);
    a.correct = trial_output(t, sizeof *a.correct);
    a.top5 = s->top5 ? trial_output(t, sizeof *a.top5) : NULL;
    return a;
}

static void try_shape(sl_rng *rng, const struct shape *s)
{
    struct trial *t = trial_new(rng);
    const struct sl_loss_args a = args_of(t, rng, s);
    trial_run(t, loss, &a, check, NULL);
    trial_free(&t);
}

static void test_shapes(void **state)
{
    static const struct shape shapes[] = {
        {SL_LOSS_SOFTMAX_XENT, 1, 1, 1, false, 1, 0, 0, true, true, SL_F32},
        {SL_LOSS_SIGMOID_XENT, 1, 1, 1, false, 1, 0, 0, true, true, SL_F32},
        {SL_LOSS_SOFTMAX_XENT, 64, 10, 2, false, 1, 0, 0, true, true, SL_F32},
        {SL_LOSS_SIGMOID_XENT, 64, 10, 2, false, 1, 0.1f, 0, true, false, SL_BF16},
        {SL_LOSS_SOFTMAX_XENT, 30, 1000, 3, false, 0.7f, 0.1f, 0, true, true, SL_F32},
        {SL_LOSS_SIGMOID_XENT, 30, 1000, 3, false, 0.3f, 0, 0, true, true, SL_F32},
        {SL_LOSS_SIGMOID_XENT, 9, 21843, 1, false, 0.5f, 0, 0, true, true, SL_F32},
        {SL_LOSS_SOFTMAX_XENT, 16, 100, 30, false, 1, 0, 5, true, true, SL_F32},
        {SL_LOSS_SIGMOID_XENT, 16, 100, 30, false, 1, 0, 5, true, true, SL_F32},
        {SL_LOSS_SOFTMAX_XENT, 40, 7, 1, true, 1, 0, 3, false, true, SL_F32},
        {SL_LOSS_SOFTMAX_XENT, 5, 3, 1, false, 1, 0, 5, true, true, SL_F32},
    };
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 1, 0);
    for (size_t i = 0; i < TEST_COUNT(shapes); i++)
        try_shape(&rng, &shapes[i]);
}

static void test_random(void **state)
{
    enum { CASES = 100 };
    static const float mixes[] = {1, 1, 0.9f, 0.5f, 0.2f}, smoothings[] = {0, 0, 0.1f, 0.3f};
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 2, 0);
    for (int i = 0; i < CASES; i++) {
        struct shape s = {
            .kind = sl_rng_below(&rng, 2) ? SL_LOSS_SIGMOID_XENT : SL_LOSS_SOFTMAX_XENT,
            .B = 1 + sl_rng_below(&rng, 20),
            .C = 1 + sl_rng_below(&rng, 200),
            .spread = 0.1 + 10 * sl_rng_uniform(&rng),
            .integer = sl_rng_below(&rng, 3) == 0,
            .mix = mixes[sl_rng_below(&rng, TEST_COUNT(mixes))],
            .smoothing = smoothings[sl_rng_below(&rng, TEST_COUNT(smoothings))],
            .gradient = sl_rng_below(&rng, 4) != 0,
            .top5 = sl_rng_below(&rng, 2) == 0,
            .dtype = sl_rng_below(&rng, 2) ? SL_BF16 : SL_F32,
        };
        s.padding = sl_rng_below(&rng, 3) ? 0 : sl_rng_below(&rng, s.B);
        try_shape(&rng, &s);
    }
    print_message("seed %llu, %d random cases\n", (unsigned long long)seed, (int)CASES);
}

/* One image on the best device; returns the loss. */
static double one(enum sl_loss kind, size_t C, const float *z, int32_t label, float smoothing,
                  float *dz, size_t *correct)
{
    double value;
    size_t top5;
    const struct sl_loss_args a = {kind, 1,  C,      z,      &label,  1.0f, smoothing,
                                   1.0f, dz, SL_F32, &value, correct, &top5};
    assert_int_equal(trial_plan_and_run(trial_device(), loss, &a), SL_OK);
    assert_true(top5 >= *correct);
    return value;
}

/* recipe: with the head at zero weights and its initial bias the loss is known. */
static void test_initial_losses(void **state)
{
    (void)state;
    float z[21843];
    size_t correct;
    for (int i = 0; i < 21843; i++)
        z[i] = -10.0f;
    test_near("i21k", 0, one(SL_LOSS_SIGMOID_XENT, 21843, z, 5, 0, NULL, &correct), 10.9916, 5e-5);
    for (int i = 0; i < 1000; i++)
        z[i] = -6.9f;
    test_near("i1k", 0, one(SL_LOSS_SIGMOID_XENT, 1000, z, 0, 0, NULL, &correct), 7.9073, 5e-5);
    assert_int_equal(correct, 1); /* all equal: the first class is the answer */
    test_near("s16", 0, one(SL_LOSS_SOFTMAX_XENT, 1000, z, 999, 0, NULL, &correct), 6.9078, 5e-5);
    assert_int_equal(correct, 0);
}

/* Sure and right: the loss is what is left of large logits, to a few roundings of itself. */
static void test_small_losses(void **state)
{
    (void)state;
    const float z[3] = {40.0f, 22.0f, -100.0f};
    size_t correct;
    const double softmax = log1p(exp(-18.0) + exp(-140.0));
    test_near("softmax", 0, one(SL_LOSS_SOFTMAX_XENT, 3, z, 0, 0, NULL, &correct), softmax,
              softmax * 12 * u_f32 + 1e-14);
    const float y[2] = {20.0f, -30.0f};
    const double sigmoid = log1p(exp(-20.0)) + log1p(exp(-30.0));
    test_near("sigmoid", 0, one(SL_LOSS_SIGMOID_XENT, 2, y, 0, 0, NULL, &correct), sigmoid,
              sigmoid * 12 * u_f32 + 1e-14);
}

static void test_infinite_and_nan(void **state)
{
    (void)state;
    size_t correct;
    float z[4] = {1.0f, -INFINITY, 0.0f, 2.0f}, dz[4];
    for (int k = 0; k < 2; k++) {
        const enum sl_loss kind = k ? SL_LOSS_SIGMOID_XENT : SL_LOSS_SOFTMAX_XENT;
        z[1] = -INFINITY; /* a class that is ruled out adds nothing */
        assert_true(isfinite(one(kind, 4, z, 3, 0, dz, &correct)));
        assert_int_equal(correct, 1);
        assert_true(dz[1] == 0.0f);
        assert_true(one(kind, 4, z, 1, 0, dz, &correct) == INFINITY);
        for (int at = 0; at < 4; at++) {
            float n[4] = {1.0f, 3.0f, 0.0f, 2.0f};
            n[at] = NAN;
            assert_true(isnan(one(kind, 4, n, 1, 0, dz, &correct)));
            assert_int_equal(correct, 0);
        }
    }
}

static void test_bad_labels(void **state)
{
    static const int32_t bad[] = {3, -2, INT32_MAX, INT32_MIN};
    (void)state;
    const float z[3] = {0};
    double value;
    size_t correct;
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        const struct sl_loss_args a = {.kind = SL_LOSS_SOFTMAX_XENT,
                                       .B = 1,
                                       .C = 3,
                                       .logits = z,
                                       .labels = &bad[i],
                                       .mix = 1,
                                       .loss = &value,
                                       .correct = &correct};
        assert_int_equal(trial_plan_and_run(trial_device(), loss, &a), SL_ERR_ARGUMENT);
    }
}

/* ---- the reference itself: slope = derivative of the loss ---- */

static void test_reference(void **state)
{
    /* Logits must be floats, so the step is 2^-10 exactly: h^2 f'''/6 < 2e-7. */
    const float h = 0x1p-10f;
    enum { B = 2, C = 6 };
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 3, 0);
    float z[B * C];
    const int32_t labels[B] = {4, 1};
    for (int i = 0; i < B * C; i++)
        z[i] = (float)(int)sl_rng_below(&rng, 4096) / 1024.0f; /* z + h is exact */
    for (int k = 0; k < 2; k++) {
        const struct sl_loss_args a = {.kind = k ? SL_LOSS_SIGMOID_XENT : SL_LOSS_SOFTMAX_XENT,
                                       .B = B,
                                       .C = C,
                                       .logits = z,
                                       .labels = labels,
                                       .mix = 0.75f,
                                       .smoothing = 0.25f};
        void (*row)(const struct sl_loss_args *, size_t, struct reference *) =
            k ? sigmoid_row : softmax_row;
        for (size_t c = 0; c < C; c++) {
            double slope[C], unused[C];
            struct reference at = {0, 0, slope, unused};
            row(&a, 1, &at);
            const double exact = slope[c];
            struct reference above = {0, 0, slope, unused}, below = {0, 0, slope, unused};
            z[C + c] += h;
            row(&a, 1, &above);
            z[C + c] -= 2 * h;
            row(&a, 1, &below);
            z[C + c] += h;
            test_near("slope", c, exact, (above.loss - below.loss) / (2 * (double)h), 1e-6);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),           cmocka_unit_test(test_random),
        cmocka_unit_test(test_initial_losses),   cmocka_unit_test(test_small_losses),
        cmocka_unit_test(test_infinite_and_nan), cmocka_unit_test(test_bad_labels),
        cmocka_unit_test(test_reference),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
