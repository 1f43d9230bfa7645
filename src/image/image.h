/*
 * Bytes -> pixels: decoders, resize, crops. Images are u8 [h, w, 3], RGB, row-major.
 */
#ifndef SL_IMAGE_IMAGE_H
#define SL_IMAGE_IMAGE_H

#include "base/error.h"
#include "base/rng.h"
#include "config/config.h"

/* Limits of what is decoded or made; bytes of a file, pixels of a side and of an image, and passes
 * over the data of one JPEG. (libjpeg itself stops at sides of 65,500.) */
enum {
    SL_IMAGE_MAX_FILE = 64 << 20,
    SL_IMAGE_MAX_SIDE = 65535,
    SL_IMAGE_MAX_PIXELS = 64 << 20,
    SL_IMAGE_MAX_SCANS = 500
};

struct sl_image {
    size_t h, w;
    uint8_t *pixels; /* [h, w, 3], owned */
    size_t capacity; /* bytes, so that a buffer can be reused */
};
/* Makes room for h x w; keeps the buffer when it is large enough. The pixels are unspecified. */
sl_status sl_image_resize_buffer(struct sl_image *img, size_t h, size_t w);
void sl_image_free(struct sl_image *img);

struct sl_rectangle {
    size_t y, x, h, w;
};

/* JPEG or PNG by the first bytes; grey becomes three channels, alpha is dropped, 16 bits become 8.
 * CMYK becomes RGB by the formula in jpeg.c. Truncated or damaged files and files over a limit are
 * SL_ERR_DATA; what: name for errors. img (zero-initialised or in use) is untouched on failure. */
sl_status sl_image_decode(const void *bytes, size_t n, const char *what, struct sl_image *img);

/* Which rectangle of an image of h x w is wanted; it must lie inside and not be empty. */
struct sl_part {
    struct sl_rectangle (*choose)(void *arg, size_t h, size_t w);
    void *arg;
};
/* sl_image_decode for whoever decodes many: img's buffer is reused, its content unspecified on
 * failure; and with a part (else NULL) img becomes that rectangle, bit for bit what cutting it out
 * of the whole image leaves, without the work for the pixels outside. Damage anywhere in the file
 * is found all the same. `choose` is called once, when the header is read. */
sl_status sl_image_decode_part(const void *bytes, size_t n, const char *what,
                               const struct sl_part *part, struct sl_image *img);

/* Encodes for tests and figures. Exclusive creation is not asked for: replaces atomically. */
sl_status sl_image_write_png(const char *path, const struct sl_image *img);

enum sl_filter {
    SL_FILTER_BILINEAR, /* the first two: antialiased, bit-equal to Pillow's */
    SL_FILTER_BICUBIC,
    SL_FILTER_TF_BILINEAR, /* the others: TensorFlow's, truncated; this one not antialiased */
    SL_FILTER_TF_AREA
};
/* The box (y0, x0, bh, bw) of src, in pixels, resized to h x w. As in Pillow, pixels outside the
 * box but inside src weigh in at its border. dst is another image than src; its buffer also holds
 * the tables and the rows between the two passes, so that a reused dst costs no allocation. Only
 * Pillow's filters take a box. */
sl_status sl_image_resize(const struct sl_image *src, double y0, double x0, double bh, double bw,
                          size_t h, size_t w, enum sl_filter filter, struct sl_image *dst);

/* ---- input pipelines ---- */
struct sl_pipeline; /* a compiled list of ops */
/* Compiles op strings; SL_ERR_CONFIG with the nearest op name. A final op that does not leave
 * out_h x out_w is found here where sizes are fixed, else when it runs. */
sl_status sl_pipeline_create(const struct sl_pipeline_config *config, enum sl_compat compat,
                             size_t out_h, size_t out_w, struct sl_pipeline **pipeline);
void sl_pipeline_free(struct sl_pipeline **pipeline);
/* Valid ops that end in images of from[0] x from[1] pixels, made to end in to[0] x to[1]. */
sl_status sl_pipeline_scale(const struct sl_pipeline_config *ops, const size_t from[2],
                            const size_t to[2], struct sl_pipeline_config *out);
/* Every op with its arguments and meaning, for --help. *text is freed by the caller (sl_free). */
sl_status sl_pipeline_help(char **text);
/* Runs on one image; random ops draw from rng only. dst [out_h, out_w, 3]. work: reusable buffers,
 * zero-initialised [2] by the caller, one pair per thread. */
sl_status sl_pipeline_run(const struct sl_pipeline *pipeline, const struct sl_image *src,
                          sl_rng *rng, struct sl_image work[2], uint8_t *dst);
/* True if the pipeline begins with a random crop: then sl_pipeline_draw_crop draws it from a size
 * alone, and sl_pipeline_run_crop, with the same rng, runs everything else on the crop's pixels:
 * together the same as sl_pipeline_run. */
bool sl_pipeline_crops(const struct sl_pipeline *pipeline);
struct sl_rectangle sl_pipeline_draw_crop(const struct sl_pipeline *pipeline, size_t h, size_t w,
                                          sl_rng *rng);
sl_status sl_pipeline_run_crop(const struct sl_pipeline *pipeline, const struct sl_image *crop,
                               sl_rng *rng, struct sl_image work[2], uint8_t *dst);
/* Leading ops that draw nothing. */
size_t sl_pipeline_fixed_ops(const struct sl_pipeline *pipeline);
/* sl_pipeline_run in two parts, so that the leading ops need to run only once per image: *out is
 * src or one of work, borrowed; it, or a copy of it, goes into the second part. */
sl_status sl_pipeline_run_fixed(const struct sl_pipeline *pipeline, const struct sl_image *src,
                                struct sl_image work[2], const struct sl_image **out);
sl_status sl_pipeline_run_random(const struct sl_pipeline *pipeline, const struct sl_image *fixed,
                                 sl_rng *rng, struct sl_image work[2], uint8_t *dst);

#endif
