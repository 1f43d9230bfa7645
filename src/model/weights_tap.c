/*
 * What attention weighs, taken from a pass over one image. The fused kernels write no L x L matrix;
 * here P comes out of the same op with rows of the identity matrix as values, since P I = P: K keys
 * a call. Every device and type that can attend can so be looked into, at the price of L / K
 * forward passes a head.
 *
 * units is [2L, K] with ones on the diagonal of rows L .. L+K-1; values that begin at its row
 * L - j are zero but for keys j .. j+K-1.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/bf16.h"
#include "base/error.h"
#include "model/net.h"

struct sl_net_tap {
    struct sl_weights_sink sink;
    void *units, *out; /* device: act [2L, K], act [L, K] */
    void *host;        /* act [L, K] */
    float *weights;    /* host [L, L] */
};

static size_t element(const struct sl_net *net)
{
    return net->type == SL_BF16 ? sizeof(uint16_t) : sizeof(float);
}

static sl_status upload_units(struct sl_net *net, const struct sl_net_tap *tap)
{
    const size_t n = 2 * net->L * net->K;
    uint8_t *units = NULL;
    SL_TRY(SL_NEW(units, n * element(net)));
    for (size_t c = 0; c < net->K && c < net->L; c++) {
        const size_t i = (net->L + c) * net->K + c;
        if (net->type == SL_BF16)
            ((uint16_t *)(void *)units)[i] = sl_bf16_from_f32(1);
        else
            ((float *)(void *)units)[i] = 1;
    }
    const sl_status st = net->dev->ops->upload(net->dev, tap->units, units, n * element(net));
    sl_free(units);
    return st;
}

/* The weights of keys j .. j+K-1 of one head. */
static struct sl_attn_args call(const struct sl_net *net, const struct sl_net_tap *tap,
                                size_t block, size_t head, size_t j)
{
    const size_t K = net->K;
    struct sl_attn_args args = sl_net_attn_args(net, block);
    args.a.B = args.a.H = 1;
    args.a.q = sl_net_at(args.a.q, head * args.a.q_strides.head, net->type);
    args.a.k = sl_net_at(args.a.k, head * args.a.k_strides.head, net->type);
    args.a.v = sl_net_at(tap->units, (net->L - j) * K, net->type);
    args.a.v_strides = (sl_strides){.batch = 2 * net->L * K, .token = K, .head = K};
    args.o = tap->out;
    args.o_strides = (sl_strides){.batch = net->L * K, .token = K, .head = K};
    args.through_scores = true; /* identity would round k^T I first */
    return args;
}

static void take_columns(const struct sl_net *net, const struct sl_net_tap *tap, size_t j)
{
    const size_t L = net->L, K = net->K, keys = L - j < K ? L - j : K;
    for (size_t i = 0; i < L; i++)
        for (size_t c = 0; c < keys; c++)
            tap->weights[i * L + j + c] =
                net->type == SL_BF16 ? sl_bf16_to_f32(((const uint16_t *)tap->host)[i * K + c])
                                     : ((const float *)tap->host)[i * K + c];
}

sl_status sl_net_tap_block(struct sl_net *net, size_t block)
{
    const struct sl_net_tap *tap = net->tap;
    const struct sl_backend_ops *ops = net->dev->ops;
    for (size_t head = 0; head < net->H; head++) {
        for (size_t j = 0; j < net->L; j += net->K) {
            const struct sl_attn_args args = call(net, tap, block, head, j);
            SL_TRY(ops->attn_fwd(net->dev, &args));
            SL_TRY(ops->download(net->dev, tap->host, tap->out, net->L * net->K * element(net)));
            take_columns(net, tap, j);
        }
        SL_TRY(tap->sink.take(tap->sink.user, block, head, tap->weights));
    }
    return SL_OK;
}

void sl_net_tap_close(struct sl_net *net)
{
    struct sl_net_tap *tap = net->tap;
    if (!tap)
        return;
    net->dev->ops->mem_free(net->dev, tap->units);
    net->dev->ops->mem_free(net->dev, tap->out);
    sl_free(tap->host);
    sl_free(tap->weights);
    sl_free(tap);
    net->tap = NULL;
}

static sl_status plan(struct sl_net *net, const struct sl_net_tap *tap)
{
    const struct sl_attn_args args = call(net, tap, 0, 0, 0);
    sl_device_plan_begin(net->dev);
    const sl_status planned = net->dev->ops->attn_fwd(net->dev, &args);
    SL_TRY(sl_device_plan_end(net->dev));
    return planned;
}

sl_status sl_net_tap_weights(struct sl_net *net, const struct sl_weights_sink *sink)
{
    sl_net_tap_close(net);
    if (!sink)
        return SL_OK;
    const size_t L = net->L, row = net->K * element(net);
    struct sl_net_tap *tap = NULL;
    uint8_t *host = NULL;
    sl_status st;
    SL_TRY(SL_NEW(tap, 1));
    tap->sink = *sink;
    net->tap = tap;
    SL_TRY_FREE(net->dev->ops->mem_alloc(net->dev, 2 * L * row, &tap->units));
    SL_TRY_FREE(net->dev->ops->mem_alloc(net->dev, L * row, &tap->out));
    SL_TRY_FREE(SL_NEW(host, L * row));
    tap->host = host;
    SL_TRY_FREE(SL_NEW(tap->weights, L * L));
    SL_TRY_FREE(upload_units(net, tap));
    SL_TRY_FREE(plan(net, tap));
    return SL_OK;
fail:
    sl_net_tap_close(net);
    return st;
}
