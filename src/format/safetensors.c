/*
 * Reading safetensors headers: bytes from outside enter, a checked table of tensors leaves. The
 * format: 8 bytes little-endian header length, a JSON object {name: {dtype, shape, data_offsets}}
 * with an optional __metadata__ of strings, then the data. Refused: a length outside the file or
 * above the limit, anything but an object first, too many elements (before a tree is built),
 * duplicate keys, bad UTF-8, metadata that is not text, unknown or missing fields, unknown types,
 * numbers that are not integers in 0 .. 2^63-1, ranks above 8, sizes that overflow or differ from
 * the byte range, and tensors that do not tile the data exactly: no hole, no overlap, no tail.
 */
#include "format/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/text.h"
#include "format/json.h"

enum { PREFIX = 8, STRUCTURE_PER_TENSOR = 16 };

static const struct {
    const char *name;
    size_t size;
} dtypes[SL_ST_DTYPES] = {
    [SL_ST_F64] = {"F64", 8},   [SL_ST_F32] = {"F32", 4}, [SL_ST_F16] = {"F16", 2},
    [SL_ST_BF16] = {"BF16", 2}, [SL_ST_I64] = {"I64", 8}, [SL_ST_I32] = {"I32", 4},
    [SL_ST_I16] = {"I16", 2},   [SL_ST_I8] = {"I8", 1},   [SL_ST_U64] = {"U64", 8},
    [SL_ST_U32] = {"U32", 4},   [SL_ST_U16] = {"U16", 2}, [SL_ST_U8] = {"U8", 1},
    [SL_ST_BOOL] = {"BOOL", 1},
};

size_t sl_st_dtype_size(enum sl_st_dtype dtype)
{
    return dtypes[dtype].size;
}

const char *sl_st_dtype_name(enum sl_st_dtype dtype)
{
    return dtypes[dtype].name;
}

/* ---- one tensor ---- */

static sl_status parse_dtype(const json_t *entry, const char *what, enum sl_st_dtype *dtype)
{
    const char *name;
    char escaped[SL_ESCAPED_SIZE];
    SL_TRY(sl_json_string(entry, "dtype", what, &name));
    for (int i = 0; i < SL_ST_DTYPES; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *dtype = (enum sl_st_dtype)i;
            return SL_OK;
        }
    }
    SL_FAIL(SL_ERR_DATA, "%s: dtype \"%s\" is not supported", what,
            sl_escape(name, strlen(name), escaped));
}

/* An array of at most `max` integers in 0 .. 2^63-1. */
static sl_status parse_numbers(const json_t *entry, const char *key, const char *what, size_t max,
                               uint64_t *numbers, size_t *n)
{
    const json_t *array = json_object_get(entry, key);
    if (!array)
        SL_FAIL(SL_ERR_DATA, "%s: \"%s\" is missing", what, key);
    if (!json_is_array(array))
        SL_FAIL(SL_ERR_DATA, "%s: \"%s\" must be an array", what, key);
    const size_t count = json_array_size(array);
    if (count > max)
        SL_FAIL(SL_ERR_DATA, "%s: \"%s\" has %zu numbers, the limit is %zu", what, key, count, max);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_integer(value))
            SL_FAIL(SL_ERR_DATA, "%s: \"%s\"[%zu] must be an integer", what, key, i);
        if (json_integer_value(value) < 0)
            SL_FAIL(SL_ERR_DATA, "%s: \"%s\"[%zu] is negative", what, key, i);
        numbers[i] = (uint64_t)json_integer_value(value);
    }
    *n = count;
    return SL_OK;
}

/* product(shape) x size of an element must be exactly the byte range, which must lie in the data.
 * The range is checked first, so that the product is only compared, never trusted. */
static sl_status check_range(const struct sl_st_tensor *t, uint64_t data_size, const char *what)
{
    if (t->begin > t->end || t->end > data_size)
        SL_FAIL(SL_ERR_DATA,
                "%s: data_offsets [%" PRIu64 ", %" PRIu64 "] are not a range within the %" PRIu64
                " bytes of data (is the file truncated?)",
                what, t->begin, t->end, data_size);
    size_t bytes = dtypes[t->dtype].size;
    for (size_t i = 0; i < t->rank; i++) {
        if (!sl_size_mul(bytes, t->shape[i], &bytes))
            SL_FAIL(SL_ERR_DATA, "%s: the product of its shape overflows", what);
    }
    if (bytes != t->end - t->begin)
        SL_FAIL(SL_ERR_DATA, "%s: shape and dtype need %zu bytes, data_offsets span %" PRIu64, what,
                bytes, t->end - t->begin);
    return SL_OK;
}

