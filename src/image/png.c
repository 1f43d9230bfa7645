/*
 * PNG files through libpng's row interface: all colour types and depths, interlaced or not, to RGB
 * of 8 bits. Alpha is dropped, gamma and colour profiles are ignored: the stored values are the
 * pixels. 16 bits become 8 as round(v 255 / 65535). Every checksum is verified, the image data must
 * have exactly the size of the image, and what libpng calls a benign error is an error. Ancillary
 * chunks are checked by CRC and skipped unread, so that text, profiles and their compressed streams
 * reach no further code.
 *
 * Everything that changes after setjmp lives in struct png_reader (see jpeg.c). libpng's memory
 * comes from base/alloc.h.
 */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

#include "base/alloc.h"
#include "base/io.h"
#include "image/decode.h"

enum { MAX_CHUNK = 8 << 20 }; /* bytes of a chunk that libpng would hold in memory */

/* Bytes that one byte of deflate data can stand for (258 bytes from 2 bits). */
enum { MAX_INFLATION = 1032 };

struct png_reader {
    png_structp png;
    png_infop info;
    jmp_buf env;
    const char *what;
    const uint8_t *bytes;
    size_t n, at;
    char warning[128]; /* libpng puts the reason into a warning before some errors */
    bool out_of_memory;
    sl_status status;
    struct sl_image *image;
};

/* ---- what libpng calls ---- */

_Noreturn static void refuse(struct png_reader *r, sl_status status)
{
    r->status = status;
    longjmp(r->env, 1);
}

_Noreturn static void on_error(png_structp png, png_const_charp message)
{
    struct png_reader *r = png_get_error_ptr(png);
    if (r->out_of_memory)
        refuse(r, sl_error_set(SL_ERR_MEMORY, "%s: out of memory while decoding PNG", r->what));
    const bool more = r->warning[0] != 0;
    refuse(r, sl_error_set(SL_ERR_DATA, "%s: damaged PNG near byte %zu: %s%s%s%s", r->what, r->at,
                           message, more ? " (" : "", r->warning, more ? ")" : ""));
}

static void on_warning(png_structp png, png_const_charp message)
{
    struct png_reader *r = png_get_error_ptr(png);
    snprintf(r->warning, sizeof r->warning, "%s", message);
}

static void on_read(png_structp png, png_bytep out, size_t n)
{
    struct png_reader *r = png_get_io_ptr(png);
    if (n > r->n - r->at)
        refuse(r, sl_error_set(SL_ERR_DATA,
                               "%s: truncated PNG: it ends after %zu bytes, before its end chunk",
                               r->what, r->n));
    memcpy(out, r->bytes + r->at, n);
    r->at += n;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
    struct png_reader *r = png_get_mem_ptr(png);
    void *p = sl_calloc(size, 1);
    if (!p)
        r->out_of_memory = true;
    return p;
}

static void on_free(png_structp png, png_voidp p)
{
    (void)png;
    sl_free(p);
}

/* ---- chunks ---- */

/* What libpng lets pass once the ancillary chunks are skipped: another chunk before IHDR, and image
 * data in two places. Ends at IEND; bytes behind it belong to no one. */
static void check_chunks(struct png_reader *r)
{
    sl_cursor at = {r->bytes + 8, r->n - 8};
    enum { BEFORE, INSIDE, AFTER } data = BEFORE;
    for (bool first = true;; first = false) {
        const size_t offset = r->n - at.remaining;
        const unsigned char *type, *rest;
        uint32_t length;
        if (!sl_take_u32_be(&at, &length) || !sl_take(&at, 4, &type) ||
            !sl_take(&at, (size_t)length + 4, &rest))
            refuse(r, sl_error_set(SL_ERR_DATA,
                                   "%s: truncated PNG: the chunk at byte %zu does not end within "
                                   "the %zu bytes of the file",
                                   r->what, offset, r->n));
        const bool is_data = memcmp(type, "IDAT", 4) == 0;
        if (first && memcmp(type, "IHDR", 4) != 0)
            refuse(r, sl_error_set(SL_ERR_DATA, "%s: damaged PNG: its first chunk is not IHDR",
                                   r->what));
        if (is_data && data == AFTER)
            refuse(r, sl_error_set(SL_ERR_DATA,
                                   "%s: damaged PNG at byte %zu: image data after another chunk",
                                   r->what, offset));
        data = is_data ? INSIDE : data == INSIDE ? AFTER : data;
        if (memcmp(type, "IEND", 4) == 0)
            return;
    }
}

/* ---- header ---- */

/* Known to libpng and not needed: five bytes each, as libpng wants them. */
static const char skipped_chunks[] = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0"
                                     "sBIT\0sCAL\0sPLT\0sRGB\0sTER\0tEXt\0tIME\0tRNS\0zTXt";

static void configure(struct png_reader *r)
{
    png_structp png = r->png;
    png_set_read_fn(png, r, on_read);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_benign_errors(png, 0);
    png_set_user_limits(png, SL_IMAGE_MAX_SIDE, SL_IMAGE_MAX_SIDE);
    png_set_chunk_malloc_max(png, MAX_CHUNK);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, (png_const_bytep)skipped_chunks,
                                (int)(sizeof skipped_chunks / 5));
    png_set_check_for_invalid_index(png, 0); /* expand_palette does, and says where */
}

