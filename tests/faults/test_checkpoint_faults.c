/*
 * Saving and loading under faults: the order of syncs, a failure of every system call, death before
 * every system call, a failure of every allocation. Loading then finds exactly the old state or
 * exactly the new one.
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

/* ---- order of calls: what is renamed was synced before, file by file and folder ---- */

enum { TRACE = 512 };
static struct {
    char op; /* o created, w written, s synced, r renamed from, m made */
    char path[256];
} trace[TRACE];
static size_t n_trace;
static char fd_path[FAULT_FDS][256];

static void note(char op, const char *path)
{
    if (n_trace < TRACE) {
        trace[n_trace].op = op;
        snprintf(trace[n_trace++].path, sizeof trace[0].path, "%s", path);
    }
}

static int traced_open(const char *path, int flags, mode_t mode)
{
    const int fd = fault_open(path, flags, mode);
    if (fd >= 0 && fd < FAULT_FDS)
        snprintf(fd_path[fd], sizeof fd_path[fd], "%s", path);
    if (flags & O_CREAT)
        note('o', path);
    return fd;
}

static ssize_t traced_write(int fd, const void *buf, size_t n)
{
    note('w', fd_path[fd]);
    return fault_write(fd, buf, n);
}

static int traced_fsync(int fd)
{
    note('s', fd_path[fd]);
    return fault_fsync(fd);
}

static int traced_rename(const char *from, const char *to)
{
    note('r', from);
    return fault_rename(from, to);
}

static size_t find_last(char op, const char *path, size_t before)
{
    for (size_t i = before; i-- > 0;) {
        if (trace[i].op == op && strcmp(trace[i].path, path) == 0)
            return i;
    }
    return SIZE_MAX;
}

static void test_order_of_syncs(void **state)
{
    (void)state;
    size_t publish = SIZE_MAX, files = 0;
    fresh_run();
    fault_arm();
    sl_io.open = traced_open;
    sl_io.write = traced_write;
    sl_io.fsync = traced_fsync;
    sl_io.rename = traced_rename;
    n_trace = 0;
    const sl_status st = save(10);
    fault_disarm();
    assert_int_equal(st, SL_OK);
    for (size_t i = n_trace; i-- > 0;) {
        if (trace[i].op == 'r' && strstr(trace[i].path, "/tmp-"))
            publish = i;
    }
    assert_true(publish < n_trace);
    const char *tmp = trace[publish].path;
    const size_t folder = find_last('s', tmp, publish);
    assert_true(folder < publish);
    for (size_t i = 0; i < publish; i++) {
        if (trace[i].op != 'o' || strncmp(trace[i].path, tmp, strlen(tmp)) != 0)
            continue;
        const size_t written = find_last('w', trace[i].path, publish);
        const size_t synced = find_last('s', trace[i].path, publish);
        assert_true(written != SIZE_MAX && synced != SIZE_MAX);
        assert_true(i < written && written < synced && synced < folder);
        files++;
    }
    assert_int_equal(files, 3);
    const char *root = in_run("");
    char trimmed[256];
    snprintf(trimmed, sizeof trimmed, "%.*s", (int)strlen(root) - 1, root);
    const size_t durable = find_last('s', trimmed, n_trace);
    assert_true(durable > publish && durable != SIZE_MAX);
    assert_true(find_last('s', fx.run, publish) != SIZE_MAX); /* checkpoints/ itself is new */
}

/* ---- every call fails ---- */

static size_t calls_of_a_save(void)
{
    fresh_run();
    assert_int_equal(save(10), SL_OK);
    fault_arm();
    assert_int_equal(save(20), SL_OK);
    const size_t calls = fault.calls;
    fault_disarm();
    return calls;
}

