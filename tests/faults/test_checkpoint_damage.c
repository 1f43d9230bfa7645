/*
 * Damaged checkpoints: a flip in every byte, every truncation, files missing, swapped or forged.
 * All are detected, named, and fallen back from, or refused on demand.
 */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "support/faults.h"
#include "support/files.h"
#include "support_run.h"

/* ---- damage ---- */

static const char *const files[] = {"weights.safetensors", "state-00000-of-00001.safetensors",
                                    "manifest.json"};
enum { FILES = sizeof files / sizeof *files };

static void test_every_flip_is_detected(void **state)
{
    (void)state;
    size_t flips = 0;
    fresh_run();
    assert_int_equal(save(20), SL_OK);
    for (int f = 0; f < FILES; f++) {
        char path[512];
        size_t n = 0;
        snprintf(path, sizeof path, "%s", in_step(20, files[f]));
        unsigned char *bytes = get_file(path, &n);
        const int fd = open(path, O_WRONLY);
        assert_true(fd >= 0);
        for (size_t i = 0; i < n; i++, flips++) {
            const unsigned char flipped = (unsigned char)(bytes[i] ^ 1u << (i * 5 + i / 8) % 8);
            assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
            assert_int_equal(sl_checkpoint_verify(in_run("step-000000020"), NULL), SL_ERR_DATA);
            assert_non_null(strstr(sl_error_message(), files[f]));
            assert_int_equal(pwrite(fd, &bytes[i], 1, (off_t)i), 1);
        }
        close(fd);
        free(bytes);
    }
    assert_int_equal(sl_checkpoint_verify(in_run("step-000000020"), NULL), SL_OK);
    print_message("%zu flips, one in every byte\n", flips);
    assert_true(flips > 8000);
}

static void test_every_truncation_is_detected(void **state)
{
    (void)state;
    size_t cuts = 0;
    fresh_run();
    assert_int_equal(save(20), SL_OK);
    for (int f = 0; f < FILES; f++) {
        char path[512];
        size_t n = 0;
        snprintf(path, sizeof path, "%s", in_step(20, files[f]));
        unsigned char *bytes = get_file(path, &n);
        for (size_t i = n; i-- > 0; cuts++) {
            assert_int_equal(truncate(path, (off_t)i), 0);
            assert_int_equal(sl_checkpoint_verify(in_run("step-000000020"), NULL), SL_ERR_DATA);
        }
        bytes = realloc(bytes, n + 1);
        bytes[n] = '\n'; /* and one byte too many */
        put_file(path, bytes, n + 1);
        assert_int_equal(sl_checkpoint_verify(in_run("step-000000020"), NULL), SL_ERR_DATA);
        put_file(path, bytes, n);
        free(bytes);
    }
    assert_int_equal(sl_checkpoint_verify(in_run("step-000000020"), NULL), SL_OK);
    print_message("%zu truncations\n", cuts);
    assert_true(cuts > 8000);
}

/* One way to spoil step 20, with step 10 beside it. */
static void spoil(int way)
{
    const char *file = files[way % FILES];
    size_t n = 0;
    unsigned char *bytes;
    switch (way / FILES) {
    case 0: /* missing */
        assert_int_equal(unlink(in_step(20, file)), 0);
        return;
    case 1: /* of the generation before */
        bytes = get_file(in_step(10, file), &n);
        break;
    case 2: /* empty */
        bytes = get_file(in_step(20, file), &n);
        n = 0;
        break;
    case 3: /* a block of zeros */
        bytes = get_file(in_step(20, file), &n);
        memset(bytes + n / 2, 0, n / 4);
        break;
    default: /* doubled in part */
        bytes = get_file(in_step(20, file), &n);
        memmove(bytes + n / 2, bytes, n / 2);
        break;
    }
    put_file(in_step(20, file), bytes, n);
    free(bytes);
}

static void test_falls_back_and_says_so(void **state)
{
    (void)state;
    const int ways = 5 * FILES;
    for (int way = 0; way < ways; way++) {
        struct sl_train_state s;
        bool found;
        fresh_run();
        assert_int_equal(save(10), SL_OK);
        assert_int_equal(save(20), SL_OK);
        spoil(way);
        assert_int_equal(sl_checkpoint_load(&fx.io, true, &s, &found), SL_ERR_DATA);
        assert_true(sl_is_dir(in_run("step-000000020"))); /* strict touches nothing */
        assert_int_equal(load_and_compare(), 10);
        assert_true(sl_is_dir(in_run("bad-step-000000020")));
        assert_non_null(strstr(fx.warnings, "damaged checkpoint"));
        assert_true(strstr(fx.warnings, files[way % FILES]) ||
                    strstr(fx.warnings, "its manifest belongs to step-000000010"));
        assert_int_equal(save(20), SL_OK);
        assert_int_equal(load_and_compare(), 20);
    }
}

