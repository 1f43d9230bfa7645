/*
 * Seeds for the fuzz targets whose formats have no golden files: FOLDER/fuzz_<format>/ gets small
 * valid inputs, so that a target starts behind the first check. Usage: make_seeds FOLDER
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/alloc.h"
#include "data/shard.h"
#include "train/checkpoint.h"

enum { CIFAR_RECORD = 3074, TAIL = 36 };
static const char *root;

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "make_seeds: %s: %s\n", what, sl_error_message());
    exit(1);
}

static void seed(const char *target, const char *name, const void *bytes, size_t n)
{
    char folder[512], path[600];
    snprintf(folder, sizeof folder, "%s/%s", root, target);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    need(sl_make_dirs(folder) == SL_OK && sl_write_file_atomic(path, bytes, n) == SL_OK, path);
}

static size_t compress_gzip(const void *bytes, size_t n, unsigned char *out, size_t room)
{
    z_stream z = {.next_in = (z_const Bytef *)bytes, .avail_in = (uInt)n};
    need(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "deflate");
    z.next_out = out;
    z.avail_out = (uInt)room;
    need(deflate(&z, Z_FINISH) == Z_STREAM_END, "deflate");
    deflateEnd(&z);
    return room - z.avail_out;
}

static void idx_and_gzip(void)
{
    static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 2};
    unsigned char images[16 + 2 * 3 * 4] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4};
    unsigned char packed[256] = {sizeof images / 8}; /* fuzz_gzip: first byte = length / 8 */
    for (size_t i = 16; i < sizeof images; i++)
        images[i] = (unsigned char)(7 * i);
    seed("fuzz_idx", "labels", labels, sizeof labels);
    seed("fuzz_idx", "images", images, sizeof images);
    const size_t n = compress_gzip(images, sizeof images, packed + 1, sizeof packed - 1);
    seed("fuzz_idx", "images.gz", packed + 1, n);
    seed("fuzz_gzip", "images.gz", packed, n + 1);
    seed("fuzz_unpack", "images.gz", packed + 1, n);
}

static void cifar(void)
{
    unsigned char records[1 + 2 * CIFAR_RECORD] = {0}; /* fuzz_cifar: first byte = which CIFAR */
    seed("fuzz_cifar", "ten", records, 1 + 2 * (CIFAR_RECORD - 1));
    records[0] = 1;
    records[1] = 19;
    records[2] = 99;
    seed("fuzz_cifar", "hundred", records, sizeof records);
}

/* fuzz_manifest adds the digest itself, so its inputs end before that. */
static void manifest(void)
{
    static char config[] = "schema: 1\nname: x\ntrain: {lr: 0.5}\n";
    const struct sl_manifest m = {.info = {.state = {.step = 7, .best_top1 = 0.5},
                                           .reason = "periodic",
                                           .config = config,
                                           .data_digest = "data",
                                           .build = "build"},
                                  .files = {{100, "0123456789abcdef0123456789abcdef"},
                                            {200, "00000000000000000000000000000000"}}};
    char folder[512], path[600], *bytes = NULL;
    size_t n = 0;
    snprintf(folder, sizeof folder, "%s/work", root);
    snprintf(path, sizeof path, "%s/manifest.json", folder);
    need(sl_remove_tree(folder) == SL_OK && sl_make_dirs(folder) == SL_OK &&
             sl_manifest_write(folder, &m) == SL_OK &&
             sl_read_file(path, 1 << 20, &bytes, &n) == SL_OK && n > TAIL,
         path);
    seed("fuzz_manifest", "manifest", bytes, n - TAIL);
    sl_free(bytes);
    need(sl_remove_tree(folder) == SL_OK, folder);
}

static size_t tar_member(unsigned char *to, const char *name, const char *text, char kind)
{
    unsigned sum = 0;
    sl_tar_header(name, strlen(text), to);
    to[156] = (unsigned char)kind;
    memset(to + 148, ' ', 8);
    for (size_t i = 0; i < SL_TAR_BLOCK; i++)
        sum += to[i];
    snprintf((char *)to + 148, 8, "%06o", sum);
    memcpy(to + SL_TAR_BLOCK, text, strlen(text));
    return SL_TAR_BLOCK + (strlen(text) + SL_TAR_BLOCK - 1) / SL_TAR_BLOCK * SL_TAR_BLOCK;
}

/* fuzz_tar: first byte 0 = a tar, 1 = an index without its digest */
static void tar(void)
{
    static unsigned char bytes[1 + 16 * SL_TAR_BLOCK];
    struct sl_shard s = {.bytes = 1 << 20};
    size_t n = 1, size = 0;
    n += tar_member(bytes + n, "a/1.jpg", "image", '0');
    n += tar_member(bytes + n, "a/1.cls", "7\n", '0');
    n += tar_member(bytes + n, "long", "3.png", 'L');
    n += tar_member(bytes + n, "cut", "image", '0');
    n += tar_member(bytes + n, "3.json", "{\"label\": 3}", '0');
    seed("fuzz_tar", "tar", bytes, n + (size_t)2 * SL_TAR_BLOCK);
    memset(bytes + 1, 0, sizeof bytes - 1);
    n = 1;
    n += tar_member(bytes + n, "pax", "14 path=2.png\n", 'x');
    n += tar_member(bytes + n, "cut", "image", '0');
    n += tar_member(bytes + n, "2.cls", "1", '0');
    seed("fuzz_tar", "pax", bytes, n + (size_t)2 * SL_TAR_BLOCK);
    char folder[512], path[600], *index = NULL;
    snprintf(folder, sizeof folder, "%s/work", root);
    snprintf(path, sizeof path, "%s/x", folder);
    need(sl_make_dirs(folder) == SL_OK && sl_shard_add(&s, 512, 10, 3) == SL_OK &&
             sl_shard_add(&s, 2048, 10, 4) == SL_OK && sl_shard_index_write(path, &s) == SL_OK,
         path);
    snprintf(path, sizeof path, "%s/x" SL_INDEX_ENDING, folder);
    need(sl_read_file(path, 1 << 20, &index, &size) == SL_OK && size < sizeof bytes, path);
    bytes[0] = 1;
    memcpy(bytes + 1, index, size - 32);
    seed("fuzz_tar", "index", bytes, 1 + size - 32);
    sl_free(index);
    sl_shard_free(&s);
    need(sl_remove_tree(folder) == SL_OK, folder);
}

static void labels(void)
{
    static const char list[] = "\0[[0], [2, 1], [], 1, [0], [\"1\"], [2], [0]]";
    static const char names[] = "\2{\"a/1.png\": [0], \"2.png\": [\"1\", 2]}";
    static const char shots[] =
        "\1{\"softless_shots\": 1, \"sets\": [{\"data\": \"a\", \"images\": 8, \"train\": "
        "[0, 1, 2, 3], \"test\": [4, 5], \"shots\": {\"0\": [[3, 0], [1], [2]]}}]}";
    seed("fuzz_labels", "list", list, sizeof list - 1);
    seed("fuzz_labels", "names", names, sizeof names - 1);
    seed("fuzz_labels", "shots", shots, sizeof shots - 1);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds FOLDER\n");
        return 64;
    }
    root = argv[1];
    idx_and_gzip();
    cifar();
    manifest();
    tar();
    labels();
    return 0;
}
