/*
 * The points of a figure over resolutions: what a trained model does at other sides of the image,
 * with the L at hand in the factor L^-alpha and with that of training.
 */
#include <stdlib.h>
#include <string.h>

#include "plot.h"

static const struct mode {
    const char *name;   /* of the column's end */
    const char *legend; /* of the panel */
} modes[] = {{"actual", "L as it is"}, {"train", "L of training"}};
enum { N_MODES = 2, COLUMN = 64 };

/* The run's accuracies in a panel, one point a side. */
static sl_status add_points(struct plot *p, const sl_study *study, size_t run, bool softmax,
                            const char *mode, size_t panel)
{
    char name[PLOT_TEXT], column[COLUMN];
    size_t series = 0;
    const char *side;
    sl_status st = plot_describe(p, study, run, PLOT_IS_SERIES, name);
    if (st == SL_OK) /* softmax has no alpha */
        st = plot_series_of(p, study, run, softmax ? "" : name, &series);
    for (size_t k = 0; st == SL_OK && (side = sl_study_size(study, k)) != NULL; k++) {
        struct plot_point *q = NULL;
        double top1 = 0;
        snprintf(column, sizeof column, "top1_%s_%s", side, mode);
        st = plot_number(study, run, column, &top1);
        if (st == SL_OK)
            st = plot_point_of(p, panel, series, side, &q);
        if (st != SL_OK)
            return st;
        q->at = strtod(side, NULL);
        if (sl_study_state(study, run) == SL_RUN_DIVERGED)
            q->diverged++;
        else if (top1 == top1) /* measured */
            plot_mean_add(&q->y, top1);
    }
    return st;
}

/* The panels of a run: for softmax, which has no factor, all there are. */
static sl_status add_run(struct plot *p, const sl_study *study, const char *name, size_t run,
                         bool softmax)
{
    char what[PLOT_TEXT], title[PLOT_TEXT + 32];
    size_t panel = 0;
    sl_status st = plot_describe(p, study, run, PLOT_IS_PANEL, what);
    if (softmax && st == SL_OK && p->n_panels > 0) {
        for (panel = 0; panel < p->n_panels && st == SL_OK; panel++)
            st = add_points(p, study, run, softmax, modes[panel % N_MODES].name, panel);
        return st;
    }
    for (size_t m = 0; m < N_MODES && st == SL_OK; m++) {
        snprintf(title, sizeof title, "%s%s%s", what, what[0] ? ", " : "", modes[m].legend);
        st = plot_panel_of(p, name, title, &panel);
        if (st == SL_OK)
            st = add_points(p, study, run, softmax, modes[m].name, panel);
    }
    return st;
}

sl_status plot_gather_sides(struct plot *p, const sl_study *study, const char *name)
{
    sl_status st = SL_OK;
    if (!sl_study_size(study, 0))
        return cli_usage("%s names no eval.sizes, so there is nothing to draw over sizes", name);
    for (int softmax = 0; softmax < 2; softmax++)
        for (size_t i = 0; i < sl_study_count(study) && st == SL_OK; i++) {
            const sl_run_state state = sl_study_state(study, i);
            char *h = NULL;
            if (state != SL_RUN_DONE && state != SL_RUN_DIVERGED)
                continue;
            st = sl_recipe_get(sl_study_run_recipe(study, i), "model.h", &h);
            if (st == SL_OK && (strcmp(h, "softmax") == 0) == (softmax == 1))
                st = add_run(p, study, name, i, softmax == 1);
            sl_text_free(&h);
        }
    return st;
}
