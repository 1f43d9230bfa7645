/*
 * Studies: many runs from one recipe. Conventions as in softless.h.
 *
 * A recipe whose section `sweep:` has axes is a study: the product of the axes' values, less what
 * `exclude` names, each a run of its own in the folder of the study. Any number of processes and
 * machines may work on one folder: a run is claimed by a file under claims/, which counts as
 * abandoned when nobody touched it for a while; finished runs are rows of sweep.csv.
 */
#ifndef SOFTLESS_STUDY_H
#define SOFTLESS_STUDY_H

#include "softless.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sl_study sl_study;

typedef enum sl_run_state {
    SL_RUN_MISSING,
    SL_RUN_CLAIMED,  /* a live worker holds it */
    SL_RUN_FAILED,   /* the last try ended with an error; see sl_study_why */
    SL_RUN_DONE,     /* a row of the table */
    SL_RUN_DIVERGED, /* a row too: NaN or Inf in training is a result */
    SL_RUN_STATE_COUNT
} sl_run_state;

/* Expands a recipe after n overrides "section.key=value". dir NULL = studies/<name>; nothing is
 * made or written yet, but a table that is there is read. Owned by the caller. SL_ERR_CONFIG:
 * unknown key, empty product, two runs of one name, a folder that belongs to another recipe. */
SL_API sl_status sl_study_open(const char *path, const char *const *overrides, size_t n,
                               const char *dir, sl_study **study);
SL_API void sl_study_free(sl_study **study);
SL_API size_t sl_study_count(const sl_study *study);
/* Borrowed until the study is freed. */
SL_API const char *sl_study_dir(const sl_study *study);
SL_API const char *sl_study_run_name(const sl_study *study, size_t i);
SL_API const sl_recipe *sl_study_run_recipe(const sl_study *study, size_t i);
SL_API const char *sl_study_table(const sl_study *study); /* the path of sweep.csv */
/* Recipe key of the k-th axis, NULL behind the last. */
SL_API const char *sl_study_axis(const sl_study *study, size_t k);
/* The k-th side of eval.sizes, NULL behind the last: the columns top1_SIDE_actual and
 * top1_SIDE_train hold the accuracy there with the L at hand and with that of training. */
SL_API const char *sl_study_size(const sl_study *study, size_t k);
/* A field of the run's row by the name of its column, NULL if the run has no row yet. *text is
 * owned by the caller: sl_text_free. SL_ERR_ARGUMENT for an unknown column. */
SL_API sl_status sl_study_field(const sl_study *study, size_t run, const char *column, char **text);
/* Makes the folder and what belongs into it. */
SL_API sl_status sl_study_prepare(sl_study *study);
/* Reads table, rows of finished runs and claims again; adds new rows to the table. A claim that was
 * not touched for expiry_s seconds is free. */
SL_API sl_status sl_study_refresh(sl_study *study, double expiry_s);
/* Takes rows over from the sweep.csv of another study: a run without a row gets that of the run
 * there whose recipe is the same but for keys that change no result (names, logging). Columns that
 * the other table lacks stay empty. write: they go into this study's table, which needs
 * sl_study_prepare; else the study knows them until its next refresh. *taken: how many rows.
 * SL_ERR_INPUT: cannot be read; SL_ERR_DATA: not such a table. */
SL_API sl_status sl_study_adopt(sl_study *study, const char *table, bool write, size_t *taken);
SL_API sl_run_state sl_study_state(const sl_study *study, size_t i);
/* The sentence of a failed run, "" for others. Borrowed until the next refresh. */
SL_API const char *sl_study_why(const sl_study *study, size_t i);
/* Last step that the run has logged and the time it took; 0 if none. */
SL_API sl_status sl_study_progress(const sl_study *study, size_t i, uint64_t *step, double *wall_s);
/* *claimed: the run is ours now, until sl_study_release. sl_study_beat must be called more often
 * than every expiry_s seconds. */
SL_API sl_status sl_study_claim(sl_study *study, size_t i, double expiry_s, bool *claimed);
SL_API sl_status sl_study_beat(const sl_study *study, size_t i);
SL_API sl_status sl_study_release(sl_study *study, size_t i);
/* Notes how sl_train of the run ended: SL_OK and SL_ERR_DIVERGED make a row, any other status with
 * its sentence a failure. core_s: processor time spent, for runs that left no summary. */
SL_API sl_status sl_study_record(sl_study *study, size_t i, sl_status status, const char *why,
                                 double core_s);

#ifdef __cplusplus
}
#endif
#endif
