/*
 * RandAugment's 16 operations: the table that the draw and the tests read.
 */
#ifndef SL_IMAGE_RANDAUG_H
#define SL_IMAGE_RANDAUG_H

#include "image/image.h"

/* How an operation's argument follows from the magnitude M: x = scale M / 10 + offset. */
enum sl_randaug_form {
    SL_RANDAUG_NONE,   /* takes none */
    SL_RANDAUG_REAL,   /* x */
    SL_RANDAUG_WHOLE,  /* x, truncated */
    SL_RANDAUG_SIGNED, /* x or -x, each with probability 1/2 */
};

struct sl_randaug_call {
    double argument;
    enum sl_compat compat;
    sl_rng *rng; /* for the place of Cutout */
};

struct sl_randaug_op {
    const char *name;
    enum sl_randaug_form form;
    double scale, offset;
    /* out has the size of in and is another image. */
    void (*run)(const struct sl_randaug_call *call, const struct sl_image *in,
                struct sl_image *out);
};

enum { SL_N_RANDAUG_OPS = 16 };
extern const struct sl_randaug_op sl_randaug_ops[SL_N_RANDAUG_OPS];

/* The operation's argument before its sign is drawn; 0 if it takes none. */
double sl_randaug_argument(const struct sl_randaug_op *op, double magnitude, enum sl_compat compat);
/* One layer: draws an operation, then its sign or place, and applies it. */
sl_status sl_randaug_layer(double magnitude, enum sl_compat compat, const struct sl_image *in,
                           sl_rng *rng, struct sl_image *out);

#endif
