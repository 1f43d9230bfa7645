/*
 * Files: readers under short reads, interrupts, errors and shrinking files; the writer and atomic
 * replacement under a failure of every call; folders; digests against published values.
 */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "support/faults.h"
#include "support/files.h"

enum { BUFFER = 1 << 18 }; /* the writer's; sizes around it are tried */

static void fill(unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
}

static void assert_file(const char *path, const void *bytes, size_t n)
{
    size_t size = 0;
    unsigned char *found = get_file(path, &size);
    assert_non_null(found);
    assert_int_equal(size, n);
    assert_memory_equal(found, bytes, n);
    free(found);
}

/* ---- reading ---- */

static void test_read_file_and_cap(void **state)
{
    (void)state;
    char *data = NULL;
    size_t n = 0;
    put_file(scratch("ten"), "0123456789", 10);
    assert_int_equal(sl_read_file(scratch("ten"), 10, &data, &n), SL_OK);
    assert_int_equal(n, 10);
    assert_string_equal(data, "0123456789");
    sl_free(data);
    data = (char *)"untouched";
    assert_int_equal(sl_read_file(scratch("ten"), 9, &data, &n), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "limit of 9"));
    assert_string_equal(data, "untouched");
}

static void test_open_refuses_what_is_no_file(void **state)
{
    (void)state;
    sl_file f;
    assert_int_equal(sl_file_open(scratch("absent"), &f), SL_ERR_INPUT);
    assert_non_null(strstr(sl_error_message(), "No such file"));
    assert_int_equal(sl_file_open(scratch_dir, &f), SL_ERR_INPUT);
    assert_int_equal(mkfifo(scratch("fifo"), 0600), 0);
    assert_int_equal(sl_file_open(scratch("fifo"), &f), SL_ERR_INPUT); /* and does not wait */
    assert_non_null(strstr(sl_error_message(), "not a regular file"));
}

static void test_read_in_pieces_with_interrupts(void **state)
{
    (void)state;
    unsigned char bytes[257], back[257];
    fill(bytes, sizeof bytes);
    put_file(scratch("pieces"), bytes, sizeof bytes);
    sl_file f;
    fault_arm();
    fault.piece = 1;
    fault.interrupt = true;
    assert_int_equal(sl_file_open(scratch("pieces"), &f), SL_OK);
    assert_int_equal(f.size, sizeof bytes);
    assert_int_equal(sl_file_read(&f, 0, back, sizeof back), SL_OK);
    assert_memory_equal(back, bytes, sizeof bytes);
    assert_true(fault.calls >= sizeof bytes);
    sl_file_close(&f);
    fault_disarm();
}

static void test_read_errors(void **state)
{
    (void)state;
    char buf[8];
    sl_file f;
    put_file(scratch("short"), "abcdef", 6);
    assert_int_equal(sl_file_open(scratch("short"), &f), SL_OK);
    assert_int_equal(sl_file_read(&f, 0, buf, 7), SL_ERR_DATA);
    assert_int_equal(sl_file_read(&f, UINT64_MAX, buf, 1), SL_ERR_DATA);
    assert_int_equal(sl_file_read(&f, INT64_MAX, buf, 1), SL_ERR_DATA);
    assert_int_equal(truncate(scratch("short"), 2), 0); /* shrinks while it is open */
    assert_int_equal(sl_file_read(&f, 0, buf, 6), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "ends at byte 2"));
    fault_arm();
    fault.fail_at = 1;
    fault.error = EIO;
    assert_int_equal(sl_file_read(&f, 0, buf, 1), SL_ERR_IO);
    assert_non_null(strstr(sl_error_message(), "short: cannot read it: Input/output error"));
    fault_disarm();
    sl_file_close(&f);
}

static void test_errno_decides_status(void **state)
{
    (void)state;
    static const struct {
        int error;
        sl_status status;
    } cases[] = {{EACCES, SL_ERR_CREATE}, {EROFS, SL_ERR_CREATE},  {ENOSPC, SL_ERR_IO},
                 {EDQUOT, SL_ERR_IO},     {EIO, SL_ERR_IO},        {EFBIG, SL_ERR_IO},
                 {EMFILE, SL_ERR_MEMORY}, {ENFILE, SL_ERR_MEMORY}, {ENOMEM, SL_ERR_MEMORY}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sl_writer *w = NULL;
        fault_arm();
        fault.fail_at = 1;
        fault.error = cases[i].error;
        assert_int_equal(sl_writer_open(scratch("never"), &w), cases[i].status);
        assert_non_null(strstr(sl_error_message(), strerror(cases[i].error)));
        fault_disarm();
        assert_null(w);
    }
}

