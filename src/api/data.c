/*
 * Data sets as a user meets them: what one holds, tar shards written from it, and their index
 * files.
 */
#include "base/alloc.h"
#include "data/pack.h"

sl_status sl_data_info(const char *spec, bool json, char **text)
{
    if (!spec || !text)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_data_info: spec and text must not be NULL");
    struct sl_dataset *set = NULL;
    SL_TRY(sl_dataset_open(spec, &set));
    const sl_status st = sl_dataset_info(set, json, text);
    sl_dataset_free(&set);
    return st;
}

sl_status sl_data_index(const char *spec)
{
    if (!spec)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_data_index: spec must not be NULL");
    struct sl_dataset *set = NULL;
    SL_TRY(sl_dataset_open(spec, &set));
    const sl_status st = sl_dataset_write_index(set);
    sl_dataset_free(&set);
    return st;
}

sl_status sl_data_pack(const char *spec, const char *folder, const sl_pack_options *options,
                       sl_pack_result *result)
{
    if (!spec || !folder || !*folder || !result)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_data_pack: spec, folder and result must not be NULL or empty");
    sl_pack_options o = {0};
    if (options)
        o = *options;
    if (o.shard_images == 0)
        o.shard_images = 1000;
    struct sl_dataset *set = NULL;
    SL_TRY(sl_dataset_open(spec, &set));
    const sl_status st = sl_pack(set, folder, &o, result);
    sl_dataset_free(&set);
    return st;
}
