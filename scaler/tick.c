/* Evaluations: each policy at multiples of its evaluate_every, wall clock; once a second the lags of topics (lags.c), the journal's blocks; once a minute
 * the forecasts and what is kept too long. Who owns a policy's key decides; the others remember what they hear.
 *
 * Between two such times a policy is evaluated when calls of its function wait that may start nothing. The platform tells so with a sample, four times a second at
 * most; what is not raised then is left for the policy's own time.
 *
 * The wall clock may be set back. By a little it stands still here; by more than some seconds the new time is believed, and nothing is left of a time to
 * come: windows begin anew (which protects from going down until they are known again), timers end now, what is decided is told again.
 */
#include "common/base/clock.h"
#include "common/base/json.h"
#include "scaler/alive.h"
#include "scaler/internal.h"

enum {
    TICK_LEAST_MS = 5,
    SECOND_MS = 1000,
    MINUTE_MS = 60000,
    PLAN_AFTER_MS = 2000, /* the last samples of a minute come after its end */
    TRIM_MS = 600000,
    DECISIONS_SHARE = 4,  /* decisions may have a quarter of that */
    COLD_START_MS = 5000, /* while none was measured */
    HEARD_LATE_MS = 3000, /* so far behind, what was not heard of a function may still come */
    STAND_STILL_MS = 5000,
    AT_ONCE_LEAST_MS = 100, /* between two evaluations at once of a policy */
};

int64_t tick_now(struct scaler *s)
{
    int64_t now_ms = pace_at(&s->c.pace, nr_wall_ms());

    if (now_ms > s->now_ms)
        s->now_ms = now_ms;
    return s->now_ms;
}

/* ---- what a policy sees ------------------------------------------------------------------------------------- */

/* How far ahead a forecast must look so that a start it asks for is in time. */
static int64_t horizon_of(struct scaler *s, const struct policy *p, int64_t now_ms)
{
    const struct metric_ref m = {.id = METRIC_COLD_START_MS, .name = "cold_start_ms"};

    if (p->predict.horizon_ms > 0)
        return p->predict.horizon_ms;
    struct window_value v = windows_ask(s->windows, &m, p->account, p->function, AGGREGATE_P95,
                                        POLICY_WINDOW_MAX_MS, now_ms);
    int64_t start_ms = v.samples > 0 && v.value > 0 ? (int64_t)v.value : COLD_START_MS;

    return pace_long(&s->c.pace, start_ms) + 2 * p->evaluate_every_ms;
}

/* Until when what concerns a key was heard; INT64_MAX while that is not far behind. */
static int64_t heard_until(struct scaler *s, const char *key, int64_t now_ms)
{
    int64_t heard_ms = s->hearing ? bus_heard_ms(&s->hear, nr_str_of(key)) : 0;

    return now_ms - heard_ms > HEARD_LATE_MS ? heard_ms : INT64_MAX;
}

void tick_input(struct scaler *s, const struct policy *p, int64_t now_ms, struct decide_input *ret)
{
    nr_auto_free char *key = entry_key_of(p);
    struct planned *f = p->target == TARGET_FUNCTION ? plan_find(s, nr_str_of(key)) : NULL;

    *ret = (struct decide_input){
        .now_ms = now_ms,
        .windows = s->windows,
        .began_ms = s->began_ms ? s->began_ms : now_ms,
        .heard_ms = heard_until(s, key, now_ms),
    };
    windows_heard(s->windows, ret->heard_ms);
    windows_now(s->windows, p->account, p->function, now_ms, &ret->now);
    if (f && p->predict.enabled)
        forecast_look(f->forecast, now_ms, horizon_of(s, p, now_ms), p->predict.quantile,
                      &ret->forecast);
}

/* ---- one policy --------------------------------------------------------------------------------------------- */

/* Everything that goes into an evaluation beside the samples, in figures that read back the same. */
static void note_tick(struct scaler *s, const struct entry *e, const struct decide_input *in)
{
    const struct forecast_view *f = &in->forecast;
    nr_auto_json json_t *j =
        json_pack("[sIIbfffiIb]", e->name, (json_int_t)e->policy->number, (json_int_t)in->began_ms,
                  (int)f->known, f->p50, f->p90, f->confidence, (int)f->class,
                  (json_int_t)in->heard_ms, (int)in->at_once);
    nr_auto_free char *text = j ? nr_json_text(j, NULL) : NULL;

    if (text)
        journal_add(s->journal, JOURNAL_TICK, in->now_ms, nr_str_of(text));
}

