/*
 * See support_images.h.
 */
#include "unit/support_images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jpeglib.h>
#include <zlib.h>

static void *need(void *p)
{
    assert_non_null(p);
    return p;
}

struct bytes golden_image_bytes(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/golden/images/%s", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("missing golden file %s", path);
    struct bytes b = {need(malloc(1 << 20)), 0};
    b.n = fread(b.p, 1, 1 << 20, f);
    fclose(f);
    assert_true(b.n > 0 && b.n < 1 << 20);
    return b;
}

struct bytes bytes_copy(const struct bytes *b)
{
    struct bytes copy = {need(malloc(b->n + 1)), b->n};
    memcpy(copy.p, b->p, b->n);
    return copy;
}

void bytes_insert(struct bytes *b, size_t at, const void *data, size_t n)
{
    assert_true(at <= b->n);
    b->p = need(realloc(b->p, b->n + n + 1));
    memmove(b->p + at + n, b->p + at, b->n - at);
    memcpy(b->p + at, data, n);
    b->n += n;
}

void bytes_remove(struct bytes *b, size_t at, size_t n)
{
    assert_true(at <= b->n && n <= b->n - at);
    memmove(b->p + at, b->p + at + n, b->n - at - n);
    b->n -= n;
}

void bytes_free(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){0};
}

/* ---- PNG ---- */

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_u32(uint8_t *p, uint32_t x)
{
    p[0] = (uint8_t)(x >> 24);
    p[1] = (uint8_t)(x >> 16);
    p[2] = (uint8_t)(x >> 8);
    p[3] = (uint8_t)x;
}

size_t png_data_size(const struct bytes *b, size_t chunk)
{
    return get_u32(b->p + chunk);
}

size_t png_find(const struct bytes *b, const char *type, size_t nth)
{
    for (size_t at = 8; at + PNG_CHUNK_OVERHEAD <= b->n;
         at += PNG_CHUNK_OVERHEAD + png_data_size(b, at))
        if (memcmp(b->p + at + 4, type, 4) == 0 && nth-- == 0)
            return at;
    fail_msg("no chunk %s", type);
    return 0;
}

void png_fix_crc(struct bytes *b, size_t chunk)
{
    const size_t n = png_data_size(b, chunk);
    put_u32(b->p + chunk + 8 + n, (uint32_t)crc32(0, b->p + chunk + 4, (uInt)n + 4));
}

void png_insert(struct bytes *b, size_t at, const char *type, const void *data, size_t n)
{
    struct bytes chunk = {need(malloc(n + PNG_CHUNK_OVERHEAD)), n + PNG_CHUNK_OVERHEAD};
    put_u32(chunk.p, (uint32_t)n);
    memcpy(chunk.p + 4, type, 4);
    if (n > 0)
        memcpy(chunk.p + 8, data, n);
    png_fix_crc(&chunk, 0);
    bytes_insert(b, at, chunk.p, chunk.n);
    bytes_free(&chunk);
}

struct bytes png_make(uint32_t w, uint32_t h, int depth, int type, const void *raw, size_t n)
{
    struct bytes b = {need(malloc(8)), 8};
    memcpy(b.p, "\x89PNG\r\n\x1A\n", 8);
    uint8_t header[13] = {0};
    put_u32(header, w);
    put_u32(header + 4, h);
    header[8] = (uint8_t)depth;
    header[9] = (uint8_t)type;
    png_insert(&b, b.n, "IHDR", header, sizeof header);
    uLongf size = compressBound(n);
    uint8_t *packed = need(malloc(size));
    assert_int_equal(compress2(packed, &size, raw, n, 6), Z_OK);
    png_insert(&b, b.n, "IDAT", packed, size);
    free(packed);
    png_insert(&b, b.n, "IEND", NULL, 0);
    return b;
}

/* ---- JPEG ---- */

static size_t header_size(const struct bytes *b, size_t at)
{
    const int marker = b->p[at + 1];
    if (marker == 0xD8 || marker == M_EOI)
        return 2;
    return 2u + ((size_t)b->p[at + 2] << 8 | b->p[at + 3]);
}

size_t jpeg_segment_size(const struct bytes *b, size_t at)
{
    const size_t n = header_size(b, at);
    if (b->p[at + 1] != M_SOS)
        return n;
    size_t end = at + n;
    while (end + 1 < b->n && (b->p[end] != 0xFF || b->p[end + 1] == 0 ||
                              (b->p[end + 1] >= 0xD0 && b->p[end + 1] <= 0xD7)))
        end++;
    return end - at;
}

size_t jpeg_find(const struct bytes *b, int marker, size_t nth)
{
    for (size_t at = 0; at + 1 < b->n; at += jpeg_segment_size(b, at)) {
        assert_int_equal(b->p[at], 0xFF);
        if (b->p[at + 1] == marker && nth-- == 0)
            return at;
    }
    fail_msg("no marker %02X", (unsigned)marker);
    return 0;
}

struct bytes jpeg_make(const struct jpeg_options *options)
{
    static const jpeg_scan_info separate[] = {
        {1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};
    struct jpeg_compress_struct lib;
    struct jpeg_error_mgr errors;
    unsigned char *out = NULL;
    unsigned long n = 0;
    lib.err = jpeg_std_error(&errors);
    jpeg_create_compress(&lib);
    jpeg_mem_dest(&lib, &out, &n);
    lib.image_width = (JDIMENSION)options->w;
    lib.image_height = (JDIMENSION)options->h;
    lib.input_components = options->components;
    lib.in_color_space = options->components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&lib);
    lib.arith_code = options->arithmetic ? TRUE : FALSE;
    if (options->separate) {
        lib.scan_info = separate;
        lib.num_scans = options->components;
    }
    jpeg_start_compress(&lib, TRUE);
    const size_t row_bytes = (size_t)(options->w * options->components);
    uint8_t *row = need(malloc(row_bytes));
    for (int y = 0; y < options->h; y++) {
        for (size_t x = 0; x < row_bytes; x++)
            row[x] = (uint8_t)(x * 3 + (size_t)y * 5);
        jpeg_write_scanlines(&lib, &row, 1);
    }
    jpeg_finish_compress(&lib);
    jpeg_destroy_compress(&lib);
    free(row);
    return (struct bytes){out, n};
}

void jpeg_repeat_last_scan(struct bytes *b, size_t scans)
{
    const size_t at = jpeg_find(b, M_SOS, 2), n = jpeg_segment_size(b, at);
    const size_t extra = (scans - 3) * n;
    b->p = need(realloc(b->p, b->n + extra));
    memmove(b->p + at + n + extra, b->p + at + n, b->n - at - n);
    for (size_t done = n; done < n + extra; done += n)
        memcpy(b->p + at + done, b->p + at, n);
    b->n += extra;
}
