/* PreEnv's Tester: one test call at a time, by the invoker's port, past admission, journal and records.
 *
 *   call    posted to the loop; an activation of its own is made and run. A new container is a cold call, the next calls of the same revision
 *           find it warm
 *   watch   stands in for the claim, so it begins before the first byte of the call is sent
 *   answer  what the call said; then the last look at its container, and the slot comes back: `done` when both are there
 *   cut     by who asked, by a call that finds no container in time, or by the platform's stop
 */
#include "ports/preenv.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "controller/internal.h"
#include "ports/invoker.h"

/* Beyond the function's own limits, for a container to be found and its code to be loaded. */
enum { PATIENCE_MS = 120000 };

static const char stopping[] = "the platform is stopping";

struct tester {
    struct preenv_tester port; /* first: it is what the others see */
    struct nr_loop *loop;
    struct invoker *invoker;
    struct controller *controller; /* NULL: no records are there */
    pthread_mutex_t lock;          /* of `stopped`, for calls from other threads */
    _Atomic bool stopped;
    struct preenv_call *call; /* under way; NULL: none */
    struct activation *a;     /* of it, until it has ended */
    struct call_watch *watch;
    struct nr_deadline patience;
    bool watching, cut;
    char engine[256]; /* what runs the containers */
};

static struct tester *tester_of(struct preenv_tester *t)
{
    return nr_container_of(t, struct tester, port);
}

/* ---- how it ended ------------------------------------------------------------------------------------------- */

static bool says(struct nr_str text, const char *what)
{
    return text.n > 0 && memmem(text.p, text.n, what, strlen(what)) != NULL;
}

static enum preenv_outcome outcome_of(const struct tester *t, const struct activation *a,
                                      const struct call_usage *u)
{
    const struct outcome *o = &a->outcome;

    if (t->cut || a->err == NR_ESTOPPING)
        return PREENV_STOPPED;
    if (a->err != 0 || o->status == OUTCOME_INTERNAL_ERROR)
        return PREENV_UNAVAIL;
    if (o->timed_out)
        return PREENV_TIMEOUT;
    if (o->status == OUTCOME_SUCCESS)
        return u->known ? PREENV_OK : PREENV_UNAVAIL;
    if (u->oom_kills > 0)
        return PREENV_OOM;
    return says(o->result, "exhausted its memory") ? PREENV_ABORT : PREENV_ERROR;
}

static void fill(const struct tester *t, struct preenv_call *c, const struct activation *a)
{
    struct nr_str text = a->err != 0 ? nr_str_of(a->error.text) : a->outcome.result;

    c->outcome = outcome_of(t, a, &c->usage);
    c->cold = a->start == START_COLD || a->start == START_STEM;
    c->init_us = (int64_t)a->init_us;
    c->run_us = a->started_us ? (int64_t)(a->answered_us - a->started_us) : 0;
    c->start_us =
        (int64_t)(a->queue_us + a->network_us + a->create_us + a->boot_us + a->handover_us);
    if (c->outcome == PREENV_UNAVAIL && a->err == 0 && a->outcome.status == OUTCOME_SUCCESS)
        text = NR_STR("the control groups of its container cannot be read on this host");
    if (c->outcome != PREENV_OK)
        (void)snprintf(c->text, sizeof(c->text), "%.*s", (int)(text.n < 255 ? text.n : 255),
                       text.n ? text.p : "");
}

/* Slot and last look are both back. */
static void finish_if_done(struct tester *t)
{
    struct activation *a = t->a;
    struct preenv_call *c = t->call;

    if (a->i != I_END || t->watching)
        return;
    nr_deadline_cancel(&t->patience);
    fill(t, c, a);
    t->a = NULL;
    t->call = NULL;
    a->input = (struct nr_str){NULL, 0};
    activation_unref(a);
    c->done(c);
}

static void on_watched(void *arg, const struct call_usage *u)
{
    struct tester *t = arg;

    t->call->usage = *u;
    t->watch = NULL;
    t->watching = false;
    if (t->a->i == I_END)
        finish_if_done(t);
}

static void on_step(struct activation *a)
{
    struct tester *t = a->owner;

    if (t->watch) {
        struct call_watch *w = t->watch;

        t->watch = NULL;
        invoker_watch_end(w, a->started_us);
    }
    if (a->i == I_END)
        finish_if_done(t);
}

static int claim(struct activation *a)
{
    struct tester *t = a->owner;

    t->watching = true;
    t->watch = invoker_watch(a, on_watched, t);
    return 1;
}

/* ---- a call ------------------------------------------------------------------------------------------------- */

static void on_patience_over(struct nr_deadline *d)
{
    struct tester *t = nr_container_of(d, struct tester, patience);

    invoker_cut(t->a, NR_ETIMEOUT);
}

