/*
 * The public interface as a host program may misuse it: NULL in every place, sizes and names out of
 * range. Each call fails with a status and a sentence and leaves its results untouched. And a stop
 * request, which counts once.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/files.h"

static const char recipe_text[] =
    "schema: 1\nname: tiny\nlog_every_steps: 1\n"
    "model: {width: 8, depth: 1, heads: 2, mlp: 8, patch: 4, image_size: 8}\n"
    "data: {train: 'synthetic:n=16,classes=3,size=8'}\n"
    "train: {batch: 8, total_steps: 4}\n";

static sl_context *ctx;
static sl_recipe *recipe;
static sl_model *model;

/* The call fails as a bad argument and says so. */
#define REFUSED(call)                                                                              \
    do {                                                                                           \
        assert_int_equal((call), SL_ERR_ARGUMENT);                                                 \
        assert_true(strlen(sl_error_message()) > 10);                                              \
        refused++;                                                                                 \
    } while (0)
static size_t refused;

static void test_null_and_out_of_range(void **state)
{
    sl_pack_result packed;
    (void)state;
    char *text = NULL;
    sl_context *other = NULL;
    sl_recipe *r = NULL;
    sl_model *m = NULL;
    sl_trainer *trainer = NULL;
    sl_model_info info;
    sl_eval_result eval;
    const sl_eval_options eval_options = {.data = "synthetic:n=4,classes=3,size=8"};
    sl_train_result result;
    sl_step_result step;
    sl_phi phi = SL_PHI_RELU;
    double flops = 0;
    uint8_t images[8 * 8 * 8 * 3] = {0};
    int32_t labels[8] = {0};
    float logits[3];
    const char *const bad_set[] = {NULL};
    REFUSED(sl_context_open(NULL, NULL));
    REFUSED(sl_context_open(&(sl_context_options){.threads = -1}, &other));
    REFUSED(sl_context_open(&(sl_context_options){.threads = 4097}, &other));
    REFUSED(sl_context_open(&(sl_context_options){.device = "tpu"}, &other));
    REFUSED(sl_context_open(&(sl_context_options){.isa = "avx1024"}, &other));
    REFUSED(sl_phi_parse(NULL, &phi));
    REFUSED(sl_phi_parse("relu", NULL));
    REFUSED(sl_phi_parse("reluu", &phi));
    REFUSED(sl_recipe_load(NULL, NULL, 0, &r));
    REFUSED(sl_recipe_load("x", NULL, 0, NULL));
    REFUSED(sl_recipe_load("x", NULL, 1, &r));
    REFUSED(sl_recipe_load(scratch("r.yaml"), bad_set, 1, &r));
    REFUSED(sl_recipe_text(NULL, false, &text));
    REFUSED(sl_recipe_text(recipe, false, NULL));
    REFUSED(sl_recipe_get(NULL, "seed", &text));
    REFUSED(sl_recipe_get(recipe, NULL, &text));
    REFUSED(sl_recipe_get(recipe, "seed", NULL));
    REFUSED(sl_recipe_keys_text(NULL));
    REFUSED(sl_recipe_list_text(NULL));
    REFUSED(sl_model_load(NULL, "x", &m));
    REFUSED(sl_model_load(ctx, NULL, &m));
    REFUSED(sl_model_load(ctx, "x", NULL));
    REFUSED(sl_model_create(NULL, recipe, 3, &m));
    REFUSED(sl_model_create(ctx, NULL, 3, &m));
    REFUSED(sl_model_create(ctx, recipe, 3, NULL));
    REFUSED(sl_model_create(ctx, recipe, 0, &m)); /* no classes anywhere */
    REFUSED(sl_model_save(NULL, "x"));
    REFUSED(sl_model_save(model, NULL));
    REFUSED(sl_model_get_info(NULL, &info));
    REFUSED(sl_model_get_info(model, NULL));
    REFUSED(sl_model_forward(NULL, images, 1, logits));
    REFUSED(sl_model_forward(model, NULL, 1, logits));
    REFUSED(sl_model_forward(model, images, 0, logits));
    REFUSED(sl_model_forward(model, images, 1, NULL));
    REFUSED(sl_model_predict_file(NULL, "x", logits));
    REFUSED(sl_model_predict_file(model, NULL, logits));
    REFUSED(sl_model_predict_file(model, "x", NULL));
    REFUSED(sl_inspect(NULL, "x", false, &text));
    REFUSED(sl_inspect(ctx, NULL, false, &text));
    REFUSED(sl_inspect(ctx, "x", false, NULL));
    REFUSED(sl_data_info(NULL, false, &text));
    REFUSED(sl_data_info("x", false, NULL));
    REFUSED(sl_data_index(NULL));
    REFUSED(sl_data_pack(NULL, "x", NULL, &packed));
    REFUSED(sl_data_pack("x", NULL, NULL, &packed));
    REFUSED(sl_data_pack("x", "", NULL, &packed));
    REFUSED(sl_data_pack("x", "y", NULL, NULL));
    REFUSED(sl_train(NULL, recipe, NULL, &result));
    REFUSED(sl_train(ctx, NULL, NULL, &result));
    REFUSED(sl_train(ctx, recipe, NULL, NULL));
    REFUSED(sl_evaluate(NULL, &eval_options, &eval));
    REFUSED(sl_evaluate(model, &eval_options, NULL));
    REFUSED(sl_evaluate(model, NULL, &eval)); /* the model names no set */
    REFUSED(sl_trainer_create(NULL, recipe, 3, &trainer));
    REFUSED(sl_trainer_create(ctx, NULL, 3, &trainer));
    REFUSED(sl_trainer_create(ctx, recipe, 3, NULL));
    REFUSED(sl_trainer_create(ctx, recipe, 0, &trainer));
    REFUSED(sl_trainer_step(NULL, images, labels, &step));
    REFUSED(sl_measure_peak(NULL, SL_F32, 0.01, &flops));
    REFUSED(sl_measure_peak(ctx, SL_DTYPE_COUNT, 0.01, &flops));
    REFUSED(sl_measure_peak(ctx, SL_F32, 0, &flops));
    REFUSED(sl_measure_peak(ctx, SL_F32, 0.01, NULL));
    REFUSED(sl_attention_forward(NULL, NULL, NULL, (sl_strides){0}));
    REFUSED(sl_attention_backward(ctx, NULL, NULL));
    assert_true(!text && !other && !r && !m && !trainer && phi == SL_PHI_RELU && flops == 0);

    assert_int_equal(sl_trainer_create(ctx, recipe, 3, &trainer), SL_OK);
    REFUSED(sl_trainer_step(trainer, NULL, labels, &step));
    REFUSED(sl_trainer_step(trainer, images, NULL, &step));
    REFUSED(sl_trainer_step(trainer, images, labels, NULL));
    labels[7] = 3;
    REFUSED(sl_trainer_step(trainer, images, labels, &step));
    labels[7] = -1;
    REFUSED(sl_trainer_step(trainer, images, labels, &step));
    sl_trainer_free(&trainer);
    print_message("%zu misuses refused\n", refused);
    assert_true(refused >= 60);
}

