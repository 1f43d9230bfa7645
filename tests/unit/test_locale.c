/*
 * A host program that has set a locale with a decimal comma: recipes, files and messages stay the
 * same. The locale is made here, since few machines have one; without localedef the test is
 * skipped.
 */
#define _POSIX_C_SOURCE 200809L
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/number.h"
#include "base/text.h"
#include "config/config.h"
#include "data/data.h"
#include "support/files.h"

static const char source[] = "comment_char %\nescape_char /\nLC_NUMERIC\ndecimal_point \",\"\n"
                             "thousands_sep \".\"\ngrouping 3;3\nEND LC_NUMERIC\n";

static bool have_comma; /* the locale is in force */

static bool comma_in_force(void)
{
    char text[16];
    snprintf(text, sizeof text, "%.1f", 0.5);
    return strcmp(text, "0,5") == 0;
}

static int set_up(void **state)
{
    char command[512], folder[512];
    if (scratch_make(state) != 0 || !getcwd(folder, sizeof folder))
        return -1;
    put_file(scratch("comma"), source, strlen(source));
    /* Its exit code is 1, because the other categories are not defined. */
    snprintf(command, sizeof command, "localedef -c -i %s %s/xx_COMMA >/dev/null 2>&1",
             scratch("comma"), scratch_dir);
    if (system(command) == -1)
        return -1;
    snprintf(folder + strlen(folder), sizeof folder - strlen(folder), "/%s", scratch_dir);
    setenv("LOCPATH", folder, 1);
    have_comma = setlocale(LC_NUMERIC, "xx_COMMA") != NULL && comma_in_force();
    return 0;
}

static void need_comma(void)
{
    if (have_comma)
        return;
    print_message("skipped: localedef cannot make a locale with a decimal comma here\n");
    skip();
}

static void test_parse_real(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0.5", 0.5}, {"-1.25e-3", -0.00125}, {"7", 7}, {".5", 0.5}, {"1e300", 1e300}};
    static const char *const bad[] = {"",   "0,5",   "1.5 ", " 1",    "0x10", "inf", "nan",
                                      "1e", "1e999", "--1",  "1.2.3", ".",    "e5"};
    double x = 42;
    need_comma();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(sl_parse_real(good[i].text, &x));
        assert_true(x == good[i].value);
    }
    x = 42;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(sl_parse_real(bad[i], &x));
        assert_true(x == 42);
    }
    assert_true(comma_in_force()); /* the caller's locale is as it was */
}

static void test_text_and_messages(void **state)
{
    (void)state;
    sl_text t = {0};
    char *text = NULL, *printed = NULL;
    need_comma();
    sl_text_add_json_number(&t, 0.1);
    sl_text_addf(&t, " %.2f ", 1234.5);
    sl_text_add_json_number(&t, 1.5e-30);
    assert_int_equal(sl_text_take(&t, &text), SL_OK);
    assert_string_equal(text, "0.1 1234.50 1.5e-30");
    sl_free(text);
    printed = sl_asprintf("%g", 0.25);
    assert_string_equal(printed, "0.25");
    sl_free(printed);
    sl_error_set(SL_ERR_DATA, "%g", 2.5);
    assert_string_equal(sl_error_message(), "2.5");
    sl_error_prefix(SL_ERR_DATA, "%g", 3.5);
    assert_string_equal(sl_error_message(), "3.5: 2.5");
    assert_true(comma_in_force());
}

