/*
 * A folder of class folders: DIR/CLASS/.../image enters, samples in byte order of class and path
 * leave. Classes are the folders of DIR; images lie in them at any depth up to a limit. A file
 * counts as an image by its name (jpg, jpeg, jpe, png), so that a damaged image is reported instead
 * of passed over; what it is decoded as follows from its content. Symbolic links are never
 * followed: one that points into another class would give the same image two labels.
 */
#define _POSIX_C_SOURCE 200809L
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/format.h"

enum { DEPTH_MAX = 16 };
static const size_t file_cap = (size_t)64 << 20;

/* Paths relative to root, one after the other in one block. */
struct folder {
    char *root;
    char *names;
    size_t names_used, names_room;
    struct file {
        size_t name; /* offset in names */
        uint64_t size;
        int32_t label;
    } * files; /* [n] */
    size_t n, room;
};

/* ---- listing ---- */

static bool image_name(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".jpe", ".png"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++) {
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    }
    return false;
}

static sl_status add_file(struct folder *f, const char *relative, uint64_t size, size_t label)
{
    const size_t length = strlen(relative) + 1;
    if (f->n == f->room) {
        const size_t room = f->room ? 2 * f->room : 256;
        struct file *grown = sl_regrow(f->files, f->n, room, sizeof *grown);
        if (!grown)
            return SL_ERR_MEMORY;
        f->files = grown;
        f->room = room;
    }
    if (f->names_room - f->names_used < length) {
        const size_t room = 2 * f->names_room + length + 4096;
        char *grown = sl_regrow(f->names, f->names_used, room, 1);
        if (!grown)
            return SL_ERR_MEMORY;
        f->names = grown;
        f->names_room = room;
    }
    memcpy(f->names + f->names_used, relative, length);
    f->files[f->n++] = (struct file){f->names_used, size, (int32_t)label};
    f->names_used += length;
    return SL_OK;
}

static sl_status add_tree(struct sl_dataset *set, const char *relative, size_t label, int depth);

/* One entry of a class folder, whatever it is. */
static sl_status add_entry(struct sl_dataset *set, const char *relative, size_t label, int depth)
{
    struct folder *f = set->state;
    struct stat info;
    char *path = sl_path_join(f->root, relative);
    if (!path)
        return SL_ERR_MEMORY;
    sl_status st = SL_OK;
    if (lstat(path, &info) != 0)
        st = sl_io_error(SL_ERR_INPUT, "look at it", path);
    else if (S_ISLNK(info.st_mode))
        set->skipped_links++;
    else if (S_ISDIR(info.st_mode))
        st = add_tree(set, relative, label, depth + 1);
    else if (S_ISREG(info.st_mode) && image_name(relative))
        st = add_file(f, relative, (uint64_t)info.st_size, label);
    else
        set->skipped_files++;
    sl_free(path);
    return st;
}

static sl_status add_tree(struct sl_dataset *set, const char *relative, size_t label, int depth)
{
    const struct folder *f = set->state;
    char **names = NULL;
    size_t n = 0;
    if (depth > DEPTH_MAX)
        SL_FAIL(SL_ERR_DATA, "%s/%s: folders nested more than %d deep", f->root, relative,
                DEPTH_MAX);
    char *path = sl_path_join(f->root, relative);
    if (!path)
        return SL_ERR_MEMORY;
    sl_status st = sl_list_dir(path, &names, &n);
    sl_free(path);
    for (size_t i = 0; i < n && st == SL_OK; i++) {
        char *child = sl_path_join(relative, names[i]);
        st = child ? add_entry(set, child, label, depth) : SL_ERR_MEMORY;
        sl_free(child);
    }
    sl_names_free(&names, n);
    return st;
}

/* Names that people give to the parts of a data set, which nobody gives to a class beside them. */
static bool is_split(const char *name)
{
    static const char *const splits[] = {"train", "training", "val", "valid", "validation", "test"};
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (strcmp(name, splits[i]) == 0)
            return true;
    return false;
}

/* The folder above train/ and val/ would make two classes of them. */
static sl_status refuse_splits(const char *root, char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_split(names[i]))
            return SL_OK;
    SL_FAIL(SL_ERR_DATA,
            "%s: it holds the parts of a data set, not classes; name one of them, as in %s/%s",
            root, root, names[0]);
}

