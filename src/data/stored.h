/*
 * Images that lie in memory as the file stored them: grey or RGB, interleaved or in planes.
 */
#ifndef SL_DATA_STORED_H
#define SL_DATA_STORED_H

#include "data/format.h"

struct sl_stored {
    uint8_t *pixels; /* [n, h, w, channels], or [n, channels, h, w] if planes; owned */
    size_t n, h, w, channels;
    bool planes;
};

/* Hands the pixels over to the set and sets total, h and w. On failure *pixels is still the
 * caller's. */
sl_status sl_stored_give(struct sl_dataset *set, const struct sl_stored *stored);

#endif
