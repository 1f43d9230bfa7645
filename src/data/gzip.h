/*
 * A strict gzip reader over bytes in memory.
 */
#ifndef SL_DATA_GZIP_H
#define SL_DATA_GZIP_H

#include "base/error.h"

struct sl_gzip;

bool sl_gzip_is(const void *bytes, size_t n); /* by the first two bytes */
/* bytes are borrowed until sl_gzip_free; what: name for errors, borrowed too. */
sl_status sl_gzip_open(const void *bytes, size_t n, const char *what, struct sl_gzip **gz);
/* Exactly n inflated bytes; SL_ERR_DATA if the stream is damaged or ends before. */
sl_status sl_gzip_read(struct sl_gzip *gz, void *buf, size_t n);
/* Demands that the member ends here with a right checksum and length and that nothing follows. */
sl_status sl_gzip_end(struct sl_gzip *gz);
void sl_gzip_free(struct sl_gzip **gz);

#endif
