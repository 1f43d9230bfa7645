/*
 * Choosing the attention kernels.
 */
#include "kernels/attn_kernels.h"

#include "kernels/kernel_list.h"

#define DECLARE(isa, symbol) extern const struct sl_attn_kernel symbol;
SL_ATTN_KERNEL_LIST(DECLARE)

#define ENTRY(isa, symbol) &symbol,
static const struct sl_attn_kernel *const tables[] = {SL_ATTN_KERNEL_LIST(ENTRY)};

const struct sl_attn_tile sl_attn_tiles[SL_ATTENTION_TILES] = {
    {1, 16}, {8, 16}, {16, 32}, {32, 32}};

const struct sl_attn_kernel *sl_attn_kernel_for(enum sl_isa isa, sl_dtype type)
{
    const struct sl_attn_kernel *best = tables[0];
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (tables[i]->isa <= isa && (!tables[i]->bf16 || type == SL_BF16))
            best = tables[i];
    return best;
}
