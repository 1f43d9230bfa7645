/*
 * npz files: NumPy arrays in a zip archive, read strictly. Stored and deflated members, zip64;
 * checksums are verified by every read. What is refused, and why, is listed in npz.c and npy.c.
 */
#ifndef SL_FORMAT_NPZ_H
#define SL_FORMAT_NPZ_H

#include "format/safetensors.h"

enum {
    SL_NPZ_MEMBERS_MAX = 10000,
    SL_NPZ_NAME_MAX = 1024,       /* bytes, without ".npy" */
    SL_NPY_HEADER_MAX = 64 << 10, /* bytes of the dict */
    SL_NPY_PREFIX_MAX = 12        /* bytes before it */
};
#define SL_NPZ_ARRAY_MAX ((uint64_t)64 << 30) /* bytes of one member, inflated */

struct sl_npz_array {
    char *name; /* member name without ".npy" */
    /* What NumPy cannot name, bfloat16, is a 2-byte void ("V2") in these files: SL_ST_BF16. */
    enum sl_st_dtype dtype;
    bool fortran; /* first axis fastest */
    size_t rank, shape[SL_ST_RANK_MAX], count;
    /* where it lies */
    uint64_t start, data, packed, size; /* local header, member data; bytes in the file, inflated */
    uint32_t crc;
    bool deflated;
    size_t header; /* bytes before the numbers, inflated */
};

struct sl_npz {
    sl_file file;
    size_t n;
    struct sl_npz_array *arrays; /* [n], sorted by name */
};

/* Reads the directory and every array's header. SL_ERR_DATA names member, field and value. */
sl_status sl_npz_open(const char *path, struct sl_npz *npz);
void sl_npz_close(struct sl_npz *npz);
const struct sl_npz_array *sl_npz_find(const struct sl_npz *npz, const char *name);
/* All numbers as float, in C order whatever the file's. count must be the array's. */
sl_status sl_npz_read_f32(const struct sl_npz *npz, const struct sl_npz_array *a, float *dst,
                          size_t count);

/* The text of an npy header, from the magic bytes on: sets dtype, fortran, rank, shape, count and
 * header of `a`. `n` bytes are at hand; *more: how many are needed if those do not suffice, else 0.
 * `what` names the member in errors. */
sl_status sl_npy_parse(const unsigned char *bytes, size_t n, const char *what,
                       struct sl_npz_array *a, size_t *more);

#endif
