/*
 * IDX and IDX.gz: the bytes of a file enter, one array of unsigned bytes leaves. Layout: 00 00, the
 * element type (08), the number of dimensions, the dimensions as big-endian 32-bit numbers, the
 * elements. The file must be exactly that long. Above this parser sits the opening of an image and
 * a label file as a data set.
 */
#include "data/idx.h"

#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "data/gzip.h"
#include "data/stored.h"

enum { HEADER_MAX = 20, SIDE_MAX = 65535, PIECE = 1 << 16 };
static const size_t slack = (size_t)16 << 20; /* allocated before acceptance: 4 n + this */
static const size_t data_cap = (size_t)4 << 30;
static const size_t pixel_cap = (size_t)64 << 20;

/* ---- the parser ---- */

static sl_status parse_magic(const unsigned char magic[4], const char *what, size_t *rank)
{
    if (magic[0] != 0 || magic[1] != 0)
        SL_FAIL(SL_ERR_DATA, "%s: not an IDX file, it starts with %02x %02x instead of 00 00", what,
                magic[0], magic[1]);
    if (magic[2] != 0x08)
        SL_FAIL(SL_ERR_DATA,
                "%s: IDX element type 0x%02x at byte 2; only 0x08 (unsigned bytes) can be read",
                what, magic[2]);
    if (magic[3] < 1 || magic[3] > 4)
        SL_FAIL(SL_ERR_DATA, "%s: %u IDX dimensions at byte 3; 1 to 4 can be read", what, magic[3]);
    *rank = magic[3];
    return SL_OK;
}

/* dims: `rank` big-endian numbers. */
static sl_status parse_dims(sl_cursor dims, size_t rank, size_t cap, const char *what,
                            struct sl_idx *idx)
{
    struct sl_idx parsed = {.rank = rank, .size = 1};
    for (size_t k = 0; k < rank; k++) {
        uint32_t dim = 0;
        if (!sl_take_u32_be(&dims, &dim))
            SL_FAIL(SL_ERR_DATA, "%s: truncated IDX header, dimension %zu is missing", what, k);
        if (dim == 0)
            SL_FAIL(SL_ERR_DATA, "%s: IDX dimension %zu at byte %zu is 0", what, k, 4 + 4 * k);
        if (!sl_size_mul(parsed.size, dim, &parsed.size))
            SL_FAIL(SL_ERR_DATA, "%s: the product of the IDX dimensions overflows", what);
        parsed.dims[k] = dim;
    }
    if (parsed.size > cap)
        SL_FAIL(SL_ERR_DATA, "%s: %zu bytes of IDX data, more than the limit of %zu", what,
                parsed.size, cap);
    *idx = parsed;
    return SL_OK;
}

static sl_status read_plain(const void *bytes, size_t n, size_t cap, const char *what,
                            struct sl_idx *idx)
{
    sl_cursor c = {bytes, n};
    const unsigned char *magic;
    size_t rank;
    struct sl_idx parsed = {0};
    if (!sl_take(&c, 4, &magic))
        SL_FAIL(SL_ERR_DATA, "%s: truncated IDX header, the file has %zu bytes", what, n);
    SL_TRY(parse_magic(magic, what, &rank));
    SL_TRY(parse_dims(c, rank, cap, what, &parsed));
    const size_t rest = c.remaining - 4 * rank;
    if (rest < parsed.size)
        SL_FAIL(SL_ERR_DATA, "%s: truncated, %zu bytes of data where the header announces %zu",
                what, rest, parsed.size);
    if (rest > parsed.size)
        SL_FAIL(SL_ERR_DATA, "%s: %zu trailing bytes after the IDX data at byte %zu", what,
                rest - parsed.size, n - (rest - parsed.size));
    SL_TRY(SL_NEW(parsed.data, parsed.size));
    memcpy(parsed.data, c.at + 4 * rank, parsed.size);
    *idx = parsed;
    return SL_OK;
}

