/*
 * What resizing 8-bit RGB spends its time with: the two passes of Pillow's antialiased resize, sums
 * of inputs with weights in fixed point, rounded and clamped to 8 bits (image/resize.c), and rows
 * of TensorFlow's, sums in float in a fixed order without fused multiply-adds, truncated
 * (image/resize_tf.c). Every instruction set gives the same bytes. One table for each
 * (kernel_list.h).
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

/* What one output column or row takes from the input. */
struct sl_resize_part {
    int32_t first, last; /* inputs; bilinear: neighbours, or one twice */
    float a, b;          /* bilinear: share of last; area: weights of first and last */
};

enum { SL_RESIZE_VECTOR = 16 }; /* floats that are taken at once */

/* A resize of TensorFlow's under way, one row after the other. */
struct sl_resize_rows {
    const uint8_t *pixels; /* [in_h, in_w, 3], rows `stride` bytes apart */
    size_t stride, in_h, in_w;
    struct sl_resize_part *columns; /* [w] */
    size_t w;                       /* of the output */
    float scale;                    /* 1 / (input pixels of an output) */
    float *input;                   /* [in_w, 3] and room for SL_RESIZE_VECTOR more */
    float *lines[2];                /* [w, 3] and room for SL_RESIZE_VECTOR more: input rows at the
                                     * output's width; area: one, and the sums of the output row */
    int32_t held[2];                /* number of the input row that lines[i] holds; -1 = none */
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
    /* One output row, dst [rows->w, 3]. */
    void (*bilinear)(struct sl_resize_rows *rows, const struct sl_resize_part *row, uint8_t *dst);
    void (*area)(struct sl_resize_rows *rows, const struct sl_resize_part *row, uint8_t *dst);
};

/* The table of the best instruction set that is not above `isa`. Static, never NULL. */
const struct sl_resize_kernels *sl_resize_kernels_for(enum sl_isa isa);
/* That of this machine and SOFTLESS_ISA, chosen once: asking the CPU takes longer than a small
 * resize. A set that cannot be had is refused where a context is opened; here it means plain C. */
const struct sl_resize_kernels *sl_resize_kernels(void);

#endif
