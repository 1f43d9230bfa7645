/*
 * Layer norm and RMS norm, forward and backward, against double-precision loops with error bounds
 * of the float algorithm; and those loops' backward against their own forward by differences.
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

static const uint64_t seed = 20261108;

/* Rounding errors of a sum of n terms: it is taken in 32 lanes, then five foldings and a few
 * operations on each term. */
static double sum_units(size_t n)
{
    return (double)(n / 32) + 10;
}

/* Bounds are first order; this covers the products of the small errors. */
static const double slack = 1.1;

/* ---- reference ---- */

struct row_stats {
    double mean, rstd;
};

static struct row_stats stats_of(const struct sl_norm_args *a, const double *x)
{
    double mean = 0, var = 0;
    for (size_t i = 0; !a->rms && i < a->width; i++)
        mean += x[i] / (double)a->width;
    for (size_t i = 0; i < a->width; i++)
        var += (x[i] - mean) * (x[i] - mean) / (double)a->width;
    return (struct row_stats){mean, 1 / sqrt(var + (double)a->eps)};
}

static double *row_of(const void *p, sl_dtype type, size_t at, size_t width)
{
    double *row = malloc(width * sizeof *row);
    assert_non_null(row);
    for (size_t i = 0; i < width; i++)
        row[i] = test_get(p, type, at + i);
    return row;
}

static double mean_abs(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fabs(x[i]) / (double)n;
    return sum;
}

/* With e = |error of the mean|: the second moment about the computed mean is var + e^2, then
 * rounding errors of the sum; rstd has half its relative error. */
static void check_forward_row(const struct sl_norm_args *a, size_t o, size_t i)
{
    const size_t W = a->width, at = o * a->inner + i;
    double *x = row_of(a->x, a->x_type, o * a->x_outer + i * a->x_inner, W);
    const struct row_stats s = stats_of(a, x);
    const double e_mean = a->rms ? 0 : sum_units(W) * u_f32 * mean_abs(x, W);
    const double r_rel =
        slack * (0.5 * (sum_units(W) * u_f32 + e_mean * e_mean * s.rstd * s.rstd) + 3 * u_f32);
    if (!a->rms)
        test_near("mean", at, (double)a->mean[at], s.mean, slack * e_mean);
    test_near("rstd", at, (double)a->rstd[at], s.rstd, r_rel * s.rstd);
    for (size_t k = 0; k < W; k++) {
        const double xhat = (x[k] - s.mean) * s.rstd, scale = (double)a->scale[k];
        const double bias = a->bias ? (double)a->bias[k] : 0, y = xhat * scale + bias;
        const double e_xhat = s.rstd * e_mean + fabs(xhat) * (r_rel + 3 * u_f32);
        const double e = fabs(scale) * e_xhat + 2 * u_f32 * (fabs(xhat * scale) + fabs(bias));
        const size_t y_at = o * a->y_outer + i * a->y_inner + k;
        test_near("y", y_at, test_get(a->y, a->y_type, y_at), y,
                  slack * (e + (a->y_type == SL_BF16 ? u_bf16 * (fabs(y) + e) : 0)));
    }
    free(x);
}

static void check_forward(const void *args, const void *expected)
{
    const struct sl_norm_args *a = args;
    (void)expected;
    for (size_t o = 0; o < a->outer; o++)
        for (size_t i = 0; i < a->inner; i++)
            check_forward_row(a, o, i);
}

/* dx and, added up, dscale and dbias of one row, with their bounds; mean and rstd are given. */
struct backward {
    double *dx, *dx_bound;
    double *dscale, *dscale_sum; /* sums of terms and of their sizes */
    double *dbias, *dbias_sum;
};

static void backward_row(const struct sl_norm_args *a, const double *x, const double *dy,
                         double mean, double rstd, struct backward *b)
{
    const size_t W = a->width;
    double c1 = 0, c2 = 0, c1_abs = 0, c2_abs = 0;
    for (size_t k = 0; k < W; k++) {
        const double xhat = (x[k] - mean) * rstd, g = dy[k] * (double)a->scale[k];
        c1 += a->rms ? 0 : g / (double)W;
        c1_abs += a->rms ? 0 : fabs(g) / (double)W;
        c2 += g * xhat / (double)W;
        c2_abs += fabs(g * xhat) / (double)W;
        b->dscale[k] += dy[k] * xhat;
        b->dscale_sum[k] += fabs(dy[k] * xhat);
        b->dbias[k] += dy[k];
        b->dbias_sum[k] += fabs(dy[k]);
    }
    for (size_t k = 0; k < W; k++) {
        const double xhat = (x[k] - mean) * rstd, g = dy[k] * (double)a->scale[k];
        const double terms = fabs(g) + fabs(c1) + fabs(xhat * c2);
        b->dx[k] = rstd * (g - c1 - xhat * c2);
        b->dx_bound[k] =
            slack * rstd * u_f32 * (sum_units(W) * (c1_abs + fabs(xhat) * c2_abs) + 6 * terms);
    }
}

