/*
 * Data sets: a SPEC enters; samples, labels and names by index leave. The format table is the one
 * home of the SPEC prefixes; a SPEC without a known prefix is a folder of class folders. A trailing
 * "[a:b]" keeps samples a .. b-1 (either end may be left out).
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/format.h"
#include "data/unpack.h"

static const struct sl_format formats[] = {
    {.name = "fashion-mnist",
     .usage = "fashion-mnist[:DIR]:train|test",
     .known = &sl_fashion_mnist,
     .in_memory = true,
     .splits = true,
     .open = sl_idx_open,
     .image = sl_stored_image,
     .digest = sl_stored_digest,
     .free = sl_stored_free},
    {.name = "mnist",
     .usage = "mnist[:DIR]:train|test",
     .known = &sl_mnist,
     .in_memory = true,
     .splits = true,
     .open = sl_idx_open,
     .image = sl_stored_image,
     .digest = sl_stored_digest,
     .free = sl_stored_free},
    {.name = "idx",
     .usage = "idx:DIR:train|test or idx:IMAGES,LABELS",
     .in_memory = true,
     .splits = true,
     .open = sl_idx_open,
     .image = sl_stored_image,
     .digest = sl_stored_digest,
     .free = sl_stored_free},
    {.name = "cifar10",
     .usage = "cifar10[:DIR]:train|test",
     .known = &sl_cifar10,
     .in_memory = true,
     .splits = true,
     .open = sl_cifar_open,
     .image = sl_stored_image,
     .digest = sl_stored_digest,
     .free = sl_stored_free},
    {.name = "cifar100",
     .usage = "cifar100[:DIR]:train|test",
     .known = &sl_cifar100,
     .in_memory = true,
     .splits = true,
     .open = sl_cifar_open,
     .image = sl_stored_image,
     .digest = sl_stored_digest,
     .free = sl_stored_free},
    {.name = "folder",
     .usage = "[folder:]DIR",
     .open = sl_folder_open,
     .file = sl_folder_file,
     .path = sl_folder_path,
     .sample_name = sl_folder_sample_name,
     .digest = sl_folder_digest,
     .free = sl_folder_free},
    {.name = "wds",
     .usage = "[wds:]DIR/shard-{000000..000127}.tar or wds:DIR",
     .open = sl_wds_open,
     .file = sl_wds_file,
     .sample_name = sl_wds_sample_name,
     .digest = sl_wds_digest,
     .write_index = sl_wds_write_index,
     .free = sl_wds_free},
    {.name = "synthetic",
     .usage = "synthetic:n=1000,classes=10,size=32,seed=0,noise=0.2",
     .open = sl_synthetic_open,
     .image = sl_synthetic_image,
     .digest = sl_synthetic_digest,
     .free = sl_synthetic_free},
};
enum { FORMATS = sizeof formats / sizeof *formats };

static const struct sl_format *find_format(const char *spec, const char **rest)
{
    const char *colon = strchr(spec, ':');
    const size_t length = colon ? (size_t)(colon - spec) : strlen(spec);
    for (size_t i = 0; i < FORMATS; i++) {
        if (strlen(formats[i].name) == length && memcmp(spec, formats[i].name, length) == 0) {
            *rest = colon ? colon + 1 : "";
            return &formats[i];
        }
    }
    return NULL;
}

bool sl_dataset_spec_splits(const char *spec)
{
    const char *rest;
    const struct sl_format *format = find_format(spec, &rest);
    return format && format->splits;
}

/* ---- slices ---- */

struct slice {
    size_t first, end; /* end = SIZE_MAX: up to the last sample */
};

/* Decimal digits up to `stop`; false if there are other characters or too many of them. */
static bool parse_count(const char *s, const char *stop, size_t *x)
{
    size_t value = 0;
    if (stop - s > 15)
        return false;
    for (; s < stop; s++) {
        if (*s < '0' || *s > '9')
            return false;
        value = value * 10 + (size_t)(*s - '0');
    }
    *x = value;
    return true;
}

/* Cuts a trailing "[a:b]" off the SPEC; false if there is none and the SPEC is untouched. */
static bool cut_slice(char *spec, struct slice *slice)
{
    const size_t n = strlen(spec);
    char *open = strrchr(spec, '[');
    if (n < 3 || spec[n - 1] != ']' || !open)
        return false;
    const char *colon = strchr(open, ':');
    struct slice s = {0, SIZE_MAX};
    if (!colon || !parse_count(open + 1, colon, &s.first))
        return false;
    if (colon + 1 < spec + n - 1 && !parse_count(colon + 1, spec + n - 1, &s.end))
        return false;
    *open = '\0';
    *slice = s;
    return true;
}

