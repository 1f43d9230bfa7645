/*
 * libyaml events -> dotted leaves. libyaml lets duplicate keys, aliases, tags, several documents
 * and any depth pass, so each is refused here, at the event, before work can grow.
 */
#include "config/yaml.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/alloc.h"

enum { SIZE_CAP = 1 << 20, SEEN_CAP = 256, LIST_CAP = 64, KEY_SIZE = 256 };

struct reader {
    yaml_parser_t parser;
    const char *path;
    sl_yaml_leaf_fn fn;
    void *user;
    char seen[SEEN_CAP][KEY_SIZE]; /* keys so far, with their lines, for duplicates */
    size_t seen_line[SEEN_CAP];
    size_t n_seen;
};

static sl_status fail_at(const struct reader *r, yaml_mark_t mark, const char *what)
{
    SL_FAIL(SL_ERR_CONFIG, "%s:%zu:%zu: %s", r->path, mark.line + 1, mark.column + 1, what);
}

static bool plain(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return !e->data.scalar.anchor && !e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return !e->data.sequence_start.anchor && !e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return !e->data.mapping_start.anchor && !e->data.mapping_start.tag;
    case YAML_ALIAS_EVENT:
        return false;
    default:
        return true;
    }
}

/* What libyaml says; its reader knows bytes only, its scanner and parser lines and columns. */
static sl_status parser_error(const struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    char text[256];
    if (p->error == YAML_MEMORY_ERROR)
        SL_FAIL(SL_ERR_MEMORY, "%s: out of memory in the YAML parser", r->path);
    if (p->error == YAML_READER_ERROR)
        SL_FAIL(SL_ERR_CONFIG, "%s: not valid YAML at byte %zu: %s", r->path, p->problem_offset,
                p->problem);
    snprintf(text, sizeof text, "not valid YAML: %s", p->problem ? p->problem : "unreadable");
    return fail_at(r, p->problem_mark, text);
}

/* The next event, already freed of everything the subset does not have. */
static sl_status next(struct reader *r, yaml_event_t *e)
{
    if (!yaml_parser_parse(&r->parser, e))
        return parser_error(r);
    if (plain(e))
        return SL_OK;
    const sl_status st =
        fail_at(r, e->start_mark, "anchors, aliases and tags are not part of recipes");
    yaml_event_delete(e);
    return st;
}

static sl_status copy_scalar(const struct reader *r, const yaml_event_t *e, char **text)
{
    const char *s = (const char *)e->data.scalar.value;
    if (strlen(s) != e->data.scalar.length)
        return fail_at(r, e->start_mark, "a value contains a NUL byte");
    *text = sl_strdup(s);
    return *text ? SL_OK : SL_ERR_MEMORY;
}

static sl_status note_key(struct reader *r, const char *key, yaml_mark_t mark)
{
    char text[2 * SL_ESCAPED_SIZE], escaped[SL_ESCAPED_SIZE];
    for (size_t i = 0; i < r->n_seen; i++) {
        if (strcmp(r->seen[i], key) != 0)
            continue;
        snprintf(text, sizeof text, "key '%s' stands twice; the first is in line %zu",
                 sl_escape(key, strlen(key), escaped), r->seen_line[i]);
        return fail_at(r, mark, text);
    }
    if (r->n_seen == SEEN_CAP)
        return fail_at(r, mark, "too many keys");
    snprintf(r->seen[r->n_seen], KEY_SIZE, "%s", key);
    r->seen_line[r->n_seen++] = mark.line + 1;
    return SL_OK;
}

/* A flat list after its start event. */
static sl_status read_list(struct reader *r, const char *key, yaml_mark_t mark)
{
    char *items[LIST_CAP];
    size_t n = 0;
    bool end = false;
    sl_status st = SL_OK;
    while (st == SL_OK && !end) {
        yaml_event_t e;
        st = next(r, &e);
        if (st != SL_OK)
            break;
        if (e.type == YAML_SEQUENCE_END_EVENT)
            end = true;
        else if (e.type != YAML_SCALAR_EVENT)
            st = fail_at(r, e.start_mark, "a list holds plain values only");
        else if (n == LIST_CAP)
            st = fail_at(r, e.start_mark, "a list has more than 64 values");
        else if ((st = copy_scalar(r, &e, &items[n])) == SL_OK)
            n++;
        yaml_event_delete(&e);
    }
    if (st == SL_OK) {
        const struct sl_value value = {true, n, (const char *const *)items};
        st = r->fn(r->user, key, &value, mark.line + 1);
    }
    for (size_t i = 0; i < n; i++)
        sl_free(items[i]);
    return st;
}

