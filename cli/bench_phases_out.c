/*
 * What softless bench phases found: as text, CSV or JSON, and as a figure of stacked bars. Colours
 * are Okabe and Ito's, light for forward and dark for backward.
 */
#include <math.h>
#include <string.h>

#include "bench.h"

static const char *row_name(size_t row)
{
    return row == PHASES_STEP      ? "step"
           : row == PHASES_BETWEEN ? "between ops"
                                   : sl_phase_name((sl_phase)row);
}

static const char *dtype_of(const struct phases_shape *s)
{
    return s->dtype == SL_BF16 ? "bf16" : "fp32";
}

/* Core-hours a million images of so many seconds a step. */
static double core_hours(const struct phases_shape *s, double core_s)
{
    return core_s / (double)s->batch * 1e6 / 3600;
}

/* What the products of a row would take at the peak. */
static double at_peak(const struct phases_shape *s, const struct phases_row *r)
{
    return core_hours(s, 1e-9 * r->formula / s->peak);
}

/* GFLOP a processor second. */
static double rate(const struct phases_shape *s, const struct phases_row *r)
{
    return 1e-9 * r->counted * core_hours(s, 1) / r->core_h.median;
}

/* ---- text ---- */

static void text_row(FILE *f, const struct phases_shape *s, const struct phases_bar *bar,
                     size_t row)
{
    const struct phases_row *r = &bar->rows[row];
    const struct cli_spread t = r->seconds;
    char spread[40];
    snprintf(spread, sizeof spread, "(%.3f .. %.3f)", 1e3 * t.q1, 1e3 * t.q3);
    fprintf(f, "%-16s %-18s %10.3f %-24s %5.1f %11.4f", row ? "" : bar->model, row_name(row),
            1e3 * t.median, spread, 100 * r->core_h.median / bar->rows[PHASES_STEP].core_h.median,
            r->core_h.median);
    if (r->counted > 0)
        fprintf(f, " %8.4f %9.3f %9.3f %8.1f %6.1f", at_peak(s, r), 1e-9 * r->formula,
                1e-9 * r->counted, rate(s, r), 100 * rate(s, r) / s->peak);
    fputc('\n', f);
}

static void print_text(FILE *f, const struct phases_shape *s, bool first)
{
    fprintf(
        f,
        "%s%s: L %zu, D %zu, depth %zu, batch %zu, %s, %d threads, %zu rounds, peak %.1f GFLOP a "
        "core-second\n"
        "data: %s\n",
        first ? "" : "\n", s->name, s->tokens, s->width, s->depth, s->batch, dtype_of(s),
        s->threads, s->rounds, s->peak, s->data);
    fprintf(f, "%-16s %-18s %10s %-24s %5s %11s %8s %9s %9s %8s %6s\n", "model", "phase", "ms",
            "(q1 .. q3)", "%", "core-h/Mimg", "at peak", "GFLOP", "counted", "/core-s", "% peak");
    for (size_t m = 0; m < s->n; m++)
        for (size_t row = 0; row < PHASES_ROWS; row++)
            text_row(f, s, &s->bars[m], row);
    for (size_t m = 1; m < s->n; m++)
        for (size_t o = 0; o < m; o++) {
            const struct cli_spread x = s->bars[m].ratios[o];
            fprintf(f, "core-hours of %s to %s: %.4f (%.4f .. %.4f)\n", s->bars[m].model,
                    s->bars[o].model, x.median, x.q1, x.q3);
        }
}

/* ---- CSV: a row a phase; the ratios of core-hours stand in the rows of whole steps ---- */

static void csv_header(FILE *f, const struct phases_shape *s)
{
    fprintf(
        f,
        "shape,model,phase,tokens,batch,dtype,threads,rounds,ms,ms_q1,ms_q3,core_h,core_h_q1,"
        "core_h_q3,core_h_at_peak,gflop,gflop_counted,gflop_core_s,peak_percent,peak_gflop_core_s");
    for (size_t m = 0; m < s->n; m++)
        for (size_t k = 0; k < 3; k++) {
            static const char *const ends[] = {"", " q1", " q3"};
            char title[PHASES_NAME + 8];
            snprintf(title, sizeof title, "to %s%s", s->bars[m].model, ends[k]);
            fputc(',', f);
            figure_csv_text(f, title);
        }
    fprintf(f, ",data\n");
}

