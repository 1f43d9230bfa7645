/*
 * A resolved recipe: plain values, one struct per section. The option table in options.c is the one
 * home of every key's name, type, default, range and meaning; YAML, --set, --help, dumps and the
 * resume guard all come from it.
 */
#ifndef SL_CONFIG_CONFIG_H
#define SL_CONFIG_CONFIG_H

#include <stdint.h>

#include "base/error.h"

enum sl_length_mode { SL_LENGTH_ACTUAL, SL_LENGTH_TRAIN };
enum sl_qk_norm {
    SL_QK_NORM_NONE,
    SL_QK_NORM_LAYERNORM,
    SL_QK_NORM_LAYERNORM_BIAS,
    SL_QK_NORM_RMS
};
enum sl_gate { SL_GATE_NONE, SL_GATE_LINEAR, SL_GATE_SIGMOID, SL_GATE_SILU };
enum sl_pool { SL_POOL_GAP, SL_POOL_TOK, SL_POOL_MAP };
enum sl_posemb { SL_POSEMB_LEARN, SL_POSEMB_SINCOS2D };
enum sl_gelu { SL_GELU_TANH, SL_GELU_ERF };
enum sl_precision { SL_PRECISION_AUTO, SL_PRECISION_FP32, SL_PRECISION_BF16 };
enum sl_optimizer { SL_OPT_ADAM, SL_OPT_ADAMW, SL_OPT_SGD };
enum sl_schedule { SL_SCHED_COSINE, SL_SCHED_LINEAR, SL_SCHED_RSQRT, SL_SCHED_CONSTANT };
enum sl_loss { SL_LOSS_SIGMOID_XENT, SL_LOSS_SOFTMAX_XENT };
enum sl_bad_sample { SL_BAD_STOP, SL_BAD_SKIP };
enum sl_nan_policy { SL_NAN_STOP, SL_NAN_SKIP };
/* Whose augmentation: the one meant, or big_vision's with its two bugs (image/randaug.c). */
enum sl_compat { SL_COMPAT_NONE, SL_COMPAT_BIG_VISION };
/* A level of augmentation (augment.c), or the data set whose levels follow from the variant. */
enum sl_augment {
    SL_AUGMENT_OWN, /* as train_ops and mixup say */
    SL_AUGMENT_NONE,
    SL_AUGMENT_LIGHT1,
    SL_AUGMENT_LIGHT2,
    SL_AUGMENT_MEDIUM1,
    SL_AUGMENT_MEDIUM2,
    SL_AUGMENT_STRONG1,
    SL_AUGMENT_STRONG2,
    SL_AUGMENT_I1K,
    SL_AUGMENT_I21K
};

#define SL_LIST_BLANKS " \t"
enum { SL_NAME_MAX = 128, SL_SPEC_MAX = 1024, SL_OPS_MAX = 16 };

/*
 * YAML keys are the names of sections and fields, except: model.h is phi; model.image_size (a side,
 * or [height, width]) is image_height and image_width; model.bias (a number, or "-log L") is bias
 * and bias_neg_log_length; train_length comes from weight files only. At the top level of a recipe
 * stand `schema: 1` (required), `base: FILE` (relative to the recipe; at most 8 levels) and the
 * fields of struct sl_config.
 */

/* A Vision Transformer. After sl_config_resolve every number is set (0 = "not given" before). */
struct sl_vit_config {
    char variant[SL_NAME_MAX]; /* "S/16": fills width, depth, heads, mlp, patch; "" = explicit */
    size_t width, depth, heads, mlp, patch;
    size_t image_height, image_width;
    size_t classes; /* 0 until the data set is known */
    sl_phi phi;     /* key model.h */
    double alpha;
    enum sl_length_mode length;
    double train_length;      /* L of training, recorded in the weights; 0 = not trained yet */
    double bias;              /* b */
    bool bias_neg_log_length; /* key model.bias: "-log L" */
    enum sl_qk_norm qk_norm;
    enum sl_gate gate;
    enum sl_posemb posemb;
    enum sl_pool pool;
    size_t registers;   /* register tokens */
    bool rep_size;      /* Dense(D) + tanh before the head */
    double head_bias;   /* initial value of the head's bias */
    double layer_scale; /* initial gamma; 0 = off */
    enum sl_gelu gelu;
    double norm_eps;
};

/* An input pipeline: op strings in order, e.g. "resize(32)", "flip_lr", "pad_crop(4)". */
struct sl_pipeline_config {
    size_t n;
    char ops[SL_OPS_MAX][SL_NAME_MAX];
};

struct sl_data_config {
    char train[SL_SPEC_MAX], eval[SL_SPEC_MAX];
    size_t train_images; /* what the training set is expected to have; 0 = unknown */
    struct sl_pipeline_config train_ops, eval_ops;
    enum sl_augment augment;
    enum sl_compat compat;
    double value_min, value_max; /* pixel 0 -> value_min, 255 -> value_max */
    size_t workers;              /* loader threads; 0 = decode in the training thread */
    size_t prefetch;             /* batches ready ahead */
    size_t cache_mb;             /* decoded set kept in memory up to this size; 0 = never */
    bool shuffle;
    size_t shuffle_buffer;
    enum sl_bad_sample on_bad_sample;
    double max_bad_fraction;
};

