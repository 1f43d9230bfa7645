/*
 * Data sets of tar shards on disk: patterns and folders, class names, index files, tars written by
 * GNU tar, the order by shards and buffer, resuming, ranks, bad images by policy.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "data/data.h"
#include "data/shard.h"
#include "support/files.h"
#include "tar_case.h"

enum { SHARDS = 6, PER_SHARD = 5, N = SHARDS * PER_SHARD };
static struct tar_bytes tar;

/* ---- helpers ---- */

/* A PNG of 4 x 4 pixels, all channels `value`, as a new file's bytes. */
static unsigned char *png(uint8_t value, size_t *n)
{
    struct sl_image img = {0};
    assert_int_equal(sl_image_resize_buffer(&img, 4, 4), SL_OK);
    memset(img.pixels, value, 48);
    assert_int_equal(sl_image_write_png(scratch("one.png"), &img), SL_OK);
    sl_image_free(&img);
    unsigned char *bytes = get_file(scratch("one.png"), n);
    assert_non_null(bytes);
    return bytes;
}

static void add_sample(size_t i, int label, bool broken)
{
    char name[32], text[16];
    size_t n = 0;
    unsigned char *bytes = png((uint8_t)i, &n);
    if (broken)
        bytes[n / 2] ^= 0x55;
    snprintf(name, sizeof name, "%04zu.png", i);
    tar_raw(&tar, '0', name, bytes, n);
    free(bytes);
    snprintf(name, sizeof name, "%04zu.cls", i);
    snprintf(text, sizeof text, "%d", label);
    tar_text(&tar, name, text);
}

/* N samples, pixel value i and label i % 3, in shards; sample `broken` is damaged. */
static void put_shards(const char *folder, size_t broken)
{
    char path[64];
    assert_int_equal(sl_make_dirs(scratch(folder)), SL_OK);
    for (size_t s = 0; s < SHARDS; s++) {
        tar.n = 0;
        for (size_t i = s * PER_SHARD; i < (s + 1) * PER_SHARD; i++)
            add_sample(i, (int)(i % 3), i == broken);
        tar_end(&tar);
        snprintf(path, sizeof path, "%s/s-%02zu.tar", folder, s);
        put_file(scratch(path), tar.bytes, tar.n);
    }
}

static struct sl_dataset *open_set(const char *spec)
{
    struct sl_dataset *set = NULL;
    const sl_status st = sl_dataset_open(spec, &set);
    if (st != SL_OK)
        fail_msg("%s: %s", spec, sl_error_message());
    return set;
}

static void assert_open_fails(const char *spec, sl_status status, const char *word)
{
    struct sl_dataset *set = NULL;
    const size_t live = sl_alloc_stats_get().live_bytes;
    const sl_status st = sl_dataset_open(spec, &set);
    if (st != status || !strstr(sl_error_message(), word))
        fail_msg("%s: status %d, \"%s\" lacks \"%s\"", spec, st, sl_error_message(), word);
    assert_null(set);
    assert_int_equal(sl_alloc_stats_get().live_bytes, live);
}

static void assert_sample(const struct sl_dataset *set, size_t i, size_t value)
{
    struct sl_image img = {0};
    if (sl_dataset_image(set, i, &img) != SL_OK)
        fail_msg("%s", sl_error_message());
    assert_int_equal(img.h, 4);
    assert_int_equal(img.pixels[47], value);
    assert_int_equal(sl_dataset_label(set, i), value % 3);
    sl_image_free(&img);
}

/* ---- opening ---- */

