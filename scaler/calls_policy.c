/* Policies: set, shown, checked, taken away. Each change is on disk, and published, before the answer leaves.
 */
#include "common/base/clock.h"
#include "common/base/json.h"
#include "ports/function.h"
#include "scaler/doubts.h"
#include "scaler/internal.h"
#include "scaler/replay.h"

enum { VERSIONS_KEPT = 100 };

/* ---- warnings ----------------------------------------------------------------------------------------------- */

static void warn_channel(struct scaler *s, json_t *list, const char *path, const char *name)
{
    if (!channel_known(s->channels, name))
        doubt(list, path, "There is no channel '%s' yet: nobody is told until there is one.", name);
}

static void warn_of_rule(struct scaler *s, json_t *list, const struct rule *r, unsigned i)
{
    char path[64];

    for (unsigned n = 0; n < POLICY_NOTIFY_MAX && r->notify[n]; n++) {
        (void)snprintf(path, sizeof(path), "rules[%u].notify[%u]", i, n);
        warn_channel(s, list, path, r->notify[n]);
    }
}

/* Values that nobody has told yet. */
static void warn_of_metric(struct scaler *s, json_t *list, const struct policy *p,
                           const struct condition *c)
{
    const struct metric_ref *m = &c->metric;

    if (m->id == METRIC_TRIGGER_LAG && m->topic &&
        bus_lag(s->c.bus, nr_str_of(m->topic), nr_str_of(tick_group_of(p, m))) < 0)
        doubt(list, "rules", "The lag of the group '%s' in the topic '%s' is not known (yet).",
              tick_group_of(p, m), m->topic);
    if (m->id != METRICS)
        return;
    struct window_value v = windows_ask(s->windows, m, p->account, p->function, c->aggregate,
                                        POLICY_WINDOW_MAX_MS, tick_now(s));

    if (v.age_ms == INT64_MAX)
        doubt(
            list, "rules",
            "Nobody has told '%s' in the last hour: until somebody does, missing_metrics says what is done.",
            m->name);
}

static json_t *warnings_of(struct scaler *s, const struct policy *p)
{
    json_t *list = json_array();
    struct entry *rival = p->mode == POLICY_DRY_RUN ? entry_rival(s, p) : NULL;

    for (unsigned i = 0; i < p->rule_count; i++)
        warn_of_rule(s, list, &p->rules[i], i);
    for (unsigned i = 0; i < p->condition_count; i++)
        if (p->conditions[i].kind == CONDITION_METRIC)
            warn_of_metric(s, list, p, &p->conditions[i]);
    if (p->webhook)
        warn_channel(s, list, "webhook", p->webhook);
    if (p->target == TARGET_NODES && p->webhook == NULL)
        doubt(list, "webhook", "Nobody is told of what this policy wishes.");
    if (p->version)
        doubt(list, "target.version",
              "The policy holds for all versions of the function together, not for %s alone.",
              p->version);
    if (rival)
        doubt(list, "target", "The policy '%s' scales the same, and is enforced.", rival->name);
    doubts_add(s, p, list);
    return list;
}

/* ---- set ---------------------------------------------------------------------------------------------------- */

static int refuse_rival(struct scale_call *c, const struct policy *p, const struct entry *rival)
{
    (void)nr_err_set(
        &c->err, NR_ECONFLICT,
        "The policy '%s' scales the same and is enforced; two would undo each other's work. Set one of them to dry_run or off.",
        rival->name);
    (void)p;
    return NR_ECONFLICT;
}

static int store_version(struct scaler *s, const struct policy *p, const char *by, int64_t now_ms)
{
    static const char *const sql[] = {
        "INSERT OR REPLACE INTO versions(name, number, account, mode, updated, by, document) "
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        "INSERT OR REPLACE INTO policies(name, number) VALUES(?1, ?2)",
        "DELETE FROM versions WHERE name = ?1 AND number <= ?8", NULL};

    return store_write(s->store, sql, "tittitti", nr_str_of(p->name), p->number,
                       nr_str_of(p->account), nr_str_of(policy_mode_text(p->mode)), now_ms,
                       nr_str_of(by), nr_str_of(p->document), p->number - VERSIONS_KEPT);
}

static int take_max(void *arg, sqlite3_stmt *st)
{
    int64_t *n = arg;

    *n = sqlite3_column_int64(st, 0);
    return 0;
}

