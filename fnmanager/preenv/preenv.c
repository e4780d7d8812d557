/* PreEnv Optimizer. Runs wait in a queue, in which accounts take turns: the second run of an account comes after the first of every other
 * one that waits. One thread works on them, so two are never under way at once and no test disturbs another. At start the runs that had
 * not ended are queued again. At a stop the run under way is interrupted, those that wait stay in their rows.
 */
#include <stdio.h>

#include "fnmanager/preenv/preenv_analyzer.h"
#include "fnmanager/preenv/preenv_optimizer.h"
#include "fnmanager/preenv/preenv_run.h"
#include "fnmanager/preenv/preenv_storage.h"

struct waiting {
    char id[33];
    char *account, *package, *name; /* made */
    uint64_t turn;                  /* never less than that of the one before */
    bool gone;                      /* its function was deleted: it is under way and ends soon */
};

struct preenv {
    struct fnmanager *m;
    struct preenv_tester *tester; /* NULL until preenv_start() */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool started;
    struct waiting queue[PREENV_QUEUE_MAX]; /* [0] is under way while `busy` */
    unsigned count;
    uint64_t turn; /* of the run that was begun last */
    bool busy;
    _Atomic bool cancel, stop;
    nr_counter ended[PREENV_STATES];
};

/* ---- the queue ------------------------------------------------------------------------------------------------ */

/* Puts the run behind those of its turn, or of turns before. */
static void insert(struct preenv *p, const struct preenv_run *r)
{
    uint64_t turn = p->turn;
    unsigned at = p->count;

    for (unsigned i = 0; i < p->count; i++)
        if (strcmp(p->queue[i].account, r->account) == 0 && p->queue[i].turn >= turn)
            turn = p->queue[i].turn + 1;
    while (at > 0 && p->queue[at - 1].turn > turn)
        at--;
    struct waiting *w = &p->queue[at];

    memmove(w + 1, w, (p->count++ - at) * sizeof(*w));
    *w = (struct waiting){.account = nr_strdup(r->account),
                          .package = nr_strdup(r->package),
                          .name = nr_strdup(r->name),
                          .turn = turn};
    (void)snprintf(w->id, sizeof(w->id), "%s", r->id);
    pthread_cond_signal(&p->wake);
}

static int enqueue(struct preenv *p, const struct preenv_run *r, struct nr_err *err)
{
    unsigned own = 0;

    if (p->tester == NULL || p->stop)
        return nr_err_set(err, NR_EUNAVAIL,
                          "PreEnv is not available: the platform is starting or stopping.");
    for (unsigned i = 0; i < p->count; i++) {
        const struct waiting *w = &p->queue[i];

        if (w->gone || strcmp(w->account, r->account) != 0)
            continue;
        own++;
        if (strcmp(w->package, r->package) == 0 && strcmp(w->name, r->name) == 0)
            return nr_err_set(
                err, NR_ECONFLICT,
                "A run of this function is under way or waits already: %s. Cancel it, or wait for its end.",
                w->id);
    }
    if (p->count == PREENV_QUEUE_MAX || own >= PREENV_QUEUE_ACCOUNT_MAX)
        return nr_err_set(
            err, NR_EQUOTA,
            "Too many PreEnv runs wait: %u of this account (at most %d), %u in all (at most %d).",
            own, PREENV_QUEUE_ACCOUNT_MAX, p->count, PREENV_QUEUE_MAX);
    insert(p, r);
    return 0;
}

static void remove_at(struct preenv *p, unsigned i)
{
    free(p->queue[i].account);
    free(p->queue[i].package);
    free(p->queue[i].name);
    memmove(&p->queue[i], &p->queue[i + 1], (p->count - i - 1) * sizeof(p->queue[0]));
    p->count--;
}

int preenv_queue(struct preenv *p, const struct preenv_run *r, struct nr_err *err)
{
    pthread_mutex_lock(&p->lock);
    int e = enqueue(p, r, err);

    pthread_mutex_unlock(&p->lock);
    return e;
}

/* The one that is under way. The lock is held. */
static void cancel_run(struct preenv *p)
{
    const struct fnmanager_config *c = &p->m->config;

    p->cancel = true;
    if (c->errand_cut)
        c->errand_cut(c->arg, p);
}

