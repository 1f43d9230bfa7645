/*
 * Which sample stands where in the stream of epochs.
 */
#ifndef SL_DATA_ORDER_H
#define SL_DATA_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* One place of a batch: a sample, and the epoch its draws are addressed by. */
struct sl_place {
    uint32_t sample;
    uint32_t epoch;
};
#define SL_NO_SAMPLE UINT32_MAX /* behind the last sample of an evaluation pass */

struct sl_order {
    size_t n;
    uint64_t seed;
    bool shuffle;
    size_t buffer; /* 0: all samples are shuffled at once */
    size_t *parts; /* [n_parts + 1] first sample of every shard, then n */
    size_t n_parts;
    uint32_t *perm[2];      /* [n] each: the permutation of an even and of an odd epoch */
    uint64_t perm_epoch[2]; /* whose they are; UINT64_MAX = none yet */
};

/* SL_ERR_UNSUPPORTED beyond 2^32 - 1 samples. */
sl_status sl_order_init(struct sl_order *order, size_t n, uint64_t seed, bool shuffle);
/* From now on an epoch is the shards in random order, cut into runs of `buffer` samples that are
 * shuffled each by itself. parts [n_parts + 1]: first sample of every shard, then n; taken over. */
void sl_order_by_parts(struct sl_order *order, size_t buffer, size_t *parts, size_t n_parts);
void sl_order_free(struct sl_order *order);
/* Place p of the endless stream of epochs. Fast while calls stay within two neighbouring epochs. */
struct sl_place sl_order_stream(struct sl_order *order, uint64_t p);
/* Place k of the `pass`-th evaluation pass; its draws are those of epoch 0, so that all passes are
 * alike. */
struct sl_place sl_order_pass(struct sl_order *order, uint64_t pass, uint64_t k);

#endif
