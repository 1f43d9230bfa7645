/*
 * The pool behind sl_parallel_for. A worker that runs out of work spins for some microseconds,
 * which is longer than the gap between two ops of a step, and then sleeps on a futex, so that an
 * idle or crowded machine loses nothing to spinning (OpenMP's default spins for milliseconds: on
 * two shared cores a training step took four times as long).
 */
#define _GNU_SOURCE
#include "base/threads.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"

enum { MAX_THREADS = 4096, SPINS = 2000 };

/* One job at a time. All workers take part in every job, if only to see that their index is beyond
 * `threads`: so no worker can read a job while the next one is written. */
static struct {
    sl_task_fn fn;
    void *arg;
    size_t threads;
} job;

/* The tasks of a job that are a worker's own: a contiguous share, the same one for ops cut alike,
 * so that what it wrote in one op it finds in its cache in the next. Whoever is done helps others.
 */
struct share {
    _Alignas(64) atomic_size_t next;
    size_t end;
};
static struct share *shares; /* [threads], the caller's first */

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER; /* held while a job runs */
static pthread_t *workers;
static int n_workers, users;
static int spins; /* 0 when there are more threads than cores */
/* A word that threads wait for. Sequentially consistent: either the sleeper is counted before the
 * waker looks, or the kernel sees the new word and does not let it sleep. */
struct gate {
    atomic_uint word, sleepers;
};
static struct gate generation; /* workers wait for it to change */
static struct gate running;    /* workers in the job; the caller waits for 0 */
static atomic_bool ending;
static _Thread_local bool in_task;

static void gate_sleep(struct gate *g, unsigned value)
{
    atomic_fetch_add(&g->sleepers, 1);
    syscall(SYS_futex, &g->word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    atomic_fetch_sub(&g->sleepers, 1);
}

static void gate_wake(struct gate *g)
{
    if (atomic_load(&g->sleepers) > 0)
        syscall(SYS_futex, &g->word, FUTEX_WAKE_PRIVATE, MAX_THREADS, NULL, NULL, 0);
}

static void relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void run_tasks(size_t worker)
{
    in_task = true;
    for (size_t k = 0; k < job.threads; k++) {
        struct share *s = &shares[(worker + k) % job.threads];
        for (size_t i; (i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) < s->end;)
            job.fn(job.arg, i, worker);
    }
    in_task = false;
}

/* Returns once the word differs from `value` and gives the new one. */
static unsigned gate_wait(struct gate *g, unsigned value)
{
    unsigned now;
    for (int i = 0; i < spins; i++) {
        if ((now = atomic_load_explicit(&g->word, memory_order_acquire)) != value)
            return now;
        relax();
    }
    while ((now = atomic_load(&g->word)) == value)
        gate_sleep(g, value);
    return now;
}

/* A worker is born knowing the generation in force. */
struct birth {
    size_t index;
    unsigned seen;
};

static void *work(void *arg)
{
    const struct birth birth = *(struct birth *)arg;
    unsigned seen = birth.seen;
    sl_free(arg);
    for (;;) {
        seen = gate_wait(&generation, seen);
        if (atomic_load(&ending))
            return NULL;
        if (birth.index < job.threads)
            run_tasks(birth.index);
        if (atomic_fetch_sub(&running.word, 1) == 1)
            gate_wake(&running);
    }
}

void sl_parallel_for(int threads, size_t n, sl_task_fn fn, void *arg)
{
    bool mine = threads > 1 && n > 1 && !in_task && pthread_mutex_trylock(&pool_lock) == 0;
    if (mine && n_workers == 0) {
        pthread_mutex_unlock(&pool_lock);
        mine = false;
    }
    if (!mine) {
        for (size_t i = 0; i < n; i++)
            fn(arg, i, 0);
        return;
    }
    job.fn = fn;
    job.arg = arg;
    job.threads = (size_t)(threads <= n_workers ? threads : n_workers + 1);
    for (size_t t = 0, first = 0; t < job.threads; t++) {
        const size_t end = first + n / job.threads + (t < n % job.threads);
        atomic_store_explicit(&shares[t].next, first, memory_order_relaxed);
        shares[t].end = first = end;
    }
    atomic_store(&running.word, (unsigned)n_workers);
    atomic_fetch_add(&generation.word, 1);
    gate_wake(&generation);
    run_tasks(0);
    for (unsigned left; (left = atomic_load(&running.word)) != 0;)
        gate_wait(&running, left);
    pthread_mutex_unlock(&pool_lock);
}

/* Ends all workers; pool_lock is held. */
static void end_workers(void)
{
    atomic_store(&ending, true);
    atomic_fetch_add(&generation.word, 1);
    gate_wake(&generation);
    for (int i = 0; i < n_workers; i++)
        pthread_join(workers[i], NULL);
    atomic_store(&ending, false);
    sl_free(workers);
    sl_free(shares);
    workers = NULL;
    shares = NULL;
    n_workers = 0;
}

/* pool_lock is held. */
static sl_status start_workers(int count)
{
    sl_status st = SL_NEW(workers, (size_t)count);
    if (st == SL_OK)
        st = SL_NEW(shares, (size_t)count + 1);
    if (st != SL_OK) {
        end_workers();
        return st;
    }
    for (int i = 0; i < count; i++) {
        struct birth *birth = sl_calloc(1, sizeof *birth);
        const bool started =
            birth && (*birth = (struct birth){(size_t)i + 1, atomic_load(&generation.word)},
                      pthread_create(&workers[i], NULL, work, birth) == 0);
        if (!started) {
            sl_free(birth);
            end_workers();
            SL_FAIL(SL_ERR_MEMORY, "thread %d of %d cannot be started; use fewer threads", i + 2,
                    count + 1);
        }
        n_workers++;
    }
    return SL_OK;
}

sl_status sl_threads_acquire(int threads)
{
    sl_status st = SL_OK;
    pthread_mutex_lock(&pool_lock);
    if (threads - 1 > n_workers) {
        end_workers();
        spins = threads <= sl_cpu_count() ? SPINS : 0;
        st = start_workers(threads - 1);
    }
    if (st == SL_OK)
        users++;
    pthread_mutex_unlock(&pool_lock);
    return st;
}

void sl_threads_release(void)
{
    pthread_mutex_lock(&pool_lock);
    if (--users == 0)
        end_workers();
    pthread_mutex_unlock(&pool_lock);
}

int sl_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    const int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}
