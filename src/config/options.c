/*
 * The table of recipe keys. Defaults are big_vision's where it has one (the recipe of the paper).
 */
#include "config/options.h"

#include <string.h>

static const char *const precision_names[] = {"auto", "fp32", "bf16", NULL};
static const char *const length_names[] = {"actual", "train", NULL};
static const char *const qk_norm_names[] = {"none", "layernorm", "layernorm-bias", "rms", NULL};
static const char *const gate_names[] = {"none", "linear", "sigmoid", "silu", NULL};
static const char *const posemb_names[] = {"learn", "sincos2d", NULL};
static const char *const pool_names[] = {"gap", "tok", "map", NULL};
static const char *const gelu_names[] = {"tanh", "erf", NULL};
static const char *const bad_sample_names[] = {"stop", "skip", NULL};
static const char *const augment_names[] = {"own",     "none",    "light1",  "light2",
                                            "medium1", "medium2", "strong1", "strong2",
                                            "i1k",     "i21k",    NULL};
static const char *const compat_names[] = {"none", "big_vision", NULL};
static const char *const optimizer_names[] = {"adam", "adamw", "sgd", NULL};
static const char *const schedule_names[] = {"cosine", "linear", "rsqrt", "constant", NULL};
static const char *const loss_names[] = {"sigmoid_xent", "softmax_xent", NULL};
static const char *const nan_names[] = {"stop", "skip", NULL};

#define AT(field) offsetof(struct sl_config, field)
#define BIG 1e15

