/*
 * Image bytes -> normalised patches, the one place where pixels become numbers; mixup happens here
 * because it is linear.
 */
#include "base/bf16.h"
#include "ops/cpu/blocks.h"

struct patch_job {
    const struct sl_patch_args *a;
    float value[256]; /* of a byte */
};

/* Patch row py of patch `at` of image b: P pixels of one image row, three channels apart by P*P. */
static void patch_row(const struct patch_job *j, const uint8_t *x, const uint8_t *other,
                      size_t first)
{
    const struct sl_patch_args *a = j->a;
    const size_t P = a->P;
    const float mix = a->mix, rest = 1.0f - a->mix;
    for (size_t c = 0; c < 3; c++) {
        for (size_t px = 0; px < P; px++) {
            float v = j->value[x[3 * px + c]];
            if (other)
                v = mix * v + rest * j->value[other[3 * px + c]];
            const size_t i = first + c * P * P + px;
            if (a->type == SL_BF16)
                ((uint16_t *)a->patches)[i] = sl_bf16_from_f32(v);
            else
                ((float *)a->patches)[i] = v;
        }
    }
}

static void patch_task(void *arg, size_t b, size_t worker)
{
    const struct patch_job *j = arg;
    const struct sl_patch_args *a = j->a;
    const size_t P = a->P, columns = a->SW / P, rows = a->SH / P, image = a->SH * a->SW * 3;
    const uint8_t *x = a->images + b * image;
    const uint8_t *other = a->mix < 1.0f ? a->images + (b + a->B - 1) % a->B * image : NULL;
    (void)worker;
    for (size_t at = 0; at < rows * columns; at++) {
        const size_t corner = (at / columns * P * a->SW + at % columns * P) * 3;
        const size_t first = (b * rows * columns + at) * 3 * P * P;
        for (size_t py = 0; py < P; py++) {
            const size_t row = corner + py * a->SW * 3;
            patch_row(j, x + row, other ? other + row : NULL, first + py * P);
        }
    }
}

sl_status sl_cpu_patch(struct sl_device *dev, const struct sl_patch_args *a)
{
    struct patch_job j = {.a = a};
    if (dev->planning)
        return SL_OK;
    for (int i = 0; i < 256; i++)
        j.value[i] = a->value_min + (a->value_max - a->value_min) * ((float)i / 255.0f);
    sl_parallel_for(dev->threads, a->B, patch_task, &j);
    return SL_OK;
}
