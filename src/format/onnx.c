/*
 * The ONNX writer. Small messages (nodes, constants, descriptions) are kept as bytes in two
 * buffers; weights are a list of pointers, whose sizes are known before anything is written,
 * because a message's length stands in front of it.
 */
#include "format/onnx.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum { IR_VERSION = 8, OPSET = 17, FLOAT = 1, INT64 = 7, TURN_ROWS = 64 };
enum { VARINT = 0, BYTES = 2, FIXED32 = 5 }; /* wire types */

/* Field numbers of onnx.proto3. */
enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER = 2,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    MODEL_METADATA = 14,
    OPSET_VERSION = 2,
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_OP = 4,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20,
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TYPE_ELEMENT = 1,
    TYPE_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1,
    DIM_PARAM = 2
};
enum { ATTRIBUTE_TYPE_FLOAT = 1, ATTRIBUTE_TYPE_INT = 2, ATTRIBUTE_TYPE_INTS = 7 };

struct buffer {
    unsigned char *bytes;
    size_t n, room;
    sl_status st;
};

struct weight {
    char name[SL_ONNX_NAME_MAX];
    const float *data;
    size_t rank, shape[SL_ONNX_RANK_MAX], count;
    bool transposed;
};

struct sl_onnx {
    struct buffer graph, metadata; /* fields of GraphProto and ModelProto */
    struct weight *weights;
    size_t n_weights, weights_room, n_values;
    sl_status st;
};

/* ---- protocol buffers ---- */

static void put(struct buffer *b, const void *bytes, size_t n)
{
    if (b->st == SL_OK && n > b->room - b->n) {
        const size_t room = 2 * (b->room + n);
        unsigned char *grown = sl_regrow(b->bytes, b->room, room, 1);
        if (grown) {
            b->bytes = grown;
            b->room = room;
        } else {
            b->st = SL_ERR_MEMORY;
        }
    }
    if (b->st != SL_OK || n == 0)
        return;
    memcpy(b->bytes + b->n, bytes, n);
    b->n += n;
}

static void put_varint(struct buffer *b, uint64_t x)
{
    for (; x > 127; x >>= 7)
        put(b, &(unsigned char){(unsigned char)(x | 128)}, 1);
    put(b, &(unsigned char){(unsigned char)x}, 1);
}

static void put_key(struct buffer *b, unsigned field, unsigned wire)
{
    put_varint(b, field << 3 | wire);
}

static void put_int(struct buffer *b, unsigned field, uint64_t x)
{
    put_key(b, field, VARINT);
    put_varint(b, x);
}

static void put_bytes(struct buffer *b, unsigned field, const void *bytes, size_t n)
{
    put_key(b, field, BYTES);
    put_varint(b, n);
    put(b, bytes, n);
}

static void put_text(struct buffer *b, unsigned field, const char *text)
{
    put_bytes(b, field, text, strlen(text));
}

/* Appends a finished message as a field and frees it. */
static void put_message(struct buffer *b, unsigned field, struct buffer *message)
{
    if (message->st != SL_OK)
        b->st = message->st;
    put_bytes(b, field, message->bytes, message->n);
    sl_free(message->bytes);
}

/* The wire is little-endian, whatever this machine is. */
static void put_little(unsigned char *dst, uint64_t x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = (unsigned char)(x >> 8 * i);
}

static uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* ---- the graph ---- */

sl_status sl_onnx_new(struct sl_onnx **graph)
{
    return SL_NEW(*graph, 1);
}

void sl_onnx_free(struct sl_onnx **graph)
{
    if (!graph || !*graph)
        return;
    sl_free((*graph)->graph.bytes);
    sl_free((*graph)->metadata.bytes);
    sl_free((*graph)->weights);
    sl_free(*graph);
    *graph = NULL;
}

static sl_onnx_value new_value(struct sl_onnx *g)
{
    sl_onnx_value v;
    snprintf(v.name, sizeof v.name, "v%zu", g->n_values++);
    return v;
}

static sl_onnx_value named(const char *name)
{
    sl_onnx_value v;
    snprintf(v.name, sizeof v.name, "%s", name);
    return v;
}

sl_onnx_value sl_onnx_floats(struct sl_onnx *g, const char *name, const float *data, size_t rank,
                             const size_t *shape, bool transposed)
{
    if (g->n_weights == g->weights_room) {
        const size_t room = 2 * g->weights_room + 64;
        struct weight *grown = sl_regrow(g->weights, g->weights_room, room, sizeof *grown);
        if (!grown) {
            g->st = SL_ERR_MEMORY;
            return named(name);
        }
        g->weights = grown;
        g->weights_room = room;
    }
    struct weight *w = &g->weights[g->n_weights++];
    *w = (struct weight){.data = data, .rank = rank, .count = 1, .transposed = transposed};
    snprintf(w->name, sizeof w->name, "%s", name);
    for (size_t i = 0; i < rank; i++) {
        w->shape[i] = shape[i];
        w->count *= shape[i];
    }
    return named(name);
}