static void test_folder_of_another_step(void **state)
{
    (void)state;
    fresh_run();
    assert_int_equal(save(10), SL_OK);
    assert_int_equal(rename(in_run("step-000000010"), in_run("step-000000099")), 0);
    assert_int_equal(save(20), SL_OK);
    assert_int_equal(load_and_compare(), 20);
    assert_non_null(strstr(fx.warnings, "belongs to step-000000010"));
}

static void test_never_silently_from_scratch(void **state)
{
    (void)state;
    struct sl_train_state s;
    bool found;
    fresh_run();
    assert_int_equal(save(10), SL_OK);
    put_file(in_step(10, files[0]), "", 0);
    assert_int_equal(sl_checkpoint_load(&fx.io, false, &s, &found), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "none of its 1 checkpoints verifies"));
    assert_int_equal(sl_checkpoint_load(&fx.io, false, &s, &found), SL_ERR_DATA); /* bad-* only */
}

static void test_two_bad_ones_are_kept(void **state)
{
    (void)state;
    const struct sl_checkpoint_config kept = fx.config.checkpoint;
    fx.config.checkpoint.keep_last = 9;
    fresh_run();
    for (uint64_t step = 1; step <= 4; step++)
        assert_int_equal(save(step), SL_OK);
    for (uint64_t step = 2; step <= 4; step++)
        put_file(in_step(step, files[1]), "", 0);
    assert_int_equal(load_and_compare(), 1);
    assert_string_equal(listing(),
                        "LAST bad-step-000000003 bad-step-000000004 best step-000000001");
    fx.config.checkpoint = kept;
}

/* A manifest with a valid digest of its own that says what it should not. */
static sl_status verify_forged(const char *from, const char *to)
{
    size_t n = 0;
    char digest[SL_DIGEST_SIZE];
    fresh_run();
    assert_int_equal(save(20), SL_OK);
    char *text = (char *)get_file(in_step(20, "manifest.json"), &n);
    char *at = strstr(text, from);
    assert_non_null(at);
    char *forged = malloc(n + strlen(to) + 64);
    assert_non_null(forged);
    n = (size_t)sprintf(forged, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) - 36;
    sl_digest(forged, n, digest);
    n += (size_t)sprintf(forged + n, "\"%s\"}\n", digest);
    put_file(in_step(20, "manifest.json"), forged, n);
    free(text);
    free(forged);
    return sl_checkpoint_verify(in_run("step-000000020"), NULL);
}

static void test_forged_manifests(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *word;
    } bad[] = {
        {"weights.safetensors", "../../weights.st", "must be \"weights"},
        {"\"step\": 20", "\"step\": -20", "outside"},
        {"\"step\": 20", "\"step\": 21", "belongs to"},
        {"\"step\": 20", "\"step\": \"20\"", "integer"},
        {"\"ranks\": 1", "\"ranks\": 2", "outside"},
        {"\"ranks\": 1", "\"ranges\": 1", "did you mean"},
        {"\"reason\": \"periodic\"", "\"reason\": \"a very long reason indeed\"", "longer"},
        {"\"best_step\"", "\"best_stop\"", "did you mean"},
        {"\"best_step\": 20, ", "", "missing"},
        {"\"build\":", "\"step\":", "duplicate"},
        {"\"data_digest\": \"data\",", "", "missing"},
        {"\"size\": ", "\"size\": 1", "the manifest says"},
        {"{\"schema\"", "[{\"schema\"", "bad JSON"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const sl_status st = verify_forged(bad[i].from, bad[i].to);
        if (st != SL_ERR_DATA || !strstr(sl_error_message(), bad[i].word))
            fail_msg("%s: status %d, %s", bad[i].to, st, sl_error_message());
    }
    assert_int_equal(verify_forged("test build", "prod build"), SL_OK);
}

/* A newer program's checkpoint is refused, not taken for damage. */
static void test_newer_schema(void **state)
{
    (void)state;
    struct sl_train_state s;
    bool found;
    assert_int_equal(verify_forged("\"schema\": 1", "\"schema\": 2"), SL_ERR_UNSUPPORTED);
    assert_int_equal(sl_checkpoint_load(&fx.io, false, &s, &found), SL_ERR_UNSUPPORTED);
    assert_true(sl_is_dir(in_run("step-000000020")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_flip_is_detected),
        cmocka_unit_test(test_every_truncation_is_detected),
        cmocka_unit_test(test_falls_back_and_says_so),
        cmocka_unit_test(test_folder_of_another_step),
        cmocka_unit_test(test_never_silently_from_scratch),
        cmocka_unit_test(test_two_bad_ones_are_kept),
        cmocka_unit_test(test_forged_manifests),
        cmocka_unit_test(test_newer_schema),
    };
    return cmocka_run_group_tests(tests, fixture_make, fixture_remove);
}
