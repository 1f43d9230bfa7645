/*
 * Writing ONNX files (opset 17): a graph is built node by node, its weights stay where they are
 * until the file is written. Protocol buffers are written directly; the field numbers are those of
 * onnx.proto3.
 */
#ifndef SL_FORMAT_ONNX_H
#define SL_FORMAT_ONNX_H

#include "base/io.h"

enum { SL_ONNX_NAME_MAX = 112, SL_ONNX_RANK_MAX = 4, SL_ONNX_INPUTS_MAX = 4 };

/* A tensor of the graph by its name; "" = an optional input that is left out. */
typedef struct sl_onnx_value {
    char name[SL_ONNX_NAME_MAX];
} sl_onnx_value;

/* An attribute of a node: integers, or one float when `ints` is NULL. */
struct sl_onnx_attribute {
    const char *name;
    const int64_t *ints;
    size_t n;  /* of ints */
    bool list; /* INTS, else INT */
    float real;
};

struct sl_onnx;
sl_status sl_onnx_new(struct sl_onnx **graph);
void sl_onnx_free(struct sl_onnx **graph); /* accepts NULL, clears */

/* The functions below make values. When memory is out or a limit is passed, the graph remembers it
 * and sl_onnx_write tells. */

/* float data [shape], borrowed until the file is written. transposed: data is [shape[1],
 * shape[0]] and is turned while it is written (rank 2). */
sl_onnx_value sl_onnx_floats(struct sl_onnx *g, const char *name, const float *data, size_t rank,
                             const size_t *shape, bool transposed);
sl_onnx_value sl_onnx_scalar(struct sl_onnx *g, double x); /* float [] */
/* int64 [n], or [] with n = 0 (one number). */
sl_onnx_value sl_onnx_ints(struct sl_onnx *g, const int64_t *x, size_t n);
/* The result of an operator; inputs [n_in]. */
sl_onnx_value sl_onnx_node(struct sl_onnx *g, const char *op, size_t n_in,
                           const sl_onnx_value *inputs, size_t n_attributes,
                           const struct sl_onnx_attribute *attributes);
/* Float input or output of the graph: [batch, shape...], batch symbolic. */
sl_onnx_value sl_onnx_input(struct sl_onnx *g, const char *name, size_t rank, const size_t *shape);
void sl_onnx_output(struct sl_onnx *g, sl_onnx_value value, const char *name, size_t rank,
                    const size_t *shape);
/* A text that travels with the model. */
void sl_onnx_metadata(struct sl_onnx *g, const char *key, const char *value);

/* Replaces `path` at once or not at all. SL_ERR_UNAVAILABLE: over 2 GiB, the limit of the format.
 */
sl_status sl_onnx_write(struct sl_onnx *g, const char *path);

#endif
