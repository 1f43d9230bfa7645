/*
 * Input pipelines: every op against a reference made here, texts of errors, independence of
 * everything but the address of the draws.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "image/pipeline.h"
#include "unit/support_pipeline.h"

/* ---- compiling ---- */

static void test_good_strings(void **state)
{
    (void)state;
    static const char *const good[] = {
        "resize(28)",
        " resize ( 28 ) ",
        "resize(28x28)",
        "resize(28,bilinear)",
        "resize(28, bicubic )",
        "resize(bicubic, 28)",
        "random_resized_crop(28)",
        "random_resized_crop(28,0.5)",
        "random_resized_crop(28, 8e-2, 1.0)",
        "random_resized_crop(28,bicubic,0.3,0.3)",
        "pad_crop(4)",
        "pad_crop(1024)",
        "flip_lr",
        "flip_lr()",
        " flip_lr ( ) ",
        "resize_small(28)",
        "central_crop(28)",
        "randaug(2, 10)",
        "randaug(16,0.5)",
        "randaug(1,0)",
        "inception_crop(28)",
        "inception_crop(28, 0.1, tf_area)",
        "resize(28, tf_bilinear)",
        "resize_small(28, tf_area)",
    };
    enum { N = sizeof good / sizeof *good };
    for (size_t i = 0; i < N; i++) {
        struct sl_pipeline *p = pipeline_compile((const char *const[]){good[i], NULL}, 28, 28);
        sl_pipeline_free(&p);
        assert_null(p);
    }
    sl_pipeline_free(&(struct sl_pipeline *){NULL});
    sl_pipeline_free(NULL);
}

static void expect_config_error(const struct sl_pipeline_config *config, const char *reason)
{
    struct sl_pipeline *p = NULL;
    const size_t live = sl_alloc_stats_get().live_bytes;
    assert_int_equal(sl_pipeline_create(config, SL_COMPAT_NONE, 28, 28, &p), SL_ERR_CONFIG);
    if (strncmp(sl_error_message(), "input pipeline", 14) != 0 ||
        !strstr(sl_error_message(), reason))
        fail_msg("wanted '%s', got '%s'", reason, sl_error_message());
    assert_null(p);
    assert_int_equal(sl_alloc_stats_get().live_bytes, live);
}

