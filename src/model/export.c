/*
 * A model as an ONNX graph (opset 17), written from MODEL.md: pixels [batch, 3, S_h, S_w] ->
 * logits [batch, C]. Only plain operators: attention is MatMul, Softmax or Relu and Mul, MatMul.
 * Kernels are turned to [in, out], which is what MatMul takes. Calls that make values are never two
 * arguments of one call: the compiler would choose their order, and with it the file's bytes.
 */
#include "model/export.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "format/onnx.h"
#include "model/posemb.h"

typedef sl_onnx_value value;

struct making {
    struct sl_onnx *g;
    const struct sl_vit_config *v;
    const struct sl_param_table *t;
    const float *params;
    float *pos; /* [N, D] of sincos2d */
    size_t N, D, K, prefix, tokens;
};

/* ---- operators ---- */

static value unary(struct making *m, const char *op, value x)
{
    return sl_onnx_node(m->g, op, 1, &x, 0, NULL);
}

static value binary(struct making *m, const char *op, value a, value b)
{
    return sl_onnx_node(m->g, op, 2, (value[]){a, b}, 0, NULL);
}

static value with_number(struct making *m, const char *op, value x, double number)
{
    return binary(m, op, x, sl_onnx_scalar(m->g, number));
}

static value reshape(struct making *m, value x, size_t n, const int64_t *shape)
{
    return binary(m, "Reshape", x, sl_onnx_ints(m->g, shape, n));
}

static value transpose(struct making *m, value x, size_t n, const int64_t *order)
{
    const struct sl_onnx_attribute perm = {.name = "perm", .ints = order, .n = n, .list = true};
    return sl_onnx_node(m->g, "Transpose", 1, &x, 1, &perm);
}

/* Row i of axis 1, which goes. */
static value row(struct making *m, value x, int64_t i)
{
    const struct sl_onnx_attribute axis = {.name = "axis", .ints = (int64_t[]){1}, .n = 1};
    return sl_onnx_node(m->g, "Gather", 2, (value[]){x, sl_onnx_ints(m->g, &i, 0)}, 1, &axis);
}

static value concat(struct making *m, value a, value b, int64_t at)
{
    const struct sl_onnx_attribute axis = {.name = "axis", .ints = &at, .n = 1};
    return sl_onnx_node(m->g, "Concat", 2, (value[]){a, b}, 1, &axis);
}

static value mean(struct making *m, value x, int64_t axis, int64_t keep)
{
    const struct sl_onnx_attribute a[] = {
        {.name = "axes", .ints = &axis, .n = 1, .list = true},
        {.name = "keepdims", .ints = &keep, .n = 1},
    };
    return sl_onnx_node(m->g, "ReduceMean", 1, &x, 2, a);
}

/* ---- parameters ---- */

static const struct sl_param *param_at(const struct making *m, size_t index)
{
    return &m->t->params[index];
}

/* A vector [width] from row `first` of a parameter on; `part` tells it from others of it. */
static value vector(struct making *m, size_t index, size_t first, size_t width, const char *part)
{
    char name[SL_ONNX_NAME_MAX];
    const struct sl_param *p = param_at(m, index);
    snprintf(name, sizeof name, "%s%s", p->name, part);
    return sl_onnx_floats(m->g, name, m->params + p->offset + first, 1, &width, false);
}

/* x W^T + b with the rows [first, first + out) of weight and bias. */
static value linear_part(struct making *m, value x, size_t weight, size_t bias, size_t first,
                         size_t out, const char *part)
{
    char name[SL_ONNX_NAME_MAX];
    const struct sl_param *p = param_at(m, weight);
    const size_t in = p->shape[1];
    snprintf(name, sizeof name, "%s%s", p->name, part);
    const value kernel = sl_onnx_floats(m->g, name, m->params + p->offset + first * in, 2,
                                        (size_t[]){in, out}, true);
    const value product = binary(m, "MatMul", x, kernel);
    return binary(m, "Add", product, vector(m, bias, first, out, part));
}

static value linear(struct making *m, value x, size_t weight, size_t bias)
{
    return linear_part(m, x, weight, bias, 0, param_at(m, weight)->shape[0], "");
}

