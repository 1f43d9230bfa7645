/*
 * libFuzzer target: the manifest of a checkpoint. The input is its text up to the digest of itself,
 * which is added here, or nearly every input would end at that check; bytes as they are must be
 * refused. What is accepted must be whole: every text in its bounds, and a config that the recipe
 * reader takes or refuses in order.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "train/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TAIL = 36 };

static bool ends(const char *text, size_t room)
{
    return memchr(text, '\0', room) != NULL;
}

static void check(const struct sl_manifest *m)
{
    const struct sl_checkpoint_info *info = &m->info;
    struct sl_recipe recipe;
    if (!info->config || !ends(info->reason, sizeof info->reason) ||
        !ends(info->build, sizeof info->build) ||
        !ends(info->data_digest, sizeof info->data_digest) || info->state.step > INT64_MAX)
        abort();
    for (int i = 0; i < SL_CHECKPOINT_FILES; i++)
        if (!ends(m->files[i].digest, sizeof m->files[i].digest) || m->files[i].size > INT64_MAX)
            abort();
    if (strstr(info->config, "base")) /* would open files */
        return;
    if (sl_recipe_init(&recipe) != SL_OK)
        abort();
    (void)sl_recipe_parse(&recipe, "config", info->config, strlen(info->config));
    sl_recipe_clear(&recipe);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_manifest m = {0};
    char digest[SL_DIGEST_SIZE], *bytes = malloc(size + TAIL);
    if (!bytes)
        abort();
    if (size > 0)
        memcpy(bytes, data, size);
    if (sl_manifest_parse(bytes, size, "input", &m) == SL_OK)
        abort(); /* the digest was found by chance: 2^-128 */
    sl_digest(bytes, size, digest);
    bytes[size] = '"';
    memcpy(bytes + size + 1, digest, 32);
    memcpy(bytes + size + 33, "\"}\n", 3);
    if (sl_manifest_parse(bytes, size + TAIL, "input", &m) == SL_OK)
        check(&m);
    sl_checkpoint_info_free(&m.info);
    free(bytes);
    return 0;
}
