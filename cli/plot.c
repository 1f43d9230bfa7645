/*
 * softless plot: gathers the rows of studies into the points of a figure. Runs that differ in their
 * seed alone are one point. Over alpha, every other axis makes series; without an axis of alpha
 * the sizes make the points, x is what they cost, and the kind of attention makes series.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"

enum { STUDIES_MAX = 8 };
static const char x_key[] = "model.alpha";

void plot_mean_add(struct plot_mean *m, double x)
{
    const double d = x - m->mean;
    m->n++;
    m->mean += d / (double)m->n;
    m->m2 += d * (x - m->mean);
}

double plot_mean_se(const struct plot_mean *m)
{
    return m->n > 1 ? sqrt(m->m2 / (double)(m->n - 1) / (double)m->n) : NAN;
}

double plot_x(const struct plot *p, const struct plot_point *point)
{
    return p->x == PLOT_HOURS ? point->hours.mean : point->at;
}

bool plot_is_level(const struct plot *p, size_t series)
{
    return p->x == PLOT_ALPHA && strcmp(p->series[series].h, "softmax") == 0;
}

/* ---- which axis does what ---- */

static enum plot_role role_of(const char *key, enum plot_x x)
{
    static const struct {
        const char *key;
        enum plot_role over[3]; /* hours, alpha, side */
    } roles[] = {
        {"seed", {PLOT_IS_SEED, PLOT_IS_SEED, PLOT_IS_SEED}},
        {"model.alpha", {PLOT_IS_SERIES, PLOT_IS_X, PLOT_IS_SERIES}},
        {"model.patch", {PLOT_IS_SIZE, PLOT_IS_PANEL, PLOT_IS_PANEL}},
        {"model.image_size", {PLOT_IS_SIZE, PLOT_IS_PANEL, PLOT_IS_PANEL}},
        {"data.train", {PLOT_IS_PANEL, PLOT_IS_PANEL, PLOT_IS_PANEL}},
        {"data.eval", {PLOT_IS_PANEL, PLOT_IS_PANEL, PLOT_IS_PANEL}},
        {"model.h", {PLOT_IS_SERIES, PLOT_IS_SERIES, PLOT_IS_PANEL}},
        {"model.length", {PLOT_IS_SERIES, PLOT_IS_SERIES, PLOT_IS_SERIES}},
        {"model.bias", {PLOT_IS_SERIES, PLOT_IS_SERIES, PLOT_IS_SERIES}},
        {"model.qk_norm", {PLOT_IS_SERIES, PLOT_IS_SERIES, PLOT_IS_SERIES}},
        {"model.gate", {PLOT_IS_SERIES, PLOT_IS_SERIES, PLOT_IS_SERIES}},
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(roles[i].key, key) == 0)
            return roles[i].over[x];
    return x == PLOT_HOURS ? PLOT_IS_SIZE : PLOT_IS_SERIES;
}

static bool has_axis(const sl_study *study, const char *key)
{
    const char *axis;
    for (size_t k = 0; (axis = sl_study_axis(study, k)) != NULL; k++)
        if (strcmp(axis, key) == 0)
            return true;
    return false;
}

sl_status plot_describe(const struct plot *p, const sl_study *study, size_t run,
                        enum plot_role role, char text[PLOT_TEXT])
{
    const char *axis;
    size_t n = 0;
    text[0] = '\0';
    for (size_t k = 0; (axis = sl_study_axis(study, k)) != NULL; k++) {
        const char *dot = strrchr(axis, '.'), *word = dot ? dot + 1 : axis;
        char *value = NULL;
        if (role_of(axis, p->x) != role)
            continue;
        const sl_status st = sl_study_field(study, run, axis, &value);
        if (st != SL_OK)
            return st;
        const bool bare = strcmp(axis, "model.h") == 0 || role == PLOT_IS_X;
        n += (size_t)snprintf(text + n, PLOT_TEXT - n, "%s%s%s%s", n ? ", " : "", bare ? "" : word,
                              bare ? "" : " ", value);
        sl_text_free(&value);
        if (n >= PLOT_TEXT)
            return cli_usage("the values of the axes are too long for a figure: %.60s...", text);
    }
    return SL_OK;
}

sl_status plot_number(const sl_study *study, size_t run, const char *column, double *x)
{
    char *text = NULL;
    const sl_status st = sl_study_field(study, run, column, &text);
    if (st == SL_OK)
        *x = text[0] ? strtod(text, NULL) : NAN;
    sl_text_free(&text);
    return st;
}

/* ---- gathering ---- */

