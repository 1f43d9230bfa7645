/*
 * Decoding of good files against golden pixels, the limits at their edge, and the PNG writer.
 */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/rng.h"
#include "image/image.h"
#include "unit/support_images.h"

static void decode_ok(const struct bytes *b, const char *what, struct sl_image *img)
{
    if (sl_image_decode(b->p, b->n, what, img) != SL_OK)
        fail_msg("%s", sl_error_message());
}

static void expect_data_error(const struct bytes *b, const char *reason)
{
    struct sl_image img = {0};
    assert_int_equal(sl_image_decode(b->p, b->n, "file.x", &img), SL_ERR_DATA);
    if (strncmp(sl_error_message(), "file.x: ", 8) != 0 || !strstr(sl_error_message(), reason))
        fail_msg("wanted '%s', got '%s'", reason, sl_error_message());
    assert_null(img.pixels);
}

/* ---- CMYK is said once; runs first, because the once is the process's ---- */

static int warnings;

static void count_warnings(void *user, sl_log_level level, const char *line)
{
    (void)user;
    if (level == SL_LOG_WARN && strstr(line, "CMYK"))
        warnings++;
}

static void test_cmyk_said_once(void **state)
{
    (void)state;
    struct bytes b = golden_image_bytes("cmyk.jpg");
    struct sl_image img = {0};
    sl_set_log(count_warnings, NULL);
    decode_ok(&b, "a.jpg", &img);
    decode_ok(&b, "b.jpg", &img);
    sl_set_log(NULL, NULL);
    assert_int_equal(warnings, 1);
    sl_image_free(&img);
    bytes_free(&b);
}

/* ---- golden files ---- */

static void test_golden(void **state)
{
    (void)state;
    struct bytes list = golden_image_bytes("list.txt");
    list.p[list.n] = 0;
    struct sl_image img = {0};
    char name[64], rgb_name[80];
    size_t h, w, files = 0;
    int used;
    for (const char *at = (const char *)list.p;
         sscanf(at, "%63s %zu %zu\n%n", name, &h, &w, &used) == 3; at += used, files++) {
        snprintf(rgb_name, sizeof rgb_name, "%s.rgb", name);
        struct bytes b = golden_image_bytes(name), rgb = golden_image_bytes(rgb_name);
        decode_ok(&b, name, &img);
        assert_int_equal(img.h, h);
        assert_int_equal(img.w, w);
        assert_int_equal(rgb.n, h * w * 3);
        for (size_t i = 0; i < rgb.n; i++)
            if (img.pixels[i] != rgb.p[i])
                fail_msg("%s: row %zu, column %zu, channel %zu: %d, expected %d", name, i / (w * 3),
                         i / 3 % w, i % 3, img.pixels[i], rgb.p[i]);
        bytes_free(&b);
        bytes_free(&rgb);
    }
    printf("%zu golden images\n", files);
    assert_int_equal(files, 58);
    sl_image_free(&img);
    bytes_free(&list);
}

static void test_all_16_bit_values(void **state)
{
    (void)state;
    enum { SIDE = 256, ROW = 1 + 2 * SIDE };
    uint8_t *raw = calloc(SIDE, ROW);
    assert_non_null(raw);
    for (size_t v = 0; v < SIDE * SIDE; v++) {
        uint8_t *p = raw + v / SIDE * ROW + 1 + v % SIDE * 2;
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
    }
    struct bytes b = png_make(SIDE, SIDE, 16, 0, raw, SIDE * ROW);
    struct sl_image img = {0};
    decode_ok(&b, "16", &img);
    for (size_t v = 0; v < SIDE * SIDE; v++) {
        /* floor(x + 1/2) of x = 255 v / 65535; half-way values do not occur: 65535 is odd */
        const size_t expected = (2 * 255 * v + 65535) / (2 * 65535);
        for (size_t c = 0; c < 3; c++)
            assert_int_equal(img.pixels[3 * v + c], expected);
    }
    sl_image_free(&img);
    bytes_free(&b);
    free(raw);
}

