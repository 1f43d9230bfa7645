/*
 * Gzip by zlib's inflate. Compressed bytes in memory enter, inflated bytes leave. zlib's gzread is
 * not used: it passes plain files through, ignores bytes after the member, joins several members
 * and reports truncation only after the data was handed out. Nothing is allocated from the length
 * the file claims.
 */
#include "data/gzip.h"

#include <zlib.h>

#include "base/alloc.h"

struct sl_gzip {
    z_stream z;
    const char *what;
    const unsigned char *bytes;
    size_t n;    /* bytes of the file */
    size_t fed;  /* of them given to zlib */
    bool ready;  /* z must be ended */
    bool at_end; /* the member's checksum and length were right */
};

bool sl_gzip_is(const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    return n >= 2 && b[0] == 0x1F && b[1] == 0x8B;
}

static voidpf z_alloc(voidpf opaque, uInt count, uInt size)
{
    (void)opaque;
    return sl_calloc(count, size);
}

static void z_free(voidpf opaque, voidpf p)
{
    (void)opaque;
    sl_free(p);
}

sl_status sl_gzip_open(const void *bytes, size_t n, const char *what, struct sl_gzip **gz)
{
    struct sl_gzip *g;
    SL_TRY(SL_NEW(g, 1));
    g->z.zalloc = z_alloc;
    g->z.zfree = z_free;
    g->what = what;
    g->bytes = bytes;
    g->n = n;
    const int window_and_gzip_only = 15 + 16;
    if (inflateInit2(&g->z, window_and_gzip_only) != Z_OK) {
        sl_free(g);
        SL_FAIL(SL_ERR_MEMORY, "%s: out of memory for inflating", what);
    }
    g->ready = true;
    *gz = g;
    return SL_OK;
}

void sl_gzip_free(struct sl_gzip **gz)
{
    if (!*gz)
        return;
    if ((*gz)->ready)
        inflateEnd(&(*gz)->z);
    sl_free(*gz);
    *gz = NULL;
}

/* zlib counts in unsigned int, so the input goes in pieces. */
static void feed(struct sl_gzip *g)
{
    const size_t most = (size_t)1 << 30;
    const size_t piece = g->n - g->fed < most ? g->n - g->fed : most;
    if (g->z.avail_in > 0)
        return;
    g->z.next_in = (z_const Bytef *)(g->bytes + g->fed);
    g->z.avail_in = (uInt)piece;
    g->fed += piece;
}

/* Inflates up to n bytes, n < 2^30; *got < n only at the end of the member. */
static sl_status inflate_some(struct sl_gzip *g, void *buf, size_t n, size_t *got)
{
    g->z.next_out = buf;
    g->z.avail_out = (uInt)n;
    while (g->z.avail_out > 0 && !g->at_end) {
        feed(g);
        const int r = inflate(&g->z, Z_NO_FLUSH);
        const size_t at = g->fed - g->z.avail_in;
        if (r == Z_STREAM_END)
            g->at_end = true;
        else if (r == Z_MEM_ERROR)
            SL_FAIL(SL_ERR_MEMORY, "%s: out of memory for inflating", g->what);
        else if (r == Z_BUF_ERROR || (r == Z_OK && at == g->n && g->z.avail_out > 0))
            SL_FAIL(SL_ERR_DATA, "%s: truncated gzip stream, it ends at byte %zu", g->what, g->n);
        else if (r != Z_OK)
            SL_FAIL(SL_ERR_DATA, "%s: damaged gzip stream before byte %zu (%s)", g->what, at,
                    g->z.msg ? g->z.msg : "no reason given");
    }
    *got = n - g->z.avail_out;
    return SL_OK;
}

sl_status sl_gzip_read(struct sl_gzip *g, void *buf, size_t n)
{
    const size_t most = (size_t)1 << 29;
    char *to = buf;
    while (n > 0) {
        const size_t piece = n < most ? n : most;
        size_t got = 0;
        SL_TRY(inflate_some(g, to, piece, &got));
        if (got < piece)
            SL_FAIL(SL_ERR_DATA, "%s: truncated, the inflated data ends %zu bytes early", g->what,
                    n - got);
        to += piece;
        n -= piece;
    }
    return SL_OK;
}

sl_status sl_gzip_end(struct sl_gzip *g)
{
    char extra;
    size_t got = 0;
    SL_TRY(inflate_some(g, &extra, 1, &got));
    if (got > 0)
        SL_FAIL(SL_ERR_DATA, "%s: inflates to more bytes than its header announces", g->what);
    const size_t at = g->fed - g->z.avail_in;
    if (at != g->n)
        SL_FAIL(SL_ERR_DATA,
                "%s: %zu bytes after the end of the gzip member at byte %zu (a second member or "
                "garbage)",
                g->what, g->n - at, at);
    return SL_OK;
}
