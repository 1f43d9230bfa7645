/*
 * Recipes: limits and bombs, chains of bases, and every allocation failing in turn.
 */
#define _DEFAULT_SOURCE
#include <time.h>

#include "support/files.h"
#include "unit/recipe_case.h"

enum { CAP = 1 << 20 };

/* ---- limits and bombs ---- */

/* head, then the piece `times` times, then tail; malloc. */
static char *repeated(const char *head, const char *piece, size_t times, const char *tail)
{
    const size_t h = strlen(head), p = strlen(piece), t = strlen(tail);
    char *s = malloc(h + p * times + t + 1);
    assert_non_null(s);
    memcpy(s, head, h);
    for (size_t i = 0; i < times; i++)
        memcpy(s + h + i * p, piece, p);
    memcpy(s + h + p * times, tail, t + 1);
    return s;
}

static void expect_refused(const char *text, const char *word)
{
    struct sl_recipe r;
    const clock_t start = clock();
    require_ok(sl_recipe_init(&r));
    expect_error(parse(&r, text, strlen(text)), SL_ERR_CONFIG, word);
    sl_recipe_clear(&r);
    /* work, not speed: what grows with the square of 100,000 takes minutes */
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 1);
}

static void test_bombs(void **state)
{
    static const struct {
        const char *head, *piece, *tail, *word;
    } bombs[] = {
        {"", "[", "", "r.yaml:1:1"},
        {"", "{", "", "r.yaml:1"},
        {HEAD "data: {eval_ops: ", "[", "", "a list holds plain values only"},
        {HEAD "model: ", "{", "", "r.yaml:2"},
        {HEAD "model: ", "{a: ", "", "sections do not nest"},
        {HEAD "model: ", "[{", "", "plain values only"},
        {HEAD "model:\n  ", "? ", "", "r.yaml:3"},
        {HEAD "model:\n  ", "- ", "", "plain values only"},
        {"", "- ", "", "a mapping"},
        {"", "? ", "", "r.yaml:1"},
        {HEAD "data: {eval_ops: [", "x, ", "]}", "more than 64 values"},
        {HEAD "name: \"", "\\x41", "\"", "more than the"},
        {HEAD "name: ", "x", "", "more than the"},
        {HEAD "seed: ", "9", "", "not a whole number"},
        {HEAD "train: {lr: ", "9", "}", "finite"},
        {HEAD, "x", ": 1\n", "r.yaml:2"},
        {HEAD "? ", "x", "\n: 1\n", "longer than 255 bytes"},
        {HEAD, "&a ", "", "r.yaml:2"},
        {HEAD, "\n", "]", "not valid YAML"},
        {HEAD "name: ", "#\n", "]", "r.yaml"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        char *s = repeated(bombs[i].head, bombs[i].piece, 100000, bombs[i].tail);
        expect_refused(s, bombs[i].word);
        free(s);
    }
}

static void test_many_keys(void **state)
{
    char text[8192] = HEAD;
    size_t n = strlen(text);
    (void)state;
    for (int i = 0; i < 300; i++) /* with schema, number 255 is the 256th and last */
        n += (size_t)snprintf(text + n, sizeof text - n, "k%d: 1\n", i);
    expect_refused(text, "r.yaml:257:1: too many keys");
}

static void test_size_cap(void **state)
{
    struct sl_recipe r;
    char *s = repeated(HEAD "seed: 9\n#", "x", CAP, "");
    (void)state;
    require_ok(sl_recipe_init(&r));
    require_ok(parse(&r, s, CAP));
    assert_int_equal(r.config.seed, 9);
    expect_error(parse(&r, s, CAP + 1), SL_ERR_CONFIG, "1048577 bytes are more than the 1048576");
    sl_recipe_clear(&r);
    free(s);
}

/* 64 values are read, and the option refuses them by its own limit; 65 are not. */
static void test_list_cap(void **state)
{
    (void)state;
    for (size_t n = 64; n <= 65; n++) {
        char *s = repeated(HEAD "data: {eval_ops: [", "x, ", n, "]}");
        expect_refused(s, n == 64 ? "64 operations are more than 16" : "more than 64 values");
        free(s);
    }
}

/* ---- bases ---- */

static void put_text(const char *name, const char *text)
{
    put_file(scratch(name), text, strlen(text));
}

static void test_base(void **state)
{
    struct sl_recipe r;
    char origin[600];
    (void)state;
    require_ok(sl_make_dirs(scratch("sub/deep")));
    put_text("root.yaml", HEAD "seed: 1\nname: root\nmodel: {alpha: 3, h: gelu}\n");
    put_text("sub/mid.yaml", HEAD "base: ../root.yaml\nname: mid\nmodel: {alpha: 4}\n");
    put_text("sub/deep/top.yaml", HEAD "model: {alpha: 5}\nbase: ../mid.yaml\n"); /* base last */
    require_ok(sl_recipe_read(scratch("sub/deep/top.yaml"), &r));
    assert_int_equal(r.config.seed, 1);
    assert_string_equal(r.config.name, "mid");
    assert_int_equal(r.config.model.phi, SL_PHI_GELU);
    assert_true(r.config.model.alpha == 5);
    snprintf(origin, sizeof origin, "%s:2", scratch("sub/deep/top.yaml"));
    assert_string_equal(r.origin[sl_option_find("model.alpha")], origin);
    snprintf(origin, sizeof origin, "%s:3", scratch("sub/deep/../mid.yaml"));
    assert_string_equal(r.origin[sl_option_find("name")], origin);
    snprintf(origin, sizeof origin, "%s:2", scratch("sub/deep/../../root.yaml"));
    assert_string_equal(r.origin[sl_option_find("seed")], origin);
    assert_null(r.origin[sl_option_find("precision")]);
    sl_recipe_clear(&r);
}

static void test_absolute_base(void **state)
{
    struct sl_recipe r;
    char folder[2048], text[4096];
    (void)state;
    assert_non_null(realpath(scratch_dir, folder));
    put_text("abs.yaml", HEAD "seed: 44\n");
    snprintf(text, sizeof text, HEAD "base: '%s/abs.yaml'\n", folder);
    parse_good(&r, text);
    assert_int_equal(r.config.seed, 44);
    sl_recipe_clear(&r);
}

/* level0 has no base, level k has level k-1. */
static void test_levels(void **state)
{
    struct sl_recipe r;
    (void)state;
    put_text("level0.yaml", HEAD "seed: 8\n");
    for (int i = 1; i <= 9; i++) {
        char name[32], text[64];
        snprintf(name, sizeof name, "level%d.yaml", i);
        snprintf(text, sizeof text, HEAD "base: level%d.yaml\n", i - 1);
        put_text(name, text);
    }
    require_ok(sl_recipe_read(scratch("level8.yaml"), &r));
    assert_int_equal(r.config.seed, 8);
    sl_recipe_clear(&r);
    expect_error(sl_recipe_read(scratch("level9.yaml"), &r), SL_ERR_CONFIG,
                 "level1.yaml:2: more than 8 levels");
}

static void test_bad_bases(void **state)
{
    static const struct {
        const char *name;
        sl_status status;
        const char *word;
    } bad[] = {
        {"self.yaml", SL_ERR_CONFIG, "self.yaml:2: base 'self.yaml' leads back to itself"},
        {"ring1.yaml", SL_ERR_CONFIG, "ring3.yaml:2: base 'ring1.yaml' leads back"},
        {"dots.yaml", SL_ERR_CONFIG, "more than 8 levels"}, /* ./././dots.yaml is a new name */
        {"absent.yaml", SL_ERR_INPUT, "absent.yaml:2: base: "},
        {"folder.yaml", SL_ERR_INPUT, "not a regular file"},
        {"typo.yaml", SL_ERR_CONFIG, "wrong.yaml:2: unknown key 'sed'"},
        {"bare.yaml", SL_ERR_CONFIG, "noschema.yaml: the line 'schema: 1' is missing"},
        {"large.yaml", SL_ERR_CONFIG, "large.yaml:2: base: "},
    };
    struct sl_recipe r = {.config = {.seed = 77}};
    (void)state;
    put_text("self.yaml", HEAD "base: self.yaml\n");
    put_text("ring1.yaml", HEAD "base: ring2.yaml\n");
    put_text("ring2.yaml", HEAD "base: ring3.yaml\n");
    put_text("ring3.yaml", HEAD "base: ring1.yaml\n");
    put_text("dots.yaml", HEAD "base: ./dots.yaml\n");
    put_text("absent.yaml", HEAD "base: nothing.yaml\n");
    require_ok(sl_make_dirs(scratch("folder")));
    put_text("folder.yaml", HEAD "base: folder\n");
    put_text("typo.yaml", HEAD "base: wrong.yaml\n");
    put_text("wrong.yaml", HEAD "sed: 1\n");
    put_text("bare.yaml", HEAD "base: noschema.yaml\n");
    put_text("noschema.yaml", "seed: 1\n");
    put_text("large.yaml", HEAD "base: huge.yaml\n");
    char *huge = repeated(HEAD, "#\n", CAP / 2, "");
    put_text("huge.yaml", huge);
    free(huge);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const size_t live = sl_alloc_stats_get().live_bytes;
        expect_error(sl_recipe_read(scratch(bad[i].name), &r), bad[i].status, bad[i].word);
        assert_int_equal(r.config.seed, 77); /* untouched */
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
    }
    expect_error(sl_recipe_read("no-such-recipe", &r), SL_ERR_INPUT, "no recipe 'no-such-recipe'");
}