static sl_status parse_tensor(const char *name, const json_t *entry, uint64_t data_size,
                              const char *file, struct sl_st_tensor *t)
{
    static const char *const fields[] = {"dtype", "shape", "data_offsets"};
    char escaped[SL_ESCAPED_SIZE];
    uint64_t offsets[2], shape[SL_ST_RANK_MAX];
    size_t n = 0;
    sl_status st = SL_OK;
    const size_t length = strlen(name);
    if (length == 0 || length > SL_ST_NAME_MAX)
        SL_FAIL(SL_ERR_DATA, "%s: a tensor name of %zu bytes, allowed are 1 to %d", file, length,
                SL_ST_NAME_MAX);
    char *what = sl_asprintf("%s: tensor \"%s\"", file, sl_escape(name, length, escaped));
    SL_TRY_FREE(what ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(sl_json_known_keys(entry, fields, sizeof fields / sizeof *fields, what));
    SL_TRY_FREE(parse_dtype(entry, what, &t->dtype));
    SL_TRY_FREE(parse_numbers(entry, "shape", what, SL_ST_RANK_MAX, shape, &t->rank));
    for (size_t i = 0; i < t->rank; i++)
        t->shape[i] = (size_t)shape[i];
    SL_TRY_FREE(parse_numbers(entry, "data_offsets", what, 2, offsets, &n));
    if (n != 2) {
        st = sl_error_set(SL_ERR_DATA, "%s: \"data_offsets\" has %zu numbers, not 2", what, n);
        goto fail;
    }
    t->begin = offsets[0];
    t->end = offsets[1];
    SL_TRY_FREE(check_range(t, data_size, what));
    t->name = sl_strdup(name);
    SL_TRY_FREE(t->name ? SL_OK : SL_ERR_MEMORY);
fail:
    sl_free(what);
    return st;
}

/* ---- the whole header ---- */

static sl_status parse_metadata(const json_t *object, const char *file, struct sl_safetensors *st)
{
    if (!json_is_object(object))
        SL_FAIL(SL_ERR_DATA, "%s: __metadata__ must be an object", file);
    const size_t n = json_object_size(object);
    if (n == 0)
        return SL_OK;
    SL_TRY(SL_NEW(st->meta, n));
    for (void *it = json_object_iter((json_t *)object); it;
         it = json_object_iter_next((json_t *)object, it)) {
        const char *key = json_object_iter_key(it);
        const json_t *value = json_object_iter_value(it);
        char escaped[SL_ESCAPED_SIZE];
        if (!json_is_string(value))
            SL_FAIL(SL_ERR_DATA, "%s: __metadata__ \"%s\" must be a string", file,
                    sl_escape(key, strlen(key), escaped));
        struct sl_st_meta *meta = &st->meta[st->n_meta++];
        meta->key = sl_strdup(key);
        meta->value = sl_strdup(json_string_value(value));
        if (!meta->key || !meta->value)
            return SL_ERR_MEMORY;
    }
    return SL_OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct sl_st_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end); /* empty tensors before their neighbour */
}

