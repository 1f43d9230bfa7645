/*
 * Compute threads: one pool for everything. Work is cut into tasks by shape alone, so that no
 * result depends on the number of threads; which thread runs a task is left to who is free.
 */
#ifndef SL_BASE_THREADS_H
#define SL_BASE_THREADS_H

#include "base/error.h"

/* Runs task `task` of an index space; worker is 0 .. threads-1 and indexes per-thread scratch. */
typedef void (*sl_task_fn)(void *arg, size_t task, size_t worker);

/* Runs tasks 0 .. n-1 on up to `threads` threads, in any order; returns when all are done. Without
 * a pool, inside a task, or while another thread uses the pool, all tasks run on the calling
 * thread. */
void sl_parallel_for(int threads, size_t n, sl_task_fn fn, void *arg);

/* Makes sure that `threads` threads (the caller's counted) stand ready until the matching release;
 * the last release ends them. SL_ERR_MEMORY if they cannot be started. */
sl_status sl_threads_acquire(int threads);
void sl_threads_release(void);

/* Cores this process may run on. */
int sl_cpu_count(void);

#endif
