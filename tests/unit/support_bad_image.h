/* Decoding of damaged files: the outcome every test of bad images demands. */
#ifndef TESTS_UNIT_SUPPORT_BAD_IMAGE_H
#define TESTS_UNIT_SUPPORT_BAD_IMAGE_H

#include "base/error.h"
#include "unit/support_images.h"

/* Decodes into an image in use. On failure: the sentence begins with the name, the image is
 * untouched, nothing is leaked. A good image has pixels within the limits. */
sl_status decode_checked(const struct bytes *b);
/* Must fail with SL_ERR_DATA and this in the sentence; label tells which case. */
void expect_bad(const struct bytes *b, const char *label, const char *reason);
/* Every proper prefix must be SL_ERR_DATA; returns how many there were. */
size_t expect_bad_prefixes(const char *golden_name);
/* Fails every allocation in turn; returns how many there were. sticky: and all after it. */
size_t fail_allocations(const char *golden_name, bool sticky);

#endif
