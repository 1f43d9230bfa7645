/*
 * The attention op on the CPU: what each head of each image needs is worked out here, spread over
 * threads, and computed by the kernels. A task is a group of heads, packed into the worker's
 * scratch; where there are few heads, they are all packed first and a task is a block of query rows
 * of one head. Such a block writes its rows of o or dq, and in the backward pass what it adds to dk
 * and dv: a second round of tasks adds these parts in order. How work is cut depends on the shape
 * alone, so results have the same bits for any number of threads.
 */
#include "ops/cpu/attention_job.h"

enum {
    BLOCK_TILES = 4,    /* query rows of a task where heads are few, in register tiles */
    PART_ROWS_MIN = 64, /* the same of the backward pass, whose parts must be worth their sums */
    SUMS_MAX = 64 << 20 /* bytes of all parts' sums, unless one part each needs more */
};

/* ---- tasks ---- */

static void forward_heads(void *arg, size_t task, size_t worker)
{
    const struct sl_attn_job *job = arg;
    const size_t heads = job->args->a.B * job->args->a.H, first = task * job->heads_per_task;
    char *packed = sl_cpu_worker_scratch(&job->scratch, worker);
    for (size_t i = first; i < heads && i < first + job->heads_per_task; i++) {
        const struct sl_attn_head next = sl_attn_forward_head(job, i + 1 < heads ? i + 1 : i);
        struct sl_attn_head h = sl_attn_forward_head(job, i);
        h.next = i + 1 < heads ? &next : NULL;
        if (h.n == 0) {
            sl_attn_clear_o(&h, 0, h.Lq);
            continue;
        }
        job->kernel->pack(&h, packed);
        job->kernel->forward(&h, packed, 0, h.Lq, packed + job->pack_bytes);
    }
}

static void pack_head(void *arg, size_t task, size_t worker)
{
    const struct sl_attn_job *job = arg;
    const struct sl_attn_head h = sl_attn_forward_head(job, task);
    (void)worker;
    if (h.n > 0)
        job->kernel->pack(&h, job->packed + task * job->pack_bytes);
}

static void forward_block(void *arg, size_t task, size_t worker)
{
    const struct sl_attn_job *job = arg;
    const size_t head = task / job->parts, i0 = task % job->parts * job->rows_per_task;
    const struct sl_attn_head h = sl_attn_forward_head(job, head);
    const size_t i1 = i0 + job->rows_per_task < h.Lq ? i0 + job->rows_per_task : h.Lq;
    if (h.n == 0)
        sl_attn_clear_o(&h, i0, i1);
    else
        job->kernel->forward(&h, job->packed + head * job->pack_bytes, i0, i1,
                             sl_cpu_worker_scratch(&job->scratch, worker));
}