static void test_specs(void **state)
{
    (void)state;
    char digest[2][SL_DIGEST_SIZE];
    static const char *const ways[] = {"specs/s-{00..05}.tar", "wds:specs/s-{00..05}.tar",
                                       "wds:specs", "specs/s-0{0,1,2,3,4,5}.tar"};
    put_shards("specs", N);
    for (size_t k = 0; k < 4; k++) {
        char spec[256];
        const bool prefix = strncmp(ways[k], "wds:", 4) == 0;
        snprintf(spec, sizeof spec, "%s%s", prefix ? "wds:" : "",
                 scratch(prefix ? ways[k] + 4 : ways[k]));
        struct sl_dataset *set = open_set(spec);
        assert_int_equal(sl_dataset_count(set), N);
        assert_int_equal(sl_dataset_classes(set), 3);
        assert_string_equal(sl_dataset_class_name(set, 2), "2");
        for (size_t i = 0; i < N; i++)
            assert_sample(set, i, i);
        sl_dataset_digest(set, digest[k > 0]);
        assert_string_equal(digest[k > 0], digest[0]);
        char name[256];
        assert_string_equal(sl_dataset_sample_name(set, 7, name), "s-01.tar: 0007.png");
        sl_dataset_free(&set);
    }
    char spec[256];
    snprintf(spec, sizeof spec, "%s[7:12]", scratch("specs/s-{00..05}.tar"));
    struct sl_dataset *set = open_set(spec);
    assert_int_equal(sl_dataset_count(set), 5);
    assert_sample(set, 0, 7);
    assert_sample(set, 4, 11);
    size_t *parts, n = 0;
    assert_int_equal(sl_dataset_parts(set, &parts, &n), SL_OK);
    assert_int_equal(n, 2);
    assert_int_equal(parts[0], 0);
    assert_int_equal(parts[1], 3);
    assert_int_equal(parts[2], 5);
    sl_free(parts);
    sl_dataset_free(&set);
}

static void test_bad_sets(void **state)
{
    (void)state;
    put_shards("bad", N);
    assert_open_fails(scratch("bad/s-{00..06}.tar"), SL_ERR_INPUT, "s-06.tar");
    assert_open_fails(scratch("bad/t-{00..06}.tar"), SL_ERR_INPUT, "t-00.tar");
    assert_open_fails(scratch("bad/s-{00..}.tar"), SL_ERR_CONFIG, "FIRST..LAST");
    char spec[256];
    assert_int_equal(sl_make_dirs(scratch("none")), SL_OK);
    snprintf(spec, sizeof spec, "wds:%s", scratch("none"));
    assert_open_fails(spec, SL_ERR_INPUT, "no .tar files");
    tar.n = 0;
    tar_end(&tar);
    put_file(scratch("none/empty.tar"), tar.bytes, tar.n);
    assert_open_fails(scratch("none/empty.tar"), SL_ERR_DATA, "hold no samples");
    put_file(scratch("bad/s-03.tar"), "not a tar", 9);
    assert_open_fails(scratch("bad/s-{00..05}.tar"), SL_ERR_DATA, "s-03.tar");
}

static void test_class_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } bad[] = {{"a\nb\n", "2 class names"},
               {"a\n\nc\n", "line 2 is empty"},
               {"a\nb\nc", "lines of"},
               {"", "lines of"},
               {"a\nb\n\xff\n", "UTF-8"}};
    put_shards("named", N);
    put_file(scratch("named/classes.txt"), "n01\nn02\nn03\nn04\n", 16);
    struct sl_dataset *set = open_set(scratch("named/s-{00..05}.tar"));
    assert_int_equal(sl_dataset_classes(set), 4);
    assert_string_equal(sl_dataset_class_name(set, 3), "n04");
    sl_dataset_free(&set);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_file(scratch("named/classes.txt"), bad[i].text, strlen(bad[i].text));
        assert_open_fails(scratch("named/s-{00..05}.tar"), SL_ERR_DATA, bad[i].word);
    }
}

/* With an index the tar is not read: it may even be damaged outside the images. */
static void test_index_is_used(void **state)
{
    (void)state;
    size_t n = 0;
    char before[SL_DIGEST_SIZE], after[SL_DIGEST_SIZE];
    put_shards("indexed", N);
    struct sl_dataset *set = open_set(scratch("indexed/s-{00..05}.tar"));
    sl_dataset_digest(set, before);
    assert_int_equal(sl_dataset_write_index(set), SL_OK);
    sl_dataset_free(&set);
    unsigned char *bytes = get_file(scratch("indexed/s-02.tar"), &n);
    assert_non_null(bytes);
    memset(bytes, 'x', 512);
    put_file(scratch("indexed/s-02.tar"), bytes, n);
    set = open_set(scratch("indexed/s-{00..05}.tar"));
    sl_dataset_digest(set, after);
    assert_string_equal(before, after);
    for (size_t i = 0; i < N; i++)
        assert_sample(set, i, i);
    sl_dataset_free(&set);
    put_file(scratch("indexed/s-02.tar"), bytes, n - 512);
    assert_open_fails(scratch("indexed/s-{00..05}.tar"), SL_ERR_DATA, "s-02.tar.idx");
    free(bytes);
}

