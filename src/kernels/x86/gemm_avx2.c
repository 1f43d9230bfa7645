/*
 * The matrix product's kernels for AVX2 and FMA: a 6 x 16 tile. Block sizes fit 32 KB of L1 and
 * 512 KB of L2.
 */
#include "kernels/x86/vec_avx2.h"

#define NV 2
#include "kernels/gemm.inc"

extern const struct sl_gemm_kernels sl_gemm_kernels_avx2;

/* Independent chains in registers: the rate at which this instruction set multiplies and adds. */
static double peak(size_t rounds)
{
    enum { CHAINS = 12 };
    vf x[CHAINS], f = v_set1(0.5f);
    UNROLL for (int i = 0; i < CHAINS; i++) x[i] = f;
    __asm__ volatile("" : "+x"(f)); /* nobody knows f: the loop cannot be folded */
    for (size_t n = 0; n < rounds; n++) {
        UNROLL for (int i = 0; i < CHAINS; i++)
        {
            x[i] = v_fma(x[i], f, f);
            __asm__ volatile("" : "+x"(x[i]));
        }
    }
    return 2.0 * VL * CHAINS * (double)rounds;
}

const struct sl_gemm_kernels sl_gemm_kernels_avx2 = {
    .isa = SL_ISA_AVX2,
    .fused = true,
    .k_unit = 1,
    .mr = MR,
    .nr = NR,
    .a_floats = MR,
    .b_floats = NR,
    .kc = 256,
    .columns = 256,
    .long_rows = 144,
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
