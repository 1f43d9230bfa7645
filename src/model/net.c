/*
 * A net's life: sizes, planning, arenas, and the passes the outside calls. All ops are planned
 * before anything is allocated; passes never allocate.
 */
#include "model/net.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "model/posemb.h"

/* ---- planning ---- */

/* Every pass of the net while the device plans: notes its scratch and prepares its primitives. */
static sl_status plan_passes(struct sl_net *net)
{
    struct sl_loss_args loss = {.mix = 1};
    const enum sl_loss kinds[] = {SL_LOSS_SIGMOID_XENT, SL_LOSS_SOFTMAX_XENT};
    SL_TRY(sl_net_params_changed(net));
    SL_TRY(sl_net_run_forward(net));
    net->images_in = net->B;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        loss.kind = kinds[i];
        SL_TRY(sl_net_run_loss(net, &loss));
    }
    return net->options.training ? sl_net_run_backward(net) : SL_OK;
}

/* Plans with pointers into nothing: ops that plan touch no operand. */
static sl_status plan(struct sl_net *net)
{
    void *nowhere[SL_ARENA_COUNT];
    for (size_t i = 0; i < SL_ARENA_COUNT; i++)
        nowhere[i] = (void *)(uintptr_t)64;
    SL_TRY(sl_net_lay_out(net, nowhere));
    return plan_passes(net);
}

/* ---- creating ---- */

static sl_status set_sizes(struct sl_net *net)
{
    const struct sl_vit_config *v = &net->options.vit;
    size_t bytes;
    net->B = net->options.batch;
    net->N = sl_vit_grid(v);
    net->L = sl_vit_tokens(v);
    net->prefix = net->L - net->N;
    net->D = v->width;
    net->H = v->heads;
    net->K = v->width / v->heads;
    net->F = v->mlp;
    net->C = v->classes;
    net->type = net->options.type;
    net->dln_type = v->gate != SL_GATE_NONE ? SL_F32 : net->type;
    net->mix = 1;
    if (net->B == 0)
        SL_FAIL(SL_ERR_ARGUMENT, "the batch of a net must not be empty");
    if (!sl_size_mul(net->B, net->L, &net->T) || !sl_size_mul(net->T, 12, &bytes) ||
        !sl_size_mul(net->B, 3 * v->patch * v->patch, &bytes))
        SL_FAIL(SL_ERR_MEMORY, "a batch of %zu images of %zu tokens does not fit into memory",
                net->B, net->L);
    return SL_OK;
}

/* The net without its arenas. */
static sl_status open_net(struct sl_device *dev, const struct sl_net_options *options,
                          struct sl_net **out)
{
    struct sl_net *net = NULL;
    sl_status st = SL_OK;
    SL_TRY_FREE(SL_NEW(net, 1));
    net->dev = dev;
    net->options = *options;
    SL_TRY_FREE(sl_param_table_build(&options->vit, &net->table));
    SL_TRY_FREE(set_sizes(net));
    SL_TRY_FREE(SL_NEW(net->blocks, options->vit.depth));
    SL_TRY_FREE(SL_NEW(net->block_linears, options->vit.depth));
    *out = net;
    return SL_OK;
fail:
    sl_net_free(&net);
    return st;
}

static sl_status upload_sincos2d(struct sl_net *net)
{
    const struct sl_vit_config *v = &net->options.vit;
    float *table = NULL;
    SL_TRY(SL_NEW(table, net->N * net->D));
    sl_posemb_sincos2d(v->image_width / v->patch, net->N, net->D, table);
    const sl_status st =
        net->dev->ops->upload(net->dev, net->acts.pos, table, net->N * net->D * sizeof *table);
    sl_free(table);
    return st;
}

sl_status sl_net_create(struct sl_device *dev, const struct sl_net_options *options,
                        struct sl_net **out)
{
    struct sl_net *net = NULL;
    SL_TRY(open_net(dev, options, &net));
    sl_device_plan_begin(dev);
    const sl_status planned = plan(net);
    sl_status st = sl_device_plan_end(dev);
    if (planned != SL_OK)
        st = planned;
    if (st != SL_OK)
        goto fail;
    for (size_t i = 0; i < SL_ARENA_COUNT; i++)
        if (net->arena_bytes[i])
            SL_TRY_FREE(dev->ops->mem_alloc(dev, net->arena_bytes[i], &net->arena[i]));
    SL_TRY_FREE(sl_net_lay_out(net, net->arena));
    if (net->acts.pos)
        SL_TRY_FREE(upload_sincos2d(net));
    *out = net;
    return SL_OK;
fail:
    sl_net_free(&net);
    return st;
}

