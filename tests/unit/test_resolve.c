/*
 * Variants, the checks of a whole recipe, and the metadata of weight files.
 */
#include <stdlib.h>

#include "unit/config_case.h"

/* ---- variants ---- */

static void test_variants(void **state)
{
    static const struct {
        const char *name;
        size_t width, depth, mlp, heads;
    } want[] = {
        {"mu", 32, 1, 128, 2},          {"Ti", 192, 12, 768, 3},   {"S", 384, 12, 1536, 6},
        {"M", 512, 12, 2048, 8},        {"B", 768, 12, 3072, 12},  {"L", 1024, 24, 4096, 16},
        {"So400m", 1152, 27, 4304, 16}, {"H", 1280, 32, 5120, 16}, {"g", 1408, 40, 6144, 16},
        {"g-opt", 1536, 40, 6144, 16},  {"G", 1664, 48, 8192, 16}, {"G-opt", 1536, 48, 8192, 16},
        {"e", 1792, 56, 15360, 16},
    };
    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        for (size_t patch = 1; patch <= 1024; patch = patch * 2 + patch % 2) {
            struct sl_vit_config v = {0};
            char name[32];
            snprintf(name, sizeof name, "%s/%zu", want[i].name, patch);
            require_ok(sl_variant_apply(name, &v));
            assert_int_equal(v.width, want[i].width);
            assert_int_equal(v.depth, want[i].depth);
            assert_int_equal(v.mlp, want[i].mlp);
            assert_int_equal(v.heads, want[i].heads);
            assert_int_equal(v.patch, patch);
        }
    struct sl_vit_config v = {.depth = 2, .patch = 4}; /* what is given stays */
    require_ok(sl_variant_apply("S/1024", &v));
    assert_true(v.width == 384 && v.depth == 2 && v.patch == 4);
    v = (struct sl_vit_config){0};
    require_ok(sl_variant_apply("B", &v));
    assert_true(v.width == 768 && v.patch == 0);
}

static void test_bad_variants(void **state)
{
    static const char *const bad[] = {"",
                                      "/16",
                                      "X/16",
                                      "s/16",
                                      "S/",
                                      "S/0",
                                      "S/-1",
                                      "S/016",
                                      "S/16 ",
                                      "S/16/16",
                                      "S/1025",
                                      "S /16",
                                      "S/+4",
                                      "S/0x10",
                                      "S/1e1",
                                      "ti/16",
                                      "So400/14",
                                      "S/ 16",
                                      "S/99999999999999999999"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sl_vit_config v = {0};
        expect_error(sl_variant_apply(bad[i], &v), SL_ERR_CONFIG, "model.variant: '");
        assert_true(v.width == 0 && v.patch == 0);
    }
    struct sl_vit_config v = {0};
    expect_error(sl_variant_apply("So400/14", &v), SL_ERR_CONFIG, "did you mean 'So400m'");
}

/* ---- resolve ---- */

/* Assignments over a good recipe, separated by blanks, and a word of the sentence; NULL = good. */
static const struct {
    const char *assignments, *word;
} resolves[] = {
    {"", NULL},
    {"model.heads=0 model.variant=", "model.heads is 0"},
    {"model.width=0 model.variant=", "model.width is 0"},
    {"model.depth=0 model.variant=", "model.depth is 0"},
    {"model.mlp=0 model.variant=", "model.mlp is 0"},
    {"model.patch=0 model.variant=", "model.patch is 0"},
    {"model.width=0 model.variant=S/8", NULL}, /* heads 4 are given: 384 / 4 */
    {"model.width=0 model.heads=5 model.variant=S/8", "384 is not divisible by model.heads 5"},
    {"model.width=66", "model.width 66 is not divisible by model.heads 4"},
    {"model.heads=3", "not divisible"},
    {"model.heads=65", "not divisible"},
    {"model.width=1024 model.heads=4", NULL}, /* head size 256, the largest */
    {"model.width=1028 model.heads=4", "head size 257"},
    {"model.image_size=33", "not divisible by model.patch 8"},
    {"model.image_size=[32,36]", "32 x 36 is not divisible"},
    {"model.image_size=[36,32]", "36 x 32 is not divisible"},
    {"model.image_size=[32,8]", NULL},
    {"model.image_size=7", "smaller than a patch of 8"},
    {"model.image_size=[32,4]", "smaller than a patch"},
    {"model.image_size=[4,32]", "smaller than a patch"},
    {"model.posemb=sincos2d", NULL},
    {"model.posemb=sincos2d model.width=63 model.heads=3", "sincos2d"},
    {"model.posemb=sincos2d model.width=62 model.heads=2", "sincos2d"},
    {"model.posemb=sincos2d model.width=4 model.heads=1", "at least 8"},
    {"model.posemb=sincos2d model.width=8 model.heads=1", NULL},
    {"model.posemb=learn model.width=62 model.heads=2", NULL},
    {"train.total_steps=0", "none of train.total_steps"},
    {"train.total_epochs=3", "more than one of train.total_steps"},
    {"train.total_examples=3", "more than one of train.total_steps"},
    {"train.total_steps=0 train.total_epochs=3 train.total_examples=4", "more than one"},
    {"train.total_steps=0 train.total_epochs=0.5", NULL},
    {"train.total_steps=0 train.total_examples=9", NULL},
    {"train.warmup_steps=1 train.warmup_epochs=1", "more than one of train.warmup_steps"},
    {"train.warmup_epochs=1 train.warmup_examples=1", "more than one of train.warmup_steps"},
    {"train.warmup_steps=1 train.warmup_examples=1", "more than one of train.warmup_steps"},
    {"train.warmup_examples=1", NULL},
    {"train.batch=64 train.accumulate=3", "64 is not divisible by train.accumulate 3"},
    {"train.batch=64 train.accumulate=128", "not divisible"},
    {"train.batch=64 train.accumulate=64", NULL},
    {"train.beta1=1", "less than 1"},
    {"train.momentum=1", "less than 1"},
    {"train.beta2=1", "less than 1"},
    {"eval.every_steps=5 eval.every_epochs=1", "not both"},
    {"eval.every_steps=5", NULL},
    {"data.value_min=1", "not below"},
    {"data.value_min=2", "not below"},
    {"model.variant=Q/8", "model.variant"},
};

