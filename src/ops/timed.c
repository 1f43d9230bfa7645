/*
 * Timed op calls. What an op does says its phase (attention, upload), else dev->phase does: a
 * product may belong to either pass or to neither.
 */
#include "ops/timed.h"

#include <string.h>

#include "base/clock.h"

static struct sl_timed_ops *timed_of(const struct sl_device *dev)
{
    return (struct sl_timed_ops *)(uintptr_t)dev->ops;
}

sl_phase_cost sl_timed_now(void)
{
    return (sl_phase_cost){.seconds = sl_now_s(), .core_s = sl_cpu_s()};
}

void sl_timed_add(sl_phase_cost *cost, sl_phase_cost start, double flops)
{
    const sl_phase_cost now = sl_timed_now();
    cost->seconds += now.seconds - start.seconds;
    cost->core_s += now.core_s - start.core_s;
    cost->flops += flops;
}

/* Books a call that began at `start` and has returned st. */
static sl_status book(const struct sl_device *dev, sl_phase phase, sl_phase_cost start,
                      double flops, sl_status st)
{
    sl_timed_add(&timed_of(dev)->costs[phase], start, flops);
    return st;
}

static sl_status upload(struct sl_device *dev, void *dst, const void *src, size_t bytes)
{
    const sl_phase_cost start = sl_timed_now();
    return book(dev, SL_PHASE_DATA, start, 0, timed_of(dev)->inner->upload(dev, dst, src, bytes));
}

static sl_status zero(struct sl_device *dev, void *p, size_t bytes)
{
    const sl_phase_cost start = sl_timed_now();
    return book(dev, dev->phase, start, 0, timed_of(dev)->inner->zero(dev, p, bytes));
}

static sl_status gemm(struct sl_device *dev, const struct sl_gemm_args *args)
{
    const sl_phase_cost start = sl_timed_now();
    const double flops = 2.0 * (double)args->m * (double)args->n;
    return book(dev, dev->phase, start, flops * (double)args->k,
                timed_of(dev)->inner->gemm(dev, args));
}

/* FLOP of one of the products over scores: q k^T, P v and their gradients. */
static double product(const sl_attention *a)
{
    return 2.0 * (double)(a->B * a->H * a->Lq) * (double)a->Lk * (double)a->K;
}

static sl_status attn_fwd(struct sl_device *dev, const struct sl_attn_args *args)
{
    const sl_phase_cost start = sl_timed_now();
    return book(dev, SL_PHASE_ATTENTION_FWD, start, 2 * product(&args->a),
                timed_of(dev)->inner->attn_fwd(dev, args));
}

static sl_status attn_bwd(struct sl_device *dev, const struct sl_attn_args *args)
{
    const sl_phase_cost start = sl_timed_now();
    return book(dev, SL_PHASE_ATTENTION_BWD, start, 5 * product(&args->a),
                timed_of(dev)->inner->attn_bwd(dev, args));
}

/* Ops without products, of the phase that the caller names. */
#define TIMED(op, type)                                                                            \
    static sl_status op(struct sl_device *dev, const struct type *args)                            \
    {                                                                                              \
        const sl_phase_cost start = sl_timed_now();                                                \
        return book(dev, dev->phase, start, 0, timed_of(dev)->inner->op(dev, args));               \
    }
TIMED(patch, sl_patch_args)
TIMED(pack_weight, sl_pack_args)
TIMED(norm_fwd, sl_norm_args)
TIMED(norm_bwd, sl_norm_args)
TIMED(gate_fwd, sl_gate_args)
TIMED(gate_bwd, sl_gate_args)
TIMED(embed_fwd, sl_embed_args)
TIMED(embed_bwd, sl_embed_args)
TIMED(pool_fwd, sl_pool_args)
TIMED(pool_bwd, sl_pool_args)
TIMED(scale_add_fwd, sl_scale_add_args)
TIMED(scale_add_bwd, sl_scale_add_args)
TIMED(unary, sl_unary_args)
TIMED(loss, sl_loss_args)
TIMED(sumsq, sl_sumsq_args)
TIMED(update, sl_update_args)

void sl_timed_begin(struct sl_device *dev, struct sl_timed_ops *timed)
{
    timed->inner = dev->ops;
    timed->ops = *dev->ops; /* what no step calls stays as it is */
    timed->ops.upload = upload;
    timed->ops.zero = zero;
    timed->ops.patch = patch;
    timed->ops.gemm = gemm;
    timed->ops.pack_weight = pack_weight;
    timed->ops.norm_fwd = norm_fwd;
    timed->ops.norm_bwd = norm_bwd;
    timed->ops.attn_fwd = attn_fwd;
    timed->ops.attn_bwd = attn_bwd;
    timed->ops.gate_fwd = gate_fwd;
    timed->ops.gate_bwd = gate_bwd;
    timed->ops.embed_fwd = embed_fwd;
    timed->ops.embed_bwd = embed_bwd;
    timed->ops.pool_fwd = pool_fwd;
    timed->ops.pool_bwd = pool_bwd;
    timed->ops.scale_add_fwd = scale_add_fwd;
    timed->ops.scale_add_bwd = scale_add_bwd;
    timed->ops.unary = unary;
    timed->ops.loss = loss;
    timed->ops.sumsq = sumsq;
    timed->ops.update = update;
    memset(timed->costs, 0, sizeof timed->costs);
    dev->ops = &timed->ops;
}

void sl_timed_end(struct sl_device *dev)
{
    dev->ops = timed_of(dev)->inner;
}
