/*
 * Image buffers, and the choice of a decoder by the first bytes of a file. Nothing here looks at a
 * file's name: a PNG called .JPEG is a PNG.
 */
#include "image/image.h"

#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/text.h"
#include "image/decode.h"

sl_status sl_image_reserve(struct sl_image *image, size_t bytes)
{
    if (bytes <= image->capacity)
        return SL_OK;
    uint8_t *pixels = sl_calloc(bytes, 1);
    if (!pixels)
        return SL_ERR_MEMORY;
    sl_free(image->pixels);
    image->pixels = pixels;
    image->capacity = bytes;
    return SL_OK;
}

sl_status sl_image_check_size(const char *what, uint64_t h, uint64_t w)
{
    if (h == 0 || w == 0)
        SL_FAIL(SL_ERR_DATA, "%s: an image of %llu x %llu pixels is empty", what,
                (unsigned long long)h, (unsigned long long)w);
    if (h > SL_IMAGE_MAX_SIDE || w > SL_IMAGE_MAX_SIDE || h * w > SL_IMAGE_MAX_PIXELS)
        SL_FAIL(SL_ERR_DATA,
                "%s: an image of %llu x %llu pixels is over the limit (sides up to %d, %d pixels)",
                what, (unsigned long long)h, (unsigned long long)w, SL_IMAGE_MAX_SIDE,
                SL_IMAGE_MAX_PIXELS);
    return SL_OK;
}

sl_status sl_image_allocate(const char *what, uint64_t h, uint64_t w, struct sl_image *image)
{
    SL_TRY(sl_image_check_size(what, h, w));
    SL_TRY(sl_image_reserve(image, (size_t)(h * w * 3)));
    image->h = (size_t)h;
    image->w = (size_t)w;
    return SL_OK;
}

sl_status sl_image_resize_buffer(struct sl_image *img, size_t h, size_t w)
{
    return sl_image_allocate("image buffer", h, w, img);
}

void sl_image_free(struct sl_image *img)
{
    if (!img)
        return;
    sl_free(img->pixels);
    *img = (struct sl_image){0};
}

static const struct format {
    const char *magic;
    size_t n;
    sl_status (*decode)(const uint8_t *bytes, size_t n, const char *what,
                        const struct sl_part *part, struct sl_image *image);
} formats[] = {
    {"\xFF\xD8\xFF", 3, sl_jpeg_decode},
    {"\x89PNG\r\n\x1A\n", 8, sl_png_decode},
};

static const struct format *find_format(const void *bytes, size_t n)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (n >= formats[i].n && memcmp(bytes, formats[i].magic, formats[i].n) == 0)
            return &formats[i];
    return NULL;
}

sl_status sl_image_decode_part(const void *bytes, size_t n, const char *what,
                               const struct sl_part *part, struct sl_image *img)
{
    if (n == 0)
        SL_FAIL(SL_ERR_DATA, "%s: the file is empty", what);
    if (n > SL_IMAGE_MAX_FILE)
        SL_FAIL(SL_ERR_DATA, "%s: an image file of %zu bytes is over the limit of %d", what, n,
                SL_IMAGE_MAX_FILE);
    const struct format *format = find_format(bytes, n);
    if (!format) {
        char start[SL_ESCAPED_SIZE];
        SL_FAIL(SL_ERR_DATA, "%s: neither a JPEG nor a PNG file; it begins with '%s'", what,
                sl_escape(bytes, n < 8 ? n : 8, start));
    }
    return format->decode(bytes, n, what, part, img);
}

sl_status sl_image_decode(const void *bytes, size_t n, const char *what, struct sl_image *img)
{
    /* A fresh buffer, so that img is untouched when the damage shows in the last row. */
    struct sl_image image = {0};
    const sl_status st = sl_image_decode_part(bytes, n, what, NULL, &image);
    if (st != SL_OK) {
        sl_image_free(&image);
        return st;
    }
    sl_image_free(img);
    *img = image;
    return SL_OK;
}
