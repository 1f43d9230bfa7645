/*
 * A Vision Transformer: a table of parameters, a table of activations, and forward and backward as
 * flat lists of op calls. One arena each for parameters, gradients, packed weights and activations,
 * laid out by the tables, so that the memory forecast is what will be used.
 */
#ifndef SL_MODEL_MODEL_H
#define SL_MODEL_MODEL_H

#include "ops/ops.h"

/* ---- parameters ---- */
enum sl_init {
    SL_INIT_ZEROS,
    SL_INIT_ONES,
    SL_INIT_CONSTANT, /* value */
    SL_INIT_XAVIER,   /* uniform, bound = value */
    SL_INIT_LECUN,    /* truncated normal at 2 sigma, resulting std = value */
    SL_INIT_NORMAL    /* normal, std = value */
};

struct sl_param {
    char name[96]; /* timm's name: "blocks.0.attn.qkv.weight" */
    size_t rank, shape[4];
    size_t count; /* product of shape */
    /* Floats from the start of the arena, a multiple of 16; but reg_token follows cls_token at
     * once, so that both are one prefix of the tokens. */
    size_t offset;
    enum sl_init init;
    double value;
    bool decay; /* weight decay applies (big_vision: kernels) */
};

/* Indices into the table; SIZE_MAX = absent. Per block where marked. */
struct sl_block_params {
    size_t norm1_w, norm1_b, qkv_w, qkv_b, q_norm_w, q_norm_b, k_norm_w, k_norm_b, gate_w, gate_b,
        proj_w, proj_b, ls1, norm2_w, norm2_b, fc1_w, fc1_b, fc2_w, fc2_b, ls2;
};
struct sl_param_table {
    struct sl_param *params;
    size_t n, floats; /* arena size in floats */
    size_t patch_w, patch_b, cls, reg, pos, norm_w, norm_b;
    struct sl_block_params *blocks; /* [depth] */
    size_t map_latent, map_q_w, map_q_b, map_kv_w, map_kv_b, map_proj_w, map_proj_b, map_norm_w,
        map_norm_b, map_fc1_w, map_fc1_b, map_fc2_w, map_fc2_b;
    size_t pre_w, pre_b, head_w, head_b;
};
sl_status sl_param_table_build(const struct sl_vit_config *vit, struct sl_param_table *table);
/* Trained scalars, without the padding of the arena. */
size_t sl_param_count(const struct sl_param_table *table);
void sl_param_table_free(struct sl_param_table *table);
/* Initialises host floats [table->floats], draws addressed by (seed, tensor, element). */
void sl_param_init(const struct sl_param_table *table, uint64_t seed, float *params);

/* ---- memory forecast: bytes of each arena, exactly what sl_net_create will allocate ---- */
struct sl_memory {
    size_t params, grads, packed, activations, scratch, inputs, optimizer;
};

/* ---- a net: parameters and buffers for one batch size on one device ---- */
struct sl_net;

struct sl_net_options {
    struct sl_vit_config vit;
    sl_dtype type; /* activation type */
    size_t batch;  /* images per pass */
    bool training; /* gradients and saved activations */
    float value_min, value_max;
};

/* Allocates every arena (parameters zero). Plans all ops, so that passes never allocate. */
sl_status sl_net_create(struct sl_device *dev, const struct sl_net_options *options,
                        struct sl_net **net);
void sl_net_free(struct sl_net **net);
sl_status sl_net_forecast(struct sl_device *dev, const struct sl_net_options *options,
                          struct sl_memory *memory);

const struct sl_param_table *sl_net_params(const struct sl_net *net);
const struct sl_net_options *sl_net_get_options(const struct sl_net *net);
/* Flat device arenas [floats]; grads NULL unless training. Borrowed. After writing parameters call
 * sl_net_params_changed, which packs the weights anew. */
float *sl_net_param_data(struct sl_net *net);
float *sl_net_grad_data(struct sl_net *net);
sl_status sl_net_params_changed(struct sl_net *net);