sl_status plot_panel_of(struct plot *p, const char *study, const char *what, size_t *panel)
{
    char title[PLOT_TEXT];
    const char *slash = strrchr(study, '/'), *base = slash ? slash + 1 : study;
    if (snprintf(title, sizeof title, "%.*s%s%s", (int)strcspn(base, "."), base,
                 what[0] ? ": " : "", what) >= (int)sizeof title)
        return cli_usage("the title of a panel is too long: %.60s...", title);
    size_t i = 0;
    while (i < p->n_panels && strcmp(p->panels[i].title, title) != 0)
        i++;
    if (i == PLOT_PANELS_MAX)
        return cli_usage("the figure would have more than %d panels", PLOT_PANELS_MAX);
    if (i == p->n_panels)
        memcpy(p->panels[p->n_panels++].title, title, sizeof title);
    *panel = i;
    return SL_OK;
}

sl_status plot_series_of(struct plot *p, const sl_study *study, size_t run, const char *name,
                         size_t *series)
{
    struct plot_series s = {.own_colour = p->x == PLOT_SIDE};
    char *h = NULL;
    const sl_status st = sl_recipe_get(sl_study_run_recipe(study, run), "model.h", &h);
    if (st != SL_OK)
        return st;
    snprintf(s.h, sizeof s.h, "%s", h);
    snprintf(s.name, sizeof s.name, "%s", name[0] ? name : h);
    sl_text_free(&h);
    size_t i = 0;
    for (; i < p->n_series && strcmp(p->series[i].name, s.name) != 0; i++)
        s.variant += strcmp(p->series[i].h, s.h) == 0;
    if (i == PLOT_SERIES_MAX)
        return cli_usage("the figure would have more than %d series", PLOT_SERIES_MAX);
    if (i == p->n_series)
        p->series[p->n_series++] = s;
    *series = i;
    return SL_OK;
}

sl_status plot_point_of(struct plot *p, size_t panel, size_t series, const char *label,
                        struct plot_point **point)
{
    for (size_t i = 0; i < p->n; i++) {
        struct plot_point *q = &p->points[i];
        if (q->panel == panel && q->series == series && strcmp(q->label, label) == 0) {
            *point = q;
            return SL_OK;
        }
    }
    struct plot_point *grown = realloc(p->points, (p->n + 1) * sizeof *grown);
    if (!grown)
        return cli_error(SL_ERR_MEMORY, "out of memory for %zu points", p->n + 1);
    p->points = grown;
    *point = &grown[p->n++];
    **point = (struct plot_point){.panel = panel, .series = series, .at = NAN};
    snprintf((*point)->label, PLOT_TEXT, "%s", label);
    return SL_OK;
}

/* A run as a point of the panel of its test accuracy, or of its transfer. */
static sl_status add_run(struct plot *p, const sl_study *study, const char *name, size_t run,
                         bool transfer)
{
    const sl_run_state state = sl_study_state(study, run);
    size_t panel = 0, series = 0;
    char what[PLOT_TEXT], title[PLOT_TEXT + 16], kind[PLOT_TEXT], label[PLOT_TEXT];
    struct plot_point *q = NULL;
    double y = NAN, top1_se = NAN, core_s = NAN, alpha = NAN;
    if (state != SL_RUN_DONE && state != SL_RUN_DIVERGED)
        return SL_OK;
    sl_status st = plot_describe(p, study, run, PLOT_IS_PANEL, what);
    snprintf(title, sizeof title, "%s%s%s", what, what[0] && transfer ? ", " : "",
             transfer ? "transfer" : "");
    if (st == SL_OK)
        st = plot_panel_of(p, name, title, &panel);
    if (st == SL_OK)
        st = plot_describe(p, study, run, PLOT_IS_SERIES, kind);
    if (st == SL_OK)
        st = plot_series_of(p, study, run, kind, &series);
    if (st == SL_OK)
        st = plot_describe(p, study, run, p->x == PLOT_ALPHA ? PLOT_IS_X : PLOT_IS_SIZE, label);
    if (st == SL_OK && plot_is_level(p, series))
        snprintf(label, sizeof label, "any");
    if (st == SL_OK)
        st = plot_point_of(p, panel, series, label, &q);
    if (st == SL_OK)
        st = plot_number(study, run, transfer ? "transfer" : "top1", &y);
    if (st == SL_OK)
        st = plot_number(study, run, "top1_se", &top1_se);
    if (st == SL_OK)
        st = plot_number(study, run, "core_s", &core_s);
    if (st == SL_OK && p->x == PLOT_ALPHA)
        st = plot_number(study, run, x_key, &alpha);
    if (st != SL_OK)
        return st;
    p->panels[panel].transfer = transfer;
    if (isnan(q->at))
        q->at = alpha;
    else if (q->at != alpha)
        return SL_OK; /* a level at another alpha is the same run again */
    if (state == SL_RUN_DIVERGED) {
        q->diverged++;
    } else if (isfinite(y)) {
        plot_mean_add(&q->y, y);
        if (!transfer)
            plot_mean_add(&p->image_se, top1_se);
    }
    if (isfinite(core_s))
        plot_mean_add(&q->hours, core_s / 3600);
    return SL_OK;
}

