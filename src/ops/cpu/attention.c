/*
 * The attention op on the CPU: what each head of each image needs is worked out here, spread over
 * threads, and computed by the kernels. A task is a group of heads, packed into the worker's
 * scratch; where there are few heads, they are all packed first and a task is a block of query rows
 * of one head. Such a block writes its rows of o or dq, and in the backward pass what it adds to dk
 * and dv: a second round of tasks adds these parts in order. How work is cut depends on the shape
 * alone, so results have the same bits for any number of threads.
 */
#include <math.h>
#include <string.h>

#include "kernels/attn_kernels.h"
#include "ops/cpu/cpu.h"

enum {
    TASK_MACS = 1 << 20, /* a task should have about this many multiply-adds, ~ 10 us */
    TASKS_MIN = 16,      /* but the heads are cut into this many tasks if there are as many */
    BLOCK_TILES = 4,     /* query rows of a task where heads are few, in register tiles */
    PART_ROWS_MIN = 64,  /* the same of the backward pass, whose parts must be worth their sums */
    SUMS_MAX = 64 << 20  /* bytes of all parts' sums, unless one part each needs more */
};

/* What differs between the images of a batch. */
struct image {
    size_t n;             /* keys present */
    float factor, bias;   /* c, b */
    const uint32_t *keys; /* [n], NULL without a mask */
};

struct job {
    const struct sl_attn_args *args;
    const struct sl_attn_kernel *kernel;
    struct sl_attn_head shape;   /* sizes, strides and scale; the rest is set per head */
    const struct image *images;  /* [B] with a mask, else [1] */
    size_t heads_per_task;       /* grouped: tasks of so many heads */
    size_t rows_per_task, parts; /* blocked: every head in `parts` tasks of so many query rows */
    size_t pack_bytes, work_bytes, sums_bytes;
    char *packed; /* blocked: [B*H][pack_bytes] */
    char *sums;   /* blocked backward: [B*H][parts][sums_bytes] */
    bool direct;  /* grouped backward: dk and dv are summed in the tensors */
    struct sl_cpu_scratch scratch;
};

static size_t up64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static struct sl_attn_head shape_of(const struct sl_attn_args *args)
{
    static const uint32_t some_keys[1] = {0};
    const sl_attention *a = &args->a;
    const sl_attention_grads *g = &args->g;
    return (struct sl_attn_head){
        .phi = a->phi,
        .dtype = a->dtype,
        .Lq = a->Lq,
        .Lk = a->Lk,
        .K = a->K,
        .n = a->Lk,
        .keys = a->key_mask ? some_keys : NULL, /* size functions ask only whether there are any */
        .scale = a->scale != 0.0f ? a->scale : (float)(1.0 / sqrt((double)a->K)),
        .q_token = a->q_strides.token,
        .k_token = a->k_strides.token,
        .v_token = a->v_strides.token,
        .o_token = args->o_strides.token,
        .do_token = g->o_strides.token,
        .dq_token = sl_attention_strides(g->dq_strides, a->q_strides).token,
        .dk_token = sl_attention_strides(g->dk_strides, a->k_strides).token,
        .dv_token = sl_attention_strides(g->dv_strides, a->v_strides).token,
    };
}

static struct image image_of(const sl_attention *a, size_t n, const uint32_t *keys)
{
    struct image im = {n, 1.0f, 0.0f, keys};
    const double length = a->length > 0 ? a->length : (double)n;
    if (a->phi == SL_PHI_SOFTMAX || n == 0)
        return im;
    im.factor = (float)pow(length, -(double)a->alpha);
    im.bias = (float)((double)a->bias - (a->bias_neg_log_length ? log(length) : 0.0));
    return im;
}

/* Shared scratch before the packs: the images and the lists of their keys. */
static size_t images_bytes(const sl_attention *a)
{
    if (!a->key_mask)
        return up64(sizeof(struct image));
    return up64(a->B * sizeof(struct image)) + up64(a->B * a->Lk * sizeof(uint32_t));
}

