/*
 * Layer norm and RMS norm over the last axis. The kernels see float rows: operands in bf16 are
 * brought to float in the worker's scratch, a piece of a task at a time. Parameter gradients are
 * summed per block of rows in scratch and then in block order.
 */
#include "ops/cpu/tasks.h"

enum {
    BLOCKS_MOST = 64, /* partial parameter gradients of the backward pass */
    PIECE = 2048      /* floats of an operand brought to float at a time; at least one outer row */
};

struct job {
    const struct sl_norm_args *a;
    const struct sl_vec_kernels *k;
    struct sl_blocks blocks; /* of outer rows */
    size_t piece;            /* outer rows in a piece */
    struct sl_cpu_scratch scratch;
    size_t grads; /* floats per partial: dscale, then dbias */
};

/* An operand of either type: its rows. */
struct rows {
    const void *p;
    sl_dtype type;
    size_t outer, inner; /* strides in elements */
};

static struct job job_of(const struct sl_device *dev, const struct sl_norm_args *a, size_t most)
{
    const size_t row = a->inner * a->width;
    return (struct job){
        .a = a,
        .k = sl_cpu_vec(dev),
        .blocks = sl_blocks_of(a->outer, row, most),
        .piece = row && PIECE / row ? PIECE / row : 1,
        .grads = (a->dbias ? 2 : 1) * a->width,
    };
}

/* Floats that one operand's piece takes. */
static size_t piece_floats(const struct job *j)
{
    return j->piece * j->a->inner * j->a->width;
}

/* Copies rows first .. first+count-1 between the operand and the dense piece [count, inner, width]
 * by `convert(n, operand, piece)`, a whole outer row at once where it is dense. */
static void convert(const struct job *j, const struct rows *r, size_t first, size_t count,
                    float *piece, bool widen)
{
    const size_t W = j->a->width, inner = r->inner == W ? 1 : j->a->inner;
    const size_t n = r->inner == W ? W * j->a->inner : W;
    for (size_t o = 0; o < count; o++)
        for (size_t i = 0; i < inner; i++) {
            void *at = sl_typed_at(r->p, SL_BF16, (first + o) * r->outer + i * r->inner);
            float *dense = piece + (o * inner + i) * n;
            if (widen)
                j->k->widen(n, at, dense);
            else
                j->k->narrow(n, dense, at);
        }
}

/* Where the kernels find rows from `first` on: in place, or in the piece, filled if `fill`. */
static float *bring(const struct job *j, struct rows *r, size_t first, size_t count, float *piece,
                    bool fill)
{
    if (r->type == SL_F32)
        return (float *)sl_typed_at(r->p, SL_F32, first * r->outer);
    if (fill)
        convert(j, r, first, count, piece, true);
    r->outer = j->a->inner * j->a->width;
    r->inner = j->a->width;
    return piece;
}

static void put_back(const struct job *j, const struct rows *r, size_t first, size_t count,
                     float *piece)
{
    if (r->type == SL_BF16)
        convert(j, r, first, count, piece, false);
}

/* What both directions tell the kernel of outer rows first .. first+count-1. */
static struct sl_vec_norm shape(const struct job *j, size_t first, size_t count)
{
    const struct sl_norm_args *a = j->a;
    return (struct sl_vec_norm){
        .outer = count,
        .inner = a->inner,
        .width = a->width,
        .rms = a->rms,
        .eps = a->eps,
        .scale = a->scale,
        .bias = a->bias,
        .mean = a->rms ? NULL : a->mean + first * a->inner,
        .rstd = a->rstd + first * a->inner,
        .accumulate = a->dx_accumulate,
    };
}

