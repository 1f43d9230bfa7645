/*
 * Small safetensors files for the tests of reader and writer.
 */
#ifndef SL_TESTS_UNIT_SUPPORT_SAFETENSORS_H
#define SL_TESTS_UNIT_SUPPORT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

/* A file of this header text in front of n_data bytes 0, 1, 2, ... The stated length may lie. */
void build_safetensors(const char *path, const char *header, size_t n, uint64_t stated,
                       size_t n_data);
/* Three tensors (F32 [2, 3] of 1 .. 6, BF16, an empty one) and metadata, by our writer. */
void write_sample(const char *path);

#endif
