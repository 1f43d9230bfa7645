/* A tiny model with a device, random parameters and one batch, for tests of the net. */
#ifndef TESTS_UNIT_SUPPORT_MODEL_H
#define TESTS_UNIT_SUPPORT_MODEL_H

#include "model/model.h"

enum { TINY_BATCH = 3, TINY_CLASSES = 5 };

struct tiny {
    struct sl_device *dev;
    struct sl_net *net;
    float *m, *v;    /* moments, device [floats] */
    uint8_t *images; /* [TINY_BATCH, SH, SW, 3] */
    int32_t labels[TINY_BATCH];
    enum sl_loss loss;
};

/* Width 20 with two heads, 8 x 12 pixels, patch 4, depth 2, gap, relu. */
struct sl_vit_config tiny_config(void);
/* The same with everything that a model can have. */
struct sl_vit_config tiny_config_full(void);

/* Fails the test with the error's sentence. */
void require_ok(sl_status st, const char *what);
#define OK(call) require_ok((call), #call)

/* Parameters drawn from N(0, spread) around their initial values. */
void tiny_open(struct tiny *t, const struct sl_vit_config *vit, sl_dtype type, bool training,
               int threads, double spread);
void tiny_close(struct tiny *t);
/* Forward and loss; the mean loss. With backward: gradients zeroed and computed. */
double tiny_pass(struct tiny *t, float *logits, bool backward);
/* One Adam update (plans it at the first call). */
void tiny_update(struct tiny *t, uint64_t step);

#endif