static int judge_put(struct scaler *s, struct scale_call *c, const struct policy *p)
{
    struct entry *rival = p->mode == POLICY_ENFORCE ? entry_rival(s, p) : NULL;

    if (!nr_str_eqz(c->name, p->name))
        return nr_err_set(&c->err, NR_EINVAL,
                          "The document is called '%s', and the path '%.*s': which one is meant?",
                          p->name, (int)c->name.n, c->name.p);
    if (doubts_stems(s, c, p) < 0)
        return NR_EINVAL;
    if (rival)
        return refuse_rival(c, p, rival);
    if (s->count >= POLICIES_MAX && entry_find(s, c->name) == NULL)
        return nr_err_set(&c->err, NR_EQUOTA, "There are %d policies, and there may be no more.",
                          POLICIES_MAX);
    return 0;
}

static int put_reply(struct scaler *s, struct scale_call *c, const struct entry *e, bool changed)
{
    const struct policy *p = e->policy;

    return call_reply(c, json_pack("{sssIsssbso}", "policy", p->name, "number",
                                   (json_int_t)p->number, "mode", policy_mode_text(p->mode),
                                   "changed", (int)changed, "warnings", warnings_of(s, p)));
}

/* p given. */
static int put(struct scaler *s, struct scale_call *c, struct policy *p)
{
    struct entry *e = entry_find(s, c->name);
    const char *by = c->account ? c->account->name : "";
    int64_t now_ms = tick_now(s), newest = 0;
    int r = judge_put(s, c, p);

    if (r == 0 && e && strcmp(e->policy->document, p->document) == 0) {
        policy_unref(p);
        return put_reply(s, c, e, false);
    }
    c->created = e == NULL;
    if (r == 0) /* numbers of a policy that was deleted are not used again */
        r = store_read(s->store, take_max, &newest,
                       "SELECT max(ifnull((SELECT max(number) FROM versions WHERE name = ?1), 0), "
                       "ifnull((SELECT max(number) FROM decisions WHERE name = ?1), 0))",
                       "t", c->name);
    p->number = newest + 1;
    if (r == 0)
        r = store_version(s, p, by, now_ms);
    if (r < 0) {
        policy_unref(p);
        return nr_err_set(&c->err, r, "The policy could not be stored: %s.", nr_err_text(r));
    }
    e = entry_put(s, p, by, now_ms);
    entry_publish(s, e);
    return put_reply(s, c, e, true);
}

int call_put(struct scaler *s, struct scale_call *c)
{
    nr_auto_free char *name = nr_strndup(c->name.p ? c->name.p : "", c->name.n);
    struct policy *p = call_read(c, c->body, name);

    return p ? put(s, c, p) : NR_EINVAL;
}

int call_delete(struct scaler *s, struct scale_call *c)
{
    static const char *const sql[] = {"DELETE FROM policies WHERE name = ?1",
                                      "DELETE FROM versions WHERE name = ?1",
                                      "DELETE FROM states WHERE name = ?1", NULL};
    struct entry *e = entry_find(s, c->name);
    json_t *reply = json_pack("{ss}", "policy", e->name);
    int r = store_write(s->store, sql, "t", c->name);

    if (r < 0) {
        json_decref(reply);
        return nr_err_set(&c->err, r, "The policy could not be deleted: %s.", nr_err_text(r));
    }
    (void)bus_publish(s->c.bus, BUS_POLICIES, nr_str_of(e->name), (struct nr_str){NULL, 0});
    entry_remove(s, e);
    return call_reply(c, reply);
}

/* ---- shown -------------------------------------------------------------------------------------------------- */

int call_list(struct scaler *s, struct scale_call *c)
{
    json_t *list = json_array();
    int64_t seen = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct entry *e = s->entries[i];

        if (!call_may_see(c, e->policy->account))
            continue;
        if (seen >= c->skip && seen < (int64_t)c->skip + c->limit)
            (void)json_array_append_new(list, call_row(e));
        seen++;
    }
    return call_reply(c, json_pack("{sosI}", "policies", list, "total", (json_int_t)seen));
}

struct version {
    struct nr_buf document;
    int64_t updated_ms;
    bool found;
};

static int take_version(void *arg, sqlite3_stmt *st)
{
    struct version *v = arg;
    struct nr_str text = nr_db_column(st, 0);

    nr_buf_add(&v->document, text.p, text.n);
    v->updated_ms = sqlite3_column_int64(st, 1);
    v->found = true;
    return 0;
}

