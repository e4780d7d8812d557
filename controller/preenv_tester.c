/* What PreEnv's Tester knows beside its test calls, which are errands (errand.c): the Engine as its invoker's start-up probe found it, and what real calls
 * of a function have been like, by their records and by what the monitoring agents saw of their containers. The fleet is asked on the loop's thread.
 */
#include "ports/preenv.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "controller/internal.h"
#include "ports/invokers.h"

struct tester {
    struct preenv_tester port; /* first: it is what the others see */
    struct nr_loop *loop;
    struct invokers *fleet;
    struct controller *controller; /* NULL: no records are there */
    pthread_mutex_t
        lock; /* of stopped, and of posting: what is posted before the stop is read while the fleet is there */
    bool stopped;
};

static struct tester *tester_of(struct preenv_tester *t)
{
    return nr_container_of(t, struct tester, port);
}

/* ---- what the fleet is asked ------------------------------------------------------------------------------------ */

enum { ANSWER_MS = 1000, ENGINE_BYTES = 256 };

/* Asked on one thread, answered on the loop; the last of both frees it, for the loop may never come to it. */
struct question {
    struct nr_mail mail;
    struct invokers *fleet;
    struct function *fn; /* shared: how much memory does it use; NULL: which Engine is it */
    _Atomic int refs;
    pthread_mutex_t lock;
    pthread_cond_t come;
    bool answered;
    int64_t peak_bytes;
    char engine[ENGINE_BYTES];
};

static void question_unref(struct question *q)
{
    if (atomic_fetch_sub(&q->refs, 1) > 1)
        return;
    pthread_cond_destroy(&q->come);
    pthread_mutex_destroy(&q->lock);
    function_unref(q->fn);
    free(q);
}

static void on_question(struct nr_mail *m)
{
    struct question *q = nr_container_of(m, struct question, mail);

    pthread_mutex_lock(&q->lock);
    if (q->fn)
        q->peak_bytes = invokers_function_peak_bytes(q->fleet, q->fn);
    else
        (void)snprintf(q->engine, sizeof(q->engine), "%s", invokers_engine(q->fleet));
    q->answered = true;
    pthread_cond_signal(&q->come);
    pthread_mutex_unlock(&q->lock);
    question_unref(q);
}

/* Posts q unless we stop; false: nobody will read it. */
static bool post(struct tester *t, struct question *q)
{
    pthread_mutex_lock(&t->lock);
    bool stopped = t->stopped;

    if (!stopped)
        nr_mailbox_post(t->loop, &q->mail);
    pthread_mutex_unlock(&t->lock);
    return !stopped;
}

/* fn: shared, given; NULL is fine. ret_engine: NULL, or ENGINE_BYTES. The peak; -1: no answer came in time, or there is none. */
static int64_t ask(struct tester *t, struct function *fn, char *ret_engine)
{
    struct question *q = nr_alloc(sizeof(*q));
    const struct timespec until = nr_mono_after(ANSWER_MS);

    *q = (struct question){
        .mail = {.run = on_question}, .fleet = t->fleet, .fn = fn, .peak_bytes = -1};
    atomic_init(&q->refs, 2);
    pthread_mutex_init(&q->lock, NULL);
    nr_mono_cond_init(&q->come);
    bool posted = post(t, q);

    if (!posted)
        question_unref(q); /* the loop's */
    pthread_mutex_lock(&q->lock);
    while (posted && !q->answered && pthread_cond_timedwait(&q->come, &q->lock, &until) == 0)
        continue;
    int64_t bytes = q->peak_bytes;

    if (ret_engine)
        (void)snprintf(ret_engine, ENGINE_BYTES, "%s", q->engine);
    pthread_mutex_unlock(&q->lock);
    question_unref(q);
    return bytes;
}

static void tester_production(struct preenv_tester *port, struct function *f, int64_t since_ms,
                              struct preenv_production *ret)
{
    struct tester *t = tester_of(port);

    *ret = (struct preenv_production){.peak_mb = -1};
    if (t->controller == NULL)
        return;
    query_production(t->controller, f, since_ms, ret);
    int64_t bytes = ret->calls > 0 ? ask(t, function_ref(f), NULL) : -1;

    ret->peak_mb = bytes < 0 ? -1 : bytes >> 20;
}

void preenv_tester_records(struct preenv_tester *t, struct controller *c)
{
    tester_of(t)->controller = c;
}

static void tester_place(struct preenv_tester *port, struct nr_buf *out)
{
    struct tester *t = tester_of(port);
    char engine[ENGINE_BYTES] = "";

    (void)ask(t, NULL, engine);
    nr_buf_adds(out, "\"engine\":");
    nr_buf_json(out, nr_str_of(engine));
}

/* ---- opening and closing ------------------------------------------------------------------------------------ */

struct preenv_tester *preenv_tester_open(struct nr_loop *loop, struct invokers *f,
                                         const struct node *node)
{
    struct tester *t = nr_alloc(sizeof(*t));

    t->port = (struct preenv_tester){.production = tester_production,
                                     .place = tester_place,
                                     .cores = node->cores,
                                     .memory_max_mb = node->memory_max_mb};
    pthread_mutex_init(&t->lock, NULL);
    t->loop = loop;
    t->fleet = f;
    return &t->port;
}

void preenv_tester_stop(struct preenv_tester *port)
{
    if (port == NULL)
        return;
    struct tester *t = tester_of(port);

    pthread_mutex_lock(&t->lock);
    t->stopped = true;
    pthread_mutex_unlock(&t->lock);
}

void preenv_tester_close(struct preenv_tester *port)
{
    if (port == NULL)
        return;
    struct tester *t = tester_of(port);

    pthread_mutex_destroy(&t->lock);
    free(t);
}
