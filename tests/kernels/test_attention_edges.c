/*
 * The attention op at its edges: masks and what lies behind them, thread counts, hazards of range,
 * properties of the formulas, refused arguments.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/case.h"

static const uint64_t seed = 230908586;

static sl_attention shape(sl_phi phi, size_t B, size_t H, size_t Lq, size_t Lk, size_t K)
{
    return (sl_attention){
        .phi = phi, .alpha = 1, .B = B, .H = H, .Lq = Lq, .Lk = Lk, .K = K, .dtype = SL_F32};
}

static size_t element(const struct tensor *t, size_t b, size_t l, size_t h, size_t d)
{
    return b * t->s.batch + l * t->s.token + h * t->s.head + d;
}

/* Keys of image 2 that are masked hold NaN in k and v; image 1 is masked fully. Outputs equal the
 * reference (which never looks at them), gradients of masked keys and all of image 1 are 0. */
static void masked_keys_are_never_read(void **state)
{
    (void)state;
    struct devices devs;
    devices_open(&devs, 1);
    for (int i = 0; i < 2 * SL_PHI_COUNT; i++)
        for (size_t d = 0; d < devs.n; d++) {
            const int phi = i / 2;
            sl_attention a = shape((sl_phi)phi, 3, 2, 19, 37, 24);
            a.dtype = i % 2 ? SL_BF16 : SL_F32;
            struct attn_case c;
            case_open(&c, &a, LAYOUT_PACKED, FILL_NORMAL, true, seed + (uint64_t)phi);
            for (size_t j = 0; j < 2 * a.Lk * a.H * a.K; j++) {
                const size_t row = j / (a.H * a.K), b = 1 + row / a.Lk, l = row % a.Lk;
                const size_t h = j / a.K % a.H;
                if (c.mask[b * a.Lk + l])
                    continue;
                tensor_set(&c.k, a.dtype, element(&c.k, b, l, h, j % a.K), NAN);
                tensor_set(&c.v, a.dtype, element(&c.v, b, l, h, j % a.K), NAN);
            }
            case_reference(&c);
            case_run(&c, devs.dev[d]);
            case_check(&c, devs.dev[d]->isa);
            for (size_t l = 0; l < a.Lk; l++) {
                const float dv = tensor_get(&c.dv, a.dtype, element(&c.dv, 2, l, 1, 3));
                const float dk = tensor_get(&c.dk, a.dtype, element(&c.dk, 2, l, 1, 3));
                assert_true(c.mask[2 * a.Lk + l] || (dv == 0 && dk == 0));
                assert_true(tensor_get(&c.dk, a.dtype, element(&c.dk, 1, l, 0, 0)) == 0);
            }
            assert_true(tensor_get(&c.o, a.dtype, element(&c.o, 1, 7, 1, 2)) == 0);
            case_close(&c);
        }
    devices_close(&devs);
}

/* A mask that leaves just as many keys as a block of the backward kernels takes (512), of more keys
 * than that: the layout of the kernels' memory counts all keys, the pass those that are there. */
static void masks_at_the_edge_of_a_block(void **state)
{
    (void)state;
    static const size_t keys[][2] = {{513, 1}, {540, 28}, {1030, 6}}; /* in all, masked */
    static const sl_phi phis[] = {SL_PHI_RELU, SL_PHI_GELU, SL_PHI_SOFTMAX};
    struct devices devs;
    devices_open(&devs, 1);
    for (size_t i = 0; i < 9; i++) {
        const size_t Lk = keys[i / 3][0], gone = keys[i / 3][1];
        const sl_attention a = shape(phis[i % 3], 1, 1, 70, Lk, 8);
        struct attn_case c;
        case_open(&c, &a, LAYOUT_TOKENS, FILL_NORMAL, true, seed + i);
        for (size_t j = 0; j < gone; j++)
            c.mask[7 + j] = 0;
        case_reference(&c);
        for (size_t d = 0; d < devs.n; d++) {
            if (!case_is_for(&c, devs.dev[d], i))
                continue;
            case_clear(&c);
            case_run(&c, devs.dev[d]);
            case_check(&c, devs.dev[d]->isa);
        }
        case_close(&c);
    }
    devices_close(&devs);
}

/* Few heads and many queries: their rows are cut into parts, and rows of dk and dv into as many,
 * most of which begin in the middle of the list of keys that are there. */
