/*
 * The vector alphabet of the kernels in portable C: four floats, by the compilers' vector
 * extension. x86/vec_avx2.h and x86/vec_avx512.h say the same words; kernels are written once over
 * them. Operand order of v_max and v_min matters: a NaN in the second operand is returned.
 */
#ifndef SL_KERNELS_C_VEC_C_H
#define SL_KERNELS_C_VEC_C_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float vf __attribute__((vector_size(16)));
typedef int32_t vm __attribute__((vector_size(16))); /* lane mask: all ones or zero */
typedef uint32_t vu __attribute__((vector_size(16)));
enum { VL = 4 };

static inline vf v_set1(float x)
{
    return (vf){x, x, x, x};
}
static inline vf v_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void v_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}
/* The first n lanes (1 <= n <= VL) from memory, the others zero. */
static inline vf v_load_n(const float *p, size_t n)
{
    float lanes[VL] = {0};
    memcpy(lanes, p, n * sizeof *p);
    return v_load(lanes);
}
static inline void v_store_n(float *p, vf v, size_t n)
{
    float lanes[VL];
    v_store(lanes, v);
    memcpy(p, lanes, n * sizeof *p);
}
/* bf16 is the upper half of a float. */
static inline vf v_load_bf16_n(const uint16_t *p, size_t n)
{
    uint32_t lanes[VL] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i] = (uint32_t)p[i] << 16;
    vf v;
    memcpy(&v, lanes, sizeof v);
    return v;
}
static inline vf v_load_bf16(const uint16_t *p)
{
    return v_load_bf16_n(p, VL);
}
static inline vf v_add(vf a, vf b)
{
    return a + b;
}
static inline vf v_sub(vf a, vf b)
{
    return a - b;
}
static inline vf v_mul(vf a, vf b)
{
    return a * b;
}
static inline vf v_fma(vf a, vf b, vf c) /* a b + c */
{
    return a * b + c;
}
static inline vm v_gt(vf a, vf b)
{
    return a > b;
}
static inline vm v_not_gt(vf a, vf b) /* true for NaN */
{
    return ~(a > b);
}
static inline vm v_and(vm a, vm b)
{
    return a & b;
}
static inline vf v_select(vm m, vf a, vf b) /* m ? a : b */
{
    return (vf)((m & (vm)a) | (~m & (vm)b));
}
static inline vf v_max(vf a, vf b)
{
    return v_select(a > b, a, b);
}
static inline vf v_min(vf a, vf b)
{
    return v_select(a < b, a, b);
}
static inline vf v_minus_abs(vf a)
{
    return (vf)((vm)a | (vm)v_set1(-0.0f));
}
/* a 2^n for whole n in -126 .. 127; the low bits of `sum` are n + 127 (phi.inc). */
static inline vf v_scale2(vf a, vf n, vf sum)
{
    (void)n;
    return a * (vf)((vu)sum << 23);
}
/* The same where m, else 0, whatever n is. */
static inline vf v_scale2_or_0(vm m, vf a, vf n, vf sum)
{
    return (vf)(m & (vm)v_scale2(a, n, sum));
}
/* About 1 / -d for negative d (phi.inc). */
static inline vf v_reciprocal_guess(vf d)
{
    const uint32_t negated = 0xFEF31000;
    return (vf)((vu){negated, negated, negated, negated} - (vu)d);
}
static inline float v_sum(vf a)
{
    return (a[0] + a[2]) + (a[1] + a[3]);
}
static inline float v_largest(vf a)
{
    float m = a[0];
    for (int i = 1; i < VL; i++)
        m = a[i] > m ? a[i] : m;
    return m;
}
/* dst[t*ld + r] = rows[r][d + t] * scale for t < 4 TRANSPOSE4, r < VL. */
enum { TRANSPOSE4 = 1 };
static inline void v_transpose(const float *const rows[VL], size_t d, vf scale, float *dst,
                               size_t ld)
{
    for (size_t t = 0; t < 4; t++) {
        const vf v = {rows[0][d + t], rows[1][d + t], rows[2][d + t], rows[3][d + t]};
        v_store(dst + t * ld, v * scale);
    }
}

#endif
