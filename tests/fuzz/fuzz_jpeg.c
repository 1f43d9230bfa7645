/*
 * libFuzzer target: bytes decoded as JPEG by the function that users run. A file that is accepted
 * must have pixels within the limits, and decode to the same again.
 */
#include <stdlib.h>
#include <string.h>

#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
