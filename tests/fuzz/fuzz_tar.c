/*
 * libFuzzer: tar shards and their index files. The first byte chooses; an index gets the digest
 * that it should have, so that its entries are reached. Whatever is accepted must lie in the tar,
 * and must survive being written to an index and read back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/io.h"
#include "data/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sl_status read_memory(const void *of, uint64_t offset, void *buf, size_t n)
{
    memcpy(buf, (const uint8_t *)of + offset, n);
    return SL_OK;
}

static void check(const struct sl_shard *s)
{
    uint64_t before = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct sl_shard_sample *x = &s->samples[i];
        if (x->size == 0 || x->offset < before + SL_TAR_BLOCK || x->offset > s->bytes ||
            x->size > s->bytes - x->offset || x->label < 0 || x->label >= SL_SHARD_CLASSES_MAX)
            abort();
        before = x->offset + x->size;
    }
}

static void try_index(const uint8_t *data, size_t size)
{
    struct sl_shard s = {0};
    char digest[SL_DIGEST_SIZE];
    uint8_t *bytes = malloc(size + SL_DIGEST_SIZE);
    if (!bytes)
        return;
    if (size > 0)
        memcpy(bytes, data, size);
    sl_digest(bytes, size, digest);
    memcpy(bytes + size, digest, SL_DIGEST_SIZE - 1);
    if (sl_shard_index_parse(bytes, size + SL_DIGEST_SIZE - 1, "input", 1 << 20, &s) == SL_OK)
        check(&s);
    else if (s.samples)
        abort();
    sl_shard_free(&s);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_shard s = {0};
    if (size < 1)
        return 0;
    if (data[0] & 1) {
        try_index(data + 1, size - 1);
        return 0;
    }
    const struct sl_tar_input in = {data + 1, read_memory, size - 1, "input"};
    if (sl_shard_scan(&in, &s) == SL_OK)
        check(&s);
    else if (s.samples)
        abort();
    sl_shard_free(&s);
    return 0;
}
