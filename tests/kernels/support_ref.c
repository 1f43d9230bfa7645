/*
 * Attention in double with error bounds; see ref.h.
 */
#include "kernels/ref.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double u = 0x1p-24;      /* unit roundoff of float */
static const double tiny = 0x1p-126;  /* smaller results of exp may become 0 */
static const double under = 0x1p-149; /* rounding of a subnormal sum or product */
static const double narrow = 0x1p-8;  /* rounding to bf16 */
static const double gelu_a = 0.79788456080286535588, gelu_b = 0.044715;

static double sigmoid(double s)
{
    return 1 / (1 + exp(-s));
}

double ref_h(sl_phi phi, double s)
{
    switch (phi) {
    case SL_PHI_RELU:
        return fmax(s, 0);
    case SL_PHI_RELU2:
        return fmax(s, 0) * fmax(s, 0);
    case SL_PHI_GELU: /* 0.5 (1 + tanh(z)) = sigmoid(2 z), which keeps small values */
        return s * sigmoid(2 * gelu_a * (s + gelu_b * s * s * s));
    case SL_PHI_SOFTPLUS:
        return fmax(s, 0) + log1p(exp(-fabs(s)));
    case SL_PHI_IDENTITY:
        return s;
    case SL_PHI_RELU6:
        return fmin(fmax(s, 0), 6);
    case SL_PHI_SIGMOID:
        return sigmoid(s);
    case SL_PHI_SILU:
        return s * sigmoid(s);
    default:
        return NAN;
    }
}

double ref_dh(sl_phi phi, double s)
{
    double z, t;
    switch (phi) {
    case SL_PHI_RELU:
        return s > 0;
    case SL_PHI_RELU2:
        return 2 * fmax(s, 0);
    case SL_PHI_GELU:
        z = gelu_a * (s + gelu_b * s * s * s);
        t = tanh(z);
        return 0.5 * (1 + t) + 0.5 * s * (1 - t * t) * gelu_a * (1 + 3 * gelu_b * s * s);
    case SL_PHI_SOFTPLUS:
        return sigmoid(s);
    case SL_PHI_IDENTITY:
        return 1;
    case SL_PHI_RELU6:
        return s > 0 && s < 6;
    case SL_PHI_SIGMOID:
        return sigmoid(s) * sigmoid(-s);
    case SL_PHI_SILU:
        return sigmoid(s) * (1 + s * sigmoid(-s));
    default:
        return NAN;
    }
}

/* Error of a float h at s off by e: slope on the way times e, and of the function itself: relative
 * 8 u for what is built on one exp and one division; gelu's exp has the argument t, off by 3 u |t|.
 */
static double h_error(sl_phi phi, double s, double e)
{
    const double t = fabs(2 * gelu_a * (s + gelu_b * s * s * s));
    switch (phi) {
    case SL_PHI_RELU2:
        return 2 * (fmax(s, 0) + e) * e + u * ref_h(phi, s);
    case SL_PHI_GELU: /* |h'| < 1.13 */
        return 1.13 * e + (8 + 3 * fmin(t, 100)) * u * fabs(ref_h(phi, s)) + tiny * fabs(s);
    case SL_PHI_SOFTPLUS:
        return e + 8 * u * ref_h(phi, s) + tiny;
    case SL_PHI_SIGMOID:
        return 0.25 * e + 8 * u * ref_h(phi, s) + tiny;
    case SL_PHI_SILU: /* |h'| < 1.1 */
        return 1.1 * e + 9 * u * fabs(ref_h(phi, s)) + tiny * fabs(s);
    default:
        return e;
    }
}

