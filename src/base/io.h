/*
 * Files. Every system call that persists something goes through one table, so that a test can fail
 * the n-th call, tear a write or drop what was not synced; readers use pread on regular files only,
 * never mmap.
 */
#ifndef SL_BASE_IO_H
#define SL_BASE_IO_H

#include <sys/statvfs.h>
#include <sys/types.h>

#include "base/error.h"

/* The system-call table; sl_io points at the real calls unless a test replaces it. Same contracts
 * as the calls they are named after (errno set, -1). */
typedef struct sl_io_calls {
    int (*open)(const char *path, int flags, mode_t mode);
    ssize_t (*pread)(int fd, void *buf, size_t n, off_t offset);
    ssize_t (*write)(int fd, const void *buf, size_t n);
    int (*fsync)(int fd);
    int (*close)(int fd);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*rmdir)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
    int (*ftruncate)(int fd, off_t size);
    int (*statvfs)(const char *path, struct statvfs *info);
} sl_io_calls;
extern sl_io_calls sl_io;

/* Records "PATH: cannot DOING: text of errno (what to do)". The status is `otherwise` unless errno
 * says more: SL_ERR_IO for a full or broken disk, SL_ERR_MEMORY for exhausted memory or files. */
sl_status sl_io_error(sl_status otherwise, const char *doing, const char *path);

/* ---- reading ---- */

/* A regular file opened for reading; size as of opening. */
typedef struct sl_file {
    int fd;
    uint64_t size;
    char *path;
} sl_file;

/* SL_ERR_INPUT if missing, unreadable or not a regular file. */
sl_status sl_file_open(const char *path, sl_file *f);
/* Exactly n bytes at offset; SL_ERR_DATA if the file ends before ("shrank"), SL_ERR_IO on EIO. */
sl_status sl_file_read(const sl_file *f, uint64_t offset, void *buf, size_t n);
void sl_file_close(sl_file *f);

/* The whole file, at most `cap` bytes (else SL_ERR_DATA naming the cap). *data is freed with
 * sl_free and has a NUL after its last byte. */
sl_status sl_read_file(const char *path, size_t cap, char **data, size_t *size);

/* ---- bounded cursor over bytes in memory ---- */

typedef struct sl_cursor {
    const unsigned char *at;
    size_t remaining;
} sl_cursor;
bool sl_take(sl_cursor *c, size_t n, const unsigned char **bytes); /* false: fewer than n remain */
bool sl_take_u32_be(sl_cursor *c, uint32_t *x);
bool sl_take_u64_le(sl_cursor *c, uint64_t *x);

/* ---- writing ---- */

/* A buffered writer that digests what it writes (XXH3-128, as `xxh128sum` prints it). */
typedef struct sl_writer sl_writer;
/* Creates `path` exclusively (O_CREAT|O_EXCL|O_NOFOLLOW); SL_ERR_CREATE on failure. */
sl_status sl_writer_open(const char *path, sl_writer **w);
/* Also for appending: O_APPEND, created when missing. */
sl_status sl_writer_append(const char *path, sl_writer **w);
sl_status sl_writer_write(sl_writer *w, const void *data, size_t n);
sl_status sl_writer_flush(sl_writer *w);
sl_status sl_writer_sync(sl_writer *w); /* flush and fsync; the writer stays open */
/* Flushes, fsyncs if `sync`, closes, frees. digest (33 bytes, NUL-terminated hex) may be NULL.
 * Frees also on failure. */
sl_status sl_writer_close(sl_writer **w, bool sync, char *digest, uint64_t *size);
void sl_writer_abandon(sl_writer **w); /* closes without a word; the file stays */

/* Replaces `path` by these bytes: temporary file, fsync, rename, fsync of the directory. A process
 * that dies meanwhile leaves PATH SL_TEMP_MARK *. */
#define SL_TEMP_MARK ".tmp-"
sl_status sl_write_file_atomic(const char *path, const void *data, size_t n);
/* Cuts an existing file to `size` bytes and syncs it; SL_ERR_DATA if it is shorter. */
sl_status sl_truncate_file(const char *path, uint64_t size);
/* Renames and syncs the directory of `to`. */
sl_status sl_rename_sync(const char *from, const char *to);
sl_status sl_sync_dir(const char *path);
sl_status sl_make_dirs(const char *path);   /* mkdir -p; the names of new folders are durable */
sl_status sl_remove_tree(const char *path); /* rm -r, no error if absent; never follows links */

/* ---- folders ---- */

/* Names in a folder without . and .., sorted by bytes. Free with sl_names_free. */
sl_status sl_list_dir(const char *path, char ***names, size_t *n);
void sl_names_free(char ***names, size_t n);
bool sl_is_dir(const char *path);
bool sl_is_file(const char *path);
char *sl_path_join(const char *dir, const char *name); /* sl_free; NULL when memory is out */

/* XXH3-128 of memory as 32 hex digits and a NUL. */
#define SL_DIGEST_SIZE 33
void sl_digest(const void *data, size_t n, char out[SL_DIGEST_SIZE]);
typedef struct sl_hash sl_hash;
sl_status sl_hash_new(sl_hash **h);
void sl_hash_add(sl_hash *h, const void *data, size_t n);
void sl_hash_end(sl_hash **h, char out[SL_DIGEST_SIZE]); /* frees */

#endif
