/*
 * The zip directory of an npz file. Enters: an open file; leaves: the table of its members, whose
 * places in the file have been checked: the central directory is the truth, every local header must
 * agree with it, no two members overlap.
 *
 * Refused: encryption, methods other than stored and deflated, sizes that follow the data, several
 * disks, names twice, members that are no npy, bytes of the archive that do not add up.
 */
#include "format/npz_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"

enum {
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    COMMENT_MAX = 65535,
    DIRECTORY_MAX = 32 << 20, /* bytes: above what 10,000 members need */
    STORED = 0,
    DEFLATED = 8,
    ENCRYPTED = 1 << 0,
    SIZES_FOLLOW = 1 << 3
};

static uint16_t u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)u16(p) | (uint32_t)u16(p + 2) << 16;
}

static uint64_t u64(const unsigned char *p)
{
    return (uint64_t)u32(p) | (uint64_t)u32(p + 4) << 32;
}

/* ---- the directory ---- */

/* Where the central directory lies and how many members it lists. */
struct directory {
    uint64_t offset, size, end, members;
};

static sl_status damaged(const struct sl_npz *z, const char *what)
{
    SL_FAIL(SL_ERR_DATA, "%s: damaged npz file: %s", z->file.path, what);
}

/* The end record is the last in the file whose comment reaches the file's end exactly. */
static sl_status find_end(const struct sl_npz *z, uint64_t *at, unsigned char end[END_SIZE])
{
    const uint64_t size = z->file.size;
    const size_t most = END_SIZE + COMMENT_MAX, n = size < most ? (size_t)size : most;
    unsigned char *tail;
    SL_TRY(SL_NEW(tail, n + 1));
    sl_status st = sl_file_read(&z->file, size - n, tail, n);
    bool found = false;
    for (size_t i = n >= END_SIZE ? n - END_SIZE + 1 : 0; st == SL_OK && !found && i-- > 0;) {
        found = memcmp(tail + i, "PK\5\6", 4) == 0 && u16(tail + i + 20) == n - i - END_SIZE;
        if (found) {
            *at = size - n + i;
            memcpy(end, tail + i, END_SIZE);
        }
    }
    sl_free(tail);
    if (st == SL_OK && !found)
        SL_FAIL(SL_ERR_DATA, "%s: not an npz file (no zip directory at its end)", z->file.path);
    return st;
}

/* A field of the 32-bit record that is full stands for the one of the 64-bit record. */
static bool agree(uint64_t narrow, uint64_t full, uint64_t wide)
{
    return narrow == full || narrow == wide;
}

static sl_status read_end64(const struct sl_npz *z, uint64_t end_at, struct directory *d,
                            bool *present)
{
    unsigned char locator[LOCATOR_SIZE], r[END64_SIZE];
    *present = false;
    if (end_at < LOCATOR_SIZE + END64_SIZE)
        return SL_OK;
    SL_TRY(sl_file_read(&z->file, end_at - LOCATOR_SIZE, locator, LOCATOR_SIZE));
    if (memcmp(locator, "PK\6\7", 4) != 0)
        return SL_OK;
    const uint64_t at = u64(locator + 8);
    if (u32(locator + 4) != 0 || u32(locator + 16) != 1 || at != end_at - LOCATOR_SIZE - END64_SIZE)
        return damaged(z, "its zip64 locator points elsewhere");
    SL_TRY(sl_file_read(&z->file, at, r, END64_SIZE));
    if (memcmp(r, "PK\6\6", 4) != 0 || u64(r + 4) != END64_SIZE - 12 || u32(r + 16) != 0 ||
        u32(r + 20) != 0 || u64(r + 24) != u64(r + 32))
        return damaged(z, "its zip64 end record is wrong");
    *d = (struct directory){
        .offset = u64(r + 48), .size = u64(r + 40), .end = at, .members = u64(r + 32)};
    *present = true;
    return SL_OK;
}

static sl_status find_directory(const struct sl_npz *z, struct directory *d)
{
    unsigned char r[END_SIZE] = {0};
    uint64_t at = 0;
    bool wide;
    SL_TRY(find_end(z, &at, r));
    SL_TRY(read_end64(z, at, d, &wide));
    const uint64_t members = u16(r + 10), size = u32(r + 12), offset = u32(r + 16);
    if (u16(r + 4) != 0 || u16(r + 6) != 0 || u16(r + 8) != members)
        return damaged(z, "it spans several disks");
    if (!wide)
        *d = (struct directory){offset, size, at, members};
    else if (!agree(members, 0xFFFF, d->members) || !agree(size, 0xFFFFFFFF, d->size) ||
             !agree(offset, 0xFFFFFFFF, d->offset))
        return damaged(z, "its two end records differ");
    if (d->offset > d->end || d->size != d->end - d->offset)
        return damaged(z, "its directory does not end where its end record starts");
    if (d->members > SL_NPZ_MEMBERS_MAX || d->size > DIRECTORY_MAX)
        SL_FAIL(SL_ERR_DATA, "%s: %" PRIu64 " members, at most %d are read", z->file.path,
                d->members, SL_NPZ_MEMBERS_MAX);
    return SL_OK;
}

