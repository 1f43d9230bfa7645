/*
 * Text buffers, JSON strings and numbers read back by jansson and strtod, escaping, nearest names.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "base/text.h"

enum { SEED = 7 };

static char *take(sl_text *t)
{
    char *out = NULL;
    assert_int_equal(sl_text_take(t, &out), SL_OK);
    assert_non_null(out);
    assert_null(t->text);
    return out;
}

static void test_append(void **state)
{
    sl_text t = {0};
    (void)state;
    sl_text_add(&t, "");
    sl_text_add(&t, "one ");
    sl_text_addf(&t, "%d %s", 2, "three");
    sl_text_addf(&t, "%s", "");
    assert_int_equal(t.length, 11);
    char *s = take(&t);
    assert_string_equal(s, "one 2 three");
    sl_free(s);
}

/* Every length across several growths, by both ways of appending. */
static void test_growth(void **state)
{
    enum { END = 3000 };
    char piece[64], *want = calloc(END + 64, 1);
    sl_text t = {0};
    size_t n = 0;
    (void)state;
    assert_non_null(want);
    for (size_t i = 0; n < END; i++) {
        const size_t k = i % 60;
        memset(piece, 'a' + (int)(i % 26), k);
        piece[k] = '\0';
        if (i % 2)
            sl_text_add(&t, piece);
        else
            sl_text_addf(&t, "%s", piece);
        memcpy(want + n, piece, k);
        n += k;
        assert_int_equal(t.length, n);
        assert_true(t.capacity > t.length);
        assert_string_equal(t.text, want);
    }
    sl_text_clear(&t);
    assert_null(t.text);
    free(want);
}

static void test_nothing_gives_an_empty_text(void **state)
{
    sl_text t = {0};
    (void)state;
    char *s = take(&t);
    assert_string_equal(s, "");
    sl_free(s);
}

static void test_allocation_failures(void **state)
{
    const size_t live = sl_alloc_stats_get().live_bytes;
    size_t failures = 0;
    (void)state;
    for (size_t at = 1;; at++, failures++) {
        sl_text t = {0};
        char untouched, *out = &untouched;
        sl_alloc_fail_at(at, false);
        for (int i = 0; i < 200; i++)
            sl_text_addf(&t, "%08d", i);
        sl_text_add_json_string(&t, "x");
        sl_text_add_json_number(&t, 1);
        sl_alloc_fail_at(0, false);
        const sl_status st = sl_text_take(&t, &out);
        if (st == SL_OK) {
            assert_int_equal(strlen(out), 200 * 8 + 4);
            sl_free(out);
            break;
        }
        assert_int_equal(st, SL_ERR_MEMORY);
        assert_ptr_equal(out, &untouched);
        assert_null(t.text);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
    }
    assert_int_equal(failures, 4); /* 256, 512, 1024, 2048 bytes */
}

/* ---- JSON strings ---- */

static json_t *read_json(const char *s)
{
    json_error_t error;
    json_t *x = json_loads(s, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (!x)
        fail_msg("%s: %s", s, error.text);
    return x;
}

/* `s` as a JSON string reads back as `want`. */
static void expect_json_string(const char *s, const char *want)
{
    sl_text t = {0};
    sl_text_add_json_string(&t, s);
    char *json = take(&t);
    json_t *x = read_json(json);
    assert_true(json_is_string(x));
    assert_string_equal(json_string_value(x), want);
    json_decref(x);
    sl_free(json);
}

static void test_json_string_exact(void **state)
{
    static const char *const cases[][2] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\n\t\x01\x7F", "\"\\u000a\\u0009\\u0001\\u007f\""},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {"\xC2\x85\xC2\x9F\xC2\xA0", "\"\\u0085\\u009f\xC2\xA0\""},
        {"\xE2\x80\xA8\xE2\x80\xA9\xEF\xBB\xBF", "\"\\u2028\\u2029\\ufeff\""},
        {"\xF4\x8F\xBF\xBF\xEF\xBF\xBF", "\"\xF4\x8F\xBF\xBF\\uffff\""},
        {"a\xFFz", "\"a\\ufffdz\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sl_text t = {0};
        sl_text_add_json_string(&t, cases[i][0]);
        char *s = take(&t);
        assert_string_equal(s, cases[i][1]);
        sl_free(s);
    }
}