void sl_net_free(struct sl_net **net)
{
    if (!net || !*net)
        return;
    struct sl_net *n = *net;
    sl_net_tap_close(n);
    for (size_t i = 0; i < SL_ARENA_COUNT; i++)
        n->dev->ops->mem_free(n->dev, n->arena[i]);
    sl_free(n->blocks);
    sl_free(n->block_linears);
    sl_param_table_free(&n->table);
    sl_free(n);
    *net = NULL;
}

sl_status sl_net_forecast(struct sl_device *dev, const struct sl_net_options *options,
                          struct sl_memory *memory)
{
    struct sl_net *net = NULL;
    SL_TRY(open_net(dev, options, &net));
    sl_device_plan_begin(dev);
    const sl_status st = plan(net);
    dev->planning = false;
    if (st == SL_OK)
        *memory = (struct sl_memory){.params = net->arena_bytes[SL_ARENA_PARAMS],
                                     .grads = net->arena_bytes[SL_ARENA_GRADS],
                                     .packed = net->arena_bytes[SL_ARENA_PACKED],
                                     .activations = net->arena_bytes[SL_ARENA_ACTIVATIONS],
                                     .scratch = dev->scratch_needed,
                                     .inputs = net->arena_bytes[SL_ARENA_INPUTS]};
    sl_net_free(&net);
    return st;
}

/* ---- passes ---- */

const struct sl_param_table *sl_net_params(const struct sl_net *net)
{
    return &net->table;
}

const struct sl_net_options *sl_net_get_options(const struct sl_net *net)
{
    return &net->options;
}

float *sl_net_param_data(struct sl_net *net)
{
    return net->params;
}

float *sl_net_grad_data(struct sl_net *net)
{
    return net->grads;
}

sl_status sl_net_forward(struct sl_net *net, const uint8_t *images, size_t n, float mix,
                         const float **logits)
{
    const size_t image = net->options.vit.image_height * net->options.vit.image_width * (size_t)3;
    if (n == 0 || n > net->B)
        SL_FAIL(SL_ERR_ARGUMENT, "a pass takes 1 to %zu images, not %zu", net->B, n);
    if (n < net->B && mix != 1.0f)
        SL_FAIL(SL_ERR_ARGUMENT, "mixup needs a full batch of %zu images, not %zu", net->B, n);
    SL_TRY(net->dev->ops->upload(net->dev, net->images, images, n * image));
    if (n < net->B)
        SL_TRY(net->dev->ops->zero(net->dev, net->images + n * image, (net->B - n) * image));
    net->images_in = n;
    net->mix = mix;
    SL_TRY(sl_net_run_forward(net));
    *logits = net->acts.logits;
    return SL_OK;
}

sl_status sl_net_watch_attention(struct sl_net *net, sl_attention_stats *stats)
{
    net->watched = NULL;
    net->watched_labels = NULL;
    if (!stats)
        return SL_OK;
    const struct sl_attn_args args = sl_net_attn_args(net, 0);
    sl_device_plan_begin(net->dev);
    const sl_status planned = net->dev->ops->attn_stats(net->dev, &args, NULL, stats);
    SL_TRY(sl_device_plan_end(net->dev));
    SL_TRY(planned);
    net->watched = stats;
    return SL_OK;
}

void sl_net_watch_labels(struct sl_net *net, const int32_t *labels)
{
    net->watched_labels = labels;
}

const void *sl_net_features(const struct sl_net *net)
{
    return net->acts.rep ? net->acts.rep : net->acts.pooled;
}

sl_status sl_net_loss(struct sl_net *net, struct sl_loss_args *args)
{
    return sl_net_run_loss(net, args);
}

sl_status sl_net_backward(struct sl_net *net)
{
    if (!net->options.training)
        SL_FAIL(SL_ERR_INTERNAL, "an inference net has no backward pass");
    return sl_net_run_backward(net);
}

sl_status sl_net_zero_grads(struct sl_net *net)
{
    if (!net->grads)
        SL_FAIL(SL_ERR_INTERNAL, "an inference net has no gradients");
    return net->dev->ops->zero(net->dev, net->grads, net->arena_bytes[SL_ARENA_GRADS]);
}