/* Takes the next 64-bit value of the zip64 extra field if `value` is full. */
static bool widen(uint64_t *value, uint64_t full, sl_cursor *extra)
{
    return *value != full || sl_take_u64_le(extra, value);
}

/* The zip64 field among a header's extra fields: its body, or nothing. */
static bool zip64_extra(const unsigned char *extra, size_t n, sl_cursor *body)
{
    sl_cursor c = {extra, n};
    const unsigned char *head, *bytes;
    *body = (sl_cursor){NULL, 0};
    while (c.remaining > 0) {
        if (!sl_take(&c, 4, &head) || !sl_take(&c, u16(head + 2), &bytes))
            return false;
        if (u16(head) == 1)
            *body = (sl_cursor){bytes, u16(head + 2)};
    }
    return true;
}

const char *sl_npz_label(const struct sl_npz *z, const char *name, struct sl_npz_label *l)
{
    char escaped[SL_ESCAPED_SIZE];
    snprintf(l->text, sizeof l->text, "%.200s: array \"%s\"", z->file.path,
             sl_escape(name, strlen(name), escaped));
    return l->text;
}

static sl_status take_name(const struct sl_npz *z, const unsigned char *bytes, size_t n, char **out)
{
    char escaped[SL_ESCAPED_SIZE];
    if (n < 5 || n - 4 > SL_NPZ_NAME_MAX || memcmp(bytes + n - 4, ".npy", 4) != 0 ||
        memchr(bytes, 0, n))
        SL_FAIL(SL_ERR_DATA, "%s: member \"%s\" is no .npy array", z->file.path,
                sl_escape(bytes, n, escaped));
    char *name = sl_calloc(n - 3, 1);
    if (!name)
        return SL_ERR_MEMORY;
    memcpy(name, bytes, n - 4);
    *out = name;
    if (!sl_text_is_utf8(name))
        SL_FAIL(SL_ERR_DATA, "%s: member \"%s\" has a name that is not UTF-8", z->file.path,
                sl_escape(bytes, n, escaped));
    return SL_OK;
}

/* One entry of the directory; c stands behind it afterwards. */
static sl_status take_entry(const struct sl_npz *z, sl_cursor *c, struct sl_npz_array *a)
{
    const unsigned char *h, *name, *rest;
    sl_cursor extra;
    struct sl_npz_label l;
    if (!sl_take(c, CENTRAL_SIZE, &h) || memcmp(h, "PK\1\2", 4) != 0 ||
        !sl_take(c, u16(h + 28), &name) || !sl_take(c, u16(h + 30), &rest) ||
        !zip64_extra(rest, u16(h + 30), &extra) || !sl_take(c, u16(h + 32), &rest))
        return damaged(z, "an entry of its directory is cut short");
    SL_TRY(take_name(z, name, u16(h + 28), &a->name));
    const unsigned flags = u16(h + 8), method = u16(h + 10);
    a->crc = u32(h + 16);
    a->packed = u32(h + 20);
    a->size = u32(h + 24);
    a->start = u32(h + 42);
    if (!widen(&a->size, 0xFFFFFFFF, &extra) || !widen(&a->packed, 0xFFFFFFFF, &extra) ||
        !widen(&a->start, 0xFFFFFFFF, &extra))
        return damaged(z, "an entry of its directory lacks its zip64 sizes");
    if (flags & (ENCRYPTED | SIZES_FOLLOW))
        SL_FAIL(SL_ERR_DATA, "%s is %s; write the file anew with numpy.savez",
                sl_npz_label(z, a->name, &l),
                flags & ENCRYPTED ? "encrypted" : "of a streamed archive");
    if (method != STORED && method != DEFLATED)
        SL_FAIL(SL_ERR_DATA, "%s: compression method %u is not read (stored, deflated)",
                sl_npz_label(z, a->name, &l), method);
    a->deflated = method == DEFLATED;
    if ((!a->deflated && a->packed != a->size) || a->size > SL_NPZ_ARRAY_MAX)
        SL_FAIL(SL_ERR_DATA,
                "%s: %" PRIu64 " bytes in the file cannot be %" PRIu64 " bytes of data",
                sl_npz_label(z, a->name, &l), a->packed, a->size);
    return SL_OK;
}

