/*
 * softless.h - the header of libsoftless; softless_study.h adds studies of many runs,
 * softless_explain.h looks into attention, softless_probe.h at features, softless_phases.h at where
 * a step's time goes.
 *
 * Vision Transformers whose attention weights are phi(q k^T / sqrt(K)), phi = softmax or
 * phi = L^-alpha h ("Replacing softmax with ReLU in Vision Transformers", arXiv 2309.08586):
 * the attention operator by itself, models, training, evaluation and prediction.
 *
 *     sl_context *ctx = NULL;
 *     sl_model *model = NULL;
 *     sl_context_options options = SL_CONTEXT_OPTIONS_INIT;
 *     sl_status st = sl_context_open(&options, &ctx);
 *     if (st == SL_OK) st = sl_model_load(ctx, "model.safetensors", &model);
 *     if (st == SL_OK) st = sl_model_predict_file(model, "shoe.png", logits); // [C]
 *     if (st != SL_OK) fprintf(stderr, "%s\n", sl_error_message());
 *     sl_model_free(&model);
 *     sl_context_close(&ctx);
 *
 * Letters used everywhere: B images, L tokens, D width, H heads, K = D/H head size, F MLP width,
 * C classes, S image side, P patch side. Tensors are row-major; a shape stands beside its pointer.
 *
 * Errors: every function that can fail returns sl_status. Out-pointers are untouched on failure,
 * and sl_error_message() holds one sentence about the last failure of the calling thread.
 * Ownership: *owned by the caller* means freed with the named function; *borrowed* pointers stay
 * valid until the object they came from is freed or changed. Free functions take T **, accept NULL
 * and *NULL, and clear the pointer.
 * Threads: a context and what was made from it belong to one thread at a time. The library never
 * prints, exits, installs signal handlers or calls setlocale.
 */
#ifndef SOFTLESS_H
#define SOFTLESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SL_API __attribute__((visibility("default")))
#define SL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define SL_API
#define SL_PRINTF(f, a)
#endif

/* ---- version, errors, log ------------------------------------------------------------------ */

#define SL_VERSION_MAJOR 0
#define SL_VERSION_MINOR 1
#define SL_VERSION_PATCH 0

SL_API const char *sl_version(void);    /* "0.1.0" */
SL_API int sl_abi_version(void);        /* raised by every break of the binary interface */
SL_API const char *sl_build_info(void); /* several lines: libraries, features, ISA chosen */

/* What went wrong, by who can mend it. cli/ maps these to exit codes in one table. */
typedef enum sl_status {
    SL_OK = 0,
    SL_ERR_ARGUMENT,    /* a bad argument of an API call */
    SL_ERR_USAGE,       /* a bad command line */
    SL_ERR_DATA,        /* bad bytes: image, data set, weights, checkpoint */
    SL_ERR_INPUT,       /* an input is missing or unreadable */
    SL_ERR_UNAVAILABLE, /* feature not built, device absent, run directory locked */
    SL_ERR_UNSUPPORTED, /* shape or type no kernel supports (named in the message) */
    SL_ERR_INTERNAL,    /* a bug of ours */
    SL_ERR_MEMORY,      /* out of memory */
    SL_ERR_CREATE,      /* an output cannot be created */
    SL_ERR_IO,          /* read or write failed, disk full */
    SL_ERR_INTERRUPTED, /* stopped on request with the state saved */
    SL_ERR_DIVERGED,    /* NaN or Inf in training */
    SL_ERR_CONFIG,      /* recipe error, or a run of another config */
    SL_STATUS_COUNT
} sl_status;

/* Short name of a status, e.g. "bad data"; never NULL. Static. */
SL_API const char *sl_status_text(sl_status status);

/* One sentence about the last failure on this thread; "" if none. Borrowed until the next failing
 * call on this thread. */
SL_API const char *sl_error_message(void);

/* The name nearest to `word` by edit distance, for "did you mean"; NULL if none is near. Static
 * data of the caller. */
SL_API const char *sl_nearest(const char *word, const char *const *names, size_t n);

