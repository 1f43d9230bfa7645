/*
 * safetensors: files that must be read, more than sixty that must be refused with the right words,
 * every truncation, every bit of a small file flipped, every limit at its edge, conversions, and
 * faults of reads and allocations.
 */
#define _DEFAULT_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "format/safetensors.h"
#include "support/faults.h"
#include "support/files.h"

/* A file of this header text in front of n_data bytes 0, 1, 2, ... The stated length may lie. */
static void build(const char *path, const char *header, size_t n, uint64_t stated, size_t n_data)
{
    unsigned char *bytes = malloc(8 + n + n_data);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(stated >> (8 * i));
    memcpy(bytes + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        bytes[8 + n + i] = (unsigned char)i;
    put_file(path, bytes, 8 + n + n_data);
    free(bytes);
}

static sl_status open_text(const char *header, size_t n_data)
{
    struct sl_safetensors st;
    build(scratch("case"), header, strlen(header), strlen(header), n_data);
    const sl_status status = sl_st_open(scratch("case"), &st);
    if (status == SL_OK)
        sl_st_close(&st);
    return status;
}

#define T(fields) "{\"t\":{" fields "}}"
#define F4 "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"

/* ---- good files ---- */

static void test_good_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t n_data;
    } good[] = {
        {"{}", 0},
        {"{}      ", 0},
        {"{\"__metadata__\":{}}", 0},
        {"{\"__metadata__\":{\"a\":\"b\",\"\":\"\"}}", 0},
        {T(F4), 4},
        {T("\"shape\":[1],\"data_offsets\":[0,4],\"dtype\":\"F32\""), 4},
        {T("\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]"), 4},
        {T("\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]"), 0},
        {T("\"dtype\":\"F32\",\"shape\":[7,0,9],\"data_offsets\":[0,0]"), 0},
        {T("\"dtype\":\"F64\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,8]"), 8},
        {"{\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[3,4]},"
         "\"a\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,3]}}",
         4},
        {"{\"e\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]},"
         "\"a\":{\"dtype\":\"I16\",\"shape\":[1],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"I16\",\"shape\":[1],\"data_offsets\":[2,4]}}",
         4},
        {"{\"\\u00e9\":{" F4 "}}", 4},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (open_text(good[i].header, good[i].n_data) != SL_OK)
            fail_msg("%s: %s", good[i].header, sl_error_message());
    }
}

static void test_every_dtype(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t size;
    } types[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
                 {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U64", 8},  {"U32", 4},
                 {"U16", 2}, {"U8", 1},  {"BOOL", 1}};
    assert_int_equal(sizeof types / sizeof *types, SL_ST_DTYPES);
    for (size_t i = 0; i < SL_ST_DTYPES; i++) {
        char header[128];
        snprintf(header, sizeof header,
                 "{\"t\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%zu]}}", types[i].name,
                 3 * types[i].size);
        assert_int_equal(open_text(header, 3 * types[i].size), SL_OK);
    }
}

/* Bytes as the reference implementation writes them (the Python package safetensors
 * 0.8.0, two tensors and metadata), so that reader and writer of ours cannot agree on a mistake. */
static void test_reference_file(void **state)
{
    (void)state;
    const char header[] = "{\"__metadata__\":{\"k\":\"v\"},"
                          "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                          "\"b\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[8,12]}}";
    const unsigned char data[12] = {0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC0, 0x80, 0x3F, 0x20, 0xC0};
    unsigned char file[8 + sizeof header - 1 + sizeof data] = {sizeof header - 1};
    memcpy(file + 8, header, sizeof header - 1);
    memcpy(file + 8 + sizeof header - 1, data, sizeof data);
    put_file(scratch("reference"), file, sizeof file);
    struct sl_safetensors st;
    float a[2], b[2];
    uint16_t raw[2];
    assert_int_equal(sl_st_open(scratch("reference"), &st), SL_OK);
    assert_int_equal(st.n, 2);
    assert_string_equal(sl_st_meta_get(&st, "k"), "v");
    assert_null(sl_st_meta_get(&st, "K"));
    assert_null(sl_st_find(&st, "c"));
    const struct sl_st_tensor *tb = sl_st_find(&st, "b");
    assert_non_null(tb);
    assert_int_equal(tb->rank, 2);
    assert_int_equal(tb->shape[1], 2);
    assert_int_equal(sl_st_read_f32(&st, sl_st_find(&st, "a"), a, 2), SL_OK);
    assert_int_equal(sl_st_read_f32(&st, tb, b, 2), SL_OK);
    assert_true(a[0] == 1 && a[1] == -2.5f && b[0] == 1 && b[1] == -2.5f);
    assert_int_equal(sl_st_read(&st, tb, raw, 4), SL_OK);
    assert_int_equal(raw[1], 0xC020);
    assert_int_equal(sl_st_read(&st, tb, raw, 3), SL_ERR_ARGUMENT);
    assert_int_equal(sl_st_read_f32(&st, tb, b, 1), SL_ERR_ARGUMENT);
    assert_int_equal(sl_st_check_digest(&st), SL_OK); /* none stated */
    sl_st_close(&st);
}

