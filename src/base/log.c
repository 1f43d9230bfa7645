/*
 * The process-wide log receiver.
 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>

#include "base/number.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sl_log_fn receiver;
static void *receiver_user;

void sl_set_log(sl_log_fn fn, void *user)
{
    pthread_mutex_lock(&lock);
    receiver = fn;
    receiver_user = user;
    pthread_mutex_unlock(&lock);
}

void sl_log(sl_log_level level, const char *fmt, ...)
{
    char line[2048];
    va_list args;
    va_start(args, fmt);
    sl_vprint(line, sizeof line, fmt, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    if (receiver)
        receiver(receiver_user, level, line);
    pthread_mutex_unlock(&lock);
}
