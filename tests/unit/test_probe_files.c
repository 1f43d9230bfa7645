/*
 * What a probe reads and writes: lists of chosen images, kept features, and data sets under one
 * name; with files that must be refused.
 */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "eval/probe.h"
#include "format/safetensors.h"
#include "support/files.h"
#include "support_model.h"

/* Nine images of classes 0, 1, 2 in turn; 8 cannot be used. Training: 0..5, testing: 6, 7. */
static struct sl_probe_data nine(void)
{
    struct sl_probe_data d = {.n = 9, .width = 1, .classes = 3, .n_train = 6, .n_test = 2};
    OK(SL_NEW(d.labels, 9));
    OK(SL_NEW(d.train, 9));
    OK(SL_NEW(d.test, 9));
    for (size_t i = 0; i < 9; i++)
        d.labels[i] = i == 8 ? -1 : (int32_t)(i % 3);
    for (size_t i = 0; i < 6; i++)
        d.train[i] = i;
    d.test[0] = 6;
    d.test[1] = 7;
    return d;
}

static void test_lists(void **state)
{
    (void)state;
    struct sl_probe_data d = nine(), read = nine();
    struct sl_shot_writer w = {.sets = 0};
    struct sl_shot_lists *lists;
    const char *path = scratch("shots.json");
    for (size_t set = 0; set < 2; set++) {
        sl_shot_writer_set(&w, set ? "a \"b\"" : "plain", &d, set == 1);
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct sl_shots shots;
            OK(sl_shots_draw(&d, seed + set, 2, &shots));
            sl_shot_writer_seed(&w, seed, &shots);
            sl_shots_free(&shots);
        }
    }
    OK(sl_shot_writer_end(&w, path));
    OK(sl_shot_lists_read(path, &lists));
    for (size_t set = 0; set < 2; set++) {
        const char *name = set ? "a \"b\"" : "plain";
        bool found;
        sl_free(read.train);
        sl_free(read.test);
        read.train = read.test = NULL;
        OK(sl_shot_lists_get_split(lists, name, &read, &found));
        assert_int_equal(found, set == 1);
        if (found) {
            assert_true(read.n_train == 6 && read.n_test == 2 && read.test[1] == 7);
            assert_memory_equal(read.train, d.train, 6 * sizeof *d.train);
        }
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct sl_shots drawn, got;
            OK(sl_shots_draw(&d, seed + set, 2, &drawn));
            OK(sl_shot_lists_get(lists, name, seed, 2, &d, &got));
            assert_memory_equal(drawn.count, got.count, 3 * sizeof *got.count);
            assert_memory_equal(drawn.index, got.index, 6 * sizeof *got.index);
            sl_shots_free(&drawn);
            sl_shots_free(&got);
        }
    }
    sl_shot_lists_free(&lists);
    sl_probe_data_free(&d);
    sl_probe_data_free(&read);
}

/* Opens the list and asks for the shots of seed 0 (2 of each class); all of that must fail. */
static void expect_bad_list(const char *text, const char *message)
{
    struct sl_probe_data d = nine();
    struct sl_shot_lists *lists = NULL;
    struct sl_shots shots = {0};
    const char *path = scratch("bad.json");
    bool found;
    put_file(path, text, strlen(text));
    sl_status st = sl_shot_lists_read(path, &lists);
    if (st == SL_OK) {
        sl_free(d.train);
        sl_free(d.test);
        d.train = d.test = NULL;
        st = sl_shot_lists_get_split(lists, "s", &d, &found);
        if (st == SL_OK && !found) {
            sl_probe_data_free(&d);
            d = nine();
        }
    }
    if (st == SL_OK)
        st = sl_shot_lists_get(lists, "s", 0, 2, &d, &shots);
    if (st != SL_ERR_DATA || !strstr(sl_error_message(), message))
        fail_msg("%s: status %d, \"%s\" has no \"%s\"", text, (int)st, sl_error_message(), message);
    assert_non_null(strstr(sl_error_message(), "bad.json"));
    sl_shot_lists_free(&lists);
    sl_shots_free(&shots);
    sl_probe_data_free(&d);
}

#define SET(rest) "{\"softless_shots\": 1, \"sets\": [{\"data\": \"s\", \"images\": 9, " rest "}]}"

