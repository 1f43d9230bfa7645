/*
 * Looking into attention: tapped weights multiply the values to what the pass itself made of them,
 * figures of weights that are known, the picture's colours.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bf16.h"
#include "eval/explain.h"
#include "model/net.h"
#include "support_model.h"

static double at(const void *p, size_t i, sl_dtype type)
{
    return type == SL_BF16 ? (double)sl_bf16_to_f32(((const uint16_t *)p)[i])
                           : (double)((const float *)p)[i];
}

struct seen {
    struct tiny *tiny;
    size_t calls;
};

/* sum_j P_ij v_jd of one element, and how far rounding may take the two ways to it apart: u of
 * every weight and of every sum of K and of L terms, where a score is off by K u sum |q k| scale at
 * most and |h'| and the derivative of exp by the score are at most 1.13 |or the weight itself|. */
static double expected(const struct sl_net *net, const struct sl_attn_args *args, size_t head,
                       size_t i, size_t d, const float *p, double *spread)
{
    const sl_attention *a = &args->a;
    const double u = net->type == SL_BF16 ? 0x1p-8 : 0x1p-24;
    double sum = 0, size = 0;
    for (size_t j = 0; j < net->L; j++) {
        const double v = at(a->v, j * a->v_strides.token + head * net->K + d, net->type);
        double s = 0;
        for (size_t k = 0; k < net->K; k++)
            s += fabs(at(a->q, i * a->q_strides.token + head * net->K + k, net->type) *
                      at(a->k, j * a->k_strides.token + head * net->K + k, net->type));
        s /= sqrt((double)net->K);
        sum += (double)p[j] * v;
        size += (fabs((double)p[j]) * (3 + s) + 1.13 * s) * fabs(v);
    }
    *spread = u * (double)(net->K + net->L + 3) * size;
    return sum;
}

/* P of the tap times v is what the fused op left in att. */
static sl_status multiply(void *user, size_t block, size_t head, const float *weights)
{
    struct seen *seen = user;
    const struct sl_net *net = seen->tiny->net;
    const struct sl_attn_args args = sl_net_attn_args(net, block);
    assert_int_equal(seen->calls, block * net->H + head);
    seen->calls++;
    for (size_t i = 0; i < net->L; i++)
        for (size_t d = 0; d < net->K; d++) {
            double spread;
            const double want = expected(net, &args, head, i, d, weights + i * net->L, &spread);
            const double got = at(args.o, i * net->D + head * net->K + d, net->type);
            if (!(fabs(got - want) <= spread))
                fail_msg("block %zu head %zu query %zu element %zu: %g, from the weights %g +- %g",
                         block, head, i, d, got, want, spread);
        }
    return SL_OK;
}

static void tap(const struct sl_vit_config *vit, sl_dtype type)
{
    struct tiny t;
    struct seen seen = {.tiny = &t};
    const struct sl_weights_sink sink = {.take = multiply, .user = &seen};
    float before[TINY_BATCH * TINY_CLASSES], after[TINY_BATCH * TINY_CLASSES];
    tiny_open(&t, vit, type, false, 1, 0.3);
    tiny_pass(&t, before, false);
    OK(sl_net_tap_weights(t.net, &sink));
    tiny_pass(&t, after, false);
    assert_int_equal(seen.calls, vit->depth * vit->heads);
    assert_memory_equal(before, after, sizeof before); /* looking changes nothing */
    OK(sl_net_tap_weights(t.net, NULL));
    tiny_pass(&t, after, false);
    assert_int_equal(seen.calls, vit->depth * vit->heads);
    tiny_close(&t);
}

static void test_tap(void **state)
{
    (void)state;
    for (sl_phi phi = 0; phi < SL_PHI_COUNT; phi++) {
        struct sl_vit_config vit = tiny_config();
        vit.phi = phi;
        tap(&vit, SL_F32);
        vit = tiny_config_full();
        vit.phi = phi;
        tap(&vit, SL_F32);
    }
    struct sl_vit_config vit = tiny_config();
    vit.image_height = 40; /* L = 30: several calls of K = 10 keys a head */
    tap(&vit, SL_F32);
    tap(&vit, SL_BF16);
    vit.pool = SL_POOL_TOK; /* and a last call of one key */
    tap(&vit, SL_F32);
}

