/*
 * Matrix products on the CPU. Enters: the operands of ops.h; leaves: C with its epilogue applied
 * while each tile is in cache. The work is cut by gemm_plan.c, the arithmetic is in
 * kernels/gemm_kernels.h; this file walks the blocks of a task.
 */
#include <string.h>

#include "ops/cpu/cpu.h"
#include "ops/cpu/gemm_plan.h"

/* One product in flight. Pointers into scratch are NULL-sized where the plan needs none. */
struct run {
    const struct sl_gemm_args *args;
    struct sl_gemm_plan plan;
    struct sl_cpu_scratch scratch;
    size_t groups; /* of rows, see place_of */
    float *panels; /* [n_tiles][k, nr] if B is packed once */
    float *tiles;  /* [chunks][m_tiles][n_tiles][mr, nr] partial sums */
    float *sums;   /* [chunks][m_tiles][mr] partial sums of A */
};

/* What one task works on, and its worker's buffers. */
struct block {
    size_t chunk, m0, m1, n0, n1; /* tiles [m0, m1) x [n0, n1) */
    size_t n_last, n_next;        /* n0 of the tasks before and after */
    float *tile;                  /* [mr, nr] */
    float *sums;                  /* [m1-m0][mr] */
    float *a;                     /* [m1-m0][k_step, mr] */
    float *b;                     /* [n1-n0][k_step, nr] */
    float *tiles;                 /* [m1-m0][n1-n0][mr, nr] */
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t element_size(sl_dtype type)
{
    return type == SL_BF16 ? 2 : 4;
}

/* ---- packing ---- */

/* Panels [j0, j1) of op(b), k in [k0, k0+k), to `panel` floats apart. */
static void pack_b(const struct run *r, size_t j0, size_t j1, size_t k0, size_t k, float *dst,
                   size_t panel)
{
    const struct sl_gemm_args *a = r->args;
    const struct sl_gemm_kernels *kernels = r->plan.kernels;
    const size_t nr = kernels->nr, size = element_size(a->type);
    struct sl_gemm_pack p = {.k = k, .bf16 = a->type == SL_BF16, .dst = dst, .panel = panel};
    if (!a->b_packed) {
        const size_t at = a->b_t ? j0 * nr * a->ldb + k0 : k0 * a->ldb + j0 * nr;
        p.lanes = least(j1 * nr, a->n) - j0 * nr;
        p.src = (const char *)a->b + at * size;
        p.ld = a->ldb;
        p.crossed = a->b_t;
        kernels->pack_b(&p);
        return;
    }
    p.lanes = p.ld = nr;
    for (size_t j = j0; j < j1; j++, p.dst += panel) {
        p.src = (const char *)a->b_packed + (j * a->k + k0) * nr * size;
        kernels->pack_b(&p);
    }
}

static void pack_panel_task(void *arg, size_t task, size_t worker)
{
    struct run *r = arg;
    (void)worker;
    const size_t panel = r->plan.kernels->b_floats * r->plan.k_packed;
    pack_b(r, task, task + 1, 0, r->args->k, r->panels + task * panel, panel);
}

/* The block's rows of op(a), k in [k0, k0+k), and their sums where asked for. */
static void pack_a(const struct run *r, const struct block *b, size_t k0, size_t k)
{
    const struct sl_gemm_args *a = r->args;
    const struct sl_gemm_kernels *kernels = r->plan.kernels;
    const size_t row = b->m0 * kernels->mr;
    const size_t at = a->a_t ? k0 * a->lda + row : row * a->lda + k0;
    const struct sl_gemm_pack p = {.lanes = least(b->m1 * kernels->mr, a->m) - row,
                                   .k = k,
                                   .src = (const char *)a->a + at * element_size(a->type),
                                   .ld = a->lda,
                                   .crossed = !a->a_t,
                                   .bf16 = a->type == SL_BF16,
                                   .dst = b->a,
                                   .panel = r->plan.a_panel,
                                   .sum = a->a_sum && b->n0 == 0 ? b->sums : NULL};
    kernels->pack_a(&p);
}

/* ---- tiles ---- */

/* Epilogue of tile (i, j); `biased`: the bias is in it already. */
static void finish_tile(const struct run *r, size_t i, size_t j, float *tile, bool biased)
{
    const struct sl_gemm_args *a = r->args;
    const struct sl_gemm_kernels *kernels = r->plan.kernels;
    const size_t row = i * kernels->mr, column = j * kernels->nr;
    const sl_dtype aux_type = a->epilogue == SL_EPI_RESIDUAL ? SL_F32 : a->c_type;
    const struct sl_gemm_finish f = {
        .rows = least(kernels->mr, a->m - row),
        .cols = least(kernels->nr, a->n - column),
        .r = tile,
        .bias = a->bias && !biased ? a->bias + column : NULL,
        .epilogue = a->epilogue,
        .gelu = a->gelu,
        .accumulate = a->accumulate,
        .bf16 = a->c_type == SL_BF16,
        .c = (char *)a->c + (row * a->ldc + column) * element_size(a->c_type),
        .ldc = a->ldc,
        .aux = a->aux ? (char *)a->aux + (row * a->ldaux + column) * element_size(aux_type) : NULL,
        .ldaux = a->ldaux};
    kernels->finish(&f);
}

/* The last pass of a tile whose epilogue is an addition: straight from registers into C. */
static void tile_into_c(const struct run *r, size_t row, size_t column, struct sl_gemm_tile *t)
{
    const struct sl_gemm_args *a = r->args;
    t->out = (float *)a->c + row * a->ldc + column;
    t->out_ld = a->ldc;
    t->bias = a->bias ? a->bias + column : NULL;
    if (a->accumulate) {
        t->addend = t->out;
        t->addend_ld = a->ldc;
    } else if (a->epilogue == SL_EPI_RESIDUAL) {
        t->addend = (const float *)a->aux + row * a->ldaux + column;
        t->addend_ld = a->ldaux;
    }
    r->plan.kernels->tile(t);
}

/* One tile, one pass over k: adds to the partial sums, or in the last pass finishes the tile. */
static void do_tile(const struct run *r, const struct block *b, size_t i, size_t j,
                    struct sl_gemm_tile *t, bool first, bool last)
{
    const struct sl_gemm_args *a = r->args;
    const struct sl_gemm_plan *p = &r->plan;
    const size_t mr = p->kernels->mr, nr = p->kernels->nr;
    const size_t row = i * mr, column = j * nr;
    t->rows = least(mr, a->m - row);
    t->cols = least(nr, a->n - column);
    t->out_ld = nr;
    t->bias = NULL;
    t->addend = NULL;
    if (p->chunks > 1)
        t->out = r->tiles + ((b->chunk * p->m_tiles + i) * p->n_tiles + j) * mr * nr;
    else
        t->out = b->tiles + ((i - b->m0) * (b->n1 - b->n0) + j - b->n0) * mr * nr;
    t->start = first ? NULL : t->out;
    if (p->chunks > 1 || !last) {
        p->kernels->tile(t);
        return;
    }
    const bool fused = p->kernels->fused && column + nr <= a->n;
    if (fused && a->c_type == SL_F32 && a->epilogue <= SL_EPI_RESIDUAL) {
        tile_into_c(r, row, column, t);
        return;
    }
    t->out = b->tile;
    t->bias = a->bias && fused ? a->bias + column : NULL;
    p->kernels->tile(t);
    finish_tile(r, i, j, b->tile, t->bias != NULL);
}

/* What the first `count` tiles of a pass prefetch, one line for each k, `step` bytes apart. A
 * tile's lines begin `tile` bytes after the last one's, or, every `group` tiles, in the next panel.
 */
struct ahead {
    const char *lines;
    size_t count, group, panel, tile, step;
};

enum { LINE = 64 };

/* The rows of a transposed A that the next pass packs: a tile takes one column of lines. */
static struct ahead next_rows(const struct run *r, const struct block *b, size_t k)
{
    const struct sl_gemm_args *a = r->args;
    const size_t size = element_size(a->type), mr = r->plan.kernels->mr, row = b->m0 * mr;
    if (k >= (b->chunk + 1) * r->plan.chunk_k || k >= a->k) {
        return (struct ahead){.count = 0};
    }
    const size_t bytes = (least(b->m1 * mr, a->m) - row) * size;
    return (struct ahead){.lines = (const char *)a->a + (k * a->lda + row) * size,
                          .count = bytes / LINE + 1,
                          .group = SIZE_MAX,
                          .tile = LINE,
                          .step = a->lda * size};
}

/* Weights that lie packed: those of the next pass, or of the columns that this worker takes next.
 * With few rows they come from memory, and waiting for them would cost more than a row of tiles. */
static struct ahead next_panels(const struct run *r, const struct block *b, size_t k0, size_t k)
{
    const struct sl_gemm_plan *p = &r->plan;
    const size_t row = p->kernels->b_floats * sizeof(float); /* bytes of a panel for one k */
    const bool same = k0 + k < p->k_packed;
    const size_t n0 = same ? b->n0 : b->n_next, at = same ? k0 + k : 0;
    const bool cold = same ? b->n_last != b->n0 : n0 < p->n_tiles && n0 != b->n0;
    if (p->b != SL_GEMM_B_READY || !cold) {
        return (struct ahead){.count = 0};
    }
    return (struct ahead){.lines = (const char *)r->args->b_packed + (n0 * p->k_packed + at) * row,
                          .count = (b->n1 - b->n0) * (row / LINE),
                          .group = row / LINE,
                          .panel = p->k_packed * row,
                          .tile = k * LINE,
                          .step = LINE};
}

static void look_ahead(const struct ahead *ahead, size_t tile, struct sl_gemm_tile *t)
{
    enum { DISTANCE = 4 };
    const bool next = tile < ahead->count;
    t->ahead =
        next ? ahead->lines + tile / ahead->group * ahead->panel + tile % ahead->group * ahead->tile
             : (const char *)(t->b + DISTANCE * t->b_step);
    t->ahead_step = next ? ahead->step : t->b_step * sizeof(float);
}

static void point_into_a(const struct sl_gemm_args *a, size_t row, size_t k0,
                         struct sl_gemm_tile *t)
{
    const size_t at = a->a_t ? k0 * a->lda + row : row * a->lda + k0;
    t->a = (const void *)((const char *)a->a + at * element_size(a->type));
    t->a_row = a->a_t ? 1 : a->lda;
    t->a_step = a->a_t ? a->lda : 1;
}

/* One pass over k for the whole block. In place, rows of A are best read once, and stay in L1 while
 * B's panels stream past; packed, the narrower panels of A are the cheaper stream. */
static void do_pass(const struct run *r, const struct block *b, size_t k0, size_t k, bool first,
                    bool last)
{
    const struct sl_gemm_args *a = r->args;
    const struct sl_gemm_plan *p = &r->plan;
    const size_t mr = p->kernels->mr;
    const float *panels = b->b; /* of column tile n0; the next is panel_step on */
    size_t panel_step = p->b_panel, b_step = p->kernels->nr;
    if (!p->a_direct)
        pack_a(r, b, k0, k);
    else if (a->a_sum && b->n0 == 0)
        p->kernels->sum_rows(least(b->m1 * mr, a->m) - b->m0 * mr, k,
                             (const float *)a->a + k0 * a->lda + b->m0 * mr, a->lda, b->sums);
    if (p->b == SL_GEMM_B_LOCAL) {
        pack_b(r, b->n0, b->n1, k0, k, b->b, p->b_panel);
    } else if (p->b == SL_GEMM_B_DIRECT) {
        panels = (const float *)a->b + k0 * a->ldb + b->n0 * p->kernels->nr;
        panel_step = p->kernels->nr;
        b_step = a->ldb;
    } else {
        panels = p->b == SL_GEMM_B_READY ? a->b_packed : r->panels;
        panels += (b->n0 * p->k_packed + k0) * p->kernels->b_floats;
        panel_step = p->k_packed * p->kernels->b_floats;
    }
    const struct ahead ahead = a->a_t ? next_rows(r, b, k0 + k) : next_panels(r, b, k0, k);
    const size_t rows = b->m1 - b->m0, columns = b->n1 - b->n0;
    const size_t outer = p->a_direct ? rows : columns, inner = p->a_direct ? columns : rows;
    for (size_t o = 0; o < outer; o++)
        for (size_t n = 0; n < inner; n++) {
            const size_t i = p->a_direct ? o : n, j = p->a_direct ? n : o;
            struct sl_gemm_tile t = {.k = k, .a_row = 1, .a_step = mr, .b_step = b_step};
            t.a = b->a + i * p->a_panel;
            t.b = panels + j * panel_step;
            if (p->a_direct)
                point_into_a(a, (b->m0 + i) * mr, k0, &t);
            look_ahead(&ahead, o * inner + n, &t);
            do_tile(r, b, b->m0 + i, b->n0 + j, &t, first, last);
        }
}

static void add_sums(const struct run *r, size_t m0, size_t m1, const float *sums)
{
    const struct sl_gemm_kernels *kernels = r->plan.kernels;
    for (size_t i = m0; i < m1; i++, sums += kernels->mr)
        for (size_t q = 0; q < least(kernels->mr, r->args->m - i * kernels->mr); q++)
            r->args->a_sum[i * kernels->mr + q] += sums[q];
}

struct place {
    size_t chunk, m, n; /* of a block */
};

/* The order of blocks: within a group of rows the rows go fastest, so that the columns' panels stay
 * in the cache. Every thread has a group, and finds there what it wrote as the rows of the last op.
 */
static struct place place_of(const struct run *r, size_t task)
{
    const struct sl_gemm_plan *p = &r->plan;
    const size_t blocks = p->blocks_m * p->blocks_n, in_chunk = task % blocks;
    const size_t group = in_chunk / p->blocks_n * r->groups / p->blocks_m;
    const size_t first = sl_gemm_ceil(group * p->blocks_m, r->groups);
    const size_t rows = sl_gemm_ceil((group + 1) * p->blocks_m, r->groups) - first;
    const size_t i = in_chunk - first * p->blocks_n;
    return (struct place){task / blocks, first + i % rows, i / rows};
}

/* The first tile of a place's columns. */
static size_t column_of(const struct sl_gemm_plan *p, struct place at)
{
    return at.n * p->n_tiles / p->blocks_n;
}

static void block_task(void *arg, size_t task, size_t worker)
{
    const struct run *r = arg;
    const struct sl_gemm_plan *p = &r->plan;
    struct block b;
    const struct place at = place_of(r, task);
    b.chunk = at.chunk;
    b.m0 = at.m * p->m_tiles / p->blocks_m; /* blocks of equal size, to a tile */
    b.m1 = (at.m + 1) * p->m_tiles / p->blocks_m;
    b.n0 = column_of(p, at);
    b.n1 = column_of(p, (struct place){.n = at.n + 1});
    b.n_last = task > 0 ? column_of(p, place_of(r, task - 1)) : SIZE_MAX;
    b.n_next = column_of(p, place_of(r, task + 1));
    b.tile = sl_cpu_worker_scratch(&r->scratch, worker);
    b.tiles = b.tile + p->kernels->mr * p->kernels->nr;
    b.a = b.tiles + p->worker_tiles;
    b.b = b.a + p->worker_a;
    b.sums = b.b + p->worker_b;
    const bool sums = r->args->a_sum && b.n0 == 0;
    if (p->chunks > 1)
        b.sums = r->sums + (b.chunk * p->m_tiles + b.m0) * p->kernels->mr;
    if (sums)
        memset(b.sums, 0, (b.m1 - b.m0) * p->kernels->mr * sizeof(float));
    if (p->kernels->enter)
        p->kernels->enter();
    const size_t begin = b.chunk * p->chunk_k;
    const size_t end = least(begin + p->chunk_k, r->args->k);
    for (size_t pass = 0; pass < p->k_passes; pass++) {
        const size_t k0 = least(begin + pass * p->k_step, end);
        const size_t k = least(p->k_step, end - k0);
        do_pass(r, &b, k0, k, pass == 0, pass + 1 == p->k_passes);
    }
    if (p->kernels->leave)
        p->kernels->leave();
    if (sums && p->chunks == 1)
        add_sums(r, b.m0, b.m1, b.sums);
}

/* Adds the chunks' partial tiles of one row of tiles in order, then finishes each. */
static void reduce_task(void *arg, size_t task, size_t worker)
{
    const struct run *r = arg;
    const struct sl_gemm_plan *p = &r->plan;
    const struct sl_gemm_kernels *kernels = p->kernels;
    const size_t size = kernels->mr * kernels->nr, row = p->n_tiles * size;
    (void)worker;
    float *total = r->tiles + task * row;
    for (size_t c = 1; c < p->chunks; c++)
        kernels->add(row, total + c * p->m_tiles * row, total);
    for (size_t j = 0; j < p->n_tiles; j++)
        finish_tile(r, task, j, total + j * size, false);
    if (!r->args->a_sum)
        return;
    float *sums = r->sums + task * p->kernels->mr;
    for (size_t c = 1; c < p->chunks; c++)
        kernels->add(p->kernels->mr, sums + c * p->m_tiles * p->kernels->mr, sums);
    add_sums(r, task, task + 1, sums);
}

/* ---- the op ---- */

static sl_status check(const struct sl_gemm_args *a)
{
    const bool needs_aux = a->epilogue == SL_EPI_RESIDUAL || a->epilogue == SL_EPI_GELU_BWD ||
                           (a->epilogue == SL_EPI_GELU && a->aux);
    if (a->accumulate && (a->epilogue != SL_EPI_NONE || a->c_type != SL_F32))
        SL_FAIL(SL_ERR_ARGUMENT, "matrix product: accumulating needs float c and no epilogue");
    if (a->epilogue == SL_EPI_RESIDUAL && a->c_type != SL_F32)
        SL_FAIL(SL_ERR_ARGUMENT, "matrix product: the residual epilogue needs float c");
    if (a->ldc < a->n || (needs_aux && a->ldaux < a->n))
        SL_FAIL(SL_ERR_ARGUMENT, "matrix product: rows of c or aux are closer than %zu", a->n);
    if (a->lda < (a->a_t ? a->m : a->k) || (!a->b_packed && a->ldb < (a->b_t ? a->k : a->n)))
        SL_FAIL(SL_ERR_ARGUMENT, "matrix product %zu x %zu x %zu: rows of a or b overlap", a->m,
                a->n, a->k);
    return SL_OK;
}

/* One product whose panels of B fit the plan. */
static sl_status gemm_range(struct sl_device *dev, const struct sl_gemm_args *args)
{
    struct run r = {
        .args = args,
    };
    struct sl_gemm_plan *p = &r.plan;
    SL_TRY(sl_gemm_plan_make(args, sl_cpu_of(dev)->gemm[args->type], p));
    r.groups = args->m >= args->n ? least((size_t)dev->threads, p->blocks_m) : 1;
    const size_t worker = p->kernels->mr * p->kernels->nr + p->worker_sums + p->worker_a +
                          p->worker_b + p->worker_tiles;
    bool planned;
    SL_TRY(sl_cpu_scratch_get(dev, (p->shared_b + p->shared_tiles + p->shared_sums) * sizeof(float),
                              worker * sizeof(float), &r.scratch, &planned));
    if (planned)
        return SL_OK;
    r.panels = (float *)(void *)r.scratch.shared;
    r.tiles = r.panels + p->shared_b;
    r.sums = r.tiles + p->shared_tiles;
    if (p->b == SL_GEMM_B_ONCE)
        sl_parallel_for(dev->threads, p->n_tiles, pack_panel_task, &r);
    sl_parallel_for(dev->threads, p->chunks * p->blocks_m * p->blocks_n, block_task, &r);
    if (p->chunks > 1)
        sl_parallel_for(dev->threads, p->m_tiles, reduce_task, &r);
    return SL_OK;
}

/* Long sums over tokens are formed in ranges of k, so that the packed B of a range stays small. */
sl_status sl_cpu_gemm(struct sl_device *dev, const struct sl_gemm_args *args)
{
    SL_TRY(check(args));
    if (args->m == 0 || args->n == 0)
        return SL_OK;
    const size_t range = sl_gemm_range(args);
    if (range >= args->k)
        return gemm_range(dev, args);
    struct sl_gemm_args part = *args;
    for (size_t k0 = 0; k0 < args->k; k0 += range) {
        const size_t size = element_size(args->type);
        part.k = least(range, args->k - k0);
        part.a = (const char *)args->a + k0 * args->lda * size;
        part.b = (const char *)args->b + k0 * args->ldb * size;
        SL_TRY(gemm_range(dev, &part));
        part.accumulate = true;
        part.bias = NULL;
    }
    return SL_OK;
}