/* ---- allocation failures ---- */

static size_t fail_each(sl_status (*act)(void), bool sticky)
{
    for (size_t at = 1;; at++) {
        const size_t live = sl_alloc_stats_get().live_bytes;
        sl_alloc_fail_at(at, sticky);
        const sl_status st = act();
        sl_alloc_fail_at(0, false);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        if (st == SL_OK)
            return at - 1;
        assert_int_equal(st, SL_ERR_MEMORY);
        assert_non_null(strstr(sl_error_message(), "out of memory"));
    }
}

static sl_status act_parse(void)
{
    static const char text[] = HEAD "seed: 5\nbase: memory.yaml\nname: x\nmodel: {h: gelu}\n"
                                    "data: {eval_ops: [a, b, c], train_ops: []}\n";
    struct sl_recipe r = {.origin = NULL};
    char path[512];
    snprintf(path, sizeof path, "%s", scratch("memory-top.yaml"));
    sl_status st = sl_recipe_init(&r);
    if (st == SL_OK)
        st = sl_recipe_parse(&r, path, text, sizeof text - 1);
    if (st == SL_OK)
        assert_true(r.config.seed == 5 && r.config.data.eval_ops.n == 3);
    sl_recipe_clear(&r);
    return st;
}

static sl_status act_dump(void)
{
    struct sl_config c;
    char untouched, *yaml = &untouched;
    sl_config_defaults(&c);
    const sl_status st = sl_config_to_yaml(&c, NULL, &yaml);
    if (st == SL_OK)
        sl_free(yaml);
    else
        assert_ptr_equal(yaml, &untouched);
    return st;
}

