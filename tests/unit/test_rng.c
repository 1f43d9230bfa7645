/*
 * The generator: published known answers, statistics with derived bounds, and addresses that do not
 * meet. Everything is seeded, so a failure repeats.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

/* A mean of n independent draws with standard deviation s is off by more than SIGMAS * s / sqrt(n)
 * with probability below 6e-7; some hundred checks stand here, and the seed is fixed. */
static const double SIGMAS = 5;
enum { SEED = 20260101, DRAWS = 200000 };

/* Random123's kat_vectors, philox4x32 with 10 rounds. */
static void test_known_answers(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
        {{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
         {0xa4093822u, 0x299f31d0u},
         {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t out[4];
        sl_philox4x32_10(known[i].counter, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

/* The words of a cursor are the blocks of its counter in order; this pins every recorded run. */
static void test_cursor_follows_the_counter(void **state)
{
    (void)state;
    const uint64_t seed = 0x0123456789ABCDEFu, a = 0xFEDCBA9876543210u;
    const uint32_t b = 0xABCDEFu, key[2] = {0x89ABCDEFu, 0x01234567u};
    sl_rng rng = sl_rng_at(seed, SL_RNG_AUGMENT, a, b);
    for (uint32_t block = 0; block < 100; block++) {
        const uint32_t counter[4] = {block, (uint32_t)SL_RNG_AUGMENT << 24 | b, 0x76543210u,
                                     0xFEDCBA98u};
        uint32_t want[4];
        sl_philox4x32_10(counter, key, want);
        for (int i = 0; i < 4; i++)
            assert_int_equal(sl_rng_u32(&rng), want[i]);
    }
}

static void test_a_copy_continues_alike(void **state)
{
    (void)state;
    sl_rng x = sl_rng_at(SEED, SL_RNG_TEST, 1, 2);
    for (int i = 0; i < 7; i++)
        (void)sl_rng_u32(&x);
    sl_rng y = x;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(sl_rng_u32(&x), sl_rng_u32(&y));
}

/* Every bit of a word is set half of the time: the count has standard deviation sqrt(n)/2. */
static void test_bits(void **state)
{
    size_t ones[32] = {0};
    (void)state;
    sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 0, 0);
    for (size_t i = 0; i < DRAWS; i++) {
        const uint32_t x = sl_rng_u32(&rng);
        for (int k = 0; k < 32; k++)
            ones[k] += x >> k & 1;
    }
    for (int k = 0; k < 32; k++)
        assert_true(fabs((double)ones[k] - DRAWS / 2.0) < SIGMAS * sqrt((double)DRAWS) / 2);
}

/* Sums of the first four powers of n draws. */
struct moments {
    double sum[5], low, high;
};

static void add(struct moments *m, double x)
{
    double power = 1;
    for (int k = 0; k < 5; k++, power *= x)
        m->sum[k] += power;
    m->low = x < m->low ? x : m->low;
    m->high = x > m->high ? x : m->high;
}

/* E[x^k] estimated by n draws has variance (E[x^2k] - E[x^k]^2) / n. */
static void expect_moment(const struct moments *m, int k, double want, double want_2k)
{
    const double mean = m->sum[k] / m->sum[0];
    const double bound = SIGMAS * sqrt((want_2k - want * want) / m->sum[0]);
    if (!(fabs(mean - want) < bound))
        fail_msg("seed %d: E[x^%d] is %.6f, not %.6f +- %.6f", SEED, k, mean, want, bound);
}

/* E[x^k] = 1/(k+1); the least of n draws exceeds t with probability (1-t)^n, here e^-20. */
static void test_uniform(void **state)
{
    struct moments m = {.low = 1, .high = 0};
    size_t bins[64] = {0};
    (void)state;
    sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 1, 0);
    for (size_t i = 0; i < DRAWS; i++) {
        const double x = sl_rng_uniform(&rng);
        assert_true(x >= 0 && x < 1);
        assert_true(x * 0x1p53 == floor(x * 0x1p53));
        bins[(size_t)(x * 64)]++;
        add(&m, x);
    }
    for (int k = 1; k <= 4; k++)
        expect_moment(&m, k, 1.0 / (k + 1), 1.0 / (2 * k + 1));
    assert_true(m.low < 20.0 / DRAWS && m.high > 1 - 20.0 / DRAWS);
    for (int k = 0; k < 64; k++) { /* binomial: variance n p (1-p) */
        const double p = 1.0 / 64, bound = SIGMAS * sqrt(DRAWS * p * (1 - p));
        assert_true(fabs((double)bins[k] - DRAWS * p) < bound);
    }
}

/* All 53 bits are drawn: each of the low ones is set half of the time. */
static void test_uniform_has_53_bits(void **state)
{
    size_t ones[53] = {0};
    (void)state;
    sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 2, 0);
    for (size_t i = 0; i < DRAWS; i++) {
        const uint64_t x = (uint64_t)(sl_rng_uniform(&rng) * 0x1p53);
        for (int k = 0; k < 53; k++)
            ones[k] += x >> k & 1;
    }
    for (int k = 0; k < 53; k++)
        assert_true(fabs((double)ones[k] - DRAWS / 2.0) < SIGMAS * sqrt((double)DRAWS) / 2);
}

/* E[x^2], E[x^4], E[x^6], E[x^8] of the normal distribution: 1, 3, 15, 105. */
static void test_normal(void **state)
{
    static const double at[] = {-2, -1, -0.5, 0, 0.25, 1, 1.5, 2.5};
    enum { POINTS = sizeof at / sizeof at[0] };
    struct moments m = {.low = 0};
    size_t below[POINTS] = {0};
    double previous = 0, products = 0;
    (void)state;
    sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 3, 0);
    for (size_t i = 0; i < DRAWS; i++) {
        const double x = sl_rng_normal(&rng);
        assert_true(isfinite(x));
        add(&m, x);
        products += x * previous; /* of independent draws: variance 1 each */
        previous = x;
        for (size_t k = 0; k < POINTS; k++)
            below[k] += x < at[k];
    }
    expect_moment(&m, 1, 0, 1);
    expect_moment(&m, 2, 1, 3);
    expect_moment(&m, 3, 0, 15);
    expect_moment(&m, 4, 3, 105);
    assert_true(fabs(products) < SIGMAS * sqrt((double)DRAWS));
    for (size_t k = 0; k < POINTS; k++) {
        const double p = 0.5 * erfc(-at[k] / sqrt(2.0));
        assert_true(fabs((double)below[k] - DRAWS * p) < SIGMAS * sqrt(DRAWS * p * (1 - p)));
    }
}

/* With density phi and mass Z within the bound c: E[x^2] = 1 - 2 c phi(c) / Z and
 * E[x^4] = 3 E[x^2] - 2 c^3 phi(c) / Z (by parts). */
static void test_truncated_normal(void **state)
{
    static const double bounds[] = {0.5, 1, 2, 3};
    (void)state;
    for (uint64_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        const double c = bounds[i], z = erf(c / sqrt(2.0));
        const double tail = 2 * c * exp(-c * c / 2) / sqrt(2 * acos(-1.0)) / z;
        const double second = 1 - tail, fourth = 3 * second - c * c * tail;
        struct moments m = {.low = 0};
        sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 4, (uint32_t)i);
        for (size_t k = 0; k < DRAWS; k++)
            add(&m, sl_rng_truncated_normal(&rng, c));
        assert_true(m.low >= -c && m.high <= c);
        expect_moment(&m, 1, 0, second);
        expect_moment(&m, 2, second, fourth);
    }
}

