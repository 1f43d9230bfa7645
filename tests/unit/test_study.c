/*
 * Studies through their header: claims between workers that share a folder, the table as the
 * record, and every allocation failing once. The program's side of it is tests/cli/test_sweep.sh.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "softless_study.h"
#include "support/files.h"

#define OK(call) assert_int_equal(call, SL_OK)

static const char recipe_text[] =
    "schema: 1\nname: tiny\n"
    "model: {width: 16, depth: 1, heads: 2, mlp: 32, patch: 4, image_size: 16}\n"
    "data:\n  train: 'synthetic:n=64,classes=4,size=16,seed=1'\n"
    "train: {batch: 32, total_steps: 4}\n"
    "sweep:\n"
    "  seed: [0, 1]\n"
    "  data.eval: ['', 'synthetic:n=8,classes=4,size=16,seed=2']\n"
    "  model.alpha: {from: 0.5, to: 0.7, step: 0.1}\n"
    "  exclude: ['seed=1 model.alpha!=0.5', 'seed=1 data.eval=']\n";
enum { RUNS = 2 * 3 + 1 };

static int make(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    put_file(scratch("tiny.yaml"), recipe_text, sizeof recipe_text - 1);
    return 0;
}

static sl_study *open_study(const char *dir)
{
    sl_study *study = NULL;
    OK(sl_study_open(scratch("tiny.yaml"), NULL, 0, scratch(dir), &study));
    OK(sl_study_prepare(study));
    return study;
}

static char *text_of(const char *path)
{
    size_t n;
    char *text = (char *)get_file(path, &n);
    assert_non_null(text);
    return text;
}

static size_t lines_with(const char *path, const char *what)
{
    char *text = text_of(path), *rest = NULL;
    size_t n = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        n += strstr(line, what) != NULL;
    free(text);
    return n;
}

static void test_expansion(void **state)
{
    (void)state;
    static const char *const names[RUNS] = {
        "seed-0_eval-_alpha-0.5",
        "seed-0_eval-_alpha-0.6",
        "seed-0_eval-_alpha-0.7",
        "seed-0_eval-synthetic-n-8-classes-4-size-16-seed-2_alpha-0.5",
        "seed-0_eval-synthetic-n-8-classes-4-size-16-seed-2_alpha-0.6",
        "seed-0_eval-synthetic-n-8-classes-4-size-16-seed-2_alpha-0.7",
        "seed-1_eval-synthetic-n-8-classes-4-size-16-seed-2_alpha-0.5"};
    sl_study *study = open_study("expansion");
    assert_int_equal(sl_study_count(study), RUNS);
    for (size_t i = 0; i < RUNS; i++) {
        char *alpha = NULL;
        assert_string_equal(sl_study_run_name(study, i), names[i]);
        OK(sl_recipe_get(sl_study_run_recipe(study, i), "model.alpha", &alpha));
        assert_string_equal(alpha, strrchr(names[i], '-') + 1);
        sl_free(alpha);
    }
    sl_study_free(&study);
    assert_null(study);
}

/* Sets the claim's time of change `ago` seconds back. */
static void age(const char *claim, long ago)
{
    struct timespec now[2];
    clock_gettime(CLOCK_REALTIME, &now[0]);
    now[0].tv_sec -= ago;
    now[1] = now[0];
    assert_int_equal(utimensat(AT_FDCWD, claim, now, 0), 0);
}

static bool claims(sl_study *study, size_t run, double expiry_s)
{
    bool claimed = false;
    OK(sl_study_claim(study, run, expiry_s, &claimed));
    return claimed;
}