static void check_failed_save(size_t at, int error, bool sticky)
{
    fresh_run();
    assert_int_equal(save(10), SL_OK);
    fault_arm();
    fault.fail_at = at;
    fault.error = error;
    fault.sticky = sticky;
    const sl_status st = save(20);
    fault_disarm();
    assert_true(fault.failed > 0);
    assert_int_equal(fault.dead_syncs, 0);
    if (st != SL_OK) {
        char text[SL_ERROR_TEXT_SIZE];
        sl_error_copy(text);
        assert_true(st == SL_ERR_IO || st == SL_ERR_CREATE);
        assert_non_null(strstr(text, fx.run));
        assert_non_null(strstr(text, strerror(error)));
    }
    const uint64_t step = load_and_compare();
    assert_true(step == 20 || (step == 10 && st != SL_OK));
    assert_null(strstr(listing(), "tmp-"));
    assert_null(strstr(listing(), "trash-"));
    assert_int_equal(save(30), SL_OK);
    assert_int_equal(load_and_compare(), 30);
}

static void test_every_call_fails(void **state)
{
    (void)state;
    static const int errors[] = {ENOSPC, EIO, EROFS};
    const size_t calls = calls_of_a_save();
    size_t tried = 0;
    for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
        for (size_t at = 1; at <= calls; at++, tried += 2) {
            check_failed_save(at, errors[e], false);
            check_failed_save(at, errors[e], true);
        }
    }
    print_message("%zu calls in a save, %zu failures injected\n", calls, tried);
    assert_true(calls >= 30 && tried == 6 * calls);
}

/* A disk that stays full is tried three times and leaves nothing behind but the sentence. */
static void test_retries_in_new_folders(void **state)
{
    (void)state;
    fresh_run();
    assert_int_equal(save(10), SL_OK);
    fault_arm();
    fault.fail_at = 6; /* inside the first attempt: statvfs, mkdir, open, write, ... */
    fault.error = ENOSPC;
    assert_int_equal(save(20), SL_OK);
    fault_disarm();
    assert_non_null(strstr(fx.warnings, "trying again"));
    assert_non_null(strstr(fx.warnings, "No space left on device"));
    assert_string_equal(listing(), "LAST best step-000000010 step-000000020");
}

static int cannot_publish(const char *from, const char *to)
{
    if (strstr(from, "/tmp-")) {
        errno = EIO;
        return -1;
    }
    return fault.real.rename(from, to);
}

/* The checkpoint that stood aside for its successor is back at once, not only at the next load. */
static void test_failed_replacement_is_undone(void **state)
{
    (void)state;
    fresh_run();
    assert_int_equal(save(20), SL_OK);
    fault_arm();
    sl_io.rename = cannot_publish;
    const sl_status st = save(20);
    fault_disarm();
    assert_int_equal(st, SL_ERR_IO);
    assert_non_null(strstr(sl_error_message(), "publish"));
    assert_string_equal(listing(), "LAST best step-000000020");
    assert_int_equal(load_and_compare(), 20);
}

static void test_load_faults(void **state)
{
    (void)state;
    size_t failed = 0;
    fresh_run();
    assert_int_equal(save(10), SL_OK);
    assert_int_equal(save(20), SL_OK);
    for (size_t at = 1;; at++) {
        struct sl_train_state s = {0};
        bool found = false;
        fault_arm();
        fault.fail_at = at;
        fault.error = EIO;
        const sl_status st = sl_checkpoint_load(&fx.io, false, &s, &found);
        const bool hit = fault.failed > 0;
        fault_disarm();
        if (st == SL_OK) /* only the close of a file that was read may fail unnoticed */
            assert_int_equal(s.step, 20);
        else
            assert_int_equal(st, SL_ERR_IO);
        if (!hit)
            break;
        failed++;
    }
    assert_true(failed >= 10);
    assert_int_equal(load_and_compare(), 20); /* a disk error is not taken for damage */
    assert_null(strstr(listing(), "bad-"));
}

/* ---- the process dies before every call ---- */

/* In a child: saves `step` and dies before call `at`. False: the save was over before. */
static bool save_and_die(uint64_t step, size_t at, bool torn)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        fault_arm();
        fault.exit_at = at;
        fault.torn = torn;
        _exit(save(step) == SL_OK ? 0 : 1);
    }
    int status = 0;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
    return WEXITSTATUS(status) == 9;
}

