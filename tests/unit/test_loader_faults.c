/*
 * Bad samples, failing machines and the loader's life: errors and skipped samples follow the order
 * of batches, whoever meets them first; nothing is allocated in the middle; it can be freed at any
 * moment.
 */
#define _DEFAULT_SOURCE
#include "loader_case.h"

/* ---- bad samples ---- */

/* Number of the first batch that fails, with the failure's text. */
static size_t first_failure(const struct sl_loader_options *o, sl_status expected,
                            char text[SL_ERROR_TEXT_SIZE])
{
    struct sl_loader *loader = create(o);
    const struct sl_batch *batch = NULL, *before = NULL;
    size_t b = 0;
    sl_status st;
    while ((st = sl_loader_next(loader, &batch)) == SL_OK && b < 1000) {
        before = batch;
        b++;
    }
    assert_int_equal(st, expected);
    assert_ptr_equal(batch, before); /* untouched by the failure */
    sl_error_copy(text);
    assert_int_equal(sl_loader_next(loader, &batch), expected); /* and it stays so */
    assert_string_equal(sl_error_message(), text);
    sl_loader_free(&loader);
    return b;
}

static void test_stop_reports_the_first_in_order(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(60);
    struct sl_loader_options o = training(&set, 40);
    struct record clean = record(&o, 3);
    const size_t places[] = {47, 44, 58}; /* of the stream: batch 1 has three bad images */
    for (size_t i = 0; i < 3; i++)
        behaviour.bad[clean.labels[places[i]]] = SL_ERR_DATA;
    behaviour.slow = true;
    char expected[SL_ERROR_TEXT_SIZE], text[SL_ERROR_TEXT_SIZE], word[64];
    snprintf(word, sizeof word, "sample %d is made to fail", clean.labels[44]);
    for (size_t w = 0; w < WORKER_COUNTS; w++) {
        o.workers = worker_counts[w];
        assert_int_equal(first_failure(&o, SL_ERR_DATA, w == 0 ? expected : text), 1);
        assert_non_null(strstr(expected, word));
        if (w > 0)
            assert_string_equal(text, expected);
    }
    free_record(&clean);
}

static void test_skip_takes_the_next_of_the_stream(void **state)
{
    (void)state;
    enum { N = 50, BATCH = 8, BATCHES = 20, STREAM = BATCH * BATCHES };
    struct sl_dataset set = make_set(N);
    struct sl_loader_options o = training(&set, BATCH);
    struct record clean = record(&o, BATCHES + 3);
    static const size_t bad[] = {3, 17, 18, 19, 42};
    for (size_t i = 0; i < 5; i++)
        behaviour.bad[bad[i]] = i % 2 ? SL_ERR_INPUT : SL_ERR_DATA;
    behaviour.slow = true;
    o.on_bad = SL_BAD_SKIP;
    o.max_bad_fraction = 0.1; /* exactly the 5 of 50 */
    struct record first = {0};
    for (size_t w = 0; w < WORKER_COUNTS; w++) {
        o.workers = worker_counts[w];
        struct record r = record(&o, BATCHES);
        for (size_t p = 0; p < STREAM; p++) {
            size_t q = p;
            while (behaviour.bad[clean.labels[q]] != 0)
                q++;
            assert_int_equal(r.labels[p], clean.labels[q]);
        }
        if (w == 0)
            first = r;
        else
            assert_equal_records(&first, &r, IMAGE);
        if (w > 0)
            free_record(&r);
    }
    struct sl_loader *loader = create(&o);
    for (size_t b = 0; b < BATCHES; b++)
        next(loader);
    assert_int_equal(sl_loader_bad_samples(loader), 5); /* each once in three epochs */
    sl_loader_free(&loader);
    free_record(&first);
    free_record(&clean);
}

static void test_bound_on_bad_samples(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(50);
    struct sl_loader_options o = training(&set, 10);
    struct record clean = record(&o, 5);
    behaviour.bad[clean.labels[4]] = behaviour.bad[clean.labels[33]] = SL_ERR_DATA;
    o.on_bad = SL_BAD_SKIP;
    o.max_bad_fraction = 0.02; /* one of 50 */
    char text[SL_ERROR_TEXT_SIZE];
    for (size_t w = 0; w < WORKER_COUNTS; w++) {
        o.workers = worker_counts[w];
        assert_int_equal(first_failure(&o, SL_ERR_DATA, text), 3);
        assert_non_null(strstr(text, "bad samples: 2 of 50"));
        assert_non_null(strstr(text, "max_bad_fraction"));
    }
    free_record(&clean);
}

