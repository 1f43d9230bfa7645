/*
 * Input pipelines: op strings such as "random_resized_crop(224, 0.08, 1, bicubic)" compiled by the
 * table of pipeline_ops.c, and run one after the other between two work images.
 */
#include "image/pipeline.h"

#include <ctype.h>
#include <string.h>

#include "base/alloc.h"
#include "base/number.h"
#include "base/text.h"
#include "image/resize.h"

struct stage {
    const struct sl_op *op;
    struct sl_op_args args;
};

struct sl_pipeline {
    size_t out_h, out_w, n;
    size_t fixed; /* leading stages that draw nothing */
    struct stage stages[SL_OPS_MAX];
};

static const char *const filter_names[] = {
    [SL_FILTER_BILINEAR] = "bilinear",
    [SL_FILTER_BICUBIC] = "bicubic",
    [SL_FILTER_TF_BILINEAR] = "tf_bilinear",
    [SL_FILTER_TF_AREA] = "tf_area",
};
enum { N_FILTERS = sizeof filter_names / sizeof *filter_names };

/* ---- reading one op string ---- */

/* A word of an op string: an op's name or one argument, without the blanks around it. */
struct word {
    char text[SL_NAME_MAX];
};

static struct word take_word(const char **at, const char *ends)
{
    struct word word = {{0}};
    size_t n = 0;
    while (isspace((unsigned char)**at))
        (*at)++;
    for (; **at && !strchr(ends, **at); (*at)++)
        if (n + 1 < sizeof word.text)
            word.text[n++] = **at;
    while (n > 0 && isspace((unsigned char)word.text[n - 1]))
        n--;
    word.text[n] = 0;
    return word;
}

static bool parse_whole(const char *text, size_t length, double *x)
{
    *x = 0;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i]) || i == 9)
            return false;
        *x = *x * 10 + (text[i] - '0');
    }
    return length > 0;
}

/* "S" or "HxW". */
static bool parse_size(const char *text, double *h, double *w)
{
    const char *x = strchr(text, 'x');
    if (!parse_whole(text, x ? (size_t)(x - text) : strlen(text), h))
        return false;
    *w = *h;
    return !x || parse_whole(x + 1, strlen(x + 1), w);
}

static sl_status parse_number(const char *op, const struct sl_op_param *param, const char *text,
                              struct sl_op_args *args)
{
    static const char *const wanted[] = {
        [SL_PARAM_SIZE] = "pixels, or HEIGHTxWIDTH",
        [SL_PARAM_PIXELS] = "a whole number",
        [SL_PARAM_REAL] = "a number",
        [SL_PARAM_FILTER] = "a filter",
    };
    double a = 0, b = 0;
    bool good = false;
    if (param->kind == SL_PARAM_SIZE)
        good = parse_size(text, &a, &b);
    else if (param->kind == SL_PARAM_PIXELS)
        good = parse_whole(text, strlen(text), &a);
    else
        good = sl_parse_real(text, &a);
    if (param->kind != SL_PARAM_SIZE)
        b = a;
    char shown[SL_ESCAPED_SIZE];
    sl_escape(text, strlen(text), shown);
    if (!good)
        SL_FAIL(SL_ERR_CONFIG, "%s: '%s' is not a value for %s (%s)", op, shown, param->name,
                wanted[param->kind]);
    if (a < param->min || a > param->max || b < param->min || b > param->max)
        SL_FAIL(SL_ERR_CONFIG, "%s: %s = %s is outside %g .. %g", op, param->name, shown,
                param->min, param->max);
    if (param->kind == SL_PARAM_SIZE) {
        args->h = (size_t)a;
        args->w = (size_t)b;
    } else if (param->kind == SL_PARAM_PIXELS)
        args->pixels = (size_t)a;
    else
        args->real[args->n_real++] = a;
    return SL_OK;
}

static bool takes_filter(const struct sl_op *op)
{
    for (const struct sl_op_param *p = op->params; p->name; p++)
        if (p->kind == SL_PARAM_FILTER)
            return true;
    return false;
}

static enum sl_filter default_filter(const struct sl_op *op)
{
    for (const struct sl_op_param *p = op->params; p->name; p++)
        if (p->kind == SL_PARAM_FILTER)
            return (enum sl_filter)p->value;
    return SL_FILTER_BILINEAR;
}