typedef enum sl_log_level { SL_LOG_DEBUG, SL_LOG_INFO, SL_LOG_WARN } sl_log_level;

/* Receives complete lines without '\n'. May be called from any thread, one at a time. */
typedef void (*sl_log_fn)(void *user, sl_log_level level, const char *line);

/* Sets the process-wide log receiver; NULL (the default) drops messages. */
SL_API void sl_set_log(sl_log_fn fn, void *user);

/* ---- context ------------------------------------------------------------------------------- */

typedef struct sl_context sl_context;

typedef struct sl_context_options {
    int threads;        /* compute threads; 0 = SOFTLESS_THREADS, else one per core */
    const char *device; /* "cpu"; NULL = "cpu" */
    const char *isa;    /* upper bound: "c", "avx2", "avx512", "avx512bf16", "amx"; NULL =
                         * SOFTLESS_ISA, else best */
} sl_context_options;

#define SL_CONTEXT_OPTIONS_INIT                                                                    \
    {                                                                                              \
        0, NULL, NULL                                                                              \
    }

/* Opens the device. *ctx is owned by the caller; free with sl_context_close after everything made
 * from it. Errors: SL_ERR_ARGUMENT (unknown device or ISA name), SL_ERR_UNAVAILABLE, SL_ERR_MEMORY.
 */
SL_API sl_status sl_context_open(const sl_context_options *options, sl_context **ctx);
SL_API void sl_context_close(sl_context **ctx);

/* Asks sl_train on this context, the one that runs or else the next, to save and return
 * SL_ERR_INTERRUPTED at the next step; that settles the request. Async-signal-safe; NULL is
 * ignored. */
SL_API void sl_context_request_stop(sl_context *ctx);

/* Compute threads of the context, and the ISA its kernels run on ("c", "avx2", ...; static). 0 and
 * NULL for NULL. */
SL_API int sl_context_threads(const sl_context *ctx);
SL_API const char *sl_context_isa(const sl_context *ctx);

/* ---- attention operator -------------------------------------------------------------------- */

typedef enum sl_dtype { SL_F32, SL_BF16, SL_DTYPE_COUNT } sl_dtype;

/* phi of Eq. 1: softmax, or L^-alpha h with these h (formulas and derivatives: MODEL.md). */
typedef enum sl_phi {
    SL_PHI_SOFTMAX,
    SL_PHI_RELU,
    SL_PHI_RELU2,
    SL_PHI_GELU,
    SL_PHI_SOFTPLUS,
    SL_PHI_IDENTITY,
    SL_PHI_RELU6,
    SL_PHI_SIGMOID,
    SL_PHI_SILU,
    SL_PHI_COUNT
} sl_phi;

/* Name as in recipes ("relu2"), or NULL if out of range. Static. */
SL_API const char *sl_phi_name(sl_phi phi);
SL_API sl_status sl_phi_parse(const char *name, sl_phi *phi);

/* Element strides of a [B, L, H, K] operand; K is contiguous. A packed [B, L, 3, H, K] projection
 * has batch = L*3*H*K, token = 3*H*K, head = K for each of q, k, v. */
typedef struct sl_strides {
    size_t batch, token, head;
} sl_strides;

/*
 * o_i = sum_j P_ij v_j,  P_ij = m_j c h(s_ij + b),  s_ij = (q_i . k_j) * scale,  c = n^-alpha
 * (arXiv 2309.08586, Eq. 1 and section 3; masks and lengths: MODEL.md). n = number of keys with
 * m_j = 1, or `length` if that is not 0. phi = softmax: masked softmax, alpha and bias ignored.
 * A row whose keys are all masked gives o = 0 and zero gradients. Sums are float32.
 */
