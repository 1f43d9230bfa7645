/*
 * One attention call for tests: strided operands in guarded buffers, drawn by seed, run on a device
 * of a forced ISA, compared with the reference. Every byte that is not an element of an operand is
 * 0xFF (a NaN in both types), and stays so.
 */
#ifndef TESTS_KERNELS_CASE_H
#define TESTS_KERNELS_CASE_H

#include "base/rng.h"
#include "emulate/emulate.h"
#include "kernels/cpu.h"
#include "kernels/ref.h"
#include "ops/ops.h"

enum layout {
    LAYOUT_PACKED, /* a third of [B, L, 3, H, K] */
    LAYOUT_TOKENS, /* [B, L, H, K] */
    LAYOUT_HEADS,  /* [B, H, L, K] */
    LAYOUT_ODD,    /* gaps of odd sizes everywhere */
    LAYOUT_COUNT
};

enum fill {
    FILL_NORMAL, /* standard normal */
    FILL_SMALL   /* -1, 0, 1 */
};

struct tensor {
    unsigned char *buffer;
    size_t bytes;
    void *p;
    sl_strides s;
};

/* What the bounds of a reference allow for (ref.h). */
enum bound { BOUND_PLAIN, BOUND_BF16, BOUND_LINEAR, BOUND_COUNT };

struct attn_case {
    struct sl_attn_args args;
    uint8_t *mask;
    struct tensor q, k, v, d_o, o, dq, dk, dv;
    struct ref refs[BOUND_COUNT]; /* the first by case_reference, others when first needed */
    struct sl_device *dev;        /* that ran last, by case_run */
};

/* Sizes and numbers come from `a`; with_mask draws a mask that leaves image 0 whole and, if B > 1,
 * masks image 1 fully. The reference is computed when asked for. */
void case_open(struct attn_case *c, const sl_attention *a, enum layout layout, enum fill fill,
               bool with_mask, uint64_t seed);
void case_close(struct attn_case *c);
void case_reference(struct attn_case *c);

/* Fills the outputs' buffers with 0xFF again. */
void case_clear(struct attn_case *c);
/* Forward and backward. Fails the test on an error or a touched guard byte. */
void case_run(struct attn_case *c, struct sl_device *dev);
/* Largest |x - ref| / bound over o, dq, dk, dv; above 1 fails the test, naming the element. For
 * bf16 the bound has the output's rounding, and that of weights where the kernel multiplies bf16;
 * where identity is reassociated, that of its sums. */
double case_check(struct attn_case *c, const char *what);
/* Order-independent digest of all outputs' bits. */
uint64_t case_bits(const struct attn_case *c);

float tensor_get(const struct tensor *t, sl_dtype dtype, size_t at);
void tensor_set(struct tensor *t, sl_dtype dtype, size_t at, float x);

/* Does the device take identity as q (k^T v) here? */
bool case_is_linear(const struct attn_case *c, const struct sl_device *dev);

/* Is case number `index` for this device? Emulated ones take a part (emulate.h). */
bool case_is_for(const struct attn_case *c, const struct sl_device *dev, size_t index);

/* Devices of every ISA, one per level, emulated where the machine lacks it; closed by
 * devices_close. */
struct devices {
    struct sl_device *dev[SL_ISA_COUNT];
    size_t n;
};
void devices_open(struct devices *d, int threads);
void devices_close(struct devices *d);

#endif
