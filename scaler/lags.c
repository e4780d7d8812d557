/* Lags of topics: once a second the bus is asked for those that some policy's condition looks at, and they go into the windows and the journal. */
#include "common/base/json.h"
#include "scaler/internal.h"

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

const char *tick_group_of(const struct policy *p, const struct metric_ref *m)
{
    const char *slash = p->function ? strrchr(p->function, '/') : NULL;

    return m->group ? m->group : slash ? slash + 1 : p->function ? p->function : p->name;
}

static void want_lag(struct scaler *s, const char *topic, const char *group)
{
    struct lag *room = NULL;

    for (size_t i = 0; i < LAGS_MAX; i++) {
        struct lag *l = &s->lags[i];

        if (l->topic && same(l->topic, topic) && same(l->group, group)) {
            l->wanted = true;
            return;
        }
        if (l->topic == NULL && room == NULL)
            room = l;
    }
    if (room)
        *room = (struct lag){.topic = nr_strdup(topic), .group = nr_strdup(group), .wanted = true};
}

static void take_lag(struct scaler *s, struct lag *l, int64_t now_ms)
{
    int64_t lag = bus_lag(s->c.bus, nr_str_of(l->topic), nr_str_of(l->group));

    if (lag < 0)
        return;
    nr_auto_json json_t *j = json_pack("[ssI]", l->topic, l->group, (json_int_t)lag);
    nr_auto_free char *text = j ? nr_json_text(j, NULL) : NULL;

    windows_add_lag(s->windows, l->topic, l->group, (double)lag, now_ms);
    if (text)
        journal_add(s->journal, JOURNAL_LAG, now_ms, nr_str_of(text));
}

void lags_take(struct scaler *s, int64_t now_ms)
{
    for (size_t i = 0; i < LAGS_MAX; i++)
        s->lags[i].wanted = false;
    for (size_t i = 0; i < s->count; i++) {
        const struct policy *p = s->entries[i]->policy;

        for (unsigned c = 0; p->mode != POLICY_OFF && c < p->condition_count; c++) {
            const struct metric_ref *m = &p->conditions[c].metric;

            if (p->conditions[c].kind == CONDITION_METRIC && m->id == METRIC_TRIGGER_LAG &&
                m->topic)
                want_lag(s, m->topic, tick_group_of(p, m));
        }
    }
    for (size_t i = 0; i < LAGS_MAX; i++) {
        struct lag *l = &s->lags[i];

        if (l->wanted) {
            take_lag(s, l, now_ms);
        } else {
            free(l->topic);
            free(l->group);
            *l = (struct lag){0};
        }
    }
}
