/* The contract of bus.h, as cases that every implementation passes. */
#include <pthread.h>

#include "common/base/clock.h"
#include "tests/unit/common/bus/bus_rig.h"

#define ALL_TOPICS ((1u << BUS_TOPICS) - 1)

void case_everybody_gets_everything(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct seen one = {0}, two = {0}, decisions = {0};
    int64_t before_ms = nr_wall_ms();

    rig_read(g, b, &one, ALL_TOPICS, BUS_LATEST);
    rig_read(g, b, &two, ALL_TOPICS, BUS_LATEST);
    rig_read(g, b, &decisions, 1u << BUS_DECISIONS, BUS_LATEST);
    for (unsigned i = 0; i < 40; i++)
        assert_true(rig_publish(b, (enum bus_topic)(i % BUS_TOPICS), i % 8, i + 1));
    rig_wait_count(g, &one, 40);
    rig_wait_count(g, &two, 40);
    rig_wait_count(g, &decisions, 10);
    assert_int_equal(decisions.last_topic, BUS_DECISIONS);
    assert_true(decisions.last_at_ms >= before_ms && decisions.last_at_ms <= nr_wall_ms());
    rig_wait_settled(g, b);
    struct bus_stats s = bus_stats(b);

    for (unsigned i = 0; i < BUS_TOPICS; i++) {
        assert_int_equal(s.published[i], 10);
        assert_int_equal(s.delivered[i], 10);
        assert_int_equal(s.dropped[i], 0);
        assert_int_equal(s.received[i], i == BUS_DECISIONS ? 30 : 20);
    }
    assert_true(s.connected);
    rig_unread(g, b, &one);
    rig_unread(g, b, &two);
    rig_unread(g, b, &decisions);
    bus_close(b, 2000);
}

void case_order_of_a_key(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct seen s = {0};

    rig_read(g, b, &s, 1u << BUS_METRICS, BUS_LATEST);
    for (unsigned i = 0; i < 5000; i++)
        assert_true(rig_publish(b, BUS_METRICS, i % SEEN_KEYS, i + 1));
    rig_wait_count(g, &s, 5000);
    assert_false(s.out_of_order);
    rig_unread(g, b, &s);
    bus_close(b, 2000);
}

struct publisher {
    struct bus *bus;
    unsigned key;
    pthread_t thread;
};

static void *publish_many(void *arg)
{
    struct publisher *p = arg;

    for (unsigned i = 0; i < 2000; i++)
        (void)rig_publish(p->bus, BUS_EVENTS, p->key, i + 1);
    return NULL;
}

void case_from_several_threads(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct seen s = {0};
    struct publisher p[4];

    rig_read(g, b, &s, 1u << BUS_EVENTS, BUS_LATEST);
    for (unsigned i = 0; i < nr_countof(p); i++) {
        p[i] = (struct publisher){.bus = b, .key = i};
        assert_int_equal(pthread_create(&p[i].thread, NULL, publish_many, &p[i]), 0);
    }
    rig_wait_count(g, &s, 8000);
    for (unsigned i = 0; i < nr_countof(p); i++)
        assert_int_equal(pthread_join(p[i].thread, NULL), 0);
    assert_false(s.out_of_order);
    rig_wait_settled(g, b);
    assert_int_equal(bus_stats(b).delivered[BUS_EVENTS], 8000);
    rig_unread(g, b, &s);
    bus_close(b, 2000);
}

void case_latest_is_from_now(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct seen early = {0}, late = {0};

    rig_read(g, b, &early, 1u << BUS_EVENTS, BUS_LATEST);
    assert_true(rig_publish(b, BUS_EVENTS, 1, 1));
    rig_wait_count(g, &early, 1);
    rig_wait_settled(g, b);
    rig_read(g, b, &late, 1u << BUS_EVENTS, BUS_LATEST);
    assert_true(rig_publish(b, BUS_EVENTS, 1, 2));
    rig_wait_count(g, &early, 2);
    rig_wait_count(g, &late, 1);
    assert_string_equal(late.last_value, "2");
    rig_unread(g, b, &late);
    rig_unread(g, b, &early);
    bus_close(b, 2000);
}

static void note_key(struct seen *s, const struct bus_message *m)
{
    (void)m;
    /* k1 was deleted: after its last word it holds nothing. */
    if (strcmp(s->last_key, "k1") == 0)
        s->owned_calls = s->last_empty ? 0 : 100;
}

void case_kept_policies(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct seen first = {0}, later = {.hook = note_key};

    rig_read(g, b, &first, 1u << BUS_POLICIES, BUS_LATEST);
    assert_true(rig_publish(b, BUS_POLICIES, 1, 1));
    assert_true(rig_publish(b, BUS_POLICIES, 2, 1));
    assert_true(rig_publish(b, BUS_POLICIES, 2, 2));
    assert_true(bus_publish(b, BUS_POLICIES, NR_STR("k1"), (struct nr_str){NULL, 0}));
    assert_true(rig_publish(b, BUS_POLICIES, 3, 7));
    rig_wait_count(g, &first, 5);
    rig_wait_settled(g, b);
    rig_read(g, b, &later, 1u << BUS_POLICIES, BUS_ALL);
    /* A broker may not have compacted yet; the last word of each key is what counts. */
    rig_wait_count(g, &later, g->real_topics ? 5 : 2);
    assert_int_equal(later.last_of_key[2], 2);
    assert_int_equal(later.last_of_key[3], 7);
    assert_int_not_equal(later.owned_calls, 100);
    rig_unread(g, b, &later);
    rig_unread(g, b, &first);
    bus_close(b, 2000);
}