typedef struct sl_attention {
    sl_phi phi;
    float alpha;
    float scale;              /* 0 = 1/sqrt(K) */
    float bias;               /* b, added to every score inside h */
    bool bias_neg_log_length; /* b = bias - log n */
    double length;            /* 0 = keys present; else the fixed n (the training length) */
    sl_dtype dtype;           /* type of q, k, v, o and of their gradients */
    size_t B, H, Lq, Lk, K;
    const void *q;     /* [B, Lq, H, K] at q_strides */
    const void *k, *v; /* [B, Lk, H, K] at k_strides, v_strides */
    sl_strides q_strides, k_strides, v_strides;
    const uint8_t *key_mask; /* [B, Lk], 1 = valid key, 0 = padding; NULL = all valid */
} sl_attention;

/* o [B, Lq, H, K] at o_strides, assigned; no output may share memory with an input. Errors:
 * SL_ERR_ARGUMENT (NULL, misaligned, zero size, strides that overlap heads), SL_ERR_UNSUPPORTED
 * (names the shape), SL_ERR_MEMORY. */
SL_API sl_status sl_attention_forward(sl_context *ctx, const sl_attention *a, void *o,
                                      sl_strides o_strides);

/* Gradients from d_o [B, Lq, H, K] at o_strides; dq, dk, dv are assigned, shapes and strides as
 * q, k, v unless their strides are given. Nothing of the forward pass is needed but q, k, v. */
typedef struct sl_attention_grads {
    const void *d_o;
    sl_strides o_strides;
    void *dq, *dk, *dv;
    sl_strides dq_strides, dk_strides, dv_strides;
} sl_attention_grads;

SL_API sl_status sl_attention_backward(sl_context *ctx, const sl_attention *a,
                                       const sl_attention_grads *g);

/* Tiles of weights, queries x keys, that statistics look at: what a vector, the registers of AVX2,
 * of AVX-512 and an AMX strip hold, about. */
#define SL_ATTENTION_TILES 4
/* Queries and keys of tile i, from small to large; 0 if there is none. */
SL_API void sl_attention_tile(size_t i, size_t *queries, size_t *keys);

/* What the weights P of one head were like. All zero at first; every call adds. */
typedef struct sl_attention_stats {
    uint64_t rows;           /* queries */
    uint64_t weights, zeros; /* P_ij of keys present, and those that are 0: a dead head has only
                                such */
    uint64_t tiles[SL_ATTENTION_TILES], zero_tiles[SL_ATTENTION_TILES]; /* cut where keys end */
    double mass, mass_min, mass_max; /* sum_j P_ij: added up over rows, smallest, largest */
} sl_attention_stats;

/* Adds to stats [H] over all images of the call. v is not read and may be NULL. By itself, never
 * part of a pass: costs more than the forward pass. Errors as sl_attention_forward. */
SL_API sl_status sl_attention_measure(sl_context *ctx, const sl_attention *a,
                                      sl_attention_stats *stats);

/* ---- recipes ------------------------------------------------------------------------------- */

typedef struct sl_recipe sl_recipe;

/* Reads a YAML recipe (path, or the name of an installed one), then applies n overrides
 * "section.key=value" in order. Owned by the caller. Errors: SL_ERR_INPUT, SL_ERR_CONFIG (file,
 * line, key, nearest known key). */
SL_API sl_status sl_recipe_load(const char *path, const char *const *overrides, size_t n,
                                sl_recipe **recipe);
SL_API void sl_recipe_free(sl_recipe **recipe);

/* Resolved recipe as YAML text; with_origin adds where each value came from as a comment.
 * *text is owned by the caller: sl_text_free. */
SL_API sl_status sl_recipe_text(const sl_recipe *recipe, bool with_origin, char **text);
/* One resolved value ("model.alpha") as text. *text owned by the caller. */
SL_API sl_status sl_recipe_get(const sl_recipe *recipe, const char *key, char **text);
/* Every recipe key with type, default and meaning, as plain text for --help. Owned by the caller.
 */
SL_API sl_status sl_recipe_keys_text(char **text);
/* The recipes that sl_recipe_load finds by name, here and installed: a line each, with the command
 * that its file begins with. *text owned by the caller. */
SL_API sl_status sl_recipe_list_text(char **text);
SL_API void sl_text_free(char **text);