static void test_tries_are_bounded(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(200);
    struct sl_loader_options o = training(&set, 1);
    char text[SL_ERROR_TEXT_SIZE];
    o.shuffle = false;
    o.on_bad = SL_BAD_SKIP;
    o.max_bad_fraction = 1;
    for (size_t i = 20; i < 36; i++) /* 16 in a row can be passed over */
        behaviour.bad[i] = SL_ERR_DATA;
    struct record r = record(&o, 40);
    assert_int_equal(r.labels[20], 36);
    free_record(&r);
    behaviour.bad[36] = SL_ERR_DATA; /* 17 cannot */
    o.workers = 2;
    assert_int_equal(first_failure(&o, SL_ERR_DATA, text), 20);
    assert_non_null(strstr(text, "17 bad samples in a row"));
}

static void test_evaluation_leaves_a_bad_place_empty(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(10);
    struct sl_loader_options o = evaluation(&set, 4);
    behaviour.bad[5] = SL_ERR_DATA;
    o.on_bad = SL_BAD_SKIP;
    o.max_bad_fraction = 0.1;
    struct sl_loader *loader = create(&o);
    assert_int_equal(next(loader)->n, 4);
    const struct sl_batch *batch = next(loader);
    assert_int_equal(batch->n, 3);
    assert_int_equal(batch->labels[0], 4);
    assert_int_equal(batch->labels[1], -1);
    assert_int_equal(batch->labels[2], 6);
    assert_int_equal(sl_loader_bad_samples(loader), 1);
    sl_loader_free(&loader);
}

static void test_machine_failures_are_not_skipped(void **state)
{
    (void)state;
    static const sl_status machine[] = {SL_ERR_IO, SL_ERR_MEMORY};
    char text[SL_ERROR_TEXT_SIZE];
    for (size_t i = 0; i < 2; i++) {
        struct sl_dataset set = make_set(20);
        struct sl_loader_options o = training(&set, 4);
        o.shuffle = false;
        o.on_bad = SL_BAD_SKIP;
        o.max_bad_fraction = 1;
        o.workers = 2;
        behaviour.bad[9] = (uint8_t)machine[i];
        assert_int_equal(first_failure(&o, machine[i], text), 2);
    }
}

/* ---- cache, memory, life ---- */

static void test_cache_decodes_once_and_changes_nothing(void **state)
{
    (void)state;
    enum { N = 60, BIG = 128, BIG_IMAGE = BIG * BIG * 3 }; /* 48 KiB each, 2.8 MiB in all */
    static const size_t budgets[] = {0, 1, 2, 3, 100};
    struct sl_dataset set = make_set(N);
    behaviour.side = BIG;
    set.h = set.w = 0;
    struct sl_loader_options o = training(&set, 10);
    struct record expected = record(&o, 18);
    size_t decoded[5];
    for (size_t i = 0; i < 5; i++) {
        o.cache_mb = budgets[i];
        atomic_store(&behaviour.decoded, 0);
        struct record r = record(&o, 18);
        decoded[i] = atomic_load(&behaviour.decoded);
        assert_equal_records(&expected, &r, BIG_IMAGE);
        free_record(&r);
        o.workers = 3;
        r = record(&o, 18);
        assert_equal_records(&expected, &r, BIG_IMAGE);
        free_record(&r);
        o.workers = 0;
    }
    assert_int_equal(decoded[0], 3 * N);
    /* A cached image takes 48 KiB and 64 bytes of the budget: 21 fit in 1 MiB, 42 in 2. */
    assert_int_equal(decoded[1], 3 * N - 2 * 21);
    assert_int_equal(decoded[2], 3 * N - 2 * 42);
    assert_int_equal(decoded[3], N);
    assert_int_equal(decoded[4], N);
    free_record(&expected);
}

/* What is cached are the images past the fixed ops: 48 KiB become 192 bytes, so 1 MiB holds all. */
static void test_fixed_ops_run_once(void **state)
{
    (void)state;
    enum { N = 60, BIG = 128 };
    static const struct sl_pipeline_config ops = {
        .n = 3, .ops = {"resize(12, bicubic)", "central_crop(8)", "flip_lr"}};
    struct sl_dataset set = make_set(N);
    behaviour.side = BIG;
    set.h = set.w = 0;
    struct sl_loader_options o = training(&set, 10);
    o.ops = &ops;
    o.out_h = o.out_w = 8;
    struct record expected = record(&o, 18);
    for (size_t w = 0; w < WORKER_COUNTS; w++) {
        o.workers = worker_counts[w];
        o.cache_mb = 1;
        atomic_store(&behaviour.decoded, 0);
        struct record r = record(&o, 18);
        if (w == 0)
            assert_int_equal(atomic_load(&behaviour.decoded), N);
        assert_equal_records(&expected, &r, 8 * 8 * 3);
        free_record(&r);
    }
    free_record(&expected);
}

