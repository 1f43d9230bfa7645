/*
 * Kernels of every instruction set on every machine: in a program linked with this, sl_isa_native
 * says AMX, and tables of sets that the CPU lacks are the same kernel files compiled against
 * emulated instructions. With SOFTLESS_TEST_EMULATE=1 all but plain C is emulated.
 *
 * Emulation proves arithmetic and memory bounds; it cannot prove alignment or missing CPU state.
 */
#ifndef TESTS_EMULATE_EMULATE_H
#define TESTS_EMULATE_EMULATE_H

#include "ops/ops.h"

/* Is this the name of a set whose own kernels are emulated? */
bool emulate_isa(const char *isa);

/* Emulated kernels are 20 to 100 times slower, so tests give them a part of their cases: is number
 * `index`, of `macs` multiply-adds in all, to be run on this set? Always true of a native one. */
bool emulate_takes(const char *isa, size_t index, size_t macs);

/* Prints one line for each set: native or emulated. A group set-up of cmocka; returns 0. */
int emulate_summary(void **state);

#endif
