/*
 * Faults in the system-call table: calls are counted; the n-th can fail, all from the n-th on can
 * fail, or the process can end before it. fsync is not passed on (tests need speed, and a process
 * that dies keeps its page cache), but an fsync of a file after one of its calls failed is noted,
 * since that must never happen.
 */
#ifndef SL_TESTS_SUPPORT_FAULTS_H
#define SL_TESTS_SUPPORT_FAULTS_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

enum { FAULT_FDS = 1024 };

static struct {
    size_t calls;      /* since fault_arm */
    size_t fail_at;    /* 1 = the first; 0 = none */
    bool sticky;       /* and all after it */
    int error;         /* errno of the failure */
    size_t exit_at;    /* _exit(9) before this call; 0 = never */
    bool torn;         /* a write at exit_at is done by half first */
    size_t piece;      /* reads and writes move at most so many bytes; 0 = no limit */
    bool interrupt;    /* every other call of open, pread, write gives EINTR */
    size_t failed;     /* calls that were made to fail */
    size_t dead_syncs; /* fsyncs of a file that had failed: must stay 0 */
    bool dead[FAULT_FDS];
    sl_io_calls real;
} fault;

static inline bool fault_now(void)
{
    fault.calls++;
    const bool hit = fault.fail_at > 0 && (fault.calls == fault.fail_at ||
                                           (fault.sticky && fault.calls > fault.fail_at));
    if (fault.exit_at > 0 && fault.calls == fault.exit_at)
        _exit(9);
    if (hit) {
        fault.failed++;
        errno = fault.error;
    }
    return hit;
}

static inline bool fault_interrupted(void)
{
    static unsigned turn;
    if (!fault.interrupt || turn++ % 2)
        return false;
    errno = EINTR;
    return true;
}

static inline size_t fault_piece(size_t n)
{
    return fault.piece > 0 && n > fault.piece ? fault.piece : n;
}

static inline int fault_open(const char *path, int flags, mode_t mode)
{
    if (fault_interrupted() || fault_now())
        return -1;
    const int fd = fault.real.open(path, flags, mode);
    if (fd >= 0 && fd < FAULT_FDS)
        fault.dead[fd] = false;
    return fd;
}

static inline ssize_t fault_pread(int fd, void *buf, size_t n, off_t offset)
{
    if (fault_interrupted() || fault_now())
        return -1;
    return fault.real.pread(fd, buf, fault_piece(n), offset);
}

static inline ssize_t fault_write(int fd, const void *buf, size_t n)
{
    if (fault_interrupted())
        return -1;
    if (fault.torn && fault.calls + 1 == fault.exit_at && fault.real.write(fd, buf, n / 2) < 0)
        return -1;
    if (fault_now()) {
        fault.dead[fd % FAULT_FDS] = true;
        return -1;
    }
    return fault.real.write(fd, buf, fault_piece(n));
}

static inline int fault_fsync(int fd)
{
    fault.dead_syncs += fault.dead[fd % FAULT_FDS];
    if (!fault_now())
        return 0;
    fault.dead[fd % FAULT_FDS] = true;
    return -1;
}

static inline int fault_close(int fd)
{
    const bool fails = fault_now();
    const int error = errno, result = fault.real.close(fd); /* Linux closes whatever it answers */
    if (!fails)
        return result;
    errno = error;
    return -1;
}

static inline int fault_rename(const char *from, const char *to)
{
    return fault_now() ? -1 : fault.real.rename(from, to);
}

static inline int fault_unlink(const char *path)
{
    return fault_now() ? -1 : fault.real.unlink(path);
}

static inline int fault_rmdir(const char *path)
{
    return fault_now() ? -1 : fault.real.rmdir(path);
}

static inline int fault_mkdir(const char *path, mode_t mode)
{
    return fault_now() ? -1 : fault.real.mkdir(path, mode);
}

static inline int fault_ftruncate(int fd, off_t size)
{
    return fault_now() ? -1 : fault.real.ftruncate(fd, size);
}

static inline int fault_statvfs(const char *path, struct statvfs *info)
{
    return fault_now() ? -1 : fault.real.statvfs(path, info);
}

/* Puts the table in place with no fault set; set the fields of `fault` afterwards. */
static inline void fault_arm(void)
{
    const sl_io_calls real = fault.real.open ? fault.real : sl_io;
    memset(&fault, 0, sizeof fault);
    fault.real = real;
    sl_io = (sl_io_calls){fault_open,  fault_pread,     fault_write,  fault_fsync,
                          fault_close, fault_rename,    fault_unlink, fault_rmdir,
                          fault_mkdir, fault_ftruncate, fault_statvfs};
}

static inline void fault_disarm(void)
{
    sl_io = fault.real;
}

#endif
