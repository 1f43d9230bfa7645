/*
 * Attention calls for tests; see case.h.
 */
#include "kernels/case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bf16.h"
#include "ops/cpu/attention_job.h"

enum { GUARD = 256 };

static size_t size_of(sl_dtype dtype)
{
    return dtype == SL_F32 ? sizeof(float) : sizeof(uint16_t);
}

static sl_strides strides_of(enum layout layout, size_t L, size_t H, size_t K)
{
    switch (layout) {
    case LAYOUT_PACKED:
        return (sl_strides){.batch = L * 3 * H * K, .token = 3 * H * K, .head = K};
    case LAYOUT_HEADS:
        return (sl_strides){.batch = H * L * K, .token = K, .head = L * K};
    case LAYOUT_ODD:
        return (sl_strides){
            .batch = L * (H * (K + 3) + 5) + 7, .token = H * (K + 3) + 5, .head = K + 3};
    default:
        return (sl_strides){.batch = L * H * K, .token = H * K, .head = K};
    }
}

float tensor_get(const struct tensor *t, sl_dtype dtype, size_t at)
{
    return dtype == SL_F32 ? ((const float *)t->p)[at]
                           : sl_bf16_to_f32(((const uint16_t *)t->p)[at]);
}

void tensor_set(struct tensor *t, sl_dtype dtype, size_t at, float x)
{
    if (dtype == SL_F32)
        ((float *)t->p)[at] = x;
    else
        ((uint16_t *)t->p)[at] = sl_bf16_from_f32(x);
}

static void tensor_open(struct tensor *t, const sl_attention *a, enum layout layout, size_t L)
{
    t->s = strides_of(layout, L, a->H, a->K);
    const size_t elements =
        (a->B - 1) * t->s.batch + (L - 1) * t->s.token + (a->H - 1) * t->s.head + a->K;
    t->bytes = elements * size_of(a->dtype) + 2 * GUARD;
    t->buffer = malloc(t->bytes);
    assert_non_null(t->buffer);
    memset(t->buffer, 0xFF, t->bytes);
    t->p = t->buffer + GUARD;
}

static void tensor_fill(struct tensor *t, const sl_attention *a, size_t L, enum fill fill,
                        struct sl_rng *rng)
{
    for (size_t b = 0; b < a->B; b++)
        for (size_t l = 0; l < L; l++)
            for (size_t h = 0; h < a->H; h++)
                for (size_t d = 0; d < a->K; d++) {
                    const double x =
                        fill == FILL_SMALL ? (double)sl_rng_below(rng, 3) - 1 : sl_rng_normal(rng);
                    tensor_set(t, a->dtype, b * t->s.batch + l * t->s.token + h * t->s.head + d,
                               (float)x);
                }
}

void case_open(struct attn_case *c, const sl_attention *a, enum layout layout, enum fill fill,
               bool with_mask, uint64_t seed)
{
    *c = (struct attn_case){.args = {.a = *a}};
    sl_attention *x = &c->args.a;
    struct sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 0, 0);
    tensor_open(&c->q, a, layout, a->Lq);
    tensor_open(&c->k, a, layout, a->Lk);
    tensor_open(&c->v, a, layout, a->Lk);
    tensor_open(&c->d_o, a, LAYOUT_TOKENS, a->Lq);
    tensor_open(&c->o, a, LAYOUT_TOKENS, a->Lq);
    tensor_open(&c->dq, a, layout, a->Lq);
    tensor_open(&c->dk, a, layout, a->Lk);
    tensor_open(&c->dv, a, layout, a->Lk);
    tensor_fill(&c->q, a, a->Lq, fill, &rng);
    tensor_fill(&c->k, a, a->Lk, fill, &rng);
    tensor_fill(&c->v, a, a->Lk, fill, &rng);
    tensor_fill(&c->d_o, a, a->Lq, fill, &rng);
    if (with_mask) {
        c->mask = malloc(a->B * a->Lk);
        assert_non_null(c->mask);
        for (size_t i = 0; i < a->B * a->Lk; i++)
            c->mask[i] = i < a->Lk ? 1 : i < 2 * a->Lk ? 0 : sl_rng_below(&rng, 3) > 0;
    }
    x->key_mask = c->mask;
    x->q = c->q.p;
    x->k = c->k.p;
    x->v = c->v.p;
    x->q_strides = c->q.s;
    x->k_strides = c->k.s;
    x->v_strides = c->v.s;
    c->args.o = c->o.p;
    c->args.o_strides = c->o.s;
    c->args.g = (sl_attention_grads){
        .d_o = c->d_o.p, .o_strides = c->d_o.s, .dq = c->dq.p, .dk = c->dk.p, .dv = c->dv.p};
}

