/*
 * One option's value from text and to text, for every kind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "config/options.h"

#define NEG_LOG_LENGTH "-log L"

static sl_status bad_value(const struct sl_option *o, const char *text, const char *wanted)
{
    char escaped[SL_ESCAPED_SIZE];
    return sl_error_set(SL_ERR_CONFIG, "%s: '%s' is not %s", o->key,
                        sl_escape(text, strlen(text), escaped), wanted);
}

static sl_status out_of_range(const struct sl_option *o, const char *text)
{
    return sl_error_set(SL_ERR_CONFIG, "%s: %s is outside %g .. %g", o->key, text, o->min, o->max);
}

/* Decimal digits only: no sign, no leading zero, no other base. */
static sl_status parse_whole(const struct sl_option *o, const char *text, uint64_t *x)
{
    const size_t n = strlen(text);
    if (n == 0 || n > 19 || strspn(text, "0123456789") != n || (n > 1 && text[0] == '0'))
        return bad_value(o, text, "a whole number");
    const uint64_t value = strtoull(text, NULL, 10);
    if ((double)value < o->min || (double)value > o->max)
        return out_of_range(o, text);
    *x = value;
    return SL_OK;
}

static sl_status parse_real(const struct sl_option *o, const char *text, double *x)
{
    double value;
    if (!sl_parse_real(text, &value))
        return bad_value(o, text,
                         text[strspn(text, "0123456789+-.eE")] ? "a number" : "a finite number");
    if (value < o->min || value > o->max)
        return out_of_range(o, text);
    *x = value;
    return SL_OK;
}

