/*
 * WebDataset shards: a pattern of tar files enters, samples in the order of shards and members
 * leave. Where every image lies is known once the set is open, from the shards' headers or their
 * index files (24 bytes per sample in memory); an image is read by one pread when it is asked for.
 * A compressed shard is unpacked twice to open it, once for its size and once for its headers, and
 * its images by a stream that goes on from image to image and begins again to go back.
 * Class names are the lines of classes.txt beside the first shard, else the numbers.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"
#include "base/threads.h"
#include "data/braces.h"
#include "data/format.h"
#include "data/shard.h"
#include "data/unpack.h"

static const size_t text_cap = (size_t)64 << 20;
static const size_t index_cap = (size_t)4 << 30;

struct wds {
    char **paths; /* [n] */
    struct sl_shard *shards;
    size_t n;
    pthread_mutex_t lock;     /* guards the stream */
    struct sl_unpack *stream; /* of compressed shard `streamed`, or NULL */
    size_t streamed;
};

/* ---- which files ---- */

/* The tar files of a folder, in byte order. */
static sl_status list_folder(const char *dir, char ***paths, size_t *n)
{
    char **names = NULL;
    size_t all = 0, kept = 0;
    sl_status st = sl_list_dir(dir, &names, &all);
    for (size_t i = 0; i < all; i++) {
        char *name = names[i];
        names[i] = NULL;
        if (st == SL_OK && (sl_ends_with(name, ".tar") || sl_unpack_is(name))) {
            names[kept] = sl_path_join(dir, name);
            st = names[kept++] ? SL_OK : SL_ERR_MEMORY;
        }
        sl_free(name);
    }
    if (st == SL_OK && kept == 0)
        st = sl_error_set(SL_ERR_INPUT, "%s: no .tar files in the folder", dir);
    if (st != SL_OK) {
        sl_names_free(&names, kept);
        return st;
    }
    *paths = names;
    *n = kept;
    return SL_OK;
}

/* Puts what was found before the first name before all of them. */
static sl_status add_place(char **names, size_t n, const char *found)
{
    const size_t place = strlen(found) - strlen(names[0]);
    for (size_t i = 0; i < n; i++) {
        char *path = sl_asprintf("%.*s%s", (int)place, found, names[i]);
        if (!path)
            return SL_ERR_MEMORY;
        sl_free(names[i]);
        names[i] = path;
    }
    return SL_OK;
}

static sl_status find_shards(struct wds *w, const char *pattern)
{
    char *found = NULL;
    SL_TRY(sl_braces_expand(pattern, &w->paths, &w->n));
    SL_TRY(sl_find_data(w->paths[0], NULL, &found));
    sl_status st;
    if (w->n == 1 && sl_is_dir(found)) {
        sl_names_free(&w->paths, w->n);
        w->n = 0;
        st = list_folder(found, &w->paths, &w->n);
    } else {
        st = add_place(w->paths, w->n, found);
    }
    sl_free(found);
    return st;
}

/* ---- opening shards ---- */

static sl_status read_file(const void *of, uint64_t offset, void *buf, size_t n)
{
    return sl_file_read(of, offset, buf, n);
}

static sl_status scan_tar(const char *path, struct sl_shard *shard)
{
    sl_file file;
    SL_TRY(sl_file_open(path, &file));
    const struct sl_tar_input in = {&file, read_file, file.size, path};
    const sl_status st = sl_shard_scan(&in, shard);
    sl_file_close(&file);
    return st;
}

/* The tar reader asks for ascending offsets. */
static sl_status read_packed(const void *of, uint64_t offset, void *buf, size_t n)
{
    struct sl_unpack *const *unpack = of;
    size_t got = 0;
    if (offset < sl_unpack_at(*unpack))
        SL_FAIL(SL_ERR_INTERNAL, "a compressed shard was read backwards");
    SL_TRY(sl_unpack_skip_to(*unpack, offset));
    SL_TRY(sl_unpack_read(*unpack, buf, n, &got));
    if (got < n)
        SL_FAIL(SL_ERR_DATA, "a compressed shard changed while it was read");
    return SL_OK;
}

static sl_status packed_size(const char *path, uint64_t *size)
{
    struct sl_unpack *u;
    char block[4096];
    size_t got = sizeof block;
    SL_TRY(sl_unpack_open(path, &u));
    sl_status st = SL_OK;
    while (st == SL_OK && got == sizeof block)
        st = sl_unpack_read(u, block, sizeof block, &got);
    *size = sl_unpack_at(u);
    sl_unpack_free(&u);
    return st;
}

static sl_status scan_packed(const char *path, struct sl_shard *shard)
{
    struct sl_unpack *u;
    uint64_t size = 0;
    SL_TRY(packed_size(path, &size));
    SL_TRY(sl_unpack_open(path, &u));
    const struct sl_tar_input in = {&u, read_packed, size, path};
    const sl_status st = sl_shard_scan(&in, shard);
    sl_unpack_free(&u);
    return st;
}

