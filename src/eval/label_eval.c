/*
 * One pass over a data set in which an image may have several right answers, or the model may give
 * only some of its answers.
 */
#include <math.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "eval/eval.h"

/* How many candidates come before class c when logits z are sorted downwards, equal ones by number;
 * SIZE_MAX if c is no candidate or any logit is NaN. */
static size_t rank(const struct sl_label_set *l, const float *z, size_t c)
{
    size_t before = 0;
    if (l->candidate && !l->candidate[c])
        return SIZE_MAX;
    for (size_t i = 0; i < l->classes; i++) {
        if (isnan(z[i]))
            return SIZE_MAX;
        if (!l->candidate || l->candidate[i])
            before += z[i] > z[c] || (z[i] == z[c] && i < c);
    }
    return before;
}

/* The best place of any right class of image i. */
static size_t best_rank(const struct sl_label_set *l, size_t i, const float *z)
{
    size_t best = SIZE_MAX;
    for (size_t k = l->first[i]; k < l->first[i + 1]; k++) {
        const size_t place = rank(l, z, (size_t)l->right[k]);
        best = place < best ? place : best;
    }
    return best;
}

struct counts {
    size_t images, unlabelled, bad, top1, top5;
};

static sl_status count(struct sl_net *net, struct sl_device *dev, struct sl_loader *loader,
                       size_t batch, const struct sl_label_set *l, float *host, struct counts *n)
{
    for (size_t i = 0; i < l->images; i += batch) {
        const struct sl_batch *b;
        const float *logits;
        const size_t some = l->images - i < batch ? l->images - i : batch;
        SL_TRY(sl_loader_next(loader, &b));
        sl_net_watch_labels(net, b->labels);
        SL_TRY(sl_net_forward(net, b->images, some, 1.0f, &logits));
        SL_TRY(dev->ops->download(dev, host, logits, some * l->classes * sizeof *host));
        for (size_t r = 0; r < some; r++) {
            if (b->labels[r] < 0) {
                n->bad++;
            } else if (!l->labelled[i + r]) {
                n->unlabelled++;
            } else {
                const size_t place = best_rank(l, i + r, host + r * l->classes);
                n->images++;
                n->top1 += place == 0;
                n->top5 += place < 5;
            }
        }
    }
    return SL_OK;
}

sl_status sl_eval_label_set(struct sl_net *net, struct sl_device *dev, struct sl_loader *loader,
                            size_t batch, const struct sl_label_set *labels, sl_eval_result *result)
{
    struct counts c = {0};
    const double start = sl_now_s();
    float *host = NULL;
    SL_TRY(SL_NEW(host, batch * labels->classes));
    const sl_status st = count(net, dev, loader, batch, labels, host, &c);
    sl_free(host);
    SL_TRY(st);
    if (c.images == 0)
        SL_FAIL(SL_ERR_DATA, "the evaluation set has no image that can be used");
    const double n = (double)c.images, p = (double)c.top1 / n;
    *result = (sl_eval_result){.images = c.images,
                               .skipped = c.bad,
                               .unlabelled = c.unlabelled,
                               .set_classes = labels->set_classes,
                               .matched_classes = labels->matched,
                               .top1 = p,
                               .top1_se = sqrt(p * (1 - p) / n),
                               .top5 = (double)c.top5 / n,
                               .loss = NAN,
                               .img_per_sec = n / fmax(sl_now_s() - start, 1e-9)};
    return SL_OK;
}
