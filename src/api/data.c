/*
 * Data sets as a user meets them: what one holds, and the index files of tar shards.
 */
#include "data/data.h"
#include "base/alloc.h"

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
