/*
 * One image of a batch: the number of a sample enters, augmented pixels leave.
 */
#ifndef SL_DATA_MAKE_H
#define SL_DATA_MAKE_H

#include "data/cache.h"
#include "data/data.h"
#include "data/order.h"

/* What all threads share. */
struct sl_make {
    const struct sl_dataset *set; /* borrowed */
    struct sl_pipeline *pipeline;
    struct sl_cache *cache; /* NULL = none */
    uint64_t seed;
    bool crops; /* the images are files, and the pipeline begins with a random crop */
};

/* What one thread reuses from image to image. */
struct sl_make_buffers {
    struct sl_bytes file;
    struct sl_image decoded, work[2];
};

/* dst: [out_h, out_w, 3] of the pipeline. */
sl_status sl_make_image(const struct sl_make *make, struct sl_make_buffers *buffers,
                        struct sl_place place, uint8_t *dst);
/* Runs the pipeline once on a black image where all images have one size, so that neither the
 * buffers nor the cache are allocated in the middle of training. What an op refuses shows when the
 * batch is made. */
sl_status sl_make_warm_up(const struct sl_make *make, struct sl_make_buffers *buffers,
                          uint8_t *dst);
void sl_make_buffers_free(struct sl_make_buffers *buffers);

#endif