static void masks_where_rows_are_cut(void **state)
{
    (void)state;
    static const sl_phi phis[] = {SL_PHI_RELU, SL_PHI_SOFTMAX, SL_PHI_SIGMOID};
    struct devices devs;
    devices_open(&devs, 2);
    for (size_t i = 0; i < 6; i++) {
        sl_attention a = shape(phis[i / 2], 3, 1, 200, 95, 12);
        a.dtype = i % 2 ? SL_BF16 : SL_F32;
        struct attn_case c;
        case_open(&c, &a, LAYOUT_ODD, FILL_NORMAL, true, seed + i);
        case_reference(&c);
        for (size_t d = 0; d < devs.n; d++) {
            if (!case_is_for(&c, devs.dev[d], i))
                continue;
            case_clear(&c);
            case_run(&c, devs.dev[d]);
            case_check(&c, devs.dev[d]->isa);
        }
        case_close(&c);
    }
    devices_close(&devs);
}

/* A NaN in one valid key reaches the outputs of every query of its head for every phi (relu6 and
 * relu too: a clamp must not swallow it), and no other head. */
static void nan_is_not_hidden(void **state)
{
    (void)state;
    struct devices devs;
    devices_open(&devs, 1);
    for (int i = 0; i < 2 * SL_PHI_COUNT; i++)
        for (size_t d = 0; d < devs.n; d++) {
            const int phi = i / 2;
            sl_attention a = shape((sl_phi)phi, 1, 2, 9, 21, 16);
            a.dtype = i % 2 ? SL_BF16 : SL_F32;
            struct attn_case c;
            case_open(&c, &a, LAYOUT_TOKENS, FILL_NORMAL, false, seed);
            tensor_set(&c.k, a.dtype, element(&c.k, 0, 20, 1, 5), NAN);
            case_run(&c, devs.dev[d]);
            for (size_t l = 0; l < a.Lq; l++)
                for (size_t e = 0; e < a.K; e++) {
                    assert_true(isnan(tensor_get(&c.o, a.dtype, element(&c.o, 0, l, 1, e))));
                    assert_true(isfinite(tensor_get(&c.o, a.dtype, element(&c.o, 0, l, 0, e))));
                }
            case_close(&c);
        }
    devices_close(&devs);
}

/* Work is cut by shape, never by threads: 1, 2, 3 and 7 threads give the same bits, for many heads
 * (grouped) and few (query blocks, whose parts of dk and dv are added), with and without mask, and
 * with more keys than a block of the kernels. */
static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 7};
    static const struct {
        size_t B, H, L, K;
        bool mask;
    } shapes[] = {{10, 4, 16, 32, false},
                  {3, 7, 50, 64, true},
                  {1, 2, 197, 64, false},
                  {2, 1, 333, 40, true},
                  {1, 1, 1100, 8, false}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int p = 0; p < 4; p++) {
            sl_attention a = shape(p % 2 ? SL_PHI_SOFTMAX : SL_PHI_GELU, shapes[i].B, shapes[i].H,
                                   shapes[i].L, shapes[i].L, shapes[i].K);
            a.dtype = p / 2 ? SL_BF16 : SL_F32;
            struct attn_case c;
            case_open(&c, &a, LAYOUT_PACKED, FILL_NORMAL, shapes[i].mask, seed + i);
            uint64_t bits[4][SL_ISA_COUNT];
            for (size_t t = 0; t < 4; t++) {
                struct devices devs;
                devices_open(&devs, threads[t]);
                for (size_t d = 0; d < devs.n; d++) {
                    if (!case_is_for(&c, devs.dev[d], 0))
                        continue;
                    case_clear(&c);
                    case_run(&c, devs.dev[d]);
                    bits[t][d] = case_bits(&c);
                    assert_true(bits[t][d] == bits[0][d]);
                }
                devices_close(&devs);
            }
            case_close(&c);
        }
}

/* Scratch grows with Lq + Lk, not with their product: twice the lengths need at most twice as much,
 * and a little for rounding; 65,536 needs less than a fiftieth of one float per score. */
static void memory_is_linear_in_length(void **state)
{
    (void)state;
    struct devices devs;
    devices_open(&devs, 2);
    for (int phi = 0; phi < SL_PHI_COUNT; phi++)
        for (size_t d = 0; d < devs.n; d++) {
            size_t need[2];
            for (size_t i = 0; i < 2; i++) {
                const size_t L = (size_t)32768 << i;
                struct sl_attn_args args = {.a = shape((sl_phi)phi, 1, 1, L, L, 64),
                                            .o_strides = {L * 64, 64, 64}};
                args.a.q_strides = args.a.k_strides = args.a.v_strides = args.o_strides;
                args.g.o_strides = args.o_strides;
                sl_device_plan_begin(devs.dev[d]);
                assert_int_equal(devs.dev[d]->ops->attn_fwd(devs.dev[d], &args), SL_OK);
                assert_int_equal(devs.dev[d]->ops->attn_bwd(devs.dev[d], &args), SL_OK);
                need[i] = devs.dev[d]->scratch_needed;
                assert_int_equal(sl_device_plan_end(devs.dev[d]), SL_OK);
            }
            assert_true(need[1] <= 2 * need[0] + 65536);
            assert_true(need[1] < (size_t)65536 * 65536 * sizeof(float) / 50);
        }
    devices_close(&devs);
}

