/*
 * The loader: a data set and a pipeline enter, batches leave in order. A ring of slots holds the
 * batches under way. Whoever works - the worker threads, or without any the caller - takes a block
 * of the oldest batch that has unclaimed images, or opens the next batch when a slot is free. What
 * a batch holds depends on its number alone: the samples come from (seed, epoch), the draws from
 * (seed, epoch, sample), and a bad sample is replaced by the next one of the stream, never by
 * whichever is ready.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/log.h"
#include "data/make.h"

enum { TRIES = 16, BLOCK = 16, WORKERS_MAX = 1024, PREFETCH_MAX = 1024 };

struct slot {
    struct sl_batch batch;   /* [local]; what the caller sees */
    struct sl_place *places; /* [local + TRIES]: the batch and its possible replacements */
    uint8_t *skipped;        /* [local]: bad samples passed over for this image */
    size_t claimed, pending; /* images handed out; images not finished */
    bool open;
    sl_status status; /* of the first image, in batch order, that failed */
    size_t failed_at;
    char error[SL_ERROR_TEXT_SIZE];
};

/* Buffers of one thread. */
struct worker {
    struct sl_loader *loader;
    pthread_t thread;
    bool started;
    struct sl_make_buffers buffers;
};

/* What is known of a sample, for on_bad skip. */
enum { BAD = 1, COUNTED = 2 };

struct sl_loader {
    struct sl_loader_options o;
    size_t local;      /* images of a batch that this rank gets */
    size_t per_pass;   /* batches of an evaluation pass */
    size_t image_size; /* out_h * out_w * 3 */
    struct sl_make make;
    atomic_uchar *knowledge; /* [count] of BAD | COUNTED; NULL unless on_bad is skip */
    struct worker *workers;  /* [max(1, o.workers)] */
    bool primitives;         /* lock and conditions are initialised */
    pthread_mutex_t lock;    /* guards what follows and the bookkeeping of the slots */
    pthread_cond_t work, done;
    struct sl_order order;
    struct slot *slots; /* [depth]; batch b lies in slot b % depth */
    size_t depth;
    uint64_t opened, delivered; /* number of the next batch to open, to deliver */
    bool stop;
    /* of the calling thread */
    bool borrowed; /* the slot of batch delivered - 1 is with the caller */
    size_t bad;
    double wait_s;
};

/* ---- what a batch holds ---- */

/* Puts the next batch into its slot; the lock is held, or there are no workers. */
static struct slot *open_batch(struct sl_loader *l)
{
    const uint64_t b = l->opened++;
    struct slot *s = &l->slots[b % l->depth];
    const uint64_t mine = l->o.rank * l->local; /* this rank's slice begins here */
    const size_t n = l->o.train ? l->local + TRIES : l->local;
    s->batch.n = 0;
    for (size_t i = 0; i < n; i++) {
        s->places[i] = l->o.train ? sl_order_stream(&l->order, b * l->o.batch + mine + i)
                                  : sl_order_pass(&l->order, b / l->per_pass,
                                                  b % l->per_pass * l->o.batch + mine + i);
        if (i < l->local && s->places[i].sample != SL_NO_SAMPLE)
            s->batch.n++;
    }
    s->claimed = 0;
    s->pending = l->local;
    s->status = SL_OK;
    s->open = true;
    return s;
}

/* ---- one image ---- */

/* True if a sample that failed so may be passed over; remembers it and says so once. */
static bool pass_over(struct sl_loader *l, size_t sample, sl_status st)
{
    if (!l->knowledge || (st != SL_ERR_DATA && st != SL_ERR_INPUT))
        return false;
    if (!(atomic_fetch_or(&l->knowledge[sample], BAD) & BAD))
        sl_log(SL_LOG_WARN, "bad sample skipped: %s", sl_error_message());
    return true;
}

static bool known_bad(const struct sl_loader *l, size_t sample)
{
    return l->knowledge && (atomic_load(&l->knowledge[sample]) & BAD);
}

static void blank(struct sl_loader *l, struct slot *s, size_t i)
{
    s->batch.labels[i] = -1;
    memset(s->batch.images + i * l->image_size, 0, l->image_size);
}