/* libjpeg-turbo knows the tables that motion JPEG leaves out: the same pixels without them. */
static void test_standard_huffman_tables(void **state)
{
    (void)state;
    struct bytes b = golden_image_bytes("baseline_420.jpg");
    struct bytes rgb = golden_image_bytes("baseline_420.jpg.rgb");
    for (int i = 0; i < 4; i++) {
        const size_t at = jpeg_find(&b, M_DHT, 0);
        bytes_remove(&b, at, jpeg_segment_size(&b, at));
    }
    struct sl_image img = {0};
    decode_ok(&b, "mjpeg", &img);
    assert_memory_equal(img.pixels, rgb.p, rgb.n);
    sl_image_free(&img);
    bytes_free(&b);
    bytes_free(&rgb);
}

/* ---- choice of the decoder ---- */

static void test_dispatch(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        const char *reason;
    } cases[] = {
        {"", 0, "the file is empty"},
        {"\xFF\xD8", 2, "neither a JPEG nor a PNG file; it begins with '\\xFF\\xD8'"},
        {"\x89PNG\r\n\x1A", 7, "neither a JPEG nor a PNG"},
        {"\x89PNG\n\r\x1A\n", 8, "neither a JPEG nor a PNG"},
        {"GIF89a..........", 16, "it begins with 'GIF89a..'"},
        {"BM", 2, "'BM'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct bytes b = {(uint8_t *)(uintptr_t)cases[i].text, cases[i].n};
        expect_data_error(&b, cases[i].reason);
    }
}

/* ---- limits: at the limit, and one above ---- */

static void test_file_limit(void **state)
{
    (void)state;
    struct bytes b = golden_image_bytes("grey.jpg");
    b.p = realloc(b.p, SL_IMAGE_MAX_FILE + 1);
    assert_non_null(b.p);
    memset(b.p + b.n, 0, SL_IMAGE_MAX_FILE + 1 - b.n);
    b.n = SL_IMAGE_MAX_FILE;
    struct sl_image img = {0};
    decode_ok(&b, "tail", &img);
    b.n++;
    expect_data_error(&b, "67108865 bytes is over the limit of 67108864");
    sl_image_free(&img);
    bytes_free(&b);
}

/* A grey 1-bit PNG, all black. */
static struct bytes black_png(uint32_t h, uint32_t w)
{
    const size_t n = (size_t)h * (1 + (w + 7) / 8);
    uint8_t *raw = calloc(n, 1);
    assert_non_null(raw);
    const struct bytes b = png_make(w, h, 1, 0, raw, n);
    free(raw);
    return b;
}