/* The same of h'; a kink within e of s may go either way. */
static double dh_error(sl_phi phi, double s, double e)
{
    const double t = fabs(2 * gelu_a * (s + gelu_b * s * s * s));
    const double p = sigmoid(2 * gelu_a * (s + gelu_b * s * s * s)), slope = p * (1 - p);
    const double dt = 2 * gelu_a * (1 + 3 * gelu_b * s * s);
    switch (phi) {
    case SL_PHI_RELU:
        return fabs(s) <= e;
    case SL_PHI_RELU6:
        return fabs(s) <= e || fabs(s - 6) <= e;
    case SL_PHI_RELU2:
        return 2 * e;
    case SL_PHI_GELU: /* |h''| < 1.6 */
        return 1.6 * e + (12 + 3 * fmin(t, 100)) * u * (p + fabs(s) * slope * dt) + tiny * dt;
    case SL_PHI_SOFTPLUS: /* |h''| <= 0.25 */
        return 0.25 * e + 8 * u * p + 8 * u * sigmoid(s) + tiny;
    case SL_PHI_SIGMOID: /* |h''| < 0.1 */
        return 0.1 * e + 12 * u * ref_dh(phi, s) + tiny;
    case SL_PHI_SILU: /* |h''| <= 0.5 */
        return 0.5 * e + 12 * u * (sigmoid(s) + fabs(s) * sigmoid(s) * sigmoid(-s)) +
               tiny * (1 + fabs(s));
    default:
        return 0;
    }
}

static void *get(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p) {
        fprintf(stderr, "reference: out of memory\n");
        exit(1);
    }
    return p;
}

void ref_open(struct ref *r, const sl_attention *a)
{
    const size_t nq = a->B * a->Lq * a->H * a->K, nk = a->B * a->Lk * a->H * a->K;
    *r = (struct ref){.a = *a, .mask = a->key_mask};
    r->q = get(nq, sizeof *r->q);
    r->k = get(nk, sizeof *r->k);
    r->v = get(nk, sizeof *r->v);
    r->d_o = get(nq, sizeof *r->d_o);
    r->o = get(nq, sizeof *r->o);
    r->dq = get(nq, sizeof *r->dq);
    r->dk = get(nk, sizeof *r->dk);
    r->dv = get(nk, sizeof *r->dv);
}

void ref_close(struct ref *r)
{
    void *all[] = {r->q, r->k, r->v, r->d_o, r->o, r->dq, r->dk, r->dv};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    *r = (struct ref){.a = r->a};
}

void ref_read(const sl_attention *a, const void *p, sl_strides s, size_t L, double *dense)
{
    for (size_t b = 0; b < a->B; b++)
        for (size_t l = 0; l < L; l++)
            for (size_t h = 0; h < a->H; h++)
                for (size_t d = 0; d < a->K; d++) {
                    const size_t at = b * s.batch + l * s.token + h * s.head + d;
                    float x;
                    if (a->dtype == SL_F32) {
                        x = ((const float *)p)[at];
                    } else {
                        const uint32_t bits = (uint32_t)((const uint16_t *)p)[at] << 16;
                        memcpy(&x, &bits, sizeof x);
                    }
                    *dense++ = (double)x;
                }
}

/* One head of one image while it is worked on: everything [rows x keys present]. */
struct head {
    const struct ref *r;
    size_t b, h, n;
    size_t *keys;
    double scale, bias, c;
    struct ref_value *s, *p; /* one query's scores and weights (without c), [n] */
};

static size_t at(const sl_attention *a, size_t L, size_t b, size_t l, size_t h)
{
    return ((b * L + l) * a->H + h) * a->K;
}

static void head_open(struct head *w, const struct ref *r, size_t b, size_t h)
{
    const sl_attention *a = &r->a;
    *w = (struct head){.r = r, .b = b, .h = h};
    w->keys = get(a->Lk, sizeof *w->keys);
    w->s = get(a->Lk, sizeof *w->s);
    w->p = get(a->Lk, sizeof *w->p);
    for (size_t j = 0; j < a->Lk; j++)
        if (!r->mask || r->mask[b * a->Lk + j])
            w->keys[w->n++] = j;
    const double length = a->length > 0 ? a->length : (double)w->n;
    w->scale = a->scale != 0.0f ? (double)a->scale : 1 / sqrt((double)a->K);
    if (a->phi == SL_PHI_SOFTMAX) {
        w->c = 1;
    } else {
        w->c = pow(length, -(double)a->alpha);
        w->bias = (double)a->bias - (a->bias_neg_log_length ? log(length) : 0);
    }
}

static void head_close(struct head *w)
{
    free(w->keys);
    free(w->s);
    free(w->p);
}

/* What an operand loses on its way into a product of bf16: nothing but a denormal. */
static double lost(const struct ref *r, double x)
{
    return r->bf16_products && fabs(x) < tiny ? fabs(x) : 0;
}

