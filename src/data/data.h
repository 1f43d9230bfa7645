/*
 * Data sets and the loader: images and labels by index, batches by step. The order, and every
 * augmentation draw, is a function of (seed, epoch, index): any number of workers gives the same
 * bytes.
 */
#ifndef SL_DATA_DATA_H
#define SL_DATA_DATA_H

#include "image/image.h"

struct sl_dataset;

/* SPEC: "fashion-mnist:train|test" (and mnist: with a path), a folder of class folders, an IDX pair
 * "idx:IMAGES,LABELS", "cifar10:DIR:train|test", "cifar100:...",
 * "synthetic:n=..,classes=..,size=.., seed=..". Relative names are searched as given, in
 * $SOFTLESS_DATA, in /usr/share/datasets. */
sl_status sl_dataset_open(const char *spec, struct sl_dataset **set);
void sl_dataset_free(struct sl_dataset **set);
size_t sl_dataset_count(const struct sl_dataset *set);
size_t sl_dataset_classes(const struct sl_dataset *set);
const char *sl_dataset_class_name(const struct sl_dataset *set, size_t c); /* borrowed */
int32_t sl_dataset_label(const struct sl_dataset *set, size_t i);
const char *sl_dataset_sample_name(const struct sl_dataset *set, size_t i, char buf[256]);
/* Decodes sample i; safe from several threads at once. */
sl_status sl_dataset_image(const struct sl_dataset *set, size_t i, struct sl_image *img);
/* Digest over names, sizes and labels: part of the resume guard. */
void sl_dataset_digest(const struct sl_dataset *set, char digest[33]);
/* The text of `softless data info`. */
sl_status sl_dataset_info(const struct sl_dataset *set, bool json, char **text);

struct sl_batch {
    uint8_t *images; /* [batch, out_h, out_w, 3] */
    int32_t *labels; /* [batch]; -1 = padding after the last image of an evaluation pass */
    size_t n;        /* real images */
};

struct sl_loader_options {
    const struct sl_dataset *set;
    const struct sl_pipeline_config *ops;
    size_t out_h, out_w, batch;
    uint64_t seed;
    bool train; /* shuffled and endless, batches cross epochs; else one ordered pass, repeated */
    bool shuffle;
    size_t workers, prefetch, cache_mb;
    enum sl_bad_sample on_bad;
    double max_bad_fraction;
    uint64_t start_batch; /* first batch number to deliver: the resume cursor */
    size_t rank, world;
};

struct sl_loader;
sl_status sl_loader_create(const struct sl_loader_options *options, struct sl_loader **loader);
void sl_loader_free(struct sl_loader **loader);
/* Batch number start_batch, start_batch+1, ...; borrowed until the next call. Evaluation passes
 * have ceil(count/batch) batches each. A bad sample follows the policy (SL_ERR_DATA when it stops).
 */
sl_status sl_loader_next(struct sl_loader *loader, const struct sl_batch **batch);
size_t sl_loader_bad_samples(const struct sl_loader *loader); /* skipped so far */
/* Seconds sl_loader_next has waited since creation. */
double sl_loader_wait_s(const struct sl_loader *loader);

#endif
