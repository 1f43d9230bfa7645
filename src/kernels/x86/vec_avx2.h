/*
 * The vector alphabet of the kernels on AVX2 with FMA: eight floats. The words are those of
 * c/vec_c.h.
 */
#ifndef SL_KERNELS_X86_VEC_AVX2_H
#define SL_KERNELS_X86_VEC_AVX2_H

#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256 vf;
typedef __m256 vm; /* lane mask: sign bit */
enum { VL = 8 };

static inline vf v_set1(float x)
{
    return _mm256_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}
static inline __m256i v_first(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}
static inline vf v_load_n(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, v_first(n));
}
static inline void v_store_n(float *p, vf v, size_t n)
{
    _mm256_maskstore_ps(p, v_first(n), v);
}
/* bf16 is the upper half of a float. */
static inline vf v_load_bf16(const uint16_t *p)
{
    const __m128i x = _mm_loadu_si128((const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
static inline vf v_load_bf16_n(const uint16_t *p, size_t n)
{
    uint16_t lanes[VL] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i] = p[i];
    return v_load_bf16(lanes);
}
static inline vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline vm v_gt(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}
static inline vm v_not_gt(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_NGT_UQ);
}
static inline vm v_and(vm a, vm b)
{
    return _mm256_and_ps(a, b);
}
static inline vf v_select(vm m, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, m);
}
static inline vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
static inline vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
static inline vf v_minus_abs(vf a)
{
    return _mm256_or_ps(a, _mm256_set1_ps(-0.0f));
}
static inline vf v_scale2(vf a, vf n, vf sum)
{
    (void)n;
    return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(sum), 23)));
}
static inline vf v_scale2_or_0(vm m, vf a, vf n, vf sum)
{
    return _mm256_and_ps(m, v_scale2(a, n, sum));
}
static inline vf v_reciprocal_guess(vf d)
{
    const __m256i negated = _mm256_set1_epi32((int)0xFEF31000);
    return _mm256_castsi256_ps(_mm256_sub_epi32(negated, _mm256_castps_si256(d)));
}
static inline float v_sum(vf a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float v_largest(vf a)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
/* Each 128-bit lane holds four rows' pieces, loaded there by the load ports; what is left is a 4x4
 * transpose inside the lanes. Two columns of such blocks at a time: each row pointer is loaded once
 * for both. */
enum { TRANSPOSE4 = 2 };
static inline void v_transpose(const float *const rows[VL], size_t d, vf scale, float *dst,
                               size_t ld)
{
    __m256 r[TRANSPOSE4][4];
    for (int i = 0; i < 4; i++) {
        const float *x = rows[i] + d, *y = rows[4 + i] + d;
        for (int g = 0; g < TRANSPOSE4; g++)
            r[g][i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x + 4 * g)),
                                           _mm_loadu_ps(y + 4 * g), 1);
    }
    for (int g = 0; g < TRANSPOSE4; g++) {
        const __m256 a = _mm256_unpacklo_ps(r[g][0], r[g][1]);
        const __m256 b = _mm256_unpackhi_ps(r[g][0], r[g][1]);
        const __m256 c = _mm256_unpacklo_ps(r[g][2], r[g][3]);
        const __m256 e = _mm256_unpackhi_ps(r[g][2], r[g][3]);
        v_store(dst, v_mul(scale, _mm256_shuffle_ps(a, c, 0x44)));
        v_store(dst + ld, v_mul(scale, _mm256_shuffle_ps(a, c, 0xEE)));
        v_store(dst + 2 * ld, v_mul(scale, _mm256_shuffle_ps(b, e, 0x44)));
        v_store(dst + 3 * ld, v_mul(scale, _mm256_shuffle_ps(b, e, 0xEE)));
        dst += 4 * ld;
    }
}

#endif
