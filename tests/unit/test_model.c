/*
 * The net: initial losses, row masses, gradients against finite differences, independence of the
 * number of threads, training and inference nets alike, the memory forecast, and no allocation
 * after creation.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "model/net.h"
#include "support_model.h"

static float *download(struct tiny *t, const float *device)
{
    const size_t floats = sl_net_params(t->net)->floats;
    float *x = sl_calloc(floats, sizeof *x);
    assert_non_null(x);
    OK(t->dev->ops->download(t->dev, x, device, floats * sizeof *x));
    return x;
}

/* ---- the start of training ---- */

/* big_vision's heads start at zero, so the first loss is known, whatever the images are, and no
 * gradient passes the head. Printed to four decimals in recipe.md; the loss is a sum over 1000 or
 * 21843 float terms rounded once each: relative error 2^-24 * sqrt(C) < 1e-5, far below 5e-5. */
static void test_initial_loss(void **state)
{
    (void)state;
    const struct {
        size_t classes;
        double bias, loss;
        enum sl_loss kind;
        enum sl_pool pool;
        bool rep;
    } starts[] = {
        {1000, -6.9, 7.9073, SL_LOSS_SIGMOID_XENT, SL_POOL_TOK, true},
        {21843, -10, 10.9916, SL_LOSS_SIGMOID_XENT, SL_POOL_GAP, false},
        {1000, 0, 6.9078, SL_LOSS_SOFTMAX_XENT, SL_POOL_MAP, true},
    };
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct sl_vit_config vit = tiny_config();
        struct tiny t;
        vit.classes = starts[i].classes;
        vit.head_bias = starts[i].bias;
        vit.pool = starts[i].pool;
        vit.rep_size = starts[i].rep;
        tiny_open(&t, &vit, SL_F32, true, 2, 0);
        t.loss = starts[i].kind;
        const double loss = tiny_pass(&t, NULL, true);
        if (fabs(loss - starts[i].loss) > 1e-4)
            fail_msg("initial loss %.6f, not %.4f", loss, starts[i].loss);
        const struct sl_param_table *table = sl_net_params(t.net);
        float *grads = download(&t, sl_net_grad_data(t.net));
        for (size_t j = 0; j < table->n; j++) {
            const struct sl_param *p = &table->params[j];
            double sum = 0;
            for (size_t e = 0; e < p->count; e++)
                sum += fabs((double)grads[p->offset + e]);
            const bool head = j == table->head_w || j == table->head_b;
            if (head ? !(sum > 0) : sum != 0)
                fail_msg("%s: sum of |gradient| is %g at the start", p->name, sum);
        }
        sl_free(grads);
        tiny_close(&t);
    }
}

/* Mean row mass sum_j P_ij at initialisation of a block on noise images: E[h(N(0,1))] L^(1-alpha)
 * (paper.md 8), by attention over values that are all one. The tokens are nearly independent and
 * normal after the norm, so the scores of a head have variance |Wq Wk^T|_F^2 / K = 1 up to the
 * spread of a product of random matrices, about sqrt(2 / K) per head and 1/sqrt(6) of that over six
 * heads: 7 %, so 4 % of E[h] for relu (E[h] goes with the square root). Bound: three times that. */
