/*
 * Choosing the matrix product's kernel table.
 */
#include "kernels/gemm_kernels.h"

#include "kernels/kernel_list.h"

#define DECLARE(isa, symbol) extern const struct sl_gemm_kernels symbol;
SL_GEMM_KERNEL_LIST(DECLARE)

#define ENTRY(isa, symbol) &symbol,
static const struct sl_gemm_kernels *const tables[] = {SL_GEMM_KERNEL_LIST(ENTRY)};

const struct sl_gemm_kernels *sl_gemm_kernels_for(enum sl_isa isa, sl_dtype type)
{
    const struct sl_gemm_kernels *best = tables[0];
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (tables[i]->isa <= isa && (!tables[i]->bf16 || type == SL_BF16))
            best = tables[i];
    return best;
}
