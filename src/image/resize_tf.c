/*
 * Resizing as TensorFlow does it, truncated to 8 bits: bilinear without antialiasing (half-pixel
 * centres; a smaller output skips pixels) and the mean over the area that an output pixel covers.
 * Sums are in float in TensorFlow's order, so that the truncation falls as it does there.
 *
 * Both work row by row (kernels/resize_tf.inc); the table of columns and the rows of floats lie
 * behind the pixels in dst's buffer.
 */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "image/decode.h"
#include "image/resize.h"
#include "kernels/resize_kernels.h"

static float scale_of(size_t in, size_t out)
{
    return (float)in / (float)out;
}

static struct sl_resize_part bilinear_part(size_t i, size_t in, float scale)
{
    const float at = ((float)i + 0.5f) * scale - 0.5f, below = floorf(at), above = ceilf(at);
    const float end = (float)(in - 1);
    return (struct sl_resize_part){.first = (int32_t)(below < 0.0f ? 0.0f : below),
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

static struct sl_resize_part area_part(size_t i, float scale)
{
    const float begin = (float)i * scale, end = (float)(i + 1) * scale;
    const float first = floorf(begin), last = ceilf(end) - 1.0f;
    return (struct sl_resize_part){.first = (int32_t)first,
                                   .last = (int32_t)last,
                                   .a = covered(first, begin, end, scale),
                                   .b = covered(last, begin, end, scale)};
}

/* Puts the tables behind h pixels of the output's width in dst's buffer. */
static sl_status bind(struct sl_resize_rows *r, size_t h, struct sl_image *dst)
{
    const size_t input = r->in_w * 3 + SL_RESIZE_VECTOR, line = r->w * 3 + SL_RESIZE_VECTOR;
    const size_t floats = input + 2 * line;
    size_t table, bytes, room;
    SL_TRY(sl_image_check_size("resize", h, r->w));
    if (!sl_size_align(h * r->w * 3, sizeof *r->columns, &table) ||
        !sl_size_add(table, r->w * sizeof *r->columns, &bytes) ||
        !sl_size_add(bytes, floats * sizeof(float), &room))
        SL_FAIL(SL_ERR_MEMORY, "resize: %zu x %zu pixels need more memory than can be addressed", h,
                r->w);
    SL_TRY(sl_image_reserve(dst, room));
    r->columns = (struct sl_resize_part *)(void *)(dst->pixels + table);
    r->input = (float *)(void *)(dst->pixels + bytes);
    r->lines[0] = r->input + input;
    r->lines[1] = r->lines[0] + line;
    memset(r->input, 0, floats * sizeof(float));
    return SL_OK;
}

static sl_status resize_tf(const struct sl_view *src, size_t h, size_t w, bool area,
                           struct sl_image *dst)
{
    const struct sl_resize_kernels *k = sl_resize_kernels();
    const float down = scale_of(src->h, h), across = scale_of(src->w, w);
    struct sl_resize_rows rows = {.pixels = src->pixels,
                                  .stride = src->stride,
                                  .in_h = src->h,
                                  .in_w = src->w,
                                  .w = w,
                                  .scale = (float)(1.0 / (double)(down * across)),
                                  .held = {-1, -1}};
    SL_TRY(bind(&rows, h, dst));
    for (size_t x = 0; x < w; x++)
        rows.columns[x] = area ? area_part(x, across) : bilinear_part(x, src->w, across);
    for (size_t y = 0; y < h; y++) {
        const struct sl_resize_part row =
            area ? area_part(y, down) : bilinear_part(y, src->h, down);
        (area ? k->area : k->bilinear)(&rows, &row, dst->pixels + y * w * 3);
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
    return resize_tf(src, h, w, filter == SL_FILTER_TF_AREA, dst);
}
