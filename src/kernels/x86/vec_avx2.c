/*
 * Row and element kernels, compiled for AVX2.
 */
#define VEC_TABLE sl_vec_kernels_avx2
#define VEC_ISA SL_ISA_AVX2
#include "kernels/vec.inc"
