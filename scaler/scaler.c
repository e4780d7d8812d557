/* The scaler: a thread with a loop of its own, between the bus and the platform.
 *
 *   hear    metrics go into the windows, the journal and the forecasts; decisions, of whoever decides, become wishes (records.c)
 *   tick    each policy is evaluated at multiples of its evaluate_every (tick.c), once a minute every function's forecast (plans.c)
 *   tell    what changes is published, stored, told to channels (records.c); policies are published where they are managed (entries.c)
 *   obey    wishes go to the platform's loop as the bus brings them back (wishes.c): one way, wherever was decided
 *
 * Stop: readers are let go of, what is remembered is saved, then `stopped` comes; calls are refused from then on, until close ends the thread.
 */
#include "common/base/clock.h"
#include "scaler/internal.h"

#define MARK "!hear/"

enum { QUIET_MS = 1000 };

static const char unable[] = "the scaler's thread could not be started";

/* ---- the bus ------------------------------------------------------------------------------------------------ */

/* Only what the platform tells of itself says since when it is known; anybody's values do not, nor a time that a message gives itself. */
static void note_began(struct scaler *s, const struct sample *sample, const struct bus_message *m)
{
    int64_t t_ms = sample->t_ms > m->at_ms ? sample->t_ms : m->at_ms;

    t_ms = t_ms > s->now_ms ? s->now_ms : t_ms;
    if (t_ms < s->opened_ms - HISTORY_MS)
        t_ms = s->opened_ms - HISTORY_MS;
    if (s->began_ms == 0 || t_ms < s->began_ms)
        s->began_ms = t_ms;
}

static void hear_metric(struct scaler *s, const struct bus_message *m)
{
    struct sample sample;
    int64_t now_ms = tick_now(s);

    if (sample_read(m->value, now_ms, &s->room, &sample, NULL) < 0) {
        (void)atomic_fetch_add(&s->n.bad_samples, 1);
        return;
    }
    (void)atomic_fetch_add(&s->n.samples, 1);
    if (sample.metric.p == NULL)
        note_began(s, &sample, m);
    windows_clock(s->windows, now_ms);
    windows_add(s->windows, &sample);
    journal_add(s->journal, m->at_ms < s->opened_ms ? JOURNAL_PAST : JOURNAL_SAMPLE, now_ms,
                m->value);
    if (sample.function.n > 0 && !sample.at_once)
        plan_sample(s, &sample);
    if (sample.at_once && m->at_ms >= s->opened_ms)
        tick_at_once(s, &sample);
}

/* A mark of our own comes back behind all policies that were there before it. */
static void learn_policy(struct scaler *s, const struct bus_message *m)
{
    s->learned_ms = tick_now(s);
    if (!nr_str_starts(m->key, MARK))
        entry_learn(s, m);
    else if (m->value.p &&
             nr_str_eqz((struct nr_str){m->key.p + sizeof(MARK) - 1, m->key.n - sizeof(MARK) + 1},
                        s->id))
        s->marked = true;
}

static void mark_policies(struct scaler *s, bool mark)
{
    char key[sizeof(MARK) + sizeof(s->id)];

    (void)snprintf(key, sizeof(key), MARK "%s", s->id);
    (void)bus_publish(s->c.bus, BUS_POLICIES, nr_str_of(key),
                      mark ? NR_STR("{}") : (struct nr_str){NULL, 0});
}

static void on_message(struct bus_reader *r, const struct bus_message *m)
{
    struct scaler *s = r->owner;

    if (s->stopping)
        return;
    if (m->topic == BUS_METRICS)
        hear_metric(s, m);
    else if (m->topic == BUS_DECISIONS)
        record_heard(s, m);
    else if (m->topic == BUS_POLICIES)
        learn_policy(s, m);
}

static int start_hearing(struct scaler *s, struct nr_err *err)
{
    s->hear = (struct bus_reader){.loop = &s->loop,
                                  .topics = 1u << BUS_METRICS | 1u << BUS_DECISIONS,
                                  .from = BUS_SINCE,
                                  .since_ms = s->opened_ms - HISTORY_MS,
                                  .group = s->c.decides ? SCALER_GROUP : NULL,
                                  .on_message = on_message,
                                  .owner = s};
    int r = bus_read(s->c.bus, &s->hear, err);

    s->hearing = r == 0;
    s->readers += r == 0;
    return r;
}

