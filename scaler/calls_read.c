/* Questions: one evaluation now, decisions that were taken, forecasts, channels, how the scaler itself is.
 */
#include "common/base/clock.h"
#include "common/base/json.h"
#include "scaler/alive.h"
#include "scaler/internal.h"
#include "scaler/replay.h"

/* ---- one evaluation now ------------------------------------------------------------------------------------- */

/* With a copy of what the policy remembers, so that a question changes nothing. */
static struct decide_state *copy_of(const struct policy *p, const struct decide_state *from)
{
    nr_auto_json json_t *j = from ? decide_state_write(from) : NULL;
    struct decide_state *s = j ? decide_state_read(p, j) : NULL;

    return s ? s : decide_state_make(p);
}

/* p: lent. */
static int evaluate(struct scaler *s, struct scale_call *c, const struct policy *p,
                    const struct decide_state *from)
{
    struct decide_state *state = copy_of(p, from);
    struct decision *d = nr_alloc(sizeof(*d));
    struct decide_input in;
    uint64_t begun_us = nr_mono_us();

    tick_input(s, p, tick_now(s), &in);
    decide(p, &in, state, d);
    d->took_us = (uint32_t)(nr_mono_us() - begun_us);
    decision_write(d, &c->reply);
    free(d);
    decide_state_free(state);
    return 0;
}

int call_evaluate(struct scaler *s, struct scale_call *c)
{
    const struct entry *e = c->name.n > 0 ? entry_find(s, c->name) : NULL;

    if (c->name.n > 0 && (e == NULL || !call_may_see(c, e->policy->account)))
        return call_refuse_unknown(c);
    if (c->body.n == 0 && e)
        return evaluate(s, c, e->policy, e->state);
    if (!c->admin)
        return nr_err_set(&c->err, NR_EFORBIDDEN,
                          "A document that is not stored is the administrator's to evaluate.");
    struct policy *p = call_read(c, c->body, e ? e->name : NULL);
    int r = p ? evaluate(s, c, p, e ? e->state : NULL) : NR_EINVAL;

    policy_unref(p);
    return r;
}

/* ---- decisions ---------------------------------------------------------------------------------------------- */

struct explaining {
    struct nr_db_job job;
    struct scaler *s;
    struct scale_call *c; /* lent until done */
    char *account;        /* whose decisions; NULL: nobody's, or all */
    unsigned count;
};

static int add_decision(void *arg, sqlite3_stmt *st)
{
    struct explaining *x = arg;
    struct nr_str text = nr_db_column(st, 0);

    if (x->count++ > 0)
        nr_buf_addc(&x->c->reply, ',');
    nr_buf_add(&x->c->reply, text.p, text.n);
    return 0;
}

static int read_decisions(sqlite3 *db, struct nr_db_job *job)
{
    struct explaining *x = nr_container_of(job, struct explaining, job);
    struct scale_call *c = x->c;

    nr_buf_adds(&c->reply, "{\"policy\":");
    nr_buf_json(&c->reply, c->name);
    nr_buf_adds(&c->reply, ",\"decisions\":[");
    int r = store_rows(
        db, add_decision, x,
        "SELECT record FROM decisions WHERE name = ?1 AND t BETWEEN ?2 AND ?3 AND (?4 OR account = ?5) "
        "ORDER BY t DESC, id DESC LIMIT ?6",
        "tiiiti", c->name, c->since_ms, c->upto_ms, (int64_t)c->admin, nr_str_of(x->account),
        (int64_t)c->limit);

    nr_buf_adds(&c->reply, "]}");
    if (r == 0 && c->reply.failed)
        return nr_err_set(&c->err, NR_ETOOBIG, "The answer is too large; ask for fewer decisions.");
    return r;
}

static void on_explained(struct nr_db_job *job)
{
    struct explaining *x = nr_container_of(job, struct explaining, job);
    struct scaler *s = x->s;

    if (job->status < 0)
        (void)nr_err_set(&x->c->err, job->status, "The decisions could not be read: %s.",
                         nr_err_text(job->status));
    call_done(s, x->c);
    free(x->account);
    free(x);
    scaler_later_done(s);
}

