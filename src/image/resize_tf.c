/*
 * Resizing as TensorFlow does it, truncated to 8 bits: bilinear without antialiasing (half-pixel
 * centres; a smaller output skips pixels) and the mean over the area that an output pixel covers.
 * Sums are in float in TensorFlow's order, so that the truncation falls as it does there.
 *
 * The table of columns lies behind the pixels in dst's buffer.
 */
#include <math.h>

#include "base/checked.h"
#include "image/decode.h"
#include "image/resize.h"

/* What one output column or row takes from the input. */
struct part {
    int32_t first, last; /* inputs */
    float a, b;          /* bilinear: share of last; area: weights of first and last */
};

static float scale_of(size_t in, size_t out)
{
    return (float)in / (float)out;
}

static struct part bilinear_part(size_t i, size_t in, float scale)
{
    const float at = ((float)i + 0.5f) * scale - 0.5f, below = floorf(at), above = ceilf(at);
    const float end = (float)(in - 1);
    return (struct part){.first = (int32_t)(below < 0.0f ? 0.0f : below),
                         .last = (int32_t)(above > end ? end : above),
                         .a = at - below};
}

/* The share of input pixel i that lies in begin .. end, a stretch of `scale` pixels. */
static float covered(float i, float begin, float end, float scale)
{
    if (i < begin)
        return i + 1.0f > end ? scale : i + 1.0f - begin;
    return i + 1.0f > end ? end - i : 1.0f;
}

static struct part area_part(size_t i, size_t in, float scale)
{
    (void)in;
    const float begin = (float)i * scale, end = (float)(i + 1) * scale;
    const float first = floorf(begin), last = ceilf(end) - 1.0f;
    return (struct part){.first = (int32_t)first,
                         .last = (int32_t)last,
                         .a = covered(first, begin, end, scale),
                         .b = covered(last, begin, end, scale)};
}

static uint8_t truncated(float x)
{
    return (uint8_t)(x < 0.0f ? 0.0f : x > 255.0f ? 255.0f : x);
}

static void bilinear_row(const struct sl_view *src, const struct part *row,
                         const struct part *columns, float scale, size_t w, uint8_t *dst)
{
    (void)scale;
    const uint8_t *top = src->pixels + (size_t)row->first * src->stride;
    const uint8_t *bottom = src->pixels + (size_t)row->last * src->stride;
    for (size_t x = 0; x < w; x++) {
        const size_t left = 3 * (size_t)columns[x].first, right = 3 * (size_t)columns[x].last;
        for (size_t c = 0; c < 3; c++) {
            const float t = (float)top[left + c], b = (float)bottom[left + c];
            const float upper = t + ((float)top[right + c] - t) * columns[x].a;
            const float lower = b + ((float)bottom[right + c] - b) * columns[x].a;
            *dst++ = truncated(upper + (lower - upper) * row->a);
        }
    }
}

/* Rounding may put the end of the last stretch a little beyond the image. */
static size_t bounded(int32_t i, size_t n)
{
    return (size_t)i < n ? (size_t)i : n - 1;
}

/* The weighted sum of one input row over a stretch of columns, three channels. */
static void add_stretch(const uint8_t *row, size_t n, const struct part *part, float weight,
                        float sums[3])
{
    const uint8_t *first = row + 3 * bounded(part->first, n);
    const uint8_t *last = row + 3 * bounded(part->last, n);
    for (size_t c = 0; c < 3; c++) {
        float sum = (float)first[c] * part->a;
        const uint8_t *p = first + c;
        for (int32_t i = part->first + 1; i < part->last; i++)
            sum += (float)*(p += 3);
        if (part->last != part->first)
            sum += (float)last[c] * part->b;
        sums[c] += sum * weight;
    }
}

static void area_row(const struct sl_view *src, const struct part *row, const struct part *columns,
                     float scale, size_t w, uint8_t *dst)
{
    for (size_t x = 0; x < w; x++, dst += 3) {
        float sums[3] = {0};
        for (int32_t y = row->first; y <= row->last; y++) {
            const float weight = y == row->first ? row->a : y == row->last ? row->b : 1.0f;
            add_stretch(src->pixels + bounded(y, src->h) * src->stride, src->w, &columns[x], weight,
                        sums);
        }
        for (size_t c = 0; c < 3; c++)
            dst[c] = truncated(sums[c] * scale);
    }
}

static const struct method {
    struct part (*part)(size_t i, size_t in, float scale);
    void (*row)(const struct sl_view *src, const struct part *row, const struct part *columns,
                float scale, size_t w, uint8_t *dst); /* scale: 1 / (input pixels of an output) */
} methods[] = {
    [SL_FILTER_TF_BILINEAR] = {bilinear_part, bilinear_row},
    [SL_FILTER_TF_AREA] = {area_part, area_row},
};

static sl_status resize_tf(const struct sl_view *src, size_t h, size_t w, const struct method *m,
                           struct sl_image *dst)
{
    size_t table, bytes;
    SL_TRY(sl_image_check_size("resize", h, w));
    if (!sl_size_align(h * w * 3, sizeof(struct part), &table) ||
        !sl_size_add(table, w * sizeof(struct part), &bytes))
        SL_FAIL(SL_ERR_MEMORY, "resize: %zu x %zu pixels need more memory than can be addressed", h,
                w);
    SL_TRY(sl_image_reserve(dst, bytes));
    struct part *columns = (struct part *)(void *)(dst->pixels + table);
    const float down = scale_of(src->h, h), across = scale_of(src->w, w);
    for (size_t x = 0; x < w; x++)
        columns[x] = m->part(x, src->w, across);
    for (size_t y = 0; y < h; y++) {
        const struct part row = m->part(y, src->h, down);
        m->row(src, &row, columns, (float)(1.0 / (double)(down * across)), w,
               dst->pixels + y * w * 3);
    }
    dst->h = h;
    dst->w = w;
    return SL_OK;
}

sl_status sl_view_resize_whole(const struct sl_view *src, size_t h, size_t w, enum sl_filter filter,
                               struct sl_image *dst)
{
    const struct sl_box whole = {0, 0, (double)src->h, (double)src->w};
    if (filter < SL_FILTER_TF_BILINEAR)
        return sl_view_resize(src, &whole, h, w, filter, dst);
    return resize_tf(src, h, w, &methods[filter], dst);
}