int preenv_cancel(struct preenv *p, const char *id, bool *ret_waited)
{
    int e = NR_ENOENT;

    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->count && e != 0; i++) {
        if (strcmp(p->queue[i].id, id) != 0)
            continue;
        e = 0;
        *ret_waited = i > 0 || !p->busy;
        if (*ret_waited) {
            remove_at(p, i);
        } else {
            cancel_run(p);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return e;
}

static bool is_of(const struct waiting *w, struct fn_key key)
{
    return nr_str_eqz(key.account, w->account) &&
           (key.name.n == 0 ||
            (nr_str_eqz(key.package, w->package) && nr_str_eqz(key.name, w->name)));
}

void preenv_gone(struct preenv *p, struct fn_key key)
{
    pthread_mutex_lock(&p->lock);
    for (unsigned i = p->count; i-- > 0;) {
        if (!is_of(&p->queue[i], key))
            continue;
        if (i > 0 || !p->busy) {
            remove_at(p, i);
        } else {
            p->queue[i].gone = true;
            cancel_run(p);
        }
    }
    pthread_mutex_unlock(&p->lock);
}

struct preenv_tester *preenv_tester_of(struct preenv *p)
{
    pthread_mutex_lock(&p->lock);
    struct preenv_tester *t = p->tester;

    pthread_mutex_unlock(&p->lock);
    return t;
}

/* ---- the thread ------------------------------------------------------------------------------------------------ */

/* The next run's id; false: the platform stops. */
static bool next_run(struct preenv *p, char id[33])
{
    pthread_mutex_lock(&p->lock);
    while (p->count == 0 && !p->stop)
        pthread_cond_wait(&p->wake, &p->lock);
    bool more = !p->stop;

    if (more) {
        memcpy(id, p->queue[0].id, 33);
        p->turn = p->queue[0].turn;
        p->busy = true;
        p->cancel = false;
    }
    pthread_mutex_unlock(&p->lock);
    return more;
}

static void run_is_over(struct preenv *p)
{
    pthread_mutex_lock(&p->lock);
    p->busy = false;
    remove_at(p, 0);
    pthread_mutex_unlock(&p->lock);
}

static void *work(void *arg)
{
    struct preenv *p = arg;
    char id[33];

    while (next_run(p, id)) {
        struct preenv_run *r = NULL;

        if (preenv_load(p->m->db, id, &r) == 0 && r->state == PREENV_RUNNING) {
            struct preenv_session x = {
                .m = p->m, .tester = p->tester, .run = r, .cancel = &p->cancel, .stop = &p->stop};

            preenv_run_go(&x);
            nr_count(&p->ended[r->state], r->state != PREENV_RUNNING);
        }
        preenv_run_free(r);
        run_is_over(p);
    }
    return NULL;
}

/* ---- opening and closing ---------------------------------------------------------------------------------------- */

struct preenv *preenv_open(struct fnmanager *m)
{
    struct preenv *p = nr_alloc(sizeof(*p));

    p->m = m;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    return p;
}

static void queue_unfinished(struct preenv *p)
{
    char(*ids)[33] = NULL;
    size_t n = 0;

    if (preenv_unfinished(p->m->db, &ids, &n) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        struct preenv_run *r = NULL;

        if (preenv_load(p->m->db, ids[i], &r) == 0)
            (void)preenv_queue(p, r, NULL);
        preenv_run_free(r);
    }
    free(ids);
}

int fnmanager_preenv(struct fnmanager *m, struct preenv_tester *t, struct nr_err *err)
{
    struct preenv *p = m->preenv;

    pthread_mutex_lock(&p->lock);
    p->tester = t;
    pthread_mutex_unlock(&p->lock);
    queue_unfinished(p);
    int r = pthread_create(&p->thread, NULL, work, p);

    if (r != 0)
        return nr_err_set(err, nr_err_from_errno(r), "PreEnv's thread cannot be started: %s",
                          strerror(r));
    (void)pthread_setname_np(p->thread, "fn-preenv");
    p->started = true;
    return 0;
}

void preenv_close(struct preenv *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    if (p->started)
        (void)pthread_join(p->thread, NULL);
    while (p->count > 0)
        remove_at(p, p->count - 1);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void preenv_metrics(struct preenv *p, struct nr_buf *out)
{
    pthread_mutex_lock(&p->lock);
    unsigned waiting = p->count;

    pthread_mutex_unlock(&p->lock);
    nr_metric_one(out, "narae_preenv_waiting", "gauge", "PreEnv runs under way or waiting.",
                  (double)waiting);
    nr_metric_head(out, "narae_preenv_runs_total", "counter", "PreEnv runs that ended, by state.");
    for (int s = PREENV_RUNNING + 1; s < PREENV_STATES; s++) {
        char label[64];

        (void)snprintf(label, sizeof(label), "state=\"%s\"",
                       preenv_state_text((enum preenv_state)s));
        nr_metric_sample(out, "narae_preenv_runs_total", label, (double)p->ended[s]);
    }
}