/* The local header says the same as the directory; the data lie between it and the directory. */
static sl_status check_local(const struct sl_npz *z, const struct directory *d,
                             struct sl_npz_array *a)
{
    unsigned char h[LOCAL_SIZE], *rest = NULL;
    struct sl_npz_label l;
    const char *label = sl_npz_label(z, a->name, &l);
    sl_status st = SL_OK;
    if (a->start > d->offset || d->offset - a->start < LOCAL_SIZE)
        SL_FAIL(SL_ERR_DATA, "%s starts outside of the file", label);
    SL_TRY(sl_file_read(&z->file, a->start, h, LOCAL_SIZE));
    const size_t name = strlen(a->name) + 4, extra_size = u16(h + 28);
    a->data = a->start + LOCAL_SIZE + u16(h + 26) + extra_size;
    if (memcmp(h, "PK\3\4", 4) != 0 || u16(h + 26) != name || a->data > d->offset ||
        d->offset - a->data < a->packed)
        SL_FAIL(SL_ERR_DATA, "%s: its header is damaged or its data end outside of the file",
                label);
    SL_TRY(SL_NEW(rest, name + extra_size));
    SL_TRY_FREE(sl_file_read(&z->file, a->start + LOCAL_SIZE, rest, name + extra_size));
    uint64_t packed = u32(h + 18), size = u32(h + 22);
    sl_cursor extra;
    const bool same = memcmp(rest, a->name, name - 4) == 0 &&
                      zip64_extra(rest + name, extra_size, &extra) &&
                      widen(&size, 0xFFFFFFFF, &extra) && widen(&packed, 0xFFFFFFFF, &extra) &&
                      packed == a->packed && size == a->size && u32(h + 14) == a->crc &&
                      u16(h + 8) == (a->deflated ? DEFLATED : STORED) &&
                      !(u16(h + 6) & (ENCRYPTED | SIZES_FOLLOW));
    if (!same)
        st = sl_error_set(SL_ERR_DATA, "%s: its header and the directory differ", label);
fail:
    sl_free(rest);
    return st;
}

static int by_start(const void *x, const void *y)
{
    const struct sl_npz_array *a = x, *b = y;
    return (a->start > b->start) - (a->start < b->start);
}

static int by_name(const void *x, const void *y)
{
    const struct sl_npz_array *a = x, *b = y;
    return strcmp(a->name, b->name);
}

static sl_status check_disjoint(struct sl_npz *z)
{
    struct sl_npz_label l;
    qsort(z->arrays, z->n, sizeof *z->arrays, by_start);
    for (size_t i = 1; i < z->n; i++)
        if (z->arrays[i].start < z->arrays[i - 1].data + z->arrays[i - 1].packed)
            SL_FAIL(SL_ERR_DATA, "%s overlaps another", sl_npz_label(z, z->arrays[i].name, &l));
    qsort(z->arrays, z->n, sizeof *z->arrays, by_name);
    for (size_t i = 1; i < z->n; i++)
        if (strcmp(z->arrays[i].name, z->arrays[i - 1].name) == 0)
            SL_FAIL(SL_ERR_DATA, "%s is there twice", sl_npz_label(z, z->arrays[i].name, &l));
    return SL_OK;
}

static sl_status read_members(struct sl_npz *z, const struct directory *d)
{
    unsigned char *bytes = NULL;
    sl_status st;
    SL_TRY(SL_NEW(z->arrays, (size_t)d->members + 1));
    SL_TRY(SL_NEW(bytes, (size_t)d->size + 1));
    SL_TRY_FREE(sl_file_read(&z->file, d->offset, bytes, (size_t)d->size));
    sl_cursor c = {bytes, (size_t)d->size};
    while (z->n < d->members) {
        z->n++; /* so that closing frees a name that was taken before an error */
        SL_TRY_FREE(take_entry(z, &c, &z->arrays[z->n - 1]));
        SL_TRY_FREE(check_local(z, d, &z->arrays[z->n - 1]));
    }
    if (c.remaining > 0)
        st = damaged(z, "its directory lists more members than its end record counts");
    if (st == SL_OK)
        st = check_disjoint(z);
fail:
    sl_free(bytes);
    return st;
}

sl_status sl_npz_read_directory(struct sl_npz *npz)
{
    struct directory d = {0};
    SL_TRY(find_directory(npz, &d));
    return read_members(npz, &d);
}
