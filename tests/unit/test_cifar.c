/*
 * CIFAR records: good files of both kinds, more than forty bad ones, sizes, labels, and whole sets
 * in the published layout, generated here.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "data/cifar.h"
#include "data/data.h"
#include "support/files.h"

enum { R10 = 3073, R100 = 3074, MOST = 12 * R100 };

/* Pixel k of record i, so that a shifted or swapped plane shows. */
static unsigned char pixel(size_t i, size_t k)
{
    return (unsigned char)(i * 31 + k * 7 + k / 1024 * 50);
}

/* `records` records with labels i % 10 (and coarse i % 20). */
static void make_records(unsigned char *bytes, size_t label_bytes, size_t records, size_t seed)
{
    for (size_t i = 0; i < records; i++) {
        if (label_bytes == 2)
            *bytes++ = (unsigned char)((i + seed) % 20);
        *bytes++ = (unsigned char)((i + seed) % 10);
        for (size_t k = 0; k < SL_CIFAR_PIXELS; k++)
            *bytes++ = pixel(i + seed, k);
    }
}

/* A file of three records whose size is changed or in which one byte is set. */
struct bad {
    const char *title;
    int kind; /* 10 or 100 */
    long size;
    long at; /* byte to set; -1 = none */
    int value;
    const char *word;
};
static const struct bad bad_files[] = {
    {"empty", 10, 0, -1, 0, "multiple"},
    {"one byte", 10, 1, -1, 0, "multiple"},
    {"label only", 10, 2, -1, 0, "multiple"},
    {"pixels only", 10, 3072, -1, 0, "multiple"},
    {"record + 1", 10, 3074, -1, 0, "multiple"},
    {"record - 1 of two", 10, 2 * R10 - 1, -1, 0, "multiple"},
    {"two + 1", 10, 2 * R10 + 1, -1, 0, "multiple"},
    {"three - 1", 10, 3 * R10 - 1, -1, 0, "multiple"},
    {"three + 1", 10, 3 * R10 + 1, -1, 0, "multiple"},
    {"half of the third", 10, 2 * R10 + 1500, -1, 0, "multiple"},
    {"512-byte blocks", 10, 9216, -1, 0, "multiple"},
    {"4096", 10, 4096, -1, 0, "multiple"},
    {"no red plane", 10, 2049, -1, 0, "multiple"},
    {"grey records", 10, 1025, -1, 0, "multiple"},
    {"records of the other kind", 10, 3 * R100, -1, 0, "multiple"},
    {"label 10", 10, 3 * R10, 0, 10, "label 10 at byte 0 (record 0)"},
    {"label 11", 10, 3 * R10, 0, 11, "label 11"},
    {"label 127", 10, 3 * R10, 0, 127, "label 127"},
    {"label 128", 10, 3 * R10, 0, 128, "label 128"},
    {"label 255", 10, 3 * R10, 0, 255, "label 255"},
    {"second label 10", 10, 3 * R10, R10, 10, "byte 3073 (record 1)"},
    {"second label 255", 10, 3 * R10, R10, 255, "byte 3073 (record 1)"},
    {"last label 10", 10, 3 * R10, 2 * R10, 10, "byte 6146 (record 2)"},
    {"last label 200", 10, 3 * R10, 2 * R10, 200, "byte 6146 (record 2)"},
    {"empty", 100, 0, -1, 0, "multiple"},
    {"one byte", 100, 1, -1, 0, "multiple"},
    {"labels only", 100, 2, -1, 0, "multiple"},
    {"record - 1", 100, 3073, -1, 0, "multiple"},
    {"record + 1", 100, 3075, -1, 0, "multiple"},
    {"two - 1", 100, 2 * R100 - 1, -1, 0, "multiple"},
    {"two + 1", 100, 2 * R100 + 1, -1, 0, "multiple"},
    {"three - 2", 100, 3 * R100 - 2, -1, 0, "multiple"},
    {"records of the other kind", 100, 3 * R10, -1, 0, "multiple"},
    {"tape block", 100, 10240, -1, 0, "multiple"},
    {"coarse 20", 100, 3 * R100, 0, 20, "label 20 at byte 0 (record 0) is not below 20"},
    {"coarse 99", 100, 3 * R100, 0, 99, "not below 20"},
    {"coarse 255", 100, 3 * R100, 0, 255, "not below 20"},
    {"fine 100", 100, 3 * R100, 1, 100, "label 100 at byte 1 (record 0) is not below 100"},
    {"fine 128", 100, 3 * R100, 1, 128, "not below 100"},
    {"fine 255", 100, 3 * R100, 1, 255, "not below 100"},
    {"second coarse 20", 100, 3 * R100, R100, 20, "byte 3074 (record 1) is not below 20"},
    {"second fine 100", 100, 3 * R100, R100 + 1, 100, "byte 3075 (record 1) is not below 100"},
    {"last coarse 21", 100, 3 * R100, 2 * R100, 21, "byte 6148 (record 2)"},
    {"last fine 101", 100, 3 * R100, 2 * R100 + 1, 101, "byte 6149 (record 2)"},
};
enum { BAD_FILES = sizeof bad_files / sizeof *bad_files };

