/*
 * What attention looks at: figures, pictures and weights of every head on one image. Conventions as
 * in softless.h.
 */
#ifndef SOFTLESS_EXPLAIN_H
#define SOFTLESS_EXPLAIN_H

#include "softless.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One head's attention weights P [L, L] on one image. sl_attention_stats counts over a whole set
 * what the kernels can skip; these figures say where a head looks. NaN where no query looks
 * anywhere. */
typedef struct sl_head_figures {
    double mass, mass_min, mass_max; /* sum_j P_ij: mean over queries, smallest, largest */
    double entropy;   /* of |P_ij| / sum_j |P_ij|, mean over queries, in units of log L: 1 = even */
    double zeros;     /* share of P_ij that are 0 */
    double dead_rows; /* share of queries whose weights are all 0; 1 = a dead head */
    double distance;  /* from a patch to the patches it looks at, weighted by |P_ij|, pixels of the
                         model's input */
} sl_head_figures;

typedef struct sl_explain_options {
    const char *png;  /* a picture: a row for each block, first the mean of its heads, then each */
    const char *npy;  /* P as a NumPy file, float32 [depth, heads, L, L] */
} sl_explain_options; /* either may be NULL: not wanted; an existing file is replaced */

/* Looks into the attention of every block (not of a MAP head) at one JPEG or PNG, preprocessed as
 * the model's file says. figures [depth, heads] and logits [C] may be NULL. The maps of the picture
 * are the class token's weights where that is what the head reads, else the mean over the patches'
 * queries. Errors as sl_model_predict_file, and SL_ERR_CREATE, SL_ERR_IO. */
SL_API sl_status sl_model_explain_file(sl_model *model, const char *path,
                                       const sl_explain_options *options, sl_head_figures *figures,
                                       float *logits);

#ifdef __cplusplus
}
#endif

#endif
