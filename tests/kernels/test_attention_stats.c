/*
 * Statistics of attention weights against a plain count, on every ISA: operands are small integers,
 * so that every score is exact and which weights are 0 is no question of rounding.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/attn_kernels.h"
#include "kernels/case.h"

static const uint64_t seed = 4711;

static sl_attention shape(sl_phi phi, size_t B, size_t H, size_t Lq, size_t Lk, size_t K)
{
    return (sl_attention){.phi = phi,
                          .alpha = 1,
                          .scale = 0.25f,
                          .B = B,
                          .H = H,
                          .Lq = Lq,
                          .Lk = Lk,
                          .K = K,
                          .dtype = SL_F32};
}

/* Weights of head (b, h) in double, w [Lq, n] over keys present; returns n. */
static size_t weights_of(const struct attn_case *c, size_t b, size_t h, double *w)
{
    const sl_attention *a = &c->args.a;
    size_t keys[256], n = 0;
    assert_true(a->Lk <= 256);
    for (size_t j = 0; j < a->Lk; j++)
        if (!c->mask || c->mask[b * a->Lk + j])
            keys[n++] = j;
    for (size_t i = 0; i < a->Lq; i++) {
        double sum = 0;
        for (size_t j = 0; j < n; j++) {
            double s = 0;
            for (size_t d = 0; d < a->K; d++)
                s += (double)tensor_get(&c->q, a->dtype,
                                        b * c->q.s.batch + i * c->q.s.token + h * c->q.s.head + d) *
                     (double)tensor_get(&c->k, a->dtype,
                                        b * c->k.s.batch + keys[j] * c->k.s.token +
                                            h * c->k.s.head + d);
            s = 0.25 * s + (double)a->bias;
            w[i * n + j] = a->phi == SL_PHI_SOFTMAX ? exp(s) : ref_h(a->phi, s) / (double)n;
            sum += w[i * n + j];
        }
        for (size_t j = 0; j < n && a->phi == SL_PHI_SOFTMAX; j++)
            w[i * n + j] /= sum;
    }
    return n;
}

static bool tile_is_zero(const double *w, size_t n, size_t Lq, size_t i0, size_t j0, size_t t)
{
    for (size_t i = i0; i < Lq && i < i0 + sl_attn_tiles[t].queries; i++)
        for (size_t j = j0; j < n && j < j0 + sl_attn_tiles[t].keys; j++)
            if (w[i * n + j] != 0)
                return false;
    return true;
}

static void count_head(const struct attn_case *c, size_t b, size_t h, sl_attention_stats *x)
{
    const size_t Lq = c->args.a.Lq;
    double *w = calloc(Lq * c->args.a.Lk, sizeof *w);
    assert_non_null(w);
    const size_t n = weights_of(c, b, h, w);
    for (size_t i = 0; i < Lq; i++) {
        double mass = 0;
        for (size_t j = 0; j < n; j++) {
            mass += w[i * n + j];
            x->zeros += w[i * n + j] == 0;
        }
        x->mass_min = x->rows == 0 ? mass : fmin(x->mass_min, mass);
        x->mass_max = x->rows == 0 ? mass : fmax(x->mass_max, mass);
        x->mass += mass;
        x->rows++;
    }
    x->weights += Lq * n;
    for (size_t t = 0; t < SL_ATTENTION_TILES; t++)
        for (size_t i = 0; i < Lq; i += sl_attn_tiles[t].queries)
            for (size_t j = 0; j < n; j += sl_attn_tiles[t].keys) {
                x->tiles[t]++;
                x->zero_tiles[t] += tile_is_zero(w, n, Lq, i, j, t);
            }
    free(w);
}

static void measure(struct sl_device *dev, const struct attn_case *c, const int32_t *labels,
                    sl_attention_stats *stats)
{
    sl_device_plan_begin(dev);
    assert_int_equal(dev->ops->attn_stats(dev, &c->args, labels, stats), SL_OK);
    assert_int_equal(sl_device_plan_end(dev), SL_OK);
    assert_int_equal(dev->ops->attn_stats(dev, &c->args, labels, stats), SL_OK);
}