static sl_status read_mapping(struct reader *r, const char *prefix, int depth);

static sl_status read_value(struct reader *r, const char *key, int depth)
{
    yaml_event_t e;
    SL_TRY(next(r, &e));
    const yaml_mark_t mark = e.start_mark;
    const yaml_event_type_t type = e.type;
    char *text = NULL;
    sl_status st = type == YAML_SCALAR_EVENT ? copy_scalar(r, &e, &text) : SL_OK;
    yaml_event_delete(&e);
    SL_TRY(st);
    if (type == YAML_SEQUENCE_START_EVENT)
        return read_list(r, key, mark);
    if (type == YAML_MAPPING_START_EVENT)
        return read_mapping(r, key, depth + 1);
    if (type != YAML_SCALAR_EVENT)
        return fail_at(r, mark, "a value is missing");
    const struct sl_value value = {false, 1, (const char *const *)&text};
    st = r->fn(r->user, key, &value, mark.line + 1);
    sl_free(text);
    return st;
}

/* Key and value pairs after the start event of a mapping; depth 0 is the document's own. */
static sl_status read_mapping(struct reader *r, const char *prefix, int depth)
{
    size_t n_keys = 0;
    for (;;) {
        yaml_event_t e;
        char *name = NULL;
        char key[KEY_SIZE];
        SL_TRY(next(r, &e));
        const yaml_mark_t mark = e.start_mark;
        const yaml_event_type_t type = e.type;
        sl_status st = SL_OK;
        if (depth > (strncmp(prefix, "sweep.", 6) == 0 ? 2 : 1)) /* an axis: {from, to, step} */
            st = fail_at(r, mark, "sections do not nest: keys are section.name at most");
        else if (type == YAML_SCALAR_EVENT)
            st = copy_scalar(r, &e, &name);
        else if (type != YAML_MAPPING_END_EVENT)
            st = fail_at(r, mark, "a key must be a plain word");
        yaml_event_delete(&e);
        SL_TRY(st);
        if (type == YAML_MAPPING_END_EVENT)
            return depth == 0 || n_keys > 0
                       ? SL_OK
                       : fail_at(r, mark, "a mapping without keys; leave it out");
        n_keys++;
        const int n = snprintf(key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "", name);
        const bool empty = *name == '\0';
        sl_free(name);
        if (empty)
            return fail_at(r, mark, "a key is empty");
        if (n >= (int)sizeof key)
            return fail_at(r, mark, "a key is longer than 255 bytes");
        SL_TRY(note_key(r, key, mark));
        SL_TRY(read_value(r, key, depth));
    }
}

static sl_status expect(struct reader *r, yaml_event_type_t type, const char *what)
{
    yaml_event_t e;
    SL_TRY(next(r, &e));
    const yaml_mark_t mark = e.start_mark;
    const bool ok = e.type == type;
    yaml_event_delete(&e);
    return ok ? SL_OK : fail_at(r, mark, what);
}

static sl_status read_document(struct reader *r)
{
    SL_TRY(expect(r, YAML_STREAM_START_EVENT, "not a YAML stream"));
    SL_TRY(expect(r, YAML_DOCUMENT_START_EVENT, "the recipe is empty"));
    SL_TRY(expect(r, YAML_MAPPING_START_EVENT, "a recipe is a mapping of keys to values"));
    SL_TRY(read_mapping(r, "", 0));
    SL_TRY(expect(r, YAML_DOCUMENT_END_EVENT, "the document does not end"));
    return expect(r, YAML_STREAM_END_EVENT, "a recipe is one YAML document, not several");
}

sl_status sl_yaml_read(const char *path, const char *text, size_t size, sl_yaml_leaf_fn fn,
                       void *user)
{
    struct reader *r = NULL;
    if (size > SIZE_CAP)
        SL_FAIL(SL_ERR_CONFIG, "%s: %zu bytes are more than the %d a recipe may have", path, size,
                SIZE_CAP);
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) { /* a byte order mark, as editors add */
        text += 3;
        size -= 3;
    }
    SL_TRY(SL_NEW(r, 1));
    r->path = path;
    r->fn = fn;
    r->user = user;
    sl_status st = SL_OK;
    if (!yaml_parser_initialize(&r->parser)) {
        st = sl_error_set(SL_ERR_MEMORY, "out of memory in the YAML parser");
    } else {
        yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, size);
        st = read_document(r);
        yaml_parser_delete(&r->parser);
    }
    sl_free(r);
    return st;
}
