/*
 * The attention kernels of bf16 by AMX tiles.
 */
#include "kernels/x86/amx.h"

#include "kernels/x86/attn_bf16.inc"

extern const struct sl_attn_kernel sl_attn_amx;

const struct sl_attn_kernel sl_attn_amx = {
    .name = "sl_attn_amx",
    .isa = SL_ISA_AMX,
    .bf16 = true,
    .bf16_gain = 8,
    .tile_rows = BF16_LANES,
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
