/*
 * Patches, embedding, pooling and LayerScale against double-precision loops.
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

static const uint64_t seed = 20261109;

/* ---- patch ---- */

static sl_status patch(struct sl_device *dev, const void *args)
{
    return dev->ops->patch(dev, args);
}

static void check_patch(const void *args, const void *expected)
{
    const struct sl_patch_args *a = args;
    const size_t high = a->SH / a->P, wide = a->SW / a->P, P = a->P;
    const double min = (double)a->value_min, range = (double)a->value_max - min;
    (void)expected;
    for (size_t b = 0; b < a->B; b++)
        for (size_t y = 0; y < a->SH; y++)
            for (size_t x = 0; x < a->SW; x++)
                for (size_t c = 0; c < 3; c++) {
                    const size_t before = (b + a->B - 1) % a->B, pixel = (y * a->SW + x) * 3 + c;
                    const uint8_t own = a->images[b * a->SH * a->SW * 3 + pixel];
                    const uint8_t other = a->images[before * a->SH * a->SW * 3 + pixel];
                    const double mix = (double)a->mix;
                    const double exact =
                        mix * (min + range * own / 255) + (1 - mix) * (min + range * other / 255);
                    const size_t at = ((b * high + y / P) * wide + x / P) * 3 * P * P + c * P * P +
                                      y % P * P + x % P;
                    const double size = fabs(min) + fabs((double)a->value_max);
                    test_near("patches", at, test_get(a->patches, a->type, at), exact,
                              test_bound(3, size, exact, a->type));
                }
}

static void test_patch(void **state)
{
    static const size_t shapes[][4] = {/* B, SH, SW, P */
                                       {1, 1, 1, 1},    {3, 6, 4, 2},    {5, 28, 28, 7},
                                       {2, 33, 22, 11}, {3, 96, 64, 16}, {1, 10, 5, 5}};
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 1, 0);
    for (size_t i = 0; i < TEST_COUNT(shapes); i++)
        for (int mixed = 0; mixed < 2; mixed++)
            for (int type = 0; type < 2; type++) {
                const size_t *s = shapes[i], bytes = s[0] * s[1] * s[2] * 3;
                struct trial *t = trial_new(&rng);
                const sl_dtype dtype = type ? SL_BF16 : SL_F32;
                uint8_t *images = trial_input(t, bytes);
                for (size_t p = 0; p < bytes; p++)
                    images[p] = (uint8_t)sl_rng_below(&rng, 256);
                const struct sl_patch_args a = {images,
                                                s[0],
                                                s[1],
                                                s[2],
                                                s[3],
                                                -1.0f,
                                                i % 2 ? 1.0f : 2.5f,
                                                mixed ? 0.7f : 1.0f,
                                                trial_output(t, bytes * test_size_of(dtype)),
                                                dtype};
                trial_run(t, patch, &a, check_patch, NULL);
                trial_free(&t);
            }
}

/* 0 and 255 are the two ends exactly. */
static void test_patch_range(void **state)
{
    const uint8_t image[6] = {0, 255, 0, 255, 0, 255};
    float out[6];
    const struct sl_patch_args a = {image, 1, 1, 2, 1, -1.0f, 1.0f, 1.0f, out, SL_F32};
    (void)state;
    assert_int_equal(trial_plan_and_run(trial_device(), patch, &a), SL_OK);
    for (int i = 0; i < 6; i++)
        assert_true(out[i] == (i % 2 ? 1.0f : -1.0f));
    struct sl_patch_args bad = a;
    bad.P = 2;
    assert_int_equal(patch(trial_device(), &bad), SL_ERR_ARGUMENT);
}

/* ---- embed ---- */

static sl_status embed_fwd(struct sl_device *dev, const void *args)
{
    return dev->ops->embed_fwd(dev, args);
}

static sl_status embed_bwd(struct sl_device *dev, const void *args)
{
    return dev->ops->embed_bwd(dev, args);
}

