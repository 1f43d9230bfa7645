/*
 * Which arithmetic this CPU is good at: the rate of its multiply-add units, measured, and what the
 * option `precision` means on it.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "kernels/bf16_peak.h"
#include "kernels/gemm_kernels.h"
#include "ops/cpu/cpu.h"

struct peak_run {
    double (*loop)(size_t rounds);
    double seconds;
    double *rates; /* [threads] FLOP per second */
};

static void peak_task(void *arg, size_t task, size_t worker)
{
    enum { ROUNDS = 20000 };
    struct peak_run *run = arg;
    (void)worker;
    const double start = sl_now_s();
    double flop = 0, elapsed;
    do {
        flop += run->loop(ROUNDS);
        elapsed = sl_now_s() - start;
    } while (elapsed < run->seconds);
    run->rates[task] = flop / elapsed;
}

sl_status sl_cpu_measure_peak(struct sl_device *dev, sl_dtype type, double seconds, double *flops)
{
    const enum sl_isa isa = sl_cpu_of(dev)->isa;
    struct peak_run run = {.loop = type == SL_F32 ? sl_gemm_kernels_for(isa, SL_F32)->peak
                                                  : sl_bf16_peak_loop(isa),
                           .seconds = seconds};
    if (!run.loop)
        SL_FAIL(SL_ERR_UNSUPPORTED, "the %s kernels have no bf16 instruction to measure", dev->isa);
    SL_TRY(SL_NEW(run.rates, (size_t)dev->threads));
    sl_parallel_for(dev->threads, (size_t)dev->threads, peak_task, &run);
    double sum = 0;
    for (int i = 0; i < dev->threads; i++)
        sum += run.rates[i];
    sl_free(run.rates);
    *flops = sum;
    return SL_OK;
}

sl_status sl_device_precision(struct sl_device *dev, enum sl_precision precision, sl_dtype *type)
{
    const enum sl_isa isa = sl_cpu_of(dev)->isa;
    const bool fast = isa >= SL_ISA_AVX512BF16;
    const bool slow = isa == SL_ISA_AVX512 && sl_cpu_has_avx512_bf16();
    switch (precision) {
    case SL_PRECISION_AUTO:
        *type = fast ? SL_BF16 : SL_F32;
        return SL_OK;
    case SL_PRECISION_FP32:
        *type = SL_F32;
        return SL_OK;
    case SL_PRECISION_BF16:
        break;
    }
    if (!fast && !slow)
        SL_FAIL(SL_ERR_UNAVAILABLE,
                "precision bf16 needs a CPU with AMX or AVX512-BF16 (running on %s): use fp32",
                dev->isa);
    if (slow)
        sl_log(SL_LOG_WARN,
               "precision bf16 with the avx512 kernels is slower than fp32; fp32 is advised");
    *type = SL_BF16;
    return SL_OK;
}