/* ---- bad files ---- */

static void test_bad_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t n_data;
        const char *word;
    } bad[] = {
        {"[]", 0, "does not start with"},
        {" {}", 0, "does not start with"},
        {"\n{}", 0, "does not start with"},
        {"null", 0, "does not start with"},
        {"\xEF\xBB\xBF{}", 0, "does not start with"},
        {"{ ", 0, "bad JSON"},
        {"{}}", 0, "bad JSON"},
        {"{} x", 0, "bad JSON"},
        {"{}{}", 0, "bad JSON"},
        {"{'t':1}", 0, "bad JSON"},
        {"{\"t\":{" F4 "},}", 4, "bad JSON"},
        {"{\"t\xFF\":{" F4 "}}", 4, "bad JSON"},
        {"{\"t\\u0000\":{" F4 "}}", 4, "bad JSON"},
        {"{\"\\ud800\":{" F4 "}}", 4, "bad JSON"},
        {"{\"t\":{" F4 "},\"t\":{" F4 "}}", 4, "duplicate"},
        {T(F4 ",\"dtype\":\"F32\""), 4, "duplicate"},
        {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "duplicate"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate"},
        {"{\"__metadata__\":[]}", 0, "must be an object"},
        {"{\"__metadata__\":\"x\"}", 0, "must be an object"},
        {"{\"__metadata__\":null}", 0, "must be an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "must be a string"},
        {"{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", 0, "must be a string"},
        {"{\"__metadata__\":{" F4 "}}", 4, "must be a string"},
        {"{\"t\":1}", 0, "object was expected"},
        {"{\"t\":[]}", 0, "object was expected"},
        {"{\"t\":null}", 0, "object was expected"},
        {"{\"\":{" F4 "}}", 4, "name of 0 bytes"},
        {T(F4 ",\"extra\":0"), 4, "unknown key"},
        {T("\"Dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), 4, "did you mean \"dtype\""},
        {T("\"shape\":[1],\"data_offsets\":[0,4]"), 4, "\"dtype\" is missing"},
        {T("\"dtype\":\"F32\",\"data_offsets\":[0,4]"), 4, "\"shape\" is missing"},
        {T("\"dtype\":\"F32\",\"shape\":[1]"), 4, "\"data_offsets\" is missing"},
        {T(""), 0, "is missing"},
        {T("\"dtype\":1,\"shape\":[1],\"data_offsets\":[0,4]"), 4, "must be a string"},
        {T("\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]"), 4, "not supported"},
        {T("\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]"), 4, "not supported"},
        {T("\"dtype\":\"F4\",\"shape\":[8],\"data_offsets\":[0,4]"), 4, "not supported"},
        {T("\"dtype\":\"\\u001b[2J\",\"shape\":[1],\"data_offsets\":[0,4]"), 4, "\\x1B[2J"},
        {T("\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]"), 4, "must be an array"},
        {T("\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[0,4]"), 4, "must be an array"},
        {T("\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]"), 4, "must be an integer"},
        {T("\"dtype\":\"F32\",\"shape\":[1e0],\"data_offsets\":[0,4]"), 4, "must be an integer"},
        {T("\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]"), 4, "must be an integer"},
        {T("\"dtype\":\"F32\",\"shape\":[true],\"data_offsets\":[0,4]"), 4, "must be an integer"},
        {T("\"dtype\":\"F32\",\"shape\":[[1]],\"data_offsets\":[0,4]"), 4, "must be an integer"},
        {T("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]"), 4, "negative"},
        {T("\"dtype\":\"F32\",\"shape\":[-1,-1],\"data_offsets\":[0,4]"), 4, "negative"},
        {T("\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,4]"), 4,
         "bad JSON"},
        {T("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]"), 4,
         "limit is 8"},
        {T("\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]"), 0,
         "overflows"},
        {T("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]"), 0,
         "overflows"},
        {T("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,0],\"data_offsets\":[0,0]"), 0,
         "overflows"},
        {T("\"dtype\":\"U8\",\"shape\":[9223372036854775807,2,1],\"data_offsets\":[0,4]"), 4,
         "need"},
        {T("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]"), 4, "need 8 bytes"},
        {T("\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,0]"), 0, "need 4 bytes"},
        {T("\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,4]"), 4, "need 8 bytes"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]"), 4, "not a range"},
        {T("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 4, "not a range"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[9223372036854775803,"
           "9223372036854775807]"),
         4, "not a range"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]"), 4, "negative"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]"), 4, "not 2"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[]"), 4, "not 2"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]"), 4, "limit is 2"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":4"), 4, "must be an array"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.0]"), 4, "must be an integer"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[null,4]"), 4, "must be an integer"},
        {T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), 8, "hole"},
        {T(F4), 5, "belong to none"},
        {"{}", 1, "belong to none"},
        {"{\"a\":{" F4 "},\"b\":{" F4 "}}", 4, "overlap"},
        {"{\"a\":{" F4 "},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}", 6,
         "overlap"},
        {"{\"a\":{" F4 "},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[5,9]}}", 9,
         "hole"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[4,4]}}",
         8, "overlap"},
    };
    const size_t n = sizeof bad / sizeof *bad;
    for (size_t i = 0; i < n; i++) {
        const sl_status status = open_text(bad[i].header, bad[i].n_data);
        if (status != SL_ERR_DATA || !strstr(sl_error_message(), bad[i].word))
            fail_msg("%s: status %d, %s (expected: %s)", bad[i].header, status,
                     status ? sl_error_message() : "accepted", bad[i].word);
        assert_non_null(strstr(sl_error_message(), "case: "));
    }
    print_message("%zu bad headers\n", n);
    assert_true(n >= 60);
}

