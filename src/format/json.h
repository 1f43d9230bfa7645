/*
 * Strict JSON on jansson: a linear pre-scan bounds structure before a tree is built; duplicate and
 * unknown keys, wrong types and ranges are errors that name the key.
 */
#ifndef SL_FORMAT_JSON_H
#define SL_FORMAT_JSON_H

#include <jansson.h>

#include "base/error.h"

/* Parses `size` bytes; `what` names the text in errors; max_structure caps { [ , outside strings;
 * *root is owned: json_decref. */
sl_status sl_json_parse(const char *text, size_t size, const char *what, size_t max_structure,
                        json_t **root);
/* Members of an object with the right type; `what` as above. The int is 0 .. max. */
sl_status sl_json_string(const json_t *object, const char *key, const char *what, const char **s);
/* The same into out[size], which it must fit. */
sl_status sl_json_string_copy(const json_t *object, const char *key, const char *what, char *out,
                              size_t size);
sl_status sl_json_uint(const json_t *object, const char *key, const char *what, uint64_t max,
                       uint64_t *x);
sl_status sl_json_double(const json_t *object, const char *key, const char *what, double *x);
/* Fails on the first key that is not in names[], with the nearest. */
sl_status sl_json_known_keys(const json_t *object, const char *const *names, size_t n,
                             const char *what);

#endif
