/*
 * Counter-based random numbers (Philox-4x32-10, Salmon et al. 2011): every draw is addressed by
 * (seed, stream, index), so nothing random has state to save and any worker gets the same bits.
 */
#ifndef SL_BASE_RNG_H
#define SL_BASE_RNG_H

#include <stdint.h>

/* What a stream of draws is for; each has its own numbers under one seed. */
enum sl_rng_stream {
    SL_RNG_INIT = 1,  /* parameter initialisation: index = tensor */
    SL_RNG_SHUFFLE,   /* order of an epoch: index = epoch */
    SL_RNG_AUGMENT,   /* augmentation of one image: index = (epoch, sample) */
    SL_RNG_MIXUP,     /* one draw per step: index = step */
    SL_RNG_SYNTHETIC, /* the synthetic data set: index = sample */
    SL_RNG_FEWSHOT,   /* choice of shots: index = class */
    SL_RNG_TEST       /* tests */
};

/* A cursor over the draws at one address (seed, stream, a, b): value type, no hidden state. */
typedef struct sl_rng {
    uint32_t key[2], counter[4];
    uint32_t block[4];
    unsigned used; /* words of block already given out; 4 = none left */
} sl_rng;

sl_rng sl_rng_at(uint64_t seed, enum sl_rng_stream stream, uint64_t a, uint32_t b);
uint32_t sl_rng_u32(sl_rng *rng);
uint64_t sl_rng_below(sl_rng *rng, uint64_t n); /* uniform in 0 .. n-1, n > 0, unbiased */
double sl_rng_uniform(sl_rng *rng);             /* uniform in [0, 1), 53 bits */
double sl_rng_normal(sl_rng *rng);              /* standard normal (Box-Muller) */
double sl_rng_truncated_normal(sl_rng *rng, double bound); /* standard normal, |x| <= bound */

/* The raw function, for the known-answer test. */
void sl_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
