/*
 * IDX and IDX.gz: good files, more than forty bad ones of each, every truncation, every flipped
 * byte of a gzip file, limits, bombs, and failing allocations.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/alloc.h"
#include "data/gzip.h"
#include "data/idx.h"

enum { CAP = 1 << 20 };

/* ---- helpers ---- */

/* n bytes compressed as one gzip member; malloc block. */
static unsigned char *gzip(const void *bytes, size_t n, size_t *size)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    const size_t room = deflateBound(&z, n) + 64;
    unsigned char *out = malloc(room);
    assert_non_null(out);
    z.next_in = (z_const Bytef *)bytes;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    *size = room - z.avail_out;
    deflateEnd(&z);
    return out;
}

/* The reader on a copy in a block of exactly n bytes, so that sanitizers see reads past the end. */
static sl_status read_exact(const void *bytes, size_t n, size_t cap, struct sl_idx *idx)
{
    unsigned char *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    const sl_status st = sl_idx_read(copy, n, cap, "file", idx);
    free(copy);
    return st;
}

static void assert_refused(const char *title, const void *bytes, size_t n, const char *word)
{
    const struct sl_idx before = {.rank = 77, .data = NULL};
    struct sl_idx idx = before;
    const size_t live = sl_alloc_stats_get().live_bytes;
    const sl_status st = read_exact(bytes, n, CAP, &idx);
    if (st != SL_ERR_DATA || !strstr(sl_error_message(), word) ||
        !strstr(sl_error_message(), "file"))
        fail_msg("%s: status %d, \"%s\" lacks \"%s\"", title, st, sl_error_message(), word);
    assert_memory_equal(&idx, &before, sizeof idx);
    assert_int_equal(sl_alloc_stats_get().live_bytes, live);
}

/* A file of 2 images of 3 x 4 pixels 0, 1, 2, ... */
enum { GOOD = 16 + 24 };
static void good_file(unsigned char bytes[GOOD])
{
    static const unsigned char header[16] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4};
    memcpy(bytes, header, sizeof header);
    for (size_t i = 16; i < GOOD; i++)
        bytes[i] = (unsigned char)(i - 16);
}

static void assert_good(const struct sl_idx *idx)
{
    assert_int_equal(idx->rank, 3);
    assert_int_equal(idx->dims[0], 2);
    assert_int_equal(idx->dims[1], 3);
    assert_int_equal(idx->dims[2], 4);
    assert_int_equal(idx->size, 24);
    for (size_t i = 0; i < 24; i++)
        assert_int_equal(idx->data[i], i);
}

/* ---- plain files ---- */

