/*
 * The few-shot probe's choices and its two known ends: features that know nothing of the labels
 * give chance, features that are the labels give 100 %. (Its arithmetic:
 * tests/golden/test_probe.c.)
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "eval/probe.h"
#include "support_model.h"

/* n images of random classes; features N(0, 1), plus `signal` at the place of the class. */
static struct sl_probe_data make(size_t n, size_t width, size_t classes, double signal,
                                 uint64_t seed)
{
    struct sl_probe_data d = {.n = n, .width = width, .classes = classes};
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 0, 0);
    OK(SL_NEW(d.features, n * width));
    OK(SL_NEW(d.labels, n));
    for (size_t i = 0; i < n; i++) {
        d.labels[i] = (int32_t)sl_rng_below(&rng, classes);
        for (size_t j = 0; j < width; j++)
            d.features[i * width + j] = (float)sl_rng_normal(&rng);
        if (signal != 0)
            d.features[i * width + (size_t)d.labels[i]] += (float)signal;
    }
    return d;
}

static double probe(const struct sl_probe_data *d, uint64_t seed, size_t count)
{
    struct sl_shots shots;
    double top1;
    OK(sl_shots_draw(d, seed, count, &shots));
    OK(sl_probe_fewshot(1, d, &shots, count, 1024, &top1, NULL));
    sl_shots_free(&shots);
    return top1;
}

static double knn(struct sl_device *dev, const struct sl_probe_data *d, size_t k)
{
    double top1;
    OK(sl_probe_knn(dev, d, k, &top1));
    return top1;
}

/* Of T = 6000 test images whose labels are independent of the features, T/C are right with a
 * standard deviation below sqrt(T / C); five of them are allowed, passed once in a million draws.
 * The draws are fixed, so this cannot fail by chance later. */
static void test_chance(void **state)
{
    (void)state;
    const size_t widths[] = {8, 200}; /* n >= p, and n < p with 10 shots of 5 classes */
    struct sl_device *dev;
    OK(sl_device_open("cpu", 2, NULL, &dev));
    for (size_t w = 0; w < 2; w++) {
        struct sl_probe_data d = make(12000, widths[w], 5, 0, 11 + w);
        OK(sl_probe_split(&d, 0.5));
        const double sd = sqrt(1 / (5.0 * (double)d.n_test));
        for (uint64_t seed = 0; seed < 3; seed++)
            assert_true(fabs(probe(&d, seed, 10) - 0.2) < 5 * sd);
        assert_true(fabs(knn(dev, &d, 20) - 0.2) < 5 * sd);
        sl_probe_data_free(&d);
    }
    sl_device_close(&dev);
}

/* Features are the one-hot label times 100, plus N(0, 1): whitened by five shots or more, an image
 * is nearer to the shots of its class than to any other by tens of standard deviations, so that
 * one shot of each class is enough. (Features of noise beside them would be whitened up to the same
 * size.) */
static void test_perfect(void **state)
{
    (void)state;
    struct sl_device *dev;
    struct sl_probe_data d = make(5000, 5, 5, 100, 3);
    OK(sl_device_open("cpu", 2, NULL, &dev));
    OK(sl_probe_split(&d, 0.5));
    for (size_t count = 1; count <= 25; count += 8)
        assert_true(probe(&d, 0, count) == 1);
    assert_true(knn(dev, &d, 1) == 1 && knn(dev, &d, 20) == 1 && knn(dev, &d, 400) == 1);
    /* Classes swapped in the test images: all are wrong, so that "right" is not what is counted. */
    for (size_t i = 0; i < d.n_test; i++)
        d.labels[d.test[i]] = (d.labels[d.test[i]] + 1) % 5;
    assert_true(probe(&d, 0, 10) == 0);
    assert_true(knn(dev, &d, 20) == 0);
    sl_probe_data_free(&d);
    sl_device_close(&dev);
}

/* Cosines found by a double loop, over several chunks of training images; every vote is compared
 * through the number of right answers at k = 1, where the nearest image decides alone. */
static void test_nearest(void **state)
{
    (void)state;
    struct sl_device *dev;
    struct sl_probe_data d = make(9500, 6, 3, 1, 5);
    size_t right = 0;
    OK(sl_device_open("cpu", 1, NULL, &dev));
    OK(sl_probe_split(&d, 0.95));
    for (size_t i = 0; i < d.n_test; i++) {
        const float *x = d.features + d.test[i] * d.width;
        double best = -2;
        int32_t label = -1;
        for (size_t j = 0; j < d.n_train; j++) {
            const float *y = d.features + d.train[j] * d.width;
            double dot = 0, length = 0;
            for (size_t k = 0; k < d.width; k++) {
                dot += (double)x[k] * (double)y[k];
                length += (double)y[k] * (double)y[k];
            }
            if (dot / sqrt(length) > best) {
                best = dot / sqrt(length);
                label = d.labels[d.train[j]];
            }
        }
        right += label == d.labels[d.test[i]];
    }
    assert_true(d.n_train > 2 * 4096 && right < d.n_test);
    assert_true(knn(dev, &d, 1) == (double)right / (double)d.n_test);
    sl_probe_data_free(&d);
    sl_device_close(&dev);
}

