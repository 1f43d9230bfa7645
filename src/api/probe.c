/*
 * The few-shot probe behind the public header: which sets, shots and seeds; one table of
 * accuracies.
 */
#include "eval/probe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/model.h"
#include "base/alloc.h"
#include "base/io.h"

static const size_t default_shots[] = {1, 5, 10, 25};
static const uint64_t default_seeds[] = {0, 1, 2};
#define DEFAULT_L2 1024.0
#define DEFAULT_SHARE 0.5
enum { SHOTS_MAX = 1 << 20 };

/* ---- options ---- */

static sl_status check(const sl_probe_options *o)
{
    if (!o->data || o->n_data == 0)
        SL_FAIL(SL_ERR_ARGUMENT, "the probe needs a data set; give one with --data");
    if (!(o->l2 > 0) || !isfinite(o->l2))
        SL_FAIL(SL_ERR_ARGUMENT, "l2 is %g; it must be above 0", o->l2);
    if (!(o->train_share > 0 && o->train_share < 1))
        SL_FAIL(SL_ERR_ARGUMENT, "the training share is %g; it must be between 0 and 1",
                o->train_share);
    if (!(o->max_bad_fraction >= 0 && o->max_bad_fraction <= 1))
        SL_FAIL(SL_ERR_ARGUMENT, "the share of bad images is %g; it must be 0 to 1",
                o->max_bad_fraction);
    for (size_t i = 0; i < o->n_shots; i++)
        if (o->shots[i] == 0 || o->shots[i] > SHOTS_MAX)
            SL_FAIL(SL_ERR_ARGUMENT, "%zu shots; it must be 1 to %d", o->shots[i], SHOTS_MAX);
    for (size_t i = 0; i < o->n_data; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(o->data[i], o->data[j]) == 0)
                SL_FAIL(SL_ERR_ARGUMENT, "data set '%s' is given twice", o->data[i]);
    return SL_OK;
}

static sl_probe_options with_defaults(const sl_probe_options *options)
{
    sl_probe_options o = *options;
    if (!o.shots) {
        o.shots = default_shots;
        o.n_shots = sizeof default_shots / sizeof default_shots[0];
    }
    if (!o.seeds) {
        o.seeds = default_seeds;
        o.n_seeds = sizeof default_seeds / sizeof default_seeds[0];
    }
    if (o.l2 == 0)
        o.l2 = DEFAULT_L2;
    if (o.train_share == 0)
        o.train_share = DEFAULT_SHARE;
    return o;
}

static size_t most_shots(const sl_probe_options *o)
{
    size_t most = 0;
    for (size_t i = 0; i < o->n_shots; i++)
        most = o->shots[i] > most ? o->shots[i] : most;
    return most;
}

/* ---- the source of features ---- */

/* big_vision resizes to a square of 256 where the model takes 224. */
static void probe_ops(const struct sl_vit_config *v, struct sl_pipeline_config *ops)
{
    const double ratio = 256.0 / 224.0;
    const long h = lrint((double)v->image_height * ratio),
               w = lrint((double)v->image_width * ratio);
    *ops = (struct sl_pipeline_config){.n = 2};
    snprintf(ops->ops[0], sizeof ops->ops[0], "resize(%ldx%ld)", h, w);
    snprintf(ops->ops[1], sizeof ops->ops[1], "central_crop(%zux%zu)", v->image_height,
             v->image_width);
}

/* Digest of weights, model, value range and type of activations. */
static sl_status model_digest(sl_model *model, struct sl_net *net, char digest[SL_DIGEST_SIZE])
{
    const struct sl_data_config *data = &model->meta.data;
    const double numbers[] = {data->value_min, data->value_max,
                              (double)sl_net_get_options(net)->type};
    const struct sl_param_table *t = sl_net_params(net);
    sl_hash *hash;
    char *config = NULL;
    float *params = NULL;
    sl_status st = sl_vit_to_json(&model->meta.vit, &config);
    if (st == SL_OK)
        st = SL_NEW(params, t->floats);
    if (st == SL_OK)
        st = model->dev->ops->download(model->dev, params, sl_net_param_data(net),
                                       t->floats * sizeof *params);
    if (st == SL_OK)
        st = sl_hash_new(&hash);
    if (st == SL_OK) {
        sl_hash_add(hash, config, strlen(config));
        sl_hash_add(hash, numbers, sizeof numbers);
        sl_hash_add(hash, params, t->floats * sizeof *params);
        sl_hash_end(&hash, digest);
    }
    sl_free(config);
    sl_free(params);
    return st;
}

/* ---- one run ---- */

struct run {
    const sl_probe_options *o;
    struct sl_device *dev;
    struct sl_feature_source source;
    struct sl_feature_store *store; /* or NULL */
    struct sl_shot_lists *lists;    /* read, or NULL */
    struct sl_shot_writer writer;   /* where o->indices names a new file */
    bool writing;
};

static sl_status choose_split(struct run *r, const char *name, struct sl_probe_data *d)
{
    bool found = d->has_split;
    if (!found && r->lists)
        SL_TRY(sl_shot_lists_get_split(r->lists, name, d, &found));
    return found ? SL_OK : sl_probe_split(d, r->o->train_share);
}

