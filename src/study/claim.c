/*
 * Claims. claims/NAME is a link to a file that the claimant wrote under a name of its own, so that
 * it appears at once and whole, on shared folders too; its time of change is the heartbeat, read on
 * the clock of the file system. Who finds it too old, or its process dead on this host, moves it
 * away and makes sure that what was moved is what was found. Should two workers win all the same,
 * the lock of the run directory admits one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/number.h"
#include "study/study.h"

enum { HOLDER_SIZE = 256, WHY_CAP = 4096, TAIL = 4096 };

static char *own_path(const struct sl_study *s, const char *ending)
{
    char host[128] = "";
    gethostname(host, sizeof host - 1);
    return sl_asprintf("%s/claims/.%s-%ld%s", s->dir, host, (long)getpid(), ending);
}

/* Whether the holder's process is gone, which only its own host can say. */
static bool is_dead(const char *claim)
{
    char text[HOLDER_SIZE] = "", host[128] = "", own[128] = "";
    long pid = 0;
    const int fd = open(claim, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    gethostname(own, sizeof own - 1);
    return n > 0 && sscanf(text, "process %ld on %127s", &pid, host) == 2 && pid > 0 &&
           strcmp(host, own) == 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static double seconds_of(const struct stat *info)
{
    return (double)info->st_mtim.tv_sec + 1e-9 * (double)info->st_mtim.tv_nsec;
}

/* A file of our own with the present time of the file system in *now. */
static sl_status write_own(const char *path, struct stat *now)
{
    char host[128] = "", text[HOLDER_SIZE];
    gethostname(host, sizeof host - 1);
    const int n = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return sl_io_error(SL_ERR_CREATE, "create the claim", path);
    const bool ok = write(fd, text, (size_t)n) == n && fstat(fd, now) == 0;
    return close(fd) == 0 && ok ? SL_OK : sl_io_error(SL_ERR_IO, "write the claim", path);
}

static bool is_free(const char *claim, const struct stat *now, double expiry_s, struct stat *seen)
{
    if (stat(claim, seen) != 0)
        return errno == ENOENT;
    return is_dead(claim) || seconds_of(now) - seconds_of(seen) > expiry_s;
}

/* Moves an abandoned claim away; puts it back if another worker's fresh one was moved. */
static void clear_abandoned(const char *claim, const char *aside, const struct stat *seen)
{
    struct stat moved;
    if (rename(claim, aside) != 0)
        return;
    if (stat(aside, &moved) == 0 &&
        (moved.st_ino != seen->st_ino || seconds_of(&moved) > seconds_of(seen))) {
        if (link(aside, claim) != 0)
            errno = 0; /* a third worker was faster: its claim stands */
    }
    unlink(aside);
}

sl_status sl_study_claim(sl_study *s, size_t i, double expiry_s, bool *claimed)
{
    char *claim = sl_study_path(s, "claims/", i, ""), *own = own_path(s, ".new"),
         *aside = own_path(s, ".old");
    struct stat now, seen = {0};
    sl_status st = claim && own && aside ? SL_OK : SL_ERR_MEMORY;
    SL_TRY_FREE(st);
    SL_TRY_FREE(write_own(own, &now));
    *claimed = link(own, claim) == 0;
    if (!*claimed && errno != EEXIST)
        st = sl_io_error(SL_ERR_CREATE, "claim the run", claim);
    if (st == SL_OK && !*claimed && is_free(claim, &now, expiry_s, &seen)) {
        clear_abandoned(claim, aside, &seen);
        *claimed = link(own, claim) == 0;
    }
    unlink(own);
    if (*claimed)
        s->runs[i].state = SL_RUN_CLAIMED;
fail:
    sl_free(claim);
    sl_free(own);
    sl_free(aside);
    return st;
}

sl_status sl_study_beat(const sl_study *s, size_t i)
{
    char *claim = sl_study_path(s, "claims/", i, "");
    if (!claim)
        return SL_ERR_MEMORY;
    /* A claim that is gone was taken by who thought us dead: the run's lock decides. */
    const bool ok = utimensat(AT_FDCWD, claim, NULL, 0) == 0 || errno == ENOENT;
    const sl_status st = ok ? SL_OK : sl_io_error(SL_ERR_IO, "touch the claim", claim);
    sl_free(claim);
    return st;
}

sl_status sl_study_release(sl_study *s, size_t i)
{
    char *claim = sl_study_path(s, "claims/", i, "");
    if (!claim)
        return SL_ERR_MEMORY;
    const bool ok = unlink(claim) == 0 || errno == ENOENT;
    const sl_status st = ok ? SL_OK : sl_io_error(SL_ERR_IO, "remove the claim", claim);
    sl_free(claim);
    return st;
}

/* ---- what is known of a run without a row ---- */

static sl_status look(struct sl_study *s, size_t i, const struct stat *now, double expiry_s)
{
    struct sl_study_run *r = &s->runs[i];
    struct stat seen;
    size_t size;
    char *claim = sl_study_path(s, "claims/", i, ""),
         *failed = sl_study_path(s, "logs/", i, ".failed");
    sl_status st = claim && failed ? SL_OK : SL_ERR_MEMORY;
    sl_free(r->why);
    r->why = NULL;
    if (st == SL_OK && !r->row) {
        r->state = is_free(claim, now, expiry_s, &seen) ? SL_RUN_MISSING : SL_RUN_CLAIMED;
        if (r->state == SL_RUN_MISSING && sl_is_file(failed)) {
            r->state = SL_RUN_FAILED;
            st = sl_read_file(failed, WHY_CAP, &r->why, &size);
        }
    }
    sl_free(claim);
    sl_free(failed);
    return st;
}

sl_status sl_study_refresh(sl_study *s, double expiry_s)
{
    struct stat now = {0};
    char *folder = sl_path_join(s->dir, "claims");
    if (!folder)
        return SL_ERR_MEMORY;
    const bool prepared = sl_is_dir(folder);
    sl_free(folder);
    SL_TRY(sl_study_merge(s, prepared));
    if (!prepared)
        return SL_OK;
    char *own = own_path(s, ".now");
    sl_status st = own ? write_own(own, &now) : SL_ERR_MEMORY;
    for (size_t i = 0; i < s->n && st == SL_OK; i++)
        st = look(s, i, &now, expiry_s);
    if (own)
        unlink(own);
    sl_free(own);
    return st;
}

/* The last whole line of RUN/timing.jsonl holds step and time. */
sl_status sl_study_progress(const sl_study *s, size_t i, uint64_t *step, double *wall_s)
{
    char tail[TAIL + 1], *path = sl_study_path(s, "runs/", i, "/timing.jsonl");
    unsigned long long n = 0;
    double wall = 0;
    struct stat info;
    if (!path)
        return SL_ERR_MEMORY;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    sl_free(path);
    if (fd >= 0 && fstat(fd, &info) == 0) {
        const off_t from = info.st_size > TAIL ? info.st_size - TAIL : 0;
        const ssize_t size = pread(fd, tail, TAIL, from);
        tail[size > 0 ? size : 0] = '\0';
        for (const char *at = tail; (at = strstr(at, "{\"step\": ")) != NULL; at++) {
            const char *end = strchr(at, '\n'), *w = strstr(at, "\"wall_s\": ");
            char number[32];
            if (!end || !w || w > end || sscanf(at, "{\"step\": %llu", &n) != 1)
                continue;
            w += strlen("\"wall_s\": ");
            snprintf(number, sizeof number, "%.*s", (int)strcspn(w, ",}"), w);
            sl_parse_real(number, &wall);
        }
    }
    if (fd >= 0)
        close(fd);
    *step = n;
    *wall_s = wall;
    return SL_OK;
}