/* Chi-square of n counts: mean n-1, variance below 2n. Sizes that do not divide 2^32 or 2^64, and
 * one so large that a draw by remainder alone would fall below its third more often. */
static void test_below(void **state)
{
    static const uint64_t sizes[] = {2, 3, 5, 7, 10, 64, 97, 1000};
    (void)state;
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t counts[1000] = {0};
        const uint64_t n = sizes[i];
        const double want = (double)DRAWS / (double)n;
        double chi = 0;
        sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 5, i);
        for (size_t k = 0; k < DRAWS; k++) {
            const uint64_t x = sl_rng_below(&rng, n);
            assert_true(x < n);
            counts[x]++;
        }
        for (size_t k = 0; k < n; k++)
            chi += ((double)counts[k] - want) * ((double)counts[k] - want) / want;
        /* chi-square is skewed to the right: Laurent and Massart bound it by
         * d + 2 sqrt(d t) + 2 t with probability 1 - e^-t; t = 15 */
        const double d = (double)n - 1;
        assert_true(chi < d + 2 * sqrt(15 * d) + 30);
        assert_true(d < 50 || chi > d - 2 * sqrt(15 * d)); /* nor too even */
    }
}

static void test_below_at_the_ends(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, 6, 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(sl_rng_below(&rng, 1), 0);
    size_t upper = 0;
    const uint64_t n = 3u * (UINT64_C(1) << 62); /* 3/4 of all words: a remainder is 2/3 low */
    for (size_t i = 0; i < DRAWS; i++) {
        const uint64_t x = sl_rng_below(&rng, n);
        assert_true(x < n);
        upper += x >= n / 2;
    }
    assert_true(fabs((double)upper - DRAWS / 2.0) < SIGMAS * sqrt((double)DRAWS) / 2);
    for (int i = 0; i < 1000; i++)
        assert_true(sl_rng_below(&rng, UINT64_MAX) < UINT64_MAX);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The first 64 bits of n addresses: two that agree by chance have probability n^2 / 2^65. */
static void expect_distinct(uint64_t *first, size_t n)
{
    qsort(first, n, sizeof *first, by_value);
    for (size_t i = 1; i < n; i++)
        assert_true(first[i] != first[i - 1]);
}

static uint64_t first_bits(uint64_t seed, int stream, uint64_t a, uint32_t b)
{
    sl_rng rng = sl_rng_at(seed, (enum sl_rng_stream)stream, a, b);
    const uint64_t high = sl_rng_u32(&rng);
    return high << 32 | sl_rng_u32(&rng);
}

static void test_addresses_do_not_meet(void **state)
{
    static const uint64_t seeds[] = {0, 1, 2, UINT64_C(1) << 32, UINT64_MAX};
    static const uint64_t as[] = {0, 1, 2, 65536, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    static const uint32_t bs[] = {0, 1, 2, 255, 65536, 0xFFFFFF};
    static uint64_t first[5 * SL_RNG_TEST * 7 * 6];
    size_t n = 0;
    (void)state;
    for (size_t s = 0; s < 5; s++)
        for (int stream = SL_RNG_INIT; stream <= SL_RNG_TEST; stream++)
            for (size_t i = 0; i < 7; i++)
                for (size_t k = 0; k < 6; k++)
                    first[n++] = first_bits(seeds[s], stream, as[i], bs[k]);
    print_message("addresses: %zu\n", n);
    assert_int_equal(n, sizeof first / sizeof first[0]);
    expect_distinct(first, n);
}

/* Neither do later draws of neighbours: 64 addresses, 64 words pairs of each. */
static void test_neighbours_do_not_overlap(void **state)
{
    static uint64_t words[64 * 64];
    size_t n = 0;
    (void)state;
    for (uint32_t i = 0; i < 64; i++) {
        sl_rng rng = sl_rng_at(SEED, SL_RNG_TEST, i / 8, i % 8);
        for (size_t k = 0; k < 64; k++) {
            const uint64_t high = sl_rng_u32(&rng);
            words[n++] = high << 32 | sl_rng_u32(&rng);
        }
    }
    expect_distinct(words, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_cursor_follows_the_counter),
        cmocka_unit_test(test_a_copy_continues_alike),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_uniform_has_53_bits),
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_truncated_normal),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_below_at_the_ends),
        cmocka_unit_test(test_addresses_do_not_meet),
        cmocka_unit_test(test_neighbours_do_not_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