static sl_status set_text(const struct sl_option *o, char *field, const char *text)
{
    static const char in_names[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "._+-";
    const size_t n = strlen(text);
    if (n < (size_t)o->min)
        SL_FAIL(SL_ERR_CONFIG, "%s must not be empty", o->key);
    if (n >= (size_t)o->max)
        SL_FAIL(SL_ERR_CONFIG, "%s: %zu bytes are more than the %g allowed", o->key, n, o->max - 1);
    if (!sl_text_is_utf8(text))
        return bad_value(o, text, "UTF-8 text");
    if (o->kind == SL_KIND_NAME && (strspn(text, in_names) != n || strchr(".-", text[0])))
        return bad_value(o, text,
                         "a name of letters, digits and . _ + - that starts with none of "
                         ". and -");
    memset(field, 0, (size_t)o->max);
    memcpy(field, text, n);
    return SL_OK;
}

static sl_status not_one_of(const struct sl_option *o, const char *text, const char *const *names,
                            size_t n)
{
    char escaped[SL_ESCAPED_SIZE];
    const char *near = sl_nearest(text, names, n);
    sl_text all = {0};
    for (size_t i = 0; i < n; i++)
        sl_text_addf(&all, "%s%s", i ? ", " : "", names[i]);
    sl_error_set(SL_ERR_CONFIG, "%s: '%s' is not one of %s%s%s%s", o->key,
                 sl_escape(text, strlen(text), escaped), all.text ? all.text : "its values",
                 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    sl_text_clear(&all);
    return SL_ERR_CONFIG;
}

static sl_status set_enum(const struct sl_option *o, void *field, const char *text)
{
    int i = 0;
    while (o->names[i] && strcmp(o->names[i], text) != 0)
        i++;
    if (!o->names[i])
        return not_one_of(o, text, o->names, (size_t)i);
    memcpy(field, &i, sizeof i);
    return SL_OK;
}

static sl_status set_phi(const struct sl_option *o, sl_phi *field, const char *text)
{
    const char *names[SL_PHI_COUNT];
    if (sl_phi_parse(text, field) == SL_OK)
        return SL_OK;
    for (int i = 0; i < SL_PHI_COUNT; i++)
        names[i] = sl_phi_name((sl_phi)i);
    return not_one_of(o, text, names, SL_PHI_COUNT);
}

static sl_status set_ops(const struct sl_option *o, struct sl_pipeline_config *ops,
                         const struct sl_value *value)
{
    struct sl_pipeline_config x = {.n = value->n};
    if (value->n > SL_OPS_MAX)
        SL_FAIL(SL_ERR_CONFIG, "%s: %zu operations are more than %d", o->key, value->n, SL_OPS_MAX);
    for (size_t i = 0; i < value->n; i++) {
        const size_t n = strlen(value->items[i]);
        if (n == 0 || n >= SL_NAME_MAX)
            SL_FAIL(SL_ERR_CONFIG, "%s: operation %zu has %zu bytes; 1 to %d are allowed", o->key,
                    i + 1, n, SL_NAME_MAX - 1);
        if (!sl_text_is_utf8(value->items[i]))
            return bad_value(o, value->items[i], "UTF-8 text");
        memcpy(x.ops[i], value->items[i], n);
    }
    *ops = x;
    return SL_OK;
}

static sl_status set_image_size(const struct sl_option *o, size_t *sides,
                                const struct sl_value *value)
{
    uint64_t height, width;
    if (value->n < 1 || value->n > 2)
        SL_FAIL(SL_ERR_CONFIG, "%s takes one side or [height, width], not %zu numbers", o->key,
                value->n);
    SL_TRY(parse_whole(o, value->items[0], &height));
    SL_TRY(parse_whole(o, value->items[value->n - 1], &width));
    sides[0] = (size_t)height;
    sides[1] = (size_t)width;
    return SL_OK;
}

static sl_status set_score_bias(const struct sl_option *o, struct sl_config *config,
                                const char *text)
{
    double bias = 0;
    const bool by_length = strcmp(text, NEG_LOG_LENGTH) == 0;
    if (!by_length && !sl_parse_real(text, &bias))
        return bad_value(o, text, "a number or " NEG_LOG_LENGTH);
    if (bias < o->min || bias > o->max)
        return out_of_range(o, text);
    config->model.bias = bias;
    config->model.bias_neg_log_length = by_length;
    return SL_OK;
}

static sl_status set_bool(const struct sl_option *o, bool *field, const char *text)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return bad_value(o, text, "true or false");
    *field = text[0] == 't';
    return SL_OK;
}

sl_status sl_option_set(const struct sl_option *o, struct sl_config *config,
                        const struct sl_value *value)
{
    void *field = (char *)config + o->offset;
    uint64_t whole = 0;
    if (o->kind == SL_KIND_OPS && !value->list)
        SL_FAIL(SL_ERR_CONFIG, "%s takes a list, e.g. [flip_lr]", o->key);
    if (o->kind == SL_KIND_OPS)
        return set_ops(o, field, value);
    if (o->kind == SL_KIND_IMAGE_SIZE)
        return set_image_size(o, field, value);
    if (value->list)
        SL_FAIL(SL_ERR_CONFIG, "%s takes one value, not a list", o->key);
    const char *text = value->items[0];
    switch (o->kind) {
    case SL_KIND_SIZE:
        SL_TRY(parse_whole(o, text, &whole));
        *(size_t *)field = (size_t)whole;
        return SL_OK;
    case SL_KIND_U64:
        return parse_whole(o, text, field);
    case SL_KIND_REAL:
        return parse_real(o, text, field);
    case SL_KIND_BOOL:
        return set_bool(o, field, text);
    case SL_KIND_TEXT:
    case SL_KIND_NAME:
        return set_text(o, field, text);
    case SL_KIND_ENUM:
        return set_enum(o, field, text);
    case SL_KIND_PHI:
        return set_phi(o, field, text);
    case SL_KIND_SCORE_BIAS:
        return set_score_bias(o, config, text);
    case SL_KIND_OPS:
    case SL_KIND_IMAGE_SIZE:
        break;
    }
    SL_FAIL(SL_ERR_INTERNAL, "%s: option of unknown kind", o->key);
}

#define BLANKS " \t\r\n"

/* Without the blanks around it, then without a pair of quotes; cuts in place. */
static char *trim(char *s)
{
    s += strspn(s, BLANKS);
    size_t n = strlen(s);
    while (n > 0 && strchr(BLANKS, s[n - 1]))
        s[--n] = '\0';
    if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
        s[n - 1] = '\0';
        s++;
    }
    return s;
}

