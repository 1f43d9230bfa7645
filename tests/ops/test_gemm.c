/*
 * The CPU's matrix product against double-precision loops: random shapes, every epilogue, layout
 * and type. Padding between rows holds NaN in the operands and a fixed pattern in the results.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/bf16.h"
#include "base/rng.h"
#include "gemm_case.h"
#include "kernels/cpu.h"
#include "ops/cpu/cpu.h"
#include "ops/ops.h"

static const uint64_t seed = 20261107;

/* ---- tests ---- */

static const char *const isas[] = {"c", "avx2", "avx512", "avx512bf16", "amx"};
static const int thread_counts[] = {1, 2, 3, 7};

/* Runs on every instruction set and thread count; checks the first run of each set, and that the
 * others give its bits. In the exact regime all sets agree, since each equals the reference. */
static size_t run_everywhere(struct gemm_problem *p, size_t index)
{
    size_t runs = 0;
    unsigned char *c = gemm_allocate(p->size_c), *aux = gemm_allocate(p->size_aux);
    float *sum = gemm_allocate(p->args.m * sizeof *sum);
    for (size_t s = 0; s < COUNT(isas); s++)
        for (size_t t = 0; t < COUNT(thread_counts); t++) {
            if (!emulate_takes(isas[s], index, p->args.m * p->args.n * p->args.k))
                break;
            struct sl_device *dev = gemm_open_device(isas[s], thread_counts[t]);
            gemm_run(dev, p, t % 2 == 1 && !p->args.a_t);
            sl_device_close(&dev);
            if (t == 0) {
                gemm_check_results(p);
                memcpy(c, p->c, p->size_c);
                memcpy(aux, p->aux, p->size_aux);
                memcpy(sum, p->sum, p->args.m * sizeof *sum);
            } else {
                assert_memory_equal(c, p->c, p->size_c);
                assert_memory_equal(aux, p->aux, p->size_aux);
                assert_memory_equal(sum, p->sum, p->sum0 ? p->args.m * sizeof *sum : 0);
            }
            runs++;
        }
    free(c);
    free(aux);
    free(sum);
    return runs;
}

static struct gemm_problem random_problem(sl_rng *rng)
{
    static const size_t rows[] = {1,  2,  3,  5,  6,  7,  8,  13, 14, 15,
                                  16, 17, 28, 29, 31, 32, 53, 64, 97, 113};
    static const size_t columns[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 64, 65, 97, 130};
    static const size_t depths[] = {1, 2, 3, 4, 7, 8, 17, 31, 64, 65, 100, 197, 257, 400};
    struct gemm_problem p = {.integer = sl_rng_below(rng, 2) == 0};
    struct sl_gemm_args *g = &p.args;
    static float marker;
    g->m = gemm_pick(rng, rows, COUNT(rows));
    g->n = gemm_pick(rng, columns, COUNT(columns));
    g->k = gemm_pick(rng, depths, COUNT(depths));
    g->a_t = sl_rng_below(rng, 3) == 0;
    g->b_t = sl_rng_below(rng, 2) == 0;
    g->type = sl_rng_below(rng, 3) == 0 ? SL_BF16 : SL_F32;
    g->epilogue = (enum sl_epilogue)sl_rng_below(rng, 5);
    g->gelu = (enum sl_gelu)sl_rng_below(rng, 2);
    g->c_type = g->epilogue != SL_EPI_RESIDUAL && sl_rng_below(rng, 3) == 0 ? SL_BF16 : SL_F32;
    g->accumulate = g->epilogue == SL_EPI_NONE && g->c_type == SL_F32 && sl_rng_below(rng, 2) == 0;
    g->bias = sl_rng_below(rng, 2) == 0 ? &marker : NULL;
    g->a_sum = sl_rng_below(rng, 4) == 0 ? &marker : NULL;
    return p;
}

static void test_random_shapes(void **state)
{
    (void)state;
    enum { CASES = 240 };
    size_t runs = 0;
    for (uint32_t i = 0; i < CASES; i++) {
        sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, i, 0);
        struct gemm_problem p = random_problem(&rng);
        gemm_fill(&p, &rng);
        runs += run_everywhere(&p, i);
        gemm_release(&p);
    }
    print_message("seed %llu: %d products, %zu runs\n", (unsigned long long)seed, CASES, runs);
}

