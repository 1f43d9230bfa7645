/*
 * Models behind the public header: load, create, save, forward, predict.
 */
#include "api/model.h"

#include <string.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/text.h"
#include "model/export.h"
#include "train/train.h"

/* RUN/checkpoints/LAST and .../best are lines for people; here they mean that checkpoint of RUN. */
static sl_status find_hinted(const char *path, char **file)
{
    static const char *const hints[] = {"checkpoints/LAST", "checkpoints/best"};
    for (int best = 0; best < 2; best++) {
        const size_t n = strlen(path), hint = strlen(hints[best]);
        if (!sl_ends_with(path, hints[best]) || (n > hint && path[n - hint - 1] != '/'))
            continue;
        char *run = n > hint ? sl_strdup(path) : sl_strdup("./");
        if (!run)
            return SL_ERR_MEMORY;
        if (n > hint)
            run[n - hint] = '\0';
        const sl_status st = sl_checkpoint_weights_path(run, best, file);
        sl_free(run);
        return st;
    }
    return SL_OK;
}

sl_status sl_model_find_weights(const char *path, char **file)
{
    static const char *const names[] = {"model.safetensors", "weights.safetensors"};
    if (!sl_is_dir(path)) {
        char *hinted = NULL;
        SL_TRY(find_hinted(path, &hinted));
        if (hinted) {
            *file = hinted;
            return SL_OK;
        }
        char *same = sl_strdup(path);
        if (!same)
            return SL_ERR_MEMORY;
        *file = same;
        return SL_OK;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *found = sl_path_join(path, names[i]);
        if (!found)
            return SL_ERR_MEMORY;
        if (sl_is_file(found)) {
            *file = found;
            return SL_OK;
        }
        sl_free(found);
    }
    return sl_checkpoint_weights_path(path, false, file);
}

/* The keys that leave the weights as they are, set in *model. */
static sl_status set_keys(struct sl_model *model, const char *const *keys, size_t n)
{
    static const char *const possible[] = {"model.image_size", "model.length", "model.h",
                                           "model.alpha",      "model.bias",   "precision"};
    const size_t n_possible = sizeof possible / sizeof *possible;
    struct sl_weights_meta *meta = &model->meta;
    struct sl_recipe r = {.origin = NULL};
    sl_status st;
    SL_TRY(sl_recipe_init(&r));
    r.config.precision = model->precision;
    const size_t from[] = {meta->vit.image_height, meta->vit.image_width};
    r.config.model = meta->vit;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < n_possible && (strncmp(keys[i], possible[k], strlen(possible[k])) != 0 ||
                                  keys[i][strlen(possible[k])] != '='))
            k++;
        if (k == n_possible)
            SL_TRY_FREE(sl_error_set(SL_ERR_CONFIG,
                                     "%.100s: trained weights leave model.image_size, "
                                     "model.length, model.h, model.alpha, model.bias and precision "
                                     "free",
                                     keys[i]));
        SL_TRY_FREE(sl_recipe_set(&r, keys[i], "--set"));
    }
    SL_TRY_FREE(sl_vit_check(&r.config.model));
    meta->vit = r.config.model;
    model->precision = r.config.precision;
    const size_t to[] = {meta->vit.image_height, meta->vit.image_width};
    if (to[0] != from[0] || to[1] != from[1])
        SL_TRY_FREE(sl_pipeline_scale(&meta->data.eval_ops, from, to, &meta->data.eval_ops));
fail:
    sl_recipe_clear(&r);
    return st;
}

sl_status sl_model_load(sl_context *ctx, const char *path, sl_model **model)
{
    return sl_model_load_with(ctx, path, NULL, 0, model);
}