static sl_status read_gzip_header(struct sl_gzip *gz, size_t cap, const char *what,
                                  struct sl_idx *idx)
{
    unsigned char header[HEADER_MAX];
    size_t rank;
    SL_TRY(sl_gzip_read(gz, header, 4));
    SL_TRY(parse_magic(header, what, &rank));
    SL_TRY(sl_gzip_read(gz, header, 4 * rank));
    return parse_dims((sl_cursor){header, 4 * rank}, rank, cap, what, idx);
}

/* Inflates the whole file into a small buffer: proves that the announced size is real before that
 * much memory is asked for. */
static sl_status rehearse(const void *bytes, size_t n, size_t cap, const char *what)
{
    sl_status st;
    struct sl_gzip *gz = NULL;
    struct sl_idx idx = {0};
    unsigned char *piece = NULL;
    SL_TRY(sl_gzip_open(bytes, n, what, &gz));
    SL_TRY_FREE(read_gzip_header(gz, cap, what, &idx));
    SL_TRY_FREE(SL_NEW(piece, PIECE));
    for (size_t left = idx.size; left > 0;) {
        const size_t k = left < PIECE ? left : PIECE;
        SL_TRY_FREE(sl_gzip_read(gz, piece, k));
        left -= k;
    }
    st = sl_gzip_end(gz);
fail:
    sl_free(piece);
    sl_gzip_free(&gz);
    return st;
}

static sl_status read_gzip(const void *bytes, size_t n, size_t cap, const char *what,
                           struct sl_idx *idx)
{
    sl_status st;
    struct sl_gzip *gz = NULL;
    struct sl_idx parsed = {0};
    SL_TRY(sl_gzip_open(bytes, n, what, &gz));
    SL_TRY_FREE(read_gzip_header(gz, cap, what, &parsed));
    if (parsed.size > slack && (parsed.size - slack) / 4 > n)
        SL_TRY_FREE(rehearse(bytes, n, cap, what));
    SL_TRY_FREE(SL_NEW(parsed.data, parsed.size));
    SL_TRY_FREE(sl_gzip_read(gz, parsed.data, parsed.size));
    SL_TRY_FREE(sl_gzip_end(gz));
    sl_gzip_free(&gz);
    *idx = parsed;
    return SL_OK;
fail:
    sl_free(parsed.data);
    sl_gzip_free(&gz);
    return st;
}

sl_status sl_idx_read(const void *bytes, size_t n, size_t cap, const char *what, struct sl_idx *idx)
{
    return sl_gzip_is(bytes, n) ? read_gzip(bytes, n, cap, what, idx)
                                : read_plain(bytes, n, cap, what, idx);
}

/* ---- a pair of files as a data set ---- */

static sl_status check_images(const struct sl_idx *images, const char *what)
{
    const size_t *d = images->dims;
    const bool colour = images->rank == 4 && d[3] == 3;
    if (images->rank != 3 && !colour)
        SL_FAIL(
            SL_ERR_DATA,
            "%s: images have dimensions [n, h, w] or [n, h, w, 3]; this file has %zu dimensions",
            what, images->rank);
    if (d[1] > SIDE_MAX || d[2] > SIDE_MAX || d[1] * d[2] > pixel_cap)
        SL_FAIL(SL_ERR_DATA, "%s: images of %zu x %zu pixels are over the limit", what, d[1], d[2]);
    return SL_OK;
}

/* Checks every label and copies them to set->labels; sets the number of classes if it is open. */
static sl_status take_labels(struct sl_dataset *set, const struct sl_idx *labels, size_t images,
                             const char *what)
{
    if (labels->rank != 1)
        SL_FAIL(SL_ERR_DATA, "%s: labels have 1 dimension, this file has %zu", what, labels->rank);
    if (labels->size != images)
        SL_FAIL(SL_ERR_DATA, "%s: %zu labels for %zu images", what, labels->size, images);
    size_t highest = 0;
    for (size_t i = 0; i < labels->size; i++) {
        const size_t label = labels->data[i];
        if (set->classes > 0 && label >= set->classes)
            SL_FAIL(SL_ERR_DATA, "%s: label %zu of sample %zu is not below the %zu classes", what,
                    label, i, set->classes);
        highest = label > highest ? label : highest;
    }
    SL_TRY(SL_NEW(set->labels, labels->size));
    for (size_t i = 0; i < labels->size; i++)
        set->labels[i] = labels->data[i];
    if (set->classes == 0)
        set->classes = highest + 1;
    return SL_OK;
}