static sl_status parse_filter(const char *op, const char *text, enum sl_filter *filter)
{
    for (int i = 0; i < N_FILTERS; i++)
        if (strcmp(text, filter_names[i]) == 0) {
            *filter = (enum sl_filter)i;
            return SL_OK;
        }
    char shown[SL_ESCAPED_SIZE];
    const char *near = sl_nearest(text, filter_names, N_FILTERS);
    SL_FAIL(SL_ERR_CONFIG, "%s: unknown filter '%s'; did you mean '%s'?", op,
            sl_escape(text, strlen(text), shown), near ? near : filter_names[0]);
}

/* ---- usage and help ---- */

/* "resize(size[, filter])" */
static void add_usage(sl_text *t, const struct sl_op *op)
{
    sl_text_add(t, op->name);
    for (const struct sl_op_param *p = op->params; p->name; p++) {
        sl_text_add(t, p == op->params ? "(" : p->optional ? "[, " : ", ");
        sl_text_add(t, p->name);
        sl_text_add(t, p->optional ? "]" : "");
    }
    sl_text_add(t, op->params[0].name ? ")" : "");
}

sl_status sl_pipeline_help(char **text)
{
    sl_text t = {0};
    for (const struct sl_op *op = sl_ops; op < sl_ops + SL_N_OPS; op++) {
        add_usage(&t, op);
        sl_text_addf(&t, "\n    %s\n", op->help);
    }
    sl_text_addf(&t, "size: pixels, or HEIGHTxWIDTH; filter:");
    for (int i = 0; i < N_FILTERS; i++)
        sl_text_addf(&t, "%s %s", i ? "," : "", filter_names[i]);
    sl_text_addf(
        &t,
        " (default %s, but %s in inception_crop); bilinear and bicubic are antialiased, as "
        "Pillow's; tf_bilinear (not antialiased) and tf_area are TensorFlow's\n",
        filter_names[0], filter_names[SL_FILTER_TF_BILINEAR]);
    return sl_text_take(&t, text);
}

/* "`problem`; write it as resize(size[, filter])" */
static sl_status usage_error(const struct sl_op *op, const char *problem)
{
    sl_text t = {0};
    char *usage = NULL;
    add_usage(&t, op);
    SL_TRY(sl_text_take(&t, &usage));
    sl_error_set(SL_ERR_CONFIG, "%s; write it as %s", problem, usage);
    sl_free(usage);
    return SL_ERR_CONFIG;
}

/* ---- compiling ---- */

/* big_vision's ops that are something else here. */
static const struct {
    const char *name, *advice;
} foreign_ops[] = {
    {"decode", "images are decoded before the pipeline begins; leave it out"},
    {"decode_jpeg_and_inception_crop",
     "images are decoded before the pipeline begins; write inception_crop"},
    {"value_range", "the range of values is data.value_min and data.value_max"},
    {"onehot", "labels need no op; leave it out"},
    {"keep", "there is nothing but the image; leave it out"},
    {"drop", "there is nothing but the image; leave it out"},
};

static sl_status find_op(const char *name, const struct sl_op **op)
{
    const char *names[SL_N_OPS];
    for (size_t i = 0; i < SL_N_OPS; i++) {
        names[i] = sl_ops[i].name;
        if (strcmp(name, names[i]) == 0) {
            *op = &sl_ops[i];
            return SL_OK;
        }
    }
    for (size_t i = 0; i < sizeof foreign_ops / sizeof *foreign_ops; i++)
        if (strcmp(name, foreign_ops[i].name) == 0)
            SL_FAIL(SL_ERR_CONFIG, "%s is no op here: %s", name, foreign_ops[i].advice);
    const char *near = sl_nearest(name, names, SL_N_OPS);
    char shown[SL_ESCAPED_SIZE];
    sl_escape(name, strlen(name), shown);
    if (near)
        SL_FAIL(SL_ERR_CONFIG, "unknown op '%s'; did you mean '%s'?", shown, near);
    sl_text t = {0};
    for (size_t i = 0; i < SL_N_OPS; i++)
        sl_text_addf(&t, "%s%s", i ? ", " : "", names[i]);
    char *list = NULL;
    SL_TRY(sl_text_take(&t, &list));
    sl_error_set(SL_ERR_CONFIG, "unknown op '%s'; there are %s", shown, list);
    sl_free(list);
    return SL_ERR_CONFIG;
}

/* Numbers go to the number parameters in order. */
static const struct sl_op_param *skip_filters(const struct sl_op_param *p)
{
    while (p->name && p->kind == SL_PARAM_FILTER)
        p++;
    return p;
}

