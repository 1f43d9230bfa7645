/*
 * What a recipe must satisfy as a whole: sizes that follow from a variant, and every check between
 * keys.
 */
#include "base/log.h"
#include "config/config.h"

enum { MAX_HEAD_SIZE = 256, FEW_TOKENS = 16 };

size_t sl_vit_grid(const struct sl_vit_config *vit)
{
    return (vit->image_height / vit->patch) * (vit->image_width / vit->patch);
}

size_t sl_vit_tokens(const struct sl_vit_config *vit)
{
    return sl_vit_grid(vit) + (vit->pool == SL_POOL_TOK ? 1 : 0) + vit->registers;
}

sl_status sl_vit_check(const struct sl_vit_config *v)
{
    const struct {
        const char *key;
        size_t value;
    } needed[] = {{"width", v->width},
                  {"depth", v->depth},
                  {"heads", v->heads},
                  {"mlp", v->mlp},
                  {"patch", v->patch}};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (needed[i].value == 0)
            SL_FAIL(SL_ERR_CONFIG, "model.%s is 0; set it, or set model.variant, e.g. S/16",
                    needed[i].key);
    if (v->width % v->heads != 0)
        SL_FAIL(SL_ERR_CONFIG, "model.width %zu is not divisible by model.heads %zu", v->width,
                v->heads);
    if (v->width / v->heads > MAX_HEAD_SIZE)
        SL_FAIL(SL_ERR_CONFIG, "head size %zu (model.width / model.heads) is more than %d",
                v->width / v->heads, MAX_HEAD_SIZE);
    if (v->image_height < v->patch || v->image_width < v->patch)
        SL_FAIL(SL_ERR_CONFIG, "the image of %zu x %zu pixels is smaller than a patch of %zu",
                v->image_height, v->image_width, v->patch);
    if (v->image_height % v->patch != 0 || v->image_width % v->patch != 0)
        SL_FAIL(SL_ERR_CONFIG, "model.image_size %zu x %zu is not divisible by model.patch %zu",
                v->image_height, v->image_width, v->patch);
    if (v->posemb == SL_POSEMB_SINCOS2D && (v->width % 4 != 0 || v->width < 8))
        SL_FAIL(SL_ERR_CONFIG,
                "posemb sincos2d needs a width of at least 8 divisible by 4, not %zu", v->width);
    return SL_OK;
}

static sl_status check_train(const struct sl_train_config *t)
{
    const int totals = (t->total_steps > 0) + (t->total_epochs > 0) + (t->total_examples > 0);
    const int warmups = (t->warmup_steps > 0) + (t->warmup_epochs > 0) + (t->warmup_examples > 0);
    if (totals != 1)
        SL_FAIL(SL_ERR_CONFIG,
                "%s of train.total_steps, train.total_epochs and train.total_examples; give "
                "exactly one",
                totals == 0 ? "none" : "more than one");
    if (warmups > 1)
        SL_FAIL(SL_ERR_CONFIG, "more than one of train.warmup_steps, train.warmup_epochs and "
                               "train.warmup_examples; give at most one");
    if (t->batch % t->accumulate != 0)
        SL_FAIL(SL_ERR_CONFIG, "train.batch %zu is not divisible by train.accumulate %zu", t->batch,
                t->accumulate);
    if (t->beta1 >= 1 || t->beta2 >= 1 || t->momentum >= 1)
        SL_FAIL(SL_ERR_CONFIG, "train.beta1, train.beta2 and train.momentum must be less than 1");
    return SL_OK;
}

/* Sizes that are given replace those of the variant. That is said aloud: a resolved recipe gives
 * all of them, so that another variant over it would change nothing but the word. */
static sl_status apply_variant(struct sl_vit_config *v)
{
    struct sl_vit_config own = {.width = 0};
    SL_TRY(sl_variant_apply(v->variant, &own));
    SL_TRY(sl_variant_apply(v->variant, v));
    if (v->width != own.width || v->depth != own.depth || v->heads != own.heads ||
        v->mlp != own.mlp || (own.patch != 0 && v->patch != own.patch))
        sl_log(SL_LOG_WARN,
               "model.variant %s is overridden: width %zu, depth %zu, heads %zu, mlp %zu, patch "
               "%zu",
               v->variant, v->width, v->depth, v->heads, v->mlp, v->patch);
    return SL_OK;
}

sl_status sl_config_resolve(struct sl_config *config)
{
    struct sl_vit_config *v = &config->model;
    if (v->variant[0])
        SL_TRY(apply_variant(v));
    SL_TRY(sl_augment_apply(config));
    SL_TRY(sl_vit_check(v));
    SL_TRY(check_train(&config->train));
    if (config->eval.every_steps > 0 && config->eval.every_epochs > 0)
        SL_FAIL(SL_ERR_CONFIG, "give eval.every_steps or eval.every_epochs, not both");
    if (!(config->data.value_min < config->data.value_max))
        SL_FAIL(SL_ERR_CONFIG, "data.value_min %g is not below data.value_max %g",
                config->data.value_min, config->data.value_max);
    if (v->bias_neg_log_length && v->alpha != 0 && v->phi != SL_PHI_SOFTMAX)
        sl_log(SL_LOG_WARN,
               "model.bias is -log L and model.alpha is %g: the length counts twice; the "
               "bias is meant for alpha = 0",
               v->alpha);
    if (sl_vit_tokens(v) < FEW_TOKENS)
        sl_log(SL_LOG_WARN, "%zu tokens an image are few; a smaller model.patch may learn better",
               sl_vit_tokens(v));
    return SL_OK;
}
