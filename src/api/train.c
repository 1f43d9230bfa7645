/*
 * Training and data behind the public header.
 */
#include "train/train.h"

#include <math.h>

#include "api/attention_summary.h"
#include "api/model.h"
#include "api/sizes.h"
#include "api/transfer.h"
#include "base/alloc.h"

sl_status sl_train(sl_context *ctx, const sl_recipe *recipe, const sl_train_options *options,
                   sl_train_result *result)
{
    sl_train_options o = options ? *options : (sl_train_options){0};
    sl_train_result r;
    char *weights = NULL;
    if (!ctx || !recipe || !result)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_train: ctx, recipe and result must not be NULL");
    if (o.reset_head && !o.init)
        SL_FAIL(SL_ERR_ARGUMENT, "a new head is asked for, but no weights to start from; give "
                                 "--init WEIGHTS with --reset-head");
    SL_TRY(sl_sizes_check(&recipe->config));
    SL_TRY(sl_transfer_check(recipe->config.eval.transfer));
    if (o.init)
        SL_TRY(sl_model_find_weights(o.init, &weights));
    o.init = weights;
    sl_status st = sl_run_train(ctx->dev, recipe, &o, &ctx->stop, &r);
    sl_free(weights);
    if (st == SL_OK && recipe->config.data.eval[0] && isnan(r.attention.mass))
        st = sl_attention_summarise(ctx, recipe->config.data.eval, &r);
    if (st == SL_OK && recipe->config.eval.sizes[0])
        st = sl_sizes_measure(ctx, &recipe->config, &r);
    if (st == SL_OK && recipe->config.eval.transfer[0] && isnan(r.transfer))
        st = sl_transfer_measure(ctx, recipe->config.eval.transfer, &r);
    atomic_store(&ctx->stop, false); /* whatever came of it, it was this run's */
    SL_TRY(st);
    *result = r;
    return SL_OK;
}

/* ---- single steps ---- */

struct sl_trainer {
    struct sl_config config;
    struct sl_stepper *stepper;
    sl_model *model; /* view of the stepper's net */
    uint64_t t;
};

static sl_status make_view(sl_context *ctx, struct sl_trainer *t)
{
    SL_TRY(SL_NEW(t->model, 1));
    t->model->dev = ctx->dev;
    t->model->meta.vit = t->config.model;
    t->model->meta.data = t->config.data;
    t->model->net = sl_stepper_net(t->stepper);
    t->model->net_borrowed = true;
    return sl_param_table_build(&t->config.model, &t->model->table);
}

sl_status sl_trainer_create(sl_context *ctx, const sl_recipe *recipe, size_t classes,
                            sl_trainer **trainer)
{
    enum { IMAGENET_TRAIN = 1268355 }; /* without a data set, an epoch is this long */
    if (!ctx || !recipe || !trainer)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_trainer_create: ctx, recipe and trainer must not be NULL");
    struct sl_trainer *t = NULL;
    struct sl_durations durations;
    sl_status st = SL_OK;
    SL_TRY(SL_NEW(t, 1));
    t->config = recipe->config;
    if (classes > 0)
        t->config.model.classes = classes;
    if (t->config.model.classes == 0)
        SL_TRY_FREE(sl_error_set(SL_ERR_ARGUMENT,
                                 "the recipe leaves the number of classes to its data "
                                 "set; give classes > 0 or set model.classes"));
    t->config.model.train_length = (double)sl_vit_tokens(&t->config.model);
    SL_TRY_FREE(sl_durations_resolve(&t->config, IMAGENET_TRAIN, &durations));
    SL_TRY_FREE(sl_stepper_create(ctx->dev, &t->config, &durations, &t->stepper));
    struct sl_net *net = sl_stepper_net(t->stepper);
    sl_param_init(sl_net_params(net), t->config.seed, sl_net_param_data(net));
    SL_TRY_FREE(sl_net_params_changed(net));
    SL_TRY_FREE(make_view(ctx, t));
    *trainer = t;
    return SL_OK;
fail:
    sl_trainer_free(&t);
    return st;
}

sl_status sl_trainer_step(sl_trainer *trainer, const uint8_t *images, const int32_t *labels,
                          sl_step_result *result)
{
    if (!trainer || !images || !labels || !result)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_trainer_step: no argument may be NULL");
    for (size_t i = 0; i < trainer->config.train.batch; i++)
        if (labels[i] < 0 || (size_t)labels[i] >= trainer->config.model.classes)
            SL_FAIL(SL_ERR_ARGUMENT, "label %d of image %zu is not one of the %zu classes",
                    labels[i], i, trainer->config.model.classes);
    SL_TRY(sl_stepper_step(trainer->stepper, images, labels, trainer->t, result));
    trainer->t++;
    return SL_OK;
}

sl_model *sl_trainer_model(sl_trainer *trainer)
{
    return trainer ? trainer->model : NULL;
}

void sl_trainer_free(sl_trainer **trainer)
{
    if (!trainer || !*trainer)
        return;
    sl_model_free(&(*trainer)->model);
    sl_stepper_free(&(*trainer)->stepper);
    sl_free(*trainer);
    *trainer = NULL;
}

sl_status sl_measure_peak(sl_context *ctx, sl_dtype dtype, double seconds, double *flops)
{
    if (!ctx || !flops || (unsigned)dtype >= SL_DTYPE_COUNT || !(seconds > 0))
        SL_FAIL(SL_ERR_ARGUMENT, "sl_measure_peak: ctx and flops must not be NULL, seconds > 0");
    return ctx->dev->ops->measure_peak(ctx->dev, dtype, seconds, flops);
}
