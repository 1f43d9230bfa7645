/*
 * Weight files of other projects, as one list of tensors under the names that their family uses
 * today: big_vision's npz (every layout since 2020), and the safetensors of timm and torchvision.
 */
#ifndef SL_MODEL_FOREIGN_H
#define SL_MODEL_FOREIGN_H

#include "format/npz.h"
#include "format/safetensors.h"

enum sl_family {
    SL_FAMILY_BIG_VISION, /* names of big_vision; kernels are [in, out] */
    SL_FAMILY_TORCH       /* names of timm, which are ours; weights are [out, in] */
};

struct sl_foreign_tensor {
    char *name;
    size_t rank, shape[SL_ST_RANK_MAX], count;
    const struct sl_npz_array *array;  /* of an npz, or */
    const struct sl_st_tensor *tensor; /* of a safetensors file */
    size_t layer, layers;              /* this is one of `layers` slices of the array; 0 = whole */
    bool used;
};

struct sl_foreign {
    enum sl_family family;
    bool is_npz;
    struct sl_npz npz;
    struct sl_safetensors st;
    const char *path;
    size_t n;
    struct sl_foreign_tensor *tensors; /* [n], sorted by name */
};

/* `part`: the model inside a file that holds several ("img"), or NULL. */
sl_status sl_foreign_open(const char *path, const char *part, struct sl_foreign *f);
void sl_foreign_close(struct sl_foreign *f);
/* NULL if there is none. */
struct sl_foreign_tensor *sl_foreign_find(const struct sl_foreign *f, const char *name);
/* All numbers of a tensor, in C order, checked to be finite; marks it as used. */
sl_status sl_foreign_read(const struct sl_foreign *f, struct sl_foreign_tensor *t, float *dst);

#endif