static void backward_heads(void *arg, size_t task, size_t worker)
{
    const struct sl_attn_job *job = arg;
    const size_t heads = job->args->a.B * job->args->a.H, first = task * job->heads_per_task;
    char *packed = sl_cpu_worker_scratch(&job->scratch, worker);
    char *work = packed + job->pack_bytes, *apart = work + job->work_bytes;
    float *sums = job->direct ? NULL : (float *)(void *)apart;
    for (size_t i = first; i < heads && i < first + job->heads_per_task; i++) {
        const struct sl_attn_head next = sl_attn_backward_head(job, i + 1 < heads ? i + 1 : i);
        struct sl_attn_head h = sl_attn_backward_head(job, i);
        h.next = i + 1 < heads ? &next : NULL;
        if (h.n == 0) {
            sl_attn_clear_gradients(&h);
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
    const struct sl_attn_job *job = arg;
    const struct sl_attn_head h = sl_attn_backward_head(job, task);
    (void)worker;
    if (h.n > 0)
        job->kernel->backward_pack(&h, job->packed + task * job->pack_bytes);
    else
        sl_attn_clear_gradients(&h);
}

static void backward_block(void *arg, size_t task, size_t worker)
{
    const struct sl_attn_job *job = arg;
    const size_t head = task / job->parts, i0 = task % job->parts * job->rows_per_task;
    const struct sl_attn_head h = sl_attn_backward_head(job, head);
    const size_t i1 = i0 + job->rows_per_task < h.Lq ? i0 + job->rows_per_task : h.Lq;
    char *sums = job->sums + task * job->sums_bytes;
    if (h.n > 0)
        job->kernel->backward(&h, job->packed + head * job->pack_bytes, i0, i1,
                              (float *)(void *)sums, sl_cpu_worker_scratch(&job->scratch, worker));
}

/* As many blocks of keys as there were parts. */
static void backward_finish(void *arg, size_t task, size_t worker)
{
    const struct sl_attn_job *job = arg;
    const size_t head = task / job->parts, i = task % job->parts, Lk = job->args->a.Lk;
    const struct sl_attn_head h = sl_attn_backward_head(job, head);
    const char *sums = job->sums + head * job->parts * job->sums_bytes;
    (void)worker;
    if (h.n > 0)
        job->kernel->finish(&h, (const float *)(const void *)sums, job->parts, Lk * i / job->parts,
                            Lk * (i + 1) / job->parts);
}

/* ---- the op ---- */

sl_status sl_cpu_attn_fwd(struct sl_device *dev, const struct sl_attn_args *args)
{
    SL_TRY(sl_attention_check(args, false, dev->planning));
    const sl_attention *a = &args->a;
    const struct sl_attn_kernel *kernel = sl_attn_kernel_for(sl_cpu_of(dev)->isa, a->dtype);
    if (sl_attn_is_linear(args, kernel))
        return sl_attn_linear(dev, args, false);
    struct sl_attn_job job = sl_attn_job_of(args, kernel);
    const size_t heads = a->B * a->H, images = sl_attn_images_bytes(a);
    job.pack_bytes = sl_attn_up64(job.kernel->pack_bytes(&job.shape));
    job.work_bytes = job.kernel->forward_bytes(&job.shape);
    const bool blocked = heads < SL_ATTN_TASKS_MIN;
    bool planned;
    SL_TRY(sl_cpu_scratch_get(dev, images + (blocked ? heads * job.pack_bytes : 0),
                              job.work_bytes + (blocked ? 0 : job.pack_bytes), &job.scratch,
                              &planned));
    if (planned)
        return SL_OK;
    sl_attn_images_fill(&job);
    if (!blocked) {
        sl_attn_cut_heads(&job, 2 * a->Lq * a->Lk * a->K);
        sl_parallel_for(dev->threads, sl_attn_head_tasks(&job), forward_heads, &job);
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
static void cut_rows(struct sl_attn_job *job)
{
    const sl_attention *a = &job->args->a;
    const size_t heads = a->B * a->H, tile = job->kernel->tile_rows;
    size_t parts = (SL_ATTN_TASKS_MIN + heads - 1) / heads;
    const size_t most = a->Lq / PART_ROWS_MIN, affordable = SUMS_MAX / heads / job->sums_bytes;
    if (parts > most)
        parts = most;
    if (parts > affordable)
        parts = affordable;
    job->parts = heads >= SL_ATTN_TASKS_MIN || parts < 1 ? 1 : parts;
    const size_t rows = (a->Lq + job->parts - 1) / job->parts;
    job->rows_per_task = job->parts == 1 ? a->Lq : (rows + tile - 1) / tile * tile;
    job->parts = (a->Lq + job->rows_per_task - 1) / job->rows_per_task;
}

sl_status sl_cpu_attn_bwd(struct sl_device *dev, const struct sl_attn_args *args)
{
    SL_TRY(sl_attention_check(args, true, dev->planning));
    const sl_attention *a = &args->a;
    const struct sl_attn_kernel *kernel = sl_attn_kernel_for(sl_cpu_of(dev)->isa, a->dtype);
    if (sl_attn_is_linear(args, kernel))
        return sl_attn_linear(dev, args, true);
    struct sl_attn_job job = sl_attn_job_of(args, kernel);
    const size_t heads = a->B * a->H, images = sl_attn_images_bytes(a);
    job.pack_bytes = sl_attn_up64(job.kernel->backward_pack_bytes(&job.shape));
    job.sums_bytes = sl_attn_up64(job.kernel->sums_bytes(&job.shape));
    job.direct = a->dtype == SL_F32 && !a->key_mask;
    cut_rows(&job);
    job.work_bytes = sl_attn_up64(job.kernel->backward_bytes(&job.shape, job.rows_per_task));
    const bool blocked = job.parts > 1;
    const size_t shared = blocked ? heads * (job.pack_bytes + job.parts * job.sums_bytes) : 0;
    const size_t own = blocked ? 0 : job.pack_bytes + (job.direct ? 0 : job.sums_bytes);
    bool planned;
    SL_TRY(sl_cpu_scratch_get(dev, images + shared, job.work_bytes + own, &job.scratch, &planned));
    if (planned)
        return SL_OK;
    sl_attn_images_fill(&job);
    if (!blocked) {
        sl_attn_cut_heads(&job, 5 * a->Lq * a->Lk * a->K);
        sl_parallel_for(dev->threads, sl_attn_head_tasks(&job), backward_heads, &job);
        return SL_OK;
    }
    job.packed = job.scratch.shared + images;
    job.sums = job.packed + heads * job.pack_bytes;
    sl_parallel_for(dev->threads, heads, backward_pack_head, &job);
    sl_parallel_for(dev->threads, heads * job.parts, backward_block, &job);
    sl_parallel_for(dev->threads, heads * job.parts, backward_finish, &job);
    return SL_OK;
}
