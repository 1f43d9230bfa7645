/*
 * Strict JSON. Text from outside enters, a jansson tree leaves. The pre-scan is linear and comes
 * first, because a tree costs up to 78 times its text; jansson then refuses duplicate keys, bad
 * UTF-8, numbers out of range and anything after the value. The pre-scan also bounds nesting, so
 * that neither the parser nor json_decref recurses far.
 */
#include "format/json.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"

enum { DEPTH = 64 };

/* Counts { [ , outside strings and the nesting depth. Unbalanced text is left to the parser. */
static sl_status scan(const char *text, size_t size, const char *what, size_t max_structure)
{
    size_t structure = 0, depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        in_string = c == '"';
        const bool opens = c == '{' || c == '[';
        if ((opens || c == ',') && ++structure > max_structure)
            SL_FAIL(SL_ERR_DATA, "%s: more than %zu JSON elements at byte %zu", what, max_structure,
                    i);
        if (opens && ++depth > DEPTH)
            SL_FAIL(SL_ERR_DATA, "%s: JSON nested more than %d deep at byte %zu", what, DEPTH, i);
        if ((c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return SL_OK;
}

sl_status sl_json_parse(const char *text, size_t size, const char *what, size_t max_structure,
                        json_t **root)
{
    json_error_t error;
    SL_TRY(scan(text, size, what, max_structure));
    json_t *tree = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!tree && json_error_code(&error) == json_error_out_of_memory)
        SL_FAIL(SL_ERR_MEMORY, "%s: out of memory while parsing JSON", what);
    if (!tree) {
        char escaped[SL_ESCAPED_SIZE];
        SL_FAIL(SL_ERR_DATA, "%s: bad JSON at line %d, column %d (byte %d): %s", what, error.line,
                error.column, error.position, sl_escape(error.text, strlen(error.text), escaped));
    }
    *root = tree;
    return SL_OK;
}

static sl_status member(const json_t *object, const char *key, const char *what, json_t **value)
{
    if (!json_is_object(object))
        SL_FAIL(SL_ERR_DATA, "%s: a JSON object with \"%s\" was expected", what, key);
    *value = json_object_get(object, key);
    if (!*value)
        SL_FAIL(SL_ERR_DATA, "%s: \"%s\" is missing", what, key);
    return SL_OK;
}

sl_status sl_json_string(const json_t *object, const char *key, const char *what, const char **s)
{
    json_t *value;
    SL_TRY(member(object, key, what, &value));
    if (!json_is_string(value))
        SL_FAIL(SL_ERR_DATA, "%s: \"%s\" must be a string", what, key);
    *s = json_string_value(value);
    return SL_OK;
}

sl_status sl_json_string_copy(const json_t *object, const char *key, const char *what, char *out,
                              size_t size)
{
    const char *s;
    SL_TRY(sl_json_string(object, key, what, &s));
    if (strlen(s) >= size)
        SL_FAIL(SL_ERR_DATA, "%s: \"%s\" is longer than %zu bytes", what, key, size - 1);
    memcpy(out, s, strlen(s) + 1);
    return SL_OK;
}

sl_status sl_json_uint(const json_t *object, const char *key, const char *what, uint64_t max,
                       uint64_t *x)
{
    json_t *value;
    SL_TRY(member(object, key, what, &value));
    if (!json_is_integer(value))
        SL_FAIL(SL_ERR_DATA, "%s: \"%s\" must be an integer", what, key);
    const json_int_t number = json_integer_value(value);
    if (number < 0 || (uint64_t)number > max)
        SL_FAIL(SL_ERR_DATA, "%s: \"%s\" is %" JSON_INTEGER_FORMAT ", outside 0 .. %" PRIu64, what,
                key, number, max);
    *x = (uint64_t)number;
    return SL_OK;
}

sl_status sl_json_double(const json_t *object, const char *key, const char *what, double *x)
{
    json_t *value;
    SL_TRY(member(object, key, what, &value));
    if (!json_is_number(value))
        SL_FAIL(SL_ERR_DATA, "%s: \"%s\" must be a number", what, key);
    *x = json_number_value(value);
    return SL_OK;
}

sl_status sl_json_known_keys(const json_t *object, const char *const *names, size_t n,
                             const char *what)
{
    if (!json_is_object(object))
        SL_FAIL(SL_ERR_DATA, "%s: a JSON object was expected", what);
    for (void *it = json_object_iter((json_t *)object); it;
         it = json_object_iter_next((json_t *)object, it)) {
        const char *key = json_object_iter_key(it);
        size_t i = 0;
        while (i < n && strcmp(key, names[i]) != 0)
            i++;
        if (i < n)
            continue;
        char escaped[SL_ESCAPED_SIZE];
        const char *near = sl_nearest(key, names, n);
        SL_FAIL(SL_ERR_DATA, "%s: unknown key \"%s\"%s%s%s", what,
                sl_escape(key, strlen(key), escaped), near ? "; did you mean \"" : "",
                near ? near : "", near ? "\"?" : "");
    }
    return SL_OK;
}
