/*
 * Resampling of position embeddings: along each axis every new position is a weighted sum of the
 * old ones; the weights form a small dense matrix, in double.
 */
#include "model/posemb.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* Keys' cubic. */
static double cubic(double x, double a)
{
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* weights [n, old], rows sum to 1 */
static void aligned_weights(size_t old, size_t n, double *weights)
{
    for (size_t i = 0; i < n; i++) {
        const double at = n > 1 ? (double)i * (double)(old - 1) / (double)(n - 1) : 0;
        const size_t low = (size_t)at < old - 1 ? (size_t)at : old - 1;
        const double share = at - (double)low;
        weights[i * old + low] = 1 - share;
        if (low + 1 < old)
            weights[i * old + low + 1] = share;
    }
}

/* The filter is stretched where the grid shrinks; weights beyond the border are left out. */
static void bicubic_weights(size_t old, size_t n, double *weights)
{
    const double scale = (double)old / (double)n, stretch = scale > 1 ? scale : 1;
    for (size_t i = 0; i < n; i++) {
        const double centre = ((double)i + 0.5) * scale;
        double sum = 0, *row = weights + i * old;
        for (size_t j = 0; j < old; j++) {
            row[j] = cubic(((double)j + 0.5 - centre) / stretch, -0.5);
            sum += row[j];
        }
        for (size_t j = 0; j < old; j++)
            row[j] /= sum;
    }
}

/* Four old positions make a new one, whatever the scale; beyond the border its last one counts. */
static void cubic_weights(size_t old, size_t n, double *weights)
{
    for (size_t i = 0; i < n; i++) {
        const double at = ((double)i + 0.5) * (double)old / (double)n - 0.5;
        const long low = (long)floor(at), last = (long)old - 1;
        for (long j = low - 1; j <= low + 2; j++) {
            const long inside = j < 0 ? 0 : j > last ? last : j;
            weights[i * old + (size_t)inside] += cubic((double)j - at, -0.75);
        }
    }
}

/* weights arrive as zeros */
static const struct {
    const char *name, *description;
    void (*weights)(size_t old, size_t n, double *weights);
} filters[SL_POSEMB_FILTERS] = {
    [SL_POSEMB_ALIGNED] = {"linear", "linear, corners aligned", aligned_weights},
    [SL_POSEMB_BICUBIC] = {"antialiased", "bicubic, antialiased", bicubic_weights},
    [SL_POSEMB_CUBIC] = {"bicubic", "bicubic, not antialiased", cubic_weights},
};

const char *sl_posemb_description(enum sl_posemb_filter filter)
{
    return filters[filter].description;
}

sl_status sl_posemb_filter_find(const char *name, enum sl_posemb_filter *filter)
{
    for (size_t i = 0; i < SL_POSEMB_FILTERS; i++) {
        if (strcmp(name, filters[i].name) == 0) {
            *filter = (enum sl_posemb_filter)i;
            return SL_OK;
        }
    }
    SL_FAIL(SL_ERR_ARGUMENT, "positions %s: they are resampled linear, antialiased or bicubic",
            name);
}

/* dst[i, :] = sum_j weights[i, j] src[j, :], rows of `width` floats */
static void apply(const double *weights, size_t n, size_t old, const float *src, size_t width,
                  float *dst)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < width; c++) {
            double sum = 0;
            for (size_t j = 0; j < old; j++)
                sum += weights[i * old + j] * src[j * width + c];
            dst[i * width + c] = (float)sum;
        }
}

sl_status sl_posemb_resample(enum sl_posemb_filter filter, const float *src, size_t old_h,
                             size_t old_w, float *dst, size_t h, size_t w, size_t D)
{
    if (old_h == h && old_w == w) {
        memcpy(dst, src, h * w * D * sizeof *dst);
        return SL_OK;
    }
    double *rows = NULL, *columns = NULL;
    float *tall = NULL; /* [h, old_w, D] */
    sl_status st;
    SL_TRY_FREE(SL_NEW(rows, h * old_h));
    SL_TRY_FREE(SL_NEW(columns, w * old_w));
    SL_TRY_FREE(SL_NEW(tall, h * old_w * D));
    filters[filter].weights(old_h, h, rows);
    filters[filter].weights(old_w, w, columns);
    apply(rows, h, old_h, src, old_w * D, tall);
    for (size_t y = 0; y < h; y++)
        apply(columns, w, old_w, tall + y * old_w * D, D, dst + y * w * D);
fail:
    sl_free(rows);
    sl_free(columns);
    sl_free(tall);
    return st;
}

void sl_posemb_sincos2d(size_t columns, size_t N, size_t D, float *dst)
{
    const size_t quarter = D / 4;
    for (size_t t = 0; t < N; t++)
        for (size_t i = 0; i < quarter; i++) {
            const double w = pow(10000.0, -(double)i / ((double)quarter - 1.0));
            const double x = (double)(t % columns) * w, y = (double)(t / columns) * w;
            float *row = dst + t * D + i;
            row[0] = (float)sin(x);
            row[quarter] = (float)cos(x);
            row[2 * quarter] = (float)sin(y);
            row[3 * quarter] = (float)cos(y);
        }
}
