/*
 * Intrinsics that SIMDe 0.7.4 lacks, or does not do as the instruction does, lane by lane in plain
 * C as in Intel's manual.
 */
#ifndef TESTS_EMULATE_LACKING_H
#define TESTS_EMULATE_LACKING_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef _MM_FROUND_NO_EXC
#define _MM_FROUND_NO_EXC SIMDE_MM_FROUND_NO_EXC
#endif
typedef uint16_t __mmask16;
typedef uint32_t __mmask32;

enum { LANES8 = 8, LANES16 = 16, LANES32 = 32 };

/* A vector's lanes and back. */
static inline void floats_of(__m512 v, float x[LANES16])
{
    memcpy(x, &v, sizeof v);
}

static inline __m512 of_floats(const float x[LANES16])
{
    __m512 v;
    memcpy(&v, x, sizeof v);
    return v;
}

/* SIMDe rounds twice, product and sum; the instruction rounds once. */
static inline __m512 lacking_fmadd512(__m512 a, __m512 b, __m512 c)
{
    float x[LANES16], y[LANES16], z[LANES16];
    floats_of(a, x);
    floats_of(b, y);
    floats_of(c, z);
    for (int i = 0; i < LANES16; i++)
        z[i] = fmaf(x[i], y[i], z[i]);
    return of_floats(z);
}

static inline __m256 lacking_fmadd256(__m256 a, __m256 b, __m256 c)
{
    float x[LANES8], y[LANES8], z[LANES8];
    memcpy(x, &a, sizeof a);
    memcpy(y, &b, sizeof b);
    memcpy(z, &c, sizeof c);
    for (int i = 0; i < LANES8; i++)
        z[i] = fmaf(x[i], y[i], z[i]);
    memcpy(&c, z, sizeof c);
    return c;
}

/* Masked memory operations touch the lanes of the mask only. */
static inline __m512 lacking_maskz_loadu_ps(__mmask16 m, const void *p)
{
    float x[LANES16] = {0};
    for (int i = 0; i < LANES16; i++)
        if (m >> i & 1)
            memcpy(&x[i], (const char *)p + 4 * i, 4);
    return of_floats(x);
}

static inline void lacking_mask_storeu_ps(void *p, __mmask16 m, __m512 v)
{
    float x[LANES16];
    floats_of(v, x);
    for (int i = 0; i < LANES16; i++)
        if (m >> i & 1)
            memcpy((char *)p + 4 * i, &x[i], 4);
}

