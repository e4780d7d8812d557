/* The journal is read once, from where states are known (an hour earlier for what windows must hold), in the order in which the scaler processed it:
 * samples into windows of this replay's own, evaluations with what they saw, at their own times.
 *
 * As it was: the recorded decisions come out again, to the last bit, or the reply says where they do not. With another document the same times are
 * evaluated, and containers are those of a model (model.h), since other decisions would have made others.
 *
 * One at a time: the other reading thread of the database is always free for what is asked and answered at once. A replay is given up when nobody waits
 * for it any more, and when the scaler ends.
 */
#include "scaler/replay.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "scaler/doubts.h"
#include "scaler/model.h"
#include "scaler/replay_state.h"

enum {
    REPLAY_WINDOWS_BYTES = 64 << 20,
    WARM_UP_MARGIN_MS = 120000,
    DAY_MS = 86400000,
    CHECK_MS = 5000,
    ENOUGH = 1
};

int replay_given_up(struct replay *r)
{
    if (atomic_load(&r->s->ends))
        return nr_err_set(&r->c->err, NR_ESTOPPING, "The platform is stopping.");
    return atomic_load(&r->c->gone)
               ? nr_err_set(&r->c->err, NR_ECANCELED, "Nobody waits for this replay any more.")
               : 0;
}

/* ---- the pass --------------------------------------------------------------------------------------------------- */

static bool counts(const struct replay *r, int64_t t_ms)
{
    return t_ms >= r->since_ms && t_ms <= r->upto_ms;
}

/* What was recorded up to then holds in the one model; a function that nobody decides for scales with its calls. */
static void follow_recorded(struct replay *r, int64_t t_ms)
{
    while (r->recorded_at < r->recorded_end && r->recorded[r->recorded_at].t_ms <= t_ms) {
        const struct outcome *o = &r->recorded[r->recorded_at++];

        model_advance(&r->was, o->t_ms > r->was.t_ms ? o->t_ms : r->was.t_ms);
        model_decide(&r->was, o->decision ? o->to : -1, o->decision ? o->maximum : -1,
                     !o->decision || o->on_demand);
    }
}

static void begin_counting(struct replay *r, int64_t t_ms)
{
    if (r->counting || t_ms < r->since_ms)
        return;
    r->counting = true;
    model_count(&r->was);
    model_count(&r->is);
}

static void move_models(struct replay *r, int64_t t_ms)
{
    begin_counting(r, t_ms);
    follow_recorded(r, t_ms);
    model_advance(&r->was, t_ms > r->was.t_ms ? t_ms : r->was.t_ms);
    model_advance(&r->is, t_ms > r->is.t_ms ? t_ms : r->is.t_ms);
}

static bool has(struct nr_str text, const char *what)
{
    return memmem(text.p, text.n, what, strlen(what)) != NULL;
}

/* Most lines of a journal are of other functions: they are told by their text, but where it is written with escapes. */
static bool is_relevant(const struct replay *r, struct nr_str text)
{
    if (!has(text, "\"function\"") || memchr(text.p, '\\', text.n) ||
        (r->custom && has(text, "\"metric\"")))
        return true;
    for (unsigned i = 0; i < r->function_count; i++)
        if (has(text, r->function[i]))
            return true;
    return false;
}

static bool is_its_function(const struct policy *p, const struct sample *s)
{
    return p->target == TARGET_FUNCTION && nr_str_eqz(s->function, p->function) &&
           nr_str_eqz(s->account, p->account);
}

static void count_sample(struct replay *r, int64_t t_ms, struct sample *s)
{
    const struct policy *p = r->p;

    r->samples += counts(r, t_ms);
    if (!is_its_function(p, s))
        return;
    move_models(r, t_ms);
    model_sample(&r->was, s);
    model_sample(&r->is, s);
    if (r->edited && r->counting) {
        double starting = r->is.ready_ms > 0 ? (double)(r->is.desired - r->is.warm) : 0;

        s->value[METRIC_INSTANCES] = (double)r->is.warm;
        s->value[METRIC_INSTANCES_BUSY] = (double)r->is.busy;
        s->value[METRIC_STARTING] = starting < 0 ? 0 : starting;
    }
}

static void on_sample(struct replay *r, const struct journal_record *rec)
{
    struct sample s;

    if (!is_relevant(r, rec->text) || sample_read(rec->text, rec->t_ms, &r->room, &s, NULL) < 0)
        return;
    if (rec->kind == JOURNAL_SAMPLE)
        count_sample(r, rec->t_ms, &s);
    windows_clock(r->windows, rec->t_ms);
    windows_add(r->windows, &s);
    if (r->generates && s.at_once && rec->kind == JOURNAL_SAMPLE && is_its_function(r->p, &s))
        replay_generate_at_once(r, rec->t_ms);
}

