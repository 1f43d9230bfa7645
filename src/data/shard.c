/*
 * A shard in the layout of WebDataset: members that follow each other and share the name up to the
 * first dot of its last part are one sample. The image is the member jpg, jpeg, jpe or png; the
 * label a decimal number in the member cls, or the key "label" or "cls" of the JSON object in the
 * member json. Other members are passed over, and so are groups without image and label.
 */
#include "data/shard.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/text.h"
#include "format/json.h"

enum { CLS_MAX = 64, JSON_MAX = 64 << 10, JSON_STRUCTURE = 4096 };

/* The sample being read. */
struct group {
    char key[SL_TAR_NAME_MAX + 1]; /* "" = none yet */
    uint64_t offset;
    size_t size;    /* of the image; 0 = none yet */
    int32_t label;  /* of cls, else of json; -1 = none yet */
    bool cls, json; /* seen */
};

struct scan {
    struct sl_tar tar;
    struct sl_shard shard;
    struct group group;
    uint64_t *keys; /* [shard.n] digests of the samples' keys; room as of shard */
    size_t keys_room;
};

/* ---- samples ---- */

sl_status sl_shard_add(struct sl_shard *s, uint64_t offset, size_t size, int32_t label)
{
    if (s->n == s->room) {
        const size_t room = s->room ? 2 * s->room : 256;
        struct sl_shard_sample *grown = sl_regrow(s->samples, s->n, room, sizeof *grown);
        if (!grown)
            return SL_ERR_MEMORY;
        s->samples = grown;
        s->room = room;
    }
    s->samples[s->n++] = (struct sl_shard_sample){offset, (uint32_t)size, label};
    return SL_OK;
}

void sl_shard_free(struct sl_shard *s)
{
    sl_free(s->samples);
    *s = (struct sl_shard){0};
}

static sl_status add_key(struct scan *s, const char *key)
{
    char digest[SL_DIGEST_SIZE];
    if (s->shard.n == s->keys_room) {
        const size_t room = s->keys_room ? 2 * s->keys_room : 256;
        uint64_t *grown = sl_regrow(s->keys, s->shard.n, room, sizeof *grown);
        if (!grown)
            return SL_ERR_MEMORY;
        s->keys = grown;
        s->keys_room = room;
    }
    sl_digest(key, strlen(key), digest);
    digest[16] = '\0';
    s->keys[s->shard.n] = strtoull(digest, NULL, 16);
    return SL_OK;
}

static sl_status bad_sample(const struct scan *s, const char *key, const char *problem)
{
    char shown[SL_ESCAPED_SIZE];
    SL_FAIL(SL_ERR_DATA, "%s: the sample '%s' %s", s->tar.in->what,
            sl_escape(key, strlen(key), shown), problem);
}

static sl_status end_group(struct scan *s)
{
    const struct group *g = &s->group;
    const bool image = g->size > 0, label = g->label >= 0;
    if (image && !label)
        return bad_sample(s, g->key, "has an image and no label (cls, or json with \"label\")");
    if (label && !image && g->cls)
        return bad_sample(s, g->key, "has a label and no image (jpg, jpeg, jpe, png)");
    if (image) {
        SL_TRY(add_key(s, g->key));
        SL_TRY(sl_shard_add(&s->shard, g->offset, g->size, g->label));
    } else if (g->json) {
        s->shard.ignored++;
    }
    s->group = (struct group){.label = -1};
    return SL_OK;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Digests of 64 bits: two keys of a million collide by accident once in 40 million shards. */
static sl_status check_keys(struct scan *s)
{
    if (s->shard.n > 1)
        qsort(s->keys, s->shard.n, sizeof *s->keys, by_value);
    for (size_t i = 1; i < s->shard.n; i++)
        if (s->keys[i] == s->keys[i - 1])
            SL_FAIL(SL_ERR_DATA, "%s: two samples have the same name; write the shard anew",
                    s->tar.in->what);
    return SL_OK;
}

/* ---- labels ---- */

static sl_status take_label(const struct scan *s, const char *key, uint64_t x, int32_t *label)
{
    if (x >= SL_SHARD_CLASSES_MAX)
        return bad_sample(s, key, "has a label of 1048576 or more");
    *label = (int32_t)x;
    return SL_OK;
}

static sl_status read_cls(struct scan *s, const struct sl_tar_member *m, int32_t *label)
{
    char text[CLS_MAX + 1] = "", *end;
    if (m->size > CLS_MAX)
        return bad_sample(s, m->name, "is no number: it is too long");
    SL_TRY(sl_tar_read(&s->tar, m->offset, text, m->size));
    const size_t digits = strspn(text, "0123456789");
    const uint64_t x = strtoull(text, &end, 10);
    if (digits == 0 || digits > 15 || text[digits + strspn(text + digits, " \r\n\t")] != '\0' ||
        strlen(text) != m->size)
        return bad_sample(s, m->name, "is no number");
    return take_label(s, m->name, x, label);
}

static sl_status json_label(const struct scan *s, const char *name, const json_t *root,
                            int32_t *label)
{
    static const char *const keys[] = {"label", "cls"};
    if (!json_is_object(root))
        return bad_sample(s, name, "is no JSON object");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *x = json_object_get(root, keys[i]);
        if (json_is_integer(x) && json_integer_value(x) >= 0)
            return take_label(s, name, (uint64_t)json_integer_value(x), label);
        if (json_is_integer(x))
            return bad_sample(s, name, "has a negative label");
    }
    return SL_OK; /* metadata of a sample whose label is in cls */
}

