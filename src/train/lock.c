/*
 * One process per run directory: flock on RUN/lock, with host and process inside for whoever is
 * refused. The kernel drops the lock with the process, so nothing stale can stay behind.
 */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/text.h"
#include "train/train.h"

struct sl_run_lock {
    int fd;
};

static sl_status refuse(int fd, const char *run_dir)
{
    char holder[128], escaped[SL_ESCAPED_SIZE];
    ssize_t n = sl_io.pread(fd, holder, sizeof holder, 0);
    if (n <= 0)
        n = snprintf(holder, sizeof holder, "another process");
    if (holder[n - 1] == '\n')
        n--;
    SL_FAIL(SL_ERR_UNAVAILABLE, "%s: in use by %s; wait until it is done, or stop it", run_dir,
            sl_escape(holder, (size_t)n, escaped));
}

/* The text is only for people; the lock holds without it. */
static sl_status write_holder(int fd, const char *path)
{
    char host[64] = "", text[128];
    gethostname(host, sizeof host - 1);
    const int n = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    if (sl_io.ftruncate(fd, 0) != 0 || sl_io.write(fd, text, (size_t)n) != n)
        return sl_io_error(SL_ERR_IO, "write to it", path);
    return SL_OK;
}

static sl_status take(int fd, const char *run_dir, const char *path)
{
    int failed;
    do {
        failed = flock(fd, LOCK_EX | LOCK_NB);
    } while (failed && errno == EINTR);
    if (failed && errno == EWOULDBLOCK)
        return refuse(fd, run_dir);
    if (failed)
        return sl_io_error(SL_ERR_IO, "lock it", path);
    return write_holder(fd, path);
}

sl_status sl_run_lock(const char *run_dir, struct sl_run_lock **out)
{
    sl_status st;
    struct sl_run_lock *lock = NULL;
    char *path = sl_path_join(run_dir, "lock");
    SL_TRY_FREE(path ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(SL_NEW(lock, 1));
    lock->fd = sl_io.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (lock->fd < 0) {
        st = sl_io_error(SL_ERR_CREATE, "open it", path);
        goto fail;
    }
    st = take(lock->fd, run_dir, path);
    if (st != SL_OK) {
        sl_io.close(lock->fd);
        goto fail;
    }
    sl_free(path);
    *out = lock;
    return SL_OK;
fail:
    sl_free(lock);
    sl_free(path);
    return st;
}

void sl_run_unlock(struct sl_run_lock **lock)
{
    if (!*lock)
        return;
    sl_io.close((*lock)->fd);
    sl_free(*lock);
    *lock = NULL;
}
