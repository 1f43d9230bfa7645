/*
 * Evaluation by label sets: several right answers for an image, the classes that model and data set
 * share, numbers as class names; against answers ranked by hand, with files that must be refused.
 */
#define _DEFAULT_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "eval/eval.h"
#include "support/files.h"
#include "support_model.h"

/* Classes by folder: apple 3 images, cow 2, unknown 2; the model knows apple, bee, cow, dog, elk.
 */
static const char *const model_names[TINY_CLASSES] = {"elk", "dog", "cow", "bee", "apple"};
static const int32_t model_class[7] = {4, 4, 4, 2, 2, -1, -1};
enum { IMAGES = 7 };

static void make_set(void)
{
    static const char *const files[IMAGES] = {"apple/v_1.png",  "apple/v_2.png", "apple/v_7.png",
                                              "cow/v_3.png",    "cow/v_4.png",   "unknown/v_5.png",
                                              "unknown/v_6.png"};
    uint8_t pixels[8 * 12 * 3];
    sl_rng rng = sl_rng_at(1, SL_RNG_TEST, 0, 0);
    for (size_t i = 0; i < IMAGES; i++) {
        char path[256];
        struct sl_image image = {.h = 8, .w = 12, .pixels = pixels};
        for (size_t j = 0; j < sizeof pixels; j++)
            pixels[j] = (uint8_t)sl_rng_u32(&rng);
        snprintf(path, sizeof path, "%s/set/%s", scratch_dir, files[i]);
        *strrchr(path, '/') = '\0';
        OK(sl_make_dirs(path));
        snprintf(path, sizeof path, "%s/set/%s", scratch_dir, files[i]);
        OK(sl_image_write_png(path, &image));
    }
}

static int make(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    make_set();
    return 0;
}

/* The set, a tiny net, and its logits of every image. */
struct scene {
    struct sl_dataset *set;
    struct tiny t;
    float logits[IMAGES][TINY_CLASSES];
};

static void open_scene(struct scene *s)
{
    const struct sl_vit_config vit = tiny_config();
    const float *out;
    struct sl_image image = {.h = 0};
    OK(sl_dataset_open(scratch("set"), &s->set));
    tiny_open(&s->t, &vit, SL_F32, false, 2, 0.5);
    for (size_t i = 0; i < IMAGES; i++) {
        OK(sl_dataset_image(s->set, i, &image));
        OK(sl_net_forward(s->t.net, image.pixels, 1, 1, &out));
        OK(s->t.dev->ops->download(s->t.dev, s->logits[i], out, sizeof s->logits[i]));
    }
    sl_image_free(&image);
}

static void close_scene(struct scene *s)
{
    tiny_close(&s->t);
    sl_dataset_free(&s->set);
}

static sl_eval_result evaluate(struct scene *s, const char *labels, bool intersect)
{
    struct sl_label_set set;
    struct sl_loader *loader;
    sl_eval_result r;
    const struct sl_pipeline_config ops = {.n = 0};
    const struct sl_loader_options options = {
        .set = s->set, .ops = &ops, .out_h = 8, .out_w = 12, .batch = TINY_BATCH, .world = 1};
    OK(sl_label_set_make(s->set, model_names, TINY_CLASSES, labels, intersect, &set));
    OK(sl_loader_create(&options, &loader));
    OK(sl_eval_label_set(s->t.net, s->t.dev, loader, TINY_BATCH, &set, &r));
    sl_loader_free(&loader);
    sl_label_set_free(&set);
    return r;
}

/* The answer among the classes allowed. */
static int32_t answer(const float z[TINY_CLASSES], const bool *allowed)
{
    int32_t best = -1;
    for (int32_t c = 0; c < TINY_CLASSES; c++)
        if (allowed[c] && (best < 0 || z[c] > z[best]))
            best = c;
    return best;
}

static void test_intersection(void **state)
{
    (void)state;
    static const bool shared[TINY_CLASSES] = {[2] = true, [4] = true};
    struct scene s;
    size_t right = 0;
    open_scene(&s);
    for (size_t i = 0; i < IMAGES; i++)
        right += answer(s.logits[i], shared) == model_class[i];
    const sl_eval_result r = evaluate(&s, NULL, true);
    assert_true(r.images == IMAGES && r.set_classes == 3 && r.matched_classes == 2);
    assert_true(r.top1 == (double)right / IMAGES && right > 0);
    assert_true(r.top5 == 5.0 / IMAGES); /* of two candidates, within five: all that are known */
    assert_true(isnan(r.loss) && r.unlabelled == 0 && r.skipped == 0);
    struct sl_label_set set;
    assert_int_equal(sl_label_set_make(s.set, model_names, TINY_CLASSES, NULL, false, &set),
                     SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "'unknown'"));
    static const char *const strangers[] = {"x", "y"};
    assert_int_equal(sl_label_set_make(s.set, strangers, 2, NULL, true, &set), SL_ERR_DATA);
    close_scene(&s);
}

