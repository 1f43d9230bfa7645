/*
 * Packing class folders into shards: what comes out is read back, byte by byte; policies on bad
 * images; a folder that is whole or absent, whatever fails meanwhile.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "data/data.h"
#include "support/faults.h"
#include "support/files.h"

enum { CLASSES = 3, PER_CLASS = 7, N = CLASSES * PER_CLASS };

/* ---- helpers ---- */

/* CLASSES folders of PER_CLASS images of 4 x 4 pixels; image i of all has the value i. */
static void put_folder(const char *name)
{
    static const char *const classes[] = {"ant", "n01440764", "\xc3\xa9t\xc3\xa9"};
    char path[256];
    for (size_t i = 0; i < N; i++) {
        struct sl_image img = {0};
        snprintf(path, sizeof path, "%s/%s", name, classes[i / PER_CLASS]);
        assert_int_equal(sl_make_dirs(scratch(path)), SL_OK);
        snprintf(path + strlen(path), 32, "/a.%02zu.PNG", i);
        assert_int_equal(sl_image_resize_buffer(&img, 4, 4), SL_OK);
        memset(img.pixels, (int)i, 48);
        assert_int_equal(sl_image_write_png(scratch(path), &img), SL_OK);
        sl_image_free(&img);
    }
}

static void damage(const char *name)
{
    size_t n = 0;
    unsigned char *bytes = get_file(scratch(name), &n);
    assert_non_null(bytes);
    bytes[n / 2] ^= 0x55;
    put_file(scratch(name), bytes, n);
    free(bytes);
}

static sl_status pack(const char *from, const char *to, const sl_pack_options *o, sl_pack_result *r)
{
    char spec[256];
    snprintf(spec, sizeof spec, "%s", scratch(from));
    return sl_data_pack(spec, scratch(to), o, r);
}

static struct sl_dataset *open_shards(const char *folder)
{
    char spec[256];
    struct sl_dataset *set = NULL;
    snprintf(spec, sizeof spec, "wds:%s", scratch(folder));
    if (sl_dataset_open(spec, &set) != SL_OK)
        fail_msg("%s", sl_error_message());
    return set;
}

/* ---- tests ---- */

static void test_round_trip(void **state)
{
    (void)state;
    sl_pack_result r;
    unsigned seen = 0;
    size_t moved = 0;
    put_folder("in");
    const sl_pack_options o = {.shard_images = 4, .seed = 3};
    assert_int_equal(pack("in", "out", &o, &r), SL_OK);
    assert_int_equal(r.shards, 6);
    assert_int_equal(r.images, N);
    assert_int_equal(r.left_out, 0);
    struct sl_dataset *set = open_shards("out"), *in = NULL;
    assert_int_equal(sl_dataset_open(scratch("in"), &in), SL_OK);
    assert_int_equal(sl_dataset_count(set), N);
    assert_int_equal(sl_dataset_classes(set), CLASSES);
    for (size_t c = 0; c < CLASSES; c++)
        assert_string_equal(sl_dataset_class_name(set, c), sl_dataset_class_name(in, c));
    for (size_t i = 0; i < N; i++) {
        struct sl_image img = {0};
        struct sl_bytes file = {0}, original = {0};
        char name[256];
        assert_int_equal(sl_dataset_image(set, i, &img), SL_OK);
        const size_t value = img.pixels[0];
        assert_int_equal(sl_dataset_label(set, i), value / PER_CLASS);
        assert_int_equal(sl_dataset_file(set, i, &file), SL_OK);
        assert_int_equal(sl_dataset_file(in, value, &original), SL_OK);
        assert_int_equal(file.n, original.n);
        assert_memory_equal(file.data, original.data, file.n);
        snprintf(name, sizeof name, "a_%02zu.png", value);
        char shown[256];
        assert_non_null(strstr(sl_dataset_sample_name(set, i, shown), name));
        seen |= 1u << value;
        moved += value != i;
        sl_free(file.data);
        sl_free(original.data);
        sl_image_free(&img);
    }
    assert_int_equal(seen, (1u << N) - 1);
    assert_true(moved > N / 2);
    sl_dataset_free(&in);
    sl_dataset_free(&set);
}

/* The index files say what the tars hold, GNU tar reads the tars, and shards can be packed again.
 */
