/*
 * See support_pipeline.h.
 */
#include "unit/support_pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct sl_pipeline_config pipeline_config_of(const char *const *ops)
{
    struct sl_pipeline_config config = {0};
    for (; *ops; ops++)
        snprintf(config.ops[config.n++], SL_NAME_MAX, "%s", *ops);
    return config;
}

struct sl_pipeline *pipeline_compile(const char *const *ops, size_t h, size_t w)
{
    const struct sl_pipeline_config config = pipeline_config_of(ops);
    struct sl_pipeline *p = NULL;
    if (sl_pipeline_create(&config, SL_COMPAT_NONE, h, w, &p) != SL_OK)
        fail_msg("%s", sl_error_message());
    return p;
}

sl_rng rng_address(uint64_t sample)
{
    return sl_rng_at(11, SL_RNG_AUGMENT, sample, 2);
}

struct sl_image image_noise(size_t h, size_t w)
{
    struct sl_image img = {0};
    sl_rng rng = sl_rng_at(3, SL_RNG_TEST, h, (uint32_t)w);
    assert_int_equal(sl_image_resize_buffer(&img, h, w), SL_OK);
    for (size_t i = 0; i < h * w * 3; i++)
        img.pixels[i] = (uint8_t)sl_rng_u32(&rng);
    return img;
}

void pipeline_run(const struct sl_pipeline *p, const struct sl_image *src, uint64_t sample,
                  uint8_t *dst)
{
    struct sl_image work[2] = {{0}};
    sl_rng rng = rng_address(sample);
    if (sl_pipeline_run(p, src, &rng, work, dst) != SL_OK)
        fail_msg("%s", sl_error_message());
    sl_image_free(&work[0]);
    sl_image_free(&work[1]);
}