static void test_claims(void **state)
{
    (void)state;
    sl_study *a = open_study("claims"), *b = open_study("claims");
    char path[512], text[64];
    snprintf(path, sizeof path, "%s/claims/%s", scratch("claims"), sl_study_run_name(a, 0));
    assert_true(claims(a, 0, 60));
    assert_false(claims(b, 0, 60));
    assert_true(claims(b, 1, 60));
    OK(sl_study_refresh(b, 60));
    assert_int_equal(sl_study_state(b, 0), SL_RUN_CLAIMED);
    assert_int_equal(sl_study_state(b, 2), SL_RUN_MISSING);

    /* A heartbeat in time keeps it, one too late does not. */
    age(path, 50);
    assert_false(claims(b, 0, 60));
    age(path, 70);
    OK(sl_study_beat(a, 0));
    assert_false(claims(b, 0, 60));
    age(path, 70);
    OK(sl_study_refresh(b, 60));
    assert_int_equal(sl_study_state(b, 0), SL_RUN_MISSING);
    assert_true(claims(b, 0, 60));
    OK(sl_study_release(b, 0));
    OK(sl_study_release(b, 0)); /* releasing what is not there is no error */
    OK(sl_study_beat(b, 0));

    /* The claim of a process that is gone is free at once here, but not if it was on another host.
     */
    const pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    waitpid(gone, NULL, 0);
    char host[128] = "";
    gethostname(host, sizeof host - 1);
    put_file(path, text, (size_t)snprintf(text, sizeof text, "process %ld on x", (long)gone));
    assert_false(claims(a, 0, 60));
    char own[256];
    put_file(path, own, (size_t)snprintf(own, sizeof own, "process %ld on %s", (long)gone, host));
    assert_true(claims(a, 0, 60));
    sl_study_free(&a);
    sl_study_free(&b);
}

/* Of two that race for an abandoned claim one wins. (Of more, two can: then the lock of the run's
 * directory decides.) Both live until both have tried, since the claim of the dead is free. */
static void test_race(void **state)
{
    (void)state;
    enum { RACERS = 2, ROUNDS = 50 };
    sl_study *study = open_study("race");
    char path[512];
    snprintf(path, sizeof path, "%s/claims/%s", scratch("race"), sl_study_run_name(study, 0));
    for (int round = 0; round < ROUNDS; round++) {
        int tried[2], hold[2], won = 0;
        assert_true(pipe(tried) == 0 && pipe(hold) == 0);
        put_file(path, "process 1 on nowhere", 20);
        age(path, 100);
        for (int i = 0; i < RACERS; i++)
            if (fork() == 0) {
                bool claimed = false;
                const char bad = sl_study_claim(study, 0, 60, &claimed) != SL_OK;
                close(hold[1]);
                _exit(write(tried[1], "", 1) != 1 || read(hold[0], path, 1) != 0 ? 3
                      : bad                                                      ? 2
                                                                                 : claimed);
            }
        close(hold[0]);
        for (int i = 0; i < RACERS; i++)
            assert_int_equal(read(tried[0], path + sizeof path - 1, 1), 1);
        close(hold[1]);
        for (int i = 0; i < RACERS; i++) {
            int status;
            assert_true(wait(&status) > 0);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
            won += WEXITSTATUS(status);
        }
        close(tried[0]);
        close(tried[1]);
        assert_int_equal(won, 1);
    }
    sl_study_free(&study);
}

