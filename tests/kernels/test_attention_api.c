/*
 * The attention operator of softless.h and the table of phi: the same bits as the op, no allocation
 * once a shape is known, and one clear error for each bad argument.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/context.h"
#include "base/alloc.h"
#include "kernels/case.h"
#include "kernels/phi.h"

static const sl_attention plain = {
    .phi = SL_PHI_RELU, .alpha = 1, .B = 2, .H = 3, .Lq = 17, .Lk = 20, .K = 16, .dtype = SL_F32};

static void operator_equals_op(void **state)
{
    (void)state;
    struct attn_case c;
    struct sl_device *dev = NULL;
    case_open(&c, &plain, LAYOUT_PACKED, FILL_NORMAL, false, 5);
    assert_int_equal(sl_device_open("cpu", 2, NULL, &dev), SL_OK);
    case_run(&c, dev);
    const uint64_t bits = case_bits(&c);
    sl_device_close(&dev);
    case_clear(&c);

    sl_context *ctx = NULL;
    const sl_context_options options = {.threads = 2};
    assert_int_equal(sl_context_open(&options, &ctx), SL_OK);
    assert_int_equal(sl_context_threads(ctx), 2);
    size_t calls = 0;
    for (int i = 0; i < 2; i++) {
        calls = sl_alloc_stats_get().calls;
        assert_int_equal(sl_attention_forward(ctx, &c.args.a, c.o.p, c.o.s), SL_OK);
        assert_int_equal(sl_attention_backward(ctx, &c.args.a, &c.args.g), SL_OK);
    }
    assert_int_equal(sl_alloc_stats_get().calls, calls); /* the second round allocates nothing */
    assert_true(case_bits(&c) == bits);
    sl_context_close(&ctx);
    assert_null(ctx);
    case_close(&c);
}

static void unplanned_shape_is_an_internal_error(void **state)
{
    (void)state;
    struct attn_case c;
    struct sl_device *dev = NULL;
    case_open(&c, &plain, LAYOUT_TOKENS, FILL_NORMAL, false, 5);
    assert_int_equal(sl_device_open("cpu", 1, NULL, &dev), SL_OK);
    assert_int_equal(dev->ops->attn_fwd(dev, &c.args), SL_ERR_INTERNAL);
    assert_int_equal(dev->ops->attn_bwd(dev, &c.args), SL_ERR_INTERNAL);
    sl_device_close(&dev);
    case_close(&c);
}

/* A call too large for the memory fails alone: what was planned before goes on. */
static void failed_growth_keeps_the_scratch(void **state)
{
    (void)state;
    struct attn_case c;
    sl_context *ctx = NULL;
    case_open(&c, &plain, LAYOUT_TOKENS, FILL_NORMAL, false, 5);
    assert_int_equal(sl_context_open(NULL, &ctx), SL_OK);
    assert_int_equal(sl_attention_forward(ctx, &c.args.a, c.o.p, c.o.s), SL_OK);
    sl_alloc_fail_at(1, false); /* of the backward pass, which needs more */
    assert_int_equal(sl_attention_backward(ctx, &c.args.a, &c.args.g), SL_ERR_MEMORY);
    sl_alloc_fail_at(0, false);
    assert_int_equal(ctx->dev->ops->attn_fwd(ctx->dev, &c.args), SL_OK);
    sl_context_close(&ctx);
    case_close(&c);
}

/* Every mistake, the status it gets and a word its sentence must contain. */
static void expect(sl_context *ctx, const struct sl_attn_args *args, sl_status status,
                   const char *word)
{
    const sl_status st = sl_attention_forward(ctx, &args->a, args->o, args->o_strides);
    if (st != status || !strstr(sl_error_message(), word))
        fail_msg("expected status %d and '%s', got %d: %s", (int)status, word, (int)st,
                 sl_error_message());
}

