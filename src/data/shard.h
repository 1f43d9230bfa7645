/*
 * One WebDataset shard: where its images lie and what their labels are.
 */
#ifndef SL_DATA_SHARD_H
#define SL_DATA_SHARD_H

#include "data/tar.h"

enum { SL_SHARD_CLASSES_MAX = 1 << 20 };

struct sl_shard_sample {
    uint64_t offset; /* of the image file in the tar */
    uint32_t size;
    int32_t label;
};

struct sl_shard {
    uint64_t bytes;                  /* of the tar */
    struct sl_shard_sample *samples; /* [n], by offset; owned */
    size_t n, room;
    uint64_t ignored; /* members that are neither image nor label of a sample */
};

/* Reads all headers and labels of a tar. *shard is untouched on failure. */
sl_status sl_shard_scan(const struct sl_tar_input *in, struct sl_shard *shard);
void sl_shard_free(struct sl_shard *shard);
/* Also used by whoever writes a shard. */
sl_status sl_shard_add(struct sl_shard *shard, uint64_t offset, size_t size, int32_t label);

/* ---- index files: what sl_shard_scan found, so that a shard opens without being read ---- */

#define SL_INDEX_ENDING ".idx"
#define SL_CLASSES_FILE "classes.txt" /* beside the shards: class names, one a line */
/* Writes TAR.idx. */
sl_status sl_shard_index_write(const char *tar, const struct sl_shard *shard);
/* SL_ERR_DATA if the index is damaged or describes a tar of another size. */
sl_status sl_shard_index_parse(const void *bytes, size_t n, const char *what, uint64_t tar_bytes,
                               struct sl_shard *shard);

#endif
