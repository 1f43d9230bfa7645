/*
 * Data sets by SPEC: spelling, places, slices, IDX pairs that do not belong together, Fashion-MNIST
 * itself, the synthetic set, digests and `data info`.
 */
#define _DEFAULT_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "data/data.h"
#include "support/files.h"

/* ---- helpers ---- */

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

static struct sl_dataset *open_set(const char *spec)
{
    struct sl_dataset *set = NULL;
    const sl_status st = sl_dataset_open(spec, &set);
    if (st != SL_OK)
        fail_msg("%s: %s", spec, sl_error_message());
    return set;
}

/* "FORMAT:SCRATCH/FOLDER:SPLIT" in one of eight buffers that take turns. */
static const char *spec_of(const char *format, const char *folder, const char *split)
{
    static char specs[8][512];
    static unsigned turn;
    char *spec = specs[turn++ % 8];
    snprintf(spec, sizeof specs[0], "%s:%s:%s", format, scratch(folder), split);
    return spec;
}

/* An IDX file of the given dimensions whose elements are `first`, `first` + `step`, ... */
static void put_idx(const char *path, size_t rank, const unsigned char *dims, unsigned first,
                    unsigned step)
{
    unsigned char bytes[4096] = {0, 0, 8, (unsigned char)rank};
    size_t n = 1, at = 4;
    for (size_t k = 0; k < rank; k++, at += 4) {
        bytes[at + 3] = dims[k];
        n *= dims[k];
    }
    assert_true(at + n <= sizeof bytes);
    for (size_t i = 0; i < n; i++)
        bytes[at + i] = (unsigned char)(first + step * i);
    put_file(path, bytes, at + n);
}

/* FOLDER with 6 training images of 2 x 3 pixels, labels 0 .. 5, and 2 test images. */
static void put_set(const char *folder)
{
    char dir[256], name[512];
    snprintf(dir, sizeof dir, "%s", scratch(folder));
    assert_int_equal(sl_make_dirs(dir), SL_OK);
    static const struct {
        const char *file;
        size_t rank;
        unsigned char dims[3];
    } files[] = {{"train-images-idx3-ubyte", 3, {6, 2, 3}},
                 {"train-labels-idx1-ubyte", 1, {6}},
                 {"t10k-images-idx3-ubyte", 3, {2, 2, 3}},
                 {"t10k-labels-idx1-ubyte", 1, {2}}};
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s/%s", dir, files[i].file);
        put_idx(name, files[i].rank, files[i].dims, 0, 1);
    }
}

/* ---- SPEC ---- */

