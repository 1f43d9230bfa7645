/*
 * libFuzzer: IDX and IDX.gz. An accepted file has the size its header announces.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/io.h"
#include "data/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t cap = 1 << 22;
    struct sl_idx idx = {0};
    if (sl_idx_read(data, size, cap, "input", &idx) != SL_OK)
        return 0;
    size_t product = 1;
    for (size_t k = 0; k < idx.rank; k++)
        product *= idx.dims[k];
    if (idx.rank < 1 || idx.rank > 4 || product != idx.size || product > cap)
        abort();
    char digest[SL_DIGEST_SIZE]; /* every byte is there */
    sl_digest(idx.data, idx.size, digest);
    sl_free(idx.data);
    return 0;
}
