/*
 * What happens inside attention, in six numbers: the figures of explain, averaged over heads and
 * over images from the whole length of a run's evaluation set.
 */
#include "api/attention_summary.h"

#include <math.h>
#include <string.h>

#include "api/model.h"
#include "base/alloc.h"
#include "data/data.h"
#include "eval/explain.h"
#include "train/run_dir.h"

enum { IMAGES = 16, WEIGHTS = 1 << 26 }; /* at most; a second or two */

struct mean {
    double sum;
    size_t n;
};

static void add(struct mean *m, double x)
{
    if (isnan(x))
        return;
    m->sum += x;
    m->n++;
}

static double value(const struct mean *m)
{
    return m->n ? m->sum / (double)m->n : NAN;
}

struct summary {
    struct sl_token_grid grid;
    size_t heads;
    struct mean mass, entropy, zeros, dead_rows, distance;
    bool *alive; /* [depth, heads]: some query of some image looked somewhere */
};

static sl_status take(void *user, size_t block, size_t head, const float *weights)
{
    struct summary *s = user;
    sl_head_figures x;
    sl_head_figures_of(&s->grid, weights, &x);
    add(&s->mass, x.mass);
    add(&s->entropy, x.entropy);
    add(&s->zeros, x.zeros);
    add(&s->dead_rows, x.dead_rows);
    add(&s->distance, x.distance);
    if (x.dead_rows < 1)
        s->alive[block * s->heads + head] = true;
    return SL_OK;
}

static sl_status look(sl_model *model, const struct sl_dataset *set, struct summary *s)
{
    const struct sl_vit_config *v = &model->meta.vit;
    const size_t weights = v->depth * v->heads * s->grid.length * s->grid.length;
    const size_t count = sl_dataset_count(set), fit = WEIGHTS / weights;
    const size_t most = fit < 1 ? 1 : fit < IMAGES ? fit : IMAGES, n = count < most ? count : most;
    const struct sl_weights_sink sink = {.take = take, .user = s};
    struct sl_net *net;
    SL_TRY(sl_model_net(model, 1, &net));
    for (size_t i = 0; i < n; i++) {
        uint8_t *pixels = NULL;
        const float *logits;
        sl_status st = sl_dataset_image(set, i * count / n, &model->image);
        if (st == SL_ERR_DATA) /* training went on without it, if it was seen */
            continue;
        SL_TRY(st);
        SL_TRY(sl_model_preprocess(model, &pixels));
        st = sl_net_tap_weights(net, &sink);
        if (st == SL_OK)
            st = sl_net_forward(net, pixels, 1, 1.0f, &logits);
        sl_net_tap_weights(net, NULL);
        sl_free(pixels);
        SL_TRY(st);
    }
    return SL_OK;
}

sl_status sl_attention_summarise(sl_context *ctx, const char *data, sl_train_result *result)
{
    struct sl_dataset *set = NULL;
    sl_model *model = NULL;
    struct summary s = {.alive = NULL};
    size_t heads = 0, dead = 0;
    sl_status st;
    SL_TRY_FREE(sl_dataset_open(data, &set));
    SL_TRY_FREE(sl_model_load(ctx, result->run_dir, &model));
    const struct sl_vit_config *v = &model->meta.vit;
    heads = v->depth * v->heads;
    s.grid = sl_token_grid_of(v);
    s.heads = v->heads;
    SL_TRY_FREE(SL_NEW(s.alive, heads));
    SL_TRY_FREE(look(model, set, &s));
    for (size_t i = 0; i < heads; i++)
        dead += !s.alive[i];
    result->attention = (sl_attention_summary){.mass = value(&s.mass),
                                               .entropy = value(&s.entropy),
                                               .zeros = value(&s.zeros),
                                               .dead_rows = value(&s.dead_rows),
                                               .dead_heads = (double)dead / (double)heads,
                                               .distance = value(&s.distance)};
    SL_TRY_FREE(sl_run_finish(result->run_dir, result));
fail:
    sl_free(s.alive);
    sl_model_free(&model);
    sl_dataset_free(&set);
    return st;
}
