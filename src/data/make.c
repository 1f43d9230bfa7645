/*
 * One image of a batch: read, decoded, put through the pipeline. Where the pipeline begins with a
 * random crop and the image will not be kept, only the crop is decoded. The draws are those of
 * (seed, epoch, sample) whichever way is taken.
 */
#include "data/make.h"

#include <string.h>

#include "base/alloc.h"

static sl_status run_ops(const struct sl_make *m, struct sl_make_buffers *b, struct sl_place place,
                         bool hit, const struct sl_image *image, uint8_t *dst)
{
    if (!hit) {
        SL_TRY(sl_pipeline_run_fixed(m->pipeline, image, b->work, &image));
        if (m->cache)
            sl_cache_put(m->cache, place.sample, image);
    }
    sl_rng rng = sl_rng_at(m->seed, SL_RNG_AUGMENT, place.sample, place.epoch);
    return sl_pipeline_run_random(m->pipeline, image, &rng, b->work, dst);
}

/* Decodes a sample and runs the pipeline; errors of the first name the sample. */
static sl_status make_from_sample(const struct sl_make *m, struct sl_make_buffers *b,
                                  struct sl_place place, uint8_t *dst, bool *decoded)
{
    if (!sl_dataset_has_files(m->set))
        SL_TRY(sl_dataset_image(m->set, place.sample, &b->decoded));
    else
        SL_TRY(sl_dataset_part(m->set, place.sample, NULL, &b->file, &b->decoded));
    *decoded = true;
    return run_ops(m, b, place, false, &b->decoded, dst);
}

/* What a random crop at the pipeline's beginning needs, drawn when the image's size is known. */
struct drawn_crop {
    const struct sl_pipeline *pipeline;
    sl_rng *rng;
};

static struct sl_rectangle draw_crop(void *arg, size_t h, size_t w)
{
    const struct drawn_crop *d = arg;
    return sl_pipeline_draw_crop(d->pipeline, h, w, d->rng);
}

/* The same, where only the pipeline's crop is decoded. */
static sl_status make_from_crop(const struct sl_make *m, struct sl_make_buffers *b,
                                struct sl_place place, uint8_t *dst, bool *decoded)
{
    sl_rng rng = sl_rng_at(m->seed, SL_RNG_AUGMENT, place.sample, place.epoch);
    struct drawn_crop crop = {m->pipeline, &rng};
    const struct sl_part part = {draw_crop, &crop};
    SL_TRY(sl_dataset_part(m->set, place.sample, &part, &b->file, &b->decoded));
    *decoded = true;
    return sl_pipeline_run_crop(m->pipeline, &b->decoded, &rng, b->work, dst);
}

sl_status sl_make_image(const struct sl_make *m, struct sl_make_buffers *b, struct sl_place place,
                        uint8_t *dst)
{
    struct sl_image cached;
    sl_status st;
    bool decoded = false;
    if (m->cache && sl_cache_get(m->cache, place.sample, &cached)) {
        decoded = true;
        st = run_ops(m, b, place, true, &cached, dst);
    } else if (m->crops && (!m->cache || sl_cache_closed(m->cache))) {
        st = make_from_crop(m, b, place, dst, &decoded);
    } else {
        st = make_from_sample(m, b, place, dst, &decoded);
    }
    if (st != SL_OK && decoded) {
        char name[256];
        sl_error_prefix(st, "%s", sl_dataset_sample_name(m->set, place.sample, name));
    }
    return st;
}

sl_status sl_make_warm_up(const struct sl_make *m, struct sl_make_buffers *b, uint8_t *dst)
{
    size_t h, width;
    const struct sl_image *fixed;
    if (!sl_dataset_image_size(m->set, &h, &width))
        return SL_OK;
    SL_TRY(sl_image_resize_buffer(&b->decoded, h, width));
    memset(b->decoded.pixels, 0, h * width * 3);
    sl_rng rng = sl_rng_at(m->seed, SL_RNG_AUGMENT, 0, 0);
    sl_status st = sl_pipeline_run_fixed(m->pipeline, &b->decoded, b->work, &fixed);
    if (st == SL_OK && m->cache)
        sl_cache_reserve(m->cache, sl_dataset_count(m->set), fixed->h, fixed->w);
    if (st == SL_OK)
        st = sl_pipeline_run_random(m->pipeline, fixed, &rng, b->work, dst);
    return st == SL_ERR_MEMORY ? st : SL_OK;
}

void sl_make_buffers_free(struct sl_make_buffers *b)
{
    sl_free(b->file.data);
    sl_image_free(&b->decoded);
    sl_image_free(&b->work[0]);
    sl_image_free(&b->work[1]);
}
