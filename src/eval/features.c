/*
 * Features of a data set: the head's input for every image, as floats in host memory.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/bf16.h"
#include "eval/probe.h"

/* Copies n rows of the net's features; raw [batch, D] holds them in the net's type meanwhile. */
static sl_status copy_rows(struct sl_net *net, struct sl_device *dev, size_t n, void *raw,
                           float *dst)
{
    const struct sl_net_options *o = sl_net_get_options(net);
    const size_t count = n * o->vit.width;
    const uint16_t *halves = raw;
    if (o->type == SL_F32)
        return dev->ops->download(dev, dst, sl_net_features(net), count * sizeof(float));
    SL_TRY(dev->ops->download(dev, raw, sl_net_features(net), count * sizeof *halves));
    for (size_t i = 0; i < count; i++)
        dst[i] = sl_bf16_to_f32(halves[i]);
    return SL_OK;
}

static sl_status run(const struct sl_feature_source *source, struct sl_loader *loader, size_t count,
                     void *raw, float *features, int32_t *labels)
{
    const struct sl_net_options *o = sl_net_get_options(source->net);
    for (size_t i = 0; i < count; i += o->batch) {
        const size_t some = count - i < o->batch ? count - i : o->batch;
        const struct sl_batch *b;
        const float *logits;
        SL_TRY(sl_loader_next(loader, &b));
        SL_TRY(sl_net_forward(source->net, b->images, some, 1.0f, &logits));
        SL_TRY(copy_rows(source->net, source->dev, some, raw, features + i * o->vit.width));
        memcpy(labels + i, b->labels, some * sizeof *labels);
    }
    return SL_OK;
}

sl_status sl_features_compute(const struct sl_feature_source *source, const struct sl_dataset *set,
                              float *features, int32_t *labels)
{
    const struct sl_net_options *o = sl_net_get_options(source->net);
    const struct sl_loader_options options = {.set = set,
                                              .ops = source->ops,
                                              .out_h = o->vit.image_height,
                                              .out_w = o->vit.image_width,
                                              .batch = o->batch,
                                              .workers = source->workers,
                                              .prefetch = 2,
                                              .on_bad = SL_BAD_SKIP,
                                              .max_bad_fraction = source->max_bad_fraction,
                                              .world = 1};
    struct sl_loader *loader = NULL;
    uint16_t *raw = NULL;
    sl_status st = SL_OK;
    SL_TRY_FREE(SL_NEW(raw, o->batch * o->vit.width));
    SL_TRY_FREE(sl_loader_create(&options, &loader));
    SL_TRY_FREE(run(source, loader, sl_dataset_count(set), raw, features, labels));
fail:
    sl_loader_free(&loader);
    sl_free(raw);
    return st;
}
