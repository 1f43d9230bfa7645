/*
 * Damaged PNG files: every one is refused, with the reason, without a leak, the image untouched.
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

/* ---- one field overwritten, its CRC repaired ---- */

static void test_fields(void **state)
{
    (void)state;
    enum { WIDTH, HEIGHT = 4, DEPTH = 8, TYPE, COMPRESSION, FILTER, INTERLACE };
    static const struct {
        const char *file, *chunk;
        size_t offset, size; /* of the field in the chunk's data */
        uint32_t value;
        const char *reason;
    } fields[] = {
        {"rgb_8.png", "IHDR", WIDTH, 4, 0, "Image width is zero"},
        {"rgb_8.png", "IHDR", WIDTH, 4, 1, "damaged PNG"},
        {"rgb_8.png", "IHDR", WIDTH, 4, 12, "damaged PNG"},
        {"rgb_8.png", "IHDR", WIDTH, 4, 14, "damaged PNG"},
        {"rgb_8.png", "IHDR", WIDTH, 4, 65535, "do not fit into its"},
        {"rgb_8.png", "IHDR", WIDTH, 4, 65536, "Image width exceeds user limit"},
        {"rgb_8.png", "IHDR", WIDTH, 4, 0x7FFFFFFF, "Image width exceeds user limit"},
        {"rgb_8.png", "IHDR", WIDTH, 4, 0x80000000, "PNG unsigned integer out of range"},
        {"rgb_8.png", "IHDR", WIDTH, 4, 0xFFFFFFFF, "PNG unsigned integer out of range"},
        {"rgb_8.png", "IHDR", HEIGHT, 4, 0, "Image height is zero"},
        {"rgb_8.png", "IHDR", HEIGHT, 4, 1, "Too much image data"},
        {"rgb_8.png", "IHDR", HEIGHT, 4, 10, "Too much image data"},
        {"rgb_8.png", "IHDR", HEIGHT, 4, 12, "Not enough image data"},
        {"rgb_8.png", "IHDR", HEIGHT, 4, 65535, "do not fit into its"},
        {"rgb_8.png", "IHDR", HEIGHT, 4, 65536, "Image height exceeds user limit"},
        {"rgb_8.png", "IHDR", HEIGHT, 4, 0x80000000, "PNG unsigned integer out of range"},
        {"rgb_8.png", "IHDR", DEPTH, 1, 0, "bit depth"},
        {"rgb_8.png", "IHDR", DEPTH, 1, 3, "bit depth"},
        {"rgb_8.png", "IHDR", DEPTH, 1, 4, "Invalid color type/bit depth"},
        {"rgb_8.png", "IHDR", DEPTH, 1, 16, "damaged PNG"},
        {"rgb_8.png", "IHDR", DEPTH, 1, 32, "Invalid bit depth"},
        {"rgb_8.png", "IHDR", DEPTH, 1, 255, "Invalid bit depth"},
        {"palette_8.png", "IHDR", DEPTH, 1, 16, "Invalid color type/bit depth"},
        {"palette_8.png", "IHDR", DEPTH, 1, 4, "damaged PNG"},
        {"grey_16.png", "IHDR", DEPTH, 1, 8, "damaged PNG"},
        {"rgb_8.png", "IHDR", TYPE, 1, 0, "damaged PNG"},
        {"rgb_8.png", "IHDR", TYPE, 1, 1, "Invalid color type"},
        {"rgb_8.png", "IHDR", TYPE, 1, 3, "Missing PLTE"},
        {"rgb_8.png", "IHDR", TYPE, 1, 5, "Invalid color type"},
        {"rgb_8.png", "IHDR", TYPE, 1, 6, "damaged PNG"},
        {"rgb_8.png", "IHDR", TYPE, 1, 7, "Invalid color type"},
        {"rgb_8.png", "IHDR", TYPE, 1, 255, "Invalid color type"},
        {"grey_8.png", "IHDR", TYPE, 1, 2, "damaged PNG"},
        {"rgb_8.png", "IHDR", COMPRESSION, 1, 1, "Unknown compression method"},
        {"rgb_8.png", "IHDR", COMPRESSION, 1, 255, "Unknown compression method"},
        {"rgb_8.png", "IHDR", FILTER, 1, 1, "Invalid filter method"},
        {"rgb_8.png", "IHDR", FILTER, 1, 64, "Invalid filter method"},
        {"rgb_8.png", "IHDR", INTERLACE, 1, 1, "damaged PNG"},
        {"rgb_8.png", "IHDR", INTERLACE, 1, 2, "Unknown interlace method"},
        {"rgb_8_interlaced.png", "IHDR", INTERLACE, 1, 0, "damaged PNG"},
        {"rgb_8.png", "IDAT", 0, 1, 0x79, "incorrect header check"},
        {"rgb_8.png", "IDAT", 0, 1, 0x88, "window size"},
        {"rgb_8.png", "IDAT", 0, 2, 0x78F9, "dictionary"},
        {"rgb_8.png", "IDAT", 2, 1, 0x07, "invalid block type"},
    };
    enum { N = sizeof fields / sizeof *fields };
    for (size_t i = 0; i < N; i++) {
        char label[128];
        struct bytes b = golden_image_bytes(fields[i].file);
        const size_t chunk = png_find(&b, fields[i].chunk, 0);
        for (size_t k = 0; k < fields[i].size; k++)
            b.p[chunk + 8 + fields[i].offset + k] =
                (uint8_t)(fields[i].value >> 8 * (fields[i].size - 1 - k));
        png_fix_crc(&b, chunk);
        snprintf(label, sizeof label, "%s: %s byte %zu = %u", fields[i].file, fields[i].chunk,
                 fields[i].offset, fields[i].value);
        expect(&b, label, fields[i].reason);
    }
}

