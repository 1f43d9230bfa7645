/*
 * libFuzzer target: bytes become a file in memory, which is opened, checked and read through the
 * same functions that users run. A file that opens must also survive reading every array.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/npz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_arrays(const struct sl_npz *z)
{
    for (size_t i = 0; i < z->n; i++) {
        const struct sl_npz_array *a = &z->arrays[i];
        float *floats;
        if (sl_npz_find(z, a->name) != a)
            abort();
        if (!sl_st_is_float(a->dtype) || a->count > 1 << 20)
            continue;
        floats = malloc((a->count + 1) * sizeof *floats);
        if (!floats)
            abort();
        (void)sl_npz_read_f32(z, a, floats, a->count); /* a wrong checksum is an error, no crash */
        free(floats);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct sl_npz z;
    const int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (sl_npz_open(path, &z) == SL_OK) {
        read_arrays(&z);
        sl_npz_close(&z);
    }
    close(fd);
    return 0;
}
