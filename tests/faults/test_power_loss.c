/*
 * Power loss at every call of saves, of replacing a step, of pruning, and of what follows a killed
 * save: whatever part of the unsynced changes is on the disk, the newest checkpoint that had been
 * saved before, or a newer one, loads bit for bit. The same record without its syncs must fail, or
 * the model could not show anything.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "support/files.h"
#include "support_power.h"
#include "support_run.h"

enum { SAVES_MAX = 16 };

/* Under sanitizers a part of the cuts is enough. */
static bool brief(void)
{
    return getenv("SOFTLESS_TEST_BRIEF") != NULL;
}

/* Saves of the record: the step is safe from call `done` on. */
static struct {
    uint64_t step;
    size_t done;
} saved[SAVES_MAX];
static size_t n_saved;

static void save_noted(uint64_t step)
{
    assert_int_equal(save(step), SL_OK);
    saved[n_saved].step = step;
    saved[n_saved++].done = power_calls();
}

static void start(bool heed_syncs)
{
    assert_int_equal(sl_remove_tree(fx.run), SL_OK);
    fx.warnings[0] = '\0';
    n_saved = 0;
    power_record(heed_syncs);
    assert_int_equal(sl_make_dirs(fx.run), SL_OK);
}

/* What a cut before call k may lose: nothing that was safe. */
static uint64_t safe_at(size_t k)
{
    uint64_t step = 0;
    for (size_t i = 0; i < n_saved; i++)
        step = saved[i].done <= k && saved[i].step > step ? saved[i].step : step;
    return step;
}

/* Loads what a cut left; 0 = no checkpoint at all, UINT64_MAX = the load failed. */
static uint64_t load_after(size_t k, uint64_t *seed)
{
    struct sl_train_state state = {0};
    bool found = false;
    char run[sizeof fx.run];
    power_cut(k, seed, scratch("cut"));
    memcpy(run, fx.run, sizeof run);
    snprintf(fx.run, sizeof fx.run, "%s/%s", scratch("cut"), run);
    const sl_status st = sl_checkpoint_load(&fx.io, false, &state, &found);
    uint64_t step = st == SL_OK ? 0 : UINT64_MAX;
    if (st == SL_OK && found)
        step = load_and_compare();
    memcpy(fx.run, run, sizeof run);
    return step;
}

/* Cuts before every call; returns how often something safe was lost. */
static size_t cut_everywhere(size_t first, size_t draws, bool must_hold, size_t *cuts)
{
    uint64_t seed = 1;
    size_t lost = 0;
    power_stop();
    for (size_t k = first; k <= power_calls(); k++) {
        for (size_t i = 0; i < draws; i++, ++*cuts) {
            const uint64_t step = load_after(k, &seed), safe = safe_at(k);
            const bool held = step != UINT64_MAX && step >= safe;
            if (!held && must_hold)
                fail_msg("call %zu of %zu, draw %zu: step %llu was safe; %s", k, power_calls(), i,
                         (unsigned long long)safe,
                         step == UINT64_MAX ? sl_error_message() : "an older one or none loads");
            lost += !held;
        }
    }
    return lost;
}

/* A new run, pruning, and a step saved again. */
static void record_saves(bool heed_syncs)
{
    start(heed_syncs);
    for (uint64_t step = 10; step <= 40; step += 10)
        save_noted(step);
    save_noted(40);
}

static void test_power_loss(void **state)
{
    (void)state;
    size_t cuts = 0;
    record_saves(true);
    assert_int_equal(cut_everywhere(0, brief() ? 2 : 8, true, &cuts), 0);
    print_message("%zu calls, %zu power cuts, nothing lost\n", power_calls(), cuts);
    assert_true(power_calls() >= 120 && cuts >= 2 * power_calls());
}

static void test_control_without_syncs(void **state)
{
    (void)state;
    size_t cuts = 0;
    record_saves(false);
    const size_t lost = cut_everywhere(0, 2, false, &cuts);
    print_message("without syncs %zu of %zu power cuts lose a checkpoint\n", lost, cuts);
    assert_true(lost > cuts / 4);
}

/* In a child: a save that dies before its call `at`. False: it was over before. */
static bool die_saving(uint64_t step, size_t at)
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        power_die_at(power_calls() + at);
        _exit(save(step) == SL_OK ? 0 : 1);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    power_die_at(0);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
    return WEXITSTATUS(status) == 9;
}

/* What a killed process left in the page cache is taken up by the next one, which loads, saves and
 * loses power: its own saves are safe, however little of the dead one's is on the disk. */
static void after_a_kill(uint64_t first, uint64_t killed)
{
    size_t kills = 0, cuts = 0;
    for (size_t at = 1;; at += brief() ? 6 : 2, kills++) {
        start(true);
        if (first > 0)
            save_noted(first);
        if (!die_saving(killed, at))
            break;
        const size_t from = power_calls();
        struct sl_train_state found_state;
        bool found = false;
        assert_int_equal(sl_checkpoint_load(&fx.io, false, &found_state, &found), SL_OK);
        save_noted(30);
        cut_everywhere(from, 2, true, &cuts);
    }
    power_stop();
    print_message("%zu kills, then %zu power cuts, nothing lost\n", kills, cuts);
    assert_true(brief() ? kills >= 4 && cuts >= 150 : kills >= 12 && cuts >= 500);
}

static void test_kill_in_the_first_save(void **state)
{
    (void)state;
    after_a_kill(0, 20);
}

static void test_kill_in_the_second_save(void **state)
{
    (void)state;
    after_a_kill(10, 20);
}

static void test_kill_while_replacing(void **state)
{
    (void)state;
    after_a_kill(20, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_loss),
        cmocka_unit_test(test_control_without_syncs),
        cmocka_unit_test(test_kill_in_the_first_save),
        cmocka_unit_test(test_kill_in_the_second_save),
        cmocka_unit_test(test_kill_while_replacing),
    };
    return cmocka_run_group_tests(tests, fixture_make, fixture_remove);
}
