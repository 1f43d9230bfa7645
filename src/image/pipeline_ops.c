/*
 * The ops of input pipelines: a table, and one function each. A random op draws from the rng it is
 * given and from nothing else, so that the result depends on the address of the draw alone.
 */
#include "image/pipeline.h"

#include <math.h>
#include <string.h>

#include "image/crop.h"
#include "image/randaug.h"
#include "image/resize.h"

static sl_status resize_whole(const struct sl_image *in, size_t h, size_t w, enum sl_filter filter,
                              struct sl_image *out)
{
    const struct sl_view view = sl_image_view(in, 0, 0, in->h, in->w);
    return sl_view_resize_whole(&view, h, w, filter, out);
}

static sl_status run_resize(const struct sl_op_args *args, const struct sl_image *in, sl_rng *rng,
                            struct sl_image *out)
{
    (void)rng;
    return resize_whole(in, args->h, args->w, args->filter, out);
}

static sl_status run_resize_small(const struct sl_op_args *args, const struct sl_image *in,
                                  sl_rng *rng, struct sl_image *out)
{
    (void)rng;
    /* float and half to even, as in TensorFlow */
    const float factor = (float)args->pixels / (float)(in->h < in->w ? in->h : in->w);
    const size_t h = (size_t)rintf((float)in->h * factor);
    const size_t w = (size_t)rintf((float)in->w * factor);
    return resize_whole(in, h, w, args->filter, out);
}

static sl_status copy_crop(const struct sl_image *in, size_t y, size_t x, size_t h, size_t w,
                           struct sl_image *out)
{
    SL_TRY(sl_image_resize_buffer(out, h, w));
    const struct sl_view view = sl_image_view(in, y, x, h, w);
    for (size_t row = 0; row < h; row++)
        memcpy(out->pixels + row * w * 3, view.pixels + row * view.stride, w * 3);
    return SL_OK;
}

static sl_status run_central_crop(const struct sl_op_args *args, const struct sl_image *in,
                                  sl_rng *rng, struct sl_image *out)
{
    (void)rng;
    if (in->h < args->h || in->w < args->w)
        SL_FAIL(SL_ERR_DATA,
                "central_crop(%zux%zu) on an image of %zu x %zu pixels: put a resize before it",
                args->h, args->w, in->h, in->w);
    return copy_crop(in, (in->h - args->h) / 2, (in->w - args->w) / 2, args->h, args->w, out);
}

/* ---- random crops ---- */

static struct sl_rectangle inception_crop(const struct sl_op_args *args, size_t h, size_t w,
                                          sl_rng *rng)
{
    return sl_crop_inception(h, w, args->real[0], args->real[1], rng);
}

static struct sl_rectangle random_resized_crop(const struct sl_op_args *args, size_t h, size_t w,
                                               sl_rng *rng)
{
    return sl_crop_torchvision(h, w, args->real[0], args->real[1], rng);
}

static sl_status check_areas(const struct sl_op_args *args)
{
    if (args->real[0] > args->real[1])
        SL_FAIL(SL_ERR_CONFIG, "min_area %g is larger than max_area %g", args->real[0],
                args->real[1]);
    return SL_OK;
}

/* ---- pad_crop, flip_lr, randaug ---- */

static sl_status run_pad_crop(const struct sl_op_args *args, const struct sl_image *in, sl_rng *rng,
                              struct sl_image *out)
{
    const size_t pad = args->pixels, h = in->h, w = in->w;
    SL_TRY(sl_image_resize_buffer(out, h, w));
    /* The crop's place in the padded image; row y of the crop is row y + top - pad of the input. */
    const size_t top = (size_t)sl_rng_below(rng, 2 * pad + 1);
    const size_t left = (size_t)sl_rng_below(rng, 2 * pad + 1);
    const size_t from = left > pad ? left - pad : 0, to = left < pad ? pad - left : 0;
    const size_t n = w > from + to ? w - from - to : 0;
    memset(out->pixels, 0, h * w * 3);
    for (size_t y = 0; y < h && n > 0; y++) {
        if (y + top < pad || y + top - pad >= h)
            continue;
        memcpy(out->pixels + (y * w + to) * 3, in->pixels + ((y + top - pad) * w + from) * 3,
               n * 3);
    }
    return SL_OK;
}