/* Policies first, where they are learned: windows keep what somebody asks for, and what was decided is of a policy. */
static int read_bus(struct scaler *s, struct nr_err *err)
{
    if (s->c.platform)
        return start_hearing(s, err);
    s->learn = (struct bus_reader){.loop = &s->loop,
                                   .topics = 1u << BUS_POLICIES,
                                   .from = BUS_ALL,
                                   .on_message = on_message,
                                   .owner = s};
    int r = bus_read(s->c.bus, &s->learn, err);

    s->readers += r == 0;
    if (r == 0)
        mark_policies(s, true);
    return r;
}

void scaler_hear_when_learned(struct scaler *s, int64_t now_ms)
{
    struct nr_err err = {0};

    if (s->hearing)
        return;
    if (!s->marked) {
        if (now_ms - s->opened_ms > QUIET_MS)
            mark_policies(s, true); /* the broker was away */
        return;
    }
    if (now_ms - s->learned_ms < QUIET_MS)
        return;
    mark_policies(s, false);
    if (!s->recalled)
        entries_recall(s);
    if (start_hearing(s, &err) < 0)
        nr_log(s->c.log, NR_LOG_ERROR, "scaler", "%s", err.text);
}

/* ---- the thread --------------------------------------------------------------------------------------------- */

static void *run(void *arg)
{
    struct scaler *s = arg;

    (void)uv_run(&s->loop.uv, UV_RUN_DEFAULT);
    return NULL;
}

static void on_quit(struct nr_mail *m)
{
    struct scaler *s = nr_container_of(m, struct scaler, quit);

    uv_stop(&s->loop.uv);
}

static void scaler_free(struct scaler *s)
{
    channels_close(s->channels);
    store_stop(s->store);
    (void)nr_loop_fini(&s->loop);
    store_close(s->store);
    entries_free(s);
    wishes_free(s);
    plans_free(s);
    journal_free(s->journal);
    windows_free(s->windows);
    for (size_t i = 0; i < LAGS_MAX; i++) {
        free(s->lags[i].topic);
        free(s->lags[i].group);
    }
    nr_str_wipe((struct nr_str){s->id, sizeof(s->id)});
    free(s);
}

static struct scaler *make(const struct scaler_config *c)
{
    struct scaler *s = nr_alloc(sizeof(*s));

    s->c = *c;
    s->opened_ms = pace_at(&c->pace, nr_wall_ms());
    atomic_store(&s->heard_ms, (int64_t)nr_mono_ms());
    nr_new_id(s->opened_ms, 0, s->id);
    nr_map_init(&s->held);
    nr_map_init(&s->planned);
    s->quit.run = on_quit;
    s->windows = windows_make(WINDOWS_MAX_BYTES);
    s->population = forecast_population_make();
    return s;
}

static int begin(struct scaler *s, struct nr_err *err)
{
    int r = store_open(s->c.data_dir, &s->store, err);

    if (r < 0)
        return r;
    s->journal = journal_make(s->store);
    s->channels = channels_open(s->store, s->c.log);
    journal_add(s->journal, JOURNAL_BEGIN, tick_now(s), (struct nr_str){"", 0});
    plans_load(s);
    entries_load(s);
    entries_publish(s);
    tick_start(s);
    if ((r = read_bus(s, err)) < 0)
        return r;
    return pthread_create(&s->thread, NULL, run, s) == 0 ? 0 : nr_err_set(err, NR_EUNAVAIL, unable);
}

static void on_gone_at_start(struct bus_reader *r)
{
    struct scaler *s = r->owner;

    if (--s->readers == 0)
        uv_stop(&s->loop.uv);
}

/* A start that fails: nobody runs the loop, so it is run here until the readers are gone. */
static void abandon(struct scaler *s)
{
    unsigned readers = s->readers;

    tick_stop(s);
    if (readers > 0)
        bus_unread(s->c.bus, s->hearing ? &s->hear : &s->learn, on_gone_at_start);
    if (readers > 0)
        (void)uv_run(&s->loop.uv, UV_RUN_DEFAULT);
    scaler_free(s);
}

