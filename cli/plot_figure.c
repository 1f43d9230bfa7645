/*
 * The drawing of a study's points. Colours are Okabe and Ito's, which colour-blind eyes tell apart;
 * form of the point and dash say the same once more for print without colour.
 */
#include <math.h>
#include <string.h>

#include "figure.h"
#include "plot.h"

static const struct look {
    const char *h, *colour;
    int forms[2]; /* of the point; the second one where a variant of the same h stands beside */
} looks[] = {
    {"softmax", "#000000", {7, 6}},    {"relu", "#0072B2", {7, 6}},
    {"relu2", "#D55E00", {5, 4}},      {"gelu", "#009E73", {9, 8}},
    {"softplus", "#CC79A7", {11, 10}}, {"identity", "#7F7F7F", {13, 12}},
    {"relu6", "#56B4E9", {15, 14}},    {"sigmoid", "#E69F00", {3, 1}},
    {"silu", "#8B6914", {4, 8}},
};

/* Of series that share their h: Okabe and Ito's again, without black, which is softmax. */
static const char *const colours[] = {"#0072B2", "#56B4E9", "#009E73", "#E69F00",
                                      "#D55E00", "#CC79A7", "#8B6914", "#7F7F7F"};

static const struct look *look_of(const char *h)
{
    size_t i = sizeof looks / sizeof *looks - 1;
    while (i > 0 && strcmp(looks[i].h, h) != 0)
        i--;
    return &looks[i];
}

static const char *colour_of(const struct plot_series *s)
{
    const bool own = s->own_colour && strcmp(s->h, "softmax") != 0;
    return own ? colours[s->variant % (sizeof colours / sizeof *colours)] : look_of(s->h)->colour;
}

enum { TITLE = PLOT_TEXT + 40 };

/* ---- figure.csv ---- */

static void csv_number(FILE *f, double x)
{
    fputc(',', f);
    if (isfinite(x))
        fprintf(f, "%.9g", x);
}

static const char *const x_names[] = {
    [PLOT_HOURS] = "sizes", [PLOT_ALPHA] = "alpha", [PLOT_SIDE] = "side"};

static sl_status write_csv(const struct plot *p, const struct figure *g)
{
    char path[FIGURE_PATH];
    FILE *f = figure_create(g, "csv", path);
    if (!f)
        return cli_cannot_write(path);
    fprintf(f, "panel,series,%s,runs,diverged,top1,top1_se,core_hours,core_hours_se\n",
            x_names[p->x]);
    for (size_t i = 0; i < p->n; i++) {
        const struct plot_point *q = &p->points[i];
        figure_csv_text(f, p->panels[q->panel].title);
        fputc(',', f);
        figure_csv_text(f, p->series[q->series].name);
        fputc(',', f);
        figure_csv_text(f, q->label);
        fprintf(f, ",%zu,%zu", q->y.n + q->diverged, q->diverged);
        csv_number(f, q->y.n ? q->y.mean : NAN);
        csv_number(f, plot_mean_se(&q->y));
        csv_number(f, q->hours.n ? q->hours.mean : NAN);
        csv_number(f, plot_mean_se(&q->hours));
        fputc('\n', f);
    }
    return figure_close(f, path);
}

/* ---- figure.gp ---- */

struct range {
    double x_low, x_high, y_low, y_high;
};

static struct range range_of(const struct plot *p, size_t panel)
{
    struct range r = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    for (size_t i = 0; i < p->n; i++) {
        const struct plot_point *q = &p->points[i];
        const double x = plot_x(p, q), se = plot_mean_se(&q->y), e = isfinite(se) ? se : 0;
        if (q->panel != panel)
            continue;
        if (!plot_is_level(p, q->series)) {
            r.x_low = fmin(r.x_low, x);
            r.x_high = fmax(r.x_high, x);
        }
        if (q->y.n > 0) {
            r.y_low = fmin(r.y_low, q->y.mean - e);
            r.y_high = fmax(r.y_high, q->y.mean + e);
        }
    }
    if (!(r.x_low <= r.x_high)) /* levels alone */
        r.x_low = 0, r.x_high = 2;
    if (!(r.y_low <= r.y_high)) /* all diverged */
        r.y_low = 0, r.y_high = 1;
    const double margin = 0.06 * (r.y_high - r.y_low) + 0.002;
    r.y_low -= margin;
    r.y_high += margin;
    return r;
}

static void coordinate(FILE *f, double x)
{
    if (isfinite(x))
        fprintf(f, " %.9g", x);
    else
        fprintf(f, " NaN");
}

