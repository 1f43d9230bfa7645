/*
 * Few-shot linear probe and nearest neighbours on frozen features (big_vision's fewshot_lsr): the
 * features of a data set, the choice of shots, the ridge solve, and the lists of chosen images.
 */
#ifndef SL_EVAL_PROBE_H
#define SL_EVAL_PROBE_H

#include "base/text.h"
#include "data/data.h"
#include "model/model.h"
#include "softless_probe.h"

/* ---- linear algebra in double; no result depends on the number of threads ---- */

/* c [m, n] = sum over t < k of a[t*a_k + i*a_m] b[t*n + j]. */
struct sl_product {
    size_t m, n, k;
    const double *a;
    size_t a_k, a_m;
    const double *b; /* [k, n] */
    double *c;       /* [m, n] */
};
void sl_product_run(int threads, const struct sl_product *product);

/* w [p, classes] = argmin |X w - Y|^2 + l2 |w|^2, Y = 2 onehot(labels) - 1: (X^T X + l2)^-1 X^T Y,
 * or X^T (X X^T + l2)^-1 Y where n < p. l2 > 0. */
struct sl_ridge {
    size_t n, p, classes;
    const double *x;       /* [n, p] */
    const int32_t *labels; /* [n], 0 .. classes-1 */
    double l2;
    double *w; /* [p, classes] */
};
sl_status sl_ridge_solve(int threads, const struct sl_ridge *ridge);

/* ---- features ---- */

/* Images of one or two data sets, one behind the other, and which of them train and which test. */
struct sl_probe_data {
    size_t n, width, classes;
    bool has_split;       /* train and test are two sets; else they are drawn or read */
    float *features;      /* [n, width]; owned */
    int32_t *labels;      /* [n], -1 = unusable image; owned */
    size_t *train, *test; /* indices of usable images, ascending; owned */
    size_t n_train, n_test;
};
void sl_probe_data_free(struct sl_probe_data *data);

/* The net's features, the head's input, of every image of a set: [count, D]. labels: -1 where an
 * image was skipped. */
struct sl_feature_source {
    struct sl_device *dev;
    struct sl_net *net;
    const struct sl_pipeline_config *ops;
    const char *digest; /* of the weights and the model */
    size_t workers;
    double max_bad_fraction; /* more bad images are an error */
};
sl_status sl_features_compute(const struct sl_feature_source *source, const struct sl_dataset *set,
                              float *features, int32_t *labels);

/* Features kept in a safetensors file under digests of all they depend on. */
struct sl_feature_store;
/* Reads `path` if it is there. */
sl_status sl_feature_store_open(const char *path, struct sl_feature_store **store);
/* Copies what is kept under `key`; *found says whether it is. SL_ERR_DATA if its shape differs. */
sl_status sl_feature_store_get(const struct sl_feature_store *store, const char *key, size_t n,
                               size_t width, float *features, int32_t *labels, bool *found);
/* Adds a copy and writes the file anew, atomically. */
sl_status sl_feature_store_put(struct sl_feature_store *store, const char *key, size_t n,
                               size_t width, const float *features, const int32_t *labels);
void sl_feature_store_free(struct sl_feature_store **store);

/* Opens the data set of a name (sl_dataset_open_pair) and takes its features from the store, which
 * may be NULL, or computes them. Without a split, train and test are left empty. */
sl_status sl_probe_data_load(const struct sl_feature_source *source, struct sl_feature_store *store,
                             const char *spec, struct sl_probe_data *data);

/* ---- the choice of images ---- */

/* Puts the images of every class that a set holds into train and test: of n images rint(share * n)
 * train, but at least one of each where n > 1. The draw depends on the labels alone. */
sl_status sl_probe_split(struct sl_probe_data *data, double share);

/* The chosen images of one seed: per class at most `most`, in the order of the draw, so that fewer
 * shots are the first ones of more. */
struct sl_shots {
    size_t classes, most;
    size_t *index; /* [classes, most] into features; owned */
    size_t *count; /* [classes]; owned */
};
sl_status sl_shots_draw(const struct sl_probe_data *data, uint64_t seed, size_t most,
                        struct sl_shots *shots);
void sl_shots_free(struct sl_shots *shots);

/* ---- lists of chosen images: a JSON file (docs/evaluation.md) ---- */
struct sl_shot_lists;
sl_status sl_shot_lists_read(const char *path, struct sl_shot_lists **lists);
void sl_shot_lists_free(struct sl_shot_lists **lists);
/* Takes over the split of the set `name` into data, if the file holds one. */
sl_status sl_shot_lists_get_split(const struct sl_shot_lists *lists, const char *name,
                                  struct sl_probe_data *data, bool *found);
/* The shots of a seed; SL_ERR_DATA names the file and what does not fit the set. */
sl_status sl_shot_lists_get(const struct sl_shot_lists *lists, const char *name, uint64_t seed,
                            size_t most, const struct sl_probe_data *data, struct sl_shots *shots);

/* Zero-initialise; sets one after the other, each followed by its seeds. Free text with
 * sl_text_clear if the end is not reached. */
struct sl_shot_writer {
    sl_text text;
    size_t sets, seeds;
};
void sl_shot_writer_set(struct sl_shot_writer *w, const char *name,
                        const struct sl_probe_data *data, bool with_split);
void sl_shot_writer_seed(struct sl_shot_writer *w, uint64_t seed, const struct sl_shots *shots);
/* Closes the text and replaces `path` by it. */
sl_status sl_shot_writer_end(struct sl_shot_writer *w, const char *path);

/* ---- accuracies ---- */

/* Trains on the first `count` shots of each class and tests on data->test: recipe.md 11. Where w is
 * not NULL it gets the weights [width + 1, classes], sl_free. */
sl_status sl_probe_fewshot(int threads, const struct sl_probe_data *data,
                           const struct sl_shots *shots, size_t count, double l2, double *top1,
                           double **w);
/* k nearest training images by cosine, votes weighted by exp(cosine / 0.07) (DINO). */
sl_status sl_probe_knn(struct sl_device *dev, const struct sl_probe_data *data, size_t k,
                       double *top1);

#endif
