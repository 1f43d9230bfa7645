/*
 * Tar by its headers alone: an input with random access enters, members with the offsets of their
 * bytes leave, so that a sample is read later with one call and no library between. Strict where
 * readers of tar differ: two sizes for one member, links, sparse files, a missing end mark and
 * bytes behind it are errors. Everything read is first compared with the bytes that remain.
 */
#define _POSIX_C_SOURCE 200809L
#include "data/tar.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { TRAILING_MAX = 1 << 20, KEY_MAX = 64 };

/* Fields of a header: offset and length. */
enum {
    NAME = 0,
    NAME_SIZE = 100,
    SIZE = 124,
    SIZE_SIZE = 12,
    CHECKSUM = 148,
    CHECKSUM_SIZE = 8,
    KIND = 156,
    MAGIC = 257,
    PREFIX = 345,
    PREFIX_SIZE = 155
};

/* What extended headers say of the member that follows them. */
struct extended {
    bool has_name, has_size;
    uint64_t size;
};

/* ---- input ---- */

/* How many bytes from offset on the buffer holds. */
static size_t held(const struct sl_tar *t, uint64_t offset)
{
    const uint64_t end = t->buffer_at + t->buffered;
    return offset < t->buffer_at || offset >= end ? 0 : (size_t)(end - offset);
}

/* n <= SL_TAR_BUFFER bytes at offset, borrowed until the next call. What the buffer holds is not
 * read again: a compressed input only goes forward. */
static sl_status look(struct sl_tar *t, uint64_t offset, size_t n, const unsigned char **bytes)
{
    const struct sl_tar_input *in = t->in;
    if (offset > in->size || in->size - offset < n)
        SL_FAIL(SL_ERR_DATA, "%s: truncated tar: it ends at byte %llu, in the middle of a member",
                in->what, (unsigned long long)in->size);
    const size_t kept = held(t, offset);
    if (kept < n) {
        const uint64_t left = in->size - offset;
        const size_t take = left < SL_TAR_BUFFER ? (size_t)left : SL_TAR_BUFFER;
        if (kept > 0)
            memmove(t->buffer, t->buffer + (offset - t->buffer_at), kept);
        t->buffered = 0;
        SL_TRY(in->read(in->of, offset + kept, t->buffer + kept, take - kept));
        t->buffer_at = offset;
        t->buffered = take;
    }
    *bytes = t->buffer + (offset - t->buffer_at);
    return SL_OK;
}

sl_status sl_tar_read(struct sl_tar *t, uint64_t offset, void *buf, size_t n)
{
    const unsigned char *bytes;
    if (n > SL_TAR_BUFFER) {
        if (offset > t->in->size || t->in->size - offset < n)
            SL_FAIL(SL_ERR_DATA, "%s: truncated tar", t->in->what);
        const size_t kept = held(t, offset);
        if (kept > 0)
            memcpy(buf, t->buffer + (offset - t->buffer_at), kept);
        return t->in->read(t->in->of, offset + kept, (char *)buf + kept, n - kept);
    }
    SL_TRY(look(t, offset, n, &bytes));
    memcpy(buf, bytes, n);
    return SL_OK;
}

/* ---- fields ---- */

/* Octal digits between blanks, ended by a blank or NUL; or the base-256 form of GNU tar. */
static bool parse_octal(const unsigned char *field, size_t n, uint64_t *x)
{
    uint64_t value = 0;
    size_t i = 0, digits = 0;
    if (field[0] == 0x80) {
        for (i = 1; i < n; i++) {
            if (value >> 55)
                return false;
            value = value << 8 | field[i];
        }
        *x = value;
        return true;
    }
    while (i < n && field[i] == ' ')
        i++;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++, digits++)
        value = value << 3 | (uint64_t)(field[i] - '0'); /* n <= 12: at most 36 bits */
    for (; i < n; i++)
        if (field[i] != ' ' && field[i] != 0)
            return false;
    *x = value;
    return digits > 0;
}

