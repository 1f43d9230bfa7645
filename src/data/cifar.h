/*
 * CIFAR binary records.
 */
#ifndef SL_DATA_CIFAR_H
#define SL_DATA_CIFAR_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { SL_CIFAR_SIDE = 32, SL_CIFAR_PIXELS = 3 * SL_CIFAR_SIDE * SL_CIFAR_SIDE };

/* Label bytes before the pixels; each must be below its limit, the last one is the class. */
struct sl_cifar_layout {
    size_t label_bytes;
    uint8_t limits[2];
};
extern const struct sl_cifar_layout sl_cifar10_layout, sl_cifar100_layout;

/* Records of one or several files. Zero-initialise; both arrays are freed with sl_free. */
struct sl_cifar {
    size_t n;
    uint8_t *pixels; /* [n, 3, 32, 32] */
    int32_t *labels; /* [n] */
};

/* Appends the records of one file; *out is untouched on failure. */
sl_status sl_cifar_append(const struct sl_cifar_layout *layout, const void *bytes, size_t n,
                          const char *what, struct sl_cifar *out);

#endif
