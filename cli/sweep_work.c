/*
 * Works off a study: claims a run, trains it in a child process of this program, notes how it
 * ended. A run that fails or takes the process down stops no other. Children lead process groups of
 * their own, so that Ctrl-C reaches them once, through us; they are asked to stop when we die.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum { JOBS_MAX = 256, PATH_SIZE = 4096, BUSY_TRIES = 60, BEATS = 6 };

static volatile sig_atomic_t stop_signal;

static void on_signal(int sig)
{
    stop_signal = sig;
}

struct job {
    pid_t pid;
    size_t run;
};

struct worker {
    sl_study *study;
    const struct cli_work *work;
    struct job jobs[JOBS_MAX];
    size_t n_jobs, done;
    unsigned char *tries; /* per run: how often it was tried here; 255 = not again */
    double *not_before;
    double last_beat, last_look;
    int code;
};

static void pause_s(double s)
{
    const struct timespec t = {(time_t)s, (long)(1e9 * (s - (double)(time_t)s))};
    nanosleep(&t, NULL);
}

static void log_path(const struct worker *w, size_t run, const char *ending, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/logs/%s%s", sl_study_dir(w->study),
             sl_study_run_name(w->study, run), ending);
}

/* Between fork and exec: only what is safe there. */
static void be_child(char *const *argv, int log, pid_t parent)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(75);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv("/proc/self/exe", argv);
    _exit(70);
}

static sl_status start(struct worker *w, size_t run)
{
    char recipe[PATH_SIZE], dir[PATH_SIZE], log[PATH_SIZE], threads[24];
    const char *folder = sl_study_dir(w->study), *name = sl_study_run_name(w->study, run);
    static char program[] = "softless", train[] = "train", run_dir[] = "--run-dir",
                threads_option[] = "--threads", quiet[] = "-q", isa_option[] = "--isa";
    snprintf(recipe, sizeof recipe, "%s/recipes/%s.yaml", folder, name);
    snprintf(dir, sizeof dir, "%s/runs/%s", folder, name);
    snprintf(threads, sizeof threads, "%ld", w->work->threads);
    log_path(w, run, ".txt", log);
    char *isa = w->work->isa ? strdup(w->work->isa) : NULL;
    char *argv[] = {program,
                    train,
                    recipe,
                    run_dir,
                    dir,
                    quiet,
                    threads_option,
                    threads,
                    isa ? isa_option : NULL,
                    isa,
                    NULL};
    const int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        free(isa);
        return cli_cannot_write(log);
    }
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        be_child(argv, fd, parent);
    close(fd);
    free(isa);
    if (pid < 0)
        return cli_error(SL_ERR_MEMORY, "cannot start a process: %s", strerror(errno));
    w->jobs[w->n_jobs++] = (struct job){pid, run};
    return SL_OK;
}

/* The last line of the log without "softless: ", or how the process died. */
static void sentence(const struct worker *w, size_t run, int status, char why[1024])
{
    char path[PATH_SIZE], line[1024];
    log_path(w, run, ".txt", path);
    if (WIFSIGNALED(status))
        snprintf(why, 1024, "the process was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(why, 1024, "the process ended with exit code %d", WEXITSTATUS(status));
    FILE *f = WIFSIGNALED(status) ? NULL : fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "softless: ", 10) == 0)
            snprintf(why, 1024, "%s", line + 10);
    }
    if (f)
        fclose(f);
}