static void test_cursor(void **state)
{
    (void)state;
    const unsigned char bytes[13] = {1, 2, 3, 4, 8, 7, 6, 5, 4, 3, 2, 1, 9};
    const unsigned char *taken = NULL;
    uint32_t be = 0;
    uint64_t le = 0;
    sl_cursor c = {bytes, sizeof bytes};
    assert_true(sl_take_u32_be(&c, &be));
    assert_int_equal(be, 0x01020304);
    assert_true(sl_take_u64_le(&c, &le));
    assert_true(le == 0x0102030405060708ull);
    assert_false(sl_take_u32_be(&c, &be)); /* one byte is left: nothing moves */
    assert_false(sl_take(&c, SIZE_MAX, &taken));
    assert_int_equal(c.remaining, 1);
    assert_true(sl_take(&c, 1, &taken));
    assert_int_equal(*taken, 9);
    assert_true(sl_take(&c, 0, &taken));
    assert_false(sl_take(&c, 1, &taken));
}

/* ---- writing ---- */

static void write_and_check(size_t n, size_t chunk, size_t piece, bool interrupt)
{
    unsigned char *bytes = malloc(n + 1);
    char digest[SL_DIGEST_SIZE], expected[SL_DIGEST_SIZE];
    uint64_t size = 0;
    sl_writer *w = NULL;
    assert_non_null(bytes);
    fill(bytes, n);
    fault_arm();
    fault.piece = piece;
    fault.interrupt = interrupt;
    assert_int_equal(sl_writer_open(scratch("written"), &w), SL_OK);
    for (size_t at = 0; at < n; at += chunk)
        assert_int_equal(sl_writer_write(w, bytes + at, n - at < chunk ? n - at : chunk), SL_OK);
    assert_int_equal(sl_writer_close(&w, true, digest, &size), SL_OK);
    fault_disarm();
    assert_null(w);
    sl_digest(bytes, n, expected);
    assert_int_equal(size, n);
    assert_string_equal(digest, expected);
    assert_file(scratch("written"), bytes, n);
    assert_int_equal(unlink(scratch("written")), 0);
    free(bytes);
}

static void test_writer_sizes(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER + 17};
    const size_t chunks[] = {1000, BUFFER - 1, BUFFER, BUFFER + 1, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t j = 0; j < sizeof chunks / sizeof *chunks; j++)
            write_and_check(sizes[i], chunks[j], 0, false);
    }
    write_and_check(3000, 7, 3, true);
    write_and_check(2 * BUFFER, BUFFER + 1, 4099, true);
}

static void test_writer_creates_only(void **state)
{
    (void)state;
    sl_writer *w = NULL;
    put_file(scratch("there"), "x", 1);
    assert_int_equal(sl_writer_open(scratch("there"), &w), SL_ERR_CREATE);
    assert_non_null(strstr(sl_error_message(), "File exists"));
    assert_int_equal(symlink("nowhere", scratch("link")), 0);
    assert_int_equal(sl_writer_open(scratch("link"), &w), SL_ERR_CREATE);
    assert_int_equal(sl_writer_open(scratch("no/such/folder"), &w), SL_ERR_CREATE);
    assert_null(w);
}

static void test_writer_appends(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        sl_writer *w = NULL;
        assert_int_equal(sl_writer_append(scratch("log"), &w), SL_OK);
        assert_int_equal(sl_writer_write(w, "line\n", 5), SL_OK);
        assert_int_equal(sl_writer_sync(w), SL_OK);
        assert_file(scratch("log"), "line\nline\n", i ? 10 : 5);
        assert_int_equal(sl_writer_close(&w, false, NULL, NULL), SL_OK);
    }
    assert_int_equal(sl_truncate_file(scratch("log"), 5), SL_OK);
    assert_file(scratch("log"), "line\n", 5);
    assert_int_equal(sl_truncate_file(scratch("log"), 6), SL_ERR_DATA);
    assert_int_equal(sl_truncate_file(scratch("nolog"), 0), SL_ERR_INPUT);
}

