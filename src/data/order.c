/*
 * The order of an epoch: a Fisher-Yates shuffle whose draws are addressed by (seed, epoch), of all
 * samples or of shards and then of the samples in a buffer's reach. It is a list of numbers, not
 * the state of a stream: a resumed run and every rank find their place in it at once. The
 * permutations of two neighbouring epochs are kept, because a batch may cross from one to the next.
 */
#include "data/order.h"

#include "base/alloc.h"
#include "base/rng.h"

sl_status sl_order_init(struct sl_order *order, size_t n, uint64_t seed, bool shuffle)
{
    struct sl_order o = {.n = n, .seed = seed, .shuffle = shuffle};
    o.perm_epoch[0] = o.perm_epoch[1] = UINT64_MAX;
    if (n >= UINT32_MAX)
        SL_FAIL(SL_ERR_UNSUPPORTED, "a data set of %zu samples; the limit is 2^32 - 2", n);
    for (size_t i = 0; i < 2 && shuffle; i++) {
        const sl_status st = SL_NEW(o.perm[i], n);
        if (st != SL_OK) {
            sl_order_free(&o);
            return st;
        }
    }
    *order = o;
    return SL_OK;
}

void sl_order_free(struct sl_order *order)
{
    sl_free(order->perm[0]);
    sl_free(order->perm[1]);
    sl_free(order->parts);
    *order = (struct sl_order){0};
}

void sl_order_by_parts(struct sl_order *order, size_t buffer, size_t *parts, size_t n_parts)
{
    sl_free(order->parts);
    order->buffer = buffer;
    order->parts = parts;
    order->n_parts = n_parts;
}

static void shuffle_run(sl_rng *rng, uint32_t *run, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)sl_rng_below(rng, i);
        const uint32_t t = run[i - 1];
        run[i - 1] = run[j];
        run[j] = t;
    }
}

/* Lays out the shards in random order. The numbers of the shards are drawn in place, at the end of
 * perm: part k has no more samples before it than fit in front of numbers k, k+1, ... unless it is
 * empty, and empty shards are not among the parts. */
static void lay_out_parts(const struct sl_order *order, sl_rng *rng, uint32_t *perm)
{
    uint32_t *numbers = perm + (order->n - order->n_parts);
    for (size_t k = 0; k < order->n_parts; k++)
        numbers[k] = (uint32_t)k;
    shuffle_run(rng, numbers, order->n_parts);
    for (size_t k = 0, at = 0; k < order->n_parts; k++) {
        const size_t part = numbers[k];
        for (size_t i = order->parts[part]; i < order->parts[part + 1]; i++)
            perm[at++] = (uint32_t)i;
    }
}

static void shuffle(const struct sl_order *order, uint64_t epoch, uint32_t *perm)
{
    sl_rng rng = sl_rng_at(order->seed, SL_RNG_SHUFFLE, epoch, 0);
    const size_t n = order->n, buffer = order->buffer ? order->buffer : n;
    if (order->buffer)
        lay_out_parts(order, &rng, perm);
    for (size_t i = 0; i < n && !order->buffer; i++)
        perm[i] = (uint32_t)i;
    for (size_t i = 0; i < n; i += buffer)
        shuffle_run(&rng, perm + i, n - i < buffer ? n - i : buffer);
}

/* Sample at place j of an epoch. */
static uint32_t sample_at(struct sl_order *order, uint64_t epoch, size_t j)
{
    if (!order->shuffle)
        return (uint32_t)j;
    const size_t k = epoch & 1;
    if (order->perm_epoch[k] != epoch) {
        shuffle(order, epoch, order->perm[k]);
        order->perm_epoch[k] = epoch;
    }
    return order->perm[k][j];
}

struct sl_place sl_order_stream(struct sl_order *order, uint64_t p)
{
    const uint64_t epoch = p / order->n;
    return (struct sl_place){sample_at(order, epoch, (size_t)(p % order->n)), (uint32_t)epoch};
}

struct sl_place sl_order_pass(struct sl_order *order, uint64_t pass, uint64_t k)
{
    if (k >= order->n)
        return (struct sl_place){SL_NO_SAMPLE, 0};
    return (struct sl_place){sample_at(order, pass, (size_t)k), 0};
}