/* A header as written, followed by `body` zero bytes. */
struct bad {
    const char *title;
    const char *header;
    size_t header_n, body;
    const char *word;
};
#define H(bytes) bytes, sizeof(bytes) - 1
static const struct bad bad_files[] = {
    {"empty", H(""), 0, "truncated"},
    {"one byte", H("\0"), 0, "truncated"},
    {"two bytes", H("\0\0"), 0, "truncated"},
    {"three bytes", H("\0\0\x08"), 0, "truncated"},
    {"first byte", H("\x01\0\x08\x01\0\0\0\x01"), 1, "not an IDX"},
    {"second byte", H("\0\x01\x08\x01\0\0\0\x01"), 1, "not an IDX"},
    {"PNG", H("\x89PNG\r\n\x1a\n"), 40, "not an IDX"},
    {"JPEG", H("\xff\xd8\xff\xe0"), 40, "not an IDX"},
    {"text", H("label,pixel0,pixel1\n"), 40, "not an IDX"},
    {"zip", H("PK\x03\x04"), 40, "not an IDX"},
    {"swapped magic", H("\x03\x08\0\0\0\0\0\x01"), 1, "not an IDX"},
    {"type 0", H("\0\0\0\x01\0\0\0\x01"), 1, "type 0x00"},
    {"type int8", H("\0\0\x09\x01\0\0\0\x01"), 1, "type 0x09"},
    {"type int16", H("\0\0\x0b\x01\0\0\0\x01"), 2, "type 0x0b"},
    {"type int32", H("\0\0\x0c\x01\0\0\0\x01"), 4, "type 0x0c"},
    {"type float", H("\0\0\x0d\x01\0\0\0\x01"), 4, "type 0x0d"},
    {"type double", H("\0\0\x0e\x01\0\0\0\x01"), 8, "type 0x0e"},
    {"type 255", H("\0\0\xff\x01\0\0\0\x01"), 1, "type 0xff"},
    {"rank 0", H("\0\0\x08\0"), 1, "0 IDX dimensions"},
    {"rank 5", H("\0\0\x08\x05\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01"), 1,
     "5 IDX dimensions"},
    {"rank 127", H("\0\0\x08\x7f"), 600, "127 IDX dimensions"},
    {"rank 128", H("\0\0\x08\x80"), 600, "128 IDX dimensions"},
    {"rank 255", H("\0\0\x08\xff"), 2000, "255 IDX dimensions"},
    {"no dimensions", H("\0\0\x08\x01"), 0, "dimension 0 is missing"},
    {"half a dimension", H("\0\0\x08\x01\0\0"), 0, "dimension 0 is missing"},
    {"second one missing", H("\0\0\x08\x02\0\0\0\x01"), 0, "dimension 1 is missing"},
    {"third one cut", H("\0\0\x08\x03\0\0\0\x01\0\0\0\x01\0\0\0"), 0, "dimension 2 is missing"},
    {"fourth one missing", H("\0\0\x08\x04\0\0\0\x01\0\0\0\x01\0\0\0\x01"), 0,
     "dimension 3 is missing"},
    {"no samples", H("\0\0\x08\x01\0\0\0\0"), 0, "is 0"},
    {"height 0", H("\0\0\x08\x03\0\0\0\x02\0\0\0\0\0\0\0\x04"), 0, "dimension 1 at byte 8 is 0"},
    {"width 0", H("\0\0\x08\x03\0\0\0\x02\0\0\0\x03\0\0\0\0"), 0, "dimension 2 at byte 12 is 0"},
    {"all 0", H("\0\0\x08\x03\0\0\0\0\0\0\0\0\0\0\0\0"), 0, "is 0"},
    {"0 times 2^32 - 1", H("\0\0\x08\x02\0\0\0\0\xff\xff\xff\xff"), 0, "is 0"},
    {"2^31", H("\0\0\x08\x01\x80\0\0\0"), 1, "limit"},
    {"2^32 - 1", H("\0\0\x08\x01\xff\xff\xff\xff"), 1, "limit"},
    {"one over the cap", H("\0\0\x08\x01\0\x10\0\x01"), (1 << 20) + 1, "limit"},
    {"2^32 by product", H("\0\0\x08\x02\0\x01\0\0\0\x01\0\0"), 0, "limit"},
    {"2^63 by product", H("\0\0\x08\x02\x80\0\0\0\xff\xff\xff\xff"), 0, "limit"},
    {"2^64 by product", H("\0\0\x08\x03\x80\0\0\0\x80\0\0\0\0\0\0\x04"), 0, "overflows"},
    {"2^64 wraps to 0", H("\0\0\x08\x04\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0"), 0, "overflows"},
    {"2^64 wraps to a little",
     H("\0\0\x08\x04\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x02\0\0\0\x01"), 8, "overflows"},
    {"largest of all",
     H("\0\0\x08\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
       "\xff"),
     8, "overflows"},
    {"no data", H("\0\0\x08\x01\0\0\0\x05"), 0, "truncated"},
    {"one byte short", H("\0\0\x08\x01\0\0\0\x05"), 4, "truncated"},
    {"one byte long", H("\0\0\x08\x01\0\0\0\x05"), 6, "1 trailing bytes"},
    {"much too long", H("\0\0\x08\x01\0\0\0\x05"), 5000, "trailing bytes"},
    {"little-endian count", H("\0\0\x08\x01\x05\0\0\0"), 5, "limit"},
    {"one image short", H("\0\0\x08\x03\0\0\0\x03\0\0\0\x02\0\0\0\x02"), 8, "truncated"},
    {"one image long", H("\0\0\x08\x03\0\0\0\x03\0\0\0\x02\0\0\0\x02"), 16, "4 trailing bytes"},
};
enum { BAD_FILES = sizeof bad_files / sizeof *bad_files };

static unsigned char *bad_bytes(const struct bad *b, size_t *n)
{
    *n = b->header_n + b->body;
    unsigned char *bytes = calloc(*n + 1, 1);
    assert_non_null(bytes);
    memcpy(bytes, b->header, b->header_n);
    return bytes;
}