static sl_status fill_image(struct sl_loader *l, struct worker *w, struct slot *s, size_t i)
{
    s->skipped[i] = 0;
    for (size_t t = 0; t <= TRIES; t++) {
        const struct sl_place place = s->places[i + t];
        if (place.sample == SL_NO_SAMPLE) {
            blank(l, s, i);
            return SL_OK;
        }
        sl_status st = SL_ERR_DATA;
        if (!known_bad(l, place.sample)) {
            st = sl_make_image(&l->make, &w->buffers, place, s->batch.images + i * l->image_size);
            if (st == SL_OK) {
                s->batch.labels[i] = sl_dataset_label(l->o.set, place.sample);
                return SL_OK;
            }
            if (!pass_over(l, place.sample, st))
                return st;
        }
        s->skipped[i]++;
        if (!l->o.train) { /* a replacement would be counted twice by the evaluation */
            blank(l, s, i);
            return SL_OK;
        }
    }
    SL_FAIL(SL_ERR_DATA, "%d bad samples in a row; repair the data set", TRIES + 1);
}

/* ---- blocks of work ---- */

struct block {
    struct slot *slot;
    size_t first, n; /* images of the batch */
};

/* The next images to make; false if every slot is full. The lock is held. */
static bool claim(struct sl_loader *l, struct block *block)
{
    const uint64_t kept = l->delivered - (l->borrowed ? 1 : 0); /* oldest batch in the ring */
    struct slot *s = NULL;
    for (uint64_t b = l->delivered; b < l->opened && !s; b++) {
        struct slot *candidate = &l->slots[b % l->depth];
        if (candidate->claimed < l->local)
            s = candidate;
    }
    if (!s && l->opened - kept < l->depth)
        s = open_batch(l);
    if (!s)
        return false;
    const size_t left = l->local - s->claimed;
    *block = (struct block){s, s->claimed, left < BLOCK ? left : BLOCK};
    s->claimed += block->n;
    return true;
}

/* Makes the images of a block; *failed_at is the place of the first failure. */
static sl_status fill_block(struct sl_loader *l, struct worker *w, const struct block *block,
                            size_t *failed_at)
{
    for (size_t i = block->first; i < block->first + block->n; i++) {
        const sl_status st = fill_image(l, w, block->slot, i);
        if (st != SL_OK) {
            *failed_at = i;
            return st;
        }
    }
    return SL_OK;
}

/* Books a finished block; the lock is held. The failure of the lowest place wins, whoever met it
 * first. */