/* Where the reading of an op's arguments stands. */
struct reading {
    const struct sl_op_param *next; /* number parameter that the next number fills */
    bool filter;                    /* a filter was named */
};

static sl_status compile_argument(const struct sl_op *op, const char *text, struct reading *reading,
                                  struct sl_op_args *args)
{
    if (*text == 0)
        return usage_error(op, "an argument is empty");
    if (isalpha((unsigned char)*text) && takes_filter(op) && !reading->filter) {
        reading->filter = true;
        return parse_filter(op->name, text, &args->filter);
    }
    reading->next = skip_filters(reading->next);
    if (!reading->next->name)
        return usage_error(op, "too many arguments");
    return parse_number(op->name, reading->next++, text, args);
}

static sl_status compile_defaults(const struct sl_op *op, const struct sl_op_param *next,
                                  struct sl_op_args *args)
{
    for (next = skip_filters(next); next->name; next = skip_filters(next + 1)) {
        if (!next->optional)
            return usage_error(op, "an argument is missing");
        args->real[args->n_real++] = next->value;
    }
    return SL_OK;
}

static sl_status compile_arguments(const struct sl_op *op, const char *at, struct sl_op_args *args)
{
    struct reading reading = {.next = op->params};
    args->filter = default_filter(op);
    const bool open = *at == '(';
    bool more = open;
    while (more) {
        at++;
        const bool first = at[-1] == '(';
        const struct word word = take_word(&at, ",)");
        more = *at == ',';
        if (!(first && !more && *word.text == 0)) /* "flip_lr()" */
            SL_TRY(compile_argument(op, word.text, &reading, args));
    }
    if (open && *at++ != ')')
        return usage_error(op, "')' is missing");
    if (*take_word(&at, "").text)
        return usage_error(op, "text follows the op");
    SL_TRY(compile_defaults(op, reading.next, args));
    return op->check ? op->check(args) : SL_OK;
}

static sl_status compile(const char *text, enum sl_compat compat, struct stage *stage)
{
    const char *at = text;
    stage->args.compat = compat;
    const struct word name = take_word(&at, "(");
    SL_TRY(find_op(name.text, &stage->op));
    return compile_arguments(stage->op, at, &stage->args);
}

/* Follows the image size as far as the ops fix it; 0 = depends on the input. */
static sl_status check_sizes(const struct sl_pipeline *p)
{
    size_t h = 0, w = 0;
    for (const struct stage *s = p->stages; s < p->stages + p->n; s++) {
        if (s->op->size == SL_OP_SIZE_CROPPED && h && (h < s->args.h || w < s->args.w))
            SL_FAIL(SL_ERR_CONFIG,
                    "input pipeline: %s(%zux%zu) comes after an op that leaves %zu x %zu pixels",
                    s->op->name, s->args.h, s->args.w, h, w);
        if (s->op->size != SL_OP_SIZE_KEPT) {
            h = s->args.h; /* 0 where the size varies */
            w = s->args.w;
        }
    }
    if (h && (h != p->out_h || w != p->out_w))
        SL_FAIL(SL_ERR_CONFIG,
                "input pipeline: it ends with images of %zu x %zu pixels; the model takes %zu x "
                "%zu",
                h, w, p->out_h, p->out_w);
    return SL_OK;
}

sl_status sl_pipeline_create(const struct sl_pipeline_config *config, enum sl_compat compat,
                             size_t out_h, size_t out_w, struct sl_pipeline **pipeline)
{
    struct sl_pipeline *p = NULL;
    sl_status st = SL_OK;
    if (config->n > SL_OPS_MAX)
        SL_FAIL(SL_ERR_CONFIG, "input pipeline: %zu ops; at most %d are allowed", config->n,
                SL_OPS_MAX);
    SL_TRY(SL_NEW(p, 1));
    p->out_h = out_h;
    p->out_w = out_w;
    for (; p->n < config->n; p->n++) {
        const char *text = config->ops[p->n];
        st = compile(text, compat, &p->stages[p->n]);
        if (st != SL_OK) {
            char shown[SL_ESCAPED_SIZE];
            sl_error_prefix(st, "input pipeline, op %zu '%s'", p->n + 1,
                            sl_escape(text, strlen(text), shown));
            goto fail;
        }
    }
    SL_TRY_FREE(check_sizes(p));
    while (p->fixed < p->n && !p->stages[p->fixed].op->random)
        p->fixed++;
    *pipeline = p;
    return SL_OK;
fail:
    sl_pipeline_free(&p);
    return st;
}

