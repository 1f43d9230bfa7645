/*
 * The matrix product's kernels of bf16 by vdpbf16ps.
 */
#include "kernels/x86/dpbf16.h"

#include "kernels/x86/gemm_bf16.inc"

extern const struct sl_gemm_kernels sl_gemm_kernels_avx512bf16;

const struct sl_gemm_kernels sl_gemm_kernels_avx512bf16 = {
    .isa = SL_ISA_AVX512BF16,
    .bf16 = true,
    .reads_rows = true,
    .k_unit = DEPTH,
    .mr = MR,
    .nr = NR,
    .a_floats = MR / 2,
    .b_floats = NR / 2,
    .kc = 256,
    .columns = 1024,
    .long_rows = 384,
    .long_columns = 384,
    .long_kc = 256,
    .tile = tile,
    .pack_a = pack_a,
    .pack_b = pack_b,
    .finish = finish,
    .add = add,
    .narrow = narrow,
};