static bool all_zero(const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static bool checksum_right(const unsigned char *h)
{
    uint64_t stored, sum = 0;
    for (size_t i = 0; i < SL_TAR_BLOCK; i++)
        sum += i >= CHECKSUM && i < CHECKSUM + CHECKSUM_SIZE ? ' ' : h[i];
    return parse_octal(h + CHECKSUM, CHECKSUM_SIZE, &stored) && stored == sum;
}

static sl_status take_name(const struct sl_tar *t, const char *name, size_t n,
                           struct sl_tar_member *m)
{
    char shown[SL_ESCAPED_SIZE];
    if (n == 0 || n > SL_TAR_NAME_MAX || memchr(name, 0, n))
        SL_FAIL(SL_ERR_DATA,
                "%s: the member at byte %llu has a name of %zu bytes, or one with a NUL (1 to %d "
                "bytes are allowed)",
                t->in->what, (unsigned long long)t->at, n, SL_TAR_NAME_MAX);
    memcpy(m->name, name, n);
    m->name[n] = '\0';
    if (!sl_text_is_utf8(m->name))
        SL_FAIL(SL_ERR_DATA, "%s: the member at byte %llu has a name that is not UTF-8: '%s'",
                t->in->what, (unsigned long long)t->at, sl_escape(name, n, shown));
    return SL_OK;
}

/* The name in a plain header: PREFIX/NAME in ustar; GNU tar keeps other things in the prefix. */
static sl_status take_header_name(const struct sl_tar *t, const unsigned char *h,
                                  struct sl_tar_member *m)
{
    char name[PREFIX_SIZE + 1 + NAME_SIZE];
    const bool ustar = memcmp(h + MAGIC, "ustar\0", 6) == 0;
    const size_t prefix = ustar ? strnlen((const char *)h + PREFIX, PREFIX_SIZE) : 0;
    const size_t n = strnlen((const char *)h + NAME, NAME_SIZE);
    size_t used = 0;
    if (prefix > 0) {
        memcpy(name, h + PREFIX, prefix);
        name[prefix] = '/';
        used = prefix + 1;
    }
    memcpy(name + used, h + NAME, n);
    return take_name(t, name, used + n, m);
}

/* ---- extended headers ---- */

static sl_status bad_pax(const struct sl_tar *t, const char *problem)
{
    SL_FAIL(SL_ERR_DATA, "%s: the pax header at byte %llu %s", t->in->what,
            (unsigned long long)t->at, problem);
}

static bool parse_decimal(const char *s, size_t n, uint64_t *x)
{
    uint64_t value = 0;
    if (n == 0 || n > 15)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(s[i] - '0');
    }
    *x = value;
    return true;
}

static sl_status take_record(const struct sl_tar *t, const char *key, const char *value, size_t n,
                             struct extended *e, struct sl_tar_member *m)
{
    if (strncmp(key, "GNU.sparse", 10) == 0)
        return bad_pax(t, "makes its member a sparse file, which a shard cannot hold");
    if (strcmp(key, "path") == 0) {
        if (e->has_name)
            return bad_pax(t, "gives a second name");
        e->has_name = true;
        return take_name(t, value, n, m);
    }
    if (strcmp(key, "size") == 0) {
        if (e->has_size || !parse_decimal(value, n, &e->size))
            return bad_pax(t, "has a second size, or one that is no number");
        e->has_size = true;
    }
    return SL_OK; /* times, owners and comments change nothing here */
}

/* Records "LENGTH KEY=VALUE\n", LENGTH counting all of itself. */
static sl_status take_pax(const struct sl_tar *t, const char *text, size_t n, struct extended *e,
                          struct sl_tar_member *m)
{
    for (size_t at = 0; at < n;) {
        const char *record = text + at, *blank = memchr(record, ' ', n - at);
        uint64_t length;
        if (!blank || !parse_decimal(record, (size_t)(blank - record), &length) ||
            length > n - at || length < (uint64_t)(blank - record) + 4)
            return bad_pax(t, "has a record whose length is wrong");
        const char *stop = record + length - 1, *key = blank + 1;
        const char *equals = memchr(key, '=', (size_t)(stop - key));
        if (*stop != '\n' || !equals || equals - key >= KEY_MAX || equals == key)
            return bad_pax(t, "has a malformed record");
        char word[KEY_MAX] = "";
        memcpy(word, key, (size_t)(equals - key));
        SL_TRY(take_record(t, word, equals + 1, (size_t)(stop - equals - 1), e, m));
        at += (size_t)length;
    }
    return SL_OK;
}