static void check_embed_fwd(const void *args, const void *expected)
{
    const struct sl_embed_args *a = args;
    const size_t L = a->n_prefix + a->N, D = a->D;
    (void)expected;
    for (size_t i = 0; i < a->B * L * D; i++) {
        const size_t b = i / (L * D), l = i / D % L, d = i % D, n = l - a->n_prefix;
        const float exact = l < a->n_prefix ? a->prefix[l * D + d]
                                            : a->patch[(b * a->N + n) * D + d] + a->pos[n * D + d];
        assert_true(a->x[i] == exact);
    }
}

struct embed_start {
    const float *dpos, *dprefix;
};

static void check_embed_sum(const struct sl_embed_args *a, const char *what, const float *got,
                            const float *start, size_t l, size_t at)
{
    const size_t L = a->n_prefix + a->N;
    for (size_t d = 0; d < a->D; d++) {
        double sum = (double)start[at * a->D + d], sizes = fabs(sum);
        for (size_t b = 0; b < a->B; b++) {
            sum += (double)a->dx[(b * L + l) * a->D + d];
            sizes += fabs((double)a->dx[(b * L + l) * a->D + d]);
        }
        test_near(what, at * a->D + d, (double)got[at * a->D + d], sum,
                  test_bound((double)a->B + 1, sizes, sum, SL_F32));
    }
}

static void check_embed_bwd(const void *args, const void *expected)
{
    const struct sl_embed_args *a = args;
    const struct embed_start *start = expected;
    const size_t L = a->n_prefix + a->N, D = a->D;
    for (size_t i = 0; i < a->B * a->N * D; i++) {
        const size_t b = i / (a->N * D), n = i / D % a->N, d = i % D;
        const float dx = a->dx[(b * L + a->n_prefix + n) * D + d];
        const float want = a->dpatch_type == SL_BF16 ? sl_bf16_to_f32(sl_bf16_from_f32(dx)) : dx;
        assert_true((float)test_get(a->dpatch, a->dpatch_type, i) == want);
    }
    for (size_t l = 0; l < a->n_prefix && a->dprefix; l++)
        check_embed_sum(a, "dprefix", a->dprefix, start->dprefix, l, l);
    for (size_t n = 0; n < a->N && a->dpos; n++)
        check_embed_sum(a, "dpos", a->dpos, start->dpos, a->n_prefix + n, n);
}

static void try_embed(sl_rng *rng, size_t B, size_t N, size_t D, size_t n_prefix, bool learned)
{
    const size_t L = N + n_prefix;
    struct trial *t = trial_new(rng);
    struct sl_embed_args a = {.B = B, .N = N, .D = D, .n_prefix = n_prefix};
    a.patch = N ? trial_normal(t, false, SL_F32, B * N * D, 0, 1) : NULL;
    a.pos = N ? trial_normal(t, false, SL_F32, N * D, 0, 1) : NULL;
    a.prefix = n_prefix ? trial_normal(t, false, SL_F32, n_prefix * D, 0, 1) : NULL;
    a.x = trial_output(t, B * L * D * sizeof(float));
    trial_run(t, embed_fwd, &a, check_embed_fwd, NULL);
    trial_free(&t);
    t = trial_new(rng);
    a.dx = trial_normal(t, false, SL_F32, B * L * D, 0, 1);
    a.dpatch_type = test_any_type(rng);
    a.dpatch = N ? trial_output(t, B * N * D * test_size_of(a.dpatch_type)) : NULL;
    a.dpos = N && learned ? trial_normal(t, true, SL_F32, N * D, 0, 1) : NULL;
    a.dprefix = n_prefix ? trial_normal(t, true, SL_F32, n_prefix * D, 0, 1) : NULL;
    float *dpos = a.dpos ? test_copy(a.dpos, N * D * sizeof(float)) : NULL;
    float *dprefix = a.dprefix ? test_copy(a.dprefix, n_prefix * D * sizeof(float)) : NULL;
    trial_run(t, embed_bwd, &a, check_embed_bwd, &(struct embed_start){dpos, dprefix});
    trial_free(&t);
    free(dpos);
    free(dprefix);
}

