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
    uint32_t *perm[2];      /* [n] each: the permutation of an even and of an odd epoch */
    uint64_t perm_epoch[2]; /* whose they are; UINT64_MAX = none yet */
};

/* SL_ERR_UNSUPPORTED beyond 2^32 - 1 samples. */
sl_status sl_order_init(struct sl_order *order, size_t n, uint64_t seed, bool shuffle);
void sl_order_free(struct sl_order *order);
/* Place p of the endless stream of epochs. Fast while calls stay within two neighbouring epochs. */
struct sl_place sl_order_stream(struct sl_order *order, uint64_t p);
/* Place k of the `pass`-th evaluation pass; its draws are those of epoch 0, so that all passes are
 * alike. */
struct sl_place sl_order_pass(struct sl_order *order, uint64_t pass, uint64_t k);

#endif
