/*
 * safetensors: files that must be read, more than sixty that must be refused with the right words,
 * every truncation, every bit of a small file flipped, and every limit at its edge.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "format/safetensors.h"
#include "support/files.h"
#include "support_safetensors.h"

static sl_status open_text(const char *header, size_t n_data)
{
    struct sl_safetensors st;
    build_safetensors(scratch("case"), header, strlen(header), strlen(header), n_data);
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
        build_safetensors(scratch("length"), header, n, values[i], 4);
        const sl_status status = sl_st_open(scratch("length"), &st);
        assert_int_equal(status, values[i] == n ? SL_OK : SL_ERR_DATA);
        refused += status != SL_OK;
        if (status == SL_OK)
            sl_st_close(&st);
    }
    print_message("%zu header lengths, %zu refused\n", count, refused);
    assert_true(refused >= count - 3 && refused < count);
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
        build_safetensors(scratch("limit"), header, n, n, 0);
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
        build_safetensors(scratch("many"), header, n, n, (size_t)(SL_ST_TENSORS_MAX + extra));
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
        build_safetensors(scratch("bomb"), header, at, at, 0);
        assert_int_equal(sl_st_open(scratch("bomb"), &st), SL_ERR_DATA);
        assert_int_equal(sl_alloc_stats_get().live_bytes, before);
    }
    free(header);
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
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
