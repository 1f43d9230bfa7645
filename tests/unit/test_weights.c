/*
 * Weight files: everything comes back, every difference between file and model is listed, and
 * metadata that is not ours, too new or damaged is refused.
 */
#define _DEFAULT_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "format/safetensors.h"
#include "model/model.h"
#include "model/posemb.h"
#include "support/files.h"

static char *classes[] = {(char *)"boot", (char *)"caf\xC3\xA9", (char *)"a \"quote\""};
static struct sl_weights_meta meta;
static struct sl_param_table table;
static float *params, *back;

static sl_status table_of(size_t image, size_t n_classes, struct sl_param_table *t)
{
    struct sl_vit_config vit = meta.vit;
    vit.image_height = vit.image_width = image;
    vit.classes = n_classes;
    return sl_param_table_build(&vit, t);
}

static int make(void **state)
{
    struct sl_config config;
    sl_config_defaults(&config);
    struct sl_vit_config *vit = &config.model;
    vit->variant[0] = '\0';
    vit->width = vit->mlp = 8;
    vit->depth = 2;
    vit->heads = 2;
    vit->patch = 4;
    vit->image_height = vit->image_width = 16;
    vit->phi = SL_PHI_RELU;
    vit->alpha = 1.25;
    vit->train_length = 16;
    config.train.total_steps = 1;
    config.train.total_epochs = config.train.total_examples = 0;
    if (scratch_make(state) != 0 || sl_config_resolve(&config) != SL_OK)
        return -1;
    vit->classes = 3;
    meta = (struct sl_weights_meta){.vit = *vit, .data = config.data, .classes = classes};
    meta.step = 123456789;
    snprintf(meta.train_digest, sizeof meta.train_digest, "0123456789abcdef0123456789abcdef");
    if (table_of(16, 3, &table) != SL_OK)
        return -1;
    params = sl_calloc(table.floats, sizeof *params);
    back = sl_calloc(table.floats, sizeof *back);
    for (size_t i = 0; i < table.n; i++)
        for (size_t j = 0; j < table.params[i].count; j++)
            params[table.params[i].offset + j] = (float)cos((double)(i * 1000 + j));
    return params && back ? 0 : -1;
}

static int unmake(void **state)
{
    sl_free(params);
    sl_free(back);
    sl_param_table_free(&table);
    return scratch_remove(state);
}

static const char *write_file(const struct sl_param_table *t)
{
    const char *path = scratch("weights");
    unlink(path);
    assert_int_equal(sl_weights_write(path, &meta, t, params, NULL, NULL), SL_OK);
    return path;
}

static void test_everything_comes_back(void **state)
{
    (void)state;
    struct sl_weights_meta m;
    const char *path = write_file(&table);
    memset(back, 0, table.floats * sizeof *back);
    assert_int_equal(sl_weights_read(path, &table, back), SL_OK);
    assert_memory_equal(back, params, table.floats * sizeof *params);
    assert_int_equal(sl_weights_read_meta(path, &m), SL_OK);
    assert_int_equal(m.step, meta.step);
    assert_string_equal(m.train_digest, meta.train_digest);
    for (int i = 0; i < 3; i++)
        assert_string_equal(m.classes[i], classes[i]);
    assert_true(m.vit.alpha == 1.25 && m.vit.phi == SL_PHI_RELU && m.vit.train_length == 16);
    assert_int_equal(m.vit.depth, 2);
    assert_int_equal(m.vit.classes, 3);
    assert_int_equal(m.data.eval_ops.n, meta.data.eval_ops.n);
    assert_string_equal(m.data.eval, meta.data.eval);
    sl_weights_meta_free(&m);
    assert_null(m.classes);
}

static void test_names_and_metadata(void **state)
{
    (void)state;
    struct sl_safetensors st;
    assert_int_equal(sl_st_open(write_file(&table), &st), SL_OK);
    assert_int_equal(st.n, table.n);
    assert_non_null(sl_st_find(&st, "blocks.1.attn.qkv.weight"));
    assert_int_equal(sl_st_find(&st, "patch_embed.proj.weight")->rank, 4);
    assert_string_equal(sl_st_meta_get(&st, "format"), "pt");
    assert_string_equal(sl_st_meta_get(&st, "softless.version"), "1");
    assert_string_equal(sl_st_meta_get(&st, "softless.classes"),
                        "[\"boot\",\"caf\xC3\xA9\",\"a \\\"quote\\\"\"]");
    sl_st_close(&st);
}

