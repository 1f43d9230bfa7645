/*
 * The parameter table against the counts of big_vision's models, its layout, the distribution of
 * every initial tensor, and the cost formula.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "model/model.h"
#include "support_model.h"

/* ---- counts ---- */

static struct sl_vit_config variant(const char *name, bool i21k)
{
    struct sl_vit_config vit = {.classes = i21k ? 21843 : 1000,
                                .image_height = 224,
                                .image_width = 224,
                                .qk_norm = SL_QK_NORM_LAYERNORM,
                                .pool = i21k ? SL_POOL_GAP : SL_POOL_TOK,
                                .rep_size = !i21k,
                                .head_bias = i21k ? -10 : -6.9,
                                .norm_eps = 1e-6};
    OK(sl_variant_apply(name, &vit));
    return vit;
}

static size_t count(const struct sl_vit_config *vit)
{
    struct sl_param_table table;
    size_t n = 0;
    OK(sl_param_table_build(vit, &table));
    for (size_t i = 0; i < table.n; i++)
        n += table.params[i].count;
    sl_param_table_free(&table);
    return n;
}

/* Parameters and forward GFLOP of big_vision's configs at 224 pixels with qk_norm; the cost is
 * given to three digits for gap and without the head. */
static const struct published {
    const char *name;
    size_t i1k, i21k, gate;
    double gflop, half_digit;
} published[] = {
    {"S/32", 23027944, 30904275, 1774080, 2.24, 0.005},
    {"S/16", 22199656, 30075987, 1774080, 9.15, 0.005},
    {"S/8", 22204264, 30080595, 1774080, 44.7, 0.05},
    {"B/32", 88815592, 104252499, 7087104, 8.64, 0.005},
    {"B/16", 87159016, 102595923, 7087104, 34.9, 0.05},
    {"L/16", 305378280, 325691731, 25190400, 122, 0.5},
};

static void test_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const struct published *p = &published[i];
        struct sl_vit_config i1k = variant(p->name, false), i21k = variant(p->name, true);
        assert_int_equal(count(&i1k), p->i1k);
        assert_int_equal(count(&i21k), p->i21k);
        i21k.gate = SL_GATE_SILU;
        assert_int_equal(count(&i21k), p->i21k + p->gate);
        i1k.qk_norm = SL_QK_NORM_NONE;
        assert_int_equal(count(&i1k), p->i1k - 2 * 64 * i1k.depth);
    }
    struct sl_vit_config s16 = variant("S/16", false);
    s16.qk_norm = SL_QK_NORM_NONE;
    s16.pool = SL_POOL_GAP;
    s16.posemb = SL_POSEMB_SINCOS2D;
    assert_int_equal(count(&s16), 22122472);
}

static void test_flops(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const struct published *p = &published[i];
        struct sl_vit_config vit = variant(p->name, true);
        vit.classes = 0;
        assert_true(fabs(sl_vit_flops(&vit) / 1e9 - p->gflop) <= p->half_digit);
        const double without = sl_vit_flops(&vit);
        vit.classes = 10;
        assert_true(sl_vit_flops(&vit) - without == 2.0 * 10 * (double)vit.width);
    }
    /* The gate adds 6.2 % to S/8. */
    struct sl_vit_config s8 = variant("S/8", true);
    s8.classes = 0;
    const double plain = sl_vit_flops(&s8);
    s8.gate = SL_GATE_SILU;
    assert_true(fabs(sl_vit_flops(&s8) / plain - 1.062) < 0.0005);
}

/* ---- layout ---- */

static void test_layout(void **state)
{
    (void)state;
    struct sl_vit_config vit = tiny_config_full();
    vit.pool = SL_POOL_TOK;
    struct sl_param_table t;
    OK(sl_param_table_build(&vit, &t));
    assert_true(t.cls != SIZE_MAX && t.reg != SIZE_MAX && t.map_latent == SIZE_MAX);
    size_t end = 0;
    for (size_t i = 0; i < t.n; i++) {
        const struct sl_param *p = &t.params[i];
        assert_true(p->offset >= end);
        if (i != t.reg)
            assert_int_equal(p->offset % 16, 0);
        end = p->offset + p->count;
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(p->name, t.params[j].name);
    }
    assert_true(end <= t.floats);
    assert_int_equal(t.params[t.reg].offset, t.params[t.cls].offset + vit.width);
    assert_string_equal(t.params[t.blocks[1].k_norm_b].name, "blocks.1.attn.k_norm.bias");
    sl_param_table_free(&t);
}