/* What GNU tar writes, in each of its formats, with names that are long or not ASCII. */
static void test_gnu_tar(void **state)
{
    (void)state;
    static const char *const formats[] = {"ustar", "pax", "gnu", "posix"};
    char name[256], command[1024];
    size_t n = 0;
    assert_int_equal(sl_make_dirs(scratch("in/\xc3\xa9t\xc3\xa9")), SL_OK);
    for (size_t i = 0; i < 4; i++) {
        unsigned char *bytes = png((uint8_t)i, &n);
        const int digits = i == 1 ? 95 : 1; /* more than 100 bytes: prefix, pax record, long name */
        snprintf(name, sizeof name, "in/\xc3\xa9t\xc3\xa9/%zu%0*d.png", i, digits, 0);
        put_file(scratch(name), bytes, n);
        free(bytes);
        strcpy(strrchr(name, '.'), ".cls");
        snprintf(command, sizeof command, "%zu\n", i % 3);
        put_file(scratch(name), command, strlen(command));
    }
    for (size_t f = 0; f < 4; f++) {
        snprintf(command, sizeof command,
                 "cd %s/in && LC_ALL=C tar --sort=name --format=%s -cf ../%s.tar \xc3\xa9t\xc3\xa9",
                 scratch_dir, formats[f], formats[f]);
        assert_int_equal(system(command), 0);
        snprintf(name, sizeof name, "%s.tar", formats[f]);
        struct sl_dataset *set = open_set(scratch(name));
        assert_int_equal(sl_dataset_count(set), 4);
        for (size_t i = 0; i < 4; i++)
            assert_sample(set, i, i);
        sl_dataset_free(&set);
    }
}

/* ---- order ---- */

static const struct sl_pipeline_config nothing = {.n = 0};

static struct sl_loader_options options(const struct sl_dataset *set, size_t batch, size_t buffer)
{
    return (struct sl_loader_options){.set = set,
                                      .ops = &nothing,
                                      .out_h = 4,
                                      .out_w = 4,
                                      .batch = batch,
                                      .seed = 11,
                                      .train = true,
                                      .shuffle = true,
                                      .shuffle_buffer = buffer,
                                      .prefetch = 2,
                                      .max_bad_fraction = 0.1,
                                      .world = 1};
}

/* First pixels of the next `batches` batches. */
static void values(const struct sl_loader_options *o, size_t batches, uint8_t *out)
{
    struct sl_loader *loader = NULL;
    const struct sl_batch *batch = NULL;
    if (sl_loader_create(o, &loader) != SL_OK)
        fail_msg("%s", sl_error_message());
    for (size_t b = 0; b < batches; b++) {
        if (sl_loader_next(loader, &batch) != SL_OK)
            fail_msg("%s", sl_error_message());
        for (size_t i = 0; i < o->batch / o->world; i++)
            *out++ = batch->images[i * 48];
    }
    sl_loader_free(&loader);
}

static void test_order(void **state)
{
    (void)state;
    uint8_t epochs[3 * N], again[3 * N];
    size_t distinct_orders = 0;
    put_shards("order", N);
    struct sl_dataset *set = open_set(scratch("order/s-{00..05}.tar"));
    for (size_t buffer = 1; buffer <= N + 1; buffer++) {
        struct sl_loader_options o = options(set, 10, buffer);
        values(&o, 9, epochs);
        for (size_t e = 0; e < 3; e++) { /* each sample once */
            unsigned seen = 0;
            for (size_t i = 0; i < N; i++)
                seen |= 1u << epochs[e * N + i];
            assert_int_equal(seen, (1u << N) - 1);
        }
        /* a run of `buffer` samples holds shards that follow each other in their order */
        if (buffer == PER_SHARD)
            for (size_t i = 0; i < 3 * N; i++)
                assert_int_equal(epochs[i] / PER_SHARD,
                                 epochs[i / PER_SHARD * PER_SHARD] / PER_SHARD);
        if (buffer == 1)
            for (size_t i = 0; i + 1 < 3 * N; i++)
                assert_true(i % PER_SHARD == PER_SHARD - 1 || epochs[i + 1] == epochs[i] + 1);
        distinct_orders += memcmp(epochs, epochs + N, N) != 0;
        o.workers = 3;
        values(&o, 9, again);
        assert_memory_equal(epochs, again, sizeof epochs);
    }
    assert_int_equal(distinct_orders, N + 1); /* 30 samples: no two epochs alike by chance */
    sl_dataset_free(&set);
}