static sl_status append_exact(int kind, const unsigned char *bytes, size_t n, struct sl_cifar *out)
{
    unsigned char *copy = malloc(n > 0 ? n : 1); /* exact, for the sanitizers */
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    const sl_status st = sl_cifar_append(kind == 10 ? &sl_cifar10_layout : &sl_cifar100_layout,
                                         copy, n, "file", out);
    free(copy);
    return st;
}

static void free_records(struct sl_cifar *c)
{
    sl_free(c->pixels);
    sl_free(c->labels);
}

static void test_bad_files(void **state)
{
    (void)state;
    static unsigned char bytes[MOST];
    for (size_t i = 0; i < BAD_FILES; i++) {
        const struct bad *b = &bad_files[i];
        struct sl_cifar out = {0};
        memset(bytes, 0, sizeof bytes);
        make_records(bytes, b->kind == 10 ? 1 : 2, 3, 0);
        if (b->at >= 0)
            bytes[b->at] = (unsigned char)b->value;
        const sl_status st = append_exact(b->kind, bytes, (size_t)b->size, &out);
        if (st != SL_ERR_DATA || !strstr(sl_error_message(), b->word))
            fail_msg("CIFAR-%d %s: status %d, \"%s\" lacks \"%s\"", b->kind, b->title, st,
                     sl_error_message(), b->word);
        assert_null(out.pixels);
        assert_null(out.labels);
        assert_int_equal(out.n, 0);
    }
    print_message("bad CIFAR files: %d\n", BAD_FILES);
    assert_true(BAD_FILES >= 40);
}

/* Every size up to three records: whole records are read, all else is refused. */
static void test_every_size(void **state)
{
    (void)state;
    static unsigned char bytes[MOST];
    size_t accepted = 0, refused = 0;
    make_records(bytes, 1, 4, 0);
    for (size_t n = 0; n <= 3 * R10 + 1; n++) {
        struct sl_cifar out = {0};
        const sl_status st = sl_cifar_append(&sl_cifar10_layout, bytes, n, "file", &out);
        assert_int_equal(st, n > 0 && n % R10 == 0 ? SL_OK : SL_ERR_DATA);
        assert_int_equal(out.n, st == SL_OK ? n / R10 : 0);
        accepted += st == SL_OK;
        refused += st != SL_OK;
        free_records(&out);
    }
    print_message("sizes: %zu accepted, %zu refused\n", accepted, refused);
    assert_int_equal(accepted, 3);
}

static void test_every_label(void **state)
{
    (void)state;
    static unsigned char bytes[MOST];
    size_t accepted = 0;
    for (int value = 0; value < 256; value++) {
        for (size_t at = 0; at < 2; at++) {
            struct sl_cifar out = {0};
            make_records(bytes, 2, 1, 0);
            bytes[at] = (unsigned char)value;
            const sl_status st = append_exact(100, bytes, R100, &out);
            assert_int_equal(st, value < (at == 0 ? 20 : 100) ? SL_OK : SL_ERR_DATA);
            if (st == SL_OK)
                assert_int_equal(out.labels[0], at == 1 ? value : 0);
            accepted += st == SL_OK;
            free_records(&out);
        }
    }
    assert_int_equal(accepted, 120);
}

static void test_append_keeps_what_was_read(void **state)
{
    (void)state;
    static unsigned char bytes[MOST];
    struct sl_cifar out = {0};
    make_records(bytes, 1, 2, 0);
    assert_int_equal(append_exact(10, bytes, 2 * R10, &out), SL_OK);
    make_records(bytes, 1, 3, 2);
    assert_int_equal(append_exact(10, bytes, 3 * R10, &out), SL_OK);
    assert_int_equal(append_exact(10, bytes, 5, &out), SL_ERR_DATA);
    assert_int_equal(out.n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(out.labels[i], i);
        for (size_t k = 0; k < SL_CIFAR_PIXELS; k++)
            assert_int_equal(out.pixels[i * SL_CIFAR_PIXELS + k], pixel(i, k));
    }
    free_records(&out);
}

