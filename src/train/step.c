/*
 * One update: micro-batches forward and backward, global norm, clipping, optimizer (the order of
 * recipe.md 4 is big_vision's chain). Owns the net and the optimizer's moments; everything is
 * allocated when the stepper is made and nothing during a step.
 */
#include "train/train.h"

#include <math.h>

#include "base/alloc.h"
#include "base/rng.h"

struct sl_stepper {
    struct sl_device *dev;
    const struct sl_train_config *train; /* borrowed */
    uint64_t seed;
    struct sl_durations durations;
    struct sl_net *net;
    size_t micro, image_bytes; /* images of a micro-batch, bytes of an image */
    void *m;
    float *v;
};

static size_t first_moment_bytes(const struct sl_train_config *train, size_t floats)
{
    return floats * (train->bf16_moment ? sizeof(uint16_t) : sizeof(float));
}

static size_t second_moment_bytes(const struct sl_train_config *train, size_t floats)
{
    return train->optimizer == SL_OPT_SGD ? 0 : floats * sizeof(float);
}

static sl_status net_options(struct sl_device *dev, const struct sl_config *config,
                             struct sl_net_options *options)
{
    *options = (struct sl_net_options){.vit = config->model,
                                       .batch = config->train.batch / config->train.accumulate,
                                       .training = true,
                                       .value_min = (float)config->data.value_min,
                                       .value_max = (float)config->data.value_max};
    return sl_device_precision(dev, config->precision, &options->type);
}

sl_status sl_train_forecast(struct sl_device *dev, const struct sl_config *config,
                            struct sl_memory *memory)
{
    struct sl_net_options options;
    struct sl_memory m;
    SL_TRY(net_options(dev, config, &options));
    SL_TRY(sl_net_forecast(dev, &options, &m));
    const size_t floats = m.params / sizeof(float);
    m.optimizer =
        first_moment_bytes(&config->train, floats) + second_moment_bytes(&config->train, floats);
    *memory = m;
    return SL_OK;
}

/* The ops of a step that are not the net's. */
static sl_status plan_update(struct sl_stepper *s)
{
    double sum;
    const struct sl_sumsq_args args = {
        .x = sl_net_grad_data(s->net), .n = sl_net_params(s->net)->floats, .sum = &sum};
    sl_device_plan_begin(s->dev);
    const sl_status st = s->dev->ops->sumsq(s->dev, &args);
    const sl_status end = sl_device_plan_end(s->dev);
    return st != SL_OK ? st : end;
}

sl_status sl_stepper_create(struct sl_device *dev, const struct sl_config *config,
                            const struct sl_durations *durations, struct sl_stepper **stepper)
{
    const struct sl_train_config *train = &config->train;
    struct sl_stepper *s = NULL;
    sl_status st = SL_OK;
    SL_TRY(SL_NEW(s, 1));
    s->dev = dev;
    s->train = train;
    s->seed = config->seed;
    s->durations = *durations;
    s->micro = train->batch / train->accumulate;
    s->image_bytes = config->model.image_height * config->model.image_width * 3;
    struct sl_net_options options;
    SL_TRY_FREE(net_options(dev, config, &options));
    SL_TRY_FREE(sl_net_create(dev, &options, &s->net));
    const size_t floats = sl_net_params(s->net)->floats;
    const size_t second = second_moment_bytes(train, floats);
    SL_TRY_FREE(dev->ops->mem_alloc(dev, first_moment_bytes(train, floats), &s->m));
    if (second > 0) {
        void *v = NULL;
        SL_TRY_FREE(dev->ops->mem_alloc(dev, second, &v));
        s->v = v;
    }
    SL_TRY_FREE(plan_update(s));
    *stepper = s;
    return SL_OK;
fail:
    sl_stepper_free(&s);
    return st;
}

void sl_stepper_free(struct sl_stepper **stepper)
{
    if (!stepper || !*stepper)
        return;
    struct sl_stepper *s = *stepper;
    s->dev->ops->mem_free(s->dev, s->m);
    s->dev->ops->mem_free(s->dev, s->v);
    sl_net_free(&s->net);
    sl_free(s);
    *stepper = NULL;
}

struct sl_net *sl_stepper_net(struct sl_stepper *stepper)
{
    return stepper->net;
}

struct sl_moments sl_stepper_moments(struct sl_stepper *stepper)
{
    return (struct sl_moments){.m = stepper->m,
                               .m_type = stepper->train->bf16_moment ? SL_BF16 : SL_F32,
                               .v = stepper->v,
                               .floats = sl_net_params(stepper->net)->floats};
}