static void test_bad_strings(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "unknown op ''"},
        {"resiez(28)", "op 1 'resiez(28)': unknown op 'resiez'; did you mean 'resize'?"},
        {"flip_rl", "did you mean 'flip_lr'?"},
        {"random_resize_crop(28)", "did you mean 'random_resized_crop'?"},
        {"zzzzzzzz(3)", "there are resize, resize_small, central_crop"},
        {"RESIZE(28)", "unknown op 'RESIZE'"},
        {"a\x01\xFF", "unknown op 'a\\x01\\xFF'"},
        {"resize", "an argument is missing; write it as resize(size[, filter])"},
        {"resize()", "an argument is missing"},
        {"resize(,28)", "an argument is empty"},
        {"resize(28,)", "an argument is empty"},
        {"resize(28", "')' is missing"},
        {"resize(28))", "text follows the op"},
        {"resize(28) flip_lr", "text follows the op"},
        {"resize(28,28)", "too many arguments; write it as resize(size[, filter])"},
        {"resize(28,bicubic,bilinear)", "too many arguments"},
        {"resize(28,bicubik)", "unknown filter 'bicubik'; did you mean 'bicubic'?"},
        {"resize(28,lanczos)", "unknown filter 'lanczos'"},
        {"resize(0)", "size = 0 is outside 1 .. 65535"},
        {"resize(65536)", "size = 65536 is outside"},
        {"resize(28x0)", "size = 28x0 is outside"},
        {"resize(-28)", "'-28' is not a value for size (pixels, or HEIGHTxWIDTH)"},
        {"resize(28.0)", "'28.0' is not a value for size"},
        {"resize(28x)", "'28x' is not a value for size"},
        {"resize(x28)", "unknown filter 'x28'"},
        {"resize(28x28x28)", "is not a value for size"},
        {"resize(99999999999999999999)", "is not a value for size"},
        {"central_crop(bicubic)", "'bicubic' is not a value for size"},
        {"central_crop(28,bicubic)", "too many arguments"},
        {"resize_small(28x28)", "'28x28' is not a value for side (a whole number)"},
        {"pad_crop", "an argument is missing; write it as pad_crop(pad)"},
        {"pad_crop(0)", "pad = 0 is outside 1 .. 1024"},
        {"pad_crop(1025)", "pad = 1025 is outside 1 .. 1024"},
        {"pad_crop(4.5)", "not a value for pad"},
        {"flip_lr(1)", "too many arguments; write it as flip_lr"},
        {"randaug(2)", "an argument is missing; write it as randaug(layers, magnitude)"},
        {"randaug(0,10)", "layers = 0 is outside 1 .. 16"},
        {"randaug(2,31)", "magnitude = 31 is outside 0 .. 30"},
        {"randaug(1.5,3)", "'1.5' is not a value for layers (a whole number)"},
        {"value_range(-1, 1)", "value_range is no op here: the range of values is data.value_min"},
        {"decode_jpeg_and_inception_crop(28)", "write inception_crop"},
        {"inception_crop(28,0.5,0.4)", "min_area 0.5 is larger than max_area 0.4"},
        {"random_resized_crop(28,0)", "min_area = 0 is outside 1e-06 .. 1"},
        {"random_resized_crop(28,0.1,1.01)", "max_area = 1.01 is outside"},
        {"random_resized_crop(28,0.5,0.4)", "min_area 0.5 is larger than max_area 0.4"},
        {"random_resized_crop(28,0.1,0.2,0.3)", "too many arguments"},
        {"random_resized_crop(28,1e999)", "'1e999' is not a value for min_area (a number)"},
        {"random_resized_crop(28,0x1p-2)", "is not a value for min_area"},
        {"random_resized_crop(28,.)", "is not a value for min_area"},
        {"resize(30)", "ends with images of 30 x 30 pixels; the model takes 28 x 28"},
        {"resize(28x29)", "ends with images of 28 x 29 pixels"},
    };
    enum { N = sizeof bad / sizeof *bad };
    for (size_t i = 0; i < N; i++) {
        const struct sl_pipeline_config config =
            pipeline_config_of((const char *const[]){bad[i][0], NULL});
        expect_config_error(&config, bad[i][1]);
    }
    printf("%d bad op strings\n", N);
    const struct sl_pipeline_config second =
        pipeline_config_of((const char *const[]){"flip_lr", "pad_crop(x)", NULL});
    expect_config_error(&second, "op 2 'pad_crop(x)': pad_crop: 'x' is not a value");
    const struct sl_pipeline_config small = pipeline_config_of(
        (const char *const[]){"resize(20)", "flip_lr", "central_crop(28)", NULL});
    expect_config_error(&small, "central_crop(28x28) comes after an op that leaves 20 x 20");
    struct sl_pipeline_config many = {.n = SL_OPS_MAX + 1};
    expect_config_error(&many, "17 ops; at most 16");
}

static void test_help_names_every_op(void **state)
{
    (void)state;
    char *text = NULL;
    assert_int_equal(sl_pipeline_help(&text), SL_OK);
    for (size_t i = 0; i < SL_N_OPS; i++) {
        assert_non_null(strstr(text, sl_ops[i].name));
        assert_non_null(strstr(text, sl_ops[i].help));
    }
    assert_non_null(
        strstr(text, "tf_bilinear, tf_area (default bilinear, but tf_bilinear in inception_crop)"));
    sl_free(text);
}

/* ---- ops ---- */

