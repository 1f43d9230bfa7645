/*
 * Index files of shards with every prefix, every bit and impossible entries; brace patterns.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "data/braces.h"
#include "data/shard.h"
#include "support/files.h"

/* ---- index files ---- */

static void test_index(void **state)
{
    (void)state;
    struct sl_shard s = {0}, back = {0};
    size_t n = 0, tried = 0;
    s.bytes = 8192;
    s.ignored = 1;
    assert_int_equal(sl_shard_add(&s, 512, 1000, 7), SL_OK);
    assert_int_equal(sl_shard_add(&s, 3072, 5120, 12), SL_OK);
    assert_int_equal(sl_shard_index_write(scratch("x.tar"), &s), SL_OK);
    unsigned char *bytes = get_file(scratch("x.tar.idx"), &n);
    assert_non_null(bytes);
    assert_int_equal(n, 32 + 2 * 16 + 32);
    assert_int_equal(sl_shard_index_parse(bytes, n, "x", 8192, &back), SL_OK);
    assert_int_equal(back.n, s.n);
    assert_int_equal(back.ignored, 1);
    assert_memory_equal(back.samples, s.samples, s.n * sizeof *s.samples);
    sl_shard_free(&back);
    assert_int_equal(sl_shard_index_parse(bytes, n, "x", 8192 + 512, &back), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "beside one of"));
    for (size_t i = 0; i < n; i++, tried++)
        assert_int_equal(sl_shard_index_parse(bytes, i, "x", 8192, &back), SL_ERR_DATA);
    for (size_t bit = 0; bit < 8 * n; bit++, tried++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_equal(sl_shard_index_parse(bytes, n, "x", 8192, &back), SL_ERR_DATA);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    printf("%zu damaged indexes refused\n", tried);
    free(bytes);
    sl_shard_free(&s);
}

/* Entries that the digest confirms and that are still impossible. */
static void test_index_entries(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset;
        size_t size;
        int32_t label;
        bool good;
    } cases[] = {{512, 10, 3, true},
                 {511, 10, 3, false},
                 {0, 10, 3, false},
                 {512, 0, 3, false},
                 {512, 99999, 3, false},
                 {99999, 1, 3, false},
                 {UINT64_MAX, 1, 3, false},
                 {UINT64_MAX - 5, 10, 3, false},
                 {512, 10, 1 << 20, false},
                 {512, 10, -1, false},
                 {512, 10, (1 << 20) - 1, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_shard s = {.bytes = 4096}, back = {0};
        size_t n = 0;
        assert_int_equal(sl_shard_add(&s, cases[i].offset, cases[i].size, cases[i].label), SL_OK);
        assert_int_equal(sl_shard_index_write(scratch("y.tar"), &s), SL_OK);
        unsigned char *bytes = get_file(scratch("y.tar.idx"), &n);
        assert_non_null(bytes);
        assert_int_equal(sl_shard_index_parse(bytes, n, "y", 4096, &back),
                         cases[i].good ? SL_OK : SL_ERR_DATA);
        sl_shard_free(&back);
        sl_shard_free(&s);
        free(bytes);
    }
}

/* ---- brace patterns ---- */

static void test_braces(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        size_t n;
        const char *first, *last;
    } cases[] = {
        {"a.tar", 1, "a.tar", "a.tar"},
        {"shard-{000000..001281}.tar", 1282, "shard-000000.tar", "shard-001281.tar"},
        {"{8..11}", 4, "8", "11"},
        {"{08..11}", 4, "08", "11"},
        {"{5..5}", 1, "5", "5"},
        {"{train,val}-{0..2}.tar", 6, "train-0.tar", "val-2.tar"},
        {"{a,}", 2, "a", ""},
        {"{0..999999}", 1000000, "0", "999999"},
    };
    static const char *const bad[] = {"{0..1",
                                      "0..1}",
                                      "{}",
                                      "{a}",
                                      "{2..1}",
                                      "{a..b}",
                                      "}{",
                                      "{{0..1}}",
                                      "{0..1000000}",
                                      "{0..}",
                                      "{..1}",
                                      "{-1..1}",
                                      "{0..9999999999999999}",
                                      "{0..999}{0..999}{0..9}"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char **names = NULL;
        size_t n = 0;
        assert_int_equal(sl_braces_expand(cases[i].pattern, &names, &n), SL_OK);
        assert_int_equal(n, cases[i].n);
        assert_string_equal(names[0], cases[i].first);
        assert_string_equal(names[n - 1], cases[i].last);
        sl_names_free(&names, n);
    }
    const size_t live = sl_alloc_stats_get().live_bytes;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char **names = NULL;
        size_t n = 0;
        if (sl_braces_expand(bad[i], &names, &n) != SL_ERR_CONFIG)
            fail_msg("\"%s\" is accepted", bad[i]);
        assert_null(names);
    }
    assert_int_equal(sl_alloc_stats_get().live_bytes, live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_index_entries),
        cmocka_unit_test(test_braces),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
