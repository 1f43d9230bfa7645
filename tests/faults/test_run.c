/*
 * Whole training runs through the public interface while the disk fails: saves that fail on the way
 * are borne up to two in a row and change no bit of the result; a third ends the run with the older
 * checkpoints in place; the final model appears whole or not at all.
 */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "support/files.h"

static const char recipe_text[] =
    "schema: 1\nname: tiny\nlog_every_steps: 5\n"
    "model: {width: 16, depth: 1, heads: 2, mlp: 16, patch: 4, image_size: 16}\n"
    "data: {train: 'synthetic:n=64,classes=4,size=16', eval: 'synthetic:n=32,classes=4,size=16'}\n"
    "train: {batch: 16, total_steps: 30, warmup_steps: 2, loss: softmax_xent}\n"
    "eval: {every_steps: 10}\n"
    "checkpoint: {every_steps: 5}\n";

static sl_io_calls real;
static sl_context *ctx;
static char warnings[4096];

static void keep_warning(void *user, sl_log_level level, const char *line)
{
    (void)user;
    const size_t used = strlen(warnings);
    if (level == SL_LOG_WARN)
        snprintf(warnings + used, sizeof warnings - used, "%s\n", line);
}

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

/* Saves ask for the free space once: numbers full_from .. full_to of them find none. */
static size_t asked, full_from, full_to;

static int fill_up(const char *path, struct statvfs *info)
{
    const int result = real.statvfs(path, info);
    asked++;
    if (asked >= full_from && asked <= full_to)
        info->f_bavail = 0;
    return result;
}

static const char *cannot_become;

static int refuse_rename(const char *from, const char *to)
{
    if (cannot_become && strstr(to, cannot_become)) {
        errno = EIO;
        return -1;
    }
    return real.rename(from, to);
}

static sl_status train(const char *name, size_t from, size_t to, sl_train_result *result)
{
    sl_recipe *recipe = NULL;
    char dir[512];
    snprintf(dir, sizeof dir, "%s", scratch(name));
    const sl_train_options options = {.run_dir = dir};
    assert_int_equal(sl_recipe_load(scratch("r.yaml"), NULL, 0, &recipe), SL_OK);
    asked = 0;
    full_from = from;
    full_to = to;
    warnings[0] = '\0';
    const sl_status st = sl_train(ctx, recipe, &options, result);
    sl_recipe_free(&recipe);
    return st;
}

static const char *in(const char *name, const char *file)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", name, file);
    return scratch(path);
}

static void same_file(const char *file, const char *a, const char *b)
{
    size_t n = 0, m = 0;
    unsigned char *x = get_file(in(a, file), &n), *y = get_file(in(b, file), &m);
    assert_true(x && y && n == m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

static void same_run(const char *name)
{
    same_file("model.safetensors", "straight", name);
    same_file("metrics.jsonl", "straight", name);
    same_file("checkpoints/step-000000030/weights.safetensors", "straight", name);
}

static void test_two_failed_saves_are_borne(void **state)
{
    (void)state;
    sl_train_result result;
    assert_int_equal(train("straight", 0, 0, &result), SL_OK);
    const size_t saves = asked; /* the last one is the final save, which must not fail */
    assert_true(saves >= 6);
    for (size_t from = 1; from + 2 <= saves; from++) {
        char name[32];
        snprintf(name, sizeof name, "two%zu", from);
        assert_int_equal(train(name, from, from + 1, &result), SL_OK);
        assert_non_null(strstr(warnings, "was not saved (2 times in a row"));
        assert_non_null(strstr(warnings, "bytes, 0 are free"));
        same_run(name);
    }
}

static void test_three_end_the_run(void **state)
{
    (void)state;
    sl_train_result result;
    assert_int_equal(train("three", 2, SIZE_MAX, &result), SL_ERR_IO);
    assert_non_null(strstr(sl_error_message(), "bytes, 0 are free"));
    assert_false(sl_is_file(in("three", "DONE")));
    assert_true(sl_is_dir(in("three", "checkpoints/step-000000005")));
    assert_int_equal(train("three", 0, 0, &result), SL_OK); /* goes on where the saves ended */
    assert_true(result.resumed);
    same_run("three");
}

static void test_final_model_is_whole_or_absent(void **state)
{
    (void)state;
    sl_train_result result;
    cannot_become = "model.safetensors";
    assert_int_equal(train("final", 0, 0, &result), SL_ERR_IO);
    cannot_become = NULL;
    assert_false(sl_is_file(in("final", "model.safetensors")));
    assert_false(sl_is_file(in("final", "model.safetensors.part")));
    assert_false(sl_is_file(in("final", "DONE")));
    put_file(in("final", "model.safetensors.part"), "torn", 4); /* of a process that was killed */
    assert_int_equal(train("final", 0, 0, &result), SL_OK);
    same_run("final");
}

static int set_up(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    real = sl_io;
    sl_io.fsync = no_sync;
    sl_io.statvfs = fill_up;
    sl_io.rename = refuse_rename;
    sl_set_log(keep_warning, NULL);
    put_file(scratch("r.yaml"), recipe_text, strlen(recipe_text));
    return sl_context_open(NULL, &ctx) == SL_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    sl_context_close(&ctx);
    sl_io = real;
    return scratch_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_failed_saves_are_borne),
        cmocka_unit_test(test_three_end_the_run),
        cmocka_unit_test(test_final_model_is_whole_or_absent),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