static sl_status apply_slice(struct sl_dataset *set, struct slice slice)
{
    const size_t end = slice.end == SIZE_MAX ? set->total : slice.end;
    if (end > set->total || slice.first >= end)
        SL_FAIL(SL_ERR_CONFIG,
                "data set \"%s\": the slice [%zu:%zu] is empty or outside its %zu samples",
                set->spec, slice.first, end, set->total);
    set->first = slice.first;
    set->count = end - slice.first;
    return SL_OK;
}

/* ---- opening ---- */

static sl_status take_digest(struct sl_dataset *set)
{
    sl_hash *hash;
    const uint64_t sizes[] = {set->total, set->first, set->count, set->classes, set->h, set->w};
    SL_TRY(sl_hash_new(&hash));
    sl_hash_add(hash, sizes, sizeof sizes);
    sl_hash_add(hash, set->labels, set->total * sizeof *set->labels);
    for (size_t c = 0; c < set->classes; c++)
        sl_hash_add(hash, set->class_names[c], strlen(set->class_names[c]) + 1);
    set->format->digest(set, hash);
    sl_hash_end(&hash, set->digest);
    return SL_OK;
}

/* A SPEC without a known prefix is tar shards by its ending, else a folder; if there is none, says
 * what else may be meant. */
static sl_status format_without_prefix(const char *spec, const struct sl_format **format)
{
    const char *names[FORMATS], *rest;
    char *path = NULL, word[64] = "";
    const size_t length = strcspn(spec, ":");
    if (sl_ends_with(spec, ".tar") || sl_unpack_is(spec)) {
        *format = find_format("wds", &rest);
        return SL_OK;
    }
    const sl_status st = sl_find_data(spec, NULL, &path);
    const bool file = path && sl_is_file(path);
    sl_free(path);
    if (file)
        SL_FAIL(SL_ERR_INPUT,
                "%s: it is a file; a data set is a folder of class folders, idx:IMAGES,LABELS, "
                "idx:DIR:train|test or cifar10:DIR:train|test",
                spec);
    if (st == SL_OK) {
        *format = find_format("folder", &rest);
        return SL_OK;
    }
    for (size_t i = 0; i < FORMATS; i++)
        names[i] = formats[i].name;
    if (length < sizeof word)
        memcpy(word, spec, length);
    const char *near = sl_nearest(word, names, FORMATS);
    if (!near || st != SL_ERR_INPUT)
        return st;
    char text[SL_ERROR_TEXT_SIZE];
    sl_error_copy(text);
    SL_FAIL(st, "%s; did you mean %s?", text, near);
}

static sl_status open_parts(struct sl_dataset *set, char *spec)
{
    const char *rest = spec;
    struct slice slice = {0, SIZE_MAX};
    cut_slice(spec, &slice);
    set->format = find_format(spec, &rest);
    if (!set->format)
        SL_TRY(format_without_prefix(spec, &set->format));
    SL_TRY(set->format->open(set, rest));
    if (!set->class_names)
        SL_TRY(sl_copy_class_names(set, NULL));
    SL_TRY(apply_slice(set, slice));
    return take_digest(set);
}

