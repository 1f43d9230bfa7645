/*
 * Recipes as YAML: forms, dumps that read back, origins, and some 150 bad texts.
 */
#include "unit/recipe_case.h"

/* ---- dumps ---- */

static void expect_fixed_point(const struct sl_recipe *r, bool with_origin)
{
    struct sl_recipe back;
    char *yaml = NULL, *again = NULL;
    require_ok(sl_config_to_yaml(&r->config, with_origin ? r->origin : NULL, &yaml));
    parse_good(&back, yaml);
    assert_memory_equal(&back.config, &r->config, sizeof r->config);
    require_ok(sl_config_to_yaml(&back.config, with_origin ? r->origin : NULL, &again));
    assert_string_equal(again, yaml);
    sl_free(yaml);
    sl_free(again);
    sl_recipe_clear(&back);
}

static void test_dump_is_a_fixed_point(void **state)
{
    static const char *const texts[] = {
        HEAD,
        HEAD "data: {train: \"x: # {y} [z] \\\"q\\\" \\\\ 'a'\"}\nseed: 12345678901\n",
        HEAD
        "data: {train: \"line\\nbreak\\ttab \\x1b \\N \\L \\P \\_ \\uFEFF \\uFFFF \\U0001F600\"}\n",
        HEAD "data: {train: '  blanks  '}\n",
        HEAD "name: 'true'\nmodel: {image_size: [32, 64], bias: -log L, h: gelu, alpha: -0.5}\n",
        HEAD "data:\n  train: 'folder:/a b/\xC3\xA9'\n  train_ops: [\"pad_crop(4)\", flip_lr]\n"
             "train: {lr: 1e-3, wd: 0.1, total_epochs: 0.3333333333333333, batch: 96}\n",
        HEAD "train: {clip: 99.99999999999999, wd: 5.0e-7, eps: 1e-300}\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sl_recipe r;
        parse_good(&r, texts[i]);
        expect_fixed_point(&r, false);
        expect_fixed_point(&r, true);
        sl_recipe_clear(&r);
    }
}

/* A path may hold anything; its comment must not become content. */
static void test_origin_with_a_line_break(void **state)
{
    struct sl_recipe r;
    char *yaml = NULL;
    (void)state;
    require_ok(sl_recipe_init(&r));
    require_ok(sl_recipe_set(&r, "name=x", "a\nseed: 7 \xFF"));
    require_ok(sl_config_to_yaml(&r.config, r.origin, &yaml));
    assert_non_null(strstr(yaml, "name: \"x\"  # a\\x0Aseed: 7 \\xFF\n"));
    sl_free(yaml);
    expect_fixed_point(&r, true);
    sl_recipe_clear(&r);
}

static void test_forms(void **state)
{
    static const char *const same[] = {
        HEAD "seed: 5\nmodel:\n  h: gelu\n  alpha: 2\n",
        "{schema: 1, seed: 5, model: {h: gelu, alpha: 2}}",
        "---\nmodel: {alpha: 2, h: \"gelu\"}\nseed: '5'\nschema: 1\n...\n",
        "\xEF\xBB\xBF" HEAD "seed: 5 # five\n\n# note\nmodel:\n    alpha: 2.0\n    h: gelu",
        "%YAML 1.1\n---\n" HEAD "seed: 5\r\nmodel:\r\n  h: gelu\r\n  alpha: 0.2e1\r\n",
        "\"schema\": 1\n? seed\n: 5\nmodel: {h: gelu,\n alpha: 2,}\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct sl_recipe r;
        parse_good(&r, same[i]);
        assert_int_equal(r.config.seed, 5);
        assert_int_equal(r.config.model.phi, SL_PHI_GELU);
        assert_true(r.config.model.alpha == 2);
        assert_int_equal(r.config.model.image_width, 224); /* the rest keeps its default */
        sl_recipe_clear(&r);
    }
}