static sl_status use_index(const char *path, const char *index, struct sl_shard *shard)
{
    sl_file file;
    char *bytes = NULL;
    size_t n;
    SL_TRY(sl_file_open(path, &file));
    const uint64_t size = file.size;
    sl_file_close(&file);
    SL_TRY(sl_read_file(index, index_cap, &bytes, &n));
    const sl_status st = sl_shard_index_parse(bytes, n, index, size, shard);
    sl_free(bytes);
    return st;
}

static sl_status open_shard(const char *path, struct sl_shard *shard)
{
    if (sl_unpack_is(path))
        return scan_packed(path, shard);
    char *index = sl_asprintf("%s%s", path, SL_INDEX_ENDING);
    if (!index)
        return SL_ERR_MEMORY;
    const sl_status st = sl_is_file(index) ? use_index(path, index, shard) : scan_tar(path, shard);
    sl_free(index);
    return st;
}

/* All shards, by all cores. */
struct opening {
    struct wds *w;
    struct failure {
        sl_status status;
        char text[SL_ERROR_TEXT_SIZE];
    } * failures; /* [tasks] */
    size_t tasks;
};

static void open_task(void *arg, size_t task, size_t worker)
{
    struct opening *o = arg;
    struct failure *f = &o->failures[task];
    (void)worker;
    for (size_t i = task; i < o->w->n && f->status == SL_OK; i += o->tasks)
        f->status = open_shard(o->w->paths[i], &o->w->shards[i]);
    if (f->status != SL_OK)
        sl_error_copy(f->text);
}

static sl_status open_shards(struct wds *w)
{
    const int threads = sl_cpu_count();
    struct opening o = {.w = w, .tasks = w->n < 64 ? w->n : 64};
    sl_status st = SL_OK;
    SL_TRY(SL_NEW(w->shards, w->n));
    SL_TRY(SL_NEW(o.failures, o.tasks));
    SL_TRY_FREE(sl_threads_acquire(threads));
    sl_parallel_for(threads, o.tasks, open_task, &o);
    sl_threads_release();
    for (size_t i = 0; i < o.tasks && st == SL_OK; i++)
        if (o.failures[i].status != SL_OK)
            st = sl_error_set(o.failures[i].status, "%s", o.failures[i].text);
fail:
    sl_free(o.failures);
    return st;
}

/* ---- labels and classes ---- */

static sl_status take_samples(struct sl_dataset *set)
{
    const struct wds *w = set->state;
    int32_t highest = -1;
    SL_TRY(SL_NEW(set->part_first, w->n + 1));
    for (size_t i = 0; i < w->n; i++) {
        set->part_first[i] = set->total;
        set->total += w->shards[i].n;
        set->skipped_files += (size_t)w->shards[i].ignored;
    }
    set->part_first[w->n] = set->total;
    set->n_parts = w->n;
    if (set->total == 0)
        SL_FAIL(SL_ERR_DATA,
                "%s: the shards hold no samples (members KEY.jpg with KEY.cls or KEY.json)",
                set->spec);
    SL_TRY(SL_NEW(set->labels, set->total));
    for (size_t i = 0, k = 0; i < w->n; i++)
        for (size_t j = 0; j < w->shards[i].n; j++, k++) {
            set->labels[k] = w->shards[i].samples[j].label;
            highest = set->labels[k] > highest ? set->labels[k] : highest;
        }
    set->classes = (size_t)highest + 1;
    return SL_OK;
}

/* Cuts the text into lines in place; what: the file, for errors. */
static sl_status take_names(struct sl_dataset *set, char *text, size_t size, const char *what)
{
    size_t n = 0;
    if (size == 0 || text[size - 1] != '\n' || memchr(text, 0, size) || !sl_text_is_utf8(text))
        SL_FAIL(SL_ERR_DATA, "%s: not lines of UTF-8 text, one class name each", what);
    for (size_t i = 0; i < size; i++)
        n += text[i] == '\n';
    if (n < set->classes || n > SL_SHARD_CLASSES_MAX)
        SL_FAIL(SL_ERR_DATA, "%s: %zu class names, but the shards have labels up to %zu", what, n,
                set->classes - 1);
    set->classes = n;
    SL_TRY(SL_NEW(set->class_names, n));
    for (size_t c = 0; c < n; c++) {
        char *stop = strchr(text, '\n');
        *stop = '\0';
        if (stop == text)
            SL_FAIL(SL_ERR_DATA, "%s: line %zu is empty", what, c + 1);
        set->class_names[c] = sl_strdup(text);
        if (!set->class_names[c])
            return SL_ERR_MEMORY;
        text = stop + 1;
    }
    return SL_OK;
}

