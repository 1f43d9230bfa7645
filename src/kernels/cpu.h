/*
 * Which instruction sets the kernels may use: what CPU and operating system allow, bounded by
 * SOFTLESS_ISA or the caller.
 */
#ifndef SL_KERNELS_CPU_H
#define SL_KERNELS_CPU_H

#include "base/error.h"

enum sl_isa { SL_ISA_C, SL_ISA_AVX2, SL_ISA_AVX512, SL_ISA_AVX512BF16, SL_ISA_AMX, SL_ISA_COUNT };

const char *sl_isa_name(enum sl_isa isa); /* "c", "avx2", "avx512", "avx512bf16", "amx" */

/* The highest level this machine runs: avx2 = AVX2+FMA+F16C, avx512 = +F,BW,DQ,VL, avx512bf16 =
 * +AVX512-BF16, amx = +AMX tiles with the operating system's permission. */
enum sl_isa sl_isa_native(void);
/* Is AVX512-BF16 there, and worth using? AMD's cores multiply bf16 at twice the rate of float (Zen
 * 4, December 2026), Intel's at half of it (a Xeon without AMX, November 2026). */
bool sl_cpu_has_avx512_bf16(void);
bool sl_cpu_bf16_is_fast(void);

/* limit NULL = SOFTLESS_ISA if set, else native, less avx512bf16 where that is slow. Asking for
 * more than the machine has is SL_ERR_UNAVAILABLE, an unknown name SL_ERR_ARGUMENT. */
sl_status sl_isa_choose(const char *limit, enum sl_isa *isa);

#endif
