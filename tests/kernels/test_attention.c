/*
 * The attention op on every ISA of this machine against the double reference, in two regimes:
 * exact (integers, power-of-two scale: every order of summation gives the same bits) and bounded
 * (normal inputs, the reference's propagated bound). The reference's own gradients are checked
 * against central differences.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/case.h"

static const uint64_t seed = 20230915;

static sl_attention shape(sl_phi phi, size_t B, size_t H, size_t Lq, size_t Lk, size_t K)
{
    return (sl_attention){
        .phi = phi, .alpha = 1, .B = B, .H = H, .Lq = Lq, .Lk = Lk, .K = K, .dtype = SL_F32};
}

static const size_t lengths[] = {1, 2, 15, 16, 17, 49, 50, 196, 197, 784, 785};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0] };

/* With q, k, v, d_o in {-1, 0, 1} and scale 1/4 every sum stays below 2^24 units of its last place
 * (785 x 64 x 16 x 16 units at most for relu2), so every ISA must give the same bits. In bf16 too:
 * scores are at most 64 quarters and their gradients at most 64, which is seven bits. */
static void exact_bits_on_every_isa(void **state)
{
    (void)state;
    static const struct {
        sl_phi phi;
        sl_dtype dtype;
    } exact[] = {{SL_PHI_RELU, SL_F32},  {SL_PHI_RELU2, SL_F32}, {SL_PHI_IDENTITY, SL_F32},
                 {SL_PHI_RELU6, SL_F32}, {SL_PHI_RELU, SL_BF16}, {SL_PHI_IDENTITY, SL_BF16},
                 {SL_PHI_RELU6, SL_BF16}};
    enum { N_EXACT = sizeof exact / sizeof exact[0] };
    struct devices devs;
    devices_open(&devs, 1);
    size_t n = 0;
    for (size_t p = 0; p < N_EXACT; p++)
        for (size_t i = 0; i < N_LENGTHS; i++) {
            sl_attention a = shape(exact[p].phi, 1, lengths[i] > 200 ? 1 : 3, lengths[i],
                                   lengths[i], i % 2 ? 64 : 32);
            a.scale = 0.25f;
            a.dtype = exact[p].dtype;
            struct attn_case c;
            case_open(&c, &a, (enum layout)(n % LAYOUT_COUNT), FILL_SMALL, false, seed + n);
            case_reference(&c);
            uint64_t bits = 0;
            for (size_t d = 0; d < devs.n; d++) {
                if (!case_is_for(&c, devs.dev[d], p + i))
                    continue;
                n++;
                case_clear(&c);
                case_run(&c, devs.dev[d]);
                case_check(&c, devs.dev[d]->isa);
                if (d == 0)
                    bits = case_bits(&c);
                else if (bits != case_bits(&c))
                    fail_msg("%s: bits of %s differ from c at L = %zu", sl_phi_name(a.phi),
                             devs.dev[d]->isa, lengths[i]);
            }
            case_close(&c);
        }
    devices_close(&devs);
    print_message("%zu runs in the exact regime\n", n);
}

static size_t pick(struct sl_rng *rng, const size_t *from, size_t n)
{
    return from[sl_rng_below(rng, n)];
}

/* A random call: sizes around the edges of tiles and vectors, every option. */
static sl_attention random_call(struct sl_rng *rng, sl_phi phi)
{
    static const size_t heads[] = {1, 2, 3, 5};
    static const size_t sizes[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 65, 80, 96, 128};
    static const size_t ls[] = {1, 2, 3, 5, 13, 14, 15, 16, 17, 29, 31, 32, 33, 49, 50, 61, 97};
    sl_attention a = shape(phi, 1 + sl_rng_below(rng, 3), pick(rng, heads, 4), pick(rng, ls, 17),
                           pick(rng, ls, 17), pick(rng, sizes, 17));
    static const float alphas[] = {0, 0.5f, 1, 1, 2, -0.5f};
    a.alpha = alphas[sl_rng_below(rng, 6)];
    a.dtype = sl_rng_below(rng, 4) ? SL_F32 : SL_BF16;
    a.scale = sl_rng_below(rng, 3) ? 0 : 0.3f;
    a.bias = sl_rng_below(rng, 3) ? 0 : -0.7f;
    a.bias_neg_log_length = sl_rng_below(rng, 4) == 0;
    a.length = sl_rng_below(rng, 4) ? 0 : 50.5;
    return a;
}

