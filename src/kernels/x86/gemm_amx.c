/*
 * The matrix product's kernels of bf16 by AMX tiles.
 */
#include "kernels/x86/amx.h"

#include "kernels/x86/gemm_bf16.inc"

extern const struct sl_gemm_kernels sl_gemm_kernels_amx;

const struct sl_gemm_kernels sl_gemm_kernels_amx = {
    .isa = SL_ISA_AMX,
    .bf16 = true,
    .k_unit = DEPTH,
    .mr = MR,
    .nr = NR,
    .a_floats = MR / 2,
    .b_floats = NR / 2,
    .kc = 512,
    .columns = 1024,
    .long_rows = 384,
    .long_columns = 384,
    .long_kc = 512,
    .enter = products_begin,
    .leave = products_end,
    .tile = tile,
    .pack_a = pack_a,
    .pack_b = pack_b,
    .finish = finish,
    .add = add,
    .narrow = narrow,
};
