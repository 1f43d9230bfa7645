/*
 * bfloat16 as uint16_t: the upper half of a float, rounded to nearest even; NaN stays NaN.
 */
#ifndef SL_BASE_BF16_H
#define SL_BASE_BF16_H

#include <stdint.h>
#include <string.h>

static inline float sl_bf16_to_f32(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint16_t sl_bf16_from_f32(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    bits += 0x7FFFu + ((bits >> 16) & 1u);
    return (uint16_t)(bits >> 16);
}

#endif
