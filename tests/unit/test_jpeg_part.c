/*
 * A part of a JPEG decoded alone has the bytes of the same part cut out of the whole image: every
 * sampling that libjpeg can write, every golden file, random rectangles with the borders among
 * them; and damage outside the part is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jpeglib.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "image/image.h"
#include "unit/support_images.h"

enum { SEED = 5, RECTANGLES = 30 };

static struct sl_rectangle choose_given(void *arg, size_t h, size_t w)
{
    const struct sl_rectangle *r = arg;
    assert_true(r->y + r->h <= h && r->x + r->w <= w);
    return *r;
}

/* A stretch of 0 .. n: a third of them touch the beginning, a third the end. */
static void draw_stretch(sl_rng *rng, size_t n, size_t *at, size_t *length)
{
    *length = 1 + (size_t)sl_rng_below(rng, n);
    const size_t left = n - *length;
    const uint64_t kind = sl_rng_below(rng, 3);
    *at = kind == 0 ? 0 : kind == 1 ? left : (size_t)sl_rng_below(rng, left + 1);
}

static void check_part(const struct bytes *b, const struct sl_image *whole, struct sl_rectangle r,
                       const char *what, struct sl_image *img)
{
    const struct sl_part part = {choose_given, &r};
    if (sl_image_decode_part(b->p, b->n, what, &part, img) != SL_OK)
        fail_msg("%s", sl_error_message());
    assert_true(img->h == r.h && img->w == r.w);
    for (size_t y = 0; y < r.h; y++) {
        const uint8_t *wanted = whole->pixels + ((r.y + y) * whole->w + r.x) * 3;
        for (size_t x = 0; x < r.w * 3; x++)
            if (img->pixels[y * r.w * 3 + x] != wanted[x])
                fail_msg("%s, %zu x %zu: part at %zu, %zu of %zu x %zu: byte %zu of row %zu is %d, "
                         "in the whole %d",
                         what, whole->h, whole->w, r.y, r.x, r.h, r.w, x, y,
                         img->pixels[y * r.w * 3 + x], wanted[x]);
    }
}

static void check_parts(const struct bytes *b, const char *what, sl_rng *rng)
{
    struct sl_image whole = {0}, img = {0};
    if (sl_image_decode(b->p, b->n, what, &whole) != SL_OK)
        fail_msg("%s", sl_error_message());
    check_part(b, &whole, (struct sl_rectangle){0, 0, whole.h, whole.w}, what, &img);
    for (int i = 0; i < RECTANGLES; i++) {
        struct sl_rectangle r;
        draw_stretch(rng, whole.h, &r.y, &r.h);
        draw_stretch(rng, whole.w, &r.x, &r.w);
        check_part(b, &whole, r, what, &img);
    }
    sl_image_free(&whole);
    sl_image_free(&img);
}

static void test_golden_files(void **state)
{
    (void)state;
    static const char *const names[] = {
        "baseline_444.jpg",  "baseline_422.jpg",    "baseline_420.jpg",
        "optimized_100.jpg", "low_quality.jpg",     "progressive_420.jpg",
        "grey.jpg",          "progressive_444.jpg", "progressive_grey.jpg",
        "stored_rgb.jpg",    "restart.jpg",         "cmyk.jpg",
        "ycck.jpg",          "after_the_end.jpg",   "one_pixel.jpg",
        "one_row.jpg",       "grey_16.png",         "one_pixel.png"};
    sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 0, 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct bytes b = golden_image_bytes(names[i]);
        check_parts(&b, names[i], &rng);
        bytes_free(&b);
    }
}

/* ---- made files ---- */

struct made {
    int components, h_samp[4], v_samp[4]; /* of each component */
    int restart, progressive, separate;
};

/* Waves with noise on top, so that every block has high frequencies and chroma edges. */
static void fill_row(uint8_t *row, size_t n, size_t y, sl_rng *rng)
{
    for (size_t x = 0; x < n; x++)
        row[x] = (uint8_t)((x * x / 7 + y * y / 5 + x * y / 11 + (sl_rng_u32(rng) & 63)) & 255);
}

