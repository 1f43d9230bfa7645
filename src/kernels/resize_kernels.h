/*
 * The two passes of an antialiased resize of 8-bit RGB (image/resize.c): sums of inputs with
 * weights in fixed point, rounded and clamped to 8 bits. Integers only, so every instruction set
 * gives the same bytes. One table per instruction set (kernel_list.h).
 */
#ifndef SL_KERNELS_RESIZE_KERNELS_H
#define SL_KERNELS_RESIZE_KERNELS_H

#include "kernels/cpu.h"

enum {
    SL_RESIZE_BITS = 32 - 8 - 2, /* of a weight of 1: room for a pixel, a sign and negative lobes */
    SL_RESIZE_GROUP = 4          /* taps that a kernel may take at once */
};

/* One axis: output i is the sum over t < count[i] of input first[i] + t times weight t of its row.
 * The weights' absolute values sum to less than 2^23 - 2^14, so that sums stay in 32 bits. */
struct sl_resize_axis {
    size_t in, out;
    size_t taps;      /* weights in a row, a multiple of SL_RESIZE_GROUP */
    int32_t *weights; /* [out, taps], 0 from count on */
    int32_t *first;   /* [out], never less than the one before */
    int32_t *count;   /* [out], first + count <= in */
};

struct sl_resize_kernels {
    enum sl_isa isa;
    /* Rows of a->in pixels, `stride` bytes apart, to dst [rows, a->out, 3]. All counts are equal.
     */
    void (*across)(const struct sl_resize_axis *a, size_t rows, const uint8_t *src, size_t stride,
                   uint8_t *dst);
    /* Rows of n bytes to dst [a->out, n]; src: input a->first[0], the lowest that is read. */
    void (*down)(const struct sl_resize_axis *a, size_t n, const uint8_t *src, size_t stride,
                 uint8_t *dst);
};

/* The table of the best instruction set that is not above `isa`. Static, never NULL. */
const struct sl_resize_kernels *sl_resize_kernels_for(enum sl_isa isa);

#endif
