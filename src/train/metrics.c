/*
 * metrics.jsonl, timing.jsonl and log.txt of a run: opened where a resumed run goes on, appended
 * line by line.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/number.h"
#include "format/json.h"
#include "train/run_dir.h"

enum { FILE_CAP = 1 << 30, STRUCTURE_CAP = 256 };

/* Drops the lines after the checkpoint. */
static sl_status cut_metrics(const char *path, uint64_t offset)
{
    if (offset == 0 && !sl_is_file(path))
        return SL_OK;
    const sl_status st = sl_truncate_file(path, offset);
    return st == SL_OK ? SL_OK
                       : sl_error_prefix(st, "the checkpoint counts %llu bytes of metrics",
                                         (unsigned long long)offset);
}

/* step and times of one timing line; false if the line is torn or foreign. */
static bool read_timing_line(const char *line, size_t size, uint64_t *step, struct sl_spent *spent)
{
    json_t *root = NULL;
    if (sl_json_parse(line, size, "timing.jsonl", STRUCTURE_CAP, &root) != SL_OK)
        return false;
    const bool ok = sl_json_uint(root, "step", "timing.jsonl", UINT64_MAX >> 1, step) == SL_OK &&
                    sl_json_double(root, "wall_s", "timing.jsonl", &spent->wall_s) == SL_OK &&
                    sl_json_double(root, "cpu_s", "timing.jsonl", &spent->cpu_s) == SL_OK;
    json_decref(root);
    return ok;
}

/* Keeps the lines up to `step` and takes the time spent so far from the last of them. */
static sl_status cut_timing(const char *path, uint64_t step, struct sl_spent *spent)
{
    char *text = NULL;
    size_t size, keep = 0;
    *spent = (struct sl_spent){0};
    if (!sl_is_file(path))
        return SL_OK;
    SL_TRY(sl_read_file(path, FILE_CAP, &text, &size));
    for (;;) {
        const char *line = text + keep, *end = memchr(line, '\n', size - keep);
        uint64_t at;
        struct sl_spent then;
        if (!end || !read_timing_line(line, (size_t)(end - line), &at, &then) || at > step)
            break;
        *spent = then;
        keep = (size_t)(end + 1 - text);
    }
    sl_free(text);
    return keep < size ? sl_truncate_file(path, keep) : SL_OK;
}

sl_status sl_metrics_open(const char *dir, uint64_t offset, uint64_t step, struct sl_metrics *m)
{
    static const char *const names[3] = {"metrics.jsonl", "timing.jsonl", "log.txt"};
    char *paths[3] = {NULL, NULL, NULL};
    struct sl_metrics x = {.offset = offset};
    sl_writer **writers[3] = {&x.metrics, &x.timing, &x.log};
    sl_status st = SL_OK;
    for (int i = 0; i < 3; i++) {
        paths[i] = sl_path_join(dir, names[i]);
        if (!paths[i])
            SL_TRY_FREE(SL_ERR_MEMORY);
    }
    SL_TRY_FREE(cut_metrics(paths[0], offset));
    SL_TRY_FREE(cut_timing(paths[1], step, &x.before));
    for (int i = 0; i < 3; i++)
        SL_TRY_FREE(sl_writer_append(paths[i], writers[i]));
    *m = x;
fail:
    if (st != SL_OK)
        sl_metrics_close(&x);
    for (int i = 0; i < 3; i++)
        sl_free(paths[i]);
    return st;
}

void sl_metrics_close(struct sl_metrics *m)
{
    sl_writer_abandon(&m->metrics);
    sl_writer_abandon(&m->timing);
    sl_writer_abandon(&m->log);
}

static sl_status add_line(sl_writer *w, const char *line)
{
    SL_TRY(sl_writer_write(w, line, strlen(line)));
    SL_TRY(sl_writer_write(w, "\n", 1));
    return sl_writer_flush(w);
}

sl_status sl_metrics_add(struct sl_metrics *m, const char *line)
{
    SL_TRY(add_line(m->metrics, line));
    m->offset += strlen(line) + 1;
    return SL_OK;
}

sl_status sl_timing_add(struct sl_metrics *m, const char *line)
{
    return add_line(m->timing, line);
}

void sl_run_log(struct sl_metrics *m, sl_log_level level, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    va_start(args, fmt);
    sl_vprint(line, sizeof line, fmt, args);
    va_end(args);
    sl_log(level, "%s", line);
    if (m->log && add_line(m->log, line) != SL_OK)
        sl_log(SL_LOG_WARN, "%s", sl_error_message());
}
