/*
 * safetensors: conversions of every half and bfloat16 value, what the writer writes and refuses,
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
#include "support_safetensors.h"

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
    const char *header = "{\"t\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    build_safetensors(scratch("int"), header, strlen(header), strlen(header), 4);
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
        {{{"\xC3", SL_ST_F32, 1, {1}, x}}, 1, NULL, 0, "not UTF-8"},
        {{{"t", SL_ST_F32, 9, {1}, x}}, 1, NULL, 0, "rank 9"},
        {{{"t", SL_ST_F32, 2, {SIZE_MAX, 2}, x}}, 1, NULL, 0, "overflows"},
        {{{"t", SL_ST_F32, 1, {1}, x}}, 1, meta, 2, "duplicate"},
        {{{"t", SL_ST_F32, 1, {1}, x}}, 1, meta + 2, 1, "not UTF-8"},
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