static void test_shots(void **state)
{
    (void)state;
    struct sl_probe_data d = make(300, 4, 6, 0, 7);
    struct sl_shots few, most, other;
    for (size_t i = 0; i < d.n; i++) /* class 5: three images; and some that cannot be used */
        d.labels[i] = i % 50 == 49 ? -1 : d.labels[i] == 5 ? 4 : d.labels[i];
    d.labels[10] = d.labels[20] = d.labels[30] = 5;
    OK(sl_probe_split(&d, 0.7));
    OK(sl_shots_draw(&d, 0, 4, &few));
    OK(sl_shots_draw(&d, 0, 9, &most));
    OK(sl_shots_draw(&d, 1, 9, &other));
    size_t same = 0, members = 0;
    for (size_t c = 0; c < d.classes; c++) {
        assert_int_equal(most.count[c], c == 5 ? 2 : 9);
        assert_int_equal(few.count[c], c == 5 ? 2 : 4);
        for (size_t i = 0; i < most.count[c]; i++) {
            const size_t index = most.index[c * 9 + i];
            size_t in_train = 0, twice = 0;
            for (size_t j = 0; j < d.n_train; j++)
                in_train += d.train[j] == index;
            for (size_t j = 0; j < i; j++)
                twice += most.index[c * 9 + j] == index;
            assert_true(in_train == 1 && twice == 0);
            assert_int_equal(d.labels[index], c);
            if (i < few.count[c])
                assert_int_equal(few.index[c * 4 + i], index);
            same += other.index[c * 9 + i] == index;
            members++;
        }
    }
    /* Nine of about 35 at their places: seldom the same; all of them never. */
    assert_true(members == 47 && same < members / 4);
    sl_shots_free(&few);
    sl_shots_free(&most);
    sl_shots_free(&other);
    sl_probe_data_free(&d);
}

static void test_split(void **state)
{
    (void)state;
    struct sl_probe_data d = make(400, 3, 4, 0, 9);
    size_t total[4] = {0}, train[4] = {0}, seen = 0;
    d.labels[0] = -1;
    for (size_t i = 0; i < d.n; i++)
        d.labels[i] = d.labels[i] == 3 ? 2 : d.labels[i];
    d.labels[1] = 3; /* one image: it trains */
    OK(sl_probe_split(&d, 0.25));
    for (size_t i = 0; i < d.n; i++)
        if (d.labels[i] >= 0)
            total[d.labels[i]]++;
    for (size_t i = 0; i < d.n_train; i++) {
        train[d.labels[d.train[i]]]++;
        for (size_t j = 0; j < d.n_test; j++)
            seen += d.train[i] == d.test[j];
    }
    assert_int_equal(seen, 0);
    assert_int_equal(d.n_train + d.n_test, d.n - 1);
    for (size_t c = 0; c < 3; c++)
        assert_int_equal(train[c], (size_t)rint(0.25 * (double)total[c]));
    assert_int_equal(train[3], 1);
    sl_probe_data_free(&d);
}

/* The features are what the head sees: the head applied to them gives the logits. Both sums have
 * width + 1 terms: |difference| <= (D + 4) 2^-24 sum|terms|. */
static void test_features_are_the_heads_input(void **state)
{
    (void)state;
    for (int rep = 0; rep < 2; rep++) {
        struct sl_vit_config vit = rep ? tiny_config_full() : tiny_config();
        struct tiny t;
        const float *logits;
        tiny_open(&t, &vit, SL_F32, false, 2, 0.5);
        OK(sl_net_forward(t.net, t.images, TINY_BATCH, 1, &logits));
        const struct sl_param_table *table = sl_net_params(t.net);
        const float *f = sl_net_features(t.net), *params = sl_net_param_data(t.net);
        const float *w = params + table->params[table->head_w].offset;
        const float *b = params + table->params[table->head_b].offset;
        const size_t D = vit.width;
        double largest = 0;
        for (size_t i = 0; i < TINY_BATCH * TINY_CLASSES; i++) {
            const size_t image = i / TINY_CLASSES, c = i % TINY_CLASSES;
            double sum = (double)b[c], terms = fabs((double)b[c]);
            for (size_t j = 0; j < D; j++) {
                const double term = (double)f[image * D + j] * (double)w[c * D + j];
                sum += term;
                terms += fabs(term);
            }
            assert_true(fabs(sum - (double)logits[i]) <= (double)(D + 4) * 0x1p-24 * terms);
            largest = fmax(largest, fabs(sum));
        }
        assert_true(largest > 0.1);
        tiny_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chance),  cmocka_unit_test(test_perfect),
        cmocka_unit_test(test_nearest), cmocka_unit_test(test_shots),
        cmocka_unit_test(test_split),   cmocka_unit_test(test_features_are_the_heads_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