static sl_status run_flip_lr(const struct sl_op_args *args, const struct sl_image *in, sl_rng *rng,
                             struct sl_image *out)
{
    (void)args;
    const size_t h = in->h, w = in->w;
    SL_TRY(sl_image_resize_buffer(out, h, w));
    if (sl_rng_u32(rng) >> 31 == 0) {
        memcpy(out->pixels, in->pixels, h * w * 3);
        return SL_OK;
    }
    for (size_t y = 0; y < h; y++) {
        const uint8_t *src = in->pixels + y * w * 3;
        uint8_t *dst = out->pixels + (y + 1) * w * 3;
        for (size_t x = 0; x < w; x++, src += 3) {
            dst -= 3;
            dst[0] = src[0];
            dst[1] = src[1];
            dst[2] = src[2];
        }
    }
    return SL_OK;
}

static sl_status run_randaug(const struct sl_op_args *args, const struct sl_image *in, sl_rng *rng,
                             struct sl_image *out)
{
    return sl_randaug_layer(args->real[0], args->compat, in, rng, out);
}

/* ---- the table ---- */

#define SIZE_PARAM                                                                                 \
    {                                                                                              \
        .name = "size", .kind = SL_PARAM_SIZE, .min = 1, .max = SL_IMAGE_MAX_SIDE                  \
    }
#define FILTER_PARAM                                                                               \
    {                                                                                              \
        .name = "filter", .kind = SL_PARAM_FILTER, .optional = true                                \
    }

const struct sl_op sl_ops[SL_N_OPS] = {
    {"resize",
     {SIZE_PARAM, FILTER_PARAM},
     SL_OP_SIZE_SET,
     NULL,
     run_resize,
     NULL,
     "resizes the whole image, aspect not kept",
     .random = false},
    {"resize_small",
     {{.name = "side", .kind = SL_PARAM_PIXELS, .min = 1, .max = SL_IMAGE_MAX_SIDE}, FILTER_PARAM},
     SL_OP_SIZE_VARIES,
     NULL,
     run_resize_small,
     NULL,
     "resizes so that the shorter side has this many pixels, aspect kept",
     .random = false},
    {"central_crop",
     {SIZE_PARAM},
     SL_OP_SIZE_CROPPED,
     NULL,
     run_central_crop,
     NULL,
     "cuts out the middle; the image must not be smaller",
     .random = false},
    {"inception_crop",
     {SIZE_PARAM,
      {.name = "min_area",
       .kind = SL_PARAM_REAL,
       .optional = true,
       .min = 1e-6,
       .max = 1,
       .value = 0.05},
      {.name = "max_area",
       .kind = SL_PARAM_REAL,
       .optional = true,
       .min = 1e-6,
       .max = 1,
       .value = 1},
      {.name = "filter",
       .kind = SL_PARAM_FILTER,
       .optional = true,
       .value = SL_FILTER_TF_BILINEAR}},
     SL_OP_SIZE_SET,
     check_areas,
     NULL,
     inception_crop,
     "resizes a random part, drawn as TensorFlow does: width over height between 0.75 and 1.33, "
     "small parts more often than random_resized_crop",
     .random = true},
    {"random_resized_crop",
     {SIZE_PARAM,
      {.name = "min_area",
       .kind = SL_PARAM_REAL,
       .optional = true,
       .min = 1e-6,
       .max = 1,
       .value = 0.08},
      {.name = "max_area",
       .kind = SL_PARAM_REAL,
       .optional = true,
       .min = 1e-6,
       .max = 1,
       .value = 1},
      FILTER_PARAM},
     SL_OP_SIZE_SET,
     check_areas,
     NULL,
     random_resized_crop,
     "resizes a random part, drawn as torchvision does: its share of the area between min_area and "
     "max_area, width over "
     "height between 3/4 and 4/3",
     .random = true},
    {"pad_crop",
     {{.name = "pad", .kind = SL_PARAM_PIXELS, .min = 1, .max = 1024}},
     SL_OP_SIZE_KEPT,
     NULL,
     run_pad_crop,
     NULL,
     "pads all sides with black, then cuts out the old size at a random place",
     .random = true},
    {"flip_lr",
     {{.name = NULL}},
     SL_OP_SIZE_KEPT,
     NULL,
     run_flip_lr,
     NULL,
     "mirrors left and right, every other time at random",
     .random = true},
    {"randaug",
     {{.name = "layers", .kind = SL_PARAM_PIXELS, .min = 1, .max = 16},
      {.name = "magnitude", .kind = SL_PARAM_REAL, .min = 0, .max = 30}},
     SL_OP_SIZE_KEPT,
     NULL,
     run_randaug,
     NULL,
     "RandAugment: so many of its 16 operations, drawn at random, at a magnitude up to 30 (0 is "
     "not nothing); see data.compat",
     .random = true,
     .layers = true},
};
