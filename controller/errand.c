/* Errands by the invoker's port: an activation of its own each, which nobody admits, journals or records.
 *
 *   call     posted to the loop; the activation is made and run
 *   answer   the invoker is done with it: how it ended, told to who asked
 *   cut      one that finds no container in time, or the platform's stop
 */
#include "ports/errand.h"

#include <pthread.h>

#include "common/base/clock.h"
#include "common/base/list.h"
#include "controller/internal.h"
#include "ports/invoker.h"

/* Beyond the function's own limits, for a container to be found and its code to be loaded. */
enum { PATIENCE_MS = 120000, RESULT_MAX_BYTES = 2 << 20 };

struct errands {
    struct nr_loop *loop;
    struct invoker *invoker;
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
};

static void refuse(struct errand_call *c, int code, const char *text)
{
    (void)nr_err_set(&c->err, code, "%s", text);
    c->done(c);
}

/* ---- how it ended ------------------------------------------------------------------------------------------- */

static bool says(struct nr_str text, const char *what)
{
    return text.n > 0 && memmem(text.p, text.n, what, strlen(what)) != NULL;
}

static int code_of(const struct activation *a)
{
    const struct outcome *o = &a->outcome;

    if (a->err != 0)
        return a->err == NR_ESTOPPING ? NR_ESTOPPING : NR_EUNAVAIL;
    if (o->status == OUTCOME_SUCCESS)
        return 0;
    if (o->status == OUTCOME_INTERNAL_ERROR)
        return NR_EUNAVAIL;
    if (o->timed_out)
        return NR_ETIMEOUT;
    return says(o->result, "memory") ? NR_ENOMEM : NR_EPROTO;
}

static void fill(struct errand_call *c, const struct activation *a)
{
    struct nr_str text = a->err != 0 ? nr_str_of(a->error.text) : a->outcome.result;
    int code = code_of(a);

    nr_buf_init(&c->result, RESULT_MAX_BYTES);
    if (code == 0)
        nr_buf_add(&c->result, text.p, text.n);
    else
        (void)nr_err_set(&c->err, code, "%.*s", (int)(text.n < 400 ? text.n : 400),
                         text.n ? text.p : "");
}

static void on_step(struct activation *a)
{
    struct errand *x = a->owner;
    struct errand_call *c = x->call;

    if (a->i != I_END)
        return;
    nr_deadline_cancel(&x->patience);
    nr_list_del(&x->link);
    fill(c, a);
    a->input = (struct nr_str){NULL, 0};
    activation_unref(a);
    free(x);
    c->done(c);
}

static void on_patience_over(struct nr_deadline *d)
{
    struct errand *x = nr_container_of(d, struct errand, patience);

    invoker_cut(x->a, NR_ETIMEOUT);
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
    else if (c->follows && !invoker_serves(e->invoker, c->fn->revision))
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
    a->accepted_us = nr_mono_us();
    nr_new_id(nr_wall_ms(), 0, a->id);
    nr_deadline_set(e->loop, &x->patience, 2 * (uint64_t)c->fn->timeout_ms + PATIENCE_MS);
    invoker_run(e->invoker, a);
}

/* ---- from other threads ------------------------------------------------------------------------------------- */

/* A call, or with NULL the end of a revision. */
struct letter {
    struct nr_mail mail;
    struct errands *to;
    struct errand_call *call;
    uint64_t revision;
};

static void open_letter(struct nr_mail *m)
{
    struct letter l = *nr_container_of(m, struct letter, mail);

    free(nr_container_of(m, struct letter, mail));
    if (l.call)
        begin(l.to, l.call);
    else if (!l.to->stopped)
        invoker_forget(l.to->invoker, l.revision);
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
    if (!post(e, (struct letter){.call = c}))
        refuse(c, NR_ESTOPPING, "the platform is stopping");
}

void errands_forget(struct errands *e, uint64_t revision)
{
    (void)post(e, (struct letter){.revision = revision});
}

/* ---- opening and closing ------------------------------------------------------------------------------------ */

struct errands *errands_open(struct nr_loop *loop, struct invoker *v)
{
    struct errands *e = nr_alloc(sizeof(*e));

    e->loop = loop;
    e->invoker = v;
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
            invoker_cut(a, NR_ESTOPPING);
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
        invoker_cut(nr_container_of(l, struct errand, link)->a, NR_ESTOPPING);
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
