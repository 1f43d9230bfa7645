/*
 * Every kernel table of the CPU: one line per (slot, instruction set, symbol), the lower sets
 * first. The same list declares, dispatches and drives the tests.
 */
#ifndef SL_KERNELS_KERNEL_LIST_H
#define SL_KERNELS_KERNEL_LIST_H

#if defined SL_X86_KERNEL /* the tests name the emulated tables instead */
#elif defined __x86_64__
#define SL_X86_KERNEL(X, isa, symbol) X(isa, symbol)
#else
#define SL_X86_KERNEL(X, isa, symbol)
#endif

/* struct sl_gemm_kernels; tiles: C 6x8, AVX2 6x16, AVX-512 6x64; of bf16 32x32 */
#define SL_GEMM_KERNEL_LIST(X)                                                                     \
    X(SL_ISA_C, sl_gemm_kernels_c)                                                                 \
    SL_X86_KERNEL(X, SL_ISA_AVX2, sl_gemm_kernels_avx2)                                            \
    SL_X86_KERNEL(X, SL_ISA_AVX512, sl_gemm_kernels_avx512)                                        \
    SL_X86_KERNEL(X, SL_ISA_AVX512BF16, sl_gemm_kernels_avx512bf16)                                \
    SL_X86_KERNEL(X, SL_ISA_AMX, sl_gemm_kernels_amx)

/* struct sl_attn_kernel; tiles: C 6x8, AVX2 6x16, AVX-512 14x32; of bf16 32x32 */
#define SL_ATTN_KERNEL_LIST(X)                                                                     \
    X(SL_ISA_C, sl_attn_c)                                                                         \
    SL_X86_KERNEL(X, SL_ISA_AVX2, sl_attn_avx2)                                                    \
    SL_X86_KERNEL(X, SL_ISA_AVX512, sl_attn_avx512)                                                \
    SL_X86_KERNEL(X, SL_ISA_AVX512BF16, sl_attn_avx512bf16)                                        \
    SL_X86_KERNEL(X, SL_ISA_AMX, sl_attn_amx)

/* struct sl_vec_kernels */
#define SL_VEC_KERNEL_LIST(X)                                                                      \
    X(SL_ISA_C, sl_vec_kernels_c)                                                                  \
    SL_X86_KERNEL(X, SL_ISA_AVX2, sl_vec_kernels_avx2)                                             \
    SL_X86_KERNEL(X, SL_ISA_AVX512, sl_vec_kernels_avx512)

/* struct sl_resize_kernels */
#define SL_RESIZE_KERNEL_LIST(X)                                                                   \
    X(SL_ISA_C, sl_resize_kernels_c)                                                               \
    SL_X86_KERNEL(X, SL_ISA_AVX2, sl_resize_kernels_avx2)

#endif