void case_close(struct attn_case *c)
{
    struct tensor *all[] = {&c->q, &c->k, &c->v, &c->d_o, &c->o, &c->dq, &c->dk, &c->dv};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]->buffer);
    free(c->mask);
    for (size_t i = 0; i < BOUND_COUNT; i++)
        ref_close(&c->refs[i]);
}

static struct ref *reference(struct attn_case *c, enum bound bound)
{
    struct ref *r = &c->refs[bound];
    const sl_attention *a = &c->args.a;
    ref_close(r);
    ref_open(r, a);
    r->bf16_products = bound == BOUND_BF16;
    r->reassociated = bound == BOUND_LINEAR;
    ref_read(a, c->q.p, c->q.s, a->Lq, r->q);
    ref_read(a, c->k.p, c->k.s, a->Lk, r->k);
    ref_read(a, c->v.p, c->v.s, a->Lk, r->v);
    ref_read(a, c->d_o.p, c->d_o.s, a->Lq, r->d_o);
    ref_forward(r);
    ref_backward(r);
    return r;
}

void case_reference(struct attn_case *c)
{
    for (size_t i = 0; i < BOUND_COUNT; i++)
        ref_close(&c->refs[i]);
    reference(c, BOUND_PLAIN);
}

void case_clear(struct attn_case *c)
{
    struct tensor *out[] = {&c->o, &c->dq, &c->dk, &c->dv};
    for (size_t i = 0; i < 4; i++)
        memset(out[i]->buffer, 0xFF, out[i]->bytes);
}

/* Guard bytes and gaps between elements are still 0xFF. */
static void tensor_untouched(const struct tensor *t, const sl_attention *a, size_t L,
                             const char *name)
{
    const size_t size = size_of(a->dtype);
    unsigned char *map = calloc(t->bytes, 1);
    assert_non_null(map);
    for (size_t b = 0; b < a->B; b++)
        for (size_t l = 0; l < L; l++)
            for (size_t h = 0; h < a->H; h++)
                memset(map + GUARD + size * (b * t->s.batch + l * t->s.token + h * t->s.head), 1,
                       a->K * size);
    for (size_t i = 0; i < t->bytes; i++)
        if (!map[i] && t->buffer[i] != 0xFF)
            fail_msg("%s: byte %zu outside the elements was written", name, i);
    free(map);
}

static void run_op(struct sl_device *dev, const struct sl_attn_args *args,
                   sl_status (*op)(struct sl_device *, const struct sl_attn_args *))
{
    sl_device_plan_begin(dev);
    assert_int_equal(op(dev, args), SL_OK);
    assert_int_equal(sl_device_plan_end(dev), SL_OK);
    if (op(dev, args) != SL_OK)
        fail_msg("%s", sl_error_message());
}

void case_run(struct attn_case *c, struct sl_device *dev)
{
    const sl_attention *a = &c->args.a;
    c->dev = dev;
    run_op(dev, &c->args, dev->ops->attn_fwd);
    run_op(dev, &c->args, dev->ops->attn_bwd);
    tensor_untouched(&c->o, a, a->Lq, "o");
    tensor_untouched(&c->dq, a, a->Lq, "dq");
    tensor_untouched(&c->dk, a, a->Lk, "dk");
    tensor_untouched(&c->dv, a, a->Lk, "dv");
}

