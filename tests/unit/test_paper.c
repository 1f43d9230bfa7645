/*
 * The paper's recipes: parameters, steps and losses that big_vision's configs give, the levels of
 * augmentation, and gradients that are zero behind a head of zeros.
 */
#include <math.h>
#include <stdlib.h>

#include "api/context.h"
#include "train/train.h"
#include "unit/config_case.h"

#define RECIPES TEST_SOURCE_DIR "/../recipes/paper/"

static sl_context *open_context(void)
{
    sl_context *ctx = NULL;
    sl_context_options options = SL_CONTEXT_OPTIONS_INIT;
    options.threads = 1;
    require_ok(sl_context_open(&options, &ctx));
    return ctx;
}

static sl_recipe *load(const char *file, const char *const *set, size_t n)
{
    char path[512];
    sl_recipe *recipe = NULL;
    snprintf(path, sizeof path, RECIPES "%s", file);
    require_ok(sl_recipe_load(path, set, n, &recipe));
    return recipe;
}

/* ---- augmentation ---- */

static void test_levels(void **state)
{
    (void)state;
    static const struct {
        const char *set, *variant;
        double mixup;
        const char *op; /* NULL = none */
    } want[] = {
        {"i1k", "Ti/16", 0, "randaug(2, 0)"},
        {"i1k", "S/32", 0.2, "randaug(2, 15)"},
        {"i1k", "S/16", 0.5, "randaug(2, 15)"},
        {"i1k", "S/8", 0.5, "randaug(2, 15)"},
        {"i1k", "B/32", 0.5, "randaug(2, 15)"},
        {"i1k", "B/16", 0.5, "randaug(2, 15)"},
        {"i1k", "L/16", 0.5, "randaug(2, 15)"},
        {"i21k", "Ti/16", 0, NULL},
        {"i21k", "S/32", 0, NULL},
        {"i21k", "S/16", 0, "randaug(2, 0)"},
        {"i21k", "S/8", 0, "randaug(2, 0)"},
        {"i21k", "B/32", 0.2, "randaug(2, 10)"},
        {"i21k", "B/16", 0.2, "randaug(2, 10)"},
        {"i21k", "L/16", 0.5, "randaug(2, 15)"},
        {"none", "M/16", 0, NULL},
        {"light1", "M/16", 0, "randaug(2, 0)"},
        {"light2", "M/16", 0.2, "randaug(2, 10)"},
        {"medium1", "M/16", 0.2, "randaug(2, 15)"},
        {"medium2", "M/16", 0.5, "randaug(2, 15)"},
        {"strong1", "M/16", 0.5, "randaug(2, 20)"},
        {"strong2", "M/16", 0.8, "randaug(2, 20)"},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char augment[64], variant[64];
        snprintf(augment, sizeof augment, "data.augment=%s", want[i].set);
        snprintf(variant, sizeof variant, "model.variant=%s", want[i].variant);
        sl_recipe *r = load("vit_i1k.yaml", (const char *const[]){augment, variant}, 2);
        const struct sl_pipeline_config *ops = &r->config.data.train_ops;
        assert_true(r->config.train.mixup == want[i].mixup);
        assert_int_equal(ops->n, want[i].op ? 3 : 2);
        assert_string_equal(ops->ops[0], "inception_crop(224)");
        assert_string_equal(ops->ops[1], "flip_lr");
        if (want[i].op)
            assert_string_equal(ops->ops[2], want[i].op);
        /* resolved, written, read and resolved again: nothing changes */
        struct sl_config before = r->config;
        struct sl_recipe again;
        char *yaml = NULL;
        require_ok(sl_config_to_yaml(&r->config, NULL, &yaml));
        require_ok(sl_recipe_init(&again));
        require_ok(sl_recipe_parse(&again, "again", yaml, strlen(yaml)));
        require_ok(sl_config_resolve(&again.config));
        assert_memory_equal(&again.config, &before, sizeof before);
        sl_free(yaml);
        sl_recipe_clear(&again);
        sl_recipe_free(&r);
    }
}

