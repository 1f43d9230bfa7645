/*
 * libFuzzer target: bytes decoded as PNG by the function that users run. A file that is accepted
 * must have pixels within the limits, and decode to the same again. The mutator repairs
 * the checksums of the chunks, or nearly every input would end at the first of them.
 */
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size); /* libFuzzer's */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Three of four inputs get good checksums. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    for (size_t at = 8; seed % 4 != 0 && at + 12 <= size;) {
        const size_t n = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 |
                         (size_t)data[at + 2] << 8 | data[at + 3];
        if (n > size - at - 12)
            break;
        const uint32_t crc = (uint32_t)crc32(0, data + at + 4, (uInt)n + 4);
        for (size_t k = 0; k < 4; k++)
            data[at + 8 + n + k] = (uint8_t)(crc >> (24 - 8 * k));
        at += 12 + n;
    }
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_image first = {0}, second = {0};
    if (sl_image_decode(data, size, "input", &first) != SL_OK) {
        if (first.pixels || strncmp(sl_error_message(), "input: ", 7) != 0)
            abort();
        return 0;
    }
    if (first.h == 0 || first.w == 0 || first.h * first.w > SL_IMAGE_MAX_PIXELS ||
        sl_image_decode(data, size, "input", &second) != SL_OK || first.h != second.h ||
        first.w != second.w || memcmp(first.pixels, second.pixels, first.h * first.w * 3) != 0)
        abort();
    sl_image_free(&first);
    sl_image_free(&second);
    return 0;
}
