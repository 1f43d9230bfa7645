/*
 * CPU features, asked of the CPU and of the operating system (XCR0, arch_prctl for AMX tiles).
 */
#define _GNU_SOURCE
#include "kernels/cpu.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#ifdef __x86_64__

static bool bit(unsigned word, int n)
{
    return (word >> n & 1u) != 0;
}

static unsigned xcr0(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Linux gives tile state only on request; asked once before threads start. */
static bool amx_permitted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static bool is_amd(void)
{
    unsigned a, name[3]; /* "AuthenticAMD" in ebx, edx, ecx */
    return __get_cpuid(0, &a, &name[0], &name[2], &name[1]) &&
           memcmp(name, "AuthenticAMD", sizeof name) == 0;
}

struct features {
    bool avx2, avx512, avx512_bf16, amx;
};

static struct features detect(void)
{
    struct features f = {false, false, false, false};
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27) || !bit(c, 12) || !bit(c, 29))
        return f; /* no OSXSAVE, FMA or F16C */
    const unsigned os = xcr0();
    unsigned b7, c7, d7, a71;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7))
        return f;
    if (!__get_cpuid_count(7, 1, &a71, &b, &c, &d))
        a71 = 0;
    f.avx2 = bit(b7, 5) && (os & 0x6u) == 0x6u;
    f.avx512 =
        f.avx2 && bit(b7, 16) && bit(b7, 17) && bit(b7, 30) && bit(b7, 31) && (os & 0xE6u) == 0xE6u;
    f.avx512_bf16 = f.avx512 && bit(a71, 5);
    f.amx = f.avx512_bf16 && bit(d7, 24) && bit(d7, 22) && (os & 0x60000u) == 0x60000u &&
            amx_permitted();
    return f;
}

#else

static bool is_amd(void)
{
    return false;
}

struct features {
    bool avx2, avx512, avx512_bf16, amx;
};

static struct features detect(void)
{
    return (struct features){false, false, false, false};
}

#endif

enum sl_isa sl_isa_native(void)
{
    const struct features f = detect();
    return f.amx           ? SL_ISA_AMX
           : f.avx512_bf16 ? SL_ISA_AVX512BF16
           : f.avx512      ? SL_ISA_AVX512
           : f.avx2        ? SL_ISA_AVX2
                           : SL_ISA_C;
}

bool sl_cpu_has_avx512_bf16(void)
{
    return detect().avx512_bf16;
}

bool sl_cpu_bf16_is_fast(void)
{
    return detect().avx512_bf16 && is_amd();
}
