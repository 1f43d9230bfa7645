/*
 * Which answers are right: the labels of a data set, or of a JSON file with several for an image,
 * as numbers of the model's classes. The file is one of
 *
 *     [[65], [970, 795], [], ...]                       entry k: image number k + 1 by its name
 *     {"ILSVRC2012_val_00000001.JPEG": [65], ...}       by name, with or without folders
 *
 * where a label is a class number of the data set (folders: sorted names) or a class name. The list
 * is ReaL's (Beyer et al. 2020): ILSVRC2012_val_00000293.JPEG is entry 292. Sets without file names
 * are counted through.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/io.h"
#include "eval/eval.h"
#include "format/json.h"

enum { FILE_CAP = 64 << 20, ELEMENTS_MAX = 8 << 20 };

/* What is being made, and from what. */
struct making {
    struct sl_label_set set;
    const struct sl_dataset *data;
    int32_t *map;     /* [set_classes] to the model's classes, -1 = unknown there */
    const char *path; /* of the file, or NULL */
    size_t room;      /* of set.right */
};

void sl_label_set_free(struct sl_label_set *labels)
{
    sl_free(labels->first);
    sl_free(labels->right);
    sl_free(labels->labelled);
    sl_free(labels->candidate);
    *labels = (struct sl_label_set){0};
}

/* One more right class, by its number in the data set, for the image that is being filled. */
static sl_status add_label(struct making *m, size_t *n, size_t label)
{
    if (m->map[label] < 0)
        return SL_OK;
    if (*n == m->room) {
        const size_t room = 2 * m->room + 64;
        int32_t *grown = sl_regrow(m->set.right, m->room, room, sizeof *grown);
        if (!grown)
            return SL_ERR_MEMORY;
        m->set.right = grown;
        m->room = room;
    }
    m->set.right[(*n)++] = m->map[label];
    return SL_OK;
}

/* ---- the labels of a file ---- */

/* A class of the data set by number or name. */
static sl_status read_class(const struct making *m, const char *image, const json_t *label,
                            size_t *class)
{
    const char *name = json_string_value(label);
    for (size_t c = 0; name && c < m->set.set_classes; c++)
        if (strcmp(name, sl_dataset_class_name(m->data, c)) == 0) {
            *class = c;
            return SL_OK;
        }
    const json_int_t number = json_is_integer(label) ? json_integer_value(label) : -1;
    if (number < 0 || (uint64_t)number >= m->set.set_classes)
        SL_FAIL(SL_ERR_DATA, "%s: a label of %s is not one of the data set's %zu classes", m->path,
                image, m->set.set_classes);
    *class = (size_t)number;
    return SL_OK;
}

static sl_status read_labels(struct making *m, size_t i, const char *image, const json_t *labels,
                             size_t *n)
{
    size_t class, k;
    json_t *label;
    if (!json_is_array(labels)) {
        SL_TRY(read_class(m, image, labels, &class));
        m->set.labelled[i] = true;
        return add_label(m, n, class);
    }
    json_array_foreach(labels, k, label)
    {
        SL_TRY(read_class(m, image, label, &class));
        SL_TRY(add_label(m, n, class));
    }
    m->set.labelled[i] = json_array_size(labels) > 0;
    return SL_OK;
}

/* The last run of digits in a file name before its ending: the image's number; 0 = none. */
static size_t number_of(const char *name)
{
    const char *dot = strrchr(name, '.'), *end = dot ? dot : name + strlen(name);
    const char *start = end;
    while (start > name && start[-1] >= '0' && start[-1] <= '9')
        start--;
    return end - start < 16 && start < end ? strtoull(start, NULL, 10) : 0;
}

/* What the file says of image i; NULL = nothing. */
static const json_t *entry_of(const struct making *m, const json_t *root, size_t i,
                              const char *name, const char *base)
{
    if (json_is_object(root)) {
        const json_t *whole = json_object_get(root, name);
        return whole ? whole : json_object_get(root, base);
    }
    const size_t number = sl_dataset_names_samples(m->data) ? number_of(base) : i + 1;
    return number ? json_array_get(root, number - 1) : NULL;
}