static void bounded_on_every_isa(void **state)
{
    (void)state;
    struct devices devs;
    devices_open(&devs, 1);
    enum { PER_PHI = 30 };
    for (int phi = 0; phi < SL_PHI_COUNT; phi++) {
        double worst = 0;
        for (uint32_t i = 0; i < PER_PHI; i++) {
            struct sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, (uint64_t)phi, i);
            const sl_attention a = random_call(&rng, (sl_phi)phi);
            struct attn_case c;
            case_open(&c, &a, (enum layout)(i % LAYOUT_COUNT), FILL_NORMAL, i % 3 == 2, seed + i);
            case_reference(&c);
            for (size_t d = 0; d < devs.n; d++) {
                if (!case_is_for(&c, devs.dev[d], (size_t)phi + i))
                    continue;
                case_clear(&c);
                case_run(&c, devs.dev[d]);
                worst = fmax(worst, case_check(&c, devs.dev[d]->isa));
            }
            case_close(&c);
        }
        print_message("%-9s %d shapes x %zu ISAs, worst %.2f of the bound, seed %llu\n",
                      sl_phi_name((sl_phi)phi), PER_PHI, devs.n, worst, (unsigned long long)seed);
    }
    devices_close(&devs);
}

static double bounded(const struct devices *devs, const sl_attention *a, size_t index)
{
    double worst = 0;
    struct attn_case c;
    case_open(&c, a, LAYOUT_PACKED, FILL_NORMAL, false, seed + index);
    case_reference(&c);
    for (size_t d = 0; d < devs->n; d++) {
        if (!case_is_for(&c, devs->dev[d], index))
            continue;
        case_clear(&c);
        case_run(&c, devs->dev[d]);
        worst = fmax(worst, case_check(&c, devs->dev[d]->isa));
    }
    case_close(&c);
    return worst;
}

/* The lengths that matter, every phi, K = 64 (and 256 once), few heads; then each length as keys of
 * another's queries. */
static void bounded_at_model_lengths(void **state)
{
    (void)state;
    struct devices devs;
    devices_open(&devs, 1);
    double worst = 0;
    for (int phi = 0; phi < SL_PHI_COUNT; phi++)
        for (size_t i = 0; i < 2 * N_LENGTHS; i++) {
            const bool cross = i >= N_LENGTHS;
            const size_t Lq = lengths[i % N_LENGTHS];
            const size_t Lk = cross ? lengths[(i + 5) % N_LENGTHS] : Lq;
            if (Lq * Lk > 40000 && phi != SL_PHI_RELU && phi != SL_PHI_SOFTMAX)
                continue;
            const size_t K = cross ? 16 : i == 3 ? 256 : i % 2 ? 64 : 32;
            const sl_attention a = shape((sl_phi)phi, 1, Lq < 100 ? 2 : 1, Lq, Lk, K);
            worst = fmax(worst, bounded(&devs, &a, (size_t)phi + i));
        }
    devices_close(&devs);
    print_message("worst %.2f of the bound\n", worst);
}

/* bf16 at sizes that the samples of an emulated ISA leave out: more queries and keys than AMX's
 * backward pass takes at once, the widest head, one of each without the other. */
static void bf16_large_on_every_isa(void **state)
{
    (void)state;
    static const struct {
        sl_phi phi;
        size_t Lq, Lk, K;
    } sizes[] = {{SL_PHI_RELU, 530, 540, 8}, {SL_PHI_SOFTMAX, 530, 540, 8},
                 {SL_PHI_GELU, 33, 47, 256}, {SL_PHI_SOFTMAX, 16, 49, 208},
                 {SL_PHI_RELU2, 1, 700, 72}, {SL_PHI_SOFTPLUS, 300, 1, 16}};
    struct devices devs;
    devices_open(&devs, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sl_attention a = shape(sizes[i].phi, 1, 1, sizes[i].Lq, sizes[i].Lk, sizes[i].K);
        a.dtype = SL_BF16;
        struct attn_case c;
        case_open(&c, &a, LAYOUT_ODD, FILL_NORMAL, false, seed + i);
        case_reference(&c);
        for (size_t d = 0; d < devs.n; d++) {
            case_clear(&c);
            case_run(&c, devs.dev[d]);
            case_check(&c, devs.dev[d]->isa);
        }
        case_close(&c);
    }
    devices_close(&devs);
}

