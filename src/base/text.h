/*
 * Growing text buffers, escaping of outside bytes, and the nearest known name for "did you mean".
 */
#ifndef SL_BASE_TEXT_H
#define SL_BASE_TEXT_H

#include "base/error.h"

/* Zero-initialise; text is NULL until the first append. Appends after an allocation failure do
 * nothing; sl_text_take reports it. */
typedef struct sl_text {
    char *text;
    size_t length, capacity;
    bool failed;
} sl_text;

void sl_text_addf(sl_text *t, const char *fmt, ...) SL_PRINTF(2, 3);
void sl_text_add(sl_text *t, const char *s);
/* With quotes and escapes: valid JSON and YAML whatever s holds; bytes that are not UTF-8 become
 * U+FFFD. */
void sl_text_add_json_string(sl_text *t, const char *s);
/* Reads back as the same double; null if not finite. */
void sl_text_add_json_number(sl_text *t, double x);
/* Hands the block over (sl_free, or sl_text_free of the API); SL_ERR_MEMORY if an append failed. */
sl_status sl_text_take(sl_text *t, char **out);
void sl_text_clear(sl_text *t);

bool sl_text_is_utf8(const char *s);
bool sl_ends_with(const char *s, const char *end);

/* Bytes from outside made printable: \xNN for control and non-UTF-8 bytes, cut at 200 bytes. */
#define SL_ESCAPED_SIZE 256
const char *sl_escape(const void *bytes, size_t n, char out[SL_ESCAPED_SIZE]);

#endif
