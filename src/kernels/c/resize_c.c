/*
 * The resize kernels in plain C.
 */
#include "kernels/resize.inc"

static void across(const struct sl_resize_axis *a, size_t rows, const uint8_t *src, size_t stride,
                   uint8_t *dst)
{
    for (size_t y = 0; y < rows; y++)
        for (size_t i = 0; i < a->out; i++)
            resize_pixel(a, i, src + y * stride, dst + y * a->out * 3);
}

/* A constant number of columns lets the compiler vectorise. */
static void down(const struct sl_resize_axis *a, size_t n, const uint8_t *src, size_t stride,
                 uint8_t *dst)
{
    for (size_t i = 0; i < a->out; i++, dst += n) {
        const uint8_t *rows = src + (size_t)(a->first[i] - a->first[0]) * stride;
        size_t x = 0;
        for (; x + RESIZE_CHUNK <= n; x += RESIZE_CHUNK)
            resize_columns(a, i, RESIZE_CHUNK, rows + x, stride, dst + x);
        if (x < n)
            resize_columns(a, i, n - x, rows + x, stride, dst + x);
    }
}

const struct sl_resize_kernels sl_resize_kernels_c = {SL_ISA_C, across, down};
