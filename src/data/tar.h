/*
 * A strict tar reader: ustar, pax and GNU long names; files and folders, nothing else.
 */
#ifndef SL_DATA_TAR_H
#define SL_DATA_TAR_H

#include "base/error.h"

enum {
    SL_TAR_BLOCK = 512,
    SL_TAR_NAME_MAX = 1024,       /* bytes of a member's name */
    SL_TAR_MEMBER_MAX = 64 << 20, /* bytes of a member */
    SL_TAR_BUFFER = 16 * SL_TAR_BLOCK
};

/* Bytes by offset: a file, or memory. */
struct sl_tar_input {
    const void *of;
    /* n bytes at offset, offset + n <= size */
    sl_status (*read)(const void *of, uint64_t offset, void *buf, size_t n);
    uint64_t size;
    const char *what; /* name for errors */
};

/* Where a walk over the members stands. Begin with {.in = ...}. */
struct sl_tar {
    const struct sl_tar_input *in;
    uint64_t at; /* offset of the next header */
    uint64_t buffer_at;
    size_t buffered;
    unsigned char buffer[SL_TAR_BUFFER];
};

struct sl_tar_member {
    char name[SL_TAR_NAME_MAX + 1]; /* valid UTF-8, not empty */
    bool folder;
    uint64_t offset; /* of its bytes */
    size_t size;     /* 1 .. SL_TAR_MEMBER_MAX; 0 of a folder */
};

/* The next member, or *end = true behind the end mark, after which nothing but zeros may follow.
 * SL_ERR_DATA: damage, a kind of member that a shard cannot hold, a limit. */
sl_status sl_tar_next(struct sl_tar *tar, struct sl_tar_member *member, bool *end);
/* Reads n bytes at an offset that lies in a member. */
sl_status sl_tar_read(struct sl_tar *tar, uint64_t offset, void *buf, size_t n);

/* Writes the header of a file member: an ASCII name of at most 99 bytes, size < 8 GiB. */
void sl_tar_header(const char *name, uint64_t size, unsigned char block[SL_TAR_BLOCK]);

#endif
