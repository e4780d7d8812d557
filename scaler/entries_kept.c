/* Policies across a restart: their documents, where they are managed here, and what each remembered, with the wish that held all the time. A scaler of its own
 * knows the policies only when it has learned them all: then it recalls.
 */
#include "common/base/json.h"
#include "scaler/internal.h"

static int load_policy(void *arg, sqlite3_stmt *st)
{
    struct scaler *s = arg;
    struct nr_str name = nr_db_column(st, 0), by = nr_db_column(st, 3);
    nr_auto_free char *text = nr_strndup(name.p, name.n), *who = nr_strndup(by.p, by.n);
    struct policy_problem problem;
    struct nr_err err = {0};
    struct policy *p = NULL;
    size_t n = 0;

    if (policy_read(nr_db_column(st, 4), text, &p, &problem, 1, &n, &err) < 0) {
        nr_log(s->c.log, NR_LOG_ERROR, "scaler", "policy %s is not understood any more: %s", text,
               err.text);
        return 0;
    }
    p->number = sqlite3_column_int64(st, 1);
    (void)entry_set(s, p, who, sqlite3_column_int64(st, 2));
    return 0;
}

struct recalled {
    struct nr_buf state, record;
    int64_t t_ms;
};

static int take_state(void *arg, sqlite3_stmt *st)
{
    struct recalled *r = arg;
    struct nr_str state = nr_db_column(st, 1), record = nr_db_column(st, 2);

    r->t_ms = sqlite3_column_int64(st, 0);
    nr_buf_add(&r->state, state.p, state.n);
    nr_buf_add(&r->record, record.p, record.n);
    return 0;
}

/* What this very version of e remembered before a restart, and its wish, which held all the time. */
static void recall(struct scaler *s, struct entry *e)
{
    struct recalled r = {0};

    nr_buf_init(&r.state, RECORD_MAX_BYTES);
    nr_buf_init(&r.record, RECORD_MAX_BYTES);
    (void)store_read(s->store, take_state, &r,
                     "SELECT t, state, record FROM states WHERE name = ?1 AND number = ?2 AND "
                     "ifnull(key, ?3) = ?3",
                     "tit", nr_str_of(e->name), e->policy->number, nr_str_of(e->key));
    nr_auto_json json_t *j = r.state.n > 0 ? nr_json_parse(nr_buf_str(&r.state), NULL) : NULL;
    struct decide_state *state = j ? decide_state_read(e->policy, j) : NULL;

    if (state) {
        decide_state_free(e->state);
        e->state = state;
    }
    if (r.record.n > 0) {
        const struct bus_message m = {
            .topic = BUS_DECISIONS, .value = nr_buf_str(&r.record), .at_ms = r.t_ms};

        record_recall(s, e, &m);
    }
    nr_buf_fini(&r.state);
    nr_buf_fini(&r.record);
}

/* A policy that was deleted while nobody listened here: who has its name next begins anew. */
static void forget_unknown(struct scaler *s)
{
    nr_auto_json json_t *names = json_array();

    for (size_t i = 0; i < s->count; i++)
        (void)json_array_append_new(names, json_string(s->entries[i]->name));
    nr_auto_free char *text = nr_json_text(names, NULL);

    if (text)
        store_post(s->store,
                   "DELETE FROM states WHERE name NOT IN (SELECT value FROM json_each(?1))", "t",
                   nr_str_of(text));
}

void entry_forget(struct scaler *s, struct nr_str name)
{
    store_post(s->store, "DELETE FROM states WHERE name = ?1", "t", name);
}

void entries_recall(struct scaler *s)
{
    s->recalled = true;
    if (!s->c.platform)
        forget_unknown(s);
    for (size_t i = 0; i < s->count; i++) {
        recall(s, s->entries[i]);
        entry_begin(s, s->entries[i]);
    }
}

void entries_load(struct scaler *s)
{
    if (!s->c.platform)
        return;
    (void)store_read(
        s->store, load_policy, s,
        "SELECT p.name, p.number, v.updated, v.by, v.document FROM policies p JOIN versions v "
        "ON v.name = p.name AND v.number = p.number ORDER BY p.name",
        "");
    entries_recall(s);
}
