/*
 * A tiny run directory for checkpoint tests: arrays by formula, saves, and loads that compare every
 * byte with what was saved.
 */
#ifndef SL_TESTS_FAULTS_SUPPORT_RUN_H
#define SL_TESTS_FAULTS_SUPPORT_RUN_H

#include "train/checkpoint.h"

struct fixture {
    struct sl_config config;
    struct sl_weights_meta meta;
    struct sl_param_table table;
    float *params, *v; /* [table.floats] */
    uint16_t *m;       /* [table.floats], bfloat16 */
    struct sl_checkpoint_io io;
    char run[512];
    char warnings[4096]; /* log lines since fresh_run */
};
extern struct fixture fx;

int fixture_make(void **state); /* group set-up and tear-down */
int fixture_remove(void **state);

void set_arrays(uint64_t step); /* the arrays of a step, by a formula; zero between parameters */
struct sl_train_state state_of(uint64_t step);
sl_status save(uint64_t step);
void fresh_run(void);
/* Loads into poisoned arrays and compares everything with what was saved at the loaded step. */
uint64_t load_and_compare(void);

const char *in_run(const char *name);                 /* RUN/checkpoints/name; static buffers */
const char *in_step(uint64_t step, const char *file); /* RUN/checkpoints/step-.../file */
const char *listing(void); /* names in checkpoints/ joined by spaces; static buffer */
size_t count_verified(void);

#endif
