/*
 * The attention kernels in AVX2 with FMA.
 */
#include "kernels/x86/vec_avx2.h"

#define TILE_ROWS 6
#include "kernels/attn.inc"

const struct sl_attn_kernel sl_attn_avx2 = {"sl_attn_avx2", SL_ISA_AVX2, false, ATTN_FUNCTIONS};
