/*
 * Choosing kernels in test programs; see emulate.h. The linker's --wrap puts these functions before
 * the library's own.
 */
#include "emulate/emulate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/attn_kernels.h"
#include "kernels/gemm_kernels.h"
#include "kernels/resize_kernels.h"
#include "kernels/vec_kernels.h"

#define SL_X86_KERNEL(X, isa, symbol) X(isa, symbol##_emulated)
#include "kernels/kernel_list.h"

enum sl_isa __real_sl_isa_native(void);
enum sl_isa __wrap_sl_isa_native(void);
const struct sl_attn_kernel *__real_sl_attn_kernel_for(enum sl_isa isa, sl_dtype type);
const struct sl_attn_kernel *__wrap_sl_attn_kernel_for(enum sl_isa isa, sl_dtype type);
const struct sl_gemm_kernels *__real_sl_gemm_kernels_for(enum sl_isa isa, sl_dtype type);
const struct sl_gemm_kernels *__wrap_sl_gemm_kernels_for(enum sl_isa isa, sl_dtype type);
const struct sl_vec_kernels *__real_sl_vec_kernels_for(enum sl_isa isa);
const struct sl_vec_kernels *__wrap_sl_vec_kernels_for(enum sl_isa isa);
const struct sl_resize_kernels *__real_sl_resize_kernels_for(enum sl_isa isa);
const struct sl_resize_kernels *__wrap_sl_resize_kernels_for(enum sl_isa isa);

#define DECLARE_ATTN(isa, symbol) extern const struct sl_attn_kernel symbol;
#define DECLARE_GEMM(isa, symbol) extern const struct sl_gemm_kernels symbol;
#define DECLARE_VEC(isa, symbol) extern const struct sl_vec_kernels symbol;
#define DECLARE_RESIZE(isa, symbol) extern const struct sl_resize_kernels symbol;
SL_ATTN_KERNEL_LIST(DECLARE_ATTN)
SL_GEMM_KERNEL_LIST(DECLARE_GEMM)
SL_VEC_KERNEL_LIST(DECLARE_VEC)
SL_RESIZE_KERNEL_LIST(DECLARE_RESIZE)

#define ENTRY(isa, symbol) &symbol,
static const struct sl_attn_kernel *const attn[] = {SL_ATTN_KERNEL_LIST(ENTRY)};
static const struct sl_gemm_kernels *const gemm[] = {SL_GEMM_KERNEL_LIST(ENTRY)};
static const struct sl_vec_kernels *const vec[] = {SL_VEC_KERNEL_LIST(ENTRY)};
static const struct sl_resize_kernels *const resize[] = {SL_RESIZE_KERNEL_LIST(ENTRY)};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The highest set that runs natively. */
static enum sl_isa native(void)
{
    const char *forced = getenv("SOFTLESS_TEST_EMULATE");
    return forced && strcmp(forced, "1") == 0 ? SL_ISA_C : __real_sl_isa_native();
}

static enum sl_isa lower(enum sl_isa a, enum sl_isa b)
{
    return a < b ? a : b;
}

enum sl_isa __wrap_sl_isa_native(void)
{
    return SL_ISA_AMX;
}

const struct sl_attn_kernel *__wrap_sl_attn_kernel_for(enum sl_isa isa, sl_dtype type)
{
    const struct sl_attn_kernel *best = __real_sl_attn_kernel_for(lower(isa, native()), type);
    for (size_t i = 0; i < COUNT(attn); i++)
        if (attn[i]->isa <= isa && attn[i]->isa > native() && (!attn[i]->bf16 || type == SL_BF16))
            best = attn[i];
    return best;
}

const struct sl_gemm_kernels *__wrap_sl_gemm_kernels_for(enum sl_isa isa, sl_dtype type)
{
    const struct sl_gemm_kernels *best = __real_sl_gemm_kernels_for(lower(isa, native()), type);
    for (size_t i = 0; i < COUNT(gemm); i++)
        if (gemm[i]->isa <= isa && gemm[i]->isa > native() && (!gemm[i]->bf16 || type == SL_BF16))
            best = gemm[i];
    return best;
}

const struct sl_vec_kernels *__wrap_sl_vec_kernels_for(enum sl_isa isa)
{
    const struct sl_vec_kernels *best = __real_sl_vec_kernels_for(lower(isa, native()));
    for (size_t i = 0; i < COUNT(vec); i++)
        if (vec[i]->isa <= isa && vec[i]->isa > native())
            best = vec[i];
    return best;
}

const struct sl_resize_kernels *__wrap_sl_resize_kernels_for(enum sl_isa isa)
{
    const struct sl_resize_kernels *best = __real_sl_resize_kernels_for(lower(isa, native()));
    for (size_t i = 0; i < COUNT(resize); i++)
        if (resize[i]->isa <= isa && resize[i]->isa > native())
            best = resize[i];
    return best;
}

bool emulate_isa(const char *name)
{
    enum sl_isa isa;
    return sl_isa_choose(name, &isa) == SL_OK && isa > native();
}

bool emulate_takes(const char *isa, size_t index, size_t macs)
{
    enum { EVERY = 3, MOST_MACS = 3000000 };
    return !emulate_isa(isa) || (index % EVERY == 0 && macs <= MOST_MACS);
}

int emulate_summary(void **state)
{
    (void)state;
    for (int i = 0; i < SL_ISA_COUNT; i++)
        print_message("%s: %s\n", sl_isa_name((enum sl_isa)i),
                      (enum sl_isa)i > native() ? "emulated" : "native");
    return 0;
}
