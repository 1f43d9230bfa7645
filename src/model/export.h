/*
 * Our weights for other programs.
 */
#ifndef SL_MODEL_EXPORT_H
#define SL_MODEL_EXPORT_H

#include "model/model.h"

/* Replaces `path` by an ONNX file (opset 17): input `images` float [batch, 3, S_h, S_w] in the
 * model's range of values, output `logits` float [batch, C]. */
sl_status sl_export_onnx(const char *path, const struct sl_weights_meta *meta,
                         const struct sl_param_table *table, const float *params);

#endif
