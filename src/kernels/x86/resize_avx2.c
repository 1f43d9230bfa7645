/*
 * The resize kernels in AVX2. A weight is two signed 16-bit numbers, w = 2^16 high + low, with a
 * sum each, so that vpmaddwd takes two taps at a time. Sums wrap modulo 2^32 on the way and are
 * exact in the end. Across, a vector holds four taps of one pixel: taps 0 and 1 of red, of green,
 * of blue and nothing in its lower half, taps 2 and 3 in its upper. Down, it holds two taps of
 * eight columns.
 */
#include <immintrin.h>

#include "kernels/resize.inc"

enum {
    ROWS = 4,       /* that share the loading and splitting of weights */
    LOAD_BYTES = 16 /* read for a group of taps, of which 12 are its own */
};

static inline __m256i both_halves(const void *p)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(p));
}

/* -1 gives 0. */
static inline __m256i four_taps(const uint8_t *p)
{
    const __m256i order =
        _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7,
                         -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    return _mm256_shuffle_epi8(both_halves(p), order);
}

/* 16 bits of weights 0 and 1 four times, then of weights 2 and 3. */
static inline __m256i low_parts(__m256i weights)
{
    const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 0, 1, 4, 5, 0, 1, 4, 5, 0, 1, 4, 5, 8, 9, 12,
                                           13, 8, 9, 12, 13, 8, 9, 12, 13, 8, 9, 12, 13);
    return _mm256_shuffle_epi8(weights, order);
}

static inline __m256i high_parts(__m256i weights)
{
    const __m256i order = _mm256_setr_epi8(2, 3, 6, 7, 2, 3, 6, 7, 2, 3, 6, 7, 2, 3, 6, 7, 10, 11,
                                           14, 15, 10, 11, 14, 15, 10, 11, 14, 15, 10, 11, 14, 15);
    /* the low part counts from -2^15 */
    return _mm256_shuffle_epi8(_mm256_add_epi32(weights, _mm256_set1_epi32(1 << 15)), order);
}

static inline __m256i whole(__m256i low, __m256i high)
{
    return _mm256_add_epi32(low, _mm256_slli_epi32(high, 16));
}

/* ---- across ---- */

/* Writes four bytes; the fourth belongs to the next pixel. */
static inline void store_pixel(__m256i low, __m256i high, uint8_t *dst)
{
    const __m256i sums = whole(low, high);
    const __m128i sum =
        _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    const __m128i words = _mm_srai_epi32(sum, SL_RESIZE_BITS);
    const __m128i bytes = _mm_packus_epi16(_mm_packs_epi32(words, words), words);
    const int32_t four = _mm_cvtsi128_si32(bytes);
    memcpy(dst, &four, sizeof four);
}

/* Output i of `rows` rows, a constant of at most ROWS. */
static inline void pixels(const struct sl_resize_axis *a, size_t i, size_t rows, const uint8_t *src,
                          size_t stride, uint8_t *dst)
{
    const int32_t *weights = a->weights + i * a->taps;
    const uint8_t *p = src + 3 * (size_t)a->first[i];
    __m256i low[ROWS], high[ROWS];
    for (size_t r = 0; r < rows; r++) {
        low[r] = _mm256_setr_epi32(RESIZE_HALF, RESIZE_HALF, RESIZE_HALF, 0, 0, 0, 0, 0);
        high[r] = _mm256_setzero_si256();
    }
    for (int32_t t = 0; t < a->count[0]; t += SL_RESIZE_GROUP) {
        const __m256i w = both_halves(weights + t), low_w = low_parts(w), high_w = high_parts(w);
        for (size_t r = 0; r < rows; r++) {
            const __m256i taps = four_taps(p + 3 * (size_t)t + r * stride);
            low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(taps, low_w));
            high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(taps, high_w));
        }
    }
    for (size_t r = 0; r < rows; r++)
        store_pixel(low[r], high[r], dst + 3 * (r * a->out + i));
}

/* How many outputs, from the left, read and write nothing beyond their row. */
static size_t inner_outputs(const struct sl_resize_axis *a)
{
    const size_t groups = ((size_t)a->count[0] + SL_RESIZE_GROUP - 1) / SL_RESIZE_GROUP;
    const size_t reach = 3 * SL_RESIZE_GROUP * (groups - 1) + LOAD_BYTES;
    size_t n = a->out - 1;
    while (n > 0 && 3 * (size_t)a->first[n - 1] + reach > 3 * a->in)
        n--;
    return n;
}

