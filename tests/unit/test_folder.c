/*
 * Class folders: order, ignored files, links, empty classes, damaged images among good ones, and
 * the loader's policies on them.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "data/data.h"
#include "support/faults.h"
#include "support/files.h"

/* ---- helpers ---- */

static void make_dir(const char *name)
{
    assert_int_equal(sl_make_dirs(scratch(name)), SL_OK);
}

static void put_text(const char *name, const char *text)
{
    put_file(scratch(name), text, strlen(text));
}

/* A PNG of h x w pixels, all channels `value`. */
static void put_image(const char *name, size_t h, size_t w, uint8_t value)
{
    struct sl_image img = {0};
    assert_int_equal(sl_image_resize_buffer(&img, h, w), SL_OK);
    memset(img.pixels, value, h * w * 3);
    assert_int_equal(sl_image_write_png(scratch(name), &img), SL_OK);
    sl_image_free(&img);
}

static void assert_open_fails(const char *folder, sl_status status, const char *word)
{
    struct sl_dataset *set = NULL;
    const size_t live = sl_alloc_stats_get().live_bytes;
    const sl_status st = sl_dataset_open(scratch(folder), &set);
    if (st != status || !strstr(sl_error_message(), word))
        fail_msg("%s: status %d, \"%s\" lacks \"%s\"", folder, st, sl_error_message(), word);
    assert_null(set);
    assert_int_equal(sl_alloc_stats_get().live_bytes, live);
}

static struct sl_dataset *open_set(const char *folder)
{
    struct sl_dataset *set = NULL;
    const sl_status st = sl_dataset_open(scratch(folder), &set);
    if (st != SL_OK)
        fail_msg("%s: %s", folder, sl_error_message());
    return set;
}

/* Three classes, whose names sort by bytes and not by any locale, with 2 + 3 + 1 images. */
static void put_set(const char *root)
{
    static const struct {
        const char *name;
        size_t h, w;
    } images[] = {{"Zebra/a.png", 4, 5}, {"Zebra/b.PNG", 4, 5}, {"ant/1.png", 4, 5},
                  {"ant/10.png", 6, 5},  {"ant/2.png", 4, 9},   {"\xc3\xa9t\xc3\xa9/x.png", 4, 5}};
    char name[512];
    for (size_t i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "%s/%s", root, images[i].name);
        *strrchr(name, '/') = '\0';
        make_dir(name);
        name[strlen(name)] = '/';
        put_image(name, images[i].h, images[i].w, (uint8_t)(10 * i));
    }
}

/* ---- what is found ---- */

static void test_order_and_pixels(void **state)
{
    (void)state;
    static const char *const names[] = {"Zebra/a.png", "Zebra/b.PNG", "ant/1.png",
                                        "ant/10.png",  "ant/2.png",   "\xc3\xa9t\xc3\xa9/x.png"};
    static const int32_t labels[] = {0, 0, 1, 1, 1, 2};
    struct sl_image img = {0};
    char name[256];
    size_t h, w;
    put_set("order");
    struct sl_dataset *set = open_set("order");
    assert_int_equal(sl_dataset_count(set), 6);
    assert_int_equal(sl_dataset_classes(set), 3);
    assert_string_equal(sl_dataset_class_name(set, 0), "Zebra");
    assert_string_equal(sl_dataset_class_name(set, 1), "ant");
    assert_string_equal(sl_dataset_class_name(set, 2), "\xc3\xa9t\xc3\xa9");
    assert_false(sl_dataset_image_size(set, &h, &w));
    assert_false(sl_dataset_in_memory(set));
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(sl_dataset_sample_name(set, i, name), names[i]);
        assert_int_equal(sl_dataset_label(set, i), labels[i]);
        assert_int_equal(sl_dataset_image(set, i, &img), SL_OK);
        assert_int_equal(img.pixels[0], 10 * i);
    }
    sl_image_free(&img);
    sl_dataset_free(&set);
}

static void test_prefix_slice_and_nesting(void **state)
{
    (void)state;
    char spec[600], name[256];
    struct sl_dataset *set = NULL;
    put_set("nested");
    make_dir("nested/ant/big/red");
    put_image("nested/ant/big/red/3.png", 2, 2, 1);
    snprintf(spec, sizeof spec, "folder:%s[4:7]", scratch("nested"));
    assert_int_equal(sl_dataset_open(spec, &set), SL_OK);
    assert_int_equal(sl_dataset_count(set), 3);
    assert_int_equal(sl_dataset_classes(set), 3);
    assert_string_equal(sl_dataset_sample_name(set, 0, name), "ant/2.png");
    assert_string_equal(sl_dataset_sample_name(set, 1, name), "ant/big/red/3.png");
    sl_dataset_free(&set);
}

