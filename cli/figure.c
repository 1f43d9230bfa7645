/*
 * Files of figures, and gnuplot as a child process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "figure.h"

static void path_of(const struct figure *g, const char *ending, char path[FIGURE_PATH])
{
    snprintf(path, FIGURE_PATH, "%s/%s.%s", g->out, g->name, ending);
}

sl_status figure_begin(const struct figure *g)
{
    static const char *const forms[] = {"svg", "png"};
    char path[FIGURE_PATH];
    if (mkdir(g->out, 0777) != 0 && errno != EEXIST)
        return cli_cannot_write(g->out);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        path_of(g, forms[i], path);
        unlink(path);
    }
    return SL_OK;
}

FILE *figure_create(const struct figure *g, const char *ending, char path[FIGURE_PATH])
{
    path_of(g, ending, path);
    return fopen(path, "w");
}

sl_status figure_close(FILE *f, const char *path)
{
    const bool bad = ferror(f) != 0;
    return fclose(f) != 0 || bad ? cli_cannot_write(path) : SL_OK;
}

sl_status figure_draw(const struct figure *g, FILE *f)
{
    static char program[] = "gnuplot", plain[] = "-d";
    char script[64];
    snprintf(script, sizeof script, "%s.gp", g->name);
    char *argv[] = {program, plain, script, NULL};
    int status = 0;
    const pid_t pid = fork();
    if (pid == 0) {
        setenv("LC_ALL", "C.UTF-8", 1);
        if (chdir(g->out) == 0)
            execvp(program, argv);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return cli_error(SL_ERR_UNAVAILABLE, "gnuplot cannot be started: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return cli_error(SL_ERR_UNAVAILABLE,
                         "gnuplot is not installed, so there is no figure; %s/%s.csv has "
                         "the points; install gnuplot-nox and give the same command",
                         g->out, g->name);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return cli_error(SL_ERR_UNAVAILABLE, "gnuplot failed on %s/%s.gp; %s/%s.csv has the points",
                         g->out, g->name, g->out, g->name);
    fprintf(f, "figure: %s/%s.png, %s/%s.svg; data: %s/%s.csv\n", g->out, g->name, g->out, g->name,
            g->out, g->name);
    return SL_OK;
}

/* ---- parts ---- */

void figure_quoted(FILE *f, const char *text)
{
    fputc('\'', f);
    for (; *text; text++)
        fprintf(f, *text == '\'' ? "'%c" : "%c", *text);
    fputc('\'', f);
}

void figure_forms(FILE *f, const struct figure *g, size_t width, size_t height, size_t panels)
{
    fprintf(f,
            "do for [form in 'png svg'] {\n"
            "  if (form eq 'png') { set terminal pngcairo size %zu,%zu font 'DejaVu Sans,11' } \\\n"
            "  else { set terminal svg size %zu,%zu font 'DejaVu Sans,12' }\n"
            "  set output '%s.'.form\n"
            "  set multiplot layout 1,%zu\n",
            width, height, width, height, g->name, panels);
}

void figure_forms_end(FILE *f)
{
    fprintf(f, "  unset multiplot\n  unset output\n}\n");
}

void figure_csv_text(FILE *f, const char *text)
{
    if (strpbrk(text, ",\"\n\r"))
        cli_csv_string(f, text);
    else
        fputs(text, f);
}
