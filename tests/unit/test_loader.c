/*
 * What the loader delivers: equal bytes for any number of workers, any prefetch, any cache, any
 * resume point and any number of ranks; epochs that are permutations; evaluation passes.
 */
#define _DEFAULT_SOURCE
#include "loader_case.h"

/* ---- the same bytes ---- */

static void test_same_bytes_for_workers_prefetch_cache(void **state)
{
    (void)state;
    static const size_t prefetches[] = {0, 1, 2, 9}, batches[] = {1, 7, 64};
    struct sl_dataset set = make_set(50);
    size_t compared = 0;
    behaviour.slow = true;
    for (size_t b = 0; b < 3; b++) {
        struct sl_loader_options o = training(&set, batches[b]);
        struct record expected = record(&o, 40);
        for (size_t w = 0; w < WORKER_COUNTS; w++) {
            for (size_t p = 0; p < 4; p++, compared++) {
                o.workers = worker_counts[w];
                o.prefetch = prefetches[p];
                o.cache_mb = p % 2;
                struct record found = record(&o, 40);
                assert_equal_records(&expected, &found, IMAGE);
                free_record(&found);
            }
        }
        free_record(&expected);
    }
    print_message("seed %llu: %zu loaders gave the same bytes\n", (unsigned long long)seed,
                  compared);
    assert_int_equal(compared, 48);
}

static void test_pixels_are_those_of_the_label(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(30);
    struct sl_loader_options o = training(&set, 10);
    struct sl_image img = {0};
    o.ops = &nothing;
    o.workers = 2;
    struct record r = record(&o, 9);
    for (size_t i = 0; i < r.images; i++) {
        assert_int_equal(test_image(&set, (size_t)r.labels[i], &img), SL_OK);
        assert_memory_equal(r.pixels + i * IMAGE, img.pixels, IMAGE);
    }
    sl_image_free(&img);
    free_record(&r);
}

/* Draws differ between epochs: of 200 images about half are flipped differently in the next. */
static void test_augmentation_differs_by_epoch(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(200);
    struct sl_loader_options o = training(&set, 200);
    o.shuffle = false;
    struct record r = record(&o, 2);
    size_t differ = 0;
    for (size_t i = 0; i < 200; i++)
        differ += memcmp(r.pixels + i * IMAGE, r.pixels + (200 + i) * IMAGE, IMAGE) != 0;
    /* 200 fair coins: mean 100, standard deviation 7.1; six of them on either side. */
    assert_in_range(differ, 57, 143);
    free_record(&r);
}

/* ---- order ---- */

static void test_every_epoch_is_a_permutation(void **state)
{
    (void)state;
    enum { N = 101, EPOCHS = 4 };
    struct sl_dataset set = make_set(N);
    struct sl_loader_options o = training(&set, 1);
    struct record r = record(&o, N * EPOCHS);
    for (size_t e = 0; e < EPOCHS; e++) {
        uint8_t seen[N] = {0};
        size_t in_place = 0;
        for (size_t j = 0; j < N; j++) {
            const int32_t label = r.labels[e * N + j];
            assert_in_range(label, 0, N - 1);
            assert_int_equal(seen[label]++, 0);
            in_place += (size_t)label == j;
        }
        assert_true(in_place < 12); /* Poisson with mean 1: P(12 or more) = 1e-9 */
        if (e > 0)
            assert_memory_not_equal(r.labels, r.labels + e * N, N * sizeof *r.labels);
    }
    o.seed++;
    struct record other = record(&o, N);
    assert_memory_not_equal(r.labels, other.labels, N * sizeof *r.labels);
    free_record(&other);
    o.shuffle = false;
    other = record(&o, 2 * N);
    for (size_t j = 0; j < 2 * N; j++)
        assert_int_equal(other.labels[j], j % N);
    free_record(&other);
    free_record(&r);
}

/* Every sample comes first about equally often: a biased shuffle would show. */
static void test_shuffle_is_fair(void **state)
{
    (void)state;
    enum { N = 5, EPOCHS = 2000 };
    struct sl_dataset set = make_set(N);
    struct sl_loader_options o = training(&set, N);
    size_t first[N][N] = {{0}};
    struct record r = record(&o, EPOCHS);
    for (size_t e = 0; e < EPOCHS; e++) {
        for (size_t j = 0; j < N; j++)
            first[j][r.labels[e * N + j]]++;
    }
    for (size_t j = 0; j < N; j++) {
        for (size_t i = 0; i < N; i++) /* binomial: mean 400, deviation 17.9; six of them */
            assert_in_range(first[j][i], 293, 507);
    }
    free_record(&r);
}