/* x, accuracy, its standard error and, for a point that diverged, the place of its mark. */
static void write_block(FILE *f, const struct plot *p, size_t panel, size_t series,
                        const struct range *r)
{
    fprintf(f, "$p%zu_%zu << END\n", panel, series);
    for (size_t i = 0; i < p->n; i++) {
        const struct plot_point *q = &p->points[i];
        const bool level = plot_is_level(p, series);
        if (q->panel != panel || q->series != series)
            continue;
        for (int end = 0; end < (level ? 2 : 1); end++) {
            coordinate(f, level ? (end ? r->x_high : r->x_low) : plot_x(p, q));
            coordinate(f, q->y.n ? q->y.mean : NAN);
            coordinate(f, plot_mean_se(&q->y));
            coordinate(f, q->diverged ? r->y_low + 0.02 * (r->y_high - r->y_low) : NAN);
            fputc('\n', f);
        }
    }
    fprintf(f, "END\n");
}

/* Mean core-hours of a run of the series in the panel. */
static double cost_of(const struct plot *p, size_t panel, size_t series)
{
    struct plot_mean m = {.n = 0};
    for (size_t i = 0; i < p->n; i++)
        if (p->points[i].panel == panel && p->points[i].series == series && p->points[i].hours.n)
            plot_mean_add(&m, p->points[i].hours.mean);
    return m.n ? m.mean : NAN;
}

/* What of a series there is to draw; gnuplot warns of elements without points. */
struct content {
    bool accuracy, error, diverged;
};

static struct content content_of(const struct plot *p, size_t panel, size_t series)
{
    struct content c = {false, false, false};
    for (size_t i = 0; i < p->n; i++) {
        const struct plot_point *q = &p->points[i];
        if (q->panel != panel || q->series != series)
            continue;
        c.accuracy = c.accuracy || q->y.n > 0;
        c.error = c.error || q->y.n > 1;
        c.diverged = c.diverged || q->diverged > 0;
    }
    return c;
}

/* What the legend says of a series: what a gate costs belongs to the figure. */
static void title_of(const struct plot *p, size_t panel, size_t s, char title[TITLE])
{
    const char *name = p->series[s].name;
    if (strstr(name, "gate "))
        snprintf(title, TITLE, "%s, %.3g core-h", name, cost_of(p, panel, s));
    else
        snprintf(title, TITLE, "%s", name);
}

static void write_series(FILE *f, const struct plot *p, size_t panel, size_t s)
{
    const struct plot_series *series = &p->series[s];
    const struct look *look = look_of(series->h);
    const char *colour = colour_of(series);
    const struct content has = content_of(p, panel, s);
    const bool level = plot_is_level(p, s);
    char title[TITLE];
    title_of(p, panel, s, title);
    if (has.error && level)
        fprintf(
            f,
            "    $p%zu_%zu using 1:($2-$3):($2+$3) with filledcurves lc rgb '%s' fs transparent "
            "solid 0.12 notitle, \\\n",
            panel, s, colour);
    if (has.error && !level)
        fprintf(f,
                "    $p%zu_%zu using 1:2:3 with yerrorbars lc rgb '%s' lw 1.2 ps 0 notitle, \\\n",
                panel, s, colour);
    if (has.accuracy) {
        fprintf(f, "    $p%zu_%zu using 1:2 with ", panel, s);
        if (level)
            fprintf(f, "lines lc rgb '%s' lw 2 dt %zu title ", colour, series->variant % 4 + 2);
        else
            fprintf(f, "linespoints lc rgb '%s' lw 2 dt %zu pt %d ps 0.9 title ", colour,
                    series->variant % 5 + 1, look->forms[series->variant % 2]);
        figure_quoted(f, title);
        fprintf(f, ", \\\n");
    }
    if (has.diverged)
        fprintf(f, "    $p%zu_%zu using 1:4 with points lc rgb '%s' lw 2 pt 2 ps 1.6 notitle, \\\n",
                panel, s, colour);
}

static bool is_in(const struct plot *p, size_t panel, size_t series)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->points[i].panel == panel && p->points[i].series == series)
            return true;
    return false;
}

static void tic(FILE *f, double x, double from, double to, bool *first)
{
    if (x < from || x > to)
        return;
    fprintf(f, "%s%.6g", *first ? "" : ", ", x);
    *first = false;
}

/* A logarithmic axis. gnuplot puts numbers at decades, of which a figure of like models may hold
 * none: here they stand at 1, 2 and 5 of a decade, and on a short axis at even steps. */
