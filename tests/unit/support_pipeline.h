/* Compiling and running input pipelines in tests. */
#ifndef TESTS_UNIT_SUPPORT_PIPELINE_H
#define TESTS_UNIT_SUPPORT_PIPELINE_H

#include "image/image.h"

/* ops: strings, ended by NULL. */
struct sl_pipeline_config pipeline_config_of(const char *const *ops);
struct sl_pipeline *pipeline_compile(const char *const *ops, size_t h, size_t w);
sl_rng rng_address(uint64_t sample); /* the draws of one sample */
struct sl_image image_noise(size_t h, size_t w);
/* Runs on fresh work images. */
void pipeline_run(const struct sl_pipeline *p, const struct sl_image *src, uint64_t sample,
                  uint8_t *dst);

#endif
