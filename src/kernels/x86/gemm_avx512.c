/*
 * Matrix product kernels for AVX-512: a 14 x 32 tile (28 accumulators). Per step of k it loads two
 * vectors of B and broadcasts 14 elements of A for 28 multiply-adds.
 */
#include <immintrin.h>

#include "kernels/gemm_kernels.h"

enum { MR = 14, NR = 32 };

#include "kernels/gemm_common.inc"

extern const struct sl_gemm_kernels sl_gemm_kernels_avx512;

/* Byte strides that let two moving pointers reach 14 rows by [p + s], [p + 2s], [p + 4s]. */
struct strides {
    size_t s1, s3, s5;
};

static inline __attribute__((always_inline)) float row_of(const char *p, int i, struct strides s)
{
    const size_t at[7] = {0, s.s1, 2 * s.s1, s.s3, 4 * s.s1, s.s5, 2 * s.s3};
    return *(const float *)(const void *)(p + at[i]);
}

static inline __attribute__((always_inline)) void tile_rows(const struct sl_gemm_tile *t,
                                                            const int rows)
{
    __m512 acc[MR][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        acc[i][0] = t->start ? _mm512_loadu_ps(t->start + i * NR) : _mm512_setzero_ps();
        acc[i][1] = t->start ? _mm512_loadu_ps(t->start + i * NR + 16) : _mm512_setzero_ps();
    }
    const struct strides s = {4 * t->a_row, 12 * t->a_row, 20 * t->a_row};
    const size_t step = 4 * t->a_step;
    const char *p = (const char *)t->a, *q = p + 7 * s.s1;
    const float *b = t->b;
    for (size_t k = t->k; k > 0; k--) {
        /* Hides the relation of the pointers, else the compiler keeps one pointer per row. */
        __asm__("" : "+r"(p), "+r"(q));
        const __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + 16);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            const __m512 a = _mm512_set1_ps(row_of(i < 7 ? p : q, i % 7, s));
            acc[i][0] = _mm512_fmadd_ps(a, b0, acc[i][0]);
            acc[i][1] = _mm512_fmadd_ps(a, b1, acc[i][1]);
        }
        p += step;
        q += step;
        b += NR;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            __m512 r = acc[i][h];
            if (t->bias)
                r = _mm512_add_ps(r, _mm512_loadu_ps(t->bias + 16 * h));
            if (t->addend)
                r = _mm512_add_ps(r,
                                  _mm512_loadu_ps(t->addend + (size_t)i * t->addend_ld + 16 * h));
            _mm512_storeu_ps(t->out + (size_t)i * t->out_ld + 16 * h, r);
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
    case 6:
        tile_rows(t, 6);
        break;
    case 7:
        tile_rows(t, 7);
        break;
    case 8:
        tile_rows(t, 8);
        break;
    case 9:
        tile_rows(t, 9);
        break;
    case 10:
        tile_rows(t, 10);
        break;
    case 11:
        tile_rows(t, 11);
        break;
    case 12:
        tile_rows(t, 12);
        break;
    case 13:
        tile_rows(t, 13);
        break;
    default:
        tile_rows(t, MR);
    }
}

static double peak(size_t rounds)
{
    enum { CHAINS = 24 };
    __m512 x[CHAINS];
    __m512 f = _mm512_set1_ps(0.5f);
    __asm__("" : "+v"(f));
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++)
        x[i] = f;
    for (size_t n = 0; n < rounds; n++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) {
            x[i] = _mm512_fmadd_ps(x[i], f, f);
            __asm__ volatile("" : "+v"(x[i]));
        }
    }
    return 2.0 * 16 * CHAINS * (double)rounds;
}

const struct sl_gemm_kernels sl_gemm_kernels_avx512 = {
    .isa = SL_ISA_AVX512,
    .mr = MR,
    .nr = NR,
    .kc = 384,
    .tile = tile,
    .pack_a = pack_a,
    .pack_b = pack_b,
    .finish = finish,
    .narrow = narrow,
    .peak = peak,
};