static void test_no_class_names(void **state)
{
    (void)state;
    struct sl_weights_meta m;
    meta.classes = NULL;
    const char *path = write_file(&table);
    meta.classes = classes;
    assert_int_equal(sl_weights_read_meta(path, &m), SL_OK);
    assert_null(m.classes);
    assert_int_equal(m.step, meta.step);
}

/* ---- differences ---- */

static void test_every_difference_is_listed(void **state)
{
    (void)state;
    struct sl_param_table other;
    const char *path = write_file(&table);
    assert_int_equal(table_of(16, 3, &other), SL_OK);
    snprintf(other.params[0].name, sizeof other.params[0].name, "renamed");
    struct sl_param *last = &other.params[other.n - 1];
    last->shape[0]++;
    for (size_t i = 0; i < table.floats; i++)
        back[i] = 7;
    assert_int_equal(sl_weights_read(path, &other, back), SL_ERR_DATA);
    const char *text = sl_error_message();
    char unexpected[160], shape[160];
    snprintf(unexpected, sizeof unexpected, "%s is unexpected", table.params[0].name);
    snprintf(shape, sizeof shape, "%s is [", last->name);
    assert_non_null(strstr(text, "3 tensors do not fit"));
    assert_non_null(strstr(text, "renamed is missing"));
    assert_non_null(strstr(text, unexpected));
    assert_non_null(strstr(text, shape));
    for (size_t i = 0; i < table.floats; i++)
        assert_true(back[i] == 7); /* nothing was read */
    sl_param_table_free(&other);
}

/* More differences than a sentence holds are still counted. */
static void test_many_differences(void **state)
{
    (void)state;
    struct sl_param_table other;
    const char *path = write_file(&table);
    char expected[64];
    assert_int_equal(table_of(16, 3, &other), SL_OK);
    for (size_t i = 0; i < other.n; i++)
        snprintf(other.params[i].name, sizeof other.params[i].name, "other.%zu", i);
    assert_int_equal(sl_weights_read(path, &other, back), SL_ERR_DATA);
    snprintf(expected, sizeof expected, "%zu tensors do not fit", 2 * table.n);
    assert_non_null(strstr(sl_error_message(), expected));
    assert_non_null(strstr(sl_error_message(), "other.1 is missing"));
    sl_param_table_free(&other);
}

static void test_another_grid(void **state)
{
    (void)state;
    struct sl_param_table other;
    const char *path = write_file(&table);
    assert_int_equal(table_of(24, 3, &other), SL_OK);
    assert_int_equal(sl_weights_read(path, &other, back), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "grid of 16 tokens (4 x 4)"));
    assert_non_null(strstr(sl_error_message(), "36 tokens (6 x 6)"));
    sl_param_table_free(&other);
}

static void test_another_head(void **state)
{
    (void)state;
    struct sl_param_table other;
    const char *path = write_file(&table);
    assert_int_equal(table_of(16, 5, &other), SL_OK);
    assert_int_equal(sl_weights_read(path, &other, back), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "head.weight is [3, 8], the model has [5, 8]"));
    float *wide = sl_calloc(other.floats, sizeof *wide);
    assert_non_null(wide);
    for (size_t i = 0; i < other.floats; i++)
        wide[i] = 7;
    assert_int_equal(sl_weights_init(path, &meta.vit, &other, true, wide), SL_OK);
    assert_true(wide[other.params[other.head_w].offset] == 7);
    assert_true(wide[other.params[other.patch_w].offset] ==
                params[table.params[table.patch_w].offset]);
    sl_free(wide);
    sl_param_table_free(&other);
}

/* A head of the same shape belongs to other classes, too: reset is reset. */
static void test_reset_of_a_head_that_fits(void **state)
{
    (void)state;
    const char *path = write_file(&table);
    const struct sl_param *w = &table.params[table.head_w], *b = &table.params[table.head_b];
    for (int reset = 0; reset < 2; reset++) {
        for (size_t i = 0; i < table.floats; i++)
            back[i] = 7;
        assert_int_equal(sl_weights_init(path, &meta.vit, &table, reset, back), SL_OK);
        for (size_t i = 0; i < table.n; i++) {
            const struct sl_param *p = &table.params[i];
            for (size_t e = p->offset; e < p->offset + p->count; e++)
                assert_true(back[e] == (reset && (p == w || p == b) ? 7 : params[e]));
        }
    }
}