static void test_row_mass(void **state)
{
    (void)state;
    const struct {
        enum sl_phi phi;
        double alpha, mass;
        bool neg_log;
    } rows[] = {
        {SL_PHI_RELU, 1, 0.3989, false},     {SL_PHI_RELU, 0.5, 2.79, false},
        {SL_PHI_SOFTPLUS, 1, 0.8061, false}, {SL_PHI_SIGMOID, 0, 1.523, true},
        {SL_PHI_SOFTMAX, 1, 1, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sl_vit_config vit = {.width = 384,
                                    .depth = 1,
                                    .heads = 6,
                                    .mlp = 64,
                                    .patch = 8,
                                    .image_height = 56,
                                    .image_width = 56,
                                    .classes = 2,
                                    .phi = rows[i].phi,
                                    .alpha = rows[i].alpha,
                                    .bias_neg_log_length = rows[i].neg_log,
                                    .norm_eps = 1e-6};
        struct tiny t;
        const float *logits;
        tiny_open(&t, &vit, SL_F32, false, 2, 0);
        OK(sl_net_forward(t.net, t.images, TINY_BATCH, 1, &logits));
        const size_t n = TINY_BATCH * 49 * 384;
        float *ones = sl_calloc(n, sizeof *ones), *mass = sl_calloc(n, sizeof *mass);
        assert_true(ones && mass);
        for (size_t j = 0; j < n; j++)
            ones[j] = 1;
        struct sl_attn_args args = sl_net_attn_args(t.net, 0);
        args.a.v = ones;
        args.a.v_strides = args.o_strides;
        args.o = mass;
        OK(t.dev->ops->attn_fwd(t.dev, &args));
        double mean = 0;
        for (size_t j = 0; j < n; j++)
            mean += mass[j] / (double)n;
        if (fabs(mean / rows[i].mass - 1) > 0.12)
            fail_msg("%s, alpha %g: row mass %.4f, expected near %.4f", sl_phi_name(rows[i].phi),
                     rows[i].alpha, mean, rows[i].mass);
        sl_free(ones);
        sl_free(mass);
        tiny_close(&t);
    }
}

/* ---- gradients ---- */

static void set_params(struct tiny *t, const float *w, const float *direction, double step)
{
    const size_t floats = sl_net_params(t->net)->floats;
    float *x = sl_calloc(floats, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < floats; i++)
        x[i] = (float)(w[i] + step * direction[i]);
    OK(t->dev->ops->upload(t->dev, sl_net_param_data(t->net), x, floats * sizeof *x));
    OK(sl_net_params_changed(t->net));
    sl_free(x);
}

static double slope(struct tiny *t, const float *w, const float *direction, double step)
{
    set_params(t, w, direction, step);
    const double above = tiny_pass(t, NULL, false);
    set_params(t, w, direction, -step);
    return (above - tiny_pass(t, NULL, false)) / (2 * step);
}

/* g . d against central differences of the whole model along d, |d| = 1. Their truncation error is
 * c e^2 and so at most 4/3 of the change from step e to e/2; the rounding of a loss is near 2^-24
 * times its size and the square root of about 1000 roundings on the way (test_golden.c), 2e-6 of a
 * loss of 4, so 2 * 8e-6 / e of the difference. The bound must stay below 2 % of the slope, or the
 * test would prove nothing. */
static void check_slope(struct tiny *t, const float *w, const float *grads, const float *direction,
                        const char *what)
{
    const double step = 0.02;
    const size_t floats = sl_net_params(t->net)->floats;
    double expected = 0;
    for (size_t i = 0; i < floats; i++)
        expected += (double)grads[i] * direction[i];
    const double coarse = slope(t, w, direction, step), fine = slope(t, w, direction, step / 2);
    const double bound = 4.0 / 3 * fabs(coarse - fine) + 2 * 8e-6 / step;
    if (fabs(fine - expected) > bound || bound > 0.02 * fabs(expected))
        fail_msg("%s: slope %.6f by differences, %.6f by gradients, bound %.2e", what, fine,
                 expected, bound);
}

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static void unit(float *x, size_t n)
{
    const double norm = norm_of(x, n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(x[i] / norm);
}

/* Along the gradient itself, along the gradient of every second tensor, and along its signs. */
static void test_finite_differences(void **state)
{
    (void)state;
    const enum sl_phi smooth[] = {SL_PHI_SOFTMAX, SL_PHI_GELU, SL_PHI_SOFTPLUS, SL_PHI_IDENTITY,
                                  SL_PHI_SIGMOID};
    for (size_t k = 0; k < 2 * sizeof smooth / sizeof smooth[0]; k++) {
        struct sl_vit_config vit = k % 2 ? tiny_config_full() : tiny_config();
        vit.phi = smooth[k / 2];
        struct tiny t;
        tiny_open(&t, &vit, SL_F32, true, 2, 0.1);
        const struct sl_param_table *table = sl_net_params(t.net);
        tiny_pass(&t, NULL, true);
        float *w = download(&t, sl_net_param_data(t.net));
        float *grads = download(&t, sl_net_grad_data(t.net));
        float *d = sl_calloc(table->floats, sizeof *d);
        assert_non_null(d);
        memcpy(d, grads, table->floats * sizeof *d);
        unit(d, table->floats);
        check_slope(&t, w, grads, d, sl_phi_name(vit.phi));
        for (size_t i = 0; i < table->n; i += 2)
            memset(d + table->params[i].offset, 0, table->params[i].count * sizeof *d);
        unit(d, table->floats);
        check_slope(&t, w, grads, d, sl_phi_name(vit.phi));
        for (size_t i = 0; i < table->floats; i++)
            d[i] = (float)((grads[i] > 0) - (grads[i] < 0));
        unit(d, table->floats);
        check_slope(&t, w, grads, d, sl_phi_name(vit.phi));
        sl_free(w);
        sl_free(grads);
        sl_free(d);
        tiny_close(&t);
    }
}

/* Gradients accumulate: two passes give twice one pass. A sum that starts at the old gradient
 * rounds otherwise than one that starts at 0: by (k + 4) 2^-24 of its absolute terms, k <= 27 rows,
 * whose sum is at most sqrt(k) times the norm of the whole gradient. A tensor that is assigned is
 * off by half of itself. */
static void test_accumulation(void **state)
{
    (void)state;
    const struct sl_vit_config vit = tiny_config_full();
    struct tiny t;
    tiny_open(&t, &vit, SL_F32, true, 2, 0.1);
    tiny_pass(&t, NULL, true);
    const struct sl_param_table *table = sl_net_params(t.net);
    float *once = download(&t, sl_net_grad_data(t.net));
    OK(sl_net_backward(t.net));
    float *twice = download(&t, sl_net_grad_data(t.net));
    const double bound = 31 * 0x1p-24 * sqrt(27) * norm_of(once, table->floats);
    for (size_t j = 0; j < table->n; j++) {
        const struct sl_param *p = &table->params[j];
        assert_true(norm_of(once + p->offset, p->count) > 4 * bound);
        for (size_t i = p->offset; i < p->offset + p->count; i++)
            if (!(fabs((double)twice[i] - 2.0 * once[i]) <= bound))
                fail_msg("%s: %g once, %g twice", p->name, (double)once[i], (double)twice[i]);
    }
    sl_free(once);
    sl_free(twice);
    tiny_close(&t);
}

/* ---- threads, training and inference ---- */

static float *train_with(int threads, sl_dtype type, size_t *floats)
{
    const struct sl_vit_config vit = tiny_config_full();
    struct tiny t;
    tiny_open(&t, &vit, type, true, threads, 0.1);
    for (uint64_t step = 0; step < 2; step++) {
        tiny_pass(&t, NULL, true);
        tiny_update(&t, step);
    }
    *floats = sl_net_params(t.net)->floats;
    float *w = download(&t, sl_net_param_data(t.net));
    tiny_close(&t);
    return w;
}

static bool has_bf16(void)
{
    struct sl_device *dev;
    sl_dtype type;
    OK(sl_device_open("cpu", 1, NULL, &dev));
    const sl_status st = sl_device_precision(dev, SL_PRECISION_BF16, &type);
    sl_device_close(&dev);
    return st == SL_OK;
}

static void test_threads(void **state)
{
    (void)state;
    const int threads[] = {2, 3, 7};
    for (int type = SL_F32; type <= (has_bf16() ? SL_BF16 : SL_F32); type++) {
        size_t floats;
        float *one = train_with(1, (sl_dtype)type, &floats);
        for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
            float *many = train_with(threads[i], (sl_dtype)type, &floats);
            if (memcmp(one, many, floats * sizeof *one) != 0)
                fail_msg("two updates on %d threads give other bits than on one", threads[i]);
            sl_free(many);
        }
        sl_free(one);
    }
}

/* An inference net reuses its buffers; the logits are those of a training net, bit for bit. */
static void test_inference(void **state)
{
    (void)state;
    for (int type = SL_F32; type <= (has_bf16() ? SL_BF16 : SL_F32); type++) {
        const struct sl_vit_config vit = tiny_config_full();
        struct tiny training, inference;
        float a[TINY_BATCH * TINY_CLASSES], b[TINY_BATCH * TINY_CLASSES];
        tiny_open(&training, &vit, (sl_dtype)type, true, 2, 0.1);
        tiny_open(&inference, &vit, (sl_dtype)type, false, 2, 0.1);
        tiny_pass(&training, a, false);
        tiny_pass(&inference, b, false);
        assert_memory_equal(a, b, sizeof a);
        assert_null(sl_net_grad_data(inference.net));
        assert_int_equal(sl_net_backward(inference.net), SL_ERR_INTERNAL);
        tiny_close(&training);
        tiny_close(&inference);
    }
}

static void test_bad_batches(void **state)
{
    (void)state;
    const struct sl_vit_config vit = tiny_config();
    const float *logits = NULL;
    struct tiny t;
    tiny_open(&t, &vit, SL_F32, false, 1, 0);
    assert_int_equal(sl_net_forward(t.net, t.images, 0, 1, &logits), SL_ERR_ARGUMENT);
    assert_int_equal(sl_net_forward(t.net, t.images, TINY_BATCH + 1, 1, &logits), SL_ERR_ARGUMENT);
    assert_int_equal(sl_net_forward(t.net, t.images, TINY_BATCH - 1, 0.5f, &logits),
                     SL_ERR_ARGUMENT);
    assert_null(logits);
    tiny_close(&t);
}

/* ---- memory ---- */

/* A device whose allocations are counted. */
static size_t device_bytes, device_calls;
static const struct sl_backend_ops *real_ops;

static sl_status counting_alloc(struct sl_device *dev, size_t bytes, void **p)
{
    device_bytes += bytes;
    device_calls++;
    return real_ops->mem_alloc(dev, bytes, p);
}

static void test_forecast(void **state)
{
    (void)state;
    for (int k = 0; k < 8; k++) {
        const struct sl_vit_config vit = k & 1 ? tiny_config_full() : tiny_config();
        struct sl_net_options options = {.vit = vit,
                                         .type = k & 4 && has_bf16() ? SL_BF16 : SL_F32,
                                         .batch = 5,
                                         .training = k & 2,
                                         .value_max = 1};
        struct sl_device *dev;
        struct sl_net *net = NULL;
        struct sl_memory memory;
        OK(sl_device_open("cpu", 2, NULL, &dev));
        real_ops = dev->ops;
        struct sl_backend_ops counting = *dev->ops;
        counting.mem_alloc = counting_alloc;
        dev->ops = &counting;
        device_bytes = device_calls = 0;
        OK(sl_net_forecast(dev, &options, &memory));
        assert_int_equal(device_bytes, 0);
        const size_t before = sl_alloc_stats_get().live_bytes;
        OK(sl_net_create(dev, &options, &net));
        const size_t forecast = memory.params + memory.grads + memory.packed + memory.activations +
                                memory.scratch + memory.inputs;
        const size_t grown = sl_alloc_stats_get().live_bytes - before;
        assert_int_equal(device_bytes, forecast);
        assert_true(device_calls <= 6);
        assert_int_equal(memory.grads, options.training ? memory.params : 0);
        /* Beside the arenas a net keeps its tables: 160 bytes a tensor, a few hundred a block. */
        if (!(grown >= forecast && grown - forecast < 32768))
            fail_msg("created %zu bytes, forecast %zu", grown, forecast);
        sl_net_free(&net);
        sl_device_close(&dev);
    }
}

static void test_no_allocation(void **state)
{
    (void)state;
    const struct sl_vit_config vit = tiny_config_full();
    struct tiny t;
    tiny_open(&t, &vit, SL_F32, true, 2, 0.1);
    tiny_pass(&t, NULL, true);
    tiny_update(&t, 0);
    const sl_alloc_stats before = sl_alloc_stats_get();
    tiny_pass(&t, NULL, true);
    tiny_update(&t, 1);
    const sl_alloc_stats after = sl_alloc_stats_get();
    assert_int_equal(after.calls, before.calls);
    assert_int_equal(after.live_bytes, before.live_bytes);
    tiny_close(&t);
}

/* Every allocation of creating a net failed once: an error, and nothing stays behind. */
static void test_failed_allocations(void **state)
{
    (void)state;
    const struct sl_net_options options = {
        .vit = tiny_config_full(), .batch = 2, .training = true, .value_max = 1};
    struct sl_device *dev;
    struct sl_net *net = NULL;
    size_t n = 1;
    for (;; n++) {
        const size_t before = sl_alloc_stats_get().live_bytes;
        OK(sl_device_open("cpu", 1, NULL, &dev));
        sl_alloc_fail_at(n, false);
        const sl_status st = sl_net_create(dev, &options, &net);
        sl_alloc_fail_at(0, false);
        if (st == SL_OK)
            break;
        assert_int_equal(st, SL_ERR_MEMORY);
        assert_null(net);
        sl_device_close(&dev);
        assert_int_equal(sl_alloc_stats_get().live_bytes, before);
    }
    printf("%zu allocations failed\n", n - 1);
    assert_true(n > 5);
    sl_net_free(&net);
    sl_device_close(&dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initial_loss),
        cmocka_unit_test(test_row_mass),
        cmocka_unit_test(test_finite_differences),
        cmocka_unit_test(test_accumulation),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_inference),
        cmocka_unit_test(test_bad_batches),
        cmocka_unit_test(test_forecast),
        cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
