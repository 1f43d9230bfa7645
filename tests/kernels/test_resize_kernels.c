/*
 * The passes of a resize against sums in double, which are exact here, on every instruction set.
 * Sources and results end at a page that nobody may touch.
 */
#define _DEFAULT_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "emulate/emulate.h"
#include "kernels/resize_kernels.h"

static const uint64_t seed = 20261201;
enum { CASES = 600, MOST_IN = 90, MOST_OUT = 70, MOST_ROWS = 11, GAP = 5 };

/* n bytes before a page without access. */
struct fenced {
    uint8_t *p;
    void *pages;
    size_t mapped;
};

static struct fenced fenced_open(size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (n + page - 1) / page * page;
    struct fenced f = {.mapped = room + page};
    f.pages = mmap(NULL, f.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f.pages != MAP_FAILED);
    assert_int_equal(mprotect((uint8_t *)f.pages + room, page, PROT_NONE), 0);
    f.p = (uint8_t *)f.pages + room - n;
    return f;
}

static void fenced_close(struct fenced *f)
{
    assert_int_equal(munmap(f->pages, f->mapped), 0);
}

static size_t below(sl_rng *rng, size_t n)
{
    return (size_t)sl_rng_below(rng, n);
}

/* The lowest inputs are not in use, either. */
static void draw_windows(struct sl_resize_axis *a, bool even, sl_rng *rng)
{
    const size_t most = a->in < a->taps ? a->in : a->taps, common = 1 + below(rng, most);
    size_t first = below(rng, a->in - (even ? common : 1) + 1);
    for (size_t i = 0; i < a->out; i++) {
        const size_t room = a->in - first;
        a->count[i] = (int32_t)(even ? common : 1 + below(rng, room < most ? room : most));
        a->first[i] = (int32_t)first;
        first += below(rng, 4);
        if (first > a->in - (even ? common : 1))
            first = a->in - (even ? common : 1);
    }
}

/* Every kind of weight that there may be: of either sign, one, more than one, all bits. */
static void draw_weights(struct sl_resize_axis *a, sl_rng *rng)
{
    const int32_t one = 1 << SL_RESIZE_BITS, all = 2 * one - (one >> 8) - 1;
    for (size_t i = 0; i < a->out; i++) {
        int32_t *w = a->weights + i * a->taps, most = all / a->count[i];
        for (int32_t t = 0; t < a->count[i]; t++)
            w[t] = (int32_t)below(rng, 2 * (size_t)most) - most;
        if (below(rng, 3) > 0)
            continue;
        memset(w, 0, (size_t)a->count[i] * sizeof *w);
        w[below(rng, (size_t)a->count[i])] = below(rng, 2) ? one : below(rng, 2) ? all : -all;
    }
}

static struct sl_resize_axis draw_axis(bool even, sl_rng *rng)
{
    struct sl_resize_axis a = {.in = 1 + below(rng, MOST_IN), .out = 1 + below(rng, MOST_OUT)};
    a.taps = SL_RESIZE_GROUP * (1 + below(rng, 5));
    a.weights = calloc(a.out * a.taps, sizeof *a.weights);
    a.first = malloc(a.out * sizeof *a.first);
    a.count = malloc(a.out * sizeof *a.count);
    assert_true(a.weights && a.first && a.count);
    draw_windows(&a, even, rng);
    draw_weights(&a, rng);
    return a;
}

static void free_axis(struct sl_resize_axis *a)
{
    free(a->weights);
    free(a->first);
    free(a->count);
}

/* inputs: those of output i, `step` bytes apart. */
static uint8_t expected(const struct sl_resize_axis *a, size_t i, const uint8_t *inputs,
                        size_t step)
{
    double sum = 0; /* whole and below 2^31 */
    for (size_t t = 0; t < (size_t)a->count[i]; t++)
        sum += (double)inputs[t * step] * a->weights[i * a->taps + t];
    const double rounded = floor(sum / (1 << SL_RESIZE_BITS) + 0.5);
    return (uint8_t)(rounded < 0 ? 0 : rounded > 255 ? 255 : rounded);
}

static struct fenced draw_bytes(size_t n, sl_rng *rng)
{
    const struct fenced f = fenced_open(n);
    for (size_t i = 0; i < n; i++)
        f.p[i] = below(rng, 4) == 0 ? 255 : (uint8_t)sl_rng_below(rng, 256);
    return f;
}

static void compare(const uint8_t *got, uint8_t wanted, const char *pass, size_t number, size_t y,
                    size_t x)
{
    if (*got != wanted)
        fail_msg("%s, case %zu of seed %llu: row %zu, byte %zu: %d, expected %d", pass, number,
                 (unsigned long long)seed, y, x, *got, wanted);
}

static void check_across(const struct sl_resize_kernels *k, size_t number)
{
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, number, 0);
    struct sl_resize_axis a = draw_axis(true, &rng);
    const size_t rows = 1 + below(&rng, MOST_ROWS), width = 3 * a.out;
    const size_t stride = 3 * a.in + below(&rng, GAP);
    struct fenced src = draw_bytes((rows - 1) * stride + 3 * a.in, &rng);
    struct fenced dst = fenced_open(rows * width);
    k->across(&a, rows, src.p, stride, dst.p);
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < width; x++)
            compare(dst.p + y * width + x,
                    expected(&a, x / 3, src.p + y * stride + 3 * (size_t)a.first[x / 3] + x % 3, 3),
                    "across", number, y, x);
    fenced_close(&src);
    fenced_close(&dst);
    free_axis(&a);
}

static void check_down(const struct sl_resize_kernels *k, size_t number)
{
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, number, 1);
    struct sl_resize_axis a = draw_axis(false, &rng);
    const size_t n = 1 + below(&rng, MOST_IN), stride = n + below(&rng, GAP);
    const size_t top = (size_t)a.first[0];
    size_t rows = 0;
    for (size_t i = 0; i < a.out; i++)
        if ((size_t)(a.first[i] + a.count[i]) - top > rows)
            rows = (size_t)(a.first[i] + a.count[i]) - top;
    struct fenced src = draw_bytes((rows - 1) * stride + n, &rng);
    struct fenced dst = fenced_open(a.out * n);
    k->down(&a, n, src.p, stride, dst.p);
    for (size_t y = 0; y < a.out; y++)
        for (size_t x = 0; x < n; x++)
            compare(dst.p + y * n + x,
                    expected(&a, y, src.p + ((size_t)a.first[y] - top) * stride + x, stride),
                    "down", number, y, x);
    fenced_close(&src);
    fenced_close(&dst);
    free_axis(&a);
}

static void check_all(void (*check)(const struct sl_resize_kernels *k, size_t number))
{
    enum { MACS = 3 * MOST_ROWS * MOST_OUT * 20 };
    for (int i = 0; i < SL_ISA_COUNT; i++) {
        const struct sl_resize_kernels *k = sl_resize_kernels_for((enum sl_isa)i);
        size_t done = 0;
        for (size_t number = 0; number < CASES && (int)k->isa == i; number++)
            if (emulate_takes(sl_isa_name(k->isa), number, MACS)) {
                check(k, number);
                done++;
            }
        if (done > 0)
            print_message("%s: %zu cases of seed %llu\n", sl_isa_name(k->isa), done,
                          (unsigned long long)seed);
    }
}

static void test_across(void **state)
{
    (void)state;
    check_all(check_across);
}

static void test_down(void **state)
{
    (void)state;
    check_all(check_down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_across),
        cmocka_unit_test(test_down),
    };
    return cmocka_run_group_tests(tests, emulate_summary, NULL);
}
