/*
 * A figure as files: NAME.csv for people, and NAME.gp, a gnuplot script that holds its data, so
 * that the figure can be drawn again, or changed, anywhere; NAME.svg and NAME.png by gnuplot.
 */
#ifndef SL_CLI_FIGURE_H
#define SL_CLI_FIGURE_H

#include "cli.h"

enum { FIGURE_PATH = 4096 };

struct figure {
    const char *out, *name; /* folder, and name of the files */
};

/* Makes the folder; a figure of other data that is there goes. */
sl_status figure_begin(const struct figure *figure);
/* NAME.ENDING to write, its path for messages; NULL: errno says why. */
FILE *figure_create(const struct figure *figure, const char *ending, char path[FIGURE_PATH]);
sl_status figure_close(FILE *f, const char *path);
/* Draws NAME.gp and says so on `f`. SL_ERR_UNAVAILABLE: gnuplot is missing or failed. */
sl_status figure_draw(const struct figure *figure, FILE *f);

/* ---- parts of scripts and tables ---- */

/* A text as gnuplot's '...'. */
void figure_quoted(FILE *f, const char *text);
/* The loop over both forms and, for panels side by side, its multiplot; then the end of it. */
void figure_forms(FILE *f, const struct figure *figure, size_t width, size_t height, size_t panels);
void figure_forms_end(FILE *f);
/* A field of a CSV table, quoted where it must be. */
void figure_csv_text(FILE *f, const char *text);

#endif
