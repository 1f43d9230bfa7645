/*
 * Weights of other projects read into our parameters.
 */
#ifndef SL_MODEL_IMPORT_H
#define SL_MODEL_IMPORT_H

#include "model/model.h"

struct sl_import {
    const char *part; /* the model inside a file that holds several ("img"), or NULL */
    size_t heads;     /* 0 = as the file says; torch's files do not */
    size_t image_height, image_width; /* 0 = the grid the file was trained with, square */
    /* Pixels the network was trained on: (x/255 - mean) / std per channel. Where that is not
     * [-1, 1] it is folded into the patch embedding, whose input here is [-1, 1]. */
    double mean[3], std[3];
    const char *positions; /* linear, antialiased, bicubic; NULL = as the file's project does */
};

/* big_vision's npz, timm's and torchvision's safetensors. vit: the architecture, softmax attention;
 * table and params (sl_free, [table->floats]) are made. Every tensor that is missing, unexpected or
 * of a wrong shape is an SL_ERR_DATA that names it. */
sl_status sl_import_read(const char *path, const struct sl_import *options,
                         struct sl_vit_config *vit, struct sl_param_table *table, float **params);

#endif
