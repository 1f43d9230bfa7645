/*
 * A model from another project's weights, behind the public header.
 */
#include <stdio.h>
#include <string.h>

#include "api/model.h"
#include "base/alloc.h"
#include "model/import.h"

/* As these models are evaluated: the shorter side 256 for 224 pixels, then the middle. */
static void choose_preprocessing(const struct sl_vit_config *v, struct sl_data_config *data)
{
    struct sl_config defaults;
    sl_config_defaults(&defaults);
    *data = defaults.data;
    const size_t side = v->image_height;
    if (side == v->image_width) {
        data->eval_ops.n = 2;
        snprintf(data->eval_ops.ops[0], SL_NAME_MAX, "resize_small(%zu)", (side * 8 + 6) / 7);
        snprintf(data->eval_ops.ops[1], SL_NAME_MAX, "central_crop(%zu)", side);
    } else {
        data->eval_ops.n = 1;
        snprintf(data->eval_ops.ops[0], SL_NAME_MAX, "resize(%zux%zu)", side, v->image_width);
    }
}

sl_status sl_model_import(sl_context *ctx, const char *path, const sl_import_options *options,
                          sl_model **model)
{
    static const double half[3] = {0.5, 0.5, 0.5};
    const sl_import_options none = {0}, *o = options ? options : &none;
    struct sl_import import = {.part = o->part,
                               .heads = o->heads,
                               .image_height = o->image_height,
                               .image_width = o->image_width,
                               .positions = o->positions};
    sl_model *m = NULL;
    sl_status st;
    if (!ctx || !path || !model)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_model_import: ctx, path and model must not be NULL");
    memcpy(import.mean, o->mean ? o->mean : half, sizeof half);
    memcpy(import.std, o->std ? o->std : half, sizeof half);
    for (size_t c = 0; c < 3; c++)
        if (!(import.std[c] > 0))
            SL_FAIL(SL_ERR_ARGUMENT, "sl_model_import: std[%zu] is %g, not positive", c,
                    import.std[c]);
    SL_TRY(SL_NEW(m, 1));
    m->dev = ctx->dev;
    m->precision = SL_PRECISION_FP32;
    SL_TRY_FREE(sl_import_read(path, &import, &m->meta.vit, &m->table, &m->params));
    choose_preprocessing(&m->meta.vit, &m->meta.data);
    *model = m;
    return SL_OK;
fail:
    sl_model_free(&m);
    return st;
}
