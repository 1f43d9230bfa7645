/*
 * Error sentences, one buffer per thread, and the texts of sl_status.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

static _Thread_local char message[SL_ERROR_TEXT_SIZE];

static const char *const status_text[SL_STATUS_COUNT] = {
    [SL_OK] = "ok",
    [SL_ERR_ARGUMENT] = "bad argument",
    [SL_ERR_USAGE] = "usage error",
    [SL_ERR_DATA] = "bad data",
    [SL_ERR_INPUT] = "missing input",
    [SL_ERR_UNAVAILABLE] = "unavailable",
    [SL_ERR_UNSUPPORTED] = "unsupported",
    [SL_ERR_INTERNAL] = "internal error",
    [SL_ERR_MEMORY] = "out of memory",
    [SL_ERR_CREATE] = "cannot create output",
    [SL_ERR_IO] = "input or output error",
    [SL_ERR_INTERRUPTED] = "interrupted",
    [SL_ERR_DIVERGED] = "diverged",
    [SL_ERR_CONFIG] = "configuration error",
};

sl_status sl_error_set(sl_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    sl_vprint(message, sizeof message, fmt, args);
    va_end(args);
    return status;
}

sl_status sl_error_prefix(sl_status status, const char *fmt, ...)
{
    char old[SL_ERROR_TEXT_SIZE];
    sl_error_copy(old);
    va_list args;
    va_start(args, fmt);
    const int n = sl_vprint(message, sizeof message, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof message)
        snprintf(message + n, sizeof message - (size_t)n, ": %s", old);
    return status;
}

void sl_error_copy(char text[SL_ERROR_TEXT_SIZE])
{
    memcpy(text, message, sizeof message);
}

const char *sl_error_message(void)
{
    return message;
}

const char *sl_status_text(sl_status status)
{
    return (unsigned)status < SL_STATUS_COUNT ? status_text[status] : "unknown status";
}
