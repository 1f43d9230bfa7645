/*
 * One call of an op, tried on every instruction set of this machine and on 1, 2, 3 and 7 threads.
 * The buffers of the call are made here, between guard bytes, and checked here: planning touches
 * nothing, inputs stay, guards stay, a run allocates nothing, and every number of threads gives the
 * same bits. What the results should be is the test's own business.
 */
#ifndef SL_TESTS_OPS_TRIAL_H
#define SL_TESTS_OPS_TRIAL_H

#include "base/rng.h"
#include "ops/ops.h"

#define TEST_COUNT(array) (sizeof(array) / sizeof *(array))

static const double u_f32 = 0x1p-24, u_bf16 = 0x1p-8; /* largest relative rounding errors */

struct trial;

struct trial *trial_new(sl_rng *rng);
void trial_free(struct trial **t);

/* Memory of the call. Inputs must not change; outputs start from what they hold at trial_run. */
void *trial_input(struct trial *t, size_t bytes);
void *trial_output(struct trial *t, size_t bytes);
/* n normal numbers (times sd, plus mean) of a type; as input or output. */
void *trial_normal(struct trial *t, bool output, sl_dtype type, size_t n, double mean, double sd);

typedef sl_status (*trial_call)(struct sl_device *dev, const void *args);
typedef void (*trial_check)(const void *args, const void *expected);

/* Runs call(args) everywhere; check(args, expected) sees the results of each instruction set. */
void trial_run(struct trial *t, trial_call call, const void *args, trial_check check,
               const void *expected);

/* Calls an op through the table, as the model does: plans, then runs. */
struct sl_device *trial_device(void); /* the best instruction set, two threads */
sl_status trial_plan_and_run(struct sl_device *dev, trial_call call, const void *args);

size_t test_size_of(sl_dtype type);
double test_get(const void *p, sl_dtype type, size_t i);
double test_unit(sl_dtype type); /* largest relative rounding error */
/* Fails unless |got - exact| <= bound; a NaN passes only where NaN is expected. */
void test_near(const char *what, size_t i, double got, double exact, double bound);

void *test_copy(const void *p, size_t bytes); /* freed with free() */
sl_dtype test_any_type(sl_rng *rng);
/* Error of a float result of `units` roundings of terms that add up to `size`, then rounded to its
 * type. */
double test_bound(double units, double size, double exact, sl_dtype type);

int trial_setup(void **state); /* group set-up and tear-down: the devices */
int trial_teardown(void **state);

#endif
