/*
 * The clocks of everything that is timed: monotonic, so that a set clock changes no duration.
 */
#ifndef SL_BASE_CLOCK_H
#define SL_BASE_CLOCK_H

double sl_now_s(void); /* seconds since some moment */
double sl_cpu_s(void); /* processor seconds of all threads of the process so far */

#endif