static void finish(const struct block *block, sl_status st, size_t failed_at)
{
    struct slot *s = block->slot;
    s->pending -= block->n;
    if (st != SL_OK && (s->status == SL_OK || failed_at < s->failed_at)) {
        s->status = st;
        s->failed_at = failed_at;
        sl_error_copy(s->error);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct sl_loader *l = w->loader;
    struct block block;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        if (!claim(l, &block)) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        size_t failed_at = 0;
        const sl_status st = fill_block(l, w, &block, &failed_at);
        pthread_mutex_lock(&l->lock);
        finish(&block, st, failed_at);
        if (block.slot->pending == 0)
            pthread_cond_signal(&l->done);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- delivery ---- */

/* Counts the images of the batch, and the samples it passed over: each once, in the order of
 * batches. */
static sl_status count_samples(struct sl_loader *l, struct slot *s)
{
    const size_t count = sl_dataset_count(l->o.set);
    s->batch.n = 0;
    for (size_t i = 0; i < l->local; i++) {
        s->batch.n += s->batch.labels[i] >= 0;
        for (size_t t = 0; t < s->skipped[i]; t++) {
            const size_t sample = s->places[i + t].sample;
            if (!(atomic_fetch_or(&l->knowledge[sample], COUNTED) & COUNTED))
                l->bad++;
        }
    }
    if ((double)l->bad > l->o.max_bad_fraction * (double)count)
        SL_FAIL(SL_ERR_DATA,
                "bad samples: %zu of %zu, more than data.max_bad_fraction = %g allows; 'softless "
                "data info' lists them",
                l->bad, count, l->o.max_bad_fraction);
    return SL_OK;
}

/* Returns the slot of the next batch when all its images are made. */
static struct slot *await(struct sl_loader *l)
{
    struct slot *s = &l->slots[l->delivered % l->depth];
    pthread_mutex_lock(&l->lock);
    if (l->borrowed) {
        l->slots[(l->delivered - 1) % l->depth].open = false;
        l->borrowed = false;
        pthread_cond_broadcast(&l->work);
    }
    struct block block;
    while (l->o.workers == 0 && claim(l, &block)) {
        size_t failed_at = 0;
        const sl_status st = fill_block(l, &l->workers[0], &block, &failed_at);
        finish(&block, st, failed_at);
    }
    while (!s->open || s->pending > 0)
        pthread_cond_wait(&l->done, &l->lock);
    pthread_mutex_unlock(&l->lock);
    return s;
}

sl_status sl_loader_next(struct sl_loader *l, const struct sl_batch **batch)
{
    const double start = sl_now_s();
    struct slot *s = await(l);
    l->wait_s += sl_now_s() - start;
    if (s->status != SL_OK)
        SL_FAIL(s->status, "%s", s->error);
    SL_TRY(count_samples(l, s));
    pthread_mutex_lock(&l->lock);
    l->delivered++;
    l->borrowed = true;
    pthread_mutex_unlock(&l->lock);
    *batch = &s->batch;
    return SL_OK;
}

size_t sl_loader_bad_samples(const struct sl_loader *l)
{
    return l->bad;
}

double sl_loader_wait_s(const struct sl_loader *l)
{
    return l->wait_s;
}

/* ---- creation ---- */

static sl_status check_options(const struct sl_loader_options *o)
{
    if (o->batch == 0 || o->world == 0 || o->rank >= o->world || o->batch % o->world != 0)
        SL_FAIL(SL_ERR_CONFIG, "a batch of %zu images cannot be shared by %zu ranks", o->batch,
                o->world);
    if (o->workers > WORKERS_MAX || o->prefetch > PREFETCH_MAX)
        SL_FAIL(SL_ERR_CONFIG,
                "%zu loader workers and %zu batches of prefetch; the limits are %d and %d",
                o->workers, o->prefetch, WORKERS_MAX, PREFETCH_MAX);
    if (o->cache_mb > SIZE_MAX >> 20)
        SL_FAIL(SL_ERR_CONFIG, "a cache of %zu MiB cannot be addressed", o->cache_mb);
    if (o->out_h == 0 || o->out_w == 0)
        SL_FAIL(SL_ERR_CONFIG, "the loader's images have size %zu x %zu", o->out_h, o->out_w);
    return SL_OK;
}

static sl_status make_slots(struct sl_loader *l)
{
    size_t bytes;
    if (!sl_size_mul(l->o.out_h, l->o.out_w, &l->image_size) ||
        !sl_size_mul(l->image_size, 3, &l->image_size) ||
        !sl_size_mul(l->image_size, l->local, &bytes))
        SL_FAIL(SL_ERR_CONFIG, "a batch of %zu images of %zu x %zu pixels is too large", l->local,
                l->o.out_h, l->o.out_w);
    SL_TRY(SL_NEW(l->slots, l->depth));
    for (size_t i = 0; i < l->depth; i++) {
        struct slot *s = &l->slots[i];
        SL_TRY(SL_NEW(s->batch.images, bytes));
        SL_TRY(SL_NEW(s->batch.labels, l->local));
        SL_TRY(SL_NEW(s->places, l->local + TRIES));
        SL_TRY(SL_NEW(s->skipped, l->local));
    }
    return SL_OK;
}

static sl_status start_workers(struct sl_loader *l)
{
    sigset_t all, before;
    sl_status st = SL_OK;
    sigfillset(&all); /* signals belong to the caller's threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < l->o.workers && st == SL_OK; i++) {
        if (pthread_create(&l->workers[i].thread, NULL, worker_main, &l->workers[i]) != 0)
            st = sl_error_set(SL_ERR_MEMORY, "cannot start loader worker %zu of %zu", i + 1,
                              l->o.workers);
        else
            l->workers[i].started = true;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return st;
}

static sl_status order_by_parts(struct sl_loader *l)
{
    size_t *parts, n;
    SL_TRY(sl_dataset_parts(l->o.set, &parts, &n));
    if (n == 0)
        SL_FAIL(SL_ERR_CONFIG,
                "data.shuffle_buffer needs a data set of tar shards; remove the key");
    sl_order_by_parts(&l->order, l->o.shuffle_buffer, parts, n);
    return SL_OK;
}

static sl_status build(struct sl_loader *l)
{
    const size_t count = sl_dataset_count(l->o.set);
    const size_t threads = l->o.workers > 0 ? l->o.workers : 1;
    const size_t prefetch = l->o.prefetch > 0 ? l->o.prefetch : 1;
    l->local = l->o.batch / l->o.world;
    l->per_pass = (count + l->o.batch - 1) / l->o.batch;
    l->depth = l->o.workers > 0 ? prefetch + 1 : 1; /* one slot is with the caller */
    l->opened = l->delivered = l->o.start_batch;
    l->make.set = l->o.set;
    l->make.seed = l->o.seed;
    SL_TRY(sl_pipeline_create(l->o.ops, l->o.compat, l->o.out_h, l->o.out_w, &l->make.pipeline));
    SL_TRY(sl_order_init(&l->order, count, l->o.seed, l->o.shuffle));
    if (l->o.shuffle && l->o.shuffle_buffer > 0)
        SL_TRY(order_by_parts(l));
    SL_TRY(make_slots(l));
    const bool ready =
        sl_dataset_in_memory(l->o.set) && sl_pipeline_fixed_ops(l->make.pipeline) == 0;
    if (l->o.cache_mb > 0 && !ready)
        SL_TRY(sl_cache_create(count, l->o.cache_mb << 20, &l->make.cache));
    l->make.crops = sl_dataset_has_files(l->o.set) && sl_pipeline_crops(l->make.pipeline);
    if (l->o.on_bad == SL_BAD_SKIP)
        SL_TRY(SL_NEW(l->knowledge, count));
    SL_TRY(SL_NEW(l->workers, threads));
    for (size_t i = 0; i < threads; i++) {
        l->workers[i].loader = l;
        SL_TRY(sl_make_warm_up(&l->make, &l->workers[i].buffers, l->slots[0].batch.images));
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->done, NULL);
    l->primitives = true;
    return start_workers(l);
}

sl_status sl_loader_create(const struct sl_loader_options *options, struct sl_loader **loader)
{
    struct sl_loader *l;
    SL_TRY(check_options(options));
    SL_TRY(sl_dataset_check_random(options->set));
    SL_TRY(SL_NEW(l, 1));
    l->o = *options;
    const sl_status st = build(l);
    if (st != SL_OK) {
        sl_loader_free(&l);
        return st;
    }
    *loader = l;
    return SL_OK;
}

static void join_workers(struct sl_loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < l->o.workers; i++) {
        if (l->workers[i].started)
            pthread_join(l->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&l->done);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
}

void sl_loader_free(struct sl_loader **loader)
{
    if (!loader || !*loader)
        return;
    struct sl_loader *l = *loader;
    if (l->primitives)
        join_workers(l);
    for (size_t i = 0; l->workers && i < (l->o.workers > 0 ? l->o.workers : 1); i++)
        sl_make_buffers_free(&l->workers[i].buffers);
    for (size_t i = 0; l->slots && i < l->depth; i++) {
        sl_free(l->slots[i].batch.images);
        sl_free(l->slots[i].batch.labels);
        sl_free(l->slots[i].places);
        sl_free(l->slots[i].skipped);
    }
    sl_free(l->workers);
    sl_free(l->slots);
    sl_free(l->knowledge);
    sl_cache_free(&l->make.cache);
    sl_order_free(&l->order);
    sl_pipeline_free(&l->make.pipeline);
    sl_free(l);
    *loader = NULL;
}
