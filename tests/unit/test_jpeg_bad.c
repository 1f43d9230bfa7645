/*
 * Damaged JPEG files: what libjpeg would paint over is refused with the reason, without a leak, the
 * image untouched. A JPEG has no checksum, so a flipped bit may pass: there only safety is asked.
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
#include "image/image.h"
#include "unit/support_bad_image.h"

static size_t cases;

static void expect(struct bytes *b, const char *label, const char *reason)
{
    expect_bad(b, label, reason);
    bytes_free(b);
    cases++;
}

/* ---- one field of a segment overwritten ---- */

#define BASE "baseline_444.jpg"
#define PROG "progressive_420.jpg"

static void test_fields(void **state)
{
    (void)state;
    /* Offsets in a segment's data, behind its length. Frame: precision 0, height 1, width 3,
     * components 5, then per component id, sampling, table. Scan: components 0, then per component
     * id and tables; in the end first and last coefficient, bits. */
    static const struct {
        const char *file;
        int marker;
        size_t nth, offset, size;
        unsigned value;
        const char *reason;
    } fields[] = {
        {BASE, M_SOF0, 0, 0, 1, 0, "Unsupported JPEG data precision 0"},
        {BASE, M_SOF0, 0, 0, 1, 7, "Unsupported JPEG data precision 7"},
        {BASE, M_SOF0, 0, 0, 1, 12, "Unsupported JPEG data precision 12"},
        {BASE, M_SOF0, 0, 0, 1, 16, "Unsupported JPEG data precision 16"},
        {BASE, M_SOF0, 0, 0, 1, 255, "Unsupported JPEG data precision 255"},
        {BASE, M_SOF0, 0, 1, 2, 0, "Empty JPEG image"},
        {BASE, M_SOF0, 0, 1, 2, 2900, "premature end"},
        {BASE, M_SOF0, 0, 1, 2, 65500, "premature end"},
        {BASE, M_SOF0, 0, 1, 2, 65501, "Maximum supported image dimension is 65500"},
        {BASE, M_SOF0, 0, 1, 2, 65535, "Maximum supported image dimension is 65500"},
        {BASE, M_SOF0, 0, 3, 2, 0, "Empty JPEG image"},
        {BASE, M_SOF0, 0, 3, 2, 3700, "premature end"},
        {BASE, M_SOF0, 0, 3, 2, 65535, "Maximum supported image dimension is 65500"},
        {BASE, M_SOF0, 0, 1, 4, 0xFFDCFFDC, "do not fit into its"},
        {BASE, M_SOF0, 0, 1, 4, 0x20004000, "do not fit into its"},
        {PROG, M_SOF2, 0, 1, 4, 0xFFDCFFDC, "do not fit into its"},
        {PROG, M_SOF2, 0, 1, 2, 2900, "damaged JPEG"},
        {BASE, M_SOF0, 0, 5, 1, 0, "damaged JPEG"},
        {BASE, M_SOF0, 0, 5, 1, 1, "Bogus marker length"},
        {BASE, M_SOF0, 0, 5, 1, 2, "Bogus marker length"},
        {BASE, M_SOF0, 0, 5, 1, 4, "Bogus marker length"},
        {BASE, M_SOF0, 0, 5, 1, 255, "Bogus marker length"},
        {BASE, M_SOF0, 0, 6, 1, 9, "Invalid component ID"},
        {BASE, M_SOF0, 0, 7, 1, 0x00, "Bogus sampling factors"},
        {BASE, M_SOF0, 0, 7, 1, 0x51, "Bogus sampling factors"},
        {BASE, M_SOF0, 0, 7, 1, 0x15, "Bogus sampling factors"},
        {BASE, M_SOF0, 0, 7, 1, 0xFF, "Bogus sampling factors"},
        {BASE, M_SOF0, 0, 7, 1, 0x44, "Sampling factors too large"},
        {BASE, M_SOF0, 0, 8, 1, 3, "Quantization table 0x03 was not defined"},
        {BASE, M_SOF0, 0, 8, 1, 4, "Quantization table 0x04 was not defined"},
        {BASE, M_SOF0, 0, 8, 1, 255, "Quantization table 0xff was not defined"},
        {BASE, M_DHT, 0, 0, 1, 0x04, "Bogus DHT index 4"},
        {BASE, M_DHT, 0, 0, 1, 0xFF, "Bogus DHT index"},
        {BASE, M_DHT, 0, 1, 4, 0xFFFFFFFF, "Bogus Huffman table definition"},
        {BASE, M_DHT, 0, 1, 1, 3, "damaged JPEG"},
        {BASE, M_DHT, 0, 2, 1, 5, "damaged JPEG"},
        {BASE, M_DQT, 0, 0, 1, 4, "Bogus DQT index 4"},
        {BASE, M_DQT, 0, 0, 1, 15, "Bogus DQT index 15"},
        {BASE, M_SOS, 0, 0, 1, 0, "damaged JPEG"},
        {BASE, M_SOS, 0, 0, 1, 2, "Bogus marker length"},
        {BASE, M_SOS, 0, 0, 1, 5, "Bogus marker length"},
        {BASE, M_SOS, 0, 0, 1, 255, "Bogus marker length"},
        {BASE, M_SOS, 0, 1, 1, 77, "Invalid component ID 77"},
        {BASE, M_SOS, 0, 2, 1, 0x44, "Huffman table 0x04 was not defined"},
        {BASE, M_SOS, 0, 2, 1, 0xFF, "Huffman table 0x0f was not defined"},
        {BASE, M_SOS, 0, 2, 1, 0x33, "Huffman table 0x03 was not defined"},
        {PROG, M_SOS, 0, 7, 1, 1, "Invalid progressive parameters"},
        {PROG, M_SOS, 0, 8, 1, 63, "Invalid progressive parameters"},
        {PROG, M_SOS, 0, 9, 1, 0x0E, "Invalid progressive parameters"},
        {PROG, M_SOS, 1, 3, 1, 0, "Invalid progressive parameters"},
        {PROG, M_SOS, 1, 3, 1, 9, "Invalid progressive parameters"},
        {PROG, M_SOS, 1, 4, 1, 64, "Invalid progressive parameters"},
        {PROG, M_SOS, 1, 5, 1, 0x30, "Invalid progressive parameters"},
        {PROG, M_SOS, 1, 5, 1, 0x21, "Inconsistent progression sequence"},
        {PROG, M_SOS, 5, 5, 1, 0x10, "Inconsistent progression sequence"},
        {"restart.jpg", M_DRI, 0, 0, 2, 1, "damaged JPEG"},
        {"restart.jpg", M_DRI, 0, 0, 2, 0, "damaged JPEG"},
        {"restart.jpg", M_DRI, 0, 0, 2, 60000, "damaged JPEG"},
    };
    enum { N = sizeof fields / sizeof *fields };
    for (size_t i = 0; i < N; i++) {
        char label[128];
        struct bytes b = golden_image_bytes(fields[i].file);
        uint8_t *field =
            b.p + jpeg_find(&b, fields[i].marker, fields[i].nth) + 4 + fields[i].offset;
        for (size_t k = 0; k < fields[i].size; k++)
            field[k] = (uint8_t)(fields[i].value >> 8 * (fields[i].size - 1 - k));
        snprintf(label, sizeof label, "%s: marker %02X, byte %zu = %u", fields[i].file,
                 (unsigned)fields[i].marker, fields[i].offset, fields[i].value);
        expect(&b, label, fields[i].reason);
    }
}

