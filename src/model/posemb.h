/*
 * Position embeddings brought to another grid of patches.
 */
#ifndef SL_MODEL_POSEMB_H
#define SL_MODEL_POSEMB_H

#include "base/error.h"

enum sl_posemb_filter {
    SL_POSEMB_ALIGNED, /* linear, corners on corners: big_vision (scipy.ndimage.zoom, order 1) */
    SL_POSEMB_BICUBIC, /* half-pixel centres, antialiased, a = -1/2: timm */
    SL_POSEMB_CUBIC,   /* half-pixel centres, a = -3/4, never antialiased: PyTorch, DINOv2 */
    SL_POSEMB_FILTERS
};

/* What the log says, "bicubic, antialiased"; filter is below SL_POSEMB_FILTERS. */
const char *sl_posemb_description(enum sl_posemb_filter filter);
/* By the name that users give: linear, antialiased, bicubic. SL_ERR_ARGUMENT names them. */
sl_status sl_posemb_filter_find(const char *name, enum sl_posemb_filter *filter);

/* src [old_h, old_w, D] -> dst [h, w, D]; equal grids are copied. */
sl_status sl_posemb_resample(enum sl_posemb_filter filter, const float *src, size_t old_h,
                             size_t old_w, float *dst, size_t h, size_t w, size_t D);

/* Fixed positions dst [N, D] of a grid with `columns` columns (recipe.md 8): sin and cos of column
 * and row over D/4 wave lengths from 1 to 10000. */
void sl_posemb_sincos2d(size_t columns, size_t N, size_t D, float *dst);

#endif
