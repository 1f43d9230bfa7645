/*
 * safetensors files: strict reader and writer (rules: every check in the reader is listed in
 * safetensors.c; format: huggingface/safetensors README).
 */
#ifndef SL_FORMAT_SAFETENSORS_H
#define SL_FORMAT_SAFETENSORS_H

#include "base/io.h"

enum sl_st_dtype {
    SL_ST_F64,
    SL_ST_F32,
    SL_ST_F16,
    SL_ST_BF16,
    SL_ST_I64,
    SL_ST_I32,
    SL_ST_I16,
    SL_ST_I8,
    SL_ST_U64,
    SL_ST_U32,
    SL_ST_U16,
    SL_ST_U8,
    SL_ST_BOOL,
    SL_ST_DTYPES
};

/* Limits of reader and writer, far below the format's own (100,000,000 bytes of header), so that a
 * hostile header costs little. */
enum {
    SL_ST_HEADER_MAX = 4 << 20, /* bytes */
    SL_ST_TENSORS_MAX = 32768,
    SL_ST_NAME_MAX = 1024, /* bytes */
    SL_ST_RANK_MAX = 8
};

struct sl_st_tensor {
    char *name;
    enum sl_st_dtype dtype;
    size_t rank, shape[SL_ST_RANK_MAX];
    uint64_t begin, end; /* bytes in the data buffer */
};
struct sl_st_meta {
    char *key, *value;
};
struct sl_safetensors {
    sl_file file;
    uint64_t data_offset; /* of the data buffer in the file */
    size_t n, n_meta;
    struct sl_st_tensor *tensors;        /* in file order of the data */
    const struct sl_st_tensor **by_name; /* [n], sorted */
    struct sl_st_meta *meta;
};

/* Opens and checks the whole header. SL_ERR_DATA names byte offset, field, value, limit. */
sl_status sl_st_open(const char *path, struct sl_safetensors *st);
void sl_st_close(struct sl_safetensors *st);
/* The same checks on a header's text (without its length) in front of data_size bytes of data; st
 * gets everything but the file, sl_st_close frees it. `what` names the text in errors. */
sl_status sl_st_parse(const char *header, size_t n, uint64_t data_size, const char *what,
                      struct sl_safetensors *st);
const struct sl_st_tensor *sl_st_find(const struct sl_safetensors *st, const char *name);
const char *sl_st_meta_get(const struct sl_safetensors *st, const char *key); /* NULL if absent */
/* Raw bytes of a tensor; n must equal end - begin. */
sl_status sl_st_read(const struct sl_safetensors *st, const struct sl_st_tensor *t, void *dst,
                     size_t n);
/* As floats, converted from F32, F16, BF16 or F64. */
sl_status sl_st_read_f32(const struct sl_safetensors *st, const struct sl_st_tensor *t, float *dst,
                         size_t count);
/* Compares the data with softless.data_xxh3_128 of the metadata; OK if that is absent. */
sl_status sl_st_check_digest(const struct sl_safetensors *st);
size_t sl_st_dtype_size(enum sl_st_dtype dtype);
const char *sl_st_dtype_name(enum sl_st_dtype dtype);
bool sl_st_is_float(enum sl_st_dtype dtype); /* sl_st_read_f32 can read it */
/* n numbers of a floating type, at any address, as float. */
void sl_st_to_f32(enum sl_st_dtype dtype, const void *src, float *dst, size_t n);

struct sl_st_out {
    const char *name;
    enum sl_st_dtype dtype;
    size_t rank, shape[SL_ST_RANK_MAX];
    const void *data; /* contiguous */
};
#define SL_ST_DIGEST_KEY "softless.data_xxh3_128"
/* Writes a new file (exclusive), data in the order given, header padded to 64; adds
 * softless.data_xxh3_128 to the metadata. fsynced. digest (33 bytes) of the file and size may be
 * NULL. SL_ERR_ARGUMENT if the reader would refuse it (name twice, reserved, not UTF-8, ...); a
 * file that could not be finished stays for the caller to remove. */
sl_status sl_st_write(const char *path, const struct sl_st_out *tensors, size_t n,
                      const struct sl_st_meta *meta, size_t n_meta, char *digest, uint64_t *size);

#endif