static double tensor_check(const struct tensor *t, const sl_attention *a, size_t L,
                           const struct ref_value *ref, const char *name, const char *what)
{
    double worst = 0;
    for (size_t b = 0; b < a->B; b++)
        for (size_t l = 0; l < L; l++)
            for (size_t h = 0; h < a->H; h++)
                for (size_t d = 0; d < a->K; d++, ref++) {
                    const size_t at = b * t->s.batch + l * t->s.token + h * t->s.head + d;
                    const double x = (double)tensor_get(t, a->dtype, at);
                    /* bf16 rounds to 8 bits, half a unit is 2^-8; its subnormals step by 2^-133. */
                    const double rounding = 0x1p-8 * (fabs(ref->x) + ref->err) + 0x1p-134;
                    const double bound = ref->err + (a->dtype == SL_BF16 ? rounding : 0);
                    const double off = fabs(x - ref->x);
                    if (!(off <= bound))
                        fail_msg("%s: %s[%zu, %zu, %zu, %zu] is %.9g, reference %.9g, off by %.3g, "
                                 "bound %.3g (phi %s, B %zu H %zu Lq %zu Lk %zu K %zu)",
                                 what, name, b, l, h, d, x, ref->x, off, bound, sl_phi_name(a->phi),
                                 a->B, a->H, a->Lq, a->Lk, a->K);
                    if (off > 0 && off / bound > worst)
                        worst = off / bound;
                }
    return worst;
}

static const struct sl_attn_kernel *kernel_of(const struct attn_case *c,
                                              const struct sl_device *dev)
{
    return sl_attn_kernel_for(sl_cpu_of(dev)->isa, c->args.a.dtype);
}

bool case_is_linear(const struct attn_case *c, const struct sl_device *dev)
{
    return sl_attn_is_linear(&c->args, kernel_of(c, dev));
}

static enum bound bound_of(const struct attn_case *c)
{
    if (!c->dev)
        return BOUND_PLAIN;
    return case_is_linear(c, c->dev)    ? BOUND_LINEAR
           : kernel_of(c, c->dev)->bf16 ? BOUND_BF16
                                        : BOUND_PLAIN;
}

double case_check(struct attn_case *c, const char *what)
{
    const sl_attention *a = &c->args.a;
    const enum bound bound = bound_of(c);
    const struct ref *r = c->refs[bound].o ? &c->refs[bound] : reference(c, bound);
    const double worst[4] = {tensor_check(&c->o, a, a->Lq, r->o, "o", what),
                             tensor_check(&c->dq, a, a->Lq, r->dq, "dq", what),
                             tensor_check(&c->dk, a, a->Lk, r->dk, "dk", what),
                             tensor_check(&c->dv, a, a->Lk, r->dv, "dv", what)};
    return fmax(fmax(worst[0], worst[1]), fmax(worst[2], worst[3]));
}

uint64_t case_bits(const struct attn_case *c)
{
    const struct tensor *out[] = {&c->o, &c->dq, &c->dk, &c->dv};
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < out[i]->bytes; j++)
            hash = (hash ^ out[i]->buffer[j]) * 1099511628211u;
    return hash;
}

bool case_is_for(const struct attn_case *c, const struct sl_device *dev, size_t index)
{
    const sl_attention *a = &c->args.a;
    return emulate_takes(dev->isa, index, 7 * a->B * a->H * a->Lq * a->Lk * a->K);
}

void devices_open(struct devices *d, int threads)
{
    *d = (struct devices){.n = 0};
    for (int isa = SL_ISA_C; isa <= (int)sl_isa_native(); isa++, d->n++)
        assert_int_equal(
            sl_device_open("cpu", threads, sl_isa_name((enum sl_isa)isa), &d->dev[d->n]), SL_OK);
}

void devices_close(struct devices *d)
{
    for (size_t i = 0; i < d->n; i++)
        sl_device_close(&d->dev[i]);
}
