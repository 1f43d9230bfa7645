/*
 * What `softless data info` tells: every image is decoded once, by all cores; counts, sizes, the
 * mean pixel and the bad samples leave as text or JSON.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/threads.h"
#include "data/format.h"

enum { TASK = 64, LISTED_MAX = 50 };

/* One decoded sample. */
struct look {
    uint32_t h, w; /* 0 = bad */
    double sum;    /* of all bytes */
    char *reason;  /* of a bad one, owned; NULL also when memory was out */
};

struct scan {
    const struct sl_dataset *set;
    struct look *looks;       /* [count] */
    struct sl_image *buffers; /* [threads] */
};

struct summary {
    size_t bad, min_h, max_h, min_w, max_w;
    double mean;    /* of all pixels, full scale = 1 */
    size_t *counts; /* [classes], owned */
};

/* ---- decoding everything ---- */

static void look_at(const struct scan *scan, size_t i, struct sl_image *img)
{
    struct look *look = &scan->looks[i];
    if (sl_dataset_image(scan->set, i, img) != SL_OK) {
        look->reason = sl_strdup(sl_error_message());
        return;
    }
    uint64_t sum = 0;
    for (size_t k = 0; k < img->h * img->w * 3; k++)
        sum += img->pixels[k];
    *look = (struct look){(uint32_t)img->h, (uint32_t)img->w, (double)sum, NULL};
}

static void look_at_task(void *arg, size_t task, size_t worker)
{
    const struct scan *scan = arg;
    const size_t count = sl_dataset_count(scan->set);
    for (size_t i = task * TASK; i < (task + 1) * TASK && i < count; i++)
        look_at(scan, i, &scan->buffers[worker]);
}

static sl_status scan_set(struct scan *scan)
{
    const int threads = sl_dataset_sequential(scan->set) ? 1 : sl_cpu_count();
    const size_t count = sl_dataset_count(scan->set);
    SL_TRY(SL_NEW(scan->looks, count));
    SL_TRY(SL_NEW(scan->buffers, (size_t)threads));
    SL_TRY(sl_threads_acquire(threads));
    sl_parallel_for(threads, (count + TASK - 1) / TASK, look_at_task, scan);
    sl_threads_release();
    for (int t = 0; t < threads; t++)
        sl_image_free(&scan->buffers[t]);
    return SL_OK;
}

static void free_scan(struct scan *scan)
{
    for (size_t i = 0; scan->looks && i < sl_dataset_count(scan->set); i++)
        sl_free(scan->looks[i].reason);
    sl_free(scan->looks);
    sl_free(scan->buffers);
}

static sl_status summarise(const struct scan *scan, struct summary *s)
{
    double sum = 0, values = 0;
    SL_TRY(SL_NEW(s->counts, sl_dataset_classes(scan->set)));
    s->min_h = s->min_w = SIZE_MAX;
    for (size_t i = 0; i < sl_dataset_count(scan->set); i++) {
        const struct look *look = &scan->looks[i];
        s->counts[sl_dataset_label(scan->set, i)]++;
        if (look->h == 0) {
            s->bad++;
            continue;
        }
        s->min_h = look->h < s->min_h ? look->h : s->min_h;
        s->max_h = look->h > s->max_h ? look->h : s->max_h;
        s->min_w = look->w < s->min_w ? look->w : s->min_w;
        s->max_w = look->w > s->max_w ? look->w : s->max_w;
        sum += look->sum;
        values += 3.0 * look->h * look->w;
    }
    if (values > 0)
        s->mean = sum / values / 255.0;
    else
        s->min_h = s->min_w = 0;
    return SL_OK;
}

/* ---- writing it down ---- */

/* Calls nothing for good samples; at most LISTED_MAX bad ones are listed. */
static void add_bad(sl_text *t, const struct scan *scan, bool json)
{
    char name[256];
    size_t listed = 0;
    for (size_t i = 0; i < sl_dataset_count(scan->set) && listed < LISTED_MAX; i++) {
        const struct look *look = &scan->looks[i];
        if (look->h != 0)
            continue;
        sl_dataset_sample_name(scan->set, i, name);
        const char *reason = look->reason ? look->reason : "out of memory";
        if (json) {
            sl_text_add(t, listed > 0 ? ",\n    {\"name\": " : "\n    {\"name\": ");
            sl_text_add_json_string(t, name);
            sl_text_add(t, ", \"reason\": ");
            sl_text_add_json_string(t, reason);
            sl_text_add(t, "}");
        } else if (strncmp(reason, name, strlen(name)) == 0) { /* as those of shards do */
            sl_text_addf(t, "  %s\n", reason);
        } else {
            sl_text_addf(t, "  %s: %s\n", name, reason);
        }
        listed++;
    }
}

