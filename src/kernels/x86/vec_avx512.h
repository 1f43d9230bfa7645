/*
 * The vector alphabet of the kernels on AVX-512 (F, BW, DQ, VL): sixteen floats. The words are
 * those of c/vec_c.h.
 */
#ifndef SL_KERNELS_X86_VEC_AVX512_H
#define SL_KERNELS_X86_VEC_AVX512_H

#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vf;
typedef __mmask16 vm;
enum { VL = 16 };

static inline vf v_set1(float x)
{
    return _mm512_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
static inline __mmask16 v_first(size_t n)
{
    return (__mmask16)((1u << n) - 1u);
}
static inline vf v_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(v_first(n), p);
}
static inline void v_store_n(float *p, vf v, size_t n)
{
    _mm512_mask_storeu_ps(p, v_first(n), v);
}
/* bf16 is the upper half of a float. */
static inline vf v_widen(__m256i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
static inline vf v_load_bf16(const uint16_t *p)
{
    return v_widen(_mm256_loadu_si256((const void *)p));
}
static inline vf v_load_bf16_n(const uint16_t *p, size_t n)
{
    return v_widen(_mm256_maskz_loadu_epi16(v_first(n), p));
}
static inline vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vm v_gt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
static inline vm v_not_gt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_NGT_UQ);
}
static inline vm v_and(vm a, vm b)
{
    return (vm)(a & b);
}
static inline vf v_select(vm m, vf a, vf b)
{
    return _mm512_mask_blend_ps(m, b, a);
}
static inline vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
static inline vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vf v_minus_abs(vf a)
{
    return _mm512_or_ps(a, _mm512_set1_ps(-0.0f));
}
static inline vf v_scale2(vf a, vf n, vf sum)
{
    (void)sum;
    return _mm512_scalef_ps(a, n);
}
static inline vf v_scale2_or_0(vm m, vf a, vf n, vf sum)
{
    (void)sum;
    return _mm512_maskz_scalef_ps(m, a, n);
}
static inline vf v_reciprocal_guess(vf d)
{
    const __m512i negated = _mm512_set1_epi32((int)0xFEF31000);
    return _mm512_castsi512_ps(_mm512_sub_epi32(negated, _mm512_castps_si512(d)));
}
static inline float v_sum(vf a)
{
    return _mm512_reduce_add_ps(a);
}
static inline float v_largest(vf a)
{
    return _mm512_reduce_max_ps(a);
}
/* Each 128-bit lane gets four rows' pieces through masked broadcasts (load ports, not the shuffle
 * port); what is left is a 4x4 transpose inside the lanes. Four columns of such blocks at a time:
 * each row pointer is loaded once for all. */
enum { TRANSPOSE4 = 4 };
static inline void v_transpose(const float *const rows[VL], size_t d, vf scale, float *dst,
                               size_t ld)
{
    __m512 r[TRANSPOSE4][4];
    for (int i = 0; i < 4; i++) {
        const float *x[4] = {rows[i] + d, rows[4 + i] + d, rows[8 + i] + d, rows[12 + i] + d};
        for (int g = 0; g < TRANSPOSE4; g++) {
            __m512 y = _mm512_castps128_ps512(_mm_loadu_ps(x[0] + 4 * g));
            y = _mm512_mask_broadcast_f32x4(y, 0x00F0, _mm_loadu_ps(x[1] + 4 * g));
            y = _mm512_mask_broadcast_f32x4(y, 0x0F00, _mm_loadu_ps(x[2] + 4 * g));
            r[g][i] = _mm512_mask_broadcast_f32x4(y, 0xF000, _mm_loadu_ps(x[3] + 4 * g));
        }
    }
    for (int g = 0; g < TRANSPOSE4; g++) {
        const __m512 a = _mm512_unpacklo_ps(r[g][0], r[g][1]);
        const __m512 b = _mm512_unpackhi_ps(r[g][0], r[g][1]);
        const __m512 c = _mm512_unpacklo_ps(r[g][2], r[g][3]);
        const __m512 e = _mm512_unpackhi_ps(r[g][2], r[g][3]);
        v_store(dst, v_mul(scale, _mm512_shuffle_ps(a, c, 0x44)));
        v_store(dst + ld, v_mul(scale, _mm512_shuffle_ps(a, c, 0xEE)));
        v_store(dst + 2 * ld, v_mul(scale, _mm512_shuffle_ps(b, e, 0x44)));
        v_store(dst + 3 * ld, v_mul(scale, _mm512_shuffle_ps(b, e, 0xEE)));
        dst += 4 * ld;
    }
}

#endif