sl_status sl_model_load_with(sl_context *ctx, const char *path, const char *const *keys, size_t n,
                             sl_model **model)
{
    if (!ctx || !path || !model || (n > 0 && !keys))
        SL_FAIL(SL_ERR_ARGUMENT, "sl_model_load: ctx, path and model must not be NULL");
    char *file = NULL;
    sl_model *m = NULL;
    sl_status st = SL_OK;
    SL_TRY_FREE(sl_model_find_weights(path, &file));
    SL_TRY_FREE(SL_NEW(m, 1));
    m->dev = ctx->dev;
    m->precision = SL_PRECISION_FP32;
    SL_TRY_FREE(sl_weights_read_meta(file, &m->meta));
    if (n > 0)
        SL_TRY_FREE(set_keys(m, keys, n));
    SL_TRY_FREE(sl_param_table_build(&m->meta.vit, &m->table));
    SL_TRY_FREE(SL_NEW(m->params, m->table.floats));
    SL_TRY_FREE(n > 0 ? sl_weights_init(file, &m->meta.vit, &m->table, false, m->params)
                      : sl_weights_read(file, &m->table, m->params));
    *model = m;
    sl_free(file);
    return SL_OK;
fail:
    sl_model_free(&m);
    sl_free(file);
    return st;
}

sl_status sl_model_create(sl_context *ctx, const sl_recipe *recipe, size_t classes,
                          sl_model **model)
{
    if (!ctx || !recipe || !model)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_model_create: ctx, recipe and model must not be NULL");
    sl_model *m = NULL;
    sl_status st = SL_OK;
    SL_TRY(SL_NEW(m, 1));
    m->dev = ctx->dev;
    m->meta.vit = recipe->config.model;
    m->meta.data = recipe->config.data;
    m->precision = recipe->config.precision;
    if (classes > 0)
        m->meta.vit.classes = classes;
    if (m->meta.vit.classes == 0)
        SL_TRY_FREE(sl_error_set(SL_ERR_ARGUMENT,
                                 "the recipe leaves the number of classes to its data "
                                 "set; give classes > 0 or set model.classes"));
    m->meta.vit.train_length = (double)sl_vit_tokens(&m->meta.vit);
    SL_TRY_FREE(sl_param_table_build(&m->meta.vit, &m->table));
    SL_TRY_FREE(SL_NEW(m->params, m->table.floats));
    sl_param_init(&m->table, recipe->config.seed, m->params);
    *model = m;
    return SL_OK;
fail:
    sl_model_free(&m);
    return st;
}

void sl_model_free(sl_model **model)
{
    if (!model || !*model)
        return;
    sl_model *m = *model;
    if (!m->net_borrowed)
        sl_net_free(&m->net);
    sl_pipeline_free(&m->pipeline);
    for (size_t i = 0; i < 2; i++)
        sl_image_free(&m->work[i]);
    sl_image_free(&m->image);
    sl_param_table_free(&m->table);
    sl_weights_meta_free(&m->meta);
    sl_free(m->params);
    sl_free(m);
    *model = NULL;
}

static const float *host_params(const sl_model *model)
{
    return model->net_borrowed ? sl_net_param_data(model->net) : model->params;
}

sl_status sl_model_save(const sl_model *model, const char *path)
{
    if (!model || !path)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_model_save: model and path must not be NULL");
    return sl_weights_replace(path, &model->meta, &model->table, host_params(model));
}

sl_status sl_model_export_onnx(const sl_model *model, const char *path)
{
    if (!model || !path)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_model_export_onnx: model and path must not be NULL");
    return sl_export_onnx(path, &model->meta, &model->table, host_params(model));
}

sl_status sl_model_get_info(const sl_model *model, sl_model_info *info)
{
    if (!model || !info)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_model_get_info: model and info must not be NULL");
    const struct sl_vit_config *v = &model->meta.vit;
    sl_dtype dtype;
    if (model->net)
        dtype = sl_net_get_options(model->net)->type;
    else
        SL_TRY(sl_device_precision(model->dev, model->precision, &dtype));
    *info = (sl_model_info){.width = v->width,
                            .depth = v->depth,
                            .heads = v->heads,
                            .mlp = v->mlp,
                            .patch = v->patch,
                            .image_height = v->image_height,
                            .image_width = v->image_width,
                            .classes = v->classes,
                            .tokens = sl_vit_tokens(v),
                            .parameters = sl_param_count(&model->table),
                            .phi = v->phi,
                            .alpha = v->alpha,
                            .flops_forward = sl_vit_flops(v),
                            .dtype = dtype};
    return SL_OK;
}