/* Header kinds 'x' (pax), 'g' (pax, for all members) and 'L' (GNU: the name is the member's
 * bytes). */
static sl_status take_extended(struct sl_tar *t, char kind, size_t size, struct extended *e,
                               struct sl_tar_member *m)
{
    char text[SL_TAR_BUFFER];
    if (size == 0 || size > sizeof text)
        SL_FAIL(SL_ERR_DATA,
                "%s: the extended header at byte %llu has %zu bytes (1 to %zu are "
                "allowed)",
                t->in->what, (unsigned long long)t->at, size, sizeof text);
    SL_TRY(sl_tar_read(t, t->at + SL_TAR_BLOCK, text, size));
    if (kind == 'L') {
        if (e->has_name)
            SL_FAIL(SL_ERR_DATA, "%s: the long name at byte %llu is the second of its member",
                    t->in->what, (unsigned long long)t->at);
        e->has_name = true;
        return take_name(t, text, text[size - 1] == '\0' ? size - 1 : size, m);
    }
    struct extended mine = *e;
    if (kind == 'g')
        mine = (struct extended){0};
    SL_TRY(take_pax(t, text, size, &mine, m));
    if (kind == 'g' && (mine.has_name || mine.has_size))
        return bad_pax(t, "gives one name or size to all members");
    if (kind == 'x')
        *e = mine;
    return SL_OK;
}

/* ---- members ---- */

/* At the end mark: two blocks of zeros, then padding of the same. */
static sl_status check_end(struct sl_tar *t)
{
    const uint64_t left = t->in->size - t->at;
    const unsigned char *bytes;
    if (left < 2 * SL_TAR_BLOCK || left > TRAILING_MAX)
        SL_FAIL(SL_ERR_DATA,
                "%s: its tar end mark at byte %llu is followed by %llu bytes (512 to %d are "
                "allowed): it is cut, or something was appended",
                t->in->what, (unsigned long long)t->at,
                (unsigned long long)(left < SL_TAR_BLOCK ? 0 : left - SL_TAR_BLOCK), TRAILING_MAX);
    for (uint64_t at = t->at; at < t->in->size; at += SL_TAR_BUFFER) {
        const uint64_t rest = t->in->size - at;
        const size_t n = rest < SL_TAR_BUFFER ? (size_t)rest : SL_TAR_BUFFER;
        SL_TRY(look(t, at, n, &bytes));
        if (!all_zero(bytes, n))
            SL_FAIL(SL_ERR_DATA, "%s: data after the tar end mark at byte %llu", t->in->what,
                    (unsigned long long)t->at);
    }
    return SL_OK;
}

static const char *kind_name(char kind)
{
    static const struct {
        char kind;
        const char *name;
    } names[] = {{'1', "a hard link"},        {'2', "a symbolic link"}, {'3', "a device"},
                 {'4', "a device"},           {'6', "a pipe"},          {'S', "a sparse file"},
                 {'K', "a link's long name"}, {'M', "a continued file"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].kind == kind)
            return names[i].name;
    return "of an unknown kind";
}

static sl_status check_header(const struct sl_tar *t, const unsigned char *h, uint64_t *size)
{
    const unsigned long long at = t->at;
    if (!checksum_right(h))
        SL_FAIL(SL_ERR_DATA, "%s: no tar header at byte %llu (wrong checksum): damaged, or no tar",
                t->in->what, at);
    if (memcmp(h + MAGIC, "ustar", 5) != 0)
        SL_FAIL(SL_ERR_DATA, "%s: the header at byte %llu is older than ustar; write the tar anew",
                t->in->what, at);
    if (!parse_octal(h + SIZE, SIZE_SIZE, size))
        SL_FAIL(SL_ERR_DATA, "%s: the member at byte %llu has a size that is no number",
                t->in->what, at);
    if (*size > SL_TAR_MEMBER_MAX)
        SL_FAIL(SL_ERR_DATA, "%s: the member at byte %llu has %llu bytes; the limit is %d",
                t->in->what, at, (unsigned long long)*size, SL_TAR_MEMBER_MAX);
    const uint64_t room = t->in->size - t->at - SL_TAR_BLOCK;
    if ((*size + SL_TAR_BLOCK - 1) / SL_TAR_BLOCK * SL_TAR_BLOCK > room)
        SL_FAIL(SL_ERR_DATA,
                "%s: truncated tar: the member at byte %llu has %llu bytes, %llu remain",
                t->in->what, at, (unsigned long long)*size, (unsigned long long)room);
    return SL_OK;
}

