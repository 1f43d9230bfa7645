/*
 * The attention kernels of bf16 by vdpbf16ps.
 */
#include "kernels/x86/dpbf16.h"

#include "kernels/x86/attn_bf16.inc"

extern const struct sl_attn_kernel sl_attn_avx512bf16;

const struct sl_attn_kernel sl_attn_avx512bf16 = {
    .name = "sl_attn_avx512bf16",
    .isa = SL_ISA_AVX512BF16,
    .bf16 = true,
    .bf16_gain = 2,
    .tile_rows = PRODUCT_ROWS,
    .tile_keys = SIDE,
    .pack_bytes = pack_bytes,
    .pack = pack,
    .forward_bytes = forward_bytes,
    .forward = forward,
    .backward_pack_bytes = backward_pack_bytes,
    .backward_pack = backward_pack,
    .backward_bytes = backward_bytes,
    .backward = backward,
    .sums_bytes = sums_bytes,
    .finish = finish,
};
