/*
 * train --max-restarts: training in a child process, started again when it ends with its state
 * saved or is killed by a signal. The child leads a process group of its own, so that Ctrl-C
 * reaches it once, through us; it is asked to stop when we die.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum { RESTART = 75, IDLE_TRIES = 2, PAUSE_MAX = 60 };

static volatile sig_atomic_t stop_signal;
static volatile pid_t child;

static void on_signal(int number)
{
    stop_signal = number;
    if (child > 0)
        kill(child, number);
}

/* HUP stays ignored where it was (nohup). */
static void catch_signals(void (*handler)(int))
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    struct sigaction action = {.sa_handler = handler}, before = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaction(signals[i], NULL, &before);
        if (signals[i] != SIGHUP || before.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}

/* Exit code of one try, RESTART if a signal killed it; `why` says how it ended. */
static int wait_for(pid_t pid, char why[128])
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    child = 0;
    if (WIFEXITED(status)) {
        snprintf(why, 128, "training stopped");
        return WEXITSTATUS(status);
    }
    snprintf(why, 128, "training was killed by signal %d (%s)", WTERMSIG(status),
             strsignal(WTERMSIG(status)));
    return RESTART;
}

static int try_once(int (*train)(void *user), void *user, char why[128])
{
    const pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return cli_finish(cli_error(SL_ERR_MEMORY, "cannot start a process: %s", strerror(errno)));
    if (pid == 0) {
        catch_signals(SIG_DFL);
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        _exit(getppid() == parent ? train(user) : RESTART);
    }
    child = pid;
    if (stop_signal) /* it came before there was a child to tell */
        kill(pid, SIGTERM);
    return wait_for(pid, why);
}

int cli_supervise(long max_restarts, int (*train)(void *user), void *user, uint64_t **step)
{
    uint64_t *reached =
        mmap(NULL, sizeof *reached, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t best = 0;
    int code = RESTART, idle = 0;
    if (reached == MAP_FAILED)
        return cli_finish(cli_error(SL_ERR_MEMORY, "out of memory for a supervised run"));
    *step = reached;
    catch_signals(on_signal);
    for (long restart = 0, pause = 1; !stop_signal; restart++) {
        char why[128];
        code = try_once(train, user, why);
        idle = *reached > best ? 0 : idle + 1;
        pause = *reached > best ? 1 : pause < PAUSE_MAX / 2 ? 2 * pause : PAUSE_MAX;
        best = *reached > best ? *reached : best;
        if (code != RESTART || stop_signal)
            break;
        if (idle == IDLE_TRIES || restart == max_restarts) {
            fprintf(stderr, "softless: %s at step %llu; no restart: %s\n", why,
                    (unsigned long long)best,
                    idle == IDLE_TRIES ? "two tries in a row came no further"
                                       : "--max-restarts is reached");
            break;
        }
        fprintf(stderr, "softless: %s at step %llu; restart %ld of %ld in %ld s\n", why,
                (unsigned long long)*reached, restart + 1, max_restarts, pause);
        nanosleep(&(struct timespec){pause, 0}, NULL); /* a signal ends it */
    }
    catch_signals(SIG_DFL);
    munmap(reached, sizeof *reached);
    return code;
}
