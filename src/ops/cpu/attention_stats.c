/*
 * Statistics of attention weights: a task counts one head of one image into a place of its own; the
 * places are added in the order of the images, so that the number of threads changes no bit.
 */
#include "ops/cpu/attention_job.h"

struct stats_job {
    struct sl_attn_job job;
    const int32_t *labels;
    sl_attention_stats *places; /* [B, H] */
};

static void count_head(void *arg, size_t task, size_t worker)
{
    const struct stats_job *s = arg;
    const struct sl_attn_head h = sl_attn_forward_head(&s->job, task);
    s->places[task] = (sl_attention_stats){0};
    if (s->labels && s->labels[task / s->job.args->a.H] < 0)
        return;
    if (h.n > 0)
        s->job.kernel->count(&h, sl_cpu_worker_scratch(&s->job.scratch, worker), &s->places[task]);
    else
        s->places[task].rows = h.Lq; /* of mass 0 */
}

static void add(sl_attention_stats *sum, const sl_attention_stats *x)
{
    if (x->rows == 0)
        return;
    if (sum->rows == 0 || x->mass_min < sum->mass_min)
        sum->mass_min = x->mass_min;
    if (sum->rows == 0 || x->mass_max > sum->mass_max)
        sum->mass_max = x->mass_max;
    sum->rows += x->rows;
    sum->weights += x->weights;
    sum->zeros += x->zeros;
    sum->mass += x->mass;
    for (size_t t = 0; t < SL_ATTENTION_TILES; t++) {
        sum->tiles[t] += x->tiles[t];
        sum->zero_tiles[t] += x->zero_tiles[t];
    }
}

sl_status sl_cpu_attn_stats(struct sl_device *dev, const struct sl_attn_args *args,
                            const int32_t *labels, sl_attention_stats *stats)
{
    SL_TRY(sl_attention_check(args, false, true));
    const sl_attention *a = &args->a;
    const size_t heads = a->B * a->H;
    /* bf16 is widened on every CPU: only the float kernels count. */
    struct stats_job s = {.job =
                              sl_attn_job_of(args, sl_attn_kernel_for(sl_cpu_of(dev)->isa, SL_F32)),
                          .labels = labels};
    const size_t images = sl_attn_images_bytes(a);
    bool planned;
    SL_TRY(sl_cpu_scratch_get(dev, images + heads * sizeof *s.places,
                              s.job.kernel->count_bytes(&s.job.shape), &s.job.scratch, &planned));
    if (planned)
        return SL_OK;
    sl_attn_images_fill(&s.job);
    s.places = (sl_attention_stats *)(void *)(s.job.scratch.shared + images);
    sl_parallel_for(dev->threads, heads, count_head, &s);
    for (size_t i = 0; i < heads; i++)
        add(&stats[i % a->H], &s.places[i]);
    return SL_OK;
}