static void test_null_is_harmless(void **state)
{
    (void)state;
    sl_context *no_context = NULL;
    sl_model *no_model = NULL;
    sl_context_close(NULL);
    sl_context_close(&no_context);
    sl_recipe_free(NULL);
    sl_model_free(NULL);
    sl_model_free(&no_model);
    sl_trainer_free(NULL);
    sl_text_free(NULL);
    sl_context_request_stop(NULL);
    assert_int_equal(sl_context_threads(NULL), 0);
    assert_null(sl_context_isa(NULL));
    assert_null(sl_model_class_name(NULL, 0));
    assert_null(sl_model_class_name(model, 3));
    assert_null(sl_trainer_model(NULL));
    assert_null(sl_phi_name(SL_PHI_COUNT));
    assert_string_equal(sl_status_text(SL_STATUS_COUNT), "unknown status");
    for (int i = 0; i < SL_STATUS_COUNT; i++)
        assert_true(strlen(sl_status_text((sl_status)i)) > 1);
}

static void test_a_stop_counts_once(void **state)
{
    (void)state;
    sl_train_result result;
    const sl_train_options options = {.run_dir = scratch("run")};
    sl_context_request_stop(ctx);
    assert_int_equal(sl_train(ctx, recipe, &options, &result), SL_ERR_INTERRUPTED);
    assert_non_null(strstr(sl_error_message(), "the same command goes on"));
    assert_int_equal(sl_train(ctx, recipe, &options, &result), SL_OK);
    assert_int_equal(result.step, 4);
}

