/*
 * The seeded synthetic set: "n=..,classes=..,size=..,seed=..,noise=.." enters, images leave that
 * are drawn anew each time they are asked for. Class c is a striped spot: its place on a circle and
 * the direction of its stripes both follow c; place, phase and colour jitter and uniform noise
 * differ by sample. Only additions, multiplications and divisions make pixels, so that every
 * machine draws the same bytes.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/number.h"
#include "data/format.h"

struct synthetic {
    size_t n, classes, size;
    uint64_t seed;
    double noise; /* largest deviation, as a fraction of full scale */
    struct direction {
        float x, y;   /* centre of the spot, image = [0, 1]^2 */
        float dx, dy; /* direction across the stripes, unit length */
    } * directions;   /* [classes] */
};

/* The keys of the SPEC: where the value goes and its range. */
struct key {
    const char *name;
    size_t offset;
    double low, high;
    enum { KEY_SIZE, KEY_SEED, KEY_REAL } type;
};
static const struct key keys[] = {
    {"n", offsetof(struct synthetic, n), 1, 2147483647, KEY_SIZE},
    {"classes", offsetof(struct synthetic, classes), 1, 100000, KEY_SIZE},
    {"size", offsetof(struct synthetic, size), 1, 4096, KEY_SIZE},
    {"seed", offsetof(struct synthetic, seed), 0, 9007199254740992.0, KEY_SEED},
    {"noise", offsetof(struct synthetic, noise), 0, 1, KEY_REAL},
};

static sl_status set_key(const struct sl_dataset *set, struct synthetic *s, const char *name,
                         const char *value)
{
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        if (strcmp(name, keys[k].name) != 0)
            continue;
        double x;
        if (!sl_parse_real(value, &x) || x < keys[k].low || x > keys[k].high ||
            (keys[k].type != KEY_REAL && floor(x) != x))
            SL_FAIL(SL_ERR_CONFIG, "data set \"%s\": %s must be a number from %.17g to %.17g",
                    set->spec, name, keys[k].low, keys[k].high);
        char *field = (char *)s + keys[k].offset;
        if (keys[k].type == KEY_SIZE)
            *(size_t *)(void *)field = (size_t)x;
        else if (keys[k].type == KEY_SEED)
            *(uint64_t *)(void *)field = (uint64_t)x;
        else
            *(double *)(void *)field = x;
        return SL_OK;
    }
    SL_FAIL(SL_ERR_CONFIG, "data set \"%s\": unknown key \"%s\"; write %s", set->spec, name,
            set->format->usage);
}

static sl_status parse_keys(const struct sl_dataset *set, struct synthetic *s, char *rest)
{
    while (rest && *rest) {
        char *comma = strchr(rest, ',');
        if (comma)
            *comma = '\0';
        char *equals = strchr(rest, '=');
        if (!equals)
            SL_FAIL(SL_ERR_CONFIG, "data set \"%s\": \"%s\" has no value; write %s", set->spec,
                    rest, set->format->usage);
        *equals = '\0';
        SL_TRY(set_key(set, s, rest, equals + 1));
        rest = comma ? comma + 1 : NULL;
    }
    return SL_OK;
}

static sl_status make_directions(struct synthetic *s)
{
    const double turn = 6.283185307179586476925;
    SL_TRY(SL_NEW(s->directions, s->classes));
    for (size_t c = 0; c < s->classes; c++) {
        const double angle = turn * (double)c / (double)s->classes;
        s->directions[c] = (struct direction){.x = (float)(0.5 + 0.27 * cos(angle)),
                                              .y = (float)(0.5 + 0.27 * sin(angle)),
                                              .dx = (float)cos(angle / 2),
                                              .dy = (float)sin(angle / 2)};
    }
    return SL_OK;
}