/* Code points to UTF-8, written here by the definition. */
static size_t encode(unsigned code, char *s)
{
    if (code < 0x80)
        return s[0] = (char)code, 1;
    const size_t k = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = k - 1; i > 0; i--, code >>= 6)
        s[i] = (char)(0x80 | (code & 0x3F));
    s[0] = (char)((0xF00 >> k & 0xFF) | code);
    return k;
}

static void test_json_string_every_code_point(void **state)
{
    size_t n = 0;
    (void)state;
    for (unsigned code = 1; code <= 0x10FFFF; code += code < 0x3000 ? 1 : 61) {
        char s[8] = {0};
        if (code >= 0xD800 && code < 0xE000)
            continue;
        encode(code, s);
        assert_true(sl_text_is_utf8(s));
        expect_json_string(s, s);
        n++;
    }
    print_message("code points: %zu\n", n);
    for (unsigned code = 0xFFFE; code <= 0x10FFFF; code += code % 2 ? 0xFFFF : 1) {
        char s[8] = {0}; /* the non-characters at the end of each plane */
        encode(code, s);
        expect_json_string(s, s);
    }
}

static const char *const not_utf8[] = {"\x80",
                                       "\xBF",
                                       "\xC0\x80",
                                       "\xC1\xBF",
                                       "\xC3",
                                       "\xC3(",
                                       "\xE0\x80\x80",
                                       "\xE0\x9F\xBF",
                                       "\xE2\x82",
                                       "\xE2(\xA1",
                                       "\xED\xA0\x80",
                                       "\xED\xBF\xBF",
                                       "\xF0\x80\x80\x80",
                                       "\xF0\x9F\x98",
                                       "\xF0\x8F\xBF\xBF",
                                       "\xF4\x90\x80",
                                       "\xF4\x90\x80\x80",
                                       "\xF5\x80\x80\x80",
                                       "\xF8\x88\x80",
                                       "\xFE",
                                       "\xFF"};
enum { NOT_UTF8 = sizeof not_utf8 / sizeof not_utf8[0] };

static void test_not_utf8(void **state)
{
    (void)state;
    assert_true(sl_text_is_utf8(""));
    for (size_t i = 0; i < NOT_UTF8; i++) {
        char around[16];
        snprintf(around, sizeof around, "a%sz", not_utf8[i]);
        assert_false(sl_text_is_utf8(not_utf8[i]));
        assert_false(sl_text_is_utf8(around));
        sl_text t = {0};
        sl_text_add_json_string(&t, around);
        char *json = take(&t);
        json_t *x = read_json(json); /* valid whatever the bytes */
        assert_true(json_is_string(x));
        assert_non_null(strstr(json_string_value(x), "\xEF\xBF\xBD"));
        assert_int_equal(json_string_value(x)[0], 'a');
        assert_int_equal(json_string_value(x)[json_string_length(x) - 1], 'z');
        json_decref(x);
        sl_free(json);
    }
}

/* ---- JSON numbers ---- */

static void expect_number(double x, const char *want)
{
    sl_text t = {0};
    sl_text_add_json_number(&t, x);
    char *s = take(&t), *end;
    const double back = strtod(s, &end);
    if (back != x || *end || signbit(back) != signbit(x) || (want && strcmp(s, want) != 0))
        fail_msg("%.17g is written as %s%s%s", x, s, want ? ", not " : "", want ? want : "");
    json_t *json = read_json(s);
    assert_true(json_number_value(json) == x);
    json_decref(json);
    sl_free(s);
}