static void test_resume_cursor(void **state)
{
    (void)state;
    enum { BATCHES = 30 };
    struct sl_dataset set = make_set(50);
    struct sl_loader_options o = training(&set, 7);
    struct record all = record(&o, BATCHES);
    for (size_t k = 1; k < BATCHES; k++) {
        o.start_batch = k;
        o.workers = k % 3;
        struct record rest = record(&o, BATCHES - k);
        assert_memory_equal(rest.labels, all.labels + k * 7, rest.images * sizeof *rest.labels);
        assert_memory_equal(rest.pixels, all.pixels + k * 7 * IMAGE, rest.images * IMAGE);
        free_record(&rest);
    }
    free_record(&all);
}

static void test_ranks_share_the_same_batches(void **state)
{
    (void)state;
    enum { BATCH = 12, BATCHES = 11 };
    static const size_t worlds[] = {1, 2, 3, 4, 6, 12};
    for (size_t train = 0; train < 2; train++) {
        struct sl_dataset set = make_set(50);
        struct sl_loader_options o = train ? training(&set, BATCH) : evaluation(&set, BATCH);
        struct record all = record(&o, BATCHES);
        for (size_t k = 0; k < 6; k++) {
            size_t n = 0;
            o.world = worlds[k];
            for (o.rank = 0; o.rank < o.world; o.rank++) {
                const size_t local = BATCH / o.world;
                struct record mine = record(&o, BATCHES);
                n += mine.n;
                for (size_t i = 0; i < mine.images; i++) {
                    const size_t j = i / local * BATCH + o.rank * local + i % local;
                    assert_int_equal(mine.labels[i], all.labels[j]);
                    assert_memory_equal(mine.pixels + i * IMAGE, all.pixels + j * IMAGE, IMAGE);
                }
                free_record(&mine);
            }
            assert_int_equal(n, all.n);
        }
        free_record(&all);
    }
}

/* ---- evaluation ---- */

static void test_evaluation_pass(void **state)
{
    (void)state;
    static const uint8_t black[IMAGE];
    struct sl_dataset set = make_set(10);
    struct sl_loader_options o = evaluation(&set, 4);
    for (size_t w = 0; w < WORKER_COUNTS; w++) {
        o.workers = worker_counts[w];
        struct sl_loader *loader = create(&o);
        for (size_t b = 0; b < 9; b++) { /* three passes of batches of 4, 4 and 2 images */
            const struct sl_batch *batch = next(loader);
            const size_t n = b % 3 == 2 ? 2 : 4;
            assert_int_equal(batch->n, n);
            for (size_t i = 0; i < 4; i++) {
                assert_int_equal(batch->labels[i], i < n ? (int)(b % 3 * 4 + i) : -1);
                if (i >= n)
                    assert_memory_equal(batch->images + i * IMAGE, black, IMAGE);
            }
        }
        sl_loader_free(&loader);
    }
}

static void test_evaluation_smaller_than_a_batch(void **state)
{
    (void)state;
    struct sl_dataset set = make_set(1);
    struct sl_loader_options o = evaluation(&set, 5);
    struct record r = record(&o, 2);
    static const int32_t expected[] = {0, -1, -1, -1, -1, 0, -1, -1, -1, -1};
    assert_memory_equal(r.labels, expected, sizeof expected);
    free_record(&r);
    o = training(&set, 5); /* one batch spans five epochs */
    r = record(&o, 2);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(r.labels[i], 0);
    free_record(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes_for_workers_prefetch_cache),
        cmocka_unit_test(test_pixels_are_those_of_the_label),
        cmocka_unit_test(test_augmentation_differs_by_epoch),
        cmocka_unit_test(test_every_epoch_is_a_permutation),
        cmocka_unit_test(test_shuffle_is_fair),
        cmocka_unit_test(test_resume_cursor),
        cmocka_unit_test(test_ranks_share_the_same_batches),
        cmocka_unit_test(test_evaluation_pass),
        cmocka_unit_test(test_evaluation_smaller_than_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