static sl_status act_diff(void)
{
    struct sl_config a, b;
    char *text = NULL;
    sl_config_defaults(&a);
    b = a;
    b.seed = 1;
    const sl_status st = sl_config_diff(&a, &b, &text);
    sl_free(text);
    return st;
}

static sl_status act_read(void)
{
    struct sl_recipe r;
    const sl_status st = sl_recipe_read(scratch("memory.yaml"), &r);
    if (st == SL_OK)
        sl_recipe_clear(&r);
    return st;
}

static void test_allocation_failures(void **state)
{
    static const struct {
        const char *name;
        sl_status (*act)(void);
        size_t least;
    } acts[] = {
        {"parse", act_parse, 40}, /* two passes over two files, a copy of each key and value */
        {"dump", act_dump, 4},
        {"diff", act_diff, 50}, /* two texts for each key that is compared */
        {"read", act_read, 10},
    };
    (void)state;
    put_text("memory.yaml", HEAD "seed: 6\nlog_every_steps: 7\n");
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        const size_t once = fail_each(acts[i].act, false), sticky = fail_each(acts[i].act, true);
        print_message("%s: %zu allocations\n", acts[i].name, once);
        assert_true(once >= acts[i].least);
        assert_int_equal(once, sticky);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_size_cap),
        cmocka_unit_test(test_list_cap),
        cmocka_unit_test(test_base),
        cmocka_unit_test(test_absolute_base),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_bad_bases),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
