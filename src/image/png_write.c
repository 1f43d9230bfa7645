/*
 * RGB images as PNG files, for tests and figures: encoded in memory, then put in place atomically.
 */
#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "base/alloc.h"
#include "base/io.h"
#include "image/image.h"

struct png_writer {
    png_structp png;
    png_infop info;
    jmp_buf env;
    const char *path;
    uint8_t *bytes; /* owned */
    size_t n, capacity;
    sl_status status;
};

_Noreturn static void refuse(struct png_writer *w, sl_status status)
{
    w->status = status;
    longjmp(w->env, 1);
}

_Noreturn static void on_error(png_structp png, png_const_charp message)
{
    struct png_writer *w = png_get_error_ptr(png);
    refuse(w, sl_error_set(SL_ERR_MEMORY, "%s: cannot encode PNG: %s", w->path, message));
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void on_write(png_structp png, png_bytep data, size_t n)
{
    struct png_writer *w = png_get_io_ptr(png);
    if (n > w->capacity - w->n) {
        const size_t capacity = 2 * w->capacity + n;
        uint8_t *bytes = sl_regrow(w->bytes, w->n, capacity, 1);
        if (!bytes)
            refuse(w, SL_ERR_MEMORY);
        w->bytes = bytes;
        w->capacity = capacity;
    }
    memcpy(w->bytes + w->n, data, n);
    w->n += n;
}

static void on_flush(png_structp png)
{
    (void)png;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
    (void)png;
    return sl_calloc(size, 1);
}

static void on_free(png_structp png, png_voidp p)
{
    (void)png;
    sl_free(p);
}

static void encode_guarded(struct png_writer *w, const struct sl_image *img)
{
    if (setjmp(w->env))
        return;
    w->png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, w, on_error, on_warning, NULL,
                                       on_malloc, on_free);
    if (w->png)
        w->info = png_create_info_struct(w->png);
    if (!w->info)
        refuse(w, sl_error_set(SL_ERR_MEMORY, "%s: out of memory while encoding PNG", w->path));
    png_set_write_fn(w->png, w, on_write, on_flush);
    png_set_IHDR(w->png, w->info, (png_uint_32)img->w, (png_uint_32)img->h, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->info);
    for (size_t y = 0; y < img->h; y++)
        png_write_row(w->png, img->pixels + y * img->w * 3);
    png_write_end(w->png, w->info);
}

sl_status sl_image_write_png(const char *path, const struct sl_image *img)
{
    struct png_writer w = {.path = path, .status = SL_OK};
    encode_guarded(&w, img);
    png_destroy_write_struct(&w.png, &w.info);
    if (w.status == SL_OK)
        w.status = sl_write_file_atomic(path, w.bytes, w.n);
    sl_free(w.bytes);
    return w.status;
}