static void test_empty_pipeline_copies(void **state)
{
    (void)state;
    struct sl_pipeline *p = pipeline_compile((const char *const[]){NULL}, 5, 7);
    struct sl_image src = image_noise(5, 7), other = image_noise(7, 5), work[2] = {{0}};
    uint8_t dst[5 * 7 * 3] = {0};
    pipeline_run(p, &src, 0, dst);
    assert_memory_equal(dst, src.pixels, sizeof dst);
    sl_rng rng = rng_address(0);
    assert_int_equal(sl_pipeline_run(p, &other, &rng, work, dst), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "image of 7 x 5 pixels; the model takes 5 x 7"));
    assert_memory_equal(dst, src.pixels, sizeof dst);
    sl_image_free(&src);
    sl_image_free(&other);
    sl_pipeline_free(&p);
}

static void test_resize(void **state)
{
    (void)state;
    struct sl_image src = image_noise(21, 34), expected = {0};
    uint8_t dst[9 * 16 * 3];
    static const char *const ops[] = {"resize(9x16)", "resize(9x16,bicubic)"};
    for (int f = 0; f < 2; f++) {
        struct sl_pipeline *p = pipeline_compile((const char *const[]){ops[f], NULL}, 9, 16);
        assert_int_equal(sl_image_resize(&src, 0, 0, 21, 34, 9, 16, (enum sl_filter)f, &expected),
                         SL_OK);
        pipeline_run(p, &src, 0, dst);
        assert_memory_equal(dst, expected.pixels, sizeof dst);
        sl_pipeline_free(&p);
    }
    sl_image_free(&src);
    sl_image_free(&expected);
}

/* Sizes by resize_small: the shorter side exact, the longer rounded half to even. */
static void test_resize_small(void **state)
{
    (void)state;
    static const struct {
        size_t h, w;
        const char *op;
        size_t out_h, out_w;
    } cases[] = {
        {30, 47, "resize_small(20)", 20, 31}, {47, 30, "resize_small(20)", 31, 20},
        {4, 5, "resize_small(2)", 2, 2},      {4, 7, "resize_small(2)", 2, 4},
        {10, 10, "resize_small(33)", 33, 33}, {3, 7, "resize_small(7,bicubic)", 7, 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_image src = image_noise(cases[i].h, cases[i].w);
        uint8_t dst[33 * 33 * 3];
        struct sl_pipeline *p = pipeline_compile((const char *const[]){cases[i].op, NULL},
                                                 cases[i].out_h, cases[i].out_w);
        pipeline_run(p, &src, 0, dst);
        sl_pipeline_free(&p);
        sl_image_free(&src);
    }
    /* One that would be 1,000,000 pixels wide. */
    struct sl_pipeline *p =
        pipeline_compile((const char *const[]){"resize_small(100)", NULL}, 28, 28);
    struct sl_image strip = image_noise(1, 10000), work[2] = {{0}};
    sl_rng rng = rng_address(0);
    uint8_t dst[28 * 28 * 3];
    assert_int_equal(sl_pipeline_run(p, &strip, &rng, work, dst), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "100 x 1000000 pixels is over the limit"));
    sl_pipeline_free(&p);
    sl_image_free(&strip);
}

static void test_central_crop(void **state)
{
    (void)state;
    enum { H = 9, W = 14, OH = 4, OW = 7 };
    struct sl_image src = image_noise(H, W), small = image_noise(3, 14), work[2] = {{0}};
    uint8_t dst[OH * OW * 3];
    struct sl_pipeline *p =
        pipeline_compile((const char *const[]){"central_crop(4x7)", NULL}, OH, OW);
    pipeline_run(p, &src, 0, dst);
    for (size_t y = 0; y < OH; y++) /* floor(5/2) = 2 rows and floor(7/2) = 3 columns go first */
        assert_memory_equal(dst + y * OW * 3, src.pixels + ((y + 2) * W + 3) * 3, OW * 3);
    sl_rng rng = rng_address(0);
    assert_int_equal(sl_pipeline_run(p, &small, &rng, work, dst), SL_ERR_DATA);
    assert_non_null(
        strstr(sl_error_message(), "central_crop(4x7) on an image of 3 x 14 pixels: put a resize"));
    sl_pipeline_free(&p);
    sl_image_free(&src);
    sl_image_free(&small);
}

