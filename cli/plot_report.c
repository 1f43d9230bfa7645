/*
 * The report: figure, table, what the table says in numbers, machines, versions and commands; as
 * Markdown, and as HTML in one file with the figure inside. Both come from one sequence of calls.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"

struct page {
    FILE *f;
    bool html;
};

/* Text of the studies; marks of HTML or of a Markdown table must not act. */
static void put(const struct page *g, const char *text)
{
    for (; *text; text++)
        if (g->html && strchr("&<>", *text))
            fprintf(g->f, "&#%d;", *text);
        else if (!g->html && strchr("|*_<\\`", *text))
            fprintf(g->f, "\\%c", *text);
        else
            fputc(*text, g->f);
}

static void heading(const struct page *g, int level, const char *text)
{
    if (g->html)
        fprintf(g->f, "<h%d>", level);
    else
        fprintf(g->f, "\n%.*s ", level, "###");
    put(g, text);
    if (g->html)
        fprintf(g->f, "</h%d>\n", level);
    else
        fprintf(g->f, "\n\n");
}

static void line(const struct page *g, const char *text)
{
    fprintf(g->f, g->html ? "<li>" : "- ");
    put(g, text);
    fprintf(g->f, g->html ? "</li>\n" : "\n");
}

static void code(const struct page *g, const char *text)
{
    fprintf(g->f, g->html ? "<li><code>" : "- `");
    if (g->html)
        put(g, text);
    else
        fprintf(g->f, "%s", text);
    fprintf(g->f, g->html ? "</code></li>\n" : "`\n");
}

static void list(const struct page *g, bool opens)
{
    if (g->html)
        fprintf(g->f, opens ? "<ul>\n" : "</ul>\n");
}

/* ---- the table: a row a series, a column a label ---- */

static void cell(const struct page *g, const char *text, bool head)
{
    if (g->html)
        fprintf(g->f, head ? "<th>" : "<td>");
    else
        fprintf(g->f, "| ");
    put(g, text);
    if (g->html)
        fprintf(g->f, head ? "</th>" : "</td>");
    else
        fputc(' ', g->f);
}

static void row_begin(const struct page *g)
{
    if (g->html)
        fprintf(g->f, "<tr>");
}

static void row_end(const struct page *g)
{
    fprintf(g->f, g->html ? "</tr>\n" : "|\n");
}

static const struct plot_point *find(const struct plot *p, size_t panel, size_t series,
                                     const char *label)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->points[i].panel == panel && p->points[i].series == series &&
            strcmp(p->points[i].label, label) == 0)
            return &p->points[i];
    return NULL;
}

/* The labels of a panel in order of x, each once; returns their number. */
static size_t labels_of(const struct plot *p, size_t panel, const char **labels)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct plot_point *q = &p->points[i];
        size_t k = 0;
        while (k < n && strcmp(labels[k], q->label) != 0)
            k++;
        if (q->panel != panel || k < n)
            continue;
        for (k = n; k > 0 && p->x == PLOT_ALPHA && strtod(labels[k - 1], NULL) > q->at; k--)
            labels[k] = labels[k - 1];
        labels[k] = q->label;
        n++;
    }
    return n;
}

static void point_text(const struct plot_point *q, char text[PLOT_TEXT])
{
    const double se = q ? plot_mean_se(&q->y) : NAN;
    text[0] = '\0';
    size_t n = 0;
    if (q && q->y.n > 0)
        n = (size_t)snprintf(text, PLOT_TEXT, "%.2f", 100 * q->y.mean);
    if (isfinite(se))
        n += (size_t)snprintf(text + n, PLOT_TEXT - n, " ± %.2f", 100 * se);
    if (q && q->diverged)
        snprintf(text + n, PLOT_TEXT - n, "%s%zu of %zu diverged", n ? ", " : "", q->diverged,
                 q->diverged + q->y.n);
}

