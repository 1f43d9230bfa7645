/*
 * Weight files of other projects (tests/golden/make_import.py): logits equal to those of timm's and
 * torchvision's own models, at two resolutions, and every layout of big_vision's npz giving the
 * same parameters bit for bit.
 *
 * Bound on logits: as in test_golden.c, 1e-5 of the norm of all logits, for a net of the same depth
 * with products twice as long (sqrt 2 more roundings, within that bound's factor of five). Bound on
 * resampled positions: weights and sums are in double on both sides, so 1 rounding to float.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "format/safetensors.h"
#include "model/import.h"
#include "softless.h"

static const double imagenet_mean[3] = {0.485, 0.456, 0.406};
static const double imagenet_std[3] = {0.229, 0.224, 0.225};

static const char *golden(const char *name)
{
    static char paths[4][512];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/golden/import/%s", TEST_SOURCE_DIR, name);
    return path;
}

static void ok(sl_status st)
{
    if (st != SL_OK)
        fail_msg("%s", sl_error_message());
}

/* ---- logits ---- */

struct model_case {
    const char *file, *name;
    sl_import_options options;
};

static const struct model_case model_cases[] = {
    {"timm.safetensors", "timm", {.heads = 2}},
    {"timm.safetensors", "timm_larger", {.heads = 2, .image_height = 48, .image_width = 40}},
    {"timm_map.safetensors", "timm_map", {.heads = 2, .mean = imagenet_mean, .std = imagenet_std}},
    {"timm_registers.safetensors", "timm_registers", {.heads = 2}},
    {"timm.safetensors",
     "timm_cubic",
     {.heads = 2, .image_height = 40, .image_width = 24, .positions = "bicubic"}},
    {"torchvision.safetensors",
     "torchvision",
     {.heads = 2, .mean = imagenet_mean, .std = imagenet_std}},
    {"torchvision.safetensors",
     "torchvision_larger",
     {.heads = 2,
      .image_height = 48,
      .image_width = 48,
      .mean = imagenet_mean,
      .std = imagenet_std}},
};

static const struct sl_st_tensor *entry(const struct sl_safetensors *st, const char *name,
                                        const char *suffix)
{
    char full[128];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    const struct sl_st_tensor *t = sl_st_find(st, full);
    if (!t)
        fail_msg("golden.safetensors has no %s", full);
    return t;
}

static void check_logits(sl_context *ctx, const struct sl_safetensors *st,
                         const struct model_case *c)
{
    sl_model *model = NULL;
    ok(sl_model_import(ctx, golden(c->file), &c->options, &model));
    const struct sl_st_tensor *images = entry(st, c->name, ".images");
    const struct sl_st_tensor *logits = entry(st, c->name, ".logits");
    const size_t n = logits->shape[0] * logits->shape[1], bytes = images->end - images->begin;
    uint8_t *pixels = malloc(bytes);
    float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
    double error = 0, norm = 0;
    assert_true(pixels && want && got);
    ok(sl_st_read(st, images, pixels, bytes));
    ok(sl_st_read_f32(st, logits, want, n));
    ok(sl_model_forward(model, pixels, images->shape[0], got));
    for (size_t i = 0; i < n; i++) {
        error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        norm += (double)want[i] * (double)want[i];
    }
    print_message("%s: %zu logits, relative error %.2g\n", c->name, n, sqrt(error / norm));
    assert_true(sqrt(error) <= 1e-5 * sqrt(norm));
    free(pixels);
    free(want);
    free(got);
    sl_model_free(&model);
}

static void test_logits(void **state)
{
    (void)state;
    struct sl_safetensors st;
    sl_context *ctx = NULL;
    ok(sl_context_open(&(sl_context_options){.threads = 1}, &ctx));
    ok(sl_st_open(golden("golden.safetensors"), &st));
    for (size_t i = 0; i < sizeof model_cases / sizeof *model_cases; i++)
        check_logits(ctx, &st, &model_cases[i]);
    sl_st_close(&st);
    sl_context_close(&ctx);
}

/* ---- big_vision's layouts ---- */