/* What a training by a recipe costs. */
typedef struct sl_forecast {
    size_t width, depth, tokens, parameters, train_images;
    uint64_t steps;
    double images;        /* seen in all */
    double flops_forward; /* of one image, 2 per multiply-add */
    double flops_train;   /* in all: three times forward */
    size_t pass_images;   /* images of a micro-batch, whose activations are in memory */
    size_t memory_bytes;  /* of model, optimizer and activations; data comes on top */
} sl_forecast;

/* Checks a recipe as far as that goes without its data: keys, sizes, pipelines, durations. The
 * number of images is data.train_images, or that of the training set if the recipe leaves it open.
 */
SL_API sl_status sl_recipe_check(sl_context *ctx, const sl_recipe *recipe, sl_forecast *forecast);

/* ---- models -------------------------------------------------------------------------------- */

typedef struct sl_model sl_model;

/* Loads weights (a .safetensors file, a run directory, a checkpoint directory in it, or
 * RUN/checkpoints/best for the best of them). Missing or
 * unexpected tensors are SL_ERR_DATA and listed. It computes in fp32, so that a file gives the same
 * logits within rounding on every machine. Owned by the caller. */
SL_API sl_status sl_model_load(sl_context *ctx, const char *path, sl_model **model);
/* The same with n recipe keys set otherwise, "model.key=value": image_size (positions are
 * resampled, preprocessing is scaled), length, h, alpha, bias; and "precision=bf16" or "=auto",
 * which is faster where the CPU multiplies bf16 fast. SL_ERR_CONFIG: another key, or a bad value;
 * SL_ERR_UNAVAILABLE, when the model is first used: bf16 on a CPU without it. */
SL_API sl_status sl_model_load_with(sl_context *ctx, const char *path, const char *const *keys,
                                    size_t n, sl_model **model);
/* A freshly initialised model of a recipe; classes > 0 overrides the recipe's. Owned by the caller.
 */
SL_API sl_status sl_model_create(sl_context *ctx, const sl_recipe *recipe, size_t classes,
                                 sl_model **model);

/* What a foreign weight file does not say. Zero-initialise for the defaults. */
typedef struct sl_import_options {
    const char *part; /* the model inside a file that holds several, e.g. "img"; NULL = the file */
    size_t heads;     /* 0 = as the file says; big_vision's do, torch's do not */
    size_t image_height, image_width; /* pixels; 0 = the grid the file was trained with */
    const double *mean, *std; /* [3], of (x/255 - mean) / std in training; NULL = 0.5 each */
    /* How positions come to another image size: "linear" (corners aligned, big_vision),
     * "antialiased" (bicubic, timm) or "bicubic" (PyTorch's plain one, DINOv2); NULL = as the
     * file's own project does it. */
    const char *positions;
} sl_import_options;

/* Reads big_vision's .npz (all layouts since 2020, AugReg's files too) or a .safetensors file with
 * timm's or torchvision's names as a softmax model; position embeddings are resampled to the image
 * size, pixel normalisation is folded into the patch embedding. options may be NULL. Owned by the
 * caller.
 * Errors: SL_ERR_DATA (every tensor that is missing, unexpected or of a wrong shape is named),
 * SL_ERR_ARGUMENT (something must be given in options). */
SL_API sl_status sl_model_import(sl_context *ctx, const char *path,
                                 const sl_import_options *options, sl_model **model);
SL_API void sl_model_free(sl_model **model);

/* Writes weights, config, class names and preprocessing as safetensors, atomically. */
SL_API sl_status sl_model_save(const sl_model *model, const char *path);
/* Writes the model as ONNX (opset 17), atomically: input "images" float [batch, 3, height, width],
 * RGB in the model's range of values (-1 .. 1 unless its recipe says otherwise; "pixel_range" in
 * the file), output "logits" float [batch, classes]; batch is free. */
SL_API sl_status sl_model_export_onnx(const sl_model *model, const char *path);

typedef struct sl_model_info {
    size_t width, depth, heads, mlp, patch, image_height, image_width, classes;
    size_t tokens;     /* L: keys that attention sees, class and register tokens included */
    size_t parameters; /* trained scalars */
    sl_phi phi;
    double alpha;
    double flops_forward; /* per image, 2 per multiply-add */
    sl_dtype dtype; /* of activations and products: what `precision` comes to on this device */
} sl_model_info;

