/*
 * The option table: every key set, written, read back, at and beyond its range; bad assignments;
 * differences and digests.
 */
#include <math.h>

#include "unit/config_case.h"

static void value_is(const struct sl_config *c, const char *key, const char *want)
{
    char *s = formatted(option(key), c);
    assert_string_equal(s, want);
    sl_free(s);
}

/* ---- the table ---- */

static void test_table(void **state)
{
    struct sl_config c;
    (void)state;
    assert_true(sl_n_options > 50);
    sl_config_defaults(&c);
    for (size_t i = 0; i < sl_n_options; i++) {
        const struct sl_option *o = &sl_options[i];
        assert_int_equal(sl_option_find(o->key), i); /* no key twice */
        assert_true(strlen(o->help) > 0 && strlen(o->key) < SL_NAME_MAX);
        assert_true((o->kind == SL_KIND_ENUM) == (o->names != NULL));
        struct sl_config again = c;
        require_ok(sl_option_set_text(o, &again, o->fallback)); /* valid, and what is there */
        assert_memory_equal(&again, &c, sizeof c);
    }
    assert_string_equal(sl_option_nearest("model.alph"), "model.alpha");
    assert_string_equal(sl_option_nearest("alpha"), "model.alpha");
    assert_string_equal(sl_option_nearest("train.alpha"), "model.alpha");
    assert_string_equal(sl_option_nearest("model.lr"), "train.lr");
    assert_string_equal(sl_option_nearest("train.batch_size"), "train.batch");
    assert_string_equal(sl_option_nearest("checkpoint.keep_lst"), "checkpoint.keep_last");
    assert_null(sl_option_nearest("model.convolutional_kernel_size"));
    assert_int_equal(sl_option_find("model.alph"), sl_n_options);
    assert_int_equal(sl_option_find(""), sl_n_options);
}

/* Some defaults whose change would change results silently. */
static void test_defaults(void **state)
{
    static const char *const want[][2] = {
        {"seed", "0"},
        {"precision", "auto"},
        {"model.image_size", "224"},
        {"model.h", "relu"},
        {"model.alpha", "1"},
        {"model.length", "actual"},
        {"model.bias", "0"},
        {"model.qk_norm", "layernorm"},
        {"model.norm_eps", "1e-06"},
        {"train.lr", "0.001"},
        {"train.wd", "0.0001"},
        {"train.beta2", "0.999"},
        {"train.eps", "1e-08"},
        {"train.clip", "1"},
        {"train.optimizer", "adam"},
        {"data.train_ops", "[]"},
        {"train.loss", "sigmoid_xent"},
        {"data.value_min", "-1"},
    };
    struct sl_config c;
    (void)state;
    sl_config_defaults(&c);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        value_is(&c, want[i][0], want[i][1]);
}

/* Each key alone: the assignment changes the config, the dump reads back to the same bytes, the
 * difference names this key, the digest changes unless the key changes no result. */
static void test_every_option(void **state)
{
    struct sl_config defaults;
    char digest[33], other[33];
    (void)state;
    sl_config_defaults(&defaults);
    require_ok(sl_config_digest(&defaults, digest));
    assert_int_equal(strlen(digest), 32);
    for (size_t i = 0; i < sl_n_options; i++) {
        const struct sl_option *o = &sl_options[i];
        struct sl_recipe r, back;
        char text[128], assignment[256], *yaml = NULL, *diff = NULL;
        other_value(o, &defaults, text);
        snprintf(assignment, sizeof assignment, "%s=%s", o->key, text);
        require_ok(sl_recipe_init(&r));
        require_ok(sl_recipe_set(&r, assignment, "--set"));
        assert_memory_not_equal(&r.config, &defaults, sizeof defaults);
        for (size_t k = 0; k < sl_n_options; k++)
            assert_true(k == i ? strcmp(r.origin[k], "--set") == 0 : r.origin[k] == NULL);

        require_ok(sl_config_to_yaml(&r.config, NULL, &yaml));
        require_ok(sl_recipe_init(&back));
        require_ok(sl_recipe_parse(&back, "dump", yaml, strlen(yaml)));
        assert_memory_equal(&back.config, &r.config, sizeof r.config);

        require_ok(sl_config_diff(&defaults, &r.config, &diff));
        require_ok(sl_config_digest(&r.config, other));
        assert_true((strcmp(digest, other) == 0) == o->inert);
        char *was = formatted(o, &defaults), *is = formatted(o, &r.config), want[512];
        snprintf(want, sizeof want, "%s: %s -> %s", o->key, was, is);
        assert_string_equal(diff, o->inert ? "" : want);
        sl_free(was);
        sl_free(is);
        sl_free(diff);
        sl_free(yaml);
        sl_recipe_clear(&r);
        sl_recipe_clear(&back);
    }
    print_message("options: %zu\n", sl_n_options);
}

