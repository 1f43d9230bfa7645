/*
 * softless inspect: what a weights file or a run directory is, in text or JSON.
 */
#include <stdio.h>
#include <string.h>

#include "api/model.h"
#include "base/alloc.h"
#include "base/io.h"
#include "base/text.h"
#include "train/train.h"

enum { FILE_CAP = 1 << 20 };

struct report {
    const char *file;
    bool json;
    struct sl_weights_meta meta;
    struct sl_param_table table;
    struct sl_memory predict, train; /* train.params = 0: no recipe beside the weights */
    size_t train_batch;
    char *problems; /* missing, unexpected and misshapen tensors, or NULL */
    sl_text out;
};

static size_t memory_total(const struct sl_memory *m)
{
    return m->params + m->grads + m->packed + m->activations + m->scratch + m->inputs +
           m->optimizer;
}

/* ---- memory ---- */

static sl_status forecast_predict(sl_context *ctx, struct report *r)
{
    struct sl_net_options o = {.vit = r->meta.vit, .batch = 1, .value_min = -1, .value_max = 1};
    SL_TRY(sl_device_precision(ctx->dev, SL_PRECISION_FP32, &o.type));
    return sl_net_forecast(ctx->dev, &o, &r->predict);
}

/* Of training, by the config.yaml of a run directory. */
static sl_status forecast_train(sl_context *ctx, const char *run, struct report *r)
{
    char *path = sl_path_join(run, "config.yaml"), *text = NULL;
    size_t size;
    struct sl_recipe recipe = {.origin = NULL};
    sl_status st = path ? SL_OK : SL_ERR_MEMORY;
    if (st != SL_OK || !sl_is_file(path))
        goto fail;
    SL_TRY_FREE(sl_read_file(path, FILE_CAP, &text, &size));
    SL_TRY_FREE(sl_recipe_init(&recipe));
    SL_TRY_FREE(sl_recipe_parse(&recipe, path, text, size));
    SL_TRY_FREE(sl_config_resolve(&recipe.config));
    SL_TRY_FREE(sl_train_forecast(ctx->dev, &recipe.config, &r->train));
    r->train_batch = recipe.config.train.batch / recipe.config.train.accumulate;
fail:
    sl_recipe_clear(&recipe);
    sl_free(text);
    sl_free(path);
    return st;
}

/* ---- text ---- */

static void shape_text(const struct sl_param *p, sl_text *t)
{
    sl_text_add(t, "[");
    for (size_t i = 0; i < p->rank; i++)
        sl_text_addf(t, "%s%zu", i ? ", " : "", p->shape[i]);
    sl_text_add(t, "]");
}

static void memory_line(const char *what, const struct sl_memory *m, sl_text *t)
{
    const double mib = 1.0 / (1 << 20);
    sl_text_addf(
        t,
        "%s: %.1f MiB (parameters %.1f, gradients %.1f, optimizer %.1f, packed weights %.1f, "
        "activations %.1f, inputs %.1f, scratch %.1f)\n",
        what, (double)memory_total(m) * mib, (double)m->params * mib, (double)m->grads * mib,
        (double)m->optimizer * mib, (double)m->packed * mib, (double)m->activations * mib,
        (double)m->inputs * mib, (double)m->scratch * mib);
}

static sl_status write_text(struct report *r)
{
    sl_text *t = &r->out;
    char *config = NULL;
    SL_TRY(sl_vit_to_json(&r->meta.vit, &config));
    sl_text_addf(t, "file: %s\nstep: %llu\nmodel: %s\n", r->file, (unsigned long long)r->meta.step,
                 config);
    sl_free(config);
    sl_text_addf(t, "tokens: %zu\nparameters: %zu\nforward: %.4g GFLOP an image\n",
                 sl_vit_tokens(&r->meta.vit), sl_param_count(&r->table),
                 1e-9 * sl_vit_flops(&r->meta.vit));
    if (r->meta.classes) {
        sl_text_add(t, "classes:");
        for (size_t i = 0; i < r->meta.vit.classes && i < 20; i++) {
            const char *name = r->meta.classes[i];
            char escaped[SL_ESCAPED_SIZE];
            sl_text_addf(t, "%s %s", i ? "," : "", sl_escape(name, strlen(name), escaped));
        }
        sl_text_add(t, r->meta.vit.classes > 20 ? ", ...\n" : "\n");
    }
    memory_line("memory to predict, one image at a time", &r->predict, t);
    if (r->train_batch) {
        char what[80];
        snprintf(what, sizeof what, "memory to train, %zu images a pass", r->train_batch);
        memory_line(what, &r->train, t);
    }
    sl_text_addf(t, "tensors: %s\n", r->problems ? r->problems : "complete");
    for (size_t i = 0; i < r->table.n; i++) {
        const struct sl_param *p = &r->table.params[i];
        sl_text_addf(t, "  %-36s ", p->name);
        shape_text(p, t);
        sl_text_add(t, "\n");
    }
    return SL_OK;
}