/* Any batch can be the first one, and ranks share a batch out without overlap. */
static void test_resume_and_ranks(void **state)
{
    (void)state;
    uint8_t all[3 * N], part[3 * N];
    put_shards("ranks", N);
    struct sl_dataset *set = open_set(scratch("ranks/s-{00..05}.tar"));
    struct sl_loader_options o = options(set, 6, 12);
    values(&o, 15, all);
    for (size_t start = 1; start < 15; start++) {
        o.start_batch = start;
        values(&o, 15 - start, part);
        assert_memory_equal(part, all + start * 6, (15 - start) * 6);
    }
    o.start_batch = 0;
    o.world = 3;
    for (o.rank = 0; o.rank < 3; o.rank++) {
        values(&o, 15, part);
        for (size_t b = 0; b < 15; b++)
            assert_memory_equal(part + 2 * b, all + 6 * b + 2 * o.rank, 2);
    }
    sl_dataset_free(&set);
}

static void test_buffer_needs_shards(void **state)
{
    (void)state;
    struct sl_dataset *set = open_set("synthetic:n=30,classes=3,size=4");
    struct sl_loader_options o = options(set, 6, 12);
    struct sl_loader *loader = NULL;
    assert_int_equal(sl_loader_create(&o, &loader), SL_ERR_CONFIG);
    assert_non_null(strstr(sl_error_message(), "data.shuffle_buffer"));
    sl_dataset_free(&set);
}

/* ---- bad images ---- */

static void test_bad_image(void **state)
{
    (void)state;
    uint8_t got[4 * N];
    char *text = NULL;
    put_shards("damaged", 13);
    struct sl_dataset *set = open_set(scratch("damaged/s-{00..05}.tar"));
    struct sl_loader_options o = options(set, 10, 0);
    struct sl_loader *loader = NULL;
    const struct sl_batch *batch = NULL;
    sl_status st = SL_OK;
    assert_int_equal(sl_loader_create(&o, &loader), SL_OK);
    for (size_t b = 0; b < 3 && st == SL_OK; b++)
        st = sl_loader_next(loader, &batch);
    assert_int_equal(st, SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "s-02.tar: 0013.png"));
    sl_loader_free(&loader);
    o.on_bad = SL_BAD_SKIP;
    values(&o, 12, got);
    assert_null(memchr(got, 13, sizeof got));
    assert_int_equal(sl_loader_create(&o, &loader), SL_OK);
    for (size_t b = 0; b < 12; b++)
        assert_int_equal(sl_loader_next(loader, &batch), SL_OK);
    assert_int_equal(sl_loader_bad_samples(loader), 1);
    sl_loader_free(&loader);
    assert_int_equal(sl_dataset_info(set, true, &text), SL_OK);
    assert_non_null(strstr(text, "\"format\": \"wds\""));
    assert_non_null(strstr(text, "\"samples\": 30"));
    assert_non_null(strstr(text, "\"shards\": 6"));
    assert_non_null(strstr(text, "\"bad\": 1"));
    assert_non_null(strstr(text, "\"s-02.tar: 0013.png\""));
    sl_free(text);
    sl_dataset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_specs),
        cmocka_unit_test(test_bad_sets),
        cmocka_unit_test(test_class_names),
        cmocka_unit_test(test_index_is_used),
        cmocka_unit_test(test_gnu_tar),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_resume_and_ranks),
        cmocka_unit_test(test_buffer_needs_shards),
        cmocka_unit_test(test_bad_image),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
