/*
 * What the element-wise ops share: how work is cut into tasks, and how activations of either type
 * are read and written as float.
 */
#ifndef SL_OPS_CPU_TASKS_H
#define SL_OPS_CPU_TASKS_H

#include <string.h>

#include "kernels/vec_kernels.h"
#include "ops/cpu/cpu.h"

enum {
    SL_TASK_NUMBERS = 16384, /* of a task: 2 to 10 us, so that a small op never starts threads */
    SL_CHUNK = 512           /* numbers converted at a time, on the stack */
};

/* n items in blocks of `size`, the last may be shorter. Depends on the shape alone. */
struct sl_blocks {
    size_t n, size, count;
};

/* Items of `numbers` floats each; at most `most` blocks (0 = any number). */
static inline struct sl_blocks sl_blocks_of(size_t n, size_t numbers, size_t most)
{
    size_t size = SL_TASK_NUMBERS / (numbers ? numbers : 1);
    if (size == 0)
        size = 1;
    if (most && n / size >= most)
        size = n / most + 1;
    return (struct sl_blocks){n, size, n / size + (n % size != 0)};
}

static inline size_t sl_block_first(const struct sl_blocks *b, size_t i)
{
    return i * b->size;
}

static inline size_t sl_block_end(const struct sl_blocks *b, size_t i)
{
    const size_t end = (i + 1) * b->size;
    return end < b->n ? end : b->n;
}

static inline const struct sl_vec_kernels *sl_cpu_vec(const struct sl_device *dev)
{
    return sl_vec_kernels_for(sl_cpu_of(dev)->isa);
}

static inline void *sl_typed_at(const void *p, sl_dtype type, size_t i)
{
    return (char *)(uintptr_t)p + i * (type == SL_BF16 ? sizeof(uint16_t) : sizeof(float));
}

/* Elements i .. i+n-1 of p as float: p itself, or widened into buffer [n]. */
static inline const float *sl_read(const struct sl_vec_kernels *k, const void *p, sl_dtype type,
                                   size_t i, size_t n, float *buffer)
{
    const void *at = sl_typed_at(p, type, i);
    if (type == SL_F32)
        return at;
    k->widen(n, at, buffer);
    return buffer;
}

/* Where to write elements i .. i+n-1 of p as float; sl_written brings them there. */
static inline float *sl_write(void *p, sl_dtype type, size_t i, float *buffer)
{
    return type == SL_F32 ? (float *)p + i : buffer;
}

static inline void sl_written(const struct sl_vec_kernels *k, void *p, sl_dtype type, size_t i,
                              size_t n, const float *buffer)
{
    if (type == SL_BF16)
        k->narrow(n, buffer, sl_typed_at(p, type, i));
}

#endif
