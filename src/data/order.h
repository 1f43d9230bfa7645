/*
 * Which sample stands where in the stream of epochs.
 */
#ifndef SL_DATA_ORDER_H
#define SL_DATA_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

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
/* Sample at place j of an epoch. Fast while calls stay within two neighbouring epochs. */
uint32_t sl_order_at(struct sl_order *order, uint64_t epoch, size_t j);

#endif
