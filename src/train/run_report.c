/*
 * What a run says: progress, metrics.jsonl (the same in every run of a recipe) and timing.jsonl.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "train/run.h"

static double epoch_of(const struct sl_run *r, uint64_t step)
{
    return (double)step * (double)r->config.train.batch / (double)sl_dataset_count(r->train_set);
}

struct sl_spent sl_run_spent(const struct sl_run *r)
{
    const struct sl_spent before = r->metrics.before;
    return (struct sl_spent){.wall_s = before.wall_s + sl_now_s() - r->start,
                             .cpu_s = before.cpu_s + sl_cpu_s() - r->start_cpu};
}

void sl_run_progress(struct sl_run *r)
{
    const double now = sl_now_s(), spent = now - r->interval_start;
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
        .train_top1 = n > 0 ? (double)s->interval_correct / n : r->last_top1,
        .img_per_sec = images > 0 && spent > 0 ? images / spent : r->last_speed,
        .data_wait_frac =
            spent > 0 ? (sl_loader_wait_s(r->train_loader) - r->interval_wait) / spent : 0,
        .eta_s = (double)(r->durations.total - s->step) * step_s,
        .val_top1 = r->last_eval.images ? r->last_eval.top1 : NAN,
        .val_loss = r->last_eval.images ? r->last_eval.loss : NAN,
    };
    r->options->progress(r->options->user, &p);
}

void sl_run_restart_interval(struct sl_run *r)
{
    r->interval_start = sl_now_s();
    r->interval_wait = sl_loader_wait_s(r->train_loader);
    r->interval_step = r->state.step;
}

static sl_status add_metrics_line(struct sl_run *r, sl_text *t)
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

static sl_status log_timing(struct sl_run *r)
{
    const double interval_s = fmax(sl_now_s() - r->interval_start, 1e-9);
    const struct sl_spent spent = sl_run_spent(r);
    const double images =
        (double)(r->state.step - r->interval_step) * (double)r->config.train.batch;
    sl_text t = {0};
    char *line = NULL;
    sl_text_addf(&t, "{\"step\": %llu", (unsigned long long)r->state.step);
    add_number(&t, "wall_s", spent.wall_s);
    add_number(&t, "cpu_s", spent.cpu_s);
    add_number(&t, "core_hours", spent.wall_s * r->dev->threads / 3600);
    add_number(&t, "img_per_sec", images / interval_s);
    add_number(&t, "gflops", 3e-9 * sl_vit_flops(&r->config.model) * images / interval_s);
    add_number(&t, "data_wait_frac",
               (sl_loader_wait_s(r->train_loader) - r->interval_wait) / interval_s);
    sl_text_addf(&t, ", \"rss_bytes\": %zu}", resident_bytes());
    SL_TRY(sl_text_take(&t, &line));
    const sl_status st = sl_timing_add(&r->metrics, line);
    sl_free(line);
    return st;
}

sl_status sl_run_log_interval(struct sl_run *r, const sl_step_result *last)
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
    r->last_top1 = (double)s->interval_correct / n;
    r->last_speed = (double)(s->step - r->interval_step) * (double)r->config.train.batch /
                    fmax(sl_now_s() - r->interval_start, 1e-9);
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
    sl_run_progress(r);
    s->interval_loss = 0;
    s->interval_correct = s->interval_images = 0;
    sl_run_restart_interval(r);
    return SL_OK;
}

sl_status sl_run_log_eval(struct sl_run *r)
{
    const sl_eval_result *e = &r->last_eval;
    sl_text t = {0};
    sl_text_addf(&t, "{\"step\": %llu", (unsigned long long)r->state.step);
    add_number(&t, "epoch", epoch_of(r, r->state.step));
    add_number(&t, "val/top1", e->top1);
    add_number(&t, "val/top1_se", e->top1_se);
    add_number(&t, "val/top5", e->top5);
    add_number(&t, "val/loss", e->loss);
    sl_text_add(&t, "}");
    return add_metrics_line(r, &t);
}
