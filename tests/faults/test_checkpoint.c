/*
 * Checkpoints: round trip, what is kept, what a resume is guarded against, the run lock.
 */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "support/faults.h"
#include "support/files.h"
#include "support_run.h"

/* ---- without faults ---- */

static void test_round_trip(void **state)
{
    (void)state;
    struct sl_train_state s = {.step = 77};
    bool found = true;
    size_t n = 0;
    fresh_run();
    assert_int_equal(sl_checkpoint_load(&fx.io, false, &s, &found), SL_OK);
    assert_false(found);
    assert_int_equal(s.step, 77);
    assert_int_equal(save(10), SL_OK);
    assert_int_equal(save(20), SL_OK);
    assert_int_equal(load_and_compare(), 20);
    assert_string_equal(listing(), "LAST best step-000000010 step-000000020");
    char *last = (char *)get_file(in_run("LAST"), &n), *best = (char *)get_file(in_run("best"), &n);
    assert_string_equal(last, "step-000000020\n");
    assert_string_equal(best, "step-000000020\n");
    free(last);
    free(best);
    assert_string_equal(fx.warnings, "");
}

static void test_verify_tells_what_it_holds(void **state)
{
    (void)state;
    struct sl_checkpoint_info info;
    fresh_run();
    assert_int_equal(save(10), SL_OK);
    assert_int_equal(sl_checkpoint_verify(in_run("step-000000010"), &info), SL_OK);
    assert_int_equal(info.state.step, 10);
    assert_string_equal(info.reason, "periodic");
    assert_string_equal(info.data_digest, "data");
    assert_string_equal(info.build, "test build");
    assert_non_null(strstr(info.config, "lr:"));
    sl_checkpoint_info_free(&info);
    assert_int_equal(sl_checkpoint_verify(in_run("step-000000011"), &info), SL_ERR_DATA);
}

static void test_weights_path(void **state)
{
    (void)state;
    char *path = NULL;
    struct sl_train_state s = state_of(20);
    fresh_run();
    assert_int_equal(sl_checkpoint_weights_path(fx.run, false, &path), SL_ERR_INPUT);
    assert_int_equal(save(10), SL_OK);
    s.best_step = 10;
    assert_int_equal(sl_checkpoint_save(&fx.io, &s, "final"), SL_OK);
    assert_int_equal(sl_checkpoint_weights_path(fx.run, false, &path), SL_OK);
    assert_non_null(strstr(path, "step-000000020/weights.safetensors"));
    assert_true(sl_is_file(path));
    sl_free(path);
    assert_int_equal(sl_checkpoint_weights_path(fx.run, true, &path), SL_OK);
    assert_non_null(strstr(path, "step-000000010/weights.safetensors"));
    sl_free(path);
    s = state_of(30);
    s.best_top1 = -1;
    s.best_step = 0;
    assert_int_equal(sl_checkpoint_save(&fx.io, &s, "final"), SL_OK);
    assert_int_equal(sl_checkpoint_weights_path(fx.run, true, &path), SL_ERR_INPUT);
}

static void test_other_moments(void **state)
{
    (void)state;
    const struct sl_moments all = fx.io.moments;
    const struct sl_train_state s = state_of(10);
    struct sl_train_state back;
    bool found;
    fresh_run();
    fx.io.moments = (struct sl_moments){.m = fx.v, .m_type = SL_F32, .floats = all.floats};
    set_arrays(10);
    const float kept = fx.v[0];
    assert_int_equal(sl_checkpoint_save(&fx.io, &s, "periodic"), SL_OK);
    memset(fx.v, 0, all.floats * sizeof *fx.v);
    assert_int_equal(sl_checkpoint_load(&fx.io, false, &back, &found), SL_OK);
    assert_true(found && fx.v[0] == kept && kept > 0);
    fx.io.moments = (struct sl_moments){.floats = all.floats}; /* plain SGD has none */
    assert_int_equal(sl_checkpoint_load(&fx.io, false, &back, &found), SL_ERR_DATA);
    assert_int_equal(sl_checkpoint_save(&fx.io, &s, "periodic"), SL_OK);
    assert_int_equal(sl_checkpoint_load(&fx.io, false, &back, &found), SL_OK);
    fx.io.moments = all;
}

/* ---- pruning ---- */

static void test_prune_rules(void **state)
{
    (void)state;
    const struct sl_checkpoint_config kept = fx.config.checkpoint;
    fx.config.checkpoint =
        (struct sl_checkpoint_config){.keep_last = 3, .keep_every = 40, .best = true};
    fresh_run();
    for (uint64_t step = 10; step <= 120; step += 10) {
        struct sl_train_state s = state_of(step);
        s.best_step = step < 50 ? step : 50;
        set_arrays(step);
        assert_int_equal(sl_checkpoint_save(&fx.io, &s, "periodic"), SL_OK);
    }
    assert_string_equal(listing(),
                        "LAST best step-000000040 step-000000050 step-000000080 step-000000100 "
                        "step-000000110 step-000000120");
    fx.config.checkpoint = kept;
}

