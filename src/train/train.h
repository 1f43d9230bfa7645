/*
 * Training: schedule, step, checkpoints, run directory, and the loop that joins them.
 */
#ifndef SL_TRAIN_TRAIN_H
#define SL_TRAIN_TRAIN_H

#include <stdatomic.h>

#include "data/data.h"
#include "model/model.h"

/* ---- schedule.c: functions of the step alone (recipe.md 3) ---- */
struct sl_durations {
    uint64_t total, warmup; /* updates */
};
/* Steps from steps, epochs or examples; n_train = images of the training set. */
sl_status sl_durations_resolve(const struct sl_config *config, size_t n_train,
                               struct sl_durations *durations);
/* Factor s(t), t = updates already done. */
double sl_schedule_factor(const struct sl_train_config *train, const struct sl_durations *d,
                          uint64_t t);

/* ---- step.c: one update ---- */
struct sl_stepper;
sl_status sl_stepper_create(struct sl_device *dev, const struct sl_config *config,
                            const struct sl_durations *durations, struct sl_stepper **stepper);
void sl_stepper_free(struct sl_stepper **stepper);
struct sl_net *sl_stepper_net(struct sl_stepper *stepper);
/* images u8 [batch, S, S, 3], labels [batch]; t = updates already done. result->loss is the mean.
 * SL_ERR_DIVERGED: loss or gradient norm not finite (the update was not applied). */
sl_status sl_stepper_step(struct sl_stepper *stepper, const uint8_t *images, const int32_t *labels,
                          uint64_t t, sl_step_result *result);
/* Moments as named flat arrays for checkpoints: m (float or bf16) and v (float or NULL), [floats].
 */
struct sl_moments {
    void *m;
    sl_dtype m_type;
    float *v;
    size_t floats;
};
struct sl_moments sl_stepper_moments(struct sl_stepper *stepper);
size_t sl_optimizer_bytes(const struct sl_train_config *train, size_t floats);

/* ---- checkpoint.c: the protocol of DESIGN.md "Checkpoints" ---- */
struct sl_train_state { /* everything besides parameters and moments that a resume needs */
    uint64_t step;
    uint64_t metrics_offset; /* bytes of metrics.jsonl that belong to this state */
    double best_top1;        /* -1 = none yet */
    uint64_t best_step;
    uint64_t skipped_updates; /* by nan_policy skip */
    double interval_loss;     /* sums since the last metrics line, so that a resume repeats it */
    uint64_t interval_correct, interval_images;
};
struct sl_checkpoint_io {
    const char *run_dir;
    const struct sl_config *config;
    const struct sl_weights_meta *meta;
    struct sl_stepper *stepper;
    const char *data_digest;
};
/* reason: "periodic" | "signal" | "final". */
sl_status sl_checkpoint_save(const struct sl_checkpoint_io *io, const struct sl_train_state *state,
                             const char *reason);
/* Newest one that verifies; *found = false if there is none at all. */
sl_status sl_checkpoint_load(const struct sl_checkpoint_io *io, bool strict,
                             struct sl_train_state *state, bool *found);
/* The weights file of the newest checkpoint of a run directory (best: of the best one). sl_free. */
sl_status sl_checkpoint_weights_path(const char *run_dir, bool best, char **path);

/* ---- run.c ---- */
sl_status sl_run_train(struct sl_device *dev, const struct sl_recipe *recipe,
                       const sl_train_options *options, const atomic_bool *stop,
                       sl_train_result *result);

#endif