static void test_origins(void **state)
{
    struct sl_recipe r;
    char *yaml = NULL;
    (void)state;
    parse_good(&r, HEAD "seed: 5\nmodel:\n  h: gelu\n\n  alpha: 2\n");
    require_ok(sl_recipe_set(&r, "seed=6", "--set"));
    assert_string_equal(r.origin[sl_option_find("seed")], "--set");
    assert_string_equal(r.origin[sl_option_find("model.h")], "r.yaml:4");
    assert_string_equal(r.origin[sl_option_find("model.alpha")], "r.yaml:6");
    assert_null(r.origin[sl_option_find("name")]);
    require_ok(sl_config_to_yaml(&r.config, r.origin, &yaml));
    assert_non_null(strstr(yaml, "\nseed: 6  # --set\n"));
    assert_non_null(strstr(yaml, "\n  h: gelu  # r.yaml:4\n"));
    assert_non_null(strstr(yaml, "\nprecision: auto  # default\n"));
    sl_free(yaml);
    sl_recipe_clear(&r);
}

/* ---- bad texts ---- */

#define TEXT(s) s, sizeof s - 1
static const struct {
    const char *text;
    size_t size;
    const char *word;
} bad_texts[] = {
    /* not one mapping */
    {TEXT(""), "recipe is empty"},
    {TEXT("# note\n"), "recipe is empty"},
    {TEXT("---\n"), "r.yaml:2:1: a recipe is a mapping"},
    {TEXT("text"), "1:1: a recipe is a mapping"},
    {TEXT("- a\n"), "1:1: a recipe is a mapping"},
    {TEXT("[1, 2]"), "1:1: a recipe is a mapping"},
    {TEXT(HEAD "---\nschema: 1\n"), "one YAML document"},
    {TEXT(HEAD "...\n---\nseed: 1\n"), "one YAML document"},
    {TEXT("--- \n...\n" HEAD), "a mapping"},
    {TEXT("{schema: 1} x"), "1:13"},
    {TEXT("{schema: 1}}"), "1:12"},
    {TEXT("{schema: 1"), "not valid YAML"},
    {TEXT(HEAD "]"), "2:1"},
    {TEXT(HEAD "seed: 1\n- 2\n"), "3:1"},
    {TEXT(HEAD "seed: 5 6: 7\n"), "2:10"},
    {TEXT(HEAD "seed\n"), "not valid YAML"},
    {TEXT(HEAD "  seed: 1\n"), "r.yaml:1"},
    {TEXT(HEAD "model:\n\th: relu\n"), "3:1"},
    {TEXT(HEAD "name: \"x\n"), "not valid YAML"},
    {TEXT(HEAD "name: 'x\n"), "not valid YAML"},
    {TEXT(HEAD "name: \"\\q\"\n"), "not valid YAML"},
    {TEXT(HEAD "name: \"\\uD800\"\n"), "not valid YAML"},
    {TEXT(HEAD "name: @x\n"), "2:7"},
    {TEXT(HEAD "name: `x\n"), "2:7"},
    {TEXT(HEAD "name: %x\n"), "2:7"},
    {TEXT("%YAML 2.0\n---\n" HEAD), "not valid YAML"},
    {TEXT("%YAML 1.1\n" HEAD), "not valid YAML"},
    /* bytes */
    {TEXT(HEAD "name: a\0b\n"), "r.yaml"},
    {TEXT("\0"), "r.yaml"},
    {TEXT(HEAD "\0seed: 1\n"), "r.yaml"},
    {TEXT(HEAD "name: \"a\\0b\"\n"), "2:7: a value contains a NUL"},
    {TEXT(HEAD "\"a\\0b\": 1\n"), "2:1: a value contains a NUL"},
    {TEXT(HEAD "data: {eval_ops: [\"a\\0b\"]}\n"), "2:19: a value contains a NUL"},
    {TEXT("\xFF\xFEs\0c\0h\0"), "byte 0"},
    {TEXT("\xFE\xFF\0s\0c"), "byte 0"},
    {TEXT(HEAD "name: \xFF\n"), "byte 16"},
    {TEXT(HEAD "name: \xC3"), "byte 16"},
    {TEXT(HEAD "name: \xC0\x80\n"), "byte 16"},
    {TEXT(HEAD "name: \xED\xA0\x80\n"), "byte 16"},
    {TEXT(HEAD "name: \xF4\x90\x80\x80\n"), "byte 16"},
    {TEXT(HEAD "# \x1B[31m\n"), "byte 12"},
    {TEXT(HEAD "name: \x7F\n"), "byte 16"},
    {TEXT(HEAD "name: \xC2\x80\n"), "byte 16"},
    /* what the subset leaves out */
    {TEXT(HEAD "seed: &a 5\n"), "2:7: anchors, aliases and tags"},
    {TEXT(HEAD "seed: &a 5\nlog_every_steps: *a\n"), "2:7: anchors"},
    {TEXT(HEAD "seed: *a\n"), "2:7: anchors"},
    {TEXT(HEAD "&k seed: 5\n"), "2:1: anchors"},
    {TEXT(HEAD "model: &m {h: relu}\n"), "2:8: anchors"},
    {TEXT(HEAD "data: {eval_ops: &o [a]}\n"), "anchors"},
    {TEXT(HEAD "data: {eval_ops: [&o a, *o]}\n"), "anchors"},
    {TEXT("&r\n" HEAD), "anchors"},
    {TEXT(HEAD "seed: !!int 5\n"), "2:7: anchors, aliases and tags"},
    {TEXT(HEAD "seed: ! 5\n"), "tags"},
    {TEXT(HEAD "name: !python/object x\n"), "tags"},
    {TEXT(HEAD "name: !<tag:yaml.org,2002:str> x\n"), "tags"},
    {TEXT(HEAD "model: !!map {h: relu}\n"), "tags"},
    {TEXT(HEAD "data: {eval_ops: !!seq [a]}\n"), "tags"},
    {TEXT("%TAG ! tag:x,1:\n---\n" HEAD "name: !y x\n"), "tags"},
    {TEXT(HEAD "seed: !a:b!c 5\n"), "r.yaml:2:7"},
    {TEXT(HEAD "model: {<<: {h: relu}}\n"), "do not nest"},
    {TEXT(HEAD "<<: {seed: 1}\n"), "unknown key '<<.seed'"},
    {TEXT(HEAD "<<: [a]\n"), "unknown key '<<'"},
    {TEXT(HEAD "model: {<<: *a}\n"), "aliases"},
    {TEXT(HEAD "sweep: {seed: [1, 2]}\n"), "'sweep.seed' belongs to a study"},
    /* keys */
    {TEXT(HEAD "seed: 1\nseed: 1\n"), "3:1: key 'seed' stands twice; the first is in line 2"},
    {TEXT(HEAD "model: {h: relu, h: relu}\n"), "2:18: key 'model.h' stands twice"},
    {TEXT(HEAD "model: {h: relu}\nmodel: {alpha: 1}\n"), "3:1: key 'model' stands twice"},
    {TEXT(HEAD "model: {h: relu}\nmodel.h: relu\n"), "key 'model.h' stands twice"},
    {TEXT(HEAD HEAD), "2:1: key 'schema' stands twice"},
    {TEXT(HEAD "\"\\e[1m\": 1\n\"\\e[1m\": 1\n"), "key '\\x1B[1m' stands twice"},
    {TEXT(HEAD "\"\\e[1m\": 1\n"), "unknown key '\\x1B[1m'"},
    {TEXT(HEAD "sead: 1\n"), "r.yaml:2: unknown key 'sead', did you mean 'seed'?"},
    {TEXT(HEAD "model:\n  alhpa: 1\n"), "r.yaml:3: unknown key 'model.alhpa', did you mean "
                                        "'model.alpha'?"},
    {TEXT(HEAD "modle: {alpha: 1}\n"), "did you mean 'model.alpha'?"},
    {TEXT(HEAD "alpha: 1\n"), "unknown key 'alpha', did you mean 'model.alpha'?"},
    {TEXT(HEAD "train:\n  alpha: 1\n"), "r.yaml:3: unknown key 'train.alpha', did you mean "
                                        "'model.alpha'?"},
    {TEXT(HEAD "modle: {}\n"), "2:9: a mapping without keys"},
    {TEXT(HEAD "model: {}\n"), "a mapping without keys"},
    {TEXT(HEAD "sweep: {}\n"), "a mapping without keys"},
    {TEXT(HEAD "Seed: 1\n"), "unknown key 'Seed', did you mean 'seed'"},
    {TEXT(HEAD "model: 5\n"), "r.yaml:2: 'model' is a section"},
    {TEXT(HEAD "model:\n"), "r.yaml:2: 'model' is a section"},
    {TEXT(HEAD "model: []\n"), "r.yaml:2: 'model' is a section"},
    {TEXT(HEAD "5: 5\n"), "unknown key '5'"},
    {TEXT(HEAD "\"\": {seed: 1}\n"), "2:1: a key is empty"},
    {TEXT(HEAD ": 1\n"), "2:1: not valid YAML"},
    {TEXT(HEAD "? \n: 1\n"), "a key is empty"},
    {TEXT(HEAD "model: {\"\": 1}\n"), "2:9: a key is empty"},
    {TEXT(HEAD "? [a]\n: 1\n"), "2:3: a key must be a plain word"},
    {TEXT(HEAD "? {a: b}\n: 1\n"), "2:3: a key must be a plain word"},
    {TEXT(HEAD "{a: b}: 1\n"), "a key must be a plain word"},
    {TEXT(HEAD "model: {h: {x: 1}}\n"), "sections do not nest"},
    {TEXT(HEAD "model: {h: {}}\n"), "sections do not nest"},
    /* schema and base */
    {TEXT("seed: 1\n"), "'schema: 1' is missing"},
    {TEXT("{}"), "'schema: 1' is missing"},
    {TEXT("schema: 2\n"), "r.yaml:1: schema must be 1"},
    {TEXT("schema: 1.0\n"), "schema must be 1"},
    {TEXT("schema: [1]\n"), "schema must be 1"},
    {TEXT("schema:\n"), "schema must be 1"},
    {TEXT("schema: {a: 1}\n"), "missing"},
    {TEXT(HEAD "base: [a, b]\n"), "r.yaml:2: base names one file"},
    {TEXT(HEAD "base: []\n"), "base names one file"},
    {TEXT(HEAD "base: r.yaml\n"), "r.yaml:2: base 'r.yaml' leads back to itself"},
    /* values */
    {TEXT(HEAD "seed: [1]\n"), "r.yaml:2: seed takes one value"},
    {TEXT(HEAD "seed: []\n"), "takes one value"},
    {TEXT(HEAD "name: [a]\n"), "takes one value"},
    {TEXT(HEAD "model: {h: [relu, gelu]}\n"), "model.h takes one value"},
    {TEXT(HEAD "seed: {a: 1}\n"), "unknown key 'seed.a'"},
    {TEXT(HEAD "data: {eval_ops: flip_lr}\n"), "data.eval_ops takes a list"},
    {TEXT(HEAD "data: {eval_ops: }\n"), "data.eval_ops takes a list"},
    {TEXT(HEAD "data: {eval_ops: {a: 1}}\n"), "sections do not nest"},
    {TEXT(HEAD "data: {eval_ops: [[a]]}\n"), "2:19: a list holds plain values only"},
    {TEXT(HEAD "data: {eval_ops: [{a: 1}]}\n"), "a list holds plain values only"},
    {TEXT(HEAD "data: {eval_ops: [a: 1]}\n"), "a list holds plain values only"},
    {TEXT(HEAD "data: {eval_ops: ['']}\n"), "operation 1 has 0 bytes"},
    {TEXT(HEAD "data: {eval_ops: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}\n"), "17 operations"},
    {TEXT(HEAD "model: {image_size: []}\n"), "not 0 numbers"},
    {TEXT(HEAD "model: {image_size: [1, 2, 3]}\n"), "not 3 numbers"},
    {TEXT(HEAD "model: {image_size: 8x8}\n"), "whole number"},
    {TEXT(HEAD "name:\n"), "name must not be empty"},
    {TEXT(HEAD "seed:\n"), "r.yaml:2: seed: '' is not a whole number"},
    {TEXT(HEAD "seed: ~\n"), "'~' is not a whole number"},
    {TEXT(HEAD "seed: null\n"), "not a whole number"},
    {TEXT(HEAD "seed: -1\n"), "not a whole number"},
    {TEXT(HEAD "seed: 0x1F\n"), "'0x1F' is not a whole number"},
    {TEXT(HEAD "seed: 0o17\n"), "not a whole number"},
    {TEXT(HEAD "seed: 017\n"), "not a whole number"},
    {TEXT(HEAD "seed: 0b1\n"), "not a whole number"},
    {TEXT(HEAD "seed: 1_000\n"), "not a whole number"},
    {TEXT(HEAD "seed: 1:30\n"), "not a whole number"},
    {TEXT(HEAD "seed: 1e3\n"), "not a whole number"},
    {TEXT(HEAD "seed: true\n"), "not a whole number"},
    {TEXT(HEAD "seed: 2e99\n"), "not a whole number"},
    {TEXT(HEAD "seed: 1000000000000001\n"), "outside 0 .. 1e+15"},
    {TEXT(HEAD "train: {lr: ~}\n"), "not a number"},
    {TEXT(HEAD "train: {lr: .inf}\n"), "'.inf' is not a number"},
    {TEXT(HEAD "train: {lr: -.inf}\n"), "not a number"},
    {TEXT(HEAD "train: {lr: .nan}\n"), "not a number"},
    {TEXT(HEAD "train: {lr: nan}\n"), "not a number"},
    {TEXT(HEAD "train: {lr: inf}\n"), "not a number"},
    {TEXT(HEAD "train: {lr: 0x1p-3}\n"), "not a number"},
    {TEXT(HEAD "train: {lr: 1_0.5}\n"), "not a number"},
    {TEXT(HEAD "train: {lr: 1e400}\n"), "not a finite number"},
    {TEXT(HEAD "train: {lr: 1e-3x}\n"), "not a number"},
    {TEXT(HEAD "train: {lr: 1e-3-}\n"), "not a finite number"},
    {TEXT(HEAD "train: {lr: -1}\n"), "train.lr: -1 is outside 0"},
    {TEXT(HEAD "data: {shuffle: yes}\n"), "'yes' is not true or false"},
    {TEXT(HEAD "data: {shuffle: on}\n"), "not true or false"},
    {TEXT(HEAD "data: {shuffle: True}\n"), "not true or false"},
    {TEXT(HEAD "data: {shuffle: 1}\n"), "not true or false"},
    {TEXT(HEAD "data: {shuffle: }\n"), "not true or false"},
    {TEXT(HEAD "precision: fp33\n"), "did you mean 'fp32'?"},
    {TEXT(HEAD "precision: FP32\n"), "auto, fp32, bf16"},
    {TEXT(HEAD "model: {bias: log L}\n"), "not a number"},
};
enum { BAD_TEXTS = sizeof bad_texts / sizeof bad_texts[0] };

static void test_bad_texts(void **state)
{
    size_t wrong = 0;
    (void)state;
    for (size_t i = 0; i < BAD_TEXTS; i++) {
        struct sl_recipe r;
        const size_t live = sl_alloc_stats_get().live_bytes;
        require_ok(sl_recipe_init(&r));
        const sl_status st = parse(&r, bad_texts[i].text, bad_texts[i].size);
        const char *message = sl_error_message();
        if (st != SL_ERR_CONFIG || !strstr(message, bad_texts[i].word) ||
            strncmp(message, "r.yaml", 6) != 0) {
            print_error("text %zu (%s): status %d, '%s'; wanted '%s'\n", i, bad_texts[i].text,
                        (int)st, message, bad_texts[i].word);
            wrong++;
        }
        for (const char *c = message; *c; c++)
            assert_true((unsigned char)*c >= 0x20); /* one printable line */
        sl_recipe_clear(&r);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
    }
    print_message("bad texts: %d\n", BAD_TEXTS);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dump_is_a_fixed_point),
        cmocka_unit_test(test_origin_with_a_line_break),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_bad_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
