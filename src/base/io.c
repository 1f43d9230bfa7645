/*
 * The system-call table, sentences about failed calls, reading of regular files and the bounded
 * cursor over bytes in memory. Paths enter, bytes leave. Files are read with pread and never
 * mapped: a file that shrinks while it is read is an error of ours, not a SIGBUS.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

static int open_real(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

sl_io_calls sl_io = {
    .open = open_real,
    .pread = pread,
    .write = write,
    .fsync = fsync,
    .close = close,
    .rename = rename,
    .unlink = unlink,
    .rmdir = rmdir,
    .mkdir = mkdir,
    .ftruncate = ftruncate,
    .statvfs = statvfs,
};

/* What an errno says about the machine whatever was being done, and what the user can do. */
static const struct {
    int error;
    sl_status status;
    const char *advice;
} errors[] = {
    {ENOSPC, SL_ERR_IO, "; free some space"},
    {EDQUOT, SL_ERR_IO, "; free some of the quota"},
    {EFBIG, SL_ERR_IO, "; the limit on file sizes is too low"},
    {EIO, SL_ERR_IO, "; check the disk"},
    {EMFILE, SL_ERR_MEMORY, "; raise the limit on open files (ulimit -n)"},
    {ENFILE, SL_ERR_MEMORY, "; the system has no file handles left"},
    {ENOMEM, SL_ERR_MEMORY, ""},
};

sl_status sl_io_error(sl_status otherwise, const char *doing, const char *path)
{
    const int error = errno;
    const char *advice = "";
    sl_status status = otherwise;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (errors[i].error == error) {
            status = errors[i].status;
            advice = errors[i].advice;
        }
    }
    char text[128];
    if (strerror_r(error, text, sizeof text) != 0)
        snprintf(text, sizeof text, "error %d", error);
    return sl_error_set(status, "%s: cannot %s: %s%s", path, doing, text, advice);
}

/* ---- reading ---- */

static sl_status check_regular(int fd, const char *path, uint64_t *size)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return sl_io_error(SL_ERR_INPUT, "look at it", path);
    if (!S_ISREG(info.st_mode))
        SL_FAIL(SL_ERR_INPUT, "%s: not a regular file", path);
    *size = (uint64_t)info.st_size;
    return SL_OK;
}

sl_status sl_file_open(const char *path, sl_file *f)
{
    sl_status st;
    uint64_t size = 0;
    char *copy = NULL;
    int fd;
    do { /* O_NONBLOCK: opening a FIFO must not wait for a writer; regular files ignore it */
        fd = sl_io.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return sl_io_error(SL_ERR_INPUT, "open it", path);
    SL_TRY_FREE(check_regular(fd, path, &size));
    copy = sl_strdup(path);
    SL_TRY_FREE(copy ? SL_OK : SL_ERR_MEMORY);
    *f = (sl_file){.fd = fd, .size = size, .path = copy};
    return SL_OK;
fail:
    sl_io.close(fd);
    return st;
}

sl_status sl_file_read(const sl_file *f, uint64_t offset, void *buf, size_t n)
{
    const size_t most = (size_t)1 << 30; /* one call moves less than 2 GiB on Linux */
    char *to = buf;
    if (offset > INT64_MAX || n > INT64_MAX - offset)
        SL_FAIL(SL_ERR_DATA, "%s: %zu bytes at offset %" PRIu64 " are beyond any file", f->path, n,
                offset);
    while (n > 0) {
        const ssize_t got = sl_io.pread(f->fd, to, n < most ? n : most, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return sl_io_error(SL_ERR_IO, "read it", f->path);
        if (got == 0)
            SL_FAIL(SL_ERR_DATA,
                    "%s: the file ends at byte %" PRIu64 ", %zu bytes early (it shrank, or is "
                    "truncated)",
                    f->path, offset, n);
        to += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return SL_OK;
}

void sl_file_close(sl_file *f)
{
    if (!f->path)
        return;
    sl_io.close(f->fd);
    sl_free(f->path);
    *f = (sl_file){.fd = -1};
}

sl_status sl_read_file(const char *path, size_t cap, char **data, size_t *size)
{
    sl_status st;
    char *bytes = NULL;
    sl_file f;
    SL_TRY(sl_file_open(path, &f));
    if (f.size > cap) {
        st = sl_error_set(SL_ERR_DATA, "%s: %" PRIu64 " bytes, more than the limit of %zu", path,
                          f.size, cap);
        goto fail;
    }
    const size_t n = (size_t)f.size;
    SL_TRY_FREE(SL_NEW(bytes, n + 1));
    SL_TRY_FREE(sl_file_read(&f, 0, bytes, n));
    sl_file_close(&f);
    *data = bytes;
    *size = n;
    return SL_OK;
fail:
    sl_free(bytes);
    sl_file_close(&f);
    return st;
}

/* ---- cursor ---- */

bool sl_take(sl_cursor *c, size_t n, const unsigned char **bytes)
{
    if (n > c->remaining)
        return false;
    *bytes = c->at;
    c->at += n;
    c->remaining -= n;
    return true;
}

bool sl_take_u32_be(sl_cursor *c, uint32_t *x)
{
    const unsigned char *b;
    if (!sl_take(c, 4, &b))
        return false;
    *x = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return true;
}

bool sl_take_u64_le(sl_cursor *c, uint64_t *x)
{
    const unsigned char *b;
    if (!sl_take(c, 8, &b))
        return false;
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | b[i];
    *x = value;
    return true;
}
