/*
 * The matrix product's kernels for AMX: a 32 x 32 tile in four tile registers, bf16 operands, float
 * sums. A packed panel is, for every 32 k, two blocks of 16 rows x 64 bytes: for A a row holds one
 * lane's 32 k, for B a row holds one pair of k of 16 lanes (what tdpbf16ps wants). Lanes and k past
 * the end are zeros. Products treat denormals as zero, as the instruction does.
 */
#include "kernels/x86/vec_avx512.h"

#include <string.h>

#include "kernels/gemm_kernels.h"
#include "kernels/x86/amx.h"

enum { MR = 32, NR = 32, HALF = AMX_LANES, DEPTH = AMX_DEPTH, BLOCK = AMX_BLOCK };

extern const struct sl_gemm_kernels sl_gemm_kernels_amx;

/* out = start + A B for all 32 x 32; bias, addend and ahead are not used. */
static void tile(const struct sl_gemm_tile *t)
{
    enum { ROW = NR * sizeof(float), LINE = 64 };
    const uint16_t *a = (const void *)t->a, *b = (const void *)t->b;
    /* gcc 12's tile loads do not tell the compiler that they read memory. */
    __asm__ volatile("" ::: "memory");
    if (t->start) {
        _tile_loadd(0, t->start, ROW);
        _tile_loadd(1, t->start + HALF, ROW);
        _tile_loadd(2, t->start + HALF * NR, ROW);
        _tile_loadd(3, t->start + HALF * NR + HALF, ROW);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (size_t k = 0; k < t->k; k += DEPTH, a += 2 * BLOCK, b += 2 * BLOCK) {
        _tile_loadd(4, a, LINE);
        _tile_loadd(6, b, LINE);
        _tile_loadd(7, b + BLOCK, LINE);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + BLOCK, LINE);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    const size_t ld = t->out_ld, bytes = ld * sizeof(float);
    _tile_stored(0, t->out, bytes);
    _tile_stored(1, t->out + HALF, bytes);
    _tile_stored(2, t->out + HALF * ld, bytes);
    _tile_stored(3, t->out + HALF * ld + HALF, bytes);
    __asm__ volatile("" ::: "memory");
}

/* ---- packing ---- */

/* 16 floats rounded to bf16, ties to even, NaN kept. */
static inline __m256i narrow16(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x), one = _mm512_set1_epi32(1);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
    const __m512i round = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
    const __m512i sum = _mm512_srli_epi32(_mm512_add_epi32(bits, round), 16);
    const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_mask_blend_epi32(nan, sum, quiet));
}

/* `n` elements (at most 16) from src[at] as bf16, zeros behind. */
static inline __m256i load16(const struct sl_gemm_pack *p, size_t at, size_t n)
{
    const __mmask16 some = (__mmask16)((1u << n) - 1u);
    if (p->bf16)
        return _mm256_maskz_loadu_epi16(some, (const uint16_t *)p->src + at);
    return narrow16(_mm512_maskz_loadu_ps(some, (const float *)p->src + at));
}

static inline size_t at_most(size_t n, size_t limit)
{
    return n < limit ? n : limit;
}

/* Block of src as it lies, crossed: v[i] = 32 k of lane i0 + i. */
static void load_lanes(const struct sl_gemm_pack *p, size_t i0, size_t k0, __m512i v[HALF])
{
    const size_t k = at_most(p->k - k0, DEPTH), low = at_most(k, 16);
    for (size_t i = 0; i < HALF; i++) {
        if (i0 + i >= p->lanes) {
            v[i] = _mm512_setzero_si512();
            continue;
        }
        const size_t at = (i0 + i) * p->ld + k0;
        const __m256i first = load16(p, at, low);
        const __m256i second = k > 16 ? load16(p, at + 16, k - 16) : _mm256_setzero_si256();
        v[i] = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
    }
}

/* Block of src as it lies, straight: v[q] = the pair k0 + 2q, k0 + 2q + 1 of 16 lanes. */
static void load_pairs(const struct sl_gemm_pack *p, size_t i0, size_t k0, __m512i v[HALF])
{
    const size_t n = i0 < p->lanes ? at_most(p->lanes - i0, HALF) : 0;
    for (size_t q = 0; q < HALF; q++) {
        const size_t k = k0 + 2 * q;
        const __m256i zero = _mm256_setzero_si256();
        const __m256i even = n > 0 && k < p->k ? load16(p, k * p->ld + i0, n) : zero;
        const __m256i odd = n > 0 && k + 1 < p->k ? load16(p, (k + 1) * p->ld + i0, n) : zero;
        v[q] = _mm512_or_si512(_mm512_cvtepu16_epi32(even),
                               _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
    }
}

/* sum[i] += both k of every pair of lane i. */
static void add_pairs(const __m512i v[HALF], float *sum)
{
    __m512 s = _mm512_loadu_ps(sum);
    for (int q = 0; q < HALF; q++) {
        s = _mm512_add_ps(s, _mm512_castsi512_ps(_mm512_slli_epi32(v[q], 16)));
        const __m512i upper = _mm512_set1_epi32((int)0xFFFF0000u);
        s = _mm512_add_ps(s, _mm512_castsi512_ps(_mm512_and_si512(v[q], upper)));
    }
    _mm512_storeu_ps(sum, s);
}

/* A panel after the other; `pairs` = the layout of B. Both kinds of source meet both layouts; the
 * transpose lies between. */
static inline __attribute__((always_inline)) void pack(const struct sl_gemm_pack *p,
                                                       const bool pairs)
{
    for (size_t i = 0; i < p->lanes; i += HALF)
        for (size_t k = 0; k < p->k; k += DEPTH) {
            uint16_t *d = (uint16_t *)(void *)(p->dst + i / MR * p->panel);
            d += k / DEPTH * 2 * BLOCK + i % MR * DEPTH;
            __m512i v[HALF];
            if (p->crossed)
                load_lanes(p, i, k, v);
            else
                load_pairs(p, i, k, v);
            if (p->sum && !p->crossed)
                add_pairs(v, p->sum + i);
            if (p->crossed == pairs)
                amx_transpose(v);
            if (p->sum && p->crossed) {
                __m512i copy[HALF];
                memcpy(copy, v, sizeof copy);
                amx_transpose(copy);
                add_pairs(copy, p->sum + i);
            }
            for (int q = 0; q < HALF; q++)
                _mm512_storeu_si512(d + q * DEPTH, v[q]);
            const bool alone = i % MR == 0 && i + HALF >= p->lanes; /* the other half is empty */
            if (alone)
                memset(d + BLOCK, 0, BLOCK * sizeof *d);
        }
}

static void pack_a(const struct sl_gemm_pack *p)
{
    pack(p, false);
}

static void pack_b(const struct sl_gemm_pack *p)
{
    pack(p, true);
}

static void add(size_t n, const float *src, float *dst)
{
    for (size_t i = 0; i < n; i++)
        dst[i] += src[i];
}

#include "kernels/gemm_finish.inc"

const struct sl_gemm_kernels sl_gemm_kernels_amx = {
    .isa = SL_ISA_AMX,
    .bf16 = true,
    .k_unit = DEPTH,
    .mr = MR,
    .nr = NR,
    .a_floats = MR / 2,
    .b_floats = NR / 2,
    .kc = 512,
    .columns = 1024,
    .long_rows = 384,
    .long_columns = 384,
    .long_kc = 512,
    .enter = amx_enter,
    .leave = amx_leave,
    .tile = tile,
    .pack_a = pack_a,
    .pack_b = pack_b,
    .finish = finish,
    .add = add,
    .narrow = narrow,
};
