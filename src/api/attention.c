/*
 * The attention operator by itself: checks, scratch grown to what the shape needs, and the
 * device's op.
 */
#include "api/context.h"

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

sl_status sl_attention_backward(sl_context *ctx, const sl_attention *a, const sl_attention_grads *g)
{
    if (!ctx || !a || !g)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_attention_backward: the context, the operator and its "
                                 "gradients must not be NULL");
    const struct sl_attn_args args = {.a = *a, .g = *g};
    SL_TRY(sl_attention_check(&args, true, false));
    return run(ctx->dev, ctx->dev->ops->attn_bwd, &args);
}
