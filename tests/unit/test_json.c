/*
 * Strict JSON: what is accepted, what is refused and in which words, and both limits at their edge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/json.h"

static sl_status parse(const char *text, size_t n)
{
    json_t *root = NULL;
    const sl_status st = sl_json_parse(text, n, "doc", 100, &root);
    if (st == SL_OK)
        json_decref(root);
    else
        assert_null(root);
    return st;
}

static void test_good(void **state)
{
    (void)state;
    static const char *const good[] = {"{}", "[]", " {\"a\": [1, 2.5, \"x\\\"[{,\", null]} ",
                                       "{\"\xC3\xA9\": true}", "[\"\\ud83d\\ude00\"]"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(parse(good[i], strlen(good[i])), SL_OK);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "[01]",
        "[+1]",
        "[.5]",
        "[1.]",
        "[NaN]",
        "[Infinity]",
        "[1e999]",
        "[tru]",
        "['a']",
        "[\"a]",
        "[\"\\x41\"]",
        "[\"\t\"]",
        "{} {}",
        "[1] x",
        "\xEF\xBB\xBF{}",
        "[\"\xC3\"]",
        "[\"\xFF\"]",
        "[\"\\ud800\"]",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"b\":1}}",
        "[9223372036854775808]",
        "{\"\\u0000\":1}",
        "[\"\\u0000\"]",
        "[1 2]",
        "//x\n{}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (parse(bad[i], strlen(bad[i])) != SL_ERR_DATA)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(sl_error_message(), "doc: "));
    }
    assert_int_equal(parse("[1]\0", 4), SL_ERR_DATA); /* a NUL after the value */
    print_message("%zu bad texts\n", sizeof bad / sizeof *bad + 1);
}

static void test_every_prefix_is_refused(void **state)
{
    (void)state;
    const char *text = "{\"a\": [1, 2.5e3, \"\\u00e9\"], \"b\": {\"c\": null}}";
    const size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(parse(text, i), SL_ERR_DATA);
    assert_int_equal(parse(text, n), SL_OK);
}

/* 100 elements are allowed: "[" and 99 commas. */
static void test_structure_limit(void **state)
{
    (void)state;
    char text[512];
    for (int commas = 99; commas <= 100; commas++) {
        size_t n = 0;
        text[n++] = '[';
        for (int i = 0; i < commas; i++) {
            text[n++] = '1';
            text[n++] = ',';
        }
        text[n++] = '1';
        text[n++] = ']';
        assert_int_equal(parse(text, n), commas == 99 ? SL_OK : SL_ERR_DATA);
    }
    assert_non_null(strstr(sl_error_message(), "more than 100 JSON elements at byte 200"));
    const char *quoted = "[\"[[[[,,,,{{{{\"]"; /* in a string nothing counts */
    json_t *root = NULL;
    assert_int_equal(sl_json_parse(quoted, strlen(quoted), "doc", 1, &root), SL_OK);
    json_decref(root);
}

static void test_depth_limit(void **state)
{
    (void)state;
    char text[512];
    for (size_t depth = 64; depth <= 65; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(parse(text, 2 * depth), depth == 64 ? SL_OK : SL_ERR_DATA);
    }
    assert_non_null(strstr(sl_error_message(), "64 deep"));
    const size_t huge = 1 << 20;
    char *deep = malloc(huge);
    assert_non_null(deep);
    memset(deep, '[', huge);
    assert_int_equal(parse(deep, huge), SL_ERR_DATA);
    free(deep);
}

static void test_members(void **state)
{
    (void)state;
    const char *text = "{\"s\": \"text\", \"n\": 5, \"x\": 2.5, \"neg\": -1, \"z\": -0}";
    static const char *const keys[] = {"string", "number", "x", "neg", "z"};
    json_t *root = NULL;
    const char *s = "untouched";
    char copy[5];
    uint64_t n = 77;
    double x = 77;
    assert_int_equal(sl_json_parse(text, strlen(text), "doc", 100, &root), SL_OK);
    assert_int_equal(sl_json_string(root, "n", "doc", &s), SL_ERR_DATA);
    assert_int_equal(sl_json_string(root, "absent", "doc", &s), SL_ERR_DATA);
    assert_string_equal(sl_error_message(), "doc: \"absent\" is missing");
    assert_string_equal(s, "untouched");
    assert_int_equal(sl_json_string(root, "s", "doc", &s), SL_OK);
    assert_string_equal(s, "text");
    assert_int_equal(sl_json_string_copy(root, "s", "doc", copy, 4), SL_ERR_DATA);
    assert_int_equal(sl_json_string_copy(root, "s", "doc", copy, 5), SL_OK);
    assert_string_equal(copy, "text");
    assert_int_equal(sl_json_uint(root, "n", "doc", 4, &n), SL_ERR_DATA);
    assert_int_equal(sl_json_uint(root, "neg", "doc", 4, &n), SL_ERR_DATA);
    assert_int_equal(sl_json_uint(root, "x", "doc", 4, &n), SL_ERR_DATA);
    assert_int_equal(n, 77);
    assert_int_equal(sl_json_uint(root, "n", "doc", 5, &n), SL_OK);
    assert_int_equal(n, 5);
    assert_int_equal(sl_json_uint(root, "z", "doc", 0, &n), SL_OK);
    assert_int_equal(sl_json_double(root, "s", "doc", &x), SL_ERR_DATA);
    assert_int_equal(sl_json_double(root, "x", "doc", &x), SL_OK);
    assert_true(x == 2.5);
    assert_int_equal(sl_json_double(root, "n", "doc", &x), SL_OK);
    assert_true(x == 5);
    assert_int_equal(sl_json_known_keys(root, keys, 5, "doc"), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "unknown key \"s\""));
    json_decref(root);
}

static void test_nearest_key(void **state)
{
    (void)state;
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    const char *text = "{\"shpe\": 1}";
    json_t *root = NULL;
    assert_int_equal(sl_json_parse(text, strlen(text), "doc", 100, &root), SL_OK);
    assert_int_equal(sl_json_known_keys(root, keys, 3, "doc"), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "did you mean \"shape\"?"));
    assert_int_equal(sl_json_known_keys(json_object_get(root, "shpe"), keys, 3, "doc"),
                     SL_ERR_DATA);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_structure_limit),
        cmocka_unit_test(test_depth_limit),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_nearest_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