static void test_links_and_other_files_are_ignored_and_counted(void **state)
{
    (void)state;
    char *info = NULL;
    put_set("extra");
    put_text("extra/README", "hello");
    put_text("extra/ant/notes.txt", "hello");
    put_text("extra/ant/no-ending", "hello");
    put_text("extra/ant/png", "hello");
    make_dir("extra/.git");
    make_dir("extra/ant/empty-inside");
    assert_int_equal(mkfifo(scratch("extra/ant/pipe.png"), 0600), 0);
    assert_int_equal(symlink("../Zebra/a.png", scratch("extra/ant/link.png")), 0);
    assert_int_equal(symlink("Zebra", scratch("extra/also-zebra")), 0);
    assert_int_equal(symlink("nowhere", scratch("extra/ant/dangling.png")), 0);
    assert_int_equal(symlink("..", scratch("extra/ant/loop")), 0);
    struct sl_dataset *set = open_set("extra");
    assert_int_equal(sl_dataset_count(set), 6);
    assert_int_equal(sl_dataset_info(set, false, &info), SL_OK);
    assert_non_null(strstr(info, "5 files that are not images, 4 symbolic links"));
    assert_non_null(strstr(info, "height 4 to 6, width 5 to 9"));
    sl_free(info);
    sl_dataset_free(&set);
}

static void test_content_decides_the_decoder(void **state)
{
    (void)state;
    struct sl_image img = {0};
    put_set("content");
    assert_int_equal(rename(scratch("content/ant/1.png"), scratch("content/ant/1.jpg")), 0);
    struct sl_dataset *set = open_set("content");
    assert_int_equal(sl_dataset_image(set, 2, &img), SL_OK);
    assert_int_equal(img.pixels[0], 20);
    sl_image_free(&img);
    sl_dataset_free(&set);
}

/* ---- what is refused ---- */

static void test_folders_that_are_no_data_set(void **state)
{
    (void)state;
    char deep[256] = "deep/c";
    make_dir("nothing");
    assert_open_fails("nothing", SL_ERR_DATA, "no class folders");
    make_dir("flat");
    put_image("flat/a.png", 2, 2, 0);
    assert_open_fails("flat", SL_ERR_DATA, "no class folders");
    make_dir("hidden/.cache");
    assert_open_fails("hidden", SL_ERR_DATA, "no class folders");
    make_dir("linked");
    assert_int_equal(symlink("../flat", scratch("linked/class")), 0);
    assert_open_fails("linked", SL_ERR_DATA, "no class folders");
    put_set("hole");
    make_dir("hole/bee");
    assert_open_fails("hole", SL_ERR_DATA, "hole/bee: the class folder holds no image");
    put_text("hole/bee/readme.txt", "x");
    assert_open_fails("hole", SL_ERR_DATA, "holds no image");
    assert_int_equal(symlink("../ant/1.png", scratch("hole/bee/1.png")), 0);
    assert_open_fails("hole", SL_ERR_DATA, "holds no image");
    put_image("hole/bee/2.png", 2, 2, 0);
    struct sl_dataset *set = open_set("hole");
    sl_dataset_free(&set);
    put_text("file.png", "x");
    assert_open_fails("file.png", SL_ERR_INPUT, "file.png");
    for (size_t i = 0; i < 20; i++)
        strcat(deep, "/d");
    make_dir(deep);
    assert_open_fails("deep", SL_ERR_DATA, "nested more than 16 deep");
}

static void test_damaged_images_are_reported(void **state)
{
    (void)state;
    char *info = NULL;
    struct sl_image img = {0};
    put_set("damaged");
    put_text("damaged/ant/1.png", "");
    put_text("damaged/ant/10.png", "\x89PNG\r\n\x1a\n and no more");
    put_text("damaged/ant/2.png", "GIF89a");
    struct sl_dataset *set = open_set("damaged"); /* opening does not decode */
    for (size_t i = 2; i < 5; i++) {
        assert_int_equal(sl_dataset_image(set, i, &img), SL_ERR_DATA);
        assert_non_null(strstr(sl_error_message(), "damaged/ant/"));
    }
    assert_int_equal(sl_dataset_info(set, false, &info), SL_OK);
    assert_non_null(strstr(info, "bad       3\n  ant/1.png: "));
    sl_free(info);
    assert_int_equal(sl_dataset_info(set, true, &info), SL_OK);
    assert_non_null(strstr(info, "\"bad\": 3"));
    assert_non_null(strstr(info, "{\"name\": \"ant/10.png\", \"reason\": \""));
    sl_free(info);
    assert_int_equal(remove(scratch("damaged/Zebra/a.png")), 0); /* gone since */
    assert_int_equal(sl_dataset_image(set, 0, &img), SL_ERR_INPUT);
    sl_image_free(&img);
    sl_dataset_free(&set);
}

