/*
 * Data sets and the loader: images and labels by index, batches by step. The order, and every
 * augmentation draw, is a function of (seed, epoch, index): any number of workers gives the same
 * bytes.
 */
#ifndef SL_DATA_DATA_H
#define SL_DATA_DATA_H

#include "image/image.h"

struct sl_dataset;

/* A file in memory, in a buffer that is reused. Begin with {0}; `data` is freed with sl_free. */
struct sl_bytes {
    char *data;
    size_t n, room;
};

/*
 * SPEC, with the table of formats in dataset.c:
 *   fashion-mnist[:DIR]:train|test   mnist[:DIR]:train|test
 *   cifar10[:DIR]:train|test         cifar100[:DIR]:train|test
 *   idx:DIR:train|test               idx:IMAGES,LABELS
 *   synthetic:n=1000,classes=10,size=32,seed=0,noise=0.2
 *   [folder:]DIR                     a folder of class folders
 *   [wds:]DIR/s-{000..127}.tar       WebDataset shards; wds:DIR for all of a folder
 *   [wds:]DIR/s-{000..127}.tar.gz    compressed ones (.tgz, .tar.xz, .txz, .tar.zst), read in order
 * A trailing "[a:b]" keeps samples a .. b-1; either end may be left out. Relative names are
 * searched as given, in $SOFTLESS_DATA, in /usr/share/datasets. Errors: SL_ERR_INPUT (missing;
 * names the places searched and the Debian package), SL_ERR_CONFIG (malformed), SL_ERR_DATA (bad
 * bytes).
 */
sl_status sl_dataset_open(const char *spec, struct sl_dataset **set);
void sl_dataset_free(struct sl_dataset **set);
size_t sl_dataset_count(const struct sl_dataset *set);
size_t sl_dataset_classes(const struct sl_dataset *set);
const char *sl_dataset_class_name(const struct sl_dataset *set, size_t c); /* borrowed */
/* to[c] = the number among the model's names [n] (NULL: it has none) of the set's class c, or -1;
 * returns how many have one. A set whose class names are all numbers means the model's numbers. */
size_t sl_dataset_class_map(const struct sl_dataset *set, const char *const *names, size_t n,
                            int32_t *to);
/* Renumbers the labels so that class names mean the same as in names [n] of a model (NULL: it has
 * none), before any loader is made. A set that names no classes (numbers 0, 1, ...) keeps them.
 * SL_ERR_DATA: a class the model does not have. The digest stays. */
sl_status sl_dataset_match_classes(struct sl_dataset *set, const char *const *names, size_t n);
int32_t sl_dataset_label(const struct sl_dataset *set, size_t i);
/* False: samples have numbers only, and sl_dataset_sample_name makes a name of them. */
bool sl_dataset_names_samples(const struct sl_dataset *set);
const char *sl_dataset_sample_name(const struct sl_dataset *set, size_t i, char buf[256]);
/* Decodes sample i; safe from several threads at once. */
sl_status sl_dataset_image(const struct sl_dataset *set, size_t i, struct sl_image *img);
/* The same for whoever reads many: `file` and img are reused and unspecified on failure. A part
 * (else NULL) is what of the image is wanted: see sl_image_decode_part. */
sl_status sl_dataset_part(const struct sl_dataset *set, size_t i, const struct sl_part *part,
                          struct sl_bytes *file, struct sl_image *img);
/* True if sl_dataset_part does less for a part than for the whole. */
bool sl_dataset_has_files(const struct sl_dataset *set);
/* The undecoded file of sample i. SL_ERR_CONFIG if the set's images are not files of their own. */
sl_status sl_dataset_file(const struct sl_dataset *set, size_t i, struct sl_bytes *file);
/* Size of every image; false, and the size untouched, if they differ. */
bool sl_dataset_image_size(const struct sl_dataset *set, size_t *h, size_t *w);
/* True if the decoded images lie in memory already, so that caching them is useless. */
bool sl_dataset_in_memory(const struct sl_dataset *set);
/* True if images can only be read from front to back: any order works, others are slow. */
bool sl_dataset_sequential(const struct sl_dataset *set);
/* SL_ERR_CONFIG with what to do, for whoever needs images in any order. */
sl_status sl_dataset_check_random(const struct sl_dataset *set);
/* Writes an index file beside every tar shard, so that the set opens at once. SL_ERR_CONFIG for
 * other sets. */
sl_status sl_dataset_write_index(const struct sl_dataset *set);
/* First sample of every shard that has one, then the count: [n + 1], freed with sl_free. A set
 * without shards: NULL and 0. */
sl_status sl_dataset_parts(const struct sl_dataset *set, size_t **parts, size_t *n);
/* Digest over names, sizes and labels: part of the resume guard. Does not depend on where the files
 * lie. */
void sl_dataset_digest(const struct sl_dataset *set, char digest[33]);
/* The text of `softless data info`. */
sl_status sl_dataset_info(const struct sl_dataset *set, bool json, char **text);

/* True if the SPEC's format has training and test files, chosen by an ending :train or :test. */
bool sl_dataset_spec_splits(const char *spec);

/* Opens training and test images of what a user calls one data set:
 *   TRAIN::TEST        two SPECs
 *   fashion-mnist      a format with splits, here without one: both of them
 *   DIR                a folder that holds train/ and test/ (or val/, validation/)
 * Anything else is one SPEC without a split: *test is NULL. */
sl_status sl_dataset_open_pair(const char *spec, struct sl_dataset **train,
                               struct sl_dataset **test);

/* What one rank gets of a batch: local = batch / world images. */
struct sl_batch {
    uint8_t *images; /* [local, out_h, out_w, 3] */
    /* [local]; -1 = no image: padding after the last one of an evaluation pass, or a bad sample
     * that an evaluation pass skipped (its pixels are 0) */
    int32_t *labels;
    size_t n; /* images: labels that are not -1; in training always local */
};

struct sl_loader_options {
    const struct sl_dataset *set;
    const struct sl_pipeline_config *ops;
    enum sl_compat compat;
    size_t out_h, out_w;
    size_t batch; /* images over all ranks; a multiple of world */
    uint64_t seed;
    bool train; /* shuffled and endless, batches cross epochs; else one ordered pass, repeated */
    bool shuffle;
    size_t shuffle_buffer; /* 0: any order; else shards in random order, samples within so many */
    size_t workers, prefetch, cache_mb;
    enum sl_bad_sample on_bad;
    double max_bad_fraction;
    uint64_t start_batch; /* first batch number to deliver: the resume cursor */
    size_t rank, world;   /* rank r gets images r*local .. (r+1)*local-1 of every batch */
};

/* `set` is borrowed until the loader is freed, `ops` during creation only. Skipping a bad sample:
 * in training the next one of the stream stands in, at most 16 times; in an evaluation pass the
 * place stays empty. */
struct sl_loader;
sl_status sl_loader_create(const struct sl_loader_options *options, struct sl_loader **loader);
void sl_loader_free(struct sl_loader **loader);
/* Batch number start_batch, start_batch+1, ...; borrowed until the next call. Evaluation passes
 * have ceil(count/batch) batches each. A bad sample follows the policy (SL_ERR_DATA when it stops).
 */
sl_status sl_loader_next(struct sl_loader *loader, const struct sl_batch **batch);
/* Different samples skipped in the batches delivered so far. */
size_t sl_loader_bad_samples(const struct sl_loader *loader);
/* Seconds sl_loader_next has waited since creation. */
double sl_loader_wait_s(const struct sl_loader *loader);

#endif