static void across(const struct sl_resize_axis *a, size_t rows, const uint8_t *src, size_t stride,
                   uint8_t *dst)
{
    const size_t inner = inner_outputs(a), width = 3 * a->out;
    size_t y = 0;
    for (; y + ROWS <= rows; y += ROWS)
        for (size_t i = 0; i < inner; i++)
            pixels(a, i, ROWS, src + y * stride, stride, dst + y * width);
    for (; y < rows; y++)
        for (size_t i = 0; i < inner; i++)
            pixels(a, i, 1, src + y * stride, stride, dst + y * width);
    for (y = 0; y < rows; y++)
        for (size_t i = inner; i < a->out; i++)
            resize_pixel(a, i, src + y * stride, dst + y * width);
}

/* ---- down ---- */

/* w: two weights; a pair of 16 bits for each 32-bit lane. */
static inline __m256i low_pair(const int32_t *w)
{
    return _mm256_set1_epi32((int32_t)(((uint32_t)w[0] & 0xFFFF) | (uint32_t)w[1] << 16));
}

static inline __m256i high_pair(const int32_t *w)
{
    const uint32_t a = (uint32_t)w[0] + (1 << 15), b = (uint32_t)w[1] + (1 << 15);
    return _mm256_set1_epi32((int32_t)(a >> 16 | (b & 0xFFFF0000)));
}

static inline void add_taps(__m256i taps, __m256i low_w, __m256i high_w, __m256i *low,
                            __m256i *high)
{
    *low = _mm256_add_epi32(*low, _mm256_madd_epi16(taps, low_w));
    *high = _mm256_add_epi32(*high, _mm256_madd_epi16(taps, high_w));
}

/* RESIZE_CHUNK columns of output row i. */
static inline void columns(const struct sl_resize_axis *a, size_t i, const uint8_t *src,
                           size_t stride, uint8_t *dst)
{
    const int32_t *w = a->weights + i * a->taps, n = a->count[i];
    const __m256i zero = _mm256_setzero_si256();
    __m256i low[4], high[4];
    for (size_t k = 0; k < 4; k++) {
        low[k] = _mm256_set1_epi32(RESIZE_HALF);
        high[k] = zero;
    }
    for (int32_t t = 0; t < n; t += 2, w += 2, src += 2 * stride) {
        /* behind an odd last row comes weight 0 */
        const uint8_t *next = t + 1 < n ? src + stride : src;
        const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)src);
        const __m256i y = _mm256_loadu_si256((const __m256i *)(const void *)next);
        const __m256i left = _mm256_unpacklo_epi8(x, y), right = _mm256_unpackhi_epi8(x, y);
        const __m256i low_w = low_pair(w), high_w = high_pair(w);
        add_taps(_mm256_unpacklo_epi8(left, zero), low_w, high_w, &low[0], &high[0]);
        add_taps(_mm256_unpackhi_epi8(left, zero), low_w, high_w, &low[1], &high[1]);
        add_taps(_mm256_unpacklo_epi8(right, zero), low_w, high_w, &low[2], &high[2]);
        add_taps(_mm256_unpackhi_epi8(right, zero), low_w, high_w, &low[3], &high[3]);
    }
    for (size_t k = 0; k < 4; k++)
        low[k] = _mm256_srai_epi32(whole(low[k], high[k]), SL_RESIZE_BITS);
    /* The unpacking was within halves; so is the packing. */
    const __m256i words = _mm256_packs_epi32(low[0], low[1]);
    const __m256i others = _mm256_packs_epi32(low[2], low[3]);
    _mm256_storeu_si256((__m256i *)(void *)dst, _mm256_packus_epi16(words, others));
}

/* The last columns are taken with some that are done already, where a row is long enough. */
static void down(const struct sl_resize_axis *a, size_t n, const uint8_t *src, size_t stride,
                 uint8_t *dst)
{
    for (size_t i = 0; i < a->out; i++, dst += n) {
        const uint8_t *rows = src + (size_t)(a->first[i] - a->first[0]) * stride;
        size_t x = 0;
        for (; x + RESIZE_CHUNK <= n; x += RESIZE_CHUNK)
            columns(a, i, rows + x, stride, dst + x);
        if (x < n && n > RESIZE_CHUNK)
            columns(a, i, rows + n - RESIZE_CHUNK, stride, dst + n - RESIZE_CHUNK);
        else if (x < n)
            resize_columns(a, i, n, rows, stride, dst);
    }
}

/* ---- TensorFlow's; the words are those of c/resize_c.c ---- */

enum { VECTOR = SL_RESIZE_VECTOR };

