/*
 * Row and element kernels, compiled for AVX-512.
 */
#define VEC_TABLE sl_vec_kernels_avx512
#define VEC_ISA SL_ISA_AVX512
#include "kernels/vec.inc"
