/*
 * XXH3-128 digests of memory and of streams, printed as `xxh128sum` prints them. They guard against
 * accidents (a flipped bit, a torn write), not against an enemy.
 */
#include "base/io.h"

#include <inttypes.h>
#include <stdio.h>

/* The header's own code: its state is a plain struct that lies in our block. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/alloc.h"

struct sl_hash {
    XXH3_state_t state; /* wants 64-byte alignment, which every sl_calloc block has */
};

static void print(XXH128_hash_t hash, char out[SL_DIGEST_SIZE])
{
    snprintf(out, SL_DIGEST_SIZE, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
             (uint64_t)hash.low64);
}

void sl_digest(const void *data, size_t n, char out[SL_DIGEST_SIZE])
{
    print(XXH3_128bits(data, n), out);
}

sl_status sl_hash_new(sl_hash **h)
{
    sl_hash *hash;
    SL_TRY(SL_NEW(hash, 1));
    XXH3_INITSTATE(&hash->state);
    XXH3_128bits_reset(&hash->state);
    *h = hash;
    return SL_OK;
}

void sl_hash_add(sl_hash *h, const void *data, size_t n)
{
    XXH3_128bits_update(&h->state, data, n);
}

void sl_hash_end(sl_hash **h, char out[SL_DIGEST_SIZE])
{
    if (!*h)
        return;
    if (out)
        print(XXH3_128bits_digest(&(*h)->state), out);
    sl_free(*h);
    *h = NULL;
}