/* ---- chunks missing, repeated, misplaced, of a wrong size ---- */

static struct bytes without(const char *file, const char *type)
{
    struct bytes b = golden_image_bytes(file);
    const size_t at = png_find(&b, type, 0);
    bytes_remove(&b, at, PNG_CHUNK_OVERHEAD + png_data_size(&b, at));
    return b;
}

/* A chunk put before another. */
static struct bytes with(const char *file, const char *before, const char *type, const void *data,
                         size_t n)
{
    struct bytes b = golden_image_bytes(file);
    png_insert(&b, png_find(&b, before, 0), type, data, n);
    return b;
}

static struct bytes with_length(const char *file, const char *type, uint32_t length)
{
    struct bytes b = golden_image_bytes(file);
    const size_t at = png_find(&b, type, 0);
    for (size_t k = 0; k < 4; k++)
        b.p[at + k] = (uint8_t)(length >> (24 - 8 * k));
    return b;
}

static struct bytes with_type(const char *file, const char *type, const char *other)
{
    struct bytes b = golden_image_bytes(file);
    const size_t at = png_find(&b, type, 0);
    memcpy(b.p + at + 4, other, 4);
    png_fix_crc(&b, at);
    return b;
}

static struct bytes with_palette(const void *data, size_t n)
{
    struct bytes b = without("palette_8.png", "PLTE");
    png_insert(&b, png_find(&b, "IDAT", 0), "PLTE", data, n);
    return b;
}