/* The longest operands that are promised, few on the other side, so that the reference ends. */
static void longest_operands(void **state)
{
    (void)state;
    static const size_t lengths[][2] = {{65536, 2}, {2, 65536}};
    static const sl_phi phis[] = {SL_PHI_RELU, SL_PHI_SOFTMAX, SL_PHI_SIGMOID, SL_PHI_IDENTITY};
    struct devices devs;
    devices_open(&devs, 1);
    for (size_t i = 0; i < 8; i++) {
        const sl_attention a = shape(phis[i / 2], 1, 1, lengths[i % 2][0], lengths[i % 2][1], 8);
        struct attn_case c;
        case_open(&c, &a, LAYOUT_PACKED, FILL_NORMAL, false, seed + i);
        case_reference(&c);
        for (size_t d = 0; d < devs.n; d++) {
            if (!case_is_for(&c, devs.dev[d], i))
                continue;
            case_clear(&c);
            case_run(&c, devs.dev[d]);
            case_check(&c, devs.dev[d]->isa);
        }
        case_close(&c);
    }
    devices_close(&devs);
}

/* Inputs at the edges of range; what the reference bounds, the kernels must reach. */
enum hazard {
    H_ALL_NEGATIVE, /* every score far below 0 */
    H_ALL_EQUAL,    /* all tokens alike */
    H_TINY,         /* inputs of 1e-19: scores near 1e-38 */
    H_SUBNORMAL,    /* v and d_o subnormal */
    H_LARGE,        /* scores of +-1e4, v of 1e28: sums without the length factor stay finite */
    H_ALPHA_0,
    H_ALPHA_2,
    H_ONE_KEY,
    H_ONE_QUERY,
    H_PEAKED, /* one key far above all others */
    H_COUNT
};

static void hazard_fill(struct attn_case *c, enum hazard hazard)
{
    const sl_attention *a = &c->args.a;
    struct tensor *t[] = {&c->q, &c->k, &c->v, &c->d_o};
    for (size_t x = 0; x < 4; x++)
        for (size_t l = 0; l < (x == 0 || x == 3 ? a->Lq : a->Lk); l++)
            for (size_t h = 0; h < a->H; h++)
                for (size_t d = 0; d < a->K; d++) {
                    const size_t at = element(t[x], 0, l, h, d);
                    float f = tensor_get(t[x], a->dtype, at);
                    if (hazard == H_ALL_NEGATIVE && x < 2)
                        f = x == 0 ? 2 + 0.1f * f : -2 + 0.1f * f;
                    else if (hazard == H_ALL_EQUAL)
                        f = tensor_get(t[x], a->dtype, element(t[x], 0, 0, h, d));
                    else if (hazard == H_TINY)
                        f *= 1e-19f;
                    else if (hazard == H_SUBNORMAL && x >= 2)
                        f *= 1e-40f;
                    else if (hazard == H_LARGE)
                        f *= x < 2 ? 50.0f : x == 2 ? 1e28f : 1e-3f;
                    else if (hazard == H_PEAKED && x == 1 && l == 3)
                        f *= 20;
                    tensor_set(t[x], a->dtype, at, f);
                }
}

static void hazards_stay_within_the_bound(void **state)
{
    (void)state;
    struct devices devs;
    devices_open(&devs, 1);
    size_t n = 0;
    for (int phi = 0; phi < SL_PHI_COUNT; phi++)
        for (int hazard = 0; hazard < H_COUNT; hazard++)
            for (size_t dtype = 0; dtype < 2; dtype++) {
                sl_attention a = shape((sl_phi)phi, 1, 2, 23, 40, 32);
                a.dtype = dtype ? SL_BF16 : SL_F32;
                a.alpha = hazard == H_ALPHA_0 ? 0 : hazard == H_ALPHA_2 ? 2 : 1;
                a.Lk = hazard == H_ONE_KEY ? 1 : a.Lk;
                a.Lq = hazard == H_ONE_QUERY ? 1 : a.Lq;
                struct attn_case c;
                case_open(&c, &a, LAYOUT_ODD, FILL_NORMAL, false, seed + n++);
                hazard_fill(&c, (enum hazard)hazard);
                case_reference(&c);
                for (size_t d = 0; d < devs.n; d++) {
                    char what[64];
                    if (!case_is_for(&c, devs.dev[d], (size_t)(phi + hazard) + dtype))
                        continue;
                    snprintf(what, sizeof what, "hazard %d on %s", hazard, devs.dev[d]->isa);
                    case_clear(&c);
                    case_run(&c, devs.dev[d]);
                    case_check(&c, what);
                }
                case_close(&c);
            }
    devices_close(&devs);
    print_message("%zu hazards, seed %llu\n", n, (unsigned long long)seed);
}

