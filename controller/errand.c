/* Errands by the fleet's port: an activation of its own each, which nobody admits, journals or records.
 *
 *   call     posted to the loop; the activation is made and run. A new container is a cold call, the next calls of the same revision find it
 *            warm
 *   watch    of one that is watched: stands in for the claim, so it begins before the first byte of the call is sent. Another host watches itself, and
 *            tells what it saw with the end of the call
 *   answer   what the call said; then the last look at its container, and the slot comes back: `done` when both are there
 *   cut      by who asked, of one that finds no container in time, when its account leaves, or by the platform's stop
 */
#include "ports/errand.h"

#include <pthread.h>

#include "common/base/clock.h"
#include "common/base/list.h"
#include "controller/internal.h"
#include "ports/invoker.h"
#include "ports/invokers.h"

/* Beyond the function's own limits, for a container to be found and its code to be loaded. */
enum { PATIENCE_MS = 120000, RESULT_MAX_BYTES = 2 << 20 };

struct errands {
    struct nr_loop *loop;
    struct invokers *fleet;
    pthread_mutex_t lock; /* of `stopped`, for calls from other threads */
    bool stopped;
    struct nr_link under_way, leaving;
};

/* An account that leaves. */
struct leaver {
    struct nr_link link;
    char *account;
};

/* One under way. */
struct errand {
    struct nr_link link;
    struct errands *of;
    struct errand_call *call;
    struct activation *a;
    struct nr_deadline patience;
    struct call_watch *watch; /* until its last look is asked for */
    bool watching;            /* until that has come */
};

static void refuse(struct errand_call *c, int code, const char *text)
{
    (void)nr_err_set(&c->err, code, "%s", text);
    c->done(c);
}

/* ---- how it ended ------------------------------------------------------------------------------------------- */

static int code_of(const struct activation *a)
{
    const struct outcome *o = &a->outcome;

    if (a->err != 0)
        return a->err == NR_ESTOPPING || (a->err == NR_ENOENT && a->follows) ? a->err : NR_EUNAVAIL;
    if (o->status == OUTCOME_SUCCESS)
        return 0;
    if (o->status == OUTCOME_INTERNAL_ERROR)
        return NR_EUNAVAIL;
    if (o->timed_out)
        return NR_ETIMEOUT;
    return o->out_of_memory ? NR_ENOMEM : NR_EPROTO;
}

static void fill(struct errand_call *c, const struct activation *a)
{
    struct nr_str text = a->outcome.result;

    c->cold = a->start == START_COLD || a->start == START_STEM;
    c->start_us =
        (int64_t)(a->queue_us + a->network_us + a->create_us + a->boot_us + a->handover_us);
    c->init_us = (int64_t)a->init_us;
    c->run_us = a->started_us ? (int64_t)(a->answered_us - a->started_us) : 0;
    c->err.code = code_of(a);
    nr_buf_init(&c->result, RESULT_MAX_BYTES);
    if (a->err != 0)
        (void)snprintf(c->err.text, sizeof(c->err.text), "%s",
                       a->error.text[0] ? a->error.text : nr_err_text(a->err));
    else if (text.n > 0)
        nr_buf_add(&c->result, text.p, text.n);
}

/* Slot and last look are both back. */
static void finish_if_done(struct errand *x)
{
    struct errand_call *c = x->call;
    struct activation *a = x->a;

    if (a->i != I_END || x->watching)
        return;
    nr_deadline_cancel(&x->patience);
    nr_list_del(&x->link);
    fill(c, a);
    a->input = (struct nr_str){NULL, 0};
    activation_unref(a);
    free(x);
    c->done(c);
}

static void on_watched(void *arg, const struct call_usage *u)
{
    struct errand *x = arg;

    x->call->usage = *u;
    x->watching = false;
    finish_if_done(x);
}

/* The last look may come at once: then it is that which finishes. */
static void on_step(struct activation *a)
{
    struct errand *x = a->owner;
    struct call_watch *w = x->watch;

    x->watch = NULL;
    if (w)
        invoker_watch_end(w, a->started_us);
    else
        finish_if_done(x);
}

static int claim(struct activation *a)
{
    struct errand *x = a->owner;

    if (a->far)
        return 0;
    x->watching = true;
    x->watch = invoker_watch(a, on_watched, x);
    return 1;
}

static void on_patience_over(struct nr_deadline *d)
{
    struct errand *x = nr_container_of(d, struct errand, patience);

    invokers_cut(x->a, NR_ETIMEOUT);
}

static struct leaver *leaver_of(const struct errands *e, const char *account)
{
    NR_LIST_EACH(&e->leaving, l) {
        struct leaver *leaver = nr_container_of(l, struct leaver, link);

        if (strcmp(leaver->account, account) == 0)
            return leaver;
    }
    return NULL;
}

/* 0, or why c does not begin, told to who asked. */
static int refuse_early(struct errands *e, struct errand_call *c)
{
    if (e->stopped)
        refuse(c, NR_ESTOPPING, "the platform is stopping");
    else if (leaver_of(e, c->fn->account))
        refuse(c, NR_ESTOPPING, "the account is leaving");
    else if (c->follows && !invokers_serve(e->fleet, c->fn->revision))
        refuse(c, NR_ENOENT, "its container is gone");
    else
        return 0;
    return -1;
}

