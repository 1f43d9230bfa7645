/*
 * Decoded images, past the ops that draw nothing, kept in memory up to a budget.
 */
#ifndef SL_DATA_CACHE_H
#define SL_DATA_CACHE_H

#include "data/data.h"

struct sl_cache;
/* Room for `samples` images in at most `budget` bytes. */
sl_status sl_cache_create(size_t samples, size_t budget, struct sl_cache **cache);
/* Takes the memory for `samples` images of h x w at once, if they fit into the budget. */
void sl_cache_reserve(struct sl_cache *cache, size_t samples, size_t h, size_t w);
void sl_cache_free(struct sl_cache **cache);
/* True when it keeps no further images, because it is full or the set is too large. */
bool sl_cache_closed(const struct sl_cache *cache);
/* img is borrowed from the cache and must not be changed. Several threads at once. */
bool sl_cache_get(const struct sl_cache *cache, size_t i, struct sl_image *img);
/* Keeps a copy if there is room; otherwise the image is decoded again next time. */
void sl_cache_put(struct sl_cache *cache, size_t i, const struct sl_image *img);

#endif
