/*
 * The attention kernels of one CPU: function pointers and the block sizes they work in, one table
 * per ISA (kernel_list.h). Kernels take raw pointers and the caller's memory; they never allocate,
 * lock, fail or start threads. Sums are float and their order depends on the shape alone, so a row
 * of o has the same bits however rows and heads are spread over threads.
 */
#ifndef SL_KERNELS_ATTN_KERNELS_H
#define SL_KERNELS_ATTN_KERNELS_H

#include "kernels/cpu.h"

/* Limits the callers check; every size below then fits size_t. */
enum { SL_ATTN_MAX_K = 256, SL_ATTN_MAX_L = 1 << 24 };

/* One head of one image. Rows of an operand are `*_token` elements apart; K is contiguous. Masked
 * keys are never read: `keys` lists the n valid ones in rising order. */
struct sl_attn_head {
    sl_phi phi;
    sl_dtype dtype;
    size_t Lq, Lk, K;
    size_t n;             /* keys present, 1 .. Lk */
    const uint32_t *keys; /* [n], or NULL = 0 .. n-1 */
    float scale, bias;    /* s = scale q.k + bias (softmax: bias 0) */
    float factor;         /* c = n^-alpha (softmax: 1) */
    const void *q;        /* [Lq, K] */
    const void *k, *v;    /* [Lk, K] */
    size_t q_token, k_token, v_token;
    void *o; /* [Lq, K] forward: assigned */
    size_t o_token;
    /* backward: */
    const void *d_o; /* [Lq, K] */
    void *dq;        /* [Lq, K] assigned */
    void *dk, *dv;   /* [Lk, K] assigned, 0 at masked keys */
    size_t do_token, dq_token, dk_token, dv_token;
    /* The head this worker takes next, whose rows may be brought into the cache meanwhile; or NULL.
     */
    const struct sl_attn_head *next;
};

/* Queries i0 .. i1-1, and keys j0 .. j1-1 counting those present. */
struct sl_attn_range {
    size_t i0, i1, j0, j1;
};

/* Only shapes, strides, dtype and whether `keys` is NULL matter to the size functions; n counts as
 * Lk there. Memory handed in is aligned to 64 bytes. */
struct sl_attn_kernel {
    const char *name; /* symbol, for messages and tests */
    enum sl_isa isa;
    bool bf16;                   /* multiplies bf16 as it is: for bf16 operands only */
    double bf16_gain;            /* its products are about so many times as fast as float's */
    size_t tile_rows, tile_keys; /* register tile */
    /* K and V of one head in the layout the forward pass streams. */
    size_t (*pack_bytes)(const struct sl_attn_head *head);
    void (*pack)(const struct sl_attn_head *head, void *packed);
    /* o rows i0 .. i1-1 from what pack wrote. */
    size_t (*forward_bytes)(const struct sl_attn_head *head);
    void (*forward)(const struct sl_attn_head *head, const void *packed, size_t i0, size_t i1,
                    void *work);
    /* K and V as the backward pass reads them. */
    size_t (*backward_pack_bytes)(const struct sl_attn_head *head);
    void (*backward_pack)(const struct sl_attn_head *head, void *packed);
    /* dq rows i0 .. i1-1, and what they add to dk and dv: into one part of `sums` (assigned), or
     * with sums NULL into the tensors, if float, all keys are there and i0 .. i1-1 are all rows. */
    size_t (*backward_bytes)(const struct sl_attn_head *head, size_t rows);
    void (*backward)(const struct sl_attn_head *head, const void *packed, size_t i0, size_t i1,
                     float *sums, void *work);
    /* Rows j0 .. j1-1 of dk and dv from sums[parts][sums_bytes], added in order. */
    size_t (*sums_bytes)(const struct sl_attn_head *head);
    void (*finish)(const struct sl_attn_head *head, const float *sums, size_t parts, size_t j0,
                   size_t j1);
    /* Identity without scores, where sums over keys come first (attn_linear.inc); NULL if there are
     * none. One part of the sums, assigned; then results of a range from all parts. dk and dv of
     * absent keys are not written. */
    size_t (*linear_bytes)(const struct sl_attn_head *head);
    size_t (*linear_sum_bytes)(const struct sl_attn_head *head);
    void (*linear_sum)(const struct sl_attn_head *head, const struct sl_attn_range *range,
                       bool backward, float *sums, void *work);
    void (*linear_rows)(const struct sl_attn_head *head, const struct sl_attn_range *range,
                        bool backward, const float *sums, size_t parts, void *work);
    /* Statistics of the head's weights, added to stats; NULL where `linear_sum` is. */
    size_t (*count_bytes)(const struct sl_attn_head *head);
    void (*count)(const struct sl_attn_head *head, void *work, sl_attention_stats *stats);
};

/* The tiles that statistics look at (sl_attention_stats): 32 queries and 32 keys at most. */
struct sl_attn_tile {
    size_t queries, keys;
};
extern const struct sl_attn_tile sl_attn_tiles[SL_ATTENTION_TILES];

/* The best kernels of the list at or below `isa` for operands of `type`. Static, never NULL. */
const struct sl_attn_kernel *sl_attn_kernel_for(enum sl_isa isa, sl_dtype type);

#endif