struct expected {
    const unsigned char *dx0; /* dx before the call */
    const float *dscale0, *dbias0;
};

static void check_params(const char *what, const struct sl_norm_args *a, const float *got,
                         const float *start, const double *sum, const double *sizes)
{
    /* Any order of adding the rows' terms, each with three roundings of its own. */
    const double units = (double)(a->outer * a->inner) + 8;
    for (size_t k = 0; k < a->width; k++)
        test_near(what, k, (double)got[k], (double)start[k] + sum[k],
                  slack * units * u_f32 * (sizes[k] + fabs((double)start[k])));
}

static void check_backward(const void *args, const void *expected)
{
    const struct sl_norm_args *a = args;
    const struct expected *e = expected;
    const size_t W = a->width;
    double *memory = calloc(6 * W, sizeof *memory);
    assert_non_null(memory);
    struct backward b = {memory,         memory + W,     memory + 2 * W,
                         memory + 3 * W, memory + 4 * W, memory + 5 * W};
    for (size_t o = 0; o < a->outer; o++)
        for (size_t i = 0; i < a->inner; i++) {
            const size_t at = o * a->inner + i;
            double *x = row_of(a->x, a->x_type, o * a->x_outer + i * a->x_inner, W);
            double *dy = row_of(a->dy, a->y_type, o * a->y_outer + i * a->y_inner, W);
            backward_row(a, x, dy, a->rms ? 0 : (double)a->mean[at], (double)a->rstd[at], &b);
            for (size_t k = 0; k < W; k++) {
                const size_t d = o * a->dx_outer + i * a->dx_inner + k;
                const double before = a->dx_accumulate ? test_get(e->dx0, a->x_type, d) : 0;
                const double dx = b.dx[k] + before;
                const double last = test_unit(a->x_type) * (fabs(dx) + b.dx_bound[k]);
                test_near("dx", d, test_get(a->dx, a->x_type, d), dx,
                          slack * (b.dx_bound[k] + u_f32 * fabs(dx) + last));
            }
            free(x);
            free(dy);
        }
    check_params("dscale", a, a->dscale, e->dscale0, b.dscale, b.dscale_sum);
    if (a->dbias)
        check_params("dbias", a, a->dbias, e->dbias0, b.dbias, b.dbias_sum);
    free(memory);
}

/* ---- cases ---- */

struct shape {
    size_t outer, inner, width;
    size_t outer_gap, inner_gap; /* elements between the rows */
    bool rms, bias, accumulate;
    sl_dtype x_type, y_type;
    double mean; /* of x, whose standard deviation is 1 */
};

static sl_status forward(struct sl_device *dev, const void *args)
{
    return dev->ops->norm_fwd(dev, args);
}

static sl_status backward(struct sl_device *dev, const void *args)
{
    return dev->ops->norm_bwd(dev, args);
}

static struct sl_norm_args args_of(struct trial *t, const struct shape *s, bool is_backward)
{
    const size_t inner = s->width + s->inner_gap, outer = s->inner * inner + s->outer_gap;
    const size_t n = s->outer * outer, rows = s->outer * s->inner;
    struct sl_norm_args a = {
        .outer = s->outer,
        .inner = s->inner,
        .width = s->width,
        .rms = s->rms,
        .eps = 1e-6f,
        .x = trial_normal(t, false, s->x_type, n, s->mean, 1),
        .x_type = s->x_type,
        .x_outer = outer,
        .x_inner = inner,
        .scale = trial_normal(t, false, SL_F32, s->width, 1, 0.5),
        .bias = s->bias ? trial_normal(t, false, SL_F32, s->width, 0, 1) : NULL,
        .y_type = s->y_type,
        .y_outer = outer,
        .y_inner = inner,
        .dx_outer = outer,
        .dx_inner = inner,
    };
    if (!is_backward) {
        a.y = trial_normal(t, true, s->y_type, n, 0, 1);
        a.mean = s->rms ? NULL : trial_output(t, rows * sizeof(float));
        a.rstd = trial_output(t, rows * sizeof(float));
        return a;
    }
    a.mean = s->rms ? NULL : trial_input(t, rows * sizeof(float));
    a.rstd = trial_input(t, rows * sizeof(float));
    a.dy = trial_normal(t, false, s->y_type, n, 0, 1);
    a.dx = trial_normal(t, true, s->x_type, n, 0, 1);
    a.dx_accumulate = s->accumulate;
    a.dscale = trial_normal(t, true, SL_F32, s->width, 0, 1);
    a.dbias = s->bias ? trial_normal(t, true, SL_F32, s->width, 0, 1) : NULL;
    for (size_t o = 0; o < s->outer; o++)
        for (size_t i = 0; i < s->inner; i++) {
            double *x = row_of(a.x, a.x_type, o * outer + i * inner, s->width);
            const struct row_stats stats = stats_of(&a, x);
            if (!s->rms)
                a.mean[o * s->inner + i] = (float)stats.mean;
            a.rstd[o * s->inner + i] = (float)stats.rstd;
            free(x);
        }
    return a;
}

