/*
 * The state of one training run, shared by run.c (the loop), run_open.c (opening and closing) and
 * run_report.c (progress, metrics and timing lines).
 */
#ifndef SL_TRAIN_RUN_H
#define SL_TRAIN_RUN_H

#include "base/clock.h"
#include "base/text.h"
#include "eval/eval.h"
#include "train/run_dir.h"

struct sl_run {
    struct sl_device *dev;
    struct sl_config config;
    const sl_train_options *options;
    const atomic_bool *stop;
    struct sl_durations durations;
    char *dir;
    struct sl_run_lock *lock;
    struct sl_dataset *train_set, *eval_set;
    struct sl_loader *train_loader, *eval_loader;
    struct sl_stepper *stepper;
    struct sl_weights_meta meta;
    char data_digest[SL_DIGEST_SIZE];
    char build[64]; /* what may change the bits of a resumed run */
    struct sl_train_state state;
    struct sl_metrics metrics;
    uint64_t eval_every; /* steps; 0 = at the end only */
    bool resumed;
    sl_eval_result last_eval;
    double last_loss, last_top1, last_speed; /* of the last whole interval */
    size_t saves_failed;                     /* periodic ones, in a row */
    uint64_t saved_step;                     /* of the last periodic one that did not fail */
    /* clock */
    double start, start_cpu, interval_start, interval_wait, last_progress;
    double apart_s; /* spent on evaluation and saving in this session */
    uint64_t first_step, interval_step;
};

/* run_open.c: data first, because durations need its size; then everything else, from the newest
 * checkpoint where there is one. */
sl_status sl_run_open_data(struct sl_run *r);
sl_status sl_run_open(struct sl_run *r);
void sl_run_close(struct sl_run *r);
struct sl_checkpoint_io sl_run_checkpoint_io(struct sl_run *r);

/* run_report.c */
struct sl_spent sl_run_spent(const struct sl_run *r); /* in all sessions of this run */
void sl_run_progress(struct sl_run *r);               /* calls the progress function */
void sl_run_restart_interval(struct sl_run *r);
sl_status sl_run_log_interval(struct sl_run *r, const sl_step_result *last);
sl_status sl_run_log_eval(struct sl_run *r);

#endif
