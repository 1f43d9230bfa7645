/*
 * The matrix product's kernels for AVX-512: a 6 x 64 tile, 24 sums. Wide and low, it issues 37
 * instructions for 24 multiply-adds where 14 x 32 issues 46 for 28: where another thread shares the
 * core that decides (docs/performance.md). Block sizes fit 2 MB of L2.
 */
#include "kernels/x86/vec_avx512.h"

#define NV 4
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
    .a_floats = MR,
    .b_floats = NR,
    .kc = 384,
    .columns = 768,
    .long_rows = 192,
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
