/* Linked into every program of a ThreadSanitizer build that may open librdkafka: the threads of C11 by those of POSIX, which are what the
 * sanitizer follows. One that it did not see begin ends in its first allocation, and a lock that it does not see is none.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t) &&
                   sizeof(cnd_t) >= sizeof(pthread_cond_t) && sizeof(thrd_t) == sizeof(pthread_t),
               "the types of C11 hold those of POSIX");

struct start {
    thrd_start_t run;
    void *arg;
};

static void *run(void *arg)
{
    struct start s = *(struct start *)arg;

    free(arg);
    return (void *)(intptr_t)s.run(s.arg);
}

static int code(int errnum)
{
    static const struct {
        int errnum, code;
    } codes[] = {
        {0, thrd_success}, {EBUSY, thrd_busy}, {ENOMEM, thrd_nomem}, {ETIMEDOUT, thrd_timedout}};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].errnum == errnum)
            return codes[i].code;
    }
    return thrd_error;
}

int thrd_create(thrd_t *thread, thrd_start_t start, void *arg)
{
    struct start *s = malloc(sizeof(*s));

    if (!s)
        return thrd_nomem;
    *s = (struct start){start, arg};
    int errnum = pthread_create(thread, NULL, run, s);

    if (errnum)
        free(s);
    return code(errnum);
}

int thrd_join(thrd_t thread, int *result)
{
    void *r = NULL;
    int errnum = pthread_join(thread, &r);

    if (result)
        *result = (int)(intptr_t)r;
    return code(errnum);
}

int mtx_init(mtx_t *lock, int type)
{
    pthread_mutexattr_t a;

    (void)pthread_mutexattr_init(&a);
    if (type & mtx_recursive)
        (void)pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    int errnum = pthread_mutex_init((pthread_mutex_t *)(void *)lock, &a);

    (void)pthread_mutexattr_destroy(&a);
    return code(errnum);
}

void mtx_destroy(mtx_t *lock)
{
    (void)pthread_mutex_destroy((pthread_mutex_t *)(void *)lock);
}

int mtx_lock(mtx_t *lock)
{
    return code(pthread_mutex_lock((pthread_mutex_t *)(void *)lock));
}

int mtx_unlock(mtx_t *lock)
{
    return code(pthread_mutex_unlock((pthread_mutex_t *)(void *)lock));
}

int cnd_init(cnd_t *c)
{
    return code(pthread_cond_init((pthread_cond_t *)(void *)c, NULL));
}

void cnd_destroy(cnd_t *c)
{
    (void)pthread_cond_destroy((pthread_cond_t *)(void *)c);
}

int cnd_signal(cnd_t *c)
{
    return code(pthread_cond_signal((pthread_cond_t *)(void *)c));
}

int cnd_broadcast(cnd_t *c)
{
    return code(pthread_cond_broadcast((pthread_cond_t *)(void *)c));
}

int cnd_wait(cnd_t *c, mtx_t *lock)
{
    return code(pthread_cond_wait((pthread_cond_t *)(void *)c, (pthread_mutex_t *)(void *)lock));
}

int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict lock, const struct timespec *restrict until)
{
    return code(pthread_cond_timedwait((pthread_cond_t *)(void *)c, (pthread_mutex_t *)(void *)lock,
                                       until));
}

/* The library itself counts its references by instructions that the sanitizer does not see. Asked for at the start of the program. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:librdkafka.so\n";
}
