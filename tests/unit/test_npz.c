/*
 * npz: files that NumPy wrote (tests/golden/make_npz.py), headers that must be read and more than
 * forty that must be refused, every truncation, every bit flipped, and each field of the zip
 * directory set to hostile values.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/npz.h"
#include "support/files.h"

static const char *golden(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/golden/npz/%s", TEST_SOURCE_DIR, name);
    return path;
}

/* ---- what NumPy writes ---- */

static void check_numbers(const struct sl_npz *z, const char *name, size_t count)
{
    float x[24];
    const struct sl_npz_array *a = sl_npz_find(z, name);
    assert_non_null(a);
    assert_int_equal(a->count, count);
    if (sl_npz_read_f32(z, a, x, count) != SL_OK)
        fail_msg("%s", sl_error_message());
    for (size_t i = 0; i < count; i++)
        assert_true(x[i] == (count == 1 ? -2.5f : (float)i / 8 - 1)); /* exact in every type */
}

static void check_file(const char *path)
{
    struct sl_npz z;
    float x[3];
    if (sl_npz_open(path, &z) != SL_OK)
        fail_msg("%s", sl_error_message());
    assert_int_equal(z.n, 9);
    check_numbers(&z, "f4", 24);
    check_numbers(&z, "a/f2", 24);
    check_numbers(&z, "a/f8", 24);
    check_numbers(&z, "fortran", 24);
    check_numbers(&z, "bf16", 24);
    check_numbers(&z, "scalar", 1);
    check_numbers(&z, "empty", 0);
    assert_true(sl_npz_find(&z, "fortran")->fortran);
    assert_int_equal(sl_npz_find(&z, "scalar")->rank, 0);
    assert_int_equal(sl_npz_find(&z, "empty")->shape[0], 3);
    assert_null(sl_npz_find(&z, "f"));
    assert_int_equal(sl_npz_read_f32(&z, sl_npz_find(&z, "i8"), x, 3), SL_ERR_DATA);
    assert_int_equal(sl_npz_read_f32(&z, sl_npz_find(&z, "f4"), x, 3), SL_ERR_DATA);
    sl_npz_close(&z);
}

static void test_numpy_files(void **state)
{
    (void)state;
    check_file(golden("stored.npz"));
    check_file(golden("deflated.npz"));
}

/* ---- headers ---- */

static sl_status parse(const char *dict, struct sl_npz_array *a)
{
    unsigned char bytes[512] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    const size_t n = strlen(dict);
    size_t more = 0;
    bytes[8] = (unsigned char)n;
    bytes[9] = (unsigned char)(n >> 8);
    memcpy(bytes + 10, dict, n);
    /* no dict that is right is shorter than the two bytes of a longer prefix */
    const sl_status st = sl_npy_parse(bytes, n < 2 ? 12 : 10 + n, "case", a, &more);
    assert_int_equal(more, 0);
    return st;
}

#define REST "'fortran_order': False, 'shape': (2, 3), }"

static void test_good_headers(void **state)
{
    (void)state;
    static const struct {
        const char *dict;
        size_t rank, count;
    } good[] = {
        {"{'descr': '<f4', " REST, 2, 6},
        {"{'descr':'<f4','fortran_order':True,'shape':(7,)}", 1, 7},
        {"{'shape': (), 'descr': '|V2', 'fortran_order': False}", 0, 1},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': (2, 0, 9), }   \n", 3, 0},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1), }", 8, 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct sl_npz_array a = {0};
        if (parse(good[i].dict, &a) != SL_OK)
            fail_msg("%s: %s", good[i].dict, sl_error_message());
        assert_int_equal(a.rank, good[i].rank);
        assert_int_equal(a.count, good[i].count);
    }
}

static void test_bad_headers(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "}",
        "{}",
        "{'descr'}",
        "{'descr': }",
        "{'descr': '<f4'",
        "{'descr': '<f4', 'descr': '<f4', " REST,
        "{'descr': \"<f4\", " REST,
        "{'descr': '<f4, " REST,
        "{'descr': '>f4', " REST,
        "{'descr': '<f16', " REST,
        "{'descr': '<c8', " REST,
        "{'descr': '|O', " REST,
        "{'descr': '|S4', " REST,
        "{'descr': '<U1', " REST,
        "{'descr': '|V4', " REST,
        "{'descr': '<f', " REST,
        "{'descr': '', " REST,
        "{'descr': [('a', '<f4')], " REST,
        "{'descr': '<f4', 'extra': 1, " REST,
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': false, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'shape': (2,)}",
        "{'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (+1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0x2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
        "{'descr': '<f4', " REST " x",
        "{'descr': '<f4', " REST "}",
        "{'descr' '<f4', " REST,
        "{descr: '<f4', " REST,
        "__import__('os')",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sl_npz_array a = {0};
        if (parse(bad[i], &a) != SL_ERR_DATA)
            fail_msg("accepted: %s", bad[i]);
        assert_true(strncmp(sl_error_message(), "case: ", 6) == 0);
    }
    print_message("%zu headers refused\n", sizeof bad / sizeof *bad);
}

/* ---- damaged files ---- */

