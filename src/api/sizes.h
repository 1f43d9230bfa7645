/*
 * What a training measures of its model at other resolutions when it is done.
 */
#ifndef SL_API_SIZES_H
#define SL_API_SIZES_H

#include "config/config.h"
#include "softless.h"

/* Whether the model can take every side of eval.sizes. SL_ERR_CONFIG. */
sl_status sl_sizes_check(const struct sl_config *config);
/* Evaluates the final weights in result->run_dir at each side of config->eval.sizes and writes
 * sizes.csv there, unless it has them already. SL_ERR_INTERRUPTED when a stop was asked for. */
sl_status sl_sizes_measure(sl_context *ctx, const struct sl_config *config,
                           const sl_train_result *result);

#endif
