/*
 * The option table: the one home of every recipe key. Values of all kinds are set from text and
 * written as text by two functions, so YAML, --set, weight files, dumps and diffs cannot disagree.
 */
#ifndef SL_CONFIG_OPTIONS_H
#define SL_CONFIG_OPTIONS_H

#include "base/text.h"
#include "config/config.h"

enum sl_kind {
    SL_KIND_SIZE,       /* size_t */
    SL_KIND_U64,        /* uint64_t */
    SL_KIND_REAL,       /* double */
    SL_KIND_BOOL,       /* bool */
    SL_KIND_TEXT,       /* char[max], UTF-8 */
    SL_KIND_NAME,       /* the same, fit to be a part of a file's name */
    SL_KIND_ENUM,       /* an enum, values in the order of names */
    SL_KIND_PHI,        /* enum sl_phi */
    SL_KIND_OPS,        /* struct sl_pipeline_config: a list */
    SL_KIND_IMAGE_SIZE, /* a side or [height, width]: two size_t */
    SL_KIND_SCORE_BIAS  /* a number or "-log L": bias and bias_neg_log_length */
};

struct sl_option {
    const char *key; /* "model.alpha" */
    enum sl_kind kind;
    size_t offset;            /* in struct sl_config */
    const char *fallback;     /* default, as text; lists as "[a, b]" */
    double min, max;          /* range of numbers; max = bytes of a text */
    const char *const *names; /* of an enum, NULL-terminated */
    bool inert;               /* changes no result: a name, logging, what fits the machine */
    const char *help;
};

extern const struct sl_option sl_options[];
extern const size_t sl_n_options;

/* Index of a key, or sl_n_options. */
size_t sl_option_find(const char *key);
/* The key meant by an unknown one: its last word in another section, or the nearest; or NULL. */
const char *sl_option_nearest(const char *key);

/* A value as it stands in a file: one text, or a list of them. */
struct sl_value {
    bool list;
    size_t n;
    const char *const *items; /* [n]; a scalar is items[0] */
};

/* SL_ERR_CONFIG with key, value and what is allowed. */
sl_status sl_option_set(const struct sl_option *o, struct sl_config *config,
                        const struct sl_value *value);
/* From "text" or "[a, b(1, 2), c]". */
sl_status sl_option_set_text(const struct sl_option *o, struct sl_config *config, const char *text);
/* As YAML. */
void sl_option_format(const struct sl_option *o, const struct sl_config *config, sl_text *t);
/* As JSON. */
void sl_option_format_json(const struct sl_option *o, const struct sl_config *config, sl_text *t);

#endif