/* The class folders among the n names of DIR, moved to the front; returns how many. Links and files
 * beside them are counted, hidden folders passed over. */
static sl_status keep_classes(struct sl_dataset *set, char **names, size_t n, size_t *classes)
{
    const struct folder *f = set->state;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct stat info;
        char *path = sl_path_join(f->root, names[i]);
        if (!path)
            return SL_ERR_MEMORY;
        const bool seen = lstat(path, &info) == 0;
        sl_free(path);
        if (seen && S_ISDIR(info.st_mode) && names[i][0] != '.') {
            char *name = names[i];
            names[i] = names[kept];
            names[kept++] = name;
        } else if (seen && S_ISLNK(info.st_mode)) {
            set->skipped_links++;
        } else if (seen && S_ISREG(info.st_mode)) {
            set->skipped_files++;
        }
    }
    if (kept == 0)
        SL_FAIL(SL_ERR_DATA,
                "%s: no class folders; a data set folder holds one folder of images per class",
                f->root);
    *classes = kept;
    return refuse_splits(f->root, names, kept);
}

static sl_status add_classes(struct sl_dataset *set, char **names)
{
    struct folder *f = set->state;
    for (size_t c = 0; c < set->classes; c++) {
        const size_t before = f->n;
        SL_TRY(add_tree(set, names[c], c, 1));
        if (f->n == before)
            SL_FAIL(SL_ERR_DATA,
                    "%s/%s: the class folder holds no image (jpg, jpeg, jpe, png); remove it or "
                    "fill it",
                    f->root, names[c]);
    }
    set->total = f->n;
    SL_TRY(SL_NEW(set->labels, f->n));
    for (size_t i = 0; i < f->n; i++)
        set->labels[i] = f->files[i].label;
    return sl_copy_class_names(set, (const char *const *)names);
}

sl_status sl_folder_open(struct sl_dataset *set, const char *rest)
{
    sl_status st;
    char **names = NULL;
    size_t n = 0;
    struct folder *f;
    SL_TRY(SL_NEW(f, 1));
    set->state = f; /* the set owns it from here on */
    SL_TRY(sl_find_data(rest, NULL, &f->root));
    SL_TRY(sl_list_dir(f->root, &names, &n));
    SL_TRY_FREE(keep_classes(set, names, n, &set->classes));
    SL_TRY_FREE(add_classes(set, names));
fail:
    sl_names_free(&names, n);
    return st;
}

/* ---- reading ---- */

static const char *file_name(const struct sl_dataset *set, size_t i)
{
    const struct folder *f = set->state;
    return f->names + f->files[i].name;
}

char *sl_folder_path(const struct sl_dataset *set, size_t i)
{
    const struct folder *f = set->state;
    return sl_path_join(f->root, file_name(set, i));
}

sl_status sl_folder_file(const struct sl_dataset *set, size_t i, struct sl_bytes *file)
{
    sl_file opened;
    char *path = sl_folder_path(set, i);
    if (!path)
        return SL_ERR_MEMORY;
    sl_status st = sl_file_open(path, &opened);
    if (st == SL_OK) {
        st = opened.size > file_cap
                 ? sl_error_set(SL_ERR_DATA, "%s: %llu bytes, more than the limit of %zu", path,
                                (unsigned long long)opened.size, file_cap)
                 : sl_bytes_reserve(file, (size_t)opened.size);
        if (st == SL_OK)
            st = sl_file_read(&opened, 0, file->data, file->n);
        sl_file_close(&opened);
    }
    sl_free(path);
    return st;
}

const char *sl_folder_sample_name(const struct sl_dataset *set, size_t i, char buf[256])
{
    const char *name = file_name(set, i);
    return sl_escape(name, strlen(name), buf);
}

void sl_folder_digest(const struct sl_dataset *set, sl_hash *hash)
{
    const struct folder *f = set->state;
    sl_hash_add(hash, f->names, f->names_used);
    for (size_t i = 0; i < f->n; i++)
        sl_hash_add(hash, &f->files[i].size, sizeof f->files[i].size);
}

void sl_folder_free(void *state)
{
    struct folder *f = state;
    if (!f)
        return;
    sl_free(f->root);
    sl_free(f->names);
    sl_free(f->files);
    sl_free(f);
}