static void test_malformed_specs(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        sl_status status;
        const char *word;
    } bad[] = {
        {"", SL_ERR_CONFIG, "no name"},
        {"fashion-mnist", SL_ERR_CONFIG, "fashion-mnist[:DIR]:train|test"},
        {"fashion-mnist:", SL_ERR_CONFIG, "train|test"},
        {"fashion-mnist:val", SL_ERR_CONFIG, "train|test"},
        {"fashion-mnist:Train", SL_ERR_CONFIG, "train|test"},
        {"fashion-mnist::train", SL_ERR_CONFIG, "no name"},
        {"fashion-mnist:no/such/folder:train", SL_ERR_INPUT, "dataset-fashion-mnist"},
        {"fashion-mnit:train", SL_ERR_INPUT, "did you mean fashion-mnist?"},
        {"cifar:train", SL_ERR_INPUT, "did you mean cifar10?"},
        {"mnist:no/such:test", SL_ERR_INPUT, "no/such"},
        {"cifar10:train", SL_ERR_INPUT, "cifar-10-batches-bin"},
        {"cifar100:test", SL_ERR_INPUT, "cifar-100-binary"},
        {"cifar10:/no/such:train", SL_ERR_INPUT, "/no/such"},
        {"idx:train", SL_ERR_CONFIG, "names no folder"},
        {"idx:a", SL_ERR_CONFIG, "idx:DIR:train|test"},
        {"idx:no-images,no-labels", SL_ERR_INPUT, "no-images"},
        {"no/such/folder", SL_ERR_INPUT, "/usr/share/datasets"},
        {"folder:no/such/folder", SL_ERR_INPUT, "no/such/folder"},
        {"a\x01\xff", SL_ERR_INPUT, "\\x01\\xFF"},
        {"synthetic:n", SL_ERR_CONFIG, "\"n\" has no value"},
        {"synthetic:n=", SL_ERR_CONFIG, "n must be a number"},
        {"synthetic:n=0", SL_ERR_CONFIG, "n must be a number"},
        {"synthetic:n=-1", SL_ERR_CONFIG, "n must be a number"},
        {"synthetic:n=1.5", SL_ERR_CONFIG, "n must be a number"},
        {"synthetic:n=1e99", SL_ERR_CONFIG, "n must be a number"},
        {"synthetic:n=nan", SL_ERR_CONFIG, "n must be a number"},
        {"synthetic:n=inf", SL_ERR_CONFIG, "n must be a number"},
        {"synthetic:n=10x", SL_ERR_CONFIG, "n must be a number"},
        {"synthetic:n=0x10", SL_ERR_CONFIG, "n must be a number"},
        {"synthetic:classes=0", SL_ERR_CONFIG, "classes must be"},
        {"synthetic:size=0", SL_ERR_CONFIG, "size must be"},
        {"synthetic:size=4097", SL_ERR_CONFIG, "size must be"},
        {"synthetic:noise=1.1", SL_ERR_CONFIG, "noise must be"},
        {"synthetic:seed=-1", SL_ERR_CONFIG, "seed must be"},
        {"synthetic:sede=1", SL_ERR_CONFIG, "unknown key \"sede\""},
        {"synthetic:,", SL_ERR_CONFIG, "has no value"},
        {"synthetic:n=10[11:]", SL_ERR_CONFIG, "outside its 10 samples"},
        {"synthetic:n=10[10:]", SL_ERR_CONFIG, "outside its 10 samples"},
        {"synthetic:n=10[:11]", SL_ERR_CONFIG, "outside its 10 samples"},
        {"synthetic:n=10[5:5]", SL_ERR_CONFIG, "empty"},
        {"synthetic:n=10[6:5]", SL_ERR_CONFIG, "empty"},
        {"synthetic:n=10[-1:]", SL_ERR_CONFIG, "n must be a number"},
        {"synthetic:n=10[99999999999999999999:]", SL_ERR_CONFIG, "n must be a number"},
    };
    enum { BAD = sizeof bad / sizeof *bad };
    for (size_t i = 0; i < BAD; i++)
        assert_open_fails(bad[i].spec, bad[i].status, bad[i].word);
    print_message("malformed SPECs: %d\n", BAD);
    assert_true(BAD >= 40);
}

static void test_places(void **state)
{
    (void)state;
    char here[4096];
    put_set("places/mine");
    assert_open_fails("idx:mine:train", SL_ERR_INPUT, "not set");
    assert_non_null(realpath(scratch("places"), here));
    assert_int_equal(setenv("SOFTLESS_DATA", here, 1), 0);
    struct sl_dataset *set = open_set("idx:mine:train");
    assert_int_equal(sl_dataset_count(set), 6);
    sl_dataset_free(&set);
    assert_open_fails("idx:yours:train", SL_ERR_INPUT, here);
    assert_int_equal(unsetenv("SOFTLESS_DATA"), 0);
}

