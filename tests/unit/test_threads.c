/*
 * The thread pool: every task once, indices in range, calls that nest or meet, and no thread left.
 * Nothing is asserted from another thread; tasks only count.
 */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/threads.h"

enum { MOST = 1000, MAX_THREADS = 8, NESTED = 10 };

/* What the tasks of one call counted. */
struct counts {
    atomic_uint runs[MOST];
    atomic_uint worker[MAX_THREADS];
    atomic_uint wrong; /* task or worker out of range */
    size_t n, workers;
};

static void count(void *arg, size_t task, size_t worker)
{
    struct counts *c = arg;
    if (task >= c->n || worker >= c->workers) {
        atomic_fetch_add(&c->wrong, 1);
        return;
    }
    atomic_fetch_add(&c->runs[task], 1);
    atomic_fetch_add(&c->worker[worker], 1);
}

static void clear(struct counts *c, size_t n, size_t workers)
{
    memset(c, 0, sizeof *c);
    c->n = n;
    c->workers = workers;
}

static void expect_each_once(struct counts *c, unsigned times)
{
    size_t sum = 0;
    assert_int_equal(atomic_load(&c->wrong), 0);
    for (size_t i = 0; i < c->n; i++)
        assert_int_equal(atomic_load(&c->runs[i]), times);
    for (size_t i = 0; i < c->workers; i++)
        sum += atomic_load(&c->worker[i]);
    assert_int_equal(sum, c->n * times);
}

/* Threads of this process; a joined one may stand in the list for a moment longer. */
static size_t live_threads(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void expect_threads(size_t n)
{
    for (int tries = 0; live_threads() != n && tries < 2000; tries++)
        usleep(1000);
    assert_int_equal(live_threads(), n);
}

static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 64, MOST};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void test_every_task_once(void **state)
{
    static struct counts c;
    size_t calls = 0;
    (void)state;
    for (int pool = 0; pool <= MAX_THREADS; pool++) {
        if (pool > 0)
            assert_int_equal(sl_threads_acquire(pool), SL_OK);
        for (int threads = 1; threads <= MAX_THREADS; threads++)
            for (size_t i = 0; i < SIZES; i++, calls++) {
                clear(&c, sizes[i], (size_t)threads);
                sl_parallel_for(threads, sizes[i], count, &c);
                expect_each_once(&c, 1);
            }
        if (pool > 0)
            sl_threads_release();
    }
    print_message("calls: %zu\n", calls);
}

/* A barrier that every worker must reach shows that the threads asked for all take part. */
struct meeting {
    atomic_uint arrived;
    unsigned wanted;
    atomic_uint worker[MAX_THREADS];
};

static void meet(void *arg, size_t task, size_t worker)
{
    struct meeting *m = arg;
    (void)task;
    atomic_fetch_add(&m->worker[worker], 1);
    atomic_fetch_add(&m->arrived, 1);
    for (int i = 0; atomic_load(&m->arrived) < m->wanted && i < 20000; i++)
        usleep(1000);
}

static void test_all_threads_work_at_once(void **state)
{
    (void)state;
    assert_int_equal(sl_threads_acquire(MAX_THREADS), SL_OK);
    for (unsigned threads = 2; threads <= MAX_THREADS; threads++) {
        struct meeting m = {.wanted = threads};
        sl_parallel_for((int)threads, threads, meet, &m);
        assert_int_equal(atomic_load(&m.arrived), threads);
        for (unsigned i = 0; i < MAX_THREADS; i++)
            assert_int_equal(atomic_load(&m.worker[i]), i < threads);
    }
    sl_threads_release();
}

/* ---- nesting ---- */

struct outer {
    atomic_uint inner_runs, moved, wrong_worker;
};
struct inner {
    struct outer *outer;
    pthread_t thread;
    size_t next; /* tasks of an inline call come in order */
};

static void inner_task(void *arg, size_t task, size_t worker)
{
    struct inner *in = arg;
    if (!pthread_equal(in->thread, pthread_self()) || task != in->next++)
        atomic_fetch_add(&in->outer->moved, 1);
    if (worker != 0)
        atomic_fetch_add(&in->outer->wrong_worker, 1);
    atomic_fetch_add(&in->outer->inner_runs, 1);
}

static void outer_task(void *arg, size_t task, size_t worker)
{
    struct inner in = {.outer = arg, .thread = pthread_self()};
    (void)task;
    (void)worker;
    sl_parallel_for(MAX_THREADS, NESTED, inner_task, &in);
}

static void test_nested_calls_run_inline(void **state)
{
    (void)state;
    assert_int_equal(sl_threads_acquire(4), SL_OK);
    for (int round = 0; round < 50; round++) {
        struct outer o = {0};
        sl_parallel_for(4, 20, outer_task, &o);
        assert_int_equal(atomic_load(&o.inner_runs), 20 * NESTED);
        assert_int_equal(atomic_load(&o.moved), 0);
        assert_int_equal(atomic_load(&o.wrong_worker), 0);
    }
    sl_threads_release();
}

