/*
 * libFuzzer: the JSON files of evaluation. The first byte chooses between the labels of a set and
 * lists of chosen images. What is accepted must name classes and images that exist.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "eval/eval.h"
#include "eval/probe.h"

enum { IMAGES = 8, CLASSES = 3, MODEL_CLASSES = 5, MOST = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_labels(const char *path, bool intersect)
{
    struct sl_dataset *set;
    struct sl_label_set l = {0};
    if (sl_dataset_open("synthetic:n=8,classes=3,size=4,seed=0", &set) != SL_OK)
        abort();
    if (sl_label_set_make(set, NULL, MODEL_CLASSES, path, intersect, &l) == SL_OK) {
        if (l.images != IMAGES || l.first[0] != 0)
            abort();
        for (size_t i = 0; i < IMAGES; i++)
            if (l.first[i + 1] < l.first[i] || (l.first[i + 1] > l.first[i] && !l.labelled[i]))
                abort();
        for (size_t k = 0; k < l.first[IMAGES]; k++)
            if (l.right[k] < 0 || l.right[k] >= MODEL_CLASSES)
                abort();
    } else if (l.first || l.right) {
        abort();
    }
    sl_label_set_free(&l);
    sl_dataset_free(&set);
}

static void check_shots(const struct sl_shots *s)
{
    for (size_t c = 0; c < s->classes; c++)
        for (size_t k = 0; k < s->count[c]; k++)
            if (s->count[c] > s->most || s->index[c * s->most + k] >= IMAGES)
                abort();
    if (s->classes != CLASSES || s->most != MOST)
        abort();
}

static void try_shots(const char *path)
{
    int32_t labels[IMAGES] = {0, 1, 2, 0, 1, 2, 0, -1};
    struct sl_shot_lists *lists = NULL;
    struct sl_probe_data d = {.n = IMAGES, .classes = CLASSES, .labels = labels};
    struct sl_shots shots = {0};
    bool found = false;
    if (sl_shot_lists_read(path, &lists) != SL_OK)
        return;
    if (sl_shot_lists_get_split(lists, "a", &d, &found) == SL_OK && found &&
        sl_shot_lists_get(lists, "a", 0, MOST, &d, &shots) == SL_OK)
        check_shots(&shots);
    sl_shots_free(&shots);
    d.labels = NULL; /* on the stack */
    sl_probe_data_free(&d);
    sl_shot_lists_free(&lists);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    const int fd = memfd_create("input", MFD_CLOEXEC);
    if (size < 1)
        return 0;
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)size - 1)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (data[0] & 1)
        try_shots(path);
    else
        try_labels(path, data[0] & 2);
    close(fd);
    return 0;
}
