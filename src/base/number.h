/*
 * Numbers as text, the same under every locale: the host program may have set LC_NUMERIC, but
 * files, messages and recipes always have a decimal point.
 */
#ifndef SL_BASE_NUMBER_H
#define SL_BASE_NUMBER_H

#include <stdarg.h>

#include "base/error.h"

/* The whole text in decimal notation with an optional exponent: no blanks, no hexadecimal, no inf,
 * no nan. False, *x untouched, if it is anything else or not finite. */
bool sl_parse_real(const char *text, double *x);

/* snprintf and vsnprintf. */
int sl_print(char *out, size_t size, const char *fmt, ...) SL_PRINTF(3, 4);
int sl_vprint(char *out, size_t size, const char *fmt, va_list args) SL_PRINTF(3, 0);

#endif
