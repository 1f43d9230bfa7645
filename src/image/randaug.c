/*
 * RandAugment as big_vision has it: 16 operations on u8 [h, w, 3], one drawn uniformly per layer
 * and always applied. Values are computed in float in the order of TensorFlow's operations and
 * truncated to 8 bits; pixels that come from outside the image are grey (128).
 *
 * Two of upstream's operations are not what their names say: its Contrast blends with
 * pixels / 256 instead of the mean grey value (issue 109 there), and the threshold of its Solarize
 * wraps around at 256 (issue 110). SL_COMPAT_BIG_VISION reproduces both.
 */
#include "image/randaug.h"

#include <math.h>
#include <string.h>

enum { FILL = 128, VALUES = 256, CHANNELS = 3 };

static size_t pixels_of(const struct sl_image *img)
{
    return img->h * img->w;
}

/* ---- one value in, one value out ---- */

typedef uint8_t lookup[VALUES];

static void apply(const lookup tables[CHANNELS], const struct sl_image *in, struct sl_image *out)
{
    const size_t n = pixels_of(in) * CHANNELS;
    for (size_t i = 0; i < n; i += CHANNELS)
        for (size_t c = 0; c < CHANNELS; c++)
            out->pixels[i + c] = tables[c][in->pixels[i + c]];
}

static void apply_to_all(const lookup table, const struct sl_image *in, struct sl_image *out)
{
    const size_t n = pixels_of(in) * CHANNELS;
    for (size_t i = 0; i < n; i++)
        out->pixels[i] = table[in->pixels[i]];
}

static void count_values(const struct sl_image *in, uint32_t counts[CHANNELS][VALUES])
{
    const size_t n = pixels_of(in) * CHANNELS;
    memset(counts, 0, sizeof(uint32_t[CHANNELS][VALUES]));
    for (size_t i = 0; i < n; i += CHANNELS)
        for (size_t c = 0; c < CHANNELS; c++)
            counts[c][in->pixels[i + c]]++;
}

static uint8_t clip(float x)
{
    return (uint8_t)(x < 0.0f ? 0.0f : x > 255.0f ? 255.0f : x);
}

/* Each channel: lowest value to 0, highest to 255. */
static void auto_contrast(const struct sl_randaug_call *call, const struct sl_image *in,
                          struct sl_image *out)
{
    (void)call;
    uint32_t counts[CHANNELS][VALUES];
    lookup tables[CHANNELS];
    count_values(in, counts);
    for (size_t c = 0; c < CHANNELS; c++) {
        int lowest = 0, highest = VALUES - 1;
        while (lowest < highest && counts[c][lowest] == 0)
            lowest++;
        while (highest > lowest && counts[c][highest] == 0)
            highest--;
        const bool flat = lowest == highest;
        const float scale = flat ? 1.0f : 255.0f / (float)(highest - lowest);
        const float offset = flat ? 0.0f : -(float)lowest * scale;
        for (int v = 0; v < VALUES; v++)
            tables[c][v] = clip((float)v * scale + offset);
    }
    apply((const lookup *)tables, in, out);
}

/* Each channel: values spread so that every one is about as frequent. */
static void equalize(const struct sl_randaug_call *call, const struct sl_image *in,
                     struct sl_image *out)
{
    (void)call;
    uint32_t counts[CHANNELS][VALUES];
    lookup tables[CHANNELS];
    count_values(in, counts);
    for (size_t c = 0; c < CHANNELS; c++) {
        int highest = VALUES - 1;
        while (highest > 0 && counts[c][highest] == 0)
            highest--;
        const size_t step = (pixels_of(in) - counts[c][highest]) / 255;
        size_t sum = step / 2; /* of the counts below v */
        for (size_t v = 0; v < VALUES; v++) {
            const size_t x = step ? sum / step : v;
            tables[c][v] = (uint8_t)(x < 255 ? x : 255);
            sum += counts[c][v];
        }
    }
    apply((const lookup *)tables, in, out);
}

static void invert(const struct sl_randaug_call *call, const struct sl_image *in,
                   struct sl_image *out)
{
    (void)call;
    const size_t n = pixels_of(in) * CHANNELS;
    for (size_t i = 0; i < n; i++)
        out->pixels[i] = (uint8_t)(255 - in->pixels[i]);
}

/* Keeps the upper bits; at least one, as a shift by 8 is clamped to 7 upstream. */
static void posterize(const struct sl_randaug_call *call, const struct sl_image *in,
                      struct sl_image *out)
{
    const int bits = (int)call->argument, shift = bits < 1 ? 7 : bits > 8 ? 0 : 8 - bits;
    const uint8_t mask = (uint8_t)(0xFF << shift);
    const size_t n = pixels_of(in) * CHANNELS;
    for (size_t i = 0; i < n; i++)
        out->pixels[i] = in->pixels[i] & mask;
}

static void solarize(const struct sl_randaug_call *call, const struct sl_image *in,
                     struct sl_image *out)
{
    lookup table;
    for (int v = 0; v < VALUES; v++)
        table[v] = (uint8_t)(v < (int)call->argument ? v : 255 - v);
    apply_to_all(table, in, out);
}

