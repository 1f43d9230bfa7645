/*
 * The element-wise kernels in AVX-512.
 */
#include "kernels/x86/vec_avx512.h"

#define VEC_ISA SL_ISA_AVX512
#define VEC_TABLE sl_vec_kernels_avx512
#include "kernels/vec.inc"
