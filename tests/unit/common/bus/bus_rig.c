#include "tests/unit/common/bus/bus_rig.h"

#include "common/base/clock.h"

#define PATIENCE_MS 60000

void rig_init(struct rig *g)
{
    struct nr_err err = {0};

    assert_int_equal(nr_loop_init(&g->loop, &err), 0);
    g->log = (struct nr_log){.out = stderr,
                             .level = getenv("NARAE_TEST_LOG") ? NR_LOG_DEBUG : NR_LOG_ERROR};
    g->config.log = &g->log;
    g->config.client = "test";
}

void rig_fini(struct rig *g)
{
    assert_int_equal(nr_loop_fini(&g->loop), 0);
}

struct bus *rig_open(struct rig *g)
{
    struct nr_err err = {0};
    struct bus *b = NULL;

    if (bus_open(&g->config, &b, &err) != 0)
        fail_msg("%s", err.text);
    return b;
}

struct look {
    struct nr_deadline deadline;
    bool rang;
};

static void on_look(struct nr_deadline *d)
{
    nr_container_of(d, struct look, deadline)->rang = true;
}

void rig_wait(struct rig *g, bool (*done)(void *arg), void *arg, const char *what)
{
    uint64_t until_ms = nr_mono_ms() + PATIENCE_MS;
    struct look look = {.deadline.fire = on_look};

    while (!done(arg)) {
        if (nr_mono_ms() > until_ms)
            fail_msg("waited a minute for %s", what);
        nr_deadline_set(&g->loop, &look.deadline, 10);
        (void)uv_run(&g->loop.uv, UV_RUN_ONCE);
    }
    nr_deadline_cancel(&look.deadline);
}

struct count_of {
    const struct seen *seen;
    unsigned count;
};

static bool has_count(void *arg)
{
    const struct count_of *c = arg;

    return c->seen->count >= c->count;
}

void rig_wait_count(struct rig *g, struct seen *s, unsigned count)
{
    struct count_of c = {s, count};
    char what[64];

    (void)snprintf(what, sizeof(what), "message %u", count);
    rig_wait(g, has_count, &c, what);
    assert_int_equal(s->count, count);
}

static bool is_settled(void *arg)
{
    return bus_stats(arg).unconfirmed == 0;
}

void rig_wait_settled(struct rig *g, struct bus *b)
{
    rig_wait(g, is_settled, b, "the last confirmation");
    assert_int_equal(bus_stats(b).unconfirmed_bytes, 0);
}

static void remember(char out[64], struct nr_str s)
{
    (void)snprintf(out, 64, "%.*s", s.n < 63 ? (int)s.n : 63, s.p ? s.p : "");
}

static void on_message(struct bus_reader *r, const struct bus_message *m)
{
    struct seen *s = r->owner;
    int64_t key, number;

    s->count++;
    remember(s->last_key, m->key);
    remember(s->last_value, m->value);
    s->last_empty = m->value.p == NULL;
    s->last_topic = m->topic;
    s->last_at_ms = m->at_ms;
    if (m->key.n > 1 &&
        nr_str_to_i64((struct nr_str){m->key.p + 1, m->key.n - 1}, 0, SEEN_KEYS - 1, &key) &&
        nr_str_to_i64(m->value, 0, INT64_MAX, &number)) {
        s->out_of_order |= number <= s->last_of_key[key];
        s->last_of_key[key] = number;
    }
    if (s->hook)
        s->hook(s, m);
}

static void on_owned(struct bus_reader *r)
{
    ((struct seen *)r->owner)->owned_calls++;
}

static void on_gone(struct bus_reader *r)
{
    ((struct seen *)r->owner)->gone++;
}

static bool is_gone(void *arg)
{
    return ((struct seen *)arg)->gone > 0;
}

void rig_read(struct rig *g, struct bus *b, struct seen *s, unsigned topics, enum bus_from from)
{
    struct nr_err err = {0};

    s->reader.loop = &g->loop;
    s->reader.topics = topics;
    s->reader.from = g->no_times && from == BUS_LATEST ? BUS_ALL : from;
    s->reader.on_message = on_message;
    s->reader.on_owned = on_owned;
    s->reader.owner = s;
    s->gone = 0;
    if (bus_read(b, &s->reader, &err) != 0)
        fail_msg("%s", err.text);
}

void rig_unread(struct rig *g, struct bus *b, struct seen *s)
{
    unsigned before = s->count;

    bus_unread(b, &s->reader, on_gone);
    rig_wait(g, is_gone, s, "the end of a reader");
    assert_int_equal(s->count, before);
    assert_int_equal(s->gone, 1);
}

bool rig_publish(struct bus *b, enum bus_topic topic, unsigned key, int64_t number)
{
    char k[16], v[32];

    (void)snprintf(k, sizeof(k), "k%u", key);
    (void)snprintf(v, sizeof(v), "%lld", (long long)number);
    return bus_publish(b, topic, nr_str_of(k), nr_str_of(v));
}

uint64_t rig_sum(const uint64_t counts[BUS_TOPICS])
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < BUS_TOPICS; i++)
        sum += counts[i];
    return sum;
}