static void solarize_add(const struct sl_randaug_call *call, const struct sl_image *in,
                         struct sl_image *out)
{
    lookup table;
    for (int v = 0; v < VALUES; v++) {
        const int more = v + (int)call->argument;
        table[v] = (uint8_t)(v >= 128 ? v : more < 255 ? more : 255);
    }
    apply_to_all(table, in, out);
}

/* ---- blends: t = 0 is the degenerate image, 1 the image, more goes beyond it ---- */

static inline uint8_t blend(uint8_t degenerate, uint8_t value, float t)
{
    return clip((float)degenerate + t * (float)(value - degenerate));
}

/* TensorFlow's: through float in 0 .. 1, and back by 255.5 and truncation. */
static inline uint8_t grey_of(const uint8_t *p)
{
    const float unit = 1.0f / 255.0f;
    const float red = (float)p[0] * unit, green = (float)p[1] * unit, blue = (float)p[2] * unit;
    return (uint8_t)((0.2989f * red + 0.587f * green + 0.114f * blue) * 255.5f);
}

static void blend_with_value(uint8_t degenerate, float t, const struct sl_image *in,
                             struct sl_image *out)
{
    lookup table;
    for (int v = 0; v < VALUES; v++)
        table[v] = blend(degenerate, (uint8_t)v, t);
    apply_to_all(table, in, out);
}

static void color(const struct sl_randaug_call *call, const struct sl_image *in,
                  struct sl_image *out)
{
    const float t = (float)call->argument;
    const size_t n = pixels_of(in) * CHANNELS;
    for (size_t i = 0; i < n; i += CHANNELS) {
        const uint8_t grey = grey_of(in->pixels + i);
        for (size_t c = 0; c < CHANNELS; c++)
            out->pixels[i + c] = blend(grey, in->pixels[i + c], t);
    }
}

static void contrast(const struct sl_randaug_call *call, const struct sl_image *in,
                     struct sl_image *out)
{
    const size_t n = pixels_of(in);
    size_t mean;
    if (call->compat == SL_COMPAT_BIG_VISION) {
        mean = n / VALUES;
    } else {
        size_t sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += grey_of(in->pixels + i * CHANNELS);
        mean = sum / n;
    }
    blend_with_value((uint8_t)(mean < 255 ? mean : 255), (float)call->argument, in, out);
}

static void brightness(const struct sl_randaug_call *call, const struct sl_image *in,
                       struct sl_image *out)
{
    blend_with_value(0, (float)call->argument, in, out);
}

/* Against a smoothed image, [1 1 1; 1 5 1; 1 1 1] / 13; pixels of the border stay as they are. */
static void sharpness(const struct sl_randaug_call *call, const struct sl_image *in,
                      struct sl_image *out)
{
    const float t = (float)call->argument;
    const size_t row = in->w * CHANNELS;
    memcpy(out->pixels, in->pixels, in->h * row);
    for (size_t y = 1; y + 1 < in->h; y++) {
        for (size_t x = CHANNELS; x + CHANNELS < row; x++) {
            const uint8_t *p = in->pixels + y * row + x, *up = p - row, *down = p + row;
            const int sum = up[-CHANNELS] + up[0] + up[CHANNELS] + p[-CHANNELS] + 5 * p[0] +
                            p[CHANNELS] + down[-CHANNELS] + down[0] + down[CHANNELS];
            out->pixels[y * row + x] = blend((uint8_t)(sum / 13), p[0], t);
        }
    }
}

/* ---- geometry ---- */

/* Output (x, y) is the input pixel nearest to (m0 x + m1 y + m2, m3 x + m4 y + m5), halves away
 * from 0. */
static void warp(const float m[6], const struct sl_image *in, struct sl_image *out)
{
    const float right = (float)in->w - 0.5f, bottom = (float)in->h - 0.5f;
    uint8_t *dst = out->pixels;
    for (size_t y = 0; y < in->h; y++) {
        for (size_t x = 0; x < in->w; x++, dst += CHANNELS) {
            const float sx = m[0] * (float)x + m[1] * (float)y + m[2];
            const float sy = m[3] * (float)x + m[4] * (float)y + m[5];
            if (sx > -0.5f && sx < right && sy > -0.5f && sy < bottom) {
                /* in double, as the sum of a float and 1/2 may round up to the next pixel */
                const size_t column = (size_t)((double)sx + 0.5), row = (size_t)((double)sy + 0.5);
                memcpy(dst, in->pixels + (row * in->w + column) * CHANNELS, CHANNELS);
            } else {
                memset(dst, FILL, CHANNELS);
            }
        }
    }
}

static void rotate(const struct sl_randaug_call *call, const struct sl_image *in,
                   struct sl_image *out)
{
    const double angle = call->argument * 3.14159265358979323846 / 180.0;
    const float s = (float)sin(angle), c = (float)cos(angle);
    const float w = (float)(in->w - 1), h = (float)(in->h - 1);
    const float x = (w - (c * w - s * h)) / 2.0f, y = (h - (s * w + c * h)) / 2.0f;
    warp((const float[6]){c, -s, x, s, c, y}, in, out);
}