static void test_slices(void **state)
{
    (void)state;
    static const struct {
        const char *slice;
        size_t first, count;
    } slices[] = {{"", 0, 10},     {"[:]", 0, 10},    {"[:4]", 0, 4}, {"[4:]", 4, 6},
                  {"[2:7]", 2, 5}, {"[0:10]", 0, 10}, {"[9:]", 9, 1}};
    struct sl_dataset *all = open_set("synthetic:n=10,classes=3,size=8");
    struct sl_image a = {0}, b = {0};
    char whole[SL_DIGEST_SIZE], digest[SL_DIGEST_SIZE];
    sl_dataset_digest(all, whole);
    for (size_t k = 0; k < sizeof slices / sizeof *slices; k++) {
        char spec[128];
        snprintf(spec, sizeof spec, "synthetic:n=10,classes=3,size=8%s", slices[k].slice);
        struct sl_dataset *set = open_set(spec);
        assert_int_equal(sl_dataset_count(set), slices[k].count);
        assert_int_equal(sl_dataset_classes(set), 3);
        for (size_t i = 0; i < slices[k].count; i++) {
            const size_t j = slices[k].first + i;
            assert_int_equal(sl_dataset_label(set, i), sl_dataset_label(all, j));
            assert_int_equal(sl_dataset_image(set, i, &a), SL_OK);
            assert_int_equal(sl_dataset_image(all, j, &b), SL_OK);
            assert_memory_equal(a.pixels, b.pixels, 8 * 8 * 3);
        }
        assert_int_equal(sl_dataset_image(set, slices[k].count, &a), SL_ERR_ARGUMENT);
        sl_dataset_digest(set, digest);
        assert_int_equal(strcmp(whole, digest) == 0, slices[k].count == 10);
        sl_dataset_free(&set);
    }
    sl_image_free(&a);
    sl_image_free(&b);
    sl_dataset_free(&all);
}

/* ---- IDX pairs ---- */

static void test_idx_folder_and_pair(void **state)
{
    (void)state;
    char pair[2048];
    struct sl_image img = {0};
    put_set("pair");
    snprintf(pair, sizeof pair, "idx:%s,%s", scratch("pair/train-images-idx3-ubyte"),
             scratch("pair/train-labels-idx1-ubyte"));
    const char *const specs[] = {spec_of("idx", "pair", "train"), spec_of("mnist", "pair", "train"),
                                 pair};
    for (size_t s = 0; s < 3; s++) {
        struct sl_dataset *set = open_set(specs[s]);
        size_t h = 0, w = 0;
        assert_int_equal(sl_dataset_count(set), 6);
        assert_int_equal(sl_dataset_classes(set), s == 1 ? 10 : 6);
        assert_string_equal(sl_dataset_class_name(set, 5), "5");
        assert_null(sl_dataset_class_name(set, 10));
        assert_true(sl_dataset_image_size(set, &h, &w) && h == 2 && w == 3);
        for (size_t i = 0; i < 6; i++) {
            assert_int_equal(sl_dataset_label(set, i), i);
            assert_int_equal(sl_dataset_image(set, i, &img), SL_OK);
            for (size_t k = 0; k < 18; k++) /* grey in three channels */
                assert_int_equal(img.pixels[k], 6 * i + k / 3);
        }
        sl_dataset_free(&set);
    }
    sl_image_free(&img);
}

static void test_idx_colour(void **state)
{
    (void)state;
    const unsigned char dims[] = {2, 2, 3, 3}, labels[] = {2};
    struct sl_image img = {0};
    put_set("colour");
    put_idx(scratch("colour/train-images-idx3-ubyte"), 4, dims, 7, 5);
    put_idx(scratch("colour/train-labels-idx1-ubyte"), 1, labels, 0, 1);
    struct sl_dataset *set = open_set(spec_of("idx", "colour", "train"));
    assert_int_equal(sl_dataset_image(set, 1, &img), SL_OK);
    for (size_t k = 0; k < 18; k++)
        assert_int_equal(img.pixels[k], (7 + 5 * (18 + k)) % 256);
    sl_image_free(&img);
    sl_dataset_free(&set);
}

