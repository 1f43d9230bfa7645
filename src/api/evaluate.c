/*
 * Evaluation behind the public header.
 */
#include "eval/eval.h"

#include <string.h>

#include "api/model.h"

/* One evaluation: what is opened for it. */
struct pass {
    const sl_eval_options *o;
    bool by_label_set;          /* several right answers, or not all of the model's */
    struct sl_label_set labels; /* then */
    size_t set_classes;
    struct sl_net *net;
    struct sl_dataset *set;
    struct sl_loader *loader;
};

/* What is right, before a loader reads labels ahead. */
static sl_status prepare_labels(const sl_model *model, struct pass *p)
{
    const char *const *names = (const char *const *)model->meta.classes;
    const size_t classes = model->meta.vit.classes;
    p->set_classes = sl_dataset_classes(p->set);
    p->by_label_set = p->o->labels || p->o->intersect;
    if (p->by_label_set)
        return sl_label_set_make(p->set, names, classes, p->o->labels, p->o->intersect, &p->labels);
    return sl_dataset_match_classes(p->set, names, classes);
}

static sl_status run(sl_model *model, struct pass *p, sl_eval_result *r)
{
    const struct sl_vit_config *v = &model->meta.vit;
    const size_t wanted = p->o->batch ? p->o->batch : SL_MODEL_BATCH;
    const size_t count = sl_dataset_count(p->set); /* no more padding than must be */
    SL_TRY(sl_model_net(model, wanted < count ? wanted : count, &p->net));
    const size_t batch = sl_net_get_options(p->net)->batch;
    /* One worker cannot decode as fast as many cores evaluate a small model. */
    const bool light = sl_dataset_in_memory(p->set);
    const struct sl_loader_options options = {.set = p->set,
                                              .ops = &model->meta.data.eval_ops,
                                              .compat = model->meta.data.compat,
                                              .out_h = v->image_height,
                                              .out_w = v->image_width,
                                              .batch = batch,
                                              .workers = light ? 1 : (size_t)model->dev->threads,
                                              .prefetch = 2,
                                              .on_bad = p->o->max_bad_fraction > 0 ? SL_BAD_SKIP
                                                                                   : SL_BAD_STOP,
                                              .max_bad_fraction = p->o->max_bad_fraction,
                                              .world = 1};
    SL_TRY(sl_loader_create(&options, &p->loader));
    if (p->o->attention) {
        memset(p->o->attention, 0, v->depth * v->heads * sizeof *p->o->attention);
        SL_TRY(sl_net_watch_attention(p->net, p->o->attention));
    }
    if (p->by_label_set) {
        SL_TRY(sl_eval_label_set(p->net, model->dev, p->loader, batch, &p->labels, r));
    } else {
        SL_TRY(sl_eval_run(p->net, p->set, p->loader, batch, SL_LOSS_SOFTMAX_XENT, r));
        r->set_classes = r->matched_classes = p->set_classes;
    }
    r->length_used = v->length == SL_LENGTH_TRAIN ? v->train_length : (double)sl_vit_tokens(v);
    return SL_OK;
}

sl_status sl_evaluate(sl_model *model, const sl_eval_options *options, sl_eval_result *result)
{
    static const sl_eval_options none = {0};
    if (!model || !result)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_evaluate: model and result must not be NULL");
    struct pass p = {.o = options ? options : &none};
    const char *data = p.o->data ? p.o->data : model->meta.data.eval;
    sl_eval_result r;
    sl_status st = SL_OK;
    if (!(p.o->max_bad_fraction >= 0 && p.o->max_bad_fraction <= 1))
        SL_FAIL(SL_ERR_ARGUMENT, "sl_evaluate: max_bad_fraction is %g; 0 to 1 is possible",
                p.o->max_bad_fraction);
    if (!data[0])
        SL_FAIL(SL_ERR_ARGUMENT, "the model names no evaluation set; give one with --data");
    SL_TRY_FREE(sl_dataset_open(data, &p.set));
    SL_TRY_FREE(prepare_labels(model, &p));
    SL_TRY_FREE(run(model, &p, &r));
    *result = r;
fail:
    if (p.net)
        sl_net_watch_attention(p.net, NULL); /* cannot fail */
    sl_loader_free(&p.loader);
    sl_label_set_free(&p.labels);
    sl_dataset_free(&p.set);
    return st;
}