static int replay_policy(struct scaler *s, struct scale_call *c, enum replay_kind kind,
                         struct policy *p, const struct policy *recorded)
{
    return replay_later(s, c, &(struct replay_ask){.kind = kind, .p = p, .recorded = recorded});
}

int call_explain(struct scaler *s, struct scale_call *c)
{
    const struct entry *e = entry_find(s, c->name);

    if (c->all)
        return replay_policy(s, c, REPLAY_EXPLAIN, e->policy, e->policy);
    struct explaining *x = nr_alloc(sizeof(*x));

    *x = (struct explaining){.job = {.run = read_decisions, .done = on_explained, .loop = &s->loop},
                             .s = s,
                             .c = c,
                             .account = e->policy->account ? nr_strdup(e->policy->account) : NULL};
    store_settle(s->store);
    s->later++;
    store_later(s->store, &x->job);
    return 1;
}

int call_replay(struct scaler *s, struct scale_call *c)
{
    const struct entry *e = c->name.n > 0 ? entry_find(s, c->name) : NULL;

    if (c->name.n > 0 && (e == NULL || !call_may_see(c, e->policy->account)))
        return call_refuse_unknown(c);
    if (c->body.n == 0)
        return e ? replay_policy(s, c, REPLAY_COMPARE, e->policy, e->policy)
                 : nr_err_set(&c->err, NR_EINVAL,
                              "Which policy, or which document, is to be replayed?");
    if (!c->admin)
        return nr_err_set(&c->err, NR_EFORBIDDEN,
                          "A document that is not stored is the administrator's to replay.");
    struct policy *p = call_read(c, c->body, e ? e->name : NULL);
    int r = p ? replay_policy(s, c, REPLAY_COMPARE, p, e ? e->policy : NULL) : NR_EINVAL;

    policy_unref(p);
    return r;
}

/* ---- forecasts ---------------------------------------------------------------------------------------------- */

static json_t *forecast_row(const struct scaler *s, const struct planned *p, int64_t minute)
{
    int64_t keep = 0, next = 0;
    double confidence = forecast_confidence(p->forecast);

    forecast_plan_day(p->forecast, minute, s->c.memory_price, p->instance_mb, &keep, &next);
    json_t *j = json_pack("{sssssssfsbsI}", "account", p->account, "function", p->function, "class",
                          arrival_class_text(forecast_class(p->forecast)), "confidence", confidence,
                          "trusted", (int)(confidence >= FORECAST_TRUSTED), "keep_minutes",
                          (json_int_t)keep);

    if (next != INT64_MAX)
        (void)json_object_set_new(j, "next_warm_ms", json_integer(next * 60000));
    if (p->told && p->desired >= 0)
        (void)json_object_set_new(j, "desired", json_integer(p->desired));
    return j;
}

static bool asks_for(const struct scale_call *c, const struct planned *p)
{
    return (c->admin || call_may_see(c, p->account)) &&
           (c->whose.n == 0 || nr_str_eqz(c->whose, p->account)) &&
           (c->function.n == 0 || nr_str_eqz(c->function, p->function));
}

static int by_key(const void *a, const void *b)
{
    const struct planned *const *x = a, *const *y = b;

    return strcmp((*x)->key, (*y)->key);
}

int call_forecasts(struct scaler *s, struct scale_call *c)
{
    nr_auto_free struct planned **found = nr_alloc((s->planned.count + 1) * sizeof(*found));
    int64_t minute = tick_now(s) / 60000;
    json_t *list = json_array();
    struct nr_map_node *n = NULL;
    size_t at = 0, count = 0;

    while ((n = nr_map_next(&s->planned, &at, n)) != NULL) {
        struct planned *p = nr_container_of(n, struct planned, node);

        if (asks_for(c, p))
            found[count++] = p;
    }
    qsort(found, count, sizeof(*found), by_key);
    for (size_t i = 0; i < count && i < (size_t)c->limit; i++)
        (void)json_array_append_new(list, forecast_row(s, found[i], minute));
    return call_reply(c, json_pack("{sosI}", "forecasts", list, "total", (json_int_t)count));
}

/* ---- channels ----------------------------------------------------------------------------------------------- */