/* ---- several callers ---- */

enum { CALLERS = 3, ROUNDS = 300 };
struct caller {
    struct counts c;
    atomic_uint *start;
};

static void *call_often(void *arg)
{
    struct caller *caller = arg;
    atomic_fetch_add(caller->start, 1);
    while (atomic_load(caller->start) < CALLERS)
        usleep(100);
    for (int i = 0; i < ROUNDS; i++)
        sl_parallel_for(4, caller->c.n, count, &caller->c);
    return NULL;
}

static void test_callers_at_once(void **state)
{
    static struct caller callers[CALLERS];
    atomic_uint start = 0;
    pthread_t threads[CALLERS];
    (void)state;
    assert_int_equal(sl_threads_acquire(4), SL_OK);
    for (size_t i = 0; i < CALLERS; i++) {
        clear(&callers[i].c, 50 + i, 4);
        callers[i].start = &start;
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (size_t i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < CALLERS; i++)
        expect_each_once(&callers[i].c, ROUNDS);
    sl_threads_release();
}

/* What tasks wrote is seen by the caller, and the next call's tasks see what the caller wrote. */
static void add_one(void *arg, size_t task, size_t worker)
{
    (void)worker;
    ((uint64_t *)arg)[task]++;
}

static void test_results_are_seen(void **state)
{
    uint64_t cells[64] = {0};
    (void)state;
    assert_int_equal(sl_threads_acquire(4), SL_OK);
    for (uint64_t i = 0; i < 5000; i++) {
        sl_parallel_for(4, 64, add_one, cells);
        for (size_t k = 0; k < 64; k++) {
            assert_true(cells[k] == 2 * i + 1);
            cells[k]++;
        }
    }
    sl_threads_release();
}

/* ---- life of the pool ---- */

static void test_no_thread_is_left(void **state)
{
    static struct counts c;
    const size_t before = live_threads(), live = sl_alloc_stats_get().live_bytes;
    (void)state;
    for (int i = 0; i < 100; i++) {
        const int threads = 1 + i % MAX_THREADS;
        assert_int_equal(sl_threads_acquire(threads), SL_OK);
        expect_threads(before + (size_t)threads - 1);
        clear(&c, 20, (size_t)threads);
        sl_parallel_for(threads, 20, count, &c);
        expect_each_once(&c, 1);
        sl_threads_release();
        expect_threads(before);
    }
    assert_int_equal(sl_alloc_stats_get().live_bytes, live);
}

/* The pool grows for a user who needs more, never shrinks under one, and ends with the last. */
static void test_several_users(void **state)
{
    const size_t before = live_threads();
    (void)state;
    assert_int_equal(sl_threads_acquire(2), SL_OK);
    expect_threads(before + 1);
    assert_int_equal(sl_threads_acquire(5), SL_OK);
    expect_threads(before + 4);
    assert_int_equal(sl_threads_acquire(3), SL_OK);
    expect_threads(before + 4);
    sl_threads_release();
    sl_threads_release();
    expect_threads(before + 4);
    struct meeting m = {.wanted = 5};
    sl_parallel_for(5, 5, meet, &m);
    assert_int_equal(atomic_load(&m.arrived), 5);
    sl_threads_release();
    expect_threads(before);
}

/* Each allocation of an acquire fails in turn: no thread and no byte is left. */
static void test_allocation_failures(void **state)
{
    static struct counts c;
    const size_t before = live_threads(), live = sl_alloc_stats_get().live_bytes;
    size_t failures = 0;
    (void)state;
    for (size_t at = 1;; at++, failures++) {
        sl_alloc_fail_at(at, false);
        const sl_status st = sl_threads_acquire(4);
        sl_alloc_fail_at(0, false);
        if (st == SL_OK)
            break;
        assert_int_equal(st, SL_ERR_MEMORY);
        expect_threads(before);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        clear(&c, 20, 4);
        sl_parallel_for(4, 20, count, &c); /* without a pool: inline */
        expect_each_once(&c, 1);
        assert_int_equal(atomic_load(&c.worker[0]), 20);
    }
    sl_threads_release();
    assert_int_equal(failures, 5); /* workers, shares and three births */
    expect_threads(before);
}

static void test_cpu_count(void **state)
{
    (void)state;
    assert_in_range(sl_cpu_count(), 1, sysconf(_SC_NPROCESSORS_CONF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_once),
        cmocka_unit_test(test_all_threads_work_at_once),
        cmocka_unit_test(test_nested_calls_run_inline),
        cmocka_unit_test(test_callers_at_once),
        cmocka_unit_test(test_results_are_seen),
        cmocka_unit_test(test_no_thread_is_left),
        cmocka_unit_test(test_several_users),
        cmocka_unit_test(test_allocation_failures),
        cmocka_unit_test(test_cpu_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