static void test_bad_lists(void **state)
{
    (void)state;
    const struct {
        const char *text, *message;
    } cases[] = {
        {"", "bad JSON"},
        {"[]", "object"},
        {"{\"sets\": []}", "softless_shots"},
        {"{\"softless_shots\": 0, \"sets\": []}", "must be 1"},
        {"{\"softless_shots\": 2, \"sets\": []}", "softless_shots"},
        {"{\"softless_shots\": 1}", "\"sets\" a list"},
        {"{\"softless_shots\": 1, \"sets\": {}}", "\"sets\" a list"},
        {"{\"softless_shots\": 1, \"sets\": [], \"more\": 1}", "more"},
        {"{\"softless_shots\": 1, \"sets\": [3, null]}", "no shots for set 's'"},
        {"{\"softless_shots\": 1, \"sets\": [{\"data\": \"t\"}]}", "no shots for set 's'"},
        {SET("\"shots\": 3"), "no shots"},
        {SET("\"shots\": {\"1\": [[0, 3], [1], [2]]}"), "seed 0"},
        {SET("\"shots\": {\"0\": [[0, 3], [1, 4]]}"), "3 classes"},
        {SET("\"shots\": {\"0\": [[0, 3], [1, 4], 2]}"), "list of image numbers"},
        {SET("\"shots\": {\"0\": [[0, 3], [1, 4], [2, 9]]}"), "9 images"},
        {SET("\"shots\": {\"0\": [[0, 3], [1, 4], [2, -1]]}"), "9 images"},
        {SET("\"shots\": {\"0\": [[0, 3], [1, 4], [2, 5.0]]}"), "9 images"},
        {SET("\"shots\": {\"0\": [[0, 0], [1, 4], [2, 5]]}"), "listed twice"},
        {SET("\"shots\": {\"0\": [[0, 1], [4, 3], [2, 5]]}"), "of class 1, listed under 0"},
        {SET("\"shots\": {\"0\": [[0, 6], [1, 4], [2, 5]]}"), "not among the training images"},
        {SET("\"shots\": {\"0\": [[0], [1, 4], [2, 5]]}"), "ask for fewer"},
        {SET("\"train\": [0], \"shots\": {}"), "list of image numbers"},
        {SET("\"train\": [0, 1], \"test\": [1], \"shots\": {}"), "listed twice"},
        {SET("\"train\": [9], \"test\": [1], \"shots\": {}"), "9 images"},
        {"{\"softless_shots\": 1, \"sets\": [{\"data\": \"s\", \"images\": 8, \"shots\": {\"0\": "
         "[[0, 3], [1, 4], [2, 5]]}}]}",
         "made for 8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_bad_list(cases[i].text, cases[i].message);
    struct sl_shot_lists *lists;
    assert_int_equal(sl_shot_lists_read(scratch("absent"), &lists), SL_ERR_INPUT);
}

/* ---- kept features ---- */

static const char key_a[] = "0123456789abcdef0123456789abcdef";
static const char key_b[] = "ffffffffffffffff0123456789abcdef";

static void test_store(void **state)
{
    (void)state;
    const float features[] = {1, 2, 3, 4, 5, 6};
    const int32_t labels[] = {0, -1, 7};
    float got[6];
    int32_t got_labels[3];
    bool found;
    struct sl_feature_store *store;
    OK(sl_feature_store_open(scratch("f.safetensors"), &store));
    OK(sl_feature_store_put(store, key_a, 3, 2, features, labels));
    OK(sl_feature_store_put(store, key_b, 2, 3, features, labels));
    sl_feature_store_free(&store);
    OK(sl_feature_store_open(scratch("f.safetensors"), &store));
    OK(sl_feature_store_get(store, key_a, 3, 2, got, got_labels, &found));
    assert_true(found);
    assert_memory_equal(got, features, sizeof features);
    assert_memory_equal(got_labels, labels, sizeof labels);
    OK(sl_feature_store_get(store, "f00", 3, 2, got, got_labels, &found));
    assert_false(found);
    assert_int_equal(sl_feature_store_get(store, key_b, 3, 2, got, got_labels, &found),
                     SL_ERR_DATA);
    sl_feature_store_free(&store);
}

static void expect_bad_store(const struct sl_st_out *tensors, size_t n)
{
    struct sl_feature_store *store = NULL;
    const char *path = scratch("bad.safetensors");
    remove(path);
    OK(sl_st_write(path, tensors, n, NULL, 0, NULL, NULL));
    assert_int_equal(sl_feature_store_open(path, &store), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "bad.safetensors"));
    assert_null(store);
}

static void test_bad_stores(void **state)
{
    (void)state;
    const float f[] = {1, 2, 3, 4};
    const int32_t labels[] = {0, -2};
    char features_name[64], labels_name[64];
    snprintf(features_name, sizeof features_name, "%s.features", key_a);
    snprintf(labels_name, sizeof labels_name, "%s.labels", key_a);
    const struct sl_st_out good = {
        .name = features_name, .dtype = SL_ST_F32, .rank = 2, .shape = {2, 2}, .data = f};
    const struct sl_st_out label = {
        .name = labels_name, .dtype = SL_ST_I32, .rank = 1, .shape = {2}, .data = labels};
    struct sl_st_out pair[2] = {good, label};
    expect_bad_store(&good, 1); /* no labels */
    expect_bad_store(pair, 2);  /* label -2 */
    pair[1].shape[0] = 1;
    expect_bad_store(pair, 2); /* fewer labels */
    pair[1] = label;
    pair[1].dtype = SL_ST_F32;
    expect_bad_store(pair, 2);
    pair[1] = label;
    pair[0].rank = 1;
    pair[0].shape[0] = 4;
    expect_bad_store(pair, 2);
    pair[0] = good;
    pair[0].name = "short.features";
    expect_bad_store(pair, 2);
    pair[0].name = "head.weight"; /* a model's weights are not taken for features */
    expect_bad_store(pair, 2);
}

/* ---- data sets under one name ---- */

static void expect_pair(const char *spec, size_t train, size_t test)
{
    struct sl_dataset *a, *b;
    OK(sl_dataset_open_pair(spec, &a, &b));
    assert_int_equal(sl_dataset_count(a), train);
    assert_int_equal(b ? sl_dataset_count(b) : 0, test);
    sl_dataset_free(&a);
    sl_dataset_free(&b);
}

static void put_image(const char *name)
{
    const uint8_t pixels[3] = {1, 2, 3};
    struct sl_image image = {.h = 1, .w = 1, .pixels = (uint8_t *)(uintptr_t)pixels};
    char path[512];
    snprintf(path, sizeof path, "%s", scratch(name));
    *strrchr(path, '/') = '\0';
    OK(sl_make_dirs(path));
    OK(sl_image_write_png(scratch(name), &image));
}

static void test_pairs(void **state)
{
    (void)state;
    struct sl_dataset *a, *b;
    char spec[1200];
    put_image("both/train/x/1.png");
    put_image("both/train/y/1.png");
    put_image("both/train/y/2.png");
    put_image("both/validation/y/1.png");
    put_image("alone/x/1.png");
    put_image("half/train/x/1.png");
    expect_pair("synthetic:n=5,classes=2,size=4::synthetic:n=3,classes=2,size=4", 5, 3);
    expect_pair("synthetic:n=5,classes=2,size=4", 5, 0);
    expect_pair(scratch("both"), 3, 1);
    snprintf(spec, sizeof spec, "folder:%s", scratch("both"));
    expect_pair(spec, 3, 1);
    put_image("both/val/x/1.png");
    put_image("both/val/x/2.png");
    expect_pair(scratch("both"), 3, 2);
    expect_pair(scratch("alone"), 1, 0);
    assert_int_equal(sl_dataset_open_pair(scratch("half"), &a, &b), SL_ERR_DATA); /* no test/ */
    snprintf(spec, sizeof spec, "%s::%s", scratch("both/val"), scratch("both/train"));
    expect_pair(spec, 2, 3);
    assert_int_equal(sl_dataset_open_pair(scratch("absent"), &a, &b), SL_ERR_INPUT);
    assert_int_equal(sl_dataset_open_pair("synthetic:n=5::absent", &a, &b), SL_ERR_INPUT);
    assert_true(sl_dataset_spec_splits("fashion-mnist") && sl_dataset_spec_splits("idx:dir"));
    assert_false(sl_dataset_spec_splits("synthetic:n=5") || sl_dataset_spec_splits("folder"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists), cmocka_unit_test(test_bad_lists),
        cmocka_unit_test(test_store), cmocka_unit_test(test_bad_stores),
        cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
