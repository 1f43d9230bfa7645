/*
 * The fixture of the checkpoint tests.
 */
#define _DEFAULT_SOURCE
#include "support_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "support/files.h"

struct fixture fx;

static void keep_warning(void *user, sl_log_level level, const char *line)
{
    (void)user;
    const size_t used = strlen(fx.warnings);
    if (level == SL_LOG_WARN)
        snprintf(fx.warnings + used, sizeof fx.warnings - used, "%s\n", line);
}

/* These tests end processes, not power: the page cache stays, so syncing would only cost time. */
static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

/* A model small enough for checkpoints of about 20 KB. */
int fixture_make(void **state)
{
    struct sl_vit_config *vit = &fx.config.model;
    if (scratch_make(state) != 0)
        return -1;
    sl_io.fsync = no_sync;
    sl_set_log(keep_warning, NULL);
    sl_config_defaults(&fx.config);
    fx.config.model.variant[0] = '\0';
    vit->width = 8;
    vit->depth = 1;
    vit->heads = 2;
    vit->mlp = 8;
    vit->patch = 4;
    vit->image_height = vit->image_width = 8;
    fx.config.train.total_steps = 100;
    fx.config.train.total_epochs = fx.config.train.total_examples = 0;
    if (sl_config_resolve(&fx.config) != SL_OK)
        return -1;
    vit->classes = 3;
    fx.meta.vit = *vit;
    fx.meta.data = fx.config.data;
    if (sl_param_table_build(vit, &fx.table) != SL_OK)
        return -1;
    const size_t n = fx.table.floats;
    fx.params = sl_calloc(n, sizeof *fx.params);
    fx.v = sl_calloc(n, sizeof *fx.v);
    fx.m = sl_calloc(n, sizeof *fx.m);
    fx.io = (struct sl_checkpoint_io){.run_dir = fx.run,
                                      .config = &fx.config,
                                      .meta = &fx.meta,
                                      .table = &fx.table,
                                      .params = fx.params,
                                      .moments = {fx.m, SL_BF16, fx.v, n},
                                      .data_digest = "data",
                                      .build = "test build"};
    snprintf(fx.run, sizeof fx.run, "%s/run", scratch_dir);
    return 0;
}

int fixture_remove(void **state)
{
    sl_free(fx.params);
    sl_free(fx.v);
    sl_free(fx.m);
    sl_param_table_free(&fx.table);
    return scratch_remove(state);
}

void set_arrays(uint64_t step)
{
    memset(fx.params, 0, fx.table.floats * sizeof *fx.params);
    memset(fx.v, 0, fx.table.floats * sizeof *fx.v);
    memset(fx.m, 0, fx.table.floats * sizeof *fx.m);
    for (size_t i = 0; i < fx.table.n; i++) {
        const struct sl_param *p = &fx.table.params[i];
        for (size_t j = p->offset; j < p->offset + p->count; j++) {
            fx.params[j] = (float)sin((double)(step * 1000 + j));
            fx.v[j] = (float)(step + j) * 1e-7f;
            fx.m[j] = (uint16_t)(0x3C00 + (step * 7 + j) % 1024);
        }
    }
}

struct sl_train_state state_of(uint64_t step)
{
    return (struct sl_train_state){.step = step,
                                   .metrics_offset = 100 * step + 1,
                                   .best_top1 = 0.1 * (double)step,
                                   .best_step = step,
                                   .skipped_updates = step + 2,
                                   .skipped_in_row = step + 1,
                                   .interval_loss = 1.0 / (double)(step + 3),
                                   .interval_correct = step + 4,
                                   .interval_images = step + 5};
}

sl_status save(uint64_t step)
{
    const struct sl_train_state state = state_of(step);
    set_arrays(step);
    return sl_checkpoint_save(&fx.io, &state, "periodic");
}

void fresh_run(void)
{
    assert_int_equal(sl_remove_tree(fx.run), SL_OK);
    assert_int_equal(sl_make_dirs(fx.run), SL_OK);
    fx.warnings[0] = '\0';
}

uint64_t load_and_compare(void)
{
    struct sl_train_state state = {0};
    bool found = false;
    const size_t n = fx.table.floats;
    float *params = malloc(n * sizeof *params), *v = malloc(n * sizeof *v);
    uint16_t *m = malloc(n * sizeof *m);
    assert_true(params && v && m);
    memset(fx.params, 0, n * sizeof *fx.params);
    memset(fx.v, 0, n * sizeof *fx.v);
    memset(fx.m, 0, n * sizeof *fx.m);
    if (sl_checkpoint_load(&fx.io, false, &state, &found) != SL_OK)
        fail_msg("load: %s", sl_error_message());
    assert_true(found);
    memcpy(params, fx.params, n * sizeof *params);
    memcpy(v, fx.v, n * sizeof *v);
    memcpy(m, fx.m, n * sizeof *m);
    set_arrays(state.step);
    assert_memory_equal(params, fx.params, n * sizeof *params);
    assert_memory_equal(v, fx.v, n * sizeof *v);
    assert_memory_equal(m, fx.m, n * sizeof *m);
    const struct sl_train_state expected = state_of(state.step);
    assert_true(state.metrics_offset == expected.metrics_offset &&
                state.best_top1 == expected.best_top1 && state.best_step == expected.best_step &&
                state.skipped_updates == expected.skipped_updates &&
                state.skipped_in_row == expected.skipped_in_row &&
                state.interval_loss == expected.interval_loss &&
                state.interval_correct == expected.interval_correct &&
                state.interval_images == expected.interval_images);
    free(params);
    free(v);
    free(m);
    return state.step;
}

const char *in_run(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "run/checkpoints/%s", name);
    return scratch(path);
}

const char *in_step(uint64_t step, const char *file)
{
    char name[128];
    snprintf(name, sizeof name, "step-%09llu/%s", (unsigned long long)step, file);
    return in_run(name);
}

const char *listing(void)
{
    static char text[2048];
    char **names = NULL;
    size_t n = 0;
    text[0] = '\0';
    assert_int_equal(sl_list_dir(in_run(""), &names, &n), SL_OK);
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", names[i]);
    sl_names_free(&names, n);
    return text;
}

size_t count_verified(void)
{
    uint64_t *steps = NULL;
    size_t n = 0, verified = 0;
    assert_int_equal(sl_checkpoint_list(in_run(""), "", &steps, &n), SL_OK);
    for (size_t i = 0; i < n; i++) {
        char *dir = sl_checkpoint_dir(in_run(""), "", steps[i]);
        verified += sl_checkpoint_verify(dir, NULL) == SL_OK;
        sl_free(dir);
    }
    sl_free(steps);
    return verified;
}
