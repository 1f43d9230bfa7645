/*
 * ONNX files of every golden case (cases.inc: each phi, norm, gate, pooling and option): their
 * sizes and CRC-32 are those of files whose logits in ONNX Runtime equal PyTorch's golden ones
 * (make_export.py, which has the bound). With SOFTLESS_EXPORT_DIR set they are written there and
 * kept, with safetensors files beside them.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/alloc.h"
#include "format/safetensors.h"
#include "model/export.h"
#include "support/files.h"

struct golden_case {
    const char *name;
    struct sl_vit_config vit;
    enum sl_loss loss;
    float smoothing, mix;
};
static const struct golden_case cases[] = {
#include "golden/cases.inc"
};

static void ok(sl_status st)
{
    if (st != SL_OK)
        fail_msg("%s", sl_error_message());
}

static void read_weights(const struct sl_vit_config *vit, const struct sl_param_table *t,
                         float *params)
{
    struct sl_safetensors st;
    char name[512];
    snprintf(name, sizeof name, "%s/golden/data/weights_%zu.safetensors", TEST_SOURCE_DIR,
             vit->width);
    ok(sl_st_open(name, &st));
    for (size_t i = 0; i < t->n; i++) {
        const struct sl_param *p = &t->params[i];
        const bool registers = strcmp(p->name, "reg_token") == 0;
        snprintf(name, sizeof name, registers ? "reg_token.%zu" : p->name, p->shape[1]);
        const struct sl_st_tensor *tensor = sl_st_find(&st, name);
        assert_non_null(tensor);
        ok(sl_st_read_f32(&st, tensor, params + p->offset, p->count));
    }
    sl_st_close(&st);
}

/* folder/NAME.onnx, and with `both` the safetensors file beside it. */
static void export_case(const struct golden_case *c, const char *folder, bool both, char path[512])
{
    struct sl_weights_meta meta = {.vit = c->vit};
    struct sl_param_table table;
    float *params;
    meta.data.value_min = -1;
    meta.data.value_max = 1;
    ok(sl_param_table_build(&c->vit, &table));
    ok(SL_NEW(params, table.floats));
    read_weights(&c->vit, &table, params);
    snprintf(path, 512, "%s/%s.safetensors", folder, c->name);
    if (both)
        ok(sl_weights_replace(path, &meta, &table, params));
    snprintf(path, 512, "%s/%s.onnx", folder, c->name);
    ok(sl_export_onnx(path, &meta, &table, params));
    sl_free(params);
    sl_param_table_free(&table);
}

static void test_digests(void **state)
{
    (void)state;
    const char *keep = getenv("SOFTLESS_EXPORT_DIR");
    char *text, *golden, line[256], missing[256] = "";
    size_t size, n = 0;
    ok(sl_read_file(TEST_SOURCE_DIR "/golden/export.txt", 1 << 16, &golden, &size));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++, n++) {
        char path[512];
        export_case(&cases[i], keep ? keep : scratch_dir, keep != NULL, path);
        ok(sl_read_file(path, 1 << 20, &text, &size));
        const unsigned long crc = crc32(0, (const unsigned char *)text, (unsigned)size);
        sl_free(text);
        snprintf(line, sizeof line, "%s %zu %08lx\n", cases[i].name, size, crc);
        if (!keep && !strstr(golden, line))
            snprintf(missing, sizeof missing, "%s", line);
    }
    sl_free(golden);
    if (*missing)
        fail_msg("export.txt has no %s", missing);
    assert_true(n > 30);
}

static void test_failures(void **state)
{
    (void)state;
    struct sl_weights_meta meta = {.vit = cases[0].vit};
    struct sl_param_table table;
    float *params;
    ok(sl_param_table_build(&meta.vit, &table));
    ok(SL_NEW(params, table.floats));
    assert_int_equal(sl_export_onnx("no/such/x.onnx", &meta, &table, params), SL_ERR_CREATE);
    size_t n = 1; /* every allocation fails once; nothing leaks, and no file appears */
    for (;; n++) {
        sl_alloc_fail_at(n, false);
        const sl_status st = sl_export_onnx(scratch("x.onnx"), &meta, &table, params);
        sl_alloc_fail_at(0, false);
        if (st == SL_OK)
            break;
        assert_int_equal(st, SL_ERR_MEMORY);
        assert_false(sl_is_file(scratch("x.onnx")) || sl_is_file(scratch("x.onnx.part")));
    }
    assert_true(n > 100);
    sl_free(params);
    sl_param_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