static void test_bad_levels(void **state)
{
    (void)state;
    static const struct {
        const char *set[2], *message;
    } bad[] = {
        {{"model.variant=M/16", "seed=0"}, "not model.variant 'M/16'; set data.augment to a level"},
        {{"data.augment=own", "seed=0"}, "has the item 'augment', but data.augment names no level"},
        {{"train.mixup=0.3", "seed=0"}, "train.mixup is 0.3, but data.augment means 0.5 (medium2)"},
        {{"data.train_ops=[flip_lr]", "seed=0"}, "randaug(2, 15), but data.train_ops has no item"},
        {{"data.augment=heavy", "seed=0"}, "'heavy' is not one of own, none, light1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sl_recipe *r = NULL;
        assert_int_equal(sl_recipe_load(RECIPES "vit_i1k.yaml", bad[i].set, 2, &r), SL_ERR_CONFIG);
        if (!strstr(sl_error_message(), bad[i].message))
            fail_msg("wanted '%s', got '%s'", bad[i].message, sl_error_message());
    }
}

/* ---- sizes and steps ---- */

/* Parameters with qk-norm, and with a gate; steps of upstream's training split. */
static void test_forecasts(void **state)
{
    (void)state;
    static const struct {
        const char *variant;
        size_t i1k, i21k, gate;
        double gflop; /* forward, GAP, no head */
    } want[] = {
        {"S/32", 23027944, 30904275, 1774080, 2.24},  {"S/16", 22199656, 30075987, 1774080, 9.15},
        {"S/8", 22204264, 30080595, 1774080, 44.7},   {"B/32", 88815592, 104252499, 7087104, 8.64},
        {"B/16", 87159016, 102595923, 7087104, 34.9}, {"L/16", 305378280, 325691731, 25190400, 122},
    };
    sl_context *ctx = open_context();
    sl_forecast f;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char variant[64];
        snprintf(variant, sizeof variant, "model.variant=%s", want[i].variant);
        const char *const set[] = {variant, "model.gate=silu", "data.train_images=1268355"};
        const char *const plain[] = {variant, "data.train_images=1268355"};
        sl_recipe *a = load("vit_i21k.yaml", set, 1), *b = load("vit_i1k.yaml", plain, 2);
        sl_recipe *c = load("vit_i21k.yaml", set, 2);
        require_ok(sl_recipe_check(ctx, a, &f));
        assert_int_equal(f.parameters, want[i].i21k);
        assert_int_equal(f.steps, 92960);
        const double head = 2e-9 * (double)f.width * 21843;
        assert_true(fabs(1e-9 * f.flops_forward - head - want[i].gflop) < 0.005 * want[i].gflop);
        require_ok(sl_recipe_check(ctx, b, &f));
        assert_int_equal(f.parameters, want[i].i1k);
        assert_int_equal(f.steps, 92897);
        require_ok(sl_recipe_check(ctx, c, &f));
        assert_int_equal(f.parameters, want[i].i21k + want[i].gate);
        sl_recipe_free(&a);
        sl_recipe_free(&b);
        sl_recipe_free(&c);
    }
    static const char *const epochs[] = {"data.train_images=1268355", "train.total_epochs=300"};
    sl_recipe *s16 = load("s16_i1k.yaml", epochs, 1);
    require_ok(sl_recipe_check(ctx, s16, &f));
    assert_int_equal(f.parameters, 22122472);
    assert_int_equal(f.steps, 111477);
    sl_recipe_free(&s16);
    s16 = load("s16_i1k.yaml", epochs, 2);
    require_ok(sl_recipe_check(ctx, s16, &f));
    assert_int_equal(f.steps, 371588);
    sl_recipe_free(&s16);
    sl_context_close(&ctx);
}

/* ---- the first two steps ---- */

enum { BATCH = 4, SIDE = 224 };

static void check_gradients(struct sl_stepper *s)
{
    const struct sl_param_table *table = sl_net_params(sl_stepper_net(s));
    const float *g = sl_net_grad_data(sl_stepper_net(s));
    for (size_t i = 0; i < table->n; i++) {
        const struct sl_param *p = &table->params[i];
        size_t nonzero = 0;
        for (size_t k = 0; k < p->count; k++)
            nonzero += g[p->offset + k] != 0;
        if (strncmp(p->name, "head.", 5) == 0)
            assert_true(nonzero > 0);
        else if (nonzero > 0)
            fail_msg("%zu gradients of %s are not 0", nonzero, p->name);
    }
}

/* A head of zeros gives every image the logits of its bias, mixed or not: the loss is known, and
 * nothing before the head gets a gradient. The first update has factor 0, so both steps agree. */
static void test_first_steps(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        double classes, bias;
        bool sigmoid;
        double printed; /* recipe.md 5, four decimals */
    } want[] = {
        {"vit_i1k.yaml", 1000, -6.9, true, 7.9073},
        {"vit_i21k.yaml", 21843, -10, true, 10.9916},
        {"s16_i1k.yaml", 1000, 0, false, 6.9078},
    };
    static const char *const set[] = {"model.width=32", "model.depth=1",      "model.heads=2",
                                      "model.mlp=128",  "train.batch=4",      "train.accumulate=1",
                                      "precision=fp32", "data.augment=light2"};
    sl_context *ctx = open_context();
    uint8_t *images = malloc(BATCH * SIDE * SIDE * 3);
    assert_non_null(images);
    sl_rng rng = sl_rng_at(1, SL_RNG_TEST, 0, 0);
    for (size_t i = 0; i < BATCH * SIDE * SIDE * 3; i++)
        images[i] = (uint8_t)sl_rng_u32(&rng);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        sl_recipe *r = load(want[i].file, set, sizeof set / sizeof *set);
        struct sl_stepper *s = NULL;
        struct sl_durations d;
        const int32_t labels[BATCH] = {1, 0, 999, 500};
        sl_step_result first, second;
        assert_true(r->config.train.mixup == 0.2);
        require_ok(sl_durations_resolve(&r->config, r->config.data.train_images, &d));
        require_ok(sl_stepper_create(ctx->dev, &r->config, &d, &s));
        struct sl_net *net = sl_stepper_net(s);
        sl_param_init(sl_net_params(net), 0, sl_net_param_data(net));
        require_ok(sl_net_params_changed(net));
        require_ok(sl_stepper_step(s, images, labels, 0, &first));
        check_gradients(s);
        require_ok(sl_stepper_step(s, images, labels, 1, &second));
        check_gradients(s);
        const double C = want[i].classes, rest = log1p(exp(want[i].bias));
        const double exact = want[i].sigmoid ? C * rest - want[i].bias : log(C);
        assert_true(fabs(exact - want[i].printed) <= 0.5e-4);
        /* Sum of C terms and the label's: (k + 4) u sum|terms| with k = C. */
        if (fabs(first.loss - exact) > (C + 4) * 0x1p-24 * exact)
            fail_msg("%s: loss %.9g, expected %.9g", want[i].file, first.loss, exact);
        assert_true(fabs(first.loss - want[i].printed) <
                    1e-4); /* what the document's digits tell */
        assert_true(second.loss == first.loss);
        sl_stepper_free(&s);
        sl_recipe_free(&r);
    }
    free(images);
    sl_context_close(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_bad_levels),
        cmocka_unit_test(test_forecasts),
        cmocka_unit_test(test_first_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