struct sl_train_config {
    size_t batch, accumulate; /* images per update, micro-batches it is split into */
    double total_steps, total_epochs, total_examples; /* exactly one is > 0 */
    enum sl_optimizer optimizer;
    double lr, wd, beta1, beta2, eps, momentum;
    bool bf16_moment; /* first moment kept in bfloat16 (big_vision) */
    double clip;      /* global norm; 0 = off */
    enum sl_schedule schedule;
    double warmup_steps, warmup_epochs, warmup_examples, rsqrt_timescale;
    enum sl_loss loss;
    double label_smoothing;
    double mixup; /* Beta concentration; 0 = off */
    enum sl_nan_policy nan_policy;
};

/* A pass over the set takes the images of a micro-batch at a time. */
struct sl_eval_config {
    double every_steps, every_epochs; /* both 0: only at the end */
    char transfer[SL_SPEC_MAX];       /* SPECs with SL_LIST_BLANKS between */
    char sizes[SL_SPEC_MAX];          /* sides of square images, likewise */
};

struct sl_checkpoint_config {
    size_t every_steps, keep_last, keep_every;
    bool best; /* keep the one with the best val/top1 */
};

struct sl_config {
    char name[SL_NAME_MAX];
    uint64_t seed;
    enum sl_precision precision;
    size_t log_every_steps;
    struct sl_vit_config model;
    struct sl_data_config data;
    struct sl_train_config train;
    struct sl_eval_config eval;
    struct sl_checkpoint_config checkpoint;
};

/* A config with the origin of every value, e.g. "default", "recipes/x.yaml:12", "--set". */
struct sl_recipe {
    struct sl_config config;
    char **origin; /* one per option of the table, owned */
};

/* ---- variants: recipe.md 9 ---- */
/* Fills width, depth, heads, mlp and patch from e.g. "S/16". SL_ERR_CONFIG with the nearest name.
 */
sl_status sl_variant_apply(const char *variant, struct sl_vit_config *vit);

/* Sets train.mixup and the item "augment" of data.train_ops from data.augment; doing it again
 * changes nothing. A part of sl_config_resolve. */
sl_status sl_augment_apply(struct sl_config *config);

/* ---- the option table's users ---- */
/* Zero-initialised recipe with every default. */
sl_status sl_recipe_init(struct sl_recipe *recipe);
void sl_recipe_clear(struct sl_recipe *recipe);
/* The file of a recipe given by path or by name; sl_free. SL_ERR_INPUT with the nearest name. */
sl_status sl_recipe_find(const char *name, char **path);
/* A line for each recipe that has a name: the name, and the command that its file begins with. */
sl_status sl_recipe_list(char **text);
/* A recipe file by path, or by name under the installed recipes; not yet resolved. */
sl_status sl_recipe_read(const char *path, struct sl_recipe *recipe);
/* The same for a recipe with a sweep: each leaf below `sweep:` goes to the sink, its key without
 * that word ("model.alpha", "model.alpha.from", "exclude"); those of bases come first. */
struct sl_value;
struct sl_sweep_sink {
    sl_status (*leaf)(void *user, const char *key, const struct sl_value *value, const char *where);
    void *user;
};
sl_status sl_recipe_read_study(const char *path, const struct sl_sweep_sink *sweep,
                               struct sl_recipe *recipe);
/* SL_ERR_CONFIG for a key that no option has, with the nearest. */
sl_status sl_recipe_unknown_key(const char *where, const char *key);
/* Every key with type, default, range and meaning, for --help. Owned by the caller (sl_free). */
sl_status sl_options_help(char **text);

void sl_config_defaults(struct sl_config *config);
/* "section.key=value"; origin is copied. SL_ERR_CONFIG: unknown key with the nearest, bad value. */
sl_status sl_recipe_set(struct sl_recipe *recipe, const char *assignment, const char *origin);
/* Reads YAML text (bases are files relative to `path`, which also names errors). On failure the
 * keys before the bad one stay set; sl_recipe_read leaves its recipe untouched. */
sl_status sl_recipe_parse(struct sl_recipe *recipe, const char *path, const char *text,
                          size_t size);
/* Variant, defaults that depend on other keys, and every check between keys (sizes divisible,
 * heads > 0, exactly one duration, ...). */
sl_status sl_config_resolve(struct sl_config *config);
/* YAML of all keys in table order; origin NULL or one per option. */
sl_status sl_config_to_yaml(const struct sl_config *config, char *const *origin, char **yaml);
/* Digest of a resolved config: of the keys that change results and are not at their default, so
 * that a key added later leaves the digests of old recipes as they are. */
sl_status sl_config_digest(const struct sl_config *config, char digest[33]);
/* Lists keys that differ, inert keys left out, as "key: old -> new" lines; "" if none. */
sl_status sl_config_diff(const struct sl_config *old_config, const struct sl_config *new_config,
                         char **text);
/* The model section as JSON, for weight files, and back (strict: unknown keys are errors). */
sl_status sl_vit_to_json(const struct sl_vit_config *vit, char **json);
sl_status sl_vit_from_json(const char *json, size_t size, struct sl_vit_config *vit);
/* Preprocessing (eval_ops, value range) as JSON, and back. */
sl_status sl_preprocess_to_json(const struct sl_data_config *data, char **json);
sl_status sl_preprocess_from_json(const char *json, size_t size, struct sl_data_config *data);

/* Whether the sizes of a model fit together; a part of sl_config_resolve. SL_ERR_CONFIG. */
sl_status sl_vit_check(const struct sl_vit_config *vit);
/* Grid tokens, tokens in all (class and registers included). */
size_t sl_vit_grid(const struct sl_vit_config *vit);
size_t sl_vit_tokens(const struct sl_vit_config *vit);

#endif
