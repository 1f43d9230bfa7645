/*
 * A training run from recipe to DONE: steps, logs, evaluates, saves, and stops cleanly on request.
 * Nothing here decides a number: steps come from step.c, order and augmentation from data/,
 * durability from checkpoint_save.c.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "train/run.h"

enum { SKIPS_IN_ROW = 3, SKIPS_IN_ALL = 20, FAILED_SAVES = 3 };

static sl_status save(struct sl_run *r, const char *reason)
{
    const double start = sl_now_s();
    r->state.metrics_offset = r->metrics.offset;
    SL_TRY(sl_writer_sync(r->metrics.metrics));
    const struct sl_checkpoint_io io = sl_run_checkpoint_io(r);
    const sl_status st = sl_checkpoint_save(&io, &r->state, reason);
    r->apart_s += sl_now_s() - start;
    return st;
}

/* A checkpoint on the way: a full or broken disk may recover, so training goes on until saving
 * failed three times in a row. The older checkpoints stand meanwhile. */
static sl_status save_periodic(struct sl_run *r)
{
    const uint64_t step = r->state.step;
    if (r->saved_step == step) /* just saved as the best */
        return SL_OK;
    const sl_status st = save(r, "periodic");
    if (st == SL_OK) {
        r->saves_failed = 0;
        r->saved_step = step;
        return SL_OK;
    }
    if ((st != SL_ERR_IO && st != SL_ERR_CREATE) || ++r->saves_failed == FAILED_SAVES)
        return st;
    sl_run_log(&r->metrics, SL_LOG_WARN,
               "step %llu was not saved (%zu times in a row; training ends at %d): %s",
               (unsigned long long)step, r->saves_failed, FAILED_SAVES, sl_error_message());
    return SL_OK;
}

static sl_status evaluate(struct sl_run *r)
{
    const double start = sl_now_s();
    const struct sl_config *c = &r->config;
    SL_TRY(sl_eval_run(sl_stepper_net(r->stepper), r->eval_set, r->eval_loader,
                       c->train.batch / c->train.accumulate, c->train.loss, &r->last_eval));
    SL_TRY(sl_run_log_eval(r));
    const bool best = r->last_eval.top1 > r->state.best_top1;
    if (best) {
        r->state.best_top1 = r->last_eval.top1;
        r->state.best_step = r->state.step;
    }
    r->apart_s += sl_now_s() - start;
    sl_run_progress(r);
    sl_run_restart_interval(r);
    return best && c->checkpoint.best && r->state.step < r->durations.total ? save_periodic(r)
                                                                            : SL_OK;
}

static sl_status write_model(struct sl_run *r)
{
    char *path = sl_path_join(r->dir, "model.safetensors");
    if (!path)
        return SL_ERR_MEMORY;
    struct sl_net *net = sl_stepper_net(r->stepper);
    r->meta.step = r->state.step;
    const sl_status st =
        sl_weights_replace(path, &r->meta, sl_net_params(net), sl_net_param_data(net));
    sl_free(path);
    return st;
}

/* ---- the loop ---- */

/* A step that is not finite is computed once more (a transient fault shows itself), then follows
 * train.nan_policy. *applied = false when the update was skipped. */
static sl_status guarded_step(struct sl_run *r, const struct sl_batch *b, sl_step_result *result,
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
        r->state.skipped_in_row = 0;
        return st;
    }
    if (r->config.train.nan_policy == SL_NAN_STOP || r->state.skipped_in_row >= SKIPS_IN_ROW ||
        r->state.skipped_updates >= SKIPS_IN_ALL)
        return sl_error_prefix(
            st, "%s: training diverged (checkpoints are kept; a smaller train.lr may help)",
            r->dir);
    *applied = false;
    r->state.skipped_updates++;
    r->state.skipped_in_row++;
    sl_run_log(&r->metrics, SL_LOG_WARN, "update skipped: %s", sl_error_message());
    return SL_OK;
}

static bool due(uint64_t step, uint64_t every)
{
    return every > 0 && step % every == 0;
}

static sl_status one_step(struct sl_run *r)
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
        SL_TRY(sl_run_log_interval(r, &result));
    else if (sl_now_s() - r->last_progress > 0.2)
        sl_run_progress(r);
    if (r->eval_set && (last || due(s->step, r->eval_every)))
        SL_TRY(evaluate(r));
    if (!last && due(s->step, c->checkpoint.every_steps)) {
        SL_TRY(save_periodic(r));
        sl_run_restart_interval(r);
    }
    return SL_OK;
}

static void fill_result(struct sl_run *r, sl_train_result *result)
{
    const double steps = (double)(r->state.step - r->first_step);
    const double train_s = fmax(sl_now_s() - r->start - r->apart_s, 1e-9);
    const struct sl_spent spent = sl_run_spent(r);
    const bool seen = r->last_eval.images > 0;
    *result = (sl_train_result){
        .step = r->state.step,
        .resumed = r->resumed,
        .val_top1 = seen ? r->last_eval.top1 : NAN,
        .val_top1_se = seen ? r->last_eval.top1_se : NAN,
        .val_loss = seen ? r->last_eval.loss : NAN,
        .train_loss = r->last_loss,
        .transfer = NAN,
        .attention = {NAN, NAN, NAN, NAN, NAN, NAN},
        .img_per_sec = steps * (double)r->config.train.batch / train_s,
        .wall_s = spent.wall_s,
        .cpu_s = spent.cpu_s,
        .core_hours = spent.wall_s * r->dev->threads / 3600,
    };
    snprintf(result->run_dir, sizeof result->run_dir, "%s", r->dir);
}

static sl_status train(struct sl_run *r, sl_train_result *result)
{
    r->start = r->last_progress = sl_now_s();
    r->start_cpu = sl_cpu_s();
    r->first_step = r->state.step;
    sl_run_restart_interval(r);
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
    const size_t bad = sl_loader_bad_samples(r->train_loader);
    if (bad > 0)
        sl_log(SL_LOG_WARN, "bad images skipped in training: %zu of %zu; their names stand above",
               bad, sl_dataset_count(r->train_set));
    fill_result(r, result);
    return sl_run_finish(r->dir, result);
}

sl_status sl_run_train(struct sl_device *dev, const struct sl_recipe *recipe,
                       const sl_train_options *options, const atomic_bool *stop,
                       sl_train_result *result)
{
    struct sl_run r = {.dev = dev,
                       .config = recipe->config,
                       .options = options,
                       .stop = stop,
                       .last_loss = NAN,
                       .last_top1 = NAN,
                       .last_speed = NAN};
    bool done = false;
    sl_status st = SL_OK;
    SL_TRY_FREE(sl_run_dir_choose(&r.config, options, &r.dir));
    SL_TRY_FREE(sl_run_load_result(r.dir, result, &done));
    SL_TRY_FREE(sl_run_open_data(&r));
    SL_TRY_FREE(sl_durations_resolve(&r.config, sl_dataset_count(r.train_set), &r.durations));
    if (done) {
        st = sl_run_dir_prepare(r.dir, &r.config);
        goto fail;
    }
    SL_TRY_FREE(sl_run_dir_make(r.dir));
    SL_TRY_FREE(sl_run_lock(r.dir, &r.lock));
    SL_TRY_FREE(sl_run_open(&r));
    st = train(&r, result);
fail:
    sl_run_close(&r);
    return st;
}