static sl_status read_idx_file(const char *path, struct sl_idx *idx)
{
    char *bytes = NULL;
    size_t n = 0;
    SL_TRY(sl_read_file(path, data_cap + HEADER_MAX, &bytes, &n));
    const sl_status st = sl_idx_read(bytes, n, data_cap, path, idx);
    sl_free(bytes);
    return st;
}

static sl_status open_files(struct sl_dataset *set, const char *image_path, const char *label_path)
{
    sl_status st;
    struct sl_idx images = {0}, labels = {0};
    const struct sl_known_set *known = set->format->known;
    set->classes = known ? known->classes : 0;
    SL_TRY_FREE(read_idx_file(label_path, &labels));
    SL_TRY_FREE(read_idx_file(image_path, &images));
    SL_TRY_FREE(check_images(&images, image_path));
    SL_TRY_FREE(take_labels(set, &labels, images.dims[0], label_path));
    const struct sl_stored stored = {.pixels = images.data,
                                     .n = images.dims[0],
                                     .h = images.dims[1],
                                     .w = images.dims[2],
                                     .channels = images.rank == 4 ? 3 : 1};
    SL_TRY_FREE(sl_stored_give(set, &stored));
    sl_free(labels.data);
    return known ? sl_copy_class_names(set, known->class_names) : SL_OK;
fail:
    sl_free(images.data);
    sl_free(labels.data);
    return st;
}

/* DIR/PREFIX-KIND, plain or with .gz. */
static sl_status find_member(const struct sl_dataset *set, const char *dir, const char *prefix,
                             const char *kind, char **path)
{
    const struct sl_known_set *known = set->format->known;
    static const char *const suffixes[] = {"", ".gz"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char *candidate = sl_asprintf("%s/%s-%s%s", dir, prefix, kind, suffixes[i]);
        if (!candidate)
            return SL_ERR_MEMORY;
        if (sl_is_file(candidate)) {
            *path = candidate;
            return SL_OK;
        }
        sl_free(candidate);
    }
    SL_FAIL(SL_ERR_INPUT, "data set \"%s\": no file %s/%s-%s or .gz%s%s", set->spec, dir, prefix,
            kind, known && known->package ? "; install Debian's package " : "",
            known && known->package ? known->package : "");
}

static sl_status open_split(struct sl_dataset *set, const char *rest)
{
    sl_status st;
    char *dir = NULL, *images = NULL, *labels = NULL;
    bool train = false;
    SL_TRY_FREE(sl_parse_split(set, rest, &dir, &train));
    const char *prefix = train ? "train" : "t10k";
    SL_TRY_FREE(find_member(set, dir, prefix, "images-idx3-ubyte", &images));
    SL_TRY_FREE(find_member(set, dir, prefix, "labels-idx1-ubyte", &labels));
    st = open_files(set, images, labels);
fail:
    sl_free(dir);
    sl_free(images);
    sl_free(labels);
    return st;
}

static sl_status open_pair(struct sl_dataset *set, const char *rest, const char *comma)
{
    sl_status st;
    char *name = sl_strdup(rest), *images = NULL, *labels = NULL;
    SL_TRY_FREE(name ? SL_OK : SL_ERR_MEMORY);
    name[comma - rest] = '\0';
    SL_TRY_FREE(sl_find_data(name, NULL, &images));
    SL_TRY_FREE(sl_find_data(comma + 1, NULL, &labels));
    st = open_files(set, images, labels);
fail:
    sl_free(name);
    sl_free(images);
    sl_free(labels);
    return st;
}

sl_status sl_idx_open(struct sl_dataset *set, const char *rest)
{
    const char *comma = strchr(rest, ',');
    return comma && !set->format->known ? open_pair(set, rest, comma) : open_split(set, rest);
}