static void test_bad_plain_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < BAD_FILES; i++) {
        size_t n;
        unsigned char *bytes = bad_bytes(&bad_files[i], &n);
        assert_refused(bad_files[i].title, bytes, n, bad_files[i].word);
        free(bytes);
    }
    print_message("bad IDX files: %d\n", BAD_FILES);
    assert_true(BAD_FILES >= 40);
}

static void test_good_plain_file(void **state)
{
    (void)state;
    unsigned char bytes[GOOD];
    struct sl_idx idx = {0};
    good_file(bytes);
    assert_int_equal(read_exact(bytes, GOOD, CAP, &idx), SL_OK);
    assert_good(&idx);
    sl_free(idx.data);
}

static void test_every_rank(void **state)
{
    (void)state;
    for (unsigned char rank = 1; rank <= 4; rank++) {
        unsigned char bytes[4 + 16 + 16] = {0, 0, 8, rank};
        struct sl_idx idx = {0};
        for (size_t k = 0; k < rank; k++)
            bytes[4 + 4 * k + 3] = 2;
        const size_t n = 4 + 4 * (size_t)rank + ((size_t)1 << rank);
        bytes[n - 1] = rank;
        assert_int_equal(read_exact(bytes, n, CAP, &idx), SL_OK);
        assert_int_equal(idx.rank, rank);
        assert_int_equal(idx.size, 1 << rank);
        assert_int_equal(idx.data[idx.size - 1], rank);
        sl_free(idx.data);
    }
}

static void test_cap_at_the_limit(void **state)
{
    (void)state;
    unsigned char bytes[GOOD];
    struct sl_idx idx = {0};
    good_file(bytes);
    assert_int_equal(read_exact(bytes, GOOD, 24, &idx), SL_OK);
    sl_free(idx.data);
    idx = (struct sl_idx){0};
    assert_int_equal(read_exact(bytes, GOOD, 23, &idx), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "limit of 23"));
    size_t n;
    unsigned char *gz = gzip(bytes, GOOD, &n);
    assert_int_equal(read_exact(gz, n, 24, &idx), SL_OK);
    sl_free(idx.data);
    assert_int_equal(read_exact(gz, n, 23, &idx), SL_ERR_DATA);
    free(gz);
}

static void test_truncation_at_every_length(void **state)
{
    (void)state;
    unsigned char bytes[GOOD];
    size_t n, refused = 0;
    good_file(bytes);
    unsigned char *gz = gzip(bytes, GOOD, &n);
    for (size_t k = 0; k < GOOD; k++, refused++)
        assert_refused("prefix", bytes, k, "truncated");
    for (size_t k = 0; k < n; k++, refused++)
        assert_refused("gzip prefix", gz, k, k < 2 ? "IDX" : "truncated");
    free(gz);
    print_message("prefixes refused: %zu\n", refused);
    assert_int_equal(refused, GOOD + n);
}

/* ---- gzip ---- */

/* An edit of a good gzip file: bytes from `at` (negative: from the end) are set to `value` with
 * xor, or `n` bytes are cut or added there. */
struct edit {
    const char *title;
    enum { FLIP, CUT, APPEND_ZERO, APPEND_JUNK, APPEND_SELF, APPEND_EMPTY } kind;
    long at;
    unsigned char value; /* FLIP: xor; APPEND: number of bytes */
    const char *word;
};
static const struct edit edits[] = {
    {"method 0", FLIP, 2, 8, "damaged"},
    {"method 9", FLIP, 2, 1, "damaged"},
    {"reserved flag 0x20", FLIP, 3, 0x20, "damaged"},
    {"reserved flag 0x40", FLIP, 3, 0x40, "damaged"},
    {"reserved flag 0x80", FLIP, 3, 0x80, "damaged"},
    {"header CRC announced", FLIP, 3, 0x02, "damaged"},
    {"block type 3", FLIP, 10, 0x06, "damaged"},
    {"CRC byte 0", FLIP, -8, 1, "data check"},
    {"CRC byte 1", FLIP, -7, 0x80, "data check"},
    {"CRC byte 2", FLIP, -6, 0x10, "data check"},
    {"CRC byte 3", FLIP, -5, 0xff, "data check"},
    {"length byte 0", FLIP, -4, 1, "length check"},
    {"length byte 1", FLIP, -3, 1, "length check"},
    {"length byte 2", FLIP, -2, 0x80, "length check"},
    {"length byte 3", FLIP, -1, 0x80, "length check"},
    {"cut 1", CUT, -1, 0, "truncated"},
    {"cut 4: no length", CUT, -4, 0, "truncated"},
    {"cut 5", CUT, -5, 0, "truncated"},
    {"cut 8: no trailer", CUT, -8, 0, "truncated"},
    {"cut 9", CUT, -9, 0, "truncated"},
    {"cut 20", CUT, -20, 0, "truncated"},
    {"cut to the magic", CUT, 2, 0, "truncated"},
    {"cut to the header", CUT, 10, 0, "truncated"},
    {"cut to one byte of data", CUT, 11, 0, "truncated"},
    {"a zero after it", APPEND_ZERO, 0, 1, "1 bytes after"},
    {"padding of a tape block", APPEND_ZERO, 0, 200, "200 bytes after"},
    {"junk after it", APPEND_JUNK, 0, 1, "after the end"},
    {"more junk", APPEND_JUNK, 0, 100, "after the end"},
    {"a second member", APPEND_SELF, 0, 0, "second member"},
    {"an empty second member", APPEND_EMPTY, 0, 0, "second member"},
};
enum { EDITS = sizeof edits / sizeof *edits };

