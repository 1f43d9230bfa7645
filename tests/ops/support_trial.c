/*
 * Trials of an op; see trial.h.
 */
#include "trial.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/bf16.h"
#include "emulate/emulate.h"
#include "kernels/cpu.h"

enum { GUARD = 64, BUFFERS = 24, FILL = 0xA5 };

struct buffer {
    unsigned char *base; /* GUARD + bytes + GUARD */
    size_t bytes;
    bool output;
    unsigned char *start, *first; /* before the call; what the first call made */
};

struct trial {
    sl_rng *rng;
    struct buffer buffers[BUFFERS];
    size_t n;
};

static const int threads[] = {1, 2, 3, 7};
static struct sl_device *devices[SL_ISA_COUNT][TEST_COUNT(threads)];

int trial_setup(void **state)
{
    emulate_summary(state);
    for (int isa = 0; isa <= (int)sl_isa_native(); isa++)
        for (size_t i = 0; i < TEST_COUNT(threads); i++)
            if (sl_device_open("cpu", threads[i], sl_isa_name((enum sl_isa)isa),
                               &devices[isa][i]) != SL_OK)
                return -1;
    return 0;
}

int trial_teardown(void **state)
{
    (void)state;
    for (int isa = 0; isa < SL_ISA_COUNT; isa++)
        for (size_t i = 0; i < TEST_COUNT(threads); i++)
            sl_device_close(&devices[isa][i]);
    return 0;
}

struct sl_device *trial_device(void)
{
    return devices[sl_isa_native()][1];
}

static void *allocate(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    assert_non_null(p);
    return p;
}

struct trial *trial_new(sl_rng *rng)
{
    struct trial *t = allocate(sizeof *t);
    memset(t, 0, sizeof *t);
    t->rng = rng;
    return t;
}

void trial_free(struct trial **t)
{
    for (size_t i = 0; i < (*t)->n; i++) {
        free((*t)->buffers[i].base);
        free((*t)->buffers[i].start);
        free((*t)->buffers[i].first);
    }
    free(*t);
    *t = NULL;
}

static void *buffer(struct trial *t, size_t bytes, bool output)
{
    assert_true(t->n < BUFFERS);
    struct buffer *b = &t->buffers[t->n++];
    *b = (struct buffer){allocate(bytes + 2 * (size_t)GUARD), bytes, output, NULL, NULL};
    memset(b->base, FILL, bytes + 2 * (size_t)GUARD);
    return b->base + GUARD;
}

void *trial_input(struct trial *t, size_t bytes)
{
    return buffer(t, bytes, false);
}

void *trial_output(struct trial *t, size_t bytes)
{
    return buffer(t, bytes, true);
}

void *trial_normal(struct trial *t, bool output, sl_dtype type, size_t n, double mean, double sd)
{
    void *p = buffer(t, n * test_size_of(type), output);
    for (size_t i = 0; i < n; i++) {
        const float x = (float)(mean + sd * sl_rng_normal(t->rng));
        if (type == SL_BF16)
            ((uint16_t *)p)[i] = sl_bf16_from_f32(x);
        else
            ((float *)p)[i] = x;
    }
    return p;
}

static void check_guards(const struct trial *t)
{
    for (size_t i = 0; i < t->n; i++)
        for (size_t j = 0; j < GUARD; j++) {
            const struct buffer *b = &t->buffers[i];
            if (b->base[j] != FILL || b->base[GUARD + b->bytes + j] != FILL)
                fail_msg("buffer %zu: wrote outside, %zu bytes before or after", i, j + 1);
        }
}

/* Inputs as they were; with `all`, outputs too. */
static void check_kept(const struct trial *t, bool all)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct buffer *b = &t->buffers[i];
        if ((all || !b->output) && memcmp(b->base + GUARD, b->start, b->bytes) != 0)
            fail_msg("buffer %zu changed %s", i, all ? "while planning" : "but is an input");
    }
}

static unsigned char *copy_of(const struct buffer *b)
{
    unsigned char *p = allocate(b->bytes);
    memcpy(p, b->base + GUARD, b->bytes);
    return p;
}

sl_status trial_plan_and_run(struct sl_device *dev, trial_call call, const void *args)
{
    sl_device_plan_begin(dev);
    const sl_status st = call(dev, args);
    assert_int_equal(sl_device_plan_end(dev), SL_OK);
    return st == SL_OK ? call(dev, args) : st;
}

static void run_on(struct trial *t, struct sl_device *dev, trial_call call, const void *args)
{
    for (size_t i = 0; i < t->n; i++)
        memcpy(t->buffers[i].base + GUARD, t->buffers[i].start, t->buffers[i].bytes);
    sl_device_plan_begin(dev);
    assert_int_equal(call(dev, args), SL_OK);
    assert_int_equal(sl_device_plan_end(dev), SL_OK);
    check_kept(t, true);
    /* Scratch holds what another op left there. */
    if (dev->scratch_bytes)
        memset(dev->scratch, 0xFF, dev->scratch_bytes);
    const size_t calls = sl_alloc_stats_get().calls;
    assert_int_equal(call(dev, args), SL_OK);
    assert_int_equal(sl_alloc_stats_get().calls, calls);
    check_guards(t);
    check_kept(t, false);
}

void trial_run(struct trial *t, trial_call call, const void *args, trial_check check,
               const void *expected)
{
    for (size_t i = 0; i < t->n; i++)
        t->buffers[i].start = copy_of(&t->buffers[i]);
    for (int isa = 0; isa <= (int)sl_isa_native(); isa++)
        for (size_t k = 0; k < TEST_COUNT(threads); k++) {
            run_on(t, devices[isa][k], call, args);
            /* AVX2 and the sets above it give the same bits too. */
            const bool fresh = k == 0 && isa <= (int)SL_ISA_AVX2;
            if (fresh)
                check(args, expected);
            for (size_t i = 0; i < t->n; i++) {
                struct buffer *b = &t->buffers[i];
                if (fresh) {
                    free(b->first);
                    b->first = copy_of(b);
                } else if (memcmp(b->first, b->base + GUARD, b->bytes) != 0) {
                    fail_msg("buffer %zu: other bits with %d threads on %s", i, threads[k],
                             sl_isa_name((enum sl_isa)isa));
                }
            }
        }
}

size_t test_size_of(sl_dtype type)
{
    return type == SL_BF16 ? sizeof(uint16_t) : sizeof(float);
}

double test_get(const void *p, sl_dtype type, size_t i)
{
    return (double)(type == SL_BF16 ? sl_bf16_to_f32(((const uint16_t *)p)[i])
                                    : ((const float *)p)[i]);
}

double test_unit(sl_dtype type)
{
    return type == SL_BF16 ? u_bf16 : u_f32;
}

void test_near(const char *what, size_t i, double got, double exact, double bound)
{
    if (isnan(exact) ? !isnan(got) : !(fabs(got - exact) <= bound))
        fail_msg("%s[%zu] = %.9g, expected %.9g, off by %.3g of %.3g", what, i, got, exact,
                 fabs(got - exact), bound);
}

void *test_copy(const void *p, size_t bytes)
{
    void *copy = allocate(bytes);
    memcpy(copy, p, bytes);
    return copy;
}

sl_dtype test_any_type(sl_rng *rng)
{
    return sl_rng_below(rng, 2) ? SL_BF16 : SL_F32;
}

double test_bound(double units, double size, double exact, sl_dtype type)
{
    const double e = units * u_f32 * size;
    return e + (type == SL_BF16 ? u_bf16 * (fabs(exact) + e) : 0);
}
