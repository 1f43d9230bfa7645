/*
 * Opening a run: data sets, run directory, stepper, newest checkpoint or first weights, loaders.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "train/run.h"

/* The training set's classes, and numbers for those that the model has beyond them. */
static sl_status name_classes(struct sl_run *r)
{
    struct sl_weights_meta *meta = &r->meta;
    meta->vit.classes = r->config.model.classes;
    SL_TRY(SL_NEW(meta->classes, meta->vit.classes));
    for (size_t i = 0; i < meta->vit.classes; i++) {
        const char *name = sl_dataset_class_name(r->train_set, i);
        meta->classes[i] = name ? sl_strdup(name) : sl_asprintf("class %zu", i);
        if (!meta->classes[i])
            return SL_ERR_MEMORY;
    }
    return SL_OK;
}

sl_status sl_run_open_data(struct sl_run *r)
{
    struct sl_config *c = &r->config;
    if (!c->data.train[0])
        SL_FAIL(SL_ERR_CONFIG, "data.train is not set; give a data set, e.g. "
                               "--set data.train=fashion-mnist:train");
    SL_TRY(sl_dataset_open(c->data.train, &r->train_set));
    const size_t classes = sl_dataset_classes(r->train_set);
    if (c->data.train_images > 0 && c->data.train_images != sl_dataset_count(r->train_set))
        sl_log(SL_LOG_WARN, "%s has %zu images; the recipe expects %zu", c->data.train,
               sl_dataset_count(r->train_set), c->data.train_images);
    if (c->model.classes == 0)
        c->model.classes = classes;
    if (c->model.classes < classes)
        SL_FAIL(SL_ERR_CONFIG, "model.classes is %zu, but %s has %zu classes", c->model.classes,
                c->data.train, classes);
    if (c->data.eval[0]) {
        SL_TRY(sl_dataset_open(c->data.eval, &r->eval_set));
    }
    char both[2 * SL_DIGEST_SIZE] = {0};
    sl_dataset_digest(r->train_set, both);
    if (r->eval_set)
        sl_dataset_digest(r->eval_set, both + SL_DIGEST_SIZE);
    sl_digest(both, sizeof both, r->data_digest);
    SL_TRY(name_classes(r));
    return r->eval_set ? sl_dataset_match_classes(r->eval_set, (const char *const *)r->meta.classes,
                                                  c->model.classes)
                       : SL_OK;
}

static sl_status open_loaders(struct sl_run *r)
{
    const struct sl_config *c = &r->config;
    struct sl_loader_options o = {.set = r->train_set,
                                  .ops = &c->data.train_ops,
                                  .compat = c->data.compat,
                                  .out_h = c->model.image_height,
                                  .out_w = c->model.image_width,
                                  .batch = c->train.batch,
                                  .seed = c->seed,
                                  .train = true,
                                  .shuffle = c->data.shuffle,
                                  .shuffle_buffer = c->data.shuffle_buffer,
                                  .workers = c->data.workers,
                                  .prefetch = c->data.prefetch,
                                  .cache_mb = c->data.cache_mb,
                                  .on_bad = c->data.on_bad_sample,
                                  .max_bad_fraction = c->data.max_bad_fraction,
                                  .start_batch = r->state.step,
                                  .world = 1};
    SL_TRY(sl_loader_create(&o, &r->train_loader));
    if (!r->eval_set)
        return SL_OK;
    o.set = r->eval_set;
    o.ops = &c->data.eval_ops;
    o.train = o.shuffle = false;
    o.batch = c->train.batch / c->train.accumulate;
    o.start_batch = 0;
    return sl_loader_create(&o, &r->eval_loader);
}

static sl_status fill_meta(struct sl_run *r)
{
    r->meta.vit = r->config.model;
    r->meta.data = r->config.data;
    return sl_config_digest(&r->config, r->meta.train_digest);
}

struct sl_checkpoint_io sl_run_checkpoint_io(struct sl_run *r)
{
    struct sl_net *net = sl_stepper_net(r->stepper);
    return (struct sl_checkpoint_io){.run_dir = r->dir,
                                     .config = &r->config,
                                     .meta = &r->meta,
                                     .table = sl_net_params(net),
                                     .params = sl_net_param_data(net),
                                     .moments = sl_stepper_moments(r->stepper),
                                     .data_digest = r->data_digest,
                                     .build = r->build};
}

