/*
 * The attention operator by itself: checks, scratch grown to what the shape needs, and the
 * device's op.
 */
#include "api/context.h"
#include "kernels/attn_kernels.h"

typedef sl_status (*attn_fn)(struct sl_device *, const struct sl_attn_args *);

static sl_status run(struct sl_device *dev, attn_fn op, const struct sl_attn_args *args)
{
    sl_device_plan_begin(dev);
    const sl_status planned = op(dev, args);
    SL_TRY(sl_device_plan_end(dev));
    SL_TRY(planned);
    return op(dev, args);
}

sl_status sl_attention_forward(sl_context *ctx, const sl_attention *a, void *o,
                               sl_strides o_strides)
{
    if (!ctx || !a)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_attention_forward: the context and the operator must not be "
                                 "NULL");
    const struct sl_attn_args args = {.a = *a, .o = o, .o_strides = o_strides};
    SL_TRY(sl_attention_check(&args, false, false));
    return run(ctx->dev, ctx->dev->ops->attn_fwd, &args);
}

void sl_attention_tile(size_t i, size_t *queries, size_t *keys)
{
    *queries = i < SL_ATTENTION_TILES ? sl_attn_tiles[i].queries : 0;
    *keys = i < SL_ATTENTION_TILES ? sl_attn_tiles[i].keys : 0;
}

sl_status sl_attention_measure(sl_context *ctx, const sl_attention *a, sl_attention_stats *stats)
{
    if (!ctx || !a || !stats)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_attention_measure: the context, the operator and stats must "
                                 "not be NULL");
    struct sl_attn_args args = {.a = *a};
    if (!a->q || !a->k)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_attention_measure: q and k must not be NULL");
    args.a.v_strides = a->k_strides; /* v and o are neither read nor written, only checked */
    args.o_strides = (sl_strides){a->Lq * a->H * a->K, a->H * a->K, a->K};
    struct sl_device *dev = ctx->dev;
    sl_device_plan_begin(dev);
    const sl_status planned = dev->ops->attn_stats(dev, &args, NULL, stats);
    SL_TRY(sl_device_plan_end(dev));
    SL_TRY(planned);
    return dev->ops->attn_stats(dev, &args, NULL, stats);
}

sl_status sl_attention_backward(sl_context *ctx, const sl_attention *a, const sl_attention_grads *g)
{
    if (!ctx || !a || !g)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_attention_backward: the context, the operator and its "
                                 "gradients must not be NULL");
    const struct sl_attn_args args = {.a = *a, .g = *g};
    SL_TRY(sl_attention_check(&args, true, false));
    return run(ctx->dev, ctx->dev->ops->attn_bwd, &args);
}
