/*
 * Cutting a matrix product into tasks. A task should be large enough to pay for its packing, small
 * enough that a few dozen exist, and its operands should fit the second-level cache.
 */
#include "ops/cpu/gemm_plan.h"

#include "base/checked.h"

enum {
    ROWS = 112,             /* of a block whose A is not transposed */
    TASKS = 24,             /* enough to keep a dozen threads evenly busy */
    TASKS_LONG = 8,         /* the same with transposed A, where large blocks matter more */
    ROWS_LONG = 48,         /* with transposed A rows are halved down to this before columns */
    CHUNK_K = 256,          /* the least k that pays for a partial tile's round trip */
    CHUNK_AREA = 192,       /* squares of this side that make a product rich in tiles */
    RANGE_FLOATS = 4 << 20, /* of B packed at once for a weight gradient: 16 MB */
    RANGE_K = 1024,         /* a range is a multiple of this */
    DIRECT_STRIDE = 384     /* floats between rows of an operand that is read where it lies though
                             * its rows run along k: more would need a page for every few k */
};

static const size_t least_task = 512 * 1024; /* multiply-adds: a few microseconds */

static size_t tasks_of(const struct sl_gemm_plan *p)
{
    return p->chunks * sl_gemm_ceil(p->m_tiles, p->block_m) * sl_gemm_ceil(p->n_tiles, p->block_n);
}

static void choose_chunks(const struct sl_gemm_args *a, struct sl_gemm_plan *p)
{
    p->chunks = 1;
    const size_t squares = sl_gemm_ceil(a->m, CHUNK_AREA) * sl_gemm_ceil(a->n, CHUNK_AREA);
    if (a->a_t && squares < 16) {
        const size_t wanted = sl_gemm_ceil(16, squares), most = a->k / CHUNK_K;
        p->chunks = most < 1 ? 1 : wanted < most ? wanted : most;
    }
    const size_t unit = p->kernels->k_unit;
    p->chunk_k = sl_gemm_ceil(sl_gemm_ceil(a->k, p->chunks), unit) * unit;
    if (p->chunk_k > 0)
        p->chunks = sl_gemm_ceil(a->k, p->chunk_k);
    p->k_passes = sl_gemm_ceil(p->chunk_k, a->a_t ? p->kernels->long_kc : p->kernels->kc);
    if (p->k_passes == 0)
        p->k_passes = 1;
    p->k_step = sl_gemm_ceil(sl_gemm_ceil(p->chunk_k, p->k_passes), unit) * unit;
    p->k_passes = p->k_step > 0 ? sl_gemm_ceil(p->chunk_k, p->k_step) : 1;
    p->k_packed = sl_gemm_ceil(a->k, unit) * unit;
}

static void choose_blocks(const struct sl_gemm_args *a, struct sl_gemm_plan *p)
{
    const size_t mr = p->kernels->mr, nr = p->kernels->nr;
    p->block_m = sl_gemm_ceil(a->a_t ? p->kernels->long_rows : ROWS, mr);
    p->block_n = sl_gemm_ceil(a->a_t ? p->kernels->long_columns : p->kernels->columns, nr);
    if (p->block_m > p->m_tiles)
        p->block_m = p->m_tiles;
    if (p->block_n > p->n_tiles)
        p->block_n = p->n_tiles;
    const size_t enough = a->a_t ? TASKS_LONG : TASKS;
    while (tasks_of(p) < enough &&
           p->block_m * mr * p->block_n * nr * p->chunk_k >= 2 * least_task) {
        const size_t rows = p->block_m * mr, columns = p->block_n * nr;
        const bool rows_first = a->a_t ? rows > ROWS_LONG : rows >= columns;
        if (p->block_n > 1 && !rows_first)
            p->block_n = sl_gemm_ceil(p->block_n, 2);
        else if (p->block_m > 1)
            p->block_m = sl_gemm_ceil(p->block_m, 2);
        else
            break;
    }
    p->blocks_m = sl_gemm_ceil(p->m_tiles, p->block_m);
    p->blocks_n = sl_gemm_ceil(p->n_tiles, p->block_n);
    p->block_m = sl_gemm_ceil(p->m_tiles, p->blocks_m); /* of equal size */
    p->block_n = sl_gemm_ceil(p->n_tiles, p->blocks_n);
}

