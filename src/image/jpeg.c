/*
 * JPEG files through libjpeg: baseline, extended and progressive, 8 bit, Huffman coded; grey, RGB,
 * YCbCr, CMYK and YCCK. The accurate integer DCT and smooth upsampling give the same bytes on every
 * machine. libjpeg paints over damage with grey and goes on; here a warning about the image data
 * ends the decoding.
 *
 * Of a part's rows only the iMCU columns (the blocks that are coded together) around it are
 * transformed; rows above and below are read, because damage hides there too, but not transformed.
 *
 * Everything that changes after setjmp lives in struct jpeg_reader, never in a local variable, so
 * that nothing is indeterminate after a longjmp; sl_jpeg_decode frees it on both ways out.
 */
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "base/log.h"
#include "image/decode.h"

/* Work of all passes together. Run lengths let a pass over millions of pixels cost a few bytes, so
 * the count of passes alone does not bound the time. */
#define MAX_SCANNED_PIXELS ((uint64_t)16 * SL_IMAGE_MAX_PIXELS)

/* Pixels one byte of a JPEG can stand for: every 8 x 8 block of some component costs a bit at
 * least, and sampling factors up to 2 x 2 let that block cover four times 64 pixels. */
enum { MAX_PIXELS_PER_BYTE = 8 * 64 * 4 };

struct jpeg_reader {
    struct jpeg_decompress_struct lib;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf env;
    const char *what;
    size_t n;
    sl_status status;
    unsigned components_seen;   /* bit per component that some scan carried */
    const struct sl_part *part; /* NULL: the whole image */
    struct sl_rectangle wanted;
    size_t decoded_x, decoded_w; /* the columns that libjpeg puts out */
    size_t channels;             /* that libjpeg puts out: 3, or 4 of a CMYK image */
    uint8_t *row; /* [decoded_w, channels] where it is not the image's; behind its pixels */
    struct sl_image *image;
};

/* ---- errors ---- */

_Noreturn static void refuse(struct jpeg_reader *r, sl_status status)
{
    r->status = status;
    longjmp(r->env, 1);
}

_Noreturn static void refuse_message(struct jpeg_reader *r)
{
    char text[JMSG_LENGTH_MAX];
    const int code = r->errors.msg_code;
    r->errors.format_message((j_common_ptr)&r->lib, text);
    if (code == JERR_OUT_OF_MEMORY)
        refuse(r, sl_error_set(SL_ERR_MEMORY, "%s: out of memory while decoding JPEG", r->what));
    if (code == JWRN_JPEG_EOF)
        refuse(r, sl_error_set(SL_ERR_DATA,
                               "%s: truncated JPEG: it ends after %zu bytes, in the "
                               "middle of the image",
                               r->what, r->n));
    const size_t left = r->lib.src ? r->lib.src->bytes_in_buffer : r->n;
    refuse(r, sl_error_set(SL_ERR_DATA, "%s: damaged JPEG near byte %zu: %s", r->what,
                           left < r->n ? r->n - left : 0, text));
}

static void on_error(j_common_ptr lib)
{
    refuse_message(lib->client_data);
}

/* Warnings that leave the pixels alone: stray bytes between markers, odd JFIF and Adobe headers,
 * and progression parameters in a sequential file, which its decoding does not use. All others mean
 * that libjpeg invents or loses image data. */
static const int harmless[] = {JWRN_EXTRANEOUS_DATA, JWRN_JFIF_MAJOR, JWRN_ADOBE_XFORM,
                               JWRN_NOT_SEQUENTIAL};

static void on_message(j_common_ptr lib, int level)
{
    if (level >= 0)
        return;
    struct jpeg_reader *r = lib->client_data;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (r->errors.msg_code == harmless[i])
            return;
    refuse_message(r);
}

static void print_nothing(j_common_ptr lib)
{
    (void)lib;
}

/* ---- scans ---- */

