/*
 * What the AMX kernels share: the tile configuration, blocks, and the transpose between them.
 *
 * A block is 16 rows of 64 bytes, one tile of bf16: as a left operand of tdpbf16ps a row holds 32
 * steps of depth of one lane; as a right operand a row holds one pair of depth of 16 lanes. Seen as
 * 16 x 16 dwords the two are each other's transpose.
 */
#ifndef SL_KERNELS_X86_AMX_H
#define SL_KERNELS_X86_AMX_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMX_LANES = 16, /* of a block */
    AMX_DEPTH = 32,
    AMX_BLOCK = AMX_LANES * AMX_DEPTH,
    AMX_LINE = 64 /* bytes of a row */
};

struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_per_row[16];
    uint8_t rows[16];
};

/* Eight full tiles: 0-3 sums, 4-5 left operands, 6-7 right ones. */
static inline void amx_enter(void)
{
    static const struct amx_config config = {.palette = 1,
                                             .bytes_per_row = {64, 64, 64, 64, 64, 64, 64, 64},
                                             .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    __asm__ volatile("" ::: "memory");
    _tile_loadconfig(&config);
}

static inline void amx_leave(void)
{
    _tile_release();
}

/* 16 x 16 dwords: a left block becomes the right block of the same lanes, and back. */
static inline void amx_transpose(__m512i v[AMX_LANES])
{
    __m512i t[AMX_LANES];
    for (int i = 0; i < AMX_LANES; i += 4) { /* 4 x 4 inside the 128-bit lanes */
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