static void on_lag(struct replay *r, const struct journal_record *rec)
{
    nr_auto_json json_t *j = nr_json_parse(rec->text, NULL);
    const char *topic = json_string_value(json_array_get(j, 0)),
               *group = json_string_value(json_array_get(j, 1));

    if (topic && group)
        windows_add_lag(r->windows, topic, group, (double)json_integer_value(json_array_get(j, 2)),
                        rec->t_ms);
}

/* The clock was set back: what comes next is of the time from there on, for the models too. */
static void set_back(struct replay *r, int64_t t_ms)
{
    replay_next_stretch(r, t_ms);
    model_back(&r->was, t_ms);
    model_back(&r->is, t_ms);
    r->due_ms = r->evaluated_ms = 0;
}

static void on_begin(struct replay *r, int64_t t_ms)
{
    if (t_ms < r->last_ms)
        set_back(r, t_ms);
    windows_free(r->windows);
    r->windows = windows_make(REPLAY_WINDOWS_BYTES);
    (void)windows_want(r->windows, r->p, t_ms);
    r->state_known = r->edited && r->state_known;
}

/* As the policy was when it began, or when another process had decided before. */
static void on_state(struct replay *r, const struct journal_record *rec)
{
    nr_auto_json json_t *j = nr_json_parse(rec->text, NULL);
    const char *name = nr_json_string(j, "policy");
    bool begins = json_is_true(json_object_get(j, "begins"));

    if (r->name == NULL || name == NULL || strcmp(name, r->name) != 0 ||
        (r->edited && r->state_known) || (r->state_known && !begins) ||
        (!r->edited && json_integer_value(json_object_get(j, "number")) != r->p->number))
        return;
    if (begins && !r->edited && json_is_true(json_object_get(j, "fresh"))) {
        windows_unwant(r->windows); /* what came before nobody had asked for */
        (void)windows_want(r->windows, r->p, rec->t_ms);
    }
    if (rec->t_ms < r->key_ms)
        return;
    struct decide_state *s = decide_state_read(r->p, json_object_get(j, "state"));

    if (s) {
        decide_state_free(r->state);
        r->state = s;
    }
    r->state_known = true;
}

static int on_record(void *arg, const struct journal_record *rec)
{
    struct replay *r = arg;

    int e = replay_given_up(r);

    if (e < 0)
        return e;
    if (r->enough_ms > 0 && nr_mono_ms() > r->enough_ms)
        return ENOUGH;
    if (r->generates)
        replay_generate(r, rec->t_ms);
    switch (rec->kind) {
    case JOURNAL_BEGIN: on_begin(r, rec->t_ms); break;
    case JOURNAL_PAST:
    case JOURNAL_SAMPLE: on_sample(r, rec); break;
    case JOURNAL_LAG: on_lag(r, rec); break;
    case JOURNAL_STATE: on_state(r, rec); break;
    case JOURNAL_TICK: replay_tick(r, rec); break;
    case JOURNAL_GAP: r->gap = r->gap || counts(r, rec->t_ms); break;
    }
    r->last_ms = rec->t_ms;
    return 0;
}

void replay_move_models(struct replay *r, int64_t t_ms)
{
    move_models(r, t_ms);
}

bool replay_counts(const struct replay *r, int64_t t_ms)
{
    return counts(r, t_ms);
}

static void init_models(struct replay *r)
{
    const struct outcome *o =
        r->recorded_count > 0 && r->recorded[0].t_ms < r->since_ms ? &r->recorded[0] : NULL;
    bool decided = o && o->decision;

    model_init(&r->was, decided ? o->to : -1, decided ? o->maximum : -1, !decided || o->on_demand);
    r->is = r->was;
    r->recorded_end = replay_stretch_end(r, 0);
}

static int pass(struct replay *r, sqlite3 *db)
{
    int e = replay_recorded(r, db);

    if (e == 0)
        e = journal_find_key(db, r->since_ms, &r->key_ms);
    if (e == NR_ENOENT)
        return 0; /* nothing was recorded */
    if (e < 0)
        return e;
    r->found = true;
    if (r->since_ms < r->key_ms)
        r->since_ms = r->key_ms; /* what is asked for began later */
    r->windows = windows_make(REPLAY_WINDOWS_BYTES);
    (void)windows_want(r->windows, r->p, r->key_ms - POLICY_WINDOW_MAX_MS);
    r->state = decide_state_make(r->p);
    init_models(r);
    return journal_each(db, r->key_ms - POLICY_WINDOW_MAX_MS - WARM_UP_MARGIN_MS, r->upto_ms,
                        on_record, r);
}