static void choose_operands(const struct sl_gemm_args *a, struct sl_gemm_plan *p)
{
    if (a->type == SL_F32)
        p->a_direct = a->a_t ? a->lda <= DIRECT_STRIDE : !a->a_sum;
    else
        p->a_direct =
            p->kernels->reads_rows && !a->a_t && !a->a_sum && a->k % p->kernels->k_unit == 0;
    if (!a->b_packed && !a->b_t && a->type == SL_F32 && a->ldb <= DIRECT_STRIDE &&
        a->n % p->kernels->nr == 0)
        p->b = SL_GEMM_B_DIRECT;
    else if (a->b_packed && (a->type == SL_F32 || p->kernels->bf16))
        p->b = SL_GEMM_B_READY;
    else if (!a->b_packed && p->blocks_m > 1)
        p->b = SL_GEMM_B_ONCE;
    else
        p->b = SL_GEMM_B_LOCAL;
}

size_t sl_gemm_range(const struct sl_gemm_args *a)
{
    const bool divisible = a->a_t && !a->b_t && !a->b_packed && a->epilogue == SL_EPI_NONE &&
                           a->c_type == SL_F32 && a->k > 0;
    const size_t range = RANGE_FLOATS / a->n;
    if (!divisible || range >= a->k)
        return a->k;
    return range < RANGE_K ? RANGE_K : range / RANGE_K * RANGE_K;
}

sl_status sl_gemm_plan_make(const struct sl_gemm_args *a, const struct sl_gemm_kernels *kernels,
                            struct sl_gemm_plan *plan)
{
    struct sl_gemm_plan p = {.kernels = kernels};
    const size_t mr = kernels->mr, nr = kernels->nr;
    size_t panels, area;
    if (!sl_size_mul(sl_gemm_ceil(a->n, nr) * nr, a->k + kernels->k_unit, &panels) ||
        !sl_size_mul(sl_gemm_ceil(a->n, nr) * nr, sl_gemm_ceil(a->m, mr) * mr, &area))
        SL_FAIL(SL_ERR_ARGUMENT, "matrix product of %zu x %zu x %zu overflows size_t", a->m, a->n,
                a->k);
    p.m_tiles = sl_gemm_ceil(a->m, mr);
    p.n_tiles = sl_gemm_ceil(a->n, nr);
    choose_chunks(a, &p);
    choose_blocks(a, &p);
    choose_operands(a, &p);
    p.a_panel = kernels->a_floats * p.k_step + SL_GEMM_PANEL_GAP;
    p.b_panel = kernels->b_floats * p.k_step + SL_GEMM_PANEL_GAP;
    const size_t block_tiles = p.block_m * p.block_n * mr * nr;
    p.shared_b = p.b == SL_GEMM_B_ONCE ? panels : 0; /* enough for either size of element */
    p.shared_tiles = p.chunks > 1 ? p.chunks * area : 0;
    p.shared_sums = p.chunks > 1 && a->a_sum ? p.chunks * p.m_tiles * mr : 0;
    p.worker_sums = a->a_sum && p.chunks == 1 ? p.block_m * mr : 0;
    p.worker_a = p.a_direct ? 0 : p.block_m * p.a_panel;
    p.worker_b = p.b == SL_GEMM_B_LOCAL ? p.block_n * p.b_panel : 0;
    p.worker_tiles = p.chunks == 1 && p.k_passes > 1 ? block_tiles : 0;
    *plan = p;
    return SL_OK;
}