static struct sl_config good_config(void)
{
    static const char *const set[] = {
        "model.width=64", "model.depth=2",       "model.heads=4",  "model.mlp=128",
        "model.patch=8",  "model.image_size=32", "train.batch=64", "train.total_steps=10"};
    struct sl_recipe r;
    require_ok(sl_recipe_init(&r));
    for (size_t i = 0; i < sizeof set / sizeof set[0]; i++)
        require_ok(sl_recipe_set(&r, set[i], "test"));
    const struct sl_config c = r.config;
    sl_recipe_clear(&r);
    return c;
}

static void test_resolve(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof resolves / sizeof resolves[0]; i++) {
        struct sl_recipe r;
        char text[256];
        require_ok(sl_recipe_init(&r));
        r.config = good_config();
        snprintf(text, sizeof text, "%s", resolves[i].assignments);
        for (char *s = strtok(text, " "); s; s = strtok(NULL, " "))
            require_ok(sl_recipe_set(&r, s, "test"));
        const sl_status st = sl_config_resolve(&r.config);
        if (resolves[i].word)
            expect_error(st, SL_ERR_CONFIG, resolves[i].word);
        else
            require_ok(st);
        sl_recipe_clear(&r);
    }
}

/* Resolving fills what a variant gives, and resolving again changes nothing. */
static void test_resolve_twice(void **state)
{
    struct sl_config c, again;
    (void)state;
    sl_config_defaults(&c);
    strcpy(c.model.variant, "S/16");
    c.train.total_epochs = 30;
    require_ok(sl_config_resolve(&c));
    assert_int_equal(c.model.width, 384);
    assert_int_equal(c.model.patch, 16);
    assert_int_equal(sl_vit_tokens(&c.model), 196);
    again = c;
    require_ok(sl_config_resolve(&again));
    assert_memory_equal(&again, &c, sizeof c);
}

static void test_tokens(void **state)
{
    (void)state;
    for (int pool = SL_POOL_GAP; pool <= SL_POOL_MAP; pool++)
        for (size_t registers = 0; registers < 5; registers += 4) {
            const struct sl_vit_config v = {.patch = 4,
                                            .image_height = 8,
                                            .image_width = 20,
                                            .pool = (enum sl_pool)pool,
                                            .registers = registers};
            assert_int_equal(sl_vit_grid(&v), 10);
            assert_int_equal(sl_vit_tokens(&v), 10 + registers + (pool == SL_POOL_TOK));
        }
}

static size_t warnings;
static char last_warning[256];

static void on_log(void *user, sl_log_level level, const char *line)
{
    (void)user;
    warnings += level == SL_LOG_WARN;
    snprintf(last_warning, sizeof last_warning, "%s", line);
}

