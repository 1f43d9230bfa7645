/*
 * random_resized_crop: every output is the resize of one allowed rectangle by itself.
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

#include "image/resize.h"
#include "unit/support_pipeline.h"

enum { RH = 12, RW = 16, SIDE = 3, OUT = SIDE * SIDE * 3, RECTANGLES = RH * RH * RW * RW };

/* Output of every rectangle of the image, by (y, h - 1, x, w - 1). */
static uint8_t (*all_crops(const struct sl_image *src))[OUT]
{
    uint8_t(*table)[OUT] = calloc(RECTANGLES, OUT);
    assert_non_null(table);
    struct sl_image dst = {0};
    for (size_t k = 0; k < RECTANGLES; k++) {
        const size_t y = k / (RH * RW * RW), h = k / (RW * RW) % RH + 1;
        const size_t x = k / RW % RW, w = k % RW + 1;
        if (y + h > RH || x + w > RW)
            continue;
        const struct sl_view view = sl_image_view(src, y, x, h, w);
        const struct sl_box whole = {0, 0, (double)h, (double)w};
        assert_int_equal(sl_view_resize(&view, &whole, SIDE, SIDE, SL_FILTER_BILINEAR, &dst),
                         SL_OK);
        memcpy(table[k], dst.pixels, OUT);
    }
    sl_image_free(&dst);
    return table;
}

static size_t find_crop(uint8_t (*table)[OUT], const uint8_t *dst)
{
    for (size_t k = 0; k < RECTANGLES; k++)
        if (memcmp(table[k], dst, OUT) == 0)
            return k;
    fail_msg("the output is no crop of the image");
    return 0;
}

/* Every output is the resize of a rectangle by itself; its area and aspect are allowed up to the
 * rounding of its sides by 1/2; all places occur; area and log-aspect have the mean of their
 * distributions. */
static void test_random_resized_crop(void **state)
{
    (void)state;
    enum { N = 4000 };
    struct sl_image src = image_noise(RH, RW);
    uint8_t(*table)[OUT] = all_crops(&src);
    struct sl_pipeline *p =
        pipeline_compile((const char *const[]){"random_resized_crop(3,0.1,0.3)", NULL}, SIDE, SIDE);
    const double whole = RH * RW;
    double area_sum = 0, log_sum = 0;
    bool at_top = false, at_bottom = false, at_left = false, at_right = false;
    for (uint64_t i = 0; i < N; i++) {
        uint8_t dst[OUT];
        pipeline_run(p, &src, i, dst);
        const size_t k = find_crop(table, dst);
        const size_t y = k / (RH * RW * RW), rows = k / (RW * RW) % RH + 1;
        const size_t x = k / RW % RW, columns = k % RW + 1;
        const double h = (double)rows, w = (double)columns;
        assert_true((h - 0.5) * (w - 0.5) <= 0.3 * whole && (h + 0.5) * (w + 0.5) >= 0.1 * whole);
        assert_true((w - 0.5) / (h + 0.5) <= 4.0 / 3 && (w + 0.5) / (h - 0.5) >= 3.0 / 4);
        at_top |= y == 0;
        at_left |= x == 0;
        at_bottom |= y + rows == RH;
        at_right |= x + columns == RW;
        area_sum += h * w / whole;
        log_sum += log(w / h);
    }
    assert_true(at_top && at_bottom && at_left && at_right);
    printf("%d crops: mean area %.4f, mean log aspect %.4f\n", N, area_sum / N, log_sum / N);
    /* Area uniform in 0.1..0.3: standard deviation 0.2/sqrt(12 N) = 0.0009 of the mean, six of them
     * 0.0055. Rounding adds errors of at most 1/2 to sides of 4 to 9 pixels, nearly uncorrelated
     * with zero mean: below 0.005. Log aspect uniform in +-log(4/3) and symmetric, also after
     * rounding; 2 log(4/3)/sqrt(12 N) = 0.0026, with the rounding's own spread 0.1/sqrt(N) = 0.0016
     * together 0.0031, six of them 0.0184; an aspect uniform by itself would give 0.027. */
    assert_true(fabs(area_sum / N - 0.2) < 0.0055 + 0.005);
    assert_true(fabs(log_sum / N) < 0.0184);
    free(table);
    sl_pipeline_free(&p);
    sl_image_free(&src);
}

/* Where no try fits, the largest central rectangle of an allowed aspect is taken. */
static void test_random_resized_crop_fallback(void **state)
{
    (void)state;
    static const struct {
        size_t h, w, y, x, crop_h, crop_w;
    } cases[] = {
        {4, 40, 0, 17, 4, 5}, /* 4 * 4/3 = 5.33 */
        {40, 5, 16, 0, 7, 5}, /* 5 / (3/4) = 6.67 */
        {90, 6, 41, 0, 8, 6},
    };
    struct sl_pipeline *p = pipeline_compile(
        (const char *const[]){"random_resized_crop(3,0.9,1,bicubic)", NULL}, SIDE, SIDE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_image src = image_noise(cases[i].h, cases[i].w), expected = {0};
        const struct sl_view view =
            sl_image_view(&src, cases[i].y, cases[i].x, cases[i].crop_h, cases[i].crop_w);
        const struct sl_box whole = {0, 0, (double)view.h, (double)view.w};
        assert_int_equal(sl_view_resize(&view, &whole, SIDE, SIDE, SL_FILTER_BICUBIC, &expected),
                         SL_OK);
        for (uint64_t k = 0; k < 20; k++) {
            uint8_t dst[OUT];
            pipeline_run(p, &src, k, dst);
            assert_memory_equal(dst, expected.pixels, OUT);
        }
        sl_image_free(&src);
        sl_image_free(&expected);
    }
    sl_pipeline_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_resized_crop),
        cmocka_unit_test(test_random_resized_crop_fallback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
