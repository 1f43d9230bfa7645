/*
 * Files for the safetensors tests.
 */
#define _DEFAULT_SOURCE
#include "support_safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/safetensors.h"
#include "support/files.h"

void build_safetensors(const char *path, const char *header, size_t n, uint64_t stated,
                       size_t n_data)
{
    unsigned char *bytes = malloc(8 + n + n_data);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(stated >> (8 * i));
    memcpy(bytes + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        bytes[8 + n + i] = (unsigned char)i;
    put_file(path, bytes, 8 + n + n_data);
    free(bytes);
}

void write_sample(const char *path)
{
    static const float a[6] = {1, 2, 3, 4, 5, 6};
    static const uint16_t b[3] = {0x3F80, 0x4000, 0x4040};
    const struct sl_st_out tensors[] = {
        {.name = "layer.weight", .dtype = SL_ST_F32, .rank = 2, .shape = {2, 3}, .data = a},
        {.name = "layer.bias", .dtype = SL_ST_BF16, .rank = 1, .shape = {3}, .data = b},
        {.name = "empty", .dtype = SL_ST_I64, .rank = 1, .shape = {0}, .data = NULL},
    };
    const struct sl_st_meta meta[] = {{"format", "pt"}, {"quote\"d", "line\nbreak \xC3\xA9"}};
    char digest[SL_DIGEST_SIZE], expected[SL_DIGEST_SIZE];
    uint64_t size = 0;
    size_t n = 0;
    unlink(path);
    assert_int_equal(sl_st_write(path, tensors, 3, meta, 2, digest, &size), SL_OK);
    unsigned char *bytes = get_file(path, &n);
    sl_digest(bytes, n, expected);
    free(bytes);
    assert_string_equal(digest, expected);
    assert_int_equal(size, n);
}