static void csv_row(FILE *f, const struct phases_shape *s, const struct phases_bar *bar, size_t row)
{
    const struct phases_row *r = &bar->rows[row];
    figure_csv_text(f, s->name);
    fputc(',', f);
    figure_csv_text(f, bar->model);
    fprintf(f, ",%s,%zu,%zu,%s,%d,%zu", row_name(row), s->tokens, s->batch, dtype_of(s), s->threads,
            s->rounds);
    fprintf(f, ",%.6f,%.6f,%.6f,%.6g,%.6g,%.6g,%.6g", 1e3 * r->seconds.median, 1e3 * r->seconds.q1,
            1e3 * r->seconds.q3, r->core_h.median, r->core_h.q1, r->core_h.q3, at_peak(s, r));
    fprintf(f, ",%.17g,%.17g,%.2f,%.2f,%.1f", 1e-9 * r->formula, 1e-9 * r->counted, rate(s, r),
            100 * rate(s, r) / s->peak, s->peak);
    for (size_t o = 0; o < s->n; o++) {
        const struct cli_spread x = bar->ratios[o];
        if (row == PHASES_STEP)
            fprintf(f, ",%.5f,%.5f,%.5f", x.median, x.q1, x.q3);
        else
            fprintf(f, ",,,");
    }
    fputc(',', f);
    figure_csv_text(f, s->data);
    fputc('\n', f);
}

static void print_csv(FILE *f, const struct phases_shape *s, bool first)
{
    if (first)
        csv_header(f, s);
    for (size_t m = 0; m < s->n; m++)
        for (size_t row = 0; row < PHASES_ROWS; row++)
            csv_row(f, s, &s->bars[m], row);
}

/* ---- JSON: an object a line and model ---- */

static void json_text(FILE *f, const char *key, const char *text)
{
    fprintf(f, "\"%s\": ", key);
    cli_json_string(f, text);
    fprintf(f, ", ");
}

static void json_bar(FILE *f, const struct phases_shape *s, const struct phases_bar *bar)
{
    fprintf(f, "{\"bench\": \"phases\", ");
    json_text(f, "shape", s->name);
    json_text(f, "model", bar->model);
    json_text(f, "data", s->data);
    fprintf(f,
            "\"tokens\": %zu, \"width\": %zu, \"depth\": %zu, \"batch\": %zu, \"dtype\": \"%s\", "
            "\"threads\": %d, "
            "\"rounds\": %zu, \"peak_gflop_core_s\": %.2f, \"phases\": [",
            s->tokens, s->width, s->depth, s->batch, dtype_of(s), s->threads, s->rounds, s->peak);
    for (size_t row = 0; row < PHASES_ROWS; row++) {
        const struct phases_row *r = &bar->rows[row];
        fprintf(f,
                "%s{\"phase\": \"%s\", \"ms\": %.6f, \"ms_q1\": %.6f, \"ms_q3\": %.6f, "
                "\"core_h\": %.6g, \"core_h_at_peak\": %.6g, \"gflop\": %.17g, "
                "\"gflop_counted\": %.17g}",
                row ? ", " : "", row_name(row), 1e3 * r->seconds.median, 1e3 * r->seconds.q1,
                1e3 * r->seconds.q3, r->core_h.median, at_peak(s, r), 1e-9 * r->formula,
                1e-9 * r->counted);
    }
    fprintf(f, "], \"ratios\": {");
    for (size_t o = 0; o < s->n; o++) {
        const struct cli_spread x = bar->ratios[o];
        fprintf(f, "%s", o ? ", " : "");
        cli_json_string(f, s->bars[o].model);
        fprintf(f, ": [%.5f, %.5f, %.5f]", x.q1, x.median, x.q3);
    }
    fprintf(f, "}}\n");
}

void phases_print(FILE *f, const struct phases_shape *s, enum cli_format format, bool first)
{
    if (format == CLI_TEXT_FORMAT)
        print_text(f, s, first);
    else if (format == CLI_CSV_FORMAT)
        print_csv(f, s, first);
    for (size_t m = 0; m < s->n && format == CLI_JSON_FORMAT; m++)
        json_bar(f, s, &s->bars[m]);
    fflush(f);
}

/* ---- figure ---- */