/* ---- sets ---- */

static void put_set(void)
{
    static unsigned char bytes[MOST];
    assert_int_equal(sl_make_dirs(scratch("ten")), SL_OK);
    assert_int_equal(sl_make_dirs(scratch("hundred")), SL_OK);
    for (size_t b = 0; b < 5; b++) {
        char name[64];
        snprintf(name, sizeof name, "ten/data_batch_%zu.bin", b + 1);
        make_records(bytes, 1, 2, 2 * b);
        put_file(scratch(name), bytes, 2 * R10);
    }
    make_records(bytes, 1, 3, 0);
    put_file(scratch("ten/test_batch.bin"), bytes, 3 * R10);
    make_records(bytes, 2, 4, 0);
    put_file(scratch("hundred/train.bin"), bytes, 4 * R100);
    make_records(bytes, 2, 1, 0);
    put_file(scratch("hundred/test.bin"), bytes, R100);
}

static void open_set(const char *kind, const char *folder, const char *split,
                     struct sl_dataset **set)
{
    char spec[256];
    snprintf(spec, sizeof spec, "%s:%s:%s", kind, scratch(folder), split);
    const sl_status st = sl_dataset_open(spec, set);
    if (st != SL_OK)
        fail_msg("%s: %s", spec, sl_error_message());
}

static void test_sets(void **state)
{
    (void)state;
    struct sl_dataset *set = NULL;
    struct sl_image img = {0};
    put_set();
    open_set("cifar10", "ten", "train", &set);
    assert_int_equal(sl_dataset_count(set), 10);
    assert_int_equal(sl_dataset_classes(set), 10);
    assert_string_equal(sl_dataset_class_name(set, 9), "truck");
    for (size_t i = 0; i < 10; i++) { /* the five files follow each other; planes interleave */
        assert_int_equal(sl_dataset_label(set, i), i);
        assert_int_equal(sl_dataset_image(set, i, &img), SL_OK);
        assert_int_equal(img.h, 32);
        assert_int_equal(img.w, 32);
        for (size_t k = 0; k < SL_CIFAR_PIXELS; k++)
            assert_int_equal(img.pixels[k], pixel(i, k % 3 * 1024 + k / 3));
    }
    sl_dataset_free(&set);
    open_set("cifar10", "ten", "test", &set);
    assert_int_equal(sl_dataset_count(set), 3);
    sl_dataset_free(&set);
    open_set("cifar100", "hundred", "train", &set);
    assert_int_equal(sl_dataset_count(set), 4);
    assert_int_equal(sl_dataset_classes(set), 100);
    assert_string_equal(sl_dataset_class_name(set, 0), "apple");
    assert_string_equal(sl_dataset_class_name(set, 99), "worm");
    sl_dataset_free(&set);
    open_set("cifar100", "hundred", "test", &set);
    assert_int_equal(sl_dataset_count(set), 1);
    sl_dataset_free(&set);
    sl_image_free(&img);
}

static void test_set_with_a_missing_or_bad_file(void **state)
{
    (void)state;
    char spec[256];
    struct sl_dataset *set = NULL;
    put_set();
    put_file(scratch("ten/data_batch_3.bin"), "x", 1);
    snprintf(spec, sizeof spec, "cifar10:%s:train", scratch("ten"));
    assert_int_equal(sl_dataset_open(spec, &set), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "data_batch_3.bin"));
    assert_int_equal(remove(scratch("ten/data_batch_3.bin")), 0);
    assert_int_equal(sl_dataset_open(spec, &set), SL_ERR_INPUT);
    assert_non_null(strstr(sl_error_message(), "data_batch_3.bin"));
    assert_null(set);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    char spec[256];
    size_t failures = 0;
    put_set();
    snprintf(spec, sizeof spec, "cifar10:%s:train", scratch("ten"));
    for (size_t at = 1;; at++) {
        struct sl_dataset *set = NULL;
        const size_t live = sl_alloc_stats_get().live_bytes;
        sl_alloc_fail_at(at, false);
        const sl_status st = sl_dataset_open(spec, &set);
        sl_alloc_fail_at(0, false);
        if (st == SL_OK) {
            sl_dataset_free(&set);
            break;
        }
        assert_int_equal(st, SL_ERR_MEMORY);
        assert_null(set);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        failures++;
    }
    print_message("allocation failures: %zu\n", failures);
    assert_true(failures >= 30); /* five files of four blocks, ten class names */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_every_label),
        cmocka_unit_test(test_append_keeps_what_was_read),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_set_with_a_missing_or_bad_file),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