static void test_flip_lr(void **state)
{
    (void)state;
    enum { H = 3, W = 5, N = 4000 };
    struct sl_image src = image_noise(H, W);
    uint8_t mirror[H * W * 3], dst[H * W * 3];
    for (size_t y = 0; y < H; y++)
        for (size_t x = 0; x < W; x++)
            memcpy(mirror + (y * W + x) * 3, src.pixels + (y * W + W - 1 - x) * 3, 3);
    struct sl_pipeline *p = pipeline_compile((const char *const[]){"flip_lr", NULL}, H, W);
    int flips = 0;
    for (uint64_t i = 0; i < N; i++) {
        pipeline_run(p, &src, i, dst);
        if (memcmp(dst, mirror, sizeof dst) == 0)
            flips++;
        else
            assert_memory_equal(dst, src.pixels, sizeof dst);
    }
    /* Binomial(N, 1/2): six standard deviations are 6 sqrt(N)/2 = 190. */
    printf("%d flips of %d\n", flips, N);
    assert_in_range(flips, N / 2 - 190, N / 2 + 190);
    sl_pipeline_free(&p);
    sl_image_free(&src);
}

static void test_pad_crop(void **state)
{
    (void)state;
    enum { H = 6, W = 8, PAD = 3, PLACES = 2 * PAD + 1, N = 3000 };
    struct sl_image src = image_noise(H, W);
    static uint8_t padded[H + 2 * PAD][W + 2 * PAD][3];
    for (size_t y = 0; y < H; y++)
        memcpy(padded[y + PAD][PAD], src.pixels + y * W * 3, W * 3);
    struct sl_pipeline *p = pipeline_compile((const char *const[]){"pad_crop(3)", NULL}, H, W);
    bool seen[PLACES][PLACES] = {{false}};
    size_t distinct = 0;
    for (uint64_t i = 0; i < N; i++) {
        uint8_t dst[H][W][3];
        size_t matches = 0;
        pipeline_run(p, &src, i, &dst[0][0][0]);
        for (size_t k = 0; k < PLACES * PLACES; k++) {
            const size_t top = k / PLACES, left = k % PLACES;
            size_t same = 0;
            for (size_t y = 0; y < H; y++)
                same += memcmp(dst[y], padded[top + y][left], W * 3) == 0;
            if (same == H) {
                distinct += !seen[top][left];
                seen[top][left] = true;
                matches++;
            }
        }
        assert_int_equal(matches, 1);
    }
    /* A place is missed with probability (48/49)^3000 < 1e-26. */
    printf("%zu of %d places\n", distinct, PLACES * PLACES);
    assert_int_equal(distinct, PLACES * PLACES);
    sl_pipeline_free(&p);
    sl_image_free(&src);
}

/* Padding wider than the image: mostly black, never outside (checked by the sanitizers). */
static void test_pad_crop_beyond(void **state)
{
    (void)state;
    struct sl_image src = image_noise(2, 3);
    struct sl_pipeline *p = pipeline_compile((const char *const[]){"pad_crop(7)", NULL}, 2, 3);
    static const uint8_t black[18];
    int blacks = 0;
    for (uint64_t i = 0; i < 500; i++) {
        uint8_t dst[18];
        pipeline_run(p, &src, i, dst);
        blacks += memcmp(dst, black, sizeof dst) == 0;
    }
    assert_in_range(blacks, 300, 499); /* 1 - (3 * 5)/(15 * 15) of them: 467 expected */
    sl_pipeline_free(&p);
    sl_image_free(&src);
}

/* ---- the whole ---- */

static const char *const chain[] = {"resize_small(30,bicubic)",
                                    "random_resized_crop(24,0.2,0.9)",
                                    "pad_crop(3)",
                                    "flip_lr",
                                    "randaug(2, 1)",
                                    NULL};

/* Same address, same bytes: for another pipeline object, in reverse order, with used work images of
 * other sizes; other addresses give other bytes; src stays as it is. */
