/*
 * Images per second of the loader and its parts against libjpeg-turbo alone, on the same JPEG files
 * with the same number of threads, interleaved round by round:
 *   library    libjpeg decodes each file whole into one buffer, nothing else; the files lie in
 *              memory
 *   decode     the same through sl_image_decode_part, with its checks of every file
 *   crop       the same, but only an inception crop of each file, not resized
 *   inception  the loader: files read from disk or page cache, inception_crop(224), flip, batches
 *   resized    the loader with random_resized_crop(224), torchvision's, and flip
 *   eval       the loader with resize_small(256), central_crop(224), torchvision's
 *   area       the same with TensorFlow's area filter, the paper's
 *
 *     bench_loader SPEC [THREADS [ROUNDS [KINDS]]]    KINDS: names with commas between; all
 *     bench_loader 'shards/shard-{000000..000003}.tar' 2 9 library,resized
 *
 * One line per round, then medians, quartiles and the median ratio to the first kind.
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
#include "image/crop.h"

enum {
    FILES_MOST = 2000,
    ROUNDS_MOST = 99,
    THREADS_MOST = 64,
    SIDE = 224,
    BATCH = 32,
    PREFETCH = 4,
    PASSES = 3 /* over the files, in a round */
};

struct bench {
    struct sl_dataset *set;
    struct sl_bytes files[FILES_MOST];
    size_t n, threads;
};

enum by { BY_LIBRARY, BY_DECODER, BY_CROPPING, BY_LOADER };

