/*
 * Packing: images enter in an order drawn once by the seed, so that training can read the shards
 * nearly in order; tars with a member of the image's own bytes and a member with its label leave.
 * The same set and options give the same bytes.
 */
#include "data/pack.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"
#include "data/format.h"
#include "data/order.h"
#include "data/shard.h"

#define PARTIAL ".partial"
enum { KEY_NAME_MAX = 80 };
static const uint64_t shard_bytes_max = (uint64_t)64 << 30;

struct pack {
    const struct sl_dataset *set;
    const sl_pack_options *o;
    char *folder; /* the partial one */
    char *path;   /* of the open shard */
    sl_writer *writer;
    uint64_t at; /* bytes of the open shard */
    struct sl_shard shard;
    struct sl_bytes file;
    struct sl_image image;
    sl_pack_result result;
};

/* ---- members ---- */

static sl_status put_member(struct pack *p, const char *name, const void *bytes, size_t n)
{
    static const unsigned char zeros[SL_TAR_BLOCK];
    unsigned char header[SL_TAR_BLOCK];
    const size_t padding = (SL_TAR_BLOCK - n % SL_TAR_BLOCK) % SL_TAR_BLOCK;
    sl_tar_header(name, n, header);
    SL_TRY(sl_writer_write(p->writer, header, sizeof header));
    SL_TRY(sl_writer_write(p->writer, bytes, n));
    SL_TRY(sl_writer_write(p->writer, zeros, padding));
    p->at += SL_TAR_BLOCK + n + padding;
    return SL_OK;
}

/* "00000012_n01440764_n01440764_10026": unique by the number, the rest says where it came from. */
static void make_key(size_t number, const char *name, char key[99])
{
    const char *dot = strrchr(name, '.');
    const size_t length = dot ? (size_t)(dot - name) : strlen(name);
    int n = snprintf(key, 99, "%08zu_", number);
    for (size_t i = 0; i < length && i < KEY_NAME_MAX; i++)
        key[n++] = isalnum((unsigned char)name[i]) || name[i] == '-' ? name[i] : '_';
    key[n] = '\0';
}

static const char *ending_of(const char *bytes, size_t n)
{
    return n >= 4 && memcmp(bytes, "\x89PNG", 4) == 0 ? "png" : "jpg";
}

static sl_status put_sample(struct pack *p, size_t sample, const char *bytes, size_t n)
{
    char from[256], key[99], name[SL_TAR_BLOCK], label[16];
    make_key(p->result.images, sl_dataset_sample_name(p->set, sample, from), key);
    snprintf(name, sizeof name, "%s.%s", key, ending_of(bytes, n));
    SL_TRY(sl_shard_add(&p->shard, p->at + SL_TAR_BLOCK, n, sl_dataset_label(p->set, sample)));
    SL_TRY(put_member(p, name, bytes, n));
    snprintf(name, sizeof name, "%s.cls", key);
    snprintf(label, sizeof label, "%d", (int)sl_dataset_label(p->set, sample));
    return put_member(p, name, label, strlen(label));
}

/* ---- shards ---- */

static sl_status open_shard(struct pack *p)
{
    p->path = sl_asprintf("%s/shard-%06zu.tar", p->folder, p->result.shards);
    SL_TRY(p->path ? SL_OK : SL_ERR_MEMORY);
    p->at = 0;
    return sl_writer_open(p->path, &p->writer);
}

static sl_status close_shard(struct pack *p)
{
    static const unsigned char end_mark[2 * SL_TAR_BLOCK];
    if (!p->writer)
        return SL_OK;
    SL_TRY(sl_writer_write(p->writer, end_mark, sizeof end_mark));
    SL_TRY(sl_writer_close(&p->writer, true, NULL, &p->shard.bytes));
    SL_TRY(sl_shard_index_write(p->path, &p->shard));
    p->result.bytes += p->shard.bytes;
    p->result.shards++;
    sl_shard_free(&p->shard);
    sl_free(p->path);
    p->path = NULL;
    return SL_OK;
}

/* ---- samples ---- */

/* The bytes of a sample's file, decoded once unless damaged files are kept. */
static sl_status take_file(struct pack *p, size_t sample, struct sl_bytes *file)
{
    char name[256];
    SL_TRY(sl_dataset_file(p->set, sample, file));
    sl_dataset_sample_name(p->set, sample, name);
    if (file->n == 0)
        SL_FAIL(SL_ERR_DATA, "%s: the file is empty", name);
    if (p->o->on_bad != SL_PACK_KEEP)
        return sl_image_decode(file->data, file->n, name, &p->image);
    return SL_OK;
}