/* ---- the loader on a folder with one unreadable image among many ---- */

static void test_one_bad_image_among_many(void **state)
{
    (void)state;
    enum { PER_CLASS = 50, BATCH = 20 };
    static const struct sl_pipeline_config ops = {.n = 1, .ops = {"resize(8)"}};
    char name[128];
    make_dir("many/a");
    make_dir("many/b");
    for (size_t i = 0; i < 2 * PER_CLASS; i++) {
        snprintf(name, sizeof name, "many/%c/%02zu.png", i < PER_CLASS ? 'a' : 'b', i);
        put_image(name, 8 + i % 5, 8 + i % 3, (uint8_t)i);
    }
    put_text("many/b/77.png", "\x89PNG\r\n\x1a\n");
    struct sl_dataset *set = open_set("many");
    for (size_t workers = 0; workers < 3; workers++) {
        struct sl_loader_options o = {.set = set,
                                      .ops = &ops,
                                      .out_h = 8,
                                      .out_w = 8,
                                      .batch = BATCH,
                                      .workers = workers,
                                      .prefetch = 2,
                                      .cache_mb = workers,
                                      .max_bad_fraction = 0.01,
                                      .world = 1};
        struct sl_loader *loader = NULL;
        const struct sl_batch *batch = NULL;
        assert_int_equal(sl_loader_create(&o, &loader), SL_OK);
        for (size_t b = 0; b < 3; b++) {
            assert_int_equal(sl_loader_next(loader, &batch), SL_OK);
            for (size_t i = 0; i < BATCH; i++)
                assert_int_equal(batch->images[i * 8 * 8 * 3], b * BATCH + i);
        }
        assert_int_equal(sl_loader_next(loader, &batch), SL_ERR_DATA);
        assert_non_null(strstr(sl_error_message(), "many/b/77.png"));
        sl_loader_free(&loader);
        o.on_bad = SL_BAD_SKIP;
        size_t images = 0;
        assert_int_equal(sl_loader_create(&o, &loader), SL_OK);
        for (size_t b = 0; b < 5; b++) {
            assert_int_equal(sl_loader_next(loader, &batch), SL_OK);
            images += batch->n;
        }
        assert_int_equal(images, 2 * PER_CLASS - 1);
        assert_int_equal(sl_loader_bad_samples(loader), 1);
        sl_loader_free(&loader);
    }
    sl_dataset_free(&set);
}

/* Reads in single bytes with interrupts give the same image; a disk that fails is no bad sample. */
static void test_faults_of_the_disk(void **state)
{
    (void)state;
    static const struct sl_pipeline_config ops = {.n = 1, .ops = {"resize(4)"}};
    struct sl_image img = {0};
    put_set("disk");
    struct sl_dataset *set = open_set("disk");
    fault_arm();
    fault.piece = 1;
    fault.interrupt = true;
    assert_int_equal(sl_dataset_image(set, 5, &img), SL_OK);
    assert_int_equal(img.pixels[0], 50);
    const size_t calls = fault.calls;
    for (size_t at = 1; at < calls; at++) { /* the last call closes the file */
        fault_arm();
        fault.piece = 1;
        fault.fail_at = at;
        fault.error = EIO;
        assert_int_equal(sl_dataset_image(set, 5, &img), SL_ERR_IO);
    }
    fault_arm();
    struct sl_loader_options o = {.set = set,
                                  .ops = &ops,
                                  .out_h = 4,
                                  .out_w = 4,
                                  .batch = 6,
                                  .on_bad = SL_BAD_SKIP,
                                  .max_bad_fraction = 1,
                                  .world = 1};
    struct sl_loader *loader = NULL;
    const struct sl_batch *batch = NULL;
    assert_int_equal(sl_loader_create(&o, &loader), SL_OK);
    fault.fail_at = 4;
    fault.error = EIO;
    assert_int_equal(sl_loader_next(loader, &batch), SL_ERR_IO);
    fault_disarm();
    sl_loader_free(&loader);
    print_message("failing reads: %zu\n", calls - 1);
    assert_true(calls > 50);
    sl_image_free(&img);
    sl_dataset_free(&set);
}

static void test_digest_sees_names_and_sizes(void **state)
{
    (void)state;
    char before[SL_DIGEST_SIZE], after[SL_DIGEST_SIZE];
    put_set("names");
    for (size_t k = 0; k < 4; k++) {
        struct sl_dataset *set = open_set("names");
        sl_dataset_digest(set, after);
        sl_dataset_free(&set);
        if (k > 1)
            assert_string_not_equal(after, before);
        if (k == 1)
            assert_string_equal(after, before);
        memcpy(before, after, sizeof before);
        if (k == 1)
            assert_int_equal(rename(scratch("names/ant/1.png"), scratch("names/ant/3.png")), 0);
        if (k == 2)
            put_text("names/ant/3.png", "other");
    }
}

