/*
 * A training run from recipe to DONE: opens data and run directory, goes on from the newest
 * checkpoint, steps, logs, evaluates, saves, and stops cleanly on request. Nothing here decides a
 * number: steps come from step.c, order and augmentation from data/, durability from checkpoint.c.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "eval/eval.h"
#include "train/run_dir.h"

struct run {
    struct sl_device *dev;
    struct sl_config config;
    const sl_train_options *options;
    const atomic_bool *stop;
    struct sl_durations durations;
    char *dir;
    struct sl_run_lock *lock;
    struct sl_dataset *train_set, *eval_set;
    struct sl_loader *train_loader, *eval_loader;
    struct sl_stepper *stepper;
    struct sl_weights_meta meta;
    char data_digest[SL_DIGEST_SIZE];
    char build[64]; /* what may change the bits of a resumed run */
    struct sl_train_state state;
    struct sl_metrics metrics;
    uint64_t eval_every; /* steps; 0 = at the end only */
    bool resumed;
    sl_eval_result last_eval;
    double last_loss; /* mean of the last interval */
    size_t diverged_in_row;
    /* clock */
    double start, interval_start, interval_wait, last_progress;
    double apart_s; /* spent on evaluation and saving in this session */
    uint64_t first_step, interval_step;
};

enum { SKIPS_IN_ROW = 3, SKIPS_IN_ALL = 20 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- opening ---- */

static sl_status open_data(struct run *r)
{
    struct sl_config *c = &r->config;
    if (!c->data.train[0])
        SL_FAIL(SL_ERR_CONFIG, "data.train is not set; give a data set, e.g. "
                               "--set data.train=fashion-mnist:train");
    SL_TRY(sl_dataset_open(c->data.train, &r->train_set));
    const size_t classes = sl_dataset_classes(r->train_set);
    if (c->model.classes == 0)
        c->model.classes = classes;
    if (c->model.classes < classes)
        SL_FAIL(SL_ERR_CONFIG, "model.classes is %zu, but %s has %zu classes", c->model.classes,
                c->data.train, classes);
    if (c->data.eval[0]) {
        SL_TRY(sl_dataset_open(c->data.eval, &r->eval_set));
        if (sl_dataset_classes(r->eval_set) > c->model.classes)
            SL_FAIL(SL_ERR_CONFIG, "%s has %zu classes, but the model has %zu", c->data.eval,
                    sl_dataset_classes(r->eval_set), c->model.classes);
    }
    char both[2 * SL_DIGEST_SIZE] = {0};
    sl_dataset_digest(r->train_set, both);
    if (r->eval_set)
        sl_dataset_digest(r->eval_set, both + SL_DIGEST_SIZE);
    sl_digest(both, sizeof both, r->data_digest);
    return SL_OK;
}

static sl_status open_loaders(struct run *r)
{
    const struct sl_config *c = &r->config;
    struct sl_loader_options o = {.set = r->train_set,
                                  .ops = &c->data.train_ops,
                                  .out_h = c->model.image_height,
                                  .out_w = c->model.image_width,
                                  .batch = c->train.batch,
                                  .seed = c->seed,
                                  .train = true,
                                  .shuffle = c->data.shuffle,
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

static sl_status fill_meta(struct run *r)
{
    struct sl_weights_meta *meta = &r->meta;
    meta->vit = r->config.model;
    meta->data = r->config.data;
    SL_TRY(sl_config_digest(&r->config, meta->train_digest));
    SL_TRY(SL_NEW(meta->classes, meta->vit.classes));
    for (size_t i = 0; i < meta->vit.classes; i++) {
        const bool known = i < sl_dataset_classes(r->train_set);
        meta->classes[i] =
            known ? sl_strdup(sl_dataset_class_name(r->train_set, i)) : sl_asprintf("class %zu", i);
        if (!meta->classes[i])
            return SL_ERR_MEMORY;
    }
    return SL_OK;
}

static struct sl_checkpoint_io checkpoint_io(struct run *r)
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
static sl_status load_or_init(struct run *r)
{
    struct sl_net *net = sl_stepper_net(r->stepper);
    const struct sl_param_table *table = sl_net_params(net);
    const struct sl_checkpoint_io io = checkpoint_io(r);
    r->state = (struct sl_train_state){.best_top1 = -1};
    SL_TRY(sl_checkpoint_load(&io, r->options->strict, &r->state, &r->resumed));
    if (!r->resumed) {
        sl_param_init(table, r->config.seed, sl_net_param_data(net));
        if (r->options->init)
            SL_TRY(sl_weights_read(r->options->init, table, r->options->reset_head,
                                   sl_net_param_data(net)));
    }
    return sl_net_params_changed(net);
}

static uint64_t eval_interval(const struct run *r)
{
    const struct sl_eval_config *e = &r->config.eval;
    if (e->every_steps > 0)
        return (uint64_t)fmax(1, nearbyint(e->every_steps));
    const double per_epoch = (double)sl_dataset_count(r->train_set) / (double)r->config.train.batch;
    return e->every_epochs > 0 ? (uint64_t)fmax(1, nearbyint(e->every_epochs * per_epoch)) : 0;
}

static sl_status open_run(struct run *r)
{
    const struct sl_config *c = &r->config;
    r->config.model.train_length = (double)sl_vit_tokens(&c->model);
    r->eval_every = eval_interval(r);
    snprintf(r->build, sizeof r->build, "softless %s, %s", sl_version(), r->dev->isa);
    SL_TRY(sl_run_dir_prepare(r->dir, c));
    SL_TRY(fill_meta(r));
    SL_TRY(sl_stepper_create(r->dev, c, &r->durations, &r->stepper));
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

static void close_run(struct run *r)
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

/* ---- reporting ---- */

static double epoch_of(const struct run *r, uint64_t step)
{
    return (double)step * (double)r->config.train.batch / (double)sl_dataset_count(r->train_set);
}

static double wall_s(const struct run *r)
{
    return r->metrics.wall_before_s + now_s() - r->start;
}

static void report(struct run *r)
{
    const double now = now_s(), spent = now - r->interval_start;
    r->last_progress = now;
    if (!r->options->progress)
        return;
    const struct sl_train_state *s = &r->state;
    const double steps = (double)(s->step - r->first_step);
    const double n = (double)s->interval_images;
    const double images = (double)(s->step - r->interval_step) * (double)r->config.train.batch;
    const double step_s = (now - r->start - r->apart_s) / fmax(steps, 1);
    const sl_train_progress p = {
        .step = s->step,
        .total_steps = r->durations.total,
        .epoch = epoch_of(r, s->step),
        .total_epochs = epoch_of(r, r->durations.total),
        .loss = n > 0 ? s->interval_loss / n : r->last_loss,
        .train_top1 = n > 0 ? (double)s->interval_correct / n : NAN,
        .img_per_sec = spent > 0 ? images / spent : NAN,
        .data_wait_frac =
            spent > 0 ? (sl_loader_wait_s(r->train_loader) - r->interval_wait) / spent : 0,
        .eta_s = (double)(r->durations.total - s->step) * step_s,
        .val_top1 = r->last_eval.images ? r->last_eval.top1 : NAN,
        .val_loss = r->last_eval.images ? r->last_eval.loss : NAN,
    };
    r->options->progress(r->options->user, &p);
}

static void restart_interval(struct run *r)
{
    r->interval_start = now_s();
    r->interval_wait = sl_loader_wait_s(r->train_loader);
    r->interval_step = r->state.step;
}

static sl_status add_metrics_line(struct run *r, sl_text *t)
{
    char *line = NULL;
    SL_TRY(sl_text_take(t, &line));
    const sl_status st = sl_metrics_add(&r->metrics, line);
    sl_free(line);
    return st;
}

static void add_number(sl_text *t, const char *key, double x)
{
    sl_text_addf(t, ", \"%s\": ", key);
    sl_text_add_json_number(t, x);
}

static size_t resident_bytes(void)
{
    size_t total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%zu %zu", &total, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static sl_status log_timing(struct run *r)
{
    const double spent = fmax(now_s() - r->interval_start, 1e-9), wall = wall_s(r);
    const double images =
        (double)(r->state.step - r->interval_step) * (double)r->config.train.batch;
    sl_text t = {0};
    char *line = NULL;
    sl_text_addf(&t, "{\"step\": %llu", (unsigned long long)r->state.step);
    add_number(&t, "wall_s", wall);
    add_number(&t, "core_hours", wall * r->dev->threads / 3600);
    add_number(&t, "img_per_sec", images / spent);
    add_number(&t, "gflops", 3e-9 * sl_vit_flops(&r->config.model) * images / spent);
    add_number(&t, "data_wait_frac",
               (sl_loader_wait_s(r->train_loader) - r->interval_wait) / spent);
    sl_text_addf(&t, ", \"rss_bytes\": %zu}", resident_bytes());
    SL_TRY(sl_text_take(&t, &line));
    const sl_status st = sl_timing_add(&r->metrics, line);
    sl_free(line);
    return st;
}

static sl_status log_interval(struct run *r, const sl_step_result *last)
{
    struct sl_train_state *s = &r->state;
    const double n = (double)s->interval_images;
    const double factor = sl_schedule_factor(&r->config.train, &r->durations, s->step - 1);
    struct sl_net *net = sl_stepper_net(r->stepper);
    double params = 0;
    const struct sl_sumsq_args args = {
        .x = sl_net_param_data(net), .n = sl_net_params(net)->floats, .sum = &params};
    SL_TRY(r->dev->ops->sumsq(r->dev, &args));
    r->last_loss = s->interval_loss / n;
    sl_text t = {0};
    sl_text_addf(&t, "{\"step\": %llu", (unsigned long long)s->step);
    add_number(&t, "epoch", epoch_of(r, s->step));
    sl_text_addf(&t, ", \"examples\": %llu", (unsigned long long)(s->step * r->config.train.batch));
    add_number(&t, "train/loss", r->last_loss);
    add_number(&t, "train/top1", (double)s->interval_correct / n);
    add_number(&t, "train/l2_grads", last->grad_norm);
    add_number(&t, "train/l2_params", sqrt(params));
    add_number(&t, "train/schedule", factor);
    add_number(&t, "train/lr", factor * r->config.train.lr);
    sl_text_add(&t, "}");
    SL_TRY(add_metrics_line(r, &t));
    SL_TRY(log_timing(r));
    report(r);
    s->interval_loss = 0;
    s->interval_correct = s->interval_images = 0;
    restart_interval(r);
    return SL_OK;
}

/* ---- evaluation and saving ---- */

static sl_status save(struct run *r, const char *reason)
{
    const double start = now_s();
    r->state.metrics_offset = r->metrics.offset;
    SL_TRY(sl_writer_sync(r->metrics.metrics));
    const struct sl_checkpoint_io io = checkpoint_io(r);
    const sl_status st = sl_checkpoint_save(&io, &r->state, reason);
    r->apart_s += now_s() - start;
    return st;
}

static sl_status evaluate(struct run *r)
{
    const double start = now_s();
    const struct sl_config *c = &r->config;
    SL_TRY(sl_eval_run(sl_stepper_net(r->stepper), r->eval_set, r->eval_loader,
                       c->train.batch / c->train.accumulate, c->train.loss, &r->last_eval));
    const sl_eval_result *e = &r->last_eval;
    sl_text t = {0};
    sl_text_addf(&t, "{\"step\": %llu", (unsigned long long)r->state.step);
    add_number(&t, "epoch", epoch_of(r, r->state.step));
    add_number(&t, "val/top1", e->top1);
    add_number(&t, "val/top1_se", e->top1_se);
    add_number(&t, "val/top5", e->top5);
    add_number(&t, "val/loss", e->loss);
    sl_text_add(&t, "}");
    SL_TRY(add_metrics_line(r, &t));
    const bool best = e->top1 > r->state.best_top1;
    if (best) {
        r->state.best_top1 = e->top1;
        r->state.best_step = r->state.step;
    }
    r->apart_s += now_s() - start;
    report(r);
    restart_interval(r);
    return best && c->checkpoint.best && r->state.step < r->durations.total ? save(r, "periodic")
                                                                            : SL_OK;
}

static sl_status write_model(struct run *r)
{
    char *path = sl_path_join(r->dir, "model.safetensors");
    if (!path)
        return SL_ERR_MEMORY;
    r->meta.step = r->state.step;
    sl_status st = SL_OK;
    if (sl_is_file(path) && sl_io.unlink(path) != 0)
        st = sl_error_set(SL_ERR_IO, "%s: an older one cannot be replaced", path);
    if (st == SL_OK) {
        struct sl_net *net = sl_stepper_net(r->stepper);
        st = sl_weights_write(path, &r->meta, sl_net_params(net), sl_net_param_data(net), NULL,
                              NULL);
    }
    sl_free(path);
    return st;
}

/* ---- the loop ---- */

/* A step that is not finite is computed once more (a transient fault shows itself), then follows
 * train.nan_policy. *applied = false when the update was skipped. */
static sl_status guarded_step(struct run *r, const struct sl_batch *b, sl_step_result *result,
                              bool *applied)
{
    *applied = true;
    sl_status st = sl_stepper_step(r->stepper, b->images, b->labels, r->state.step, result);
    if (st == SL_ERR_DIVERGED) {
        st = sl_stepper_step(r->stepper, b->images, b->labels, r->state.step, result);
        if (st == SL_OK)
            sl_run_log(&r->metrics, SL_LOG_WARN,
                       "step %llu was not finite once and finite when repeated: a transient fault",
                       (unsigned long long)r->state.step);
    }
    if (st != SL_ERR_DIVERGED) {
        r->diverged_in_row = 0;
        return st;
    }
    if (r->config.train.nan_policy == SL_NAN_STOP || ++r->diverged_in_row > SKIPS_IN_ROW ||
        r->state.skipped_updates >= SKIPS_IN_ALL)
        return sl_error_prefix(st, "%s: training diverged, the last checkpoint is kept", r->dir);
    *applied = false;
    r->state.skipped_updates++;
    sl_run_log(&r->metrics, SL_LOG_WARN, "update skipped: %s", sl_error_message());
    return SL_OK;
}

static bool due(uint64_t step, uint64_t every)
{
    return every > 0 && step % every == 0;
}

static sl_status one_step(struct run *r)
{
    const struct sl_config *c = &r->config;
    struct sl_train_state *s = &r->state;
    const struct sl_batch *b;
    sl_step_result result;
    bool applied;
    SL_TRY(sl_loader_next(r->train_loader, &b));
    SL_TRY(guarded_step(r, b, &result, &applied));
    s->step++;
    if (applied) {
        s->interval_loss += result.loss * (double)c->train.batch;
        s->interval_correct += result.correct;
        s->interval_images += c->train.batch;
    }
    const bool last = s->step == r->durations.total;
    if (s->interval_images > 0 && (last || due(s->step, c->log_every_steps)))
        SL_TRY(log_interval(r, &result));
    else if (now_s() - r->last_progress > 0.2)
        report(r);
    if (r->eval_set && (last || due(s->step, r->eval_every)))
        SL_TRY(evaluate(r));
    if (!last && due(s->step, c->checkpoint.every_steps)) {
        SL_TRY(save(r, "periodic"));
        restart_interval(r);
    }
    return SL_OK;
}

static void fill_result(struct run *r, sl_train_result *result)
{
    const double steps = (double)(r->state.step - r->first_step);
    const double train_s = fmax(now_s() - r->start - r->apart_s, 1e-9), wall = wall_s(r);
    const bool seen = r->last_eval.images > 0;
    *result = (sl_train_result){
        .step = r->state.step,
        .resumed = r->resumed,
        .val_top1 = seen ? r->last_eval.top1 : NAN,
        .val_top1_se = seen ? r->last_eval.top1_se : NAN,
        .val_loss = seen ? r->last_eval.loss : NAN,
        .train_loss = r->last_loss,
        .img_per_sec = steps * (double)r->config.train.batch / train_s,
        .wall_s = wall,
        .core_hours = wall * r->dev->threads / 3600,
    };
    snprintf(result->run_dir, sizeof result->run_dir, "%s", r->dir);
}

static sl_status train(struct run *r, sl_train_result *result)
{
    r->start = r->last_progress = now_s();
    r->first_step = r->state.step;
    restart_interval(r);
    while (r->state.step < r->durations.total) {
        if (atomic_load(r->stop)) {
            SL_TRY(save(r, "signal"));
            fill_result(r, result);
            SL_FAIL(
                SL_ERR_INTERRUPTED,
                "stopped at step %llu of %llu with the state saved in %s; the same command goes on",
                (unsigned long long)r->state.step, (unsigned long long)r->durations.total, r->dir);
        }
        SL_TRY(one_step(r));
    }
    if (r->eval_set &&
        r->last_eval.images == 0) /* a run that was killed between the end and DONE */
        SL_TRY(sl_eval_run(sl_stepper_net(r->stepper), r->eval_set, r->eval_loader,
                           r->config.train.batch / r->config.train.accumulate, r->config.train.loss,
                           &r->last_eval));
    SL_TRY(save(r, "final"));
    SL_TRY(write_model(r));
    fill_result(r, result);
    return sl_run_finish(r->dir, result);
}

sl_status sl_run_train(struct sl_device *dev, const struct sl_recipe *recipe,
                       const sl_train_options *options, const atomic_bool *stop,
                       sl_train_result *result)
{
    struct run r = {
        .dev = dev, .config = recipe->config, .options = options, .stop = stop, .last_loss = NAN};
    bool done = false;
    sl_status st = SL_OK;
    SL_TRY_FREE(sl_run_dir_choose(&r.config, options, &r.dir));
    SL_TRY_FREE(sl_run_load_result(r.dir, result, &done));
    SL_TRY_FREE(open_data(&r));
    SL_TRY_FREE(sl_durations_resolve(&r.config, sl_dataset_count(r.train_set), &r.durations));
    if (done) {
        st = sl_run_dir_prepare(r.dir, &r.config);
        goto fail;
    }
    SL_TRY_FREE(sl_make_dirs(r.dir));
    SL_TRY_FREE(sl_run_lock(r.dir, &r.lock));
    SL_TRY_FREE(open_run(&r));
    st = train(&r, result);
fail:
    close_run(&r);
    return st;
}