/* at_once: it is not the policy's time, but calls wait. */
static void evaluate(struct scaler *s, struct entry *e, int64_t now_ms, bool at_once)
{
    struct decide_input in;
    struct decision d = {0};
    uint64_t begun_us = nr_mono_us();

    tick_input(s, e->policy, now_ms, &in);
    in.at_once = at_once;
    note_tick(s, e, &in);
    decide(e->policy, &in, e->state, &d);
    d.took_us = (uint32_t)(nr_mono_us() - begun_us);
    (void)atomic_fetch_add(&s->n.evaluations, 1);
    (void)atomic_fetch_add(&s->n.at_once, at_once);
    (void)atomic_fetch_add(&s->n.evaluate_us, d.took_us);
    *(at_once ? &e->at_once_ms : &e->evaluated_ms) = now_ms;
    if (at_once ? d.changed : d.changed || d.alerts != 0 || !e->decided)
        record_decision(s, e, &d);
    else if (now_ms - e->told_ms >= AGAIN_MS)
        record_again(s, e);
}

/* Is it ours to decide? Not before all is heard that was there when we began. Who takes over has the journal begin with what it knows. */
static bool is_ours(struct scaler *s, struct entry *e)
{
    bool mine = s->c.decides && s->hearing && bus_owns(&s->hear, nr_str_of(e->key)) &&
                bus_heard_ms(&s->hear, nr_str_of(e->key)) > 0;

    if (mine && !e->mine) {
        e->mine = true;
        decide_state_back(e->state, tick_now(s)); /* who decided before may have been ahead */
        tick_remember(s, e, true);
    }
    e->mine = mine;
    return mine;
}

/* The next multiple; what was missed is not made up for. */
static void set_due(struct scaler *s, struct entry *e, int64_t now_ms)
{
    int64_t every = e->policy->evaluate_every_ms;

    if (e->due_ms > 0 && now_ms - e->due_ms >= every)
        (void)atomic_fetch_add(&s->n.late_ticks, 1);
    e->due_ms = (now_ms / every + 1) * every;
}

static void note_state(struct scaler *s, const struct entry *e, json_t *state, bool begins)
{
    nr_auto_json json_t *j =
        json_pack("{sssIsbsbsO*}", "policy", e->name, "number", (json_int_t)e->policy->number,
                  "begins", (int)begins, "fresh", (int)(begins && e->fresh), "state", state);
    nr_auto_free char *line = j ? nr_json_text(j, NULL) : NULL;

    if (line && s->c.decides)
        journal_add(s->journal, JOURNAL_STATE, tick_now(s), nr_str_of(line));
}

void tick_remember(struct scaler *s, struct entry *e, bool begins)
{
    if (!s->recalled)
        return;
    nr_auto_json json_t *state = decide_state_write(e->state);
    nr_auto_free char *text = state ? nr_json_text(state, NULL) : NULL;

    note_state(s, e, state, begins);
    store_post(s->store,
               "INSERT OR REPLACE INTO states(name, number, t, state, record, key) "
               "VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
               "tiittt", nr_str_of(e->name), e->policy->number, e->decided_ms, nr_str_of(text),
               nr_str_of(e->record), nr_str_of(e->key));
}

/* ---- the clock ---------------------------------------------------------------------------------------------- */

static void evaluate_due(struct scaler *s, int64_t now_ms)
{
    for (size_t i = 0; i < s->count; i++) {
        struct entry *e = s->entries[i];

        if (e->policy->mode == POLICY_OFF || e->due_ms > now_ms)
            continue;
        bool first = e->due_ms == 0; /* at the next multiple, as ever */

        set_due(s, e, now_ms);
        if (!first && is_ours(s, e))
            evaluate(s, e, now_ms, false);
    }
}

/* Not before its first time, nor twice at one time, nor oftener than the platform tells. */
static bool may_at_once(const struct entry *e, int64_t now_ms)
{
    return e->policy->mode != POLICY_OFF && e->evaluated_ms > 0 && e->due_ms > now_ms &&
           now_ms > e->evaluated_ms && now_ms - e->at_once_ms >= AT_ONCE_LEAST_MS;
}

void tick_at_once(struct scaler *s, const struct sample *of)
{
    int64_t now_ms = tick_now(s);

    for (size_t i = 0; i < s->count; i++) {
        struct entry *e = s->entries[i];
        const struct policy *p = e->policy;

        if (p->target == TARGET_FUNCTION && nr_str_eqz(of->function, p->function) &&
            nr_str_eqz(of->account, p->account) && may_at_once(e, now_ms) && is_ours(s, e))
            evaluate(s, e, now_ms, true);
    }
}

static void remember_all(struct scaler *s, int64_t now_ms)
{
    s->keyed_ms = now_ms;
    journal_key(s->journal, now_ms);
    for (size_t i = 0; i < s->count; i++)
        tick_remember(s, s->entries[i], false);
}