static void begin(struct errands *e, struct errand_call *c)
{
    struct activation *a;

    if (refuse_early(e, c) != 0)
        return;
    if ((a = activation_make()) == NULL) {
        refuse(c, NR_EUNAVAIL, "there is no memory for a call");
        return;
    }
    struct errand *x = nr_alloc(sizeof(*x));

    *x = (struct errand){.of = e, .call = c, .a = a, .patience = {.fire = on_patience_over}};
    nr_list_push(&e->under_way, &x->link);
    a->account = account_ref(c->account);
    a->fn = function_ref(c->fn);
    a->input = c->input;
    a->transaction = NR_STR("errand");
    a->blocking = true;
    a->owner = x;
    a->on_step = on_step;
    a->claim = c->watched ? claim : NULL;
    a->usage = c->watched ? &c->usage : NULL;
    a->follows = c->follows;
    a->accepted_us = nr_mono_us();
    nr_new_id(nr_wall_ms(), 0, a->id);
    nr_deadline_set(e->loop, &x->patience, 2 * (uint64_t)c->fn->timeout_ms + PATIENCE_MS);
    invokers_run(e->fleet, a);
}

/* ---- from other threads ------------------------------------------------------------------------------------- */

struct letter {
    struct nr_mail mail;
    struct errands *to;
    void (*read)(const struct letter *l); /* on the loop */
    struct errand_call *call;
    const void *owner;
    uint64_t revision;
};

static void read_call(const struct letter *l)
{
    begin(l->to, l->call);
}

static void read_cut(const struct letter *l)
{
    NR_LIST_EACH(&l->to->under_way, at) {
        const struct errand *x = nr_container_of(at, struct errand, link);

        if (x->call->owner == l->owner)
            invokers_cut(x->a, NR_ESTOPPING);
    }
}

static void read_forget(const struct letter *l)
{
    if (!l->to->stopped)
        invokers_forget(l->to->fleet, l->revision);
}

static void open_letter(struct nr_mail *m)
{
    struct letter *l = nr_container_of(m, struct letter, mail);

    l->read(l);
    free(l);
}

/* What is posted before the stop is still read; afterwards nobody may read it. */
static bool post(struct errands *e, struct letter l)
{
    pthread_mutex_lock(&e->lock);
    bool stopped = e->stopped;

    if (!stopped) {
        struct letter *letter = nr_alloc(sizeof(*letter));

        *letter = l;
        letter->to = e;
        letter->mail = (struct nr_mail){.run = open_letter};
        nr_mailbox_post(e->loop, &letter->mail);
    }
    pthread_mutex_unlock(&e->lock);
    return !stopped;
}

void errands_call(struct errands *e, struct errand_call *c)
{
    if (!post(e, (struct letter){.read = read_call, .call = c}))
        refuse(c, NR_ESTOPPING, "the platform is stopping");
}

void errands_forget(struct errands *e, uint64_t revision)
{
    (void)post(e, (struct letter){.read = read_forget, .revision = revision});
}

void errands_cut(struct errands *e, const void *owner)
{
    (void)post(e, (struct letter){.read = read_cut, .owner = owner});
}

/* ---- opening and closing ------------------------------------------------------------------------------------ */

struct errands *errands_open(struct nr_loop *loop, struct invokers *f)
{
    struct errands *e = nr_alloc(sizeof(*e));

    e->loop = loop;
    e->fleet = f;
    pthread_mutex_init(&e->lock, NULL);
    nr_list_init(&e->under_way);
    nr_list_init(&e->leaving);
    return e;
}

void errands_forget_account(struct errands *e, const char *account)
{
    if (leaver_of(e, account) == NULL) {
        struct leaver *leaver = nr_alloc(sizeof(*leaver));

        leaver->account = nr_strdup(account);
        nr_list_add(&e->leaving, &leaver->link);
    }
    NR_LIST_EACH(&e->under_way, l) {
        struct activation *a = nr_container_of(l, struct errand, link)->a;

        if (strcmp(a->fn->account, account) == 0)
            invokers_cut(a, NR_ESTOPPING);
    }
}

static void leaver_free(struct leaver *leaver)
{
    nr_list_del(&leaver->link);
    free(leaver->account);
    free(leaver);
}

void errands_account_gone(struct errands *e, const char *account)
{
    struct leaver *leaver = leaver_of(e, account);

    if (leaver)
        leaver_free(leaver);
}

void errands_stop(struct errands *e)
{
    if (e == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    e->stopped = true;
    pthread_mutex_unlock(&e->lock);
    NR_LIST_EACH(&e->under_way, l)
        invokers_cut(nr_container_of(l, struct errand, link)->a, NR_ESTOPPING);
}

void errands_close(struct errands *e)
{
    if (e == NULL)
        return;
    NR_LIST_EACH(&e->leaving, l)
        leaver_free(nr_container_of(l, struct leaver, link));
    pthread_mutex_destroy(&e->lock);
    free(e);
}