static void memory_json(const char *key, const struct sl_memory *m, sl_text *t)
{
    sl_text_addf(
        t,
        ",\n \"%s\": {\"total\": %zu, \"params\": %zu, \"grads\": %zu, \"optimizer\": %zu, "
        "\"packed\": %zu, \"activations\": %zu, \"inputs\": %zu, \"scratch\": %zu}",
        key, memory_total(m), m->params, m->grads, m->optimizer, m->packed, m->activations,
        m->inputs, m->scratch);
}

static sl_status write_json(struct report *r)
{
    sl_text *t = &r->out;
    char *config = NULL;
    SL_TRY(sl_vit_to_json(&r->meta.vit, &config));
    sl_text_add(t, "{\"file\": ");
    sl_text_add_json_string(t, r->file);
    sl_text_addf(t, ",\n \"step\": %llu,\n \"model\": %s", (unsigned long long)r->meta.step,
                 config);
    sl_free(config);
    sl_text_addf(t, ",\n \"tokens\": %zu, \"parameters\": %zu, \"flops_forward\": ",
                 sl_vit_tokens(&r->meta.vit), sl_param_count(&r->table));
    sl_text_add_json_number(t, sl_vit_flops(&r->meta.vit));
    sl_text_add(t, ",\n \"classes\": [");
    for (size_t i = 0; r->meta.classes && i < r->meta.vit.classes; i++) {
        sl_text_add(t, i ? ", " : "");
        sl_text_add_json_string(t, r->meta.classes[i]);
    }
    sl_text_add(t, "]");
    memory_json("memory_predict", &r->predict, t);
    if (r->train_batch)
        memory_json("memory_train", &r->train, t);
    sl_text_add(t, ",\n \"problems\": ");
    if (r->problems)
        sl_text_add_json_string(t, r->problems);
    else
        sl_text_add(t, "null");
    sl_text_add(t, ",\n \"tensors\": [");
    for (size_t i = 0; i < r->table.n; i++) {
        sl_text_addf(t, "%s\n  {\"name\": ", i ? "," : "");
        sl_text_add_json_string(t, r->table.params[i].name);
        sl_text_add(t, ", \"shape\": ");
        shape_text(&r->table.params[i], t);
        sl_text_add(t, "}");
    }
    sl_text_add(t, "]}\n");
    return SL_OK;
}

/* Reads every tensor, so that a damaged file is found; what does not fit becomes `problems`. */
static sl_status check_tensors(struct report *r)
{
    float *params = NULL;
    SL_TRY(SL_NEW(params, r->table.floats));
    const sl_status st = sl_weights_read(r->file, &r->table, params);
    sl_free(params);
    if (st != SL_ERR_DATA)
        return st;
    r->problems = sl_strdup(sl_error_message());
    return r->problems ? SL_OK : SL_ERR_MEMORY;
}

sl_status sl_inspect(sl_context *ctx, const char *path, bool json, char **text)
{
    if (!ctx || !path || !text)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_inspect: ctx, path and text must not be NULL");
    struct report r = {.json = json};
    char *file = NULL;
    sl_status st = SL_OK;
    SL_TRY_FREE(sl_model_find_weights(path, &file));
    r.file = file;
    SL_TRY_FREE(sl_weights_read_meta(file, &r.meta));
    SL_TRY_FREE(sl_param_table_build(&r.meta.vit, &r.table));
    SL_TRY_FREE(check_tensors(&r));
    SL_TRY_FREE(forecast_predict(ctx, &r));
    if (sl_is_dir(path))
        SL_TRY_FREE(forecast_train(ctx, path, &r));
    SL_TRY_FREE(json ? write_json(&r) : write_text(&r));
    st = sl_text_take(&r.out, text);
fail:
    sl_text_clear(&r.out);
    sl_free(r.problems);
    sl_param_table_free(&r.table);
    sl_weights_meta_free(&r.meta);
    sl_free(file);
    return st;
}
