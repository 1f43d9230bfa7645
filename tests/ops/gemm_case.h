/*
 * One matrix product of the tests: drawn operands, a run, and the comparison with a
 * double-precision reference.
 */
#ifndef TESTS_OPS_GEMM_CASE_H
#define TESTS_OPS_GEMM_CASE_H

#include <stdint.h>

#include "base/rng.h"
#include "emulate/emulate.h"
#include "ops/ops.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* One product: its operands, the initial C and aux, and the results of a run. */
struct gemm_problem {
    struct sl_gemm_args args;
    bool integer;
    size_t size_c, size_aux; /* bytes */
    void *a_typed, *b_typed;
    float *bias, *sum0;
    unsigned char *c0, *aux0;
    unsigned char *c, *aux;
    float *sum;
};

void *gemm_allocate(size_t bytes);
size_t gemm_pick(sl_rng *rng, const size_t *from, size_t n);
void gemm_fill(struct gemm_problem *p, sl_rng *rng);
void gemm_release(struct gemm_problem *p);
struct sl_device *gemm_open_device(const char *isa, int threads);
void gemm_run(struct sl_device *dev, struct gemm_problem *p, bool packed);
void gemm_check_results(const struct gemm_problem *p);

#endif