const struct sl_option sl_options[] = {
    {"name", SL_KIND_NAME, AT(name), "unnamed", 1, SL_NAME_MAX, NULL, true,
     "name of the run directory and of figures"},
    {"seed", SL_KIND_U64, AT(seed), "0", 0, BIG, NULL, false, "seed of every random draw"},
    {"precision", SL_KIND_ENUM, AT(precision), "auto", 0, 0, precision_names, false,
     "type of matrix products: auto is bf16 with the avx512bf16 and amx kernels, else fp32"},
    {"log_every_steps", SL_KIND_SIZE, AT(log_every_steps), "50", 1, BIG, NULL, false,
     "updates between two lines of metrics.jsonl"},

    {"model.variant", SL_KIND_TEXT, AT(model.variant), "", 0, SL_NAME_MAX, NULL, false,
     "size and patch as in 'S/16': mu Ti S M B L So400m H g g-opt G G-opt e; fills what follows"},
    {"model.width", SL_KIND_SIZE, AT(model.width), "0", 0, 65536, NULL, false,
     "width D; 0 = variant's"},
    {"model.depth", SL_KIND_SIZE, AT(model.depth), "0", 0, 1024, NULL, false,
     "blocks; 0 = variant's"},
    {"model.heads", SL_KIND_SIZE, AT(model.heads), "0", 0, 1024, NULL, false,
     "attention heads H; 0 = variant's"},
    {"model.mlp", SL_KIND_SIZE, AT(model.mlp), "0", 0, 262144, NULL, false,
     "MLP width F; 0 = variant's"},
    {"model.patch", SL_KIND_SIZE, AT(model.patch), "0", 0, 1024, NULL, false,
     "patch side P in pixels; 0 = variant's"},
    {"model.image_size", SL_KIND_IMAGE_SIZE, AT(model.image_height), "224", 1, 65535, NULL, false,
     "image side, or [height, width]"},
    {"model.classes", SL_KIND_SIZE, AT(model.classes), "0", 0, 1e7, NULL, false,
     "classes C; 0 = the data set's"},
    {"model.h", SL_KIND_PHI, AT(model.phi), "relu", 0, 0, NULL, false,
     "phi of the attention: softmax, or L^-alpha h with one of the others as h"},
    {"model.alpha", SL_KIND_REAL, AT(model.alpha), "1", -16, 16, NULL, false,
     "exponent of the length factor L^-alpha"},
    {"model.length", SL_KIND_ENUM, AT(model.length), "actual", 0, 0, length_names, false,
     "the L of the factor: keys present, or fixed at the length of training"},
    {"model.bias", SL_KIND_SCORE_BIAS, AT(model.bias), "0", -1e6, 1e6, NULL, false,
     "score offset b in h(s + b): a number or '-log L'"},
    {"model.qk_norm", SL_KIND_ENUM, AT(model.qk_norm), "layernorm", 0, 0, qk_norm_names, false,
     "normalisation of q and k per head"},
    {"model.gate", SL_KIND_ENUM, AT(model.gate), "none", 0, 0, gate_names, false,
     "activation of the gate on the concatenated heads"},
    {"model.posemb", SL_KIND_ENUM, AT(model.posemb), "learn", 0, 0, posemb_names, false,
     "position embedding"},
    {"model.pool", SL_KIND_ENUM, AT(model.pool), "gap", 0, 0, pool_names, false,
     "mean of tokens, class token, or attention pooling"},
    {"model.registers", SL_KIND_SIZE, AT(model.registers), "0", 0, 1024, NULL, false,
     "register tokens"},
    {"model.rep_size", SL_KIND_BOOL, AT(model.rep_size), "false", 0, 0, NULL, false,
     "Dense(D) and tanh before the head"},
    {"model.head_bias", SL_KIND_REAL, AT(model.head_bias), "0", -1e6, 1e6, NULL, false,
     "initial bias of the head"},
    {"model.layer_scale", SL_KIND_REAL, AT(model.layer_scale), "0", 0, 1e6, NULL, false,
     "initial LayerScale factor; 0 = no LayerScale"},
    {"model.gelu", SL_KIND_ENUM, AT(model.gelu), "tanh", 0, 0, gelu_names, false,
     "form of the MLP's gelu"},
    {"model.norm_eps", SL_KIND_REAL, AT(model.norm_eps), "1e-06", 1e-12, 1, NULL, false,
     "epsilon of every norm"},

    {"data.train", SL_KIND_TEXT, AT(data.train), "", 0, SL_SPEC_MAX, NULL, false,
     "training set SPEC"},
    {"data.train_images", SL_KIND_SIZE, AT(data.train_images), "0", 0, 1e12, NULL, true,
     "images the training set should have, for forecasts without it; 0 = as found"},
    {"data.eval", SL_KIND_TEXT, AT(data.eval), "", 0, SL_SPEC_MAX, NULL, false,
     "evaluation set SPEC; empty = none"},
    {"data.train_ops", SL_KIND_OPS, AT(data.train_ops), "[]", 0, SL_OPS_MAX, NULL, false,
     "training pipeline, e.g. [\"pad_crop(2)\", flip_lr]; empty = images have the model's size"},
    {"data.eval_ops", SL_KIND_OPS, AT(data.eval_ops), "[]", 0, SL_OPS_MAX, NULL, false,
     "evaluation and prediction pipeline, e.g. [\"resize_small(256)\", \"central_crop(224)\"]"},
    {"data.augment", SL_KIND_ENUM, AT(data.augment), "own", 0, 0, augment_names, false,
     "big_vision's level: sets train.mixup and the item 'augment' of train_ops; i1k and i21k: by "
     "model.variant; own: as those keys say"},
    {"data.compat", SL_KIND_ENUM, AT(data.compat), "none", 0, 0, compat_names, false,
     "big_vision: its two bugs in randaug (Contrast, Solarize), as the paper's models had them"},
    {"data.value_min", SL_KIND_REAL, AT(data.value_min), "-1", -1e6, 1e6, NULL, false,
     "what pixel value 0 becomes"},
    {"data.value_max", SL_KIND_REAL, AT(data.value_max), "1", -1e6, 1e6, NULL, false,
     "what pixel value 255 becomes"},
    {"data.workers", SL_KIND_SIZE, AT(data.workers), "1", 0, 256, NULL, true,
     "loader threads; 0 = the training thread loads"},
    {"data.prefetch", SL_KIND_SIZE, AT(data.prefetch), "4", 1, 1024, NULL, true,
     "batches loaded ahead"},
    {"data.cache_mb", SL_KIND_SIZE, AT(data.cache_mb), "1024", 0, 1e9, NULL, true,
     "decoded images are kept in memory up to this size, unless the set is far larger"},
    {"data.shuffle", SL_KIND_BOOL, AT(data.shuffle), "true", 0, 0, NULL, false,
     "shuffle the training set each epoch"},
    {"data.shuffle_buffer", SL_KIND_SIZE, AT(data.shuffle_buffer), "0", 0, 4e9, NULL, false,
     "for tar shards: shuffle the shards, then the images among so many, so that files are read "
     "nearly in order; 0 = all images at once"},
    {"data.on_bad_sample", SL_KIND_ENUM, AT(data.on_bad_sample), "stop", 0, 0, bad_sample_names,
     false, "what a damaged image does"},
    {"data.max_bad_fraction", SL_KIND_REAL, AT(data.max_bad_fraction), "0.001", 0, 1, NULL, false,
     "damaged images that skip tolerates, as a share of the set"},

    {"train.batch", SL_KIND_SIZE, AT(train.batch), "1024", 1, 1e6, NULL, false,
     "images per update"},
    {"train.accumulate", SL_KIND_SIZE, AT(train.accumulate), "1", 1, 1e6, NULL, false,
     "micro-batches that an update's images are split into"},
    {"train.total_steps", SL_KIND_REAL, AT(train.total_steps), "0", 0, BIG, NULL, false,
     "length of training; give exactly one of the three"},
    {"train.total_epochs", SL_KIND_REAL, AT(train.total_epochs), "0", 0, BIG, NULL, false,
     "length of training in passes over the set"},
    {"train.total_examples", SL_KIND_REAL, AT(train.total_examples), "0", 0, BIG, NULL, false,
     "length of training in images"},
    {"train.optimizer", SL_KIND_ENUM, AT(train.optimizer), "adam", 0, 0, optimizer_names, false,
     "adam: big_vision's chain, wd scaled by the schedule alone; adamw, sgd: wd times lr"},
    {"train.lr", SL_KIND_REAL, AT(train.lr), "0.001", 0, 1e6, NULL, false, "peak learning rate"},
    {"train.wd", SL_KIND_REAL, AT(train.wd), "0.0001", 0, 1e6, NULL, false,
     "weight decay of kernels; with adam it is not multiplied by lr"},
    {"train.beta1", SL_KIND_REAL, AT(train.beta1), "0.9", 0, 1, NULL, false,
     "decay of the first moment"},
    {"train.beta2", SL_KIND_REAL, AT(train.beta2), "0.999", 0, 1, NULL, false,
     "decay of the second moment"},
    {"train.eps", SL_KIND_REAL, AT(train.eps), "1e-08", 0, 1, NULL, false,
     "epsilon of adam and adamw"},
    {"train.momentum", SL_KIND_REAL, AT(train.momentum), "0.9", 0, 1, NULL, false,
     "momentum of sgd"},
    {"train.bf16_moment", SL_KIND_BOOL, AT(train.bf16_moment), "false", 0, 0, NULL, false,
     "keep the first moment in bfloat16 between steps"},
    {"train.clip", SL_KIND_REAL, AT(train.clip), "1", 0, 1e9, NULL, false,
     "largest global norm of the gradient; 0 = off"},
    {"train.schedule", SL_KIND_ENUM, AT(train.schedule), "cosine", 0, 0, schedule_names, false,
     "learning-rate schedule after the warm-up"},
    {"train.warmup_steps", SL_KIND_REAL, AT(train.warmup_steps), "0", 0, BIG, NULL, false,
     "linear warm-up from 0; give at most one of the three"},
    {"train.warmup_epochs", SL_KIND_REAL, AT(train.warmup_epochs), "0", 0, BIG, NULL, false,
     "warm-up in passes over the set"},
    {"train.warmup_examples", SL_KIND_REAL, AT(train.warmup_examples), "0", 0, BIG, NULL, false,
     "warm-up in images"},
    {"train.rsqrt_timescale", SL_KIND_REAL, AT(train.rsqrt_timescale), "10000", 1, BIG, NULL, false,
     "steps in which rsqrt falls to 0.71"},
    {"train.loss", SL_KIND_ENUM, AT(train.loss), "sigmoid_xent", 0, 0, loss_names, false,
     "sigmoid_xent is summed over classes"},
    {"train.label_smoothing", SL_KIND_REAL, AT(train.label_smoothing), "0", 0, 1, NULL, false,
     "share of the target spread over all classes"},
    {"train.mixup", SL_KIND_REAL, AT(train.mixup), "0", 0, 1000, NULL, false,
     "concentration of mixup's Beta distribution; 0 = off"},
    {"train.nan_policy", SL_KIND_ENUM, AT(train.nan_policy), "stop", 0, 0, nan_names, false,
     "what a step does whose loss or gradient is not finite"},

    {"eval.every_steps", SL_KIND_REAL, AT(eval.every_steps), "0", 0, BIG, NULL, false,
     "updates between evaluations; 0 = at the end only"},
    {"eval.every_epochs", SL_KIND_REAL, AT(eval.every_epochs), "0", 0, BIG, NULL, false,
     "passes between evaluations"},
    {"eval.transfer", SL_KIND_TEXT, AT(eval.transfer), "", 0, SL_SPEC_MAX, NULL, true,
     "data sets, blanks between, as softless probe takes them: after training the mean of their "
     "10-shot accuracies goes to summary.json"},
    {"eval.sizes", SL_KIND_TEXT, AT(eval.sizes), "", 0, SL_SPEC_MAX, NULL, true,
     "sides of square images, blanks between: after training the accuracy at each, with the "
     "length of the sequence and with that of training, goes to sizes.csv"},
    {"checkpoint.every_steps", SL_KIND_SIZE, AT(checkpoint.every_steps), "1000", 0, BIG, NULL, true,
     "updates between checkpoints; 0 = at the end and on signals only"},
    {"checkpoint.keep_last", SL_KIND_SIZE, AT(checkpoint.keep_last), "2", 2, 1e6, NULL, true,
     "newest checkpoints kept"},
    {"checkpoint.keep_every", SL_KIND_SIZE, AT(checkpoint.keep_every), "0", 0, BIG, NULL, true,
     "keep every checkpoint whose step is a multiple of this; 0 = none"},
    {"checkpoint.best", SL_KIND_BOOL, AT(checkpoint.best), "true", 0, 0, NULL, true,
     "keep the checkpoint with the best val/top1"},
};
const size_t sl_n_options = sizeof sl_options / sizeof sl_options[0];

