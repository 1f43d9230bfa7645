/*
 * Compute threads: one OpenMP pool for everything. Work is cut into tasks by shape alone, so that
 * no result depends on the number of threads; which thread runs a task is left to the scheduler.
 */
#ifndef SL_BASE_THREADS_H
#define SL_BASE_THREADS_H

#include <stddef.h>

/* Runs task `task` of an index space; worker is 0 .. threads-1 and indexes per-thread scratch. */
typedef void (*sl_task_fn)(void *arg, size_t task, size_t worker);

/* Runs tasks 0 .. n-1 on up to `threads` threads, in any order; returns when all are done. */
void sl_parallel_for(int threads, size_t n, sl_task_fn fn, void *arg);

/* Cores this process may run on. */
int sl_cpu_count(void);

#endif
