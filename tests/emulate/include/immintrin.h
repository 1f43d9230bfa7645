/*
 * Stands in for the compiler's <immintrin.h> when a kernel file is compiled for emulation: the
 * intrinsics of AVX2, FMA and AVX-512 from SIMDe in plain C (nothing native, so that every machine
 * runs the same), those that SIMDe lacks, and the AMX tiles.
 */
#ifndef TESTS_EMULATE_IMMINTRIN_H
#define TESTS_EMULATE_IMMINTRIN_H

#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

#include "emulate/amx_tiles.h"
#include "emulate/lacking.h"

/* The kernels' asm statements hold no instructions: they only hide values from the optimiser, in
 * registers that an emulated vector does not have. `asm volatile(...)` becomes `asm("")`. */
#define volatile(...) ("")

#endif
