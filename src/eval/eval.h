/*
 * Evaluation: accuracy and loss of a net over one pass of a data set.
 */
#ifndef SL_EVAL_EVAL_H
#define SL_EVAL_EVAL_H

#include "data/data.h"
#include "model/model.h"

/* One pass with a loader made for evaluation over `set`. */
sl_status sl_eval_run(struct sl_net *net, const struct sl_dataset *set, struct sl_loader *loader,
                      size_t batch, enum sl_loss loss, sl_eval_result *result);

/* ---- label sets: which of a model's classes are right for each image ---- */

struct sl_label_set {
    size_t images, classes; /* of the data set; of the model */
    size_t *first; /* [images + 1]: right[first[i]] .. right[first[i+1] - 1] are image i's */
    int32_t *right;
    bool *labelled;  /* [images]; false: the image does not count. One that counts may have no right
                        class left: it is wrong whatever the model says */
    bool *candidate; /* [classes] the model may answer; NULL = all */
    size_t set_classes, matched; /* classes of the set, and how many of them the model knows */
};

/* names [classes] of the model, or NULL. labels: a JSON file of several labels an image (ReaL;
 * docs/evaluation.md), NULL = the set's own. intersect: only classes that model and set share may
 * be answered; without it a class that the model does not know is an error. */
sl_status sl_label_set_make(const struct sl_dataset *set, const char *const *names, size_t classes,
                            const char *labels, bool intersect, struct sl_label_set *out);
void sl_label_set_free(struct sl_label_set *labels);
/* An answer is right if it is one of the image's classes; equal logits go to the lower class. The
 * loss is NaN: several labels have none. */
sl_status sl_eval_label_set(struct sl_net *net, struct sl_device *dev, struct sl_loader *loader,
                            size_t batch, const struct sl_label_set *labels,
                            sl_eval_result *result);

#endif
