/*
 * Compressed shards through libarchive's filters: bytes of a gzip, xz or zstd file enter, unpacked
 * bytes leave in order. The tar inside is read by tar.c, as strictly as a plain one; of libarchive
 * only the filters are used, and none that would start another program.
 *
 * Bombs: what comes out is compared with what went in at every read, so that a file that unpacks
 * to gigabytes of zeros is refused after a few dozen megabytes.
 */
#include "data/unpack.h"

#include <archive.h>
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/text.h"

/* Shards of images hardly shrink; those of tiny images, whose tar headers are mostly zeros, do so
 * about tenfold. The first bytes are free, for shards with a handful of samples. */
enum { RATIO_MAX = 100, FREE_BYTES = 32 << 20, BLOCK = 64 << 10 };

struct sl_unpack {
    struct archive *archive;
    sl_file file;
    uint64_t fed, at; /* bytes given to libarchive, bytes that came out */
    sl_status status; /* of reading the file */
    char skipped[BLOCK], block[BLOCK];
};

bool sl_unpack_is(const char *path)
{
    static const char *const endings[] = {".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (sl_ends_with(path, endings[i]))
            return true;
    return false;
}

static la_ssize_t feed(struct archive *archive, void *data, const void **bytes)
{
    struct sl_unpack *u = data;
    const uint64_t left = u->file.size - u->fed;
    const size_t n = left < BLOCK ? (size_t)left : BLOCK;
    u->status = sl_file_read(&u->file, u->fed, u->block, n);
    if (u->status != SL_OK) {
        archive_set_error(archive, EIO, "read error");
        return -1;
    }
    u->fed += n;
    *bytes = u->block;
    return (la_ssize_t)n;
}

/* After libarchive failed; what it says of its own memory has no errno of its own. */
static sl_status refuse(struct sl_unpack *u)
{
    const char *text = archive_error_string(u->archive);
    if (u->status != SL_OK)
        return u->status;
    if (archive_errno(u->archive) == ENOMEM)
        SL_FAIL(SL_ERR_MEMORY, "%s: out of memory for unpacking", u->file.path);
    SL_FAIL(SL_ERR_DATA, "%s: damaged or cut compressed file before byte %llu (%s)", u->file.path,
            (unsigned long long)u->fed, text ? text : "no reason given");
}

static sl_status start(struct sl_unpack *u)
{
    struct archive_entry *entry;
    u->archive = archive_read_new();
    if (!u->archive)
        SL_FAIL(SL_ERR_MEMORY, "out of memory for unpacking");
    /* Anything but ARCHIVE_OK: libarchive would start a program to unpack. */
    if (archive_read_support_filter_gzip(u->archive) != ARCHIVE_OK ||
        archive_read_support_filter_xz(u->archive) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(u->archive) != ARCHIVE_OK ||
        archive_read_support_format_raw(u->archive) != ARCHIVE_OK)
        SL_FAIL(SL_ERR_CONFIG, "this libarchive was built without gzip, xz or zstd; unpack %s",
                u->file.path);
    if (archive_read_open(u->archive, u, NULL, feed, NULL) != ARCHIVE_OK ||
        archive_read_next_header(u->archive, &entry) != ARCHIVE_OK)
        return refuse(u);
    if (archive_filter_count(u->archive) != 2) /* the filter and the file itself */
        SL_FAIL(SL_ERR_DATA, "%s: not compressed exactly once by gzip, xz or zstd", u->file.path);
    return SL_OK;
}

sl_status sl_unpack_open(const char *path, struct sl_unpack **unpack)
{
    struct sl_unpack *u;
    SL_TRY(SL_NEW(u, 1));
    sl_status st = sl_file_open(path, &u->file);
    if (st == SL_OK)
        st = start(u);
    if (st != SL_OK) {
        sl_unpack_free(&u);
        return st;
    }
    *unpack = u;
    return SL_OK;
}

static sl_status check_growth(const struct sl_unpack *u)
{
    if (u->at > FREE_BYTES && (u->at - FREE_BYTES) / RATIO_MAX > u->fed)
        SL_FAIL(SL_ERR_DATA,
                "%s: its first %llu bytes unpack to more than %llu, over %d times as many: this is "
                "no shard of images",
                u->file.path, (unsigned long long)u->fed, (unsigned long long)u->at, RATIO_MAX);
    return SL_OK;
}

sl_status sl_unpack_read(struct sl_unpack *u, void *buf, size_t n, size_t *got)
{
    char *to = buf;
    size_t done = 0;
    while (done < n) {
        const size_t piece = n - done < BLOCK ? n - done : BLOCK;
        const la_ssize_t r = archive_read_data(u->archive, to + done, piece);
        if (r < 0)
            return refuse(u);
        if (r == 0)
            break;
        done += (size_t)r;
        u->at += (uint64_t)r;
        SL_TRY(check_growth(u));
    }
    *got = done;
    return SL_OK;
}

uint64_t sl_unpack_at(const struct sl_unpack *u)
{
    return u->at;
}

sl_status sl_unpack_skip_to(struct sl_unpack *u, uint64_t offset)
{
    while (u->at < offset) {
        const uint64_t left = offset - u->at;
        const size_t n = left < BLOCK ? (size_t)left : BLOCK;
        size_t got = 0;
        SL_TRY(sl_unpack_read(u, u->skipped, n, &got));
        if (got < n)
            SL_FAIL(SL_ERR_DATA, "%s: it unpacks to %llu bytes only", u->file.path,
                    (unsigned long long)u->at);
    }
    return SL_OK;
}

void sl_unpack_free(struct sl_unpack **unpack)
{
    if (!*unpack)
        return;
    archive_read_free((*unpack)->archive);
    sl_file_close(&(*unpack)->file);
    sl_free(*unpack);
    *unpack = NULL;
}
