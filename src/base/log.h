/*
 * Log lines go to the receiver of sl_set_log; without one they are dropped.
 */
#ifndef SL_BASE_LOG_H
#define SL_BASE_LOG_H

#include "softless.h"

void sl_log(sl_log_level level, const char *fmt, ...) SL_PRINTF(2, 3);

#endif