static inline __m256 eight_bytes(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

static void widen_bytes(size_t n, const uint8_t *src, float *dst)
{
    size_t i = 0;
    for (; i + VECTOR <= n; i += VECTOR) {
        _mm256_storeu_ps(dst + i, eight_bytes(src + i));
        _mm256_storeu_ps(dst + i + 8, eight_bytes(src + i + 8));
    }
    for (; i < n; i++)
        dst[i] = (float)src[i];
}

static void stretch_columns(const struct sl_resize_rows *j, float *line)
{
    for (size_t x = 0; x < j->w; x++) {
        const struct sl_resize_part *part = &j->columns[x];
        const __m128 left = _mm_loadu_ps(j->input + 3 * (size_t)part->first);
        const __m128 right = _mm_loadu_ps(j->input + 3 * (size_t)part->last);
        const __m128 step = _mm_mul_ps(_mm_sub_ps(right, left), _mm_set1_ps(part->a));
        _mm_storeu_ps(line + 3 * x, _mm_add_ps(left, step));
    }
}

static void sum_columns(const struct sl_resize_rows *j, float *line)
{
    for (size_t x = 0; x < j->w; x++) {
        const struct sl_resize_part *part = &j->columns[x];
        const float *p = j->input + 3 * resize_bounded(part->first, j->in_w);
        const float *last = j->input + 3 * resize_bounded(part->last, j->in_w);
        __m128 sums = _mm_mul_ps(_mm_loadu_ps(p), _mm_set1_ps(part->a));
        for (int32_t i = part->first + 1; i < part->last; i++)
            sums = _mm_add_ps(sums, _mm_loadu_ps(p += 3));
        if (part->last != part->first)
            sums = _mm_add_ps(sums, _mm_mul_ps(_mm_loadu_ps(last), _mm_set1_ps(part->b)));
        _mm_storeu_ps(line + 3 * x, sums);
    }
}

/* Eight floats in 0 .. 255, truncated. */
static inline __m256i truncated(__m256 x)
{
    const __m256 floor = _mm256_max_ps(x, _mm256_setzero_ps());
    return _mm256_cvttps_epi32(_mm256_min_ps(floor, _mm256_set1_ps(255.0f)));
}

/* Sixteen bytes, of which n are wanted. */
static inline void store_bytes(__m256 a, __m256 b, size_t n, uint8_t *dst)
{
    const __m256i words = _mm256_packs_epi32(truncated(a), truncated(b)); /* a0 b0 a1 b1 */
    const __m256i sorted = _mm256_permute4x64_epi64(words, 0xD8);
    const __m128i bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(sorted), _mm256_extracti128_si256(sorted, 1));
    if (n >= VECTOR) {
        _mm_storeu_si128((__m128i *)(void *)dst, bytes);
    } else {
        uint8_t pixels[VECTOR];
        _mm_storeu_si128((__m128i *)(void *)pixels, bytes);
        memcpy(dst, pixels, n);
    }
}

static inline __m256 between(const float *top, const float *bottom, __m256 share)
{
    const __m256 a = _mm256_loadu_ps(top), b = _mm256_loadu_ps(bottom);
    return _mm256_add_ps(a, _mm256_mul_ps(_mm256_sub_ps(b, a), share));
}

static void mix_rows(size_t n, float share, const float *top, const float *bottom, uint8_t *dst)
{
    const __m256 s = _mm256_set1_ps(share);
    for (size_t i = 0; i < n; i += VECTOR)
        store_bytes(between(top + i, bottom + i, s), between(top + i + 8, bottom + i + 8, s), n - i,
                    dst + i);
}

static void add_scaled(size_t n, float weight, const float *line, float *sums)
{
    const __m256 w = _mm256_set1_ps(weight);
    for (size_t i = 0; i < n; i += 8) {
        const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(line + i), w);
        _mm256_storeu_ps(sums + i, _mm256_add_ps(_mm256_loadu_ps(sums + i), scaled));
    }
}

static void truncate_row(size_t n, float scale, const float *sums, uint8_t *dst)
{
    const __m256 s = _mm256_set1_ps(scale);
    for (size_t i = 0; i < n; i += VECTOR)
        store_bytes(_mm256_mul_ps(_mm256_loadu_ps(sums + i), s),
                    _mm256_mul_ps(_mm256_loadu_ps(sums + i + 8), s), n - i, dst + i);
}

#include "kernels/resize_tf.inc"

const struct sl_resize_kernels sl_resize_kernels_avx2 = {SL_ISA_AVX2, across, down, bilinear_row,
                                                         area_row};