static void write_text(sl_text *t, const struct scan *scan, const struct summary *s)
{
    const struct sl_dataset *set = scan->set;
    sl_text_addf(t, "data set  %s\n", set->spec);
    sl_text_addf(t, "format    %s\n", set->format->name);
    sl_text_addf(t, "samples   %zu", set->count);
    if (set->count != set->total)
        sl_text_addf(t, " (of %zu, from sample %zu)", set->total, set->first);
    if (s->min_h == s->max_h && s->min_w == s->max_w)
        sl_text_addf(t, "\nimages    %zu x %zu, mean %.4f\n", s->min_h, s->min_w, s->mean);
    else
        sl_text_addf(t, "\nimages    height %zu to %zu, width %zu to %zu, mean %.4f\n", s->min_h,
                     s->max_h, s->min_w, s->max_w, s->mean);
    if (set->n_parts > 0)
        sl_text_addf(t, "shards    %zu\n", set->n_parts);
    sl_text_addf(t, "digest    %s\n", set->digest);
    if (set->skipped_files > 0 || set->skipped_links > 0)
        sl_text_addf(t, "ignored   %zu files that are not images, %zu symbolic links\n",
                     set->skipped_files, set->skipped_links);
    sl_text_addf(t, "bad       %zu\n", s->bad);
    add_bad(t, scan, false);
    if (s->bad > LISTED_MAX)
        sl_text_addf(t, "  ... and %zu more\n", s->bad - LISTED_MAX);
    sl_text_addf(t, "classes   %zu\n", set->classes);
    for (size_t c = 0; c < set->classes; c++) {
        const char *name = set->class_names[c];
        char escaped[SL_ESCAPED_SIZE];
        sl_text_addf(t, "  %5zu  %-24s %8zu\n", c, sl_escape(name, strlen(name), escaped),
                     s->counts[c]);
    }
}

static void write_json(sl_text *t, const struct scan *scan, const struct summary *s)
{
    const struct sl_dataset *set = scan->set;
    sl_text_add(t, "{\n  \"spec\": ");
    sl_text_add_json_string(t, set->spec);
    sl_text_addf(t, ",\n  \"format\": \"%s\",\n  \"samples\": %zu,\n", set->format->name,
                 set->count);
    if (set->n_parts > 0)
        sl_text_addf(t, "  \"shards\": %zu,\n", set->n_parts);
    sl_text_addf(t,
                 "  \"min_height\": %zu, \"max_height\": %zu, \"min_width\": %zu, \"max_width\": "
                 "%zu,\n  \"mean\": ",
                 s->min_h, s->max_h, s->min_w, s->max_w);
    sl_text_add_json_number(t, s->mean);
    sl_text_addf(t, ",\n  \"digest\": \"%s\",\n", set->digest);
    sl_text_addf(t, "  \"ignored_files\": %zu, \"ignored_links\": %zu,\n", set->skipped_files,
                 set->skipped_links);
    sl_text_addf(t, "  \"bad\": %zu,\n  \"bad_samples\": [", s->bad);
    add_bad(t, scan, true);
    sl_text_add(t, "],\n  \"classes\": [");
    for (size_t c = 0; c < set->classes; c++) {
        sl_text_add(t, c > 0 ? ",\n    {\"name\": " : "\n    {\"name\": ");
        sl_text_add_json_string(t, set->class_names[c]);
        sl_text_addf(t, ", \"samples\": %zu}", s->counts[c]);
    }
    sl_text_add(t, "\n  ]\n}\n");
}

sl_status sl_dataset_info(const struct sl_dataset *set, bool json, char **text)
{
    sl_status st;
    struct scan scan = {.set = set};
    struct summary summary = {0};
    sl_text t = {0};
    SL_TRY_FREE(scan_set(&scan));
    SL_TRY_FREE(summarise(&scan, &summary));
    if (json)
        write_json(&t, &scan, &summary);
    else
        write_text(&t, &scan, &summary);
    st = sl_text_take(&t, text);
fail:
    sl_free(summary.counts);
    free_scan(&scan);
    return st;
}