/* ---- frame types ---- */

static void test_frame_types(void **state)
{
    (void)state;
    static const uint8_t unsupported[] = {0xC3, 0xC5, 0xC6, 0xC7, 0xC8, 0xCB, 0xCD, 0xCE, 0xCF};
    for (size_t i = 0; i < sizeof unsupported; i++) {
        struct bytes b = golden_image_bytes(BASE);
        b.p[jpeg_find(&b, M_SOF0, 0) + 1] = unsupported[i];
        expect(&b, "frame type", "Unsupported JPEG process");
    }
    const struct jpeg_options options = {.w = 24, .h = 16, .components = 3, .arithmetic = 1};
    struct bytes b = jpeg_make(&options);
    expect(&b, "arithmetic coding", "arithmetic coding is not supported");
    b = golden_image_bytes(PROG);
    b.p[jpeg_find(&b, M_SOF2, 0) + 1] = M_SOF0;
    expect(&b, "progressive called baseline", "damaged JPEG");
    b = golden_image_bytes(BASE);
    b.p[jpeg_find(&b, M_SOF0, 0) + 1] = M_SOF2;
    expect(&b, "baseline called progressive", "Invalid progressive parameters");
    b = golden_image_bytes(BASE); /* extended sequential with 8 bits is the same coding */
    b.p[jpeg_find(&b, M_SOF0, 0) + 1] = 0xC1;
    assert_int_equal(decode_checked(&b), SL_OK);
    bytes_free(&b);
}