static void test_allocation_failures(void **state)
{
    (void)state;
    size_t failures = 0;
    put_set("memory");
    for (size_t at = 1;; at++, failures++) {
        struct sl_dataset *set = NULL;
        const size_t live = sl_alloc_stats_get().live_bytes;
        sl_alloc_fail_at(at, false);
        const sl_status st = sl_dataset_open(scratch("memory"), &set);
        sl_alloc_fail_at(0, false);
        if (st == SL_OK) {
            sl_dataset_free(&set);
            break;
        }
        assert_int_equal(st, SL_ERR_MEMORY);
        assert_null(set);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
    }
    print_message("allocation failures: %zu\n", failures);
    assert_true(failures >= 40); /* two paths per entry, a name per listed entry, class names */
}

/* ---- the classes of a model ---- */

static void test_names_decide_the_labels(void **state)
{
    (void)state;
    static const char *const model[] = {"Zebra", "ant", "bee", "\xc3\xa9t\xc3\xa9"};
    static const char *const other[] = {"Zebra", "ant", "bee", "wasp"};
    static const char *const numbers[] = {"0", "1", "2"};
    make_dir("part");
    put_set("part");
    struct sl_dataset *set = open_set("part");
    char before[33], after[33];
    sl_dataset_digest(set, before);
    assert_int_equal(sl_dataset_match_classes(set, NULL, 3), SL_OK);
    assert_int_equal(sl_dataset_match_classes(set, numbers, 3), SL_OK);
    assert_int_equal(sl_dataset_label(set, 5), 2); /* a model that names no classes */

    assert_int_equal(sl_dataset_match_classes(set, other, 4), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "none of the 4 classes of the model (Zebra, ant"));
    assert_int_equal(sl_dataset_match_classes(set, model, 2), SL_ERR_DATA);
    assert_int_equal(sl_dataset_label(set, 5), 2); /* untouched by failures */

    assert_int_equal(sl_dataset_match_classes(set, model, 4), SL_OK);
    static const int32_t labels[6] = {0, 0, 1, 1, 1, 3};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(sl_dataset_label(set, i), labels[i]);
    assert_int_equal(sl_dataset_classes(set), 4);
    assert_string_equal(sl_dataset_class_name(set, 3), model[3]);
    sl_dataset_digest(set, after);
    assert_string_equal(before, after);
    sl_dataset_free(&set);
}

static void test_unnamed_classes_keep_their_numbers(void **state)
{
    (void)state;
    static const char *const model[] = {"cat", "dog", "cow"};
    struct sl_dataset *set = NULL;
    assert_int_equal(sl_dataset_open("synthetic:n=30,classes=3,size=8", &set), SL_OK);
    const int32_t label = sl_dataset_label(set, 7);
    assert_int_equal(sl_dataset_match_classes(set, model, 3), SL_OK);
    assert_int_equal(sl_dataset_label(set, 7), label);
    sl_dataset_free(&set);
}

static void test_the_folder_above_the_splits(void **state)
{
    (void)state;
    make_dir("whole/train/a");
    make_dir("whole/val/a");
    put_image("whole/train/a/1.png", 4, 4, 1);
    put_image("whole/val/a/1.png", 4, 4, 1);
    assert_open_fails("whole", SL_ERR_DATA, "name one of them, as in ");
    make_dir("whole/cat"); /* beside a class, "train" is a class: railways */
    put_image("whole/cat/1.png", 4, 4, 1);
    struct sl_dataset *set = open_set("whole");
    assert_int_equal(sl_dataset_classes(set), 3);
    sl_dataset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_pixels),
        cmocka_unit_test(test_prefix_slice_and_nesting),
        cmocka_unit_test(test_links_and_other_files_are_ignored_and_counted),
        cmocka_unit_test(test_content_decides_the_decoder),
        cmocka_unit_test(test_folders_that_are_no_data_set),
        cmocka_unit_test(test_damaged_images_are_reported),
        cmocka_unit_test(test_one_bad_image_among_many),
        cmocka_unit_test(test_faults_of_the_disk),
        cmocka_unit_test(test_digest_sees_names_and_sizes),
        cmocka_unit_test(test_allocation_failures),
        cmocka_unit_test(test_names_decide_the_labels),
        cmocka_unit_test(test_unnamed_classes_keep_their_numbers),
        cmocka_unit_test(test_the_folder_above_the_splits),
    };
    unsetenv("SOFTLESS_DATA"); /* whatever the caller's shell says */
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