static void test_idx_files_that_do_not_belong_together(void **state)
{
    (void)state;
    const unsigned char five[] = {5}, seven[] = {7}, six[] = {6}, square[] = {6, 6},
                        flat[] = {6, 4}, four[] = {6, 2, 3, 4};
    const char *images = "odd/train-images-idx3-ubyte", *labels = "odd/train-labels-idx1-ubyte";
    const char *spec = spec_of("fashion-mnist", "odd", "train");
    put_set("odd");
    struct sl_dataset *set = open_set(spec);
    sl_dataset_free(&set);
    put_idx(scratch(labels), 1, five, 0, 1);
    assert_open_fails(spec, SL_ERR_DATA, "5 labels for 6 images");
    put_idx(scratch(labels), 1, seven, 0, 1);
    assert_open_fails(spec, SL_ERR_DATA, "7 labels for 6 images");
    put_idx(scratch(labels), 2, square, 0, 0);
    assert_open_fails(spec, SL_ERR_DATA, "labels have 1 dimension");
    put_idx(scratch(labels), 1, six, 5, 1);
    assert_open_fails(spec, SL_ERR_DATA, "label 10 of sample 5 is not below the 10 classes");
    put_idx(scratch(labels), 1, six, 250, 1);
    assert_open_fails(spec, SL_ERR_DATA, "label 250 of sample 0");
    put_idx(scratch(labels), 1, six, 0, 1);
    put_idx(scratch(images), 1, six, 0, 1);
    assert_open_fails(spec, SL_ERR_DATA, "this file has 1 dimensions");
    put_idx(scratch(images), 2, flat, 0, 1);
    assert_open_fails(spec, SL_ERR_DATA, "this file has 2 dimensions");
    put_idx(scratch(images), 4, four, 0, 1);
    assert_open_fails(spec, SL_ERR_DATA, "this file has 4 dimensions");
    put_file(scratch(images), "GIF89a", 6);
    assert_open_fails(spec, SL_ERR_DATA, "not an IDX file");
    assert_int_equal(remove(scratch(images)), 0);
    assert_open_fails(spec, SL_ERR_INPUT, "train-images-idx3-ubyte");
    assert_open_fails(spec, SL_ERR_INPUT, "install Debian's package dataset-fashion-mnist");
}

static void test_huge_sides_are_refused(void **state)
{
    (void)state;
    static unsigned char bytes[16 + 65536] = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0};
    const unsigned char one[] = {1};
    put_set("huge");
    put_idx(scratch("huge/train-labels-idx1-ubyte"), 1, one, 0, 0);
    put_file(scratch("huge/train-images-idx3-ubyte"), bytes, sizeof bytes);
    assert_open_fails(spec_of("idx", "huge", "train"), SL_ERR_DATA, "1 x 65536");
    bytes[13] = 0; /* 65,535 is the limit */
    bytes[14] = bytes[15] = 0xFF;
    put_file(scratch("huge/train-images-idx3-ubyte"), bytes, sizeof bytes - 1);
    struct sl_dataset *set = open_set(spec_of("idx", "huge", "train"));
    sl_dataset_free(&set);
}

/* ---- Fashion-MNIST itself ---- */

static void test_fashion_mnist(void **state)
{
    (void)state;
    if (!sl_is_dir("/usr/share/datasets/fashion-mnist")) {
        print_message("skipped: Debian's package dataset-fashion-mnist is not installed\n");
        skip();
    }
    static const size_t counts[] = {60000, 10000};
    static const char *const specs[] = {"fashion-mnist:train", "fashion-mnist:test"};
    char *info = NULL;
    for (size_t s = 0; s < 2; s++) {
        struct sl_dataset *set = open_set(specs[s]);
        size_t per_class[10] = {0};
        assert_int_equal(sl_dataset_count(set), counts[s]);
        assert_int_equal(sl_dataset_classes(set), 10);
        assert_string_equal(sl_dataset_class_name(set, 0), "T-shirt/top");
        assert_string_equal(sl_dataset_class_name(set, 9), "Ankle boot");
        for (size_t i = 0; i < counts[s]; i++)
            per_class[sl_dataset_label(set, i)]++;
        for (size_t c = 0; c < 10; c++)
            assert_int_equal(per_class[c], counts[s] / 10);
        if (s == 0) {
            assert_int_equal(sl_dataset_info(set, false, &info), SL_OK);
            assert_non_null(strstr(info, "28 x 28, mean 0.2860")); /* as published */
            assert_non_null(strstr(info, "bad       0"));
            sl_free(info);
        }
        sl_dataset_free(&set);
    }
}

