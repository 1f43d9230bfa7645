/*
 * Compressed shards: the same samples as from plain ones in every compression, order and going
 * back; what needs any order refuses them; cut, damaged, doubly compressed files and bombs.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "data/data.h"
#include "support/files.h"
#include "tar_case.h"

enum { SHARDS = 2, PER_SHARD = 20, N = SHARDS * PER_SHARD };
static struct tar_bytes tar;

static const struct compression {
    const char *ending;
    int filter;
} compressions[] = {
    {"tar.gz", ARCHIVE_FILTER_GZIP},
    {"tar.xz", ARCHIVE_FILTER_XZ},
    {"tar.zst", ARCHIVE_FILTER_ZSTD},
};
enum { COMPRESSIONS = sizeof compressions / sizeof *compressions };

/* ---- files ---- */

/* Writes n bytes, repeated `times`, through up to two filters (0: none). */
static void put_packed(const char *path, const int filters[2], const void *bytes, size_t n,
                       size_t times)
{
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    for (int i = 0; i < 2; i++)
        if (filters[i])
            assert_int_equal(archive_write_add_filter(a, filters[i]), ARCHIVE_OK);
    assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    archive_entry_set_filetype(entry, AE_IFREG);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    for (size_t i = 0; i < times; i++)
        assert_int_equal(archive_write_data(a, bytes, n), (la_ssize_t)n);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_entry_free(entry);
    archive_write_free(a);
}

static void add_sample(size_t i)
{
    char name[32], text[16];
    struct sl_image img = {0};
    size_t n = 0;
    assert_int_equal(sl_image_resize_buffer(&img, 4, 4), SL_OK);
    memset(img.pixels, (int)i, 48);
    assert_int_equal(sl_image_write_png(scratch("one.png"), &img), SL_OK);
    sl_image_free(&img);
    unsigned char *bytes = get_file(scratch("one.png"), &n);
    snprintf(name, sizeof name, "%04zu.png", i);
    tar_raw(&tar, '0', name, bytes, n);
    free(bytes);
    snprintf(name, sizeof name, "%04zu.cls", i);
    snprintf(text, sizeof text, "%zu", i % 3);
    tar_text(&tar, name, text);
    if (i % 4 == 0) { /* JSON longer than the tar reader's buffer */
        static char json[9000];
        memset(json, ' ', sizeof json);
        json[0] = '{';
        json[sizeof json - 2] = '}';
        json[sizeof json - 1] = '\0';
        snprintf(name, sizeof name, "%04zu.json", i);
        tar_text(&tar, name, json);
    }
}

static void fill_tar(size_t shard)
{
    tar.n = 0;
    for (size_t i = shard * PER_SHARD; i < (shard + 1) * PER_SHARD; i++)
        add_sample(i);
    tar_end(&tar);
}

/* The SPEC of shards in a folder of their own. */
static const char *put_shards(const struct compression *c)
{
    char path[64];
    snprintf(path, sizeof path, "set-%s", c->ending);
    assert_int_equal(sl_make_dirs(scratch(path)), SL_OK);
    for (size_t s = 0; s < SHARDS; s++) {
        fill_tar(s);
        snprintf(path, sizeof path, "set-%s/s-%zu.%s", c->ending, s, c->ending);
        put_packed(scratch(path), (const int[2]){c->filter, 0}, tar.bytes, tar.n, 1);
    }
    snprintf(path, sizeof path, "set-%s/s-{0..1}.%s", c->ending, c->ending);
    return scratch(path);
}

static struct sl_dataset *open_set(const char *spec)
{
    struct sl_dataset *set = NULL;
    if (sl_dataset_open(spec, &set) != SL_OK)
        fail_msg("%s: %s", spec, sl_error_message());
    return set;
}

static void assert_open_fails(const char *path, const char *word)
{
    struct sl_dataset *set = NULL;
    const size_t live = sl_alloc_stats_get().live_bytes;
    const sl_status st = sl_dataset_open(path, &set);
    if (st != SL_ERR_DATA || !strstr(sl_error_message(), word) ||
        !strstr(sl_error_message(), strrchr(path, '/') + 1))
        fail_msg("%s: status %d, \"%s\" lacks \"%s\"", path, st, sl_error_message(), word);
    assert_int_equal(sl_alloc_stats_get().live_bytes, live);
}

