/*
 * The element-wise kernels in AVX2 with FMA.
 */
#include "kernels/x86/vec_avx2.h"

#define VEC_ISA SL_ISA_AVX2
#define VEC_TABLE sl_vec_kernels_avx2
#include "kernels/vec.inc"