/* keep_last below two is two, and damaged ones do not count. */
static void test_prune_keeps_two_verified(void **state)
{
    (void)state;
    const struct sl_checkpoint_config kept = fx.config.checkpoint;
    fx.config.checkpoint = (struct sl_checkpoint_config){.keep_last = 0};
    fresh_run();
    for (uint64_t step = 10; step <= 30; step += 10)
        assert_int_equal(save(step), SL_OK);
    assert_string_equal(listing(), "LAST best step-000000020 step-000000030");
    put_file(in_run("step-000000030/weights.safetensors"), "", 0);
    assert_int_equal(save(40), SL_OK);
    assert_int_equal(count_verified(), 2);
    assert_true(sl_is_dir(in_run("step-000000020")));
    assert_int_equal(save(50), SL_OK);
    assert_int_equal(count_verified(), 2);
    assert_false(sl_is_dir(in_run("step-000000020")));
    fx.config.checkpoint = kept;
}

/* ---- guards ---- */

static void test_resume_guard(void **state)
{
    (void)state;
    struct sl_train_state s;
    bool found;
    const struct sl_config kept = fx.config;
    fresh_run();
    assert_int_equal(save(10), SL_OK);
    fx.config.train.lr *= 2;
    fx.config.seed++;
    assert_int_equal(sl_checkpoint_load(&fx.io, false, &s, &found), SL_ERR_CONFIG);
    assert_non_null(strstr(sl_error_message(), "train.lr: 0.001 -> 0.002"));
    assert_non_null(strstr(sl_error_message(), "seed: 0 -> 1"));
    fx.config = kept;
    fx.io.data_digest = "other";
    assert_int_equal(sl_checkpoint_load(&fx.io, false, &s, &found), SL_ERR_CONFIG);
    assert_non_null(strstr(sl_error_message(), "data set: data -> other"));
    fx.io.data_digest = "data";
    fx.config.data.workers += 3;
    fx.io.build = "another build";
    assert_int_equal(load_and_compare(), 10);
    assert_non_null(strstr(fx.warnings, "another build"));
    fx.io.build = "test build";
    fx.config = kept;
}

static void test_what_is_not_finite_is_not_saved(void **state)
{
    (void)state;
    fresh_run();
    assert_int_equal(save(10), SL_OK);
    const struct sl_train_state s = state_of(20);
    const struct sl_param *p = &fx.table.params[fx.table.n - 1];
    for (int what = 0; what < 4; what++) {
        struct sl_train_state bad = s;
        set_arrays(20);
        if (what == 0)
            fx.params[p->offset + 1] = NAN;
        else if (what == 1)
            fx.v[p->offset + 1] = INFINITY;
        else if (what == 2)
            fx.m[p->offset + 1] = 0x7F80; /* Inf in bfloat16 */
        else
            bad.interval_loss = NAN;
        assert_int_equal(sl_checkpoint_save(&fx.io, &bad, "periodic"), SL_ERR_DIVERGED);
        if (what < 3)
            assert_non_null(strstr(sl_error_message(), p->name));
    }
    assert_int_equal(load_and_compare(), 10);
}

static int nearly_full(const char *path, struct statvfs *info)
{
    (void)path;
    memset(info, 0, sizeof *info);
    info->f_blocks = 1000;
    info->f_bavail = 10;
    info->f_frsize = 512;
    return 0;
}

static void test_free_space(void **state)
{
    (void)state;
    fresh_run();
    assert_int_equal(save(10), SL_OK);
    const sl_io_calls real = sl_io;
    sl_io.statvfs = nearly_full;
    assert_int_equal(save(20), SL_ERR_IO);
    sl_io = real;
    assert_non_null(strstr(sl_error_message(), "needs "));
    assert_non_null(strstr(sl_error_message(), "5120 are free"));
    assert_string_equal(listing(), "LAST best step-000000010");
}

static void test_run_lock(void **state)
{
    (void)state;
    struct sl_run_lock *lock = NULL, *second = NULL;
    char expected[64];
    fresh_run();
    assert_int_equal(sl_run_lock(fx.run, &lock), SL_OK);
    assert_int_equal(sl_run_lock(fx.run, &second), SL_ERR_UNAVAILABLE);
    assert_null(second);
    snprintf(expected, sizeof expected, "process %ld on ", (long)getpid());
    assert_non_null(strstr(sl_error_message(), expected));
    sl_run_unlock(&lock);
    sl_run_unlock(&lock);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) /* dies with the lock held */
        _exit(sl_run_lock(fx.run, &second) == SL_OK ? 0 : 1);
    int status = 1;
    assert_true(waitpid(child, &status, 0) == child && status == 0);
    assert_int_equal(sl_run_lock(fx.run, &lock), SL_OK);
    sl_run_unlock(&lock);
    assert_int_equal(sl_run_lock(scratch("absent"), &lock), SL_ERR_CREATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_verify_tells_what_it_holds),
        cmocka_unit_test(test_weights_path), cmocka_unit_test(test_other_moments),
        cmocka_unit_test(test_prune_rules),  cmocka_unit_test(test_prune_keeps_two_verified),
        cmocka_unit_test(test_resume_guard), cmocka_unit_test(test_what_is_not_finite_is_not_saved),
        cmocka_unit_test(test_free_space),   cmocka_unit_test(test_run_lock),
    };
    return cmocka_run_group_tests(tests, fixture_make, fixture_remove);
}
