/*
 * The data of an opened safetensors file: raw bytes, floats from any floating type, and the check
 * of the digest that our own files carry. Bytes are copied before they are read as numbers, since
 * the format promises no alignment.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bf16.h"
#include "format/safetensors.h"

enum { CHUNK = 1 << 16 };

sl_status sl_st_read(const struct sl_safetensors *st, const struct sl_st_tensor *t, void *dst,
                     size_t n)
{
    if (n != t->end - t->begin)
        SL_FAIL(SL_ERR_ARGUMENT, "%s: tensor \"%s\" has %" PRIu64 " bytes, not %zu", st->file.path,
                t->name, t->end - t->begin, n);
    return sl_file_read(&st->file, st->data_offset + t->begin, dst, n);
}

/* ---- conversion ---- */

/* IEEE binary16: exact in float. Subnormals are scaled by 2^-24, their unit. */
static float from_f16(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u;
    const uint32_t fraction = h & 0x3FFu;
    uint32_t bits = sign | (exponent + 112) << 23 | fraction << 13;
    float f;
    if (exponent == 0) {
        f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    if (exponent == 31)
        bits = sign | 0x7F800000u | fraction << 13;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void convert_f32(const unsigned char *src, float *dst, size_t n)
{
    memcpy(dst, src, n * sizeof *dst);
}

static void convert_f64(const unsigned char *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, src + i * sizeof x, sizeof x);
        dst[i] = (float)x;
    }
}

static void convert_f16(const unsigned char *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t x;
        memcpy(&x, src + i * sizeof x, sizeof x);
        dst[i] = from_f16(x);
    }
}

static void convert_bf16(const unsigned char *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t x;
        memcpy(&x, src + i * sizeof x, sizeof x);
        dst[i] = sl_bf16_to_f32(x);
    }
}

typedef void (*convert_fn)(const unsigned char *src, float *dst, size_t n);
static const convert_fn converters[SL_ST_DTYPES] = {
    [SL_ST_F64] = convert_f64,
    [SL_ST_F32] = convert_f32,
    [SL_ST_F16] = convert_f16,
    [SL_ST_BF16] = convert_bf16,
};

bool sl_st_is_float(enum sl_st_dtype dtype)
{
    return converters[dtype] != NULL;
}

void sl_st_to_f32(enum sl_st_dtype dtype, const void *src, float *dst, size_t n)
{
    converters[dtype](src, dst, n);
}

sl_status sl_st_read_f32(const struct sl_safetensors *st, const struct sl_st_tensor *t, float *dst,
                         size_t count)
{
    const size_t size = sl_st_dtype_size(t->dtype);
    const convert_fn convert = converters[t->dtype];
    unsigned char chunk[CHUNK];
    if (!convert)
        SL_FAIL(SL_ERR_DATA, "%s: tensor \"%s\" has dtype %s; floating-point values were expected",
                st->file.path, t->name, sl_st_dtype_name(t->dtype));
    if (count != (t->end - t->begin) / size)
        SL_FAIL(SL_ERR_ARGUMENT, "%s: tensor \"%s\" has %" PRIu64 " elements, not %zu",
                st->file.path, t->name, (t->end - t->begin) / size, count);
    for (size_t i = 0; i < count;) {
        const size_t n = count - i < CHUNK / size ? count - i : CHUNK / size;
        SL_TRY(sl_file_read(&st->file, st->data_offset + t->begin + i * size, chunk, n * size));
        convert(chunk, dst + i, n);
        i += n;
    }
    return SL_OK;
}

/* ---- digest ---- */

sl_status sl_st_check_digest(const struct sl_safetensors *st)
{
    unsigned char chunk[CHUNK];
    char digest[SL_DIGEST_SIZE];
    sl_hash *hash = NULL;
    const char *expected = sl_st_meta_get(st, SL_ST_DIGEST_KEY);
    if (!expected)
        return SL_OK;
    SL_TRY(sl_hash_new(&hash));
    for (uint64_t at = st->data_offset; at < st->file.size;) {
        const size_t n = st->file.size - at < CHUNK ? (size_t)(st->file.size - at) : CHUNK;
        const sl_status status = sl_file_read(&st->file, at, chunk, n);
        if (status != SL_OK) {
            sl_hash_end(&hash, NULL);
            return status;
        }
        sl_hash_add(hash, chunk, n);
        at += n;
    }
    sl_hash_end(&hash, digest);
    if (strcmp(digest, expected) != 0)
        SL_FAIL(SL_ERR_DATA,
                "%s: the data has XXH3-128 %s, its metadata says otherwise: the file is damaged",
                st->file.path, digest);
    return SL_OK;
}