static void test_only_the_address_counts(void **state)
{
    (void)state;
    enum { N = 50, BYTES = 24 * 24 * 3 };
    struct sl_image src = image_noise(37, 41), other = image_noise(90, 33), work[2] = {{0}};
    struct sl_image before = image_noise(37, 41);
    struct sl_pipeline *a = pipeline_compile(chain, 24, 24), *b = pipeline_compile(chain, 24, 24);
    static uint8_t first[N][BYTES];
    for (uint64_t i = 0; i < N; i++)
        pipeline_run(a, &src, i, first[i]);
    for (uint64_t i = N; i-- > 0;) {
        uint8_t dst[BYTES];
        sl_rng rng = rng_address(i + 1000);
        assert_int_equal(sl_pipeline_run(b, &other, &rng, work, dst), SL_OK);
        rng = rng_address(i);
        assert_int_equal(sl_pipeline_run(b, &src, &rng, work, dst), SL_OK);
        assert_memory_equal(dst, first[i], BYTES);
        if (i > 0)
            assert_memory_not_equal(first[i], first[i - 1], BYTES);
    }
    assert_memory_equal(src.pixels, before.pixels, 37 * 41 * 3);
    sl_image_free(&src);
    sl_image_free(&before);
    sl_image_free(&other);
    sl_image_free(&work[0]);
    sl_image_free(&work[1]);
    sl_pipeline_free(&a);
    sl_pipeline_free(&b);
}

static void test_memory(void **state)
{
    (void)state;
    struct sl_image src = image_noise(37, 41), work[2] = {{0}};
    const size_t live = sl_alloc_stats_get().live_bytes;
    const struct sl_pipeline_config config = pipeline_config_of(chain);
    struct sl_pipeline *p = NULL;
    sl_alloc_fail_at(1, true);
    assert_int_equal(sl_pipeline_create(&config, SL_COMPAT_NONE, 24, 24, &p), SL_ERR_MEMORY);
    sl_alloc_fail_at(0, false);
    assert_null(p);
    p = pipeline_compile(chain, 24, 24);
    uint8_t dst[24 * 24 * 3];
    size_t failures = 0;
    for (sl_status st = SL_ERR_MEMORY; st != SL_OK; failures += st != SL_OK) {
        sl_rng rng = rng_address(0);
        sl_alloc_fail_at(failures + 1, true);
        st = sl_pipeline_run(p, &src, &rng, work, dst);
        sl_alloc_fail_at(0, false);
        assert_true(st == SL_OK || st == SL_ERR_MEMORY);
        if (st != SL_OK) {
            sl_image_free(&work[0]);
            sl_image_free(&work[1]);
        }
    }
    printf("%zu failing allocations\n", failures);
    assert_in_range(failures, 2, 8);
    /* The tables of a resize grow with the crop, so the work images settle after some samples. */
    for (uint64_t i = 0; i < 400; i++) {
        sl_rng rng = rng_address(i);
        assert_int_equal(sl_pipeline_run(p, &src, &rng, work, dst), SL_OK);
    }
    const size_t calls = sl_alloc_stats_get().calls;
    for (uint64_t i = 0; i < 400; i++) {
        sl_rng rng = rng_address(i);
        assert_int_equal(sl_pipeline_run(p, &src, &rng, work, dst), SL_OK);
    }
    assert_int_equal(sl_alloc_stats_get().calls, calls);
    sl_image_free(&work[0]);
    sl_image_free(&work[1]);
    sl_pipeline_free(&p);
    assert_int_equal(sl_alloc_stats_get().live_bytes, live);
    sl_image_free(&src);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_strings),
        cmocka_unit_test(test_bad_strings),
        cmocka_unit_test(test_help_names_every_op),
        cmocka_unit_test(test_empty_pipeline_copies),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_resize_small),
        cmocka_unit_test(test_central_crop),
        cmocka_unit_test(test_flip_lr),
        cmocka_unit_test(test_pad_crop),
        cmocka_unit_test(test_pad_crop_beyond),
        cmocka_unit_test(test_only_the_address_counts),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
