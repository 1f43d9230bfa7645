/*
 * classify: the five likeliest classes of each image file, by the weights of a trained model.
 *
 *     cc classify.c $(pkg-config --cflags --libs softless) -lm -o classify
 *     ./classify runs/fashion-mnist-0123456789ab shoe.png coat.jpg
 *
 * The weights may be a .safetensors file, a run directory or a checkpoint in it; how images are
 * resized and which classes there are stands in the file. Exit status: 0, or 1 if anything failed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <softless.h>

enum { TOP = 5 };

static int fail(void)
{
    fprintf(stderr, "classify: %s\n", sl_error_message());
    return EXIT_FAILURE;
}

/* Index of the largest of logits [n] that is not taken yet; takes it. */
static size_t take_largest(const float *logits, unsigned char *taken, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (!taken[i] && (best == n || logits[i] > logits[best]))
            best = i;
    taken[best] = 1;
    return best;
}

/* Softmax probabilities of the likeliest classes, from logits [n]. */
static void print_top(const sl_model *model, const char *path, const float *logits, size_t n)
{
    unsigned char *taken = calloc(n, 1);
    double sum = 0, largest = 0;
    if (!taken)
        return;
    printf("%s\n", path);
    for (size_t i = 0; i < n && i < TOP; i++) {
        const size_t c = take_largest(logits, taken, n);
        if (i == 0) {
            largest = (double)logits[c];
            for (size_t j = 0; j < n; j++)
                sum += exp((double)logits[j] - largest);
        }
        const char *name = sl_model_class_name(model, c);
        printf("  %-20s : %.4f\n", name ? name : "(unnamed)",
               exp((double)logits[c] - largest) / sum);
    }
    free(taken);
}

int main(int argc, char **argv)
{
    sl_context *ctx = NULL;
    sl_model *model = NULL;
    sl_model_info info;
    float *logits = NULL;
    int status = EXIT_SUCCESS;
    const sl_context_options options = SL_CONTEXT_OPTIONS_INIT;
    if (argc < 3) {
        fprintf(stderr, "usage: classify WEIGHTS IMAGE...\n");
        return EXIT_FAILURE;
    }
    if (sl_context_open(&options, &ctx) != SL_OK || sl_model_load(ctx, argv[1], &model) != SL_OK ||
        sl_model_get_info(model, &info) != SL_OK) {
        status = fail();
    } else if (!(logits = malloc(info.classes * sizeof *logits))) {
        fprintf(stderr, "classify: no memory for %zu logits\n", info.classes);
        status = EXIT_FAILURE;
    } else {
        for (int i = 2; i < argc; i++) {
            if (sl_model_predict_file(model, argv[i], logits) == SL_OK)
                print_top(model, argv[i], logits, info.classes);
            else
                status = fail();
        }
    }
    free(logits);
    sl_model_free(&model);
    sl_context_close(&ctx);
    return status;
}
