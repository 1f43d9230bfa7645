/*
 * The record of calls and its replay. Replaying goes twice over the record: once with everything
 * applied, which turns paths and descriptors into inodes, and once with what survives.
 */
#define _GNU_SOURCE
#include "support_power.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

enum { CALLS = 4096, PATH = 200, NAME = 64, BYTES = 48 << 20, FDS = 1024 };
enum { INODES = 1024, SECTOR = 512 };

enum kind { CREATE, MKDIR, RENAME, REMOVE, WRITE, CUT, SYNC };

struct call {
    enum kind kind;
    char path[PATH], to[PATH]; /* `to` of a rename */
    size_t at, n;              /* of a write: its bytes in `bytes`; of a cut: n = the size */
};

static struct record {
    size_t generation, n, used, die_at;
    bool heed_syncs;
    struct call calls[CALLS];
    char fd_path[FDS][PATH];
    unsigned char bytes[BYTES];
} * record;
static sl_io_calls real;

/* ---- recording ---- */

static struct call *note(enum kind kind, const char *path)
{
    if (record->die_at > 0 && record->n + 1 == record->die_at)
        _exit(9);
    if (record->n == CALLS)
        abort();
    struct call *c = &record->calls[record->n++];
    *c = (struct call){.kind = kind};
    snprintf(c->path, PATH, "%s", path);
    return c;
}

static int power_open(const char *path, int flags, mode_t mode)
{
    struct stat info;
    if ((flags & O_CREAT) && lstat(path, &info) != 0)
        note(CREATE, path);
    const int fd = real.open(path, flags, mode);
    if (fd >= FDS)
        abort();
    if (fd >= 0)
        snprintf(record->fd_path[fd], PATH, "%s", path);
    return fd;
}

static ssize_t power_write(int fd, const void *buf, size_t n)
{
    struct call *c = note(WRITE, record->fd_path[fd]);
    if (n > BYTES - record->used)
        abort();
    c->at = record->used;
    c->n = n;
    memcpy(record->bytes + c->at, buf, n);
    record->used += n;
    return real.write(fd, buf, n);
}

static int power_fsync(int fd)
{
    if (record->heed_syncs)
        note(SYNC, record->fd_path[fd]);
    return 0; /* the page cache is never lost here */
}

static int power_rename(const char *from, const char *to)
{
    snprintf(note(RENAME, from)->to, PATH, "%s", to);
    return real.rename(from, to);
}

static int power_unlink(const char *path)
{
    struct stat info;
    if (lstat(path, &info) == 0)
        note(REMOVE, path);
    return real.unlink(path);
}

static int power_rmdir(const char *path)
{
    note(REMOVE, path);
    return real.rmdir(path);
}

static int power_mkdir(const char *path, mode_t mode)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        note(MKDIR, path);
    return real.mkdir(path, mode);
}

static int power_ftruncate(int fd, off_t size)
{
    note(CUT, record->fd_path[fd])->n = (size_t)size;
    return real.ftruncate(fd, size);
}