static void test_kill_before_every_call(void **state)
{
    (void)state;
    size_t killed = 0, old = 0;
    for (int torn = 0; torn <= 1; torn++) {
        for (size_t at = 1;; at++) {
            fresh_run();
            assert_int_equal(save(10), SL_OK);
            if (!save_and_die(20, at, torn))
                break;
            killed++;
            const uint64_t step = load_and_compare();
            assert_true(step == 10 || step == 20);
            old += step == 10;
            assert_null(strstr(listing(), "tmp-"));
            assert_string_equal(fx.warnings, "");
            assert_int_equal(save(30), SL_OK);
            assert_int_equal(load_and_compare(), 30);
        }
    }
    print_message("%zu kills: %zu found the old state, %zu the new one\n", killed, old,
                  killed - old);
    assert_true(killed >= 60 && old >= 20 && killed - old >= 10);
}

/* The same step again: between the two renames its only copy lies under another name. */
static void test_kill_while_replacing(void **state)
{
    (void)state;
    size_t killed = 0;
    for (size_t at = 1;; at++, killed++) {
        fresh_run();
        assert_int_equal(save(20), SL_OK);
        if (!save_and_die(20, at, false))
            break;
        assert_int_equal(load_and_compare(), 20);
        assert_null(strstr(listing(), "replaced-"));
    }
    print_message("%zu kills while replacing\n", killed);
    assert_true(killed >= 30);
    assert_int_equal(load_and_compare(), 20);
}

static void test_kill_while_pruning(void **state)
{
    (void)state;
    size_t killed = 0;
    for (size_t at = 1;; at++, killed++) {
        fresh_run();
        for (uint64_t step = 1; step <= 3; step++)
            assert_int_equal(save(step), SL_OK);
        const bool died = save_and_die(20, at, false);
        assert_true(count_verified() >= 2);
        const uint64_t step = load_and_compare();
        assert_true(step == 3 || step == 20);
        assert_true(count_verified() >= 2);
        assert_null(strstr(listing(), "trash-"));
        if (!died)
            break;
    }
    print_message("%zu kills with pruning\n", killed);
    assert_true(killed >= 40);
}

/* ---- memory ---- */

static void test_allocation_failures(void **state)
{
    (void)state;
    size_t saves = 0, loads = 0;
    for (int sticky = 0; sticky <= 1; sticky++) {
        for (size_t at = 1;; at++, saves++) {
            fresh_run();
            assert_int_equal(save(10), SL_OK);
            const size_t live = sl_alloc_stats_get().live_bytes;
            sl_alloc_fail_at(at, sticky);
            const sl_status st = save(20);
            sl_alloc_fail_at(0, false);
            assert_int_equal(sl_alloc_stats_get().live_bytes, live);
            assert_true(st == SL_OK || st == SL_ERR_MEMORY);
            const uint64_t step = load_and_compare();
            assert_true(step == 20 || (step == 10 && st != SL_OK));
            if (st == SL_OK && fx.warnings[0] == '\0')
                break;
        }
        for (size_t at = 1;; at++, loads++) {
            struct sl_train_state s = {0};
            bool found = false;
            const size_t live = sl_alloc_stats_get().live_bytes;
            sl_alloc_fail_at(at, sticky);
            const sl_status st = sl_checkpoint_load(&fx.io, false, &s, &found);
            sl_alloc_fail_at(0, false);
            assert_int_equal(sl_alloc_stats_get().live_bytes, live);
            if (st == SL_OK)
                break;
            assert_int_equal(st, SL_ERR_MEMORY);
        }
    }
    print_message("allocation failures: %zu in saves, %zu in loads\n", saves, loads);
    assert_true(saves >= 200 && loads >= 200);
    assert_int_equal(load_and_compare(), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_syncs),
        cmocka_unit_test(test_every_call_fails),
        cmocka_unit_test(test_retries_in_new_folders),
        cmocka_unit_test(test_failed_replacement_is_undone),
        cmocka_unit_test(test_load_faults),
        cmocka_unit_test(test_kill_before_every_call),
        cmocka_unit_test(test_kill_while_replacing),
        cmocka_unit_test(test_kill_while_pruning),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, fixture_make, fixture_remove);
}