/* Over the last axis; bias SIZE_MAX = none. */
static value layer_norm(struct making *m, value x, size_t weight, size_t bias)
{
    const size_t width = param_at(m, weight)->count;
    const struct sl_onnx_attribute a[] = {
        {.name = "axis", .ints = (int64_t[]){-1}, .n = 1},
        {.name = "epsilon", .real = (float)m->v->norm_eps},
    };
    const value gamma = vector(m, weight, 0, width, "");
    if (bias == SIZE_MAX)
        return sl_onnx_node(m->g, "LayerNormalization", 2, (value[]){x, gamma}, 2, a);
    const value beta = vector(m, bias, 0, width, "");
    return sl_onnx_node(m->g, "LayerNormalization", 3, (value[]){x, gamma, beta}, 2, a);
}

static value rms_norm(struct making *m, value x, size_t weight)
{
    const value square = mean(m, binary(m, "Mul", x, x), -1, 1);
    const value root = unary(m, "Sqrt", with_number(m, "Add", square, m->v->norm_eps));
    const value unit = binary(m, "Div", x, root);
    return binary(m, "Mul", unit, vector(m, weight, 0, param_at(m, weight)->count, ""));
}

/* ---- attention ---- */

static value h_SL_PHI_GELU(struct making *m, value x)
{
    const value cube = binary(m, "Mul", binary(m, "Mul", x, x), x);
    const value inner = binary(m, "Add", x, with_number(m, "Mul", cube, 0.044715));
    const value t = unary(m, "Tanh", with_number(m, "Mul", inner, 0.79788456080286536));
    const value half = with_number(m, "Mul", x, 0.5);
    return binary(m, "Mul", half, with_number(m, "Add", t, 1));
}

static value gelu_erf(struct making *m, value x)
{
    const value t = unary(m, "Erf", with_number(m, "Mul", x, 0.70710678118654752));
    const value half = with_number(m, "Mul", x, 0.5);
    return binary(m, "Mul", half, with_number(m, "Add", t, 1));
}

static value h_SL_PHI_RELU(struct making *m, value x)
{
    return unary(m, "Relu", x);
}

static value h_SL_PHI_RELU2(struct making *m, value x)
{
    const value y = h_SL_PHI_RELU(m, x);
    return binary(m, "Mul", y, y);
}

static value h_SL_PHI_SOFTPLUS(struct making *m, value x)
{
    return unary(m, "Softplus", x);
}

static value h_SL_PHI_IDENTITY(struct making *m, value x)
{
    (void)m;
    return x;
}

static value h_SL_PHI_RELU6(struct making *m, value x)
{
    const value low = sl_onnx_scalar(m->g, 0);
    const value high = sl_onnx_scalar(m->g, 6);
    return sl_onnx_node(m->g, "Clip", 3, (value[]){x, low, high}, 0, NULL);
}

static value h_SL_PHI_SIGMOID(struct making *m, value x)
{
    return unary(m, "Sigmoid", x);
}

static value h_SL_PHI_SILU(struct making *m, value x)
{
    return binary(m, "Mul", x, h_SL_PHI_SIGMOID(m, x));
}

typedef value (*function)(struct making *m, value x);

/* By the rows of phi_list.h: an h without an ONNX form does not compile. */
static const function h_of[SL_PHI_COUNT] = {
#define SL_PHI_CLAMP(id, name, degree, at_zero, lo, hi) [id] = h_##id,
#define SL_PHI_MAP(id, name, degree, at_zero, function) [id] = h_##id,
#include "kernels/phi_list.h"
};
static const function gate_of[] = {[SL_GATE_LINEAR] = h_SL_PHI_IDENTITY,
                                   [SL_GATE_SIGMOID] = h_SL_PHI_SIGMOID,
                                   [SL_GATE_SILU] = h_SL_PHI_SILU};

/* scores [batch, H, Lq, L] -> weights */
static value phi(struct making *m, value s)
{
    const struct sl_vit_config *v = m->v;
    if (v->phi == SL_PHI_SOFTMAX) {
        const struct sl_onnx_attribute axis = {.name = "axis", .ints = (int64_t[]){-1}, .n = 1};
        return sl_onnx_node(m->g, "Softmax", 1, &s, 1, &axis);
    }
    const bool train = v->length == SL_LENGTH_TRAIN && v->train_length > 0;
    const double n = train ? v->train_length : (double)m->tokens;
    const double bias = v->bias - (v->bias_neg_log_length ? log(n) : 0.0);
    const double factor = pow(n, -v->alpha);
    if (bias != 0)
        s = with_number(m, "Add", s, bias);
    const value h = h_of[v->phi](m, s);
    return factor == 1 ? h : with_number(m, "Mul", h, factor);
}

/* [batch, L, D] -> [batch, H, L, K] */
static value heads(struct making *m, value x)
{
    const int64_t shape[] = {0, 0, (int64_t)m->v->heads, (int64_t)m->K};
    return transpose(m, reshape(m, x, 4, shape), 4, (int64_t[]){0, 2, 1, 3});
}