int call_channels(struct scaler *s, struct scale_call *c)
{
    channels_write(s->channels, &c->reply);
    return 0;
}

int call_channel_put(struct scaler *s, struct scale_call *c)
{
    nr_auto_json json_t *j = nr_json_parse(c->body, &c->err);
    const char *url = nr_json_string(j, "url");

    if (j == NULL)
        return NR_EINVAL;
    if (url == NULL || json_object_size(j) != 1)
        return nr_err_set(&c->err, NR_EINVAL, "A channel is {\"url\": \"http://...\"}.");
    int r = channel_put(s->channels, c->name, nr_str_of(url), tick_now(s), &c->err);

    if (r < 0)
        return r;
    return call_reply(c, json_pack("{ss%ss}", "channel", c->name.p, c->name.n, "url", url));
}

int call_channel_delete(struct scaler *s, struct scale_call *c)
{
    int r = channel_delete(s->channels, c->name, &c->err);

    return r < 0 ? r : call_reply(c, json_pack("{ss%}", "channel", c->name.p, c->name.n));
}

/* ---- the scaler itself -------------------------------------------------------------------------------------- */

static const char *const predicts[] = {
    [SCALER_PREDICT_OFF] = "off", [SCALER_PREDICT_SHADOW] = "shadow", [SCALER_PREDICT_ON] = "on"};

static json_int_t count_of(const _Atomic uint64_t *n)
{
    return (json_int_t)atomic_load(n);
}

int call_status(struct scaler *s, struct scale_call *c)
{
    struct bus_stats bus = bus_stats(s->c.bus);
    struct store_stats store = store_stats(s->store);
    struct journal_stats journal = journal_stats(s->journal);
    size_t mine = 0;

    for (size_t i = 0; i < s->count; i++)
        mine += s->entries[i]->mine;
    json_t *j =
        json_pack("{sbsssssfsIsIsIsIsI}", "decides", (int)s->c.decides, "scaler",
                  s->c.decides ? "here" : "elsewhere", "predict", predicts[s->c.predict],
                  "memory_price", s->c.memory_price, "policies", (json_int_t)s->count,
                  "policies_owned", (json_int_t)mine, "functions", (json_int_t)s->planned.count,
                  "evaluations", count_of(&s->n.evaluations), "changes", count_of(&s->n.changes));

    (void)json_object_set_new(j, "node", json_string(s->c.node ? s->c.node : ""));
    if (s->heard_any)
        (void)json_object_set_new(j, "heard_ms",
                                  json_integer(tick_now(s) - (int64_t)(alive_age_s(s) * 1000)));
    (void)json_object_set_new(j, "since_ms", json_integer(s->began_ms));
    (void)json_object_set_new(j, "samples", json_integer(count_of(&s->n.samples)));
    (void)json_object_set_new(j, "bad_samples", json_integer(count_of(&s->n.bad_samples)));
    (void)json_object_set_new(j, "wishes", json_integer(count_of(&s->n.wishes)));
    (void)json_object_set_new(j, "late_ticks", json_integer(count_of(&s->n.late_ticks)));
    (void)json_object_set_new(j, "windows_bytes",
                              json_integer((json_int_t)windows_bytes(s->windows)));
    (void)json_object_set_new(j, "bus", json_string(bus.connected ? "connected" : "away"));
    if (s->c.brokers)
        (void)json_object_set_new(j, "brokers", json_string(s->c.brokers));
    (void)json_object_set_new(j, "dropped",
                              json_pack("{sIsIsI}", "decisions",
                                        (json_int_t)bus.dropped[BUS_DECISIONS], "metrics",
                                        (json_int_t)bus.dropped[BUS_METRICS], "windows",
                                        (json_int_t)windows_dropped(s->windows)));
    (void)json_object_set_new(j, "journal",
                              json_pack("{sIsIsI}", "records", (json_int_t)journal.records,
                                        "blocks", (json_int_t)journal.blocks, "gaps",
                                        (json_int_t)journal.gaps));
    (void)json_object_set_new(j, "store",
                              json_pack("{sIsIsI}", "written", (json_int_t)store.written, "failed",
                                        (json_int_t)store.failed, "dropped",
                                        (json_int_t)store.dropped));
    return call_reply(c, j);
}
