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
    double at;             /* alpha or side; NAN where x is what the runs cost */
    size_t diverged;
    struct plot_mean y;     /* accuracy of the runs that did not diverge */
    struct plot_mean hours; /* core-hours of all runs */
};

struct plot_series {
    char name[PLOT_TEXT];
    char h[32];      /* gives the colour */
    size_t variant;  /* among those of this h: gives dash and form of the point */
    bool own_colour; /* the next of the list, not that of h */
};

enum plot_x { PLOT_HOURS, PLOT_ALPHA, PLOT_SIDE };

struct plot_panel {
    char title[PLOT_TEXT];
    bool transfer; /* y is the mean 10-shot accuracy on other sets; else test accuracy */
};

struct plot {
    enum plot_x x;
    const char *name; /* of the files: NAME.csv, .gp, .svg, .png */
    struct plot_panel panels[PLOT_PANELS_MAX];
    size_t n_panels;
    struct plot_series series[PLOT_SERIES_MAX];
    size_t n_series;
    struct plot_point *points; /* [n], ordered by panel, series, x */
    size_t n;
    struct plot_mean image_se; /* standard error of single runs over test images */
};

/* Accuracy against the side of the image, at the sides of eval.sizes: panels for h and for the L of
 * the factor, series for alpha, softmax beside them all. */
sl_status plot_gather_sides(struct plot *p, const sl_study *study, const char *name);

/* ---- parts of gathering ---- */

enum plot_role { PLOT_IS_X, PLOT_IS_SEED, PLOT_IS_PANEL, PLOT_IS_SERIES, PLOT_IS_SIZE };
/* The values of a run's axes of one role: "relu, qk_norm none", with h and x bare. */
sl_status plot_describe(const struct plot *p, const sl_study *study, size_t run,
                        enum plot_role role, char text[PLOT_TEXT]);
/* A number of the run's row; NAN for an empty field. */
sl_status plot_number(const sl_study *study, size_t run, const char *column, double *x);
/* The panel "STUDY: WHAT", the series of this name, the point of this label: found or added. */
sl_status plot_panel_of(struct plot *p, const char *study, const char *what, size_t *panel);
sl_status plot_series_of(struct plot *p, const sl_study *study, size_t run, const char *name,
                         size_t *series);
sl_status plot_point_of(struct plot *p, size_t panel, size_t series, const char *label,
                        struct plot_point **point);

double plot_x(const struct plot *p, const struct plot_point *point);
/* A softmax model has no alpha: it is a level in figures over alpha. */
bool plot_is_level(const struct plot *p, size_t series);

/* OUT/NAME.csv and NAME.gp; NAME.svg and NAME.png by gnuplot: SL_ERR_UNAVAILABLE without. */
sl_status plot_draw(const struct plot *p, const char *out);

/* OUT/report.md and report.html. */
struct plot_sources {
    sl_study *const *studies;
    const char *const *names; /* as given on the command line */
    size_t n;
};
sl_status plot_report(const struct plot *p, const struct plot_sources *sources, const char *out);

#endif
