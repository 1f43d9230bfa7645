/*
 * Tar shards in memory: what is accepted and how it is read, more than sixty bad files with the
 * word their error must hold, truncation at every block and byte, every bit of every header
 * flipped, index files with every byte changed, brace patterns.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "data/shard.h"
#include "tar_case.h"

static struct tar_bytes tar;

static sl_status read_memory(const void *of, uint64_t offset, void *buf, size_t n)
{
    memcpy(buf, (const unsigned char *)of + offset, n);
    return SL_OK;
}

static sl_status scan(const unsigned char *bytes, size_t n, struct sl_shard *shard)
{
    const struct sl_tar_input in = {bytes, read_memory, n, "test.tar"};
    return sl_shard_scan(&in, shard);
}

static void begin(void)
{
    memset(&tar, 0, sizeof tar);
}

/* Two samples, jpg and cls. */
static void good(void)
{
    begin();
    tar_text(&tar, "a/0001.jpg", "first image");
    tar_text(&tar, "a/0001.cls", "7");
    tar_text(&tar, "a/0002.png", "second");
    tar_text(&tar, "a/0002.cls", "12\n");
}

static void assert_scan(size_t n, const char *const *images, const int32_t *labels,
                        uint64_t ignored)
{
    struct sl_shard s = {0};
    if (scan(tar.bytes, tar.n, &s) != SL_OK)
        fail_msg("%s", sl_error_message());
    assert_int_equal(s.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(s.samples[i].size, strlen(images[i]));
        assert_memory_equal(tar.bytes + s.samples[i].offset, images[i], strlen(images[i]));
        assert_int_equal(s.samples[i].label, labels[i]);
    }
    assert_int_equal(s.ignored, ignored);
    sl_shard_free(&s);
}

static void assert_refused(const char *title, const char *word)
{
    struct sl_shard s = {0};
    const size_t live = sl_alloc_stats_get().live_bytes;
    const sl_status st = scan(tar.bytes, tar.n, &s);
    if (st != SL_ERR_DATA || !strstr(sl_error_message(), word))
        fail_msg("%s: status %d, \"%s\" lacks \"%s\"", title, st, sl_error_message(), word);
    assert_null(s.samples);
    assert_int_equal(sl_alloc_stats_get().live_bytes, live);
}

/* ---- what is accepted ---- */

static const char *const two[] = {"first image", "second"};
static const int32_t two_labels[] = {7, 12};

static void test_jpg_cls(void **state)
{
    (void)state;
    good();
    tar_end(&tar);
    assert_scan(2, two, two_labels, 0);
    tar.n += 8192; /* GNU tar pads to 10240 bytes */
    assert_scan(2, two, two_labels, 0);
}

static void test_json(void **state)
{
    (void)state;
    begin();
    tar_text(&tar, "1.json", "{\"label\": 7, \"width\": [1, {\"a\": null}]}");
    tar_text(&tar, "1.JPG", "first image");
    tar_text(&tar, "2.jpeg", "second");
    tar_text(&tar, "2.json", "{\"cls\": 12}");
    tar_end(&tar);
    assert_scan(2, two, two_labels, 0);
    begin(); /* cls counts, whichever comes first */
    tar_text(&tar, "1.json", "{\"label\": 3}");
    tar_text(&tar, "1.cls", "7");
    tar_text(&tar, "1.jpg", "first image");
    tar_text(&tar, "2.cls", "12 \r\n");
    tar_text(&tar, "2.json", "{\"label\": \"a word\"}");
    tar_text(&tar, "2.jpg", "second");
    tar_end(&tar);
    assert_scan(2, two, two_labels, 0);
}

static void test_other_members(void **state)
{
    (void)state;
    begin();
    tar_raw(&tar, '5', "a/", "", 0);
    tar_text(&tar, "a/README", "no dot");
    tar_text(&tar, "a/.hidden", "no key");
    tar_text(&tar, "a/0001.jpg", "first image");
    tar_text(&tar, "a/0001.txt", "a caption");
    tar_text(&tar, "a/0001.cls", "7");
    tar_text(&tar, "b/0001.seg.png", "not an image: the ending is seg.png");
    tar_text(&tar, "0001.jpg", "second"); /* another folder, another key */
    tar_text(&tar, "0001.cls", "12");
    tar_text(&tar, "meta.json", "{\"label\": 1}");
    tar_end(&tar);
    assert_scan(2, two, two_labels, 5);
}