static void test_json_number_exact(void **state)
{
    static const struct {
        double x;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1, "-1"},
        {0.1, "0.1"},
        {1e-3, "0.001"},
        {3e-4, "0.0003"},
        {1e-4, "0.0001"},
        {9.99e-5, "9.99e-05"},
        {1e-8, "1e-08"},
        {100, "100"},
        {120, "120"},
        {0.5, "0.5"},
        {2.5e10, "25000000000"},
        {1e14, "100000000000000"},
        {1e15, "1e+15"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {99.99999999999999, "99.99999999999999"}, /* its log10 rounds to 2 */
        {999999999999999.9, "999999999999999.9"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {0x1p-1074, "5e-324"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_number(cases[i].x, cases[i].text);
}

/* Powers of ten and their neighbours, and doubles with random bits. */
static void test_json_number_reads_back(void **state)
{
    size_t n = 0;
    (void)state;
    for (int e = -320; e <= 308; e++) {
        const double x = pow(10, e);
        const double around[] = {x, nextafter(x, 0), nextafter(x, INFINITY),
                                 nextafter(nextafter(x, 0), 0), x / 10 * 3};
        for (size_t i = 0; i < 5; i++, n++)
            expect_number(around[i], NULL);
    }
    sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 0, 0);
    for (int i = 0; i < 20000; i++, n++) {
        const uint64_t high = sl_rng_u32(&rng), bits = high << 32 | sl_rng_u32(&rng);
        double x;
        memcpy(&x, &bits, sizeof x);
        if (isfinite(x))
            expect_number(x, NULL);
        expect_number(ldexp(sl_rng_normal(&rng), (int)sl_rng_below(&rng, 100) - 50), NULL);
    }
    print_message("seed %d, numbers: %zu\n", SEED, n);
}

static void test_json_number_not_finite(void **state)
{
    static const double cases[] = {INFINITY, -INFINITY, NAN};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        sl_text t = {0};
        sl_text_add_json_number(&t, cases[i]);
        char *s = take(&t);
        assert_string_equal(s, "null");
        sl_free(s);
    }
}

/* ---- escaping ---- */

static void test_escape(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *text;
    } cases[] = {
        {"", 0, ""},
        {"plain 'text'", 12, "plain 'text'"},
        {"a\0b", 3, "a\\x00b"},
        {"\x1B[31m\n", 6, "\\x1B[31m\\x0A"},
        {"\x7F", 1, "\\x7F"},
        {"\xC3\xA9", 2, "\xC3\xA9"},
        {"\xC3\xA9", 1, "\\xC3"},
        {"\xC2\x9B", 2, "\\xC2\\x9B"}, /* a C1 control that terminals obey */
        {"\xE2\x82\xAC\xFF", 4, "\xE2\x82\xAC\\xFF"},
        {"\xED\xA0\x80", 3, "\\xED\\xA0\\x80"},
    };
    char out[SL_ESCAPED_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(sl_escape(cases[i].bytes, cases[i].n, out), cases[i].text);
}

/* Cut at 200 bytes, never inside a character, for every length and every width of the last. */
static void test_escape_is_cut(void **state)
{
    static const char *const last[] = {"z", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\x01"};
    (void)state;
    for (size_t lead = 190; lead <= 205; lead++)
        for (size_t k = 0; k < 5; k++) {
            char s[256] = {0}, out[SL_ESCAPED_SIZE];
            memset(s, 'a', lead);
            strcat(s, last[k]);
            sl_escape(s, strlen(s), out);
            const size_t width = k == 4 ? 4 : strlen(last[k]);
            assert_true(sl_text_is_utf8(out));
            if (lead + width <= 200) {
                assert_int_equal(strlen(out), lead + width);
            } else {
                const size_t kept = lead < 200 ? lead : 200;
                assert_int_equal(strlen(out), kept + 3);
                assert_string_equal(out + kept, "...");
            }
        }
}

/* ---- nearest ---- */

static void test_nearest(void **state)
{
    static const char *const names[] = {"model.alpha", "model.depth", "train.lr", "seed", "e"};
    static const struct {
        const char *word, *want;
    } cases[] = {
        {"model.alpha", "model.alpha"},
        {"model.alhpa", "model.alpha"},
        {"model.alph", "model.alpha"},
        {"model.alphas", "model.alpha"},
        {"modl.dept", "model.depth"},
        {"train.rl", "train.lr"},
        {"sed", "seed"},
        {"", NULL},
        {"f", NULL}, /* all of "e" would change */
        {"nothing.like.it", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got = sl_nearest(cases[i].word, names, 5);
        if (!cases[i].want)
            assert_null(got);
        else
            assert_string_equal(got, cases[i].want);
    }
    assert_null(sl_nearest("seed", names, 0));
}

/* Words at and beyond the longest that is compared. */
static void test_nearest_of_long_words(void **state)
{
    char name[80], word[80];
    const char *names[] = {name};
    (void)state;
    for (size_t n = 60; n <= 66; n++)
        for (size_t m = 60; m <= 66; m++) {
            memset(name, 'x', n);
            memset(word, 'x', m);
            name[n] = word[m] = '\0';
            assert_ptr_equal(sl_nearest(word, names, 1), n <= 63 && m <= 63 ? name : NULL);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_nothing_gives_an_empty_text),
        cmocka_unit_test(test_allocation_failures),
        cmocka_unit_test(test_json_string_exact),
        cmocka_unit_test(test_json_string_every_code_point),
        cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_json_number_exact),
        cmocka_unit_test(test_json_number_reads_back),
        cmocka_unit_test(test_json_number_not_finite),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_escape_is_cut),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_nearest_of_long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
