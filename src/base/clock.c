/*
 * Seconds from CLOCK_MONOTONIC and CLOCK_PROCESS_CPUTIME_ID.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/clock.h"

#include <time.h>

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double sl_now_s(void)
{
    return seconds(CLOCK_MONOTONIC);
}

double sl_cpu_s(void)
{
    return seconds(CLOCK_PROCESS_CPUTIME_ID);
}
