/* The policies, in order of their names. Where they are managed every change is published; a scaler of its own learns them from there, and
 * begins with all that hold. What is kept of them across restarts: entries_kept.c.
 */
#include "scaler/internal.h"

#include "common/base/clock.h"
#include "common/base/json.h"

static const char *const targets[] = {
    [TARGET_FUNCTION] = "function", [TARGET_STEMS] = "stems", [TARGET_NODES] = "nodes"};

const char *policy_target_words(enum policy_target t)
{
    return targets[t];
}

/* No account's name begins with a colon, so what is no function's has a key that no function can have. */
char *entry_key_of(const struct policy *p)
{
    struct nr_buf b;

    nr_buf_init(&b, 4096);
    if (p->target == TARGET_FUNCTION)
        nr_buf_printf(&b, "%s/%s", p->account, p->function);
    else
        nr_buf_printf(&b, ":%s/%s", targets[p->target],
                      p->target == TARGET_STEMS ? p->stems : p->name);
    char *key = nr_buf_detach(&b, NULL);

    return key ? key : nr_strdup("");
}

json_t *policy_target_json(const struct policy *p)
{
    if (p->target == TARGET_STEMS)
        return json_pack("{ss}", "stems", p->stems);
    if (p->target == TARGET_NODES)
        return json_pack("{sb}", "nodes", 1);
    return json_pack("{ssssss*}", "account", p->account, "function", p->function, "version",
                     p->version);
}

/* ---- finding ------------------------------------------------------------------------------------------------ */

static int compare(struct nr_str a, const char *b)
{
    size_t n = strlen(b), least = a.n < n ? a.n : n;
    int r = memcmp(a.p, b, least);

    return r != 0 ? r : a.n < n ? -1 : a.n > n;
}

/* Where it is, or would be. */
static size_t place_of(const struct scaler *s, struct nr_str name, bool *ret_there)
{
    size_t from = 0, upto = s->count;

    while (from < upto) {
        size_t middle = (from + upto) / 2;
        int r = compare(name, s->entries[middle]->name);

        if (r == 0) {
            *ret_there = true;
            return middle;
        }
        if (r < 0)
            upto = middle;
        else
            from = middle + 1;
    }
    *ret_there = false;
    return from;
}

struct entry *entry_find(struct scaler *s, struct nr_str name)
{
    bool there = false;
    size_t at = name.n > 0 ? place_of(s, name, &there) : 0;

    return there ? s->entries[at] : NULL;
}

/* There is one set of nodes, whoever wishes for how many. */
bool entry_same_target(const struct policy *a, const struct policy *b)
{
    if (a->target != b->target)
        return false;
    if (a->target == TARGET_NODES)
        return true;
    return a->target == TARGET_STEMS
               ? strcmp(a->stems, b->stems) == 0
               : strcmp(a->account, b->account) == 0 && strcmp(a->function, b->function) == 0;
}

struct entry *entry_rival(struct scaler *s, const struct policy *p)
{
    for (size_t i = 0; i < s->count; i++) {
        struct entry *e = s->entries[i];

        if (e->policy->mode == POLICY_ENFORCE && strcmp(e->name, p->name) != 0 &&
            entry_same_target(e->policy, p))
            return e;
    }
    return NULL;
}

bool entry_enforced(struct scaler *s, struct nr_str key)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->entries[i]->policy->mode == POLICY_ENFORCE && nr_str_eqz(key, s->entries[i]->key))
            return true;
    return false;
}

/* ---- coming and going --------------------------------------------------------------------------------------- */

static struct entry *make(struct scaler *s, const char *name)
{
    struct entry *e = nr_alloc(sizeof(*e));
    bool there;
    size_t at = place_of(s, nr_str_of(name), &there);

    if (s->count == s->room_for) {
        size_t more = s->room_for ? s->room_for * 2 : 64;
        struct entry **wider = nr_alloc(more * sizeof(struct entry *));

        if (s->count > 0)
            memcpy(wider, s->entries, s->count * sizeof(struct entry *));
        free(s->entries);
        s->entries = wider;
        s->room_for = more;
    }
    memmove(s->entries + at + 1, s->entries + at, (s->count - at) * sizeof(struct entry *));
    s->entries[at] = e;
    s->count++;
    atomic_store(&s->n.policies, s->count);
    *e = (struct entry){.name = nr_strdup(name), .desired = -1, .maximum = -1, .on_demand = true};
    return e;
}

static void entry_free(struct entry *e)
{
    decide_state_free(e->state);
    policy_unref(e->policy);
    free(e->name);
    free(e->by);
    free(e->key);
    free(e->record);
    free(e);
}

/* What the version before remembered holds on where it fits: a change of a threshold forgets no cooldown. */
static struct decide_state *carry(struct decide_state *old, const struct policy *p)
{
    json_t *j = old ? decide_state_write(old) : NULL;
    struct decide_state *s = j ? decide_state_read(p, j) : NULL;

