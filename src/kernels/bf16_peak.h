/*
 * The rate of a CPU's bf16 instructions: register-only loops, for measuring alone.
 */
#ifndef SL_KERNELS_BF16_PEAK_H
#define SL_KERNELS_BF16_PEAK_H

#include "kernels/cpu.h"

/* Runs `rounds` rounds and returns their FLOP. */
typedef double (*sl_peak_loop)(size_t rounds);

/* The loop of the best bf16 instruction up to `isa` on this machine, or NULL if there is none. */
sl_peak_loop sl_bf16_peak_loop(enum sl_isa isa);

double sl_bf16_peak_avx512(size_t rounds); /* vdpbf16ps */
double sl_bf16_peak_amx(size_t rounds);    /* tdpbf16ps */

#endif