/* Shapes of a model: several blocks, several passes over k, several chunks of k. */
static void test_model_shapes(void **state)
{
    (void)state;
    static float marker;
    static const struct sl_gemm_args shapes[] = {
        {.m = 196, .n = 96, .k = 800, .b_t = true, .bias = &marker, .epilogue = SL_EPI_GELU},
        {.m = 131, .n = 200, .k = 1537, .epilogue = SL_EPI_RESIDUAL, .bias = &marker},
        {.m = 64, .n = 48, .k = 2100, .a_t = true, .accumulate = true, .a_sum = &marker},
        {.m = 5, .n = 1100, .k = 4200, .a_t = true, .accumulate = true, .a_sum = &marker},
        {.m = 200, .n = 33, .k = 1031, .a_t = true, .type = SL_BF16, .a_sum = &marker},
        {.m = 70, .n = 100, .k = 1100, .b_t = true, .type = SL_BF16, .bias = &marker},
        {.m = 400, .n = 64, .k = 64, .type = SL_BF16, .c_type = SL_BF16, .epilogue = SL_EPI_TANH},
        /* rows of bf16 read where they lie, in three passes */
        {.m = 75, .n = 70, .k = 608, .b_t = true, .type = SL_BF16, .bias = &marker},
        /* a long sum of bf16 in two ranges of k */
        {.m = 5,
         .n = 1100,
         .k = 4200,
         .a_t = true,
         .accumulate = true,
         .type = SL_BF16,
         .a_sum = &marker},
    };
    for (uint32_t i = 0; i < 2 * COUNT(shapes); i++) {
        sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 1000 + i, 0);
        struct gemm_problem p = {.args = shapes[i / 2], .integer = i % 2 == 0};
        gemm_fill(&p, &rng);
        assert_true(run_everywhere(&p, i) > 0);
        gemm_release(&p);
    }
}

/* The residual stream is added in place: aux is c. */
static void test_residual_in_place(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 2000, 0);
    struct gemm_problem p = {.args = {.m = 57, .n = 71, .k = 40, .epilogue = SL_EPI_RESIDUAL},
                             .integer = true};
    gemm_fill(&p, &rng);
    struct sl_device *dev = gemm_open_device(NULL, 2);
    gemm_run(dev, &p, false);
    struct sl_gemm_args g = p.args;
    float *x = gemm_allocate(p.size_aux);
    memcpy(x, p.aux0, p.size_aux);
    g.aux = g.c = x;
    g.ldc = g.ldaux;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_OK);
    for (size_t i = 0; i < g.m; i++)
        assert_memory_equal(x + i * g.ldc, (float *)(void *)p.c + i * p.args.ldc,
                            g.n * sizeof(float));
    free(x);
    sl_device_close(&dev);
    gemm_release(&p);
}

/* Inference keeps no pre-activation: aux NULL, same c. */
static void test_gelu_without_aux(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 2500, 0);
    struct gemm_problem p = {.args = {.m = 31, .n = 45, .k = 20, .epilogue = SL_EPI_GELU}};
    gemm_fill(&p, &rng);
    struct sl_device *dev = gemm_open_device(NULL, 2);
    gemm_run(dev, &p, false);
    struct sl_gemm_args g = p.args;
    float *c = gemm_allocate(p.size_c);
    memcpy(c, p.c0, p.size_c);
    g.c = c;
    g.aux = NULL;
    g.ldaux = 0;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_OK);
    assert_memory_equal(c, p.c, p.size_c);
    free(c);
    sl_device_close(&dev);
    gemm_release(&p);
}

