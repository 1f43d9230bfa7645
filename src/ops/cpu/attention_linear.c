/*
 * Attention with h = identity by reassociation, q (k^T v): see kernels/attn_linear.inc. Sums over
 * keys (and queries) come first, then rows of results. Where heads are few, both rounds cut a head
 * into parts; each part has sums of its own, which are added in order, so that the number of
 * threads never changes a bit.
 */
#include "ops/cpu/attention_job.h"

enum { PART_ROWS_MIN = 256 }; /* rows that are worth sums of their own */

bool sl_attn_is_linear(const struct sl_attn_args *args, const struct sl_attn_kernel *kernel)
{
    const sl_attention *a = &args->a;
    const double K = (double)a->K, Lq = (double)a->Lq, Lk = (double)a->Lk;
    return a->phi == SL_PHI_IDENTITY && !args->through_scores &&
           2 * Lq * Lk > kernel->bf16_gain * K * (Lq + Lk);
}

struct linear {
    struct sl_attn_job job;
    bool backward;
};

static struct sl_attn_head head_of(const struct linear *l, size_t index)
{
    return l->backward ? sl_attn_backward_head(&l->job, index)
                       : sl_attn_forward_head(&l->job, index);
}

static struct sl_attn_range range_of(const struct sl_attn_head *h, size_t i, size_t parts)
{
    return (struct sl_attn_range){h->Lq * i / parts, h->Lq * (i + 1) / parts, h->n * i / parts,
                                  h->n * (i + 1) / parts};
}

/* What no sum reaches: heads without keys, and gradients of absent keys. */
static void clear(const struct linear *l, const struct sl_attn_head *h)
{
    if (!l->backward && h->n == 0)
        sl_attn_clear_o(h, 0, h->Lq);
    else if (l->backward && h->n == 0)
        sl_attn_clear_gradients(h);
    else if (l->backward && h->n < h->Lk)
        sl_attn_clear_keys(h);
}

static void heads(void *arg, size_t task, size_t worker)
{
    const struct linear *l = arg;
    const struct sl_attn_job *job = &l->job;
    const size_t n = job->args->a.B * job->args->a.H, first = task * job->heads_per_task;
    char *scratch = sl_cpu_worker_scratch(&job->scratch, worker);
    float *sums = (float *)(void *)(scratch + job->work_bytes);
    for (size_t i = first; i < n && i < first + job->heads_per_task; i++) {
        const struct sl_attn_head h = head_of(l, i);
        const struct sl_attn_range all = range_of(&h, 0, 1);
        clear(l, &h);
        if (h.n == 0)
            continue;
        job->kernel->linear_sum(&h, &all, l->backward, sums, scratch);
        job->kernel->linear_rows(&h, &all, l->backward, sums, 1, scratch);
    }
}

static float *sums_of(const struct sl_attn_job *job, size_t part)
{
    return (float *)(void *)(job->sums + part * job->sums_bytes);
}

static void sum_part(void *arg, size_t task, size_t worker)
{
    const struct linear *l = arg;
    const struct sl_attn_job *job = &l->job;
    const struct sl_attn_head h = head_of(l, task / job->parts);
    const struct sl_attn_range range = range_of(&h, task % job->parts, job->parts);
    if (task % job->parts == 0)
        clear(l, &h);
    if (h.n > 0)
        job->kernel->linear_sum(&h, &range, l->backward, sums_of(job, task),
                                sl_cpu_worker_scratch(&job->scratch, worker));
}

static void rows_part(void *arg, size_t task, size_t worker)
{
    const struct linear *l = arg;
    const struct sl_attn_job *job = &l->job;
    const size_t head = task / job->parts;
    const struct sl_attn_head h = head_of(l, head);
    const struct sl_attn_range range = range_of(&h, task % job->parts, job->parts);
    if (h.n > 0)
        job->kernel->linear_rows(&h, &range, l->backward, sums_of(job, head * job->parts),
                                 job->parts, sl_cpu_worker_scratch(&job->scratch, worker));
}

static size_t parts_of(const sl_attention *a)
{
    const size_t n = a->B * a->H, rows = a->Lq > a->Lk ? a->Lq : a->Lk;
    const size_t wanted = (SL_ATTN_TASKS_MIN + n - 1) / n, most = rows / PART_ROWS_MIN;
    return wanted < most ? wanted : most > 1 ? most : 1;
}

sl_status sl_attn_linear(struct sl_device *dev, const struct sl_attn_args *args, bool backward)
{
    const sl_attention *a = &args->a;
    /* bf16 is widened here whatever the CPU: sums over L must be float. */
    struct linear l = {.job = sl_attn_job_of(args, sl_attn_kernel_for(sl_cpu_of(dev)->isa, SL_F32)),
                       .backward = backward};
    struct sl_attn_job *job = &l.job;
    const size_t n = a->B * a->H, images = sl_attn_images_bytes(a);
    job->work_bytes = sl_attn_up64(job->kernel->linear_bytes(&job->shape));
    job->sums_bytes = sl_attn_up64(job->kernel->linear_sum_bytes(&job->shape));
    job->parts = parts_of(a);
    const size_t shared = job->parts > 1 ? n * job->parts * job->sums_bytes : 0;
    const size_t own = job->parts > 1 ? 0 : job->sums_bytes;
    bool planned;
    SL_TRY(
        sl_cpu_scratch_get(dev, images + shared, job->work_bytes + own, &job->scratch, &planned));
    if (planned)
        return SL_OK;
    sl_attn_images_fill(job);
    if (job->parts == 1) {
        sl_attn_cut_heads(job, (backward ? 3 : 1) * (a->Lq + a->Lk) * a->K * a->K);
        sl_parallel_for(dev->threads, sl_attn_head_tasks(job), heads, &l);
        return SL_OK;
    }
    job->sums = job->scratch.shared + images;
    sl_parallel_for(dev->threads, n * job->parts, sum_part, &l);
    sl_parallel_for(dev->threads, n * job->parts, rows_part, &l);
    return SL_OK;
}
