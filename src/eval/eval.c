/*
 * Classification: one pass over a data set; every image counts once, padding of the last batch not.
 */
#include "eval/eval.h"

#include <math.h>

#include "base/clock.h"

sl_status sl_eval_run(struct sl_net *net, const struct sl_dataset *set, struct sl_loader *loader,
                      size_t batch, enum sl_loss loss, sl_eval_result *result)
{
    const size_t count = sl_dataset_count(set), batches = (count + batch - 1) / batch;
    double loss_sum = 0;
    size_t images = 0, top1 = 0, top5 = 0;
    const double start = sl_now_s();
    for (size_t i = 0; i < batches; i++) {
        const struct sl_batch *b;
        const float *logits;
        double batch_loss = 0;
        size_t correct = 0, within5 = 0;
        SL_TRY(sl_loader_next(loader, &b));
        sl_net_watch_labels(net, b->labels);
        SL_TRY(sl_net_forward(net, b->images, batch, 1.0f, &logits));
        struct sl_loss_args args = {.kind = loss,
                                    .labels = b->labels,
                                    .mix = 1,
                                    .loss = &batch_loss,
                                    .correct = &correct,
                                    .top5 = &within5};
        SL_TRY(sl_net_loss(net, &args));
        loss_sum += batch_loss;
        top1 += correct;
        top5 += within5;
        images += b->n;
    }
    if (images == 0)
        SL_FAIL(SL_ERR_DATA, "the evaluation set has no image that can be used");
    const double n = (double)images, p = (double)top1 / n;
    *result = (sl_eval_result){.images = images,
                               .skipped = count - images,
                               .top1 = p,
                               .top1_se = sqrt(p * (1 - p) / n),
                               .top5 = (double)top5 / n,
                               .loss = loss_sum / n,
                               .img_per_sec = n / fmax(sl_now_s() - start, 1e-9)};
    return SL_OK;
}