void sl_pipeline_free(struct sl_pipeline **pipeline)
{
    if (!pipeline)
        return;
    sl_free(*pipeline);
    *pipeline = NULL;
}

size_t sl_pipeline_fixed_ops(const struct sl_pipeline *pipeline)
{
    return pipeline->fixed;
}

/* ---- running ---- */

/* The crop of an op, already drawn. */
static sl_status resize_crop(const struct stage *s, const struct sl_image *in,
                             const struct sl_rectangle *r, struct sl_image *out)
{
    const struct sl_view view = sl_image_view(in, r->y, r->x, r->h, r->w);
    return sl_view_resize_whole(&view, s->args.h, s->args.w, s->args.filter, out);
}

static sl_status run_stage(const struct stage *s, const struct sl_image *in, sl_rng *rng,
                           struct sl_image *out)
{
    if (!s->op->crop)
        return s->op->run(&s->args, in, rng, out);
    const struct sl_rectangle r = s->op->crop(&s->args, in->h, in->w, rng);
    return resize_crop(s, in, &r, out);
}

/* Stages first .. end-1; *image enters and leaves. */
static sl_status run_stages(const struct sl_pipeline *pipeline, size_t first, size_t end,
                            sl_rng *rng, struct sl_image work[2], const struct sl_image **image)
{
    for (size_t i = first; i < end; i++) {
        const struct stage *s = &pipeline->stages[i];
        const size_t layers = s->op->layers ? s->args.pixels : 1;
        for (size_t layer = 0; layer < layers; layer++) {
            struct sl_image *out = *image == &work[0] ? &work[1] : &work[0];
            SL_TRY(run_stage(s, *image, rng, out));
            *image = out;
        }
    }
    return SL_OK;
}

sl_status sl_pipeline_run_fixed(const struct sl_pipeline *pipeline, const struct sl_image *src,
                                struct sl_image work[2], const struct sl_image **out)
{
    const struct sl_image *image = src;
    SL_TRY(run_stages(pipeline, 0, pipeline->fixed, NULL, work, &image));
    *out = image;
    return SL_OK;
}

static sl_status finish(const struct sl_pipeline *pipeline, const struct sl_image *image,
                        uint8_t *dst)
{
    if (image->h != pipeline->out_h || image->w != pipeline->out_w)
        SL_FAIL(SL_ERR_DATA,
                "the input pipeline leaves an image of %zu x %zu pixels; the model takes %zu x "
                "%zu: add resize(%zux%zu)",
                image->h, image->w, pipeline->out_h, pipeline->out_w, pipeline->out_h,
                pipeline->out_w);
    memcpy(dst, image->pixels, image->h * image->w * 3);
    return SL_OK;
}

sl_status sl_pipeline_run_random(const struct sl_pipeline *pipeline, const struct sl_image *fixed,
                                 sl_rng *rng, struct sl_image work[2], uint8_t *dst)
{
    const struct sl_image *image = fixed;
    SL_TRY(run_stages(pipeline, pipeline->fixed, pipeline->n, rng, work, &image));
    return finish(pipeline, image, dst);
}

bool sl_pipeline_crops(const struct sl_pipeline *pipeline)
{
    return pipeline->n > 0 && pipeline->stages[0].op->crop;
}

struct sl_rectangle sl_pipeline_draw_crop(const struct sl_pipeline *pipeline, size_t h, size_t w,
                                          sl_rng *rng)
{
    const struct stage *s = &pipeline->stages[0];
    return s->op->crop(&s->args, h, w, rng);
}

sl_status sl_pipeline_run_crop(const struct sl_pipeline *pipeline, const struct sl_image *crop,
                               sl_rng *rng, struct sl_image work[2], uint8_t *dst)
{
    const struct sl_image *image = &work[0];
    const struct sl_rectangle all = {0, 0, crop->h, crop->w};
    SL_TRY(resize_crop(&pipeline->stages[0], crop, &all, &work[0]));
    SL_TRY(run_stages(pipeline, 1, pipeline->n, rng, work, &image));
    return finish(pipeline, image, dst);
}

sl_status sl_pipeline_run(const struct sl_pipeline *pipeline, const struct sl_image *src,
                          sl_rng *rng, struct sl_image work[2], uint8_t *dst)
{
    const struct sl_image *fixed;
    SL_TRY(sl_pipeline_run_fixed(pipeline, src, work, &fixed));
    return sl_pipeline_run_random(pipeline, fixed, rng, work, dst);
}