    json_decref(j);
    decide_state_free(old);
    return s ? s : decide_state_make(p);
}

/* What was decided and remembered was for something else. */
static void begin_anew(struct entry *e)
{
    decide_state_free(e->state);
    e->state = NULL;
    free(e->record);
    e->record = NULL;
    e->desired = e->maximum = -1;
}

struct entry *entry_set(struct scaler *s, struct policy *p, const char *by, int64_t updated_ms)
{
    struct entry *e = entry_find(s, nr_str_of(p->name));
    nr_auto_free char *key = entry_key_of(p);

    if (e == NULL)
        e = make(s, p->name);
    else if (e->policy->mode == POLICY_ENFORCE &&
             (p->mode != POLICY_ENFORCE || strcmp(e->key, key) != 0))
        record_release(s, e,
                       p->mode == POLICY_ENFORCE ? "it scales something else now"
                                                 : policy_mode_text(p->mode));
    if (e->key && strcmp(e->key, key) != 0)
        begin_anew(e);
    e->state = carry(e->state, p);
    policy_unref(e->policy);
    e->policy = p;
    free(e->by);
    e->by = nr_strdup(by);
    free(e->key);
    e->key = nr_steal(&key);
    e->updated_ms = updated_ms;
    e->due_ms = e->evaluated_ms = 0;
    e->decided = false; /* the first evaluation of a version is told, whatever it changes */
    e->fresh = windows_want(s->windows, p, tick_now(s)) || e->fresh;
    return e;
}

void entry_begin(struct scaler *s, struct entry *e)
{
    tick_remember(s, e, true);
    e->fresh = false;
}

struct entry *entry_put(struct scaler *s, struct policy *p, const char *by, int64_t updated_ms)
{
    struct entry *e = entry_set(s, p, by, updated_ms);

    entry_begin(s, e);
    return e;
}

void entry_remove(struct scaler *s, struct entry *e)
{
    bool there;
    size_t at = place_of(s, nr_str_of(e->name), &there);

    if (e->policy->mode == POLICY_ENFORCE)
        record_release(s, e, "the policy was deleted");
    memmove(s->entries + at, s->entries + at + 1, (s->count - at - 1) * sizeof(struct entry *));
    s->count--;
    atomic_store(&s->n.policies, s->count);
    entry_free(e);
}

void entries_free(struct scaler *s)
{
    for (size_t i = 0; i < s->count; i++)
        entry_free(s->entries[i]);
    free(s->entries);
    s->entries = NULL;
    s->count = 0;
}

/* ---- to and from others ------------------------------------------------------------------------------------- */

void entry_publish(struct scaler *s, const struct entry *e)
{
    struct nr_buf b;

    if (!s->c.platform)
        return;
    nr_buf_init(&b, POLICY_MAX_BYTES + 4096);
    nr_buf_printf(&b, "{\"v\":1,\"number\":%lld,\"updated_ms\":%lld,\"by\":",
                  (long long)e->policy->number, (long long)e->updated_ms);
    nr_buf_json(&b, nr_str_of(e->by));
    nr_buf_adds(&b, ",\"document\":");
    nr_buf_adds(&b, e->policy->document);
    nr_buf_addc(&b, '}');
    if (!b.failed)
        (void)bus_publish(s->c.bus, BUS_POLICIES, nr_str_of(e->name), nr_buf_str(&b));
    nr_buf_fini(&b);
}

void entries_publish(struct scaler *s)
{
    for (size_t i = 0; i < s->count; i++)
        entry_publish(s, s->entries[i]);
}

void entry_learn(struct scaler *s, const struct bus_message *m)
{
    struct entry *e = entry_find(s, m->key);
    struct policy_problem problem;
    struct nr_err err = {0};
    struct policy *p = NULL;
    struct nr_str document;
    size_t n = 0;

    if (s->stopping)
        return;
    if (m->value.p == NULL) {
        if (e)
            entry_remove(s, e);
        if (s->recalled)
            entry_forget(s, m->key);
        return;
    }
    nr_auto_json json_t *j =
        m->value.n <= POLICY_MAX_BYTES + 4096 ? nr_json_parse(m->value, &err) : NULL;
    nr_auto_free char *name = nr_strndup(m->key.p ? m->key.p : "", m->key.n);
    int64_t number = json_integer_value(json_object_get(j, "number"));

    if (j == NULL || nr_json_scan_key(m->value, "document", &document) != NR_JSON_OBJECT ||
        (e == NULL && s->count >= POLICIES_MAX) || (e && e->policy->number == number) ||
        policy_read(document, name, &p, &problem, 1, &n, &err) < 0)
        return;
    const char *by = nr_json_string(j, "by");

    p->number = number;
    e = entry_set(s, p, by ? by : "", json_integer_value(json_object_get(j, "updated_ms")));
    if (s->recalled) /* else when all are known: there may be newer versions of it */
        entry_begin(s, e);
}
