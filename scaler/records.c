/* What was decided goes out: published with what the policy remembers, so that whoever takes over goes on from there; stored; told to channels (tell.c).
 * And it comes in, from here or elsewhere: what is enforced becomes a wish, what others decided is stored too.
 *
 * Obeyed is only what fits: a decision of the very version of a policy that is enforced here, a plan for a function that no policy
 * scales, and never more than the policy's own bounds. So nobody who can write to the topic can wish for what no administrator has set.
 *
 * Clocks may be wrong, here and elsewhere. Decisions of a policy are ordered by a sequence that rises whatever the clock does (and is a time where it
 * can be, so that who has forgotten it goes on behind it); what is of a time to come is of now when it is our own, and not heard when it is another's.
 * Who decides and hears that another one did says again, with its next evaluation, what holds.
 */
#include "common/base/clock.h"
#include "common/base/json.h"
#include "scaler/alive.h"
#include "scaler/internal.h"
#include "scaler/tell.h"

#define SEQUENCE_MAX (1ll << 53)

/* ---- out ---------------------------------------------------------------------------------------------------- */

/* text is an object: `more` (members, with a comma behind them) come before its own. */
static void add_with(struct nr_buf *b, const char *more, struct nr_str text)
{
    nr_buf_addc(b, '{');
    nr_buf_adds(b, more);
    nr_buf_add(b, text.p + 1, text.n - 1);
}

static void publish(struct scaler *s, const char *key, const char *more, struct nr_str text)
{
    struct nr_buf b;

    nr_buf_init(&b, BUS_MESSAGE_MAX_BYTES);
    add_with(&b, more, text);
    if (!b.failed)
        (void)bus_publish(s->c.bus, BUS_DECISIONS, nr_str_of(key), nr_buf_str(&b));
    nr_buf_fini(&b);
}

static void store_record(struct scaler *s, const char *name, const char *account, int64_t number,
                         int64_t t_ms, struct nr_str text)
{
    store_post(s->store,
               "INSERT INTO decisions(t, name, account, number, record, bytes) "
               "VALUES(?1, ?2, ?3, ?4, ?5, length(CAST(?5 AS BLOB)) + 100)",
               "ittit", t_ms, nr_str_of(name), nr_str_of(account), number, text);
}

/* A platform tells its own channels what it decides; others need not. */
static const char *told_of(const struct scaler *s)
{
    return s->c.platform ? "\"told\":true," : "";
}

/* With the state before it: {"state":{...},"changed":true, */
static void publish_with_state(struct scaler *s, const struct entry *e, bool changed)
{
    json_t *state = decide_state_write(e->state);
    nr_auto_free char *text = state ? nr_json_text(state, NULL) : NULL;
    struct nr_buf more;

    json_decref(state);
    nr_buf_init(&more, BUS_MESSAGE_MAX_BYTES);
    if (text)
        nr_buf_printf(&more, "\"state\":%s,", text);
    nr_buf_printf(&more, "\"changed\":%s,%s", changed ? "true" : "false", told_of(s));
    nr_buf_addc(&more, '\0');
    publish(s, e->key, more.failed ? "" : more.p, nr_str_of(e->record));
    nr_buf_fini(&more);
}

static void note_outcome(struct entry *e, int64_t t_ms, int64_t desired, int64_t min_warm,
                         int64_t maximum, bool on_demand)
{
    e->decided = true;
    e->decided_ms = t_ms;
    e->desired = desired;
    e->min_warm = min_warm;
    e->maximum = maximum;
    e->on_demand = on_demand;
}