/* The stated header length at every value where an implementation might slip. */
static void test_header_length(void **state)
{
    (void)state;
    const char *header = T(F4);
    const size_t n = strlen(header);
    uint64_t values[256];
    size_t count = 0, refused = 0;
    for (int bit = 0; bit < 64; bit++) {
        for (int d = -1; d <= 1; d++)
            values[count++] = ((uint64_t)1 << bit) + (uint64_t)(int64_t)d;
    }
    for (uint64_t d = 0; d < 16; d++)
        values[count++] = n + 4 - 8 + d; /* around the header, the rest and the size of the file */
    for (size_t i = 0; i < count; i++) {
        struct sl_safetensors st;
        build(scratch("length"), header, n, values[i], 4);
        const sl_status status = sl_st_open(scratch("length"), &st);
        assert_int_equal(status, values[i] == n ? SL_OK : SL_ERR_DATA);
        refused += status != SL_OK;
        if (status == SL_OK)
            sl_st_close(&st);
    }
    print_message("%zu header lengths, %zu refused\n", count, refused);
    assert_true(refused >= count - 3 && refused < count);
}

static void write_sample(const char *path)
{
    static const float a[6] = {1, 2, 3, 4, 5, 6};
    static const uint16_t b[3] = {0x3F80, 0x4000, 0x4040};
    const struct sl_st_out tensors[] = {
        {.name = "layer.weight", .dtype = SL_ST_F32, .rank = 2, .shape = {2, 3}, .data = a},
        {.name = "layer.bias", .dtype = SL_ST_BF16, .rank = 1, .shape = {3}, .data = b},
        {.name = "empty", .dtype = SL_ST_I64, .rank = 1, .shape = {0}, .data = NULL},
    };
    const struct sl_st_meta meta[] = {{"format", "pt"}, {"quote\"d", "line\nbreak \xC3\xA9"}};
    char digest[SL_DIGEST_SIZE], expected[SL_DIGEST_SIZE];
    uint64_t size = 0;
    size_t n = 0;
    unlink(path);
    assert_int_equal(sl_st_write(path, tensors, 3, meta, 2, digest, &size), SL_OK);
    unsigned char *bytes = get_file(path, &n);
    sl_digest(bytes, n, expected);
    free(bytes);
    assert_string_equal(digest, expected);
    assert_int_equal(size, n);
}

