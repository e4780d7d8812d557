/* What PreEnv's Tester knows beside its test calls, which are errands (errand.c): the Engine as the start-up probe found it, and what real calls of
 * a function have been like, by their records and by what the monitoring agent saw of their containers.
 */
#include "ports/preenv.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "controller/internal.h"
#include "ports/invoker.h"

struct tester {
    struct preenv_tester port; /* first: it is what the others see */
    struct nr_loop *loop;
    struct invoker *invoker;
    struct controller *controller; /* NULL: no records are there */
    _Atomic bool stopped;
    char engine[256]; /* what runs the containers */
};

static struct tester *tester_of(struct preenv_tester *t)
{
    return nr_container_of(t, struct tester, port);
}

/* ---- real calls ---------------------------------------------------------------------------------------------- */

enum { PEAK_WAIT_MS = 1000 };

/* Asked on one thread, answered on the loop; the last of both frees it, for the loop may never come to it. */
struct peak_question {
    struct nr_mail mail;
    struct invoker *invoker;
    char *path; /* made */
    _Atomic int refs;
    pthread_mutex_t lock;
    pthread_cond_t come;
    bool answered;
    int64_t peak_bytes;
};

static void peak_unref(struct peak_question *q)
{
    if (atomic_fetch_sub(&q->refs, 1) > 1)
        return;
    pthread_cond_destroy(&q->come);
    pthread_mutex_destroy(&q->lock);
    free(q->path);
    free(q);
}

static void answer_peak(struct nr_mail *m)
{
    struct peak_question *q = nr_container_of(m, struct peak_question, mail);

    pthread_mutex_lock(&q->lock);
    q->peak_bytes = invoker_function_peak_bytes(q->invoker, q->path);
    q->answered = true;
    pthread_cond_signal(&q->come);
    pthread_mutex_unlock(&q->lock);
    peak_unref(q);
}

static int64_t ask_peak(struct tester *t, const char *path)
{
    struct peak_question *q = nr_alloc(sizeof(*q));
    const struct timespec until = nr_mono_after(PEAK_WAIT_MS);
    int64_t bytes;

    *q = (struct peak_question){.mail = {.run = answer_peak},
                                .invoker = t->invoker,
                                .path = nr_strdup(path),
                                .peak_bytes = -1};
    atomic_init(&q->refs, 2);
    pthread_mutex_init(&q->lock, NULL);
    nr_mono_cond_init(&q->come);
    nr_mailbox_post(t->loop, &q->mail);
    pthread_mutex_lock(&q->lock);
    while (!q->answered && pthread_cond_timedwait(&q->come, &q->lock, &until) == 0)
        continue;
    bytes = q->peak_bytes;
    pthread_mutex_unlock(&q->lock);
    peak_unref(q);
    return bytes;
}

static void tester_production(struct preenv_tester *port, const struct function *f,
                              int64_t since_ms, struct preenv_production *ret)
{
    struct tester *t = tester_of(port);

    *ret = (struct preenv_production){.peak_mb = -1};
    if (t->controller == NULL || t->stopped)
        return;
    query_production(t->controller, f, since_ms, ret);
    int64_t bytes = ret->calls > 0 && t->invoker ? ask_peak(t, f->path) : -1;

    ret->peak_mb = bytes < 0 ? -1 : bytes >> 20;
}

void preenv_tester_records(struct preenv_tester *t, struct controller *c)
{
    tester_of(t)->controller = c;
}

static void tester_place(struct preenv_tester *port, struct nr_buf *out)
{
    nr_buf_adds(out, "\"engine\":");
    nr_buf_json(out, nr_str_of(tester_of(port)->engine));
}

/* The Engine as the start-up probe found it. */
static void find_engine(struct tester *t)
{
    struct nr_buf status;
    size_t i;
    json_t *c;

    nr_buf_init(&status, 1 << 20);
    if (t->invoker)
        invoker_status(t->invoker, NULL, &status);
    nr_auto_json json_t *j = nr_json_parse(nr_buf_str(&status), NULL);

    json_array_foreach(json_object_get(j, "capabilities"), i, c) {
        const char *name = nr_json_string(c, "name"), *value = nr_json_string(c, "value");

        if (name && value && strcmp(name, "engine") == 0)
            (void)snprintf(t->engine, sizeof(t->engine), "%s", value);
    }
    nr_buf_fini(&status);
}

/* ---- opening and closing ------------------------------------------------------------------------------------ */

struct preenv_tester *preenv_tester_open(struct nr_loop *loop, struct invoker *v,
                                         const struct node *node)
{
    struct tester *t = nr_alloc(sizeof(*t));

    t->port = (struct preenv_tester){.production = tester_production,
                                     .place = tester_place,
                                     .cores = node->cores,
                                     .memory_max_mb = node->memory_max_mb};
    t->loop = loop;
    t->invoker = v;
    find_engine(t);
    return &t->port;
}

void preenv_tester_stop(struct preenv_tester *port)
{
    if (port)
        tester_of(port)->stopped = true;
}

void preenv_tester_close(struct preenv_tester *port)
{
    if (port)
        free(tester_of(port));
}
