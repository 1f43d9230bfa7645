/*
 * Antialiased resizing, bit-equal to Pillow's Image.resize on 8-bit RGB: per axis a table of
 * weights, where the filter is stretched by the scale when it shrinks; weights in fixed point with
 * 22 bits; a horizontal pass over the rows that are needed, rounded to 8 bits, then a vertical
 * pass (kernels/resize_kernels.h).
 *
 * All scratch memory (weights, the rows between the passes) lies behind the pixels in dst's buffer.
 */
#include "image/resize.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "image/decode.h"
#include "kernels/resize_kernels.h"

/* ---- filters ---- */

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Keys' cubic with a = -1/2. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static const struct filter {
    double (*weight)(double x);
    double support; /* weight is 0 beyond */
} filters[] = {
    [SL_FILTER_BILINEAR] = {bilinear, 1.0},
    [SL_FILTER_BICUBIC] = {bicubic, 2.0},
};

/* ---- weights of one axis ---- */

struct axis {
    struct sl_resize_axis table;
    float begin, end; /* of the box */
    bool needed;      /* false: the axis is copied */
    double scale, support;
    double *exact; /* [taps] scratch */
};

static void axis_init(struct axis *a, size_t in, size_t out, double begin, double size,
                      const struct filter *filter)
{
    *a = (struct axis){
        .table = {.in = in, .out = out}, .begin = (float)begin, .end = (float)(begin + size)};
    a->needed = out != in || a->begin != 0.0f || a->end != (float)out;
    a->scale = (double)(a->end - a->begin) / (double)out;
    a->support = filter->support * (a->scale < 1.0 ? 1.0 : a->scale);
    const size_t most = (size_t)ceil(a->support) * 2 + 1;
    a->table.taps = (most + SL_RESIZE_GROUP - 1) / SL_RESIZE_GROUP * SL_RESIZE_GROUP;
}

