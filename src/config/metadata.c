/*
 * The model and preprocessing sections as JSON, for weight files: the option table's keys without
 * their section, so that the file says what the recipe said.
 */
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "config/options.h"
#include "format/json.h"

enum { STRUCTURE_CAP = 1024, LIST_CAP = SL_OPS_MAX };
static const char model_section[] = "model.", data_section[] = "data.";
static const char train_length_key[] = "train_length";

/* Which options belong to a section's JSON. */
static bool belongs(const struct sl_option *o, const char *section)
{
    static const char *const data_keys[] = {"data.eval", "data.eval_ops", "data.compat",
                                            "data.value_min", "data.value_max"};
    if (section == model_section)
        return strncmp(o->key, model_section, sizeof model_section - 1) == 0;
    for (size_t i = 0; i < sizeof data_keys / sizeof data_keys[0]; i++)
        if (strcmp(o->key, data_keys[i]) == 0)
            return true;
    return false;
}

static void write_section(const struct sl_config *config, const char *section, sl_text *t)
{
    const char *separator = "{";
    for (size_t i = 0; i < sl_n_options; i++) {
        if (!belongs(&sl_options[i], section))
            continue;
        sl_text_addf(t, "%s\"%s\": ", separator, sl_options[i].key + strlen(section));
        sl_option_format_json(&sl_options[i], config, t);
        separator = ", ";
    }
}

sl_status sl_vit_to_json(const struct sl_vit_config *vit, char **json)
{
    struct sl_config config;
    sl_text t = {0};
    sl_config_defaults(&config);
    config.model = *vit;
    write_section(&config, model_section, &t);
    sl_text_addf(&t, ", \"%s\": ", train_length_key);
    sl_text_add_json_number(&t, vit->train_length);
    sl_text_add(&t, "}");
    return sl_text_take(&t, json);
}

sl_status sl_preprocess_to_json(const struct sl_data_config *data, char **json)
{
    struct sl_config config;
    sl_text t = {0};
    sl_config_defaults(&config);
    config.data = *data;
    write_section(&config, data_section, &t);
    sl_text_add(&t, "}");
    return sl_text_take(&t, json);
}

/* A JSON scalar as the text a recipe would have; buf holds numbers. */
static const char *scalar_text(const json_t *x, char buf[64])
{
    if (json_is_string(x))
        return json_string_value(x);
    if (json_is_boolean(x))
        return json_is_true(x) ? "true" : "false";
    if (json_is_integer(x))
        snprintf(buf, 64, "%lld", (long long)json_integer_value(x));
    else
        sl_print(buf, 64, "%.17g", json_real_value(x));
    return buf;
}

/* Whether a JSON value has the type that an option's kind is written as. */
static bool has_type(const struct sl_option *o, const json_t *x)
{
    switch (o->kind) {
    case SL_KIND_SIZE:
    case SL_KIND_U64:
    case SL_KIND_IMAGE_SIZE:
        return json_is_integer(x);
    case SL_KIND_REAL:
        return json_is_number(x);
    case SL_KIND_BOOL:
        return json_is_boolean(x);
    case SL_KIND_SCORE_BIAS:
        return json_is_number(x) || json_is_string(x);
    case SL_KIND_TEXT:
    case SL_KIND_NAME:
    case SL_KIND_ENUM:
    case SL_KIND_PHI:
    case SL_KIND_OPS:
        return json_is_string(x);
    }
    return false;
}

static sl_status set_from_json(const struct sl_option *o, struct sl_config *config, const json_t *x,
                               const char *what)
{
    char bufs[LIST_CAP][64];
    const char *items[LIST_CAP];
    struct sl_value value = {.list = json_is_array(x), .n = 1, .items = items};
    if (value.list)
        value.n = json_array_size(x);
    if (value.n > LIST_CAP)
        SL_FAIL(SL_ERR_DATA, "%s: '%s' has %zu values, %d are allowed", what, o->key, value.n,
                LIST_CAP);
    for (size_t i = 0; i < value.n; i++) {
        const json_t *item = value.list ? json_array_get(x, i) : x;
        if (!has_type(o, item))
            SL_FAIL(SL_ERR_DATA, "%s: '%s' has the wrong JSON type", what, o->key);
        items[i] = scalar_text(item, bufs[i]);
    }
    if (sl_option_set(o, config, &value) != SL_OK)
        return sl_error_prefix(SL_ERR_DATA, "%s", what);
    return SL_OK;
}

static sl_status read_section(const json_t *root, const char *section, const char *what,
                              struct sl_config *config)
{
    const char *key;
    json_t *x;
    if (!json_is_object(root))
        SL_FAIL(SL_ERR_DATA, "%s: a JSON object was expected", what);
    json_object_foreach((json_t *)root, key, x)
    {
        char full[SL_NAME_MAX];
        if (section == model_section && strcmp(key, train_length_key) == 0)
            continue;
        snprintf(full, sizeof full, "%s%s", section, key);
        const size_t i = sl_option_find(full);
        if (i == sl_n_options || !belongs(&sl_options[i], section)) {
            char escaped[SL_ESCAPED_SIZE];
            SL_FAIL(SL_ERR_DATA, "%s: unknown key '%s'; the file is from a newer version", what,
                    sl_escape(key, strlen(key), escaped));
        }
        SL_TRY(set_from_json(&sl_options[i], config, x, what));
    }
    return SL_OK;
}

sl_status sl_vit_from_json(const char *json, size_t size, struct sl_vit_config *vit)
{
    static const char what[] = "softless.model";
    struct sl_config config;
    json_t *root = NULL;
    double train_length = 0;
    SL_TRY(sl_json_parse(json, size, what, STRUCTURE_CAP, &root));
    sl_config_defaults(&config);
    sl_status st = read_section(root, model_section, what, &config);
    if (st == SL_OK)
        st = sl_json_double(root, train_length_key, what, &train_length);
    json_decref(root);
    SL_TRY(st);
    if (!(train_length >= 0))
        SL_FAIL(SL_ERR_DATA, "%s: \"%s\" is %g, less than 0", what, train_length_key, train_length);
    config.train.total_steps = 1; /* the checks of a whole recipe, the model section's among them */
    if (sl_config_resolve(&config) != SL_OK)
        return sl_error_prefix(SL_ERR_DATA, "%s", what);
    *vit = config.model;
    vit->train_length = train_length;
    return SL_OK;
}

sl_status sl_preprocess_from_json(const char *json, size_t size, struct sl_data_config *data)
{
    static const char what[] = "softless.preprocess";
    struct sl_config config;
    json_t *root = NULL;
    SL_TRY(sl_json_parse(json, size, what, STRUCTURE_CAP, &root));
    sl_config_defaults(&config);
    const sl_status st = read_section(root, data_section, what, &config);
    json_decref(root);
    SL_TRY(st);
    if (!(config.data.value_min < config.data.value_max))
        SL_FAIL(SL_ERR_DATA, "%s: value_min %g is not below value_max %g", what,
                config.data.value_min, config.data.value_max);
    *data = config.data;
    return SL_OK;
}