static size_t apply(const struct edit *e, unsigned char *bytes, size_t n)
{
    const size_t at = e->at < 0 ? n - (size_t)-e->at : (size_t)e->at;
    unsigned char *empty;
    size_t more = e->value;
    switch (e->kind) {
    case FLIP:
        bytes[at] ^= e->value;
        return n;
    case CUT:
        return at;
    case APPEND_ZERO:
        memset(bytes + n, 0, more);
        return n + more;
    case APPEND_JUNK:
        memset(bytes + n, 0xA5, more);
        return n + more;
    case APPEND_SELF:
        memcpy(bytes + n, bytes, n);
        return 2 * n;
    default:
        empty = gzip("", 0, &more);
        memcpy(bytes + n, empty, more);
        free(empty);
        return n + more;
    }
}

static void test_bad_gzip_files(void **state)
{
    (void)state;
    unsigned char bytes[GOOD], edited[1024];
    size_t n, tried = 0;
    good_file(bytes);
    unsigned char *gz = gzip(bytes, GOOD, &n);
    assert_true(2 * n < sizeof edited);
    for (size_t i = 0; i < EDITS; i++, tried++) {
        memcpy(edited, gz, n);
        assert_refused(edits[i].title, edited, apply(&edits[i], edited, n), edits[i].word);
    }
    free(gz);
    /* The same bad contents, compressed: what ends early or late is found while inflating. */
    for (size_t i = 0; i < BAD_FILES; i++, tried++) {
        unsigned char *content = bad_bytes(&bad_files[i], &n);
        const char *word = strstr(bad_files[i].word, "trailing")  ? "more bytes"
                           : strstr(bad_files[i].word, "missing") ? "truncated"
                                                                  : bad_files[i].word;
        gz = gzip(content, n, &n);
        assert_refused(bad_files[i].title, gz, n, word);
        free(gz);
        free(content);
    }
    print_message("bad IDX.gz files: %zu\n", tried);
    assert_true(tried >= 40);
}

static void test_good_gzip_file(void **state)
{
    (void)state;
    unsigned char bytes[GOOD];
    struct sl_idx idx = {0};
    size_t n;
    good_file(bytes);
    unsigned char *gz = gzip(bytes, GOOD, &n);
    assert_true(sl_gzip_is(gz, n));
    assert_int_equal(read_exact(gz, n, CAP, &idx), SL_OK);
    assert_good(&idx);
    sl_free(idx.data);
    free(gz);
}

/* A flipped bit is refused or lies in a header field that says nothing about the content. */
static void test_every_bit_of_a_gzip_file(void **state)
{
    (void)state;
    unsigned char bytes[GOOD];
    size_t n, refused = 0, same = 0;
    good_file(bytes);
    unsigned char *gz = gzip(bytes, GOOD, &n);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        struct sl_idx idx = {0};
        gz[bit / 8] ^= (unsigned char)(1u << bit % 8);
        const sl_status st = read_exact(gz, n, CAP, &idx);
        gz[bit / 8] ^= (unsigned char)(1u << bit % 8);
        if (st == SL_OK) {
            assert_good(&idx);
            sl_free(idx.data);
            same++;
        } else {
            assert_int_equal(st, SL_ERR_DATA);
            refused++;
        }
    }
    print_message("gzip bit flips: %zu refused, %zu without effect\n", refused, same);
    assert_int_equal(refused + same, 8 * n);
    /* Without effect: FTEXT, 32 bits of MTIME, 8 of XFL, 8 of OS. A flag that announces an optional
     * field moves the data and is found. Two bits more at most: the padding before the trailer. */
    assert_in_range(same, 49, 49 + 7);
    free(gz);
}