static sl_status use_file(struct making *m, const json_t *root)
{
    size_t n = 0, met = 0;
    if (!json_is_array(root) && !json_is_object(root))
        SL_FAIL(SL_ERR_DATA, "%s: labels are a list, or an object by file names", m->path);
    if (json_is_array(root) && !sl_dataset_names_samples(m->data) &&
        json_array_size(root) != m->set.images)
        SL_FAIL(SL_ERR_DATA, "%s: %zu entries for %zu images", m->path, json_array_size(root),
                m->set.images);
    for (size_t i = 0; i < m->set.images; i++) {
        char buf[256];
        const char *name = sl_dataset_sample_name(m->data, i, buf);
        const char *slash = strrchr(name, '/');
        const json_t *entry = entry_of(m, root, i, name, slash ? slash + 1 : name);
        m->set.first[i] = n;
        if (entry)
            SL_TRY(read_labels(m, i, name, entry, &n));
        met += entry != NULL;
    }
    m->set.first[m->set.images] = n;
    if (met == 0)
        SL_FAIL(SL_ERR_DATA, "%s: it has no labels for any of the %zu images", m->path,
                m->set.images);
    return SL_OK;
}

static sl_status read_label_file(struct making *m)
{
    char *text = NULL;
    size_t size;
    json_t *root = NULL;
    SL_TRY(sl_read_file(m->path, FILE_CAP, &text, &size));
    sl_status st = sl_json_parse(text, size, m->path, ELEMENTS_MAX, &root);
    sl_free(text);
    if (st == SL_OK)
        st = use_file(m, root);
    json_decref(root);
    return st;
}

/* ---- making ---- */

static sl_status use_own_labels(struct making *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->set.images; i++) {
        m->set.first[i] = n;
        m->set.labelled[i] = true;
        SL_TRY(add_label(m, &n, (size_t)sl_dataset_label(m->data, i)));
    }
    m->set.first[m->set.images] = n;
    return SL_OK;
}

static sl_status map_classes(struct making *m, const char *const *names, bool intersect)
{
    struct sl_label_set *s = &m->set;
    SL_TRY(SL_NEW(m->map, s->set_classes));
    s->matched = sl_dataset_class_map(m->data, names, s->classes, m->map);
    if (s->matched == 0)
        SL_FAIL(SL_ERR_DATA, "the model knows none of the data set's %zu classes ('%s', ...)",
                s->set_classes, sl_dataset_class_name(m->data, 0));
    for (size_t c = 0; c < s->set_classes && !intersect; c++)
        if (m->map[c] < 0)
            SL_FAIL(SL_ERR_DATA,
                    "the model does not know the class '%s' of the data set; `--classes intersect` "
                    "evaluates on those that it knows",
                    sl_dataset_class_name(m->data, c));
    if (!intersect)
        return SL_OK;
    SL_TRY(SL_NEW(s->candidate, s->classes));
    for (size_t c = 0; c < s->set_classes; c++)
        if (m->map[c] >= 0)
            s->candidate[m->map[c]] = true;
    return SL_OK;
}

sl_status sl_label_set_make(const struct sl_dataset *set, const char *const *names, size_t classes,
                            const char *labels, bool intersect, struct sl_label_set *out)
{
    struct making m = {.data = set, .path = labels};
    sl_status st = SL_OK;
    m.set.images = sl_dataset_count(set);
    m.set.classes = classes;
    m.set.set_classes = sl_dataset_classes(set);
    SL_TRY_FREE(SL_NEW(m.set.first, m.set.images + 1));
    SL_TRY_FREE(SL_NEW(m.set.labelled, m.set.images));
    SL_TRY_FREE(map_classes(&m, names, intersect));
    SL_TRY_FREE(labels ? read_label_file(&m) : use_own_labels(&m));
    *out = m.set;
    m.set = (struct sl_label_set){0};
fail:
    sl_label_set_free(&m.set);
    sl_free(m.map);
    return st;
}
