/*
 * NumPy arrays of an npz file: a member's bytes, inflated and checked as they are read, its header,
 * and its numbers as float. A header's shape is held against the member's size when the file is
 * opened, so that nobody allocates what the file does not hold.
 */
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "format/npz_parts.h"

/* ---- a member's bytes ---- */

enum { PIECE = 1 << 16 };

/* A member read from its start, checked as it goes. */
struct stream {
    const struct sl_npz *npz;
    const struct sl_npz_array *a;
    const char *label;
    uint64_t packed_read, given;
    uint32_t crc;
    z_stream z;
    bool inflating, at_end;
    unsigned char in[PIECE];
};

static sl_status stream_open(const struct sl_npz *z, const struct sl_npz_array *a,
                             const char *label, struct stream **out)
{
    struct stream *s;
    SL_TRY(SL_NEW(s, 1));
    s->npz = z;
    s->a = a;
    s->label = label;
    s->crc = (uint32_t)crc32(0, NULL, 0);
    if (a->deflated && inflateInit2(&s->z, -MAX_WBITS) != Z_OK) {
        sl_free(s);
        SL_FAIL(SL_ERR_MEMORY, "%s: out of memory for inflating", label);
    }
    s->inflating = a->deflated;
    *out = s;
    return SL_OK;
}

static void stream_free(struct stream *s)
{
    if (s->inflating)
        inflateEnd(&s->z);
    sl_free(s);
}

static sl_status refill(struct stream *s)
{
    const uint64_t left = s->a->packed - s->packed_read;
    const size_t n = left < PIECE ? (size_t)left : PIECE;
    if (n == 0)
        SL_FAIL(SL_ERR_DATA, "%s: its compressed data are cut short", s->label);
    SL_TRY(sl_file_read(&s->npz->file, s->a->data + s->packed_read, s->in, n));
    s->packed_read += n;
    s->z.next_in = s->in;
    s->z.avail_in = (uInt)n;
    return SL_OK;
}

static sl_status inflate_into(struct stream *s, unsigned char *dst, size_t n)
{
    s->z.next_out = dst;
    s->z.avail_out = (uInt)n;
    while (s->z.avail_out > 0) {
        if (s->at_end)
            SL_FAIL(SL_ERR_DATA, "%s: inflates to fewer bytes than its header announces", s->label);
        if (s->z.avail_in == 0)
            SL_TRY(refill(s));
        const int r = inflate(&s->z, Z_NO_FLUSH);
        s->at_end = r == Z_STREAM_END;
        if (r == Z_MEM_ERROR)
            SL_FAIL(SL_ERR_MEMORY, "%s: out of memory for inflating", s->label);
        if (r != Z_OK && r != Z_STREAM_END)
            SL_FAIL(SL_ERR_DATA, "%s: its compressed data are damaged", s->label);
    }
    return SL_OK;
}

/* The next n <= PIECE inflated bytes. */
static sl_status stream_read(struct stream *s, unsigned char *dst, size_t n)
{
    if (s->a->size - s->given < n)
        SL_FAIL(SL_ERR_DATA, "%s: ends before its numbers do", s->label);
    if (s->a->deflated)
        SL_TRY(inflate_into(s, dst, n));
    else
        SL_TRY(sl_file_read(&s->npz->file, s->a->data + s->given, dst, n));
    s->given += n;
    s->crc = (uint32_t)crc32(s->crc, dst, (uInt)n);
    return SL_OK;
}

/* Everything has been read: nothing may be left, and the checksum must fit. */
static sl_status stream_end(struct stream *s)
{
    unsigned char extra;
    if (s->a->deflated && !s->at_end) {
        s->z.next_out = &extra;
        s->z.avail_out = 1;
        if (s->z.avail_in == 0 && s->packed_read < s->a->packed)
            SL_TRY(refill(s));
        if (inflate(&s->z, Z_NO_FLUSH) != Z_STREAM_END || s->z.avail_out == 0)
            SL_FAIL(SL_ERR_DATA, "%s: inflates to more bytes than its header announces", s->label);
    }
    if (s->a->deflated && (s->z.avail_in > 0 || s->packed_read < s->a->packed))
        SL_FAIL(SL_ERR_DATA, "%s: bytes follow its compressed data", s->label);
    if (s->crc != s->a->crc)
        SL_FAIL(SL_ERR_DATA, "%s: wrong checksum; the file is damaged", s->label);
    return SL_OK;
}