void record_decision(struct scaler *s, struct entry *e, const struct decision *d)
{
    struct nr_buf b, text;
    char more[96];

    e->sequence = d->t_ms > e->sequence        ? d->t_ms
                  : e->sequence < SEQUENCE_MAX ? e->sequence + 1
                                               : SEQUENCE_MAX;
    nr_buf_init(&b, RECORD_MAX_BYTES);
    nr_buf_init(&text, RECORD_MAX_BYTES);
    decision_write(d, &b);
    (void)snprintf(more, sizeof(more), "\"by\":\"%s\",\"sequence\":%lld,", s->id,
                   (long long)e->sequence);
    if (!b.failed && b.n > 1)
        add_with(&text, more, nr_buf_str(&b));
    nr_buf_fini(&b);
    size_t n;
    char *record = nr_buf_detach(&text, &n);

    nr_buf_fini(&text);
    if (record == NULL)
        return;
    free(e->record);
    e->record = record;
    e->told_ms = d->t_ms;
    note_outcome(e, d->t_ms, d->to, d->min_warm, d->maximum, d->on_demand);
    (void)atomic_fetch_add(&s->n.changes, 1);
    publish_with_state(s, e, d->changed);
    store_record(s, e->name, e->policy->account, e->policy->number, d->t_ms, nr_str_of(e->record));
    tick_remember(s, e, false);
    tell_decided(s, e, d->alerts, d->changed, d->from, d->to);
}

void record_again(struct scaler *s, struct entry *e)
{
    char more[48];

    e->told_ms = tick_now(s);
    (void)snprintf(more, sizeof(more), "\"again\":true,%s", told_of(s));
    if (e->record && e->policy->mode == POLICY_ENFORCE)
        publish(s, e->key, more, nr_str_of(e->record));
}

void record_release(struct scaler *s, struct entry *e, const char *why)
{
    int64_t now_ms = tick_now(s);
    nr_auto_json json_t *j =
        json_pack("{sisssssIsssIsosssb}", "v", 1, "kind", "release", "by", s->id, "t",
                  (json_int_t)now_ms, "policy", e->name, "number", (json_int_t)e->policy->number,
                  "target", policy_target_json(e->policy), "why", why, "changed", 1);
    nr_auto_free char *text = j ? nr_json_text(j, NULL) : NULL;

    e->decided = false;
    e->desired = e->maximum = -1;
    free(e->record);
    e->record = NULL;
    if (text == NULL || !s->c.platform)
        return; /* who manages policies takes their wishes back */
    (void)bus_publish(s->c.bus, BUS_DECISIONS, nr_str_of(e->key), nr_str_of(text));
    store_record(s, e->name, e->policy->account, e->policy->number, now_ms, nr_str_of(text));
}

void record_plan(struct scaler *s, const struct planned *p, bool obey)
{
    nr_auto_json json_t *j =
        json_pack("{sisssssIsssssisIsssfsb}", "v", 1, "kind", "plan", "by", s->id, "t",
                  (json_int_t)tick_now(s), "account", p->account, "function", p->function,
                  "desired", p->desired, "keep_alive_ms", (json_int_t)p->keep_alive_ms, "class",
                  arrival_class_text(forecast_class(p->forecast)), "confidence",
                  forecast_confidence(p->forecast), "shadow", (int)!obey);
    nr_auto_free char *text = j ? nr_json_text(j, NULL) : NULL;

    if (text)
        (void)bus_publish(s->c.bus, BUS_DECISIONS, nr_str_of(p->key), nr_str_of(text));
    (void)atomic_fetch_add(&s->n.plans, 1);
}

/* ---- in ----------------------------------------------------------------------------------------------------- */

