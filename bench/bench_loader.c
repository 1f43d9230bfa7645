/*
 * Images per second of the loader against libjpeg-turbo alone, on the same JPEG files with the same
 * number of threads, interleaved round by round:
 *   library   libjpeg decodes each file into one buffer, nothing else; the files lie in memory
 *   decode    the same through sl_image_decode: checks of every file, a fresh image each time
 *   loader    the loader: files read from disk or page cache, decoded, cropped, flipped, batched
 *
 *     bench_loader SPEC [THREADS [ROUNDS]]        e.g. bench_loader
 * 'shards/shard-{000000..000003}.tar' 2
 *
 * One line per round, then medians and the median ratio to `library`.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "data/data.h"

enum { FILES_MOST = 2000, ROUNDS_MOST = 99, THREADS_MOST = 64, KINDS = 3, SIDE = 224 };

struct bench {
    struct sl_dataset *set;
    struct sl_bytes files[FILES_MOST];
    size_t n, threads;
};

/* One thread's share: files t, t + threads, ... */
struct share {
    struct bench *bench;
    size_t t;
    bool library;
};

static void need(sl_status st)
{
    if (st == SL_OK)
        return;
    fprintf(stderr, "bench_loader: %s\n", sl_error_message());
    exit(1);
}

static void decode_by_library(const char *file, size_t n, uint8_t **pixels, size_t *room)
{
    struct jpeg_decompress_struct lib;
    struct jpeg_error_mgr errors;
    lib.err = jpeg_std_error(&errors); /* exits on damage: the files are good ones */
    jpeg_create_decompress(&lib);
    jpeg_mem_src(&lib, (const unsigned char *)file, (unsigned long)n);
    jpeg_read_header(&lib, TRUE);
    lib.out_color_space = JCS_RGB;
    jpeg_start_decompress(&lib);
    const size_t row = (size_t)lib.output_width * 3, all = row * lib.output_height;
    if (all > *room) {
        free(*pixels);
        *pixels = malloc(all);
        *room = all;
    }
    while (*pixels && lib.output_scanline < lib.output_height) {
        JSAMPROW at = *pixels + lib.output_scanline * row;
        jpeg_read_scanlines(&lib, &at, 1);
    }
    jpeg_finish_decompress(&lib);
    jpeg_destroy_decompress(&lib);
}

static void *work(void *arg)
{
    const struct share *s = arg;
    const struct bench *b = s->bench;
    struct sl_image image = {0};
    uint8_t *pixels = NULL;
    size_t room = 0;
    for (size_t i = s->t; i < b->n; i += b->threads) {
        if (s->library)
            decode_by_library(b->files[i].data, b->files[i].n, &pixels, &room);
        else
            need(sl_image_decode(b->files[i].data, b->files[i].n, "file", &image));
    }
    free(pixels);
    sl_image_free(&image);
    return NULL;
}

static void decode_all(struct bench *b, bool library)
{
    pthread_t threads[THREADS_MOST];
    struct share shares[THREADS_MOST];
    for (size_t t = 0; t < b->threads; t++) {
        shares[t] = (struct share){b, t, library};
        if (pthread_create(&threads[t], NULL, work, &shares[t]) != 0)
            exit(1);
    }
    for (size_t t = 0; t < b->threads; t++)
        pthread_join(threads[t], NULL);
}

static void load_all(struct bench *b, uint64_t seed)
{
    static const struct sl_pipeline_config ops = {.n = 2,
                                                  .ops = {"inception_crop(224)", "flip_lr"}};
    const size_t batch = b->n < 32 ? b->n : 32;
    const struct sl_loader_options o = {.set = b->set,
                                        .ops = &ops,
                                        .out_h = SIDE,
                                        .out_w = SIDE,
                                        .batch = batch,
                                        .seed = seed,
                                        .train = true,
                                        .shuffle = true,
                                        .workers = b->threads,
                                        .prefetch = 4,
                                        .world = 1};
    struct sl_loader *loader = NULL;
    const struct sl_batch *got;
    need(sl_loader_create(&o, &loader));
    for (size_t i = 0; i < b->n / batch; i++)
        need(sl_loader_next(loader, &got));
    sl_loader_free(&loader);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const double *x, size_t n)
{
    double sorted[ROUNDS_MOST];
    memcpy(sorted, x, n * sizeof *x);
    qsort(sorted, n, sizeof *sorted, by_value);
    return sorted[n / 2];
}

int main(int argc, char **argv)
{
    static const char *const names[KINDS] = {"library", "decode", "loader"};
    static struct bench b;
    static double speed[KINDS][ROUNDS_MOST], ratio[KINDS][ROUNDS_MOST];
    const size_t rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 5;
    b.threads = argc > 2 ? strtoul(argv[2], NULL, 10) : 2;
    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MOST || b.threads < 1 ||
        b.threads > THREADS_MOST) {
        fprintf(stderr, "usage: bench_loader SPEC [THREADS [ROUNDS]]\n");
        return 64;
    }
    need(sl_dataset_open(argv[1], &b.set));
    b.n = sl_dataset_count(b.set);
    b.n = b.n < FILES_MOST ? b.n : FILES_MOST;
    for (size_t i = 0; i < b.n; i++)
        need(sl_dataset_file(b.set, i, &b.files[i]));
    for (size_t r = 0; r < rounds; r++) {
        for (size_t k = 0; k < KINDS; k++) {
            const double start = sl_now_s();
            if (k < 2)
                decode_all(&b, k == 0);
            else
                load_all(&b, r);
            const size_t images = k < 2 ? b.n : b.n - b.n % (b.n < 32 ? b.n : 32);
            speed[k][r] = (double)images / (sl_now_s() - start);
            ratio[k][r] = speed[k][r] / speed[0][r];
            printf("%s %.1f img/s  ", names[k], speed[k][r]);
        }
        printf("\n");
    }
    for (size_t k = 0; k < KINDS; k++)
        printf("%-8s median %.1f img/s, %.3f of library, %zu files, %zu threads\n", names[k],
               median(speed[k], rounds), median(ratio[k], rounds), b.n, b.threads);
    for (size_t i = 0; i < b.n; i++)
        sl_free(b.files[i].data);
    sl_dataset_free(&b.set);
    return 0;
}
