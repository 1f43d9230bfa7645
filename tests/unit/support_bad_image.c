/*
 * See support_bad_image.h.
 */
#include "unit/support_bad_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "image/image.h"

sl_status decode_checked(const struct bytes *b)
{
    static const uint8_t mark[6] = {9, 8, 7, 6, 5, 4};
    struct sl_image img = {0};
    assert_int_equal(sl_image_resize_buffer(&img, 1, 2), SL_OK);
    memcpy(img.pixels, mark, sizeof mark);
    const struct sl_image before = img;
    const size_t live = sl_alloc_stats_get().live_bytes;
    const sl_status st = sl_image_decode(b->p, b->n, "bad file", &img);
    if (st != SL_OK) {
        if (strncmp(sl_error_message(), "bad file: ", 10) != 0 && st != SL_ERR_MEMORY)
            fail_msg("the message does not name the file: %s", sl_error_message());
        assert_memory_equal(&img, &before, sizeof img);
        assert_memory_equal(img.pixels, mark, sizeof mark);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
    } else {
        assert_in_range(img.h * img.w, 1, SL_IMAGE_MAX_PIXELS);
        /* CMYK is converted through a row behind the pixels */
        assert_in_range(img.capacity, img.h * img.w * 3, img.h * img.w * 3 + img.w * 4);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live - sizeof mark + img.capacity);
    }
    sl_image_free(&img);
    return st;
}

void expect_bad(const struct bytes *b, const char *label, const char *reason)
{
    const sl_status st = decode_checked(b);
    if (st != SL_ERR_DATA)
        fail_msg("%s: status '%s', expected 'bad data'", label, sl_status_text(st));
    if (!strstr(sl_error_message(), reason))
        fail_msg("%s: wanted '%s', got '%s'", label, reason, sl_error_message());
}

size_t expect_bad_prefixes(const char *golden_name)
{
    struct bytes b = golden_image_bytes(golden_name);
    const size_t n = b.n;
    for (b.n = 0; b.n < n; b.n++) {
        /* An own block of exactly this size, so that a sanitizer sees any read behind it. */
        struct bytes prefix = bytes_copy(&b);
        if (decode_checked(&prefix) != SL_ERR_DATA)
            fail_msg("%s: a prefix of %zu of %zu bytes was accepted", golden_name, b.n, n);
        bytes_free(&prefix);
    }
    bytes_free(&b);
    return n;
}

size_t fail_allocations(const char *golden_name, bool sticky)
{
    struct bytes b = golden_image_bytes(golden_name);
    struct sl_image img = {0};
    const size_t live = sl_alloc_stats_get().live_bytes;
    size_t failed = 0;
    for (;; failed++) {
        sl_alloc_fail_at(failed + 1, sticky);
        const sl_status st = sl_image_decode(b.p, b.n, "file", &img);
        sl_alloc_fail_at(0, false);
        if (st == SL_OK)
            break;
        if (st != SL_ERR_MEMORY)
            fail_msg("%s, allocation %zu: status '%s'", golden_name, failed + 1,
                     sl_status_text(st));
        assert_null(img.pixels);
        assert_int_equal(sl_alloc_stats_get().live_bytes, live);
    }
    sl_image_free(&img);
    assert_int_equal(sl_alloc_stats_get().live_bytes, live);
    bytes_free(&b);
    return failed;
}