static void forward_piece(const struct job *j, size_t first, size_t count, float *pieces)
{
    const struct sl_norm_args *a = j->a;
    struct rows x = {a->x, a->x_type, a->x_outer, a->x_inner};
    const struct rows y = {a->y, a->y_type, a->y_outer, a->y_inner};
    struct rows y_float = y;
    float *y_piece = pieces + piece_floats(j);
    struct sl_vec_norm n = shape(j, first, count);
    n.x = bring(j, &x, first, count, pieces, true);
    n.y = bring(j, &y_float, first, count, y_piece, false);
    n.x_outer = x.outer;
    n.x_inner = x.inner;
    n.y_outer = y_float.outer;
    n.y_inner = y_float.inner;
    j->k->norm_fwd(&n);
    put_back(j, &y, first, count, y_piece);
}

static void forward_task(void *arg, size_t t, size_t worker)
{
    const struct job *j = arg;
    const size_t end = sl_block_end(&j->blocks, t);
    for (size_t o = sl_block_first(&j->blocks, t); o < end; o += j->piece)
        forward_piece(j, o, end - o < j->piece ? end - o : j->piece,
                      sl_cpu_worker_scratch(&j->scratch, worker));
}

sl_status sl_cpu_norm_fwd(struct sl_device *dev, const struct sl_norm_args *a)
{
    bool planned;
    struct job j = job_of(dev, a, 0);
    SL_TRY(sl_cpu_scratch_get(dev, 0, 2 * piece_floats(&j) * sizeof(float), &j.scratch, &planned));
    if (!planned)
        sl_parallel_for(dev->threads, j.blocks.count, forward_task, &j);
    return SL_OK;
}

static void backward_piece(const struct job *j, size_t first, size_t count, float *pieces,
                           float *grads)
{
    const struct sl_norm_args *a = j->a;
    struct rows x = {a->x, a->x_type, a->x_outer, a->x_inner};
    struct rows dy = {a->dy, a->y_type, a->y_outer, a->y_inner};
    const struct rows dx = {a->dx, a->x_type, a->dx_outer, a->dx_inner};
    struct rows dx_float = dx;
    float *dy_piece = pieces + piece_floats(j), *dx_piece = dy_piece + piece_floats(j);
    struct sl_vec_norm n = shape(j, first, count);
    n.x = bring(j, &x, first, count, pieces, true);
    n.dy = bring(j, &dy, first, count, dy_piece, true);
    n.dx = bring(j, &dx_float, first, count, dx_piece, a->dx_accumulate);
    n.x_outer = x.outer;
    n.x_inner = x.inner;
    n.y_outer = dy.outer;
    n.y_inner = dy.inner;
    n.dx_outer = dx_float.outer;
    n.dx_inner = dx_float.inner;
    n.dscale = grads;
    n.dbias = a->dbias ? grads + a->width : NULL;
    j->k->norm_bwd(&n);
    put_back(j, &dx, first, count, dx_piece);
}

static void backward_task(void *arg, size_t t, size_t worker)
{
    const struct job *j = arg;
    const size_t end = sl_block_end(&j->blocks, t);
    float *grads = (float *)(void *)j->scratch.shared + t * j->grads;
    memset(grads, 0, j->grads * sizeof *grads);
    for (size_t o = sl_block_first(&j->blocks, t); o < end; o += j->piece)
        backward_piece(j, o, end - o < j->piece ? end - o : j->piece,
                       sl_cpu_worker_scratch(&j->scratch, worker), grads);
}

sl_status sl_cpu_norm_bwd(struct sl_device *dev, const struct sl_norm_args *a)
{
    bool planned;
    struct job j = job_of(dev, a, BLOCKS_MOST);
    SL_TRY(sl_cpu_scratch_get(dev, j.blocks.count * j.grads * sizeof(float),
                              3 * piece_floats(&j) * sizeof(float), &j.scratch, &planned));
    if (planned)
        return SL_OK;
    sl_parallel_for(dev->threads, j.blocks.count, backward_task, &j);
    const float *grads = (const float *)(const void *)j.scratch.shared;
    for (size_t b = 0; b < j.blocks.count; b++, grads += j.grads) {
        j.k->add(a->width, a->dscale, grads, a->dscale);
        if (a->dbias)
            j.k->add(a->width, a->dbias, grads + a->width, a->dbias);
    }
    return SL_OK;
}