static sl_status probe_seed(struct run *r, const struct sl_probe_data *d, size_t seed,
                            sl_probe_set *set)
{
    const sl_probe_options *o = r->o;
    const size_t most = most_shots(o);
    struct sl_shots shots = {0};
    sl_status st;
    if (r->lists)
        st = sl_shot_lists_get(r->lists, set->data, o->seeds[seed], most, d, &shots);
    else
        st = sl_shots_draw(d, o->seeds[seed], most, &shots);
    if (st == SL_OK && r->writing)
        sl_shot_writer_seed(&r->writer, o->seeds[seed], &shots);
    for (size_t i = 0; i < o->n_shots && st == SL_OK; i++)
        st = sl_probe_fewshot(r->dev->threads, d, &shots, o->shots[i], o->l2,
                              &set->top1[i * o->n_seeds + seed], NULL);
    sl_shots_free(&shots);
    return st;
}

static sl_status probe_loaded(struct run *r, struct sl_probe_data *d, sl_probe_set *set)
{
    const sl_probe_options *o = r->o;
    SL_TRY(choose_split(r, set->data, d));
    set->train = d->n_train;
    set->test = d->n_test;
    set->classes = d->classes;
    for (size_t i = 0; i < d->n; i++)
        set->skipped += d->labels[i] < 0;
    SL_TRY(SL_NEW(set->top1, o->n_shots * o->n_seeds));
    if (r->writing)
        sl_shot_writer_set(&r->writer, set->data, d, !d->has_split);
    for (size_t s = 0; s < o->n_seeds; s++)
        SL_TRY(probe_seed(r, d, s, set));
    set->knn_top1 = NAN;
    return o->knn ? sl_probe_knn(r->dev, d, o->knn, &set->knn_top1) : SL_OK;
}

static sl_status probe_set(struct run *r, const char *name, sl_probe_set *set)
{
    struct sl_probe_data d = {0};
    set->data = sl_strdup(name);
    SL_TRY(set->data ? SL_OK : SL_ERR_MEMORY);
    sl_status st = sl_probe_data_load(&r->source, r->store, name, &d);
    if (st == SL_OK) {
        st = probe_loaded(r, &d, set);
        if (st != SL_OK && st != SL_ERR_MEMORY)
            sl_error_prefix(st, "probe of '%s'", name);
    }
    sl_probe_data_free(&d);
    return st;
}

static void add_averages(sl_probe_result *result)
{
    const double per_set = 1.0 / (double)result->n_sets;
    for (size_t s = 0; s < result->n_sets; s++) {
        const sl_probe_set *set = &result->sets[s];
        for (size_t i = 0; i < result->n_shots; i++)
            for (size_t j = 0; j < result->n_seeds; j++)
                result->average[i] +=
                    set->top1[i * result->n_seeds + j] * per_set / (double)result->n_seeds;
        result->knn_average += set->knn_top1 * per_set;
    }
}

static sl_status probe_all(struct run *r, sl_probe_result *result)
{
    const sl_probe_options *o = r->o;
    SL_TRY(SL_NEW(result->sets, o->n_data));
    SL_TRY(SL_NEW(result->shots, o->n_shots));
    SL_TRY(SL_NEW(result->seeds, o->n_seeds));
    SL_TRY(SL_NEW(result->average, o->n_shots));
    memcpy(result->shots, o->shots, o->n_shots * sizeof *o->shots);
    memcpy(result->seeds, o->seeds, o->n_seeds * sizeof *o->seeds);
    result->n_shots = o->n_shots;
    result->n_seeds = o->n_seeds;
    for (; result->n_sets < o->n_data; result->n_sets++) {
        const sl_status st = probe_set(r, o->data[result->n_sets], &result->sets[result->n_sets]);
        if (st != SL_OK) {
            result->n_sets++; /* so that it is freed */
            return st;
        }
    }
    add_averages(result);
    return r->writing ? sl_shot_writer_end(&r->writer, o->indices) : SL_OK;
}

sl_status sl_probe(sl_model *model, const sl_probe_options *options, sl_probe_result *result)
{
    if (!model || !options || !result)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_probe: model, options and result must not be NULL");
    const sl_probe_options o = with_defaults(options);
    const struct sl_pipeline_config *ops = &model->meta.data.eval_ops;
    struct sl_pipeline_config own_ops;
    char digest[SL_DIGEST_SIZE];
    struct sl_net *net;
    sl_probe_result made = {0};
    struct run r = {.o = &o, .dev = model->dev};
    sl_status st = SL_OK;
    SL_TRY(check(&o));
    SL_TRY(sl_model_net(model, o.batch ? o.batch : SL_MODEL_BATCH, &net));
    SL_TRY(model_digest(model, net, digest));
    probe_ops(&model->meta.vit, &own_ops);
    r.source = (struct sl_feature_source){.dev = model->dev,
                                          .net = net,
                                          .ops = o.model_ops ? ops : &own_ops,
                                          .digest = digest,
                                          .workers = (size_t)model->dev->threads,
                                          .max_bad_fraction = o.max_bad_fraction};
    if (o.features)
        SL_TRY_FREE(sl_feature_store_open(o.features, &r.store));
    r.writing = o.indices && !sl_is_file(o.indices);
    if (o.indices && !r.writing)
        SL_TRY_FREE(sl_shot_lists_read(o.indices, &r.lists));
    SL_TRY_FREE(probe_all(&r, &made));
    *result = made;
    made = (sl_probe_result){0};
fail:
    sl_feature_store_free(&r.store);
    sl_shot_lists_free(&r.lists);
    sl_text_clear(&r.writer.text);
    sl_probe_result_free(&made);
    return st;
}

void sl_probe_result_free(sl_probe_result *result)
{
    if (!result)
        return;
    for (size_t i = 0; i < result->n_sets && result->sets; i++) {
        sl_free(result->sets[i].data);
        sl_free(result->sets[i].top1);
    }
    sl_free(result->sets);
    sl_free(result->shots);
    sl_free(result->seeds);
    sl_free(result->average);
    *result = (sl_probe_result){0};
}
