/*
 * The C library's conversions, with the locale of the calling thread set to "C" around them: the
 * one way that touches no other thread.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/number.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static locale_t c_locale; /* glibc hands out a static object: nothing to free, nothing that fails */

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static locale_t enter(void)
{
    pthread_once(&once, make_locale);
    return c_locale ? uselocale(c_locale) : (locale_t)0;
}

static void leave(locale_t before)
{
    if (before)
        uselocale(before);
}

bool sl_parse_real(const char *text, double *x)
{
    char *end;
    if (*text == '\0' || strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    const locale_t before = enter();
    const double value = strtod(text, &end);
    leave(before);
    if (*end != '\0' || !isfinite(value))
        return false;
    *x = value;
    return true;
}

int sl_vprint(char *out, size_t size, const char *fmt, va_list args)
{
    const locale_t before = enter();
    const int n = vsnprintf(out, size, fmt, args);
    leave(before);
    return n;
}

int sl_print(char *out, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int n = sl_vprint(out, size, fmt, args);
    va_end(args);
    return n;
}
