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

/* ---- TensorFlow's ---- */

enum { VECTOR = SL_RESIZE_VECTOR };

static uint8_t truncated(float x)
{
    return (uint8_t)(int32_t)(x < 0.0f ? 0.0f : x > 255.0f ? 255.0f : x);
}

static void widen_bytes(size_t n, const uint8_t *restrict src, float *restrict dst)
{
    size_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR)
        for (size_t k = 0; k < VECTOR; k++)
            dst[i + k] = (float)src[i + k];
    for (; i < n; i++)
        dst[i] = (float)src[i];
}

/* Between the two inputs of every column. Pixels are moved four floats at a time; the fourth
 * belongs to the next pixel, which overwrites it. */
static void stretch_columns(const struct sl_resize_rows *j, float *line)
{
    for (size_t x = 0; x < j->w; x++) {
        const float share = j->columns[x].a;
        float left[4], right[4], mixed[4];
        memcpy(left, j->input + 3 * (size_t)j->columns[x].first, sizeof left);
        memcpy(right, j->input + 3 * (size_t)j->columns[x].last, sizeof right);
        for (size_t c = 0; c < 4; c++)
            mixed[c] = left[c] + (right[c] - left[c]) * share;
        memcpy(line + 3 * x, mixed, sizeof mixed);
    }
}

/* n pixels' bytes between two rows; the rows have room for a whole vector more. */
static void mix_rows(size_t n, float share, const float *top, const float *bottom, uint8_t *dst)
{
    for (size_t i = 0; i < n; i += VECTOR) {
        uint8_t pixels[VECTOR];
        for (size_t k = 0; k < VECTOR; k++)
            pixels[k] = truncated(top[i + k] + (bottom[i + k] - top[i + k]) * share);
        memcpy(dst + i, pixels, n - i < VECTOR ? n - i : VECTOR);
    }
}

/* Over the stretch of every column, four floats at a time as above. */
static void sum_columns(const struct sl_resize_rows *j, float *line)
{
    for (size_t x = 0; x < j->w; x++) {
        const struct sl_resize_part *part = &j->columns[x];
        const float *p = j->input + 3 * resize_bounded(part->first, j->in_w);
        const float *last = j->input + 3 * resize_bounded(part->last, j->in_w);
        float sums[4];
        for (size_t c = 0; c < 4; c++)
            sums[c] = p[c] * part->a;
        for (int32_t i = part->first + 1; i < part->last; i++) {
            p += 3;
            for (size_t c = 0; c < 4; c++)
                sums[c] += p[c];
        }
        if (part->last != part->first)
            for (size_t c = 0; c < 4; c++)
                sums[c] += last[c] * part->b;
        memcpy(line + 3 * x, sums, sizeof sums);
    }
}

/* sums += line * weight: n floats and what is missing to a whole vector. */
static void add_scaled(size_t n, float weight, const float *restrict line, float *restrict sums)
{
    for (size_t i = 0; i < n; i += VECTOR)
        for (size_t k = 0; k < VECTOR; k++)
            sums[i + k] += line[i + k] * weight;
}

static void truncate_row(size_t n, float scale, const float *sums, uint8_t *dst)
{
    for (size_t i = 0; i < n; i += VECTOR) {
        uint8_t pixels[VECTOR];
        for (size_t k = 0; k < VECTOR; k++)
            pixels[k] = truncated(sums[i + k] * scale);
        memcpy(dst + i, pixels, n - i < VECTOR ? n - i : VECTOR);
    }
}

#include "kernels/resize_tf.inc"

const struct sl_resize_kernels sl_resize_kernels_c = {SL_ISA_C, across, down, bilinear_row,
                                                      area_row};