static void test_long_names(void **state)
{
    (void)state;
    char record[600], name[300], path[400];
    memset(name, 'n', sizeof name);
    name[299] = '\0';
    begin();
    snprintf(path, sizeof path, "%s.jpg", name);
    snprintf(record, sizeof record, "%d path=%s\n", (int)(strlen(path) + 10), path);
    tar_raw(&tar, 'x', "pax", record, strlen(record));
    tar_text(&tar, "cut", "first image");
    snprintf(path, sizeof path, "%s.cls", name);
    tar_raw(&tar, 'L', "././@LongLink", path, strlen(path) + 1);
    tar_text(&tar, "cut", "7");
    tar_raw(&tar, 'g', "pax_global", "20 comment=a commit\n", 20);
    tar_raw(&tar, 'x', "pax", "10 size=6\n22 mtime=1700000000.5\n", 32);
    tar_text(&tar, "\xc3\xa9.jpg", "second");
    memcpy(tar.bytes + tar.header + 345, "folder", 6);
    tar_seal(tar.bytes + tar.header);
    tar_text(&tar, "folder/\xc3\xa9.cls", "12");
    tar_end(&tar);
    assert_scan(2, two, two_labels, 0);
}

static void test_empty_shard(void **state)
{
    (void)state;
    begin();
    tar_end(&tar);
    assert_scan(0, NULL, NULL, 0);
}

/* ---- what is refused ---- */

static void one_member(const char *title, char kind, const char *name, const char *data, size_t n,
                       const char *word)
{
    good();
    tar_raw(&tar, kind, name, data, n);
    tar_end(&tar);
    assert_refused(title, word);
}

