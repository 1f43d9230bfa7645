/*
 * The CPU backend's inside: its state, the scratch protocol, and one function per op of the table.
 */
#ifndef SL_OPS_CPU_CPU_H
#define SL_OPS_CPU_CPU_H

#include "base/threads.h"
#include "kernels/gemm_kernels.h"
#include "ops/ops.h"

struct sl_cpu {
    enum sl_isa isa;
    const struct sl_gemm_kernels *gemm[SL_DTYPE_COUNT]; /* by type of the operands */
};

static inline struct sl_cpu *sl_cpu_of(const struct sl_device *dev)
{
    return dev->state;
}

sl_status sl_cpu_open(int threads, const char *isa, struct sl_device **dev);

/* Scratch of one op call: a shared part and one part per worker, each aligned to 64 bytes. */
struct sl_cpu_scratch {
    char *shared, *workers;
    size_t worker_bytes;
};

/* While planning: notes the need, sets *planned, and the op returns SL_OK at once. Else: hands the
 * memory out; SL_ERR_INTERNAL if this need was never planned. */
sl_status sl_cpu_scratch_get(struct sl_device *dev, size_t shared_bytes, size_t worker_bytes,
                             struct sl_cpu_scratch *scratch, bool *planned);

static inline void *sl_cpu_worker_scratch(const struct sl_cpu_scratch *s, size_t worker)
{
    return s->workers + worker * s->worker_bytes;
}

/* gemm.c */
sl_status sl_cpu_gemm(struct sl_device *, const struct sl_gemm_args *);
size_t sl_cpu_pack_weight_bytes(size_t n, size_t k, sl_dtype type);
sl_status sl_cpu_pack_weight(struct sl_device *, const struct sl_pack_args *);
sl_status sl_cpu_measure_peak(struct sl_device *, sl_dtype type, double seconds, double *flops);
/* attention.c */
sl_status sl_cpu_attn_fwd(struct sl_device *, const struct sl_attn_args *);
sl_status sl_cpu_attn_bwd(struct sl_device *, const struct sl_attn_args *);
/* attention_stats.c */
sl_status sl_cpu_attn_stats(struct sl_device *, const struct sl_attn_args *, const int32_t *labels,
                            sl_attention_stats *stats);
/* norm.c */
sl_status sl_cpu_norm_fwd(struct sl_device *, const struct sl_norm_args *);
sl_status sl_cpu_norm_bwd(struct sl_device *, const struct sl_norm_args *);
/* patch.c, gate.c, tokens.c (embed, pool, scale_add), elementwise.c (unary) */
sl_status sl_cpu_patch(struct sl_device *, const struct sl_patch_args *);
sl_status sl_cpu_gate_fwd(struct sl_device *, const struct sl_gate_args *);
sl_status sl_cpu_gate_bwd(struct sl_device *, const struct sl_gate_args *);
sl_status sl_cpu_embed_fwd(struct sl_device *, const struct sl_embed_args *);
sl_status sl_cpu_embed_bwd(struct sl_device *, const struct sl_embed_args *);
sl_status sl_cpu_pool_fwd(struct sl_device *, const struct sl_pool_args *);
sl_status sl_cpu_pool_bwd(struct sl_device *, const struct sl_pool_args *);
sl_status sl_cpu_scale_add_fwd(struct sl_device *, const struct sl_scale_add_args *);
sl_status sl_cpu_scale_add_bwd(struct sl_device *, const struct sl_scale_add_args *);
sl_status sl_cpu_unary(struct sl_device *, const struct sl_unary_args *);
/* loss.c, optimizer.c */
sl_status sl_cpu_loss(struct sl_device *, const struct sl_loss_args *);
sl_status sl_cpu_sumsq(struct sl_device *, const struct sl_sumsq_args *);
sl_status sl_cpu_update(struct sl_device *, const struct sl_update_args *);

#endif