static void shear_x(const struct sl_randaug_call *call, const struct sl_image *in,
                    struct sl_image *out)
{
    warp((const float[6]){1, (float)call->argument, 0, 0, 1, 0}, in, out);
}

static void shear_y(const struct sl_randaug_call *call, const struct sl_image *in,
                    struct sl_image *out)
{
    warp((const float[6]){1, 0, 0, (float)call->argument, 1, 0}, in, out);
}

static void translate_x(const struct sl_randaug_call *call, const struct sl_image *in,
                        struct sl_image *out)
{
    warp((const float[6]){1, 0, (float)call->argument, 0, 1, 0}, in, out);
}

static void translate_y(const struct sl_randaug_call *call, const struct sl_image *in,
                        struct sl_image *out)
{
    warp((const float[6]){1, 0, 0, 0, 1, (float)call->argument}, in, out);
}

/* The part of center - half .. center + half - 1 that lies in 0 .. n - 1. */
static void clipped_range(size_t center, size_t half, size_t n, size_t *first, size_t *end)
{
    *first = center > half ? center - half : 0;
    *end = half < n - center ? center + half : n;
}

static void cutout(const struct sl_randaug_call *call, const struct sl_image *in,
                   struct sl_image *out)
{
    const size_t half = (size_t)call->argument;
    size_t top, bottom, left, right;
    clipped_range((size_t)sl_rng_below(call->rng, in->h), half, in->h, &top, &bottom);
    clipped_range((size_t)sl_rng_below(call->rng, in->w), half, in->w, &left, &right);
    memcpy(out->pixels, in->pixels, pixels_of(in) * CHANNELS);
    for (size_t y = top; y < bottom; y++)
        memset(out->pixels + (y * in->w + left) * CHANNELS, FILL, (right - left) * CHANNELS);
}

/* ---- the table ---- */

const struct sl_randaug_op sl_randaug_ops[SL_N_RANDAUG_OPS] = {
    {"AutoContrast", SL_RANDAUG_NONE, 0, 0, auto_contrast},
    {"Equalize", SL_RANDAUG_NONE, 0, 0, equalize},
    {"Invert", SL_RANDAUG_NONE, 0, 0, invert},
    {"Rotate", SL_RANDAUG_SIGNED, 30, 0, rotate}, /* degrees */
    {"Posterize", SL_RANDAUG_WHOLE, 4, 0, posterize},
    {"Solarize", SL_RANDAUG_WHOLE, 256, 0, solarize},
    {"SolarizeAdd", SL_RANDAUG_WHOLE, 110, 0, solarize_add},
    {"Color", SL_RANDAUG_REAL, 1.8, 0.1, color},
    {"Contrast", SL_RANDAUG_REAL, 1.8, 0.1, contrast},
    {"Brightness", SL_RANDAUG_REAL, 1.8, 0.1, brightness},
    {"Sharpness", SL_RANDAUG_REAL, 1.8, 0.1, sharpness},
    {"ShearX", SL_RANDAUG_SIGNED, 0.3, 0, shear_x},
    {"ShearY", SL_RANDAUG_SIGNED, 0.3, 0, shear_y},
    {"TranslateX", SL_RANDAUG_SIGNED, 100, 0, translate_x},
    {"TranslateY", SL_RANDAUG_SIGNED, 100, 0, translate_y},
    {"Cutout", SL_RANDAUG_WHOLE, 40, 0, cutout},
};

/* The threshold: upstream's wraps around; the one meant falls from 256 (no change) to 0 (all
 * inverted) while the magnitude grows, as torchvision's does. */
static double solarize_threshold(double x, enum sl_compat compat)
{
    return compat == SL_COMPAT_BIG_VISION ? fmod(x, 256) : 256 - fmin(x, 256);
}

double sl_randaug_argument(const struct sl_randaug_op *op, double magnitude, enum sl_compat compat)
{
    const double x = op->scale * (magnitude / 10) + op->offset;
    if (op->run == solarize)
        return solarize_threshold(trunc(x), compat);
    return op->form == SL_RANDAUG_WHOLE ? trunc(x) : x;
}

sl_status sl_randaug_layer(double magnitude, enum sl_compat compat, const struct sl_image *in,
                           sl_rng *rng, struct sl_image *out)
{
    const struct sl_randaug_op *op = &sl_randaug_ops[sl_rng_below(rng, SL_N_RANDAUG_OPS)];
    struct sl_randaug_call call = {sl_randaug_argument(op, magnitude, compat), compat, rng};
    SL_TRY(sl_image_resize_buffer(out, in->h, in->w));
    if (op->form == SL_RANDAUG_SIGNED && sl_rng_u32(rng) >> 31)
        call.argument = -call.argument;
    op->run(&call, in, out);
    return SL_OK;
}