/* images u8 [n, SH, SW, 3] in host memory, n <= batch. logits: device float [n, C], borrowed until
 * the next pass. mix: mixup weight, 1 = none. */
sl_status sl_net_forward(struct sl_net *net, const uint8_t *images, size_t n, float mix,
                         const float **logits);
/* Statistics of every block's attention are added to stats [depth, H] in forward passes from now
 * on; NULL ends that. */
sl_status sl_net_watch_attention(struct sl_net *net, sl_attention_stats *stats);
/* labels [batch] of the next passes: watching leaves images of negative label out. */
void sl_net_watch_labels(struct sl_net *net, const int32_t *labels);
/* Who takes attention weights: block by block, head by head. weights: host float [L, L], a row for
 * each query, borrowed during the call. */
struct sl_weights_sink {
    sl_status (*take)(void *user, size_t block, size_t head, const float *weights);
    void *user;
};
/* Forward passes from now on hand out the weights of their first image (not of a MAP head); NULL
 * ends that. */
sl_status sl_net_tap_weights(struct sl_net *net, const struct sl_weights_sink *sink);
/* The head's input of the last forward: device [n, D] in the net's type, borrowed until the next
 * pass. (big_vision's "pre_logits": the tanh of rep_size, else the pooled tokens.) */
const void *sl_net_features(const struct sl_net *net);
/* Loss of the logits of the last forward; with gradients: dlogits kept for sl_net_backward.
 * args->logits, B, C, dlogits, dtype are filled in here. */
sl_status sl_net_loss(struct sl_net *net, struct sl_loss_args *args);
/* Parameter gradients += from the last forward and loss (training only). */
sl_status sl_net_backward(struct sl_net *net);
sl_status sl_net_zero_grads(struct sl_net *net);

/* Multiply-adds x 2 of one forward pass of one image, by formula. */
double sl_vit_flops(const struct sl_vit_config *vit);
/* The same of one image in a training step, by phase. */
void sl_vit_step_flops(const struct sl_vit_config *vit, double flops[SL_PHASE_COUNT]);

/* ---- weights in and out (weights.c) ---- */
#define SL_WEIGHTS_KEY_MODEL "softless.model" /* what metadata of no other project has */
struct sl_weights_meta {
    struct sl_vit_config vit;
    struct sl_data_config data; /* preprocessing only: eval_ops, value range; eval spec */
    char **classes;             /* [vit.classes], owned, or NULL */
    uint64_t step;
    char train_digest[33]; /* config digest, "" if none */
};
void sl_weights_meta_free(struct sl_weights_meta *meta);

/* Writes host floats in the layout of `table` (that of meta->vit) as safetensors with timm's names
 * and metadata, fsynced; creates `path` exclusively. digest (33) and size may be NULL. */
sl_status sl_weights_write(const char *path, const struct sl_weights_meta *meta,
                           const struct sl_param_table *table, const float *params, char *digest,
                           uint64_t *size);
/* The same, but replaces `path` at once or not at all: PATH.part, fsync, rename. */
sl_status sl_weights_replace(const char *path, const struct sl_weights_meta *meta,
                             const struct sl_param_table *table, const float *params);
/* Metadata only. */
sl_status sl_weights_read_meta(const char *path, struct sl_weights_meta *meta);
/* Reads into host floats of `table`'s layout; every missing or unexpected tensor or wrong shape is
 * listed in one SL_ERR_DATA before params is touched; a read that fails later leaves it undefined.
 */
sl_status sl_weights_read(const char *path, const struct sl_param_table *table, float *params);
/* The start of another training: positions of another grid are resampled (bicubic, antialiased),
 * and with reset_head the head of `params` stays as it is, whatever the file has. */
sl_status sl_weights_init(const char *path, const struct sl_vit_config *vit,
                          const struct sl_param_table *table, bool reset_head, float *params);

#endif
