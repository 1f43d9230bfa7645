/*
 * The points of a figure, gathered from the rows of studies: what plot.c makes and what the
 * drawing (plot_figure.c) and the report (plot_report.c) read.
 */
#ifndef SL_CLI_PLOT_H
#define SL_CLI_PLOT_H

#include "cli.h"

enum { PLOT_TEXT = 160, PLOT_SERIES_MAX = 64, PLOT_PANELS_MAX = 12, PLOT_PATH = 4096 };

/* Mean and sum of squared deviations, updated value by value. */
struct plot_mean {
    double mean, m2;
    size_t n;
};
void plot_mean_add(struct plot_mean *m, double x);
double plot_mean_se(const struct plot_mean *m); /* of the mean; NAN below two values */

/* All seeds of one point. */
struct plot_point {
    size_t panel, series;
    char label[PLOT_TEXT]; /* "0.25", or the sizes of a model */
    double alpha;          /* NAN if that is not the x axis */
    size_t diverged;
    struct plot_mean y;     /* accuracy of the runs that did not diverge */
    struct plot_mean hours; /* core-hours of all runs */
};

struct plot_series {
    char name[PLOT_TEXT];
    char h[32];     /* gives the colour */
    size_t variant; /* among those of this h: gives dash and form of the point */
};

struct plot_panel {
    char title[PLOT_TEXT];
    bool transfer; /* y is the mean 10-shot accuracy on other sets; else test accuracy */
};

struct plot {
    bool by_alpha; /* x is alpha; else core-hours */
    struct plot_panel panels[PLOT_PANELS_MAX];
    size_t n_panels;
    struct plot_series series[PLOT_SERIES_MAX];
    size_t n_series;
    struct plot_point *points; /* [n], ordered by panel, series, x */
    size_t n;
    struct plot_mean image_se; /* standard error of single runs over test images */
};

double plot_x(const struct plot *p, const struct plot_point *point);
/* A softmax model has no alpha: it is a level in figures over alpha. */
bool plot_is_level(const struct plot *p, size_t series);

/* OUT/figure.csv and figure.gp; figure.svg and figure.png by gnuplot: SL_ERR_UNAVAILABLE without.
 */
sl_status plot_draw(const struct plot *p, const char *out);

/* OUT/report.md and report.html. */
struct plot_sources {
    sl_study *const *studies;
    const char *const *names; /* as given on the command line */
    size_t n;
};
sl_status plot_report(const struct plot *p, const struct plot_sources *sources, const char *out);

#endif
