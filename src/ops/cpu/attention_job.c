/*
 * Jobs of the attention ops on the CPU: see attention_job.h.
 */
#include "ops/cpu/attention_job.h"

#include <math.h>
#include <string.h>

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

static struct sl_attn_image image_of(const sl_attention *a, size_t n, const uint32_t *keys)
{
    struct sl_attn_image im = {n, 1.0f, 0.0f, keys};
    const double length = a->length > 0 ? a->length : (double)n;
    if (a->phi == SL_PHI_SOFTMAX || n == 0)
        return im;
    im.factor = (float)pow(length, -(double)a->alpha);
    im.bias = (float)((double)a->bias - (a->bias_neg_log_length ? log(length) : 0.0));
    return im;
}

size_t sl_attn_images_bytes(const sl_attention *a)
{
    if (!a->key_mask)
        return sl_attn_up64(sizeof(struct sl_attn_image));
    return sl_attn_up64(a->B * sizeof(struct sl_attn_image)) +
           sl_attn_up64(a->B * a->Lk * sizeof(uint32_t));
}

void sl_attn_images_fill(struct sl_attn_job *job)
{
    const sl_attention *a = &job->args->a;
    char *shared = job->scratch.shared;
    struct sl_attn_image *images = (struct sl_attn_image *)(void *)shared;
    job->images = images;
    if (!a->key_mask) {
        images[0] = image_of(a, a->Lk, NULL);
        return;
    }
    uint32_t *keys = (uint32_t *)(shared + sl_attn_up64(a->B * sizeof *images));
    for (size_t b = 0; b < a->B; b++, keys += a->Lk) {
        size_t n = 0;
        for (size_t j = 0; j < a->Lk; j++)
            if (a->key_mask[b * a->Lk + j])
                keys[n++] = (uint32_t)j;
        images[b] = image_of(a, n, keys);
    }
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

struct sl_attn_head sl_attn_forward_head(const struct sl_attn_job *job, size_t index)
{
    const sl_attention *a = &job->args->a;
    const size_t b = index / a->H, i = index % a->H;
    const struct sl_attn_image *im = &job->images[a->key_mask ? b : 0];
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

struct sl_attn_head sl_attn_backward_head(const struct sl_attn_job *job, size_t index)
{
    const sl_attention *a = &job->args->a;
    const sl_attention_grads *g = &job->args->g;
    const size_t b = index / a->H, i = index % a->H;
    const sl_strides dq = sl_attention_strides(g->dq_strides, a->q_strides);
    const sl_strides dk = sl_attention_strides(g->dk_strides, a->k_strides);
    const sl_strides dv = sl_attention_strides(g->dv_strides, a->v_strides);
    struct sl_attn_head h = sl_attn_forward_head(job, index);
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

void sl_attn_clear_o(const struct sl_attn_head *h, size_t i0, size_t i1)
{
    clear_rows(out_at(h->o, h->dtype, i0 * h->o_token), i1 - i0, h->o_token, h->K, h->dtype);
}

void sl_attn_clear_keys(const struct sl_attn_head *h)
{
    clear_rows(h->dk, h->Lk, h->dk_token, h->K, h->dtype);
    clear_rows(h->dv, h->Lk, h->dv_token, h->K, h->dtype);
}

void sl_attn_clear_gradients(const struct sl_attn_head *h)
{
    clear_rows(h->dq, h->Lq, h->dq_token, h->K, h->dtype);
    sl_attn_clear_keys(h);
}

struct sl_attn_job sl_attn_job_of(const struct sl_attn_args *args,
                                  const struct sl_attn_kernel *kernel)
{
    return (struct sl_attn_job){.args = args, .kernel = kernel, .shape = shape_of(args)};
}

void sl_attn_cut_heads(struct sl_attn_job *job, size_t macs)
{
    const size_t heads = job->args->a.B * job->args->a.H;
    size_t group = SL_ATTN_TASK_MACS / (macs < SL_ATTN_TASK_MACS ? macs : SL_ATTN_TASK_MACS);
    if (group > heads / SL_ATTN_TASKS_MIN)
        group = heads / SL_ATTN_TASKS_MIN;
    job->heads_per_task = group > 1 ? group : 1;
}

size_t sl_attn_head_tasks(const struct sl_attn_job *job)
{
    return (job->args->a.B * job->args->a.H + job->heads_per_task - 1) / job->heads_per_task;
}
