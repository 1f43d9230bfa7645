/*
 * What every data format gives to dataset.c: a row of the format table and, once opened, a data set
 * whose labels, class names and sizes lie in memory and whose images are decoded one by one.
 */
#ifndef SL_DATA_FORMAT_H
#define SL_DATA_FORMAT_H

#include "base/io.h"
#include "data/data.h"

/* A published set: where it lies and what its labels mean. */
struct sl_known_set {
    const char *folder;  /* name searched for when the SPEC gives no folder */
    const char *package; /* Debian package that brings it, or NULL */
    size_t classes;
    const char *const *class_names; /* [classes] */
};
extern const struct sl_known_set sl_fashion_mnist, sl_mnist, sl_cifar10, sl_cifar100;

/* One row per SPEC prefix. `open` fills total, labels, classes, class_names, h, w and state. */
struct sl_format {
    const char *name;                 /* the prefix */
    const char *usage;                /* SPEC as written by a user */
    const struct sl_known_set *known; /* NULL: any set of this format */
    bool in_memory;                   /* images cost no decoding, so nothing is cached */
    bool splits;                      /* SPECs end in :train or :test */
    sl_status (*open)(struct sl_dataset *set, const char *rest);
    /* Either of the two, for sample i of the whole set, 0 <= i < total; several threads at once:
     * the image, or the file that it is decoded from. */
    sl_status (*image)(const struct sl_dataset *set, size_t i, struct sl_image *img);
    sl_status (*file)(const struct sl_dataset *set, size_t i, struct sl_bytes *file);
    /* NULL: sample_name names the file in errors; else its path, freed with sl_free. */
    char *(*path)(const struct sl_dataset *set, size_t i);
    /* NULL: samples have numbers, no names. */
    const char *(*sample_name)(const struct sl_dataset *set, size_t i, char buf[256]);
    /* Adds what labels and class names do not cover to the digest. */
    void (*digest)(const struct sl_dataset *set, sl_hash *hash);
    sl_status (*write_index)(const struct sl_dataset *set); /* NULL: has no use for one */
    void (*free)(void *state);                              /* accepts NULL */
};

struct sl_dataset {
    const struct sl_format *format;
    char *spec;          /* as given */
    void *state;         /* of the format */
    size_t total;        /* samples of the whole set */
    size_t first, count; /* the slice [first : first + count] of it that is served */
    int32_t *labels;     /* [total], each in 0 .. classes-1 */
    size_t classes;
    char **class_names;                  /* [classes], owned */
    size_t h, w;                         /* of every image; 0 = they differ */
    size_t skipped_files, skipped_links; /* met in folders and not served */
    size_t *part_first; /* [n_parts + 1] first sample of every shard, then total; NULL: no shards */
    size_t n_parts;
    bool sequential; /* images are read from front to back only */
    char digest[SL_DIGEST_SIZE];
};

sl_status sl_idx_open(struct sl_dataset *set, const char *rest);
sl_status sl_stored_image(const struct sl_dataset *set, size_t i, struct sl_image *img);
void sl_stored_digest(const struct sl_dataset *set, sl_hash *hash);
void sl_stored_free(void *state);
sl_status sl_cifar_open(struct sl_dataset *set, const char *rest);
sl_status sl_folder_open(struct sl_dataset *set, const char *rest);
sl_status sl_folder_file(const struct sl_dataset *set, size_t i, struct sl_bytes *file);
char *sl_folder_path(const struct sl_dataset *set, size_t i);
const char *sl_folder_sample_name(const struct sl_dataset *set, size_t i, char buf[256]);
void sl_folder_digest(const struct sl_dataset *set, sl_hash *hash);
void sl_folder_free(void *state);
sl_status sl_wds_open(struct sl_dataset *set, const char *rest);
sl_status sl_wds_file(const struct sl_dataset *set, size_t i, struct sl_bytes *file);
const char *sl_wds_sample_name(const struct sl_dataset *set, size_t i, char buf[256]);
void sl_wds_digest(const struct sl_dataset *set, sl_hash *hash);
sl_status sl_wds_write_index(const struct sl_dataset *set);
void sl_wds_free(void *state);
sl_status sl_synthetic_open(struct sl_dataset *set, const char *rest);
sl_status sl_synthetic_image(const struct sl_dataset *set, size_t i, struct sl_image *img);
void sl_synthetic_digest(const struct sl_dataset *set, sl_hash *hash);
void sl_synthetic_free(void *state);

/* ---- helpers of the formats ---- */

/* Finds a folder or file: as given, then under $SOFTLESS_DATA, then under /usr/share/datasets (an
 * absolute name only as given). SL_ERR_INPUT names every place and the package, if there is one.
 * *path is freed with sl_free. */
sl_status sl_find_data(const char *name, const char *package, char **path);

/* "[DIR:]train" or "[DIR:]test" -> folder and split; without DIR the known set's folder is searched
 * for. *dir is freed with sl_free. SL_ERR_CONFIG if the split is missing or has another name. */
sl_status sl_parse_split(const struct sl_dataset *set, const char *rest, char **dir, bool *train);

/* Room for n bytes, which are unspecified; file->n = n. */
sl_status sl_bytes_reserve(struct sl_bytes *file, size_t n);

/* Copies static names into set->class_names. */
sl_status sl_copy_class_names(struct sl_dataset *set, const char *const *names);

#endif