static void test_training_on_another_grid(void **state)
{
    (void)state;
    struct sl_param_table other;
    struct sl_vit_config vit = meta.vit;
    float *larger, *expected;
    const char *path = write_file(&table);
    vit.image_height = vit.image_width = 24; /* 6 x 6 patches instead of 4 x 4 */
    assert_int_equal(table_of(24, meta.vit.classes, &other), SL_OK);
    assert_int_equal(SL_NEW(larger, other.floats), SL_OK);
    assert_int_equal(SL_NEW(expected, 6 * 6 * vit.width), SL_OK);
    assert_int_equal(sl_weights_read(path, &other, larger), SL_ERR_DATA);
    assert_int_equal(sl_weights_init(path, &vit, &other, false, larger), SL_OK);
    const float *old = params + table.params[table.pos].offset;
    assert_int_equal(sl_posemb_resample(SL_POSEMB_BICUBIC, old, 4, 4, expected, 6, 6, vit.width),
                     SL_OK);
    assert_memory_equal(larger + other.params[other.pos].offset, expected,
                        6 * 6 * vit.width * sizeof *expected);
    assert_memory_equal(larger + other.params[other.head_w].offset,
                        params + table.params[table.head_w].offset,
                        table.params[table.head_w].count * sizeof *params);
    /* as many patches in another grid: 8 x 2 */
    vit.image_height = 32;
    vit.image_width = 8;
    assert_int_equal(sl_weights_init(path, &vit, &table, false, back), SL_OK);
    assert_int_equal(sl_posemb_resample(SL_POSEMB_BICUBIC, old, 4, 4, expected, 8, 2, vit.width),
                     SL_OK);
    assert_memory_equal(back + table.params[table.pos].offset, expected,
                        8 * 2 * vit.width * sizeof *expected);
    sl_free(larger);
    sl_free(expected);
    sl_param_table_free(&other);
}

/* Weights that sum to one keep what is the same everywhere; back and forth between grids of which
 * one holds the other's points, linear interpolation loses nothing. */
static void test_resampling(void **state)
{
    (void)state;
    float src[3 * 4 * 2], wide[5 * 7 * 2], back_again[3 * 4 * 2];
    for (size_t i = 0; i < 24; i++)
        src[i] = (float)(i * i % 11);
    assert_int_equal(sl_posemb_resample(SL_POSEMB_ALIGNED, src, 3, 4, wide, 5, 7, 2), SL_OK);
    assert_int_equal(sl_posemb_resample(SL_POSEMB_ALIGNED, wide, 5, 7, back_again, 3, 4, 2), SL_OK);
    for (size_t i = 0; i < 24; i++) /* small integers and halves of them: 4 roundings each way */
        assert_true(fabsf(src[i] - back_again[i]) <= 8 * 0x1p-24f * 11);
    for (size_t i = 0; i < 24; i++)
        src[i] = 0.3f;
    static const enum sl_posemb_filter filters[] = {SL_POSEMB_ALIGNED, SL_POSEMB_BICUBIC};
    for (size_t f = 0; f < 2; f++) {
        assert_int_equal(sl_posemb_resample(filters[f], src, 3, 4, wide, 5, 7, 2), SL_OK);
        for (size_t i = 0; i < 70; i++)
            assert_true(fabsf(wide[i] - 0.3f) <= 0x1p-23f);
    }
}

static void test_values_that_are_not_finite(void **state)
{
    (void)state;
    const size_t at = table.params[3].offset + 1;
    const float kept = params[at];
    params[at] = INFINITY;
    const char *path = write_file(&table);
    params[at] = kept;
    assert_int_equal(sl_weights_read(path, &table, back), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), table.params[3].name));
    assert_non_null(strstr(sl_error_message(), "element 1 is not finite"));
}

static void test_damaged_data(void **state)
{
    (void)state;
    size_t n = 0;
    const char *path = write_file(&table);
    unsigned char *bytes = get_file(path, &n);
    bytes[n - 1] ^= 1;
    put_file(path, bytes, n);
    free(bytes);
    assert_int_equal(sl_weights_read(path, &table, back), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "damaged"));
}

/* ---- metadata ---- */

