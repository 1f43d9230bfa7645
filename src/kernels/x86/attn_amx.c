/*
 * Attention of one head in bf16 on AMX: products of bf16 in tiles with float sums, phi in AVX-512
 * on floats. Strips of 32 queries meet blocks of 32 keys; weights and score gradients are rounded
 * to bf16 before their products, everything else stays float until it leaves. L x L is never
 * stored.
 *
 * Operands are copied into blocks (amx.h), zeros where K, queries or keys end, so that no product
 * knows of an edge. A block of scores is 32 x 32 floats in L1: point-wise phi turns each into
 * weights at once; softmax keeps the strip's blocks until the row's maximum and sum are known. Tile
 * products treat denormals as zero.
 */
#include "kernels/x86/vec_avx512.h"

#include <stdbool.h>
#include <string.h>

#include "kernels/attn_kernels.h"
#include "kernels/phi.h"
#include "kernels/phi.inc"
#include "kernels/x86/amx.h"

enum {
    SIDE = 2 * AMX_LANES, /* queries of a strip, keys of a block, columns of a result block */
    SQUARE = SIDE * SIDE
};

extern const struct sl_attn_kernel sl_attn_amx;

static size_t sides_of(size_t n)
{
    return (n + SIDE - 1) / SIDE;
}

static size_t at_most(size_t n, size_t limit)
{
    return n < limit ? n : limit;
}

/* ---- operands ---- */

/* Rows of a tensor of one head: `keys` = which, NULL = 0 .. n-1. */
struct source {
    const uint16_t *p;
    size_t token, n, K;
    const uint32_t *keys;
};

static struct source source_keys(const struct sl_attn_head *h, const void *p, size_t token)
{
    return (struct source){p, token, h->n, h->K, h->keys};
}

static struct source source_queries(const struct sl_attn_head *h, const void *p, size_t token)
{
    return (struct source){p, token, h->Lq, h->K, NULL};
}

static const uint16_t *source_row(const struct source *s, size_t i)
{
    return s->p + (s->keys ? s->keys[i] : i) * s->token;
}

static __mmask32 first_32(size_t n)
{
    return n >= 32 ? 0xFFFFFFFFu : (1u << n) - 1u;
}

static void put_block(const __m512i v[AMX_LANES], uint16_t *dst)
{
    for (size_t i = 0; i < AMX_LANES; i++)
        _mm512_storeu_si512(dst + i * AMX_DEPTH, v[i]);
}

/* Bytes of an operand: n rows of K in blocks, both padded to 32. */
static size_t operand_bytes(size_t n, size_t K)
{
    return sides_of(n) * sides_of(K) * 2 * AMX_BLOCK * sizeof(uint16_t);
}

/* Rows i0 .. i0+rows-1 as lanes, depth along K: dst [rows / 16][K / 32][block], a left operand, or
 * transposed a right one. */
static void pack_lanes(const struct source *s, size_t i0, size_t rows, bool right, uint16_t *dst)
{
    for (size_t i = i0; i < i0 + sides_of(rows) * SIDE; i += AMX_LANES)
        for (size_t d = 0; d < s->K; d += AMX_DEPTH, dst += AMX_BLOCK) {
            __m512i v[AMX_LANES];
            for (size_t r = 0; r < AMX_LANES; r++)
                v[r] = i + r < i0 + rows
                           ? _mm512_maskz_loadu_epi16(first_32(s->K - d), source_row(s, i + r) + d)
                           : _mm512_setzero_si512();
            if (right)
                amx_transpose(v);
            put_block(v, dst);
        }
}

/* Rows first .. first+rows-1 as depth, K as lanes: dst [K / 16][rows / 32][block], a right operand,
 * or transposed a left one. */