static void test_bad_members(void **state)
{
    (void)state;
    static const struct {
        const char *title;
        char kind;
        const char *name, *data, *word;
    } cases[] = {
        {"hard link", '1', "x.jpg", "", "a hard link"},
        {"symbolic link", '2', "x.jpg", "", "a symbolic link"},
        {"character device", '3', "x.jpg", "", "a device"},
        {"block device", '4', "x.jpg", "", "a device"},
        {"pipe", '6', "x.jpg", "", "a pipe"},
        {"sparse", 'S', "x.jpg", "abc", "a sparse file"},
        {"long link", 'K', "x.jpg", "abc", "link's long name"},
        {"continued", 'M', "x.jpg", "abc", "a continued file"},
        {"contiguous", '7', "x.jpg", "abc", "unknown kind"},
        {"vendor", 'X', "x.jpg", "abc", "unknown kind"},
        {"empty file", '0', "x.jpg", "", "is empty"},
        {"folder with bytes", '5', "x", "abc", "bytes of its own"},
        {"no name", '0', "", "abc", "0 bytes"},
        {"not UTF-8", '0', "\xff\xfe.jpg", "abc", "not UTF-8"},
        {"overlong UTF-8", '0', "\xc0\xaf.jpg", "abc", "not UTF-8"},
        {"no label", '0', "a/0003.jpg", "abc", "no label"},
        {"no image", '0', "a/0003.cls", "3", "no image"},
        {"two images", '0', "a/0002.jpg", "abc", "two images"},
        {"two labels", '0', "a/0002.cls", "3", "two members cls"},
        {"word as label", '0', "a/0003.cls", "cat", "no number"},
        {"negative label", '0', "a/0003.cls", "-1", "no number"},
        {"plus sign", '0', "a/0003.cls", "+1", "no number"},
        {"blank before", '0', "a/0003.cls", " 1", "no number"},
        {"two numbers", '0', "a/0003.cls", "1 2", "no number"},
        {"fraction", '0', "a/0003.cls", "1.5", "no number"},
        {"hexadecimal", '0', "a/0003.cls", "0x1", "no number"},
        {"only a line end", '0', "a/0003.cls", "\n", "no number"},
        {"label 2^20", '0', "a/0003.cls", "1048576", "1048576 or more"},
        {"label 2^32", '0', "a/0003.cls", "4294967296", "1048576 or more"},
        {"label 10^30", '0', "a/0003.cls", "1000000000000000000000000000000", "no number"},
        {"list as json", '0', "a/0003.json", "[1]", "no JSON object"},
        {"number as json", '0', "a/0003.json", "1", "JSON"},
        {"broken json", '0', "a/0003.json", "{\"label\": ", "JSON"},
        {"two keys alike", '0', "a/0003.json", "{\"label\": 1, \"label\": 2}", "duplicate"},
        {"negative json label", '0', "a/0003.json", "{\"label\": -3}", "negative"},
        {"large json label", '0', "a/0003.json", "{\"label\": 99999999}", "1048576 or more"},
        {"pax: no length", 'x', "pax", "path=a\n", "length is wrong"},
        {"pax: length 0", 'x', "pax", "0 path=a\n", "length is wrong"},
        {"pax: too long", 'x', "pax", "99 path=a\n", "length is wrong"},
        {"pax: short", 'x', "pax", "8 path=a\n", "malformed"},
        {"pax: huge length", 'x', "pax", "99999999999999999999 path=a\n", "length is wrong"},
        {"pax: no equals", 'x', "pax", "9 path a\n", "malformed"},
        {"pax: no key", 'x', "pax", "6 =ab\n", "malformed"},
        {"pax: no end of line", 'x', "pax", "10 path=abc", "malformed"},
        {"pax: two names", 'x', "pax", "10 path=a\n10 path=b\n", "second name"},
        {"pax: two sizes", 'x', "pax", "10 size=3\n10 size=3\n", "second size"},
        {"pax: bad size", 'x', "pax", "11 size=0x\n", "no number"},
        {"pax: negative size", 'x', "pax", "11 size=-1\n", "no number"},
        {"pax: empty name", 'x', "pax", "8 path=\n", "0 bytes"},
        {"pax: name not UTF-8", 'x', "pax", "10 path=\xff\n", "not UTF-8"},
        {"pax: sparse", 'x', "pax", "22 GNU.sparse.major=1\n", "sparse"},
        {"pax: empty", 'x', "pax", "", "0 bytes"},
        {"pax: one name for all", 'g', "pax", "10 path=a\n", "to all members"},
        {"pax: one size for all", 'g', "pax", "10 size=3\n", "to all members"},
        {"pax: no member after it", 'x', "pax", "10 path=a\n", "missing"},
        {"long name: no member after it", 'L', "@LongLink", "abc", "missing"},
        {"long name: empty", 'L', "@LongLink", "", "0 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        one_member(cases[i].title, cases[i].kind, cases[i].name, cases[i].data,
                   strlen(cases[i].data), cases[i].word);
    one_member("NUL in a label", '0', "a/0003.cls", "1\0002", 3, "no number");
    one_member("NUL in a pax name", 'x', "pax", "12 path=a\0b\n", 12, "NUL");
    one_member("NUL in a long name", 'L', "@LongLink", "a\0b", 4, "NUL");
    printf("%zu bad members refused\n", sizeof cases / sizeof *cases + 3);
}

static void test_bad_fields(void **state)
{
    (void)state;
    static const struct {
        const char *title;
        size_t at;
        const char *bytes;
        size_t n;
        const char *word;
    } cases[] = {
        {"size: letters", 124, "abcdefghijk", 12, "no number"},
        {"size: empty", 124, "\0\0\0\0\0\0\0\0\0\0\0", 12, "no number"},
        {"size: digit 8", 124, "00000000008", 12, "no number"},
        {"size: minus", 124, "-0000000001", 12, "no number"},
        {"size: 8 GiB - 1", 124, "77777777777", 12, "the limit is"},
        {"size: limit + 1", 124, "00400000001", 12, "the limit is"},
        {"size: limit", 124, "00400000000", 12, "remain"},
        {"size: base-256, 2^62", 124, "\x80\0\0\0\x40\0\0\0\0\0\0", 12, "the limit is"},
        {"size: base-256, 2^64", 124, "\x80\0\0\1\0\0\0\0\0\0\0", 12, "no number"},
        {"size: base-256, negative", 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12,
         "no number"},
        {"size: one block too many", 124, "00000004000", 12, "remain"},
        {"magic: old tar", 257, "\0\0\0\0\0\0\0\0", 8, "older than ustar"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        good();
        memcpy(tar.bytes + tar.header + cases[i].at, cases[i].bytes, cases[i].n);
        tar_seal(tar.bytes + tar.header);
        tar_end(&tar);
        assert_refused(cases[i].title, cases[i].word);
    }
}

static void test_two_sizes(void **state)
{
    (void)state;
    good();
    tar_raw(&tar, 'x', "pax", "12 size=512\n", 12);
    tar_text(&tar, "a/0003.jpg", "abc");
    tar_end(&tar);
    assert_refused("size in the pax header and another in the plain one", "two sizes");
}

static void test_duplicates(void **state)
{
    (void)state;
    good();
    tar_text(&tar, "a/0001.jpg", "again");
    tar_text(&tar, "a/0001.cls", "7");
    tar_end(&tar);
    assert_refused("two samples of one name", "same name");
}

static void test_large_json(void **state)
{
    (void)state;
    char *text = malloc(65537);
    assert_non_null(text);
    memset(text, ' ', 65537);
    memcpy(text, "{\"label\": 12", 12);
    text[65535] = '}';
    begin();
    tar_raw(&tar, '0', "1.json", text, 65536);
    tar_text(&tar, "1.jpg", "second");
    tar_end(&tar);
    assert_scan(1, two + 1, two_labels + 1, 0);
    begin();
    tar_raw(&tar, '0', "1.json", text, 65537);
    tar_end(&tar);
    assert_refused("one byte more", "65536");
    begin();
    memset(text, '[', 65536);
    tar_raw(&tar, '0', "1.json", text, 65536);
    tar_end(&tar);
    assert_refused("deep json", "JSON");
    free(text);
}

/* No prefix of a tar is one: the end mark is its last 1024 bytes. */
static void test_truncation(void **state)
{
    (void)state;
    size_t tried = 0;
    good();
    tar_end(&tar);
    const size_t whole = tar.n;
    for (tar.n = 0; tar.n < whole; tar.n++, tried++)
        assert_refused("a prefix", "test.tar");
    printf("%zu prefixes refused\n", tried);
}

static void test_end(void **state)
{
    (void)state;
    good();
    tar_end(&tar);
    tar.n += 512;
    tar.bytes[tar.n - 1] = 1;
    assert_refused("a byte after the end", "after the tar end mark");
    good();
    tar_end(&tar);
    tar_text(&tar, "a/0003.jpg", "appended");
    tar_end(&tar);
    assert_refused("a tar after a tar", "after the tar end mark");
    unsigned char *padded = calloc((1 << 20) + 4096 + 1, 1);
    assert_non_null(padded);
    struct sl_shard s = {0};
    assert_int_equal(scan(padded, 1 << 20, &s), SL_OK); /* the limit */
    assert_int_equal(scan(padded, (1 << 20) + 1, &s), SL_ERR_DATA);
    free(padded);
}

/* Every header is under a checksum, so a flipped bit in one is always seen. */
static void test_flips(void **state)
{
    (void)state;
    size_t tried = 0;
    good();
    tar_end(&tar);
    static const size_t headers[] = {0, 1024, 2048, 3072};
    for (size_t h = 0; h < 4; h++)
        for (size_t bit = 0; bit < 512 * 8; bit++, tried++) {
            tar.bytes[headers[h] + bit / 8] ^= (unsigned char)(1 << bit % 8);
            struct sl_shard s = {0};
            const sl_status st = scan(tar.bytes, tar.n, &s);
            if (st != SL_ERR_DATA) /* blanks and NULs around the checksum's digits are alike */
                assert_true(st == SL_OK && bit / 8 >= 148 && bit / 8 < 156 && s.n == 2);
            sl_shard_free(&s);
            tar.bytes[headers[h] + bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
    assert_int_equal(tried, 16384);
}

static void test_memory_failures(void **state)
{
    (void)state;
    good();
    tar_text(&tar, "b.jpg", "image");
    tar_text(&tar, "b.json", "{\"label\": 1}");
    tar_end(&tar);
    const size_t live = sl_alloc_stats_get().live_bytes;
    size_t failed = 0;
    for (size_t n = 1;; n++) {
        struct sl_shard s = {0};
        sl_alloc_fail_at(n, false);
        const sl_status st = scan(tar.bytes, tar.n, &s);
        sl_alloc_fail_at(0, false);
        sl_shard_free(&s);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
        if (st == SL_OK)
            break;
        assert_int_equal(st, SL_ERR_MEMORY);
        failed++;
    }
    assert_true(failed >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jpg_cls),       cmocka_unit_test(test_json),
        cmocka_unit_test(test_other_members), cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_empty_shard),   cmocka_unit_test(test_bad_members),
        cmocka_unit_test(test_bad_fields),    cmocka_unit_test(test_two_sizes),
        cmocka_unit_test(test_duplicates),    cmocka_unit_test(test_large_json),
        cmocka_unit_test(test_truncation),    cmocka_unit_test(test_end),
        cmocka_unit_test(test_flips),         cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
