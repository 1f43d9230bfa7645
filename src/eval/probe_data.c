/*
 * The images that a probe knows: one set, or a training and a test set one behind the other under
 * common class numbers, with their features computed or fetched from the store.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "eval/probe.h"

/* Everything that features depend on, in one digest. */
static sl_status key_of(const struct sl_feature_source *source, const struct sl_dataset *set,
                        char key[SL_DIGEST_SIZE])
{
    sl_hash *hash;
    char digest[SL_DIGEST_SIZE];
    sl_dataset_digest(set, digest);
    SL_TRY(sl_hash_new(&hash));
    sl_hash_add(hash, source->digest, strlen(source->digest) + 1);
    sl_hash_add(hash, digest, sizeof digest);
    for (size_t i = 0; i < source->ops->n; i++)
        sl_hash_add(hash, source->ops->ops[i], strlen(source->ops->ops[i]) + 1);
    sl_hash_end(&hash, key);
    return SL_OK;
}

/* Features of one set, from the store or the net; labels: -1 where an image cannot be used. */
static sl_status take_features(const struct sl_feature_source *source,
                               struct sl_feature_store *store, const struct sl_dataset *set,
                               float *features, int32_t *labels)
{
    const size_t n = sl_dataset_count(set), width = sl_net_get_options(source->net)->vit.width;
    char key[SL_DIGEST_SIZE];
    bool found = false;
    SL_TRY(key_of(source, set, key));
    if (store)
        SL_TRY(sl_feature_store_get(store, key, n, width, features, labels, &found));
    if (found)
        return SL_OK;
    const double start = sl_now_s();
    SL_TRY(sl_features_compute(source, set, features, labels));
    sl_log(SL_LOG_INFO, "features of %zu images in %.1f s", n, sl_now_s() - start);
    return store ? sl_feature_store_put(store, key, n, width, features, labels) : SL_OK;
}

/* The usable images among first .. end-1. */
static sl_status list_usable(const struct sl_probe_data *d, size_t first, size_t end,
                             size_t **index, size_t *n)
{
    SL_TRY(SL_NEW(*index, end - first + 1));
    for (size_t i = first; i < end; i++)
        if (d->labels[i] >= 0)
            (*index)[(*n)++] = i;
    return SL_OK;
}

/* The set's labels for the images that can be used: what the store holds may come from a run in
 * which the classes had other numbers. */
static void take_labels(const struct sl_dataset *set, int32_t *labels)
{
    for (size_t i = 0; i < sl_dataset_count(set); i++)
        if (labels[i] >= 0)
            labels[i] = sl_dataset_label(set, i);
}

/* Gives the test images the class numbers of the training images, by name. */
static sl_status match_classes(const struct sl_dataset *train, struct sl_dataset *test)
{
    const size_t n = sl_dataset_classes(train);
    const char **names;
    SL_TRY(SL_NEW(names, n));
    for (size_t c = 0; c < n; c++)
        names[c] = sl_dataset_class_name(train, c);
    const sl_status st = sl_dataset_match_classes(test, names, n);
    sl_free(names);
    return st == SL_OK ? st : sl_error_prefix(st, "test images against training images");
}

static sl_status load(const struct sl_feature_source *source, struct sl_feature_store *store,
                      const struct sl_dataset *train, struct sl_dataset *test,
                      struct sl_probe_data *d)
{
    const size_t n_train = sl_dataset_count(train), n_test = test ? sl_dataset_count(test) : 0;
    d->n = n_train + n_test;
    d->width = sl_net_get_options(source->net)->vit.width;
    d->classes = sl_dataset_classes(train);
    d->has_split = test != NULL;
    SL_TRY(SL_NEW(d->features, d->n * d->width));
    SL_TRY(SL_NEW(d->labels, d->n));
    if (test)
        SL_TRY(match_classes(train, test));
    SL_TRY(take_features(source, store, train, d->features, d->labels));
    take_labels(train, d->labels);
    if (!test)
        return SL_OK;
    SL_TRY(
        take_features(source, store, test, d->features + n_train * d->width, d->labels + n_train));
    take_labels(test, d->labels + n_train);
    SL_TRY(list_usable(d, 0, n_train, &d->train, &d->n_train));
    return list_usable(d, n_train, d->n, &d->test, &d->n_test);
}

sl_status sl_probe_data_load(const struct sl_feature_source *source, struct sl_feature_store *store,
                             const char *spec, struct sl_probe_data *data)
{
    struct sl_dataset *train = NULL, *test = NULL;
    struct sl_probe_data d = {0};
    SL_TRY(sl_dataset_open_pair(spec, &train, &test));
    const sl_status st = load(source, store, train, test, &d);
    if (st == SL_OK)
        *data = d;
    else
        sl_probe_data_free(&d);
    sl_dataset_free(&train);
    sl_dataset_free(&test);
    return st;
}
