/*
 * Random crops: the size of an image in, a rectangle of it out. Two families that draw differently:
 * TensorFlow's draws the height uniformly, so that small areas come more often, and never the last
 * place of an offset; torchvision's draws the area uniformly and all places alike.
 */
#include "image/crop.h"

#include <math.h>
#include <stdbool.h>

/* ---- TensorFlow's ---- */

enum { INCEPTION_TRIES = 100 };

static long width_for(long h, float aspect)
{
    return lrintf((float)h * aspect);
}

/* The heights of rectangles that have the aspect, an allowed area, and a place in the image. */
static void height_range(long image_h, long image_w, float least, float most, float aspect,
                         long *low, long *high)
{
    *low = lrintf(sqrtf(least / aspect));
    *high = lrintf(sqrtf(most / aspect));
    if (width_for(*high, aspect) > image_w) {
        *high = (long)(((double)image_w + 0.5 - 1e-7) / (double)aspect);
        if (width_for(*high, aspect) > image_w)
            (*high)--;
    }
    if (*high > image_h)
        *high = image_h;
    if (*low > *high)
        *low = *high;
}

/* One try; false if no rectangle of the drawn aspect and height is allowed. */
static bool draw_inception(long image_h, long image_w, double min_area, double max_area,
                           sl_rng *rng, struct sl_rectangle *r)
{
    const float least = (float)min_area * (float)image_w * (float)image_h;
    const float most = (float)max_area * (float)image_w * (float)image_h;
    const float aspect = (float)(0.75 + (1.33 - 0.75) * sl_rng_uniform(rng));
    long low, high;
    height_range(image_h, image_w, least, most, aspect, &low, &high);
    long h = low + (long)sl_rng_below(rng, (uint64_t)(high - low) + 1);
    long w = width_for(h, aspect);
    if ((float)(w * h) < least)
        w = width_for(++h, aspect);
    if ((float)(w * h) > most)
        w = width_for(--h, aspect);
    const float area = (float)(w * h);
    if (area < least || area > most || w > image_w || h > image_h || w <= 0 || h <= 0)
        return false;
    *r = (struct sl_rectangle){.h = (size_t)h, .w = (size_t)w};
    r->y = h < image_h ? (size_t)sl_rng_below(rng, (uint64_t)(image_h - h)) : 0;
    r->x = w < image_w ? (size_t)sl_rng_below(rng, (uint64_t)(image_w - w)) : 0;
    return true;
}

struct sl_rectangle sl_crop_inception(size_t h, size_t w, double min_area, double max_area,
                                      sl_rng *rng)
{
    struct sl_rectangle r;
    for (int i = 0; i < INCEPTION_TRIES; i++)
        if (draw_inception((long)h, (long)w, min_area, max_area, rng, &r))
            return r;
    return (struct sl_rectangle){.h = h, .w = w};
}

/* ---- torchvision's ---- */

enum { TORCHVISION_TRIES = 10 };
#define MIN_ASPECT (3.0 / 4.0)
#define MAX_ASPECT (4.0 / 3.0)

static double uniform_between(sl_rng *rng, double low, double high)
{
    return low + (high - low) * sl_rng_uniform(rng);
}

/* One try; false if the drawn rectangle does not fit. */
static bool draw_torchvision(size_t image_h, size_t image_w, double min_area, double max_area,
                             sl_rng *rng, struct sl_rectangle *r)
{
    const double whole = (double)image_h * (double)image_w;
    const double area = whole * uniform_between(rng, min_area, max_area);
    const double aspect = exp(uniform_between(rng, log(MIN_ASPECT), log(MAX_ASPECT)));
    const double w = rint(sqrt(area * aspect)), h = rint(sqrt(area / aspect));
    if (w < 1 || h < 1 || w > (double)image_w || h > (double)image_h)
        return false;
    r->h = (size_t)h;
    r->w = (size_t)w;
    r->y = (size_t)sl_rng_below(rng, image_h - r->h + 1);
    r->x = (size_t)sl_rng_below(rng, image_w - r->w + 1);
    return true;
}

/* The largest central rectangle whose aspect is allowed. */
static struct sl_rectangle central_rectangle(size_t image_h, size_t image_w)
{
    const double h = (double)image_h, w = (double)image_w, aspect = w / h;
    struct sl_rectangle r = {.h = image_h, .w = image_w};
    if (aspect < MIN_ASPECT)
        r.h = (size_t)rint(w / MIN_ASPECT);
    else if (aspect > MAX_ASPECT)
        r.w = (size_t)rint(h * MAX_ASPECT);
    r.y = (image_h - r.h) / 2;
    r.x = (image_w - r.w) / 2;
    return r;
}

struct sl_rectangle sl_crop_torchvision(size_t h, size_t w, double min_area, double max_area,
                                        sl_rng *rng)
{
    struct sl_rectangle r;
    for (int i = 0; i < TORCHVISION_TRIES; i++)
        if (draw_torchvision(h, w, min_area, max_area, rng, &r))
            return r;
    return central_rectangle(h, w);
}