static void table(const struct page *g, const struct plot *p, size_t panel, const char **labels)
{
    const size_t n = labels_of(p, panel, labels);
    char text[PLOT_TEXT];
    if (g->html)
        fprintf(g->f, "<table>\n");
    row_begin(g);
    snprintf(text, sizeof text, "%s, %%%s",
             p->panels[panel].transfer ? "10-shot transfer" : "test top-1",
             (p->x == PLOT_ALPHA) ? ", at alpha" : "");
    cell(g, text, true);
    for (size_t k = 0; k < n; k++)
        cell(g, labels[k], true);
    row_end(g);
    for (size_t k = 0; k <= n && !g->html; k++)
        fprintf(g->f, k < n ? "|---" : "|---|\n");
    for (size_t s = 0; s < p->n_series; s++) {
        bool any = false;
        for (size_t k = 0; k < n; k++)
            any = any || find(p, panel, s, labels[k]);
        if (!any)
            continue;
        row_begin(g);
        cell(g, p->series[s].name, false);
        for (size_t k = 0; k < n; k++) {
            point_text(find(p, panel, s, labels[k]), text);
            cell(g, text, false);
        }
        row_end(g);
    }
    if (g->html)
        fprintf(g->f, "</table>\n");
}

/* ---- what the points say ---- */

static void best(const struct page *g, const struct plot *p, size_t panel)
{
    list(g, true);
    for (size_t s = 0; s < p->n_series; s++) {
        const struct plot_point *top = NULL;
        struct plot_mean hours = {.n = 0};
        char text[3 * PLOT_TEXT], value[PLOT_TEXT];
        for (size_t i = 0; i < p->n; i++) {
            const struct plot_point *q = &p->points[i];
            if (q->panel != panel || q->series != s)
                continue;
            if (q->y.n && (!top || q->y.mean > top->y.mean))
                top = q;
            if (q->hours.n)
                plot_mean_add(&hours, q->hours.mean);
        }
        if (!top)
            continue;
        point_text(top, value);
        snprintf(text, sizeof text, "%s: best %s %%%s%s%s%s; %.3g core-hours a run",
                 p->series[s].name, value, plot_is_level(p, s) ? "" : " at ",
                 plot_is_level(p, s) ? "" : ((p->x == PLOT_ALPHA) ? "alpha " : ""),
                 plot_is_level(p, s) ? "" : top->label, top->y.n > 1 ? "" : " (one seed)",
                 hours.n ? hours.mean : NAN);
        line(g, text);
    }
    list(g, false);
}

static void noise(const struct page *g, const struct plot *p)
{
    char text[PLOT_TEXT];
    double m2 = 0;
    size_t freedom = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->points[i].y.n > 1 && !p->panels[p->points[i].panel].transfer) {
            m2 += p->points[i].y.m2;
            freedom += p->points[i].y.n - 1;
        }
    list(g, true);
    if (freedom)
        snprintf(text, sizeof text,
                 "between seeds: standard deviation %.2f points (pooled, %zu degrees of freedom)",
                 100 * sqrt(m2 / (double)freedom), freedom);
    else
        snprintf(text, sizeof text, "between seeds: unknown, as no point has two");
    line(g, text);
    snprintf(text, sizeof text, "of one run over test images: standard error %.2f points",
             100 * p->image_se.mean);
    line(g, text);
    list(g, false);
}

/* ---- where it comes from ---- */

enum { DISTINCT_MAX = 32 };

/* The distinct values of a column with the number of runs, as "a (12 runs); b (3 runs)". */
static sl_status distinct(const struct page *g, const struct plot_sources *from, const char *column)
{
    char *values[DISTINCT_MAX], text[1024];
    size_t counts[DISTINCT_MAX], n = 0, length;
    sl_status st = SL_OK;
    for (size_t s = 0; s < from->n && st == SL_OK; s++)
        for (size_t i = 0; i < sl_study_count(from->studies[s]) && st == SL_OK; i++) {
            char *value = NULL;
            size_t k = 0;
            st = sl_study_field(from->studies[s], i, column, &value);
            if (st != SL_OK || !value)
                continue;
            while (k < n && strcmp(values[k], value) != 0)
                k++;
            if (k == n && n < DISTINCT_MAX) {
                values[n] = value;
                counts[n++] = 0;
                value = NULL;
            }
            if (k < n)
                counts[k]++;
            sl_text_free(&value);
        }
    length = (size_t)snprintf(text, sizeof text, "%s: ", column);
    for (size_t k = 0; k < n; k++) {
        if (length < sizeof text)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%s (%zu runs)",
                                       k ? "; " : "", values[k], counts[k]);
        sl_text_free(&values[k]);
    }
    if (st == SL_OK)
        line(g, text);
    return st;
}

