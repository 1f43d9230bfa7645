/*
 * Resizing: 300 cases bit for bit against Pillow, the edges of the box, constant images, memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/alloc.h"
#include "image/resize.h"
#include "unit/support_images.h"

enum { SOURCE = 48, FULL = 12, CASES = 300 }; /* as in tests/golden/make_images.py */

struct golden_case {
    size_t src_h, src_w;
    struct sl_box box;
    size_t h, w;
    enum sl_filter filter;
    unsigned long crc;
};

static bool read_case(const char **at, struct golden_case *c)
{
    char filter[16];
    int used = 0;
    const int n =
        sscanf(*at, "%zu %zu %lf %lf %lf %lf %zu %zu %15s %lu\n%n", &c->src_h, &c->src_w, &c->box.y,
               &c->box.x, &c->box.h, &c->box.w, &c->h, &c->w, filter, &c->crc, &used);
    c->filter = strcmp(filter, "bicubic") == 0 ? SL_FILTER_BICUBIC : SL_FILTER_BILINEAR;
    *at += used;
    return n == 10;
}

static void compare_pixels(const struct sl_image *img, const uint8_t *expected, size_t number)
{
    for (size_t i = 0; i < img->h * img->w * 3; i++)
        if (img->pixels[i] != expected[i])
            fail_msg("case %zu: row %zu, column %zu, channel %zu: %d, expected %d", number,
                     i / (img->w * 3), i / 3 % img->w, i % 3, img->pixels[i], expected[i]);
}

static void test_golden(void **state)
{
    (void)state;
    struct bytes text = golden_image_bytes("resize_cases.txt");
    text.p[text.n] = 0;
    struct bytes pixels = golden_image_bytes("resize_source.rgb");
    struct bytes full = golden_image_bytes("resize_full.rgb");
    assert_int_equal(pixels.n, SOURCE * SOURCE * 3);
    const struct sl_image source = {.h = SOURCE, .w = SOURCE, .pixels = pixels.p};
    struct sl_image dst = {0};
    struct golden_case c;
    const char *at = (const char *)text.p;
    size_t number = 0, full_at = 0;
    for (; read_case(&at, &c); number++) {
        const struct sl_view view = sl_image_view(&source, 0, 0, c.src_h, c.src_w);
        assert_int_equal(sl_view_resize(&view, &c.box, c.h, c.w, c.filter, &dst), SL_OK);
        assert_int_equal(dst.h, c.h);
        assert_int_equal(dst.w, c.w);
        const size_t n = c.h * c.w * 3;
        if (number < FULL) {
            assert_true(full_at + n <= full.n);
            compare_pixels(&dst, full.p + full_at, number);
            full_at += n;
        }
        if (crc32(0, dst.pixels, (uInt)n) != c.crc)
            fail_msg("case %zu differs from Pillow: %zu x %zu, box %.17g %.17g %.17g %.17g to "
                     "%zu x %zu, filter %d",
                     number, c.src_h, c.src_w, c.box.y, c.box.x, c.box.h, c.box.w, c.h, c.w,
                     c.filter);
    }
    printf("%zu resizes, %zu of them pixel by pixel\n", number, (size_t)FULL);
    assert_int_equal(number, CASES);
    assert_int_equal(full_at, full.n);
    sl_image_free(&dst);
    bytes_free(&text);
    bytes_free(&pixels);
    bytes_free(&full);
}

static struct sl_image constant(size_t h, size_t w, const uint8_t rgb[3])
{
    struct sl_image img = {0};
    assert_int_equal(sl_image_resize_buffer(&img, h, w), SL_OK);
    for (size_t i = 0; i < h * w * 3; i++)
        img.pixels[i] = rgb[i % 3];
    return img;
}

/* Weights of one output sum to 1 within taps * 2^-23, so a constant moves by less than
 * 255 * taps * 2^-23 < 1/2 for the at most 1,000 taps here, and rounds back to itself. */
static void test_constant(void **state)
{
    (void)state;
    static const uint8_t rgb[3] = {0, 255, 77};
    static const size_t sizes[] = {1, 2, 3, 31, 32, 33, 230};
    enum { N = sizeof sizes / sizeof *sizes };
    struct sl_image src = constant(229, 211, rgb), dst = {0};
    for (size_t i = 0; i < N * N * 2; i++) {
        const size_t h = sizes[i / 2 % N], w = sizes[i / 2 / N];
        assert_int_equal(sl_image_resize(&src, 0, 0, 229, 211, h, w, (enum sl_filter)(i % 2), &dst),
                         SL_OK);
        for (size_t k = 0; k < h * w * 3; k++)
            assert_int_equal(dst.pixels[k], rgb[k % 3]);
    }
    sl_image_free(&src);
    sl_image_free(&dst);
}