/* From the bottom of a bar to its top: what phi is part of stands on the common base. */
static const struct part {
    sl_phase phase;
    const char *colour;
} parts[SL_PHASE_COUNT] = {
    {SL_PHASE_ATTENTION_FWD, "#56B4E9"}, {SL_PHASE_ATTENTION_BWD, "#0072B2"},
    {SL_PHASE_REST_FWD, "#D9D9D9"},      {SL_PHASE_REST_BWD, "#8C8C8C"},
    {SL_PHASE_OPTIMIZER, "#009E73"},     {SL_PHASE_DATA, "#E69F00"},
};

/* Of each model: its name, the parts, the whole and its quartiles. */
static void script_data(FILE *f, const struct phases_shape *s, size_t panel)
{
    fprintf(f, "$p%zu << END\n", panel);
    for (size_t m = 0; m < s->n; m++) {
        const struct phases_row *rows = s->bars[m].rows;
        const struct cli_spread all = rows[PHASES_STEP].core_h;
        fprintf(f, "\"%s\"", s->bars[m].model);
        for (size_t i = 0; i < SL_PHASE_COUNT; i++)
            fprintf(f, " %.6g", rows[parts[i].phase].core_h.median);
        fprintf(f, " %.6g %.6g %.6g\n", all.median, all.q1, all.q3);
    }
    fprintf(f, "END\n");
}

static void script_panel(FILE *f, const struct phases_shape *s, size_t panel)
{
    char title[PHASES_NAME + 40];
    double top = 0;
    snprintf(title, sizeof title, "%s: L = %zu", s->name, s->tokens);
    for (size_t m = 0; m < s->n; m++)
        top = fmax(top, s->bars[m].rows[PHASES_STEP].core_h.q3);
    fprintf(f, "  set title ");
    figure_quoted(f, title);
    fprintf(f, "\n  set yrange [0:%.6g]\n  set xrange [-0.6:%.1f]\n  plot \\\n", 1.12 * top,
            (double)s->n - 0.4);
    for (size_t i = 0; i < SL_PHASE_COUNT; i++)
        fprintf(f, "    $p%zu using %zu:xtic(1) lc rgb '%s' title '%s', \\\n", panel, i + 2,
                parts[i].colour, sl_phase_name(parts[i].phase));
    fprintf(
        f,
        "    $p%zu using 0:9:(0):($10-$9) with vectors heads size 0.03,90 lc rgb '#000000' lw 1.5 "
        "notitle, \\\n"
        "    $p%zu using 0:10:(sprintf('%%.3g', $8)) with labels offset 0,0.8 notitle\n",
        panel, panel);
}

static sl_status write_script(const struct phases_shape *shapes, size_t n, const struct figure *g)
{
    char path[FIGURE_PATH];
    FILE *f = figure_create(g, "gp", path);
    if (!f)
        return cli_cannot_write(path);
    fprintf(f, "# Made by softless bench phases; 'gnuplot %s.gp' draws %s.png and %s.svg.\n",
            g->name, g->name, g->name);
    for (size_t i = 0; i < n; i++)
        script_data(f, &shapes[i], i);
    fprintf(f, "set style data histograms\n"
               "set style histogram rowstacked\n"
               "set style fill solid 1 border rgb '#333333'\n"
               "set boxwidth 0.7\n"
               "set bars 0.6\n"
               "set grid ytics back lt 1 lw 0.7 lc rgb '#cccccc'\n"
               "set key noenhanced outside below horizontal height 1.2\n"
               "set title noenhanced\n"
               "set xtics noenhanced nomirror scale 0\n"
               "set ylabel 'core-hours a million images'\n");
    figure_forms(f, g, n > 1 ? 480 * n : 640, 520, n);
    for (size_t i = 0; i < n; i++)
        script_panel(f, &shapes[i], i);
    figure_forms_end(f);
    return figure_close(f, path);
}

static sl_status write_csv(const struct phases_shape *shapes, size_t n, const struct figure *g)
{
    char path[FIGURE_PATH];
    FILE *f = figure_create(g, "csv", path);
    if (!f)
        return cli_cannot_write(path);
    for (size_t i = 0; i < n; i++)
        print_csv(f, &shapes[i], i == 0);
    return figure_close(f, path);
}

sl_status phases_draw(const struct phases_shape *shapes, size_t n, const struct figure *g)
{
    sl_status st = write_csv(shapes, n, g);
    if (st == SL_OK)
        st = write_script(shapes, n, g);
    return st == SL_OK ? figure_draw(g, stderr) : st;
}
