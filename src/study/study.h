/*
 * A study in memory: the axes of a sweep, the runs they expand to, and what is known of each.
 */
#ifndef SL_STUDY_STUDY_H
#define SL_STUDY_STUDY_H

#include "base/io.h"
#include "base/text.h"
#include "config/options.h"
#include "softless_study.h"

enum { SL_AXES_MAX = 16, SL_AXIS_VALUES_MAX = 1000, SL_RUNS_MAX = 10000, SL_EXCLUDES_MAX = 64 };
enum { SL_RECIPE_DIGITS = 12 }; /* of the digest that a row holds, as in a run directory's name */
enum { SL_TABLE_CAP = 16 << 20 };

struct sl_axis {
    size_t option; /* in sl_options */
    char where[256];
    char **values; /* [n] as text, owned */
    size_t n;
    bool range; /* from, to, step instead of values */
    double from, to, step;
    unsigned given; /* which of the three */
};

struct sl_study_run {
    char *name;
    struct sl_recipe recipe;
    char digest[SL_DIGEST_SIZE];
    sl_run_state state;
    char *row; /* its line of the table, NULL if it has none */
    char *why;
};

struct sl_study {
    struct sl_axis axes[SL_AXES_MAX];
    size_t n_axes;
    char *excludes[SL_EXCLUDES_MAX];
    char exclude_where[256];
    size_t n_excludes;
    struct sl_study_run *runs; /* [n] */
    size_t n;
    char *dir, *table, *header;
    char **sizes; /* [n_sizes] of eval.sizes: columns of their own */
    size_t n_sizes;
    char **extra; /* rows of the table that are not of these runs, kept as they are */
    size_t n_extra;
};

/* Reads the recipe and fills axes, excludes and runs. */
sl_status sl_study_expand(struct sl_study *study, const char *path, const char *const *overrides,
                          size_t n, struct sl_recipe *base);
/* A value of a config as it stands in names and tables: without quotes. */
sl_status sl_study_value(size_t option, const struct sl_config *config, char **text);
/* Reads the table and the rows of runs; write: adds new ones to the table. */
sl_status sl_study_merge(struct sl_study *study, bool write);
/* The next row of a table of lines that end with LF or CRLF, empty ones left out; NULL behind the
 * last. *rest, the text to come, moves on and is written to. SL_ERR_DATA: not as many fields as the
 * header has (NULL: any number). */
sl_status sl_study_next_row(const char *path, const char *header, char **rest, char **row);
/* Number of the column with this name (length bytes) in the first line of a table. */
bool sl_study_column(const char *header, const char *name, size_t length, size_t *n);
/* The n-th field of a row without its quotes, "" behind the last, to text: strlen(row) + 1 bytes.
 */
void sl_study_row_text(const char *row, size_t n, char *text);
/* Path below the folder: "claims/NAME". NULL when memory is out. */
char *sl_study_path(const struct sl_study *study, const char *folder, size_t run,
                    const char *ending);

#endif