static void try_shape(sl_rng *rng, const struct shape *s)
{
    struct trial *t = trial_new(rng);
    const struct sl_norm_args f = args_of(t, s, false);
    trial_run(t, forward, &f, check_forward, NULL);
    trial_free(&t);
    t = trial_new(rng);
    const struct sl_norm_args b = args_of(t, s, true);
    const size_t W = s->width, dx_bytes = s->outer * b.dx_outer * test_size_of(s->x_type);
    unsigned char *dx0 = malloc(dx_bytes);
    float *grads0 = malloc(2 * W * sizeof *grads0);
    assert_true(dx0 && grads0);
    memcpy(dx0, b.dx, dx_bytes);
    memcpy(grads0, b.dscale, W * sizeof *grads0);
    if (b.dbias)
        memcpy(grads0 + W, b.dbias, W * sizeof *grads0);
    const struct expected e = {dx0, grads0, grads0 + W};
    trial_run(t, backward, &b, check_backward, &e);
    trial_free(&t);
    free(dx0);
    free(grads0);
}

static void test_fixed_shapes(void **state)
{
    static const struct shape shapes[] = {
        {1, 1, 1, 0, 0, false, true, false, SL_F32, SL_F32, 0},
        {64, 1, 384, 0, 0, false, true, false, SL_F32, SL_F32, 0.3},
        {197, 1, 384, 0, 0, false, true, true, SL_F32, SL_BF16, -2},
        {3000, 1, 32, 0, 0, false, true, true, SL_F32, SL_F32, 0},
        /* one of [T, 3, H, K]: the other two thirds are the gap */
        {300, 3, 64, 2 * 3 * 64, 0, false, false, false, SL_F32, SL_F32, 0},
        {300, 2, 32, 2 * 2 * 32, 0, true, false, false, SL_BF16, SL_BF16, 0},
        {257, 5, 31, 7, 3, false, true, true, SL_BF16, SL_F32, 0},
        {9, 1, 1664, 0, 0, true, false, true, SL_F32, SL_BF16, 0},
        /* far from 0: the second pass over the differences matters */
        {40, 1, 300, 0, 0, false, true, false, SL_F32, SL_F32, 1000},
    };
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 1, 0);
    for (size_t i = 0; i < TEST_COUNT(shapes); i++)
        try_shape(&rng, &shapes[i]);
}

static void test_random_shapes(void **state)
{
    enum { CASES = 60 };
    static const size_t widths[] = {1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 97, 129};
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 2, 0);
    for (int i = 0; i < CASES; i++) {
        const struct shape s = {
            .outer = 1 + sl_rng_below(&rng, 40),
            .inner = 1 + sl_rng_below(&rng, 4),
            .width = widths[sl_rng_below(&rng, TEST_COUNT(widths))],
            .outer_gap = sl_rng_below(&rng, 5),
            .inner_gap = sl_rng_below(&rng, 3),
            .rms = sl_rng_below(&rng, 2) == 0,
            .bias = sl_rng_below(&rng, 2) == 0,
            .accumulate = sl_rng_below(&rng, 2) == 0,
            .x_type = sl_rng_below(&rng, 2) ? SL_BF16 : SL_F32,
            .y_type = sl_rng_below(&rng, 2) ? SL_BF16 : SL_F32,
            .mean = sl_rng_normal(&rng),
        };
        try_shape(&rng, &s);
    }
    print_message("seed %llu, %d random shapes\n", (unsigned long long)seed, (int)CASES);
}