static void test_bad_metadata(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *word; /* replaces the value of a key; NULL leaves it out */
    } bad[] = {
        {"softless.version", NULL, "no \"softless.version\""},
        {"softless.version", "2", "version 2, this program reads up to 1"},
        {"softless.version", "0", "no version"},
        {"softless.version", "", "no version"},
        {"softless.version", "1.0", "no version"},
        {"softless.version", "-1", "no version"},
        {"softless.version", "99999999999999999999", "no version"},
        {"softless.model", NULL, "no \"softless.model\""},
        {"softless.model", "{", ""},
        {"softless.model", "[]", ""},
        {"softless.model", "{\"widht\": 8}", ""},
        {"softless.preprocess", NULL, "no \"softless.preprocess\""},
        {"softless.preprocess", "{\"crop\": 1}", ""},
        {"softless.classes", "[]", "must list 3 names"},
        {"softless.classes", "[\"a\",\"b\"]", "must list 3 names"},
        {"softless.classes", "[\"a\",\"b\",\"c\",\"d\"]", "must list 3 names"},
        {"softless.classes", "[\"a\",\"b\",3]", "[2] must be a string"},
        {"softless.classes", "{\"a\":1,\"b\":2,\"c\":3}", "must list 3 names"},
        {"softless.classes", "[\"a\",\"b\",\"c\"", "bad JSON"},
        {"softless.train", NULL, "no \"softless.train\""},
        {"softless.train", "{\"step\": -1, \"config\": \"\"}", "outside"},
        {"softless.train", "{\"step\": 1}", "\"config\" is missing"},
        {"softless.train", "{\"step\": 1, \"config\": \"0123456789abcdef0123456789abcdef0\"}",
         "longer than 32"},
        {"softless.train", "{\"step\": 1, \"config\": \"\", \"more\": 0}", "unknown key"},
    };
    struct sl_safetensors st;
    assert_int_equal(sl_st_open(write_file(&table), &st), SL_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sl_st_meta entries[16];
        size_t n = 0;
        for (size_t j = 0; j < st.n_meta; j++) {
            const bool hit = strcmp(st.meta[j].key, bad[i].key) == 0;
            if (strcmp(st.meta[j].key, SL_ST_DIGEST_KEY) == 0 || (hit && !bad[i].value))
                continue;
            entries[n] = st.meta[j];
            if (hit)
                entries[n].value = (char *)(uintptr_t)bad[i].value;
            n++;
        }
        struct sl_weights_meta m = {.step = 77};
        unlink(scratch("meta"));
        assert_int_equal(sl_st_write(scratch("meta"), NULL, 0, entries, n, NULL, NULL), SL_OK);
        const sl_status status = sl_weights_read_meta(scratch("meta"), &m);
        if ((status != SL_ERR_DATA && status != SL_ERR_CONFIG) ||
            !strstr(sl_error_message(), bad[i].word))
            fail_msg("%s = %s: status %d, %s", bad[i].key, bad[i].value, status,
                     sl_error_message());
        assert_int_equal(m.step, 77);
    }
    sl_st_close(&st);
    print_message("%zu bad metadata\n", sizeof bad / sizeof *bad);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    size_t failures = 0;
    for (size_t at = 1;; at++, failures++) {
        struct sl_weights_meta m = {0};
        const size_t live = sl_alloc_stats_get().live_bytes;
        const char *path = scratch("alloc");
        unlink(path);
        sl_alloc_fail_at(at, false);
        sl_status st = sl_weights_write(path, &meta, &table, params, NULL, NULL);
        if (st == SL_OK)
            st = sl_weights_read(path, &table, back);
        if (st == SL_OK)
            st = sl_weights_read_meta(path, &m);
        sl_alloc_fail_at(0, false);
        sl_weights_meta_free(&m);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        if (st == SL_OK)
            break;
        assert_int_equal(st, SL_ERR_MEMORY);
    }
    print_message("%zu allocation failures\n", failures);
    assert_true(failures >= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_back),
        cmocka_unit_test(test_names_and_metadata),
        cmocka_unit_test(test_no_class_names),
        cmocka_unit_test(test_every_difference_is_listed),
        cmocka_unit_test(test_many_differences),
        cmocka_unit_test(test_another_grid),
        cmocka_unit_test(test_another_head),
        cmocka_unit_test(test_reset_of_a_head_that_fits),
        cmocka_unit_test(test_training_on_another_grid),
        cmocka_unit_test(test_resampling),
        cmocka_unit_test(test_values_that_are_not_finite),
        cmocka_unit_test(test_damaged_data),
        cmocka_unit_test(test_bad_metadata),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
