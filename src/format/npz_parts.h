/*
 * What the two halves of the npz reader share: npz_directory.c finds the members, npz.c reads them.
 */
#ifndef SL_FORMAT_NPZ_PARTS_H
#define SL_FORMAT_NPZ_PARTS_H

#include "base/text.h"
#include "format/npz.h"

/* Fills npz->arrays and n but for what stands in the arrays' own headers. After an error
 * sl_npz_close frees what was taken. */
sl_status sl_npz_read_directory(struct sl_npz *npz);

/* 'FILE: array "NAME"' for messages; returns l->text. */
struct sl_npz_label {
    char text[2 * SL_ESCAPED_SIZE];
};
const char *sl_npz_label(const struct sl_npz *npz, const char *name, struct sl_npz_label *l);

#endif