static void bad_arguments_are_named(void **state)
{
    (void)state;
    struct attn_case c;
    sl_context *ctx = NULL;
    case_open(&c, &plain, LAYOUT_TOKENS, FILL_NORMAL, false, 5);
    assert_int_equal(sl_context_open(NULL, &ctx), SL_OK);
    struct sl_attn_args x = c.args;
    size_t *const sizes[] = {&x.a.B, &x.a.H, &x.a.Lq, &x.a.Lk, &x.a.K};
    static const char *const names[] = {"B is 0", "H is 0", "Lq is 0", "Lk is 0", "K is 0"};
    for (size_t i = 0; i < 5; i++) {
        x = c.args;
        *sizes[i] = 0;
        expect(ctx, &x, SL_ERR_ARGUMENT, names[i]);
    }
    x = c.args, x.a.K = 257;
    expect(ctx, &x, SL_ERR_UNSUPPORTED, "257");
    x = c.args, x.a.Lk = (1 << 24) + 1;
    expect(ctx, &x, SL_ERR_UNSUPPORTED, "16777217");
    x = c.args, x.a.q = NULL;
    expect(ctx, &x, SL_ERR_ARGUMENT, "q is NULL");
    x = c.args, x.o = NULL;
    expect(ctx, &x, SL_ERR_ARGUMENT, "o is NULL");
    x = c.args, x.a.k_strides.head = 15;
    expect(ctx, &x, SL_ERR_ARGUMENT, "strides of k");
    x = c.args, x.o_strides.batch = 0;
    expect(ctx, &x, SL_ERR_ARGUMENT, "strides of o");
    x = c.args, x.a.v_strides.token = SIZE_MAX / 4;
    expect(ctx, &x, SL_ERR_ARGUMENT, "address space");
    x = c.args, x.a.phi = SL_PHI_COUNT;
    expect(ctx, &x, SL_ERR_ARGUMENT, "phi");
    x = c.args, x.a.dtype = SL_DTYPE_COUNT;
    expect(ctx, &x, SL_ERR_ARGUMENT, "dtype");
    x = c.args, x.a.alpha = NAN;
    expect(ctx, &x, SL_ERR_ARGUMENT, "alpha");
    x = c.args, x.a.alpha = -60;
    expect(ctx, &x, SL_ERR_ARGUMENT, "overflows");
    x = c.args, x.a.length = -3;
    expect(ctx, &x, SL_ERR_ARGUMENT, "length");
    x = c.args;
    assert_int_equal(sl_attention_forward(ctx, &x.a, x.o, x.o_strides), SL_OK);
    x.g.dk = NULL;
    assert_int_equal(sl_attention_backward(ctx, &x.a, &x.g), SL_ERR_ARGUMENT);
    assert_non_null(strstr(sl_error_message(), "dk is NULL"));
    assert_int_equal(sl_attention_forward(NULL, &x.a, x.o, x.o_strides), SL_ERR_ARGUMENT);
    sl_context_close(&ctx);
    case_close(&c);
}

/* One query for all images (batch stride 0) is an input like any other; its gradient is not. */
static void query_may_repeat_over_the_batch(void **state)
{
    (void)state;
    struct attn_case c;
    sl_context *ctx = NULL;
    case_open(&c, &plain, LAYOUT_TOKENS, FILL_NORMAL, false, 5);
    assert_int_equal(sl_context_open(NULL, &ctx), SL_OK);
    c.q.s.batch = c.args.a.q_strides.batch = 0;
    assert_int_equal(sl_attention_backward(ctx, &c.args.a, &c.args.g), SL_ERR_ARGUMENT);
    c.args.g.dq_strides = c.dq.s;
    assert_int_equal(sl_attention_forward(ctx, &c.args.a, c.o.p, c.o.s), SL_OK);
    assert_int_equal(sl_attention_backward(ctx, &c.args.a, &c.args.g), SL_OK);
    case_reference(&c);
    case_check(&c, "repeated query");
    sl_context_close(&ctx);
    case_close(&c);
}

static void phi_rows_are_what_they_say(void **state)
{
    (void)state;
    for (int i = 0; i < SL_PHI_COUNT; i++) {
        const struct sl_phi_info *info = sl_phi_info((sl_phi)i);
        sl_phi parsed = SL_PHI_COUNT;
        assert_int_equal(sl_phi_parse(sl_phi_name((sl_phi)i), &parsed), SL_OK);
        assert_int_equal(parsed, i);
        if (i == SL_PHI_SOFTMAX)
            continue;
        /* double against double: 1e-15 is 5 roundings */
        assert_true(fabs(info->at_zero - ref_h((sl_phi)i, 0)) <= 1e-15);
        for (double s = -4.5; s < 5; s += 0.75) {
            const double ratio = pow(1.25, info->degree);
            const bool homogeneous =
                fabs(ref_h((sl_phi)i, 1.25 * s) - ratio * ref_h((sl_phi)i, s)) < 1e-12;
            assert_true(info->degree == 0 || homogeneous);
            if (info->clamp) {
                const double h = fmin(fmax(s, (double)info->lo), (double)info->hi);
                assert_true(h == ref_h((sl_phi)i, s));
            }
        }
    }
    sl_phi phi = SL_PHI_GELU;
    assert_int_equal(sl_phi_parse("rleu", &phi), SL_ERR_ARGUMENT);
    assert_non_null(strstr(sl_error_message(), "'relu'"));
    assert_int_equal(sl_phi_parse(NULL, &phi), SL_ERR_ARGUMENT);
    assert_int_equal(phi, SL_PHI_GELU);
    assert_null(sl_phi_name(SL_PHI_COUNT));
    assert_null(sl_phi_info(SL_PHI_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operator_equals_op),
        cmocka_unit_test(unplanned_shape_is_an_internal_error),
        cmocka_unit_test(failed_growth_keeps_the_scratch),
        cmocka_unit_test(bad_arguments_are_named),
        cmocka_unit_test(query_may_repeat_over_the_batch),
        cmocka_unit_test(phi_rows_are_what_they_say),
    };
    return cmocka_run_group_tests(tests, emulate_summary, NULL);
}
