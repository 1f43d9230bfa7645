/*
 * Folders: creating, listing, removing, and making renames durable. Paths enter; sorted names
 * leave.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"

enum { TREE_DEPTH = 64 };

sl_status sl_sync_dir(const char *path)
{
    int fd;
    do {
        fd = sl_io.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return sl_io_error(SL_ERR_IO, "open the folder to sync it", path);
    sl_status st = SL_OK;
    if (sl_io.fsync(fd) != 0 && errno != EINVAL) /* EINVAL: this file system syncs no folders */
        st = sl_io_error(SL_ERR_IO, "sync the folder to disk", path);
    if (sl_io.close(fd) != 0 && st == SL_OK)
        st = sl_io_error(SL_ERR_IO, "close the folder", path);
    return st;
}

/* The folder a path lies in; "." for a bare name. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash ? sl_strdup(path) : sl_strdup(".");
    if (parent && slash)
        parent[slash == path ? 1 : slash - path] = '\0';
    return parent;
}

sl_status sl_rename_sync(const char *from, const char *to)
{
    char *parent = parent_of(to); /* first: once renamed, only the disk may fail */
    if (!parent)
        return SL_ERR_MEMORY;
    sl_status st = SL_OK;
    if (sl_io.rename(from, to) != 0)
        st = sl_io_error(SL_ERR_IO, "rename another file to it", to);
    else
        st = sl_sync_dir(parent);
    sl_free(parent);
    return st;
}

bool sl_is_dir(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool sl_is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* The name of a new folder is not on the disk before the one that holds it is synced. */
static sl_status sync_parent(const char *path)
{
    char *parent = parent_of(path);
    const sl_status st = parent ? sl_sync_dir(parent) : SL_ERR_MEMORY;
    sl_free(parent);
    return st;
}

static sl_status make_dir(const char *path)
{
    if (sl_io.mkdir(path, 0755) == 0)
        return sync_parent(path);
    const int why = errno;
    if (sl_is_dir(path)) /* another process made it; or e.g. EROFS above a folder that is there */
        return SL_OK;
    errno = why;
    return sl_io_error(SL_ERR_CREATE, "create the folder", path);
}

sl_status sl_make_dirs(const char *path)
{
    char *part = sl_strdup(path);
    if (!part)
        return SL_ERR_MEMORY;
    sl_status st = SL_OK;
    for (char *c = part; st == SL_OK && *c; c++) {
        if (*c != '/' || c == part)
            continue;
        *c = '\0';
        if (!sl_is_dir(part))
            st = make_dir(part);
        *c = '/';
    }
    if (st == SL_OK && !sl_is_dir(part))
        st = make_dir(part);
    sl_free(part);
    return st;
}

/* ---- listing ---- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void sl_names_free(char ***names, size_t n)
{
    if (!*names)
        return;
    for (size_t i = 0; i < n; i++)
        sl_free((*names)[i]);
    sl_free(*names);
    *names = NULL;
}

/* Reads every entry into a growing array; on failure what was read stays in *names for the caller
 * to free. */
static sl_status read_names(DIR *dir, const char *path, char ***names, size_t *n)
{
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry && errno != 0)
            return sl_io_error(SL_ERR_IO, "list the folder", path);
        if (!entry)
            return SL_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (*n == capacity) {
            const size_t more = capacity ? 2 * capacity : 64;
            char **grown = sl_regrow(*names, capacity, more, sizeof *grown);
            if (!grown)
                return SL_ERR_MEMORY;
            *names = grown;
            capacity = more;
        }
        (*names)[*n] = sl_strdup(entry->d_name);
        if (!(*names)[*n])
            return SL_ERR_MEMORY;
        (*n)++;
    }
}

sl_status sl_list_dir(const char *path, char ***names, size_t *n)
{
    DIR *dir = opendir(path);
    if (!dir)
        return sl_io_error(SL_ERR_INPUT, "open the folder", path);
    char **found = NULL;
    size_t count = 0;
    const sl_status st = read_names(dir, path, &found, &count);
    closedir(dir);
    if (st != SL_OK) {
        sl_names_free(&found, count);
        return st;
    }
    if (count > 0)
        qsort(found, count, sizeof *found, by_bytes);
    *names = found;
    *n = count;
    return SL_OK;
}

char *sl_path_join(const char *dir, const char *name)
{
    const size_t n = strlen(dir);
    return sl_asprintf("%s%s%s", dir, n > 0 && dir[n - 1] == '/' ? "" : "/", name);
}

/* ---- removing ---- */

static sl_status remove_at(const char *path, int depth);

static sl_status remove_children(const char *path, int depth)
{
    char **names = NULL;
    size_t n = 0;
    if (depth == TREE_DEPTH)
        SL_FAIL(SL_ERR_IO, "%s: folders nested more than %d deep are not removed", path,
                TREE_DEPTH);
    SL_TRY(sl_list_dir(path, &names, &n));
    sl_status st = SL_OK;
    for (size_t i = 0; i < n && st == SL_OK; i++) {
        char *child = sl_path_join(path, names[i]);
        st = child ? remove_at(child, depth + 1) : SL_ERR_MEMORY;
        sl_free(child);
    }
    sl_names_free(&names, n);
    return st;
}

static sl_status remove_at(const char *path, int depth)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return errno == ENOENT ? SL_OK : sl_io_error(SL_ERR_IO, "look at it", path);
    if (!S_ISDIR(info.st_mode)) {
        if (sl_io.unlink(path) != 0 && errno != ENOENT)
            return sl_io_error(SL_ERR_IO, "remove it", path);
        return SL_OK;
    }
    SL_TRY(remove_children(path, depth));
    if (sl_io.rmdir(path) != 0 && errno != ENOENT)
        return sl_io_error(SL_ERR_IO, "remove the folder", path);
    return SL_OK;
}

sl_status sl_remove_tree(const char *path)
{
    return remove_at(path, 0);
}
