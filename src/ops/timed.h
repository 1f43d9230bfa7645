/*
 * A device whose op calls are timed: a second table stands before that of the backend, notes the
 * time and the products of each call and passes it on. Without it nothing is spent but the store to
 * dev->phase.
 */
#ifndef SL_OPS_TIMED_H
#define SL_OPS_TIMED_H

#include "ops/ops.h"

struct sl_timed_ops {
    struct sl_backend_ops ops; /* first: the device's `ops` leads here */
    const struct sl_backend_ops *inner;
    sl_phase_cost costs[SL_PHASE_COUNT]; /* added up since sl_timed_begin */
};

/* The clocks now, and the addition of what passed since then. */
sl_phase_cost sl_timed_now(void);
void sl_timed_add(sl_phase_cost *cost, sl_phase_cost start, double flops);

/* timed must stay where it is until sl_timed_end. */
void sl_timed_begin(struct sl_device *dev, struct sl_timed_ops *timed);
void sl_timed_end(struct sl_device *dev);

#endif
