/*
 * Products of bf16 blocks in AMX tiles.
 */
#ifndef SL_KERNELS_X86_AMX_H
#define SL_KERNELS_X86_AMX_H

#include "kernels/x86/bf16_blocks.h"

struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_per_row[16];
    uint8_t rows[16];
};

/* Before and after a thread's products. Eight full tiles: 0-3 sums, 4-5 left operands, 6-7 right
 * ones. */
static inline void products_begin(void)
{
    static const struct amx_config config = {.palette = 1,
                                             .bytes_per_row = {64, 64, 64, 64, 64, 64, 64, 64},
                                             .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    __asm__ volatile("" ::: "memory");
    _tile_loadconfig(&config);
}

static inline void products_end(void)
{
    _tile_release();
}

/* As product below; not tall = only the upper 16 rows. gcc 12's tile loads do not tell the compiler
 * that they read memory, hence the barriers. */
static inline __attribute__((always_inline)) void product_of(struct lanes a, struct lanes b,
                                                             size_t steps, const bool tall,
                                                             const float *start, float *out,
                                                             size_t ld)
{
    enum { ROW = BF16_SIDE * sizeof(float) };
    __asm__ volatile("" ::: "memory");
    if (start) {
        const float *lower = start + BF16_LANES * BF16_SIDE;
        _tile_loadd(0, start, ROW);
        _tile_loadd(1, start + BF16_LANES, ROW);
        if (tall) {
            _tile_loadd(2, lower, ROW);
            _tile_loadd(3, lower + BF16_LANES, ROW);
        }
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    const size_t line = a.row * sizeof *a.p;
    for (size_t i = 0; i < steps; i++, a.p += a.step, b.p += b.step) {
        _tile_loadd(4, a.p, line);
        _tile_loadd(6, b.p, BF16_LINE);
        _tile_loadd(7, b.p + b.half, BF16_LINE);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (tall) {
            _tile_loadd(5, a.p + a.half, line);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    const size_t bytes = ld * sizeof(float);
    _tile_stored(0, out, bytes);
    _tile_stored(1, out + BF16_LANES, bytes);
    if (tall) {
        _tile_stored(2, out + BF16_LANES * ld, bytes);
        _tile_stored(3, out + BF16_LANES * ld + BF16_LANES, bytes);
    }
    __asm__ volatile("" ::: "memory");
}

/* out [32, 32], rows ld apart, = start [32, 32] (NULL = 0) + a b over `steps` blocks of depth; of
 * out's rows the first `rows` at least. */
static inline void product(struct lanes a, struct lanes b, size_t steps, size_t rows,
                           const float *start, float *out, size_t ld)
{
    if (rows > BF16_LANES)
        product_of(a, b, steps, true, start, out, ld);
    else
        product_of(a, b, steps, false, start, out, ld);
}

#endif