/* A megabyte of zeros whose header announces less, or the most the format can say. */
static void test_bombs(void **state)
{
    (void)state;
    enum { ZEROS = 64 << 20 };
    unsigned char *content = calloc(ZEROS, 1);
    size_t n, tried = 0;
    assert_non_null(content);
    memcpy(content, "\0\0\x08\x01", 4);
    for (unsigned announced = 1; announced < 1u << 20; announced *= 32, tried++) {
        for (size_t k = 0; k < 4; k++)
            content[4 + k] = (unsigned char)(announced >> (24 - 8 * k));
        unsigned char *gz = gzip(content, ZEROS, &n);
        assert_refused("bomb", gz, n, "more bytes");
        free(gz);
    }
    free(content);
    assert_int_equal(tried, 4);
}

/* 256 MiB announced by a file of a few hundred bytes: memory is asked for only when the data has
 * been seen to exist. */
static void test_announced_size_is_not_allocated(void **state)
{
    (void)state;
    const unsigned char header[] = {0, 0, 8, 1, 0x10, 0, 0, 0};
    size_t n;
    unsigned char *gz = gzip(header, sizeof header, &n);
    struct sl_idx idx = {0};
    const size_t before = sl_alloc_stats_get().peak_bytes;
    assert_int_equal(read_exact(gz, n, (size_t)1 << 30, &idx), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "truncated"));
    assert_true(sl_alloc_stats_get().peak_bytes <= before + ((size_t)16 << 20) + 4 * n);
    free(gz);
}

/* The same with the data present: accepted in the second pass. */
static void test_compressible_file_is_accepted(void **state)
{
    (void)state;
    enum { SIZE = 20 << 20 };
    unsigned char *content = calloc(8 + SIZE, 1);
    size_t n;
    struct sl_idx idx = {0};
    assert_non_null(content);
    memcpy(content, "\0\0\x08\x01\x01\x40\0\0", 8);
    content[8 + SIZE - 1] = 9;
    unsigned char *gz = gzip(content, 8 + SIZE, &n);
    assert_true(4 * n + ((size_t)16 << 20) < SIZE); /* so that the two passes are taken */
    assert_int_equal(read_exact(gz, n, (size_t)1 << 30, &idx), SL_OK);
    assert_int_equal(idx.size, SIZE);
    assert_int_equal(idx.data[SIZE - 1], 9);
    sl_free(idx.data);
    free(gz);
    free(content);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    unsigned char bytes[GOOD];
    size_t n, failures = 0;
    good_file(bytes);
    unsigned char *gz = gzip(bytes, GOOD, &n);
    for (size_t at = 1;; at++) {
        struct sl_idx idx = {0};
        const size_t live = sl_alloc_stats_get().live_bytes;
        sl_alloc_fail_at(at, false);
        const sl_status st = read_exact(gz, n, CAP, &idx);
        sl_alloc_fail_at(0, false);
        if (st == SL_OK) {
            assert_good(&idx);
            sl_free(idx.data);
            break;
        }
        assert_int_equal(st, SL_ERR_MEMORY);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        failures++;
    }
    free(gz);
    print_message("allocation failures: %zu\n", failures);
    assert_true(failures >= 3); /* reader, zlib's state and window, the data */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_plain_file),
        cmocka_unit_test(test_every_rank),
        cmocka_unit_test(test_bad_plain_files),
        cmocka_unit_test(test_cap_at_the_limit),
        cmocka_unit_test(test_truncation_at_every_length),
        cmocka_unit_test(test_good_gzip_file),
        cmocka_unit_test(test_bad_gzip_files),
        cmocka_unit_test(test_every_bit_of_a_gzip_file),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_announced_size_is_not_allocated),
        cmocka_unit_test(test_compressible_file_is_accepted),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
