/*
 * vdpbf16ps on 24 independent accumulators: 16 lanes of two products each.
 */
#include <immintrin.h>

#include "kernels/bf16_peak.h"

double sl_bf16_peak_avx512(size_t rounds)
{
    enum { CHAINS = 24 };
    __m512 x[CHAINS];
    __m512bh f = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.5f));
    __asm__("" : "+v"(f));
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++)
        x[i] = _mm512_setzero_ps();
    for (size_t n = 0; n < rounds; n++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) {
            x[i] = _mm512_dpbf16_ps(x[i], f, f);
            __asm__ volatile("" : "+v"(x[i]));
        }
    }
    return 2.0 * 32 * CHAINS * (double)rounds;
}