static struct bytes make(const struct made *m, size_t h, size_t w, sl_rng *rng)
{
    static const jpeg_scan_info separate[] = {
        {1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};
    static const J_COLOR_SPACE spaces[] = {[1] = JCS_GRAYSCALE, [3] = JCS_RGB, [4] = JCS_CMYK};
    struct jpeg_compress_struct lib;
    struct jpeg_error_mgr errors;
    unsigned char *out = NULL;
    unsigned long n = 0;
    lib.err = jpeg_std_error(&errors);
    jpeg_create_compress(&lib);
    jpeg_mem_dest(&lib, &out, &n);
    lib.image_width = (JDIMENSION)w;
    lib.image_height = (JDIMENSION)h;
    lib.input_components = m->components;
    lib.in_color_space = spaces[m->components];
    jpeg_set_defaults(&lib);
    if (m->components == 4)
        jpeg_set_colorspace(&lib, JCS_YCCK);
    for (int c = 0; c < m->components; c++) {
        lib.comp_info[c].h_samp_factor = m->h_samp[c];
        lib.comp_info[c].v_samp_factor = m->v_samp[c];
    }
    lib.restart_interval = (unsigned)m->restart;
    if (m->progressive)
        jpeg_simple_progression(&lib);
    if (m->separate) {
        lib.scan_info = separate;
        lib.num_scans = 3;
    }
    jpeg_start_compress(&lib, TRUE);
    const size_t row_bytes = w * (size_t)m->components;
    uint8_t *row = malloc(row_bytes);
    assert_non_null(row);
    for (size_t y = 0; y < h; y++) {
        fill_row(row, row_bytes, y, rng);
        jpeg_write_scanlines(&lib, &row, 1);
    }
    jpeg_finish_compress(&lib);
    jpeg_destroy_compress(&lib);
    free(row);
    return (struct bytes){out, n};
}

static const struct made made[] = {
    {3, {1, 1, 1}, {1, 1, 1}, 0, 0, 0},
    {3, {2, 1, 1}, {1, 1, 1}, 0, 0, 0},
    {3, {2, 1, 1}, {2, 1, 1}, 0, 0, 0},
    {3, {1, 1, 1}, {2, 1, 1}, 0, 0, 0},
    {3, {4, 1, 1}, {1, 1, 1}, 0, 0, 0},
    {3, {4, 1, 1}, {2, 1, 1}, 0, 0, 0},
    {3, {2, 1, 1}, {4, 1, 1}, 0, 0, 0},
    {3, {3, 1, 1}, {1, 1, 1}, 0, 0, 0},
    {3, {1, 1, 1}, {3, 1, 1}, 0, 0, 0},
    {3, {2, 2, 1}, {2, 1, 2}, 0, 0, 0},
    {3, {1, 2, 2}, {1, 2, 2}, 0, 0, 0},
    {3, {2, 2, 2}, {1, 1, 1}, 0, 0, 0},
    {1, {1}, {1}, 0, 0, 0},
    {1, {2}, {2}, 0, 0, 0},
    {4, {1, 1, 1, 1}, {1, 1, 1, 1}, 0, 0, 0},
    {4, {2, 1, 1, 2}, {2, 1, 1, 2}, 0, 0, 0},
    {3, {2, 1, 1}, {2, 1, 1}, 3, 0, 0},
    {3, {2, 1, 1}, {1, 1, 1}, 1, 0, 0},
    {3, {2, 1, 1}, {2, 1, 1}, 0, 1, 0},
    {3, {1, 1, 1}, {1, 1, 1}, 0, 1, 0},
    {3, {2, 1, 1}, {2, 1, 1}, 0, 0, 1},
    {3, {2, 1, 1}, {1, 1, 1}, 5, 0, 1},
};
enum { MADE = sizeof made / sizeof *made, SIZES = 12 };

static void test_samplings(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 1, 0);
    for (size_t i = 0; i < MADE; i++)
        for (size_t k = 0; k < SIZES; k++) {
            /* the last ones are large enough that rows of blocks are passed over */
            const size_t most = k < SIZES / 2 ? 70 : 240;
            const size_t h = 1 + (size_t)sl_rng_below(&rng, most);
            const size_t w = 1 + (size_t)sl_rng_below(&rng, most);
            struct bytes b = make(&made[i], h, w, &rng);
            char what[64];
            snprintf(what, sizeof what, "sampling %zu", i);
            check_parts(&b, what, &rng);
            free(b.p);
        }
}

/* ---- damage outside the part ---- */

/* Cut at every 61st byte behind the header: never decoded, wherever the part lies. */
static void test_damage_outside(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 2, 0);
    struct bytes b = make(&made[2], 200, 200, &rng);
    struct sl_rectangle parts[] = {{0, 0, 8, 8}, {90, 90, 10, 10}, {150, 0, 50, 20}};
    const size_t start = jpeg_find(&b, M_SOS, 0) + 20;
    size_t cuts = 0;
    for (size_t n = start; n < b.n - 2; n += 61, cuts++)
        for (size_t i = 0; i < 3; i++) {
            const struct sl_part part = {choose_given, &parts[i]};
            struct sl_image img = {0};
            assert_int_equal(sl_image_decode_part(b.p, n, "cut", &part, &img), SL_ERR_DATA);
            sl_image_free(&img);
        }
    assert_true(cuts > 100);
    free(b.p);
}

/* The buffer is kept from image to image. */
static void test_no_allocation(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 3, 0);
    struct bytes b = make(&made[2], 120, 160, &rng);
    struct sl_rectangle r = {10, 10, 80, 90}, smaller = {40, 3, 20, 90};
    struct sl_image img = {0};
    const struct sl_part first = {choose_given, &r}, second = {choose_given, &smaller};
    assert_int_equal(sl_image_decode_part(b.p, b.n, "a", &first, &img), SL_OK);
    const size_t before = sl_alloc_stats_get().calls;
    assert_int_equal(sl_image_decode_part(b.p, b.n, "a", &second, &img), SL_OK);
    assert_int_equal(sl_image_decode_part(b.p, b.n, "a", &first, &img), SL_OK);
    assert_int_equal(sl_alloc_stats_get().calls, before);
    sl_image_free(&img);
    free(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_files),
        cmocka_unit_test(test_samplings),
        cmocka_unit_test(test_damage_outside),
        cmocka_unit_test(test_no_allocation),
    };
    print_message("seed %d, %d samplings of %d sizes, %d rectangles each\n", SEED, (int)MADE,
                  (int)SIZES, (int)RECTANGLES);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
