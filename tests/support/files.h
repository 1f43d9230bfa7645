/*
 * A scratch folder for one test program, made in the working directory and removed at the end, and
 * small helpers over stdio that share no code with the library.
 */
#ifndef SL_TESTS_SUPPORT_FILES_H
#define SL_TESTS_SUPPORT_FILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"

static char scratch_dir[64];

static inline int scratch_make(void **state)
{
    (void)state;
    snprintf(scratch_dir, sizeof scratch_dir, "scratch-XXXXXX");
    return mkdtemp(scratch_dir) ? 0 : -1;
}

static inline int scratch_remove(void **state)
{
    (void)state;
    return sl_remove_tree(scratch_dir) == SL_OK ? 0 : -1;
}

/* SCRATCH/name in a static buffer of eight that take turns. */
static inline const char *scratch(const char *name)
{
    static char paths[8][512];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_dir, name);
    return path;
}

static inline void put_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        abort();
}

/* Bytes of a file in a malloc block; NULL if it cannot be opened. */
static inline unsigned char *get_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    struct stat info;
    if (!f)
        return NULL;
    if (fstat(fileno(f), &info) != 0)
        abort();
    *n = (size_t)info.st_size;
    unsigned char *bytes = malloc(*n + 1);
    if (!bytes || fread(bytes, 1, *n, f) != *n)
        abort();
    bytes[*n] = '\0';
    fclose(f);
    return bytes;
}

#endif