/* ---- synthetic ---- */

/* Nearest class mean on 8 x 8 images: simpler than any network, far above chance. */
static void test_synthetic_classes_can_be_told_apart(void **state)
{
    (void)state;
    enum { C = 10, N = 400, D = 8 * 8 * 3 };
    static double mean[C][D];
    struct sl_image img = {0};
    struct sl_dataset *train = open_set("synthetic:n=400,size=8,seed=1");
    struct sl_dataset *test = open_set("synthetic:n=400,size=8,seed=2");
    memset(mean, 0, sizeof mean);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(sl_dataset_image(train, i, &img), SL_OK);
        for (size_t k = 0; k < D; k++)
            mean[sl_dataset_label(train, i)][k] += img.pixels[k] / (double)(N / C);
    }
    size_t right = 0;
    for (size_t i = 0; i < N; i++) {
        double best = INFINITY;
        size_t best_class = 0;
        assert_int_equal(sl_dataset_image(test, i, &img), SL_OK);
        for (size_t c = 0; c < C; c++) {
            double distance = 0;
            for (size_t k = 0; k < D; k++)
                distance += (img.pixels[k] - mean[c][k]) * (img.pixels[k] - mean[c][k]);
            if (distance < best) {
                best = distance;
                best_class = c;
            }
        }
        right += best_class == (size_t)sl_dataset_label(test, i);
    }
    print_message("nearest class mean: %zu of %d right\n", right, N);
    assert_true(right > N * 6 / 10); /* chance is 10 %, with a deviation of 1.5 % */
    sl_image_free(&img);
    sl_dataset_free(&train);
    sl_dataset_free(&test);
}

/* The bytes are a function of the SPEC: this digest must be the same on every machine. */
static void test_synthetic_bytes(void **state)
{
    (void)state;
    struct sl_image img = {0};
    sl_hash *hash = NULL;
    char first[SL_DIGEST_SIZE], other[SL_DIGEST_SIZE];
    for (size_t round = 0; round < 3; round++) {
        struct sl_dataset *set =
            open_set(round < 2 ? "synthetic:n=20,size=17,seed=5" : "synthetic:n=20,size=17,seed=6");
        assert_int_equal(sl_hash_new(&hash), SL_OK);
        for (size_t i = 0; i < 20; i++) {
            assert_int_equal(sl_dataset_image(set, i, &img), SL_OK);
            sl_hash_add(hash, img.pixels, 17 * 17 * 3);
        }
        sl_hash_end(&hash, round == 0 ? first : other);
        if (round > 0)
            assert_int_equal(strcmp(first, other) == 0, round == 1);
        sl_dataset_free(&set);
    }
    assert_string_equal(first, "105abfbbbe8b1da108833efc38f6bfa3");
    sl_image_free(&img);
}

static void test_synthetic_labels(void **state)
{
    (void)state;
    struct sl_dataset *set = open_set("synthetic:n=25,classes=7,size=4,noise=0");
    for (size_t i = 0; i < 25; i++)
        assert_int_equal(sl_dataset_label(set, i), i % 7);
    assert_int_equal(sl_dataset_classes(set), 7);
    assert_string_equal(sl_dataset_class_name(set, 6), "6");
    sl_dataset_free(&set);
}

/* ---- digest and info ---- */