/* q, k, v as heads -> [batch, Lq, D] */
static value attend(struct making *m, value q, value k, value v)
{
    q = with_number(m, "Mul", q, 1 / sqrt((double)m->K));
    const value turned = transpose(m, k, 4, (int64_t[]){0, 1, 3, 2});
    const value o = binary(m, "MatMul", phi(m, binary(m, "MatMul", q, turned)), v);
    const int64_t shape[] = {0, 0, (int64_t)m->D};
    return reshape(m, transpose(m, o, 4, (int64_t[]){0, 2, 1, 3}), 3, shape);
}

/* x [batch, H, L, K] */
static value qk_norm(struct making *m, value x, size_t weight, size_t bias)
{
    switch (m->v->qk_norm) {
    case SL_QK_NORM_NONE:
        return x;
    case SL_QK_NORM_RMS:
        return rms_norm(m, x, weight);
    case SL_QK_NORM_LAYERNORM:
        return layer_norm(m, x, weight, SIZE_MAX);
    case SL_QK_NORM_LAYERNORM_BIAS:
        break;
    }
    return layer_norm(m, x, weight, bias);
}

/* ---- the model ---- */

static value add_branch(struct making *m, value x, value branch, size_t gamma)
{
    if (m->v->layer_scale > 0)
        branch = binary(m, "Mul", branch, vector(m, gamma, 0, m->D, ""));
    return binary(m, "Add", x, branch);
}

static value mlp(struct making *m, value x, size_t fc1_w, size_t fc1_b, size_t fc2_w, size_t fc2_b)
{
    x = linear(m, x, fc1_w, fc1_b);
    x = m->v->gelu == SL_GELU_ERF ? gelu_erf(m, x) : h_SL_PHI_GELU(m, x);
    return linear(m, x, fc2_w, fc2_b);
}

static value block(struct making *m, value x, const struct sl_block_params *p)
{
    const size_t D = m->D;
    const value y = layer_norm(m, x, p->norm1_w, p->norm1_b);
    value q = heads(m, linear_part(m, y, p->qkv_w, p->qkv_b, 0, D, ".q"));
    value k = heads(m, linear_part(m, y, p->qkv_w, p->qkv_b, D, D, ".k"));
    const value v = heads(m, linear_part(m, y, p->qkv_w, p->qkv_b, 2 * D, D, ".v"));
    q = qk_norm(m, q, p->q_norm_w, p->q_norm_b);
    k = qk_norm(m, k, p->k_norm_w, p->k_norm_b);
    value o = attend(m, q, k, v);
    if (m->v->gate != SL_GATE_NONE)
        o = binary(m, "Mul", o, gate_of[m->v->gate](m, linear(m, y, p->gate_w, p->gate_b)));
    x = add_branch(m, x, linear(m, o, p->proj_w, p->proj_b), p->ls1);
    const value z = layer_norm(m, x, p->norm2_w, p->norm2_b);
    return add_branch(m, x, mlp(m, z, p->fc1_w, p->fc1_b, p->fc2_w, p->fc2_b), p->ls2);
}

/* images [batch, 3, S_h, S_w] -> tokens [batch, L, D] */
static value embed(struct making *m, value images)
{
    const int64_t P = (int64_t)m->v->patch;
    const struct sl_param *w = param_at(m, m->t->patch_w);
    const struct sl_onnx_attribute strides = {
        .name = "strides", .ints = (int64_t[]){P, P}, .n = 2, .list = true};
    const value kernel = sl_onnx_floats(m->g, w->name, m->params + w->offset, 4, w->shape, false);
    const value bias = vector(m, m->t->patch_b, 0, m->D, "");
    const int64_t flat[] = {0, (int64_t)m->D, -1};
    value x = sl_onnx_node(m->g, "Conv", 3, (value[]){images, kernel, bias}, 1, &strides);
    x = reshape(m, x, 3, flat);
    x = transpose(m, x, 3, (int64_t[]){0, 2, 1});
    const float *pos = m->pos ? m->pos : m->params + param_at(m, m->t->pos)->offset;
    x = binary(m, "Add", x,
               sl_onnx_floats(m->g, "pos_embed", pos, 3, (size_t[]){1, m->N, m->D}, false));
    if (m->prefix == 0)
        return x;
    const size_t first = m->v->pool == SL_POOL_TOK ? m->t->cls : m->t->reg;
    const value prefix =
        sl_onnx_floats(m->g, "prefix_tokens", m->params + param_at(m, first)->offset, 3,
                       (size_t[]){1, m->prefix, m->D}, false);
    const struct sl_onnx_attribute only_batch = {.name = "end", .ints = (int64_t[]){1}, .n = 1};
    const value batch = sl_onnx_node(m->g, "Shape", 1, &images, 1, &only_batch);
    const int64_t rest[] = {(int64_t)m->prefix, (int64_t)m->D};
    const value shape = concat(m, batch, sl_onnx_ints(m->g, rest, 2), 0);
    return concat(m, binary(m, "Expand", prefix, shape), x, 1);
}

