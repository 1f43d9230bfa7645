/*
 * The attention kernels in portable C.
 */
#include "kernels/c/vec_c.h"

#define TILE_ROWS 6
#include "kernels/attn.inc"

const struct sl_attn_kernel sl_attn_c = {"sl_attn_c", SL_ISA_C, false, ATTN_FUNCTIONS};
