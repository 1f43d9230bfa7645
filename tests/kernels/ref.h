/*
 * The independent reference of the attention operator: loops in double over dense arrays, written
 * from the formulas (MODEL.md; arXiv 2309.08586 Eq. 1), sharing no code with src/. Beside every
 * value stands a bound on the error that float arithmetic with float sums may make, propagated
 * through the formulas by the textbook rules: a sum of n products is off by at most
 * (n + 4) u sum|terms|, u = 2^-24, the 4 paying for scale, factor and first-order neglect.
 */
#ifndef TESTS_KERNELS_REF_H
#define TESTS_KERNELS_REF_H

#include <stdbool.h>

#include "softless.h"

struct ref_value {
    double x, err;
};

/* h and h' in double; softmax has none. */
double ref_h(sl_phi phi, double s);
double ref_dh(sl_phi phi, double s);

/* Dense operands of one call, [B, L, H, K] each, row-major. */
struct ref {
    sl_attention a; /* sizes and numbers; its pointers and strides are not used */
    /* The bound of kernels that multiply bf16: weights and score gradients are rounded to bf16, by
     * 2^-8 of their value at most, before they are multiplied, and denormals are zero everywhere.
     */
    bool bf16_products;
    /* The bound of identity as q (k^T v): what is summed over keys or queries there is a product of
     * two operands, not a score, so scores that cancel do not make its roundings smaller. */
    bool reassociated;
    const uint8_t *mask;
    double *q, *k, *v, *d_o;
    struct ref_value *o, *dq, *dk, *dv; /* results */
};

/* Allocates all arrays (plain calloc; exits the test program when memory is out). */
void ref_open(struct ref *r, const sl_attention *a);
void ref_close(struct ref *r);
/* Dense double copy [B, L, H, K] of a strided tensor. */
void ref_read(const sl_attention *a, const void *p, sl_strides s, size_t L, double *dense);
void ref_forward(struct ref *r);
void ref_backward(struct ref *r);

#endif
