/*
 * An evaluation pipeline for another resolution: the sizes in its op strings, scaled as the model's
 * image is.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/pipeline.h"

static bool scales(const char *name, size_t length)
{
    for (size_t i = 0; i < SL_N_OPS; i++) {
        const struct sl_op *op = &sl_ops[i];
        if (strlen(op->name) == length && memcmp(op->name, name, length) == 0)
            return op->params[0].kind == SL_PARAM_SIZE || op->size == SL_OP_SIZE_VARIES;
    }
    return false;
}

static double scaled(unsigned long x, double by)
{
    return fmax(1, nearbyint((double)x * by));
}

static sl_status scale_op(const char *op, double by_h, double by_w, char out[SL_NAME_MAX])
{
    const size_t name = strcspn(op, " (");
    const char *open = strchr(op, '(');
    int n;
    if (!open || !scales(op, name)) {
        n = snprintf(out, SL_NAME_MAX, "%s", op);
    } else {
        char *end;
        const unsigned long h = strtoul(open + 1, &end, 10);
        const bool two = *end == 'x';
        const unsigned long w = two ? strtoul(end + 1, &end, 10) : h;
        if (strncmp(op, "resize_small", name) == 0) /* the crop behind it must fit */
            n = snprintf(out, SL_NAME_MAX, "%.*s(%g%s", (int)name, op, scaled(h, fmax(by_h, by_w)),
                         end);
        else if (two || by_h != by_w)
            n = snprintf(out, SL_NAME_MAX, "%.*s(%gx%g%s", (int)name, op, scaled(h, by_h),
                         scaled(w, by_w), end);
        else
            n = snprintf(out, SL_NAME_MAX, "%.*s(%g%s", (int)name, op, scaled(h, by_h), end);
    }
    if (n >= SL_NAME_MAX)
        SL_FAIL(SL_ERR_CONFIG, "the op %s is too long to be scaled", op);
    return SL_OK;
}

sl_status sl_pipeline_scale(const struct sl_pipeline_config *ops, const size_t from[2],
                            const size_t to[2], struct sl_pipeline_config *out)
{
    struct sl_pipeline_config made = {.n = ops->n};
    for (size_t i = 0; i < ops->n; i++)
        SL_TRY(scale_op(ops->ops[i], (double)to[0] / (double)from[0],
                        (double)to[1] / (double)from[1], made.ops[i]));
    if (made.n == 0) { /* images come in the size of the model */
        made.n = 1;
        snprintf(made.ops[0], SL_NAME_MAX, "resize(%zux%zu)", to[0], to[1]);
    }
    *out = made;
    return SL_OK;
}