sl_status sl_dataset_open(const char *spec, struct sl_dataset **set)
{
    sl_status st;
    struct sl_dataset *opened = NULL;
    char *copy = NULL;
    SL_TRY(SL_NEW(opened, 1));
    opened->spec = sl_strdup(spec);
    copy = sl_strdup(spec);
    SL_TRY_FREE(opened->spec && copy ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(open_parts(opened, copy));
    sl_free(copy);
    *set = opened;
    return SL_OK;
fail:
    sl_free(copy);
    sl_dataset_free(&opened);
    return st;
}

void sl_dataset_free(struct sl_dataset **set)
{
    if (!set || !*set)
        return;
    struct sl_dataset *s = *set;
    if (s->format)
        s->format->free(s->state);
    sl_names_free(&s->class_names, s->classes);
    sl_free(s->labels);
    sl_free(s->part_first);
    sl_free(s->spec);
    sl_free(s);
    *set = NULL;
}

/* ---- reading ---- */

size_t sl_dataset_count(const struct sl_dataset *set)
{
    return set->count;
}

size_t sl_dataset_classes(const struct sl_dataset *set)
{
    return set->classes;
}

const char *sl_dataset_class_name(const struct sl_dataset *set, size_t c)
{
    return c < set->classes ? set->class_names[c] : NULL;
}

int32_t sl_dataset_label(const struct sl_dataset *set, size_t i)
{
    return set->labels[set->first + i];
}

bool sl_dataset_names_samples(const struct sl_dataset *set)
{
    return set->format->sample_name != NULL;
}

const char *sl_dataset_sample_name(const struct sl_dataset *set, size_t i, char buf[256])
{
    if (set->format->sample_name)
        return set->format->sample_name(set, set->first + i, buf);
    snprintf(buf, 256, "%s sample %zu", set->format->name, set->first + i);
    return buf;
}

sl_status sl_dataset_image(const struct sl_dataset *set, size_t i, struct sl_image *img)
{
    if (i >= set->count)
        SL_FAIL(SL_ERR_ARGUMENT, "data set \"%s\": sample %zu of %zu", set->spec, i, set->count);
    if (set->format->image)
        return set->format->image(set, set->first + i, img);
    struct sl_bytes file = {0};
    struct sl_image image = {0}; /* img is untouched on failure */
    const sl_status st = sl_dataset_part(set, i, NULL, &file, &image);
    sl_free(file.data);
    if (st != SL_OK) {
        sl_image_free(&image);
        return st;
    }
    sl_image_free(img);
    *img = image;
    return SL_OK;
}

sl_status sl_dataset_part(const struct sl_dataset *set, size_t i, const struct sl_part *part,
                          struct sl_bytes *file, struct sl_image *img)
{
    char name[256];
    SL_TRY(sl_dataset_file(set, i, file));
    sl_status st = sl_image_decode_part(file->data, file->n, "image", part, img);
    if (st != SL_ERR_DATA)
        return st;
    /* A name costs an allocation or a read, so it is found for bad images only. */
    char *path = set->format->path ? set->format->path(set, set->first + i) : NULL;
    const char *what = path ? path : sl_dataset_sample_name(set, i, name);
    st = sl_image_decode_part(file->data, file->n, what, NULL, img);
    if (st == SL_OK)
        st = sl_error_set(SL_ERR_INTERNAL, "%s: it can be decoded whole but not in part", what);
    sl_free(path);
    return st;
}

bool sl_dataset_has_files(const struct sl_dataset *set)
{
    return set->format->file != NULL;
}

sl_status sl_dataset_file(const struct sl_dataset *set, size_t i, struct sl_bytes *file)
{
    if (i >= set->count)
        SL_FAIL(SL_ERR_ARGUMENT, "data set \"%s\": sample %zu of %zu", set->spec, i, set->count);
    if (!set->format->file)
        SL_FAIL(SL_ERR_CONFIG,
                "data set \"%s\": its images are not files; give a folder of class folders, or "
                "tar shards",
                set->spec);
    return set->format->file(set, set->first + i, file);
}

bool sl_dataset_image_size(const struct sl_dataset *set, size_t *h, size_t *w)
{
    if (set->h == 0)
        return false;
    *h = set->h;
    *w = set->w;
    return true;
}

bool sl_dataset_in_memory(const struct sl_dataset *set)
{
    return set->format->in_memory;
}

bool sl_dataset_sequential(const struct sl_dataset *set)
{
    return set->sequential;
}

sl_status sl_dataset_check_random(const struct sl_dataset *set)
{
    if (set->sequential)
        SL_FAIL(SL_ERR_CONFIG,
                "data set \"%s\": compressed shards can only be read from front to back; "
                "'softless data pack --in-order' makes plain ones of them",
                set->spec);
    return SL_OK;
}

sl_status sl_dataset_write_index(const struct sl_dataset *set)
{
    if (!set->format->write_index)
        SL_FAIL(SL_ERR_CONFIG, "data set \"%s\": only tar shards have index files", set->spec);
    SL_TRY(sl_dataset_check_random(set));
    return set->format->write_index(set);
}

sl_status sl_dataset_parts(const struct sl_dataset *set, size_t **parts, size_t *n)
{
    size_t *starts = NULL, used = 0;
    const size_t end = set->first + set->count;
    if (set->n_parts > 0)
        SL_TRY(SL_NEW(starts, set->n_parts + 1));
    for (size_t i = 0; i < set->n_parts; i++) {
        const size_t from = set->part_first[i], to = set->part_first[i + 1];
        if (from < to && to > set->first && from < end)
            starts[used++] = from > set->first ? from - set->first : 0;
    }
    if (starts)
        starts[used] = set->count;
    *parts = starts;
    *n = used;
    return SL_OK;
}

void sl_dataset_digest(const struct sl_dataset *set, char digest[33])
{
    memcpy(digest, set->digest, SL_DIGEST_SIZE);
}