static sl_status pack_sample(struct pack *p, size_t sample)
{
    const struct sl_bytes *file = &p->file;
    sl_status st = take_file(p, sample, &p->file);
    if (p->o->on_bad == SL_PACK_SKIP && (st == SL_ERR_DATA || st == SL_ERR_INPUT)) {
        sl_log(SL_LOG_WARN, "left out: %s", sl_error_message());
        p->result.left_out++;
        return SL_OK;
    }
    if (st == SL_OK && p->writer &&
        (p->shard.n == p->o->shard_images || p->at + file->n > shard_bytes_max))
        st = close_shard(p);
    if (st == SL_OK && !p->writer)
        st = open_shard(p);
    if (st == SL_OK)
        st = put_sample(p, sample, file->data, file->n);
    if (st == SL_OK)
        p->result.images++;
    return st;
}

static sl_status pack_samples(struct pack *p)
{
    const size_t count = sl_dataset_count(p->set);
    struct sl_order order;
    sl_status st = SL_OK;
    if (!p->o->in_order)
        SL_TRY(sl_dataset_check_random(p->set));
    SL_TRY(sl_order_init(&order, count, p->o->seed, !p->o->in_order));
    for (size_t i = 0; i < count && st == SL_OK; i++) {
        st = pack_sample(p, sl_order_pass(&order, 0, i).sample);
        if (st == SL_OK && p->o->progress)
            p->o->progress(p->o->user, i + 1, count);
    }
    sl_order_free(&order);
    SL_TRY(st);
    if (p->result.images == 0)
        SL_FAIL(SL_ERR_DATA, "every image is bad, so there is nothing to pack");
    return close_shard(p);
}

static sl_status write_classes(const struct pack *p)
{
    sl_text text = {0};
    char *names = NULL, *path = sl_path_join(p->folder, SL_CLASSES_FILE);
    sl_status st = path ? SL_OK : SL_ERR_MEMORY;
    for (size_t c = 0; c < sl_dataset_classes(p->set) && st == SL_OK; c++) {
        const char *name = sl_dataset_class_name(p->set, c);
        char shown[SL_ESCAPED_SIZE];
        if (!*name || strchr(name, '\n') || !sl_text_is_utf8(name))
            st =
                sl_error_set(SL_ERR_DATA, "the class name '%s' is no line of UTF-8 text; rename it",
                             sl_escape(name, strlen(name), shown));
        sl_text_addf(&text, "%s\n", name);
    }
    if (st == SL_OK)
        st = sl_text_take(&text, &names);
    if (st == SL_OK)
        st = sl_write_file_atomic(path, names, strlen(names));
    sl_text_clear(&text);
    sl_free(names);
    sl_free(path);
    return st;
}

/* ---- the whole ---- */

static sl_status write_folder(struct pack *p, const char *folder)
{
    if (sl_is_dir(folder) || sl_is_file(folder))
        SL_FAIL(SL_ERR_CREATE, "%s exists; remove it or choose another folder", folder);
    SL_TRY(sl_remove_tree(p->folder));
    SL_TRY(sl_make_dirs(p->folder));
    SL_TRY(write_classes(p));
    SL_TRY(pack_samples(p));
    SL_TRY(sl_sync_dir(p->folder));
    return sl_rename_sync(p->folder, folder);
}

sl_status sl_pack(const struct sl_dataset *set, const char *folder, const sl_pack_options *options,
                  sl_pack_result *result)
{
    struct pack p = {.set = set, .o = options};
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        length--;
    char *whole = sl_asprintf("%.*s", (int)length, folder);
    p.folder = sl_asprintf("%.*s" PARTIAL, (int)length, folder);
    sl_status st = whole && p.folder ? SL_OK : SL_ERR_MEMORY;
    if (st == SL_OK && options->shard_images == 0)
        st = sl_error_set(SL_ERR_CONFIG, "shards of 0 images");
    if (st == SL_OK)
        st = write_folder(&p, whole);
    if (st == SL_OK)
        *result = p.result;
    sl_writer_abandon(&p.writer);
    sl_shard_free(&p.shard);
    sl_free(p.file.data);
    sl_image_free(&p.image);
    sl_free(p.path);
    sl_free(p.folder);
    sl_free(whole);
    return st;
}
