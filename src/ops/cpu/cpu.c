/*
 * The CPU backend: device, memory, scratch, and its table of ops.
 */
#include "ops/cpu/cpu.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/text.h"

static sl_status mem_alloc(struct sl_device *dev, size_t bytes, void **p)
{
    (void)dev;
    void *block = sl_calloc(bytes, 1);
    if (!block)
        return SL_ERR_MEMORY;
    *p = block;
    return SL_OK;
}

static void mem_free(struct sl_device *dev, void *p)
{
    (void)dev;
    sl_free(p);
}

static sl_status copy(struct sl_device *dev, void *dst, const void *src, size_t bytes)
{
    if (!dev->planning)
        memcpy(dst, src, bytes);
    return SL_OK;
}

static sl_status zero(struct sl_device *dev, void *p, size_t bytes)
{
    if (!dev->planning)
        memset(p, 0, bytes);
    return SL_OK;
}

sl_status sl_cpu_scratch_get(struct sl_device *dev, size_t shared_bytes, size_t worker_bytes,
                             struct sl_cpu_scratch *scratch, bool *planned)
{
    size_t shared, worker, total;
    if (!sl_size_align(shared_bytes, 64, &shared) || !sl_size_align(worker_bytes, 64, &worker) ||
        !sl_size_mul(worker, (size_t)dev->threads, &total) || !sl_size_add(total, shared, &total))
        SL_FAIL(SL_ERR_MEMORY, "out of memory: scratch of an operation overflows size_t");
    *planned = dev->planning;
    if (dev->planning) {
        if (total > dev->scratch_needed)
            dev->scratch_needed = total;
        return SL_OK;
    }
    if (total > dev->scratch_bytes)
        SL_FAIL(SL_ERR_INTERNAL, "operation needs %zu scratch bytes, but only %zu were planned",
                total, dev->scratch_bytes);
    char *base = dev->scratch; /* NULL when no op of the plan needs any */
    *scratch = (struct sl_cpu_scratch){base, base ? base + shared : NULL, worker};
    return SL_OK;
}

static void cpu_close(struct sl_device *dev)
{
    sl_threads_release();
    sl_free(dev->state);
}

static const struct sl_backend_ops cpu_ops = {
    .name = "cpu",
    .mem_alloc = mem_alloc,
    .mem_free = mem_free,
    .upload = copy,
    .download = copy,
    .zero = zero,
    .patch = sl_cpu_patch,
    .gemm = sl_cpu_gemm,
    .pack_weight_bytes = sl_cpu_pack_weight_bytes,
    .pack_weight = sl_cpu_pack_weight,
    .norm_fwd = sl_cpu_norm_fwd,
    .norm_bwd = sl_cpu_norm_bwd,
    .attn_fwd = sl_cpu_attn_fwd,
    .attn_bwd = sl_cpu_attn_bwd,
    .attn_stats = sl_cpu_attn_stats,
    .gate_fwd = sl_cpu_gate_fwd,
    .gate_bwd = sl_cpu_gate_bwd,
    .embed_fwd = sl_cpu_embed_fwd,
    .embed_bwd = sl_cpu_embed_bwd,
    .pool_fwd = sl_cpu_pool_fwd,
    .pool_bwd = sl_cpu_pool_bwd,
    .scale_add_fwd = sl_cpu_scale_add_fwd,
    .scale_add_bwd = sl_cpu_scale_add_bwd,
    .unary = sl_cpu_unary,
    .loss = sl_cpu_loss,
    .sumsq = sl_cpu_sumsq,
    .update = sl_cpu_update,
    .measure_peak = sl_cpu_measure_peak,
    .close = cpu_close,
};

static sl_status threads_from_environment(int *threads)
{
    const char *text = getenv("SOFTLESS_THREADS");
    char *end = NULL, escaped[SL_ESCAPED_SIZE];
    const long n = text ? strtol(text, &end, 10) : sl_cpu_count();
    if (n < 1 || n > 4096 || (end && *end))
        SL_FAIL(SL_ERR_ARGUMENT, "SOFTLESS_THREADS is '%s'; it must be 1 to 4096",
                sl_escape(text ? text : "", text ? strlen(text) : 0, escaped));
    *threads = (int)n;
    return SL_OK;
}

sl_status sl_cpu_open(int threads, const char *isa, struct sl_device **dev)
{
    enum sl_isa level;
    SL_TRY(sl_isa_choose(isa, &level));
    struct sl_device *d = NULL;
    struct sl_cpu *cpu = NULL;
    sl_status st = SL_OK;
    SL_TRY_FREE(SL_NEW(d, 1));
    SL_TRY_FREE(SL_NEW(cpu, 1));
    cpu->isa = level;
    d->ops = &cpu_ops;
    d->threads = threads;
    if (threads == 0)
        SL_TRY_FREE(threads_from_environment(&d->threads));
    d->isa = sl_isa_name(level);
    d->state = cpu;
    for (sl_dtype t = 0; t < SL_DTYPE_COUNT; t++)
        cpu->gemm[t] = sl_gemm_kernels_for(level, t);
    SL_TRY_FREE(sl_threads_acquire(d->threads));
    *dev = d;
    return SL_OK;
fail:
    sl_free(cpu);
    sl_free(d);
    return st;
}
