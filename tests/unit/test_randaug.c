/*
 * RandAugment: the table of arguments in both modes, every operation bit for bit against Pillow and
 * NumPy on photographs (tests/golden/make_augment.py), Cutout by brute force, the draw of layers.
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
#include <zlib.h>

#include "image/randaug.h"
#include "unit/support_images.h"
#include "unit/support_pipeline.h"

enum { CASES = 560 }; /* as in tests/golden/make_augment.py */

static const struct sl_randaug_op *find_op(const char *name)
{
    for (size_t i = 0; i < SL_N_RANDAUG_OPS; i++)
        if (strcmp(sl_randaug_ops[i].name, name) == 0)
            return &sl_randaug_ops[i];
    fail_msg("no operation %s", name);
    return NULL;
}

static struct sl_image photograph(const char *name)
{
    char path[64];
    struct sl_image img = {0};
    snprintf(path, sizeof path, "../augment/%s.png", name);
    struct bytes b = golden_image_bytes(path);
    assert_int_equal(sl_image_decode(b.p, b.n, name, &img), SL_OK);
    bytes_free(&b);
    return img;
}

/* Arguments at M = 0, 10, 15, 20: big_vision's table, and Solarize as meant. */
static void test_arguments(void **state)
{
    (void)state;
    static const double magnitudes[4] = {0, 10, 15, 20};
    static const struct {
        const char *name;
        double correct[4], big_vision[4];
    } table[SL_N_RANDAUG_OPS] = {
        {"AutoContrast", {0, 0, 0, 0}, {0, 0, 0, 0}},
        {"Equalize", {0, 0, 0, 0}, {0, 0, 0, 0}},
        {"Invert", {0, 0, 0, 0}, {0, 0, 0, 0}},
        {"Rotate", {0, 30, 45, 60}, {0, 30, 45, 60}},
        {"Posterize", {0, 4, 6, 8}, {0, 4, 6, 8}},
        {"Solarize", {256, 0, 0, 0}, {0, 0, 128, 0}},
        {"SolarizeAdd", {0, 110, 165, 220}, {0, 110, 165, 220}},
        {"Color", {0.1, 1.9, 2.8, 3.7}, {0.1, 1.9, 2.8, 3.7}},
        {"Contrast", {0.1, 1.9, 2.8, 3.7}, {0.1, 1.9, 2.8, 3.7}},
        {"Brightness", {0.1, 1.9, 2.8, 3.7}, {0.1, 1.9, 2.8, 3.7}},
        {"Sharpness", {0.1, 1.9, 2.8, 3.7}, {0.1, 1.9, 2.8, 3.7}},
        {"ShearX", {0, 0.3, 0.45, 0.6}, {0, 0.3, 0.45, 0.6}},
        {"ShearY", {0, 0.3, 0.45, 0.6}, {0, 0.3, 0.45, 0.6}},
        {"TranslateX", {0, 100, 150, 200}, {0, 100, 150, 200}},
        {"TranslateY", {0, 100, 150, 200}, {0, 100, 150, 200}},
        {"Cutout", {0, 40, 60, 80}, {0, 40, 60, 80}},
    };
    for (size_t i = 0; i < SL_N_RANDAUG_OPS; i++) {
        const struct sl_randaug_op *op = find_op(table[i].name);
        for (size_t m = 0; m < 4; m++) {
            const double a = sl_randaug_argument(op, magnitudes[m], SL_COMPAT_NONE);
            const double b = sl_randaug_argument(op, magnitudes[m], SL_COMPAT_BIG_VISION);
            /* a product and a sum in double of numbers below 256 */
            if (fabs(a - table[i].correct[m]) > 1e-13 || fabs(b - table[i].big_vision[m]) > 1e-13)
                fail_msg("%s at %g: %.17g and %.17g", op->name, magnitudes[m], a, b);
        }
    }
    const struct sl_randaug_op *solarize = find_op("Solarize");
    assert_true(sl_randaug_argument(solarize, 5, SL_COMPAT_NONE) == 128);
    assert_true(sl_randaug_argument(solarize, 9, SL_COMPAT_BIG_VISION) == 230);
    assert_true(sl_randaug_argument(solarize, 30, SL_COMPAT_NONE) == 0);
}