/* A NaN or Inf in an operand reaches every result it belongs to. */
static void test_nan_propagates(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(isas); s++) {
        struct sl_device *dev = gemm_open_device(isas[s], 1);
        for (int e = 0; e < 5; e++) {
            sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 3000, 0);
            struct gemm_problem p = {
                .args = {.m = 9, .n = 20, .k = 11, .epilogue = (enum sl_epilogue)e}};
            gemm_fill(&p, &rng);
            ((float *)p.a_typed)[4 * p.args.lda + 3] = NAN;
            gemm_run(dev, &p, false);
            for (size_t i = 0; i < 9 * 20; i++)
                assert_int_equal(isnan(((float *)(void *)p.c)[i / 20 * p.args.ldc + i % 20]) != 0,
                                 i / 20 == 4);
            gemm_release(&p);
        }
        sl_device_close(&dev);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct sl_device *dev = gemm_open_device(NULL, 2);
    float x[64] = {0};
    struct sl_gemm_args g = {
        .m = 4, .n = 4, .k = 4, .a = x, .lda = 4, .b = x, .ldb = 4, .c = x, .ldc = 3};
    assert_int_equal(dev->ops->gemm(dev, &g), SL_ERR_ARGUMENT);
    g.ldc = 4;
    g.lda = 3;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_ERR_ARGUMENT);
    g.lda = 4;
    g.accumulate = true;
    g.c_type = SL_BF16;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_ERR_ARGUMENT);
    g.accumulate = false;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_ERR_INTERNAL); /* never planned */
    g.m = (size_t)1 << 40;
    g.n = (size_t)1 << 40;
    g.ldc = g.ldb = g.n;
    assert_int_equal(dev->ops->gemm(dev, &g), SL_ERR_ARGUMENT);
    sl_device_close(&dev);
}

/* An empty sum is the bias; an empty C is nothing. */
static void test_empty(void **state)
{
    (void)state;
    sl_rng rng = sl_rng_at(seed, SL_RNG_TEST, 4000, 0);
    static float marker;
    struct gemm_problem p = {.args = {.m = 5, .n = 7, .k = 0, .bias = &marker}, .integer = true};
    gemm_fill(&p, &rng);
    p.args.lda = p.args.ldb = 7;
    run_everywhere(&p, 0);
    gemm_release(&p);
    struct sl_device *dev = gemm_open_device(NULL, 1);
    const struct sl_gemm_args nothing = {.m = 0, .n = 3, .k = 2, .lda = 2, .ldb = 3, .ldc = 3};
    assert_int_equal(dev->ops->gemm(dev, &nothing), SL_OK);
    sl_device_close(&dev);
}

static void test_peak_and_precision(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(isas); s++) {
        if (emulate_isa(isas[s]))
            continue;
        struct sl_device *dev = gemm_open_device(isas[s], 2);
        double flops = 0;
        assert_int_equal(dev->ops->measure_peak(dev, SL_F32, 0.01, &flops), SL_OK);
        assert_true(flops > 1e6);
        enum sl_isa isa;
        assert_int_equal(sl_isa_choose(isas[s], &isa), SL_OK);
        const bool fast = isa >= SL_ISA_AVX512BF16;
        const bool bf16 = fast || (isa == SL_ISA_AVX512 && sl_cpu_has_avx512_bf16());
        assert_int_equal(dev->ops->measure_peak(dev, SL_BF16, 0.01, &flops),
                         bf16 ? SL_OK : SL_ERR_UNSUPPORTED);
        sl_dtype type = SL_DTYPE_COUNT;
        assert_int_equal(sl_device_precision(dev, SL_PRECISION_AUTO, &type), SL_OK);
        assert_int_equal(type, fast ? SL_BF16 : SL_F32);
        assert_int_equal(sl_device_precision(dev, SL_PRECISION_FP32, &type), SL_OK);
        assert_int_equal(type, SL_F32);
        assert_int_equal(sl_device_precision(dev, SL_PRECISION_BF16, &type),
                         bf16 ? SL_OK : SL_ERR_UNAVAILABLE);
        assert_int_equal(type, bf16 ? SL_BF16 : SL_F32);
        sl_device_close(&dev);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_shapes),
        cmocka_unit_test(test_model_shapes),
        cmocka_unit_test(test_residual_in_place),
        cmocka_unit_test(test_gelu_without_aux),
        cmocka_unit_test(test_nan_propagates),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_peak_and_precision),
    };
    return cmocka_run_group_tests(tests, emulate_summary, NULL);
}