static int by_name(const void *a, const void *b)
{
    const struct sl_st_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Sorted by offset, each tensor must begin where the one before ended, the last end at the end. */
static sl_status check_tiling(const struct sl_safetensors *st, uint64_t data_size, const char *file)
{
    uint64_t at = 0;
    char escaped[SL_ESCAPED_SIZE];
    for (size_t i = 0; i < st->n; i++) {
        const struct sl_st_tensor *t = &st->tensors[i];
        if (t->begin != at)
            SL_FAIL(SL_ERR_DATA,
                    "%s: tensor \"%s\" begins at byte %" PRIu64 " of the data, the one before it "
                    "ends at %" PRIu64 " (%s)",
                    file, sl_escape(t->name, strlen(t->name), escaped), t->begin, at,
                    t->begin > at ? "hole" : "overlap");
        at = t->end;
    }
    if (at != data_size)
        SL_FAIL(SL_ERR_DATA, "%s: %" PRIu64 " bytes after the last tensor belong to none", file,
                data_size - at);
    return SL_OK;
}

static sl_status parse_entries(const json_t *root, uint64_t data_size, const char *file,
                               struct sl_safetensors *st)
{
    const json_t *metadata = json_object_get(root, "__metadata__");
    const size_t n = json_object_size(root) - (metadata ? 1 : 0);
    if (n > SL_ST_TENSORS_MAX)
        SL_FAIL(SL_ERR_DATA, "%s: %zu tensors, the limit is %d", file, n, SL_ST_TENSORS_MAX);
    if (metadata)
        SL_TRY(parse_metadata(metadata, file, st));
    if (n > 0) {
        SL_TRY(SL_NEW(st->tensors, n));
        SL_TRY(SL_NEW(st->by_name, n));
    }
    for (void *it = json_object_iter((json_t *)root); it;
         it = json_object_iter_next((json_t *)root, it)) {
        if (json_object_iter_value(it) == metadata)
            continue;
        SL_TRY(parse_tensor(json_object_iter_key(it), json_object_iter_value(it), data_size, file,
                            &st->tensors[st->n]));
        st->n++;
    }
    if (n > 0)
        qsort(st->tensors, n, sizeof *st->tensors, by_offset);
    for (size_t i = 0; i < n; i++)
        st->by_name[i] = &st->tensors[i];
    if (n > 0)
        qsort(st->by_name, n, sizeof *st->by_name, by_name);
    return check_tiling(st, data_size, file);
}

sl_status sl_st_parse(const char *header, size_t n, uint64_t data_size, const char *what,
                      struct sl_safetensors *st)
{
    const size_t max_structure = (size_t)STRUCTURE_PER_TENSOR * SL_ST_TENSORS_MAX;
    struct sl_safetensors found = {.file.fd = -1};
    json_t *root = NULL;
    if (n == 0 || header[0] != '{')
        SL_FAIL(SL_ERR_DATA, "%s: the header (byte %d) does not start with \"{\"", what, PREFIX);
    SL_TRY(sl_json_parse(header, n, what, max_structure, &root));
    const sl_status status = parse_entries(root, data_size, what, &found);
    json_decref(root);
    if (status != SL_OK) {
        sl_st_close(&found);
        return status;
    }
    *st = found;
    return SL_OK;
}

/* ---- files ---- */

static sl_status read_header(const sl_file *f, char **header, size_t *size)
{
    sl_status st;
    char *text = NULL;
    unsigned char prefix[PREFIX];
    uint64_t n = 0;
    if (f->size < PREFIX)
        SL_FAIL(SL_ERR_DATA, "%s: %" PRIu64 " bytes are too few for a safetensors file", f->path,
                f->size);
    SL_TRY(sl_file_read(f, 0, prefix, sizeof prefix));
    sl_cursor c = {prefix, sizeof prefix};
    sl_take_u64_le(&c, &n);
    if (n < 2 || n > f->size - PREFIX || n > SL_ST_HEADER_MAX)
        SL_FAIL(SL_ERR_DATA,
                "%s: not a safetensors file, or a truncated one: header length %" PRIu64
                " at byte 0 is outside 2 .. %" PRIu64,
                f->path, n,
                f->size - PREFIX < SL_ST_HEADER_MAX ? f->size - PREFIX : SL_ST_HEADER_MAX);
    SL_TRY_FREE(SL_NEW(text, (size_t)n + 1));
    SL_TRY_FREE(sl_file_read(f, PREFIX, text, (size_t)n));
    *header = text;
    *size = (size_t)n;
    return SL_OK;
fail:
    sl_free(text);
    return st;
}

sl_status sl_st_open(const char *path, struct sl_safetensors *out)
{
    sl_status st;
    sl_file file;
    char *header = NULL;
    size_t n = 0;
    SL_TRY(sl_file_open(path, &file));
    SL_TRY_FREE(read_header(&file, &header, &n));
    SL_TRY_FREE(sl_st_parse(header, n, file.size - PREFIX - n, path, out));
    sl_free(header);
    out->file = file;
    out->data_offset = PREFIX + n;
    return SL_OK;
fail:
    sl_free(header);
    sl_file_close(&file);
    return st;
}

void sl_st_close(struct sl_safetensors *st)
{
    for (size_t i = 0; i < st->n; i++)
        sl_free(st->tensors[i].name);
    for (size_t i = 0; i < st->n_meta; i++) {
        sl_free(st->meta[i].key);
        sl_free(st->meta[i].value);
    }
    sl_free(st->tensors);
    sl_free(st->by_name);
    sl_free(st->meta);
    sl_file_close(&st->file);
    *st = (struct sl_safetensors){.file.fd = -1};
}

const struct sl_st_tensor *sl_st_find(const struct sl_safetensors *st, const char *name)
{
    size_t low = 0, high = st->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, st->by_name[middle]->name);
        if (order == 0)
            return st->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *sl_st_meta_get(const struct sl_safetensors *st, const char *key)
{
    for (size_t i = 0; i < st->n_meta; i++) {
        if (strcmp(st->meta[i].key, key) == 0)
            return st->meta[i].value;
    }
    return NULL;
}