static void test_every_truncation(void **state)
{
    (void)state;
    size_t n = 0;
    write_sample(scratch("whole"));
    unsigned char *bytes = get_file(scratch("whole"), &n);
    for (size_t i = 0; i < n; i++) {
        struct sl_safetensors st;
        put_file(scratch("cut"), bytes, i);
        assert_int_equal(sl_st_open(scratch("cut"), &st), SL_ERR_DATA);
    }
    print_message("%zu truncations\n", n);
    free(bytes);
}

/* A flip in the header is refused, or gives another valid header; a flip in the data is found by
 * the digest. Either way nothing is read outside the file (the sanitizers watch). */
static void test_every_bit_flip(void **state)
{
    (void)state;
    size_t n = 0, refused = 0, by_digest = 0, unseen = 0;
    write_sample(scratch("whole"));
    unsigned char *bytes = get_file(scratch("whole"), &n);
    struct sl_safetensors st;
    assert_int_equal(sl_st_open(scratch("whole"), &st), SL_OK);
    const size_t header = (size_t)st.data_offset;
    sl_st_close(&st);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        put_file(scratch("flip"), bytes, n);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        const sl_status status = sl_st_open(scratch("flip"), &st);
        if (status != SL_OK) {
            assert_int_equal(status, SL_ERR_DATA);
            refused++;
            continue;
        }
        const sl_status check = sl_st_check_digest(&st);
        if (bit / 8 >= header)
            assert_int_equal(check, SL_ERR_DATA);
        by_digest += check == SL_ERR_DATA;
        unseen += check == SL_OK; /* names and metadata texts have no checksum of their own */
        sl_st_close(&st);
    }
    print_message("%zu flips: %zu refused, %zu found by the digest, %zu other valid files\n", 8 * n,
                  refused, by_digest, unseen);
    assert_int_equal(refused + by_digest + unseen, 8 * n);
    assert_true(by_digest >= 8 * (n - header));
    free(bytes);
}

/* ---- limits ---- */

static void test_header_size_limit(void **state)
{
    (void)state;
    char *header = malloc(SL_ST_HEADER_MAX + 1);
    assert_non_null(header);
    memset(header, ' ', SL_ST_HEADER_MAX + 1);
    memcpy(header, "{}", 2);
    for (size_t extra = 0; extra <= 1; extra++) {
        struct sl_safetensors st;
        const size_t n = SL_ST_HEADER_MAX + extra;
        build(scratch("limit"), header, n, n, 0);
        const sl_status status = sl_st_open(scratch("limit"), &st);
        assert_int_equal(status, extra ? SL_ERR_DATA : SL_OK);
        if (status == SL_OK)
            sl_st_close(&st);
    }
    free(header);
}

static void test_tensor_count_limit(void **state)
{
    (void)state;
    char *header = malloc(SL_ST_HEADER_MAX);
    assert_non_null(header);
    for (int extra = 0; extra <= 1; extra++) {
        size_t n = 0;
        struct sl_safetensors st;
        for (int i = 0; i < SL_ST_TENSORS_MAX + extra; i++)
            n += (size_t)snprintf(header + n, 80,
                                  "%c\"%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":"
                                  "[%d,%d]}",
                                  i ? ',' : '{', i, i, i + 1);
        header[n++] = '}';
        build(scratch("many"), header, n, n, (size_t)(SL_ST_TENSORS_MAX + extra));
        const sl_status status = sl_st_open(scratch("many"), &st);
        assert_int_equal(status, extra ? SL_ERR_DATA : SL_OK);
        if (status != SL_OK)
            break;
        assert_non_null(sl_st_find(&st, "0"));
        assert_non_null(sl_st_find(&st, "32767"));
        assert_null(sl_st_find(&st, "32768"));
        sl_st_close(&st);
    }
    assert_non_null(strstr(sl_error_message(), "limit is 32768"));
    free(header);
}

static void test_name_limit(void **state)
{
    (void)state;
    char header[2048], name[SL_ST_NAME_MAX + 2];
    for (size_t extra = 0; extra <= 1; extra++) {
        memset(name, 'n', SL_ST_NAME_MAX + extra);
        name[SL_ST_NAME_MAX + extra] = '\0';
        snprintf(header, sizeof header, "{\"%s\":{" F4 "}}", name);
        assert_int_equal(open_text(header, 4), extra ? SL_ERR_DATA : SL_OK);
    }
    assert_non_null(strstr(sl_error_message(), "1025 bytes"));
}