const char *sl_model_class_name(const sl_model *model, size_t i)
{
    return model && model->meta.classes && i < model->meta.vit.classes ? model->meta.classes[i]
                                                                       : NULL;
}

sl_status sl_model_net(struct sl_model *model, size_t batch, struct sl_net **net)
{
    if (model->net && (model->net_borrowed || sl_net_get_options(model->net)->batch == batch)) {
        *net = model->net;
        return SL_OK;
    }
    struct sl_net_options options = {.vit = model->meta.vit,
                                     .batch = batch,
                                     .value_min = (float)model->meta.data.value_min,
                                     .value_max = (float)model->meta.data.value_max};
    SL_TRY(sl_device_precision(model->dev, model->precision, &options.type));
    sl_net_free(&model->net);
    SL_TRY(sl_net_create(model->dev, &options, &model->net));
    SL_TRY(model->dev->ops->upload(model->dev, sl_net_param_data(model->net), model->params,
                                   model->table.floats * sizeof(float)));
    SL_TRY(sl_net_params_changed(model->net));
    *net = model->net;
    return SL_OK;
}

sl_status sl_model_forward(sl_model *model, const uint8_t *images, size_t n, float *logits)
{
    if (!model || !images || !logits || n == 0)
        SL_FAIL(SL_ERR_ARGUMENT,
                "sl_model_forward: model, images, logits must not be NULL, n >= 1");
    const struct sl_vit_config *v = &model->meta.vit;
    const size_t bytes = v->image_height * v->image_width * 3;
    struct sl_net *net;
    SL_TRY(sl_model_net(model, n < SL_MODEL_BATCH ? n : SL_MODEL_BATCH, &net));
    const size_t batch = sl_net_get_options(net)->batch;
    for (size_t i = 0; i < n; i += batch) {
        const size_t some = n - i < batch ? n - i : batch;
        const float *out;
        SL_TRY(sl_net_forward(net, images + i * bytes, some, 1.0f, &out));
        SL_TRY(model->dev->ops->download(model->dev, logits + i * v->classes, out,
                                         some * v->classes * sizeof(float)));
    }
    return SL_OK;
}

sl_status sl_model_preprocess(sl_model *model, uint8_t **pixels)
{
    const struct sl_vit_config *v = &model->meta.vit;
    uint8_t *made = NULL;
    sl_rng rng = sl_rng_at(0, SL_RNG_AUGMENT, 0, 0); /* evaluation pipelines draw nothing */
    if (!model->pipeline)
        SL_TRY(sl_pipeline_create(&model->meta.data.eval_ops, model->meta.data.compat,
                                  v->image_height, v->image_width, &model->pipeline));
    SL_TRY(SL_NEW(made, v->image_height * v->image_width * 3));
    const sl_status st = sl_pipeline_run(model->pipeline, &model->image, &rng, model->work, made);
    if (st == SL_OK)
        *pixels = made;
    else
        sl_free(made);
    return st;
}

sl_status sl_model_read_image(sl_model *model, const char *path, uint8_t **pixels)
{
    enum { FILE_CAP = 64 << 20 };
    char *bytes = NULL;
    size_t size;
    SL_TRY(sl_read_file(path, FILE_CAP, &bytes, &size));
    sl_status st = sl_image_decode(bytes, size, path, &model->image);
    sl_free(bytes);
    if (st != SL_OK)
        return st;
    st = sl_model_preprocess(model, pixels);
    return st == SL_OK ? SL_OK : sl_error_prefix(st, "%s", path);
}

sl_status sl_model_predict_file(sl_model *model, const char *path, float *logits)
{
    if (!model || !path || !logits)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_model_predict_file: model, path and logits must not be NULL");
    uint8_t *pixels = NULL;
    SL_TRY(sl_model_read_image(model, path, &pixels));
    const sl_status st = sl_model_forward(model, pixels, 1, logits);
    sl_free(pixels);
    return st;
}