static void stop_at_the_end(void *user, const sl_train_progress *p)
{
    (void)user;
    if (p->step == p->total_steps)
        sl_context_request_stop(ctx);
}

/* A request that comes too late for a run does not wait for the next. */
static void test_a_late_stop_is_settled(void **state)
{
    (void)state;
    sl_train_result result;
    char dirs[2][512];
    for (int i = 0; i < 2; i++) {
        snprintf(dirs[i], sizeof dirs[i], "%s", scratch(i ? "next" : "late"));
        const sl_train_options options = {.run_dir = dirs[i], .progress = stop_at_the_end};
        assert_int_equal(sl_train(ctx, recipe, &options, &result), SL_OK);
        assert_int_equal(result.step, 4);
    }
}

/* A file computes in fp32 wherever it is loaded; bf16 is there for the asking where the CPU has it,
 * which plain C never has. */
static void test_loaded_models_are_fp32(void **state)
{
    (void)state;
    static const char *const bf16[] = {"precision=bf16"}, *const typo[] = {"precision=fp33"};
    const uint8_t images[8 * 8 * 3] = {0};
    const char *path = scratch("m.safetensors");
    float logits[3];
    sl_model_info info;
    sl_model *m = NULL;
    sl_context *plain = NULL;
    assert_int_equal(sl_model_save(model, path), SL_OK);
    assert_int_equal(sl_model_load(ctx, path, &m), SL_OK);
    assert_int_equal(sl_model_get_info(m, &info), SL_OK);
    assert_int_equal(info.dtype, SL_F32);
    sl_model_free(&m);
    assert_int_equal(sl_model_load_with(ctx, path, typo, 1, &m), SL_ERR_CONFIG);
    assert_int_equal(sl_model_load_with(ctx, path, bf16, 1, &m), SL_OK);
    double flops;
    const bool has = sl_measure_peak(ctx, SL_BF16, 1e-3, &flops) == SL_OK;
    assert_int_equal(sl_model_forward(m, images, 1, logits), has ? SL_OK : SL_ERR_UNAVAILABLE);
    assert_true(!has || (sl_model_get_info(m, &info) == SL_OK && info.dtype == SL_BF16));
    sl_model_free(&m);
    assert_int_equal(sl_context_open(&(sl_context_options){.isa = "c"}, &plain), SL_OK);
    assert_int_equal(sl_model_load_with(plain, path, bf16, 1, &m), SL_OK);
    assert_int_equal(sl_model_forward(m, images, 1, logits), SL_ERR_UNAVAILABLE);
    assert_non_null(strstr(sl_error_message(), "use fp32"));
    sl_model_free(&m);
    sl_context_close(&plain);
}

static int set_up(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    put_file(scratch("r.yaml"), recipe_text, strlen(recipe_text));
    return sl_context_open(NULL, &ctx) == SL_OK &&
                   sl_recipe_load(scratch("r.yaml"), NULL, 0, &recipe) == SL_OK &&
                   sl_model_create(ctx, recipe, 3, &model) == SL_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    sl_model_free(&model);
    sl_recipe_free(&recipe);
    sl_context_close(&ctx);
    return scratch_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_and_out_of_range),
        cmocka_unit_test(test_null_is_harmless),
        cmocka_unit_test(test_a_stop_counts_once),
        cmocka_unit_test(test_a_late_stop_is_settled),
        cmocka_unit_test(test_loaded_models_are_fp32),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
