/*
 * Ridge regression on one-hot targets. big_vision decomposes the smaller of X^T X and X X^T into
 * eigenvectors; with one fixed l2 > 0 the shifted matrix is positive definite and a Cholesky solve
 * gives the same weights (compared in tests/golden/test_probe.c). Every number is one chain of sums
 * in a fixed order.
 */
#include <math.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/threads.h"
#include "eval/probe.h"

/* ---- products ---- */

enum { ROWS = 4, COLS = 8 }; /* a tile of sums that registers hold */

/* One tile of at most ROWS x COLS, whose sums run over all of k. */
static void tile(const struct sl_product *p, size_t i0, size_t j0)
{
    const size_t rows = p->m - i0 < ROWS ? p->m - i0 : ROWS;
    const size_t cols = p->n - j0 < COLS ? p->n - j0 : COLS;
    double sum[ROWS][COLS] = {{0}};
    for (size_t t = 0; t < p->k; t++) {
        const double *b = p->b + t * p->n + j0;
        double a[ROWS] = {0}, line[COLS] = {0};
        for (size_t i = 0; i < rows; i++)
            a[i] = p->a[t * p->a_k + (i0 + i) * p->a_m];
        for (size_t j = 0; j < cols; j++)
            line[j] = b[j];
        for (size_t i = 0; i < ROWS; i++)
            for (size_t j = 0; j < COLS; j++)
                sum[i][j] += a[i] * line[j];
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            p->c[(i0 + i) * p->n + j0 + j] = sum[i][j];
}

static void product_task(void *arg, size_t task, size_t worker)
{
    const struct sl_product *p = arg;
    (void)worker;
    for (size_t j = 0; j < p->n; j += COLS)
        tile(p, task * ROWS, j);
}

void sl_product_run(int threads, const struct sl_product *product)
{
    struct sl_product p = *product;
    sl_parallel_for(threads, (p.m + ROWS - 1) / ROWS, product_task, &p);
}

/* ---- Cholesky ---- */

/* a [n, n] symmetric -> its upper triangle U with a = U^T U; false if it is not positive definite,
 * which l2 > 0 leaves only to numbers that are not finite. */
static bool factor(size_t n, double *a)
{
    for (size_t k = 0; k < n; k++) {
        double *row = a + k * n;
        if (!(row[k] > 0) || !isfinite(row[k]))
            return false;
        const double scale = 1 / sqrt(row[k]);
        for (size_t j = k; j < n; j++)
            row[j] *= scale;
        for (size_t i = k + 1; i < n; i++) {
            double *below = a + i * n;
            const double x = row[i];
            for (size_t j = i; j < n; j++)
                below[j] -= x * row[j];
        }
    }
    return true;
}

/* b [n, m] := (U^T U)^-1 b, row by row. */
static void substitute(size_t n, size_t m, const double *u, double *b)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < m; j++)
            b[i * m + j] /= u[i * n + i];
        for (size_t r = i + 1; r < n; r++)
            for (size_t j = 0; j < m; j++)
                b[r * m + j] -= u[i * n + r] * b[i * m + j];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t j = 0; j < m; j++)
            b[i * m + j] /= u[i * n + i];
        for (size_t r = 0; r < i; r++)
            for (size_t j = 0; j < m; j++)
                b[r * m + j] -= u[r * n + i] * b[i * m + j];
    }
}

/* ---- ridge ---- */

static double *matrix(size_t rows, size_t cols)
{
    size_t count;
    if (!sl_size_mul(rows, cols, &count))
        count = SIZE_MAX; /* refused by sl_calloc, which records the error */
    return sl_calloc(count, sizeof(double));
}

static void transpose(size_t rows, size_t cols, const double *a, double *t)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            t[j * rows + i] = a[i * cols + j];
}

/* rhs := (gram + l2)^-1 rhs [n, classes]; gram is overwritten. */
static sl_status solve(const struct sl_ridge *r, size_t n, double *gram, double *rhs)
{
    for (size_t i = 0; i < n; i++)
        gram[i * n + i] += r->l2;
    if (!factor(n, gram))
        SL_FAIL(SL_ERR_DATA, "the probe's features are not finite; the model is damaged or has "
                             "diverged");
    substitute(n, r->classes, gram, rhs);
    return SL_OK;
}

sl_status sl_ridge_solve(int threads, const struct sl_ridge *r)
{
    const size_t n = r->n, p = r->p, side = n < p ? n : p;
    double *y = matrix(n, r->classes), *gram = matrix(side, side);
    double *xt = n < p ? matrix(p, n) : NULL;
    sl_status st = y && gram && (xt || n >= p) ? SL_OK : SL_ERR_MEMORY;
    if (st != SL_OK)
        goto fail;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < r->classes; c++)
            y[i * r->classes + c] = (size_t)r->labels[i] == c ? 1 : -1;
    const struct sl_product xty = {
        .m = p, .n = r->classes, .k = n, .a = r->x, .a_k = p, .a_m = 1, .b = y, .c = r->w};
    if (n >= p) {
        sl_product_run(threads, &xty);
        sl_product_run(
            threads,
            &(struct sl_product){
                .m = p, .n = p, .k = n, .a = r->x, .a_k = p, .a_m = 1, .b = r->x, .c = gram});
        SL_TRY_FREE(solve(r, p, gram, r->w));
    } else {
        transpose(n, p, r->x, xt);
        sl_product_run(
            threads,
            &(struct sl_product){
                .m = n, .n = n, .k = p, .a = r->x, .a_k = 1, .a_m = p, .b = xt, .c = gram});
        SL_TRY_FREE(solve(r, n, gram, y));
        sl_product_run(threads, &xty);
    }
fail:
    sl_free(y);
    sl_free(gram);
    sl_free(xt);
    return st;
}
