/*
 * The context behind sl_context: one device, and the flag that asks a running training to stop.
 */
#ifndef SL_API_CONTEXT_H
#define SL_API_CONTEXT_H

#include <stdatomic.h>

#include "ops/ops.h"

struct sl_context {
    struct sl_device *dev;
    atomic_bool stop; /* set by sl_context_request_stop, also from signal handlers */
};

#endif
