/*
 * Cutting rows or elements into tasks by shape alone, so that sums over blocks do not depend on the
 * number of threads, and so that small work stays in one task and starts no parallel region.
 */
#ifndef SL_OPS_CPU_BLOCKS_H
#define SL_OPS_CPU_BLOCKS_H

#include "kernels/vec_kernels.h"
#include "ops/cpu/cpu.h"

enum { SL_BLOCK_ELEMENTS = 32768 }; /* about 10 us of memory-bound work */

struct sl_blocks {
    size_t rows, block, n; /* rows in all, rows of a block, blocks */
};

static inline struct sl_blocks sl_blocks_of(size_t rows, size_t width)
{
    const size_t block = width >= SL_BLOCK_ELEMENTS ? 1 : SL_BLOCK_ELEMENTS / width;
    return (struct sl_blocks){rows, block, (rows + block - 1) / block};
}

static inline size_t sl_block_end(const struct sl_blocks *b, size_t i)
{
    return (i + 1) * b->block < b->rows ? (i + 1) * b->block : b->rows;
}

static inline const struct sl_vec_kernels *sl_cpu_vec(const struct sl_device *dev)
{
    return sl_vec_kernels_for(sl_cpu_of(dev)->isa);
}

static inline size_t sl_type_size(sl_dtype type)
{
    return type == SL_BF16 ? sizeof(uint16_t) : sizeof(float);
}

/* p + i elements of a type. */
static inline const void *sl_at(const void *p, sl_dtype type, size_t i)
{
    return (const char *)p + i * sl_type_size(type);
}

static inline void *sl_at_mut(void *p, sl_dtype type, size_t i)
{
    return (char *)p + i * sl_type_size(type);
}

#endif
