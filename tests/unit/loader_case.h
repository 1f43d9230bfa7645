/*
 * A data set for the loader's tests: images whose pixels say which sample they are, with slow, bad
 * and failing samples on demand; and short forms of creating a loader and recording its batches.
 */
#ifndef SL_TESTS_UNIT_LOADER_CASE_H
#define SL_TESTS_UNIT_LOADER_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "data/format.h"

enum { SIDE = 6, IMAGE = SIDE * SIDE * 3, MOST = 2000 };
static const uint64_t seed = 20230917;

/* ---- the data set ---- */

static struct {
    uint8_t bad[MOST]; /* sl_status of a sample that cannot be decoded; 0 = good */
    bool slow;         /* some samples take a while */
    size_t side;
    atomic_size_t decoded;
} behaviour;

static inline sl_status test_image(const struct sl_dataset *set, size_t i, struct sl_image *img)
{
    (void)set;
    atomic_fetch_add(&behaviour.decoded, 1);
    if (behaviour.slow && i % 13 == 5)
        usleep(300);
    if (behaviour.bad[i] != 0)
        SL_FAIL((sl_status)behaviour.bad[i], "sample %zu is made to fail", i);
    SL_TRY(sl_image_resize_buffer(img, behaviour.side, behaviour.side));
    for (size_t k = 0; k < behaviour.side * behaviour.side * 3; k++)
        img->pixels[k] = (uint8_t)(i * 37 + k * 11 + k / 3 * i);
    return SL_OK;
}

static const struct sl_format test_format = {.name = "test", .image = test_image};

/* Labels are the sample numbers. */
static inline struct sl_dataset make_set(size_t n)
{
    static int32_t labels[MOST];
    memset(&behaviour, 0, sizeof behaviour);
    behaviour.side = SIDE;
    for (size_t i = 0; i < MOST; i++)
        labels[i] = (int32_t)i;
    return (struct sl_dataset){.format = &test_format,
                               .spec = (char *)"test",
                               .total = n,
                               .count = n,
                               .labels = labels,
                               .classes = n,
                               .h = SIDE,
                               .w = SIDE};
}

/* ---- helpers ---- */

static const struct sl_pipeline_config flips = {.n = 1, .ops = {"flip_lr"}};
static const struct sl_pipeline_config nothing = {.n = 0};

static inline struct sl_loader_options training(const struct sl_dataset *set, size_t batch)
{
    return (struct sl_loader_options){.set = set,
                                      .ops = &flips,
                                      .out_h = behaviour.side,
                                      .out_w = behaviour.side,
                                      .batch = batch,
                                      .seed = seed,
                                      .train = true,
                                      .shuffle = true,
                                      .prefetch = 2,
                                      .world = 1};
}

static inline struct sl_loader_options evaluation(const struct sl_dataset *set, size_t batch)
{
    struct sl_loader_options o = training(set, batch);
    o.train = o.shuffle = false;
    o.ops = &nothing;
    return o;
}

static inline struct sl_loader *create(const struct sl_loader_options *o)
{
    struct sl_loader *loader = NULL;
    const sl_status st = sl_loader_create(o, &loader);
    if (st != SL_OK)
        fail_msg("sl_loader_create: %s", sl_error_message());
    return loader;
}

static const struct sl_batch *next(struct sl_loader *loader)
{
    const struct sl_batch *batch = NULL;
    const sl_status st = sl_loader_next(loader, &batch);
    if (st != SL_OK)
        fail_msg("sl_loader_next: %s", sl_error_message());
    return batch;
}

/* Images and labels of `batches` batches, one after the other; malloc blocks. */
struct record {
    size_t images, n;
    uint8_t *pixels;
    int32_t *labels;
};

static inline struct record record(const struct sl_loader_options *o, size_t batches)
{
    const size_t local = o->batch / o->world, image = o->out_h * o->out_w * 3;
    struct record r = {.images = batches * local};
    r.pixels = malloc(r.images * image);
    r.labels = malloc(r.images * sizeof *r.labels);
    assert_true(r.pixels && r.labels);
    struct sl_loader *loader = create(o);
    for (size_t b = 0; b < batches; b++) {
        const struct sl_batch *batch = next(loader);
        memcpy(r.pixels + b * local * image, batch->images, local * image);
        memcpy(r.labels + b * local, batch->labels, local * sizeof *r.labels);
        r.n += batch->n;
    }
    sl_loader_free(&loader);
    assert_null(loader);
    return r;
}

static inline void free_record(struct record *r)
{
    free(r->pixels);
    free(r->labels);
    *r = (struct record){0};
}

static inline void assert_equal_records(const struct record *a, const struct record *b,
                                        size_t image)
{
    assert_int_equal(a->images, b->images);
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->labels, b->labels, a->images * sizeof *a->labels);
    assert_memory_equal(a->pixels, b->pixels, a->images * image);
}

static const size_t worker_counts[] = {0, 1, 2, 5};
enum { WORKER_COUNTS = sizeof worker_counts / sizeof *worker_counts };

#endif