/* open = 1, write = 2, fsync = 3, close = 4 of a small file. */
static void test_writer_never_syncs_a_dead_file(void **state)
{
    (void)state;
    for (size_t at = 2; at <= 4; at++) {
        sl_writer *w = NULL;
        fault_arm();
        fault.fail_at = at;
        fault.error = ENOSPC;
        assert_int_equal(sl_writer_open(scratch("dead"), &w), SL_OK);
        assert_int_equal(sl_writer_write(w, "abc", 3), SL_OK);
        if (at < 4) {
            assert_int_equal(sl_writer_sync(w), SL_ERR_IO);
            assert_non_null(strstr(sl_error_message(), "dead: cannot"));
            assert_non_null(strstr(sl_error_message(), "No space left on device"));
            assert_int_equal(sl_writer_sync(w), SL_ERR_IO);
        }
        assert_int_equal(sl_writer_close(&w, true, NULL, NULL), SL_ERR_IO);
        fault_disarm();
        assert_null(w);
        assert_int_equal(fault.dead_syncs, 0);
        assert_int_equal(fault.failed, 1);
        assert_int_equal(unlink(scratch("dead")), 0);
    }
}

static void test_atomic_replacement(void **state)
{
    (void)state;
    const char *path = scratch("atomic");
    assert_int_equal(sl_write_file_atomic(path, "old", 3), SL_OK);
    assert_file(path, "old", 3);
    size_t tried = 0, failed = 0;
    for (size_t at = 1;; at++, tried++) {
        put_file(path, "old", 3);
        fault_arm();
        fault.fail_at = at;
        fault.error = ENOSPC;
        const sl_status st = sl_write_file_atomic(path, "newer", 5);
        const bool hit = fault.failed > 0;
        fault_disarm();
        size_t n = 0;
        char *now = (char *)get_file(path, &n);
        assert_true(strcmp(now, "old") == 0 || strcmp(now, "newer") == 0);
        if (st == SL_OK)
            assert_string_equal(now, "newer");
        free(now);
        char **names = NULL;
        size_t count = 0;
        assert_int_equal(sl_list_dir(scratch_dir, &names, &count), SL_OK);
        for (size_t i = 0; i < count; i++)
            assert_null(strstr(names[i], ".tmp-"));
        sl_names_free(&names, count);
        if (!hit)
            break;
        assert_int_equal(st, SL_ERR_IO);
        failed++;
    }
    print_message("atomic replacement: %zu calls failed once each\n", failed);
    assert_true(failed >= 8); /* open write fsync close rename open fsync close */
    assert_int_equal(tried, failed);
}

static void test_atomic_steps_over_planted_names(void **state)
{
    (void)state;
    char planted[256];
    snprintf(planted, sizeof planted, "%s.tmp-%ld-0", scratch("victim"), (long)getpid());
    put_file(scratch("precious"), "precious", 8);
    assert_int_equal(symlink("precious", planted), 0);
    assert_int_equal(sl_write_file_atomic(scratch("victim"), "v", 1), SL_OK);
    assert_file(scratch("victim"), "v", 1);
    assert_file(scratch("precious"), "precious", 8);
    assert_int_equal(unlink(planted), 0);
}

/* ---- folders ---- */

