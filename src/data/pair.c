/*
 * Training and test images under one name: which SPECs a name stands for.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/format.h"

/* Two SPECs, owned; test is NULL where there is but one. */
struct pair {
    char *train, *test;
};

static void split_at(const char *spec, const char *mark, struct pair *pair)
{
    pair->train = sl_asprintf("%.*s", (int)(mark - spec), spec);
    pair->test = sl_strdup(mark + 2);
}

static void from_format(const char *spec, struct pair *pair)
{
    pair->train = sl_asprintf("%s:train", spec);
    pair->test = sl_asprintf("%s:test", spec);
}

/* DIR/train and the first of DIR/test, DIR/val, DIR/validation, if both are folders. */
static sl_status from_folder(const char *dir, struct pair *pair)
{
    static const char *const tests[] = {"test", "val", "validation"};
    char *train = sl_path_join(dir, "train");
    SL_TRY(train ? SL_OK : SL_ERR_MEMORY);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0] && sl_is_dir(train); i++) {
        char *test = sl_path_join(dir, tests[i]);
        if (test && sl_is_dir(test)) {
            *pair = (struct pair){train, test};
            return SL_OK;
        }
        sl_free(test);
    }
    sl_free(train);
    return SL_OK;
}

static sl_status find_pair(const char *spec, struct pair *pair)
{
    static const char prefix[] = "folder:";
    const char *mark = strstr(spec, "::");
    char *dir = NULL;
    if (mark) {
        split_at(spec, mark, pair);
        return pair->train && pair->test ? SL_OK : SL_ERR_MEMORY;
    }
    if (sl_dataset_spec_splits(spec)) {
        if (sl_ends_with(spec, ":train") || sl_ends_with(spec, ":test") ||
            sl_ends_with(spec, "]") || strchr(spec, ','))
            return SL_OK;
        from_format(spec, pair);
        return pair->train && pair->test ? SL_OK : SL_ERR_MEMORY;
    }
    if (strncmp(spec, prefix, sizeof prefix - 1) == 0)
        spec += sizeof prefix - 1;
    if (sl_find_data(spec, NULL, &dir) != SL_OK)
        return SL_OK; /* what is wrong with it is said when it is opened */
    const sl_status st = sl_is_dir(dir) ? from_folder(dir, pair) : SL_OK;
    sl_free(dir);
    return st;
}

sl_status sl_dataset_open_pair(const char *spec, struct sl_dataset **train,
                               struct sl_dataset **test)
{
    struct pair pair = {0};
    struct sl_dataset *a = NULL, *b = NULL;
    sl_status st = SL_OK;
    SL_TRY_FREE(find_pair(spec, &pair));
    SL_TRY_FREE(sl_dataset_open(pair.train ? pair.train : spec, &a));
    if (pair.test)
        SL_TRY_FREE(sl_dataset_open(pair.test, &b));
    *train = a;
    *test = b;
    a = NULL;
fail:
    sl_dataset_free(&a);
    sl_free(pair.train);
    sl_free(pair.test);
    return st;
}