/* Image v_N.png has entry N - 1; the folders' order is 1, 2, 7, 3, 4, 5, 6. */
static void test_several_labels(void **state)
{
    (void)state;
    static const bool shared[TINY_CLASSES] = {[2] = true, [4] = true};
    struct scene s;
    open_scene(&s);
    const char *list = "[[1], [0, 1], [], [0], [2], [1, 2], []]";
    const char *object = "{\"v_1.png\": [1], \"apple/v_2.png\": [\"cow\", \"apple\"], "
                         "\"v_3.png\": [], \"v_4.png\": 0, \"v_5.png\": [\"unknown\"], "
                         "\"v_6.png\": [1, 2]}";
    put_file(scratch("list.json"), list, strlen(list));
    put_file(scratch("object.json"), object, strlen(object));
    size_t right = 1; /* v_2: whichever of the two it is */
    right += answer(s.logits[0], shared) == 2;
    right += answer(s.logits[4], shared) == 4;
    right += answer(s.logits[6], shared) == 2; /* v_5 is wrong: nothing that is known is right */
    for (int i = 0; i < 2; i++) {
        const sl_eval_result r = evaluate(&s, scratch(i ? "object.json" : "list.json"), true);
        assert_true(r.images == 5 && r.unlabelled == 2); /* v_3, v_7 */
        assert_true(r.top1 == (double)right / 5 && r.top5 == 4.0 / 5);
    }
    close_scene(&s);
}

static void test_bad_files(void **state)
{
    (void)state;
    const struct {
        const char *text, *message;
    } cases[] = {
        {"", "bad JSON"},
        {"3", "bad.json"},
        {"\"x\"", "bad.json"},
        {"[[3]]", "3 classes"},
        {"[[-1]]", "3 classes"},
        {"[[0.5]]", "3 classes"},
        {"[[null]]", "3 classes"},
        {"[[\"zebra\"]]", "3 classes"},
        {"[{}]", "3 classes"},
        {"[]", "no labels for any"},
        {"{}", "no labels for any"},
        {"{\"other.png\": [0]}", "no labels for any"},
        {"{\"v_1.png\": [0], \"v_1.png\": [1]}", "bad JSON"},
    };
    struct sl_dataset *set, *unnamed;
    struct sl_label_set out;
    OK(sl_dataset_open(scratch("set"), &set));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_file(scratch("bad.json"), cases[i].text, strlen(cases[i].text));
        const sl_status st =
            sl_label_set_make(set, model_names, TINY_CLASSES, scratch("bad.json"), true, &out);
        if (st != SL_ERR_DATA || !strstr(sl_error_message(), cases[i].message) ||
            !strstr(sl_error_message(), "bad.json"))
            fail_msg("%s: status %d, \"%s\"", cases[i].text, (int)st, sl_error_message());
    }
    assert_int_equal(sl_label_set_make(set, model_names, TINY_CLASSES, scratch("no"), true, &out),
                     SL_ERR_INPUT);
    OK(sl_dataset_open("synthetic:n=3,classes=3,size=8", &unnamed));
    put_file(scratch("bad.json"), "[[0], [1]]", 10);
    assert_int_equal(sl_label_set_make(unnamed, NULL, 3, scratch("bad.json"), false, &out),
                     SL_ERR_DATA); /* two entries for three images without names */
    put_file(scratch("bad.json"), "[[0], [1], []]", 14);
    OK(sl_label_set_make(unnamed, NULL, 3, scratch("bad.json"), false, &out));
    assert_true(out.right[0] == 0 && out.right[1] == 1 && out.first[3] == 2 && !out.labelled[2]);
    sl_label_set_free(&out);
    sl_dataset_free(&unnamed);
    sl_dataset_free(&set);
}

/* ImageNet-v2's folders are class numbers, sorted as text: 0, 10, 2. */
static void test_number_names(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"};
    static const char *const folders[] = {"0", "10", "2"};
    const uint8_t pixel[3] = {1, 2, 3};
    struct sl_image image = {.h = 1, .w = 1, .pixels = (uint8_t *)(uintptr_t)pixel};
    struct sl_dataset *set;
    int32_t map[3];
    for (size_t i = 0; i < 3; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/v2/%s", scratch_dir, folders[i]);
        OK(sl_make_dirs(path));
        snprintf(path, sizeof path, "%s/v2/%s/x.png", scratch_dir, folders[i]);
        OK(sl_image_write_png(path, &image));
    }
    OK(sl_dataset_open(scratch("v2"), &set));
    assert_int_equal(sl_dataset_class_map(set, names, 11, map), 3);
    assert_true(map[0] == 0 && map[1] == 10 && map[2] == 2);
    assert_int_equal(sl_dataset_class_map(set, names, 10, map), 0); /* 10 is no number of it */
    OK(sl_dataset_match_classes(set, names, 11));
    assert_true(sl_dataset_label(set, 1) == 10 && sl_dataset_label(set, 2) == 2);
    sl_dataset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intersection),
        cmocka_unit_test(test_several_labels),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_number_names),
    };
    unsetenv("SOFTLESS_DATA");
    return cmocka_run_group_tests(tests, make, scratch_remove);
}