static void log_axis(FILE *f, double low, double high)
{
    const double from = low / 1.15, to = high * 1.15;
    bool first = true;
    if (!(from > 0 && isfinite(to)))
        return;
    fprintf(f, "\n  set xrange [%.9g:%.9g]\n  set xtics (", from, to);
    if (to < 5 * from) {
        double step = pow(10, floor(log10(to - from)));
        step /= (to - from) / step < 3 ? 2 : 1;
        for (double k = ceil(from / step); k * step <= to; k++)
            tic(f, k * step, from, to, &first);
    } else {
        const int last = to > 2000 * from ? 1 : 5;
        for (double decade = pow(10, floor(log10(from))); decade <= to; decade *= 10)
            for (int digit = 1; digit <= last; digit += digit == 2 ? 3 : 1)
                tic(f, digit * decade, from, to, &first);
    }
    fputc(')', f);
}

static void write_panel(FILE *f, const struct plot *p, size_t panel)
{
    const struct range r = range_of(p, panel);
    bool diverged = false;
    for (size_t i = 0; i < p->n; i++)
        diverged = diverged || (p->points[i].panel == panel && p->points[i].diverged > 0);
    fprintf(f, "  set title ");
    figure_quoted(f, p->panels[panel].title);
    fprintf(f, "\n  set ylabel '%s'",
            p->panels[panel].transfer ? "mean 10-shot accuracy" : "test accuracy");
    const double edge = 0.03 * (r.x_high - r.x_low);
    if (p->x == PLOT_HOURS)
        log_axis(f, r.x_low, r.x_high);
    else
        fprintf(f, "\n  set xrange [%.9g:%.9g]", r.x_low - edge, r.x_high + edge);
    fprintf(f, "\n  set yrange [%.9g:%.9g]\n  plot \\\n", r.y_low, r.y_high);
    for (size_t s = 0; s < p->n_series; s++)
        if (is_in(p, panel, s))
            write_series(f, p, panel, s);
    fprintf(f, diverged ? "    1/0 with points lc rgb '#000000' lw 2 pt 2 ps 1.6 title 'diverged'\n"
                        : "    1/0 notitle\n");
}

static const char *const x_labels[] = {[PLOT_HOURS] = "core-hours",
                                       [PLOT_ALPHA] = "exponent alpha of the factor L^{-alpha}",
                                       [PLOT_SIDE] = "side of the image, pixels"};

static sl_status write_script(const struct plot *p, const struct figure *g)
{
    char path[FIGURE_PATH];
    FILE *f = figure_create(g, "gp", path);
    if (!f)
        return cli_cannot_write(path);
    fprintf(f, "# Made by softless plot; 'gnuplot %s.gp' draws %s.png and %s.svg.\n", p->name,
            p->name, p->name);
    for (size_t panel = 0; panel < p->n_panels; panel++) {
        const struct range r = range_of(p, panel);
        for (size_t s = 0; s < p->n_series; s++)
            if (is_in(p, panel, s))
                write_block(f, p, panel, s, &r);
    }
    fprintf(f,
            "set datafile missing 'NaN'\n"
            "set grid xtics ytics back lt 1 lw 0.7 lc rgb '#cccccc'\n"
            "set bars 0.6\n"
            "set key noenhanced %s\n"
            "set title noenhanced\n"
            "set xlabel '%s'\n"
            "%s",
            p->n_panels > 1 ? "outside below horizontal height 1.2" : "outside right top",
            x_labels[p->x], p->x == PLOT_HOURS ? "set logscale x\nset format x '%g'\n" : "");
    char title[TITLE];
    size_t longest = 10;
    for (size_t i = 0; i < p->n_series; i++) {
        title_of(p, 0, i, title);
        longest = strlen(title) > longest ? strlen(title) : longest;
    }
    const size_t width = p->n_panels > 1 ? 480 * p->n_panels : 680 + 9 * longest;
    figure_forms(f, g, width, p->n_panels > 1 ? 520 : 460, p->n_panels);
    for (size_t panel = 0; panel < p->n_panels; panel++)
        write_panel(f, p, panel);
    figure_forms_end(f);
    return figure_close(f, path);
}

sl_status plot_draw(const struct plot *p, const char *out)
{
    const struct figure g = {out, p->name};
    sl_status st = figure_begin(&g);
    if (st == SL_OK)
        st = write_csv(p, &g);
    if (st == SL_OK)
        st = write_script(p, &g);
    return st == SL_OK ? figure_draw(&g, stdout) : st;
}
