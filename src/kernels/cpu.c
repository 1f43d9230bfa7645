/*
 * Names of instruction sets, and the choice among those the machine has.
 */
#include "kernels/cpu.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[SL_ISA_COUNT] = {"c", "avx2", "avx512", "avx512bf16", "amx"};

const char *sl_isa_name(enum sl_isa isa)
{
    return (unsigned)isa < SL_ISA_COUNT ? names[isa] : "?";
}

sl_status sl_isa_choose(const char *limit, enum sl_isa *isa)
{
    const char *source = "the isa option";
    if (!limit || !*limit) {
        limit = getenv("SOFTLESS_ISA");
        source = "SOFTLESS_ISA";
    }
    const enum sl_isa native = sl_isa_native();
    if (!limit || !*limit) {
        const bool slow = native == SL_ISA_AVX512BF16 && !sl_cpu_bf16_is_fast();
        *isa = slow ? SL_ISA_AVX512 : native;
        return SL_OK;
    }
    for (int i = 0; i < SL_ISA_COUNT; i++) {
        if (strcmp(limit, names[i]) != 0)
            continue;
        if (i > (int)native)
            SL_FAIL(SL_ERR_UNAVAILABLE, "%s asks for %s, but this machine runs %s at most", source,
                    names[i], names[native]);
        *isa = (enum sl_isa)i;
        return SL_OK;
    }
    SL_FAIL(SL_ERR_ARGUMENT, "%s is '%s'; it must be c, avx2, avx512, avx512bf16 or amx", source,
            limit);
}
