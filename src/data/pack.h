/*
 * A data set of image files written as tar shards.
 */
#ifndef SL_DATA_PACK_H
#define SL_DATA_PACK_H

#include "data/data.h"

/* Writes FOLDER/shard-000000.tar, ..., their index files and classes.txt. The folder appears whole
 * or not at all: it is written under the name FOLDER.partial, which a killed run leaves and the
 * next one removes. SL_ERR_CREATE if FOLDER exists, SL_ERR_CONFIG if the set has no image files. */
sl_status sl_pack(const struct sl_dataset *set, const char *folder, const sl_pack_options *options,
                  sl_pack_result *result);

#endif
