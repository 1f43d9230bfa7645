/*
 * Row and element kernels, for any machine.
 */
#define VEC_TABLE sl_vec_kernels_c
#define VEC_ISA SL_ISA_C
#include "kernels/vec.inc"
