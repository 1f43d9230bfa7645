/*
 * Evaluation: accuracy and loss of a net over one pass of a data set.
 */
#ifndef SL_EVAL_EVAL_H
#define SL_EVAL_EVAL_H

#include "data/data.h"
#include "model/model.h"

/* One pass with a loader made for evaluation over `set`. */
sl_status sl_eval_run(struct sl_net *net, const struct sl_dataset *set, struct sl_loader *loader,
                      size_t batch, enum sl_loss loss, sl_eval_result *result);

#endif
