/*
 * What saving and loading of checkpoints share: names, the manifest, the list of steps. Nothing
 * outside train/checkpoint*.c includes it.
 *
 *     RUN/checkpoints/step-000001000/{weights.safetensors, state-00000-of-00001.safetensors,
 *                                     manifest.json}
 *     RUN/checkpoints/{LAST, best}    one line each, for people
 *     RUN/checkpoints/tmp-*           being written      } never read as checkpoints; left over by
 *     RUN/checkpoints/trash-*         being removed      } a process that died
 *     RUN/checkpoints/replaced-step-* aside while a new one of the same step is published; put back
 *                                     if that never happened
 *     RUN/checkpoints/bad-step-*      found damaged, kept for a look
 */
#ifndef SL_TRAIN_CHECKPOINT_H
#define SL_TRAIN_CHECKPOINT_H

#include "base/io.h"
#include "train/train.h"

enum sl_checkpoint_file { SL_CHECKPOINT_WEIGHTS, SL_CHECKPOINT_STATE, SL_CHECKPOINT_FILES };
extern const char *const sl_checkpoint_file_names[SL_CHECKPOINT_FILES];

#define SL_CHECKPOINT_TMP "tmp-"
#define SL_CHECKPOINT_TRASH "trash-"
#define SL_CHECKPOINT_REPLACED "replaced-"
#define SL_CHECKPOINT_BAD "bad-"

/* ---- checkpoint_manifest.c ---- */
struct sl_manifest {
    struct sl_checkpoint_info info;
    struct sl_manifest_file {
        uint64_t size;
        char digest[SL_DIGEST_SIZE];
    } files[SL_CHECKPOINT_FILES];
};
/* Writes DIR/manifest.json, fsynced. */
sl_status sl_manifest_write(const char *dir, const struct sl_manifest *manifest);
/* SL_ERR_DATA if damaged, SL_ERR_UNSUPPORTED if a newer program wrote it. Free the info. */
sl_status sl_manifest_read(const char *dir, struct sl_manifest *manifest);
/* The same from memory; `what` names the text in errors. */
sl_status sl_manifest_parse(const char *bytes, size_t n, const char *what,
                            struct sl_manifest *manifest);

/* ---- checkpoint_list.c ---- */
enum { SL_STEP_NAME_SIZE = 32 };
void sl_checkpoint_name(uint64_t step, char name[SL_STEP_NAME_SIZE]); /* "step-000001000" */
char *sl_checkpoint_root(const char *run_dir);                        /* RUN/checkpoints; sl_free */
char *sl_checkpoint_dir(const char *root, const char *prefix, uint64_t step); /* sl_free */
/* Steps whose folder is named PREFIX step-<step>, newest first. A missing root has none. sl_free.
 */
sl_status sl_checkpoint_list(const char *root, const char *prefix, uint64_t **steps, size_t *n);

#endif
