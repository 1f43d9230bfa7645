/*
 * Steps of a recipe whose op calls are timed, and the making of their batches with them. Batches
 * are made by the calling thread between two steps, so that no loader thread works beside a step
 * and the time of the data is that of one core.
 */
#include "softless_phases.h"

#include <stdio.h>
#include <string.h>

#include "api/context.h"
#include "base/alloc.h"
#include "data/data.h"
#include "ops/timed.h"
#include "train/train.h"

enum { SYNTHETIC_IMAGES = 10000, SYNTHETIC_CLASSES = 1000 };

struct sl_profile {
    struct sl_device *dev;
    struct sl_config config;
    struct sl_dataset *set;
    struct sl_loader *loader;
    sl_trainer *trainer;
    struct sl_timed_ops timed;
};

const char *sl_phase_name(sl_phase phase)
{
    static const char *const names[SL_PHASE_COUNT] = {
        [SL_PHASE_DATA] = "data",
        [SL_PHASE_ATTENTION_FWD] = "forward attention",
        [SL_PHASE_REST_FWD] = "forward rest",
        [SL_PHASE_ATTENTION_BWD] = "backward attention",
        [SL_PHASE_REST_BWD] = "backward rest",
        [SL_PHASE_OPTIMIZER] = "optimizer",
    };
    return (unsigned)phase < SL_PHASE_COUNT ? names[phase] : NULL;
}

static sl_status open_data(struct sl_profile *p)
{
    struct sl_config *c = &p->config;
    if (!c->data.train[0])
        snprintf(c->data.train, sizeof c->data.train, "synthetic:n=%d,classes=%zu,size=%zu",
                 SYNTHETIC_IMAGES, c->model.classes ? c->model.classes : SYNTHETIC_CLASSES,
                 c->model.image_height);
    SL_TRY(sl_dataset_open(c->data.train, &p->set));
    const size_t classes = sl_dataset_classes(p->set);
    if (c->model.classes == 0)
        c->model.classes = classes;
    if (c->model.classes < classes)
        SL_FAIL(SL_ERR_CONFIG, "model.classes is %zu, but %s has %zu classes", c->model.classes,
                c->data.train, classes);
    const struct sl_loader_options o = {.set = p->set,
                                        .ops = &c->data.train_ops,
                                        .compat = c->data.compat,
                                        .out_h = c->model.image_height,
                                        .out_w = c->model.image_width,
                                        .batch = c->train.batch,
                                        .seed = c->seed,
                                        .train = true,
                                        .shuffle = c->data.shuffle,
                                        .shuffle_buffer = c->data.shuffle_buffer,
                                        .on_bad = c->data.on_bad_sample,
                                        .max_bad_fraction = c->data.max_bad_fraction,
                                        .world = 1};
    return sl_loader_create(&o, &p->loader);
}

sl_status sl_profile_create(sl_context *ctx, const sl_recipe *recipe, sl_profile **profile)
{
    struct sl_profile *p = NULL;
    sl_status st = SL_OK;
    if (!ctx || !recipe || !profile)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_profile_create: ctx, recipe and profile must not be NULL");
    SL_TRY(SL_NEW(p, 1));
    p->dev = ctx->dev;
    p->config = recipe->config;
    SL_TRY_FREE(open_data(p));
    SL_TRY_FREE(sl_trainer_create(ctx, recipe, p->config.model.classes, &p->trainer));
    *profile = p;
    return SL_OK;
fail:
    sl_profile_free(&p);
    return st;
}

void sl_profile_free(sl_profile **profile)
{
    struct sl_profile *p = profile ? *profile : NULL;
    if (!p)
        return;
    sl_trainer_free(&p->trainer);
    sl_loader_free(&p->loader);
    sl_dataset_free(&p->set);
    sl_free(p);
    *profile = NULL;
}

sl_status sl_profile_get_info(const sl_profile *p, sl_profile_info *info)
{
    sl_profile_info x = {.model = {.width = 0}};
    if (!p || !info)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_profile_get_info: profile and info must not be NULL");
    SL_TRY(sl_model_get_info(sl_trainer_model(p->trainer), &x.model));
    x.batch = p->config.train.batch;
    x.data = p->config.data.train;
    sl_vit_step_flops(&p->config.model, x.flops);
    for (size_t i = 0; i < SL_PHASE_COUNT; i++)
        x.flops[i] *= (double)x.batch;
    *info = x;
    return SL_OK;
}

sl_status sl_profile_step(sl_profile *p, sl_phase_cost costs[SL_PHASE_COUNT], sl_phase_cost *whole)
{
    const struct sl_batch *batch;
    sl_step_result result;
    sl_phase_cost data = {.flops = 0}, all = {.flops = 0};
    if (!p || !costs || !whole)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_profile_step: profile, costs and whole must not be NULL");
    const sl_phase_cost start = sl_timed_now();
    SL_TRY(sl_loader_next(p->loader, &batch));
    sl_timed_add(&data, start, 0);
    sl_timed_begin(p->dev, &p->timed);
    const sl_status st = sl_trainer_step(p->trainer, batch->images, batch->labels, &result);
    sl_timed_end(p->dev);
    sl_timed_add(&all, start, 0);
    SL_TRY(st);
    memcpy(costs, p->timed.costs, sizeof p->timed.costs);
    costs[SL_PHASE_DATA].seconds += data.seconds;
    costs[SL_PHASE_DATA].core_s += data.core_s;
    for (size_t i = 0; i < SL_PHASE_COUNT; i++)
        all.flops += costs[i].flops;
    *whole = all;
    return SL_OK;
}