static void refuse(struct preenv_call *c, enum preenv_outcome outcome, const char *text)
{
    c->outcome = outcome;
    (void)snprintf(c->text, sizeof(c->text), "%s", text);
    c->done(c);
}

static void begin(struct tester *t, struct preenv_call *c)
{
    struct activation *a = t->stopped ? NULL : activation_make();

    if (a == NULL) {
        refuse(c, t->stopped ? PREENV_STOPPED : PREENV_UNAVAIL,
               t->stopped ? stopping : "there is no memory for a test call");
        return;
    }
    nr_check(t->call == NULL);
    t->call = c;
    t->a = a;
    t->cut = t->watching = false;
    t->watch = NULL;
    c->usage = (struct call_usage){.known = false};
    a->account = account_ref(c->account);
    a->fn = function_ref(c->fn);
    a->input = c->input;
    a->transaction = NR_STR("preenv");
    a->blocking = true;
    a->owner = t;
    a->on_step = on_step;
    a->claim = claim;
    a->accepted_us = nr_mono_us();
    nr_new_id(nr_wall_ms(), 0, a->id);
    nr_deadline_set(t->loop, &t->patience, 2 * (uint64_t)c->fn->timeout_ms + PATIENCE_MS);
    invoker_run(t->invoker, a);
}

/* ---- from other threads ------------------------------------------------------------------------------------- */

enum wish { WISH_CALL, WISH_CUT, WISH_FORGET };

struct letter {
    struct nr_mail mail;
    struct tester *t;
    enum wish wish;
    struct preenv_call *call;
    uint64_t revision;
};

static void cut_call(struct tester *t)
{
    if (t->a == NULL)
        return;
    t->cut = true;
    invoker_cut(t->a, NR_ESTOPPING);
}

static void open_letter(struct nr_mail *m)
{
    struct letter l = *nr_container_of(m, struct letter, mail);

    free(nr_container_of(m, struct letter, mail));
    switch (l.wish) {
    case WISH_CALL: begin(l.t, l.call); break;
    case WISH_CUT: cut_call(l.t); break;
    case WISH_FORGET:
        if (!l.t->stopped)
            invoker_forget(l.t->invoker, l.revision);
        break;
    }
}

static void post(struct preenv_tester *port, struct letter l)
{
    struct letter *letter = nr_alloc(sizeof(*letter));

    *letter = l;
    letter->t = tester_of(port);
    letter->mail = (struct nr_mail){.run = open_letter};
    nr_mailbox_post(letter->t->loop, &letter->mail);
}

/* What is posted before the stop is still read; afterwards nobody may read it. */
static void tester_call(struct preenv_tester *port, struct preenv_call *c)
{
    struct tester *t = tester_of(port);

    pthread_mutex_lock(&t->lock);
    bool stopped = t->stopped;

    if (!stopped)
        post(port, (struct letter){.wish = WISH_CALL, .call = c});
    pthread_mutex_unlock(&t->lock);
    if (stopped)
        refuse(c, PREENV_STOPPED, stopping);
}

static void tester_cut(struct preenv_tester *t)
{
    post(t, (struct letter){.wish = WISH_CUT});
}

static void tester_forget(struct preenv_tester *t, uint64_t revision)
{
    post(t, (struct letter){.wish = WISH_FORGET, .revision = revision});
}

/* ---- real calls ---------------------------------------------------------------------------------------------- */

enum { PEAK_WAIT_S = 1 };

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
    struct timespec until;
    int64_t bytes;

    *q = (struct peak_question){.mail = {.run = answer_peak},
                                .invoker = t->invoker,
                                .path = nr_strdup(path),
                                .peak_bytes = -1};
    atomic_init(&q->refs, 2);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->come, NULL);
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PEAK_WAIT_S;
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
    int64_t bytes = ret->calls > 0 ? ask_peak(t, f->path) : -1;

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

    t->port = (struct preenv_tester){.call = tester_call,
                                     .cut = tester_cut,
                                     .forget = tester_forget,
                                     .production = tester_production,
                                     .place = tester_place,
                                     .cores = node->cores,
                                     .memory_max_mb = node->memory_max_mb};
    pthread_mutex_init(&t->lock, NULL);
    t->loop = loop;
    t->invoker = v;
    t->patience.fire = on_patience_over;
    find_engine(t);
    return &t->port;
}

void preenv_tester_stop(struct preenv_tester *port)
{
    if (port == NULL)
        return;
    pthread_mutex_lock(&tester_of(port)->lock);
    tester_of(port)->stopped = true;
    pthread_mutex_unlock(&tester_of(port)->lock);
    cut_call(tester_of(port));
}

void preenv_tester_close(struct preenv_tester *port)
{
    if (port == NULL)
        return;
    pthread_mutex_destroy(&tester_of(port)->lock);
    free(tester_of(port));
}
