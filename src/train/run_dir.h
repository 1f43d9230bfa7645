/*
 * The run directory: RUN/{config.yaml, env.json, metrics.jsonl, timing.jsonl, log.txt,
 * summary.json, model.safetensors, DONE} besides the checkpoints. metrics.jsonl holds what the
 * recipe determines and is the same byte for byte in every run of it; timing.jsonl holds what the
 * clock determines.
 */
#ifndef SL_TRAIN_RUN_DIR_H
#define SL_TRAIN_RUN_DIR_H

#include "base/io.h"
#include "train/train.h"

/* runs/<name>-<hash12>, options->run_dir, or with fresh the first free of -2, -3, ... *dir:
 * sl_free. */
sl_status sl_run_dir_choose(const struct sl_config *config, const sl_train_options *options,
                            char **dir);

/* Makes the directory. One that holds files but no config.yaml is somebody else's: SL_ERR_CREATE.
 */
sl_status sl_run_dir_make(const char *dir);

/* Writes config.yaml into the directory, or compares with the one there: SL_ERR_CONFIG lists the
 * keys that differ, old -> new. */
sl_status sl_run_dir_prepare(const char *dir, const struct sl_config *config);

/* env.json: version, build, CPU, ISA, threads, precision, data digest. Rewritten at each start. */
sl_status sl_run_env_write(const char *dir, const struct sl_device *dev, sl_dtype type,
                           const char *data_digest);

/* The precision in env.json, what `auto` came to when the run was last opened; left as it is
 * without that file. */
sl_status sl_run_env_precision(const char *dir, enum sl_precision *precision);

/* summary.json and, once it is durable, DONE. */
sl_status sl_run_finish(const char *dir, const sl_train_result *result);
/* The result of a finished run; *done = false if there is no DONE. */
sl_status sl_run_load_result(const char *dir, sl_train_result *result, bool *done);

/* ---- metrics ---- */
struct sl_spent {
    double wall_s, cpu_s; /* clock, and processor seconds of all threads */
};
struct sl_metrics {
    sl_writer *metrics, *timing, *log;
    uint64_t offset;        /* bytes of metrics.jsonl so far */
    struct sl_spent before; /* in earlier sessions of this run */
};
/* Cuts metrics.jsonl to `offset` bytes and timing.jsonl to lines of at most `step`, opens both and
 * log.txt for appending. */
sl_status sl_metrics_open(const char *dir, uint64_t offset, uint64_t step, struct sl_metrics *m);
void sl_metrics_close(struct sl_metrics *m);
/* Append one line; `line` is a JSON object without '\n'. Flushed at once. */
sl_status sl_metrics_add(struct sl_metrics *m, const char *line);
sl_status sl_timing_add(struct sl_metrics *m, const char *line);
/* A line to log.txt and to the log receiver. */
void sl_run_log(struct sl_metrics *m, sl_log_level level, const char *fmt, ...) SL_PRINTF(3, 4);

#endif
