/*
 * File names written as a pattern with braces, as shells and WebDataset do.
 */
#ifndef SL_DATA_BRACES_H
#define SL_DATA_BRACES_H

#include "base/error.h"

enum { SL_BRACES_MAX = 1000000 };

/* "a-{000..012}.tar", "{train,val}.tar", several braces: the names in order; a pattern without
 * braces is one name. Numbers have the width they begin with. SL_ERR_CONFIG: malformed, or more
 * than SL_BRACES_MAX names. Free with sl_names_free. */
sl_status sl_braces_expand(const char *pattern, char ***names, size_t *n);

#endif
