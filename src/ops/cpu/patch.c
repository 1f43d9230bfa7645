/*
 * Image bytes to patches: the one place where pixels become floats. value = min + (max - min) u/255
 * by a table of the 256 values; mixup adds the image before in the batch.
 */
#include "ops/cpu/tasks.h"

enum { VALUES = 256, CHANNELS = 3 };

struct job {
    const struct sl_patch_args *a;
    const struct sl_vec_kernels *k;
    struct sl_cpu_scratch scratch;
    struct sl_blocks blocks;           /* of rows of patches: B * SH/P */
    float own[VALUES], before[VALUES]; /* mix value, (1-mix) value */
};

/* One channel of P pixels as float. */
static void channel(const struct job *j, const uint8_t *own, const uint8_t *before, float *row)
{
    const size_t P = j->a->P;
    if (!before)
        for (size_t x = 0; x < P; x++)
            row[x] = j->own[own[x * CHANNELS]];
    else
        for (size_t x = 0; x < P; x++)
            row[x] = j->own[own[x * CHANNELS]] + j->before[before[x * CHANNELS]];
}

/* One row of P pixels of one patch; its channels go P*P elements apart. */
static void pixels(const struct job *j, const uint8_t *own, const uint8_t *before, size_t at,
                   float *buffer)
{
    const struct sl_patch_args *a = j->a;
    for (size_t c = 0; c < CHANNELS; c++) {
        const size_t i = at + c * a->P * a->P;
        channel(j, own + c, before ? before + c : NULL, sl_write(a->patches, a->type, i, buffer));
        sl_written(j->k, a->patches, a->type, i, a->P, buffer);
    }
}

static void task(void *arg, size_t t, size_t worker)
{
    const struct job *j = arg;
    const struct sl_patch_args *a = j->a;
    const size_t P = a->P, high = a->SH / P, wide = a->SW / P, image = a->SH * a->SW * CHANNELS;
    float *buffer = sl_cpu_worker_scratch(&j->scratch, worker); /* [P] */
    for (size_t i = sl_block_first(&j->blocks, t); i < sl_block_end(&j->blocks, t); i++) {
        const size_t b = i / high, top = i % high * P;
        const uint8_t *own = a->images + b * image;
        const uint8_t *before = a->images + (b ? b - 1 : a->B - 1) * image;
        for (size_t y = 0; y < P; y++)
            for (size_t p = 0; p < wide; p++) {
                const size_t pixel = ((top + y) * a->SW + p * P) * CHANNELS;
                pixels(j, own + pixel, a->mix < 1.0f ? before + pixel : NULL,
                       (i * wide + p) * CHANNELS * P * P + y * P, buffer);
            }
    }
}

sl_status sl_cpu_patch(struct sl_device *dev, const struct sl_patch_args *a)
{
    if (a->P == 0 || a->SH % a->P || a->SW % a->P)
        SL_FAIL(SL_ERR_ARGUMENT, "patch %zu does not divide the image, %zu x %zu", a->P, a->SH,
                a->SW);
    bool planned;
    struct job j = {.a = a,
                    .k = sl_cpu_vec(dev),
                    .blocks = sl_blocks_of(a->B * (a->SH / a->P), a->P * a->SW * CHANNELS, 0)};
    SL_TRY(sl_cpu_scratch_get(dev, 0, a->P * sizeof(float), &j.scratch, &planned));
    if (planned)
        return SL_OK;
    const double min = (double)a->value_min, range = (double)a->value_max - min;
    for (int u = 0; u < VALUES; u++) {
        const double value = min + range * u / 255.0;
        j.own[u] = (float)((double)a->mix * value);
        j.before[u] = (float)((1.0 - (double)a->mix) * value);
    }
    sl_parallel_for(dev->threads, j.blocks.count, task, &j);
    return SL_OK;
}
