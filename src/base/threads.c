/*
 * The parallel loop over tasks. Builds without OpenMP run it on one thread.
 */
#define _GNU_SOURCE
#include "base/threads.h"

#include <sched.h>
#ifdef _OPENMP
#include <omp.h>
#endif

void sl_parallel_for(int threads, size_t n, sl_task_fn fn, void *arg)
{
#ifdef _OPENMP
    if (threads > 1 && n > 1) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
        for (size_t i = 0; i < n; i++)
            fn(arg, i, (size_t)omp_get_thread_num());
        return;
    }
#endif
    (void)threads;
    for (size_t i = 0; i < n; i++)
        fn(arg, i, 0);
}

int sl_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    const int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}
