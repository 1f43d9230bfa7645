/*
 * Which instruction sets the kernels may use: what CPU and operating system allow, bounded by
 * SOFTLESS_ISA or the caller.
 */
#ifndef SL_KERNELS_CPU_H
#define SL_KERNELS_CPU_H

#include "base/error.h"

enum sl_isa { SL_ISA_C, SL_ISA_AVX2, SL_ISA_AVX512, SL_ISA_AMX, SL_ISA_COUNT };

const char *sl_isa_name(enum sl_isa isa); /* "c", "avx2", "avx512", "amx" */

/* The best level this machine runs: avx2 = AVX2+FMA+F16C, avx512 = +F,BW,DQ,VL, amx = avx512 +
 * AVX512-BF16 + AMX tiles with the operating system's permission. */
enum sl_isa sl_isa_native(void);
/* avx512 level with AVX512-BF16 as well. */
bool sl_cpu_has_avx512_bf16(void);

/* limit NULL = SOFTLESS_ISA if set, else native. Asking for more than the machine has is
 * SL_ERR_UNAVAILABLE, an unknown name SL_ERR_ARGUMENT. */
sl_status sl_isa_choose(const char *limit, enum sl_isa *isa);

#endif