/* Row masses are float sums of h(s), each off by 9 u (ref.h: the worst is silu's), that are added
 * in double, times a factor that was rounded once: 10 u of the sum of magnitudes. Softmax: each
 * exp's 5 u and the norm's own sum of n of them, in lanes of a vector, n u: (n + 10) u of 1. */
static void check_mass(const char *what, double x, double expected, double size, size_t n)
{
    const double bound = ((double)n + 10) * 0x1p-24 * size;
    if (!(fabs(x - expected) <= bound))
        fail_msg("%s is %.9g, counted %.9g, bound %.3g", what, x, expected, bound);
}

static void check(const sl_attention_stats *x, const sl_attention_stats *y, size_t Lk,
                  const char *isa)
{
    assert_true(x->rows == y->rows && x->weights == y->weights);
    if (x->zeros != y->zeros)
        fail_msg("%s: %llu zeros, counted %llu", isa, (unsigned long long)x->zeros,
                 (unsigned long long)y->zeros);
    for (size_t t = 0; t < SL_ATTENTION_TILES; t++)
        if (x->tiles[t] != y->tiles[t] || x->zero_tiles[t] != y->zero_tiles[t])
            fail_msg("%s: tile %zu: %llu of %llu, counted %llu of %llu", isa, t,
                     (unsigned long long)x->zero_tiles[t], (unsigned long long)x->tiles[t],
                     (unsigned long long)y->zero_tiles[t], (unsigned long long)y->tiles[t]);
    /* Every |h(s)| is at most 4.5, 17 products of size 1 by a quarter and the bias. */
    check_mass("mass", x->mass, y->mass, 4.5 * (double)y->rows, Lk);
    check_mass("smallest mass", x->mass_min, y->mass_min, 4.5, Lk);
    check_mass("largest mass", x->mass_max, y->mass_max, 4.5, Lk);
}

/* Bias -1 makes three quarters of relu's weights 0 and leaves zero tiles of every size; shapes end
 * inside a block of 16 and inside a tile. */
static void counts_are_those_of_a_plain_count(void **state)
{
    (void)state;
    static const struct {
        sl_phi phi;
        sl_dtype dtype;
        size_t B, H, Lq, Lk, K;
        float bias;
        bool mask;
    } cases[] = {{SL_PHI_RELU, SL_F32, 2, 3, 49, 49, 16, -1, false},
                 {SL_PHI_RELU, SL_BF16, 3, 2, 33, 70, 8, -1, true},
                 {SL_PHI_RELU, SL_F32, 1, 1, 100, 131, 16, -2, false},
                 {SL_PHI_RELU2, SL_F32, 1, 2, 1, 17, 8, -0.5f, false},
                 {SL_PHI_RELU6, SL_F32, 3, 1, 31, 33, 17, -3.5f, true},
                 {SL_PHI_SOFTMAX, SL_F32, 2, 2, 20, 40, 16, 0, false},
                 {SL_PHI_SILU, SL_F32, 1, 2, 50, 20, 16, 0, false},
                 {SL_PHI_IDENTITY, SL_F32, 1, 2, 40, 64, 8, 0, false}};
    struct devices devs;
    devices_open(&devs, 1);
    uint64_t zero_tiles = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sl_attention a =
            shape(cases[i].phi, cases[i].B, cases[i].H, cases[i].Lq, cases[i].Lk, cases[i].K);
        a.bias = cases[i].phi == SL_PHI_SOFTMAX ? 0 : cases[i].bias;
        a.dtype = cases[i].dtype;
        struct attn_case c;
        case_open(&c, &a, (enum layout)(i % LAYOUT_COUNT), FILL_SMALL, cases[i].mask, seed + i);
        sl_attention_stats counted[3] = {0};
        for (size_t b = 0; b < a.B; b++)
            for (size_t h = 0; h < a.H; h++)
                count_head(&c, b, h, &counted[h]);
        for (size_t h = 0; h < a.H; h++)
            zero_tiles += counted[h].zero_tiles[SL_ATTENTION_TILES - 1];
        for (size_t d = 0; d < devs.n; d++) {
            if (!case_is_for(&c, devs.dev[d], i))
                continue;
            sl_attention_stats stats[3] = {0};
            measure(devs.dev[d], &c, NULL, stats);
            for (size_t h = 0; h < a.H; h++)
                check(&stats[h], &counted[h], a.Lk, devs.dev[d]->isa);
        }
        case_close(&c);
    }
    assert_true(zero_tiles > 0); /* else the largest tile was never seen empty */
    devices_close(&devs);
}

