/*
 * A finished run at other resolutions: accuracy at each side of eval.sizes, with the L of the
 * factor that is there and with that of training. Noted as RUN/sizes.csv, which the table of a
 * study takes over; a run that was done before its recipe named the sides is measured when the same
 * command runs again.
 */
#define _POSIX_C_SOURCE 200809L
#include "api/sizes.h"

#include <stdio.h>
#include <string.h>

#include "api/context.h"
#include "base/alloc.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "config/options.h"

static const char *const modes[] = {"actual", "train"};
enum { N_MODES = 2, KEY_SIZE = 64, TABLE_CAP = 1 << 20 };

static sl_status set_size(struct sl_recipe *r, const char *side, char key[KEY_SIZE])
{
    if (snprintf(key, KEY_SIZE, "model.image_size=%s", side) >= KEY_SIZE)
        SL_FAIL(SL_ERR_CONFIG, "eval.sizes: '%.20s...' is not a side", side);
    SL_TRY(sl_recipe_set(r, key, "eval.sizes"));
    const sl_status st = sl_vit_check(&r->config.model);
    return st == SL_OK ? st : sl_error_prefix(st, "eval.sizes");
}

sl_status sl_sizes_check(const struct sl_config *config)
{
    struct sl_recipe r = {.origin = NULL};
    char *copy = sl_strdup(config->eval.sizes), *rest = NULL, key[KEY_SIZE];
    sl_status st = copy ? sl_recipe_init(&r) : SL_ERR_MEMORY;
    if (st == SL_OK && config->eval.sizes[0] && !config->data.eval[0])
        st = sl_error_set(SL_ERR_CONFIG, "eval.sizes needs data.eval, the set to evaluate on");
    r.config.model = config->model;
    for (char *side = copy ? strtok_r(copy, SL_LIST_BLANKS, &rest) : NULL; side && st == SL_OK;
         side = strtok_r(NULL, SL_LIST_BLANKS, &rest))
        st = set_size(&r, side, key);
    sl_recipe_clear(&r);
    sl_free(copy);
    return st;
}

/* In the type of the training: at its own side a model has the accuracy that training ended with.
 */
static sl_status evaluate(sl_context *ctx, const char *precision_key, const sl_train_result *result,
                          const char *side, const char *mode, sl_text *table)
{
    char size_key[KEY_SIZE], mode_key[KEY_SIZE];
    const char *const keys[] = {precision_key, size_key, mode_key};
    sl_model *model = NULL;
    sl_eval_result x;
    if (atomic_load(&ctx->stop))
        SL_FAIL(SL_ERR_INTERRUPTED,
                "stopped before the evaluation at side %s; training is done, the same command "
                "goes on",
                side);
    snprintf(size_key, sizeof size_key, "model.image_size=%s", side);
    snprintf(mode_key, sizeof mode_key, "model.length=%s", mode);
    SL_TRY(sl_model_load_with(ctx, result->run_dir, keys, 3, &model));
    const sl_status st = sl_evaluate(model, NULL, &x);
    sl_model_free(&model);
    SL_TRY(st);
    sl_text_addf(table, "%s,%s,%.9g,%zu,%.9g,%.9g,%.9g\n", side, mode, x.length_used, x.images,
                 x.top1, x.top1_se, x.loss);
    sl_log(SL_LOG_INFO, "side %s, length %s: top-1 %.2f%%", side, mode, 100 * x.top1);
    return SL_OK;
}

/* A table that is there and has every side. */
static sl_status is_measured(const char *path, const char *sides, bool *measured)
{
    char *text = NULL, *copy = NULL, *rest = NULL, line[KEY_SIZE];
    size_t size;
    *measured = false;
    if (!sl_is_file(path))
        return SL_OK;
    SL_TRY(sl_read_file(path, TABLE_CAP, &text, &size));
    copy = sl_strdup(sides);
    *measured = copy != NULL;
    for (char *side = copy ? strtok_r(copy, SL_LIST_BLANKS, &rest) : NULL; side;
         side = strtok_r(NULL, SL_LIST_BLANKS, &rest)) {
        snprintf(line, sizeof line, "\n%s,%s,", side, modes[N_MODES - 1]);
        *measured = *measured && strstr(text, line);
    }
    sl_free(text);
    sl_free(copy);
    return copy ? SL_OK : SL_ERR_MEMORY;
}

sl_status sl_sizes_measure(sl_context *ctx, const struct sl_config *config,
                           const sl_train_result *result)
{
    const char *sides = config->eval.sizes;
    sl_text table = {0}, precision = {0};
    char *path = sl_path_join(result->run_dir, "sizes.csv"), *text = NULL, *rest = NULL;
    char *copy = sl_strdup(sides);
    bool measured = false;
    sl_status st = path && copy ? is_measured(path, sides, &measured) : SL_ERR_MEMORY;
    sl_text_add(&precision, "precision=");
    sl_option_format(&sl_options[sl_option_find("precision")], config, &precision);
    if (st == SL_OK && precision.failed)
        st = SL_ERR_MEMORY;
    sl_text_add(&table, "side,length,length_used,images,top1,top1_se,loss\n");
    for (char *side = st == SL_OK && !measured ? strtok_r(copy, SL_LIST_BLANKS, &rest) : NULL; side;
         side = strtok_r(NULL, SL_LIST_BLANKS, &rest))
        for (size_t m = 0; m < N_MODES && st == SL_OK; m++)
            st = evaluate(ctx, precision.text, result, side, modes[m], &table);
    if (st == SL_OK && !measured)
        st = sl_text_take(&table, &text);
    if (text)
        st = sl_write_file_atomic(path, text, strlen(text));
    sl_text_clear(&table);
    sl_text_clear(&precision);
    sl_free(text);
    sl_free(copy);
    sl_free(path);
    return st;
}