static void test_embed(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 2, 0);
    try_embed(&rng, 1, 1, 1, 0, true);
    try_embed(&rng, 64, 16, 64, 0, true);
    try_embed(&rng, 7, 196, 97, 1, true);
    try_embed(&rng, 5, 9, 33, 4, false);
    try_embed(&rng, 13, 0, 70, 1, false); /* the MAP probe: a prefix alone */
    for (int i = 0; i < 20; i++)
        try_embed(&rng, 1 + sl_rng_below(&rng, 9), 1 + sl_rng_below(&rng, 30),
                  1 + sl_rng_below(&rng, 80), sl_rng_below(&rng, 3), sl_rng_below(&rng, 2) == 0);
}

/* ---- pool ---- */

static sl_status pool_fwd(struct sl_device *dev, const void *args)
{
    return dev->ops->pool_fwd(dev, args);
}

static sl_status pool_bwd(struct sl_device *dev, const void *args)
{
    return dev->ops->pool_bwd(dev, args);
}

static void check_pool_fwd(const void *args, const void *expected)
{
    const struct sl_pool_args *a = args;
    (void)expected;
    for (size_t i = 0; i < a->B * a->D; i++) {
        double sum = 0, sizes = 0;
        for (size_t l = a->first; l < a->first + a->count; l++) {
            const double x = test_get(a->x, a->type, (i / a->D * a->L + l) * a->D + i % a->D);
            sum += x / (double)a->count;
            sizes += fabs(x) / (double)a->count;
        }
        test_near("y", i, test_get(a->y, a->type, i), sum,
                  test_bound((double)a->count + 2, sizes, sum, a->type));
    }
}

static void check_pool_bwd(const void *args, const void *expected)
{
    const struct sl_pool_args *a = args;
    (void)expected;
    for (size_t i = 0; i < a->B * a->L * a->D; i++) {
        const size_t b = i / (a->L * a->D), l = i / a->D % a->L;
        const bool pooled = l >= a->first && l < a->first + a->count;
        const double dy = test_get(a->dy, a->type, b * a->D + i % a->D);
        const double exact = pooled ? dy / (double)a->count : 0;
        test_near("dx", i, test_get(a->dx, a->type, i), exact,
                  test_bound(3, fabs(exact), exact, a->type));
    }
}

static void try_pool(sl_rng *rng, size_t B, size_t L, size_t D, size_t first, size_t count)
{
    struct trial *t = trial_new(rng);
    struct sl_pool_args a = {.B = B, .L = L, .D = D, .first = first, .count = count};
    a.type = test_any_type(rng);
    a.x = trial_normal(t, false, a.type, B * L * D, 0, 1);
    a.y = trial_output(t, B * D * test_size_of(a.type));
    trial_run(t, pool_fwd, &a, check_pool_fwd, NULL);
    trial_free(&t);
    t = trial_new(rng);
    a.dy = trial_normal(t, false, a.type, B * D, 0, 1);
    a.dx = trial_output(t, B * L * D * test_size_of(a.type));
    trial_run(t, pool_bwd, &a, check_pool_bwd, NULL);
    trial_free(&t);
}

static void test_pool(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 3, 0);
    try_pool(&rng, 1, 1, 1, 0, 1);
    try_pool(&rng, 31, 17, 64, 0, 1);   /* class token */
    try_pool(&rng, 31, 17, 64, 1, 16);  /* mean of the rest */
    try_pool(&rng, 3, 50, 1031, 0, 50); /* wider than a chunk */
    for (int i = 0; i < 20; i++) {
        const size_t L = 1 + sl_rng_below(&rng, 40), first = sl_rng_below(&rng, L);
        try_pool(&rng, 1 + sl_rng_below(&rng, 20), L, 1 + sl_rng_below(&rng, 100), first,
                 1 + sl_rng_below(&rng, L - first));
    }
    const struct sl_pool_args none = {.B = 1, .L = 4, .D = 1, .first = 3, .count = 2};
    assert_int_equal(pool_fwd(trial_device(), &none), SL_ERR_ARGUMENT);
}

