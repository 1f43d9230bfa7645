/*
 * What a recipe costs, computed without its data and without allocating the model.
 */
#include "api/context.h"
#include "train/train.h"

static sl_status check_pipeline(const char *key, const struct sl_pipeline_config *ops,
                                const struct sl_config *config)
{
    struct sl_pipeline *pipeline = NULL;
    const sl_status st = sl_pipeline_create(ops, config->data.compat, config->model.image_height,
                                            config->model.image_width, &pipeline);
    sl_pipeline_free(&pipeline);
    return st == SL_OK ? st : sl_error_prefix(st, "%s", key);
}

/* Images and classes from the recipe, or where it leaves them open from the data set. */
static sl_status complete(struct sl_config *config)
{
    struct sl_dataset *set = NULL;
    if (config->data.train_images > 0 && config->model.classes > 0)
        return SL_OK;
    if (!config->data.train[0])
        SL_FAIL(SL_ERR_CONFIG, "data.train is not set; give it, or data.train_images and "
                               "model.classes");
    SL_TRY(sl_dataset_open(config->data.train, &set));
    if (config->data.train_images == 0)
        config->data.train_images = sl_dataset_count(set);
    if (config->model.classes == 0)
        config->model.classes = sl_dataset_classes(set);
    sl_dataset_free(&set);
    return SL_OK;
}

sl_status sl_recipe_check(sl_context *ctx, const sl_recipe *recipe, sl_forecast *forecast)
{
    if (!ctx || !recipe || !forecast)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_recipe_check: ctx, recipe and forecast must not be NULL");
    struct sl_config config = recipe->config;
    struct sl_durations durations;
    struct sl_param_table table = {0};
    struct sl_memory m;
    SL_TRY(check_pipeline("data.train_ops", &config.data.train_ops, &config));
    SL_TRY(check_pipeline("data.eval_ops", &config.data.eval_ops, &config));
    SL_TRY(complete(&config));
    SL_TRY(sl_durations_resolve(&config, config.data.train_images, &durations));
    SL_TRY(sl_train_forecast(ctx->dev, &config, &m));
    SL_TRY(sl_param_table_build(&config.model, &table));
    const double images = (double)durations.total * (double)config.train.batch;
    const double forward = sl_vit_flops(&config.model);
    *forecast = (sl_forecast){
        .width = config.model.width,
        .depth = config.model.depth,
        .tokens = sl_vit_tokens(&config.model),
        .parameters = sl_param_count(&table),
        .train_images = config.data.train_images,
        .steps = durations.total,
        .images = images,
        .flops_forward = forward,
        .flops_train = 3 * forward * images,
        .pass_images = config.train.batch / config.train.accumulate,
        .memory_bytes =
            m.params + m.grads + m.packed + m.activations + m.scratch + m.inputs + m.optimizer,
    };
    sl_param_table_free(&table);
    return SL_OK;
}
