/*
 * Writing safetensors: tensors in memory enter, one new synced file leaves. The header is built as
 * text and given to the reader's own checks before a file is created, so that nothing is written
 * that could not be read. It carries the XXH3-128 of the data and is padded with spaces, so that
 * the data starts on a multiple of 64 bytes.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/text.h"
#include "format/safetensors.h"

enum { PREFIX = 8, ALIGN = 64 };

static sl_status bytes_of(const struct sl_st_out *t, const char *path, size_t *bytes)
{
    size_t n = sl_st_dtype_size(t->dtype);
    if (t->rank > SL_ST_RANK_MAX)
        SL_FAIL(SL_ERR_ARGUMENT, "%s: tensor \"%s\" of rank %zu, the limit is %d", path, t->name,
                t->rank, SL_ST_RANK_MAX);
    for (size_t i = 0; i < t->rank; i++) {
        if (!sl_size_mul(n, t->shape[i], &n))
            SL_FAIL(SL_ERR_ARGUMENT, "%s: the size of tensor \"%s\" overflows", path, t->name);
    }
    *bytes = n;
    return SL_OK;
}

/* The text builder would escape bytes that are not UTF-8, and the name read back would be another.
 */
static sl_status check_utf8(const char *path, const char *s)
{
    char escaped[SL_ESCAPED_SIZE];
    if (!sl_text_is_utf8(s))
        SL_FAIL(SL_ERR_ARGUMENT, "%s: '%s' is not UTF-8, so it cannot be written as safetensors",
                path, sl_escape(s, strlen(s), escaped));
    return SL_OK;
}

static void add_metadata(sl_text *text, const struct sl_st_meta *meta, size_t n_meta,
                         const char *digest)
{
    sl_text_add(text, "{\"__metadata__\":{");
    for (size_t i = 0; i < n_meta; i++) {
        sl_text_add_json_string(text, meta[i].key);
        sl_text_add(text, ":");
        sl_text_add_json_string(text, meta[i].value);
        sl_text_add(text, ",");
    }
    sl_text_addf(text, "\"" SL_ST_DIGEST_KEY "\":\"%s\"}", digest);
}

static void add_tensor(sl_text *text, const struct sl_st_out *t, uint64_t begin, size_t bytes)
{
    sl_text_add(text, ",");
    sl_text_add_json_string(text, t->name);
    sl_text_addf(text, ":{\"dtype\":\"%s\",\"shape\":[", sl_st_dtype_name(t->dtype));
    for (size_t i = 0; i < t->rank; i++)
        sl_text_addf(text, "%s%zu", i ? "," : "", t->shape[i]);
    sl_text_addf(text, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, begin + bytes);
}

static sl_status digest_data(const struct sl_st_out *tensors, size_t n, const char *path,
                             char digest[SL_DIGEST_SIZE])
{
    sl_hash *hash = NULL;
    sl_status st = SL_OK;
    SL_TRY(sl_hash_new(&hash));
    for (size_t i = 0; i < n && st == SL_OK; i++) {
        size_t bytes = 0;
        st = bytes_of(&tensors[i], path, &bytes);
        if (st == SL_OK && bytes > 0)
            sl_hash_add(hash, tensors[i].data, bytes);
    }
    sl_hash_end(&hash, digest);
    return st;
}

/* The header's text, padded and accepted by the reader's checks. */
static sl_status build_header(const char *path, const struct sl_st_out *tensors, size_t n,
                              const struct sl_st_meta *meta, size_t n_meta, char **header,
                              size_t *size)
{
    sl_status st = SL_OK;
    char digest[SL_DIGEST_SIZE], *built = NULL;
    sl_text text = {0};
    uint64_t at = 0;
    for (size_t i = 0; i < n_meta; i++) {
        SL_TRY(check_utf8(path, meta[i].key));
        SL_TRY(check_utf8(path, meta[i].value));
    }
    for (size_t i = 0; i < n; i++)
        SL_TRY(check_utf8(path, tensors[i].name));
    SL_TRY(digest_data(tensors, n, path, digest));
    add_metadata(&text, meta, n_meta, digest);
    for (size_t i = 0; i < n; i++) {
        size_t bytes = 0;
        SL_TRY_FREE(bytes_of(&tensors[i], path, &bytes));
        add_tensor(&text, &tensors[i], at, bytes);
        at += bytes;
    }
    sl_text_add(&text, "}");
    while ((PREFIX + text.length) % ALIGN != 0 && !text.failed)
        sl_text_add(&text, " ");
    const size_t length = text.length;
    SL_TRY_FREE(sl_text_take(&text, &built));
    if (length > SL_ST_HEADER_MAX) {
        st = sl_error_set(SL_ERR_ARGUMENT, "%s: a header of %zu bytes, the limit is %d", path,
                          length, SL_ST_HEADER_MAX);
        goto fail;
    }
    struct sl_safetensors check;
    st = sl_st_parse(built, length, at, path, &check);
    if (st == SL_ERR_DATA)
        st = sl_error_prefix(SL_ERR_ARGUMENT, "cannot be written as safetensors");
    SL_TRY_FREE(st);
    sl_st_close(&check);
    *header = built;
    *size = length;
    return SL_OK;
fail:
    sl_text_clear(&text);
    sl_free(built);
    return st;
}

sl_status sl_st_write(const char *path, const struct sl_st_out *tensors, size_t n,
                      const struct sl_st_meta *meta, size_t n_meta, char *digest, uint64_t *size)
{
    sl_status st;
    char *header = NULL;
    size_t length = 0;
    sl_writer *w = NULL;
    unsigned char prefix[PREFIX];
    SL_TRY(build_header(path, tensors, n, meta, n_meta, &header, &length));
    for (int i = 0; i < PREFIX; i++)
        prefix[i] = (unsigned char)((uint64_t)length >> (8 * i));
    SL_TRY_FREE(sl_writer_open(path, &w));
    SL_TRY_FREE(sl_writer_write(w, prefix, PREFIX));
    SL_TRY_FREE(sl_writer_write(w, header, length));
    for (size_t i = 0; i < n; i++) {
        size_t bytes = 0;
        SL_TRY_FREE(bytes_of(&tensors[i], path, &bytes));
        SL_TRY_FREE(sl_writer_write(w, tensors[i].data, bytes));
    }
    SL_TRY_FREE(sl_writer_close(&w, true, digest, size));
fail:
    sl_writer_abandon(&w);
    sl_free(header);
    return st;
}