static sl_status take_member(const struct sl_tar *t, const unsigned char *h, uint64_t size,
                             const struct extended *e, struct sl_tar_member *m)
{
    const char kind = (char)h[KIND];
    char shown[SL_ESCAPED_SIZE];
    if (!e->has_name)
        SL_TRY(take_header_name(t, h, m));
    sl_escape(m->name, strlen(m->name), shown);
    m->folder = kind == '5';
    if (kind != '0' && kind != '\0' && kind != '5')
        SL_FAIL(SL_ERR_DATA, "%s: the member '%s' is %s; a shard holds files only", t->in->what,
                shown, kind_name(kind));
    if (e->has_size && e->size != size)
        SL_FAIL(SL_ERR_DATA, "%s: the member '%s' has two sizes, %llu and %llu bytes", t->in->what,
                shown, (unsigned long long)size, (unsigned long long)e->size);
    if ((size == 0) != m->folder)
        SL_FAIL(SL_ERR_DATA, "%s: the member '%s' is %s", t->in->what, shown,
                m->folder ? "a folder with bytes of its own" : "empty");
    m->offset = t->at + SL_TAR_BLOCK;
    m->size = (size_t)size;
    return SL_OK;
}

sl_status sl_tar_next(struct sl_tar *t, struct sl_tar_member *member, bool *end)
{
    struct extended extended = {0};
    for (;;) {
        unsigned char h[SL_TAR_BLOCK];
        uint64_t size = 0;
        SL_TRY(sl_tar_read(t, t->at, h, SL_TAR_BLOCK));
        if (all_zero(h, SL_TAR_BLOCK)) {
            if (extended.has_name || extended.has_size)
                SL_FAIL(SL_ERR_DATA, "%s: it ends after the header of a member that is missing",
                        t->in->what);
            *end = true;
            return check_end(t);
        }
        SL_TRY(check_header(t, h, &size));
        const char kind = (char)h[KIND];
        const bool is_extended = kind == 'x' || kind == 'g' || kind == 'L';
        if (is_extended)
            SL_TRY(take_extended(t, kind, (size_t)size, &extended, member));
        else
            SL_TRY(take_member(t, h, size, &extended, member));
        t->at += SL_TAR_BLOCK + (size + SL_TAR_BLOCK - 1) / SL_TAR_BLOCK * SL_TAR_BLOCK;
        if (!is_extended) {
            *end = false;
            return SL_OK;
        }
    }
}

/* ---- writing ---- */

void sl_tar_header(const char *name, uint64_t size, unsigned char block[SL_TAR_BLOCK])
{
    unsigned sum = 0;
    char *h = (char *)block;
    memset(h, 0, SL_TAR_BLOCK);
    snprintf(h + NAME, NAME_SIZE, "%s", name);
    memcpy(h + 100,
           "0000644\0"
           "0000000\0"
           "0000000\0",
           24); /* mode, owner, group */
    snprintf(h + SIZE, SIZE_SIZE, "%011llo", (unsigned long long)size);
    memcpy(h + 136, "00000000000", 12); /* 1970: the same images give the same bytes */
    memset(h + CHECKSUM, ' ', CHECKSUM_SIZE);
    h[KIND] = '0';
    memcpy(h + MAGIC,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < SL_TAR_BLOCK; i++)
        sum += block[i];
    snprintf(h + CHECKSUM, CHECKSUM_SIZE, "%06o", sum);
    h[CHECKSUM + 7] = ' ';
}
