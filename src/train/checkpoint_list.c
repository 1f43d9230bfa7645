/*
 * Names of checkpoints and the list of those on disk.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "train/checkpoint.h"

#define STEP "step-"

const char *const sl_checkpoint_file_names[SL_CHECKPOINT_FILES] = {
    [SL_CHECKPOINT_WEIGHTS] = "weights.safetensors",
    [SL_CHECKPOINT_STATE] = "state-00000-of-00001.safetensors",
};

void sl_checkpoint_name(uint64_t step, char name[SL_STEP_NAME_SIZE])
{
    snprintf(name, SL_STEP_NAME_SIZE, STEP "%09" PRIu64, step);
}

char *sl_checkpoint_root(const char *run_dir)
{
    return sl_path_join(run_dir, "checkpoints");
}

char *sl_checkpoint_dir(const char *root, const char *prefix, uint64_t step)
{
    char name[SL_STEP_NAME_SIZE];
    sl_checkpoint_name(step, name);
    return sl_asprintf("%s/%s%s", root, prefix, name);
}

/* Only the exact spelling counts, so that one step has one name. */
static bool parse_name(const char *name, const char *prefix, uint64_t *step)
{
    char again[SL_STEP_NAME_SIZE];
    const size_t skip = strlen(prefix);
    if (strncmp(name, prefix, skip) != 0 || strncmp(name + skip, STEP, sizeof STEP - 1) != 0)
        return false;
    const uint64_t value = strtoull(name + skip + sizeof STEP - 1, NULL, 10);
    sl_checkpoint_name(value, again);
    if (strcmp(again, name + skip) != 0)
        return false;
    *step = value;
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

sl_status sl_checkpoint_list(const char *root, const char *prefix, uint64_t **out, size_t *n_out)
{
    char **names = NULL;
    uint64_t *steps = NULL;
    size_t n_names = 0, n = 0;
    if (sl_is_dir(root))
        SL_TRY(sl_list_dir(root, &names, &n_names));
    if (n_names > 0 && SL_NEW(steps, n_names) != SL_OK) {
        sl_names_free(&names, n_names);
        return SL_ERR_MEMORY;
    }
    for (size_t i = 0; i < n_names; i++) {
        if (parse_name(names[i], prefix, &steps[n]))
            n++;
    }
    sl_names_free(&names, n_names);
    if (n > 0)
        qsort(steps, n, sizeof *steps, newest_first);
    *out = steps;
    *n_out = n;
    return SL_OK;
}
