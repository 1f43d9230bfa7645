/*
 * tdpbf16ps on four independent accumulators of 16 x 16: 32 products per element.
 */
#include "kernels/bf16_peak.h"
#include "kernels/x86/amx.h"

double sl_bf16_peak_amx(size_t rounds)
{
    products_begin();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    for (size_t n = 0; n < rounds; n++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    products_end();
    return 2.0 * 16 * 16 * 32 * 4 * (double)rounds;
}
