/*
 * libFuzzer: the strict gzip reader, asked for as many bytes as the first byte of the input says,
 * in pieces. What it accepts, zlib's own one-shot inflate accepts with the same content.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "data/gzip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const uint8_t *data, size_t size, const unsigned char *found, size_t n)
{
    unsigned char expected[4096];
    z_stream z = {.next_in = (z_const Bytef *)data, .avail_in = (uInt)size};
    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return;
    z.next_out = expected;
    z.avail_out = sizeof expected;
    const int r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    if (r != Z_STREAM_END || z.avail_in != 0 || sizeof expected - z.avail_out != n ||
        memcmp(expected, found, n) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char found[2048];
    struct sl_gzip *gz = NULL;
    if (size < 1 || sl_gzip_open(data + 1, size - 1, "input", &gz) != SL_OK)
        return 0;
    const size_t n = (size_t)data[0] * 8, piece = n / 3;
    if (sl_gzip_read(gz, found, piece) == SL_OK &&
        sl_gzip_read(gz, found + piece, n - piece) == SL_OK && sl_gzip_end(gz) == SL_OK)
        compare(data + 1, size - 1, found, n);
    sl_gzip_free(&gz);
    return 0;
}