/* L = sum o d_o as a function of one element, by central differences of the reference in double.
 * h = 1e-5: truncation (h^2 / 6 of the third derivative) ~ 1e-10, rounding 2^-52 |L| / h ~ 1e-10,
 * relative to gradients of order 1 and with kinks kept 10 h away: 1e-7 is asked. */
static double objective(struct ref *r)
{
    const sl_attention *a = &r->a;
    double sum = 0;
    ref_forward(r);
    for (size_t i = 0; i < a->B * a->Lq * a->H * a->K; i++)
        sum += r->o[i].x * r->d_o[i];
    return sum;
}

/* Is a score of the only head within 10 h (times |k| or |q| <= 4) of a kink of h? */
static bool near_kink(const struct ref *r)
{
    const sl_attention *a = &r->a;
    const bool kinks = a->phi == SL_PHI_RELU || a->phi == SL_PHI_RELU2 || a->phi == SL_PHI_RELU6;
    for (size_t i = 0; i < a->Lq && kinks; i++)
        for (size_t j = 0; j < a->Lk; j++) {
            double s = (double)a->bias;
            for (size_t d = 0; d < a->K; d++)
                s += r->q[i * a->K + d] * r->k[j * a->K + d] * (double)a->scale;
            if (fabs(s) < 4e-4 || fabs(s - 6) < 4e-4)
                return true;
        }
    return false;
}

static void compare_gradient(struct ref *r, double *x, const struct ref_value *grad, size_t n)
{
    const double h = 1e-5;
    for (size_t i = 0; i < n; i++) {
        const double keep = x[i], g = grad[i].x;
        x[i] = keep + h;
        const double up = objective(r);
        x[i] = keep - h;
        const double down = objective(r);
        x[i] = keep;
        const double difference = (up - down) / (2 * h);
        if (!(fabs(difference - g) <= 1e-7 * fmax(1, fabs(g))))
            fail_msg("%s: element %zu: gradient %.12g, difference %.12g", sl_phi_name(r->a.phi), i,
                     g, difference);
    }
}

static void reference_gradients_match_differences(void **state)
{
    (void)state;
    for (int phi = 0; phi < SL_PHI_COUNT; phi++) {
        sl_attention a = shape((sl_phi)phi, 1, 1, 5, 7, 6);
        a.scale = 0.5f;
        a.bias = 0.25f;
        struct ref r;
        uint32_t draw = 0;
        ref_open(&r, &a);
        do {
            struct sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 99, draw++);
            double *const all[] = {r.q, r.k, r.v, r.d_o};
            const size_t n[] = {a.Lq * a.K, a.Lk * a.K, a.Lk * a.K, a.Lq * a.K};
            for (size_t t = 0; t < 4; t++)
                for (size_t i = 0; i < n[t]; i++)
                    all[t][i] = sl_rng_normal(&rng);
        } while (near_kink(&r));
        ref_backward(&r);
        compare_gradient(&r, r.q, r.dq, a.Lq * a.K);
        compare_gradient(&r, r.k, r.dk, a.Lk * a.K);
        compare_gradient(&r, r.v, r.dv, a.Lk * a.K);
        ref_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_gradients_match_differences),
        cmocka_unit_test(exact_bits_on_every_isa),
        cmocka_unit_test(bounded_on_every_isa),
        cmocka_unit_test(bounded_at_model_lengths),
        cmocka_unit_test(bf16_large_on_every_isa),
    };
    return cmocka_run_group_tests(tests, emulate_summary, NULL);
}