static void test_folders(void **state)
{
    (void)state;
    char **names = NULL;
    size_t n = 0;
    assert_int_equal(sl_make_dirs(scratch("tree/a/b")), SL_OK);
    assert_int_equal(sl_make_dirs(scratch("tree/a/b/")), SL_OK);
    put_file(scratch("tree/z"), "", 0);
    put_file(scratch("tree/Z"), "", 0);
    put_file(scratch("tree/a/b/c"), "", 0);
    assert_int_equal(sl_list_dir(scratch("tree"), &names, &n), SL_OK);
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "Z"); /* bytes, not the locale */
    assert_string_equal(names[1], "a");
    assert_string_equal(names[2], "z");
    sl_names_free(&names, n);
    assert_null(names);
    assert_int_equal(sl_list_dir(scratch("absent"), &names, &n), SL_ERR_INPUT);
    assert_int_equal(sl_make_dirs(scratch("tree/z/below")), SL_ERR_CREATE);
    put_file(scratch("outside"), "kept", 4);
    assert_int_equal(symlink("..", scratch("tree/a/up")), 0);
    assert_int_equal(sl_remove_tree(scratch("tree")), SL_OK);
    assert_false(sl_is_dir(scratch("tree")));
    assert_true(sl_is_file(scratch("outside"))); /* the link was removed, not followed */
    assert_int_equal(sl_remove_tree(scratch("tree")), SL_OK);
}

static void test_path_join(void **state)
{
    (void)state;
    char *a = sl_path_join("dir", "name"), *b = sl_path_join("dir/", "name");
    assert_string_equal(a, "dir/name");
    assert_string_equal(b, "dir/name");
    sl_free(a);
    sl_free(b);
}

/* ---- digests ---- */

/* Values of `xxh128sum` (xxHash's own tool) for these bytes. */
static void test_digest_known_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"", "99aa06d3014798d86001c324468d497f"},
        {"abc", "06b05ab6733a618578af5f94892f3950"},
    };
    char digest[SL_DIGEST_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sl_digest(cases[i].text, strlen(cases[i].text), digest);
        assert_string_equal(digest, cases[i].digest);
    }
}

static void test_digest_of_a_stream(void **state)
{
    (void)state;
    unsigned char bytes[5000];
    char whole[SL_DIGEST_SIZE], parts[SL_DIGEST_SIZE];
    fill(bytes, sizeof bytes);
    sl_digest(bytes, sizeof bytes, whole);
    for (size_t step = 1; step < sizeof bytes; step = step * 3 + 1) {
        sl_hash *h = NULL;
        assert_int_equal(sl_hash_new(&h), SL_OK);
        for (size_t at = 0; at < sizeof bytes; at += step)
            sl_hash_add(h, bytes + at, sizeof bytes - at < step ? sizeof bytes - at : step);
        sl_hash_end(&h, parts);
        assert_null(h);
        assert_string_equal(parts, whole);
    }
}

static void test_allocation_failures(void **state)
{
    (void)state;
    const size_t live = sl_alloc_stats_get().live_bytes;
    size_t failures = 0;
    put_file(scratch("alloc"), "0123456789", 10);
    for (size_t at = 1;; at++) {
        char *data = NULL;
        size_t n = 0;
        sl_alloc_fail_at(at, false);
        sl_status st = sl_read_file(scratch("alloc"), 100, &data, &n);
        if (st == SL_OK)
            st = sl_write_file_atomic(scratch("alloc"), data, n);
        sl_free(data);
        char **names = NULL;
        n = 0;
        if (st == SL_OK)
            st = sl_list_dir(scratch_dir, &names, &n);
        sl_names_free(&names, n);
        if (st == SL_OK)
            st = sl_make_dirs(scratch("alloc.d/x"));
        if (st == SL_OK)
            st = sl_remove_tree(scratch("alloc.d"));
        sl_alloc_fail_at(0, false);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        if (st == SL_OK)
            break;
        assert_int_equal(st, SL_ERR_MEMORY);
        failures++;
    }
    assert_file(scratch("alloc"), "0123456789", 10);
    print_message("allocation failures: %zu\n", failures);
    assert_true(failures >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_file_and_cap),
        cmocka_unit_test(test_open_refuses_what_is_no_file),
        cmocka_unit_test(test_read_in_pieces_with_interrupts),
        cmocka_unit_test(test_read_errors),
        cmocka_unit_test(test_errno_decides_status),
        cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_writer_sizes),
        cmocka_unit_test(test_writer_creates_only),
        cmocka_unit_test(test_writer_appends),
        cmocka_unit_test(test_writer_never_syncs_a_dead_file),
        cmocka_unit_test(test_atomic_replacement),
        cmocka_unit_test(test_atomic_steps_over_planted_names),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_path_join),
        cmocka_unit_test(test_digest_known_values),
        cmocka_unit_test(test_digest_of_a_stream),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