/* ---- segments missing, repeated, of a wrong size ---- */

static struct bytes without(const char *file, int marker, size_t nth)
{
    struct bytes b = golden_image_bytes(file);
    const size_t at = jpeg_find(&b, marker, nth);
    bytes_remove(&b, at, jpeg_segment_size(&b, at));
    return b;
}

static struct bytes twice(const char *file, int marker, size_t nth)
{
    struct bytes b = golden_image_bytes(file), copy = bytes_copy(&b);
    const size_t at = jpeg_find(&b, marker, nth);
    bytes_insert(&b, at, copy.p + at, jpeg_segment_size(&copy, at));
    bytes_free(&copy);
    return b;
}

static struct bytes with_length(int marker, unsigned length)
{
    struct bytes b = golden_image_bytes(BASE);
    const size_t at = jpeg_find(&b, marker, 0);
    b.p[at + 2] = (uint8_t)(length >> 8);
    b.p[at + 3] = (uint8_t)length;
    return b;
}

static struct bytes with_bytes_at_scan(const char *file, size_t offset, const void *data, size_t n)
{
    struct bytes b = golden_image_bytes(file);
    bytes_insert(&b, jpeg_find(&b, M_SOS, 0) + offset, data, n);
    return b;
}

/* Changes the restart marker of the coded data to `code`; 0 = removes it. */
static struct bytes with_restart(uint8_t code)
{
    struct bytes b = golden_image_bytes("restart.jpg");
    size_t at = jpeg_find(&b, M_SOS, 0);
    while (b.p[at] != 0xFF || b.p[at + 1] != 0xD0)
        assert_true(++at + 1 < b.n);
    if (code)
        b.p[at + 1] = code;
    else
        bytes_remove(&b, at, 2);
    return b;
}