static sl_status refuse(void *user, size_t block, size_t head, const float *weights)
{
    (void)user, (void)block, (void)head, (void)weights;
    return SL_ERR_IO;
}

static void test_sink_fails(void **state)
{
    (void)state;
    const struct sl_vit_config vit = tiny_config();
    const struct sl_weights_sink sink = {.take = refuse};
    const float *logits;
    struct tiny t;
    tiny_open(&t, &vit, SL_F32, false, 1, 0.3);
    OK(sl_net_tap_weights(t.net, &sink));
    assert_int_equal(sl_net_forward(t.net, t.images, TINY_BATCH, 1, &logits), SL_ERR_IO);
    tiny_close(&t);
}

/* One class token and 2 x 3 patches of 4 pixels. */
static const struct sl_token_grid grid = {
    .length = 7, .prefix = 1, .rows = 2, .columns = 3, .patch = 4, .class_query = true};

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12)) /* sums of at most 49 doubles of size 1 to 20 */
        fail_msg("%.17g instead of %.17g", got, want);
}

static void test_figures(void **state)
{
    (void)state;
    float p[49], map[6];
    sl_head_figures x;
    for (size_t i = 0; i < 49; i++)
        p[i] = 0.25f;
    sl_head_figures_of(&grid, p, &x);
    near(x.mass, 1.75);
    near(x.mass_min, 1.75);
    near(x.mass_max, 1.75);
    near(x.entropy, 1);
    near(x.zeros, 0);
    near(x.dead_rows, 0);
    /* from a corner patch 0 1 2 1 sqrt2 sqrt5, from a middle one 1 0 1 sqrt2 1 sqrt2 */
    near(x.distance, 4 * (4 * (4 + sqrt(2) + sqrt(5)) + 2 * (3 + 2 * sqrt(2))) / 36);

    memset(p, 0, sizeof p);
    for (size_t i = 0; i < 7; i++)
        p[i * 7 + i] = i == 3 ? 0.0f : i == 0 ? -2.0f : 1.0f;
    p[1] = 6; /* the class token looks at the first patch */
    sl_head_figures_of(&grid, p, &x);
    near(x.mass, 9.0 / 7);
    near(x.mass_min, 0);
    near(x.mass_max, 4);
    near(x.zeros, 42.0 / 49);
    near(x.dead_rows, 1.0 / 7);
    near(x.distance, 0);
    near(x.entropy, -(0.25 * log(0.25) + 0.75 * log(0.75)) / (6 * log(7)));
    sl_head_map_of(&grid, p, map);
    near((double)map[0], 6);
    for (size_t i = 1; i < 6; i++)
        near((double)map[i], 0);

    memset(p, 0, sizeof p);
    sl_head_figures_of(&grid, p, &x);
    near(x.dead_rows, 1);
    near(x.zeros, 1);
    assert_true(isnan(x.entropy) && isnan(x.distance));
}

static void test_picture(void **state)
{
    (void)state;
    static const uint8_t orange[3] = {230, 159, 0}, blue[3] = {0, 114, 178},
                         white[3] = {255, 255, 255};
    struct sl_image image = {0}, picture = {0};
    /* two blocks, one head; a dead head and one with a negative weight */
    const float maps[12] = {0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, -2};
    OK(sl_image_resize_buffer(&image, 8, 12));
    memset(image.pixels, 100, 8 * 12 * 3);
    OK(sl_attention_picture(&image, &grid, 2, 1, maps, &picture));
    /* cells of 75 x 112 pixels, 4 between them */
    assert_int_equal(picture.h, 4 + 2 * 79);
    assert_int_equal(picture.w, 4 + 2 * 116);
    const uint8_t *cell = picture.pixels + ((size_t)(4 + 79) * picture.w + 4 + 116) * 3;
    assert_memory_equal(cell, orange, 3);
    assert_memory_equal(cell + (74 * picture.w + 111) * 3, blue, 3);
    assert_memory_equal(cell + 112 * 3, white, 3);
    const uint8_t dim[3] = {45, 45, 45};
    assert_memory_equal(cell + 60 * 3, dim, 3);
    assert_memory_equal(picture.pixels + ((size_t)4 * picture.w + 4 + 116) * 3, dim, 3);
    sl_image_free(&image);
    sl_image_free(&picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tap),
        cmocka_unit_test(test_sink_fails),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