/* A file in memory: thousands are tried. Returns its path, the same every time. */
static const char *put_memory(const void *bytes, size_t n)
{
    static char path[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("case", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    assert_true(fd >= 0 && ftruncate(fd, (off_t)n) == 0);
    assert_int_equal(pwrite(fd, bytes, n, 0), n);
    return path;
}

/* Opens and reads everything; counts numbers that are not those of the golden file. */
static sl_status read_all(const char *path, size_t *wrong)
{
    struct sl_npz z;
    sl_status st = sl_npz_open(path, &z);
    if (st != SL_OK)
        return st;
    for (size_t i = 0; st == SL_OK && i < z.n; i++) {
        const struct sl_npz_array *a = &z.arrays[i];
        float x[24] = {0};
        if (!sl_st_is_float(a->dtype) || a->count > 24)
            continue;
        st = sl_npz_read_f32(&z, a, x, a->count);
        for (size_t j = 0; st == SL_OK && j < a->count; j++)
            *wrong += x[j] != (a->count == 1 ? -2.5f : (float)j / 8 - 1);
    }
    sl_npz_close(&z);
    return st;
}

static void test_truncations(void **state)
{
    (void)state;
    static const char *const names[] = {"stored.npz", "deflated.npz"};
    for (size_t f = 0; f < 2; f++) {
        size_t n = 0, wrong = 0;
        unsigned char *bytes = get_file(golden(names[f]), &n);
        assert_non_null(bytes);
        for (size_t length = 0; length < n; length++) {
            const char *path = put_memory(bytes, length);
            assert_int_equal(read_all(path, &wrong), SL_ERR_DATA);
        }
        free(bytes);
    }
}

/* A flipped bit is found, or it is in a field that nobody reads (dates, versions, attributes), or
 * in a name: the numbers that are read never change. */
static void test_bit_flips(void **state)
{
    (void)state;
    static const char *const names[] = {"stored.npz", "deflated.npz"};
    static const size_t steps[] = {9, 1}; /* one bit of each byte, every bit */
    for (size_t f = 0; f < 2; f++) {
        size_t n = 0, tried = 0, refused = 0, wrong = 0;
        unsigned char *bytes = get_file(golden(names[f]), &n);
        assert_non_null(bytes);
        for (size_t bit = 0; bit < 8 * n; bit += steps[f], tried++) {
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            const char *path = put_memory(bytes, n);
            const sl_status st = read_all(path, &wrong);
            assert_true(st == SL_OK || st == SL_ERR_DATA);
            refused += st == SL_ERR_DATA;
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        assert_int_equal(wrong, 0);
        assert_true(2 * refused > tried); /* more than half of the bits matter */
        print_message("%s: %zu of %zu flipped bits refused\n", names[f], refused, tried);
        free(bytes);
    }
}

static void put_number(unsigned char *at, size_t width, uint64_t value)
{
    for (size_t i = 0; i < width; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

/* Fields of a record that starts with `signature`: their place and width. */
struct field {
    const char *signature;
    size_t at, width;
};

static void test_hostile_fields(void **state)
{
    (void)state;
    static const struct field fields[] = {
        {"PK\1\2", 8, 2},  {"PK\1\2", 10, 2}, {"PK\1\2", 16, 4}, {"PK\1\2", 20, 4},
        {"PK\1\2", 24, 4}, {"PK\1\2", 28, 2}, {"PK\1\2", 30, 2}, {"PK\1\2", 32, 2},
        {"PK\1\2", 42, 4}, {"PK\3\4", 6, 2},  {"PK\3\4", 8, 2},  {"PK\3\4", 14, 4},
        {"PK\3\4", 18, 4}, {"PK\3\4", 22, 4}, {"PK\3\4", 26, 2}, {"PK\3\4", 28, 2},
        {"PK\5\6", 4, 2},  {"PK\5\6", 6, 2},  {"PK\5\6", 8, 2},  {"PK\5\6", 10, 2},
        {"PK\5\6", 12, 4}, {"PK\5\6", 16, 4}, {"PK\5\6", 20, 2},
    };
    static const uint64_t values[] = {0,      1,        2,          0x7F,       0x80,
                                      0xFF,   0x100,    0x7FFF,     0x8000,     0xFFFE,
                                      0xFFFF, 0x10000,  0x7FFFFFFF, 0x80000000, 46,
                                      30,     0xFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF};
    size_t n = 0, tried = 0, wrong = 0;
    unsigned char *bytes = get_file(golden("stored.npz"), &n);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        unsigned char *record = memmem(bytes, n, fields[i].signature, 4);
        assert_non_null(record);
        unsigned char kept[4];
        memcpy(kept, record + fields[i].at, fields[i].width);
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            put_number(record + fields[i].at, fields[i].width, values[v]);
            if (memcmp(kept, record + fields[i].at, fields[i].width) == 0)
                continue;
            const char *path = put_memory(bytes, n);
            const sl_status st = read_all(path, &wrong);
            const bool unread_flag = fields[i].at < 10 && fields[i].width == 2 && st == SL_OK;
            if (st != SL_ERR_DATA && !unread_flag)
                fail_msg("field %zu of %x with %llx was accepted", fields[i].at,
                         (unsigned)fields[i].signature[2], (unsigned long long)values[v]);
            tried++;
        }
        memcpy(record + fields[i].at, kept, fields[i].width);
    }
    free(bytes);
    assert_int_equal(wrong, 0);
    print_message("%zu hostile values\n", tried);
}

static void test_missing(void **state)
{
    (void)state;
    struct sl_npz z;
    assert_int_equal(sl_npz_open(scratch("none.npz"), &z), SL_ERR_INPUT);
    put_file(scratch("empty"), "", 0);
    assert_int_equal(sl_npz_open(scratch("empty"), &z), SL_ERR_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numpy_files), cmocka_unit_test(test_good_headers),
        cmocka_unit_test(test_bad_headers), cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_bit_flips),   cmocka_unit_test(test_hostile_fields),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests_name("npz", tests, scratch_make, scratch_remove);
}
