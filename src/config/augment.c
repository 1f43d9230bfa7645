/*
 * Augmentation levels of big_vision (AugReg, arXiv 2106.10270, figure 4): how much mixup and
 * RandAugment a model of a size gets on a data set. data.augment names a level, or the data set
 * whose levels follow from model.variant; the level sets train.mixup and takes the place of the
 * item "augment" in data.train_ops.
 */
#include <stdio.h>
#include <string.h>

#include "config/config.h"

#define PLACE "augment"

static const struct level {
    const char *name;
    double mixup;
    int layers, magnitude; /* of randaug; 0 layers = none */
} levels[] = {
    [SL_AUGMENT_NONE] = {"none", 0, 0, 0},          [SL_AUGMENT_LIGHT1] = {"light1", 0, 2, 0},
    [SL_AUGMENT_LIGHT2] = {"light2", 0.2, 2, 10},   [SL_AUGMENT_MEDIUM1] = {"medium1", 0.2, 2, 15},
    [SL_AUGMENT_MEDIUM2] = {"medium2", 0.5, 2, 15}, [SL_AUGMENT_STRONG1] = {"strong1", 0.5, 2, 20},
    [SL_AUGMENT_STRONG2] = {"strong2", 0.8, 2, 20},
};

/* big_vision has no S/8; it gets what S/16 gets. */
static const struct {
    const char *variant;
    enum sl_augment i1k, i21k;
} by_variant[] = {
    {"Ti/16", SL_AUGMENT_LIGHT1, SL_AUGMENT_NONE},
    {"S/32", SL_AUGMENT_MEDIUM1, SL_AUGMENT_NONE},
    {"S/16", SL_AUGMENT_MEDIUM2, SL_AUGMENT_LIGHT1},
    {"S/8", SL_AUGMENT_MEDIUM2, SL_AUGMENT_LIGHT1},
    {"B/32", SL_AUGMENT_MEDIUM2, SL_AUGMENT_LIGHT2},
    {"B/16", SL_AUGMENT_MEDIUM2, SL_AUGMENT_LIGHT2},
    {"L/16", SL_AUGMENT_MEDIUM2, SL_AUGMENT_MEDIUM2},
};

static sl_status find_level(const struct sl_config *config, const struct level **level)
{
    const enum sl_augment wanted = config->data.augment;
    if (wanted < SL_AUGMENT_I1K) {
        *level = &levels[wanted];
        return SL_OK;
    }
    for (size_t i = 0; i < sizeof by_variant / sizeof *by_variant; i++)
        if (strcmp(by_variant[i].variant, config->model.variant) == 0) {
            *level = &levels[wanted == SL_AUGMENT_I1K ? by_variant[i].i1k : by_variant[i].i21k];
            return SL_OK;
        }
    SL_FAIL(SL_ERR_CONFIG,
            "data.augment is %s, which knows Ti/16, S/32, S/16, S/8, B/32, B/16 and L/16, not "
            "model.variant '%s'; set data.augment to a level, e.g. medium1",
            wanted == SL_AUGMENT_I1K ? "i1k" : "i21k", config->model.variant);
}

static size_t find_op(const struct sl_pipeline_config *ops, const char *text)
{
    size_t i = 0;
    while (i < ops->n && strcmp(ops->ops[i], text) != 0)
        i++;
    return i;
}

static void remove_op(struct sl_pipeline_config *ops, size_t i)
{
    ops->n--;
    memmove(ops->ops[i], ops->ops[i + 1], (ops->n - i) * sizeof ops->ops[0]);
    memset(ops->ops[ops->n], 0, sizeof ops->ops[0]); /* equal configs are equal bytes */
}

/* A resolved recipe that is read again has the level's op in the item's place already. */
static sl_status fill_place(struct sl_pipeline_config *ops, const struct level *level)
{
    char text[SL_NAME_MAX] = {0};
    const size_t place = find_op(ops, PLACE);
    if (level->layers == 0) {
        if (place < ops->n)
            remove_op(ops, place);
        return SL_OK;
    }
    snprintf(text, sizeof text, "randaug(%d, %d)", level->layers, level->magnitude);
    if (place < ops->n)
        memcpy(ops->ops[place], text, sizeof text);
    else if (find_op(ops, text) == ops->n)
        SL_FAIL(SL_ERR_CONFIG,
                "data.augment means %s, but data.train_ops has no item '" PLACE "' to put it in",
                text);
    return SL_OK;
}

sl_status sl_augment_apply(struct sl_config *config)
{
    const struct level *level = NULL;
    if (config->data.augment == SL_AUGMENT_OWN) {
        if (find_op(&config->data.train_ops, PLACE) < config->data.train_ops.n)
            SL_FAIL(SL_ERR_CONFIG, "data.train_ops has the item '" PLACE
                                   "', but data.augment names no level; set it, e.g. to medium1");
        return SL_OK;
    }
    SL_TRY(find_level(config, &level));
    if (config->train.mixup != 0 && config->train.mixup != level->mixup)
        SL_FAIL(SL_ERR_CONFIG,
                "train.mixup is %g, but data.augment means %g (%s); give one of them, or set "
                "data.augment to own",
                config->train.mixup, level->mixup, level->name);
    config->train.mixup = level->mixup;
    return fill_place(&config->data.train_ops, level);
}
