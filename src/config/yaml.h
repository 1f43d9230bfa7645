/*
 * The YAML subset of recipes: one document, block or flow mappings two levels deep, scalars and
 * flat lists. Anchors, aliases, tags, merge keys and duplicate keys are refused.
 */
#ifndef SL_CONFIG_YAML_H
#define SL_CONFIG_YAML_H

#include "config/options.h"

/* Called once per leaf in document order; key is dotted ("model.alpha"). */
typedef sl_status (*sl_yaml_leaf_fn)(void *user, const char *key, const struct sl_value *value,
                                     size_t line);

/* Errors name `path`, line and column. */
sl_status sl_yaml_read(const char *path, const char *text, size_t size, sl_yaml_leaf_fn fn,
                       void *user);

#endif