static const struct image *images_fill(const sl_attention *a, char *shared)
{
    struct image *images = (struct image *)shared;
    if (!a->key_mask) {
        images[0] = image_of(a, a->Lk, NULL);
        return images;
    }
    uint32_t *keys = (uint32_t *)(shared + up64(a->B * sizeof *images));
    for (size_t b = 0; b < a->B; b++, keys += a->Lk) {
        size_t n = 0;
        for (size_t j = 0; j < a->Lk; j++)
            if (a->key_mask[b * a->Lk + j])
                keys[n++] = (uint32_t)j;
        images[b] = image_of(a, n, keys);
    }
    return images;
}

/* Element offset of head (b, h). */
static size_t head_at(sl_strides s, size_t b, size_t h)
{
    return b * s.batch + h * s.head;
}

static const void *in_at(const void *p, sl_dtype dtype, size_t at)
{
    return p ? (const char *)p + at * (dtype == SL_F32 ? sizeof(float) : sizeof(uint16_t)) : NULL;
}

static void *out_at(void *p, sl_dtype dtype, size_t at)
{
    return p ? (char *)p + at * (dtype == SL_F32 ? sizeof(float) : sizeof(uint16_t)) : NULL;
}

/* Head i of image b, as the forward pass needs it. */
static struct sl_attn_head forward_head(const struct job *job, size_t index)
{
    const sl_attention *a = &job->args->a;
    const size_t b = index / a->H, i = index % a->H;
    const struct image *im = &job->images[a->key_mask ? b : 0];
    struct sl_attn_head h = job->shape;
    h.n = im->n;
    h.keys = im->keys;
    h.factor = im->factor;
    h.bias = im->bias;
    h.q = in_at(a->q, a->dtype, head_at(a->q_strides, b, i));
    h.k = in_at(a->k, a->dtype, head_at(a->k_strides, b, i));
    h.v = in_at(a->v, a->dtype, head_at(a->v_strides, b, i));
    h.o = out_at(job->args->o, a->dtype, head_at(job->args->o_strides, b, i));
    return h;
}

/* The same with gradients. */
static struct sl_attn_head backward_head(const struct job *job, size_t index)
{
    const sl_attention *a = &job->args->a;
    const sl_attention_grads *g = &job->args->g;
    const size_t b = index / a->H, i = index % a->H;
    const sl_strides dq = sl_attention_strides(g->dq_strides, a->q_strides);
    const sl_strides dk = sl_attention_strides(g->dk_strides, a->k_strides);
    const sl_strides dv = sl_attention_strides(g->dv_strides, a->v_strides);
    struct sl_attn_head h = forward_head(job, index);
    h.d_o = in_at(g->d_o, a->dtype, head_at(g->o_strides, b, i));
    h.dq = out_at(g->dq, a->dtype, head_at(dq, b, i));
    h.dk = out_at(g->dk, a->dtype, head_at(dk, b, i));
    h.dv = out_at(g->dv, a->dtype, head_at(dv, b, i));
    return h;
}

static void clear_rows(void *p, size_t rows, size_t token, size_t K, sl_dtype dtype)
{
    const size_t size = dtype == SL_F32 ? sizeof(float) : sizeof(uint16_t);
    for (size_t i = 0; i < rows; i++)
        memset((char *)p + i * token * size, 0, K * size);
}

/* ---- tasks ---- */

static void forward_heads(void *arg, size_t task, size_t worker)
{
    const struct job *job = arg;
    const size_t heads = job->args->a.B * job->args->a.H, first = task * job->heads_per_task;
    char *packed = sl_cpu_worker_scratch(&job->scratch, worker);
    for (size_t i = first; i < heads && i < first + job->heads_per_task; i++) {
        const struct sl_attn_head h = forward_head(job, i);
        if (h.n == 0) {
            clear_rows(h.o, h.Lq, h.o_token, h.K, h.dtype);
            continue;
        }
        job->kernel->pack(&h, packed);
        job->kernel->forward(&h, packed, 0, h.Lq, packed + job->pack_bytes);
    }
}

static void pack_head(void *arg, size_t task, size_t worker)
{
    const struct job *job = arg;
    const struct sl_attn_head h = forward_head(job, task);
    (void)worker;
    if (h.n > 0)
        job->kernel->pack(&h, job->packed + task * job->pack_bytes);
}

