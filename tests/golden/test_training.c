/*
 * Twenty updates of big_vision's chain from its first step, as training makes them (train/step.c),
 * against double precision (make_training.py): head at zero, mixup, micro-batches, clipping, Adam
 * with a bfloat16 first moment, decay of kernels, cosine with warm-up from 0.
 *
 * Bounds: float32 gradients are off by about 2e-6 of their norm (test_golden.c derives it), and
 * what normal noise of that size does to losses, gradient norms and final weights was measured on
 * the double model. An error is a sum over many roundings, nearly normal in its few leading
 * directions: five standard deviations, about once in 10^6. Evaluating a loss, or a gradient's
 * norm, has an error of its own, 1e-5 of its terms (test_golden.c). Each of the chain's known
 * mistakes (decay times lr, a float32 moment, the schedule one step early, ...) moves the weights
 * by more than the bound; make_training.py prints by how much.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "format/safetensors.h"
#include "train/train.h"

enum {
    B = 3,
    IMAGE = 8 * 12 * 3,
    STEPS = 20,
    WARMUP = 5,
    BATCHES = 4,
    CLASSES = 5,
    MAX_TENSORS = 64
};

struct chain {
    const char *name;
    struct sl_vit_config vit;
    enum sl_loss loss;
    double mixup;
    uint64_t seed;
    size_t accumulate;
};

#define VIT                                                                                        \
    .width = 16, .depth = 2, .heads = 2, .mlp = 24, .patch = 4, .image_height = 8,                 \
    .image_width = 12, .norm_eps = 1e-6, .classes = CLASSES, .alpha = 1

static const struct chain chains[] = {
    {.name = "relu",
     .vit = {VIT, .phi = SL_PHI_RELU, .qk_norm = SL_QK_NORM_LAYERNORM, .head_bias = -3},
     .loss = SL_LOSS_SIGMOID_XENT,
     .mixup = 0.5,
     .seed = 7,
     .accumulate = 1},
    {.name = "softmax",
     .vit = {VIT, .phi = SL_PHI_SOFTMAX, .pool = SL_POOL_TOK, .rep_size = true},
     .loss = SL_LOSS_SOFTMAX_XENT,
     .mixup = 0.2,
     .seed = 8,
     .accumulate = 2},
};

static const double float_bound = 1e-5, noise_factor = 5;

#define OK(call) require((call), #call)
static void require(sl_status st, const char *what)
{
    if (st != SL_OK)
        fail_msg("%s: %s: %s", what, sl_status_text(st), sl_error_message());
}

static void open_data(const char *name, struct sl_safetensors *st)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/golden/data/%s.safetensors", TEST_SOURCE_DIR, name);
    OK(sl_st_open(path, st));
}

static const struct sl_st_tensor *find(const struct sl_safetensors *st, const char *name)
{
    const struct sl_st_tensor *t = sl_st_find(st, name);
    if (!t)
        fail_msg("the golden file has no tensor %s", name);
    return t;
}

static void read_raw(const struct sl_safetensors *st, const char *name, void *dst, size_t bytes)
{
    OK(sl_st_read(st, find(st, name), dst, bytes));
}

static void read_floats(const struct sl_safetensors *st, const struct sl_param_table *t,
                        float *params)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct sl_param *p = &t->params[i];
        OK(sl_st_read_f32(st, find(st, p->name), params + p->offset, p->count));
    }
}

/* Golden weights; the head as training starts with it. */
static void set_weights(struct sl_device *dev, struct sl_net *net, double head_bias)
{
    const struct sl_param_table *t = sl_net_params(net);
    struct sl_safetensors file;
    float *params = sl_calloc(t->floats, sizeof *params);
    assert_non_null(params);
    open_data("weights_16", &file);
    read_floats(&file, t, params);
    sl_st_close(&file);
    for (size_t i = 0; i < t->n; i++) {
        const struct sl_param *p = &t->params[i];
        const bool head = strncmp(p->name, "head.", 5) == 0;
        for (size_t k = 0; k < p->count && head; k++)
            params[p->offset + k] = p->decay ? 0 : (float)head_bias;
    }
    OK(dev->ops->upload(dev, sl_net_param_data(net), params, t->floats * sizeof *params));
    OK(sl_net_params_changed(net));
    sl_free(params);
}

/* Largest share of its bound that an error takes. */
static void check(const char *what, size_t i, double got, double want, double bound, double *share)
{
    if (!(fabs(got - want) <= bound))
        fail_msg("%s %zu is %.8g, not %.8g; bound %.1e", what, i, got, want, bound);
    *share = fmax(*share, fabs(got - want) / bound);
}

