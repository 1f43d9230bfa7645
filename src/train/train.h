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
/* What a stepper of this config will allocate (classes must be known). */
sl_status sl_train_forecast(struct sl_device *dev, const struct sl_config *config,
                            struct sl_memory *memory);

/* ---- lock.c: one process per run directory ---- */
struct sl_run_lock;
/* Takes RUN/lock (flock; host and process inside); the directory must exist. SL_ERR_UNAVAILABLE
 * names the holder. The lock goes with the process, so a killed one leaves nothing to clean. */
sl_status sl_run_lock(const char *run_dir, struct sl_run_lock **lock);
void sl_run_unlock(struct sl_run_lock **lock); /* accepts NULL, clears */

/* ---- checkpoint*.c: the protocol of DESIGN.md "Checkpoints" ---- */
struct sl_train_state { /* everything besides parameters and moments that a resume needs */
    uint64_t step;
    uint64_t metrics_offset; /* bytes of metrics.jsonl that belong to this state */
    double best_top1;        /* -1 = none yet */
    uint64_t best_step;
    uint64_t skipped_updates; /* by nan_policy skip */
    uint64_t skipped_in_row;  /* of them, since the last update that was applied */
    double interval_loss;     /* sums since the last metrics line, so that a resume repeats it */
    uint64_t interval_correct, interval_images;
};
/* What a checkpoint is made of: plain host arrays, saved from or loaded into. All borrowed. */
struct sl_checkpoint_io {
    const char *run_dir; /* exists and is locked by the caller */
    const struct sl_config *config;
    const struct sl_weights_meta *meta; /* for the weights file; its step is not used */
    const struct sl_param_table *table;
    float *params; /* [table->floats] */
    struct sl_moments moments;
    const char *data_digest; /* of the data set's names and sizes, under 64 characters */
    const char *build;       /* version, ISA, threads: another one at resume is a warning */
};
/* Publishes RUN/checkpoints/step-<step>, durable on return, then prunes. reason: "periodic" |
 * "signal" | "final". state->best_step == step marks it as the best one. A failed attempt is
 * repeated in a new folder at most twice; on failure the old checkpoints stand. SL_ERR_DIVERGED: a
 * parameter or moment is not finite (named). SL_ERR_IO names the bytes needed or path and cause. */
sl_status sl_checkpoint_save(const struct sl_checkpoint_io *io, const struct sl_train_state *state,
                             const char *reason);
/* Loads the newest one that verifies into params and moments (undefined on failure); removes what
 * dead processes left. *found = false, and OK, if there is none at all. Damaged ones are reported
 * and renamed bad-*, or with `strict` SL_ERR_DATA; SL_ERR_DATA too if none verifies. SL_ERR_CONFIG
 * lists what differs from the config or data set of the checkpoint, old -> new. */
sl_status sl_checkpoint_load(const struct sl_checkpoint_io *io, bool strict,
                             struct sl_train_state *state, bool *found);
/* Reads one checkpoint folder whole: manifest, names, sizes, digests. info may be NULL. */
struct sl_checkpoint_info {
    struct sl_train_state state;
    char reason[16];
    char *config; /* YAML of the resolved config; owned */
    char data_digest[64], build[256];
};
sl_status sl_checkpoint_verify(const char *dir, struct sl_checkpoint_info *info);
void sl_checkpoint_info_free(struct sl_checkpoint_info *info);
/* The weights file of the newest checkpoint of a run directory that verifies, or of the best one it
 * knows. SL_ERR_INPUT if there is none. sl_free. */
sl_status sl_checkpoint_weights_path(const char *run_dir, bool best, char **path);

/* ---- run.c ---- */
sl_status sl_run_train(struct sl_device *dev, const struct sl_recipe *recipe,
                       const sl_train_options *options, const atomic_bool *stop,
                       sl_train_result *result);

#endif