static void assert_sample(const struct sl_dataset *set, size_t i)
{
    struct sl_image img = {0};
    if (sl_dataset_image(set, i, &img) != SL_OK)
        fail_msg("%s", sl_error_message());
    assert_int_equal(img.pixels[47], i);
    assert_int_equal(sl_dataset_label(set, i), i % 3);
    sl_image_free(&img);
}

/* ---- reading ---- */

static void test_samples(void **state)
{
    (void)state;
    for (size_t k = 0; k < COMPRESSIONS; k++) {
        struct sl_dataset *set = open_set(put_shards(&compressions[k]));
        assert_int_equal(sl_dataset_count(set), N);
        assert_true(sl_dataset_sequential(set));
        for (size_t i = 0; i < N; i++)
            assert_sample(set, i);
        for (size_t i = N; i-- > 0;) /* each step back begins the shard again */
            assert_sample(set, i);
        sl_dataset_free(&set);
    }
}

static void test_any_order_refused(void **state)
{
    (void)state;
    static const struct sl_pipeline_config ops = {.n = 1, .ops = {"resize(4)"}};
    struct sl_dataset *set = open_set(put_shards(&compressions[0]));
    struct sl_loader *loader = NULL;
    const struct sl_loader_options o = {
        .set = set, .ops = &ops, .out_h = 4, .out_w = 4, .batch = 4, .world = 1};
    assert_int_equal(sl_loader_create(&o, &loader), SL_ERR_CONFIG);
    assert_non_null(strstr(sl_error_message(), "data pack --in-order"));
    assert_int_equal(sl_dataset_write_index(set), SL_ERR_CONFIG);
    sl_dataset_free(&set);
}

/* ---- bad files ---- */

static void test_cut_and_damaged(void **state)
{
    (void)state;
    for (size_t k = 0; k < COMPRESSIONS; k++) {
        char name[64];
        size_t n = 0;
        snprintf(name, sizeof name, "set-%s/s-0.%s", compressions[k].ending,
                 compressions[k].ending);
        put_shards(&compressions[k]);
        unsigned char *bytes = get_file(scratch(name), &n);
        snprintf(name, sizeof name, "cut.%s", compressions[k].ending);
        for (size_t cut = 1; cut < n - 16; cut += n / 23) {
            put_file(scratch(name), bytes, cut);
            assert_open_fails(scratch(name), "");
        }
        put_file(scratch(name), bytes, 0);
        assert_open_fails(scratch(name), "");
        free(bytes);
    }
    fill_tar(0);
    put_file(scratch("plain.tar.gz"), tar.bytes, tar.n);
    assert_open_fails(scratch("plain.tar.gz"), "exactly once");
    put_packed(scratch("twice.tar.gz"), (const int[2]){ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ},
               tar.bytes, tar.n, 1);
    assert_open_fails(scratch("twice.tar.gz"), "exactly once");
}

/* 1 GiB of zeros: refused when a few dozen MiB came out. */
static void test_bombs(void **state)
{
    (void)state;
    enum { PIECE = 1 << 20, PIECES = 1024 };
    char *zeros = calloc(PIECE, 1);
    assert_non_null(zeros);
    for (size_t k = 0; k < COMPRESSIONS; k++) {
        char name[64];
        snprintf(name, sizeof name, "bomb.%s", compressions[k].ending);
        put_packed(scratch(name), (const int[2]){compressions[k].filter, 0}, zeros, PIECE, PIECES);
        assert_open_fails(scratch(name), "this is no shard");
        const char *text = strstr(sl_error_message(), "unpack to more than ");
        assert_non_null(text);
        /* so much came out: 32 MiB are free, and gzip, the loosest of the three, shrinks zeros by
         * 1030, so that 100 times the bytes read, in blocks of 64 KiB, are 3.3 + 6.5 MiB more */
        assert_in_range(strtoull(text + 20, NULL, 10), 32 << 20, 44 << 20);
    }
    free(zeros);
}

static void test_allocations(void **state)
{
    (void)state;
    const char *spec = put_shards(&compressions[0]);
    for (size_t i = 1;; i++) {
        struct sl_dataset *set = NULL;
        const size_t live = sl_alloc_stats_get().live_bytes;
        sl_alloc_fail_at(i, false);
        const sl_status st = sl_dataset_open(spec, &set);
        sl_alloc_fail_at(0, false);
        sl_dataset_free(&set);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        if (st == SL_OK) {
            assert_true(i > 10);
            break;
        }
        assert_int_equal(st, SL_ERR_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),         cmocka_unit_test(test_any_order_refused),
        cmocka_unit_test(test_cut_and_damaged), cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
