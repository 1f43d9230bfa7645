/*
 * What the attention ops on the CPU share: a call cut into jobs over heads, what differs between
 * the images of a batch, and the head as kernels want it.
 */
#ifndef SL_OPS_CPU_ATTENTION_JOB_H
#define SL_OPS_CPU_ATTENTION_JOB_H

#include "kernels/attn_kernels.h"
#include "ops/cpu/cpu.h"

enum {
    SL_ATTN_TASK_MACS = 1 << 20, /* a task should have about this many multiply-adds, ~ 10 us */
    SL_ATTN_TASKS_MIN = 16 /* but the heads are cut into this many tasks if they are as many */
};

/* What differs between the images of a batch. */
struct sl_attn_image {
    size_t n;             /* keys present */
    float factor, bias;   /* c, b */
    const uint32_t *keys; /* [n], NULL without a mask */
};

struct sl_attn_job {
    const struct sl_attn_args *args;
    const struct sl_attn_kernel *kernel;
    struct sl_attn_head shape;          /* sizes, strides and scale; the rest is set per head */
    const struct sl_attn_image *images; /* [B] with a mask, else [1] */
    size_t heads_per_task;              /* grouped: tasks of so many heads */
    size_t rows_per_task, parts; /* blocked: every head in `parts` tasks of so many query rows */
    size_t pack_bytes, work_bytes, sums_bytes;
    char *packed; /* blocked: [B*H][pack_bytes] */
    char *sums;   /* blocked backward: [B*H][parts][sums_bytes] */
    bool direct;  /* grouped backward: dk and dv are summed in the tensors */
    struct sl_cpu_scratch scratch;
};

static inline size_t sl_attn_up64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

struct sl_attn_job sl_attn_job_of(const struct sl_attn_args *args,
                                  const struct sl_attn_kernel *kernel);
/* Shared scratch before all else: the images and the lists of their keys; filled for the job. */
size_t sl_attn_images_bytes(const sl_attention *a);
void sl_attn_images_fill(struct sl_attn_job *job);
/* Grouped: heads_per_task from the multiply-adds of a head; and how many tasks that makes. */
void sl_attn_cut_heads(struct sl_attn_job *job, size_t macs);
size_t sl_attn_head_tasks(const struct sl_attn_job *job);
/* Head `index` of B*H as the forward pass needs it; the same with gradients. */
struct sl_attn_head sl_attn_forward_head(const struct sl_attn_job *job, size_t index);
struct sl_attn_head sl_attn_backward_head(const struct sl_attn_job *job, size_t index);
/* Zeros: o of a head without keys; all gradients of one. */
void sl_attn_clear_o(const struct sl_attn_head *h, size_t i0, size_t i1);
void sl_attn_clear_keys(const struct sl_attn_head *h);
void sl_attn_clear_gradients(const struct sl_attn_head *h);

/* attention_linear.c: identity by reassociation, where that is less work. */
bool sl_attn_is_linear(const struct sl_attn_args *args, const struct sl_attn_kernel *kernel);
sl_status sl_attn_linear(struct sl_device *dev, const struct sl_attn_args *args, bool backward);

#endif
