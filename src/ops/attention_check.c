/*
 * What an attention call must satisfy on every device: sizes, types, pointers, strides.
 */
#include <math.h>

#include "base/checked.h"
#include "ops/ops.h"

enum { MAX_K = 256, MAX_L = 1 << 24 }; /* what the kernels are built for */

struct operand {
    const char *name;
    const void *p;
    size_t L;
    sl_strides s;
    bool output;
};

static sl_status check_sizes(const sl_attention *a)
{
    const struct {
        const char *name;
        size_t value;
    } sizes[] = {{"B", a->B}, {"H", a->H}, {"Lq", a->Lq}, {"Lk", a->Lk}, {"K", a->K}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].value == 0)
            SL_FAIL(SL_ERR_ARGUMENT, "attention: %s is 0; every size must be at least 1",
                    sizes[i].name);
    if (a->K > MAX_K)
        SL_FAIL(SL_ERR_UNSUPPORTED, "attention: head size K = %zu; kernels exist up to %d", a->K,
                MAX_K);
    if (a->Lq > MAX_L || a->Lk > MAX_L)
        SL_FAIL(SL_ERR_UNSUPPORTED, "attention: lengths %zu x %zu; kernels exist up to %d", a->Lq,
                a->Lk, MAX_L);
    return SL_OK;
}

static sl_status check_numbers(const sl_attention *a)
{
    if ((unsigned)a->phi >= SL_PHI_COUNT)
        SL_FAIL(SL_ERR_ARGUMENT, "attention: phi is %d; it must be one of sl_phi", (int)a->phi);
    if ((unsigned)a->dtype >= SL_DTYPE_COUNT)
        SL_FAIL(SL_ERR_ARGUMENT, "attention: dtype is %d; it must be SL_F32 or SL_BF16",
                (int)a->dtype);
    if (!isfinite(a->scale) || !isfinite(a->alpha) || !isfinite(a->bias))
        SL_FAIL(SL_ERR_ARGUMENT, "attention: scale %g, alpha %g and bias %g must be finite",
                (double)a->scale, (double)a->alpha, (double)a->bias);
    if (!(a->length >= 0) || !isfinite(a->length))
        SL_FAIL(SL_ERR_ARGUMENT, "attention: length %g; it must be 0 (keys present) or positive",
                a->length);
    const double n = a->length > 0 ? a->length : (double)a->Lk;
    if (a->phi != SL_PHI_SOFTMAX && !isfinite((float)pow(n, -(double)a->alpha)))
        SL_FAIL(SL_ERR_ARGUMENT, "attention: %g^-alpha with alpha = %g overflows float", n,
                (double)a->alpha);
    return SL_OK;
}

/* The last element, B, L, H, K - 1 steps away, must be addressable. */
static bool addressable(const struct operand *x, const sl_attention *a)
{
    const size_t steps[3] = {a->B - 1, x->L - 1, a->H - 1};
    const size_t strides[3] = {x->s.batch, x->s.token, x->s.head};
    size_t last = a->K * sizeof(float);
    for (int i = 0; i < 3; i++) {
        size_t reach;
        if (!sl_size_mul(steps[i], strides[i], &reach) ||
            !sl_size_mul(reach, sizeof(float), &reach) || !sl_size_add(last, reach, &last))
            return false;
    }
    return last <= PTRDIFF_MAX;
}

/* Axes sorted by stride must each step over all that the smaller ones span. Inputs may repeat over
 * the batch (batch stride 0: one query for all images). */
static bool apart(const struct operand *x, const sl_attention *a)
{
    struct {
        size_t extent, stride;
    } axes[3] = {{a->H, x->s.head}, {x->L, x->s.token}, {a->B, x->s.batch}};
    if (!x->output && x->s.batch == 0)
        axes[2].extent = 1;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2 - i; j++)
            if (axes[j].stride > axes[j + 1].stride) {
                const size_t extent = axes[j].extent, stride = axes[j].stride;
                axes[j] = axes[j + 1];
                axes[j + 1].extent = extent;
                axes[j + 1].stride = stride;
            }
    size_t span = a->K;
    for (int i = 0; i < 3; i++) {
        if (axes[i].extent == 1)
            continue;
        if (axes[i].stride < span)
            return false;
        span += (axes[i].extent - 1) * axes[i].stride;
    }
    return true;
}

static sl_status check_operand(const struct operand *x, const sl_attention *a, bool planning)
{
    if (!x->p && !planning)
        SL_FAIL(SL_ERR_ARGUMENT, "attention: pointer %s is NULL", x->name);
    const size_t size = a->dtype == SL_F32 ? sizeof(float) : sizeof(uint16_t);
    if ((uintptr_t)x->p % size != 0)
        SL_FAIL(SL_ERR_ARGUMENT,
                "attention: pointer %s is not aligned to its elements of %zu bytes", x->name, size);
    if (!addressable(x, a))
        SL_FAIL(SL_ERR_ARGUMENT,
                "attention: strides of %s (batch %zu, token %zu, head %zu) reach "
                "beyond the address space",
                x->name, x->s.batch, x->s.token, x->s.head);
    if (!apart(x, a))
        SL_FAIL(SL_ERR_ARGUMENT,
                "attention: strides of %s (batch %zu, token %zu, head %zu) overlap heads of size "
                "%zu",
                x->name, x->s.batch, x->s.token, x->s.head, a->K);
    return SL_OK;
}

sl_strides sl_attention_strides(sl_strides given, sl_strides fallback)
{
    return given.batch || given.token || given.head ? given : fallback;
}

static sl_status check_operands(const struct operand *x, size_t n, const sl_attention *a,
                                bool planning)
{
    for (size_t i = 0; i < n; i++)
        SL_TRY(check_operand(&x[i], a, planning));
    return SL_OK;
}

sl_status sl_attention_check(const struct sl_attn_args *args, bool backward, bool planning)
{
    const sl_attention *a = &args->a;
    const sl_attention_grads *g = &args->g;
    SL_TRY(check_sizes(a));
    SL_TRY(check_numbers(a));
    const struct operand inputs[] = {{"q", a->q, a->Lq, a->q_strides, false},
                                     {"k", a->k, a->Lk, a->k_strides, false},
                                     {"v", a->v, a->Lk, a->v_strides, false}};
    SL_TRY(check_operands(inputs, 3, a, planning));
    if (!backward) {
        const struct operand o = {"o", args->o, a->Lq, args->o_strides, true};
        return check_operand(&o, a, planning);
    }
    const struct operand gradients[] = {
        {"d_o", g->d_o, a->Lq, g->o_strides, false},
        {"dq", g->dq, a->Lq, sl_attention_strides(g->dq_strides, a->q_strides), true},
        {"dk", g->dk, a->Lk, sl_attention_strides(g->dk_strides, a->k_strides), true},
        {"dv", g->dv, a->Lk, sl_attention_strides(g->dv_strides, a->v_strides), true}};
    return check_operands(gradients, 4, a, planning);
}