/* ---- LayerScale ---- */

static sl_status scale_add_fwd(struct sl_device *dev, const void *args)
{
    return dev->ops->scale_add_fwd(dev, args);
}

static sl_status scale_add_bwd(struct sl_device *dev, const void *args)
{
    return dev->ops->scale_add_bwd(dev, args);
}

static void check_scale_add_fwd(const void *args, const void *expected)
{
    const struct sl_scale_add_args *a = args;
    const float *x0 = expected;
    for (size_t i = 0; i < a->rows * a->width; i++) {
        const double step = (double)a->gamma[i % a->width] * test_get(a->y, a->type, i);
        const double exact = (double)x0[i] + step;
        test_near("x", i, (double)a->x[i], exact,
                  test_bound(2, fabs((double)x0[i]) + fabs(step), exact, SL_F32));
    }
}

static void check_scale_add_bwd(const void *args, const void *expected)
{
    const struct sl_scale_add_args *a = args;
    const float *dgamma0 = expected;
    for (size_t i = 0; i < a->rows * a->width; i++) {
        const double exact = (double)a->gamma[i % a->width] * (double)a->dx[i];
        test_near("dy", i, test_get(a->dy, a->type, i), exact,
                  test_bound(1, fabs(exact), exact, a->type));
    }
    for (size_t d = 0; d < a->width; d++) {
        double sum = (double)dgamma0[d], sizes = fabs(sum);
        for (size_t r = 0; r < a->rows; r++) {
            const size_t i = r * a->width + d;
            const double term = (double)a->dx[i] * test_get(a->y, a->type, i);
            sum += term;
            sizes += fabs(term);
        }
        test_near("dgamma", d, (double)a->dgamma[d], sum,
                  test_bound((double)a->rows + 2, sizes, sum, SL_F32));
    }
}

static void try_scale_add(sl_rng *rng, size_t rows, size_t width)
{
    struct trial *t = trial_new(rng);
    struct sl_scale_add_args a = {.rows = rows, .width = width, .type = test_any_type(rng)};
    const size_t n = rows * width;
    a.y = trial_normal(t, false, a.type, n, 0, 1);
    a.gamma = trial_normal(t, false, SL_F32, width, 0, 1);
    a.x = trial_normal(t, true, SL_F32, n, 0, 1);
    float *x0 = test_copy(a.x, n * sizeof(float));
    trial_run(t, scale_add_fwd, &a, check_scale_add_fwd, x0);
    trial_free(&t);
    free(x0);
    t = trial_new(rng);
    a.x = NULL;
    a.y = trial_normal(t, false, a.type, n, 0, 1);
    a.gamma = trial_normal(t, false, SL_F32, width, 0, 1);
    a.dx = trial_normal(t, false, SL_F32, n, 0, 1);
    a.dy = trial_output(t, n * test_size_of(a.type));
    a.dgamma = trial_normal(t, true, SL_F32, width, 0, 1);
    float *dgamma0 = test_copy(a.dgamma, width * sizeof(float));
    trial_run(t, scale_add_bwd, &a, check_scale_add_bwd, dgamma0);
    trial_free(&t);
    free(dgamma0);
}

static void test_scale_add(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 4, 0);
    try_scale_add(&rng, 1, 1);
    try_scale_add(&rng, 1024, 64);
    try_scale_add(&rng, 200, 384);
    for (int i = 0; i < 20; i++)
        try_scale_add(&rng, 1 + sl_rng_below(&rng, 300), 1 + sl_rng_below(&rng, 100));
    print_message("seed %llu\n", (unsigned long long)seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patch),     cmocka_unit_test(test_patch_range),
        cmocka_unit_test(test_embed),     cmocka_unit_test(test_pool),
        cmocka_unit_test(test_scale_add),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
