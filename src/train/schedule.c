/*
 * Durations and the learning-rate schedule: pure functions of the recipe and the step, so that a
 * resumed run needs no schedule state (recipe: big_vision utils.py).
 */
#include "train/train.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

/* Updates from the one of steps, epochs and examples that is given; rounded half to even, as
 * Python's round. */
static double updates(double steps, double epochs, double examples, double n_train, double batch)
{
    if (steps > 0)
        return nearbyint(steps);
    if (epochs > 0)
        return nearbyint(epochs * n_train / batch);
    return nearbyint(examples / batch);
}

sl_status sl_durations_resolve(const struct sl_config *config, size_t n_train,
                               struct sl_durations *durations)
{
    const struct sl_train_config *t = &config->train;
    const double n = (double)n_train, batch = (double)t->batch;
    const double total =
        fmax(1, updates(t->total_steps, t->total_epochs, t->total_examples, n, batch));
    const double warmup = updates(t->warmup_steps, t->warmup_epochs, t->warmup_examples, n, batch);
    if (!(total < 0x1p53) || !(warmup < 0x1p53))
        SL_FAIL(SL_ERR_CONFIG, "train: %g steps with %g of warm-up is not a possible duration",
                total, warmup);
    if (total > 1 && !(warmup < total))
        SL_FAIL(SL_ERR_CONFIG,
                "train: the warm-up of %.0f steps is not shorter than the training of %.0f steps; "
                "shorten train.warmup_steps or train longer",
                warmup, total);
    durations->total = (uint64_t)total;
    durations->warmup = (uint64_t)warmup;
    return SL_OK;
}

/* p = share of the way from the end of the warm-up to the end. */
static double decay(const struct sl_train_config *train, double p, double t, double warmup)
{
    switch (train->schedule) {
    case SL_SCHED_COSINE:
        return 0.5 * (1 + cos(PI * p));
    case SL_SCHED_LINEAR:
        return 1 - p;
    case SL_SCHED_RSQRT: {
        const double scale = train->rsqrt_timescale;
        return t < warmup ? 1 : 1 / sqrt(1 + (t - warmup) / scale);
    }
    case SL_SCHED_CONSTANT:
        break;
    }
    return 1;
}

double sl_schedule_factor(const struct sl_train_config *train, const struct sl_durations *d,
                          uint64_t t)
{
    const double at = (double)t, warmup = (double)d->warmup, total = (double)d->total;
    const double p = total > warmup ? fmin(fmax((at - warmup) / (total - warmup), 0), 1) : 1;
    const double rise = warmup > 0 ? fmin(1, at / warmup) : 1;
    return decay(train, p, at, warmup) * rise;
}
