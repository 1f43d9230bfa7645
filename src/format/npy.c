/*
 * The header of a NumPy array: magic, version, length, then a Python dict literal with exactly the
 * keys descr, fortran_order and shape. Parsed as the three forms NumPy writes, nothing else: Python
 * objects (pickles), structured types and big-endian numbers are refused.
 */
#include <string.h>

#include "base/checked.h"
#include "base/text.h"
#include "format/npz.h"

/* descr of every type that is read. */
static const struct {
    const char *descr;
    enum sl_st_dtype dtype;
} types[] = {
    {"<f2", SL_ST_F16}, {"<f4", SL_ST_F32}, {"<f8", SL_ST_F64}, {"|V2", SL_ST_BF16},
    {"<i4", SL_ST_I32}, {"<i8", SL_ST_I64}, {"|u1", SL_ST_U8},
};

struct parser {
    const char *at, *end, *what;
};

static void skip_spaces(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n'))
        p->at++;
}

static bool take(struct parser *p, const char *word)
{
    const size_t n = strlen(word);
    skip_spaces(p);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, word, n) != 0)
        return false;
    p->at += n;
    return true;
}

static sl_status expect(struct parser *p, const char *word)
{
    if (take(p, word))
        return SL_OK;
    char escaped[SL_ESCAPED_SIZE];
    const size_t left = (size_t)(p->end - p->at);
    SL_FAIL(SL_ERR_DATA, "%s: the npy header has \"%s\" where %s is expected", p->what,
            sl_escape(p->at, left < 16 ? left : 16, escaped), word);
}

static sl_status parse_descr(struct parser *p, struct sl_npz_array *a)
{
    char escaped[SL_ESCAPED_SIZE];
    SL_TRY(expect(p, "'"));
    const char *quote = memchr(p->at, '\'', (size_t)(p->end - p->at));
    const size_t n = quote ? (size_t)(quote - p->at) : 0;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (n == strlen(types[i].descr) && memcmp(p->at, types[i].descr, n) == 0) {
            a->dtype = types[i].dtype;
            p->at = quote + 1;
            return SL_OK;
        }
    }
    SL_FAIL(SL_ERR_DATA, "%s: dtype \"%s\" is not read (f2, f4, f8, i4, i8, u1, little-endian)",
            p->what, sl_escape(p->at, n, escaped));
}

static sl_status parse_order(struct parser *p, struct sl_npz_array *a)
{
    a->fortran = take(p, "True");
    return a->fortran ? SL_OK : expect(p, "False");
}

static sl_status parse_extent(struct parser *p, size_t *extent)
{
    const char *first = p->at;
    size_t x = 0;
    for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
        if (!sl_size_mul(x, 10, &x) || !sl_size_add(x, (size_t)(*p->at - '0'), &x))
            SL_FAIL(SL_ERR_DATA, "%s: an axis of the npy header is too long", p->what);
    if (p->at == first)
        return expect(p, "a number");
    *extent = x;
    return SL_OK;
}

/* (), (3,) or (3, 4) */
static sl_status parse_shape(struct parser *p, struct sl_npz_array *a)
{
    SL_TRY(expect(p, "("));
    a->rank = 0;
    a->count = 1;
    while (!take(p, ")")) {
        if (a->rank == SL_ST_RANK_MAX)
            SL_FAIL(SL_ERR_DATA, "%s: more than %d axes", p->what, SL_ST_RANK_MAX);
        skip_spaces(p);
        size_t *extent = &a->shape[a->rank];
        SL_TRY(parse_extent(p, extent));
        if (!sl_size_mul(a->count, *extent, &a->count))
            SL_FAIL(SL_ERR_DATA, "%s: the shape has too many numbers", p->what);
        a->rank++;
        const bool comma = take(p, ",");
        skip_spaces(p);
        const bool closed = p->at < p->end && *p->at == ')';
        if (!comma && (!closed || a->rank == 1))
            return expect(p, ",");
    }
    return SL_OK;
}

static const struct {
    const char *key;
    sl_status (*parse)(struct parser *p, struct sl_npz_array *a);
} fields[] = {{"'descr'", parse_descr}, {"'fortran_order'", parse_order}, {"'shape'", parse_shape}};
enum { FIELDS = sizeof fields / sizeof *fields };

static sl_status parse_field(struct parser *p, struct sl_npz_array *a, bool seen[FIELDS])
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (!take(p, fields[i].key))
            continue;
        if (seen[i])
            SL_FAIL(SL_ERR_DATA, "%s: %s appears twice in the npy header", p->what, fields[i].key);
        seen[i] = true;
        SL_TRY(expect(p, ":"));
        return fields[i].parse(p, a);
    }
    return expect(p, "one of the keys 'descr', 'fortran_order', 'shape'");
}

static sl_status parse_dict(struct parser *p, struct sl_npz_array *a)
{
    bool seen[FIELDS] = {false};
    SL_TRY(expect(p, "{"));
    while (!take(p, "}")) {
        SL_TRY(parse_field(p, a, seen));
        if (!take(p, ",")) {
            SL_TRY(expect(p, "}"));
            break;
        }
    }
    for (size_t i = 0; i < FIELDS; i++)
        if (!seen[i])
            SL_FAIL(SL_ERR_DATA, "%s: the npy header has no %s", p->what, fields[i].key);
    skip_spaces(p);
    if (p->at != p->end)
        return expect(p, "the end");
    return SL_OK;
}

sl_status sl_npy_parse(const unsigned char *bytes, size_t n, const char *what,
                       struct sl_npz_array *a, size_t *more)
{
    static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    enum { PREFIX_1 = 10, PREFIX_2 = SL_NPY_PREFIX_MAX }; /* magic, version, length */
    *more = PREFIX_2;
    if (n < PREFIX_2)
        return SL_OK;
    if (memcmp(bytes, magic, sizeof magic) != 0)
        SL_FAIL(SL_ERR_DATA, "%s: not a NumPy array (wrong magic bytes)", what);
    const unsigned version = bytes[6];
    if (version < 1 || version > 3 || bytes[7] != 0)
        SL_FAIL(SL_ERR_DATA, "%s: npy version %u.%u is not read (1.0, 2.0, 3.0)", what, version,
                bytes[7]);
    size_t length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (version > 1)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    const size_t prefix = version > 1 ? PREFIX_2 : PREFIX_1;
    if (length > SL_NPY_HEADER_MAX)
        SL_FAIL(SL_ERR_DATA, "%s: an npy header of %zu bytes, at most %d are read", what, length,
                SL_NPY_HEADER_MAX);
    *more = prefix + length;
    if (n < prefix + length)
        return SL_OK;
    *more = 0;
    struct parser p = {(const char *)bytes + prefix, (const char *)bytes + prefix + length, what};
    a->header = prefix + length;
    return parse_dict(&p, a);
}