static const struct sl_import plain_options = {.mean = {0.5, 0.5, 0.5}, .std = {0.5, 0.5, 0.5}};

static void check_params(const char *file, const char *reference, const char *part)
{
    struct sl_safetensors st;
    struct sl_vit_config vit;
    struct sl_param_table table;
    struct sl_import options = plain_options;
    float *params = NULL, want[3 * 16 * 16];
    options.part = part;
    ok(sl_import_read(golden(file), &options, &vit, &table, &params));
    ok(sl_st_open(golden(reference), &st));
    assert_int_equal(table.n, st.n);
    for (size_t i = 0; i < table.n; i++) {
        const struct sl_param *p = &table.params[i];
        ok(sl_st_read_f32(&st, entry(&st, p->name, ""), want, p->count));
        if (memcmp(want, params + p->offset, p->count * sizeof *want) != 0)
            fail_msg("%s: %s differs", file, p->name);
    }
    sl_st_close(&st);
    sl_param_table_free(&table);
    sl_free(params);
}

static void test_layouts(void **state)
{
    (void)state;
    check_params("plain.npz", "reference.safetensors", NULL);
    check_params("params.npz", "reference.safetensors", NULL);
    check_params("target.npz", "reference.safetensors", "img");
    check_params("old.npz", "reference_class_row.safetensors", NULL);
    check_params("stacked.npz", "reference.safetensors", NULL);
    check_params("map_inlined.npz", "reference_map.safetensors", NULL);
    check_params("bf16.npz", "reference_bf16.safetensors", NULL);
}

static void test_aligned_positions(void **state)
{
    (void)state;
    struct sl_safetensors st;
    struct sl_vit_config vit;
    struct sl_param_table table;
    struct sl_import options = plain_options;
    float *params = NULL, want[25 * 16];
    options.image_height = options.image_width = 20; /* 5 x 5 patches instead of 3 x 3 */
    ok(sl_import_read(golden("plain.npz"), &options, &vit, &table, &params));
    ok(sl_st_open(golden("golden.safetensors"), &st));
    ok(sl_st_read_f32(&st, entry(&st, "big_vision_5x5", ".pos_embed"), want, 25 * 16));
    const float *got = params + table.params[table.pos].offset;
    for (size_t i = 0; i < 25 * 16; i++)
        assert_true(fabs((double)got[i] - (double)want[i]) <=
                    0x1p-23 * fabs((double)want[i]) + 1e-7);
    sl_st_close(&st);
    sl_param_table_free(&table);
    sl_free(params);
}

/* ---- refusals ---- */

static void refused(const char *path, const struct sl_import *options, sl_status status,
                    const char *words)
{
    struct sl_vit_config vit;
    struct sl_param_table table;
    float *params = NULL;
    assert_int_equal(sl_import_read(path, options, &vit, &table, &params), status);
    if (!strstr(sl_error_message(), words))
        fail_msg("\"%s\" does not say \"%s\"", sl_error_message(), words);
    assert_null(params);
}

static void test_refusals(void **state)
{
    (void)state;
    struct sl_import heads = plain_options, size = plain_options, filter = plain_options;
    heads.heads = 4;
    size.image_height = size.image_width = 13;
    filter.positions = "cubic";
    refused(golden("none.npz"), &plain_options, SL_ERR_INPUT, "none.npz");
    refused(golden(""), &plain_options, SL_ERR_INPUT, "folder");
    refused(golden("target.npz"), &plain_options, SL_ERR_DATA, "--part img");
    refused(golden("timm.safetensors"), &plain_options, SL_ERR_ARGUMENT, "--heads");
    refused(golden("plain.npz"), &heads, SL_ERR_ARGUMENT, "has 2 heads, not 4");
    refused(golden("plain.npz"), &size, SL_ERR_CONFIG, "divisible");
    refused(golden("plain.npz"), &filter, SL_ERR_ARGUMENT, "linear, antialiased or bicubic");
    refused(golden("golden.safetensors"), &plain_options, SL_ERR_DATA, "no tensor");
    refused(golden("model.pth"), &plain_options, SL_ERR_DATA, "never read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_aligned_positions),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}