static void test_refusals(void **state)
{
    (void)state;
    struct sl_param_table t;
    struct sl_vit_config vit = tiny_config();
    vit.classes = 0;
    assert_int_equal(sl_param_table_build(&vit, &t), SL_ERR_CONFIG);
    vit = tiny_config();
    vit.heads = 3;
    assert_int_equal(sl_param_table_build(&vit, &t), SL_ERR_CONFIG);
    vit = tiny_config();
    vit.depth = SIZE_MAX / 4;
    assert_int_equal(sl_param_table_build(&vit, &t), SL_ERR_CONFIG);
    vit = tiny_config();
    vit.width = vit.heads << 40;
    assert_int_equal(sl_param_table_build(&vit, &t), SL_ERR_CONFIG);
    vit = tiny_config();
    vit.mlp = SIZE_MAX / 8;
    assert_int_equal(sl_param_table_build(&vit, &t), SL_ERR_CONFIG);
}

/* ---- initial values ---- */

enum shape_of_draws { CONSTANT, UNIFORM, NORMAL, TRUNCATED };

struct expected {
    const char *suffix;
    enum shape_of_draws shape;
    double value; /* the constant, or the standard deviation */
    bool decay;
};

/* Width 384, mlp 1536, patch 16: recipe of big_vision's vit.py. First match wins. */
static const struct expected expected_s16[] = {
    {"patch_embed.proj.weight", TRUNCATED, 0.036084391824351615, true}, /* 1/sqrt(768) */
    {"cls_token", CONSTANT, 0, false},
    {"reg_token", NORMAL, 0.05103103630798288, false}, /* 1/sqrt(384) */
    {"pos_embed", NORMAL, 0.05103103630798288, false},
    {"norm.weight", CONSTANT, 1, false},
    {"norm1.weight", CONSTANT, 1, false},
    {"norm2.weight", CONSTANT, 1, false},
    {"qkv.weight", UNIFORM, 0.05103103630798288, true},
    {"kv.weight", UNIFORM, 0.05103103630798288, true},
    {"q.weight", UNIFORM, 0.05103103630798288, true},
    {"gate.weight", UNIFORM, 0.05103103630798288, true},
    {"proj.weight", UNIFORM, 0.05103103630798288, true},
    {"fc1.weight", UNIFORM, 0.03227486121839514, true}, /* sqrt(2/1920) */
    {"fc2.weight", UNIFORM, 0.03227486121839514, true},
    {"fc1.bias", NORMAL, 1e-6, false},
    {"fc2.bias", NORMAL, 1e-6, false},
    {"gamma", CONSTANT, 1e-4, false},
    {"latent", UNIFORM, 0.07207498701564471, false}, /* sqrt(2/385) */
    {"pre_logits.fc.weight", TRUNCATED, 0.05103103630798288, true},
    {"head.weight", CONSTANT, 0, true},
    {"head.bias", CONSTANT, -6.9, false},
    {"bias", CONSTANT, 0, false},
};

/* Kurtosis and largest |x| / sd of the three distributions; the truncated normal's kurtosis by
 * its moments: (3 - (8 + 3 * 2) * 2 * phi(2) / Z) / s^4, Z = 0.9545, s^2 = 0.7737 -> 2.37. */
static const double kurtosis[] = {[UNIFORM] = 1.8, [NORMAL] = 3, [TRUNCATED] = 2.37};