static void test_warnings(void **state)
{
    struct sl_config c = good_config(); /* 16 tokens: enough */
    (void)state;
    sl_set_log(on_log, NULL);
    require_ok(sl_config_resolve(&c));
    assert_int_equal(warnings, 0);
    c.model.bias_neg_log_length = true;
    require_ok(sl_config_resolve(&c));
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "counts twice"));
    c.model.alpha = 0;
    require_ok(sl_config_resolve(&c));
    assert_int_equal(warnings, 1);
    c.model.image_width = 24; /* 12 tokens */
    require_ok(sl_config_resolve(&c));
    assert_int_equal(warnings, 2);
    assert_non_null(strstr(last_warning, "12 tokens"));
    sl_config_defaults(&c);
    c.train.total_steps = 1;
    strcpy(c.model.variant, "S/16");
    require_ok(sl_config_resolve(&c));
    require_ok(sl_config_resolve(&c)); /* a resolved recipe: its sizes are the variant's */
    assert_int_equal(warnings, 2);
    strcpy(c.model.variant, "B/16");
    require_ok(sl_config_resolve(&c));
    assert_int_equal(warnings, 3);
    assert_non_null(strstr(last_warning, "model.variant B/16 is overridden: width 384"));
    strcpy(c.model.variant, "S");
    require_ok(sl_config_resolve(&c)); /* no patch of its own to override */
    assert_int_equal(warnings, 3);
    strcpy(c.model.variant, "S/32");
    require_ok(sl_config_resolve(&c));
    assert_int_equal(warnings, 4);
    assert_int_equal(c.model.patch, 16);
    sl_set_log(NULL, NULL);
}

/* ---- metadata of weight files ---- */

static void test_model_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < sl_n_options; i++) { /* every key of the section, changed alone */
        const struct sl_option *o = &sl_options[i];
        struct sl_config c = good_config(), defaults;
        struct sl_vit_config back = {0};
        char text[128], *json = NULL;
        if (strncmp(o->key, "model.", 6) != 0 || strcmp(o->key, "model.variant") == 0)
            continue;
        sl_config_defaults(&defaults);
        other_value(o, &defaults, text);
        if (strcmp(o->key, "model.image_size") == 0)
            strcpy(text, "[64, 32]");
        else if (o->kind == SL_KIND_SIZE) /* the sizes must fit together */
            strcpy(text, "32");
        require_ok(sl_option_set_text(o, &c, text));
        c.model.train_length = 196.5;
        require_ok(sl_vit_to_json(&c.model, &json));
        require_ok(sl_vit_from_json(json, strlen(json), &back));
        assert_memory_equal(&back, &c.model, sizeof back);
        sl_free(json);
    }
}

static const char model_head[] =
    "{\"width\": 64, \"depth\": 2, \"heads\": 4, \"mlp\": 128, \"patch\": 8, \"image_size\": 32";

/* What follows the head of a good object. */
static const struct bad_text bad_models[] = {
    {"", "bad JSON"},
    {"}", "\"train_length\" is missing"},
    {", \"train_length\": \"1\"}", "must be a number"},
    {", \"train_length\": null}", "must be a number"},
    {", \"train_length\": -1}", "less than 0"},
    {", \"train_length\": 1e999}", "bad JSON"},
    {", \"train_length\": 1, \"train_length\": 1}", "bad JSON"},
    {", \"train_length\": 1, \"width\": 64}", "bad JSON"},
    {", \"train_length\": 1} x", "bad JSON"},
    {", \"train_length\": 1, \"alhpa\": 1}", "unknown key 'alhpa'"},
    {", \"train_length\": 1, \"batch\": 1}", "unknown key 'batch'"},
    {", \"train_length\": 1, \"model.alpha\": 1}", "unknown key 'model.alpha'"},
    {", \"train_length\": 1, \"\": 1}", "unknown key ''"},
    {", \"train_length\": 1, \"\\u001b\": 1}", "unknown key '\\x1B'"},
    {", \"train_length\": 1, \"alpha\": null}", "'model.alpha' has the wrong JSON type"},
    {", \"train_length\": 1, \"alpha\": {}}", "wrong JSON type"},
    {", \"train_length\": 1, \"alpha\": [1]}", "not a list"},
    {", \"train_length\": 1, \"alpha\": true}", "wrong JSON type"},
    {", \"train_length\": 1, \"alpha\": 17}", "outside"},
    {", \"train_length\": 1, \"registers\": -1}", "whole number"},
    {", \"train_length\": 1, \"registers\": 1.5}", "wrong JSON type"},
    {", \"train_length\": 1, \"h\": \"relu7\"}", "did you mean"},
    {", \"train_length\": 1, \"registers\": 1.0}", "wrong JSON type"},
    {", \"train_length\": 1, \"registers\": \"1\"}", "wrong JSON type"},
    {", \"train_length\": 1, \"alpha\": \"1\"}", "wrong JSON type"},
    {", \"train_length\": 1, \"h\": 1}", "wrong JSON type"},
    {", \"train_length\": 1, \"pool\": false}", "wrong JSON type"},
    {", \"train_length\": 1, \"bias\": true}", "wrong JSON type"},
    {", \"train_length\": 1, \"variant\": 16}", "wrong JSON type"},
    {", \"train_length\": 1, \"rep_size\": 1}", "wrong JSON type"},
    {", \"train_length\": 1, \"rep_size\": \"true\"}", "wrong JSON type"},
    {", \"train_length\": 1, \"posemb\": [\"learn\"]}", "not a list"},
    {", \"train_length\": 1, \"variant\": \"Q\"}", "model.variant"},
};

