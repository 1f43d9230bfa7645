/*
 * Pipeline ops: the table that the compiler of op strings, the help text and the tests read.
 */
#ifndef SL_IMAGE_PIPELINE_H
#define SL_IMAGE_PIPELINE_H

#include "image/image.h"

enum { SL_OP_MAX_PARAMS = 4 };

/* What an argument may be; the table in pipeline.c reads them. */
enum sl_op_param_kind {
    SL_PARAM_SIZE,   /* S, or HxW: pixels */
    SL_PARAM_PIXELS, /* a whole number */
    SL_PARAM_REAL,
    SL_PARAM_FILTER /* a filter's name; may stand anywhere among the arguments */
};

struct sl_op_param {
    const char *name; /* NULL ends the list */
    enum sl_op_param_kind kind;
    bool optional;
    double min, max; /* of a number */
    double value;    /* default of an optional one */
};

/* Arguments after compilation; unused ones are 0. */
struct sl_op_args {
    size_t h, w;   /* SL_PARAM_SIZE */
    size_t pixels; /* SL_PARAM_PIXELS */
    double real[SL_OP_MAX_PARAMS];
    size_t n_real;
    enum sl_filter filter;
    enum sl_compat compat; /* of the whole pipeline */
};

/* What an op does to the size of its image, for the check at compile time. */
enum sl_op_size {
    SL_OP_SIZE_KEPT,
    SL_OP_SIZE_SET,     /* args.h x args.w */
    SL_OP_SIZE_CROPPED, /* the same, and the input must not be smaller */
    SL_OP_SIZE_VARIES
};

/* An op has either `run`, or `crop`: a random rectangle that is resized to args.h x args.w by
 * args.filter; pixels outside of it have no say. */
struct sl_op {
    const char *name;
    struct sl_op_param params[SL_OP_MAX_PARAMS + 1];
    enum sl_op_size size;
    sl_status (*check)(const struct sl_op_args *args); /* relations between arguments; or NULL */
    /* in and out are different images; rng is NULL unless the op is random. */
    sl_status (*run)(const struct sl_op_args *args, const struct sl_image *in, sl_rng *rng,
                     struct sl_image *out);
    struct sl_rectangle (*crop)(const struct sl_op_args *args, size_t h, size_t w, sl_rng *rng);
    const char *help;
    bool random; /* draws from rng */
    bool layers; /* runs args.pixels times, each time on its own result */
};

enum { SL_N_OPS = 8 };
extern const struct sl_op sl_ops[SL_N_OPS];

#endif