static void test_nothing_is_allocated_after_creation(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(50);
    for (size_t w = 0; w < 2 * WORKER_COUNTS; w++) {
        struct sl_loader_options o = training(&set, 7);
        o.workers = worker_counts[w / 2];
        o.cache_mb = w % 2;
        struct sl_loader *loader = create(&o);
        const size_t calls = sl_alloc_stats_get().calls;
        for (size_t b = 0; b < 50; b++)
            next(loader);
        assert_int_equal(sl_alloc_stats_get().calls, calls);
        sl_loader_free(&loader);
    }
}

static void test_freed_at_any_moment(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(50);
    const size_t live = sl_alloc_stats_get().live_bytes;
    size_t freed = 0;
    behaviour.slow = true;
    for (size_t i = 0; i < 60; i++, freed++) {
        struct sl_loader_options o = training(&set, 1 + i % 20);
        o.workers = i % 4;
        o.cache_mb = i % 2;
        struct sl_loader *loader = create(&o);
        for (size_t b = 0; b < i % 3; b++)
            next(loader);
        if (i % 5 == 0)
            usleep(500);
        sl_loader_free(&loader);
    }
    struct sl_loader *none = NULL;
    sl_loader_free(&none);
    sl_loader_free(NULL);
    assert_int_equal(freed, 60);
    assert_int_equal(sl_alloc_stats_get().live_bytes, live);
}

static void test_waiting_is_counted(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(26);
    behaviour.slow = true; /* samples 5 and 18 sleep 0.3 ms each */
    struct sl_loader_options o = training(&set, 26);
    struct sl_loader *loader = create(&o);
    assert_true(sl_loader_wait_s(loader) == 0);
    next(loader);
    assert_true(sl_loader_wait_s(loader) >= 0.0006);
    sl_loader_free(&loader);
}

static void test_options_are_checked(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(10);
    const struct sl_loader_options good = training(&set, 6);
    struct sl_loader_options bad[9];
    for (size_t i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].batch = 0;
    bad[1].world = 0;
    bad[2].world = 4; /* does not divide 6 */
    bad[3].rank = 1;
    bad[4].out_h = 0;
    bad[5].workers = 1 << 20;
    bad[6].prefetch = 1 << 20;
    bad[7].out_w = SIZE_MAX / 8;
    bad[8].cache_mb = SIZE_MAX >> 19;
    for (size_t i = 0; i < 9; i++) {
        struct sl_loader *loader = NULL;
        assert_int_equal(sl_loader_create(&bad[i], &loader), SL_ERR_CONFIG);
        assert_null(loader);
    }
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(10);
    struct sl_loader_options o = training(&set, 4);
    struct sl_loader *loader = NULL;
    size_t failures = 0;
    o.workers = 2;
    o.cache_mb = 1;
    o.on_bad = SL_BAD_SKIP;
    const size_t before = sl_alloc_stats_get().calls;
    assert_int_equal(sl_loader_create(&o, &loader), SL_OK);
    const size_t n = sl_alloc_stats_get().calls - before;
    sl_loader_free(&loader);
    for (size_t at = 1; at <= n; at++) {
        const size_t live = sl_alloc_stats_get().live_bytes;
        sl_alloc_fail_at(at, false);
        const sl_status st = sl_loader_create(&o, &loader);
        sl_alloc_fail_at(0, false);
        assert_true(st == SL_ERR_MEMORY ? loader == NULL : st == SL_OK);
        failures += st != SL_OK;
        sl_loader_free(&loader);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
    }
    print_message("allocation failures: %zu of %zu\n", failures, n);
    assert_int_equal(failures, n - 1); /* a cache without memory for its images is none */
    assert_true(n >= 20); /* three slots of four blocks, two workers, orders, cache, ... */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_reports_the_first_in_order),
        cmocka_unit_test(test_skip_takes_the_next_of_the_stream),
        cmocka_unit_test(test_bound_on_bad_samples),
        cmocka_unit_test(test_tries_are_bounded),
        cmocka_unit_test(test_evaluation_leaves_a_bad_place_empty),
        cmocka_unit_test(test_machine_failures_are_not_skipped),
        cmocka_unit_test(test_cache_decodes_once_and_changes_nothing),
        cmocka_unit_test(test_fixed_ops_run_once),
        cmocka_unit_test(test_nothing_is_allocated_after_creation),
        cmocka_unit_test(test_freed_at_any_moment),
        cmocka_unit_test(test_waiting_is_counted),
        cmocka_unit_test(test_options_are_checked),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