/* Newest checkpoint, else --init, else a fresh initialisation. */
static sl_status load_or_init(struct sl_run *r)
{
    struct sl_net *net = sl_stepper_net(r->stepper);
    const struct sl_param_table *table = sl_net_params(net);
    const struct sl_checkpoint_io io = sl_run_checkpoint_io(r);
    r->state = (struct sl_train_state){.best_top1 = -1};
    SL_TRY(sl_checkpoint_load(&io, r->options->strict, &r->state, &r->resumed));
    if (!r->resumed) {
        sl_param_init(table, r->config.seed, sl_net_param_data(net));
        if (r->options->init)
            SL_TRY(sl_weights_init(r->options->init, &r->config.model, table,
                                   r->options->reset_head, sl_net_param_data(net)));
    }
    return sl_net_params_changed(net);
}

static uint64_t eval_interval(const struct sl_run *r)
{
    const struct sl_eval_config *e = &r->config.eval;
    if (e->every_steps > 0)
        return (uint64_t)fmax(1, nearbyint(e->every_steps));
    const double per_epoch = (double)sl_dataset_count(r->train_set) / (double)r->config.train.batch;
    return e->every_epochs > 0 ? (uint64_t)fmax(1, nearbyint(e->every_epochs * per_epoch)) : 0;
}

/* The L of training. `length: train` keeps that of the weights which the run starts from, and its
 * checkpoints hold it on. */
static sl_status set_train_length(struct sl_run *r)
{
    struct sl_vit_config *v = &r->config.model;
    struct sl_weights_meta meta = {.classes = NULL};
    char *file = NULL;
    v->train_length = (double)sl_vit_tokens(v);
    if (v->length != SL_LENGTH_TRAIN)
        return SL_OK;
    sl_status st = sl_checkpoint_weights_path(r->dir, false, &file);
    if (st == SL_ERR_INPUT) { /* no checkpoint yet */
        if (!r->options->init)
            return SL_OK;
        file = sl_strdup(r->options->init);
        st = file ? SL_OK : SL_ERR_MEMORY;
    }
    if (st == SL_OK)
        st = sl_weights_read_meta(file, &meta);
    if (st == SL_OK && meta.vit.train_length > 0)
        v->train_length = meta.vit.train_length;
    sl_weights_meta_free(&meta);
    sl_free(file);
    return st;
}

/* A run that goes on keeps the type that `precision: auto` came to when it began, whatever this CPU
 * would choose: its checkpoints say nothing of types, as weights and moments are float. */
static sl_status make_stepper(struct sl_run *r)
{
    const enum sl_precision asked = r->config.precision;
    sl_status st = SL_OK;
    if (asked == SL_PRECISION_AUTO)
        st = sl_run_env_precision(r->dir, &r->config.precision);
    if (st == SL_OK)
        st = sl_stepper_create(r->dev, &r->config, &r->durations, &r->stepper);
    r->config.precision = asked; /* the recipe says auto, and its digest with it */
    return st;
}

sl_status sl_run_open(struct sl_run *r)
{
    const struct sl_config *c = &r->config;
    r->eval_every = eval_interval(r);
    snprintf(r->build, sizeof r->build, "softless %s, %s", sl_version(), r->dev->isa);
    SL_TRY(sl_run_dir_prepare(r->dir, c));
    SL_TRY(set_train_length(r));
    SL_TRY(fill_meta(r));
    SL_TRY(make_stepper(r));
    SL_TRY(load_or_init(r));
    SL_TRY(sl_run_env_write(r->dir, r->dev, sl_net_get_options(sl_stepper_net(r->stepper))->type,
                            r->data_digest));
    SL_TRY(sl_metrics_open(r->dir, r->state.metrics_offset, r->state.step, &r->metrics));
    SL_TRY(open_loaders(r));
    if (r->resumed)
        sl_run_log(&r->metrics, SL_LOG_INFO, "%s: going on at step %llu of %llu", r->dir,
                   (unsigned long long)r->state.step, (unsigned long long)r->durations.total);
    else
        sl_run_log(&r->metrics, SL_LOG_INFO, "%s: %llu steps, %zu parameters, %s, %d threads, %s",
                   r->dir, (unsigned long long)r->durations.total,
                   sl_param_count(sl_net_params(sl_stepper_net(r->stepper))),
                   sl_net_get_options(sl_stepper_net(r->stepper))->type == SL_BF16 ? "bf16"
                                                                                   : "fp32",
                   r->dev->threads, r->dev->isa);
    return SL_OK;
}

void sl_run_close(struct sl_run *r)
{
    sl_loader_free(&r->train_loader);
    sl_loader_free(&r->eval_loader);
    sl_metrics_close(&r->metrics);
    sl_stepper_free(&r->stepper);
    sl_weights_meta_free(&r->meta);
    sl_dataset_free(&r->train_set);
    sl_dataset_free(&r->eval_set);
    sl_run_unlock(&r->lock);
    sl_free(r->dir);
}