static void test_inert_keys(void **state)
{
    static const char *const inert[] = {"name",
                                        "data.train_images",
                                        "data.workers",
                                        "data.prefetch",
                                        "data.cache_mb",
                                        "checkpoint.every_steps",
                                        "checkpoint.keep_last",
                                        "checkpoint.keep_every",
                                        "checkpoint.best",
                                        "eval.transfer",
                                        "eval.sizes"};
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < sl_n_options; i++)
        n += sl_options[i].inert;
    assert_int_equal(n, sizeof inert / sizeof inert[0]);
    for (size_t i = 0; i < n; i++)
        assert_true(option(inert[i])->inert);
}

static void test_diff_of_several(void **state)
{
    struct sl_config a, b;
    char *text = NULL;
    (void)state;
    sl_config_defaults(&a);
    b = a;
    require_ok(sl_config_diff(&a, &b, &text));
    assert_string_equal(text, "");
    sl_free(text);
    b.seed = 3;
    b.data.workers = 9;
    b.model.phi = SL_PHI_SOFTMAX;
    b.model.image_width = 32;
    require_ok(sl_config_diff(&a, &b, &text));
    assert_string_equal(text, "seed: 0 -> 3\nmodel.image_size: 224 -> [224, 32]\n"
                              "model.h: relu -> softmax");
    sl_free(text);
}

/* ---- ranges ---- */

static bool whole(const struct sl_option *o)
{
    return o->kind == SL_KIND_SIZE || o->kind == SL_KIND_U64 || o->kind == SL_KIND_IMAGE_SIZE;
}

static void try_number(const struct sl_option *o, double x, bool good)
{
    struct sl_config c, before;
    char text[64];
    sl_config_defaults(&c);
    before = c;
    snprintf(text, sizeof text, whole(o) ? "%.0f" : "%.17g", x);
    const sl_status st = sl_option_set_text(o, &c, text);
    if (good) {
        require_ok(st);
        return;
    }
    expect_error(st, SL_ERR_CONFIG, o->key);
    assert_non_null(strstr(sl_error_message(), x < 0 && whole(o) ? "whole number" : "outside"));
    assert_memory_equal(&c, &before, sizeof c);
}

static void test_ranges(void **state)
{
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < sl_n_options; i++) {
        const struct sl_option *o = &sl_options[i];
        if (!whole(o) && o->kind != SL_KIND_REAL && o->kind != SL_KIND_SCORE_BIAS)
            continue;
        assert_true(o->min < o->max);
        try_number(o, o->min, true);
        try_number(o, o->max, true);
        try_number(o, whole(o) ? o->min - 1 : nextafter(o->min, -INFINITY), false);
        try_number(o, whole(o) ? o->max + 1 : nextafter(o->max, INFINITY), false);
        n++;
    }
    print_message("ranges: %zu\n", n);
    assert_true(n > 35);
}

