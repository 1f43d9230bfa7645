/*
 * inception_crop: the distribution of its rectangles against one computed here from TensorFlow's
 * algorithm, and TensorFlow's resizes bit for bit against NumPy (tests/golden/make_augment.py).
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

#include "image/crop.h"
#include "image/resize.h"
#include "unit/support_images.h"
#include "unit/support_pipeline.h"

enum { RESIZES = 40 }; /* as in tests/golden/make_augment.py */

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

static void test_golden_resizes(void **state)
{
    (void)state;
    struct bytes text = golden_image_bytes("../augment/resize_tf.txt");
    text.p[text.n] = 0;
    struct sl_image photos[2] = {photograph("china"), photograph("flower")}, out = {0};
    const char *at = (const char *)text.p;
    char photo[16], filter[16];
    size_t y, x, h, w, oh, ow, n = 0;
    unsigned long crc;
    for (int used = 0; sscanf(at, "%15s %zu %zu %zu %zu %zu %zu %15s %lx\n%n", photo, &y, &x, &h,
                              &w, &oh, &ow, filter, &crc, &used) == 9;
         at += used, n++) {
        const struct sl_image *in = &photos[strcmp(photo, "flower") == 0];
        const struct sl_view view = sl_image_view(in, y, x, h, w);
        const enum sl_filter f =
            strcmp(filter, "tf_area") == 0 ? SL_FILTER_TF_AREA : SL_FILTER_TF_BILINEAR;
        assert_int_equal(sl_view_resize_whole(&view, oh, ow, f, &out), SL_OK);
        assert_int_equal(out.h, oh);
        assert_int_equal(out.w, ow);
        if (crc32(0, out.pixels, (uInt)(oh * ow * 3)) != crc)
            fail_msg("%s: %zu x %zu to %zu x %zu, %s", photo, h, w, oh, ow, filter);
    }
    assert_int_equal(n, RESIZES);
    printf("%zu resizes\n", n);
    assert_int_equal(sl_image_resize(&photos[0], 0, 0, 4, 4, 2, 2, SL_FILTER_TF_AREA, &out),
                     SL_ERR_ARGUMENT);
    bytes_free(&text);
    sl_image_free(&photos[0]);
    sl_image_free(&photos[1]);
    sl_image_free(&out);
}

enum { H = 20, W = 31, GRID = 200000, N = 40000 };

/* P(h, w) of a rectangle, by integrating over the aspect at the middle of GRID stretches. */
static void expected(double least, double (*p)[W + 2])
{
    double accepted = 0;
    for (int i = 0; i < GRID; i++) {
        const double a = 0.75 + 0.58 * (i + 0.5) / GRID;
        int low = (int)rint(sqrt(least * H * W / a)), high = (int)rint(sqrt(H * W / a));
        while (rint(high * a) > W) /* the largest that fits */
            high--;
        high = high < H ? high : H;
        low = low < high ? low : high;
        for (int drawn = low; drawn <= high; drawn++) {
            int h = drawn;
            if (rint(h * a) * h < least * H * W)
                h++;
            if (rint(h * a) * h > H * W)
                h--;
            const int w = (int)rint(h * a);
            if (w * h < least * H * W || w > W || h > H)
                continue;
            p[h][w] += 1.0 / (high - low + 1) / GRID;
            accepted += 1.0 / (high - low + 1) / GRID;
        }
    }
    for (int h = 0; h <= H; h++)
        for (int w = 0; w <= W; w++)
            p[h][w] /= accepted;
}

static void check_distribution(double least)
{
    double p[H + 2][W + 2] = {{0}}, rows = 0, columns = 0;
    int counts[H + 2][W + 2] = {{0}}, free_rows = 0, free_columns = 0, cells = 0;
    expected(least, p);
    for (uint64_t i = 0; i < N; i++) {
        sl_rng rng = rng_address(i);
        const struct sl_rectangle r = sl_crop_inception(H, W, least, 1, &rng);
        assert_true(r.h >= 1 && r.w >= 1 && r.h <= H && r.w <= W);
        counts[r.h][r.w]++;
        assert_true(r.h == H ? r.y == 0 : r.y + r.h < H); /* the last place is never drawn */
        assert_true(r.w == W ? r.x == 0 : r.x + r.w < W);
        if (r.h < H) {
            rows += ((double)r.y + 0.5) / (double)(H - r.h);
            free_rows++;
        }
        if (r.w < W) {
            columns += ((double)r.x + 0.5) / (double)(W - r.w);
            free_columns++;
        }
    }
    /* Binomial(N, p): six standard deviations, and what a stretch at each end of an interval of
     * aspects can add; an interval is cut where h or w rounds, at most twice for a drawn height and
     * for at most three drawn heights. */
    for (int h = 0; h <= H; h++)
        for (int w = 0; w <= W; w++) {
            const double limit = 6 * sqrt(N * p[h][w]) + 12.0 * N / GRID;
            if (fabs(counts[h][w] - N * p[h][w]) > limit)
                fail_msg("%d x %d of at least %g: %d, expected %.1f", h, w, least, counts[h][w],
                         N * p[h][w]);
            cells += p[h][w] > 0;
        }
    /* (y + 1/2) / n of a uniform y in 0 .. n-1 has mean 1/2 and variance below 1/12. */
    assert_true(fabs(rows / free_rows - 0.5) < 6 / sqrt(12.0 * free_rows));
    assert_true(fabs(columns / free_columns - 0.5) < 6 / sqrt(12.0 * free_columns));
    printf("%d rectangles of %d sizes\n", N, cells);
}

static void test_distribution(void **state)
{
    (void)state;
    check_distribution(0.05);
    check_distribution(0.6); /* many tries are rejected */
}

/* Where no rectangle is allowed, the whole image is taken. */
static void test_fallback(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{1, 200}, {300, 4}, {1, 30}};
    for (size_t i = 0; i < 3; i++)
        for (uint64_t k = 0; k < 20; k++) {
            sl_rng rng = rng_address(k);
            const struct sl_rectangle r =
                sl_crop_inception(sizes[i][0], sizes[i][1], 0.05, 1, &rng);
            assert_true(r.y == 0 && r.x == 0 && r.h == sizes[i][0] && r.w == sizes[i][1]);
        }
}

/* The op is a rectangle by its defaults and TensorFlow's bilinear resize of it alone. */
static void test_op(void **state)
{
    (void)state;
    struct sl_image in = photograph("china"), out = {0};
    struct sl_pipeline *p =
        pipeline_compile((const char *const[]){"inception_crop(24)", NULL}, 24, 24);
    for (uint64_t i = 0; i < 100; i++) {
        uint8_t dst[24 * 24 * 3];
        sl_rng rng = rng_address(i);
        const struct sl_rectangle r = sl_crop_inception(in.h, in.w, 0.05, 1, &rng);
        const struct sl_view view = sl_image_view(&in, r.y, r.x, r.h, r.w);
        assert_int_equal(sl_view_resize_whole(&view, 24, 24, SL_FILTER_TF_BILINEAR, &out), SL_OK);
        pipeline_run(p, &in, i, dst);
        assert_memory_equal(dst, out.pixels, sizeof dst);
    }
    sl_pipeline_free(&p);
    sl_image_free(&in);
    sl_image_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_resizes),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_op),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