static const struct kind {
    const char *name;
    enum by by;
    struct sl_pipeline_config ops; /* of the loader */
} kinds[] = {
    {"library", BY_LIBRARY, {.n = 0}},
    {"decode", BY_DECODER, {.n = 0}},
    {"crop", BY_CROPPING, {.n = 0}},
    {"inception", BY_LOADER, {.n = 2, .ops = {"inception_crop(224)", "flip_lr"}}},
    {"resized", BY_LOADER, {.n = 2, .ops = {"random_resized_crop(224)", "flip_lr"}}},
    {"eval", BY_LOADER, {.n = 2, .ops = {"resize_small(256)", "central_crop(224)"}}},
    {"area", BY_LOADER, {.n = 2, .ops = {"resize_small(256, tf_area)", "central_crop(224)"}}},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* One thread's share: files t, t + threads, ... */
struct share {
    struct bench *bench;
    size_t t;
    enum by by;
    uint64_t seed;
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

static struct sl_rectangle choose_crop(void *rng, size_t h, size_t w)
{
    return sl_crop_inception(h, w, 0.05, 1, rng);
}

static void *work(void *arg)
{
    const struct share *s = arg;
    const struct bench *b = s->bench;
    struct sl_image image = {0};
    uint8_t *pixels = NULL;
    size_t room = 0;
    for (size_t i = s->t; i < PASSES * b->n; i += b->threads) {
        const struct sl_bytes *file = &b->files[i % b->n];
        sl_rng rng = sl_rng_at(s->seed, SL_RNG_AUGMENT, i, 0);
        const struct sl_part part = {choose_crop, &rng};
        if (s->by == BY_LIBRARY)
            decode_by_library(file->data, file->n, &pixels, &room);
        else
            need(sl_image_decode_part(file->data, file->n, "file",
                                      s->by == BY_CROPPING ? &part : NULL, &image));
    }
    free(pixels);
    sl_image_free(&image);
    return NULL;
}

/* Returns images per second. */
static double decode_all(struct bench *b, enum by by, uint64_t seed)
{
    pthread_t threads[THREADS_MOST];
    struct share shares[THREADS_MOST];
    const double start = sl_now_s();
    for (size_t t = 0; t < b->threads; t++) {
        shares[t] = (struct share){b, t, by, seed};
        if (pthread_create(&threads[t], NULL, work, &shares[t]) != 0)
            exit(1);
    }
    for (size_t t = 0; t < b->threads; t++)
        pthread_join(threads[t], NULL);
    return (double)(PASSES * b->n) / (sl_now_s() - start);
}

/* The batches of the prefetch come first and are not counted: the ring is as good as empty before
 * and after what is timed. */
static double load_all(struct bench *b, const struct sl_pipeline_config *ops, uint64_t seed)
{
    const struct sl_loader_options o = {.set = b->set,
                                        .ops = ops,
                                        .out_h = SIDE,
                                        .out_w = SIDE,
                                        .batch = BATCH,
                                        .seed = seed,
                                        .train = true,
                                        .shuffle = true,
                                        .workers = b->threads,
                                        .prefetch = PREFETCH,
                                        .world = 1};
    const size_t batches = PASSES * b->n / BATCH + 1;
    struct sl_loader *loader = NULL;
    const struct sl_batch *got;
    double start = 0;
    need(sl_loader_create(&o, &loader));
    for (size_t i = 0; i < PREFETCH + batches; i++) {
        if (i == PREFETCH)
            start = sl_now_s();
        need(sl_loader_next(loader, &got));
    }
    const double speed = (double)(batches * BATCH) / (sl_now_s() - start);
    sl_loader_free(&loader);
    return speed;
}

static double run(struct bench *b, const struct kind *k, uint64_t seed)
{
    return k->by == BY_LOADER ? load_all(b, &k->ops, seed) : decode_all(b, k->by, seed);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The share-th quantile, 0.5 = the median. */
static double quantile(const double *x, size_t n, double share)
{
    double sorted[ROUNDS_MOST];
    memcpy(sorted, x, n * sizeof *x);
    qsort(sorted, n, sizeof *sorted, by_value);
    return sorted[(size_t)(share * (double)(n - 1) + 0.5)];
}

/* The kinds whose names stand in a list with commas; returns how many. */
static size_t choose_kinds(const char *names, const struct kind *chosen[KINDS])
{
    size_t n = 0;
    for (size_t k = 0; k < KINDS; k++) {
        const char *at = strstr(names, kinds[k].name);
        if (*names == '\0' || at)
            chosen[n++] = &kinds[k];
    }
    return n;
}

static void open_files(struct bench *b, const char *spec)
{
    need(sl_dataset_open(spec, &b->set));
    b->n = sl_dataset_count(b->set);
    b->n = b->n < FILES_MOST ? b->n : FILES_MOST;
    for (size_t i = 0; i < b->n; i++)
        need(sl_dataset_file(b->set, i, &b->files[i]));
}

int main(int argc, char **argv)
{
    static struct bench b;
    static double speed[KINDS][ROUNDS_MOST], ratio[KINDS][ROUNDS_MOST];
    const struct kind *chosen[KINDS];
    const size_t rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 5;
    const size_t n = choose_kinds(argc > 4 ? argv[4] : "", chosen);
    b.threads = argc > 2 ? strtoul(argv[2], NULL, 10) : 2;
    if (argc < 2 || n == 0 || rounds < 1 || rounds > ROUNDS_MOST || b.threads < 1 ||
        b.threads > THREADS_MOST) {
        fprintf(stderr, "usage: bench_loader SPEC [THREADS [ROUNDS [KINDS]]]\n");
        return 64;
    }
    open_files(&b, argv[1]);
    for (size_t r = 0; r < rounds; r++) {
        for (size_t k = 0; k < n; k++) {
            speed[k][r] = run(&b, chosen[k], r);
            ratio[k][r] = speed[k][r] / speed[0][r];
            printf("%s %.1f img/s  ", chosen[k]->name, speed[k][r]);
            fflush(stdout);
        }
        printf("\n");
    }
    for (size_t k = 0; k < n; k++)
        printf("%-9s median %.1f img/s (quartiles %.1f - %.1f), %.3f of %s, %zu files, %zu "
               "threads\n",
               chosen[k]->name, quantile(speed[k], rounds, 0.5), quantile(speed[k], rounds, 0.25),
               quantile(speed[k], rounds, 0.75), quantile(ratio[k], rounds, 0.5), chosen[0]->name,
               b.n, b.threads);
    for (size_t i = 0; i < b.n; i++)
        sl_free(b.files[i].data);
    sl_dataset_free(&b.set);
    return 0;
}
