/*
 * What kernels that multiply bf16 itself share: blocks of an operand, and the transpose between the
 * two kinds.
 *
 * A block is 16 rows of 64 bytes, one AMX tile: as a left operand a row holds 32 steps of depth of
 * one lane; as a right operand a row holds one pair of depth of 16 lanes. Seen as 16 x 16 dwords
 * the two are each other's transpose.
 */
#ifndef SL_KERNELS_X86_BF16_BLOCKS_H
#define SL_KERNELS_X86_BF16_BLOCKS_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BF16_LANES = 16, /* of a block */
    BF16_DEPTH = 32,
    BF16_BLOCK = BF16_LANES * BF16_DEPTH,
    BF16_LINE = 64,            /* bytes of a row */
    BF16_SIDE = 2 * BF16_LANES /* rows and columns of a product */
};

/* 32 lanes of an operand: two runs of blocks. Counts of elements. */
struct lanes {
    const uint16_t *p;
    size_t half; /* from the first 16 lanes to the others */
    size_t step; /* from a block of depth to the next */
    size_t row;  /* from a row of a block to the next; right operands: BF16_DEPTH */
};

/* 16 x 16 dwords: a left block becomes the right block of the same lanes, and back. */
static inline void bf16_transpose(__m512i v[BF16_LANES])
{
    __m512i t[BF16_LANES];
    for (int i = 0; i < BF16_LANES; i += 4) { /* 4 x 4 inside the 128-bit lanes */
        const __m512i a = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        const __m512i b = _mm512_unpackhi_epi32(v[i], v[i + 1]);
        const __m512i c = _mm512_unpacklo_epi32(v[i + 2], v[i + 3]);
        const __m512i d = _mm512_unpackhi_epi32(v[i + 2], v[i + 3]);
        t[i] = _mm512_unpacklo_epi64(a, c);
        t[i + 1] = _mm512_unpackhi_epi64(a, c);
        t[i + 2] = _mm512_unpacklo_epi64(b, d);
        t[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    for (int i = 0; i < 4; i++) { /* then the 128-bit lanes among four vectors */
        const __m512i a = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88);
        const __m512i b = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xDD);
        const __m512i c = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88);
        const __m512i d = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xDD);
        v[i] = _mm512_shuffle_i32x4(a, c, 0x88);
        v[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
        v[i + 8] = _mm512_shuffle_i32x4(a, c, 0xDD);
        v[i + 12] = _mm512_shuffle_i32x4(b, d, 0xDD);
    }
}

#endif
