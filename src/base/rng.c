/*
 * Philox-4x32-10 and the distributions drawn from it.
 */
#include "base/rng.h"

#include <math.h>

static void round_once(uint32_t c[4], const uint32_t k[2])
{
    const uint64_t p0 = (uint64_t)0xD2511F53u * c[0];
    const uint64_t p1 = (uint64_t)0xCD9E8D57u * c[2];
    const uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k[0], (uint32_t)p1,
                              (uint32_t)(p0 >> 32) ^ c[3] ^ k[1], (uint32_t)p0};
    for (int i = 0; i < 4; i++)
        c[i] = next[i];
}

void sl_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t k[2] = {key[0], key[1]};
    for (int i = 0; i < 4; i++)
        out[i] = counter[i];
    for (int r = 0; r < 10; r++) {
        round_once(out, k);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
}

sl_rng sl_rng_at(uint64_t seed, enum sl_rng_stream stream, uint64_t a, uint32_t b)
{
    /* Key = seed; counter = (draw, stream and b, a). The stream sits in the top byte of word 1, so
     * b is limited to 24 bits; both are folded in so that no two addresses meet. */
    sl_rng rng = {.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                  .counter = {0, ((uint32_t)stream << 24) | (b & 0xFFFFFFu), (uint32_t)a,
                              (uint32_t)(a >> 32)},
                  .used = 4};
    return rng;
}

uint32_t sl_rng_u32(sl_rng *rng)
{
    if (rng->used == 4) {
        sl_philox4x32_10(rng->counter, rng->key, rng->block);
        rng->counter[0]++;
        rng->used = 0;
    }
    return rng->block[rng->used++];
}

static uint64_t u64(sl_rng *rng)
{
    const uint64_t high = sl_rng_u32(rng);
    return high << 32 | sl_rng_u32(rng);
}

uint64_t sl_rng_below(sl_rng *rng, uint64_t n)
{
    const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    uint64_t x;
    do {
        x = u64(rng);
    } while (x >= limit);
    return x % n;
}

double sl_rng_uniform(sl_rng *rng)
{
    return (double)(u64(rng) >> 11) * 0x1p-53;
}

double sl_rng_normal(sl_rng *rng)
{
    const double u = 1.0 - sl_rng_uniform(rng); /* (0, 1]: the logarithm is finite */
    const double v = sl_rng_uniform(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}

double sl_rng_truncated_normal(sl_rng *rng, double bound)
{
    double x;
    do {
        x = sl_rng_normal(rng);
    } while (fabs(x) > bound);
    return x;
}