static int64_t number_of(const json_t *j, const char *name, int64_t otherwise)
{
    const json_t *v = json_object_get(j, name);

    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

static int bounded(int64_t n, int64_t least, int64_t most)
{
    return (int)(n < least ? least : n > most ? most : n);
}

/* What the maximum may be at any time, by the bounds and by schedules, which take their place. -1: none. */
static void maxima(const struct policy *p, int64_t *ret_least, int64_t *ret_most)
{
    *ret_least = *ret_most = p->max;
    for (unsigned i = 0; i < p->schedule_count; i++) {
        int64_t max = p->schedules[i].max;

        if (max >= 0 && (*ret_least < 0 || max < *ret_least))
            *ret_least = max;
        if (*ret_most >= 0 && max > *ret_most)
            *ret_most = max;
    }
}

static int64_t maximum_of(const struct policy *p, const json_t *j)
{
    int64_t n = number_of(j, "maximum", -1), least, most;

    maxima(p, &least, &most);
    if (n < 0)
        return most;
    return bounded(n, least, most < 0 ? POLICY_COUNT_MAX : most);
}

/* May it ever forbid that calls start containers? */
static bool may_forbid(const struct policy *p, int64_t least_max)
{
    bool may = !p->on_demand || least_max == 0;

    for (unsigned i = 0; i < p->rule_count; i++)
        may = may || p->rules[i].action == ACTION_FREEZE;
    return may;
}

/* Decisions come here in their order. t_ms: not later than now. */
static void hold_decision(struct scaler *s, const struct entry *e, const json_t *j, int64_t t_ms)
{
    int64_t to = number_of(j, "to", -1), warm = number_of(j, "min_warm", -1), least, most;
    bool stems = e->policy->target == TARGET_STEMS;

    maxima(e->policy, &least, &most);
    struct scaler_wish w = {
        .stem_kind = stems ? e->policy->stems : NULL,
        .desired = bounded(to > warm || stems ? to : warm, -1, most < 0 ? POLICY_COUNT_MAX : most),
        .maximum = stems ? -1 : (int)maximum_of(e->policy, j),
        .keep_alive_ms = stems                  ? -1
                         : e->policy->on_demand ? SURPLUS_KEEP_MS
                                                : 0,
        .ahead_only = !stems && may_forbid(e->policy, least) &&
                      json_is_false(json_object_get(j, "on_demand"))};

    if (e->policy->target != TARGET_NODES)
        wish_hold(s, nr_str_of(e->key), t_ms, true, 0, &w);
}

/* When it was told, and not later than now. False: it is another's, and of a time to come. */
static bool time_of(struct scaler *s, const json_t *j, bool ours, int64_t *ret_ms)
{
    int64_t t_ms = number_of(j, "t", 0), now_ms = tick_now(s);

    *ret_ms = t_ms > now_ms ? now_ms : t_ms;
    if (ours || t_ms <= now_ms + AHEAD_MS)
        return true;
    if (atomic_fetch_add(&s->n.refused, 1) == 0)
        nr_log(
            s->c.log, NR_LOG_WARN, "scaler",
            "what was decided elsewhere is of a time %lld s from now, and is not obeyed: is a clock wrong?",
            (long long)((t_ms - now_ms) / 1000));
    return false;
}

static int64_t sequence_of(const json_t *j)
{
    int64_t n = number_of(j, "sequence", 0);

    return n < 0 || n > SEQUENCE_MAX ? 0 : n;
}

/* Was it decided before (-1), or after (1), the newest that is known of e? */
static int compare(const struct entry *e, int64_t sequence, int64_t t_ms)
{
    return sequence != e->sequence ? (sequence > e->sequence ? 1 : -1)
           : t_ms != e->decided_ms ? (t_ms > e->decided_ms ? 1 : -1)
                                   : 0;
}

/* The record (made) without what is said of it on its way. */
static char *record_of(json_t *j)
{
    static const char *const way[] = {"state", "again", "changed", "told"};
    nr_auto_json json_t *record = json_copy(j);

    for (size_t i = 0; i < nr_countof(way); i++)
        (void)json_object_del(record, way[i]);
    return nr_json_text(record, NULL);
}

/* What another process has decided is known here too. */
static void take_over(struct scaler *s, struct entry *e, json_t *j, int64_t t_ms)
{
    json_t *state = json_object_get(j, "state");
    struct decide_state *d = state ? decide_state_read(e->policy, state) : NULL;

    if (d) {
        decide_state_free(e->state);
        e->state = d;
    }
    e->sequence = sequence_of(j);
    note_outcome(e, t_ms, number_of(j, "to", -1), number_of(j, "min_warm", -1),
                 number_of(j, "maximum", -1), !json_is_false(json_object_get(j, "on_demand")));
    if (!s->c.decides || !json_is_true(json_object_get(j, "again"))) {
        free(e->record);
        e->record = record_of(j);
    }
}

/* Who decides takes nothing over: it says again, behind what it heard, what holds. */
static bool is_ours_to_say(struct scaler *s, struct entry *e, int order, int64_t sequence)
{
    bool mine = e->mine && s->hearing && bus_owns(&s->hear, nr_str_of(e->key));

    if (!mine || order <= 0)
        return false;
    e->sequence = sequence;
    e->decided = false;
    return true;
}

static void hear_decision(struct scaler *s, json_t *j, bool ours)
{
    const char *name = nr_json_string(j, "policy");
    struct entry *e = name ? entry_find(s, nr_str_of(name)) : NULL;
    int64_t t_ms;

    if (e == NULL || e->policy->number != number_of(j, "number", -1) || !time_of(s, j, ours, &t_ms))
        return;
    int order = compare(e, sequence_of(j), t_ms);

    if (!ours && (order < 0 || is_ours_to_say(s, e, order, sequence_of(j))))
        return;
    if (!ours && order > 0) {
        take_over(s, e, j, t_ms);
        if (e->record && !json_is_true(json_object_get(j, "again")))
            store_record(s, e->name, e->policy->account, e->policy->number, t_ms,
                         nr_str_of(e->record));
        tick_remember(s, e, false); /* what is heard again after a crash is known */
        tell_heard(s, e, j);
    }
    if (e->policy->mode == POLICY_ENFORCE)
        hold_decision(s, e, j, t_ms);
}

static void hear_release(struct scaler *s, const json_t *j, struct nr_str key, bool ours)
{
    int64_t t_ms;
    const char *kind = nr_json_string(json_object_get(j, "target"), "stems");
    const struct scaler_wish none = {
        .stem_kind = kind, .desired = -1, .maximum = -1, .keep_alive_ms = -1};

    if (time_of(s, j, ours, &t_ms) && !entry_enforced(s, key))
        wish_hold(s, key, t_ms, false, 0, &none);
}

/* It is told every minute for as long as it holds: who told it may be gone, and nobody takes it back then. */
static void hear_plan(struct scaler *s, const json_t *j, struct nr_str key, bool ours)
{
    const struct scaler_wish w = {
        .desired = bounded(number_of(j, "desired", -1), -1, PLAN_DESIRED_MAX),
        .maximum = -1,
        .keep_alive_ms = bounded(number_of(j, "keep_alive_ms", -1), -1, PLAN_KEEP_MS)};
    int64_t t_ms;

    if (s->c.predict == SCALER_PREDICT_ON && time_of(s, j, ours, &t_ms) &&
        tick_now(s) - t_ms < 3 * AGAIN_MS && !json_is_true(json_object_get(j, "shadow")) &&
        !entry_enforced(s, key))
        wish_hold(s, key, t_ms, false, 3 * AGAIN_MS, &w);
}

void record_heard(struct scaler *s, const struct bus_message *m)
{
    struct nr_str text = m->value;
    nr_auto_json json_t *j =
        text.n > 0 && text.n <= BUS_MESSAGE_MAX_BYTES ? nr_json_parse(text, NULL) : NULL;
    const char *kind = nr_json_string(j, "kind"), *by = nr_json_string(j, "by");

    if (kind == NULL || by == NULL)
        return;
    (void)atomic_fetch_add(&s->n.heard, 1);
    alive_heard(s, number_of(j, "t", 0));
    bool ours = strcmp(by, s->id) == 0;

    if (strcmp(kind, "decision") == 0)
        hear_decision(s, j, ours);
    else if (strcmp(kind, "release") == 0)
        hear_release(s, j, m->key, ours);
    else if (strcmp(kind, "plan") == 0)
        hear_plan(s, j, m->key, ours);
}

void record_recall(struct scaler *s, struct entry *e, const struct bus_message *m)
{
    nr_auto_json json_t *j = nr_json_parse(m->value, NULL);

    if (j == NULL || number_of(j, "number", -1) != e->policy->number)
        return;
    int64_t t_ms;
    bool now = time_of(s, j, true, &t_ms) && number_of(j, "t", 0) <= t_ms;

    take_over(s, e, j, t_ms);
    e->decided = e->decided && now; /* what is of a time to come is told anew */
    if (e->policy->mode == POLICY_ENFORCE)
        hold_decision(s, e, j, t_ms);
}
