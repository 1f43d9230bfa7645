/*
 * The attention kernels in AVX-512.
 */
#include "kernels/x86/vec_avx512.h"

#define TILE_ROWS 14
#include "kernels/attn.inc"

const struct sl_attn_kernel sl_attn_avx512 = {"sl_attn_avx512", SL_ISA_AVX512, false,
                                              ATTN_FUNCTIONS};