static void test_digest(void **state)
{
    (void)state;
    char a[SL_DIGEST_SIZE], b[SL_DIGEST_SIZE];
    const unsigned char six[] = {6}, images[] = {6, 2, 3};
    put_set("here");
    put_set("there");
    for (size_t k = 0; k < 4; k++) {
        if (k == 1) /* another label */
            put_idx(scratch("there/train-labels-idx1-ubyte"), 1, six, 5, (unsigned)-1);
        if (k == 2) /* back again, other pixels */
            put_idx(scratch("there/train-images-idx3-ubyte"), 3, images, 1, 1);
        if (k >= 2)
            put_idx(scratch("there/train-labels-idx1-ubyte"), 1, six, 0, 1);
        if (k == 3)
            put_idx(scratch("there/train-images-idx3-ubyte"), 3, images, 0, 1);
        struct sl_dataset *x = open_set(spec_of("idx", "here", "train"));
        struct sl_dataset *y = open_set(spec_of("idx", "there", "train"));
        sl_dataset_digest(x, a);
        sl_dataset_digest(y, b);
        assert_int_equal(strcmp(a, b) == 0, k == 0 || k == 3); /* the place does not matter */
        sl_dataset_free(&x);
        sl_dataset_free(&y);
    }
}

static void test_info(void **state)
{
    (void)state;
    char *text = NULL, name[256];
    struct sl_dataset *set = open_set("synthetic:n=10,classes=3,size=8[2:9]");
    assert_int_equal(sl_dataset_info(set, false, &text), SL_OK);
    assert_non_null(strstr(text, "samples   7 (of 10, from sample 2)"));
    assert_non_null(strstr(text, "images    8 x 8"));
    assert_non_null(strstr(text, "classes   3"));
    sl_free(text);
    assert_int_equal(sl_dataset_info(set, true, &text), SL_OK);
    assert_non_null(strstr(text, "\"samples\": 7"));
    assert_non_null(strstr(text, "\"min_height\": 8, \"max_height\": 8"));
    assert_non_null(strstr(text, "{\"name\": \"2\", \"samples\": 3}")); /* 2, 5 and 8 */
    assert_non_null(strstr(text, "{\"name\": \"1\", \"samples\": 2}")); /* 4 and 7 */
    sl_free(text);
    assert_string_equal(sl_dataset_sample_name(set, 1, name), "synthetic sample 3");
    sl_dataset_free(&set);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    size_t failures = 0;
    put_set("memory");
    const char *const specs[] = {spec_of("fashion-mnist", "memory", "train"),
                                 "synthetic:n=10,size=8"};
    for (size_t s = 0; s < 2; s++) {
        for (size_t at = 1;; at++, failures++) {
            struct sl_dataset *set = NULL;
            const size_t live = sl_alloc_stats_get().live_bytes;
            sl_alloc_fail_at(at, false);
            const sl_status st = sl_dataset_open(specs[s], &set);
            sl_alloc_fail_at(0, false);
            if (st == SL_OK) {
                sl_dataset_free(&set);
                break;
            }
            assert_int_equal(st, SL_ERR_MEMORY);
            assert_null(set);
            assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        }
    }
    print_message("allocation failures: %zu\n", failures);
    assert_true(failures >= 30); /* ten class names twice, and the blocks of either set */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_specs),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_idx_folder_and_pair),
        cmocka_unit_test(test_idx_colour),
        cmocka_unit_test(test_idx_files_that_do_not_belong_together),
        cmocka_unit_test(test_huge_sides_are_refused),
        cmocka_unit_test(test_fashion_mnist),
        cmocka_unit_test(test_synthetic_classes_can_be_told_apart),
        cmocka_unit_test(test_synthetic_bytes),
        cmocka_unit_test(test_synthetic_labels),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_allocation_failures),
    };
    unsetenv("SOFTLESS_DATA"); /* whatever the caller's shell says */
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
