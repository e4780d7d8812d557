/* Alerts and node wishes go to channels. Channels are known where policies are managed, so only the platform's scaler tells, of what it decides itself at
 * once, of what others decide when it hears it: a record that says "told" was told by who decided.
 *
 * Nothing is told twice: of what is heard only what is newer than all that is known of the policy, and that is stored first, so that neither a second
 * scaler nor the history that is heard after a restart repeats it. What comes too late to be of use is not told.
 */
#include "common/base/json.h"
#include "scaler/tell.h"

enum { LATE_MS = 600000 };

static void tell_one(struct scaler *s, const struct entry *e, const char *channel,
                     const struct nr_buf *b)
{
    if (!b->failed && !channel_tell(s->channels, channel, nr_buf_str(b)))
        nr_log(s->c.log, NR_LOG_WARN, "scaler",
               "policy %s: channel %s is not told: there is none of this name, or too many wait",
               e->name, channel);
}

/* {"kind":KIND,"policy":NAME, */
static void begin(struct nr_buf *b, const char *kind, const struct entry *e)
{
    nr_buf_init(b, RECORD_MAX_BYTES * 2);
    nr_buf_printf(b, "{\"kind\":\"%s\",\"policy\":", kind);
    nr_buf_json(b, nr_str_of(e->name));
}

static void tell_rule(struct scaler *s, const struct entry *e, const struct rule *r)
{
    struct nr_buf b;

    begin(&b, "alert", e);
    nr_buf_adds(&b, ",\"rule\":");
    nr_buf_json(&b, nr_str_of(r->id));
    nr_buf_printf(&b, ",\"node\":\"%s\",\"decision\":%s}", s->c.node ? s->c.node : "", e->record);
    for (unsigned i = 0; i < POLICY_NOTIFY_MAX && r->notify[i]; i++)
        tell_one(s, e, r->notify[i], &b);
    if (r->notify[0] == NULL && e->policy->webhook)
        tell_one(s, e, e->policy->webhook, &b);
    nr_buf_fini(&b);
}

void tell_decided(struct scaler *s, const struct entry *e, uint64_t alerts, bool changed,
                  int64_t from, int64_t to)
{
    const struct policy *p = e->policy;
    struct nr_buf b;

    if (p->mode != POLICY_ENFORCE || !s->c.platform || e->record == NULL)
        return;
    for (unsigned i = 0; i < p->rule_count; i++)
        if (alerts & UINT64_C(1) << i)
            tell_rule(s, e, &p->rules[i]);
    if (p->target != TARGET_NODES || p->webhook == NULL || !changed)
        return;
    begin(&b, "node_wish", e);
    nr_buf_printf(&b, ",\"from\":%lld,\"to\":%lld,\"decision\":%s}", (long long)from, (long long)to,
                  e->record);
    tell_one(s, e, p->webhook, &b);
    nr_buf_fini(&b);
}

/* The rules that the record says fired. */
static uint64_t alerts_of(const struct policy *p, const json_t *record)
{
    const json_t *fired = json_object_get(record, "fired");
    uint64_t alerts = 0;

    for (size_t n = 0; n < json_array_size(fired); n++)
        for (unsigned i = 0; i < p->rule_count; i++) {
            const char *id = json_string_value(json_array_get(fired, n));

            if (id && strcmp(id, p->rules[i].id) == 0)
                alerts |= UINT64_C(1) << i;
        }
    return alerts;
}

void tell_heard(struct scaler *s, const struct entry *e, const json_t *record)
{
    if (json_is_true(json_object_get(record, "told")) ||
        tick_now(s) - json_integer_value(json_object_get(record, "t")) > LATE_MS)
        return;
    tell_decided(s, e, alerts_of(e->policy, record),
                 json_is_true(json_object_get(record, "changed")),
                 json_integer_value(json_object_get(record, "from")),
                 json_integer_value(json_object_get(record, "to")));
}