static void test_chunks(void **state)
{
    (void)state;
    static const uint8_t header[13] = {0, 0, 0, 13, 0, 0, 0, 11, 8, 2, 0, 0, 0};
    static const uint8_t colours[257 * 3] = {0};
    const struct {
        const char *label;
        struct bytes b;
        const char *reason;
    } list[] = {
        {"no IHDR", without("rgb_8.png", "IHDR"), "its first chunk is not IHDR"},
        {"no IDAT", without("rgb_8.png", "IDAT"), "IEND: out of place"},
        {"no IEND", without("rgb_8.png", "IEND"), "truncated PNG"},
        {"no PLTE", without("palette_8.png", "PLTE"), "Missing PLTE"},
        {"two IHDR", with("rgb_8.png", "IDAT", "IHDR", header, 13), "damaged PNG"},
        {"IHDR of 12 bytes", with("rgb_8.png", "IHDR", "IHDR", header, 12), "damaged PNG"},
        {"IHDR of 14 bytes", with_length("rgb_8.png", "IHDR", 14), "truncated PNG"},
        {"text before IHDR", with("rgb_8.png", "IHDR", "tEXt", "a\0b", 3),
         "its first chunk is not IHDR"},
        {"two PLTE", with("palette_8.png", "PLTE", "PLTE", colours, 6), "duplicate"},
        {"PLTE of 4 bytes", with_palette(colours, 4), "damaged PNG"},
        {"empty PLTE", with_palette(colours, 0), "damaged PNG"},
        {"PLTE of 257", with_palette(colours, sizeof colours), "damaged PNG"},
        {"PLTE of one colour", with_palette(colours, 3), "the palette has 1 colours"},
        {"PLTE in grey", with("grey_8.png", "IDAT", "PLTE", colours, 6), "ignored in grayscale"},
        {"PLTE after IDAT", with("rgb_8.png", "IEND", "PLTE", colours, 6), "damaged PNG"},
        {"unknown critical", with("rgb_8.png", "IDAT", "ABCD", "x", 1), "unhandled critical"},
        {"unknown critical at the end", with("rgb_8.png", "IEND", "ABCD", "x", 1),
         "unhandled critical"},
        {"type with a digit", with_type("rgb_8.png", "IDAT", "ID4T"), "invalid chunk type"},
        {"type with a zero", with_type("rgb_8.png", "IDAT", "\0DAT"), "invalid chunk type"},
        {"IDAT in lower case", with_type("rgb_8.png", "IDAT", "idat"), "IEND: out of place"},
        {"IDAT one byte longer", with_length("rgb_8.png", "IDAT", 461), "truncated PNG"},
        {"IDAT of 0 bytes", with_length("rgb_8.png", "IDAT", 0), "truncated PNG"},
        {"IDAT of 2^31 - 1", with_length("rgb_8.png", "IDAT", 0x7FFFFFFF), "truncated PNG"},
        {"IDAT of 2^31", with_length("rgb_8.png", "IDAT", 0x80000000), "truncated PNG"},
        {"IDAT of 2^32 - 1", with_length("rgb_8.png", "IDAT", 0xFFFFFFFF), "truncated PNG"},
        {"IHDR of 2^32 - 1", with_length("rgb_8.png", "IHDR", 0xFFFFFFFF), "truncated PNG"},
        {"PLTE of 2^24", with_length("palette_8.png", "PLTE", 1 << 24), "truncated PNG"},
        {"IEND of 1 byte", with_length("rgb_8.png", "IEND", 1), "truncated PNG"},
        {"huge text", with_length("gamma_text.png", "tEXt", 1 << 30), "truncated PNG"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct bytes b = list[i].b;
        expect(&b, list[i].label, list[i].reason);
    }
}

/* ---- image data of a wrong amount or content, well compressed ---- */

static void test_image_data(void **state)
{
    (void)state;
    enum { W = 4, H = 3, ROW = 1 + W }; /* grey, 8 bit */
    uint8_t raw[ROW * (H + 1)] = {0};
    struct bytes b;
    for (size_t n = 0; n <= sizeof raw; n++) {
        b = png_make(W, H, 8, 0, raw, n);
        if (n == ROW * H) {
            assert_int_equal(decode_checked(&b), SL_OK);
            bytes_free(&b);
        } else
            expect(&b, "amount of image data",
                   n < ROW * H ? "Not enough image data" : "Too much image data");
    }
    for (int filter = 5; filter < 256; filter += 50) {
        raw[ROW] = (uint8_t)filter;
        b = png_make(W, H, 8, 0, raw, ROW * H);
        expect(&b, "filter type", "bad adaptive filter value");
    }
    raw[ROW] = 0;
    b = png_make(W, H, 8, 0, raw, ROW * H);
    const size_t idat = png_find(&b, "IDAT", 0), last = idat + 8 + png_data_size(&b, idat) - 1;
    b.p[last] ^= 1; /* the stream's own checksum, under a good CRC */
    png_fix_crc(&b, idat);
    expect(&b, "adler", "incorrect data check");
    b = png_make(W, H, 8, 0, raw, ROW * H);
    png_insert(&b, png_find(&b, "IEND", 0), "IDAT", "rest", 4);
    expect(&b, "bytes after the stream", "more image data after its end");
    b = png_make(W, H, 8, 0, raw, ROW * H);
    png_insert(&b, png_find(&b, "IEND", 0), "tEXt", "a\0b", 3);
    png_insert(&b, png_find(&b, "IEND", 0), "IDAT", "rest", 4);
    expect(&b, "IDAT after another chunk", "image data after another chunk");
}

static void test_palette_index(void **state)
{
    (void)state;
    struct bytes b = golden_image_bytes("palette_of_three.png");
    const size_t plte = png_find(&b, "PLTE", 0);
    bytes_remove(&b, plte, PNG_CHUNK_OVERHEAD + 9);
    png_insert(&b, plte, "PLTE", "abcdef", 6);
    expect(&b, "index", "palette index 2 at row ");
}

/* ---- bombs: refused at once, with little memory ---- */

static void test_bombs(void **state)
{
    (void)state;
    enum { ZEROS = 32 << 20 };
    uint8_t *raw = calloc(ZEROS, 1);
    assert_non_null(raw);
    const size_t before = sl_alloc_stats_get().peak_bytes;
    struct bytes b = png_make(8, 8, 8, 0, raw, ZEROS);
    expect(&b, "32 MiB of zeros in an 8 x 8 image", "Too much image data");
    b = png_make(100000, 100000, 8, 2, raw, 1000);
    expect(&b, "100,000 x 100,000", "exceeds user limit");
    b = png_make(65535, 65535, 16, 6, raw, 1000);
    expect(&b, "65,535 x 65,535", "do not fit into its");
    b = png_make(65535, 1, 16, 6, raw, 400);
    expect(&b, "a row of 512 KiB", "do not fit into its");
    b = png_make(65535, 1025, 1, 0, raw, ZEROS);
    expect(&b, "more than 64 Mpx, well packed", "is over the limit");
    free(raw);
    const size_t peak = sl_alloc_stats_get().peak_bytes;
    printf("peak %zu bytes\n", peak - before);
    assert_true(peak < before + (1 << 20));
}

/* ---- every length, every bit, every allocation ---- */

static const char *const samples[] = {"palette_2_interlaced.png", "rgb_8.png",    "grey_16.png",
                                      "rgba_8_interlaced.png",    "grey_1.png",   "gamma_text.png",
                                      "palette_transparent.png",  "animation.png"};
enum { N_SAMPLES = sizeof samples / sizeof *samples };

static void test_prefixes(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i < N_SAMPLES; i++)
        n += expect_bad_prefixes(samples[i]);
    printf("%zu prefixes\n", n);
    assert_true(n > 2000);
}

/* Each chunk and the stream carry checksums: no flip passes. */
static void test_bit_flips(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        struct bytes b = golden_image_bytes(samples[i]);
        for (size_t bit = 0; bit < 8 * b.n; bit++, n++) {
            b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (decode_checked(&b) != SL_ERR_DATA)
                fail_msg("%s: flip of bit %zu was accepted", samples[i], bit);
            b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        bytes_free(&b);
    }
    printf("%zu flips\n", n);
    assert_true(n > 16000);
}

static void test_allocations(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        const size_t once = fail_allocations(samples[i], false);
        const size_t sticky = fail_allocations(samples[i], true);
        printf("%s: %zu allocations\n", samples[i], once);
        assert_int_equal(once, sticky);
        assert_true(once >= 5);
    }
}

static void test_count(void **state)
{
    (void)state;
    printf("%zu bad PNG files, besides prefixes and flips\n", cases);
    assert_true(cases >= 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bombs), /* first: it reads the highest memory so far */
        cmocka_unit_test(test_fields),      cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_image_data),  cmocka_unit_test(test_palette_index),
        cmocka_unit_test(test_prefixes),    cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_allocations), cmocka_unit_test(test_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
