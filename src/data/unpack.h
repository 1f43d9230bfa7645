/*
 * A compressed file (gzip, xz, zstd) read from front to back.
 */
#ifndef SL_DATA_UNPACK_H
#define SL_DATA_UNPACK_H

#include "base/error.h"

struct sl_unpack;

/* By the ending of its name: .tar.gz, .tgz, .tar.xz, .txz, .tar.zst. */
bool sl_unpack_is(const char *path);
/* SL_ERR_DATA if the file is not compressed in one of these ways, exactly once. */
sl_status sl_unpack_open(const char *path, struct sl_unpack **unpack);
/* Up to n bytes; *got < n only at the end. SL_ERR_DATA: damage, or a file that grows to more than
 * any shard can (a bomb). */
sl_status sl_unpack_read(struct sl_unpack *unpack, void *buf, size_t n, size_t *got);
/* Unpacked bytes read so far. */
uint64_t sl_unpack_at(const struct sl_unpack *unpack);
/* Reads on to an offset that is not before sl_unpack_at; SL_ERR_DATA if the file ends first. */
sl_status sl_unpack_skip_to(struct sl_unpack *unpack, uint64_t offset);
void sl_unpack_free(struct sl_unpack **unpack);

#endif
