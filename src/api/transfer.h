/*
 * What a training measures when it is done: the transfer to other data sets.
 */
#ifndef SL_API_TRANSFER_H
#define SL_API_TRANSFER_H

#include "softless.h"

/* Opens every set, so that a misspelt one is found before the training and not behind it. */
sl_status sl_transfer_check(const char *sets);
/* Probes the final weights in result->run_dir on sets (SPECs with blanks between), fills
 * result->transfer and notes it in the run's summary.json. SL_ERR_INTERRUPTED when a stop was
 * asked for between two sets. */
sl_status sl_transfer_measure(sl_context *ctx, const char *sets, sl_train_result *result);

#endif