static sl_status read_json(struct scan *s, const struct sl_tar_member *m, int32_t *label)
{
    char *text, what[2 * SL_ESCAPED_SIZE], shown[SL_ESCAPED_SIZE];
    json_t *root = NULL;
    if (m->size > JSON_MAX)
        return bad_sample(s, m->name, "is over the limit of 65536 bytes for JSON");
    SL_TRY(SL_NEW(text, m->size));
    sl_status st = sl_tar_read(&s->tar, m->offset, text, m->size);
    snprintf(what, sizeof what, "%.200s: %s", s->tar.in->what,
             sl_escape(m->name, strlen(m->name), shown));
    if (st == SL_OK)
        st = sl_json_parse(text, m->size, what, JSON_STRUCTURE, &root);
    if (st == SL_OK)
        st = json_label(s, m->name, root, label);
    json_decref(root);
    sl_free(text);
    return st;
}

/* ---- members ---- */

static bool is_image(const char *ending)
{
    static const char *const endings[] = {"jpg", "jpeg", "jpe", "png"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(ending, endings[i]) == 0)
            return true;
    return false;
}

static sl_status take_member(struct scan *s, const struct sl_tar_member *m, const char *ending)
{
    struct group *g = &s->group;
    if (is_image(ending)) {
        if (g->size > 0)
            return bad_sample(s, g->key, "has two images");
        g->offset = m->offset;
        g->size = m->size;
        return SL_OK;
    }
    if (strcasecmp(ending, "cls") == 0) {
        if (g->cls)
            return bad_sample(s, g->key, "has two members cls");
        g->cls = true;
        return read_cls(s, m, &g->label);
    }
    if (strcasecmp(ending, "json") == 0) {
        if (g->json)
            return bad_sample(s, g->key, "has two members json");
        g->json = true;
        int32_t ignored = -1;
        return read_json(s, m, g->cls ? &ignored : &g->label);
    }
    s->shard.ignored++;
    return SL_OK;
}

/* Splits "folder/key.ending"; false if the name has no such form. */
static bool split_name(const char *name, size_t *key_length, const char **ending)
{
    const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name;
    const char *dot = strchr(last, '.');
    if (!dot || dot == last)
        return false;
    *key_length = (size_t)(dot - name);
    *ending = dot + 1;
    return true;
}

static sl_status scan_member(struct scan *s, const struct sl_tar_member *m)
{
    size_t n;
    const char *ending;
    if (m->folder || !split_name(m->name, &n, &ending)) {
        s->shard.ignored += !m->folder;
        return SL_OK;
    }
    struct group *g = &s->group;
    if (strlen(g->key) != n || memcmp(g->key, m->name, n) != 0) {
        SL_TRY(end_group(s));
        memcpy(g->key, m->name, n);
    }
    return take_member(s, m, ending);
}

static sl_status scan_members(struct scan *s, struct sl_tar_member *m)
{
    for (;;) {
        bool end = false;
        SL_TRY(sl_tar_next(&s->tar, m, &end));
        if (end)
            break;
        SL_TRY(scan_member(s, m));
    }
    SL_TRY(end_group(s));
    return check_keys(s);
}

sl_status sl_shard_scan(const struct sl_tar_input *in, struct sl_shard *shard)
{
    struct scan *s;
    struct sl_tar_member *m = NULL;
    SL_TRY(SL_NEW(s, 1));
    s->tar.in = in;
    s->group.label = -1;
    s->shard.bytes = in->size;
    sl_status st = SL_NEW(m, 1);
    if (st == SL_OK)
        st = scan_members(s, m);
    if (st == SL_OK)
        *shard = s->shard;
    else
        sl_shard_free(&s->shard);
    sl_free(s->keys);
    sl_free(m);
    sl_free(s);
    return st;
}
