/* What the tests of the configuration share. */
#ifndef TESTS_UNIT_CONFIG_CASE_H
#define TESTS_UNIT_CONFIG_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "config/options.h"

static inline void require_ok(sl_status st)
{
    if (st != SL_OK)
        fail_msg("%s", sl_error_message());
}

static inline void expect_error(sl_status st, sl_status want, const char *word)
{
    if (st != want || !strstr(sl_error_message(), word))
        fail_msg("status %d and '%s'; wanted %d and '%s'", (int)st, sl_error_message(), (int)want,
                 word);
}

static inline const struct sl_option *option(const char *key)
{
    const size_t i = sl_option_find(key);
    if (i == sl_n_options)
        fail_msg("no key %s", key);
    return &sl_options[i];
}

static inline char *formatted(const struct sl_option *o, const struct sl_config *c)
{
    sl_text t = {0};
    char *s = NULL;
    sl_option_format(o, c, &t);
    require_ok(sl_text_take(&t, &s));
    return s;
}

/* A value of each kind that differs from the default. */
static inline void other_value(const struct sl_option *o, const struct sl_config *defaults,
                               char *text)
{
    char *now = formatted(o, defaults);
    switch (o->kind) {
    case SL_KIND_SIZE:
    case SL_KIND_U64:
    case SL_KIND_REAL:
        snprintf(text, 64, "%.17g", o->max < 10 ? o->min + (o->max - o->min) / 4 : o->min + 7);
        break;
    case SL_KIND_BOOL:
        strcpy(text, strcmp(now, "true") == 0 ? "false" : "true");
        break;
    case SL_KIND_TEXT:
        strcpy(text, "other: # 'text', \"\xC3\xA9\"\\");
        break;
    case SL_KIND_NAME:
        strcpy(text, "other_name-1.5+x");
        break;
    case SL_KIND_ENUM:
        strcpy(text, o->names[strcmp(now, o->names[0]) == 0 ? 1 : 0]);
        break;
    case SL_KIND_PHI:
        strcpy(text, "relu6");
        break;
    case SL_KIND_OPS:
        strcpy(text, "[flip_lr, \"pad_crop(4, 2)\"]");
        break;
    case SL_KIND_IMAGE_SIZE:
        strcpy(text, "[32, 48]");
        break;
    case SL_KIND_SCORE_BIAS:
        strcpy(text, "-log L");
        break;
    }
    sl_free(now);
}

/* A bad text and a word that the sentence about it must have. */
struct bad_text {
    const char *assignment, *word;
};
#endif
