/*
 * All heap memory passes here: counted (tests prove that a step allocates nothing) and failable
 * (tests fail the n-th allocation). Blocks are zeroed and aligned to 64 bytes.
 */
#ifndef SL_BASE_ALLOC_H
#define SL_BASE_ALLOC_H

#include "base/error.h"

/* NULL with the error recorded when count*size overflows or memory is out; a block of no bytes is a
 * block like any other. */
void *sl_calloc(size_t count, size_t size);
/* Grows or shrinks to `count` elements; old content kept, new bytes zeroed; p stays valid when
 * NULL comes back. old_count is what p holds now. */
void *sl_regrow(void *p, size_t old_count, size_t count, size_t size);
void sl_free(void *p); /* accepts NULL */
char *sl_strdup(const char *s);
/* printf into a fresh block; NULL when memory is out. */
char *sl_asprintf(const char *fmt, ...) SL_PRINTF(1, 2);

/* ptr = zeroed array of count elements; SL_OK or SL_ERR_MEMORY. */
#define SL_NEW(ptr, count)                                                                         \
    (((ptr) = sl_calloc((count), sizeof *(ptr))) != NULL ? SL_OK : SL_ERR_MEMORY)

/* Counters for tests: allocations since start, bytes live now, the highest bytes live. */
typedef struct sl_alloc_stats {
    size_t calls, live_bytes, peak_bytes;
} sl_alloc_stats;
sl_alloc_stats sl_alloc_stats_get(void);

/* Tests: fail the n-th allocation from now (1 = next); sticky = and all after it; 0 = never. */
void sl_alloc_fail_at(size_t n, bool sticky);

#endif