static int show(struct scale_call *c, const struct entry *e, const struct policy *p,
                int64_t updated_ms)
{
    json_t *row = call_row(e);
    json_t *document = c->full ? policy_write(p) : nr_json_parse(nr_str_of(p->document), NULL);

    (void)json_object_set_new(row, "number", json_integer(p->number));
    (void)json_object_set_new(row, "mode", json_string(policy_mode_text(p->mode)));
    (void)json_object_set_new(row, "target", policy_target_json(p));
    (void)json_object_set_new(row, "rules", json_integer((json_int_t)p->rule_count));
    (void)json_object_set_new(row, "updated_ms", json_integer(updated_ms));
    (void)json_object_set_new(row, "document", document);
    return call_reply(c, row);
}

int call_show(struct scaler *s, struct scale_call *c)
{
    const struct entry *e = entry_find(s, c->name);
    struct version v = {0};
    int r = 0;

    if (c->number == 0 || c->number == e->policy->number)
        return show(c, e, e->policy, e->updated_ms);
    nr_buf_init(&v.document, POLICY_MAX_BYTES * 2);
    r = store_read(s->store, take_version, &v,
                   "SELECT document, updated FROM versions WHERE name = ?1 AND number = ?2", "ti",
                   c->name, c->number);
    struct policy *p = r == 0 && v.found ? call_read(c, nr_buf_str(&v.document), e->name) : NULL;

    nr_buf_fini(&v.document);
    if (r == 0 && !v.found)
        return nr_err_set(&c->err, NR_ENOENT, "The policy '%s' has no version %lld.", e->name,
                          (long long)c->number);
    if (p == NULL)
        return r < 0 ? r : NR_EINVAL;
    p->number = c->number;
    r = call_may_see(c, p->account) ? show(c, e, p, v.updated_ms) : call_refuse_unknown(c);
    policy_unref(p);
    return r;
}

static int add_version(void *arg, sqlite3_stmt *st)
{
    json_t *list = arg;
    struct nr_str mode = nr_db_column(st, 1), by = nr_db_column(st, 3);

    (void)json_array_append_new(
        list,
        json_pack("{sIss%sIss%}", "number", (json_int_t)sqlite3_column_int64(st, 0), "mode", mode.p,
                  mode.n, "updated_ms", (json_int_t)sqlite3_column_int64(st, 2), "by", by.p, by.n));
    return 0;
}

int call_versions(struct scaler *s, struct scale_call *c)
{
    const struct entry *e = entry_find(s, c->name);
    json_t *list = json_array();
    int r = store_read(s->store, add_version, list,
                       "SELECT number, mode, updated, by FROM versions WHERE name = ?1 AND "
                       "(?2 OR account = ?3) ORDER BY number DESC",
                       "tit", c->name, (int64_t)c->admin, nr_str_of(e->policy->account));

    if (r < 0) {
        json_decref(list);
        return r;
    }
    return call_reply(c, json_pack("{ssso}", "policy", e->name, "versions", list));
}

/* ---- judged only -------------------------------------------------------------------------------------------- */

int call_check(struct scaler *s, struct scale_call *c)
{
    struct policy *p = call_read(c, c->body, NULL);

    if (p == NULL || doubts_stems(s, c, p) < 0) {
        policy_unref(p);
        return NR_EINVAL;
    }
    json_t *warnings = warnings_of(s, p);
    struct entry *rival = p->mode == POLICY_ENFORCE ? entry_rival(s, p) : NULL;
    const struct entry *known = entry_find(s, nr_str_of(p->name));

    if (rival)
        doubt(warnings, "target",
              "The policy '%s' scales the same and is enforced: this one will be refused.",
              rival->name);
    const struct replay_ask ask = {.kind = REPLAY_CHECK,
                                   .p = p,
                                   .recorded = known ? known->policy : NULL,
                                   .warnings = warnings};
    int r = replay_later(s, c, &ask);

    policy_unref(p);
    return r;
}

static json_t *lines_of(struct nr_str text)
{
    json_t *list = json_array();
    struct nr_str line;

    while (nr_str_split(&text, '\n', &line))
        if (line.n > 0)
            (void)json_array_append_new(list, json_stringn(line.p, line.n));
    return list;
}

int call_import(struct scaler *s, struct scale_call *c)
{
    struct nr_buf notes;
    json_t *document = NULL;

    (void)s;
    nr_buf_init(&notes, POLICY_MAX_BYTES);
    int r = policy_import((enum import_from)c->from, c->body, &document, &notes, &c->err);

    if (r == 0)
        r = call_reply(
            c, json_pack("{soso}", "document", document, "notes", lines_of(nr_buf_str(&notes))));
    nr_buf_fini(&notes);
    return r;
}