static void test_size_limits(void **state)
{
    (void)state;
    static const struct {
        uint32_t h, w;
        bool good;
    } cases[] = {
        {1, 65535, true},  {65535, 1, true},  {8192, 8192, true}, /* 64 Mpx */
        {1, 65536, false}, {65536, 1, false}, {8193, 8192, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes b = black_png(cases[i].h, cases[i].w);
        struct sl_image img = {0};
        if (cases[i].good) {
            decode_ok(&b, "black", &img);
            assert_int_equal(img.h, cases[i].h);
            assert_int_equal(img.w, cases[i].w);
        } else
            expect_data_error(&b, "limit");
        sl_image_free(&img);
        bytes_free(&b);
    }
}

/* Scans of a small image, and of one so large that the pixels of all scans together are limited:
 * 64 x 4096 x 4096 = 16 x 64 Mpx. */
static void test_scan_limits(void **state)
{
    (void)state;
    static const struct {
        int side;
        size_t scans;
        const char *reason;
    } cases[] = {{16, SL_IMAGE_MAX_SCANS, "501 scans"}, {4096, 64, "65 scans of 4096 x 4096"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct jpeg_options options = {
            .w = cases[i].side, .h = cases[i].side, .components = 3, .separate = 1};
        struct bytes good = jpeg_make(&options), bad = bytes_copy(&good);
        struct sl_image img = {0};
        jpeg_repeat_last_scan(&good, cases[i].scans);
        decode_ok(&good, "scans", &img);
        jpeg_repeat_last_scan(&bad, cases[i].scans + 1);
        expect_data_error(&bad, cases[i].reason);
        sl_image_free(&img);
        bytes_free(&good);
        bytes_free(&bad);
    }
}

/* ---- buffers and the writer ---- */

static void test_buffer(void **state)
{
    (void)state;
    struct sl_image img = {0};
    assert_int_equal(sl_image_resize_buffer(&img, 7, 5), SL_OK);
    const uint8_t *first = img.pixels;
    assert_int_equal(sl_image_resize_buffer(&img, 3, 2), SL_OK);
    assert_ptr_equal(img.pixels, first);
    assert_int_equal(img.h * 10 + img.w, 32);
    sl_alloc_fail_at(1, false);
    assert_int_equal(sl_image_resize_buffer(&img, 70, 50), SL_ERR_MEMORY);
    assert_int_equal(sl_image_resize_buffer(&img, 0, 5), SL_ERR_DATA);
    assert_int_equal(sl_image_resize_buffer(&img, SIZE_MAX, SIZE_MAX), SL_ERR_DATA);
    assert_ptr_equal(img.pixels, first);
    assert_int_equal(img.h * 10 + img.w, 32);
    sl_image_free(&img);
    sl_image_free(&img);
    sl_image_free(NULL);
}

static void test_write_png(void **state)
{
    (void)state;
    char dir[] = "test_image_XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = sl_path_join(dir, "out.png");
    sl_rng rng = sl_rng_at(5, SL_RNG_TEST, 0, 0);
    struct sl_image a = {0}, b = {0};
    static const size_t sizes[][2] = {{1, 1}, {3, 200}, {128, 2}, {64, 64}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(sl_image_resize_buffer(&a, sizes[i][0], sizes[i][1]), SL_OK);
        const size_t n = a.h * a.w * 3;
        for (size_t k = 0; k < n; k++)
            a.pixels[k] = (uint8_t)sl_rng_u32(&rng);
        assert_int_equal(sl_image_write_png(path, &a), SL_OK);
        char *data = NULL;
        size_t size = 0;
        assert_int_equal(sl_read_file(path, 1 << 20, &data, &size), SL_OK);
        assert_int_equal(sl_image_decode(data, size, path, &b), SL_OK);
        assert_int_equal(b.h, a.h);
        assert_int_equal(b.w, a.w);
        assert_memory_equal(a.pixels, b.pixels, n);
        sl_free(data);
    }

    /* A write that fails for lack of memory leaves the former file; the message names the path. */
    const size_t live = sl_alloc_stats_get().live_bytes;
    size_t failures = 0;
    sl_status st = SL_ERR_MEMORY;
    for (size_t i = 1; st != SL_OK; i++) {
        sl_alloc_fail_at(i, false);
        st = sl_image_write_png(path, &b);
        sl_alloc_fail_at(0, false);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        if (st == SL_OK)
            break;
        assert_int_equal(st, SL_ERR_MEMORY);
        assert_true(sl_is_file(path));
        failures++;
    }
    printf("%zu failing allocations while writing PNG\n", failures);
    assert_true(failures >= 5);
    assert_int_equal(sl_image_write_png("no-such-folder/out.png", &b), SL_ERR_CREATE);
    assert_non_null(strstr(sl_error_message(), "no-such-folder"));
    sl_image_free(&a);
    sl_image_free(&b);
    assert_int_equal(sl_remove_tree(dir), SL_OK);
    sl_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cmyk_said_once),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_all_16_bit_values),
        cmocka_unit_test(test_standard_huffman_tables),
        cmocka_unit_test(test_dispatch),
        cmocka_unit_test(test_file_limit),
        cmocka_unit_test(test_size_limits),
        cmocka_unit_test(test_scan_limits),
        cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_write_png),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
