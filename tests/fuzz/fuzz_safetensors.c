/*
 * libFuzzer target: bytes become a file in memory, which is opened, checked and read through the
 * same functions that users run. A file that opens must also survive reading every tensor.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_tensors(const struct sl_safetensors *st)
{
    for (size_t i = 0; i < st->n; i++) {
        const struct sl_st_tensor *t = &st->tensors[i];
        const size_t bytes = (size_t)(t->end - t->begin);
        const size_t count = bytes / sl_st_dtype_size(t->dtype);
        void *raw = malloc(bytes + 1);
        float *floats = malloc((count + 1) * sizeof *floats);
        if (!raw || !floats || sl_st_find(st, t->name) != t ||
            sl_st_read(st, t, raw, bytes) != SL_OK)
            abort();
        if (sl_st_is_float(t->dtype) && sl_st_read_f32(st, t, floats, count) != SL_OK)
            abort();
        free(raw);
        free(floats);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct sl_safetensors st;
    const int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (sl_st_open(path, &st) == SL_OK) {
        sl_st_check_digest(&st);
        read_tensors(&st);
        sl_st_close(&st);
    }
    close(fd);
    return 0;
}