static sl_status sources(const struct page *g, const struct plot_sources *from)
{
    static const char *const columns[] = {"cpu", "isa", "threads", "version", "commit"};
    sl_status st = SL_OK;
    heading(g, 2, "Machines and versions");
    list(g, true);
    for (size_t k = 0; k < sizeof columns / sizeof *columns && st == SL_OK; k++)
        st = distinct(g, from, columns[k]);
    list(g, false);
    heading(g, 2, "Commands");
    list(g, true);
    for (size_t s = 0; s < from->n; s++) {
        char text[PLOT_TEXT + 40];
        size_t ended = 0;
        for (size_t i = 0; i < sl_study_count(from->studies[s]); i++) {
            const sl_run_state state = sl_study_state(from->studies[s], i);
            ended += state == SL_RUN_DONE || state == SL_RUN_DIVERGED;
        }
        snprintf(text, sizeof text, "softless sweep %.150s", from->names[s]);
        code(g, text);
        snprintf(text, sizeof text, "%zu of its %zu runs have ended", ended,
                 sl_study_count(from->studies[s]));
        line(g, text);
    }
    list(g, false);
    return st;
}

/* ---- the page ---- */

static void title(const struct page *g, const struct plot_sources *from)
{
    char text[1024] = "Results of ";
    for (size_t s = 0; s < from->n; s++) {
        const size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s%s", s ? ", " : "", from->names[s]);
    }
    if (g->html) {
        fprintf(g->f, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
        put(g, text);
        fprintf(g->f, "</title>\n<style>body{font-family:sans-serif;max-width:64em;margin:2em auto;"
                      "padding:0 1em}table{border-collapse:collapse}td,th{border:1px solid #bbb;"
                      "padding:.2em .5em;text-align:left}svg{max-width:100%%;height:auto}</style>\n"
                      "</head><body>\n");
    }
    heading(g, 1, text);
}

/* The SVG from its element on; without one the sentence that there is none. */
static void figure(const struct page *g, const char *out)
{
    char path[PLOT_PATH], piece[4096];
    snprintf(path, sizeof path, "%s/figure.svg", out);
    FILE *svg = fopen(path, "r");
    if (!svg)
        fprintf(g->f, g->html ? "<p>No figure: gnuplot was missing.</p>\n"
                              : "No figure: gnuplot was missing.\n");
    else if (!g->html)
        fprintf(g->f, "![figure](figure.svg)\n");
    bool inside = false;
    while (svg && g->html && fgets(piece, sizeof piece, svg)) {
        const char *from = inside ? piece : strstr(piece, "<svg");
        inside = inside || from;
        if (from)
            fputs(from, g->f);
    }
    if (svg)
        fclose(svg);
}

static sl_status write_page(const struct plot *p, const struct plot_sources *from, const char *out,
                            bool html)
{
    char path[PLOT_PATH];
    snprintf(path, sizeof path, "%s/report.%s", out, html ? "html" : "md");
    const char **labels = calloc(p->n, sizeof *labels);
    FILE *f = labels ? fopen(path, "w") : NULL;
    if (!f) {
        free(labels);
        return cli_cannot_write(path);
    }
    const struct page g = {f, html};
    title(&g, from);
    figure(&g, out);
    for (size_t panel = 0; panel < p->n_panels; panel++) {
        heading(&g, 2, p->panels[panel].title);
        table(&g, p, panel, labels);
        if (!html)
            fputc('\n', f);
        best(&g, p, panel);
    }
    heading(&g, 2, "Noise");
    noise(&g, p);
    const sl_status st = sources(&g, from);
    if (html)
        fprintf(f, "</body></html>\n");
    free(labels);
    const bool bad = ferror(f) != 0;
    if ((fclose(f) != 0 || bad) && st == SL_OK)
        return cli_cannot_write(path);
    return st;
}

sl_status plot_report(const struct plot *p, const struct plot_sources *from, const char *out)
{
    sl_status st = write_page(p, from, out, false);
    if (st == SL_OK)
        st = write_page(p, from, out, true);
    if (st == SL_OK)
        printf("report: %s/report.html, %s/report.md\n", out, out);
    return st;
}
