/*
 * The clock of everything that is timed: monotonic, so that a set clock changes no duration.
 */
#ifndef SL_BASE_CLOCK_H
#define SL_BASE_CLOCK_H

double sl_now_s(void); /* seconds since some moment */

#endif