static void test_others_agree(void **state)
{
    (void)state;
    sl_pack_result r;
    char command[512], digest[2][SL_DIGEST_SIZE];
    put_folder("in2");
    const sl_pack_options o = {.shard_images = 10, .in_order = true};
    assert_int_equal(pack("in2", "out2", &o, &r), SL_OK);
    struct sl_dataset *set = open_shards("out2");
    sl_dataset_digest(set, digest[0]);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(sl_dataset_label(set, i), i / PER_CLASS);
    sl_dataset_free(&set);
    snprintf(command, sizeof command, "tar -tf %s/out2/shard-000002.tar | wc -l | grep -qx 2",
             scratch_dir);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "rm %s/out2/*.idx", scratch_dir);
    assert_int_equal(system(command), 0);
    set = open_shards("out2"); /* now from the tars */
    sl_dataset_digest(set, digest[1]);
    assert_string_equal(digest[0], digest[1]);
    sl_dataset_free(&set);
    char spec[256];
    snprintf(spec, sizeof spec, "wds:%s", scratch("out2"));
    assert_int_equal(sl_data_pack(spec, scratch("again"), &o, &r), SL_OK);
    assert_int_equal(r.images, N);
    sl_pack_result other;
    assert_int_equal(sl_data_pack("synthetic:n=9,classes=3,size=4", scratch("none"), &o, &other),
                     SL_ERR_CONFIG);
    assert_false(sl_is_dir(scratch("none")));
}

static void test_bad_images(void **state)
{
    (void)state;
    sl_pack_result r;
    put_folder("bad");
    damage("bad/ant/a.03.PNG");
    sl_pack_options o = {.on_bad = SL_PACK_STOP};
    assert_int_equal(pack("bad", "stopped", &o, &r), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "a.03.PNG"));
    assert_false(sl_is_dir(scratch("stopped")));
    o.on_bad = SL_PACK_SKIP;
    assert_int_equal(pack("bad", "skipped", &o, &r), SL_OK);
    assert_int_equal(r.images, N - 1);
    assert_int_equal(r.left_out, 1);
    o.on_bad = SL_PACK_KEEP;
    assert_int_equal(pack("bad", "kept", &o, &r), SL_OK);
    assert_int_equal(r.images, N);
    put_file(scratch("bad/ant/a.03.PNG"), "", 0); /* a tar member cannot be empty */
    assert_int_equal(pack("bad", "empty", &o, &r), SL_ERR_DATA);
    assert_non_null(strstr(sl_error_message(), "empty"));
    assert_int_equal(pack("bad", "kept", &o, &r), SL_ERR_CREATE);
}

/* Every system call and every allocation fails once: an error, no folder, no leak; what was left is
 * no obstacle for the next try. */
static void test_failures(void **state)
{
    (void)state;
    sl_pack_result r;
    size_t calls = 0, allocations = 0;
    put_folder("faults");
    const sl_pack_options o = {.shard_images = 11};
    const size_t live = sl_alloc_stats_get().live_bytes;
    for (size_t n = 1;; n += 3) {
        sl_remove_tree(scratch("f")); /* whole already, if what failed was its last sync */
        fault_arm();
        fault.fail_at = n;
        fault.error = EIO;
        const sl_status st = pack("faults", "f", &o, &r);
        const bool hit = fault.failed > 0;
        fault_disarm();
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        assert_int_equal(fault.dead_syncs, 0);
        if (!hit) {
            assert_int_equal(st, SL_OK);
            break;
        }
        calls++;
    }
    for (size_t n = 1; n < 100000; n += 5) {
        sl_remove_tree(scratch("f"));
        sl_alloc_fail_at(n, false);
        const sl_status st = pack("faults", "f", &o, &r);
        sl_alloc_fail_at(0, false);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        if (st == SL_OK)
            break;
        assert_int_equal(st, SL_ERR_MEMORY);
        assert_false(sl_is_dir(scratch("f")));
        allocations++;
    }
    assert_int_equal(r.images, N);
    struct sl_dataset *set = open_shards("f");
    assert_int_equal(sl_dataset_count(set), N);
    sl_dataset_free(&set);
    printf("%zu failing system calls, %zu failing allocations\n", calls, allocations);
    assert_true(calls > 20 && allocations > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_others_agree),
        cmocka_unit_test(test_bad_images),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