static void axis_fill(struct axis *a, const struct filter *filter)
{
    const struct sl_resize_axis *t = &a->table;
    const double step = 1.0 / (a->scale < 1.0 ? 1.0 : a->scale);
    memset(t->weights, 0, t->out * t->taps * sizeof *t->weights);
    for (size_t i = 0; i < t->out; i++) {
        const double center = a->begin + ((double)i + 0.5) * a->scale;
        int32_t begin = (int32_t)(center - a->support + 0.5);
        int32_t end = (int32_t)(center + a->support + 0.5);
        if (begin < 0)
            begin = 0;
        if (end > (int32_t)t->in)
            end = (int32_t)t->in;
        double sum = 0.0;
        for (int32_t k = 0; k < end - begin; k++) {
            a->exact[k] = filter->weight((k + begin - center + 0.5) * step);
            sum += a->exact[k];
        }
        for (int32_t k = 0; k < end - begin; k++) {
            const double weight = sum != 0.0 ? a->exact[k] / sum : a->exact[k];
            const double fixed = weight * (1 << SL_RESIZE_BITS);
            t->weights[i * t->taps + (size_t)k] = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
        t->first[i] = begin;
        t->count[i] = end - begin;
    }
}

/* Gives every output the same number of inputs, with weights of 0 in front or behind: a loop whose
 * length changes from pixel to pixel costs more by mispredicted branches than by its products. */
static void axis_even(const struct sl_resize_axis *a)
{
    int32_t most = 0;
    for (size_t i = 0; i < a->out; i++)
        most = a->count[i] > most ? a->count[i] : most;
    for (size_t i = 0; i < a->out; i++) {
        int32_t *weights = a->weights + i * a->taps;
        const int32_t n = a->count[i], over = a->first[i] + most - (int32_t)a->in;
        const size_t front = over > 0 ? (size_t)over : 0;
        memmove(weights + front, weights, (size_t)n * sizeof *weights);
        memset(weights, 0, front * sizeof *weights);
        a->first[i] -= (int32_t)front;
        a->count[i] = most;
    }
}

/* ---- scratch behind the pixels ---- */

/* Takes count * size bytes at *at, 64-byte aligned; false when the sum overflows. */
static bool carve(size_t *at, size_t count, size_t size, size_t *offset)
{
    size_t bytes, start, end;
    if (!sl_size_align(*at, 64, &start) || !sl_size_mul(count, size, &bytes) ||
        !sl_size_add(start, bytes, &end))
        return false;
    *offset = start;
    *at = end;
    return true;
}

struct layout {
    size_t total, rows;
    size_t weights[2], first[2], count[2], exact[2];
};

static bool layout_fill(struct layout *l, const struct axis axes[2], size_t rows)
{
    size_t pixels;
    const size_t row = axes[1].table.out * 3;
    l->total = axes[0].table.out * row; /* within the limits of an image: checked before */
    if (!sl_size_mul(rows, row, &pixels) || !carve(&l->total, pixels, 1, &l->rows))
        return false;
    for (int i = 0; i < 2; i++) {
        size_t n;
        const struct sl_resize_axis *a = &axes[i].table;
        if (!sl_size_mul(a->out, a->taps, &n) || !carve(&l->total, n, 4, &l->weights[i]) ||
            !carve(&l->total, a->out, 4, &l->first[i]) ||
            !carve(&l->total, a->out, 4, &l->count[i]) ||
            !carve(&l->total, a->taps, sizeof(double), &l->exact[i]))
            return false;
    }
    return true;
}

static void axis_bind(struct axis *a, uint8_t *buffer, const struct layout *l, int i)
{
    a->table.weights = (int32_t *)(void *)(buffer + l->weights[i]);
    a->table.first = (int32_t *)(void *)(buffer + l->first[i]);
    a->table.count = (int32_t *)(void *)(buffer + l->count[i]);
    a->exact = (double *)(void *)(buffer + l->exact[i]);
}

/* ---- passes ---- */

static void copy_rows(const struct sl_view *src, uint8_t *dst)
{
    for (size_t y = 0; y < src->h; y++)
        memcpy(dst + y * src->w * 3, src->pixels + y * src->stride, src->w * 3);
}

/* axes: vertical, horizontal. buffer: dst's pixels with the scratch behind; between: room in it for
 * the rows that the vertical pass reads. */
static void run_passes(const struct sl_view *src, const struct axis axes[2], uint8_t *buffer,
                       uint8_t *between)
{
    const struct sl_resize_axis *down = &axes[0].table, *across = &axes[1].table;
    const size_t last = down->out - 1, width = across->out * 3;
    const size_t first = (size_t)down->first[0];
    const size_t rows = (size_t)(down->first[last] + down->count[last]) - first;
    const uint8_t *top = src->pixels + first * src->stride;
    const struct sl_resize_kernels *k = sl_resize_kernels();
    if (!axes[1].needed && !axes[0].needed)
        copy_rows(src, buffer);
    else if (!axes[1].needed)
        k->down(down, width, top, src->stride, buffer);
    else if (!axes[0].needed)
        k->across(across, rows, top, src->stride, buffer);
    else {
        k->across(across, rows, top, src->stride, between);
        k->down(down, width, between, width, buffer);
    }
}

/* ---- entry ---- */

static sl_status check_box(const struct sl_view *src, const struct sl_box *box)
{
    const bool inside = box->y >= 0 && box->x >= 0 && box->h > 0 && box->w > 0 &&
                        box->y + box->h <= (double)src->h && box->x + box->w <= (double)src->w;
    if (!inside)
        SL_FAIL(SL_ERR_ARGUMENT,
                "resize: the box at row %g, column %g of %g x %g pixels is empty or leaves the "
                "image of %zu x %zu",
                box->y, box->x, box->h, box->w, src->h, src->w);
    return SL_OK;
}

sl_status sl_view_resize(const struct sl_view *src, const struct sl_box *box, size_t h, size_t w,
                         enum sl_filter filter, struct sl_image *dst)
{
    if (filter > SL_FILTER_BICUBIC)
        SL_FAIL(SL_ERR_ARGUMENT, "resize: TensorFlow's filters resize whole images only");
    SL_TRY(check_box(src, box));
    SL_TRY(sl_image_check_size("resize", h, w));
    const struct filter *f = &filters[filter];
    struct axis axes[2];
    axis_init(&axes[0], src->h, h, box->y, box->h, f);
    axis_init(&axes[1], src->w, w, box->x, box->w, f);

    /* The rows that the vertical pass reads: the outermost windows are those of the first and the
     * last output. A bound is enough for the memory; the exact rows follow from the table. */
    struct layout l = {0};
    const size_t spare = axes[0].table.taps;
    const size_t bound =
        (size_t)ceil(box->h) + 2 * spare < src->h ? (size_t)ceil(box->h) + 2 * spare : src->h;
    if (!layout_fill(&l, axes, bound))
        SL_FAIL(SL_ERR_MEMORY, "resize: %zu x %zu pixels need more memory than can be addressed", h,
                w);
    SL_TRY(sl_image_reserve(dst, l.total));
    for (int i = 0; i < 2; i++) {
        axis_bind(&axes[i], dst->pixels, &l, i);
        axis_fill(&axes[i], f);
    }
    axis_even(&axes[1].table);
    run_passes(src, axes, dst->pixels, dst->pixels + l.rows);
    dst->h = h;
    dst->w = w;
    return SL_OK;
}

struct sl_view sl_image_view(const struct sl_image *img, size_t y, size_t x, size_t h, size_t w)
{
    return (struct sl_view){img->pixels + (y * img->w + x) * 3, img->w * 3, h, w};
}

sl_status sl_image_resize(const struct sl_image *src, double y0, double x0, double bh, double bw,
                          size_t h, size_t w, enum sl_filter filter, struct sl_image *dst)
{
    const struct sl_view view = sl_image_view(src, 0, 0, src->h, src->w);
    const struct sl_box box = {y0, x0, bh, bw};
    return sl_view_resize(&view, &box, h, w, filter, dst);
}