sl_onnx_value sl_onnx_scalar(struct sl_onnx *g, double x)
{
    unsigned char raw[4];
    struct buffer t = {0};
    const sl_onnx_value v = new_value(g);
    put_little(raw, float_bits((float)x), sizeof raw);
    put_int(&t, TENSOR_TYPE, FLOAT);
    put_text(&t, TENSOR_NAME, v.name);
    put_bytes(&t, TENSOR_RAW, raw, sizeof raw);
    put_message(&g->graph, GRAPH_INITIALIZER, &t);
    return v;
}

sl_onnx_value sl_onnx_ints(struct sl_onnx *g, const int64_t *x, size_t n)
{
    unsigned char raw[8 * SL_ONNX_RANK_MAX];
    struct buffer t = {0};
    const sl_onnx_value v = new_value(g);
    const size_t count = n ? n : 1;
    if (n > 0)
        put_int(&t, TENSOR_DIMS, n);
    for (size_t i = 0; i < count; i++)
        put_little(raw + 8 * i, (uint64_t)x[i], 8);
    put_int(&t, TENSOR_TYPE, INT64);
    put_text(&t, TENSOR_NAME, v.name);
    put_bytes(&t, TENSOR_RAW, raw, 8 * count);
    put_message(&g->graph, GRAPH_INITIALIZER, &t);
    return v;
}

static void put_attribute(struct buffer *node, const struct sl_onnx_attribute *a)
{
    struct buffer b = {0};
    unsigned char raw[4];
    put_text(&b, ATTRIBUTE_NAME, a->name);
    if (!a->ints) {
        put_little(raw, float_bits(a->real), sizeof raw);
        put_key(&b, ATTRIBUTE_F, FIXED32);
        put(&b, raw, sizeof raw);
    }
    for (size_t i = 0; i < a->n; i++)
        put_int(&b, a->list ? ATTRIBUTE_INTS : ATTRIBUTE_I, (uint64_t)a->ints[i]);
    put_int(&b, ATTRIBUTE_TYPE,
            !a->ints  ? ATTRIBUTE_TYPE_FLOAT
            : a->list ? ATTRIBUTE_TYPE_INTS
                      : ATTRIBUTE_TYPE_INT);
    put_message(node, NODE_ATTRIBUTE, &b);
}

static void put_node(struct sl_onnx *g, const char *op, size_t n_in, const sl_onnx_value *inputs,
                     const char *out, size_t n_attributes,
                     const struct sl_onnx_attribute *attributes)
{
    struct buffer b = {0};
    for (size_t i = 0; i < n_in; i++)
        put_text(&b, NODE_INPUT, inputs[i].name);
    put_text(&b, NODE_OUTPUT, out);
    put_text(&b, NODE_OP, op);
    for (size_t i = 0; i < n_attributes; i++)
        put_attribute(&b, &attributes[i]);
    put_message(&g->graph, GRAPH_NODE, &b);
}

sl_onnx_value sl_onnx_node(struct sl_onnx *g, const char *op, size_t n_in,
                           const sl_onnx_value *inputs, size_t n_attributes,
                           const struct sl_onnx_attribute *attributes)
{
    const sl_onnx_value v = new_value(g);
    put_node(g, op, n_in, inputs, v.name, n_attributes, attributes);
    return v;
}

/* ValueInfoProto: float [batch, shape...]. */
static void put_value_info(struct sl_onnx *g, unsigned field, const char *name, size_t rank,
                           const size_t *shape)
{
    struct buffer info = {0}, type = {0}, tensor = {0}, dims = {0};
    for (size_t i = 0; i <= rank; i++) {
        struct buffer dim = {0};
        if (i == 0)
            put_text(&dim, DIM_PARAM, "batch");
        else
            put_int(&dim, DIM_VALUE, shape[i - 1]);
        put_message(&dims, SHAPE_DIM, &dim);
    }
    put_int(&tensor, TYPE_ELEMENT, FLOAT);
    put_message(&tensor, TYPE_SHAPE, &dims);
    put_message(&type, TYPE_TENSOR, &tensor);
    put_text(&info, VALUE_NAME, name);
    put_message(&info, VALUE_TYPE, &type);
    put_message(&g->graph, field, &info);
}

sl_onnx_value sl_onnx_input(struct sl_onnx *g, const char *name, size_t rank, const size_t *shape)
{
    put_value_info(g, GRAPH_INPUT, name, rank, shape);
    return named(name);
}

void sl_onnx_output(struct sl_onnx *g, sl_onnx_value value, const char *name, size_t rank,
                    const size_t *shape)
{
    put_node(g, "Identity", 1, &value, name, 0, NULL);
    put_value_info(g, GRAPH_OUTPUT, name, rank, shape);
}

void sl_onnx_metadata(struct sl_onnx *g, const char *key, const char *value)
{
    struct buffer entry = {0};
    put_text(&entry, ENTRY_KEY, key);
    put_text(&entry, ENTRY_VALUE, value);
    put_message(&g->metadata, MODEL_METADATA, &entry);
}

/* ---- the file ---- */