/* Called by libjpeg between rows of blocks, while it reads the scans of a file that has several. */
static void on_progress(j_common_ptr common)
{
    struct jpeg_reader *r = common->client_data;
    const struct jpeg_decompress_struct *lib = &r->lib;
    const uint64_t scans = (uint64_t)lib->input_scan_number;
    if (scans > SL_IMAGE_MAX_SCANS ||
        scans * lib->image_width * lib->image_height > MAX_SCANNED_PIXELS)
        refuse(r, sl_error_set(SL_ERR_DATA,
                               "%s: JPEG with %d scans of %u x %u pixels is over the limit "
                               "(%d scans, %llu pixels in all scans)",
                               r->what, lib->input_scan_number, lib->image_height, lib->image_width,
                               SL_IMAGE_MAX_SCANS, (unsigned long long)MAX_SCANNED_PIXELS));
    for (int i = 0; i < lib->comps_in_scan; i++)
        r->components_seen |= 1u << lib->cur_comp_info[i]->component_index;
}

/* libjpeg leaves a component grey that no scan carries. */
static void check_components(struct jpeg_reader *r)
{
    const unsigned all = (1u << r->lib.num_components) - 1;
    if (jpeg_has_multiple_scans(&r->lib) && r->components_seen != all)
        refuse(r, sl_error_set(SL_ERR_DATA,
                               "%s: damaged JPEG: a colour component declared in its header has "
                               "no data",
                               r->what));
}

/* ---- header ---- */

static void check_header(struct jpeg_reader *r)
{
    const struct jpeg_decompress_struct *lib = &r->lib;
    if (lib->arith_code)
        refuse(r, sl_error_set(SL_ERR_DATA,
                               "%s: JPEG with arithmetic coding is not supported; convert it to "
                               "Huffman coding (jpegtran)",
                               r->what));
    const int k = lib->num_components;
    if (lib->data_precision != 8 || (k != 1 && k != 3 && k != 4))
        refuse(r, sl_error_set(SL_ERR_DATA,
                               "%s: JPEG with %d components of %d bits is not supported (1, 3 or 4 "
                               "components of 8 bits are)",
                               r->what, k, lib->data_precision));
    const uint64_t pixels = (uint64_t)lib->image_height * lib->image_width;
    if (pixels > (uint64_t)r->n * MAX_PIXELS_PER_BYTE)
        refuse(r, sl_error_set(SL_ERR_DATA,
                               "%s: damaged JPEG: %u x %u pixels do not fit into its %zu bytes",
                               r->what, lib->image_height, lib->image_width, r->n));
    const size_t h = lib->image_height, w = lib->image_width;
    sl_status st = sl_image_check_size(r->what, h, w);
    if (st != SL_OK)
        refuse(r, st);
    r->wanted = r->part ? r->part->choose(r->part->arg, h, w) : (struct sl_rectangle){0, 0, h, w};
    const size_t bytes = r->wanted.h * r->wanted.w * 3, row_bytes = r->part || k == 4 ? w * 4 : 0;
    st = sl_image_reserve(r->image, bytes + row_bytes);
    if (st != SL_OK)
        refuse(r, st);
    r->image->h = r->wanted.h;
    r->image->w = r->wanted.w;
    r->row = row_bytes > 0 ? r->image->pixels + bytes : NULL;
}

/* ---- columns ---- */

/* Restricts libjpeg to the columns of the part and one sample of the coarsest component more on
 * each side, which smooth upsampling reads; libjpeg extends them to whole blocks. A file of several
 * scans may be smoothed across blocks where scans are missing, so that all of it is needed. */
static void choose_columns(struct jpeg_reader *r)
{
    const struct sl_rectangle *p = &r->wanted;
    const size_t w = r->lib.output_width, spare = (size_t)r->lib.max_h_samp_factor;
    r->decoded_w = w;
    if (p->w == w || jpeg_has_multiple_scans(&r->lib))
        return;
    const size_t first = p->x > spare ? p->x - spare : 0;
    const size_t end = w - (p->x + p->w) > spare ? p->x + p->w + spare : w;
    JDIMENSION at = (JDIMENSION)first, n = (JDIMENSION)(end - first);
    jpeg_crop_scanline(&r->lib, &at, &n);
    r->decoded_x = at;
    r->decoded_w = n;
}

/* ---- pixels ---- */

