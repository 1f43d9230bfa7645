/*
 * Image bytes to patches: the one place where pixels become floats. value = min + (max - min) u/255
 * by a table of the 256 values; mixup adds the image before in the batch.
 */
#include "base/bf16.h"
#include "ops/cpu/tasks.h"

enum { VALUES = 256, CHANNELS = 3 };

struct job {
    const struct sl_patch_args *a;
    struct sl_blocks blocks;           /* of rows of patches: B * SH/P */
    float own[VALUES], before[VALUES]; /* mix value, (1-mix) value */
};

/* One row of P pixels of one patch; its channels go P*P elements apart. */
static void pixels(const struct job *j, const uint8_t *own, const uint8_t *before, size_t at)
{
    const size_t P = j->a->P;
    for (size_t c = 0; c < CHANNELS; c++)
        for (size_t x = 0; x < P; x++) {
            float value = j->own[own[x * CHANNELS + c]];
            if (before)
                value += j->before[before[x * CHANNELS + c]];
            const size_t i = at + c * P * P + x;
            if (j->a->type == SL_F32)
                ((float *)j->a->patches)[i] = value;
            else
                ((uint16_t *)j->a->patches)[i] = sl_bf16_from_f32(value);
        }
}

static void task(void *arg, size_t t, size_t worker)
{
    const struct job *j = arg;
    const struct sl_patch_args *a = j->a;
    const size_t P = a->P, high = a->SH / P, wide = a->SW / P, image = a->SH * a->SW * CHANNELS;
    (void)worker;
    for (size_t i = sl_block_first(&j->blocks, t); i < sl_block_end(&j->blocks, t); i++) {
        const size_t b = i / high, top = i % high * P;
        const uint8_t *own = a->images + b * image;
        const uint8_t *before = a->images + (b ? b - 1 : a->B - 1) * image;
        for (size_t y = 0; y < P; y++)
            for (size_t p = 0; p < wide; p++) {
                const size_t pixel = ((top + y) * a->SW + p * P) * CHANNELS;
                pixels(j, own + pixel, a->mix < 1.0f ? before + pixel : NULL,
                       (i * wide + p) * CHANNELS * P * P + y * P);
            }
    }
}

sl_status sl_cpu_patch(struct sl_device *dev, const struct sl_patch_args *a)
{
    if (a->P == 0 || a->SH % a->P || a->SW % a->P)
        SL_FAIL(SL_ERR_ARGUMENT, "patch %zu does not divide the image, %zu x %zu", a->P, a->SH,
                a->SW);
    if (dev->planning)
        return SL_OK;
    struct job j = {.a = a,
                    .blocks = sl_blocks_of(a->B * (a->SH / a->P), a->P * a->SW * CHANNELS, 0)};
    const double min = (double)a->value_min, range = (double)a->value_max - min;
    for (int u = 0; u < VALUES; u++) {
        const double value = min + range * u / 255.0;
        j.own[u] = (float)((double)a->mix * value);
        j.before[u] = (float)((1.0 - (double)a->mix) * value);
    }
    sl_parallel_for(dev->threads, j.blocks.count, task, &j);
    return SL_OK;
}
