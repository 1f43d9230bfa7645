/*
 * Tars built by hand in memory, header by header, so that any field can be made wrong. Shares no
 * code with the library.
 */
#ifndef SL_TESTS_UNIT_TAR_CASE_H
#define SL_TESTS_UNIT_TAR_CASE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tar_bytes {
    unsigned char bytes[1 << 18];
    size_t n;
    size_t header; /* of the last member */
};

static inline void tar_seal(unsigned char *h)
{
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += h[i];
    char text[8];
    snprintf(text, sizeof text, "%06o", sum & 0777777u);
    memcpy(h + 148, text, 7);
}

static inline void tar_raw(struct tar_bytes *t, char kind, const char *name, const void *data,
                           size_t n)
{
    char octal[12];
    const size_t length = strlen(name);
    if (t->n + 1024 + n + 512 > sizeof t->bytes)
        abort();
    unsigned char *h = t->bytes + t->n;
    t->header = t->n;
    memset(h, 0, 512);
    memcpy(h, name, length < 100 ? length : 100);
    memcpy(h + 100, "0000644", 7);
    snprintf(octal, sizeof octal, "%011o", (unsigned)n);
    memcpy(h + 124, octal, 11);
    memcpy(h + 136, "00000000000", 11);
    h[156] = (unsigned char)kind;
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    tar_seal(h);
    memset(h + 512, 0, (n + 511) / 512 * 512);
    if (n > 0)
        memcpy(h + 512, data, n);
    t->n += 512 + (n + 511) / 512 * 512;
}

static inline void tar_text(struct tar_bytes *t, const char *name, const char *text)
{
    tar_raw(t, '0', name, text, strlen(text));
}

static inline void tar_end(struct tar_bytes *t)
{
    memset(t->bytes + t->n, 0, 1024);
    t->n += 1024;
}

#endif
