/*
 * The few-shot probe against NumPy's eigen-decomposition (make_probe.py).
 *
 * Bound: a Cholesky solve is backward stable, so the relative error of the weights is at most about
 * 4 p^2 u kappa with u = 1.1e-16 and kappa = (lambda_max + l2) / l2, and NumPy's eigen-solve has
 * one like it. lambda_max <= trace = n (D + 10^4), as whitened features have variance 1 and the
 * constant one is 100: 40 * 10,016 = 4.0e5, so kappa = 392 at l2 = 1024 and 1.6e6 at 0.25. With
 * p = 41 at most: 4 * 1681 * 1.1e-16 * 392 = 2.9e-10; with l2 = 0.25, p = 17: 2.0e-7. The issue
 * asks for 1e-6, which is what is demanded of the worst of them; the others get 1e-9.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/threads.h"
#include "eval/probe.h"
#include "format/safetensors.h"

static struct sl_safetensors file;

static int open_file(void **state)
{
    (void)state;
    return sl_st_open(TEST_SOURCE_DIR "/golden/data/probe.safetensors", &file) == SL_OK ? 0 : -1;
}

static int close_file(void **state)
{
    (void)state;
    sl_st_close(&file);
    return 0;
}

/* A tensor of the case, its first dimension and its bytes in a new block. */
static void *get(const char *name, const char *part, size_t *n)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%s", name, part);
    const struct sl_st_tensor *t = sl_st_find(&file, key);
    assert_non_null(t);
    const size_t bytes = (size_t)(t->end - t->begin);
    void *data = sl_calloc(bytes, 1);
    assert_non_null(data);
    assert_int_equal(sl_st_read(&file, t, data, bytes), SL_OK);
    *n = t->shape[0];
    return data;
}

/* The chosen images, listed class by class, as shots. */
static struct sl_shots shots_of(const struct sl_probe_data *d, const int64_t *chosen, size_t n)
{
    struct sl_shots s = {.classes = d->classes, .most = n};
    assert_int_equal(SL_NEW(s.index, d->classes * n), SL_OK);
    assert_int_equal(SL_NEW(s.count, d->classes), SL_OK);
    for (size_t i = 0; i < n; i++) {
        const size_t c = (size_t)d->labels[chosen[i]];
        s.index[c * n + s.count[c]++] = (size_t)chosen[i];
    }
    return s;
}

static void compare(const char *name, double bound, int threads)
{
    size_t n, n_chosen, rows, two;
    struct sl_probe_data d = {.classes = 0};
    d.features = get(name, "features", &d.n);
    d.labels = get(name, "labels", &n);
    int64_t *chosen = get(name, "train", &n_chosen), *test = get(name, "test", &d.n_test);
    double *weights = get(name, "weights", &rows), *meta = get(name, "meta", &two);
    d.width = rows - 1;
    for (size_t i = 0; i < d.n; i++)
        if ((size_t)d.labels[i] >= d.classes)
            d.classes = (size_t)d.labels[i] + 1;
    assert_int_equal(SL_NEW(d.test, d.n_test), SL_OK);
    for (size_t i = 0; i < d.n_test; i++)
        d.test[i] = (size_t)test[i];
    struct sl_shots shots = shots_of(&d, chosen, n_chosen);
    double top1, *w = NULL, worst = 0, largest = 0;
    assert_int_equal(sl_probe_fewshot(threads, &d, &shots, n_chosen, meta[0], &top1, &w), SL_OK);
    for (size_t i = 0; i < rows * d.classes; i++) {
        worst = fmax(worst, fabs(w[i] - weights[i]));
        largest = fmax(largest, fabs(weights[i]));
    }
    print_message("%s: %zu images, %zu features: relative error of the weights %.1e\n", name,
                  n_chosen, rows, worst / largest);
    assert_true(largest > 0 && worst <= bound * largest);
    assert_true(top1 == meta[1]); /* the nearest two scores are 1e-4 apart */
    sl_free(w);
    sl_shots_free(&shots);
    sl_probe_data_free(&d);
    sl_free(chosen);
    sl_free(test);
    sl_free(weights);
    sl_free(meta);
}

static void test_weights(void **state)
{
    (void)state;
    const struct {
        const char *name;
        double bound;
    } cases[] = {{"more_images", 1e-9},
                 {"more_features", 1e-9},
                 {"square", 1e-9},
                 {"one_shot", 1e-9},
                 {"small_l2", 1e-6}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        compare(cases[i].name, cases[i].bound, 1);
        assert_int_equal(sl_threads_acquire(3), SL_OK);
        compare(cases[i].name, cases[i].bound, 3);
        sl_threads_release();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_weights)};
    return cmocka_run_group_tests(tests, open_file, close_file);
}
