/*
 * The table of phi: what is known of each before any score is computed. Rows: phi_list.h; the
 * vector functions: phi.inc.
 */
#ifndef SL_KERNELS_PHI_H
#define SL_KERNELS_PHI_H

#include "softless.h"

struct sl_phi_info {
    const char *name;
    int degree;     /* of homogeneity for positive factors; 0 = none */
    double at_zero; /* h(0) */
    bool clamp;     /* h(s) = min(max(s, lo), hi) */
    float lo, hi;
};

/* Row of a phi (softmax: clamp false, no h), or NULL if out of range. Static. */
const struct sl_phi_info *sl_phi_info(sl_phi phi);

#endif