static void forward_block(void *arg, size_t task, size_t worker)
{
    const struct job *job = arg;
    const size_t head = task / job->parts, i0 = task % job->parts * job->rows_per_task;
    const struct sl_attn_head h = forward_head(job, head);
    const size_t i1 = i0 + job->rows_per_task < h.Lq ? i0 + job->rows_per_task : h.Lq;
    if (h.n == 0)
        clear_rows(out_at(h.o, h.dtype, i0 * h.o_token), i1 - i0, h.o_token, h.K, h.dtype);
    else
        job->kernel->forward(&h, job->packed + head * job->pack_bytes, i0, i1,
                             sl_cpu_worker_scratch(&job->scratch, worker));
}

/* The gradients of a head that has no keys. */
static void clear_gradients(const struct sl_attn_head *h)
{
    clear_rows(h->dq, h->Lq, h->dq_token, h->K, h->dtype);
    clear_rows(h->dk, h->Lk, h->dk_token, h->K, h->dtype);
    clear_rows(h->dv, h->Lk, h->dv_token, h->K, h->dtype);
}

static void backward_heads(void *arg, size_t task, size_t worker)
{
    const struct job *job = arg;
    const size_t heads = job->args->a.B * job->args->a.H, first = task * job->heads_per_task;
    char *packed = sl_cpu_worker_scratch(&job->scratch, worker);
    char *work = packed + job->pack_bytes, *apart = work + job->work_bytes;
    float *sums = job->direct ? NULL : (float *)(void *)apart;
    for (size_t i = first; i < heads && i < first + job->heads_per_task; i++) {
        const struct sl_attn_head h = backward_head(job, i);
        if (h.n == 0) {
            clear_gradients(&h);
            continue;
        }
        job->kernel->backward_pack(&h, packed);
        job->kernel->backward(&h, packed, 0, h.Lq, sums, work);
        if (sums)
            job->kernel->finish(&h, sums, 1, 0, h.Lk);
    }
}

static void backward_pack_head(void *arg, size_t task, size_t worker)
{
    const struct job *job = arg;
    const struct sl_attn_head h = backward_head(job, task);
    (void)worker;
    if (h.n > 0)
        job->kernel->backward_pack(&h, job->packed + task * job->pack_bytes);
    else
        clear_gradients(&h);
}

static void backward_block(void *arg, size_t task, size_t worker)
{
    const struct job *job = arg;
    const size_t head = task / job->parts, i0 = task % job->parts * job->rows_per_task;
    const struct sl_attn_head h = backward_head(job, head);
    const size_t i1 = i0 + job->rows_per_task < h.Lq ? i0 + job->rows_per_task : h.Lq;
    char *sums = job->sums + task * job->sums_bytes;
    if (h.n > 0)
        job->kernel->backward(&h, job->packed + head * job->pack_bytes, i0, i1,
                              (float *)(void *)sums, sl_cpu_worker_scratch(&job->scratch, worker));
}

/* As many blocks of keys as there were parts. */
static void backward_finish(void *arg, size_t task, size_t worker)
{
    const struct job *job = arg;
    const size_t head = task / job->parts, i = task % job->parts, Lk = job->args->a.Lk;
    const struct sl_attn_head h = backward_head(job, head);
    const char *sums = job->sums + head * job->parts * job->sums_bytes;
    (void)worker;
    if (h.n > 0)
        job->kernel->finish(&h, (const float *)(const void *)sums, job->parts, Lk * i / job->parts,
                            Lk * (i + 1) / job->parts);
}

/* ---- the op ---- */

static void cut_heads(struct job *job, size_t products)
{
    const sl_attention *a = &job->args->a;
    const size_t heads = a->B * a->H, macs = products * a->Lq * a->Lk * a->K;
    size_t group = TASK_MACS / (macs < TASK_MACS ? macs : TASK_MACS);
    if (group > heads / TASKS_MIN)
        group = heads / TASKS_MIN;
    job->heads_per_task = group > 1 ? group : 1;
}

static size_t head_tasks(const struct job *job)
{
    return (job->args->a.B * job->args->a.H + job->heads_per_task - 1) / job->heads_per_task;
}