/* What the exit code of a child means for its run. */
static sl_status end(struct worker *w, size_t run, int status, const struct rusage *usage)
{
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    const double core_s = (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
                          1e-6 * (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
    const char *name = sl_study_run_name(w->study, run);
    char why[1024] = "";
    const bool again = code == 75 || code == 69; /* stopped, or its directory still in use */
    sl_status result = code == 0 ? SL_OK : code == 76 ? SL_ERR_DIVERGED : SL_ERR_INTERNAL;
    sl_status st = SL_OK;
    w->not_before[run] = cli_now() + (code == 69 ? 1 : 0);
    if (again && (stop_signal || w->tries[run] < BUSY_TRIES))
        return sl_study_release(w->study, run);
    w->tries[run] = 255;
    if (result == SL_ERR_INTERNAL) {
        sentence(w, run, status, why);
        fprintf(stderr, "softless: run %s failed: %s\n", name, why);
        w->code = w->code ? w->code : code;
    } else if (!w->work->quiet) {
        fprintf(stderr, "%s: %s\n", name, result == SL_OK ? "done" : "diverged");
    }
    st = sl_study_record(w->study, run, result, why, core_s);
    const sl_status released = sl_study_release(w->study, run);
    w->done += st == SL_OK && result != SL_ERR_INTERNAL;
    return st == SL_OK ? released : st;
}

static sl_status reap(struct worker *w)
{
    for (size_t i = 0; i < w->n_jobs;) {
        int status;
        struct rusage usage;
        if (wait4(w->jobs[i].pid, &status, WNOHANG, &usage) != w->jobs[i].pid) {
            i++;
            continue;
        }
        const size_t run = w->jobs[i].run;
        w->jobs[i] = w->jobs[--w->n_jobs];
        const sl_status st = end(w, run, status, &usage);
        if (st != SL_OK)
            return st;
    }
    return SL_OK;
}

/* Claims and starts runs while jobs are free; *waiting: a run of ours has to wait a moment. */
static sl_status fill(struct worker *w, bool *waiting)
{
    const double now = cli_now();
    sl_status st = SL_OK;
    *waiting = false;
    if (w->n_jobs == (size_t)w->work->jobs || now < w->last_look + 0.2)
        return st;
    w->last_look = now;
    st = sl_study_refresh(w->study, w->work->expiry_s);
    for (size_t i = 0; st == SL_OK && i < sl_study_count(w->study); i++) {
        const sl_run_state state = sl_study_state(w->study, i);
        bool claimed = false;
        if (w->n_jobs == (size_t)w->work->jobs)
            break;
        if ((state != SL_RUN_MISSING && state != SL_RUN_FAILED) || w->tries[i] == 255)
            continue;
        *waiting = *waiting || now < w->not_before[i];
        if (now < w->not_before[i])
            continue;
        st = sl_study_claim(w->study, i, w->work->expiry_s, &claimed);
        if (st == SL_OK && claimed) {
            w->tries[i]++;
            st = start(w, i);
        }
    }
    return st;
}

static sl_status beat(struct worker *w)
{
    sl_status st = SL_OK;
    if (cli_now() < w->last_beat + w->work->expiry_s / BEATS)
        return st;
    w->last_beat = cli_now();
    for (size_t i = 0; i < w->n_jobs && st == SL_OK; i++)
        st = sl_study_beat(w->study, w->jobs[i].run);
    return st;
}

static void stop_children(const struct worker *w)
{
    for (size_t i = 0; i < w->n_jobs; i++)
        kill(w->jobs[i].pid, SIGTERM);
}

static sl_status loop(struct worker *w)
{
    bool told = false, waiting = true;
    sl_status st = SL_OK;
    while (st == SL_OK) {
        if (stop_signal && !told) {
            told = true;
            stop_children(w);
        }
        const double look = w->last_look;
        if (!stop_signal)
            st = fill(w, &waiting);
        const bool looked = w->last_look > look || stop_signal;
        if (st == SL_OK && w->n_jobs == 0 && looked && (stop_signal || !waiting))
            break;
        pause_s(0.02);
        if (st == SL_OK)
            st = reap(w);
        if (st == SL_OK)
            st = beat(w);
    }
    if (st != SL_OK) { /* the study cannot be written: its runs save and end */
        stop_children(w);
        for (size_t i = 0; i < w->n_jobs; i++)
            waitpid(w->jobs[i].pid, NULL, 0);
    }
    return st;
}

static void catch (void (*handler)(int))
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
}

sl_status cli_sweep_work(sl_study *study, const struct cli_work *given, int *code)
{
    struct cli_work work = *given;
    struct worker w = {.study = study, .work = &work, .last_look = -1};
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const size_t n = sl_study_count(study);
    if (work.jobs < 1 || work.jobs > JOBS_MAX)
        return cli_usage("--jobs is a number from 1 to %d", JOBS_MAX);
    if (work.threads <= 0)
        work.threads = processors > work.jobs ? processors / work.jobs : 1;
    sl_status st = sl_study_prepare(study);
    w.tries = calloc(n, sizeof *w.tries);
    w.not_before = calloc(n, sizeof *w.not_before);
    if (st == SL_OK && !(w.tries && w.not_before))
        st = cli_error(SL_ERR_MEMORY, "out of memory for %zu runs", n);
    if (st == SL_OK) {
        catch (on_signal);
        st = loop(&w);
        catch (SIG_DFL);
    }
    if (st == SL_OK)
        st = sl_study_refresh(study, work.expiry_s);
    *code = stop_signal ? 75 : w.code;
    free(w.tries);
    free(w.not_before);
    return st;
}
