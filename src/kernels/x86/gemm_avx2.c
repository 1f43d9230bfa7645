/*
 * Matrix product kernels for AVX2 and FMA: a 6 x 16 tile (12 accumulators). Per step of k it loads
 * two vectors of B and broadcasts 6 elements of A for 12 multiply-adds.
 */
#include <immintrin.h>

#include "kernels/gemm_kernels.h"

enum { MR = 6, NR = 16 };

#include "kernels/gemm_common.inc"

extern const struct sl_gemm_kernels sl_gemm_kernels_avx2;

/* Byte strides that let one moving pointer reach 6 rows by [p + s], [p + 2s], [p + 4s]. */
struct strides {
    size_t s1, s3, s5;
};

static inline __attribute__((always_inline)) float row_of(const char *p, int i, struct strides s)
{
    const size_t at[MR] = {0, s.s1, 2 * s.s1, s.s3, 4 * s.s1, s.s5};
    return *(const float *)(const void *)(p + at[i]);
}

static inline __attribute__((always_inline)) void tile_rows(const struct sl_gemm_tile *t,
                                                            const int rows)
{
    __m256 acc[MR][2];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        acc[i][0] = t->start ? _mm256_loadu_ps(t->start + i * NR) : _mm256_setzero_ps();
        acc[i][1] = t->start ? _mm256_loadu_ps(t->start + i * NR + 8) : _mm256_setzero_ps();
    }
    const struct strides s = {4 * t->a_row, 12 * t->a_row, 20 * t->a_row};
    const size_t step = 4 * t->a_step;
    const char *p = (const char *)t->a;
    const float *b = t->b;
    for (size_t k = t->k; k > 0; k--) {
        /* Hides how p moves, else the compiler keeps one pointer per row. */
        __asm__("" : "+r"(p));
        const __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            const __m256 a = _mm256_set1_ps(row_of(p, i, s));
            acc[i][0] = _mm256_fmadd_ps(a, b0, acc[i][0]);
            acc[i][1] = _mm256_fmadd_ps(a, b1, acc[i][1]);
        }
        p += step;
        b += NR;
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            __m256 r = acc[i][h];
            if (t->bias)
                r = _mm256_add_ps(r, _mm256_loadu_ps(t->bias + 8 * h));
            if (t->addend)
                r = _mm256_add_ps(r, _mm256_loadu_ps(t->addend + (size_t)i * t->addend_ld + 8 * h));
            _mm256_storeu_ps(t->out + (size_t)i * t->out_ld + 8 * h, r);
        }
}

/* A row's sums do not depend on how many rows the tile has. */
static void tile(const struct sl_gemm_tile *t)
{
    switch (t->rows) {
    case 1:
        tile_rows(t, 1);
        break;
    case 2:
        tile_rows(t, 2);
        break;
    case 3:
        tile_rows(t, 3);
        break;
    case 4:
        tile_rows(t, 4);
        break;
    case 5:
        tile_rows(t, 5);
        break;
    default:
        tile_rows(t, MR);
    }
}

static double peak(size_t rounds)
{
    enum { CHAINS = 12 };
    __m256 x[CHAINS];
    __m256 f = _mm256_set1_ps(0.5f);
    __asm__("" : "+x"(f));
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++)
        x[i] = f;
    for (size_t n = 0; n < rounds; n++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            x[i] = _mm256_fmadd_ps(x[i], f, f);
            __asm__ volatile("" : "+x"(x[i]));
        }
    }
    return 2.0 * 8 * CHAINS * (double)rounds;
}

const struct sl_gemm_kernels sl_gemm_kernels_avx2 = {
    .isa = SL_ISA_AVX2,
    .mr = MR,
    .nr = NR,
    .kc = 256,
    .tile = tile,
    .pack_a = pack_a,
    .pack_b = pack_b,
    .finish = finish,
    .narrow = narrow,
    .peak = peak,
};
