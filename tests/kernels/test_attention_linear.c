/*
 * Identity as q (k^T v), on every ISA: the same bits as the path through scores where sums are
 * exact, within the reference's bound elsewhere, for any number of threads; masked keys unread, a
 * NaN in a valid one not lost.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernels/case.h"

static const uint64_t seed = 2309;

/* More queries and keys than head size, so that no score is made; long ones are cut into parts. */
static const struct {
    size_t B, H, Lq, Lk, K;
    bool mask;
} shapes[] = {{2, 3, 49, 49, 32, false}, {9, 3, 40, 37, 7, true},     {1, 2, 197, 50, 17, false},
              {1, 1, 600, 540, 8, true}, {1, 1, 785, 785, 64, false}, {3, 1, 70, 1030, 33, true},
              {1, 1, 1, 600, 1, false},  {1, 2, 530, 513, 16, false}, {2, 2, 300, 330, 128, true}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static void open_case(struct attn_case *c, size_t i, sl_dtype dtype, enum fill fill)
{
    const sl_attention a = {.phi = SL_PHI_IDENTITY,
                            .alpha = 1,
                            .scale = 0.25f,
                            .bias = i % 3 ? 0.5f : 0,
                            .dtype = dtype,
                            .B = shapes[i].B,
                            .H = shapes[i].H,
                            .Lq = shapes[i].Lq,
                            .Lk = shapes[i].Lk,
                            .K = shapes[i].K};
    case_open(c, &a, (enum layout)(i % LAYOUT_COUNT), fill, shapes[i].mask, seed + i);
}

/* Which of the devices reassociate: all in float; in bf16 those that multiply it have a higher
 * threshold. */
static bool taken(const struct attn_case *c, const struct sl_device *dev, size_t i)
{
    const bool linear = case_is_linear(c, dev);
    if (!linear && c->args.a.dtype == SL_F32)
        fail_msg("%s makes scores of shape %zu", dev->isa, i);
    return linear && case_is_for(c, dev, i);
}

/* Operands are -1, 0, 1, the scale a quarter, the bias a half: at most 1030 x 128 x 1030 / 1030
 * terms of four quarters each enter a sum, below 2^24 quarters, so that any order of summation is
 * exact and both ways end in the same multiplication by c. */
static void scores_are_the_oracle(void **state)
{
    (void)state;
    struct devices devs;
    size_t n = 0;
    devices_open(&devs, 1);
    for (size_t i = 0; i < 2 * N_SHAPES; i++) {
        struct attn_case c;
        open_case(&c, i / 2, i % 2 ? SL_BF16 : SL_F32, FILL_SMALL);
        for (size_t d = 0; d < devs.n; d++) {
            if (!taken(&c, devs.dev[d], i))
                continue;
            uint64_t bits[2];
            for (size_t way = 0; way < 2; way++) {
                c.args.through_scores = way == 1;
                case_clear(&c);
                case_run(&c, devs.dev[d]);
                bits[way] = case_bits(&c);
            }
            c.args.through_scores = false;
            if (bits[0] != bits[1])
                fail_msg("shape %zu, type %zu: %s has other bits through scores", i / 2, i % 2,
                         devs.dev[d]->isa);
            n++;
        }
        case_close(&c);
    }
    devices_close(&devs);
    assert_true(n >= 2 * N_SHAPES);
    print_message("%zu calls both ways\n", n);
}

static void bounded_on_every_isa(void **state)
{
    (void)state;
    struct devices devs;
    double worst = 0;
    devices_open(&devs, 1);
    for (size_t i = 0; i < 2 * N_SHAPES; i++) {
        struct attn_case c;
        open_case(&c, i / 2, i % 2 ? SL_BF16 : SL_F32, FILL_NORMAL);
        case_reference(&c);
        for (size_t d = 0; d < devs.n; d++) {
            if (!taken(&c, devs.dev[d], i))
                continue;
            case_clear(&c);
            case_run(&c, devs.dev[d]);
            worst = fmax(worst, case_check(&c, devs.dev[d]->isa));
        }
        case_close(&c);
    }
    devices_close(&devs);
    print_message("worst %.2f of the bound, seed %llu\n", worst, (unsigned long long)seed);
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 7};
    for (size_t i = 0; i < N_SHAPES; i++) {
        struct attn_case c;
        uint64_t bits[SL_ISA_COUNT] = {0};
        open_case(&c, i, SL_F32, FILL_NORMAL);
        for (size_t t = 0; t < 4; t++) {
            struct devices devs;
            devices_open(&devs, threads[t]);
            for (size_t d = 0; d < devs.n; d++) {
                if (!taken(&c, devs.dev[d], 0))
                    continue;
                case_clear(&c);
                case_run(&c, devs.dev[d]);
                if (t == 0)
                    bits[d] = case_bits(&c);
                assert_true(case_bits(&c) == bits[d]);
            }
            devices_close(&devs);
        }
        case_close(&c);
    }
}

/* Masked keys hold NaN and change nothing; one NaN in a valid key reaches every query of its head
 * and no other head. */
static void nan_is_seen_where_it_counts(void **state)
{
    (void)state;
    struct devices devs;
    devices_open(&devs, 1);
    for (size_t d = 0; d < devs.n; d++) {
        struct attn_case c;
        open_case(&c, 5, SL_F32, FILL_NORMAL);
        const sl_attention *a = &c.args.a;
        if (taken(&c, devs.dev[d], 0)) {
            case_run(&c, devs.dev[d]);
            const uint64_t clean = case_bits(&c);
            for (size_t r = 0; r < a->B * a->Lk; r++)
                if (!c.mask[r])
                    tensor_set(&c.k, SL_F32, r / a->Lk * c.k.s.batch + r % a->Lk * c.k.s.token + 3,
                               NAN);
            case_clear(&c);
            case_run(&c, devs.dev[d]);
            assert_true(case_bits(&c) == clean);
            tensor_set(&c.k, SL_F32, 20 * c.k.s.token + 5, NAN); /* image 0 has no padding */
            case_run(&c, devs.dev[d]);
            for (size_t l = 0; l < a->Lq; l++)
                for (size_t e = 0; e < a->K; e++) {
                    const size_t at = l * c.o.s.token + e;
                    assert_true(isnan(tensor_get(&c.o, SL_F32, at)));
                    assert_true(isfinite(tensor_get(&c.o, SL_F32, 2 * c.o.s.batch + at)));
                }
        }
        case_close(&c);
    }
    devices_close(&devs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_the_oracle),
        cmocka_unit_test(bounded_on_every_isa),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(nan_is_seen_where_it_counts),
    };
    return cmocka_run_group_tests(tests, emulate_summary, NULL);
}