sl_status sl_synthetic_open(struct sl_dataset *set, const char *rest)
{
    sl_status st;
    struct synthetic *s = NULL;
    char *copy = sl_strdup(rest);
    SL_TRY_FREE(copy ? SL_OK : SL_ERR_MEMORY);
    SL_TRY_FREE(SL_NEW(s, 1));
    *s = (struct synthetic){.n = 1000, .classes = 10, .size = 32, .noise = 0.2};
    set->state = s; /* the set owns it from here on */
    SL_TRY_FREE(parse_keys(set, s, copy));
    SL_TRY_FREE(make_directions(s));
    SL_TRY_FREE(SL_NEW(set->labels, s->n));
    for (size_t i = 0; i < s->n; i++)
        set->labels[i] = (int32_t)(i % s->classes);
    set->total = s->n;
    set->classes = s->classes;
    set->h = set->w = s->size;
    st = SL_OK;
fail:
    sl_free(copy);
    return st;
}

/* What one sample draws: its spot, stripes and colour. */
struct spot {
    float x, y, dx, dy; /* centre and stripe direction */
    float phase, stripes;
    float colour[3]; /* brightness per channel */
};

static struct spot draw_spot(const struct synthetic *s, size_t c, sl_rng *rng)
{
    const struct direction *d = &s->directions[c];
    struct spot spot = {.dx = d->dx, .dy = d->dy, .stripes = 8.0f};
    spot.x = d->x + (float)(0.08 * (sl_rng_uniform(rng) - 0.5));
    spot.y = d->y + (float)(0.08 * (sl_rng_uniform(rng) - 0.5));
    spot.phase = (float)sl_rng_uniform(rng);
    for (size_t k = 0; k < 3; k++)
        spot.colour[k] = (float)(0.5 + 0.3 * sl_rng_uniform(rng));
    return spot;
}

/* Brightness in 0 .. 1: a bell 1 / (1 + (r / 0.2)^4) under a triangle wave. */
static float brightness(const struct spot *p, float x, float y)
{
    const float u = x - p->x, v = y - p->y;
    const float r2 = (u * u + v * v) * 25.0f;
    const float t = (u * p->dx + v * p->dy) * p->stripes + p->phase + 16.0f; /* > 0 */
    const float saw = t - (float)(int)t;
    const float wave = saw < 0.5f ? 2.0f * saw : 2.0f - 2.0f * saw;
    return (0.4f + 0.6f * wave) / (1.0f + r2 * r2);
}

static uint8_t to_byte(float x)
{
    return x <= 0.0f ? 0 : x >= 1.0f ? 255 : (uint8_t)(x * 255.0f + 0.5f);
}

sl_status sl_synthetic_image(const struct sl_dataset *set, size_t i, struct sl_image *img)
{
    const struct synthetic *s = set->state;
    SL_TRY(sl_image_resize_buffer(img, s->size, s->size));
    sl_rng rng = sl_rng_at(s->seed, SL_RNG_SYNTHETIC, i, 0);
    const struct spot spot = draw_spot(s, (size_t)set->labels[i], &rng);
    const float step = 1.0f / (float)s->size, scale = (float)s->noise / 128.0f;
    uint8_t *dst = img->pixels;
    for (size_t y = 0; y < s->size; y++) {
        for (size_t x = 0; x < s->size; x++, dst += 3) {
            const float b = brightness(&spot, ((float)x + 0.5f) * step, ((float)y + 0.5f) * step);
            const uint32_t noise = sl_rng_u32(&rng); /* one byte per channel */
            for (size_t k = 0; k < 3; k++) {
                const float deviation = (float)((int)(noise >> (8 * k) & 0xFF) - 128) * scale;
                dst[k] = to_byte(0.15f + b * spot.colour[k] + deviation);
            }
        }
    }
    return SL_OK;
}

void sl_synthetic_digest(const struct sl_dataset *set, sl_hash *hash)
{
    const struct synthetic *s = set->state;
    sl_hash_add(hash, &s->seed, sizeof s->seed);
    sl_hash_add(hash, &s->noise, sizeof s->noise);
}

void sl_synthetic_free(void *state)
{
    struct synthetic *s = state;
    if (s)
        sl_free(s->directions);
    sl_free(s);
}
