/*
 * attention: the attention operator by itself, forward and backward, on buffers of the caller.
 *
 *     cc attention.c $(pkg-config --cflags --libs softless) -lm -o attention
 *     ./attention relu        # or softmax, relu2, gelu, softplus, identity, relu6, sigmoid
 *
 * q, k and v lie in one packed projection [B, L, 3, H, K], as a ViT's qkv layer leaves them: no
 * copy is made, the strides say where each begins. The last tokens of the second image are padding.
 * The gradients go into a packed buffer of the same layout. To show that they are the gradients,
 * the sum of the outputs is compared with its change when one score's query moves a little.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <softless.h>

enum { B = 2, L = 20, H = 3, K = 16, VALID = 13, QKV = 3 * H * K };

static int fail(const char *what)
{
    fprintf(stderr, "attention: %s: %s\n", what, sl_error_message());
    return EXIT_FAILURE;
}

/* A fixed sequence of values in -1 .. 1. */
static void fill(float *x, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
    }
}

/* sum o * weight over [B, L, H, K]; its gradient by o is weight. */
static double objective(const float *o, const float *weight)
{
    double sum = 0;
    for (size_t i = 0; i < B * L * H * K; i++)
        sum += (double)o[i] * (double)weight[i];
    return sum;
}

int main(int argc, char **argv)
{
    static float qkv[B * L * QKV], d_qkv[B * L * QKV];              /* [B, L, 3, H, K] */
    static float o[B * L * H * K], d_o[B * L * H * K];              /* [B, L, H, K] */
    static uint8_t key_mask[B * L];                                 /* [B, L] */
    const sl_strides packed = {(size_t)L * QKV, QKV, K};            /* of q, k, v */
    const sl_strides plain = {(size_t)L * H * K, (size_t)H * K, K}; /* of o */
    const sl_context_options options = SL_CONTEXT_OPTIONS_INIT;
    sl_context *ctx = NULL;
    sl_attention a = {.alpha = 1,
                      .dtype = SL_F32,
                      .B = B,
                      .H = H,
                      .Lq = L,
                      .Lk = L,
                      .K = K,
                      .q = qkv,
                      .k = qkv + H * K,
                      .v = qkv + 2 * H * K,
                      .q_strides = packed,
                      .k_strides = packed,
                      .v_strides = packed,
                      .key_mask = key_mask};
    const sl_attention_grads g = {.d_o = d_o,
                                  .o_strides = plain,
                                  .dq = d_qkv,
                                  .dk = d_qkv + H * K,
                                  .dv = d_qkv + 2 * H * K,
                                  .dq_strides = packed,
                                  .dk_strides = packed,
                                  .dv_strides = packed};
    fill(qkv, sizeof qkv / sizeof qkv[0], 1);
    fill(d_o, sizeof d_o / sizeof d_o[0], 2);
    for (size_t i = 0; i < B * L; i++)
        key_mask[i] = i < L || i - L < VALID;

    if (sl_phi_parse(argc > 1 ? argv[1] : "relu", &a.phi) != SL_OK)
        return fail("phi");
    if (sl_context_open(&options, &ctx) != SL_OK)
        return fail("context");
    sl_status st = sl_attention_forward(ctx, &a, o, plain);
    const double before = objective(o, d_o);
    if (st == SL_OK)
        st = sl_attention_backward(ctx, &a, &g);
    printf("phi %s on %s: o[0] = %.6f, dq[0] = %.6f\n", sl_phi_name(a.phi), sl_context_isa(ctx),
           (double)o[0], (double)d_qkv[0]);

    /* Along v the operator is linear: the change of the objective is the gradient, up to rounding.
     */
    const size_t at = 2 * H * K + 5;
    const float step = 0.5f;
    qkv[at] += step;
    if (st == SL_OK)
        st = sl_attention_forward(ctx, &a, o, plain);
    if (st != SL_OK) {
        sl_context_close(&ctx);
        return fail("attention");
    }
    const double change = (objective(o, d_o) - before) / (double)step;
    printf("dv by the backward pass %.6f, by differences %.6f\n", (double)d_qkv[at], change);
    /* Padded keys get no gradient. */
    const size_t padded = ((size_t)L + VALID) * QKV + H * K;
    printf("dk of a padded key %g\n", (double)d_qkv[padded]);
    sl_context_close(&ctx);
    /* o is rounded at 2^-24 of sums below 1, and the objective adds B L H K of them. */
    return fabs(change - (double)d_qkv[at]) < 1e-4 && d_qkv[padded] == 0 ? EXIT_SUCCESS
                                                                         : EXIT_FAILURE;
}
