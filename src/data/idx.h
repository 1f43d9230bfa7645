/*
 * The IDX format: 1 to 4 dimensions of unsigned bytes, plain or gzipped.
 */
#ifndef SL_DATA_IDX_H
#define SL_DATA_IDX_H

#include <stdint.h>

#include "base/error.h"

struct sl_idx {
    size_t rank, dims[4]; /* every dimension > 0 */
    size_t size;          /* their product */
    uint8_t *data;        /* [dims...], freed with sl_free */
};

/* Reads a whole file from memory; gzip is recognised by content. `cap` bounds the data. */
sl_status sl_idx_read(const void *bytes, size_t n, size_t cap, const char *what,
                      struct sl_idx *idx);

#endif