/* paper, length changed: o_train = (L / L_train)^alpha o_actual. Both are one sum times a factor
 * that was rounded once: at most 2 roundings each side, 4 u in all. */
static void fixed_length_is_an_exact_factor(void **state)
{
    (void)state;
    struct devices devs;
    devices_open(&devs, 1);
    static const float alphas[] = {0, 0.5f, 1, 1.5f, 2};
    for (int phi = SL_PHI_RELU; phi < SL_PHI_COUNT; phi++)
        for (size_t i = 0; i < 5; i++)
            for (size_t d = 0; d < devs.n; d++) {
                sl_attention a = shape((sl_phi)phi, 1, 1, 30, 49, 32);
                a.alpha = alphas[i];
                struct attn_case actual, train;
                case_open(&actual, &a, LAYOUT_TOKENS, FILL_NORMAL, false, seed);
                a.length = 196;
                case_open(&train, &a, LAYOUT_TOKENS, FILL_NORMAL, false, seed);
                case_run(&actual, devs.dev[d]);
                case_run(&train, devs.dev[d]);
                const double factor = pow(49.0 / 196.0, (double)a.alpha);
                for (size_t j = 0; j < a.Lq * a.K; j++) {
                    const double expected = factor * (double)tensor_get(&actual.o, a.dtype, j);
                    const double x = (double)tensor_get(&train.o, a.dtype, j);
                    assert_true(fabs(x - expected) <= 4 * 0x1p-24 * fabs(expected));
                }
                case_close(&actual);
                case_close(&train);
            }
    devices_close(&devs);
}

/* paper, initial row masses: with v = 1, o is the row mass, whose mean is E[h] L^(1-alpha) for
 * normal q and k. 8 heads x 196 rows x 196 keys: a row's mass has a relative spread of
 * sqrt(E[h^2] / E[h]^2 / 196 + 1/128) < 0.23 (keys, length of q; silu), and keys differ in length
 * by 0.09 and are shared by the rows of a head; the mean over 1568 rows and 1568 keys is off by
 * less than 0.0063 (1 sigma). |k| / 8 has mean 0.996 or the square 1. Hence 5 sigma + 0.4 % < 4 %.
 */
static void row_masses_at_the_start(void **state)
{
    (void)state;
    static const struct {
        sl_phi phi;
        double mass;
    } rows[] = {{SL_PHI_SOFTMAX, 1},       {SL_PHI_RELU, 0.3989},  {SL_PHI_RELU2, 0.5},
                {SL_PHI_GELU, 0.2820},     {SL_PHI_RELU6, 0.3989}, {SL_PHI_SIGMOID, 0.5},
                {SL_PHI_SOFTPLUS, 0.8061}, {SL_PHI_SILU, 0.2066},  {SL_PHI_SIGMOID, 1.613}};
    enum { N = sizeof rows / sizeof rows[0] };
    struct devices devs;
    devices_open(&devs, 1);
    for (size_t i = 0; i < N; i++) {
        sl_attention a = shape(rows[i].phi, 2, 4, 196, 196, 64);
        a.bias_neg_log_length = i == N - 1;
        a.alpha = a.bias_neg_log_length ? 0 : 1;
        struct attn_case c;
        case_open(&c, &a, LAYOUT_TOKENS, FILL_NORMAL, false, seed);
        for (size_t j = 0; j < a.B * a.Lk * a.H * a.K; j++)
            tensor_set(&c.v, a.dtype, j, 1.0f);
        case_run(&c, devs.dev[devs.n - 1]);
        double sum = 0;
        for (size_t j = 0; j < a.B * a.Lq * a.H; j++)
            sum += (double)tensor_get(&c.o, a.dtype, j * a.K);
        const double mean = sum / (double)(a.B * a.Lq * a.H);
        if (!(fabs(mean / rows[i].mass - 1) < 0.04))
            fail_msg("%s: mean row mass %.4f, expected %.4f", sl_phi_name(rows[i].phi), mean,
                     rows[i].mass);
        case_close(&c);
    }
    devices_close(&devs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masked_keys_are_never_read),
        cmocka_unit_test(masks_at_the_edge_of_a_block),
        cmocka_unit_test(masks_where_rows_are_cut),
        cmocka_unit_test(nan_is_not_hidden),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(memory_is_linear_in_length),
        cmocka_unit_test(longest_operands),
        cmocka_unit_test(hazards_stay_within_the_bound),
        cmocka_unit_test(fixed_length_is_an_exact_factor),
        cmocka_unit_test(row_masses_at_the_start),
    };
    return cmocka_run_group_tests(tests, emulate_summary, NULL);
}