static sl_status has_transfer(const sl_study *study, bool *has)
{
    *has = false;
    for (size_t i = 0; i < sl_study_count(study) && !*has; i++) {
        double x = NAN;
        if (sl_study_state(study, i) != SL_RUN_DONE)
            continue;
        const sl_status st = plot_number(study, i, "transfer", &x);
        if (st != SL_OK)
            return st;
        *has = isfinite(x);
    }
    return SL_OK;
}

/* The panels of a study: test accuracy, then transfer if its recipe names sets for it. */
static sl_status add_study(struct plot *p, const sl_study *study, const char *name)
{
    bool transfer;
    sl_status st = has_transfer(study, &transfer);
    for (int k = 0; k < (transfer ? 2 : 1); k++)
        for (size_t i = 0; i < sl_study_count(study) && st == SL_OK; i++)
            st = add_run(p, study, name, i, k == 1);
    return st;
}

static const struct plot *sorted; /* qsort hands its function nothing else */

static int by_place(const void *left, const void *right)
{
    const struct plot_point *a = left, *b = right;
    const double x = plot_x(sorted, a), y = plot_x(sorted, b);
    if (a->panel != b->panel)
        return a->panel < b->panel ? -1 : 1;
    if (a->series != b->series)
        return a->series < b->series ? -1 : 1;
    return (x > y) - (x < y);
}

static sl_status gather(struct plot *p, const struct plot_sources *from)
{
    if (p->x != PLOT_SIDE)
        p->x = has_axis(from->studies[0], x_key) ? PLOT_ALPHA : PLOT_HOURS;
    for (size_t s = 0; s < from->n; s++) {
        if (p->x != PLOT_SIDE && has_axis(from->studies[s], x_key) != (p->x == PLOT_ALPHA))
            return cli_usage("studies with and without the axis model.alpha make two figures");
        const sl_status st = p->x == PLOT_SIDE
                                 ? plot_gather_sides(p, from->studies[s], from->names[s])
                                 : add_study(p, from->studies[s], from->names[s]);
        if (st != SL_OK)
            return st;
    }
    if (p->n == 0)
        return cli_error(SL_ERR_INPUT, "no run of %s has ended; 'softless sweep %s' works it off",
                         from->names[0], from->names[0]);
    sorted = p;
    qsort(p->points, p->n, sizeof *p->points, by_place);
    return SL_OK;
}

int cli_plot(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_list set = {.n = 0}, dirs = {.n = 0};
    const char *out = NULL, *names[STUDIES_MAX];
    bool report = false, sizes = false, stop = false;
    const struct cli_option options[] = {
        {"report", 0, CLI_FLAG, &report, NULL, "also report.html, in one file, and report.md"},
        {"sizes", 0, CLI_FLAG, &sizes, NULL,
         "accuracy against the side of the image, from eval.sizes: sizes.csv, .svg, .png"},
        {"out", 'o', CLI_TEXT, &out, "DIR", "folder of the figure (default: the first study's)"},
        {"dir", 0, CLI_LIST, &dirs, "DIR", "folder of a study; repeated for the next ones"},
        {"set", 0, CLI_LIST, &set, "KEY=VALUE", "recipe key, as given to sweep; may be repeated"},
    };
    const struct cli_parse parse = {verb, options, sizeof options / sizeof options[0],
                                    NULL, 1,       STUDIES_MAX};
    sl_study *studies[STUDIES_MAX] = {NULL};
    struct plot *p = NULL;
    int first;
    sl_status st = cli_parse(&parse, argc, argv, &first, &stop);
    if (st != SL_OK || stop)
        return cli_finish(st);
    if (sizes && report)
        return cli_finish(cli_usage("--report is of the study's own figure; leave --sizes out"));
    const size_t n = (size_t)(argc - first);
    if (sizes && n > 1)
        return cli_finish(cli_usage("--sizes draws one study at a time"));
    const struct plot_sources sources = {studies, names, n};
    for (size_t s = 0; s < n && st == SL_OK; s++) {
        names[s] = argv[first + (int)s];
        st = sl_study_open(names[s], set.items, set.n, s < dirs.n ? dirs.items[s] : NULL,
                           &studies[s]);
    }
    if (st == SL_OK && !(p = calloc(1, sizeof *p)))
        st = cli_error(SL_ERR_MEMORY, "out of memory");
    if (p) {
        p->x = sizes ? PLOT_SIDE : PLOT_HOURS;
        p->name = sizes ? "sizes" : "figure";
    }
    if (st == SL_OK)
        st = gather(p, &sources);
    if (st == SL_OK && !out)
        out = sl_study_dir(studies[0]);
    sl_status drawn = st == SL_OK ? plot_draw(p, out) : st;
    if (st == SL_OK && report && (drawn == SL_OK || drawn == SL_ERR_UNAVAILABLE)) {
        st = plot_report(p, &sources, out);
        drawn = st == SL_OK ? drawn : st;
    }
    for (size_t s = 0; s < n; s++)
        sl_study_free(&studies[s]);
    if (p)
        free(p->points);
    free(p);
    return cli_finish(drawn);
}