/* Error of a sum or product so small that its unit is fixed. */
static double smallest(const struct ref *r)
{
    return r->bf16_products ? tiny : under;
}

/* A weight or score gradient as a product takes it. */
static struct ref_value as_operand(const struct ref *r, struct ref_value w)
{
    if (r->bf16_products)
        w.err += narrow * (fabs(w.x) + w.err) + tiny;
    return w;
}

/* Roundings that a term of a score shares with no score: those of the sum over keys or queries. */
static double shared_terms(const struct ref *r)
{
    return r->reassociated ? fmax((double)r->a.Lq, (double)r->a.Lk) : 0;
}

/* x . y over the head size, with its bound. */
static struct ref_value dot(const struct ref *r, const double *x, const double *y)
{
    const size_t K = r->a.K;
    struct ref_value sum = {0, 0};
    double denormal = 0;
    for (size_t d = 0; d < K; d++) {
        sum.x += x[d] * y[d];
        sum.err += fabs(x[d] * y[d]);
        denormal += lost(r, x[d]) * fabs(y[d]) + fabs(x[d]) * lost(r, y[d]);
    }
    sum.err = sum.err * ((double)K + 4 + shared_terms(r)) * u + (double)K * smallest(r) + denormal;
    return sum;
}

static void softmax_weights(struct head *w)
{
    double top = -INFINITY, sum = 0, spread = 0;
    for (size_t j = 0; j < w->n; j++)
        top = fmax(top, w->s[j].x);
    for (size_t j = 0; j < w->n; j++)
        sum += exp(w->s[j].x - top);
    /* Relative error of one exp: its argument's, and 5 u of its own and of the norm. */
    for (size_t j = 0; j < w->n; j++) {
        const double away = w->s[j].err + u * (top - w->s[j].x) + 5 * u;
        w->p[j] = (struct ref_value){exp(w->s[j].x - top) / sum, away};
        spread += w->p[j].x * away;
    }
    for (size_t j = 0; j < w->n; j++)
        w->p[j].err = w->p[j].x * (w->p[j].err + spread + ((double)w->n + 3) * u) + tiny;
}

/* Scores and weights of query i. */
static void row_weights(struct head *w, size_t i)
{
    const sl_attention *a = &w->r->a;
    const double *q = w->r->q + at(a, a->Lq, w->b, i, w->h);
    for (size_t j = 0; j < w->n; j++) {
        const struct ref_value qk = dot(w->r, q, w->r->k + at(a, a->Lk, w->b, w->keys[j], w->h));
        const double terms = (double)a->K + 4 + shared_terms(w->r);
        const double e = qk.err * w->scale + terms * u * fabs(w->bias);
        w->s[j] = (struct ref_value){qk.x * w->scale + w->bias, e};
        if (a->phi != SL_PHI_SOFTMAX)
            w->p[j] = (struct ref_value){ref_h(a->phi, w->s[j].x), h_error(a->phi, w->s[j].x, e)};
    }
    if (a->phi == SL_PHI_SOFTMAX && w->n > 0)
        softmax_weights(w);
}

/* out[d] += weight * x[d]; the bound collects the weight's error and `terms` u of each term. */
static void add_row(const struct ref *r, struct ref_value *out, struct ref_value weight,
                    const double *x, double terms)
{
    const struct ref_value w = as_operand(r, weight);
    for (size_t d = 0; d < r->a.K; d++) {
        out[d].x += w.x * x[d];
        out[d].err += (w.err + (terms + 4) * u * fabs(w.x)) * fabs(x[d]) +
                      (fabs(w.x) + w.err) * lost(r, x[d]) + smallest(r);
    }
}

/* What the smallest sums lose when they are made before `left` [K] is multiplied. */
static void add_smallest(const struct ref *r, struct ref_value *out, const double *left)
{
    double size = 0;
    if (!r->reassociated)
        return;
    for (size_t d = 0; d < r->a.K; d++)
        size += fabs(left[d]);
    for (size_t d = 0; d < r->a.K; d++)
        out[d].err += (shared_terms(r) + 4) * smallest(r) * size;
}

