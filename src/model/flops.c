/*
 * The cost of one forward pass by formula: 2 per multiply-add of every matrix product; norms,
 * activations and sums are left out.
 */
#include "model/model.h"

double sl_vit_flops(const struct sl_vit_config *v)
{
    const double N = (double)sl_vit_grid(v), L = (double)sl_vit_tokens(v);
    const double D = (double)v->width, F = (double)v->mlp;
    const double gate = v->gate != SL_GATE_NONE ? D * D : 0;
    const double attention = L * (4 * D * D + gate) + 2 * L * L * D;
    double macs = N * 3 * (double)(v->patch * v->patch) * D;
    macs += (double)v->depth * (attention + L * 2 * D * F);
    if (v->pool == SL_POOL_MAP)
        macs += L * 2 * D * D + 2 * L * D + 2 * D * D + 2 * D * F;
    if (v->rep_size)
        macs += D * D;
    return 2 * (macs + D * (double)v->classes);
}
