/*
 * A loader whose pipeline begins with a random crop: the same batches whether only the crops are
 * decoded, the whole images are kept, or the cache is so small that it closes on the way; damage
 * is found either way.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "data/data.h"
#include "support/files.h"
#include "unit/support_images.h"

enum { BATCH = 8, SIDE = 24, BATCHES = 60, IMAGE = SIDE * SIDE * 3 };

static const char *const names[] = {
    "baseline_444.jpg", "baseline_422.jpg", "baseline_420.jpg", "progressive_420.jpg", "grey.jpg",
    "restart.jpg",      "cmyk.jpg",         "grey_16.png",      "one_row.jpg"};
/* 360 files, most of 29 x 37 pixels: 1.1 MB of pixels, of which a cache of 1 MiB keeps a part. */
enum { NAMES = sizeof names / sizeof *names, COPIES = 20, FILES = 2 * NAMES * COPIES };

/* Two classes of the golden files; the last one is cut if asked for. */
static struct sl_dataset *open_folder(const char *folder, bool cut)
{
    char path[128];
    struct sl_dataset *set = NULL;
    for (size_t c = 0; c < 2; c++) {
        snprintf(path, sizeof path, "%s/%zu", folder, c);
        assert_int_equal(sl_make_dirs(scratch(path)), SL_OK);
        for (size_t i = 0; i < NAMES * COPIES; i++) {
            struct bytes b = golden_image_bytes(names[i % NAMES]);
            snprintf(path, sizeof path, "%s/%zu/%03zu-%s", folder, c, i, names[i % NAMES]);
            put_file(scratch(path), b.p, cut && c == 1 && i == 0 ? b.n - 40 : b.n);
            bytes_free(&b);
        }
    }
    if (sl_dataset_open(scratch(folder), &set) != SL_OK)
        fail_msg("%s", sl_error_message());
    return set;
}

/* The bytes of BATCHES batches, malloc's. */
static uint8_t *load(const struct sl_dataset *set, const char *crop, size_t cache_mb,
                     size_t workers)
{
    struct sl_pipeline_config ops = {.n = 2, .ops = {"", "flip_lr"}};
    snprintf(ops.ops[0], sizeof ops.ops[0], "%s", crop);
    const struct sl_loader_options o = {.set = set,
                                        .ops = &ops,
                                        .out_h = SIDE,
                                        .out_w = SIDE,
                                        .batch = BATCH,
                                        .seed = 3,
                                        .train = true,
                                        .shuffle = true,
                                        .workers = workers,
                                        .prefetch = 2,
                                        .cache_mb = cache_mb,
                                        .world = 1};
    struct sl_loader *loader = NULL;
    const struct sl_batch *batch;
    uint8_t *all = malloc((size_t)BATCHES * BATCH * IMAGE);
    assert_non_null(all);
    assert_int_equal(sl_loader_create(&o, &loader), SL_OK);
    for (size_t i = 0; i < BATCHES; i++) {
        if (sl_loader_next(loader, &batch) != SL_OK)
            fail_msg("%s", sl_error_message());
        memcpy(all + i * BATCH * IMAGE, batch->images, BATCH * IMAGE);
    }
    sl_loader_free(&loader);
    return all;
}

static void test_same_batches(void **state)
{
    (void)state;
    static const char *const crops[] = {"inception_crop(24)", "random_resized_crop(24)",
                                        "random_resized_crop(24, bicubic)",
                                        "inception_crop(24, tf_area)"};
    struct sl_dataset *set = open_folder("good", false);
    for (size_t k = 0; k < 4; k++) {
        uint8_t *alone = load(set, crops[k], 0, 0), *kept = load(set, crops[k], 64, 0);
        uint8_t *threads = load(set, crops[k], 0, 3), *closed = load(set, crops[k], 1, 0);
        assert_memory_equal(alone, kept, (size_t)BATCHES * BATCH * IMAGE);
        assert_memory_equal(alone, threads, (size_t)BATCHES * BATCH * IMAGE);
        assert_memory_equal(alone, closed, (size_t)BATCHES * BATCH * IMAGE);
        free(closed);
        free(alone);
        free(kept);
        free(threads);
    }
    sl_dataset_free(&set);
}

static void test_damage(void **state)
{
    (void)state;
    struct sl_dataset *set = open_folder("bad", true);
    const struct sl_pipeline_config ops = {.n = 1, .ops = {"inception_crop(24)"}};
    for (size_t cache_mb = 0; cache_mb <= 64; cache_mb += 64) {
        const struct sl_loader_options o = {.set = set,
                                            .ops = &ops,
                                            .out_h = SIDE,
                                            .out_w = SIDE,
                                            .batch = FILES,
                                            .cache_mb = cache_mb,
                                            .train = true,
                                            .world = 1};
        struct sl_loader *loader = NULL;
        const struct sl_batch *batch;
        assert_int_equal(sl_loader_create(&o, &loader), SL_OK);
        assert_int_equal(sl_loader_next(loader, &batch), SL_ERR_DATA);
        assert_non_null(strstr(sl_error_message(), "bad/1/000-baseline_444.jpg: truncated"));
        sl_loader_free(&loader);
    }
    sl_dataset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_batches),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
