/*
 * Attention maps over the image, one cell for each head: the image in dim grey, and on it the
 * weight of every patch in orange, negative weight in blue (of Okabe and Ito's colours, which
 * colour-blind eyes tell apart).
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "eval/explain.h"

enum { CELL_SIDE = 112, GAP = 4 }; /* pixels: the longer side of a cell; between cells */

static const uint8_t positive[3] = {230, 159, 0}, negative[3] = {0, 114, 178};

struct canvas {
    const struct sl_token_grid *grid;
    struct sl_image cell; /* the image at the size of a cell */
    struct sl_image *picture;
};

static double grey_of(const uint8_t *rgb)
{
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
}

static void draw_cell(const struct canvas *c, size_t row, size_t column, const float *map)
{
    const struct sl_token_grid *g = c->grid;
    const size_t h = c->cell.h, w = c->cell.w;
    float largest = 0;
    for (size_t i = 0; i < g->rows * g->columns; i++)
        largest = fmaxf(largest, fabsf(map[i]));
    for (size_t y = 0; y < h; y++)
        for (size_t x = 0; x < w; x++) {
            const float v = map[y * g->rows / h * g->columns + x * g->columns / w];
            const double share = largest > 0 ? (double)(fabsf(v) / largest) : 0;
            const uint8_t *colour = v < 0 ? negative : positive;
            const double base = 0.45 * grey_of(c->cell.pixels + (y * w + x) * 3);
            uint8_t *to =
                c->picture->pixels +
                ((GAP + row * (h + GAP) + y) * c->picture->w + GAP + column * (w + GAP) + x) * 3;
            for (size_t k = 0; k < 3; k++)
                to[k] = (uint8_t)lrint((1 - share) * base + share * colour[k]);
        }
}

static void draw_block(const struct canvas *c, size_t block, size_t heads, const float *maps,
                       float *mean)
{
    const size_t n = c->grid->rows * c->grid->columns;
    memset(mean, 0, n * sizeof *mean);
    for (size_t head = 0; head < heads; head++) {
        const float *map = maps + (block * heads + head) * n;
        for (size_t i = 0; i < n; i++)
            mean[i] += map[i] / (float)heads;
        draw_cell(c, block, head + 1, map);
    }
    draw_cell(c, block, 0, mean);
}

sl_status sl_attention_picture(const struct sl_image *image, const struct sl_token_grid *grid,
                               size_t depth, size_t heads, const float *maps,
                               struct sl_image *picture)
{
    const size_t side = image->h > image->w ? image->h : image->w;
    const size_t h = (image->h * CELL_SIDE + side - 1) / side,
                 w = (image->w * CELL_SIDE + side - 1) / side;
    struct canvas c = {.grid = grid, .picture = picture};
    float *mean = NULL;
    sl_status st;
    SL_TRY(sl_image_resize(image, 0, 0, (double)image->h, (double)image->w, h, w,
                           SL_FILTER_BILINEAR, &c.cell));
    SL_TRY_FREE(SL_NEW(mean, grid->rows * grid->columns));
    SL_TRY_FREE(
        sl_image_resize_buffer(picture, GAP + depth * (h + GAP), GAP + (heads + 1) * (w + GAP)));
    memset(picture->pixels, 255, picture->h * picture->w * 3);
    for (size_t block = 0; block < depth; block++)
        draw_block(&c, block, heads, maps, mean);
fail:
    sl_free(mean);
    sl_image_free(&c.cell);
    return st;
}