static value map_pool(struct making *m, value x)
{
    const struct sl_param_table *t = m->t;
    const struct sl_param *p = param_at(m, t->map_latent);
    const value latent = sl_onnx_floats(m->g, p->name, m->params + p->offset, 3, p->shape, false);
    const value q = heads(m, linear(m, latent, t->map_q_w, t->map_q_b));
    const value k = heads(m, linear_part(m, x, t->map_kv_w, t->map_kv_b, 0, m->D, ".k"));
    const value v = heads(m, linear_part(m, x, t->map_kv_w, t->map_kv_b, m->D, m->D, ".v"));
    const value y = linear(m, attend(m, q, k, v), t->map_proj_w, t->map_proj_b);
    const value z = layer_norm(m, y, t->map_norm_w, t->map_norm_b);
    const value more = mlp(m, z, t->map_fc1_w, t->map_fc1_b, t->map_fc2_w, t->map_fc2_b);
    return row(m, binary(m, "Add", y, more), 0);
}

/* tokens [batch, L, D] -> [batch, D] */
static value pool(struct making *m, value x)
{
    switch (m->v->pool) {
    case SL_POOL_TOK:
        return row(m, x, 0);
    case SL_POOL_MAP:
        return map_pool(m, x);
    case SL_POOL_GAP:
        break;
    }
    if (m->prefix > 0) {
        const int64_t from = (int64_t)m->prefix, to = (int64_t)m->tokens, axis = 1;
        const value start = sl_onnx_ints(m->g, &from, 1);
        const value end = sl_onnx_ints(m->g, &to, 1);
        const value axes = sl_onnx_ints(m->g, &axis, 1);
        x = sl_onnx_node(m->g, "Slice", 4, (value[]){x, start, end, axes}, 0, NULL);
    }
    return mean(m, x, 1, 0);
}

static void describe(struct making *m, const struct sl_weights_meta *meta)
{
    char text[64];
    snprintf(text, sizeof text, "%g %g", meta->data.value_min, meta->data.value_max);
    sl_onnx_metadata(m->g, "pixel_range", text);
    sl_onnx_metadata(m->g, "phi", sl_phi_name(m->v->phi));
}

static void build(struct making *m, const struct sl_weights_meta *meta)
{
    const struct sl_param_table *t = m->t;
    const size_t pixels[] = {3, m->v->image_height, m->v->image_width};
    value x = embed(m, sl_onnx_input(m->g, "images", 3, pixels));
    for (size_t l = 0; l < m->v->depth; l++)
        x = block(m, x, &t->blocks[l]);
    x = pool(m, layer_norm(m, x, t->norm_w, t->norm_b));
    if (m->v->rep_size)
        x = unary(m, "Tanh", linear(m, x, t->pre_w, t->pre_b));
    sl_onnx_output(m->g, linear(m, x, t->head_w, t->head_b), "logits", 1, &m->v->classes);
    describe(m, meta);
}

sl_status sl_export_onnx(const char *path, const struct sl_weights_meta *meta,
                         const struct sl_param_table *table, const float *params)
{
    const struct sl_vit_config *v = &meta->vit;
    struct making m = {.v = v, .t = table, .params = params, .D = v->width};
    sl_status st = SL_OK;
    m.N = v->image_height / v->patch * (v->image_width / v->patch);
    m.K = v->width / v->heads;
    m.tokens = sl_vit_tokens(v);
    m.prefix = m.tokens - m.N;
    if (v->posemb == SL_POSEMB_SINCOS2D) {
        SL_TRY(SL_NEW(m.pos, m.N * m.D));
        sl_posemb_sincos2d(v->image_width / v->patch, m.N, m.D, m.pos);
    }
    SL_TRY_FREE(sl_onnx_new(&m.g));
    build(&m, meta);
    SL_TRY_FREE(sl_onnx_write(m.g, path));
fail:
    sl_onnx_free(&m.g);
    sl_free(m.pos);
    return st;
}
