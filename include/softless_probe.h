/*
 * The few-shot probe: how well a model's features serve on data sets it was not trained for.
 * Conventions as in softless.h.
 */
#ifndef SOFTLESS_PROBE_H
#define SOFTLESS_PROBE_H

#include "softless.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What to probe with: NULL or 0 stands for the value in brackets (big_vision's fewshot_lsr). */
typedef struct sl_probe_options {
    /* [n_data] data sets with training and test images: "fashion-mnist", a folder that holds train/
     * and test/ (or val/), two SPECs "TRAIN::TEST", or any one SPEC, which is split by a draw */
    const char *const *data;
    size_t n_data;
    const size_t *shots; /* [n_shots] training images per class (1, 5, 10, 25) */
    size_t n_shots;
    const uint64_t *seeds; /* [n_seeds] of the choice of shots (0, 1, 2) */
    size_t n_seeds;
    double l2;               /* (1024) */
    size_t knn;              /* also the k nearest of all training images; 0 = not */
    double train_share;      /* of a set without a split, per class (0.5) */
    double max_bad_fraction; /* share of undecodable images that is skipped (0) */
    bool model_ops;          /* preprocess as the model file says, instead of big_vision's square
                                resize to 256/224 of the side and central crop */
    const char *indices;     /* JSON file of chosen images: read if it is there, else written */
    const char *features;    /* safetensors file that keeps features between runs */
    size_t batch;            /* images a pass (32) */
} sl_probe_options;

typedef struct sl_probe_set {
    char *data;
    size_t train, test, skipped, classes; /* images used, images that could not be decoded */
    double *top1;                         /* [n_shots, n_seeds] fractions */
    double knn_top1;                      /* NaN without knn */
} sl_probe_set;

typedef struct sl_probe_result {
    size_t n_sets, n_shots, n_seeds;
    sl_probe_set *sets; /* [n_sets] */
    size_t *shots;      /* [n_shots] */
    uint64_t *seeds;    /* [n_seeds] */
    double *average;    /* [n_shots] over seeds, then over sets */
    double knn_average;
} sl_probe_result;

/* Linear probes on the frozen features of a model (the head's input). *result is owned by the
 * caller; free with sl_probe_result_free. */
SL_API sl_status sl_probe(sl_model *model, const sl_probe_options *options,
                          sl_probe_result *result);
SL_API void sl_probe_result_free(sl_probe_result *result);

#ifdef __cplusplus
}
#endif
#endif