/* ---- arrays ---- */

/* Reads what the header needs, and holds its claims against the member's size. */
static sl_status read_header(const struct sl_npz *z, struct sl_npz_array *a, unsigned char *bytes)
{
    struct sl_npz_label l;
    const char *label = sl_npz_label(z, a->name, &l);
    struct stream *s;
    size_t have = 0, more = 0, data = 0;
    SL_TRY(stream_open(z, a, label, &s));
    sl_status st = sl_npy_parse(bytes, 0, label, a, &more);
    while (st == SL_OK && more > have) {
        const size_t n = more - have < PIECE ? more - have : PIECE;
        st = stream_read(s, bytes + have, n);
        have += n;
        if (st == SL_OK && have == more)
            st = sl_npy_parse(bytes, have, label, a, &more);
    }
    stream_free(s);
    SL_TRY(st);
    if (!sl_size_mul(a->count, sl_st_dtype_size(a->dtype), &data) || data != a->size - a->header)
        SL_FAIL(SL_ERR_DATA, "%s: %" PRIu64 " bytes of data do not fit its shape and dtype", label,
                a->size - a->header);
    return SL_OK;
}

static sl_status read_headers(struct sl_npz *z)
{
    unsigned char *bytes;
    sl_status st = SL_OK;
    SL_TRY(SL_NEW(bytes, SL_NPY_HEADER_MAX + SL_NPY_PREFIX_MAX));
    for (size_t i = 0; st == SL_OK && i < z->n; i++)
        st = read_header(z, &z->arrays[i], bytes);
    sl_free(bytes);
    return st;
}

sl_status sl_npz_open(const char *path, struct sl_npz *npz)
{
    struct sl_npz z = {0};
    sl_status st;
    SL_TRY(sl_file_open(path, &z.file));
    SL_TRY_FREE(sl_npz_read_directory(&z));
    SL_TRY_FREE(read_headers(&z));
    *npz = z;
    return SL_OK;
fail:
    sl_npz_close(&z);
    return st;
}

void sl_npz_close(struct sl_npz *npz)
{
    for (size_t i = 0; i < npz->n; i++)
        sl_free(npz->arrays[i].name);
    sl_free(npz->arrays);
    sl_file_close(&npz->file);
    *npz = (struct sl_npz){0};
}

const struct sl_npz_array *sl_npz_find(const struct sl_npz *npz, const char *name)
{
    size_t low = 0, high = npz->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, npz->arrays[middle].name);
        if (order == 0)
            return &npz->arrays[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Number i of the file in C order: the file's axes run the other way round. */
static size_t c_index(const struct sl_npz_array *a, size_t i)
{
    size_t at = 0, stride = a->count;
    for (size_t axis = 0; axis < a->rank; axis++) {
        stride /= a->shape[axis];
        at += i % a->shape[axis] * stride;
        i /= a->shape[axis];
    }
    return at;
}

sl_status sl_npz_read_f32(const struct sl_npz *npz, const struct sl_npz_array *a, float *dst,
                          size_t count)
{
    struct sl_npz_label l;
    const char *label = sl_npz_label(npz, a->name, &l);
    const size_t size = sl_st_dtype_size(a->dtype), most = PIECE / 8;
    unsigned char bytes[PIECE];
    float numbers[PIECE / 8];
    struct stream *s;
    sl_status st = SL_OK;
    if (count != a->count || !sl_st_is_float(a->dtype))
        SL_FAIL(SL_ERR_DATA, "%s: %zu numbers of type %s where %zu floats are expected", label,
                a->count, sl_st_dtype_name(a->dtype), count);
    SL_TRY(stream_open(npz, a, label, &s));
    for (size_t left = a->header; st == SL_OK && left > 0;) {
        const size_t n = left < PIECE ? left : PIECE;
        st = stream_read(s, bytes, n);
        left -= n;
    }
    for (size_t i = 0; st == SL_OK && i < count;) {
        const size_t n = count - i < most ? count - i : most;
        st = stream_read(s, bytes, n * size);
        if (st != SL_OK)
            break;
        sl_st_to_f32(a->dtype, bytes, numbers, n);
        for (size_t j = 0; j < n; j++)
            dst[a->fortran ? c_index(a, i + j) : i + j] = numbers[j];
        i += n;
    }
    if (st == SL_OK)
        st = stream_end(s);
    stream_free(s);
    return st;
}