/* Text of one byte less than the field, and of its size. */
static void test_text_lengths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sl_n_options; i++) {
        const struct sl_option *o = &sl_options[i];
        struct sl_config c;
        char text[SL_SPEC_MAX + 1] = {0};
        if (o->kind != SL_KIND_TEXT && o->kind != SL_KIND_NAME)
            continue;
        sl_config_defaults(&c);
        memset(text, 'x', (size_t)o->max);
        expect_error(sl_option_set_text(o, &c, text), SL_ERR_CONFIG, "bytes");
        text[(size_t)o->max - 1] = '\0';
        require_ok(sl_option_set_text(o, &c, text));
        assert_string_equal((const char *)&c + o->offset, text);
        if (o->min > 0)
            expect_error(sl_option_set_text(o, &c, ""), SL_ERR_CONFIG, "empty");
        else
            require_ok(sl_option_set_text(o, &c, ""));
        expect_error(sl_option_set_text(o, &c, "a\xFF"), SL_ERR_CONFIG, "UTF-8");
    }
}

static const struct bad_text bad_assignments[] = {
    {"", "section.key=value"},
    {"seed", "section.key=value"},
    {"=5", "section.key=value"},
    {"\x1B[31m", "\\x1B[31m"},
    {"model.alhpa=1", "did you mean 'model.alpha'"},
    {"model=1", "'model' is a section"},
    {"mode=1", "unknown key 'mode'"},
    {"alpha=1", "unknown key 'alpha', did you mean 'model.alpha'?"},
    {"train.alpha=1", "did you mean 'model.alpha'?"},
    {"model.bias=-log K", "'-log K' is not a number or -log L"},
    {"zzzzzzzzzzzzzzzz=1", "config keys"},
    {"seed=", "whole number"},
    {"seed=-1", "whole number"},
    {"seed=+1", "whole number"},
    {"seed=01", "whole number"},
    {"seed=0x1F", "whole number"},
    {"seed=1_000", "whole number"},
    {"seed=1e3", "whole number"},
    {"seed=1.0", "whole number"},
    {"seed= 1", "whole number"},
    {"seed=1 ", "whole number"},
    {"seed=18446744073709551616", "whole number"},
    {"seed=9999999999999999999", "outside"},
    {"model.alpha=", "number"},
    {"model.alpha=x", "number"},
    {"model.alpha=0x1p3", "number"},
    {"model.alpha=inf", "number"},
    {"model.alpha=nan", "number"},
    {"model.alpha=1e", "finite number"},
    {"model.alpha=1e999", "finite number"},
    {"model.alpha=1-2", "finite number"},
    {"model.alpha=.", "finite number"},
    {"model.alpha=--1", "finite number"},
    {"model.alpha=1,5", "number"},
    {"model.rep_size=yes", "true or false"},
    {"model.rep_size=True", "true or false"},
    {"model.rep_size=1", "true or false"},
    {"model.h=relux", "did you mean 'relu"},
    {"model.h=ReLU", "softmax, relu, relu2"},
    {"model.bias=-log", "number"},
    {"model.bias=log L", "number"},
    {"model.gate=silo", "did you mean 'silu'"},
    {"model.pool=", "gap, tok, map"},
    {"model.image_size=[]", "one side or"},
    {"model.image_size=[1, 2, 3]", "not 3 numbers"},
    {"model.image_size=[1, x]", "whole number"},
    {"model.image_size=[0, 8]", "outside"},
    {"model.image_size=[8, 65536]", "outside"},
    {"model.image_size=8x8", "whole number"},
    {"data.train_ops=flip_lr", "takes a list"},
    {"data.train_ops=[a,]", "operation 2 has 0 bytes"},
    {"data.train_ops=[,a]", "operation 1 has 0 bytes"},
    {"data.train_ops=[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "more than 16"},
    {"data.train_ops=[\xC3(]", "UTF-8"},
    {"name=\xFF", "UTF-8"},
    {"name=../x", "'../x' is not a name"},
    {"name=a/b", "'a/b' is not a name"},
    {"name=..", "is not a name"},
    {"name=.hidden", "is not a name"},
    {"name=-rf", "is not a name"},
    {"name=a b", "is not a name"},
    {"name=a\nb", "'a\\x0Ab' is not a name"},
    {"name=caf\xC3\xA9", "is not a name"},
};

static void test_bad_assignments(void **state)
{
    struct sl_recipe r;
    struct sl_config before;
    (void)state;
    require_ok(sl_recipe_init(&r));
    before = r.config;
    for (size_t i = 0; i < sizeof bad_assignments / sizeof bad_assignments[0]; i++) {
        const struct bad_text *b = &bad_assignments[i];
        expect_error(sl_recipe_set(&r, b->assignment, "--set"), SL_ERR_CONFIG, b->word);
        assert_int_equal(strncmp(sl_error_message(), "--set: ", 7), 0);
        assert_memory_equal(&r.config, &before, sizeof before);
    }
    for (size_t i = 0; i < sl_n_options; i++)
        assert_null(r.origin[i]);
    sl_recipe_clear(&r);
}

static void test_lists(void **state)
{
    struct sl_config c;
    (void)state;
    sl_config_defaults(&c);
    require_ok(sl_option_set_text(option("data.eval_ops"), &c, "[ a(1, (2,3)) , \"b\" ,c]"));
    value_is(&c, "data.eval_ops", "[\"a(1, (2,3))\", \"b\", \"c\"]");
    require_ok(sl_option_set_text(option("data.eval_ops"), &c, "[\"a(1)\"]"));
    value_is(&c, "data.eval_ops", "[\"a(1)\"]");
    require_ok(sl_option_set_text(option("data.eval_ops"), &c, "[ \"a\", b, \"c(1, 2)\" ]"));
    value_is(&c, "data.eval_ops", "[\"a\", \"b\", \"c(1, 2)\"]");
    require_ok(sl_option_set_text(option("data.eval_ops"), &c, "[ ]"));
    value_is(&c, "data.eval_ops", "[]");
    require_ok(sl_option_set_text(option("model.image_size"), &c, "[7, 9]"));
    assert_true(c.model.image_height == 7 && c.model.image_width == 9);
    require_ok(sl_option_set_text(option("model.image_size"), &c, "[12]"));
    assert_true(c.model.image_height == 12 && c.model.image_width == 12);
}

/* -log L and a number replace each other. */
static void test_score_bias(void **state)
{
    struct sl_config c;
    (void)state;
    sl_config_defaults(&c);
    require_ok(sl_option_set_text(option("model.bias"), &c, "-2.5"));
    assert_true(c.model.bias == -2.5 && !c.model.bias_neg_log_length);
    require_ok(sl_option_set_text(option("model.bias"), &c, "-log L"));
    assert_true(c.model.bias == 0 && c.model.bias_neg_log_length);
    value_is(&c, "model.bias", "-log L");
    require_ok(sl_option_set_text(option("model.bias"), &c, "3"));
    assert_true(c.model.bias == 3 && !c.model.bias_neg_log_length);
}

static void test_help(void **state)
{
    char *text = NULL;
    (void)state;
    require_ok(sl_options_help(&text));
    for (size_t i = 0; i < sl_n_options; i++) {
        char line[SL_NAME_MAX + 2];
        snprintf(line, sizeof line, "%s (", sl_options[i].key);
        assert_non_null(strstr(text, line));
        assert_non_null(strstr(text, sl_options[i].help));
    }
    assert_non_null(strstr(text, "adam|adamw|sgd; default adam"));
    assert_non_null(strstr(text, "softmax|relu|"));
    assert_non_null(strstr(text, "model.alpha (number, -16 to 16; default 1)"));
    assert_non_null(strstr(text, "checkpoint.keep_last (whole number, 2 to 1e+06; default 2)"));
    sl_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_option),
        cmocka_unit_test(test_inert_keys),
        cmocka_unit_test(test_diff_of_several),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_text_lengths),
        cmocka_unit_test(test_bad_assignments),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_score_bias),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
