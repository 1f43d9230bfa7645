/*
 * The cost of one image by formula: 2 per multiply-add of every matrix product; norms, activations
 * and sums are left out.
 */
#include <string.h>

#include "model/model.h"

/* Multiply-adds of one forward pass. */
struct products {
    double attention; /* q k^T and P v */
    double patches;   /* their embedding */
    double rest;
};

static struct products products_of(const struct sl_vit_config *v)
{
    const double N = (double)sl_vit_grid(v), L = (double)sl_vit_tokens(v);
    const double D = (double)v->width, F = (double)v->mlp, depth = (double)v->depth;
    const double gate = v->gate != SL_GATE_NONE ? D * D : 0;
    struct products p = {.attention = depth * 2 * L * L * D,
                         .patches = N * 3 * (double)(v->patch * v->patch) * D,
                         .rest = depth * L * (4 * D * D + gate + 2 * D * F)};
    if (v->pool == SL_POOL_MAP) {
        p.attention += 2 * L * D;
        p.rest += L * 2 * D * D + 2 * D * D + 2 * D * F;
    }
    if (v->rep_size)
        p.rest += D * D;
    p.rest += D * (double)v->classes;
    return p;
}

double sl_vit_flops(const struct sl_vit_config *v)
{
    const struct products p = products_of(v);
    return 2 * (p.attention + p.patches + p.rest);
}

void sl_vit_step_flops(const struct sl_vit_config *v, double flops[SL_PHASE_COUNT])
{
    const struct products p = products_of(v);
    memset(flops, 0, SL_PHASE_COUNT * sizeof *flops);
    flops[SL_PHASE_ATTENTION_FWD] = 2 * p.attention;
    flops[SL_PHASE_REST_FWD] = 2 * (p.patches + p.rest);
    /* Of each product's two gradients; the scores once more; images get no gradient. */
    flops[SL_PHASE_ATTENTION_BWD] = 5 * p.attention;
    flops[SL_PHASE_REST_BWD] = 2 * (p.patches + 2 * p.rest);
}