/* A row of equal numbers has variance 0: y is the bias and eps keeps rstd finite. */
static void test_constant_row(void **state)
{
    (void)state;
    float x[37], scale[37], bias[37], y[37], mean, rstd;
    for (int i = 0; i < 37; i++) {
        x[i] = 3.0f;
        scale[i] = 2.0f;
        bias[i] = (float)i;
    }
    const struct sl_norm_args a = {.outer = 1,
                                   .inner = 1,
                                   .width = 37,
                                   .eps = 1e-6f,
                                   .x = x,
                                   .x_outer = 37,
                                   .x_inner = 37,
                                   .scale = scale,
                                   .bias = bias,
                                   .y = y,
                                   .y_outer = 37,
                                   .y_inner = 37,
                                   .mean = &mean,
                                   .rstd = &rstd};
    assert_int_equal(trial_plan_and_run(trial_device(), forward, &a), SL_OK);
    assert_true(mean == 3.0f);
    test_near("rstd", 0, (double)rstd, 1000, 1000 * 4 * u_f32);
    for (int i = 0; i < 37; i++)
        assert_true(y[i] == bias[i]);
}

/* A NaN spoils its own row and no other. */
static void test_nan_row(void **state)
{
    enum { ROWS = 3, W = 50 };
    (void)state;
    float x[ROWS * W], scale[W], y[ROWS * W], mean[ROWS], rstd[ROWS];
    for (int i = 0; i < ROWS * W; i++) {
        x[i] = (float)(i % 7);
        scale[i % W] = 1.0f;
    }
    x[W + 49] = NAN;
    const struct sl_norm_args a = {.outer = ROWS,
                                   .inner = 1,
                                   .width = W,
                                   .eps = 1e-6f,
                                   .x = x,
                                   .x_outer = W,
                                   .x_inner = W,
                                   .scale = scale,
                                   .y = y,
                                   .y_outer = W,
                                   .y_inner = W,
                                   .mean = mean,
                                   .rstd = rstd};
    assert_int_equal(trial_plan_and_run(trial_device(), forward, &a), SL_OK);
    for (int i = 0; i < ROWS * W; i++)
        assert_true(isnan(y[i]) == (i / W == 1));
}

/* What was not planned is refused. */
static void test_unplanned(void **state)
{
    (void)state;
    struct sl_device *dev = NULL;
    float x[1] = {0}, scale[1] = {1}, y[1], mean[1], rstd[1];
    const struct sl_norm_args a = {.outer = 1,
                                   .inner = 1,
                                   .width = 1,
                                   .x = x,
                                   .scale = scale,
                                   .y = y,
                                   .mean = mean,
                                   .rstd = rstd};
    assert_int_equal(sl_device_open("cpu", 1, NULL, &dev), SL_OK);
    assert_int_equal(dev->ops->norm_fwd(dev, &a), SL_ERR_INTERNAL);
    sl_device_close(&dev);
}

/* ---- the reference itself: backward = derivative of forward ---- */

/* f = sum_k dy_k y_k(x) */
static double objective(const struct sl_norm_args *a, const double *x, const double *dy)
{
    const struct row_stats s = stats_of(a, x);
    double f = 0;
    for (size_t k = 0; k < a->width; k++)
        f += dy[k] * (x[k] - s.mean) * s.rstd * (double)a->scale[k];
    return f;
}

static void test_reference(void **state)
{
    enum { W = 13 };
    /* Differences of step h: error h^2 f'''/6 + u f/h; with values of order 1 to 10, 1e-4 gives
     * 1e-7 at most. */
    const double h = 1e-4, tolerance = 1e-6;
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 3, 0);
    for (int rms = 0; rms < 2; rms++) {
        float scale[W];
        double x[W], dy[W], memory[6 * W] = {0};
        for (int k = 0; k < W; k++) {
            scale[k] = (float)sl_rng_normal(&rng);
            x[k] = sl_rng_normal(&rng);
            dy[k] = sl_rng_normal(&rng);
        }
        const struct sl_norm_args a = {.width = W, .rms = rms == 1, .eps = 1e-6f, .scale = scale};
        struct backward b = {memory,         memory + W,     memory + 2 * W,
                             memory + 3 * W, memory + 4 * W, memory + 5 * W};
        const struct row_stats s = stats_of(&a, x);
        backward_row(&a, x, dy, s.mean, s.rstd, &b);
        for (size_t k = 0; k < W; k++) {
            const double middle = x[k];
            x[k] = middle + h;
            const double above = objective(&a, x, dy);
            x[k] = middle - h;
            const double below = objective(&a, x, dy);
            x[k] = middle;
            test_near("dx by differences", k, b.dx[k], (above - below) / (2 * h), tolerance);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_shapes), cmocka_unit_test(test_random_shapes),
        cmocka_unit_test(test_constant_row), cmocka_unit_test(test_nan_row),
        cmocka_unit_test(test_unplanned),    cmocka_unit_test(test_reference),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