SL_API sl_status sl_model_get_info(const sl_model *model, sl_model_info *info);
/* Name of class i, or NULL. Borrowed until the model is freed. */
SL_API const char *sl_model_class_name(const sl_model *model, size_t i);

/* logits [n, C] float from images u8 [n, image_height, image_width, 3], already preprocessed to the
 * model's size; any n >= 1 (run in batches inside). */
SL_API sl_status sl_model_forward(sl_model *model, const uint8_t *images, size_t n, float *logits);
/* Decodes a JPEG or PNG, preprocesses as the model file says, logits [C]. */
SL_API sl_status sl_model_predict_file(sl_model *model, const char *path, float *logits);

/* What a file or run directory is: config, parameters by tensor, memory forecast, what is missing
 * or unexpected; as text or JSON. *text owned by the caller. */
SL_API sl_status sl_inspect(sl_context *ctx, const char *path, bool json, char **text);

/* ---- data ---------------------------------------------------------------------------------- */

/* Classes, counts, sizes and bad files of a data set SPEC ("fashion-mnist:test", a folder, an IDX
 * or CIFAR path, "synthetic:..."; README), as text or JSON. *text owned by the caller. */
SL_API sl_status sl_data_info(const char *spec, bool json, char **text);
/* Writes TAR.idx beside every tar shard of SPEC, so that the set opens without reading the tars. */
SL_API sl_status sl_data_index(const char *spec);

/* What packing does with an image that is damaged: SL_PACK_KEEP does not decode and so does not
 * know, the others decode every image. */
typedef enum sl_pack_bad { SL_PACK_KEEP, SL_PACK_STOP, SL_PACK_SKIP } sl_pack_bad;

typedef struct sl_pack_options {
    size_t shard_images; /* images a shard; 0 = 1000 */
    uint64_t seed;       /* of the order of the images */
    bool in_order;       /* as the data set has them, not shuffled */
    sl_pack_bad on_bad;
    void (*progress)(void *user, size_t done, size_t total); /* may be NULL */
    void *user;
} sl_pack_options;

typedef struct sl_pack_result {
    size_t shards, images, left_out;
    uint64_t bytes;
} sl_pack_result;

/* Writes the image files of SPEC (a folder of class folders, tar shards) as WebDataset shards
 * FOLDER/shard-000000.tar, ..., with index files and classes.txt. FOLDER appears when all of it is
 * on the disk; SL_ERR_CREATE if it exists. options may be NULL. */
SL_API sl_status sl_data_pack(const char *spec, const char *folder, const sl_pack_options *options,
                              sl_pack_result *result);

/* ---- training and evaluation --------------------------------------------------------------- */

typedef struct sl_train_progress {
    uint64_t step, total_steps;
    double epoch, total_epochs;
    double loss;       /* mean over the last log interval */
    double train_top1; /* same interval, fraction */
    double img_per_sec;
    double data_wait_frac; /* share of the interval spent waiting for data */
    double eta_s;
    double val_top1, val_loss; /* last evaluation, NaN before the first */
} sl_train_progress;

/* Called from the training thread, at least once per log interval. */
typedef void (*sl_progress_fn)(void *user, const sl_train_progress *progress);

typedef struct sl_train_options {
    const char *run_dir;     /* NULL = runs/<name>-<hash12> */
    const char *runs_root;   /* NULL = "runs" */
    bool fresh;              /* never continue: a new directory -2, -3, ... */
    const char *init;        /* weights or a run directory to start from, NULL = scratch */
    bool reset_head;         /* with init: the head may differ and is initialised anew */
    bool strict;             /* a corrupt checkpoint is an error instead of falling back */
    sl_progress_fn progress; /* may be NULL */
    void *user;
} sl_train_options;

/* Attention weights P [L, L] of the final model, mean over heads and over up to 16 images of the
 * evaluation set: what sl_head_figures (softless_explain.h) says of one head. NaN without such a
 * set. dead_heads: share of heads whose weights were 0 throughout. */