/* Splits at commas outside parentheses, in place. */
static sl_status split_list(const struct sl_option *o, char *body, const char **items, size_t *n)
{
    int depth = 0;
    char *start = body;
    *n = 0;
    if (body[strspn(body, BLANKS)] == '\0')
        return SL_OK;
    for (char *c = body;; c++) {
        depth += (*c == '(') - (*c == ')');
        if (*c && !(*c == ',' && depth == 0))
            continue;
        const bool end = *c == '\0';
        *c = '\0';
        if (*n == SL_OPS_MAX)
            SL_FAIL(SL_ERR_CONFIG, "%s: more than %d items in the list", o->key, SL_OPS_MAX);
        items[(*n)++] = trim(start);
        start = c + 1;
        if (end)
            return SL_OK;
    }
}

sl_status sl_option_set_text(const struct sl_option *o, struct sl_config *config, const char *text)
{
    char copy[SL_OPS_MAX * SL_NAME_MAX + 64];
    const char *items[SL_OPS_MAX];
    const size_t n = strlen(text);
    struct sl_value value = {.n = 1, .items = &text};
    const bool may_be_list = o->kind == SL_KIND_OPS || o->kind == SL_KIND_IMAGE_SIZE;
    if (may_be_list && n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        if (n >= sizeof copy)
            SL_FAIL(SL_ERR_CONFIG, "%s: a list of %zu bytes is too long", o->key, n);
        memcpy(copy, text + 1, n - 2);
        copy[n - 2] = '\0';
        SL_TRY(split_list(o, copy, items, &value.n));
        value.list = true;
        value.items = items;
    }
    return sl_option_set(o, config, &value);
}

/* ---- to text ---- */

static void format_ops(const struct sl_pipeline_config *ops, sl_text *t)
{
    sl_text_add(t, "[");
    for (size_t i = 0; i < ops->n; i++) {
        sl_text_add(t, i ? ", " : "");
        sl_text_add_json_string(t, ops->ops[i]);
    }
    sl_text_add(t, "]");
}

static void format(const struct sl_option *o, const struct sl_config *config, bool quote,
                   sl_text *t)
{
    const void *field = (const char *)config + o->offset;
    const size_t *sides = field;
    const char *word = NULL;
    int index;
    switch (o->kind) {
    case SL_KIND_SIZE:
        sl_text_addf(t, "%zu", *(const size_t *)field);
        break;
    case SL_KIND_U64:
        sl_text_addf(t, "%llu", (unsigned long long)*(const uint64_t *)field);
        break;
    case SL_KIND_REAL:
        sl_text_add_json_number(t, *(const double *)field);
        break;
    case SL_KIND_BOOL:
        sl_text_add(t, *(const bool *)field ? "true" : "false");
        break;
    case SL_KIND_TEXT:
    case SL_KIND_NAME:
        sl_text_add_json_string(t, field);
        break;
    case SL_KIND_ENUM:
        memcpy(&index, field, sizeof index);
        word = o->names[index];
        break;
    case SL_KIND_PHI:
        word = sl_phi_name(*(const sl_phi *)field);
        break;
    case SL_KIND_OPS:
        format_ops(field, t);
        break;
    case SL_KIND_IMAGE_SIZE:
        if (sides[0] == sides[1])
            sl_text_addf(t, "%zu", sides[0]);
        else
            sl_text_addf(t, "[%zu, %zu]", sides[0], sides[1]);
        break;
    case SL_KIND_SCORE_BIAS:
        if (config->model.bias_neg_log_length)
            word = NEG_LOG_LENGTH;
        else
            sl_text_add_json_number(t, config->model.bias);
        break;
    }
    if (word && quote)
        sl_text_add_json_string(t, word);
    else if (word)
        sl_text_add(t, word);
}

void sl_option_format(const struct sl_option *o, const struct sl_config *config, sl_text *t)
{
    format(o, config, false, t);
}

void sl_option_format_json(const struct sl_option *o, const struct sl_config *config, sl_text *t)
{
    format(o, config, true, t);
}
