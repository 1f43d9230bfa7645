/* Golden image files, byte buffers, and small PNG and JPEG writers for tests of src/image/. */
#ifndef TESTS_UNIT_SUPPORT_IMAGES_H
#define TESTS_UNIT_SUPPORT_IMAGES_H

#include <stddef.h>
#include <stdint.h>

/* Bytes on the test's own heap (malloc), so that the library's counters see nothing of it. */
struct bytes {
    uint8_t *p;
    size_t n;
};

struct bytes golden_image_bytes(const char *name); /* a file of tests/golden/images/ */
struct bytes bytes_copy(const struct bytes *b);
void bytes_insert(struct bytes *b, size_t at, const void *data, size_t n);
void bytes_remove(struct bytes *b, size_t at, size_t n);
void bytes_free(struct bytes *b);

/* ---- PNG ---- */

enum { PNG_CHUNK_OVERHEAD = 12 };
/* Where the nth chunk (from 0) of this type begins (its length field); fails the test if absent. */
size_t png_find(const struct bytes *b, const char *type, size_t nth);
size_t png_data_size(const struct bytes *b, size_t chunk);
void png_fix_crc(struct bytes *b, size_t chunk);
/* Puts a chunk at a byte offset. */
void png_insert(struct bytes *b, size_t at, const char *type, const void *data, size_t n);
/* A PNG of these raw rows (each begins with its filter byte), deflated into one IDAT. */
struct bytes png_make(uint32_t w, uint32_t h, int depth, int type, const void *raw, size_t n);

/* ---- JPEG ---- */

enum { M_SOF0 = 0xC0, M_SOF2 = 0xC2, M_DHT = 0xC4, M_EOI = 0xD9, M_SOS = 0xDA, M_DQT = 0xDB };
enum { M_DRI = 0xDD };
/* Where the nth marker of this kind begins (its FF byte); fails the test if absent. */
size_t jpeg_find(const struct bytes *b, int marker, size_t nth);
/* Marker, parameters and, for a scan, the coded data: up to the next marker that is no restart. */
size_t jpeg_segment_size(const struct bytes *b, size_t at);

struct jpeg_options {
    int w, h;
    int components; /* 1 or 3 */
    int arithmetic; /* arithmetic coding */
    int separate;   /* one scan per component */
};
/* A gradient, by libjpeg. */
struct bytes jpeg_make(const struct jpeg_options *options);
/* Repeats the last scan (of a file with one scan per component) until there are `scans`. */
void jpeg_repeat_last_scan(struct bytes *b, size_t scans);

#endif