size_t sl_option_find(const char *key)
{
    size_t i = 0;
    while (i < sl_n_options && strcmp(sl_options[i].key, key) != 0)
        i++;
    return i;
}

static const char *last_word(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

const char *sl_option_nearest(const char *key)
{
    const char *names[sizeof sl_options / sizeof sl_options[0]];
    for (size_t i = 0; i < sl_n_options; i++) {
        names[i] = sl_options[i].key;
        if (strcmp(last_word(names[i]), last_word(key)) == 0)
            return names[i];
    }
    return sl_nearest(key, names, sl_n_options);
}

void sl_config_defaults(struct sl_config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < sl_n_options; i++)
        (void)sl_option_set_text(&sl_options[i], config, sl_options[i].fallback);
}

static void describe_kind(const struct sl_option *o, sl_text *t)
{
    static const char *const words[] = {[SL_KIND_SIZE] = "whole number",
                                        [SL_KIND_U64] = "whole number",
                                        [SL_KIND_REAL] = "number",
                                        [SL_KIND_BOOL] = "true|false",
                                        [SL_KIND_TEXT] = "text",
                                        [SL_KIND_NAME] = "letters, digits and . _ + -",
                                        [SL_KIND_ENUM] = "",
                                        [SL_KIND_PHI] = "",
                                        [SL_KIND_OPS] = "list of operations",
                                        [SL_KIND_IMAGE_SIZE] = "size",
                                        [SL_KIND_SCORE_BIAS] = "number or -log L"};
    sl_text_add(t, words[o->kind]);
    for (size_t i = 0; o->kind == SL_KIND_ENUM && o->names[i]; i++)
        sl_text_addf(t, "%s%s", i ? "|" : "", o->names[i]);
    for (int i = 0; o->kind == SL_KIND_PHI && i < SL_PHI_COUNT; i++)
        sl_text_addf(t, "%s%s", i ? "|" : "", sl_phi_name((sl_phi)i));
    if (o->kind == SL_KIND_SIZE || o->kind == SL_KIND_U64 || o->kind == SL_KIND_REAL ||
        o->kind == SL_KIND_IMAGE_SIZE || o->kind == SL_KIND_SCORE_BIAS)
        sl_text_addf(t, ", %g to %g", o->min, o->max);
}

sl_status sl_options_help(char **text)
{
    sl_text t = {0};
    for (size_t i = 0; i < sl_n_options; i++) {
        const struct sl_option *o = &sl_options[i];
        sl_text_addf(&t, "%s (", o->key);
        describe_kind(o, &t);
        sl_text_addf(&t, "; default %s)%s\n    %s\n", *o->fallback ? o->fallback : "empty",
                     o->inert ? " [changes no result]" : "", o->help);
    }
    return sl_text_take(&t, text);
}
