/*
 * Where the time of a training step goes: data, attention, the rest of the passes, the optimizer.
 * Conventions as in softless.h.
 */
#ifndef SOFTLESS_PHASES_H
#define SOFTLESS_PHASES_H

#include "softless.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sl_phase {
    SL_PHASE_DATA,          /* making the batch and handing it to the device */
    SL_PHASE_ATTENTION_FWD, /* phi(q k^T) v alone: projections, qk_norm, gate are of the rest */
    SL_PHASE_REST_FWD,      /* all else from the patches to the loss */
    SL_PHASE_ATTENTION_BWD,
    SL_PHASE_REST_BWD,
    SL_PHASE_OPTIMIZER, /* zeroing and norm of the gradients, update, packing of the weights */
    SL_PHASE_COUNT
} sl_phase;

/* "forward attention"; NULL if out of range. Static. */
SL_API const char *sl_phase_name(sl_phase phase);

typedef struct sl_phase_cost {
    double seconds; /* by the clock, while ops of the phase ran */
    double core_s;  /* processor seconds of all threads meanwhile */
    double flops;   /* of their products, 2 per multiply-add, as the calls were made */
} sl_phase_cost;

/* A training whose steps are timed op by op. */
typedef struct sl_profile sl_profile;

typedef struct sl_profile_info {
    sl_model_info model;
    size_t batch;
    const char *data; /* SPEC that batches come from. Borrowed */
    /* Of a step's products by formula. Attention backward: the scores again and four products; the
     * rest backward: twice forward, but for the images' gradient, which nobody wants. */
    double flops[SL_PHASE_COUNT];
} sl_profile_info;

/* A fresh model of the recipe, trained on data.train, or on synthetic images if it names none. The
 * calling thread alone makes the batches, between steps, and nothing is cached. Owned by the
 * caller. Errors: as sl_train. */
SL_API sl_status sl_profile_create(sl_context *ctx, const sl_recipe *recipe, sl_profile **profile);
SL_API void sl_profile_free(sl_profile **profile);
SL_API sl_status sl_profile_get_info(const sl_profile *profile, sl_profile_info *info);
/* One batch and one step. whole: of both together, by the same clocks; what exceeds the phases' sum
 * passed between ops. */
SL_API sl_status sl_profile_step(sl_profile *profile, sl_phase_cost costs[SL_PHASE_COUNT],
                                 sl_phase_cost *whole);

#ifdef __cplusplus
}
#endif

#endif
