/*
 * libFuzzer: a compressed shard, read twice, in large and in small pieces, with the same end.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/unpack.h"

enum { PIECE = 1 << 16, SMALL = 777, READ_MAX = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes up to the end, an error or READ_MAX. */
static uint64_t read_all(const char *path, size_t piece, sl_status *st)
{
    static uint8_t buf[PIECE];
    struct sl_unpack *u = NULL;
    uint64_t n = 0;
    size_t got = piece;
    *st = sl_unpack_open(path, &u);
    if (*st != SL_OK) {
        if (u)
            abort();
        return 0;
    }
    while (*st == SL_OK && got == piece && n < READ_MAX) {
        *st = sl_unpack_read(u, buf, piece, &got);
        if (*st != SL_OK)
            break;
        n += got;
        if (got > piece || sl_unpack_at(u) != n)
            abort();
    }
    sl_unpack_free(&u);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    sl_status large, small;
    const int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const uint64_t n = read_all(path, PIECE, &large), m = read_all(path, SMALL, &small);
    if (n < READ_MAX && (large != small || (large == SL_OK && n != m)))
        abort();
    close(fd);
    return 0;
}
