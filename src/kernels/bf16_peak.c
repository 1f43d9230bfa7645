/*
 * Choosing the bf16 peak loop.
 */
#include "kernels/bf16_peak.h"

sl_peak_loop sl_bf16_peak_loop(enum sl_isa isa)
{
#ifdef __x86_64__
    if (isa >= SL_ISA_AMX)
        return sl_bf16_peak_amx;
    if (isa >= SL_ISA_AVX512 && sl_cpu_has_avx512_bf16())
        return sl_bf16_peak_avx512;
#endif
    (void)isa;
    return NULL;
}
