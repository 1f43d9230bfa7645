/*
 * What happens inside attention: figures of each head, from its weights on one image, and a picture
 * of where they go.
 */
#ifndef SL_EVAL_EXPLAIN_H
#define SL_EVAL_EXPLAIN_H

#include "image/image.h"
#include "model/model.h"
#include "softless_explain.h"

/* Tokens of an image: `prefix` class and register tokens, then patches, row by row. */
struct sl_token_grid {
    size_t length, prefix, rows, columns, patch; /* length = prefix + rows * columns; pixels */
    bool class_query;                            /* the class token is what is read out */
};
struct sl_token_grid sl_token_grid_of(const struct sl_vit_config *vit);

/* weights [L, L], a row for each query. */
void sl_head_figures_of(const struct sl_token_grid *grid, const float *weights, sl_head_figures *x);
/* map [rows, columns]: what each patch gets, from the class token, else the mean over the patches'
 * queries. */
void sl_head_map_of(const struct sl_token_grid *grid, const float *weights, float *map);

/* A row of the picture for each block: the mean of its heads, then head after head. maps [depth,
 * heads, rows, columns]; image: what the model saw. Orange is weight, blue is negative weight, each
 * cell by its own largest. */
sl_status sl_attention_picture(const struct sl_image *image, const struct sl_token_grid *grid,
                               size_t depth, size_t heads, const float *maps,
                               struct sl_image *picture);

#endif