static void test_bad_model_json(void **state)
{
    static const char *const others[] = {"[]", "1", "\"x\"", "null", "{}", "[[]]"};
    struct sl_vit_config v = {.width = 77};
    char text[512];
    (void)state;
    snprintf(text, sizeof text, "%s, \"train_length\": 1}", model_head);
    require_ok(sl_vit_from_json(text, strlen(text), &v));
    assert_true(v.width == 64 && v.train_length == 1);
    v.width = 77;
    for (size_t i = 0; i < sizeof bad_models / sizeof bad_models[0]; i++) {
        snprintf(text, sizeof text, "%s%s", model_head, bad_models[i].assignment);
        expect_error(sl_vit_from_json(text, strlen(text), &v), SL_ERR_DATA, bad_models[i].word);
        assert_non_null(strstr(sl_error_message(), "softless.model"));
        assert_int_equal(v.width, 77);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        expect_error(sl_vit_from_json(others[i], strlen(others[i]), &v), SL_ERR_DATA,
                     "softless.model");
    snprintf(text, sizeof text,
             "{\"width\": 65, \"heads\": 4, \"depth\": 1, \"mlp\": 1, "
             "\"patch\": 8, \"train_length\": 0}");
    expect_error(sl_vit_from_json(text, strlen(text), &v), SL_ERR_DATA, "not divisible");
}

static void test_preprocess_json(void **state)
{
    struct sl_config c, defaults;
    struct sl_data_config back = {0};
    char *json = NULL;
    (void)state;
    sl_config_defaults(&defaults);
    c = defaults;
    require_ok(sl_option_set_text(option("data.eval_ops"), &c, "[\"resize(32)\", to_grey]"));
    require_ok(sl_option_set_text(option("data.eval"), &c, "idx:\"x\\y\""));
    c.data.value_min = -0.1;
    c.data.value_max = 0.7;
    require_ok(sl_preprocess_to_json(&c.data, &json));
    require_ok(sl_preprocess_from_json(json, strlen(json), &back));
    assert_memory_equal(&back, &c.data, sizeof back);
    sl_free(json);
}

static const struct bad_text bad_preprocess[] = {
    {"", "bad JSON"},
    {"[]", "object"},
    {"3", "expected"},
    {"{\"value_min\": 1}", "not below"},
    {"{\"value_min\": 2, \"value_max\": 1}", "not below"},
    {"{\"value_min\": 1e7}", "outside"},
    {"{\"eval_ops\": \"flip\"}", "takes a list"},
    {"{\"eval_ops\": [1, {}]}", "'data.eval_ops' has the wrong JSON type"},
    {"{\"eval_ops\": [\"\"]}", "0 bytes"},
    {"{\"eval_ops\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "17 values"},
    {"{\"train\": \"x\"}", "unknown key 'train'"},
    {"{\"workers\": 1}", "unknown key 'workers'"},
    {"{\"width\": 1}", "unknown key 'width'"},
};

static void test_bad_preprocess_json(void **state)
{
    struct sl_data_config d = {.value_min = 77};
    (void)state;
    for (size_t i = 0; i < sizeof bad_preprocess / sizeof bad_preprocess[0]; i++) {
        const char *s = bad_preprocess[i].assignment;
        expect_error(sl_preprocess_from_json(s, strlen(s), &d), SL_ERR_DATA,
                     bad_preprocess[i].word);
        assert_non_null(strstr(sl_error_message(), "softless.preprocess"));
        assert_true(d.value_min == 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variants),        cmocka_unit_test(test_bad_variants),
        cmocka_unit_test(test_resolve),         cmocka_unit_test(test_resolve_twice),
        cmocka_unit_test(test_tokens),          cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_model_json),      cmocka_unit_test(test_bad_model_json),
        cmocka_unit_test(test_preprocess_json), cmocka_unit_test(test_bad_preprocess_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