typedef struct sl_attention_summary {
    double mass, entropy, zeros, dead_rows, dead_heads, distance;
} sl_attention_summary;

typedef struct sl_train_result {
    char run_dir[4096];
    uint64_t step;
    bool resumed, already_done;
    double val_top1, val_top1_se, val_loss; /* fractions; NaN without an evaluation set */
    double train_loss;                      /* mean of the last log interval */
    double transfer; /* mean 10-shot accuracy on the sets of eval.transfer; NaN without */
    sl_attention_summary attention;
    double img_per_sec;
    double wall_s;     /* of all sessions of the run */
    double cpu_s;      /* processor seconds of the process meanwhile, all threads */
    double core_hours; /* wall_s times threads */
} sl_train_result;

/* Trains a recipe, or goes on with its run directory bit for bit. Returns SL_ERR_INTERRUPTED after
 * sl_context_request_stop (state saved), SL_ERR_DIVERGED, SL_ERR_CONFIG (run of another config,
 * differences listed), SL_ERR_UNAVAILABLE (locked by another process), SL_ERR_IO, ... */
SL_API sl_status sl_train(sl_context *ctx, const sl_recipe *recipe, const sl_train_options *options,
                          sl_train_result *result);

typedef struct sl_eval_options {
    const char *data;   /* SPEC; NULL = the evaluation set recorded in the model */
    const char *labels; /* JSON file of labels, several for an image (ReaL); NULL = the set's own */
    bool intersect;     /* only classes that model and data set both name may be answered; without
                           it, a class that the model does not know is an error */
    size_t batch;       /* images a pass, 0 = 32; it changes memory and speed only */
    double max_bad_fraction; /* damaged images are left out and counted up to this share of the set;
                                0 = the first one is an error */
    sl_attention_stats *attention; /* [depth, heads] of every block (not of a MAP head): assigned;
                                      NULL = not measured */
} sl_eval_options;

typedef struct sl_eval_result {
    size_t images, skipped;     /* counted; not decodable */
    double top1, top1_se, top5; /* fractions; se = sqrt(p (1-p) / n) */
    double loss; /* softmax cross-entropy, whatever training took; NaN with `labels` or `intersect`
                  */
    double img_per_sec;
    double length_used; /* the L of L^-alpha */
    size_t unlabelled;  /* images for which `labels` holds no class: not counted */
    /* classes of the data set; those that the model knows: images of the others count as wrong */
    size_t set_classes, matched_classes;
} sl_eval_result;

/* Accuracy of a model on a data set, preprocessed as the model file says. Classes are matched by
 * name. */
SL_API sl_status sl_evaluate(sl_model *model, const sl_eval_options *options,
                             sl_eval_result *result);

/* ---- single steps --------------------------------------------------------------------------- */

/* A training step by itself, on the caller's batches: for benchmarks and own training loops. */
typedef struct sl_trainer sl_trainer;
typedef struct sl_step_result {
    double loss, grad_norm;
    size_t correct;
} sl_step_result;
SL_API sl_status sl_trainer_create(sl_context *ctx, const sl_recipe *recipe, size_t classes,
                                   sl_trainer **trainer);
/* images u8 [batch, image_height, image_width, 3], labels [batch] in 0..C-1, batch = train.batch.
 */
SL_API sl_status sl_trainer_step(sl_trainer *trainer, const uint8_t *images, const int32_t *labels,
                                 sl_step_result *result);
/* Borrowed until the trainer is freed: the model being trained. */
SL_API sl_model *sl_trainer_model(sl_trainer *trainer);
SL_API void sl_trainer_free(sl_trainer **trainer);

/* Floating-point operations per second of a register-only multiply-add loop on all threads of the
 * context: the peak that benchmarks are measured against. Takes about `seconds`. */
SL_API sl_status sl_measure_peak(sl_context *ctx, sl_dtype dtype, double seconds, double *flops);

#ifdef __cplusplus
}
#endif
#endif
