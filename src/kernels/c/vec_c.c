/*
 * The element-wise kernels in portable C.
 */
#include "kernels/c/vec_c.h"

#define VEC_ISA SL_ISA_C
#define VEC_TABLE sl_vec_kernels_c
#include "kernels/vec.inc"