static void check_header(struct png_reader *r)
{
    const uint32_t h = png_get_image_height(r->png, r->info);
    const uint32_t w = png_get_image_width(r->png, r->info);
    /* Sides are at most 65,535 here, so the product cannot wrap. */
    const uint64_t raw = (uint64_t)h * (1 + png_get_rowbytes(r->png, r->info));
    if (raw > (uint64_t)r->n * MAX_INFLATION)
        refuse(r, sl_error_set(SL_ERR_DATA,
                               "%s: damaged PNG: %u x %u pixels do not fit into its %zu bytes",
                               r->what, h, w, r->n));
    const sl_status st = sl_image_allocate(r->what, h, w, r->image);
    if (st != SL_OK)
        refuse(r, st);
}

/* ---- pixels ---- */

/* Rows of indices, stored in the last third of each row of pixels, become colours in place: pixel x
 * is written to 3x .. 3x+2, which never passes its index at 2w + x. */
static void expand_palette(struct png_reader *r)
{
    png_colorp palette = NULL;
    int n = 0;
    png_get_PLTE(r->png, r->info, &palette, &n);
    const size_t w = r->image->w;
    for (size_t y = 0; y < r->image->h; y++) {
        uint8_t *row = r->image->pixels + y * w * 3;
        for (size_t x = 0; x < w; x++) {
            const uint8_t index = row[2 * w + x];
            if (index >= n)
                refuse(r, sl_error_set(SL_ERR_DATA,
                                       "%s: damaged PNG: palette index %d at row %zu, column %zu; "
                                       "the palette has %d colours",
                                       r->what, index, y, x, n));
            row[3 * x] = palette[index].red;
            row[3 * x + 1] = palette[index].green;
            row[3 * x + 2] = palette[index].blue;
        }
    }
}

/* After the last row libpng stands behind the chunk that ended the compressed stream. It would pass
 * over further image data without a word. */
static void check_data_ended(struct png_reader *r)
{
    static const uint8_t empty[4];
    const uint8_t *next = r->bytes + r->at;
    if (r->n - r->at >= 8 && memcmp(next + 4, "IDAT", 4) == 0 && memcmp(next, empty, 4) != 0)
        refuse(r, sl_error_set(SL_ERR_DATA,
                               "%s: damaged PNG at byte %zu: more image data after its "
                               "end",
                               r->what, r->at));
}

static void read_pixels(struct png_reader *r)
{
    png_structp png = r->png;
    const int type = png_get_color_type(png, r->info);
    const bool palette = type == PNG_COLOR_TYPE_PALETTE;
    png_set_scale_16(png);
    png_set_strip_alpha(png);
    if (palette)
        png_set_packing(png);
    else if (!(type & PNG_COLOR_MASK_COLOR)) {
        png_set_expand_gray_1_2_4_to_8(png);
        png_set_gray_to_rgb(png);
    }
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, r->info);
    const size_t w = r->image->w, offset = palette ? 2 * w : 0;
    if (png_get_rowbytes(png, r->info) != 3 * w - offset)
        refuse(r, sl_error_set(SL_ERR_INTERNAL, "%s: unexpected row size from libpng", r->what));
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < r->image->h; y++)
            png_read_row(png, r->image->pixels + y * w * 3 + offset, NULL);
    check_data_ended(r);
    png_read_end(png, r->info); /* with info, so that late chunks are judged, too */
    if (palette)
        expand_palette(r);
}

static void decode_guarded(struct png_reader *r)
{
    if (setjmp(r->env))
        return;
    check_chunks(r);
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, r, on_malloc,
                                      on_free);
    if (r->png)
        r->info = png_create_info_struct(r->png);
    if (!r->info)
        refuse(r, sl_error_set(SL_ERR_MEMORY, "%s: out of memory while decoding PNG", r->what));
    configure(r);
    png_read_info(r->png, r->info);
    check_header(r);
    read_pixels(r);
}

/* Moves the part's rows to the front of the buffer. PNG's filters need all rows above and left. */
static void keep_part(struct sl_image *image, const struct sl_rectangle *r)
{
    for (size_t y = 0; y < r->h; y++)
        memmove(image->pixels + y * r->w * 3, image->pixels + ((r->y + y) * image->w + r->x) * 3,
                r->w * 3);
    image->h = r->h;
    image->w = r->w;
}

sl_status sl_png_decode(const uint8_t *bytes, size_t n, const char *what,
                        const struct sl_part *part, struct sl_image *image)
{
    struct png_reader r = {.what = what, .bytes = bytes, .n = n, .status = SL_OK, .image = image};
    decode_guarded(&r);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    if (r.status == SL_OK && part) {
        const struct sl_rectangle kept = part->choose(part->arg, image->h, image->w);
        keep_part(image, &kept);
    }
    return r.status;
}
