/*
 * The tiny model of the net's tests.
 */
#include "support_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/rng.h"

void require_ok(sl_status st, const char *what)
{
    if (st != SL_OK)
        fail_msg("%s: %s: %s", what, sl_status_text(st), sl_error_message());
}

struct sl_vit_config tiny_config(void)
{
    return (struct sl_vit_config){.width = 20,
                                  .depth = 2,
                                  .heads = 2,
                                  .mlp = 28,
                                  .patch = 4,
                                  .image_height = 8,
                                  .image_width = 12,
                                  .classes = TINY_CLASSES,
                                  .phi = SL_PHI_RELU,
                                  .alpha = 1,
                                  .norm_eps = 1e-6};
}

struct sl_vit_config tiny_config_full(void)
{
    struct sl_vit_config vit = tiny_config();
    vit.qk_norm = SL_QK_NORM_LAYERNORM_BIAS;
    vit.gate = SL_GATE_SILU;
    vit.pool = SL_POOL_MAP;
    vit.registers = 2;
    vit.rep_size = true;
    vit.layer_scale = 0.5;
    return vit;
}

void tiny_open(struct tiny *t, const struct sl_vit_config *vit, sl_dtype type, bool training,
               int threads, double spread)
{
    *t = (struct tiny){.labels = {3, 0, 4}};
    const struct sl_net_options options = {.vit = *vit,
                                           .type = type,
                                           .batch = TINY_BATCH,
                                           .training = training,
                                           .value_min = -1,
                                           .value_max = 1};
    OK(sl_device_open("cpu", threads, NULL, &t->dev));
    OK(sl_net_create(t->dev, &options, &t->net));
    const struct sl_param_table *table = sl_net_params(t->net);
    float *params = sl_calloc(table->floats, sizeof *params);
    const size_t bytes = TINY_BATCH * vit->image_height * vit->image_width * 3;
    t->images = sl_calloc(bytes, 1);
    assert_true(params && t->images);
    sl_param_init(table, 1, params);
    sl_rng rng = sl_rng_at(7, SL_RNG_TEST, 0, 0);
    for (size_t i = 0; i < table->floats; i++)
        params[i] += (float)(spread * sl_rng_normal(&rng));
    for (size_t i = 0; i < bytes; i++)
        t->images[i] = (uint8_t)sl_rng_below(&rng, 256);
    OK(t->dev->ops->upload(t->dev, sl_net_param_data(t->net), params,
                           table->floats * sizeof *params));
    OK(sl_net_params_changed(t->net));
    sl_free(params);
}

void tiny_close(struct tiny *t)
{
    t->dev->ops->mem_free(t->dev, t->m);
    t->dev->ops->mem_free(t->dev, t->v);
    sl_free(t->images);
    sl_net_free(&t->net);
    sl_device_close(&t->dev);
}

double tiny_pass(struct tiny *t, float *logits, bool backward)
{
    const size_t classes = sl_net_get_options(t->net)->vit.classes;
    const float *device_logits;
    double loss;
    size_t correct;
    struct sl_loss_args args = {.kind = t->loss,
                                .labels = t->labels,
                                .mix = 1,
                                .grad_scale = 1.0f / TINY_BATCH,
                                .loss = &loss,
                                .correct = &correct};
    OK(sl_net_forward(t->net, t->images, TINY_BATCH, 1, &device_logits));
    if (logits)
        OK(t->dev->ops->download(t->dev, logits, device_logits,
                                 TINY_BATCH * classes * sizeof *logits));
    OK(sl_net_loss(t->net, &args));
    if (backward) {
        OK(sl_net_zero_grads(t->net));
        OK(sl_net_backward(t->net));
    }
    return loss / TINY_BATCH;
}

static void update(struct tiny *t, uint64_t step)
{
    const struct sl_param_table *table = sl_net_params(t->net);
    double sum = 0;
    OK(t->dev->ops->sumsq(
        t->dev,
        &(struct sl_sumsq_args){.x = sl_net_grad_data(t->net), .n = table->floats, .sum = &sum}));
    OK(t->dev->ops->update(t->dev, &(struct sl_update_args){.kind = SL_OPT_ADAM,
                                                            .n = table->floats,
                                                            .w = sl_net_param_data(t->net),
                                                            .g = sl_net_grad_data(t->net),
                                                            .grad_scale = 1,
                                                            .m = t->m,
                                                            .v = t->v,
                                                            .lr = 1e-3,
                                                            .wd = 1e-4,
                                                            .beta1 = 0.9,
                                                            .beta2 = 0.999,
                                                            .eps = 1e-8,
                                                            .schedule = 1,
                                                            .t = step}));
}

void tiny_update(struct tiny *t, uint64_t step)
{
    if (!t->m) {
        void *m, *v;
        const size_t bytes = sl_net_params(t->net)->floats * sizeof(float);
        OK(t->dev->ops->mem_alloc(t->dev, bytes, &m));
        OK(t->dev->ops->mem_alloc(t->dev, bytes, &v));
        t->m = m;
        t->v = v;
        sl_device_plan_begin(t->dev);
        update(t, step);
        OK(sl_device_plan_end(t->dev));
    }
    update(t, step);
    OK(sl_net_params_changed(t->net));
}