/* Images of negative label are left out, calls add up, and threads change no bit. */
static void calls_add_up(void **state)
{
    (void)state;
    static const int32_t all[3] = {7, 0, 1}, first[3] = {7, -1, -1}, others[3] = {-1, 0, 1};
    const sl_attention a = shape(SL_PHI_GELU, 3, 2, 35, 50, 24);
    struct attn_case c;
    case_open(&c, &a, LAYOUT_PACKED, FILL_NORMAL, false, seed);
    for (int threads = 1; threads <= 7; threads += 3) {
        struct devices devs;
        devices_open(&devs, threads);
        for (size_t d = 0; d < devs.n; d++) {
            sl_attention_stats whole[2] = {0}, parts[2] = {0};
            measure(devs.dev[d], &c, all, whole);
            measure(devs.dev[d], &c, first, parts);
            assert_true(parts[0].rows == a.Lq && parts[1].weights == a.Lq * a.Lk);
            measure(devs.dev[d], &c, others, parts);
            for (size_t h = 0; h < 2; h++) {
                /* three masses, added in the same order */
                assert_true(whole[h].mass == parts[h].mass);
                assert_true(memcmp(&whole[h], &parts[h], sizeof whole[h]) == 0);
            }
        }
        devices_close(&devs);
    }
    case_close(&c);
}

/* Through softless.h: v is not needed, a missing operand is named, tiles are in order. */
static void api_measures(void **state)
{
    (void)state;
    sl_attention a = shape(SL_PHI_RELU, 2, 2, 19, 23, 8);
    struct attn_case c;
    sl_context *ctx = NULL;
    sl_attention_stats stats[2] = {0}, counted[2] = {0};
    case_open(&c, &a, LAYOUT_PACKED, FILL_SMALL, false, seed);
    assert_int_equal(sl_context_open(NULL, &ctx), SL_OK);
    c.args.a.v = NULL;
    assert_int_equal(sl_attention_measure(ctx, &c.args.a, stats), SL_OK);
    for (size_t b = 0; b < 2; b++)
        for (size_t h = 0; h < 2; h++)
            count_head(&c, b, h, &counted[h]);
    check(&stats[0], &counted[0], a.Lk, "best");
    check(&stats[1], &counted[1], a.Lk, "best");
    c.args.a.k = NULL;
    assert_int_equal(sl_attention_measure(ctx, &c.args.a, stats), SL_ERR_ARGUMENT);
    assert_int_equal(sl_attention_measure(NULL, &a, stats), SL_ERR_ARGUMENT);
    size_t queries = 0, keys = 0, before = 0;
    for (size_t t = 0; t < SL_ATTENTION_TILES; t++) {
        sl_attention_tile(t, &queries, &keys);
        assert_true(queries * keys > before);
        before = queries * keys;
    }
    sl_attention_tile(SL_ATTENTION_TILES, &queries, &keys);
    assert_true(queries == 0 && keys == 0);
    sl_context_close(&ctx);
    case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_those_of_a_plain_count),
        cmocka_unit_test(calls_add_up),
        cmocka_unit_test(api_measures),
    };
    return cmocka_run_group_tests(tests, emulate_summary, NULL);
}
