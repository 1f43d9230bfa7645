/*
 * The AMX matrix product kernels on emulated tiles: their own source, with AVX-512 taken from the
 * CPU (callers ask whether it is there).
 */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"))),                   \
    apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#include <immintrin.h>

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#include "ops/emulate/amx_tiles.h"

#define sl_gemm_kernels_amx emulated_gemm_kernels_amx
#include "kernels/x86/gemm_amx.c"

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
