/*
 * The matrix product's kernels in portable C: a 6 x 8 tile.
 */
#include "kernels/c/vec_c.h"

#define NV 2
#include "kernels/gemm.inc"

extern const struct sl_gemm_kernels sl_gemm_kernels_c;

/* Independent chains in registers; the factor is read anew each round so that nothing is folded. */
static double peak(size_t rounds)
{
    enum { CHAINS = 8 };
    volatile float factor = 0.5f;
    vf x[CHAINS];
    UNROLL for (int i = 0; i < CHAINS; i++) x[i] = v_set1((float)i);
    for (size_t n = 0; n < rounds; n++) {
        const vf f = v_set1(factor);
        UNROLL for (int i = 0; i < CHAINS; i++) x[i] = v_fma(x[i], f, f);
    }
    volatile float sink;
    UNROLL for (int i = 0; i < CHAINS; i++) sink = v_sum(x[i]);
    (void)sink;
    return 2.0 * VL * CHAINS * (double)rounds;
}

const struct sl_gemm_kernels sl_gemm_kernels_c = {
    .isa = SL_ISA_C,
    .fused = true,
    .k_unit = 1,
    .mr = MR,
    .nr = NR,
    .a_floats = MR,
    .b_floats = NR,
    .kc = 512,
    .columns = 512,
    .long_rows = 96,
    .long_columns = 192,
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
