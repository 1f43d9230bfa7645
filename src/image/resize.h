/*
 * Resizing a view of an image: what a crop followed by a resize needs, without copying the crop.
 */
#ifndef SL_IMAGE_RESIZE_H
#define SL_IMAGE_RESIZE_H

#include "image/image.h"

struct sl_view {
    const uint8_t *pixels; /* [h, w, 3], rows `stride` bytes apart, borrowed */
    size_t stride, h, w;
};

/* A rectangle of an image; it must lie inside. */
struct sl_view sl_image_view(const struct sl_image *img, size_t y, size_t x, size_t h, size_t w);

/* In pixels of the view; edges are rounded to float, as Pillow does. */
struct sl_box {
    double y, x, h, w;
};

sl_status sl_view_resize(const struct sl_view *src, const struct sl_box *box, size_t h, size_t w,
                         enum sl_filter filter, struct sl_image *dst);
/* The whole view, by any filter. */
sl_status sl_view_resize_whole(const struct sl_view *src, size_t h, size_t w, enum sl_filter filter,
                               struct sl_image *dst);

#endif
