/*
 * Choosing the resize kernels.
 */
#include "kernels/resize_kernels.h"

#include <stdatomic.h>

#include "kernels/kernel_list.h"

#define DECLARE(isa, symbol) extern const struct sl_resize_kernels symbol;
SL_RESIZE_KERNEL_LIST(DECLARE)

#define ENTRY(isa, symbol) &symbol,
static const struct sl_resize_kernels *const tables[] = {SL_RESIZE_KERNEL_LIST(ENTRY)};

const struct sl_resize_kernels *sl_resize_kernels_for(enum sl_isa isa)
{
    const struct sl_resize_kernels *best = tables[0];
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (tables[i]->isa <= isa)
            best = tables[i];
    return best;
}

const struct sl_resize_kernels *sl_resize_kernels(void)
{
    static _Atomic(const struct sl_resize_kernels *) chosen;
    const struct sl_resize_kernels *k = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (!k) {
        enum sl_isa isa = SL_ISA_C;
        if (sl_isa_choose(NULL, &isa) != SL_OK)
            isa = SL_ISA_C;
        k = sl_resize_kernels_for(isa);
        atomic_store_explicit(&chosen, k, memory_order_relaxed);
    }
    return k;
}
