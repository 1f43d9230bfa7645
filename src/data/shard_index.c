/*
 * Index files. TAR.idx holds, little-endian: "SLSHARD1", the bytes of the tar, members ignored, the
 * number of samples; per sample the offset of its image (8 bytes), its size (4) and its label (4);
 * last the XXH3-128 of all that in 32 hex digits. A foreign or stale index is refused by the size
 * of the tar, by the digest, and by images that do not lie in the tar one behind the other.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/io.h"
#include "data/shard.h"

static const char magic[8] = {'S', 'L', 'S', 'H', 'A', 'R', 'D', '1'};
enum { HEAD = 32, RECORD = 16, DIGEST = SL_DIGEST_SIZE - 1 };

static void put_u64(unsigned char *to, uint64_t x)
{
    for (size_t i = 0; i < 8; i++)
        to[i] = (unsigned char)(x >> 8 * i);
}

static uint64_t get_u64(const unsigned char *from)
{
    uint64_t x = 0;
    for (size_t i = 0; i < 8; i++)
        x |= (uint64_t)from[i] << 8 * i;
    return x;
}

/* ---- writing ---- */

sl_status sl_shard_index_write(const char *tar, const struct sl_shard *shard)
{
    const size_t body = HEAD + shard->n * RECORD;
    unsigned char *bytes;
    char digest[SL_DIGEST_SIZE], *path;
    SL_TRY(SL_NEW(bytes, body + SL_DIGEST_SIZE));
    memcpy(bytes, magic, sizeof magic);
    put_u64(bytes + 8, shard->bytes);
    put_u64(bytes + 16, shard->ignored);
    put_u64(bytes + 24, shard->n);
    for (size_t i = 0; i < shard->n; i++) {
        const struct sl_shard_sample *s = &shard->samples[i];
        put_u64(bytes + HEAD + i * RECORD, s->offset);
        put_u64(bytes + HEAD + i * RECORD + 8, s->size | (uint64_t)(uint32_t)s->label << 32);
    }
    sl_digest(bytes, body, digest);
    memcpy(bytes + body, digest, DIGEST);
    path = sl_asprintf("%s%s", tar, SL_INDEX_ENDING);
    const sl_status st = path ? sl_write_file_atomic(path, bytes, body + DIGEST) : SL_ERR_MEMORY;
    sl_free(path);
    sl_free(bytes);
    return st;
}

/* ---- reading ---- */

static sl_status parse_records(const unsigned char *at, const char *what, struct sl_shard *s)
{
    uint64_t before = 0; /* end of the image before this one */
    for (size_t i = 0; i < s->room; i++, at += RECORD) {
        const uint64_t offset = get_u64(at), rest = get_u64(at + 8);
        const uint64_t size = rest & UINT32_MAX, label = rest >> 32;
        const bool inside = offset >= before + SL_TAR_BLOCK && offset <= s->bytes &&
                            size <= s->bytes - offset && size > 0 && size <= SL_TAR_MEMBER_MAX;
        if (!inside || label >= SL_SHARD_CLASSES_MAX)
            SL_FAIL(SL_ERR_DATA, "%s: entry %zu of the index is impossible; remove the index", what,
                    i);
        SL_TRY(sl_shard_add(s, offset, (size_t)size, (int32_t)label));
        before = offset + size;
    }
    return SL_OK;
}

sl_status sl_shard_index_parse(const void *data, size_t n, const char *what, uint64_t tar_bytes,
                               struct sl_shard *shard)
{
    const unsigned char *bytes = data;
    char digest[SL_DIGEST_SIZE];
    if (n < HEAD + DIGEST || memcmp(bytes, magic, sizeof magic) != 0)
        SL_FAIL(SL_ERR_DATA, "%s: not an index of a shard; remove it", what);
    const size_t body = n - DIGEST;
    const uint64_t count = get_u64(bytes + 24);
    sl_digest(bytes, body, digest);
    if ((body - HEAD) % RECORD != 0 || count != (body - HEAD) / RECORD)
        SL_FAIL(SL_ERR_DATA, "%s: an index of %zu bytes with %llu entries is damaged; remove it",
                what, n, (unsigned long long)count);
    if (memcmp(bytes + body, digest, DIGEST) != 0)
        SL_FAIL(SL_ERR_DATA, "%s: the index does not have its own digest; remove it", what);
    if (get_u64(bytes + 8) != tar_bytes)
        SL_FAIL(SL_ERR_DATA,
                "%s: an index of a tar of %llu bytes beside one of %llu; remove the index", what,
                (unsigned long long)get_u64(bytes + 8), (unsigned long long)tar_bytes);
    struct sl_shard s = {.bytes = tar_bytes, .ignored = get_u64(bytes + 16), .room = (size_t)count};
    if (count > 0)
        SL_TRY(SL_NEW(s.samples, s.room));
    const sl_status st = parse_records(bytes + HEAD, what, &s);
    if (st != SL_OK) {
        sl_shard_free(&s);
        return st;
    }
    *shard = s;
    return SL_OK;
}
