/*
 * libFuzzer target: bytes decoded as JPEG by the function that users run. A file that is accepted
 * must have pixels within the limits, decode to the same again, and a part of it to the same part;
 * a file that is refused must be refused in part, too.
 */
#include <stdlib.h>
#include <string.h>

#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A rectangle by the file's last bytes. */
static struct sl_rectangle choose(void *arg, size_t h, size_t w)
{
    const uint8_t *tail = arg;
    const size_t y = tail[0] * h / 256, x = tail[1] * w / 256;
    return (struct sl_rectangle){y, x, 1 + tail[2] * (h - y - 1) / 255,
                                 1 + tail[3] * (w - x - 1) / 255};
}

static bool same_part(const struct sl_image *whole, const struct sl_rectangle *r,
                      const struct sl_image *part)
{
    if (part->h != r->h || part->w != r->w)
        return false;
    for (size_t y = 0; y < r->h; y++)
        if (memcmp(part->pixels + y * r->w * 3, whole->pixels + ((r->y + y) * whole->w + r->x) * 3,
                   r->w * 3) != 0)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_image whole = {0}, other = {0};
    uint8_t tail[4] = {0};
    if (size >= sizeof tail)
        memcpy(tail, data + size - sizeof tail, sizeof tail);
    const struct sl_part part = {choose, tail};
    const sl_status st = sl_image_decode(data, size, "input", &whole);
    if (st != SL_OK) {
        if (whole.pixels || strncmp(sl_error_message(), "input: ", 7) != 0 ||
            sl_image_decode_part(data, size, "input", &part, &other) == SL_OK)
            abort();
        sl_image_free(&other);
        return 0;
    }
    if (whole.h == 0 || whole.w == 0 || whole.h * whole.w > SL_IMAGE_MAX_PIXELS ||
        sl_image_decode(data, size, "input", &other) != SL_OK || whole.h != other.h ||
        whole.w != other.w || memcmp(whole.pixels, other.pixels, whole.h * whole.w * 3) != 0)
        abort();
    const struct sl_rectangle r = choose(tail, whole.h, whole.w);
    if (sl_image_decode_part(data, size, "input", &part, &other) != SL_OK ||
        !same_part(&whole, &r, &other))
        abort();
    sl_image_free(&whole);
    sl_image_free(&other);
    return 0;
}
