/*
 * The cache of images: what it keeps when the set fits, nearly fits, and is far too large.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "data/cache.h"

enum { SIDE = 64, MIB = 1 << 20 };

static struct sl_cache *make(size_t samples, size_t budget)
{
    struct sl_cache *c = NULL;
    if (sl_cache_create(samples, budget, &c) != SL_OK)
        fail_msg("%s", sl_error_message());
    return c;
}

/* Puts images 0 .. n-1, each filled with its number, and tells how many of them the cache has. */
static size_t put_all(struct sl_cache *c, size_t n)
{
    static uint8_t pixels[SIDE * SIDE * 3];
    struct sl_image img = {.h = SIDE, .w = SIDE, .pixels = pixels};
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        memset(pixels, (int)(i & 255), sizeof pixels);
        sl_cache_put(c, i, &img);
    }
    for (size_t i = 0; i < n; i++) {
        struct sl_image got;
        if (!sl_cache_get(c, i, &got))
            continue;
        assert_int_equal(got.h, SIDE);
        assert_int_equal(got.w, SIDE);
        assert_int_equal(got.pixels[0], i & 255);
        assert_int_equal(got.pixels[sizeof pixels - 1], i & 255);
        kept++;
    }
    return kept;
}

static void test_fits(void **state)
{
    (void)state;
    struct sl_cache *c = make(3000, 64 * MIB); /* 36 MB of pixels */
    assert_int_equal(put_all(c, 3000), 3000);
    sl_cache_free(&c);
}

/* Three times the budget: it is filled, less what the ends of its slabs cannot hold. */
static void test_part_fits(void **state)
{
    (void)state;
    const size_t image = SIDE * SIDE * 3, budget = 32 * MIB;
    struct sl_cache *c = make(8192, budget);
    const size_t kept = put_all(c, 8192);
    assert_true(kept <= budget / image);
    assert_true(kept >= (budget / image) * 9 / 10);
    sl_cache_free(&c);
}

/* 1,000 times the budget: the first slab of 16 MiB and no more, so that a run over a large set
 * does not spend its memory on hits that never come. */
static void test_far_too_large(void **state)
{
    (void)state;
    const size_t image = SIDE * SIDE * 3;
    struct sl_cache *c = make((size_t)1000 * 64 * MIB / image, 64 * MIB);
    const size_t kept = put_all(c, 4000);
    assert_true(kept > 0 && kept <= 16 * MIB / image);
    sl_cache_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_part_fits),
        cmocka_unit_test(test_far_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