static sl_status read_classes(struct sl_dataset *set)
{
    const struct wds *w = set->state;
    const char *slash = strrchr(w->paths[0], '/');
    char *path = sl_asprintf("%.*s" SL_CLASSES_FILE, slash ? (int)(slash + 1 - w->paths[0]) : 0,
                             w->paths[0]);
    char *text = NULL;
    size_t n = 0;
    sl_status st = path ? SL_OK : SL_ERR_MEMORY;
    if (st == SL_OK && sl_is_file(path)) {
        st = sl_read_file(path, text_cap, &text, &n);
        if (st == SL_OK)
            st = take_names(set, text, n, path);
    }
    sl_free(text);
    sl_free(path);
    return st;
}

sl_status sl_wds_open(struct sl_dataset *set, const char *rest)
{
    struct wds *w;
    SL_TRY(SL_NEW(w, 1));
    pthread_mutex_init(&w->lock, NULL);
    set->state = w; /* the set owns it from here on */
    SL_TRY(find_shards(w, rest));
    for (size_t i = 0; i < w->n; i++)
        set->sequential |= sl_unpack_is(w->paths[i]);
    SL_TRY(open_shards(w));
    SL_TRY(take_samples(set));
    return read_classes(set);
}

/* ---- reading ---- */

/* Shard of sample i: the last one that begins at or before it. */
static size_t shard_of(const struct sl_dataset *set, size_t i)
{
    size_t low = 0, high = set->n_parts;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (set->part_first[middle] <= i)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* "shard.tar: member", the member as its plain header has it. */
static const char *name_in(const char *path, const sl_file *file, uint64_t offset, char buf[256])
{
    const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
    char header[101] = "", shown[SL_ESCAPED_SIZE];
    if (!file || sl_file_read(file, offset - SL_TAR_BLOCK, header, 100) != SL_OK)
        snprintf(buf, 256, "%.200s: byte %llu", last, (unsigned long long)offset);
    else
        snprintf(buf, 256, "%.100s: %.150s", last, sl_escape(header, strlen(header), shown));
    return buf;
}

const char *sl_wds_sample_name(const struct sl_dataset *set, size_t i, char buf[256])
{
    const struct wds *w = set->state;
    const size_t s = shard_of(set, i);
    const uint64_t offset = w->shards[s].samples[i - set->part_first[s]].offset;
    sl_file file;
    if (sl_unpack_is(w->paths[s]) || sl_file_open(w->paths[s], &file) != SL_OK)
        return name_in(w->paths[s], NULL, offset, buf);
    name_in(w->paths[s], &file, offset, buf);
    sl_file_close(&file);
    return buf;
}

/* Bytes of compressed shard s; the lock is held. */
static sl_status read_streamed(struct wds *w, size_t s, uint64_t offset, void *buf, size_t n)
{
    if (w->stream && (w->streamed != s || sl_unpack_at(w->stream) > offset))
        sl_unpack_free(&w->stream);
    if (!w->stream)
        SL_TRY(sl_unpack_open(w->paths[s], &w->stream));
    w->streamed = s;
    return read_packed(&w->stream, offset, buf, n);
}

sl_status sl_wds_file(const struct sl_dataset *set, size_t i, struct sl_bytes *file)
{
    struct wds *w = set->state;
    const size_t s = shard_of(set, i);
    const struct sl_shard_sample *sample = &w->shards[s].samples[i - set->part_first[s]];
    sl_file shard;
    SL_TRY(sl_bytes_reserve(file, sample->size));
    if (sl_unpack_is(w->paths[s])) {
        pthread_mutex_lock(&w->lock);
        const sl_status st = read_streamed(w, s, sample->offset, file->data, sample->size);
        pthread_mutex_unlock(&w->lock);
        return st;
    }
    SL_TRY(sl_file_open(w->paths[s], &shard));
    const sl_status st = sl_file_read(&shard, sample->offset, file->data, sample->size);
    sl_file_close(&shard);
    return st;
}

sl_status sl_wds_write_index(const struct sl_dataset *set)
{
    const struct wds *w = set->state;
    for (size_t i = 0; i < w->n; i++)
        SL_TRY(sl_shard_index_write(w->paths[i], &w->shards[i]));
    return SL_OK;
}

void sl_wds_digest(const struct sl_dataset *set, sl_hash *hash)
{
    const struct wds *w = set->state;
    for (size_t i = 0; i < w->n; i++) {
        const char *slash = strrchr(w->paths[i], '/'), *last = slash ? slash + 1 : w->paths[i];
        sl_hash_add(hash, last, strlen(last) + 1);
        sl_hash_add(hash, &w->shards[i].bytes, sizeof w->shards[i].bytes);
        sl_hash_add(hash, w->shards[i].samples, w->shards[i].n * sizeof *w->shards[i].samples);
    }
}

void sl_wds_free(void *state)
{
    struct wds *w = state;
    if (!w)
        return;
    sl_unpack_free(&w->stream);
    pthread_mutex_destroy(&w->lock);
    for (size_t i = 0; w->shards && i < w->n; i++)
        sl_shard_free(&w->shards[i]);
    sl_names_free(&w->paths, w->n);
    sl_free(w->shards);
    sl_free(w);
}