static void test_segments(void **state)
{
    (void)state;
    const struct {
        const char *label;
        struct bytes b;
        const char *reason;
    } list[] = {
        {"no frame", without(BASE, M_SOF0, 0), "SOS before SOF"},
        {"no scan", without(BASE, M_SOS, 0), "damaged JPEG"},
        {"no end", without(BASE, M_EOI, 0), "truncated JPEG"},
        {"no end, progressive", without(PROG, M_EOI, 0), "truncated JPEG"},
        {"no quantization", without(BASE, M_DQT, 0), "Quantization table 0x00 was not defined"},
        {"no chroma quantization", without(BASE, M_DQT, 1), "Quantization table 0x01"},
        {"no Huffman table", without(PROG, M_DHT, 0), "damaged JPEG"},
        {"no first scan", without(PROG, M_SOS, 0), "Inconsistent progression sequence"},
        {"two frames", twice(BASE, M_SOF0, 0), "Invalid JPEG file structure: two SOF markers"},
        {"two scans", twice(BASE, M_SOS, 0), "Didn't expect more than one scan"},
        {"first scan twice", twice(PROG, M_SOS, 0), "Inconsistent progression sequence"},
        {"frame of 2 bytes", with_length(M_SOF0, 2), "damaged JPEG"},
        {"frame of 0 bytes", with_length(M_SOF0, 0), "damaged JPEG"},
        {"frame one longer", with_length(M_SOF0, 18), "Bogus marker length"},
        {"scan one longer", with_length(M_SOS, 13), "Bogus marker length"},
        {"scan of 0 bytes", with_length(M_SOS, 0), "damaged JPEG"},
        {"tables to the end", with_length(M_DHT, 65535), "damaged JPEG"},
        {"quantization of 3", with_length(M_DQT, 3), "damaged JPEG"},
        {"quantization to the end", with_length(M_DQT, 65535), "damaged JPEG"},
        {"second start", with_bytes_at_scan(BASE, 0, "\xFF\xD8", 2), "two SOI markers"},
        {"end before the scan", with_bytes_at_scan(BASE, 0, "\xFF\xD9", 2), "damaged JPEG"},
        {"end in the scan", with_bytes_at_scan(BASE, 200, "\xFF\xD9", 2), "premature end"},
        {"restart in the scan", with_bytes_at_scan(BASE, 200, "\xFF\xD0", 2), "damaged JPEG"},
        {"reserved marker", with_bytes_at_scan(BASE, 0, "\xFF\x02", 2), "Unsupported marker type"},
        {"restart left out", with_restart(0), "damaged JPEG"},
        {"restart out of order", with_restart(0xD4), "damaged JPEG"},
        {"bad code", with_bytes_at_scan(BASE, 40, "\xFF\0\xFF\0\xFF\0\xFF\0", 8), "damaged JPEG"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct bytes b = list[i].b;
        expect(&b, list[i].label, list[i].reason);
    }
}

/* libjpeg fills a component without data with grey, in silence. */
static void test_missing_component(void **state)
{
    (void)state;
    for (size_t missing = 0; missing < 3; missing++) {
        const struct jpeg_options options = {.w = 40, .h = 20, .components = 3, .separate = 1};
        struct bytes b = jpeg_make(&options);
        assert_int_equal(decode_checked(&b), SL_OK);
        const size_t at = jpeg_find(&b, M_SOS, missing);
        bytes_remove(&b, at, jpeg_segment_size(&b, at));
        expect(&b, "missing component", "a colour component declared in its header has no data");
    }
}

/* ---- limits: test_image.c has those on scans ---- */

static void test_size_limit(void **state)
{
    (void)state;
    /* 40 KB of anything make 72 Mpx plausible; the limit on pixels refuses them. */
    struct bytes b = golden_image_bytes(PROG);
    static const uint8_t size[4] = {0xFF, 0x00, 0x04, 0x4C}; /* 65,280 x 1,100 */
    static uint8_t tail[40000];
    memcpy(b.p + jpeg_find(&b, M_SOF2, 0) + 5, size, 4);
    bytes_insert(&b, b.n, tail, sizeof tail);
    expect(&b, "72 Mpx", "65280 x 1100 pixels is over the limit");
}

/* ---- every length, every bit, every allocation ---- */

static const char *const samples[] = {BASE,       PROG,       "progressive_grey.jpg",
                                      "cmyk.jpg", "grey.jpg", "restart.jpg"};
enum { N_SAMPLES = sizeof samples / sizeof *samples };

static void test_prefixes(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i < N_SAMPLES; i++)
        n += expect_bad_prefixes(samples[i]);
    printf("%zu prefixes\n", n);
    assert_true(n > 5000);
}

static void test_bit_flips(void **state)
{
    (void)state;
    size_t n = 0, refused = 0;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        struct bytes b = golden_image_bytes(samples[i]);
        for (size_t bit = 0; bit < 8 * b.n; bit++, n++) {
            b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            const sl_status st = decode_checked(&b);
            assert_true(st == SL_OK || st == SL_ERR_DATA);
            refused += st != SL_OK;
            b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        bytes_free(&b);
    }
    printf("%zu flips, %zu refused\n", n, refused);
    assert_true(n > 40000 && refused > n / 10);
}

static void test_allocations(void **state)
{
    (void)state;
    /* libjpeg's own memory is malloc's; ours are the pixels. */
    assert_int_equal(fail_allocations(BASE, false), 1);
    assert_int_equal(fail_allocations(PROG, true), 1);
    assert_int_equal(fail_allocations("cmyk.jpg", false), 1);
    assert_int_equal(fail_allocations("ycck.jpg", true), 1);
}

static void test_count(void **state)
{
    (void)state;
    printf("%zu bad JPEG files, besides prefixes and flips\n", cases);
    assert_true(cases >= 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),     cmocka_unit_test(test_frame_types),
        cmocka_unit_test(test_segments),   cmocka_unit_test(test_missing_component),
        cmocka_unit_test(test_size_limit), cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_bit_flips),  cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
