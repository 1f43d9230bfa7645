/*
 * Matrix product kernels in plain C: for other machines and as the tests' second opinion.
 */
#include "kernels/gemm_kernels.h"

enum { MR = 4, NR = 8 };

#include "kernels/gemm_common.inc"

extern const struct sl_gemm_kernels sl_gemm_kernels_c;

static void tile(const struct sl_gemm_tile *t)
{
    float acc[MR][NR] = {{0}};
    if (t->start)
        memcpy(acc, t->start, t->rows * sizeof acc[0]);
    for (size_t p = 0; p < t->k; p++) {
        const float *b = t->b + p * NR;
        for (size_t i = 0; i < t->rows; i++) {
            const float a = t->a[i * t->a_row + p * t->a_step];
            for (size_t j = 0; j < NR; j++)
                acc[i][j] += a * b[j];
        }
    }
    for (size_t i = 0; i < t->rows; i++) {
        float *out = t->out + i * t->out_ld;
        const float *addend = t->addend ? t->addend + i * t->addend_ld : NULL;
        for (size_t j = 0; j < NR; j++) {
            const float r = t->bias ? acc[i][j] + t->bias[j] : acc[i][j];
            out[j] = addend ? r + addend[j] : r;
        }
    }
}

/* Independent chains in registers: the rate at which this build multiplies and adds. */
static double peak(size_t rounds)
{
    enum { CHAINS = 32 };
    float x[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        x[i] = (float)i;
    volatile float factor = 0.5f;
    const float f = factor;
    for (size_t n = 0; n < rounds; n++)
        for (int i = 0; i < CHAINS; i++)
            x[i] = x[i] * f + f;
    volatile float sink;
    for (int i = 0; i < CHAINS; i++)
        sink = x[i];
    (void)sink;
    return 2.0 * CHAINS * (double)rounds;
}

const struct sl_gemm_kernels sl_gemm_kernels_c = {
    .isa = SL_ISA_C,
    .mr = MR,
    .nr = NR,
    .kc = 512,
    .tile = tile,
    .pack_a = pack_a,
    .pack_b = pack_b,
    .finish = finish,
    .narrow = narrow,
    .peak = peak,
};