static inline __m256i lacking_maskz_loadu_epi16(__mmask16 m, const void *p)
{
    uint16_t x[LANES16] = {0};
    for (int i = 0; i < LANES16; i++)
        if (m >> i & 1)
            memcpy(&x[i], (const char *)p + 2 * i, 2);
    __m256i v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline __m512i lacking_maskz_loadu_epi16_512(__mmask32 m, const void *p)
{
    uint16_t x[LANES32] = {0};
    for (int i = 0; i < LANES32; i++)
        if (m >> i & 1)
            memcpy(&x[i], (const char *)p + 2 * i, 2);
    __m512i v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline void lacking_mask_storeu_epi16_512(void *p, __mmask32 m, __m512i v)
{
    uint16_t x[LANES32];
    memcpy(x, &v, sizeof v);
    for (int i = 0; i < LANES32; i++)
        if (m >> i & 1)
            memcpy((char *)p + 2 * i, &x[i], 2);
}

static inline __m512i lacking_permutexvar_epi16(__m512i order, __m512i v)
{
    uint16_t at[LANES32], x[LANES32], y[LANES32];
    memcpy(at, &order, sizeof order);
    memcpy(x, &v, sizeof v);
    for (int i = 0; i < LANES32; i++)
        y[i] = x[at[i] % LANES32];
    memcpy(&v, y, sizeof v);
    return v;
}

/* To nearest, ties to even; denormals become zero of their sign, NaN stays NaN and becomes quiet.
 */
static inline uint16_t lacking_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t exponent = bits >> 23 & 0xFF, fraction = bits & 0x7FFFFF;
    if (exponent == 0)
        return (uint16_t)(bits >> 16 & 0x8000);
    if (exponent == 0xFF && fraction != 0)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* b below, a above. */
static inline __m512bh lacking_cvtne2ps_pbh(__m512 a, __m512 b)
{
    float x[LANES32];
    uint16_t y[LANES32];
    floats_of(b, x);
    floats_of(a, x + LANES16);
    for (int i = 0; i < LANES32; i++)
        y[i] = lacking_bf16(x[i]);
    __m512bh r;
    memcpy(&r, y, sizeof r);
    return r;
}

/* Per lane: the odd pair element, then the even one, each product and sum rounded once; denormals
 * as zero. */
static inline float lacking_flushed(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0.0f, x) : x;
}

static inline __m512 lacking_dpbf16_ps(__m512 sum, __m512bh a, __m512bh b)
{
    uint32_t x[LANES16], y[LANES16];
    float z[LANES16];
    memcpy(x, &a, sizeof x);
    memcpy(y, &b, sizeof y);
    floats_of(sum, z);
    for (int i = 0; i < LANES16; i++)
        for (int odd = 1; odd >= 0; odd--) {
            const uint32_t u = odd ? x[i] & 0xFFFF0000u : x[i] << 16;
            const uint32_t w = odd ? y[i] & 0xFFFF0000u : y[i] << 16;
            float p, q;
            memcpy(&p, &u, sizeof p);
            memcpy(&q, &w, sizeof q);
            p = lacking_flushed(p);
            z[i] = lacking_flushed(fmaf(p, lacking_flushed(q), lacking_flushed(z[i])));
        }
    return of_floats(z);
}

static inline __m512i lacking_cvtepu16_epi32(__m256i v)
{
    uint16_t x[LANES16];
    uint32_t y[LANES16];
    memcpy(x, &v, sizeof v);
    for (int i = 0; i < LANES16; i++)
        y[i] = x[i];
    __m512i r;
    memcpy(&r, y, sizeof r);
    return r;
}

static inline __m256i lacking_cvtepi32_epi16(__m512i v)
{
    uint32_t x[LANES16];
    uint16_t y[LANES16];
    memcpy(x, &v, sizeof v);
    for (int i = 0; i < LANES16; i++)
        y[i] = (uint16_t)x[i];
    __m256i r;
    memcpy(&r, y, sizeof r);
    return r;
}

/* Both reductions halve: lane i with lane i + 8, then 4, 2, 1. */
static inline float lacking_reduce_add_ps(__m512 v)
{
    float x[LANES16];
    floats_of(v, x);
    for (int n = LANES16 / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            x[i] += x[i + n];
    return x[0];
}

/* maxps: the second operand unless the first is greater. */
static inline float lacking_reduce_max_ps(__m512 v)
{
    float x[LANES16];
    floats_of(v, x);
    for (int n = LANES16 / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            x[i] = x[i] > x[i + n] ? x[i] : x[i + n];
    return x[0];
}

#undef _mm512_fmadd_ps
#undef _mm256_fmadd_ps
#define _mm512_fmadd_ps lacking_fmadd512
#define _mm256_fmadd_ps lacking_fmadd256
#define _mm512_maskz_loadu_ps lacking_maskz_loadu_ps
#define _mm512_mask_storeu_ps lacking_mask_storeu_ps
#define _mm256_maskz_loadu_epi16 lacking_maskz_loadu_epi16
#define _mm512_maskz_loadu_epi16 lacking_maskz_loadu_epi16_512
#define _mm512_mask_storeu_epi16 lacking_mask_storeu_epi16_512
#undef _mm512_permutexvar_epi16
#define _mm512_permutexvar_epi16 lacking_permutexvar_epi16
#undef _mm512_cvtne2ps_pbh
#define _mm512_cvtne2ps_pbh lacking_cvtne2ps_pbh
#undef _mm512_dpbf16_ps
#define _mm512_dpbf16_ps lacking_dpbf16_ps
#define _mm512_cvtepu16_epi32 lacking_cvtepu16_epi32
#define _mm512_cvtepi32_epi16 lacking_cvtepi32_epi16
#define _mm512_reduce_add_ps lacking_reduce_add_ps
#define _mm512_reduce_max_ps lacking_reduce_max_ps

#endif