void power_record(bool heed_syncs)
{
    if (!record) {
        record =
            mmap(NULL, sizeof *record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (record == MAP_FAILED)
            abort();
        real = sl_io;
    }
    record->generation++;
    record->n = record->used = record->die_at = 0;
    record->heed_syncs = heed_syncs;
    sl_io.open = power_open;
    sl_io.write = power_write;
    sl_io.fsync = power_fsync;
    sl_io.rename = power_rename;
    sl_io.unlink = power_unlink;
    sl_io.rmdir = power_rmdir;
    sl_io.mkdir = power_mkdir;
    sl_io.ftruncate = power_ftruncate;
}

void power_die_at(size_t at)
{
    record->die_at = at;
}

size_t power_calls(void)
{
    return record->n;
}

void power_stop(void)
{
    sl_io = real;
}

/* ---- a disk: inodes, each with the name it has in its folder ---- */

/* What a call does to an inode. */
struct change {
    enum kind kind;
    int inode, folder; /* the thing, and the folder that holds its name */
    char name[NAME];
    size_t position; /* of a write, in its file */
    size_t durable;  /* index of the sync that makes it sure; SIZE_MAX = none */
};

struct inode {
    int folder; /* -1 = it has no name */
    char name[NAME];
    bool is_folder;
    unsigned char *bytes;
    size_t n;
};

struct disk {
    struct inode inodes[INODES]; /* 0 = the working directory */
    int n;
};

static struct change changes[CALLS];
static struct disk before; /* folders that were there when the record began */

static void *checked(void *p)
{
    if (!p)
        abort();
    return p;
}

static int add_inode(struct disk *d, int folder, const char *name, size_t length)
{
    if (d->n == INODES || length >= NAME)
        abort();
    struct inode *x = &d->inodes[d->n];
    *x = (struct inode){.folder = folder, .is_folder = true};
    memcpy(x->name, name, length);
    return d->n++;
}

static int find(const struct disk *d, int folder, const char *name, size_t length)
{
    for (int i = 1; i < d->n; i++) {
        const struct inode *x = &d->inodes[i];
        if (x->folder == folder && strlen(x->name) == length && memcmp(x->name, name, length) == 0)
            return i;
    }
    return -1;
}

/* The inode of a path of `length` bytes. What is not there was there before the record. */
static int walk(struct disk *d, const char *path, size_t length)
{
    int at = 0;
    for (const char *end = path + length; path < end;) {
        const size_t part =
            strcspn(path, "/") < (size_t)(end - path) ? strcspn(path, "/") : (size_t)(end - path);
        if (part > 0) {
            const int next = find(d, at, path, part);
            at = next >= 0 ? next : add_inode(d, at, path, part);
        }
        path += part + 1;
    }
    return at;
}

/* Applies a change; of a write the first n bytes arrive. */
static void apply(struct disk *d, const struct change *c, const struct call *call, size_t n)
{
    struct inode *x = &d->inodes[c->inode];
    switch (c->kind) {
    case CREATE:
    case MKDIR:
    case RENAME:
        for (int i = 1; i < d->n; i++) /* what the name belonged to loses it */
            if (d->inodes[i].folder == c->folder && strcmp(d->inodes[i].name, c->name) == 0)
                d->inodes[i].folder = -1;
        x->folder = c->folder;
        memcpy(x->name, c->name, NAME);
        x->is_folder = c->kind == MKDIR || (c->kind == RENAME && x->is_folder);
        break;
    case REMOVE:
        if (x->folder == c->folder && strcmp(x->name, c->name) == 0)
            x->folder = -1;
        break;
    case WRITE:
        if (c->position + n > x->n) {
            x->bytes = checked(realloc(x->bytes, c->position + n));
            memset(x->bytes + x->n, 0, c->position + n - x->n);
            x->n = c->position + n;
        }
        memcpy(x->bytes + c->position, record->bytes + call->at, n);
        break;
    case CUT:
        x->n = call->n < x->n ? call->n : x->n;
        break;
    case SYNC:
        break;
    }
}

static void empty_disk(struct disk *d)
{
    for (int i = 0; i < d->n; i++)
        free(d->inodes[i].bytes);
    *d = (struct disk){.n = 1};
    d->inodes[0] = (struct inode){.folder = -1, .is_folder = true};
}

/* Which earlier changes a sync makes sure: the data of a file, the names in a folder. */
static void mark_durable(size_t sync)
{
    for (size_t j = 0; j < sync; j++) {
        struct change *c = &changes[j];
        const bool data = c->kind == WRITE || c->kind == CUT;
        const int of = data ? c->inode : c->folder;
        if (c->durable == SIZE_MAX && c->kind != SYNC && of == changes[sync].inode)
            c->durable = sync;
    }
}

/* First pass: what every call changed. */
static void resolve(void)
{
    struct disk *d = checked(calloc(1, sizeof *d));
    empty_disk(d);
    empty_disk(&before);
    for (size_t i = 0; i < record->n; i++) {
        const struct call *call = &record->calls[i];
        struct change *c = &changes[i];
        *c = (struct change){.kind = call->kind, .durable = SIZE_MAX};
        const char *path = call->kind == RENAME ? call->to : call->path;
        const char *slash = strrchr(path, '/');
        c->folder = slash ? walk(d, path, (size_t)(slash - path)) : 0;
        snprintf(c->name, NAME, "%s", slash ? slash + 1 : path);
        if (call->kind == CREATE || call->kind == MKDIR)
            c->inode = add_inode(d, -1, "", 0);
        else
            c->inode = walk(d, call->path, strlen(call->path));
        c->position = call->kind == WRITE ? d->inodes[c->inode].n : 0;
        if (call->kind == SYNC)
            mark_durable(i);
        apply(d, c, call, call->n);
    }
    /* Inodes that no CREATE or MKDIR made are from before. */
    before.n = d->n;
    for (int i = 1; i < d->n; i++) {
        bool made = false;
        for (size_t j = 0; j < record->n && !made; j++)
            made = (changes[j].kind == CREATE || changes[j].kind == MKDIR) && changes[j].inode == i;
        before.inodes[i] = d->inodes[i];
        before.inodes[i].bytes = NULL;
        before.inodes[i].n = 0;
        if (made)
            before.inodes[i].folder = -1;
    }
    empty_disk(d);
    free(d);
}

/* ---- second pass: what survives ---- */

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return *seed >> 33;
}

enum mode { NOTHING, EVERYTHING, MIXED = 8 }; /* one cut in eight loses all, one nothing */

/* Bytes of a write that arrive; for other changes 1 or 0. */
static size_t survivors(size_t i, size_t k, unsigned mode, uint64_t *seed)
{
    const size_t n = changes[i].kind == WRITE ? record->calls[i].n : 1;
    if (changes[i].durable < k || mode == EVERYTHING)
        return n;
    if (mode == NOTHING)
        return 0;
    const uint64_t fate = draw(seed) % 3;
    if (fate == 2 && changes[i].kind == WRITE)
        return draw(seed) % (n / SECTOR + 1) * SECTOR;
    return fate ? n : 0;
}

static void write_tree(const struct disk *d, int folder, const char *path)
{
    if (real.mkdir(path, 0755) != 0)
        abort();
    for (int i = 1; i < d->n; i++) {
        const struct inode *x = &d->inodes[i];
        char child[2 * PATH];
        if (x->folder != folder)
            continue;
        snprintf(child, sizeof child, "%s/%s", path, x->name);
        if (x->is_folder) {
            write_tree(d, i, child);
            continue;
        }
        FILE *f = checked(fopen(child, "wb"));
        if ((x->n > 0 && fwrite(x->bytes, 1, x->n, f) != x->n) || fclose(f) != 0)
            abort();
    }
}

void power_cut(size_t k, uint64_t *seed, const char *to)
{
    static size_t generation, calls; /* of the record that `changes` stands for */
    if (generation != record->generation || calls != record->n)
        resolve();
    generation = record->generation;
    calls = record->n;
    struct disk *d = checked(malloc(sizeof *d));
    *d = before;
    const unsigned mode = (unsigned)(draw(seed) % MIXED);
    for (size_t i = 0; i < k; i++) {
        const size_t n = survivors(i, k, mode, seed);
        if (n > 0)
            apply(d, &changes[i], &record->calls[i], n);
    }
    sl_remove_tree(to);
    write_tree(d, 0, to);
    empty_disk(d);
    free(d);
}
