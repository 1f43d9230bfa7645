/*
 * Lists of chosen images, so that a probe can be repeated elsewhere or with another tool's choice:
 *
 *     {"softless_shots": 1, "sets": [
 *      {"data": "stamps", "images": 796, "train": [0, 2, ...], "test": [1, ...],
 *       "shots": {"0": [[12, 3], [40]], "1": ...}}]}
 *
 * Numbers count the images of a set in its order (folders: sorted names), those of a test set
 * behind those of its training set. "train" and "test" are there for a set without a split of its
 * own. "shots" holds, for each seed, one list per class in the order of the draw.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/text.h"
#include "eval/probe.h"
#include "format/json.h"

enum { FILE_CAP = 64 << 20, ELEMENTS_MAX = 4 << 20 };

struct sl_shot_lists {
    json_t *root;
    char *path; /* of the file it came from, for errors */
};

void sl_shot_lists_free(struct sl_shot_lists **lists)
{
    if (!lists || !*lists)
        return;
    json_decref((*lists)->root);
    sl_free((*lists)->path);
    sl_free(*lists);
    *lists = NULL;
}

/* ---- reading ---- */

sl_status sl_shot_lists_read(const char *path, struct sl_shot_lists **lists)
{
    static const char *const keys[] = {"softless_shots", "sets"};
    struct sl_shot_lists *l = NULL;
    char *text = NULL;
    size_t size;
    uint64_t version;
    sl_status st = SL_OK;
    SL_TRY_FREE(SL_NEW(l, 1));
    l->path = sl_strdup(path);
    SL_TRY_FREE(l->path ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(sl_read_file(path, FILE_CAP, &text, &size));
    SL_TRY_FREE(sl_json_parse(text, size, path, ELEMENTS_MAX, &l->root));
    SL_TRY_FREE(sl_json_known_keys(l->root, keys, sizeof keys / sizeof keys[0], path));
    SL_TRY_FREE(sl_json_uint(l->root, keys[0], path, 1, &version));
    if (version != 1 || !json_is_array(json_object_get(l->root, "sets")))
        SL_TRY_FREE(sl_error_set(SL_ERR_DATA,
                                 "%s: not a list of shots; \"softless_shots\" must be 1 and "
                                 "\"sets\" a list",
                                 path));
    *lists = l;
    l = NULL;
fail:
    sl_shot_lists_free(&l);
    sl_free(text);
    return st;
}

static json_t *find_set(const struct sl_shot_lists *l, const char *name)
{
    size_t i;
    json_t *set;
    json_array_foreach(json_object_get(l->root, "sets"), i, set)
    {
        const char *data = json_string_value(json_object_get(set, "data"));
        if (data && strcmp(data, name) == 0)
            return set;
    }
    return NULL;
}

/* A list of different images of a set of n; used[n] marks those met so far. */
static sl_status read_indices(const struct sl_shot_lists *l, const char *name, const json_t *list,
                              size_t n, bool *used, size_t *out, size_t *count)
{
    size_t i;
    json_t *item;
    if (!json_is_array(list))
        SL_FAIL(SL_ERR_DATA, "%s: set '%s': a list of image numbers is missing", l->path, name);
    json_array_foreach(list, i, item)
    {
        const json_int_t x = json_is_integer(item) ? json_integer_value(item) : -1;
        if (x < 0 || (uint64_t)x >= n)
            SL_FAIL(SL_ERR_DATA, "%s: set '%s': entry %zu is not one of its %zu images", l->path,
                    name, i, n);
        if (used[x])
            SL_FAIL(SL_ERR_DATA, "%s: set '%s': image %zu is listed twice", l->path, name,
                    (size_t)x);
        used[x] = true;
        out[i] = (size_t)x;
    }
    *count = json_array_size(list);
    return SL_OK;
}

static sl_status check_images(const struct sl_shot_lists *l, const char *name, const json_t *set,
                              size_t n)
{
    uint64_t images;
    SL_TRY(sl_json_uint(set, "images", l->path, INT64_MAX, &images));
    if (images != n)
        SL_FAIL(SL_ERR_DATA, "%s: set '%s' has %zu images, the list was made for %llu", l->path,
                name, n, (unsigned long long)images);
    return SL_OK;
}

/* Drops images that cannot be used; the order stays. */
static size_t drop_unusable(const int32_t *labels, size_t *index, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (labels[index[i]] >= 0)
            index[kept++] = index[i];
    return kept;
}

sl_status sl_shot_lists_get_split(const struct sl_shot_lists *l, const char *name,
                                  struct sl_probe_data *data, bool *found)
{
    const json_t *set = find_set(l, name);
    bool *used = NULL;
    sl_status st = SL_OK;
    *found = set && (json_object_get(set, "train") || json_object_get(set, "test"));
    if (!*found)
        return SL_OK;
    SL_TRY(check_images(l, name, set, data->n));
    SL_TRY_FREE(SL_NEW(used, data->n));
    SL_TRY_FREE(SL_NEW(data->train, data->n));
    SL_TRY_FREE(SL_NEW(data->test, data->n));
    SL_TRY_FREE(read_indices(l, name, json_object_get(set, "train"), data->n, used, data->train,
                             &data->n_train));
    SL_TRY_FREE(read_indices(l, name, json_object_get(set, "test"), data->n, used, data->test,
                             &data->n_test));
    data->n_train = drop_unusable(data->labels, data->train, data->n_train);
    data->n_test = drop_unusable(data->labels, data->test, data->n_test);
fail:
    sl_free(used);
    return st;
}

/* Training images of class c. */
static size_t members(const struct sl_probe_data *data, size_t c)
{
    size_t n = 0;
    for (size_t i = 0; i < data->n_train; i++)
        n += (size_t)data->labels[data->train[i]] == c;
    return n;
}

/* What is known of the images while the lists of the classes are read. */
struct reading {
    bool *used, *trains; /* [n]: listed already; training images */
    size_t *list;        /* [n] */
};

/* The list of class c into shots. Only training images of that class may be chosen; those that
 * cannot be used are passed over. */
static sl_status read_class(const struct sl_shot_lists *l, const char *name, const json_t *list,
                            size_t c, const struct sl_probe_data *data, struct reading *r,
                            struct sl_shots *shots)
{
    size_t n;
    SL_TRY(read_indices(l, name, list, data->n, r->used, r->list, &n));
    n = drop_unusable(data->labels, r->list, n);
    for (size_t i = 0; i < n; i++) {
        if (!r->trains[r->list[i]])
            SL_FAIL(SL_ERR_DATA, "%s: set '%s': image %zu is not among the training images",
                    l->path, name, r->list[i]);
        if ((size_t)data->labels[r->list[i]] != c)
            SL_FAIL(SL_ERR_DATA, "%s: set '%s': image %zu is of class %d, listed under %zu",
                    l->path, name, r->list[i], data->labels[r->list[i]], c);
    }
    if (n < shots->most && n < members(data, c))
        SL_FAIL(SL_ERR_DATA,
                "%s: set '%s': %zu shots of class %zu are listed, %zu are asked for; ask for fewer "
                "with --shots",
                l->path, name, n, c, shots->most);
    shots->count[c] = n < shots->most ? n : shots->most;
    memcpy(shots->index + c * shots->most, r->list, shots->count[c] * sizeof *r->list);
    return SL_OK;
}

sl_status sl_shot_lists_get(const struct sl_shot_lists *l, const char *name, uint64_t seed,
                            size_t most, const struct sl_probe_data *data, struct sl_shots *shots)
{
    char key[24];
    snprintf(key, sizeof key, "%llu", (unsigned long long)seed);
    const json_t *set = find_set(l, name);
    const json_t *classes = json_object_get(json_object_get(set, "shots"), key);
    struct sl_shots s = {.classes = data->classes, .most = most};
    struct reading r = {NULL, NULL, NULL};
    sl_status st = SL_OK;
    if (!json_is_array(classes) || json_array_size(classes) != data->classes)
        SL_FAIL(SL_ERR_DATA,
                "%s: no shots for set '%s' with seed %s and %zu classes; without the file they are "
                "drawn",
                l->path, name, key, data->classes);
    SL_TRY(check_images(l, name, set, data->n));
    SL_TRY_FREE(SL_NEW(r.used, data->n));
    SL_TRY_FREE(SL_NEW(r.trains, data->n));
    SL_TRY_FREE(SL_NEW(r.list, data->n));
    SL_TRY_FREE(SL_NEW(s.index, data->classes * most));
    SL_TRY_FREE(SL_NEW(s.count, data->classes));
    for (size_t i = 0; i < data->n_train; i++)
        r.trains[data->train[i]] = true;
    for (size_t c = 0; c < data->classes; c++)
        SL_TRY_FREE(read_class(l, name, json_array_get(classes, c), c, data, &r, &s));
    *shots = s;
    s = (struct sl_shots){0};
fail:
    sl_free(r.used);
    sl_free(r.trains);
    sl_free(r.list);
    sl_shots_free(&s);
    return st;
}

/* ---- writing ---- */

static void add_list(sl_text *t, const size_t *index, size_t n)
{
    sl_text_add(t, "[");
    for (size_t i = 0; i < n; i++)
        sl_text_addf(t, "%s%zu", i ? ", " : "", index[i]);
    sl_text_add(t, "]");
}

void sl_shot_writer_set(struct sl_shot_writer *w, const char *name,
                        const struct sl_probe_data *data, bool with_split)
{
    sl_text *t = &w->text;
    sl_text_add(t, w->sets++ ? "}},\n {\"data\": "
                             : "{\"softless_shots\": 1, \"sets\": [\n {\"data\": ");
    w->seeds = 0;
    sl_text_add_json_string(t, name);
    sl_text_addf(t, ", \"images\": %zu,\n", data->n);
    if (with_split) {
        sl_text_add(t, "  \"train\": ");
        add_list(t, data->train, data->n_train);
        sl_text_add(t, ",\n  \"test\": ");
        add_list(t, data->test, data->n_test);
        sl_text_add(t, ",\n");
    }
    sl_text_add(t, "  \"shots\": {");
}

void sl_shot_writer_seed(struct sl_shot_writer *w, uint64_t seed, const struct sl_shots *shots)
{
    sl_text *t = &w->text;
    sl_text_addf(t, "%s\n   \"%llu\": [", w->seeds++ ? "," : "", (unsigned long long)seed);
    for (size_t c = 0; c < shots->classes; c++) {
        sl_text_add(t, c ? ",\n    " : "");
        add_list(t, shots->index + c * shots->most, shots->count[c]);
    }
    sl_text_add(t, "]");
}

sl_status sl_shot_writer_end(struct sl_shot_writer *w, const char *path)
{
    char *text = NULL;
    sl_text_add(&w->text, "}}\n]}\n");
    SL_TRY(sl_text_take(&w->text, &text));
    const sl_status st = sl_write_file_atomic(path, text, strlen(text));
    sl_free(text);
    return st;
}