/* Gamma(shape, 1) by Marsaglia and Tsang (2000), with the usual power for shape < 1. */
static double draw_gamma(sl_rng *rng, double shape)
{
    if (shape < 1)
        return draw_gamma(rng, shape + 1) * pow(1 - sl_rng_uniform(rng), 1 / shape);
    const double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        const double x = sl_rng_normal(rng);
        const double t = 1 + c * x, v = t * t * t;
        if (t > 0 && log(1 - sl_rng_uniform(rng)) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

/* One mixing weight a step, the larger part of a Beta(p, p) draw; 1 = no mixup (recipe.md 5). */
static float draw_mix(const struct sl_stepper *s, uint64_t t)
{
    const double p = s->train->mixup;
    if (p <= 0)
        return 1;
    sl_rng rng = sl_rng_at(s->seed, SL_RNG_MIXUP, t, 0);
    const double a = draw_gamma(&rng, p), b = draw_gamma(&rng, p);
    return a + b > 0 ? (float)(fmax(a, b) / (a + b)) : 1;
}

/* Forward, loss and backward of every micro-batch; gradients of the mean loss end up in the arena.
 */
static sl_status accumulate_gradients(struct sl_stepper *s, const uint8_t *images,
                                      const int32_t *labels, float mix, sl_step_result *result)
{
    const size_t n = s->train->accumulate;
    s->dev->phase = SL_PHASE_OPTIMIZER;
    SL_TRY(sl_net_zero_grads(s->net));
    result->loss = 0;
    result->correct = 0;
    for (size_t i = 0; i < n; i++) {
        const float *logits;
        double loss = 0;
        size_t correct = 0;
        s->dev->phase = SL_PHASE_REST_FWD;
        SL_TRY(
            sl_net_forward(s->net, images + i * s->micro * s->image_bytes, s->micro, mix, &logits));
        struct sl_loss_args args = {.kind = s->train->loss,
                                    .labels = labels + i * s->micro,
                                    .mix = mix,
                                    .smoothing = (float)s->train->label_smoothing,
                                    .grad_scale = 1.0f / (float)s->train->batch,
                                    .loss = &loss,
                                    .correct = &correct};
        SL_TRY(sl_net_loss(s->net, &args));
        s->dev->phase = SL_PHASE_REST_BWD;
        SL_TRY(sl_net_backward(s->net));
        result->loss += loss;
        result->correct += correct;
    }
    result->loss /= (double)s->train->batch;
    return SL_OK;
}

static sl_status apply_update(struct sl_stepper *s, uint64_t t, float grad_scale)
{
    const struct sl_param_table *table = sl_net_params(s->net);
    float *w = sl_net_param_data(s->net);
    const float *g = sl_net_grad_data(s->net);
    const double factor = sl_schedule_factor(s->train, &s->durations, t);
    for (size_t i = 0; i < table->n; i++) {
        const struct sl_param *p = &table->params[i];
        void *m = s->train->bf16_moment ? (void *)((uint16_t *)s->m + p->offset)
                                        : (void *)((float *)s->m + p->offset);
        const struct sl_update_args args = {.kind = s->train->optimizer,
                                            .n = p->count,
                                            .w = w + p->offset,
                                            .g = g + p->offset,
                                            .grad_scale = grad_scale,
                                            .m = m,
                                            .bf16_moment = s->train->bf16_moment,
                                            .v = s->v ? s->v + p->offset : NULL,
                                            .lr = s->train->lr,
                                            .wd = p->decay ? s->train->wd : 0,
                                            .beta1 = s->train->beta1,
                                            .beta2 = s->train->beta2,
                                            .eps = s->train->eps,
                                            .momentum = s->train->momentum,
                                            .schedule = factor,
                                            .t = t};
        SL_TRY(s->dev->ops->update(s->dev, &args));
    }
    return sl_net_params_changed(s->net);
}

/* Name of the first tensor whose gradient is not finite, for the message of a divergence. */
static const char *first_bad_gradient(struct sl_stepper *s)
{
    const struct sl_param_table *table = sl_net_params(s->net);
    for (size_t i = 0; i < table->n; i++) {
        double sum = 0;
        const struct sl_sumsq_args args = {.x = sl_net_grad_data(s->net) + table->params[i].offset,
                                           .n = table->params[i].count,
                                           .sum = &sum};
        if (s->dev->ops->sumsq(s->dev, &args) != SL_OK || !isfinite(sum))
            return table->params[i].name;
    }
    return "none (the loss alone)";
}

sl_status sl_stepper_step(struct sl_stepper *s, const uint8_t *images, const int32_t *labels,
                          uint64_t t, sl_step_result *result)
{
    sl_step_result r;
    SL_TRY(accumulate_gradients(s, images, labels, draw_mix(s, t), &r));
    s->dev->phase = SL_PHASE_OPTIMIZER;
    double sum = 0;
    const struct sl_sumsq_args args = {
        .x = sl_net_grad_data(s->net), .n = sl_net_params(s->net)->floats, .sum = &sum};
    SL_TRY(s->dev->ops->sumsq(s->dev, &args));
    r.grad_norm = sqrt(sum);
    if (!isfinite(r.loss) || !isfinite(r.grad_norm)) {
        *result = r;
        SL_FAIL(SL_ERR_DIVERGED,
                "step %llu: loss %g, gradient norm %g; first tensor with a non-finite gradient: %s",
                (unsigned long long)t, isnan(r.loss) ? NAN : r.loss, /* never "-nan" */
                r.grad_norm, first_bad_gradient(s));
    }
    const double clip = s->train->clip;
    const float scale = clip > 0 && r.grad_norm >= clip ? (float)(clip / r.grad_norm) : 1.0f;
    SL_TRY(apply_update(s, t, scale));
    *result = r;
    return SL_OK;
}
