/*
 * Images that lie in memory as the file stored them, and their expansion to u8 [h, w, 3].
 */
#include "data/stored.h"

#include <string.h>

#include "base/alloc.h"

sl_status sl_stored_give(struct sl_dataset *set, const struct sl_stored *stored)
{
    struct sl_stored *s;
    SL_TRY(SL_NEW(s, 1));
    *s = *stored;
    set->state = s;
    set->total = s->n;
    set->h = s->h;
    set->w = s->w;
    return SL_OK;
}

static void expand_grey(const uint8_t *src, size_t n, uint8_t *dst)
{
    for (size_t i = 0; i < n; i++) {
        dst[3 * i] = src[i];
        dst[3 * i + 1] = src[i];
        dst[3 * i + 2] = src[i];
    }
}

static void interleave(const uint8_t *src, size_t n, uint8_t *dst)
{
    for (size_t i = 0; i < n; i++) {
        dst[3 * i] = src[i];
        dst[3 * i + 1] = src[n + i];
        dst[3 * i + 2] = src[2 * n + i];
    }
}

sl_status sl_stored_image(const struct sl_dataset *set, size_t i, struct sl_image *img)
{
    const struct sl_stored *s = set->state;
    const size_t n = s->h * s->w;
    const uint8_t *src = s->pixels + i * n * s->channels;
    SL_TRY(sl_image_resize_buffer(img, s->h, s->w));
    if (s->channels == 1)
        expand_grey(src, n, img->pixels);
    else if (s->planes)
        interleave(src, n, img->pixels);
    else
        memcpy(img->pixels, src, 3 * n);
    return SL_OK;
}

void sl_stored_digest(const struct sl_dataset *set, sl_hash *hash)
{
    const struct sl_stored *s = set->state;
    sl_hash_add(hash, s->pixels, s->n * s->h * s->w * s->channels);
}

void sl_stored_free(void *state)
{
    struct sl_stored *s = state;
    if (s)
        sl_free(s->pixels);
    sl_free(s);
}