static void test_table(void **state)
{
    (void)state;
    sl_study *study = open_study("table"), *other = open_study("table");
    char table[512];
    snprintf(table, sizeof table, "%s", sl_study_table(study));
    OK(sl_study_record(study, 1, SL_ERR_DIVERGED, "", 12.5));
    OK(sl_study_record(other, 4, SL_ERR_DIVERGED, "", 1));
    OK(sl_study_record(study, 2, SL_ERR_INPUT, "the data are gone", 1));
    assert_int_equal(lines_with(table, ""), 3);
    assert_int_equal(lines_with(table, ",diverged,0,,0.6,,,,,,0,12.5,"), 1);
    OK(sl_study_refresh(study, 60));
    assert_int_equal(sl_study_state(study, 1), SL_RUN_DIVERGED);
    assert_int_equal(sl_study_state(study, 4), SL_RUN_DIVERGED);
    assert_int_equal(sl_study_state(study, 2), SL_RUN_FAILED);
    assert_string_equal(sl_study_why(study, 2), "the data are gone");

    static const struct {
        const char *column, *text;
    } fields[] = {{"run", "seed-0_eval-_alpha-0.6"},
                  {"status", "diverged"},
                  {"model.alpha", "0.6"},
                  {"top1", ""},
                  {"core_s", "12.5"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char *field = NULL;
        OK(sl_study_field(study, 1, fields[i].column, &field));
        assert_string_equal(field, fields[i].text);
        sl_text_free(&field);
    }
    char *field = NULL; /* a field that needs quotes */
    OK(sl_study_field(study, 4, "data.eval", &field));
    assert_string_equal(field, "synthetic:n=8,classes=4,size=16,seed=2");
    sl_text_free(&field);
    OK(sl_study_field(study, 0, "top1", &field));
    assert_null(field);
    assert_int_equal(sl_study_field(study, 1, "model.alph", &field), SL_ERR_ARGUMENT);

    /* A row that another worker's merge lost comes back, one of a run that is not ours stays. */
    char *text = text_of(table);
    *(strchr(strchr(text, '\n') + 1, '\n') + 1) = '\0'; /* the header and the first row */
    FILE *f = fopen(table, "wb");
    assert_non_null(f);
    fprintf(f, "%sseed-9_more,0123456789ab,done,9,,1,0.5", text);
    int missing = -6; /* fields of the header that this row lacks so far */
    for (const char *c = text; *c != '\n'; c++)
        missing += *c == ',';
    while (missing-- > 0)
        fputc(',', f);
    fputc('\n', f);
    fclose(f);
    free(text);
    OK(sl_study_refresh(other, 60));
    assert_int_equal(lines_with(table, ""), 4);
    assert_int_equal(lines_with(table, "seed-9_more,0123456789ab,done,9,,1,0.5"), 1);
    assert_int_equal(lines_with(table, ",diverged,"), 2);
    sl_study_free(&study);
    sl_study_free(&other);
}

/* Every allocation on the way from the recipe to a row fails once: an error, and nothing leaks. */
static sl_status whole_way(const char *recipe, const char *dir)
{
    sl_study *study = NULL;
    bool claimed = false;
    sl_status st = sl_study_open(recipe, NULL, 0, dir, &study);
    if (st == SL_OK)
        st = sl_study_prepare(study);
    if (st == SL_OK)
        st = sl_study_refresh(study, 60);
    if (st == SL_OK)
        st = sl_study_claim(study, 0, 60, &claimed);
    if (st == SL_OK)
        st = sl_study_beat(study, 0);
    if (st == SL_OK)
        st = sl_study_record(study, 0, SL_ERR_DIVERGED, "", 1);
    if (st == SL_OK)
        st = sl_study_release(study, 0);
    sl_study_free(&study);
    return st;
}

static void test_memory(void **state)
{
    (void)state;
    char recipe[512], dir[512];
    snprintf(recipe, sizeof recipe, "%s", scratch("tiny.yaml"));
    snprintf(dir, sizeof dir, "%s", scratch("memory"));
    size_t at = 0;
    for (sl_status st = SL_ERR_MEMORY; st != SL_OK; at++) {
        sl_alloc_fail_at(at + 1, false);
        st = whole_way(recipe, dir);
        sl_alloc_fail_at(0, false);
        OK(sl_remove_tree(dir));
        if (st != SL_OK)
            assert_int_equal(st, SL_ERR_MEMORY);
        assert_true(at < 100000);
    }
    assert_true(at > 100); /* it was the allocations that failed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expansion), cmocka_unit_test(test_claims),
        cmocka_unit_test(test_race),      cmocka_unit_test(test_table),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, make, scratch_remove);
}
