/*
 * Included ahead of a kernel file that is compiled for emulation: its table gets another name. A
 * line for each x86 symbol of kernels/kernel_list.h; a forgotten one does not link.
 */
#define sl_attn_amx sl_attn_amx_emulated
#define sl_attn_avx512bf16 sl_attn_avx512bf16_emulated
#define sl_attn_avx2 sl_attn_avx2_emulated
#define sl_attn_avx512 sl_attn_avx512_emulated
#define sl_gemm_kernels_amx sl_gemm_kernels_amx_emulated
#define sl_gemm_kernels_avx512bf16 sl_gemm_kernels_avx512bf16_emulated
#define sl_gemm_kernels_avx2 sl_gemm_kernels_avx2_emulated
#define sl_gemm_kernels_avx512 sl_gemm_kernels_avx512_emulated
#define sl_resize_kernels_avx2 sl_resize_kernels_avx2_emulated
#define sl_vec_kernels_avx2 sl_vec_kernels_avx2_emulated
#define sl_vec_kernels_avx512 sl_vec_kernels_avx512_emulated