/* ---- the job ---------------------------------------------------------------------------------------------------- */

static int run(sqlite3 *db, struct nr_db_job *job)
{
    struct replay *r = nr_container_of(job, struct replay, job);
    int e = pass(r, db);

    e = e == ENOUGH ? 0 : e;
    if (e == 0)
        replay_reply(r);
    else if (r->c->err.code == 0)
        (void)nr_err_set(&r->c->err, e, "The record could not be read: %s.", nr_err_text(e));
    return e;
}

static void replay_free(struct replay *r)
{
    windows_free(r->windows);
    decide_state_free(r->state);
    policy_unref(r->p);
    for (unsigned i = 0; i < r->line_count; i++)
        free(r->line[i]);
    for (unsigned i = 0; i < r->function_count; i++)
        free(r->function[i]);
    json_decref(r->differences);
    json_decref(r->warnings);
    free(r->decision);
    free(r->recorded);
    free(r->name);
    free(r);
}

static void on_done(struct nr_db_job *job)
{
    struct replay *r = nr_container_of(job, struct replay, job);
    struct scaler *s = r->s;

    if (job->status < 0 && r->c->err.code == 0)
        (void)nr_err_set(&r->c->err, job->status, "%s", nr_err_text(job->status));
    call_done(s, r->c);
    replay_free(r);
    s->replaying = false;
    scaler_later_done(s);
}

static void note_function(struct replay *r, const char *name)
{
    size_t n = strlen(name) + 3;
    char *quoted = nr_alloc(n);

    (void)snprintf(quoted, n, "\"%s\"", name);
    r->function[r->function_count++] = quoted;
}

static void note_functions(struct replay *r)
{
    if (r->p->function)
        note_function(r, r->p->function);
    for (unsigned i = 0; i < r->p->condition_count; i++) {
        const struct metric_ref *m = &r->p->conditions[i].metric;

        if (r->p->conditions[i].kind != CONDITION_METRIC)
            continue;
        if (m->function)
            note_function(r, m->function);
        r->custom = r->custom || m->id == METRICS;
    }
}

/* There is a replay already. A check is answered without one. */
static int answer_without(struct scale_call *c, const struct replay_ask *ask)
{
    if (ask->kind != REPLAY_CHECK) {
        json_decref(ask->warnings);
        return nr_err_set(&c->err, NR_EQUOTA,
                          "Another replay is under way, and there is one at a time: ask again when "
                          "it has ended.");
    }
    doubt(ask->warnings, "rules",
          "They were not tried against what was recorded, since a replay is under way.");
    return call_reply(c, json_pack("{sssoso}", "policy", ask->p->name, "warnings", ask->warnings,
                                   "document", policy_write(ask->p)));
}

int replay_later(struct scaler *s, struct scale_call *c, const struct replay_ask *ask)
{
    const bool other = ask->recorded && !entry_same_target(ask->p, ask->recorded);
    const struct policy *recorded = other ? NULL : ask->recorded;

    if (other && ask->kind != REPLAY_CHECK)
        return doubts_other(c, ask->p, ask->recorded);
    if (s->replaying)
        return answer_without(c, ask);
    struct replay *r = nr_alloc(sizeof(*r));
    int64_t now_ms = tick_now(s);

    *r = (struct replay){.job = {.run = run, .done = on_done, .loop = &s->loop},
                         .s = s,
                         .c = c,
                         .kind = ask->kind,
                         .p = policy_ref(ask->p),
                         .name = recorded ? nr_strdup(recorded->name) : NULL,
                         .warnings = ask->warnings,
                         .edited = ask->p != recorded,
                         .heard = !s->c.decides,
                         .since_ms = c->since_ms,
                         .upto_ms = c->upto_ms < now_ms ? c->upto_ms : now_ms,
                         .differ_was = -2,
                         .differences = json_array(),
                         .decision = nr_alloc(sizeof(struct decision))};
    r->generates = r->heard || (r->edited && recorded == NULL);
    if (r->since_ms == 0 || r->kind == REPLAY_CHECK)
        r->since_ms = now_ms - DAY_MS;
    if (r->kind == REPLAY_CHECK)
        r->enough_ms = nr_mono_ms() + CHECK_MS;
    note_functions(r);
    journal_flush(s->journal, now_ms, true);
    store_settle(s->store);
    s->later++;
    s->replaying = true;
    store_later(s->store, &r->job);
    return 1;
}
