/*
 * The decoders behind sl_image_decode, and the limits they share. Each reads bytes in memory only,
 * fills `image` (zero or in use, freed by the caller also on failure) with a part of it or, where
 * that is NULL, with all, and fails with one sentence that begins with `what`.
 */
#ifndef SL_IMAGE_DECODE_H
#define SL_IMAGE_DECODE_H

#include "image/image.h"

sl_status sl_jpeg_decode(const uint8_t *bytes, size_t n, const char *what,
                         const struct sl_part *part, struct sl_image *image);
sl_status sl_png_decode(const uint8_t *bytes, size_t n, const char *what,
                        const struct sl_part *part, struct sl_image *image);

/* SL_ERR_DATA where a size breaks a limit of image.h. */
sl_status sl_image_check_size(const char *what, uint64_t h, uint64_t w);
/* Room for an image whose size comes from a file; SL_ERR_DATA where it breaks a limit. */
sl_status sl_image_allocate(const char *what, uint64_t h, uint64_t w, struct sl_image *image);
/* Room for at least `bytes`; content is lost when the buffer grows. */
sl_status sl_image_reserve(struct sl_image *image, size_t bytes);

#endif
