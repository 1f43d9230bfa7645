/*
 * CIFAR-10 and CIFAR-100 in their binary form: files of fixed-size records enter, planes of bytes
 * and labels leave. A record is one label byte (CIFAR-100: coarse label, fine label) and 3,072
 * pixels, red plane first. There is no header, so size and labels are all that can be checked.
 */
#include "data/cifar.h"

#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "data/stored.h"

static const size_t file_cap = (size_t)1 << 30;

const struct sl_cifar_layout sl_cifar10_layout = {.label_bytes = 1, .limits = {10}};
const struct sl_cifar_layout sl_cifar100_layout = {.label_bytes = 2, .limits = {20, 100}};

/* ---- the parser ---- */

static sl_status check_records(const struct sl_cifar_layout *layout, const uint8_t *bytes, size_t n,
                               const char *what, size_t *records)
{
    const size_t record = layout->label_bytes + SL_CIFAR_PIXELS;
    if (n == 0 || n % record != 0)
        SL_FAIL(SL_ERR_DATA,
                "%s: %zu bytes are not a positive multiple of the record size %zu (truncated, or "
                "not a CIFAR binary file)",
                what, n, record);
    for (size_t i = 0; i < n / record; i++) {
        for (size_t k = 0; k < layout->label_bytes; k++) {
            const unsigned label = bytes[i * record + k];
            if (label >= layout->limits[k])
                SL_FAIL(SL_ERR_DATA, "%s: label %u at byte %zu (record %zu) is not below %u", what,
                        label, i * record + k, i, layout->limits[k]);
        }
    }
    *records = n / record;
    return SL_OK;
}

sl_status sl_cifar_append(const struct sl_cifar_layout *layout, const void *bytes, size_t n,
                          const char *what, struct sl_cifar *out)
{
    const size_t record = layout->label_bytes + SL_CIFAR_PIXELS;
    size_t more = 0, total;
    SL_TRY(check_records(layout, bytes, n, what, &more));
    if (!sl_size_add(out->n, more, &total))
        SL_FAIL(SL_ERR_DATA, "%s: too many records", what);
    uint8_t *pixels = sl_regrow(out->pixels, out->n, total, SL_CIFAR_PIXELS);
    if (!pixels)
        return SL_ERR_MEMORY;
    out->pixels = pixels;
    int32_t *labels = sl_regrow(out->labels, out->n, total, sizeof *labels);
    if (!labels)
        return SL_ERR_MEMORY;
    out->labels = labels;
    for (size_t i = 0; i < more; i++) {
        const uint8_t *src = (const uint8_t *)bytes + i * record;
        labels[out->n + i] = src[layout->label_bytes - 1];
        memcpy(pixels + (out->n + i) * SL_CIFAR_PIXELS, src + layout->label_bytes, SL_CIFAR_PIXELS);
    }
    out->n = total;
    return SL_OK;
}

/* ---- the files of a set ---- */

static const char *const cifar10_train[] = {"data_batch_1.bin", "data_batch_2.bin",
                                            "data_batch_3.bin", "data_batch_4.bin",
                                            "data_batch_5.bin"};
static const char *const cifar10_test[] = {"test_batch.bin"};
static const char *const cifar100_train[] = {"train.bin"};
static const char *const cifar100_test[] = {"test.bin"};

static const struct members {
    const struct sl_known_set *known;
    bool train;
    const struct sl_cifar_layout *layout;
    const char *const *names;
    size_t n;
} members[] = {
    {&sl_cifar10, true, &sl_cifar10_layout, cifar10_train, 5},
    {&sl_cifar10, false, &sl_cifar10_layout, cifar10_test, 1},
    {&sl_cifar100, true, &sl_cifar100_layout, cifar100_train, 1},
    {&sl_cifar100, false, &sl_cifar100_layout, cifar100_test, 1},
};

static const struct members *find_members(const struct sl_known_set *known, bool train)
{
    const struct members *m = members;
    while (m->known != known || m->train != train)
        m++;
    return m;
}

static sl_status read_file(const struct members *m, const char *dir, const char *name,
                           struct sl_cifar *out)
{
    char *path = sl_path_join(dir, name), *bytes = NULL;
    size_t n = 0;
    if (!path)
        return SL_ERR_MEMORY;
    sl_status st = sl_read_file(path, file_cap, &bytes, &n);
    if (st == SL_OK)
        st = sl_cifar_append(m->layout, bytes, n, path, out);
    sl_free(bytes);
    sl_free(path);
    return st;
}

sl_status sl_cifar_open(struct sl_dataset *set, const char *rest)
{
    sl_status st;
    const struct sl_known_set *known = set->format->known;
    struct sl_cifar read = {0};
    char *dir = NULL;
    bool train = false;
    SL_TRY(sl_parse_split(set, rest, &dir, &train));
    const struct members *m = find_members(known, train);
    for (size_t i = 0; i < m->n; i++)
        SL_TRY_FREE(read_file(m, dir, m->names[i], &read));
    const struct sl_stored stored = {.pixels = read.pixels,
                                     .n = read.n,
                                     .h = SL_CIFAR_SIDE,
                                     .w = SL_CIFAR_SIDE,
                                     .channels = 3,
                                     .planes = true};
    SL_TRY_FREE(sl_stored_give(set, &stored));
    set->labels = read.labels;
    set->classes = known->classes;
    sl_free(dir);
    return sl_copy_class_names(set, known->class_names);
fail:
    sl_free(read.pixels);
    sl_free(read.labels);
    sl_free(dir);
    return st;
}
