/*
 * Resizing as TensorFlow does it, truncated to 8 bits: bilinear without antialiasing (half-pixel
 * centres; a smaller output skips pixels) and the mean over the area that an output pixel covers.
 * Sums are in float in TensorFlow's order, so that the truncation falls as it does there.
 *
 * Both work row by row: an input row becomes floats, those a row of the output's width, and two or
 * more of these the output row. Loops of constant length let the compiler vectorise. The table of
 * columns and the rows of floats lie behind the pixels in dst's buffer.
 */
#include <math.h>
#include <string.h>

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
    return (uint8_t)(int32_t)(x < 0.0f ? 0.0f : x > 255.0f ? 255.0f : x);
}

/* One resizing under way. */
struct job {
    const struct sl_view *src;
    struct part *columns; /* [w] */
    size_t w;             /* of the output */
    float scale;          /* 1 / (input pixels of an output) */
    float *input;         /* [src->w, 3] and room for VECTOR more */
    float *lines[2];      /* [w, 3] and room for VECTOR more: input rows at the output's width;
                           * area: one, and the sums of the output row */
    int32_t held[2];      /* number of the input row that lines[i] holds; -1 = none */
};

/* ---- bilinear ---- */

enum { VECTOR = 16 };

static void to_float(const uint8_t *restrict src, size_t n, float *restrict dst)
{
    size_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR)
        for (size_t k = 0; k < VECTOR; k++)
            dst[i + k] = (float)src[i + k];
    for (; i < n; i++)
        dst[i] = (float)src[i];
}

/* Input row y at the output's width. Pixels are moved four floats at a time; the fourth belongs to
 * the next pixel, which overwrites it. */
static const float *stretched(struct job *j, int32_t y)
{
    float *line = j->lines[y & 1];
    if (j->held[y & 1] == y)
        return line;
    to_float(j->src->pixels + (size_t)y * j->src->stride, j->src->w * 3, j->input);
    for (size_t x = 0; x < j->w; x++) {
        const float share = j->columns[x].a;
        float left[4], right[4], mixed[4];
        memcpy(left, j->input + 3 * (size_t)j->columns[x].first, sizeof left);
        memcpy(right, j->input + 3 * (size_t)j->columns[x].last, sizeof right);
        for (size_t c = 0; c < 4; c++)
            mixed[c] = left[c] + (right[c] - left[c]) * share;
        memcpy(line + 3 * x, mixed, sizeof mixed);
    }
    j->held[y & 1] = y;
    return line;
}

static void bilinear_row(struct job *j, const struct part *row, uint8_t *dst)
{
    const float *top = stretched(j, row->first), *bottom = stretched(j, row->last);
    const float share = row->a;
    const size_t n = j->w * 3;
    for (size_t i = 0; i < n; i += VECTOR) { /* the lines have room for a whole vector more */
        uint8_t pixels[VECTOR];
        for (size_t k = 0; k < VECTOR; k++)
            pixels[k] = truncated(top[i + k] + (bottom[i + k] - top[i + k]) * share);
        memcpy(dst + i, pixels, n - i < VECTOR ? n - i : VECTOR);
    }
}

/* ---- area ---- */

/* Rounding may put the end of the last stretch a little beyond the image. */
static size_t bounded(int32_t i, size_t n)
{
    return (size_t)i < n ? (size_t)i : n - 1;
}

/* The sums of input row y over the stretches of columns, four floats at a time as above. */
static const float *summed(struct job *j, int32_t y)
{
    const size_t row = bounded(y, j->src->h);
    float *line = j->lines[0];
    if (j->held[0] == (int32_t)row)
        return line;
    to_float(j->src->pixels + row * j->src->stride, j->src->w * 3, j->input);
    for (size_t x = 0; x < j->w; x++) {
        const struct part *part = &j->columns[x];
        const float *p = j->input + 3 * bounded(part->first, j->src->w);
        const float *last = j->input + 3 * bounded(part->last, j->src->w);
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
    j->held[0] = (int32_t)row;
    return line;
}

/* n floats and what is missing to a whole vector. */
static void add_scaled(size_t n, float weight, const float *restrict line, float *restrict sums)
{
    for (size_t i = 0; i < n; i += VECTOR)
        for (size_t k = 0; k < VECTOR; k++)
            sums[i + k] += line[i + k] * weight;
}

static void area_row(struct job *j, const struct part *row, uint8_t *dst)
{
    const size_t n = j->w * 3;
    float *sums = j->lines[1];
    memset(sums, 0, (n + VECTOR) * sizeof *sums);
    for (int32_t y = row->first; y <= row->last; y++) {
        const float weight = y == row->first ? row->a : y == row->last ? row->b : 1.0f;
        add_scaled(n, weight, summed(j, y), sums);
    }
    for (size_t i = 0; i < n; i += VECTOR) {
        uint8_t pixels[VECTOR];
        for (size_t k = 0; k < VECTOR; k++)
            pixels[k] = truncated(sums[i + k] * j->scale);
        memcpy(dst + i, pixels, n - i < VECTOR ? n - i : VECTOR);
    }
}

static const struct method {
    struct part (*part)(size_t i, size_t in, float scale);
    void (*row)(struct job *job, const struct part *row, uint8_t *dst);
} methods[] = {
    [SL_FILTER_TF_BILINEAR] = {bilinear_part, bilinear_row},
    [SL_FILTER_TF_AREA] = {area_part, area_row},
};

/* Puts the job's tables behind h x w pixels in dst's buffer. */
static sl_status bind(struct job *j, size_t h, size_t w, struct sl_image *dst)
{
    const size_t line = w * 3 + VECTOR, floats = j->src->w * 3 + VECTOR + 2 * line;
    size_t table, bytes, room;
    SL_TRY(sl_image_check_size("resize", h, w));
    if (!sl_size_align(h * w * 3, sizeof(struct part), &table) ||
        !sl_size_add(table, w * sizeof(struct part), &bytes) ||
        !sl_size_add(bytes, floats * sizeof(float), &room))
        SL_FAIL(SL_ERR_MEMORY, "resize: %zu x %zu pixels need more memory than can be addressed", h,
                w);
    SL_TRY(sl_image_reserve(dst, room));
    j->columns = (struct part *)(void *)(dst->pixels + table);
    j->input = (float *)(void *)(dst->pixels + bytes);
    j->lines[0] = j->input + j->src->w * 3 + VECTOR;
    j->lines[1] = j->lines[0] + line;
    memset(j->input, 0, floats * sizeof(float));
    return SL_OK;
}

static sl_status resize_tf(const struct sl_view *src, size_t h, size_t w, const struct method *m,
                           struct sl_image *dst)
{
    const float down = scale_of(src->h, h), across = scale_of(src->w, w);
    struct job j = {
        .src = src, .w = w, .scale = (float)(1.0 / (double)(down * across)), .held = {-1, -1}};
    SL_TRY(bind(&j, h, w, dst));
    for (size_t x = 0; x < w; x++)
        j.columns[x] = m->part(x, src->w, across);
    for (size_t y = 0; y < h; y++) {
        const struct part row = m->part(y, src->h, down);
        m->row(&j, &row, dst->pixels + y * w * 3);
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