static void test_golden(void **state)
{
    (void)state;
    struct bytes text = golden_image_bytes("../augment/randaug.txt");
    text.p[text.n] = 0;
    struct sl_image photos[2] = {photograph("china"), photograph("flower")}, out = {0};
    const char *at = (const char *)text.p;
    char photo[16], name[16], mode[16];
    double magnitude, sign;
    unsigned long crc;
    size_t n = 0, wrong = 0;
    for (int used = 0; sscanf(at, "%15s %15s %lf %15s %lf %lx\n%n", photo, name, &magnitude, mode,
                              &sign, &crc, &used) == 6;
         at += used, n++) {
        const struct sl_image *in = &photos[strcmp(photo, "flower") == 0];
        const struct sl_randaug_op *op = find_op(name);
        const enum sl_compat compat =
            strcmp(mode, "none") == 0 ? SL_COMPAT_NONE : SL_COMPAT_BIG_VISION;
        const struct sl_randaug_call call = {
            .argument = sign * sl_randaug_argument(op, magnitude, compat), .compat = compat};
        assert_int_equal(sl_image_resize_buffer(&out, in->h, in->w), SL_OK);
        op->run(&call, in, &out);
        if (crc32(0, out.pixels, (uInt)(in->h * in->w * 3)) != crc) {
            print_message("%s %s %g %s %g\n", photo, name, magnitude, mode, sign);
            wrong++;
        }
    }
    assert_int_equal(n, CASES);
    assert_int_equal(wrong, 0);
    printf("%zu cases of RandAugment\n", n);
    bytes_free(&text);
    sl_image_free(&photos[0]);
    sl_image_free(&photos[1]);
    sl_image_free(&out);
}

/* Images too small for a border, flat ones, and more pixels than values. */
static void test_edges(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{1, 1}, {1, 5}, {2, 2}, {3, 1}, {300, 300}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct sl_image in = image_noise(sizes[s][0], sizes[s][1]), out = {0};
        const size_t bytes = in.h * in.w * 3;
        assert_int_equal(sl_image_resize_buffer(&out, in.h, in.w), SL_OK);
        for (int flat = 0; flat < 2; flat++) {
            if (flat)
                memset(in.pixels, 90, bytes);
            for (size_t i = 0; i < SL_N_RANDAUG_OPS; i++) {
                sl_rng rng = rng_address(i);
                const struct sl_randaug_call call = {
                    .argument = sl_randaug_argument(&sl_randaug_ops[i], 5, SL_COMPAT_NONE),
                    .compat = SL_COMPAT_NONE,
                    .rng = &rng};
                sl_randaug_ops[i].run(&call, &in, &out);
                /* One colour has no contrast to stretch, and no values to spread; M = 5 is the
                 * blend t = 1, the image itself. */
                const char *name = sl_randaug_ops[i].name;
                const bool kept =
                    strcmp(name, "Color") == 0 || strcmp(name, "Contrast") == 0 ||
                    strcmp(name, "Sharpness") == 0 || strcmp(name, "Brightness") == 0 ||
                    (flat && (strcmp(name, "AutoContrast") == 0 || strcmp(name, "Equalize") == 0));
                if (kept)
                    assert_memory_equal(out.pixels, in.pixels, bytes);
            }
        }
        sl_image_free(&in);
        sl_image_free(&out);
    }
}

/* The box around a uniform centre, clipped, pixel by pixel; every centre occurs. */
static void test_cutout(void **state)
{
    (void)state;
    enum { H = 9, W = 12, HALF = 3, N = 3000 };
    struct sl_image in = image_noise(H, W), out = {0};
    bool seen[H][W] = {{false}};
    size_t distinct = 0;
    assert_int_equal(sl_image_resize_buffer(&out, H, W), SL_OK);
    for (uint64_t i = 0; i < N; i++) {
        sl_rng rng = rng_address(i), copy = rng;
        const struct sl_randaug_call call = {HALF, SL_COMPAT_NONE, &rng};
        const int y = (int)sl_rng_below(&copy, H), x = (int)sl_rng_below(&copy, W);
        find_op("Cutout")->run(&call, &in, &out);
        for (int r = 0; r < H; r++)
            for (int c = 0; c < W; c++) {
                const bool cut = r >= y - HALF && r < y + HALF && c >= x - HALF && c < x + HALF;
                for (int k = 0; k < 3; k++) {
                    const int at = (r * W + c) * 3 + k;
                    assert_int_equal(out.pixels[at], cut ? 128 : in.pixels[at]);
                }
            }
        distinct += !seen[y][x];
        seen[y][x] = true;
    }
    assert_int_equal(distinct,
                     H * W); /* one is missed with probability 108 (107/108)^3000 < 1e-9 */
    sl_image_free(&in);
    sl_image_free(&out);
}