/* round(a b / 255) for a, b in 0..255, exact. */
static inline unsigned mul_255(unsigned a, unsigned b)
{
    const unsigned t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

/* Adobe stores inks inverted: 255 = no ink. With c, k as stored, a channel is
 * k - round((255 - c) k / 255), the light that colour ink and black ink leave; the same formula and
 * rounding as Pillow's. Files without an Adobe marker are taken the same way, as Pillow does. */
static void cmyk_to_rgb(const uint8_t *cmyk, size_t w, uint8_t *rgb)
{
    for (size_t x = 0; x < w; x++) {
        const unsigned k = cmyk[4 * x + 3];
        for (size_t c = 0; c < 3; c++)
            rgb[3 * x + c] = (uint8_t)(k - mul_255(255u - cmyk[4 * x + c], k));
    }
}

static atomic_flag cmyk_said = ATOMIC_FLAG_INIT;

static void choose_colours(struct jpeg_reader *r)
{
    const bool cmyk = r->lib.num_components == 4;
    r->channels = cmyk ? 4 : 3;
    r->lib.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    if (!cmyk)
        return;
    if (!atomic_flag_test_and_set(&cmyk_said))
        sl_log(SL_LOG_WARN,
               "%s: CMYK image, converted to RGB without a colour profile (further ones are not "
               "reported)",
               r->what);
}

/* Reads rows up to `end`, where libjpeg can without transforming them. Upsampling looks at one
 * sample above; in front of the file's end, at least one row is transformed, because libjpeg does
 * not read what a skip to the end passes over. */
static void pass_rows(struct jpeg_reader *r, size_t end)
{
    const size_t spare = (size_t)r->lib.max_v_samp_factor;
    const size_t at = r->lib.output_scanline;
    if (!jpeg_has_multiple_scans(&r->lib) && end > at + spare)
        jpeg_skip_scanlines(&r->lib, (JDIMENSION)(end - spare - at));
    while (r->lib.output_scanline < end) {
        JSAMPROW row = r->row;
        jpeg_read_scanlines(&r->lib, &row, 1);
    }
}

static void take_row(const struct jpeg_reader *r, uint8_t *rgb)
{
    const uint8_t *from = r->row + (r->wanted.x - r->decoded_x) * r->channels;
    if (r->channels == 4)
        cmyk_to_rgb(from, r->wanted.w, rgb);
    else
        memcpy(rgb, from, r->wanted.w * 3);
}

static void read_rows(struct jpeg_reader *r)
{
    const struct sl_rectangle *p = &r->wanted;
    pass_rows(r, p->y);
    for (size_t y = 0; y < p->h; y++) {
        uint8_t *rgb = r->image->pixels + y * p->w * 3;
        JSAMPROW row = r->row ? r->row : rgb;
        jpeg_read_scanlines(&r->lib, &row, 1);
        if (r->row)
            take_row(r, rgb);
    }
    pass_rows(r, r->lib.output_height);
}

static void decode_guarded(struct jpeg_reader *r, const uint8_t *bytes)
{
    if (setjmp(r->env))
        return;
    jpeg_create_decompress(&r->lib);
    r->lib.progress = &r->progress;
    jpeg_mem_src(&r->lib, bytes, (unsigned long)r->n);
    jpeg_read_header(&r->lib, TRUE);
    check_header(r);
    choose_colours(r);
    r->lib.dct_method = JDCT_ISLOW;
    r->lib.do_fancy_upsampling = TRUE;
    jpeg_start_decompress(&r->lib);
    check_components(r);
    choose_columns(r);
    read_rows(r);
    jpeg_finish_decompress(&r->lib); /* reads up to the end marker */
}

sl_status sl_jpeg_decode(const uint8_t *bytes, size_t n, const char *what,
                         const struct sl_part *part, struct sl_image *image)
{
    struct jpeg_reader r = {.what = what, .n = n, .status = SL_OK, .part = part, .image = image};
    r.lib.err = jpeg_std_error(&r.errors);
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;
    r.errors.output_message = print_nothing;
    r.progress.progress_monitor = on_progress;
    r.lib.client_data = &r;
    decode_guarded(&r, bytes);
    jpeg_destroy_decompress(&r.lib);
    return r.status;
}