/* Bombs: refused before a tree is built, so memory stays far below the text times 78. */
static void test_bombs(void **state)
{
    (void)state;
    static const char *const units[] = {"[", "{\"a\":", "[{},", "[],", "{},", "0,"};
    const size_t n = SL_ST_HEADER_MAX;
    char *header = malloc(n + 8);
    assert_non_null(header);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct sl_safetensors st;
        const size_t before = sl_alloc_stats_get().live_bytes;
        size_t at = (size_t)snprintf(header, n, "{\"t\":[");
        while (at + strlen(units[u]) < n)
            at += (size_t)snprintf(header + at, n - at + 8, "%s", units[u]);
        build(scratch("bomb"), header, at, at, 0);
        assert_int_equal(sl_st_open(scratch("bomb"), &st), SL_ERR_DATA);
        assert_int_equal(sl_alloc_stats_get().live_bytes, before);
    }
    free(header);
}

/* ---- conversions ---- */

static double half_value(unsigned h)
{
    const int exponent = (int)(h >> 10 & 31);
    const double fraction = h & 1023, sign = h & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return fraction > 0 ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static void read_one(enum sl_st_dtype dtype, const void *data, size_t n, float *out)
{
    struct sl_safetensors st;
    const struct sl_st_out tensor = {
        .name = "t", .dtype = dtype, .rank = 1, .shape = {n}, .data = data};
    unlink(scratch("convert"));
    assert_int_equal(sl_st_write(scratch("convert"), &tensor, 1, NULL, 0, NULL, NULL), SL_OK);
    assert_int_equal(sl_st_open(scratch("convert"), &st), SL_OK);
    assert_int_equal(sl_st_read_f32(&st, sl_st_find(&st, "t"), out, n), SL_OK);
    sl_st_close(&st);
}

static void test_all_half_and_bf16_values(void **state)
{
    (void)state;
    enum { N = 65536 };
    uint16_t *bits = malloc(N * sizeof *bits);
    float *out = malloc(N * sizeof *out);
    assert_true(bits && out);
    for (unsigned i = 0; i < N; i++)
        bits[i] = (uint16_t)i;
    read_one(SL_ST_F16, bits, N, out);
    for (unsigned i = 0; i < N; i++) {
        const double expected = half_value(i);
        if (isnan(expected))
            assert_true(isnan(out[i]));
        else
            assert_true((double)out[i] == expected && !signbit(out[i]) == !(i >> 15));
    }
    read_one(SL_ST_BF16, bits, N, out);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t got;
        memcpy(&got, &out[i], sizeof got);
        assert_int_equal(got, i << 16);
    }
    free(bits);
    free(out);
}

static void test_double_rounds_once(void **state)
{
    (void)state;
    const double x[4] = {1 + 0x1p-24, 1 + 0x1.8p-24, -0.0, 1e300};
    float out[4];
    read_one(SL_ST_F64, x, 4, out);
    assert_true(out[0] == 1 && out[1] == 1 + 0x1p-23f && signbit(out[2]) && isinf(out[3]));
}

static void test_integers_are_no_floats(void **state)
{
    (void)state;
    struct sl_safetensors st;
    float x = 7;
    build(scratch("int"), T("\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]"),
          strlen(T("\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]")),
          strlen(T("\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]")), 4);
    assert_int_equal(sl_st_open(scratch("int"), &st), SL_OK);
    assert_int_equal(sl_st_read_f32(&st, &st.tensors[0], &x, 1), SL_ERR_DATA);
    assert_true(x == 7);
    sl_st_close(&st);
}

/* ---- writing ---- */

static void test_write_and_read(void **state)
{
    (void)state;
    struct sl_safetensors st;
    float a[6];
    write_sample(scratch("round"));
    assert_int_equal(sl_st_open(scratch("round"), &st), SL_OK);
    assert_int_equal(st.data_offset % 64, 0);
    assert_int_equal(st.n, 3);
    assert_int_equal(st.n_meta, 3);
    assert_string_equal(sl_st_meta_get(&st, "quote\"d"), "line\nbreak \xC3\xA9");
    assert_int_equal(sl_st_check_digest(&st), SL_OK);
    assert_int_equal(sl_st_read_f32(&st, sl_st_find(&st, "layer.weight"), a, 6), SL_OK);
    for (int i = 0; i < 6; i++)
        assert_true(a[i] == (float)(i + 1));
    sl_st_close(&st);
}