/* One product, and with denormals as zero the result's conversion. */
static void finish(const struct ref *r, struct ref_value *x, double factor)
{
    for (size_t i = 0; i < r->a.K; i++) {
        x[i].x *= factor;
        x[i].err = x[i].err * fabs(factor) + 2 * smallest(r);
    }
}

static void clear(struct ref_value *x, size_t n)
{
    memset(x, 0, n * sizeof *x);
}

void ref_forward(struct ref *r)
{
    const sl_attention *a = &r->a;
    clear(r->o, a->B * a->Lq * a->H * a->K);
    for (size_t bh = 0; bh < a->B * a->H; bh++) {
        struct head w;
        head_open(&w, r, bh / a->H, bh % a->H);
        for (size_t i = 0; i < a->Lq && w.n > 0; i++) {
            struct ref_value *o = r->o + at(a, a->Lq, w.b, i, w.h);
            row_weights(&w, i);
            for (size_t j = 0; j < w.n; j++)
                add_row(r, o, w.p[j], r->v + at(a, a->Lk, w.b, w.keys[j], w.h), (double)w.n);
            add_smallest(r, o, r->q + at(a, a->Lq, w.b, i, w.h));
            finish(r, o, w.c);
        }
        head_close(&w);
    }
}

/* dS of one row from dP (in `g`), in place; without c. */
static void row_gradient(const struct head *w, struct ref_value *g)
{
    const sl_phi phi = w->r->a.phi;
    struct ref_value mean = {0, 0};
    for (size_t j = 0; j < w->n && phi == SL_PHI_SOFTMAX; j++) {
        mean.x += w->p[j].x * g[j].x;
        mean.err += w->p[j].err * fabs(g[j].x) + w->p[j].x * g[j].err +
                    ((double)w->n + 3) * u * w->p[j].x * fabs(g[j].x);
    }
    for (size_t j = 0; j < w->n; j++) {
        const double s = w->s[j].x, centred = g[j].x - mean.x;
        struct ref_value d = {ref_dh(phi, s), dh_error(phi, s, w->s[j].err)};
        double err = g[j].err;
        if (phi == SL_PHI_SOFTMAX) {
            d = w->p[j];
            err += mean.err + u * fabs(centred);
        }
        g[j].err = fabs(d.x) * err + d.err * (fabs(centred) + err) + u * fabs(d.x * centred);
        g[j].x = d.x * centred;
    }
}

void ref_backward(struct ref *r)
{
    const sl_attention *a = &r->a;
    const size_t nq = a->B * a->Lq * a->H * a->K, nk = a->B * a->Lk * a->H * a->K;
    struct ref_value *g = get(a->Lk, sizeof *g);
    clear(r->dq, nq);
    clear(r->dk, nk);
    clear(r->dv, nk);
    for (size_t bh = 0; bh < a->B * a->H; bh++) {
        struct head w;
        head_open(&w, r, bh / a->H, bh % a->H);
        const double lq = (double)a->Lq, n = (double)w.n;
        for (size_t i = 0; i < a->Lq && w.n > 0; i++) {
            const size_t row = at(a, a->Lq, w.b, i, w.h);
            row_weights(&w, i);
            for (size_t j = 0; j < w.n; j++)
                g[j] = dot(r, r->d_o + row, r->v + at(a, a->Lk, w.b, w.keys[j], w.h));
            row_gradient(&w, g);
            for (size_t j = 0; j < w.n; j++) {
                const size_t key = at(a, a->Lk, w.b, w.keys[j], w.h);
                add_row(r, r->dv + key, w.p[j], r->d_o + row, lq);
                add_row(r, r->dq + row, g[j], r->k + key, n + 1);
                add_row(r, r->dk + key, g[j], r->q + row, lq + 1);
            }
            add_smallest(r, r->dq + row, r->d_o + row);
            finish(r, r->dq + row, w.c * w.scale);
        }
        for (size_t j = 0; j < w.n; j++) {
            const size_t key = at(a, a->Lk, w.b, w.keys[j], w.h);
            add_smallest(r, r->dv + key, r->k + key);
            add_smallest(r, r->dk + key, r->v + key);
            finish(r, r->dv + key, w.c);
            finish(r, r->dk + key, w.c * w.scale);
        }
        head_close(&w);
    }
    free(g);
}
