/*
 * What a training says of its model's attention when it is done.
 */
#ifndef SL_API_ATTENTION_SUMMARY_H
#define SL_API_ATTENTION_SUMMARY_H

#include "softless.h"

/* Looks at up to 16 images of a data set (SPEC), evenly spaced, through the final weights in
 * result->run_dir, fills result->attention and notes it in the run's summary.json. */
sl_status sl_attention_summarise(sl_context *ctx, const char *data, sl_train_result *result);

#endif