/* TensorProto of a weight up to its data, and the size of it all. */
static uint64_t weight_head(const struct weight *w, struct buffer *head)
{
    for (size_t i = 0; i < w->rank; i++)
        put_int(head, TENSOR_DIMS, w->shape[i]);
    put_int(head, TENSOR_TYPE, FLOAT);
    put_text(head, TENSOR_NAME, w->name);
    put_key(head, TENSOR_RAW, BYTES);
    put_varint(head, (uint64_t)w->count * 4);
    return head->n + (uint64_t)w->count * 4;
}

/* Key and length of a weight in the graph. */
static void weight_prefix(uint64_t size, struct buffer *prefix)
{
    put_key(prefix, GRAPH_INITIALIZER, BYTES);
    put_varint(prefix, size);
}

static sl_status write_floats(sl_writer *out, const struct weight *w)
{
    unsigned char raw[4 * TURN_ROWS];
    const size_t rows = w->transposed ? w->shape[0] : 1;
    const size_t columns = w->count / rows;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c += TURN_ROWS) {
            const size_t n = columns - c < TURN_ROWS ? columns - c : TURN_ROWS;
            for (size_t i = 0; i < n; i++)
                put_little(raw + 4 * i, float_bits(w->data[(c + i) * rows + r]), 4);
            SL_TRY(sl_writer_write(out, raw, 4 * n));
        }
    return SL_OK;
}

static sl_status write_weight(sl_writer *out, const struct weight *w)
{
    struct buffer head = {0}, prefix = {0};
    sl_status st = SL_OK;
    weight_prefix(weight_head(w, &head), &prefix);
    SL_TRY_FREE(head.st);
    SL_TRY_FREE(prefix.st);
    SL_TRY_FREE(sl_writer_write(out, prefix.bytes, prefix.n));
    SL_TRY_FREE(sl_writer_write(out, head.bytes, head.n));
    SL_TRY_FREE(write_floats(out, w));
fail:
    sl_free(head.bytes);
    sl_free(prefix.bytes);
    return st;
}

static sl_status weights_size(const struct sl_onnx *g, uint64_t *size)
{
    *size = 0;
    for (size_t i = 0; i < g->n_weights; i++) {
        struct buffer head = {0}, prefix = {0};
        const uint64_t inner = weight_head(&g->weights[i], &head);
        weight_prefix(inner, &prefix);
        *size += prefix.n + inner;
        const sl_status st = head.st != SL_OK ? head.st : prefix.st;
        sl_free(head.bytes);
        sl_free(prefix.bytes);
        SL_TRY(st);
    }
    return SL_OK;
}

/* Everything of the model in front of the graph's fields. */
static sl_status model_head(const struct sl_onnx *g, uint64_t graph_size, struct buffer *b)
{
    struct buffer opset = {0};
    put_int(b, MODEL_IR_VERSION, IR_VERSION);
    put_text(b, MODEL_PRODUCER, "softless");
    put_int(&opset, OPSET_VERSION, OPSET);
    put_message(b, MODEL_OPSET, &opset);
    put(b, g->metadata.bytes, g->metadata.n);
    put_key(b, MODEL_GRAPH, BYTES);
    put_varint(b, graph_size);
    return b->st;
}

static sl_status write_parts(struct sl_onnx *g, const struct buffer *head, const char *part)
{
    sl_writer *out = NULL;
    sl_status st;
    sl_io.unlink(part); /* left over from a killed process; absent is fine */
    SL_TRY(sl_writer_open(part, &out));
    SL_TRY_FREE(sl_writer_write(out, head->bytes, head->n));
    SL_TRY_FREE(sl_writer_write(out, g->graph.bytes, g->graph.n));
    for (size_t i = 0; i < g->n_weights; i++)
        SL_TRY_FREE(write_weight(out, &g->weights[i]));
    return sl_writer_close(&out, true, NULL, NULL);
fail:
    sl_writer_abandon(&out);
    return st;
}

sl_status sl_onnx_write(struct sl_onnx *g, const char *path)
{
    struct buffer head = {0};
    char *part = NULL;
    uint64_t size;
    sl_status st = SL_OK;
    SL_TRY(g->st);
    put_text(&g->graph, GRAPH_NAME, "softless");
    SL_TRY(g->graph.st);
    SL_TRY(g->metadata.st);
    SL_TRY(weights_size(g, &size));
    size += g->graph.n;
    SL_TRY_FREE(model_head(g, size, &head));
    if (size + head.n > INT32_MAX)
        SL_TRY_FREE(sl_error_set(
            SL_ERR_UNAVAILABLE, "%s: the model takes %" PRIu64 " bytes; an ONNX file ends at 2 GiB",
            path, size + head.n));
    part = sl_asprintf("%s.part", path);
    SL_TRY_FREE(part ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(write_parts(g, &head, part));
    SL_TRY_FREE(sl_rename_sync(part, path));
fail:
    if (st != SL_OK && part)
        sl_io.unlink(part);
    sl_free(part);
    sl_free(head.bytes);
    return st;
}