static void check_steps(const struct chain *c, const struct sl_safetensors *file,
                        struct sl_stepper *s, double *share)
{
    double losses[STEPS], norms[STEPS], loss_noise[STEPS], norm_noise[STEPS];
    uint8_t images[BATCHES * 2 * B * IMAGE];
    int32_t labels[BATCHES * 2 * B];
    const size_t batch = c->accumulate * B;
    read_raw(file, "losses", losses, sizeof losses);
    read_raw(file, "norms", norms, sizeof norms);
    read_raw(file, "noise.losses", loss_noise, sizeof loss_noise);
    read_raw(file, "noise.norms", norm_noise, sizeof norm_noise);
    read_raw(file, "images", images, BATCHES * batch * IMAGE);
    read_raw(file, "labels", labels, BATCHES * batch * sizeof labels[0]);
    for (uint64_t t = 0; t < STEPS; t++) {
        sl_step_result r;
        const size_t at = t % BATCHES * batch;
        OK(sl_stepper_step(s, images + at * IMAGE, labels + at, t, &r));
        check("loss", t, r.loss, losses[t],
              noise_factor * loss_noise[t] + float_bound * fmax(1, losses[t]) * sqrt(CLASSES),
              share);
        check("gradient norm", t, r.grad_norm, norms[t],
              noise_factor * norm_noise[t] + float_bound * norms[t], share);
    }
}

static size_t rank_of(const struct sl_param_table *t, const char *name)
{
    size_t rank = 0;
    for (size_t i = 0; i < t->n; i++)
        rank += strcmp(t->params[i].name, name) < 0;
    return rank;
}

static void check_weights(const struct sl_safetensors *file, struct sl_device *dev,
                          struct sl_net *net, double *share)
{
    const struct sl_param_table *t = sl_net_params(net);
    double noise[MAX_TENSORS];
    float *got = sl_calloc(t->floats, sizeof *got), *want = sl_calloc(t->floats, sizeof *want);
    assert_true(got && want && t->n <= MAX_TENSORS);
    read_raw(file, "noise.weights", noise, t->n * sizeof noise[0]);
    read_floats(file, t, want);
    OK(dev->ops->download(dev, got, sl_net_param_data(net), t->floats * sizeof *got));
    for (size_t i = 0; i < t->n; i++) {
        const struct sl_param *p = &t->params[i];
        double sum = 0;
        for (size_t k = p->offset; k < p->offset + p->count; k++)
            sum += ((double)got[k] - want[k]) * ((double)got[k] - want[k]);
        check(p->name, 0, sqrt(sum), 0, noise_factor * noise[rank_of(t, p->name)], share);
    }
    sl_free(got);
    sl_free(want);
}

static void check_chain(const struct chain *c)
{
    struct sl_config config;
    struct sl_stepper *stepper;
    struct sl_device *dev;
    struct sl_safetensors file;
    const struct sl_durations durations = {.total = STEPS, .warmup = WARMUP};
    double share = 0;
    sl_config_defaults(&config);
    config.seed = c->seed;
    config.precision = SL_PRECISION_FP32;
    config.model = c->vit;
    config.data.value_min = -1;
    config.data.value_max = 1;
    config.train.batch = c->accumulate * B;
    config.train.accumulate = c->accumulate;
    config.train.optimizer = SL_OPT_ADAM;
    config.train.lr = 1e-3;
    config.train.wd = 1e-4;
    config.train.beta1 = 0.9;
    config.train.beta2 = 0.999;
    config.train.eps = 1e-8;
    config.train.bf16_moment = true;
    config.train.clip = 1;
    config.train.schedule = SL_SCHED_COSINE;
    config.train.loss = c->loss;
    config.train.label_smoothing = 0;
    config.train.mixup = c->mixup;
    OK(sl_device_open("cpu", 2, NULL, &dev));
    OK(sl_stepper_create(dev, &config, &durations, &stepper));
    set_weights(dev, sl_stepper_net(stepper), c->vit.head_bias);
    char name[64];
    snprintf(name, sizeof name, "training_%s", c->name);
    open_data(name, &file);
    check_steps(c, &file, stepper, &share);
    check_weights(&file, dev, sl_stepper_net(stepper), &share);
    printf("%s: largest error %.2f of its bound\n", c->name, share);
    sl_st_close(&file);
    sl_stepper_free(&stepper);
    sl_device_close(&dev);
}

static void test_relu(void **state)
{
    (void)state;
    check_chain(&chains[0]);
}

static void test_softmax(void **state)
{
    (void)state;
    check_chain(&chains[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relu),
        cmocka_unit_test(test_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