sl_status sl_cpu_attn_fwd(struct sl_device *dev, const struct sl_attn_args *args)
{
    SL_TRY(sl_attention_check(args, false, dev->planning));
    const sl_attention *a = &args->a;
    struct job job = {.args = args,
                      .kernel = sl_attn_kernel_for(sl_cpu_of(dev)->isa, args->a.dtype),
                      .shape = shape_of(args)};
    const size_t heads = a->B * a->H, images = images_bytes(a);
    job.pack_bytes = up64(job.kernel->pack_bytes(&job.shape));
    job.work_bytes = job.kernel->forward_bytes(&job.shape);
    const bool blocked = heads < TASKS_MIN;
    bool planned;
    SL_TRY(sl_cpu_scratch_get(dev, images + (blocked ? heads * job.pack_bytes : 0),
                              job.work_bytes + (blocked ? 0 : job.pack_bytes), &job.scratch,
                              &planned));
    if (planned)
        return SL_OK;
    job.images = images_fill(a, job.scratch.shared);
    if (!blocked) {
        cut_heads(&job, 2);
        sl_parallel_for(dev->threads, head_tasks(&job), forward_heads, &job);
        return SL_OK;
    }
    job.packed = job.scratch.shared + images;
    job.rows_per_task = BLOCK_TILES * job.kernel->tile_rows;
    job.parts = (a->Lq + job.rows_per_task - 1) / job.rows_per_task;
    sl_parallel_for(dev->threads, heads, pack_head, &job);
    sl_parallel_for(dev->threads, heads * job.parts, forward_block, &job);
    return SL_OK;
}

/* Parts of each head in the backward pass: 1 where heads alone make enough tasks. */
static void cut_rows(struct job *job)
{
    const sl_attention *a = &job->args->a;
    const size_t heads = a->B * a->H, tile = job->kernel->tile_rows;
    size_t parts = (TASKS_MIN + heads - 1) / heads;
    const size_t most = a->Lq / PART_ROWS_MIN, affordable = SUMS_MAX / heads / job->sums_bytes;
    if (parts > most)
        parts = most;
    if (parts > affordable)
        parts = affordable;
    job->parts = heads >= TASKS_MIN || parts < 1 ? 1 : parts;
    const size_t rows = (a->Lq + job->parts - 1) / job->parts;
    job->rows_per_task = job->parts == 1 ? a->Lq : (rows + tile - 1) / tile * tile;
    job->parts = (a->Lq + job->rows_per_task - 1) / job->rows_per_task;
}

sl_status sl_cpu_attn_bwd(struct sl_device *dev, const struct sl_attn_args *args)
{
    SL_TRY(sl_attention_check(args, true, dev->planning));
    const sl_attention *a = &args->a;
    struct job job = {.args = args,
                      .kernel = sl_attn_kernel_for(sl_cpu_of(dev)->isa, args->a.dtype),
                      .shape = shape_of(args)};
    const size_t heads = a->B * a->H, images = images_bytes(a);
    job.pack_bytes = up64(job.kernel->backward_pack_bytes(&job.shape));
    job.sums_bytes = up64(job.kernel->sums_bytes(&job.shape));
    job.direct = a->dtype == SL_F32 && !a->key_mask;
    cut_rows(&job);
    job.work_bytes = up64(job.kernel->backward_bytes(&job.shape, job.rows_per_task));
    const bool blocked = job.parts > 1;
    const size_t shared = blocked ? heads * (job.pack_bytes + job.parts * job.sums_bytes) : 0;
    const size_t own = blocked ? 0 : job.pack_bytes + (job.direct ? 0 : job.sums_bytes);
    bool planned;
    SL_TRY(sl_cpu_scratch_get(dev, images + shared, job.work_bytes + own, &job.scratch, &planned));
    if (planned)
        return SL_OK;
    job.images = images_fill(a, job.scratch.shared);
    if (!blocked) {
        cut_heads(&job, 5);
        sl_parallel_for(dev->threads, head_tasks(&job), backward_heads, &job);
        return SL_OK;
    }
    job.packed = job.scratch.shared + images;
    job.sums = job.packed + heads * job.pack_bytes;
    sl_parallel_for(dev->threads, heads, backward_pack_head, &job);
    sl_parallel_for(dev->threads, heads * job.parts, backward_block, &job);
    sl_parallel_for(dev->threads, heads * job.parts, backward_finish, &job);
    return SL_OK;
}
