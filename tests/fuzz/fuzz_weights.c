/*
 * libFuzzer: a file as weights: our own metadata and tensors, another project's (npz and
 * safetensors), and kept features. What opens must be a model that can be built.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "eval/probe.h"
#include "model/import.h"

enum { FLOATS_MAX = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_own(const char *path)
{
    struct sl_weights_meta meta;
    struct sl_param_table table;
    if (sl_weights_read_meta(path, &meta) != SL_OK)
        return;
    if (sl_param_table_build(&meta.vit, &table) == SL_OK) {
        float *params = NULL;
        if (table.floats <= FLOATS_MAX && SL_NEW(params, table.floats) == SL_OK)
            (void)sl_weights_read(path, &table, params); /* missing tensors are an error */
        sl_free(params);
        sl_param_table_free(&table);
    }
    sl_weights_meta_free(&meta);
}

static void try_foreign(const char *path)
{
    const struct sl_import options = {.heads = 2, .mean = {0.5, 0.5, 0.5}, .std = {0.5, 0.5, 0.5}};
    struct sl_vit_config vit;
    struct sl_param_table table;
    float *params = NULL;
    if (sl_import_read(path, &options, &vit, &table, &params) != SL_OK) {
        if (params)
            abort();
        return;
    }
    if (sl_vit_check(&vit) != SL_OK)
        abort();
    sl_param_table_free(&table);
    sl_free(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct sl_feature_store *store = NULL;
    const int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    try_own(path);
    try_foreign(path);
    (void)sl_feature_store_open(path, &store);
    sl_feature_store_free(&store);
    close(fd);
    return 0;
}
