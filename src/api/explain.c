/*
 * sl_model_explain_file: one pass over one image with its weights tapped; figures, picture and the
 * weights themselves as an npy file.
 */
#include <stdio.h>
#include <string.h>

#include "api/model.h"
#include "base/alloc.h"
#include "base/io.h"
#include "eval/explain.h"

struct explanation {
    struct sl_token_grid grid;
    size_t depth, heads;
    sl_head_figures *figures; /* [depth, heads] or NULL */
    float *maps;              /* [depth, heads, rows, columns] or NULL */
    sl_writer *npy;           /* or NULL */
};

static sl_status take(void *user, size_t block, size_t head, const float *weights)
{
    struct explanation *e = user;
    const size_t i = block * e->heads + head, L = e->grid.length;
    if (e->figures)
        sl_head_figures_of(&e->grid, weights, &e->figures[i]);
    if (e->maps)
        sl_head_map_of(&e->grid, weights, e->maps + i * e->grid.rows * e->grid.columns);
    return e->npy ? sl_writer_write(e->npy, weights, L * L * sizeof *weights) : SL_OK;
}

/* Format 1.0: magic, version, length of the text, text padded to a multiple of 64 bytes. */
static sl_status write_npy_header(const struct explanation *e)
{
    char text[256] = {0};
    enum { FIXED = 10 };
    const int n = snprintf(text, sizeof text,
                           "\x93NUMPY\x01%c%c%c{'descr': '<f4', 'fortran_order': False, "
                           "'shape': (%zu, %zu, %zu, %zu), }",
                           0, 0, 0, e->depth, e->heads, e->grid.length, e->grid.length);
    const size_t size = ((size_t)n + 1 + 63) / 64 * 64;
    memset(text + n, ' ', size - (size_t)n - 1);
    text[size - 1] = '\n';
    text[8] = (char)(size - FIXED);
    return sl_writer_write(e->npy, text, size);
}

static sl_status draw(const struct explanation *e, const uint8_t *pixels,
                      const struct sl_vit_config *vit, const char *path)
{
    const size_t bytes = vit->image_height * vit->image_width * 3;
    struct sl_image image = {0}, picture = {0};
    sl_status st;
    SL_TRY(sl_image_resize_buffer(&image, vit->image_height, vit->image_width));
    memcpy(image.pixels, pixels, bytes);
    SL_TRY_FREE(sl_attention_picture(&image, &e->grid, e->depth, e->heads, e->maps, &picture));
    SL_TRY_FREE(sl_image_write_png(path, &picture));
fail:
    sl_image_free(&image);
    sl_image_free(&picture);
    return st;
}

/* The pass; the weights go to PART, which becomes the npy file when they are whole. */
static sl_status tapped_pass(sl_model *model, struct explanation *e, const uint8_t *pixels,
                             const char *npy, const char *part, float *logits)
{
    const struct sl_weights_sink sink = {.take = take, .user = e};
    struct sl_net *net;
    const float *out;
    SL_TRY(sl_model_net(model, 1, &net));
    if (part) {
        sl_io.unlink(part); /* left over from a killed process; absent is fine */
        SL_TRY(sl_writer_open(part, &e->npy));
        SL_TRY(write_npy_header(e));
    }
    SL_TRY(sl_net_tap_weights(net, &sink));
    const sl_status st = sl_net_forward(net, pixels, 1, 1.0f, &out);
    sl_net_tap_weights(net, NULL);
    SL_TRY(st);
    if (logits)
        SL_TRY(model->dev->ops->download(model->dev, logits, out,
                                         model->meta.vit.classes * sizeof *logits));
    if (!part)
        return SL_OK;
    SL_TRY(sl_writer_close(&e->npy, true, NULL, NULL));
    return sl_rename_sync(part, npy);
}

sl_status sl_model_explain_file(sl_model *model, const char *path,
                                const sl_explain_options *options, sl_head_figures *figures,
                                float *logits)
{
    if (!model || !path || !options)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_model_explain_file: model, path and options must not be NULL");
    const struct sl_vit_config *v = &model->meta.vit;
    struct explanation e = {
        .grid = sl_token_grid_of(v), .depth = v->depth, .heads = v->heads, .figures = figures};
    uint8_t *pixels = NULL;
    char *part = NULL;
    sl_status st;
    SL_TRY(sl_model_read_image(model, path, &pixels));
    if (options->png)
        SL_TRY_FREE(SL_NEW(e.maps, e.depth * e.heads * e.grid.rows * e.grid.columns));
    if (options->npy && !(part = sl_asprintf("%s.part", options->npy)))
        SL_TRY_FREE(SL_ERR_MEMORY);
    SL_TRY_FREE(tapped_pass(model, &e, pixels, options->npy, part, logits));
    if (options->png)
        SL_TRY_FREE(draw(&e, pixels, v, options->png));
fail:
    if (e.npy) {
        sl_writer_abandon(&e.npy);
        sl_io.unlink(part);
    }
    sl_free(part);
    sl_free(e.maps);
    sl_free(pixels);
    return st;
}
