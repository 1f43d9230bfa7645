/*
 * Checked size arithmetic: false on overflow, *r untouched. Every size that comes from outside or
 * from a shape passes here.
 */
#ifndef SL_BASE_CHECKED_H
#define SL_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

static inline bool sl_size_mul(size_t a, size_t b, size_t *r)
{
    size_t x;
    if (__builtin_mul_overflow(a, b, &x))
        return false;
    *r = x;
    return true;
}

static inline bool sl_size_add(size_t a, size_t b, size_t *r)
{
    size_t x;
    if (__builtin_add_overflow(a, b, &x))
        return false;
    *r = x;
    return true;
}

/* Rounds up to a multiple of a power of two. */
static inline bool sl_size_align(size_t a, size_t align, size_t *r)
{
    size_t x;
    if (!sl_size_add(a, align - 1, &x))
        return false;
    *r = x & ~(align - 1);
    return true;
}

#endif
