/*
 * Counted, failable, 64-byte aligned heap blocks. A header of 64 bytes before each block holds its
 * size.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/alloc.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/number.h"

enum { ALIGN = 64 };

static atomic_size_t calls, live, peak;
static atomic_size_t fail_in;
static atomic_bool fail_sticky;

void sl_alloc_fail_at(size_t n, bool sticky)
{
    atomic_store(&fail_sticky, sticky);
    atomic_store(&fail_in, n);
}

static bool must_fail(void)
{
    size_t n = atomic_load(&fail_in);
    while (n > 0) {
        const size_t next = n > 1 ? n - 1 : (atomic_load(&fail_sticky) ? 1 : 0);
        if (atomic_compare_exchange_weak(&fail_in, &n, next))
            return n == 1;
    }
    return false;
}

sl_alloc_stats sl_alloc_stats_get(void)
{
    return (sl_alloc_stats){atomic_load(&calls), atomic_load(&live), atomic_load(&peak)};
}

void *sl_calloc(size_t count, size_t size)
{
    size_t bytes, total;
    if (!sl_size_mul(count, size, &bytes) || !sl_size_align(bytes, ALIGN, &total) ||
        !sl_size_add(total, ALIGN, &total)) {
        sl_error_set(SL_ERR_MEMORY, "out of memory: %zu x %zu bytes is more than can be addressed",
                     count, size);
        return NULL;
    }
    char *block = must_fail() ? NULL : aligned_alloc(ALIGN, total);
    if (!block) {
        sl_error_set(SL_ERR_MEMORY, "out of memory: %zu bytes could not be allocated", bytes);
        return NULL;
    }
    memset(block, 0, total);
    memcpy(block, &bytes, sizeof bytes);
    atomic_fetch_add(&calls, 1);
    const size_t now = atomic_fetch_add(&live, bytes) + bytes;
    size_t high = atomic_load(&peak);
    while (now > high && !atomic_compare_exchange_weak(&peak, &high, now)) {
    }
    return block + ALIGN;
}

void sl_free(void *p)
{
    if (!p)
        return;
    char *block = (char *)p - ALIGN;
    size_t bytes;
    memcpy(&bytes, block, sizeof bytes);
    atomic_fetch_sub(&live, bytes);
    free(block);
}

void *sl_regrow(void *p, size_t old_count, size_t count, size_t size)
{
    void *q = sl_calloc(count, size);
    if (q && p) {
        memcpy(q, p, (old_count < count ? old_count : count) * size);
        sl_free(p);
    }
    return q;
}

char *sl_strdup(const char *s)
{
    const size_t n = strlen(s) + 1;
    char *copy = sl_calloc(n, 1);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}

char *sl_asprintf(const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int n = sl_vprint(NULL, 0, fmt, args);
    va_end(args);
    char *text = n < 0 ? NULL : sl_calloc((size_t)n + 1, 1);
    if (text)
        sl_vprint(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text;
}
