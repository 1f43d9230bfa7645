/*
 * The resize kernels on every instruction set: Pillow's passes against sums in double, which are
 * exact here, and TensorFlow's rows against the same float operations pixel by pixel, all byte for
 * byte. Sources and results end at a page that nobody may touch.
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

/* ---- TensorFlow's rows ---- */

/* Products have statements of their own, or a compiler may fuse them with a sum. */
static uint8_t truncated(float x)
{
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

static const uint8_t *input(const struct sl_resize_rows *r, int32_t y, int32_t x, size_t c)
{
    const size_t row = (size_t)y < r->in_h ? (size_t)y : r->in_h - 1;
    const size_t column = (size_t)x < r->in_w ? (size_t)x : r->in_w - 1;
    return r->pixels + row * r->stride + 3 * column + c;
}

static float across_row(const struct sl_resize_rows *r, int32_t y, size_t x, size_t c)
{
    const struct sl_resize_part *p = &r->columns[x];
    const float left = *input(r, y, p->first, c), step = (*input(r, y, p->last, c) - left) * p->a;
    return left + step;
}

static uint8_t bilinear_expected(const struct sl_resize_rows *r, const struct sl_resize_part *row,
                                 size_t x, size_t c)
{
    const float top = across_row(r, row->first, x, c);
    const float step = (across_row(r, row->last, x, c) - top) * row->a;
    return truncated(top + step);
}

static uint8_t area_expected(const struct sl_resize_rows *r, const struct sl_resize_part *row,
                             size_t x, size_t c)
{
    const struct sl_resize_part *p = &r->columns[x];
    float sum = 0;
    for (int32_t y = row->first; y <= row->last; y++) {
        float line = *input(r, y, p->first, c) * p->a;
        for (int32_t i = p->first + 1; i < p->last; i++)
            line += *input(r, y, i, c);
        const float end = *input(r, y, p->last, c) * p->b;
        if (p->last != p->first)
            line += end;
        const float share = line * (y == row->first ? row->a : y == row->last ? row->b : 1);
        sum += share;
    }
    return truncated(sum * r->scale);
}

/* Of n inputs: two neighbours or one twice; an area of up to five, and it may end one beyond. */
static struct sl_resize_part draw_part(size_t n, bool area, sl_rng *rng)
{
    const size_t first = below(rng, n), left = n - first;
    const size_t room = area ? left + 1 : left, most = area ? 5 : 2;
    return (struct sl_resize_part){.first = (int32_t)first,
                                   .last = (int32_t)(first + below(rng, room < most ? room : most)),
                                   .a = (float)sl_rng_uniform(rng),
                                   .b = (float)sl_rng_uniform(rng)};
}

static void check_rows(const struct sl_resize_kernels *k, size_t number, bool area)
{
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, number, area ? 2 : 3);
    struct sl_resize_rows r = {.in_h = 1 + below(&rng, MOST_ROWS),
                               .in_w = 1 + below(&rng, MOST_IN),
                               .w = 1 + below(&rng, MOST_OUT),
                               .scale = (float)sl_rng_uniform(&rng),
                               .held = {-1, -1}};
    const size_t width = 3 * r.w, input_size = 3 * r.in_w + SL_RESIZE_VECTOR;
    const size_t line_size = width + SL_RESIZE_VECTOR;
    r.stride = 3 * r.in_w + below(&rng, GAP);
    r.columns = malloc(r.w * sizeof *r.columns);
    assert_non_null(r.columns);
    for (size_t x = 0; x < r.w; x++)
        r.columns[x] = draw_part(r.in_w, area, &rng);
    struct fenced src = draw_bytes((r.in_h - 1) * r.stride + 3 * r.in_w, &rng);
    struct fenced dst = fenced_open(width), floats[3];
    r.pixels = src.p;
    for (int i = 0; i < 3; i++)
        floats[i] = fenced_open((i == 0 ? input_size : line_size) * sizeof(float));
    r.input = (float *)(void *)floats[0].p;
    r.lines[0] = (float *)(void *)floats[1].p;
    r.lines[1] = (float *)(void *)floats[2].p;
    for (size_t y = 0; y < MOST_ROWS; y++) {
        const struct sl_resize_part row = draw_part(r.in_h, area, &rng);
        (area ? k->area : k->bilinear)(&r, &row, dst.p);
        for (size_t x = 0; x < width; x++)
            compare(dst.p + x, (area ? area_expected : bilinear_expected)(&r, &row, x / 3, x % 3),
                    area ? "area" : "bilinear", number, y, x);
    }
    fenced_close(&src);
    fenced_close(&dst);
    for (int i = 0; i < 3; i++)
        fenced_close(&floats[i]);
    free(r.columns);
}

static void check_bilinear(const struct sl_resize_kernels *k, size_t number)
{
    check_rows(k, number, false);
}

static void check_area(const struct sl_resize_kernels *k, size_t number)
{
    check_rows(k, number, true);
}

/* ---- all ---- */

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

static void test_bilinear(void **state)
{
    (void)state;
    check_all(check_bilinear);
}

static void test_area(void **state)
{
    (void)state;
    check_all(check_area);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_across),
        cmocka_unit_test(test_down),
        cmocka_unit_test(test_bilinear),
        cmocka_unit_test(test_area),
    };
    return cmocka_run_group_tests(tests, emulate_summary, NULL);
}