static void trim(struct scaler *s, int64_t now_ms)
{
    s->trimmed_ms = now_ms;
    journal_trim(s->journal, now_ms, s->c.retention_s, s->c.history_max_bytes);
    store_trim_decisions(s->store, now_ms, s->c.retention_s,
                         s->c.history_max_bytes / DECISIONS_SHARE);
}

/* A broker that was away may have missed policies: they are told again when it is back. */
static void watch_bus(struct scaler *s)
{
    bool connected = bus_stats(s->c.bus).connected;

    if (connected && !s->connected)
        entries_publish(s);
    s->connected = connected;
}

static void each_second(struct scaler *s, int64_t now_ms)
{
    s->second = now_ms / SECOND_MS;
    scaler_hear_when_learned(s, now_ms);
    lags_take(s, now_ms);
    watch_bus(s);
    alive_say(s);
    wishes_expire(s);
    journal_flush(s->journal, now_ms, false);
    if (now_ms - s->keyed_ms >= KEY_MS)
        remember_all(s, now_ms);
    if (now_ms - s->trimmed_ms >= TRIM_MS)
        trim(s, now_ms);
    if ((now_ms - PLAN_AFTER_MS) / MINUTE_MS > s->planned_minute)
        plan_minute(s, now_ms);
}

static void entry_back(struct scaler *s, struct entry *e, int64_t now_ms)
{
    decide_state_back(e->state, now_ms);
    e->due_ms = e->evaluated_ms = e->at_once_ms = 0;
    e->told_ms = 0;
    if (e->decided_ms > now_ms)
        e->decided = false;
    e->decided_ms = e->decided_ms > now_ms ? now_ms : e->decided_ms;
    (void)windows_want(s->windows, e->policy, now_ms);
    tick_remember(s, e, true);
}

static void set_back(struct scaler *s, int64_t now_ms)
{
    int64_t *times[] = {&s->opened_ms, &s->learned_ms, &s->saved_ms, &s->trimmed_ms, &s->keyed_ms};

    nr_log(s->c.log, NR_LOG_WARN, "scaler", "the clock was set back by %lld s: windows begin anew",
           (long long)((s->now_ms - now_ms) / 1000));
    (void)atomic_fetch_add(&s->n.clock_steps, 1);
    journal_flush(s->journal, s->now_ms, true);
    s->now_ms = now_ms;
    s->began_ms = 0;
    s->second = now_ms / SECOND_MS;
    s->planned_minute = (now_ms - PLAN_AFTER_MS) / MINUTE_MS;
    for (size_t i = 0; i < nr_countof(times); i++)
        *times[i] = *times[i] > now_ms ? now_ms : *times[i];
    windows_free(s->windows);
    s->windows = windows_make(WINDOWS_MAX_BYTES);
    wishes_back(s, now_ms);
    plans_back(s, now_ms);
    journal_key(s->journal, now_ms);
    journal_add(s->journal, JOURNAL_BEGIN, now_ms, (struct nr_str){"", 0});
    for (size_t i = 0; i < s->count; i++)
        entry_back(s, s->entries[i], now_ms);
}

static void on_tick(struct nr_deadline *d)
{
    struct scaler *s = nr_container_of(d, struct scaler, tick);
    int64_t now_ms = pace_at(&s->c.pace, nr_wall_ms()), next_ms;

    (void)nr_loop_enter(&s->loop);
    if (s->now_ms - now_ms > STAND_STILL_MS)
        set_back(s, now_ms);
    now_ms = tick_now(s);
    if (now_ms / SECOND_MS > s->second)
        each_second(s, now_ms);
    evaluate_due(s, now_ms);
    next_ms = (s->second + 1) * SECOND_MS;
    for (size_t i = 0; i < s->count; i++)
        if (s->entries[i]->policy->mode != POLICY_OFF && s->entries[i]->due_ms < next_ms)
            next_ms = s->entries[i]->due_ms;
    next_ms = pace_real(&s->c.pace, next_ms - tick_now(s));
    nr_deadline_set(&s->loop, d, (uint64_t)(next_ms > TICK_LEAST_MS ? next_ms : TICK_LEAST_MS));
}

void tick_start(struct scaler *s)
{
    int64_t now_ms = tick_now(s);

    s->second = now_ms / SECOND_MS;
    s->planned_minute = (now_ms - PLAN_AFTER_MS) / MINUTE_MS;
    s->saved_ms = s->trimmed_ms = now_ms;
    s->tick.fire = on_tick;
    s->apply.fire = wishes_apply;
    remember_all(s, now_ms);
    nr_deadline_set(&s->loop, &s->tick, 0);
}

void tick_stop(struct scaler *s)
{
    nr_deadline_cancel(&s->tick);
    nr_deadline_cancel(&s->apply);
}