void case_too_large(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct seen s = {0};
    char *text = nr_alloc(BUS_MESSAGE_MAX_BYTES + 1);

    memset(text, 'x', BUS_MESSAGE_MAX_BYTES + 1);
    rig_read(g, b, &s, 1u << BUS_METRICS, BUS_LATEST);
    assert_false(
        bus_publish(b, BUS_METRICS, NR_STR("k"), (struct nr_str){text, BUS_MESSAGE_MAX_BYTES}));
    assert_true(
        bus_publish(b, BUS_METRICS, NR_STR("k"), (struct nr_str){text, BUS_MESSAGE_MAX_BYTES - 1}));
    rig_wait_count(g, &s, 1);
    rig_wait_settled(g, b);
    assert_int_equal(bus_stats(b).published[BUS_METRICS], 2);
    assert_int_equal(bus_stats(b).dropped[BUS_METRICS], 1);
    assert_int_equal(bus_stats(b).delivered[BUS_METRICS], 1);
    rig_unread(g, b, &s);
    free(text);
    bus_close(b, 2000);
}

static struct bus *leaving;
static void left(struct bus_reader *r)
{
    ((struct seen *)r->owner)->gone++;
}
static void leave(struct seen *s, const struct bus_message *m)
{
    (void)m;
    bus_unread(leaving, &s->reader, left);
}
static bool has_left(void *arg)
{
    return ((struct seen *)arg)->gone == 1;
}

void case_leave_inside_callback(void **state)
{
    struct rig *g = *state;
    struct bus *b = leaving = rig_open(g);
    struct seen s = {.hook = leave}, stays = {0};

    rig_read(g, b, &s, 1u << BUS_EVENTS, BUS_LATEST);
    rig_read(g, b, &stays, 1u << BUS_EVENTS, BUS_LATEST);
    for (unsigned i = 0; i < 10; i++)
        assert_true(rig_publish(b, BUS_EVENTS, 1, i + 1));
    rig_wait_count(g, &stays, 10);
    rig_wait(g, has_left, &s, "the end of a reader");
    assert_int_equal(s.count, 1);
    rig_wait_settled(g, b);
    s.hook = NULL; /* and comes back */
    rig_read(g, b, &s, 1u << BUS_EVENTS, BUS_LATEST);
    assert_true(rig_publish(b, BUS_EVENTS, 1, 11));
    rig_wait_count(g, &s, 2);
    rig_unread(g, b, &s);
    rig_unread(g, b, &stays);
    bus_close(b, 2000);
}

/* ---- groups ---- */

struct pair {
    struct seen *one, *two; /* two: may be NULL */
};

/* Of each of the keys exactly one is the owner. */
static bool all_owned_once(void *arg)
{
    const struct pair *p = arg;
    char key[16];

    for (unsigned i = 0; i < SEEN_KEYS; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        bool one = bus_owns(&p->one->reader, nr_str_of(key));
        bool two = p->two && bus_owns(&p->two->reader, nr_str_of(key));

        if (one == two)
            return false;
    }
    return true;
}

void case_group_has_one_owner(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g), *c = g->config.brokers ? rig_open(g) : b;
    struct seen one = {0}, two = {0}, alone = {0};
    struct pair p = {&one, NULL};

    one.reader.group = two.reader.group = "scaler";
    rig_read(g, b, &one, 1u << BUS_METRICS, BUS_LATEST);
    rig_wait(g, all_owned_once, &p, "the first owner");
    rig_read(g, c, &two, 1u << BUS_METRICS, BUS_LATEST);
    rig_read(g, b, &alone, 1u << BUS_METRICS, BUS_LATEST);
    p.two = &two;
    rig_wait(g, all_owned_once, &p, "one owner of each key");
    assert_true(bus_owns(&alone.reader, NR_STR("k1"))); /* no group: all */
    for (unsigned i = 0; i < 100; i++) /* who shares the work hears all the same everything */
        assert_true(rig_publish(b, BUS_METRICS, i % SEEN_KEYS, i + 1));
    rig_wait_count(g, &one, 100);
    rig_wait_count(g, &two, 100);
    assert_true(one.owned_calls > 0);
    rig_unread(g, b, &one);
    p = (struct pair){&two, NULL};
    rig_wait(g, all_owned_once, &p, "the heir");
    assert_true(two.owned_calls > 0);
    rig_unread(g, c, &two);
    rig_unread(g, b, &alone);
    if (c != b)
        bus_close(c, 2000);
    bus_close(b, 2000);
}

void case_nul_and_empty(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct seen s = {0};

    rig_read(g, b, &s, 1u << BUS_EVENTS, BUS_LATEST);
    assert_true(bus_publish(b, BUS_EVENTS, (struct nr_str){NULL, 0}, NR_STR("no key")));
    rig_wait_count(g, &s, 1);
    assert_string_equal(s.last_key, "");
    assert_string_equal(s.last_value, "no key");
    assert_true(bus_publish(b, BUS_EVENTS, NR_STR("k1"), NR_STR("")));
    rig_wait_count(g, &s, 2);
    assert_false(s.last_empty); /* a value of no bytes is a value */
    assert_true(bus_publish(b, BUS_EVENTS, NR_STR("k1"), (struct nr_str){NULL, 0}));
    rig_wait_count(g, &s, 3);
    assert_true(s.last_empty);
    rig_unread(g, b, &s);
    bus_close(b, 2000);
}
