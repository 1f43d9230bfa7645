/*
 * A model behind the public header: host parameters, what the weight file says, and a net for the
 * batch size in use.
 */
#ifndef SL_API_MODEL_H
#define SL_API_MODEL_H

#include "api/context.h"
#include "image/image.h"
#include "model/model.h"

struct sl_model {
    struct sl_device *dev; /* borrowed from the context */
    struct sl_weights_meta meta;
    struct sl_param_table table;
    float *params;      /* [table.floats], host, owned; NULL in a trainer's model */
    struct sl_net *net; /* for the last batch size */
    bool net_borrowed;  /* the net is a trainer's */
    enum sl_precision precision;
    struct sl_pipeline *pipeline; /* of the weight file, made when first needed */
    struct sl_image work[2], image;
};

/* A net for passes of `batch` images, made or reused; a trainer's model has the trainer's net,
 * whatever is asked for. */
enum { SL_MODEL_BATCH = 32 }; /* where the caller does not say */
sl_status sl_model_net(struct sl_model *model, size_t batch, struct sl_net **net);

/* Decodes a JPEG or PNG and preprocesses it as the model's file says: pixels [SH, SW, 3], sl_free.
 */
sl_status sl_model_read_image(sl_model *model, const char *path, uint8_t **pixels);

/* The same for an image that is in model->image already. */
sl_status sl_model_preprocess(struct sl_model *model, uint8_t **pixels);

/* The weights behind a path: a file, a checkpoint directory, a run directory (its final model, else
 * its newest checkpoint). *file: sl_free. */
sl_status sl_model_find_weights(const char *path, char **file);

#endif
