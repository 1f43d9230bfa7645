/*
 * Errors: born in SL_FAIL with one sentence, carried up by SL_TRY, read by sl_error_message().
 */
#ifndef SL_BASE_ERROR_H
#define SL_BASE_ERROR_H

#include "softless.h"

/* Records one sentence (what, where, what to do) for this thread and returns `status`. */
sl_status sl_error_set(sl_status status, const char *fmt, ...) SL_PRINTF(2, 3);

/* Puts "context: " before the recorded sentence; returns `status`. */
sl_status sl_error_prefix(sl_status status, const char *fmt, ...) SL_PRINTF(2, 3);

/* Saves and restores the sentence, to carry it from a worker thread to the caller's. */
#define SL_ERROR_TEXT_SIZE 1024
void sl_error_copy(char text[SL_ERROR_TEXT_SIZE]);

#define SL_FAIL(status, ...) return sl_error_set((status), __VA_ARGS__)

/* Forwards a failure to the caller. */
#define SL_TRY(call)                                                                               \
    do {                                                                                           \
        const sl_status sl_try_ = (call);                                                          \
        if (sl_try_ != SL_OK)                                                                      \
            return sl_try_;                                                                        \
    } while (0)

/* The same where something must be freed: needs a local `sl_status st` and a label `fail`. */
#define SL_TRY_FREE(call)                                                                          \
    do {                                                                                           \
        st = (call);                                                                               \
        if (st != SL_OK)                                                                           \
            goto fail;                                                                             \
    } while (0)

#endif
