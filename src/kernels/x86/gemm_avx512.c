/*
 * The matrix product's kernels for AVX-512: a 14 x 32 tile. Per step of k it loads two vectors of B
 * and broadcasts 14 elements of A for 28 multiply-adds. Block sizes fit 48 KB of L1 and 2 MB of L2.
 */
#include "kernels/x86/vec_avx512.h"

#define MR 14
#include "kernels/gemm.inc"

extern const struct sl_gemm_kernels sl_gemm_kernels_avx512;

/* Independent chains in registers: the rate at which this instruction set multiplies and adds. */
static double peak(size_t rounds)
{
    enum { CHAINS = 14 };
    vf x[CHAINS], f = v_set1(0.5f);
    UNROLL for (int i = 0; i < CHAINS; i++) x[i] = f;
    __asm__ volatile("" : "+v"(f)); /* nobody knows f: the loop cannot be folded */
    for (size_t n = 0; n < rounds; n++) {
        UNROLL for (int i = 0; i < CHAINS; i++)
        {
            x[i] = v_fma(x[i], f, f);
            __asm__ volatile("" : "+v"(x[i]));
        }
    }
    return 2.0 * VL * CHAINS * (double)rounds;
}

const struct sl_gemm_kernels sl_gemm_kernels_avx512 = {
    .isa = SL_ISA_AVX512,
    .fused = true,
    .k_unit = 1,
    .mr = MR,
    .nr = NR,
    .a_width = A_WIDTH,
    .a_floats = A_WIDTH,
    .b_floats = NR,
    .kc = 384,
    .columns = 768,
    .long_rows = 392,
    .long_columns = 384,
    .long_kc = 256,
    .tile = tile,
    .pack_a = pack_a,
    .pack_b = pack_b,
    .sum_rows = sum_rows,
    .finish = finish,
    .add = add,
    .narrow = narrow,
    .peak = peak,
};
