/*
 * The AMX tile instructions in plain C, by Intel's Software Developer's Manual: eight tiles of 16
 * rows x 64 bytes, tdpbf16ps in its order of operations (even pair element, then odd, each product
 * and sum rounded to nearest), denormals as zero. Included in place of the intrinsics so that the
 * kernels' own source runs, and is checked, on CPUs without AMX.
 */
#ifndef TESTS_EMULATE_AMX_TILES_H
#define TESTS_EMULATE_AMX_TILES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TILES = 8, TILE_ROWS = 16, TILE_BYTES = 64, TILE_FLOATS = 16 };

struct emulated_tiles {
    uint8_t data[TILES][TILE_ROWS][TILE_BYTES];
    uint8_t config[64]; /* as LDTILECFG reads it */
    int configured;
};

static _Thread_local struct emulated_tiles tiles;

/* An instruction that would fault must not pass unseen. */
static void tile_fault_unless(int good)
{
    if (!good)
        abort();
}

static int tile_rows_of(int tile)
{
    tile_fault_unless(tiles.configured && tiles.config[48 + tile] <= TILE_ROWS);
    return tiles.config[48 + tile];
}

static int tile_bytes_of(int tile)
{
    uint16_t bytes;
    memcpy(&bytes, tiles.config + 16 + 2 * tile, sizeof bytes);
    tile_fault_unless(tiles.configured && bytes <= TILE_BYTES);
    return bytes;
}

static void emulated_loadconfig(const void *config)
{
    memcpy(tiles.config, config, sizeof tiles.config);
    tile_fault_unless(tiles.config[0] == 1 && tiles.config[1] == 0);
    for (int i = 2; i < 16; i++)
        tile_fault_unless(tiles.config[i] == 0);
    memset(tiles.data, 0, sizeof tiles.data);
    tiles.configured = 1;
}

static void emulated_release(void)
{
    memset(&tiles, 0, sizeof tiles);
}

static void emulated_zero(int tile)
{
    tile_fault_unless(tile_rows_of(tile) > 0);
    memset(tiles.data[tile], 0, sizeof tiles.data[tile]);
}

static void emulated_loadd(int tile, const void *base, size_t stride)
{
    memset(tiles.data[tile], 0, sizeof tiles.data[tile]);
    for (int r = 0; r < tile_rows_of(tile); r++)
        memcpy(tiles.data[tile][r], (const char *)base + (size_t)r * stride,
               (size_t)tile_bytes_of(tile));
}

static void emulated_stored(int tile, void *base, size_t stride)
{
    for (int r = 0; r < tile_rows_of(tile); r++)
        memcpy((char *)base + (size_t)r * stride, tiles.data[tile][r], (size_t)tile_bytes_of(tile));
}

static float flushed(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0.0f, x) : x;
}

static float tile_bf16(const uint8_t *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return flushed(x);
}

static void emulated_dpbf16ps(int sum, int a, int b)
{
    const int pairs = tile_bytes_of(a) / 4, columns = tile_bytes_of(b) / 4;
    tile_fault_unless(tile_rows_of(sum) == tile_rows_of(a) && tile_rows_of(b) == pairs &&
                      tile_bytes_of(sum) == tile_bytes_of(b));
    for (int m = 0; m < tile_rows_of(sum); m++)
        for (int n = 0; n < columns; n++) {
            float even = 0.0f, odd = 0.0f, old;
            for (int k = 0; k < pairs; k++) {
                const uint8_t *x = tiles.data[a][m] + 4 * k, *y = tiles.data[b][k] + 4 * n;
                even = flushed(fmaf(tile_bf16(x), tile_bf16(y), even));
                odd = flushed(fmaf(tile_bf16(x + 2), tile_bf16(y + 2), odd));
            }
            memcpy(&old, tiles.data[sum][m] + 4 * n, sizeof old);
            old = flushed(old + flushed(even + odd));
            memcpy(tiles.data[sum][m] + 4 * n, &old, sizeof old);
        }
}

#define _tile_loadconfig emulated_loadconfig
#define _tile_release emulated_release
#define _tile_zero emulated_zero
#define _tile_loadd(tile, base, stride) emulated_loadd((tile), (base), (size_t)(stride))
#define _tile_stored(tile, base, stride) emulated_stored((tile), (base), (size_t)(stride))
#define _tile_dpbf16ps emulated_dpbf16ps

#endif
