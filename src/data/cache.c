/*
 * The cache of images: an image enters once, as the ops before the first random one leave it, and
 * is read without a lock ever after. What is cached never changes what a batch holds, only how long
 * it takes. Memory comes in slabs while the cache fills, that is during the first epoch; when the
 * budget is spent, later images are not kept. When the first slab is full and its images say that
 * only a small share of the set will fit, it stays the only one: those few hits are not worth the
 * memory.
 */
#include "data/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"

enum { SLAB = 16 << 20, ENTRY_ALIGN = 64 };
enum { MAX_EXCESS = 16 }; /* a set this many times the budget is not cached */

struct entry {
    size_t h, w;
    uint8_t pixels[]; /* [h, w, 3] */
};

struct slab {
    struct slab *next;
    size_t used, size;
    _Alignas(ENTRY_ALIGN) uint8_t bytes[];
};

struct sl_cache {
    _Atomic(const struct entry *) *entries; /* [samples]; NULL = not cached */
    atomic_bool closed;
    pthread_mutex_t lock;   /* guards the fields below */
    struct slab *slabs;     /* newest first */
    size_t left;            /* bytes of the budget not yet in a slab */
    size_t kept;            /* images in the slabs */
    size_t samples, budget; /* never change */
};

sl_status sl_cache_create(size_t samples, size_t budget, struct sl_cache **cache)
{
    struct sl_cache *c;
    SL_TRY(SL_NEW(c, 1));
    const sl_status st = SL_NEW(c->entries, samples);
    if (st != SL_OK) {
        sl_free(c);
        return st;
    }
    pthread_mutex_init(&c->lock, NULL);
    c->left = c->budget = budget;
    c->samples = samples;
    *cache = c;
    return SL_OK;
}

void sl_cache_free(struct sl_cache **cache)
{
    if (!*cache)
        return;
    for (struct slab *s = (*cache)->slabs; s;) {
        struct slab *next = s->next;
        sl_free(s);
        s = next;
    }
    pthread_mutex_destroy(&(*cache)->lock);
    sl_free((*cache)->entries);
    sl_free(*cache);
    *cache = NULL;
}

bool sl_cache_get(const struct sl_cache *cache, size_t i, struct sl_image *img)
{
    const struct entry *e = atomic_load_explicit(&cache->entries[i], memory_order_acquire);
    if (!e)
        return false;
    /* The pipeline reads its source only; the struct has no const view. */
    *img = (struct sl_image){.h = e->h, .w = e->w, .pixels = (uint8_t *)e->pixels};
    return true;
}

/* A new slab in front; NULL when memory is out. The lock is held, or no thread knows the cache. */
static struct slab *add_slab(struct sl_cache *c, size_t size)
{
    struct slab *s = sl_calloc(1, sizeof *s + size);
    if (!s)
        return NULL;
    s->size = size;
    s->next = c->slabs;
    c->slabs = s;
    c->left -= size;
    return s;
}

/* Bytes of an entry with `pixels` bytes; false on overflow. */
static bool entry_size(size_t pixels, size_t *n)
{
    return sl_size_add(pixels, sizeof(struct entry), n) && sl_size_align(*n, ENTRY_ALIGN, n);
}

void sl_cache_reserve(struct sl_cache *cache, size_t samples, size_t h, size_t w)
{
    size_t n, total;
    if (entry_size(h * w * 3, &n) && sl_size_mul(n, samples, &total) && total <= cache->left &&
        !cache->slabs)
        add_slab(cache, total);
}

/* The images kept so far, which fill the slabs, stand for the rest; the lock is held. */
static bool too_large(const struct sl_cache *c)
{
    const double spent = (double)(c->budget - c->left), budget = (double)c->budget;
    return spent * (double)c->samples > MAX_EXCESS * budget * (double)c->kept;
}

/* n bytes of a slab, or NULL when the budget or memory is spent; the lock is held. */
static void *take(struct sl_cache *c, size_t n)
{
    struct slab *s = c->slabs;
    if (!s || s->size - s->used < n) {
        size_t size = c->left < SLAB ? c->left : SLAB;
        size = size < n ? n : size;
        s = size <= c->left && !too_large(c) ? add_slab(c, size) : NULL;
        if (!s) { /* the cache is a convenience: stop filling it */
            c->left = 0;
            atomic_store(&c->closed, true);
            return NULL;
        }
    }
    void *p = s->bytes + s->used;
    s->used += n;
    return p;
}

bool sl_cache_closed(const struct sl_cache *cache)
{
    return atomic_load(&cache->closed);
}

void sl_cache_put(struct sl_cache *cache, size_t i, const struct sl_image *img)
{
    const size_t pixels = img->h * img->w * 3;
    size_t n;
    if (!entry_size(pixels, &n))
        return;
    pthread_mutex_lock(&cache->lock);
    struct entry *e = NULL;
    if (!atomic_load_explicit(&cache->entries[i], memory_order_relaxed))
        e = take(cache, n);
    if (e) {
        cache->kept++;
        e->h = img->h;
        e->w = img->w;
        memcpy(e->pixels, img->pixels, pixels);
        atomic_store_explicit(&cache->entries[i], e, memory_order_release);
    }
    pthread_mutex_unlock(&cache->lock);
}