static void pack_depth(const struct source *s, size_t first, size_t rows, bool left, uint16_t *dst)
{
    const __m256i zero = _mm256_setzero_si256();
    const size_t end = first + rows;
    for (size_t d = 0; d < sides_of(s->K) * SIDE; d += AMX_LANES) {
        const __mmask16 some = (__mmask16)first_32(d < s->K ? at_most(s->K - d, AMX_LANES) : 0);
        for (size_t i0 = first; i0 < end; i0 += AMX_DEPTH, dst += AMX_BLOCK) {
            __m512i v[AMX_LANES];
            for (size_t p = 0; p < AMX_LANES; p++) {
                const size_t i = i0 + 2 * p;
                const __m256i even =
                    i < end && some ? _mm256_maskz_loadu_epi16(some, source_row(s, i) + d) : zero;
                const __m256i odd = i + 1 < end && some
                                        ? _mm256_maskz_loadu_epi16(some, source_row(s, i + 1) + d)
                                        : zero;
                v[p] = _mm512_or_si512(_mm512_cvtepu16_epi32(even),
                                       _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
            }
            if (left)
                amx_transpose(v);
            put_block(v, dst);
        }
    }
}

/* ---- products ---- */

/* 32 lanes of an operand: two runs of blocks, depth after depth. */
struct lanes {
    const uint16_t *p;
    size_t half; /* from the first 16 lanes to the others */
};

/* c [32, 32] = (add ? c : 0) + a b over `steps` blocks of depth; not tall = only c's upper 16 rows.
 * gcc 12's tile loads do not tell the compiler that they read memory, hence the barriers. */
static inline __attribute__((always_inline)) void
product_of(struct lanes a, struct lanes b, size_t steps, const bool tall, bool add, float *c)
{
    enum { ROW = SIDE * sizeof(float) };
    float *lower = c + AMX_LANES * SIDE;
    __asm__ volatile("" ::: "memory");
    if (add) {
        _tile_loadd(0, c, ROW);
        _tile_loadd(1, c + AMX_LANES, ROW);
        if (tall) {
            _tile_loadd(2, lower, ROW);
            _tile_loadd(3, lower + AMX_LANES, ROW);
        }
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (size_t i = 0; i < steps; i++, a.p += AMX_BLOCK, b.p += AMX_BLOCK) {
        _tile_loadd(4, a.p, AMX_LINE);
        _tile_loadd(6, b.p, AMX_LINE);
        _tile_loadd(7, b.p + b.half, AMX_LINE);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (tall) {
            _tile_loadd(5, a.p + a.half, AMX_LINE);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, c, ROW);
    _tile_stored(1, c + AMX_LANES, ROW);
    if (tall) {
        _tile_stored(2, lower, ROW);
        _tile_stored(3, lower + AMX_LANES, ROW);
    }
    __asm__ volatile("" ::: "memory");
}

/* The first `rows` rows of c at least. */
static void product(struct lanes a, struct lanes b, size_t steps, size_t rows, bool add, float *c)
{
    if (rows > AMX_LANES)
        product_of(a, b, steps, true, add, c);
    else
        product_of(a, b, steps, false, add, c);
}

/* Block `side` of an operand packed with `depth` blocks of depth per 16 lanes. */
static struct lanes lanes_of(const uint16_t *packed, size_t side, size_t depth)
{
    return (struct lanes){packed + 2 * side * depth * AMX_BLOCK, depth * AMX_BLOCK};
}

/* ---- blocks of floats ---- */

/* 32 floats as bf16, ties to even. */
static inline __m512i narrow_32(vf low, vf high)
{
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Products of whole blocks must not see what lies beyond rows and keys: the other operand is zero
 * there, but h may be infinite, and lower rows that were not computed may hold anything. */
static void clear_edges(float *block, size_t rows, size_t keys)
{
    for (size_t r = 0; keys < SIDE && r < rows; r++)
        memset(block + r * SIDE + keys, 0, (SIDE - keys) * sizeof *block);
    memset(block + rows * SIDE, 0, (SIDE - rows) * SIDE * sizeof *block);
}

/* Floats -> left blocks of depth along the keys. */
static void narrow_rows(const float *block, size_t rows, uint16_t *dst, size_t half)
{
    for (size_t r = 0; r < rows; r++) {
        const float *x = block + r * SIDE;
        _mm512_storeu_si512(dst + r / AMX_LANES * half + r % AMX_LANES * AMX_DEPTH,
                            narrow_32(v_load(x), v_load(x + VL)));
    }
}

/* factor (row_factor[r]) times the block, as rows r of a tensor at dst; `columns` of K are left. */
static void put_rows(const float *block, size_t rows, size_t columns, float factor,
                     const float *row_factor, uint16_t *dst, size_t token)
{
    const __mmask32 some = first_32(columns);
    for (size_t r = 0; r < rows; r++) {
        const vf f = v_set1(row_factor ? factor * row_factor[r] : factor);
        const float *x = block + r * SIDE;
        _mm512_mask_storeu_epi16(dst + r * token, some,
                                 narrow_32(v_mul(f, v_load(x)), v_mul(f, v_load(x + VL))));
    }
}

/* ---- phi ---- */

/* Products q k -> h(scale q k + bias). */
static void weights(const struct sl_attn_head *h, float *block, size_t rows)
{
    const struct sl_phi_info *phi = sl_phi_info(h->phi);
    const vf scale = v_set1(h->scale), bias = v_set1(h->bias);
    const vf lo = v_set1(phi->clamp ? phi->lo : -INFINITY);
    const vf hi = v_set1(phi->clamp ? phi->hi : INFINITY);
    for (size_t i = 0; i < rows * SIDE; i += VL)
        v_store(block + i, v_min(hi, v_max(lo, v_fma(v_load(block + i), scale, bias))));
    if (!phi->clamp)
        phi_map(h->phi, block, rows * SIDE);
}

/* Vector i of row r of a strip of blocks. */
static float *strip_at(float *strip, size_t r, size_t i)
{
    return strip + i / 2 * SQUARE + r * SIDE + i % 2 * VL;
}

/* Row r of products q k becomes exp(s - max), 0 beyond n; returns 1 / sum. */
static float softmax_row(float *strip, size_t r, size_t n, float scale)
{
    const size_t vectors = 2 * sides_of(n);
    const vf factor = v_set1(scale), never = v_set1(-INFINITY);
    vf top = never;
    for (size_t i = 0; i < vectors; i++) {
        float *x = strip_at(strip, r, i);
        vf s = v_mul(v_load(x), factor);
        if ((i + 1) * VL > n)
            s = v_select(v_first(i * VL < n ? n - i * VL : 0), s, never);
        v_store(x, s);
        top = v_max(top, s);
    }
    const vf m = v_set1(v_largest(top));
    vf sum = v_set1(0.0f);
    for (size_t i = 0; i < vectors; i++) {
        float *x = strip_at(strip, r, i);
        const vf e = v_exp_negative(v_sub(v_load(x), m));
        v_store(x, e);
        sum = v_add(sum, e);
    }
    return 1.0f / v_sum(sum);
}

/* ---- forward ---- */

/* Packed: K as the right operand of the scores, V as that of the output. */
static size_t pack_bytes(const struct sl_attn_head *h)
{
    return 2 * operand_bytes(h->Lk, h->K);
}

static void pack(const struct sl_attn_head *h, void *packed)
{
    const struct source k = source_keys(h, h->k, h->k_token);
    const struct source v = source_keys(h, h->v, h->v_token);
    uint16_t *mem = packed;
    pack_lanes(&k, 0, h->n, true, mem);
    pack_depth(&v, 0, h->n, false, mem + operand_bytes(h->n, h->K) / sizeof *mem);
}

/* Score blocks that are alive at once. */
static size_t held_blocks(const struct sl_attn_head *h, size_t n)
{
    return h->phi == SL_PHI_SOFTMAX ? sides_of(n) : 1;
}

/* Work: the strip of q, its weights, scores, a block of results. */
static size_t forward_bytes(const struct sl_attn_head *h)
{
    return operand_bytes(SIDE, h->K) + operand_bytes(h->Lk, SIDE) +
           (held_blocks(h, h->Lk) + 1) * SQUARE * sizeof(float);
}

struct forward {
    uint16_t *q, *weights;
    float *scores, *out;
    const uint16_t *k, *v; /* packed */
};

static void forward_strip(const struct sl_attn_head *h, const struct forward *f, size_t i0,
                          size_t rows)
{
    const size_t n = h->n, key_blocks = sides_of(n), depth = sides_of(h->K);
    const size_t half = key_blocks * AMX_BLOCK;
    const bool softmax = h->phi == SL_PHI_SOFTMAX;
    const struct source q = source_queries(h, h->q, h->q_token);
    const struct lanes left = lanes_of(f->q, 0, depth);
    float norm[SIDE];
    pack_lanes(&q, i0, rows, false, f->q);
    for (size_t j = 0; j < key_blocks; j++) {
        float *s = f->scores + (softmax ? j * SQUARE : 0);
        product(left, lanes_of(f->k, j, depth), depth, rows, false, s);
        if (softmax)
            continue;
        weights(h, s, rows);
        clear_edges(s, rows, at_most(n - j * SIDE, SIDE));
        narrow_rows(s, rows, f->weights + j * AMX_BLOCK, half);
    }
    for (size_t r = 0; softmax && r < rows; r++)
        norm[r] = softmax_row(f->scores, r, n, h->scale);
    for (size_t j = 0; softmax && j < key_blocks; j++)
        narrow_rows(f->scores + j * SQUARE, rows, f->weights + j * AMX_BLOCK, half);
    for (size_t e = 0; e < depth; e++) {
        product(lanes_of(f->weights, 0, key_blocks), lanes_of(f->v, e, key_blocks), key_blocks,
                rows, false, f->out);
        put_rows(f->out, rows, h->K - e * SIDE, h->factor, softmax ? norm : NULL,
                 (uint16_t *)h->o + i0 * h->o_token + e * SIDE, h->o_token);
    }
}

static void forward(const struct sl_attn_head *h, const void *packed, size_t i0, size_t i1,
                    void *work)
{
    char *mem = work;
    struct forward f = {.q = work, .k = packed};
    f.weights = (uint16_t *)(mem += operand_bytes(SIDE, h->K));
    f.scores = (float *)(mem += operand_bytes(h->Lk, SIDE));
    f.out = f.scores + held_blocks(h, h->Lk) * SQUARE;
    f.v = f.k + operand_bytes(h->n, h->K) / sizeof *f.k;
    amx_enter();
    for (size_t i = i0; i < i1; i += SIDE)
        forward_strip(h, &f, i, at_most(i1 - i, SIDE));
    amx_leave();
}

#include "kernels/x86/attn_amx_backward.inc"

const struct sl_attn_kernel sl_attn_amx = {
    .name = "sl_attn_amx",
    .isa = SL_ISA_AMX,
    .bf16 = true,
    .tile_rows = AMX_LANES,
    .tile_keys = SIDE,
    .pack_bytes = pack_bytes,
    .pack = pack,
    .forward_bytes = forward_bytes,
    .forward = forward,
    .backward_pack_bytes = backward_pack_bytes,
    .backward_pack = backward_pack,
    .backward_bytes = backward_bytes,
    .backward = backward,
    .sums_bytes = sums_bytes,
    .finish = finish,
};