static void test_writer_refuses_what_the_reader_would(void **state)
{
    (void)state;
    static const float x[2] = {1, 2};
    static const struct sl_st_meta meta[] = {{"a", "1"}, {"a", "2"}, {"b", "\xFF"}};
    static const struct {
        struct sl_st_out tensors[2];
        size_t n;
        const struct sl_st_meta *meta;
        size_t n_meta;
        const char *word;
    } bad[] = {
        {{{"t", SL_ST_F32, 1, {1}, x}, {"t", SL_ST_F32, 1, {1}, x}}, 2, NULL, 0, "duplicate"},
        {{{"__metadata__", SL_ST_F32, 1, {1}, x}}, 1, NULL, 0, "duplicate"},
        {{{"", SL_ST_F32, 1, {1}, x}}, 1, NULL, 0, "0 bytes"},
        {{{"\xC3", SL_ST_F32, 1, {1}, x}}, 1, NULL, 0, "bad JSON"},
        {{{"t", SL_ST_F32, 9, {1}, x}}, 1, NULL, 0, "rank 9"},
        {{{"t", SL_ST_F32, 2, {SIZE_MAX, 2}, x}}, 1, NULL, 0, "overflows"},
        {{{"t", SL_ST_F32, 1, {1}, x}}, 1, meta, 2, "duplicate"},
        {{{"t", SL_ST_F32, 1, {1}, x}}, 1, meta + 2, 1, "bad JSON"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(sl_st_write(scratch("refused"), bad[i].tensors, bad[i].n, bad[i].meta,
                                     bad[i].n_meta, NULL, NULL),
                         SL_ERR_ARGUMENT);
        if (!strstr(sl_error_message(), bad[i].word))
            fail_msg("case %zu: %s", i, sl_error_message());
        assert_false(sl_is_file(scratch("refused")));
    }
    write_sample(scratch("taken"));
    const struct sl_st_out t = {"t", SL_ST_F32, 1, {1}, x};
    assert_int_equal(sl_st_write(scratch("taken"), &t, 1, NULL, 0, NULL, NULL), SL_ERR_CREATE);
}

/* ---- faults ---- */

static sl_status open_and_read_all(const char *path)
{
    struct sl_safetensors st;
    float a[6];
    SL_TRY(sl_st_open(path, &st));
    sl_status status = sl_st_check_digest(&st);
    if (status == SL_OK)
        status = sl_st_read_f32(&st, sl_st_find(&st, "layer.weight"), a, 6);
    sl_st_close(&st);
    return status;
}

static void test_read_faults(void **state)
{
    (void)state;
    size_t failed = 0;
    write_sample(scratch("faulty"));
    for (size_t at = 1;; at++) {
        fault_arm();
        fault.fail_at = at;
        fault.error = EIO;
        const sl_status status = open_and_read_all(scratch("faulty"));
        const bool hit = fault.failed > 0;
        fault_disarm();
        if (!hit)
            break;
        failed++;
        if (status != SL_OK) { /* close after reading may fail without harm */
            assert_int_equal(status, SL_ERR_IO);
            assert_non_null(strstr(sl_error_message(), "Input/output error"));
        }
    }
    assert_true(failed >= 5); /* open, length, header, digest, tensor, close */
    fault_arm();
    fault.piece = 1;
    fault.interrupt = true;
    assert_int_equal(open_and_read_all(scratch("faulty")), SL_OK);
    fault_disarm();
}

static void test_allocation_failures(void **state)
{
    (void)state;
    size_t failures = 0;
    write_sample(scratch("alloc"));
    const size_t live = sl_alloc_stats_get().live_bytes;
    for (int sticky = 0; sticky <= 1; sticky++) {
        for (size_t at = 1;; at++) {
            sl_alloc_fail_at(at, sticky);
            const sl_status status = open_and_read_all(scratch("alloc"));
            sl_alloc_fail_at(0, false);
            assert_int_equal(sl_alloc_stats_get().live_bytes, live);
            if (status == SL_OK)
                break;
            assert_int_equal(status, SL_ERR_MEMORY);
            failures++;
        }
    }
    print_message("allocation failures: %zu\n", failures);
    assert_true(failures >= 2 * 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_headers),
        cmocka_unit_test(test_every_dtype),
        cmocka_unit_test(test_reference_file),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_header_length),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_bit_flip),
        cmocka_unit_test(test_header_size_limit),
        cmocka_unit_test(test_tensor_count_limit),
        cmocka_unit_test(test_name_limit),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_all_half_and_bf16_values),
        cmocka_unit_test(test_double_rounds_once),
        cmocka_unit_test(test_integers_are_no_floats),
        cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_writer_refuses_what_the_reader_would),
        cmocka_unit_test(test_read_faults),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