static void test_bad_boxes(void **state)
{
    (void)state;
    static const uint8_t rgb[3] = {1, 2, 3};
    static const double nan_value = 0.0 / 0.0, huge = 1e300;
    const double boxes[][4] = {{-0.1, 0, 5, 5},      {0, -1, 5, 5},        {0, 0, 0, 5},
                               {0, 0, 5, 0},         {0, 0, -1, 5},        {0, 0, 10.01, 5},
                               {0, 0, 5, 20.01},     {9.5, 0, 1, 5},       {0, 19.5, 1, 1},
                               {nan_value, 0, 5, 5}, {0, 0, nan_value, 5}, {0, 0, huge, 5},
                               {huge, 0, 5, 5},      {0, 0, 5, 1.0 / 0.0}};
    struct sl_image src = constant(10, 20, rgb), dst = {0};
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        const double *b = boxes[i];
        assert_int_equal(
            sl_image_resize(&src, b[0], b[1], b[2], b[3], 4, 4, SL_FILTER_BICUBIC, &dst),
            SL_ERR_ARGUMENT);
        assert_null(dst.pixels);
    }
    assert_int_equal(sl_image_resize(&src, 0, 0, 10, 20, 0, 4, SL_FILTER_BICUBIC, &dst),
                     SL_ERR_DATA);
    assert_int_equal(sl_image_resize(&src, 0, 0, 10, 20, 4, 65536, SL_FILTER_BICUBIC, &dst),
                     SL_ERR_DATA);
    assert_int_equal(sl_image_resize(&src, 0, 0, 10, 20, 9000, 9000, SL_FILTER_BICUBIC, &dst),
                     SL_ERR_DATA);
    assert_null(dst.pixels);
    /* The whole image and its last corner are inside. */
    assert_int_equal(sl_image_resize(&src, 9, 19, 1, 1, 4, 4, SL_FILTER_BICUBIC, &dst), SL_OK);
    assert_int_equal(sl_image_resize(&src, 0, 0, 10, 20, 4, 4, SL_FILTER_BICUBIC, &dst), SL_OK);
    sl_image_free(&src);
    sl_image_free(&dst);
}

/* A box as narrow as a rounding error must not read outside (checked by the sanitizers). */
static void test_tiny_boxes(void **state)
{
    (void)state;
    static const uint8_t rgb[3] = {9, 8, 7};
    struct sl_image src = constant(7, 9, rgb), dst = {0};
    for (double size = 1e-30; size <= 1; size *= 1e3)
        for (int corner = 0; corner < 4; corner++) {
            const double y = corner & 1 ? 7 - size : 0, x = corner & 2 ? 9 - size : 0;
            const double h = 7 - y < size ? 7 - y : size, w = 9 - x < size ? 9 - x : size;
            if (h <= 0 || w <= 0)
                continue; /* the corner swallowed the size */
            assert_int_equal(sl_image_resize(&src, y, x, h, w, 5, 5, SL_FILTER_BICUBIC, &dst),
                             SL_OK);
            assert_int_equal(dst.pixels[74], 7);
        }
    sl_image_free(&src);
    sl_image_free(&dst);
}

static void test_memory(void **state)
{
    (void)state;
    static const uint8_t rgb[3] = {4, 5, 6};
    struct sl_image src = constant(40, 50, rgb), dst = constant(2, 3, rgb);
    const uint8_t *old = dst.pixels;
    sl_alloc_fail_at(1, false);
    assert_int_equal(sl_image_resize(&src, 0, 0, 40, 50, 30, 30, SL_FILTER_BILINEAR, &dst),
                     SL_ERR_MEMORY);
    assert_ptr_equal(dst.pixels, old);
    assert_int_equal(dst.h * 10 + dst.w, 23);
    assert_int_equal(sl_image_resize(&src, 0, 0, 40, 50, 30, 30, SL_FILTER_BILINEAR, &dst), SL_OK);
    const size_t calls = sl_alloc_stats_get().calls;
    for (size_t side = 30; side > 0; side--)
        assert_int_equal(sl_image_resize(&src, 0, 0, 40, 50, side, side, SL_FILTER_BILINEAR, &dst),
                         SL_OK);
    assert_int_equal(sl_alloc_stats_get().calls, calls);
    sl_image_free(&src);
    sl_image_free(&dst);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),    cmocka_unit_test(test_constant),
        cmocka_unit_test(test_bad_boxes), cmocka_unit_test(test_tiny_boxes),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
