/*
 * Writing: a buffered writer that digests what passes, and files that appear whole or not at all.
 * After a failed write, fsync or close a file is dead: it is never synced again (the kernel may
 * have dropped the pages and answer success), only closed; the caller starts over in a new file.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"

enum { BUFFER = 1 << 18, TEMP_NAMES = 100 };

struct sl_writer {
    int fd;
    bool dead;
    char *path;
    sl_hash *hash;
    uint64_t size; /* bytes given to the writer */
    size_t used;   /* bytes waiting in buffer */
    unsigned char buffer[BUFFER];
};

static void writer_free(sl_writer **w)
{
    if (!*w)
        return;
    sl_hash_end(&(*w)->hash, NULL);
    sl_free((*w)->path);
    sl_free(*w);
    *w = NULL;
}

static sl_status writer_start(const char *path, int flags, sl_writer **out)
{
    sl_status st;
    sl_writer *w = NULL;
    SL_TRY_FREE(SL_NEW(w, 1));
    w->path = sl_strdup(path);
    SL_TRY_FREE(w->path ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(sl_hash_new(&w->hash));
    do {
        w->fd = sl_io.open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    } while (w->fd < 0 && errno == EINTR);
    if (w->fd < 0) {
        st = sl_io_error(SL_ERR_CREATE, "create it", path);
        goto fail;
    }
    *out = w;
    return SL_OK;
fail:
    writer_free(&w);
    return st;
}

sl_status sl_writer_open(const char *path, sl_writer **w)
{
    return writer_start(path, O_EXCL | O_NOFOLLOW, w);
}

sl_status sl_writer_append(const char *path, sl_writer **w)
{
    return writer_start(path, O_APPEND, w);
}

static sl_status put(sl_writer *w, const unsigned char *bytes, size_t n)
{
    const size_t most = (size_t)1 << 30;
    while (n > 0) {
        const ssize_t did = sl_io.write(w->fd, bytes, n < most ? n : most);
        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0) {
            w->dead = true;
            if (did == 0)
                errno = EIO;
            return sl_io_error(SL_ERR_IO, "write to it", w->path);
        }
        bytes += did;
        n -= (size_t)did;
    }
    return SL_OK;
}

sl_status sl_writer_flush(sl_writer *w)
{
    if (w->dead)
        SL_FAIL(SL_ERR_IO, "%s: an earlier write failed, so the file is not used", w->path);
    const size_t n = w->used;
    w->used = 0;
    return put(w, w->buffer, n);
}

sl_status sl_writer_sync(sl_writer *w)
{
    SL_TRY(sl_writer_flush(w));
    if (sl_io.fsync(w->fd) == 0)
        return SL_OK;
    w->dead = true;
    return sl_io_error(SL_ERR_IO, "sync it to disk", w->path);
}

sl_status sl_writer_write(sl_writer *w, const void *data, size_t n)
{
    if (n == 0)
        return SL_OK;
    if (n > BUFFER - w->used)
        SL_TRY(sl_writer_flush(w));
    sl_hash_add(w->hash, data, n);
    w->size += n;
    if (n > BUFFER)
        return put(w, data, n);
    memcpy(w->buffer + w->used, data, n);
    w->used += n;
    return SL_OK;
}

sl_status sl_writer_close(sl_writer **pw, bool sync, char *digest, uint64_t *size)
{
    sl_writer *w = *pw;
    if (!w)
        return SL_OK;
    sl_status st = sync ? sl_writer_sync(w) : sl_writer_flush(w);
    if (sl_io.close(w->fd) != 0 && st == SL_OK)
        st = sl_io_error(SL_ERR_IO, "close it", w->path);
    if (st == SL_OK) {
        if (size)
            *size = w->size;
        sl_hash_end(&w->hash, digest);
    }
    writer_free(pw);
    return st;
}

void sl_writer_abandon(sl_writer **w)
{
    if (!*w)
        return;
    sl_io.close((*w)->fd);
    writer_free(w);
}

/* ---- whole files ---- */

/* Opens PATH.tmp-<pid>-<n>, the first n that is free: a name left by a process that died, or
 * planted as a link, is stepped over. */
static sl_status open_temp(const char *path, char **temp, sl_writer **w)
{
    for (int i = 0;; i++) {
        char *name = sl_asprintf("%s" SL_TEMP_MARK "%ld-%d", path, (long)getpid(), i);
        if (!name)
            return SL_ERR_MEMORY;
        const sl_status st = sl_writer_open(name, w);
        if (st == SL_OK) {
            *temp = name;
            return SL_OK;
        }
        struct stat info;
        const bool taken = st == SL_ERR_CREATE && lstat(name, &info) == 0;
        sl_free(name);
        if (!taken || i == TEMP_NAMES)
            return st;
    }
}

sl_status sl_write_file_atomic(const char *path, const void *data, size_t n)
{
    sl_status st;
    char *temp = NULL;
    sl_writer *w = NULL;
    SL_TRY(open_temp(path, &temp, &w));
    SL_TRY_FREE(sl_writer_write(w, data, n));
    SL_TRY_FREE(sl_writer_close(&w, true, NULL, NULL));
    SL_TRY_FREE(sl_rename_sync(temp, path));
    sl_free(temp);
    return SL_OK;
fail:
    sl_writer_abandon(&w);
    sl_io.unlink(temp);
    sl_free(temp);
    return st;
}

static sl_status truncate_open(int fd, const char *path, uint64_t size)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return sl_io_error(SL_ERR_IO, "look at it", path);
    if ((uint64_t)info.st_size < size)
        SL_FAIL(SL_ERR_DATA, "%s: %" PRIu64 " bytes, but %" PRIu64 " were expected at least", path,
                (uint64_t)info.st_size, size);
    if (sl_io.ftruncate(fd, (off_t)size) != 0)
        return sl_io_error(SL_ERR_IO, "truncate it", path);
    if (sl_io.fsync(fd) != 0)
        return sl_io_error(SL_ERR_IO, "sync it to disk", path);
    return SL_OK;
}

sl_status sl_truncate_file(const char *path, uint64_t size)
{
    const int fd = sl_io.open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0)
        return sl_io_error(SL_ERR_INPUT, "open it", path);
    sl_status st = truncate_open(fd, path, size);
    if (sl_io.close(fd) != 0 && st == SL_OK)
        st = sl_io_error(SL_ERR_IO, "close it", path);
    return st;
}