/* Everything a recipe says, out and in again, and the model section of weight files. */
static void test_recipes(void **state)
{
    (void)state;
    static const char text[] = "schema: 1\nmodel: {variant: mu/4, image_size: 16, alpha: 0.75}\n"
                               "data: {train_ops: [\"random_resized_crop(16, 0.25)\"]}\n"
                               "train: {lr: 0.0625, total_epochs: 2.5}\n";
    struct sl_recipe r, again;
    char *yaml = NULL, *json = NULL;
    struct sl_vit_config vit;
    need_comma();
    assert_int_equal(sl_recipe_init(&r), SL_OK);
    assert_int_equal(sl_recipe_parse(&r, "r.yaml", text, strlen(text)), SL_OK);
    assert_int_equal(sl_recipe_set(&r, "train.wd=0.125", "--set"), SL_OK);
    assert_int_equal(sl_recipe_set(&r, "train.wd=0,125", "--set"), SL_ERR_CONFIG);
    assert_int_equal(sl_config_resolve(&r.config), SL_OK);
    assert_true(r.config.model.alpha == 0.75 && r.config.train.lr == 0.0625 &&
                r.config.train.total_epochs == 2.5 && r.config.train.wd == 0.125 &&
                r.config.model.norm_eps == 1e-6);
    assert_int_equal(sl_config_to_yaml(&r.config, NULL, &yaml), SL_OK);
    assert_non_null(strstr(yaml, "alpha: 0.75\n"));
    assert_int_equal(sl_recipe_init(&again), SL_OK);
    assert_int_equal(sl_recipe_parse(&again, "again.yaml", yaml, strlen(yaml)), SL_OK);
    assert_memory_equal(&again.config, &r.config, sizeof r.config);
    r.config.model.classes = 3;
    assert_int_equal(sl_vit_to_json(&r.config.model, &json), SL_OK);
    assert_non_null(strstr(json, "\"alpha\": 0.75"));
    assert_int_equal(sl_vit_from_json(json, strlen(json), &vit), SL_OK);
    assert_true(vit.alpha == 0.75 && vit.norm_eps == 1e-6);
    struct sl_pipeline *pipeline = NULL;
    assert_int_equal(
        sl_pipeline_create(&r.config.data.train_ops, SL_COMPAT_NONE, 16, 16, &pipeline), SL_OK);
    sl_pipeline_free(&pipeline);
    sl_free(yaml);
    sl_free(json);
    sl_recipe_clear(&r);
    sl_recipe_clear(&again);
}

static void test_data_set(void **state)
{
    (void)state;
    struct sl_dataset *set = NULL;
    char *info = NULL;
    need_comma();
    assert_int_equal(sl_dataset_open("synthetic:n=8,classes=2,size=4,noise=0.5", &set), SL_OK);
    assert_int_equal(sl_dataset_info(set, true, &info), SL_OK);
    assert_non_null(strstr(info, "\"mean\": 0."));
    sl_free(info);
    sl_dataset_free(&set);
}

/* A whole run: what it writes is the same byte for byte, and reads back. */
static void test_run(void **state)
{
    (void)state;
    static const char text[] =
        "schema: 1\nlog_every_steps: 1\nmodel: {width: 8, depth: 1, heads: 2, mlp: 8, patch: 4, "
        "image_size: 8}\ndata: {train: 'synthetic:n=16,classes=3,size=8', eval: "
        "'synthetic:n=16,classes=3,size=8'}\ntrain: {batch: 8, total_steps: 3}\n";
    static const char *const files[] = {"metrics.jsonl", "config.yaml", "model.safetensors"};
    sl_context *ctx = NULL;
    sl_recipe *recipe = NULL;
    sl_train_result result;
    char *report = NULL;
    need_comma();
    put_file(scratch("r.yaml"), text, strlen(text));
    assert_int_equal(sl_context_open(NULL, &ctx), SL_OK);
    assert_int_equal(sl_recipe_load(scratch("r.yaml"), NULL, 0, &recipe), SL_OK);
    for (int comma = 0; comma <= 1; comma++) {
        const sl_train_options options = {.run_dir = scratch(comma ? "comma_run" : "c_run")};
        setlocale(LC_NUMERIC, comma ? "xx_COMMA" : "C");
        assert_int_equal(sl_train(ctx, recipe, &options, &result), SL_OK);
        assert_int_equal(sl_train(ctx, recipe, &options, &result), SL_OK);
        assert_true(result.already_done && result.val_loss > 0);
        assert_int_equal(sl_inspect(ctx, options.run_dir, true, &report), SL_OK);
        sl_text_free(&report);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char a[64], b[64];
        size_t n = 0, m = 0;
        snprintf(a, sizeof a, "c_run/%s", files[i]);
        snprintf(b, sizeof b, "comma_run/%s", files[i]);
        unsigned char *x = get_file(scratch(a), &n), *y = get_file(scratch(b), &m);
        assert_true(x && y && n == m);
        assert_memory_equal(x, y, n);
        free(x);
        free(y);
    }
    sl_recipe_free(&recipe);
    sl_context_close(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_real), cmocka_unit_test(test_text_and_messages),
        cmocka_unit_test(test_recipes),    cmocka_unit_test(test_data_set),
        cmocka_unit_test(test_run),
    };
    return cmocka_run_group_tests(tests, set_up, scratch_remove);
}
