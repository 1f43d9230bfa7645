/*
 * Products of bf16 blocks with vdpbf16ps, for CPUs that have AVX512-BF16 and no AMX: the same
 * operands as AMX takes. Eight rows by two vectors are sixteen sums in registers, which hide the
 * latency of the instruction; each pair of depth takes two loads of b and a broadcast per row.
 */
#ifndef SL_KERNELS_X86_DPBF16_H
#define SL_KERNELS_X86_DPBF16_H

#include <string.h>

#include "kernels/x86/bf16_blocks.h"

#ifdef __clang__
#define PRODUCT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define PRODUCT_UNROLL _Pragma("GCC unroll 16")
#endif

enum { PRODUCT_ROWS = 8 };

static inline void products_begin(void)
{
}

static inline void products_end(void)
{
}

static inline __m512bh product_pair(const uint16_t *p)
{
    int pair;
    memcpy(&pair, p, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* `rows` rows of a product from row a.p on. */
static inline __attribute__((always_inline)) void product_of(struct lanes a, struct lanes b,
                                                             size_t steps, const int rows,
                                                             const float *start, float *out,
                                                             size_t ld)
{
    __m512 sum[PRODUCT_ROWS][2];
    PRODUCT_UNROLL for (int r = 0; r < rows; r++)
    {
        sum[r][0] = start ? _mm512_loadu_ps(start + r * BF16_SIDE) : _mm512_setzero_ps();
        sum[r][1] =
            start ? _mm512_loadu_ps(start + r * BF16_SIDE + BF16_LANES) : _mm512_setzero_ps();
    }
    for (size_t i = 0; i < steps; i++, a.p += a.step, b.p += b.step)
        for (size_t k = 0; k < BF16_DEPTH; k += 2) { /* a pair of depth */
            const uint16_t *y = b.p + k * BF16_LANES;
            const __m512bh low = (__m512bh)_mm512_loadu_si512(y);
            const __m512bh high = (__m512bh)_mm512_loadu_si512(y + b.half);
            PRODUCT_UNROLL for (int r = 0; r < rows; r++)
            {
                const __m512bh x = product_pair(a.p + k + (size_t)r * a.row);
                sum[r][0] = _mm512_dpbf16_ps(sum[r][0], x, low);
                sum[r][1] = _mm512_dpbf16_ps(sum[r][1], x, high);
            }
        }
    PRODUCT_UNROLL for (int r = 0; r < rows; r++)
    {
        _mm512_storeu_ps(out + (size_t)r * ld, sum[r][0]);
        _mm512_storeu_ps(out + (size_t)r * ld + BF16_LANES, sum[r][1]);
    }
}

/* out [32, 32], rows ld apart, = start [32, 32] (NULL = 0) + a b over `steps` blocks of depth; of
 * out's rows the first `rows`. */
static void product(struct lanes a, struct lanes b, size_t steps, size_t rows, const float *start,
                    float *out, size_t ld)
{
    for (size_t i = 0; i < rows; i += PRODUCT_ROWS) {
        const size_t in_half = i % BF16_LANES;
        const uint16_t *row = a.p + i / BF16_LANES * a.half + in_half * a.row;
        const struct lanes from = {row, 0, a.step, a.row};
        const float *s = start ? start + i * BF16_SIDE : NULL;
        float *to = out + i * ld;
        switch (rows - i) {
        case 1:
            product_of(from, b, steps, 1, s, to, ld);
            break;
        case 2:
            product_of(from, b, steps, 2, s, to, ld);
            break;
        case 3:
            product_of(from, b, steps, 3, s, to, ld);
            break;
        case 4:
            product_of(from, b, steps, 4, s, to, ld);
            break;
        case 5:
            product_of(from, b, steps, 5, s, to, ld);
            break;
        case 6:
            product_of(from, b, steps, 6, s, to, ld);
            break;
        case 7:
            product_of(from, b, steps, 7, s, to, ld);
            break;
        default:
            product_of(from, b, steps, PRODUCT_ROWS, s, to, ld);
        }
    }
}

#endif