static void check_draws(const struct sl_param *p, const struct expected *e, const float *x)
{
    const double n = (double)p->count;
    double sum = 0, squares = 0, largest = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (e->shape == CONSTANT && x[i] != (float)e->value)
            fail_msg("%s[%zu] is %g, not %g", p->name, i, (double)x[i], e->value);
        sum += x[i];
        squares += (double)x[i] * x[i];
        largest = fmax(largest, fabs((double)x[i]));
    }
    if (e->shape == CONSTANT)
        return;
    /* Five standard errors of a mean and of a variance: about 1e-6 of all seeds would fail. */
    const double sd = e->value, variance = squares / n;
    if (fabs(sum / n) > 5 * sd / sqrt(n))
        fail_msg("%s: mean %g, sd %g, n %g", p->name, sum / n, sd, n);
    if (fabs(variance / (sd * sd) - 1) > 5 * sqrt((kurtosis[e->shape] - 1) / n))
        fail_msg("%s: variance %g, not %g", p->name, variance, sd * sd);
    /* The largest of n draws of a bounded distribution lies below its bound, and within 80/n of it
     * (relative) but for a chance of e^-80 (uniform) or e^-18 (the truncated normal has 0.226 of
     * the uniform density there). */
    const double bound = e->shape == UNIFORM ? sqrt(3.0) * sd : 2 * sd / 0.87962566103423978;
    if (e->shape != NORMAL && !(largest <= bound * (1 + 1e-6) && largest > bound * (1 - 80 / n)))
        fail_msg("%s: largest %g, bound %g", p->name, largest, bound);
}

static void test_initial_values(void **state)
{
    (void)state;
    struct sl_vit_config vit = variant("S/16", false);
    vit.depth = 1;
    vit.classes = 10;
    vit.registers = 4;
    vit.layer_scale = 1e-4;
    vit.gate = SL_GATE_SILU;
    vit.qk_norm = SL_QK_NORM_LAYERNORM_BIAS;
    const enum sl_pool pools[] = {SL_POOL_TOK, SL_POOL_MAP};
    size_t checked = 0;
    for (size_t k = 0; k < 2; k++) {
        struct sl_param_table t;
        vit.pool = pools[k];
        OK(sl_param_table_build(&vit, &t));
        float *x = sl_calloc(t.floats, sizeof *x);
        assert_non_null(x);
        sl_param_init(&t, 3, x);
        for (size_t i = 0; i < t.n; i++, checked++) {
            const struct sl_param *p = &t.params[i];
            const struct expected *e = expected_s16;
            while (strlen(p->name) < strlen(e->suffix) ||
                   strcmp(p->name + strlen(p->name) - strlen(e->suffix), e->suffix) != 0)
                e++;
            check_draws(p, e, x + p->offset);
            if (p->decay != e->decay)
                fail_msg("%s: decay is %d", p->name, p->decay);
        }
        sl_free(x);
        sl_param_table_free(&t);
    }
    printf("%zu tensors checked\n", checked);
}

/* Draws depend on seed and name alone: options that add tensors leave the others as they are. */
static void test_addressing(void **state)
{
    (void)state;
    struct sl_vit_config plain = tiny_config(), full = tiny_config_full();
    struct sl_param_table a, b;
    OK(sl_param_table_build(&plain, &a));
    OK(sl_param_table_build(&full, &b));
    float *x = sl_calloc(a.floats, sizeof *x), *y = sl_calloc(b.floats, sizeof *y),
          *z = sl_calloc(a.floats, sizeof *z);
    assert_true(x && y && z);
    sl_param_init(&a, 5, x);
    sl_param_init(&b, 5, y);
    sl_param_init(&a, 6, z);
    size_t shared = 0;
    for (size_t i = 0; i < a.n; i++)
        for (size_t j = 0; j < b.n; j++)
            if (strcmp(a.params[i].name, b.params[j].name) == 0) {
                assert_memory_equal(x + a.params[i].offset, y + b.params[j].offset,
                                    a.params[i].count * sizeof *x);
                shared++;
            }
    assert_int_equal(shared, a.n);
    const size_t qkv = a.params[a.blocks[0].qkv_w].offset,
                 other = a.params[a.blocks[1].qkv_w].offset;
    assert_memory_not_equal(x + qkv, z + qkv, 64);
    assert_memory_not_equal(x + qkv, x + other, 64);
    sl_free(x);
    sl_free(y);
    sl_free(z);
    sl_param_table_free(&a);
    sl_param_table_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),         cmocka_unit_test(test_flops),
        cmocka_unit_test(test_layout),         cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_initial_values), cmocka_unit_test(test_addressing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