int scaler_open(const struct scaler_config *c, struct scaler **ret, struct nr_err *err)
{
    struct scaler *s = make(c);
    int r = nr_loop_init(&s->loop, err);

    if (r == 0)
        r = begin(s, err);
    if (r < 0) {
        abandon(s);
        return r;
    }
    *ret = s;
    return 0;
}

/* ---- the end ------------------------------------------------------------------------------------------------ */

static void on_over(struct nr_mail *m)
{
    struct scaler *s = nr_container_of(m, struct scaler, over);

    s->stopped(s->stopped_arg);
}

static void end_if_over(struct scaler *s)
{
    if (!s->stopping || s->readers > 0 || s->later > 0)
        return;
    s->over.run = on_over;
    nr_mailbox_post(s->c.loop, &s->over);
}

void scaler_later_done(struct scaler *s)
{
    s->later--;
    end_if_over(s);
}

static void on_gone(struct bus_reader *r)
{
    struct scaler *s = r->owner;

    s->readers--;
    end_if_over(s);
}

static void on_stop(struct nr_mail *m)
{
    struct scaler *s = nr_container_of(m, struct scaler, stop);

    s->stopping = true;
    tick_stop(s);
    for (size_t i = 0; i < s->count; i++)
        tick_remember(s, s->entries[i], false);
    plans_save(s, true);
    journal_flush(s->journal, tick_now(s), true);
    if (s->hearing)
        bus_unread(s->c.bus, &s->hear, on_gone);
    if (!s->c.platform)
        bus_unread(s->c.bus, &s->learn, on_gone);
}

void scaler_stop(struct scaler *s, void (*stopped)(void *arg), void *arg)
{
    s->stopped = stopped;
    s->stopped_arg = arg;
    s->stop.run = on_stop;
    atomic_store(&s->ends, true);
    nr_mailbox_post(&s->loop, &s->stop);
}

void scaler_close(struct scaler *s)
{
    if (s == NULL)
        return;
    nr_mailbox_post(&s->loop, &s->quit);
    (void)pthread_join(s->thread, NULL);
    scaler_free(s);
}

/* ---- an account that is gone -------------------------------------------------------------------------------- */

struct forgetting {
    struct nr_mail mail;
    struct scaler *s;
    char *account;
};

static void forget_policies(struct scaler *s, const char *account)
{
    static const char *const sql[] = {
        "DELETE FROM policies WHERE EXISTS (SELECT 1 FROM versions v WHERE v.name = policies.name AND "
        "v.number = policies.number AND v.account = ?1)",
        "DELETE FROM versions WHERE account = ?1 OR name NOT IN (SELECT name FROM policies)",
        "DELETE FROM states WHERE name NOT IN (SELECT name FROM policies)",
        "DELETE FROM decisions WHERE account = ?1",
        "DELETE FROM forecasts WHERE account = ?1",
        NULL};

    for (size_t i = s->count; i-- > 0;) {
        struct entry *e = s->entries[i];

        if (e->policy->account == NULL || strcmp(e->policy->account, account) != 0)
            continue;
        if (s->c.platform)
            (void)bus_publish(s->c.bus, BUS_POLICIES, nr_str_of(e->name), (struct nr_str){NULL, 0});
        entry_remove(s, e);
    }
    if (store_write(s->store, sql, "t", nr_str_of(account)) < 0)
        nr_log(s->c.log, NR_LOG_ERROR, "scaler", "what is kept of account %s could not be removed",
               account);
}

static void on_forget(struct nr_mail *m)
{
    struct forgetting *f = nr_container_of(m, struct forgetting, mail);
    struct scaler *s = f->s;

    if (!s->stopping) {
        forget_policies(s, f->account);
        plans_forget(s, f->account);
        wishes_forget(s, f->account);
        windows_forget(s->windows, f->account);
    }
    free(f->account);
    free(f);
}

void scaler_forget_account(struct scaler *s, const char *account)
{
    struct forgetting *f = nr_alloc(sizeof(*f));

    *f = (struct forgetting){.mail.run = on_forget, .s = s, .account = nr_strdup(account)};
    nr_mailbox_post(&s->loop, &f->mail);
}

/* ---- calls -------------------------------------------------------------------------------------------------- */

void scaler_post(struct scaler *s, struct scale_call *c)
{
    c->scaler = s;
    c->mail.run = call_run;
    nr_mailbox_post(&s->loop, &c->mail);
}
