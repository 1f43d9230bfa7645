/*
 * Figures of one head from its weights P on one image (softless.h says what each is). Negative
 * weights, which identity, gelu and silu have, count by their size in entropy and distance.
 */
#include <math.h>
#include <string.h>

#include "eval/explain.h"

struct sl_token_grid sl_token_grid_of(const struct sl_vit_config *vit)
{
    const size_t rows = vit->image_height / vit->patch, columns = vit->image_width / vit->patch;
    const size_t length = sl_vit_tokens(vit);
    return (struct sl_token_grid){.length = length,
                                  .prefix = length - rows * columns,
                                  .rows = rows,
                                  .columns = columns,
                                  .patch = vit->patch,
                                  .class_query = vit->pool == SL_POOL_TOK};
}

/* One row of P. */
struct row {
    double mass, size; /* sum P_ij, sum |P_ij| */
    double entropy;    /* of |P_ij| / size, nats */
    size_t zeros;
};

static struct row sum_row(const float *p, size_t n)
{
    struct row x = {0};
    double log_sum = 0;
    for (size_t j = 0; j < n; j++) {
        const double size = fabs((double)p[j]);
        x.mass += (double)p[j];
        x.size += size;
        x.zeros += p[j] == 0.0f;
        if (size > 0)
            log_sum += size * log(size);
    }
    if (x.size > 0)
        x.entropy = fmax(log(x.size) - log_sum / x.size, 0);
    return x;
}

/* Mean distance, in pixels, from patch i to what it looks at; NaN if that is nothing. p: weights of
 * the patches. */
static double distance_of(const struct sl_token_grid *g, size_t i, const float *p)
{
    const double y = (double)(i / g->columns), x = (double)(i % g->columns);
    double sum = 0, size = 0;
    for (size_t r = 0; r < g->rows; r++)
        for (size_t c = 0; c < g->columns; c++) {
            const double w = fabs((double)p[r * g->columns + c]);
            size += w;
            sum += w * hypot((double)r - y, (double)c - x);
        }
    return size > 0 ? (double)g->patch * sum / size : NAN;
}

void sl_head_figures_of(const struct sl_token_grid *g, const float *weights, sl_head_figures *out)
{
    const size_t L = g->length;
    sl_head_figures x = {.mass_min = INFINITY, .mass_max = -INFINITY};
    size_t alive = 0, far = 0;
    for (size_t i = 0; i < L; i++) {
        const float *p = weights + i * L;
        const struct row row = sum_row(p, L);
        x.mass += row.mass;
        x.mass_min = fmin(x.mass_min, row.mass);
        x.mass_max = fmax(x.mass_max, row.mass);
        x.zeros += (double)row.zeros;
        x.entropy += row.entropy;
        alive += row.size > 0;
        const double d = i < g->prefix ? NAN : distance_of(g, i - g->prefix, p + g->prefix);
        if (!isnan(d)) {
            x.distance += d;
            far++;
        }
    }
    x.mass /= (double)L;
    x.zeros /= (double)L * (double)L;
    x.dead_rows = (double)(L - alive) / (double)L;
    x.entropy = alive == 0 ? NAN : L == 1 ? 1 : x.entropy / ((double)alive * log((double)L));
    x.distance = far == 0 ? NAN : x.distance / (double)far;
    *out = x;
}

void sl_head_map_of(const struct sl_token_grid *g, const float *weights, float *map)
{
    const size_t n = g->rows * g->columns;
    memset(map, 0, n * sizeof *map);
    const size_t first = g->class_query ? 0 : g->prefix, end = g->class_query ? 1 : g->length;
    for (size_t i = first; i < end; i++)
        for (size_t j = 0; j < n; j++)
            map[j] += weights[i * g->length + g->prefix + j] / (float)(end - first);
}