/* A layer is one of the 16 operations, each as often, with either sign as often. At M = 3 with
 * big_vision's Solarize all results differ; Cutout is what none of the others is. */
static void test_layers(void **state)
{
    (void)state;
    enum { N = 8000, OUTCOMES = 2 * SL_N_RANDAUG_OPS };
    struct sl_image in = photograph("china"), out = {0}, made[OUTCOMES] = {{0}};
    const size_t bytes = in.h * in.w * 3;
    int counts[OUTCOMES] = {0};
    for (size_t k = 0; k < OUTCOMES; k++) {
        const struct sl_randaug_op *op = &sl_randaug_ops[k / 2];
        const double x = sl_randaug_argument(op, 3, SL_COMPAT_BIG_VISION);
        const struct sl_randaug_call call = {.argument = k % 2 ? -x : x,
                                             .compat = SL_COMPAT_BIG_VISION};
        const bool possible = k % 2 == 0 || op->form == SL_RANDAUG_SIGNED;
        if (!possible || strcmp(op->name, "Cutout") == 0)
            continue;
        assert_int_equal(sl_image_resize_buffer(&made[k], in.h, in.w), SL_OK);
        op->run(&call, &in, &made[k]);
    }
    for (uint64_t i = 0; i < N; i++) {
        sl_rng rng = rng_address(i);
        size_t found = OUTCOMES - 2; /* Cutout, the last of the table */
        assert_int_equal(sl_randaug_layer(3, SL_COMPAT_BIG_VISION, &in, &rng, &out), SL_OK);
        for (size_t k = 0; k < OUTCOMES; k++)
            if (made[k].pixels && memcmp(made[k].pixels, out.pixels, bytes) == 0)
                found = k;
        counts[found]++;
    }
    for (size_t k = 0; k < OUTCOMES; k++) {
        const bool two = sl_randaug_ops[k / 2].form == SL_RANDAUG_SIGNED;
        const double p = two ? 1.0 / 32 : k % 2 ? 0 : 1.0 / 16;
        /* Binomial(N, p): six standard deviations. */
        if (fabs(counts[k] - N * p) > 6 * sqrt(N * p * (1 - p)))
            fail_msg("%s, sign %zu: %d of %d", sl_randaug_ops[k / 2].name, k % 2, counts[k], N);
    }
    for (size_t k = 0; k < OUTCOMES; k++)
        sl_image_free(&made[k]);
    sl_image_free(&in);
    sl_image_free(&out);
}

/* randaug(3, M) is three layers one after the other on one stream of draws. */
static void test_op(void **state)
{
    (void)state;
    struct sl_image in = photograph("flower"), a = {0}, b = {0};
    struct sl_pipeline *p =
        pipeline_compile((const char *const[]){"randaug(3, 10)", NULL}, in.h, in.w);
    uint8_t *dst = malloc(in.h * in.w * 3);
    assert_non_null(dst);
    for (uint64_t i = 0; i < 100; i++) {
        sl_rng rng = rng_address(i);
        pipeline_run(p, &in, i, dst);
        assert_int_equal(sl_randaug_layer(10, SL_COMPAT_NONE, &in, &rng, &a), SL_OK);
        assert_int_equal(sl_randaug_layer(10, SL_COMPAT_NONE, &a, &rng, &b), SL_OK);
        assert_int_equal(sl_randaug_layer(10, SL_COMPAT_NONE, &b, &rng, &a), SL_OK);
        assert_memory_equal(dst, a.pixels, in.h * in.w * 3);
    }
    free(dst);
    sl_pipeline_free(&p);
    sl_image_free(&in);
    sl_image_free(&a);
    sl_image_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments), cmocka_unit_test(test_golden),
        cmocka_unit_test(test_edges),     cmocka_unit_test(test_cutout),
        cmocka_unit_test(test_layers),    cmocka_unit_test(test_op),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
