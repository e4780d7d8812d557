/* The contract over Kafka: the brokers that librdkafka brings for tests, with the faults that only those can have on demand; and the same
 * cases over a real broker where NARAE_KAFKA=HOST:PORT names one.
 */
#include <unistd.h>

#include "common/base/clock.h"
#include "common/bus/kafka.h"
#include "tests/unit/common/bus/bus_rig.h"
#include "tests/unit/common/bus/mock_kafka.h"

struct kafka_rig {
    struct rig rig; /* first: the cases know only this */
    struct mock mock;
    char prefix[64];
};

/* A prefix of its own for each test, so that none sees the messages of another. */
static struct kafka_rig *make(void)
{
    struct kafka_rig *g = nr_alloc(sizeof(*g));
    unsigned char random[6];
    char hex[13];

    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), hex);
    (void)snprintf(g->prefix, sizeof(g->prefix), "t%s", hex);
    rig_init(&g->rig);
    g->rig.config.prefix = g->prefix;
    return g;
}

static int setup(void **state)
{
    struct kafka_rig *g = make();

    mock_open(&g->mock, g->prefix);
    g->rig.config.brokers = mock_address(&g->mock);
    g->rig.no_times = true;
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    struct kafka_rig *g = *state;

    rig_fini(&g->rig);
    if (g->mock.rk)
        mock_close(&g->mock);
    free(g);
    return 0;
}

static int setup_real(void **state)
{
    struct kafka_rig *g = make();

    g->rig.config.brokers = getenv("NARAE_KAFKA");
    g->rig.real_topics = true;
    *state = g;
    return 0;
}

static bool is_connected(void *arg)
{
    return bus_stats(arg).connected;
}

static bool is_away(void *arg)
{
    return !bus_stats(arg).connected;
}

/* ---- faults ---- */

/* What is published before the broker is there arrives when it comes, in order, and so it reaches a reader who began as early. */
static void test_absent_at_start(void **state)
{
    struct kafka_rig *g = *state;
    struct seen s = {0};

    (void)g->mock.mock_broker_set_down(g->mock.cluster, 1);
    struct bus *b = rig_open(&g->rig);

    rig_read(&g->rig, b, &s, 1u << BUS_METRICS, BUS_ALL);
    for (unsigned i = 0; i < 500; i++)
        assert_true(rig_publish(b, BUS_METRICS, i % 8, i + 1));
    struct bus_stats stats = bus_stats(b);

    assert_int_equal(stats.unconfirmed, 500);
    assert_true(stats.unconfirmed_bytes > 500);
    assert_int_equal(rig_sum(stats.dropped), 0);
    assert_false(stats.connected);
    (void)g->mock.mock_broker_set_up(g->mock.cluster, 1);
    rig_wait_count(&g->rig, &s, 500);
    assert_false(s.out_of_order);
    rig_wait_settled(&g->rig, b);
    rig_wait(&g->rig, is_connected, b, "connected");
    assert_int_equal(bus_stats(b).delivered[BUS_METRICS], 500);
    rig_unread(&g->rig, b, &s);
    bus_close(b, 2000);
}

/* Gone while it runs: the queue takes 20,000, the rest is refused and counted to the message, and all that was taken arrives. */
static void test_full_queue_is_counted(void **state)
{
    struct kafka_rig *g = *state;
    struct bus *b = rig_open(&g->rig);

    rig_wait(&g->rig, is_connected, b, "connected");
    assert_true(rig_publish(b, BUS_METRICS, 1, 1));
    rig_wait_settled(&g->rig, b);
    (void)g->mock.mock_broker_set_down(g->mock.cluster, 1);
    rig_wait(&g->rig, is_away, b, "the broker is away");
    uint64_t began_ms = nr_mono_ms();

    for (unsigned i = 0; i < BUS_QUEUE_MESSAGES + 777; i++)
        assert_int_equal(rig_publish(b, BUS_METRICS, i % 8, i + 2), i < BUS_QUEUE_MESSAGES);
    for (unsigned i = 0; i < 10; i++) /* what changes how the platform acts has a reserve */
        assert_true(rig_publish(b, BUS_DECISIONS, 1, i + 1));
    assert_true(nr_mono_ms() - began_ms < 20000); /* a publisher never waits */
    struct bus_stats s = bus_stats(b);

    assert_int_equal(s.unconfirmed, BUS_QUEUE_MESSAGES + 10);
    assert_int_equal(s.dropped[BUS_METRICS], 777);
    (void)g->mock.mock_broker_set_up(g->mock.cluster, 1);
    rig_wait_settled(&g->rig, b);
    s = bus_stats(b);
    assert_int_equal(s.published[BUS_METRICS], BUS_QUEUE_MESSAGES + 777 + 1);
    assert_int_equal(s.delivered[BUS_METRICS], BUS_QUEUE_MESSAGES + 1);
    assert_int_equal(s.dropped[BUS_METRICS], 777);
    assert_int_equal(s.delivered[BUS_DECISIONS], 10);
    bus_close(b, 2000);
}

static void test_bytes_are_bounded(void **state)
{
    struct kafka_rig *g = *state;
    char *text = nr_alloc(BUS_MESSAGE_MAX_BYTES);
    unsigned taken = 0;

    (void)g->mock.mock_broker_set_down(g->mock.cluster, 1);
    struct bus *b = rig_open(&g->rig);

    for (unsigned i = 0; i < 40; i++)
        taken +=
            bus_publish(b, BUS_EVENTS, NR_STR(""), (struct nr_str){text, BUS_MESSAGE_MAX_BYTES});
    assert_int_equal(taken, BUS_QUEUE_BYTES / BUS_MESSAGE_MAX_BYTES);
    assert_int_equal(bus_stats(b).dropped[BUS_EVENTS], 40 - taken);
    free(text);
    bus_close(b, 0);
}

/* Errors that pass are tried again; nothing is lost, nothing comes twice or in another order. */
static void test_errors_that_pass(void **state)
{
    static const rd_kafka_resp_err_t passing[] = {
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR__TRANSPORT, /* the connection is cut */
    };
    struct kafka_rig *g = *state;
    struct bus *b = rig_open(&g->rig);
    struct seen s = {0};

    rig_read(&g->rig, b, &s, 1u << BUS_METRICS, BUS_LATEST);
    assert_true(rig_publish(b, BUS_METRICS, 1, 1));
    rig_wait_count(&g->rig, &s, 1);
    g->mock.mock_push_request_errors_array(g->mock.cluster, 0, nr_countof(passing), passing);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(rig_publish(b, BUS_METRICS, i % 8, i + 2));
    rig_wait_settled(&g->rig, b);
    rig_wait_count(&g->rig, &s, 1001);
    assert_false(s.out_of_order);
    assert_int_equal(bus_stats(b).delivered[BUS_METRICS], 1001);
    rig_unread(&g->rig, b, &s);
    bus_close(b, 2000);
}

static bool one_is_delivered(void *arg)
{
    struct bus_stats s = bus_stats(arg);

    if (s.unconfirmed == 0 && s.delivered[BUS_EVENTS] == 0)
        (void)rig_publish(arg, BUS_EVENTS, 1, 2);
    return s.delivered[BUS_EVENTS] == 1;
}

/* What the broker refuses for good is dropped and counted; after a look at the topic the next ones go through. */
static void test_refused_for_good(void **state)
{
    static const rd_kafka_resp_err_t refusals[] = {
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
    };
    struct kafka_rig *g = *state;

    for (unsigned i = 0; i < nr_countof(refusals); i++) {
        struct bus *b = rig_open(&g->rig);

        rig_wait(&g->rig, is_connected, b, "connected");
        g->mock.mock_push_request_errors_array(g->mock.cluster, 0, 1, &refusals[i]);
        assert_true(rig_publish(b, BUS_EVENTS, 1, 1));
        rig_wait_settled(&g->rig, b);
        assert_int_equal(bus_stats(b).dropped[BUS_EVENTS], 1);
        rig_wait(&g->rig, one_is_delivered, b, "a message that is taken again");
        bus_close(b, 2000);
    }
}

static bool is_refused(void *arg)
{
    return kafka_of(arg)->refused[BUS_EVENTS];
}

static void test_topic_is_refused(void **state)
{
    struct kafka_rig *g = *state;
    char topic[96];

    (void)snprintf(topic, sizeof(topic), "%s.events", g->prefix);
    g->mock.mock_topic_set_error(g->mock.cluster, topic,
                                 RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    struct bus *b = rig_open(&g->rig);

    rig_wait(&g->rig, is_refused, b, "the refusal is known");
    assert_false(rig_publish(b, BUS_EVENTS, 1, 1)); /* at once: it would only fill the queue */
    assert_true(rig_publish(b, BUS_METRICS, 1, 1)); /* the other topics do not suffer */
    rig_wait_settled(&g->rig, b);
    assert_int_equal(bus_stats(b).dropped[BUS_EVENTS], 1);
    assert_int_equal(bus_stats(b).delivered[BUS_METRICS], 1);
    g->mock.mock_topic_set_error(g->mock.cluster, topic, RD_KAFKA_RESP_ERR_NO_ERROR);
    rig_wait(&g->rig, one_is_delivered, b, "the topic is allowed again");
    bus_close(b, 2000);
}

/* Each answer takes long: nobody waits for it, and what was published arrives. */
static void test_slow_broker(void **state)
{
    struct kafka_rig *g = *state;
    struct bus *b = rig_open(&g->rig);

    rig_wait(&g->rig, is_connected, b, "connected");
    (void)g->mock.mock_broker_set_rtt(g->mock.cluster, 1, 1500);
    uint64_t began_ms = nr_mono_ms();

    for (unsigned i = 0; i < 2000; i++)
        assert_true(rig_publish(b, BUS_METRICS, i % 8, i + 1));
    assert_true(nr_mono_ms() - began_ms < 1400 * 10);
    rig_wait_settled(&g->rig, b);
    assert_int_equal(bus_stats(b).delivered[BUS_METRICS], 2000);
    bus_close(b, 2000);
}

static bool is_replaced(void *arg)
{
    return !((struct kafka *)arg)->fatal;
}

static bool lags_begin(void *arg)
{
    struct kafka *k = arg;

    (void)pthread_mutex_lock(&k->lock);
    bool begun = k->lags[0].looks > 0;

    k->lags[0].looks = begun ? 0 : k->lags[0].looks;
    (void)pthread_mutex_unlock(&k->lock);
    return begun;
}

/* A producer that the broker has fenced is replaced: what waited in it counts as dropped, what comes next goes through. */
static void test_fatal_producer_is_replaced(void **state)
{
    struct kafka_rig *g = *state;
    struct bus *b = rig_open(&g->rig);
    struct kafka *k = kafka_of(b);

    rig_wait(&g->rig, is_connected, b, "connected");
    assert_true(rig_publish(b, BUS_EVENTS, 1, 1));
    rig_wait_settled(&g->rig, b);
    (void)g->mock.test_fatal_error(k->producer, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, "fenced");
    k->fatal = true; /* as the callback says it */
    rig_wait(&g->rig, is_replaced, k, "another producer");
    assert_true(rig_publish(b, BUS_EVENTS, 1, 2));
    rig_wait_settled(&g->rig, b);
    struct bus_stats s = bus_stats(b);

    assert_int_equal(s.delivered[BUS_EVENTS] + s.dropped[BUS_EVENTS], 2);
    assert_true(s.delivered[BUS_EVENTS] >= 1);
    bus_close(b, 2000);
}

/* Nor does the replacement wait for lags that a slow broker is asked for. */
static void test_lags_hold_up_nothing(void **state)
{
    enum { PAIRS = 40 };
    struct kafka_rig *g = *state;
    struct bus *b = rig_open(&g->rig);
    struct kafka *k = kafka_of(b);
    char topic[96], group[16];

    rig_wait(&g->rig, is_connected, b, "connected");
    (void)g->mock.mock_broker_set_rtt(g->mock.cluster, 1, 2000);
    (void)snprintf(topic, sizeof(topic), "%s.metrics", g->prefix);
    for (unsigned i = 0; i < PAIRS; i++) {
        (void)snprintf(group, sizeof(group), "g%u", i);
        assert_int_equal(bus_lag(b, nr_str_of(topic), nr_str_of(group)), -1);
    }
    rig_wait(&g->rig, lags_begin, k, "the first of many is looked at");
    (void)g->mock.test_fatal_error(k->producer, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, "fenced");
    k->fatal = true;
    rig_wait(&g->rig, is_replaced, k, "another producer");
    (void)g->mock.mock_broker_set_rtt(g->mock.cluster, 1, 0);
    assert_true(rig_publish(b, BUS_EVENTS, 1, 2));
    rig_wait_settled(&g->rig, b);
    bus_close(b, 2000);
}

/* With the broker away and messages waiting: the end has its bound. */
static void test_close_while_away(void **state)
{
    struct kafka_rig *g = *state;
    struct seen s = {0};

    (void)g->mock.mock_broker_set_down(g->mock.cluster, 1);
    struct bus *b = rig_open(&g->rig);

    s.reader.group = "scaler";
    rig_read(&g->rig, b, &s, 1u << BUS_METRICS, BUS_LATEST);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(rig_publish(b, BUS_METRICS, 1, i + 1));
    assert_false(bus_owns(&s.reader, NR_STR("k1")));
    rig_unread(&g->rig, b, &s);
    uint64_t began_ms = nr_mono_ms();

    bus_close(b, 2000);
    assert_true(nr_mono_ms() - began_ms < 15000); /* 3 s on a machine that has time */
}

/* ---- what a person may write ---- */

static void expect_refusal(struct rig *g, int code, const char *part)
{
    struct nr_err err = {0};
    struct bus *b = NULL;

    assert_int_equal(bus_open(&g->config, &b, &err), code);
    assert_null(b);
    if (!strstr(err.text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

static void test_brokers_are_judged(void **state)
{
    static const char *const wrong[] = {
        "",      ",", "host:", "host:0", "host:70000", ":9092", "host:9092,", "http://host:9092",
        "a b:1",
    };
    struct kafka_rig *g = *state;

    for (size_t i = 0; i < nr_countof(wrong); i++) {
        g->rig.config.brokers = wrong[i];
        expect_refusal(&g->rig, NR_EINVAL, "--kafka: ");
    }
    g->rig.config.brokers = mock_address(&g->mock);
    g->rig.config.prefix = "a/b";
    expect_refusal(&g->rig, NR_EINVAL, "--kafka-prefix");
    g->rig.config.prefix = "";
    expect_refusal(&g->rig, NR_EINVAL, "--kafka-prefix");
}

static void with_settings(struct kafka_rig *g, const char *text, int code, const char *part)
{
    char path[] = "/tmp/narae-bus-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    g->rig.config.settings_file = path;
    if (code)
        expect_refusal(&g->rig, code, part);
    else
        bus_close(rig_open(&g->rig), 0);
    (void)unlink(path);
}

static void test_settings_are_judged(void **state)
{
    struct kafka_rig *g = *state;

    with_settings(g, "# compressed\n\n compression.type = lz4 \nlinger.ms=5", 0, "");
    with_settings(g, "linger.ms=5\nlingerms=5\n", NR_EINVAL, ":2: \"lingerms\"");
    with_settings(g, "linger.ms=a while\n", NR_EINVAL, ":1: \"linger.ms\"");
    with_settings(g, "linger.ms\n", NR_EINVAL, ":1: a line is KEY=VALUE");
    with_settings(g, "=5\n", NR_EINVAL, ":1: a line is KEY=VALUE");
    with_settings(g, "group.id=mine\n", NR_EINVAL, "is set by naraed itself");
    with_settings(g, "plugin.library.paths=x\n", NR_EINVAL, "is set by naraed itself");
    with_settings(g, "security.protocol=ssl\nssl.ca.location=/no/such/file\n", NR_EUNAVAIL, "ssl");
    g->rig.config.settings_file = "/no/such/file";
    expect_refusal(&g->rig, NR_ENOENT, "--kafka-settings");
}

/* ---- a real broker only ---- */

static void test_since(void **state)
{
    struct kafka_rig *g = *state;
    struct bus *b = rig_open(&g->rig);
    struct seen first = {0}, since = {0}, all = {0};

    rig_read(&g->rig, b, &first, 1u << BUS_METRICS, BUS_LATEST);
    for (unsigned i = 0; i < 10; i++)
        assert_true(rig_publish(b, BUS_METRICS, i, i + 1));
    rig_wait_count(&g->rig, &first, 10);
    int64_t middle_ms = first.last_at_ms + 1;

    while (nr_wall_ms() < middle_ms)
        (void)usleep(100);
    for (unsigned i = 10; i < 15; i++)
        assert_true(rig_publish(b, BUS_METRICS, i, i + 1));
    rig_wait_count(&g->rig, &first, 15);
    since.reader.since_ms = middle_ms;
    rig_read(&g->rig, b, &since, 1u << BUS_METRICS, BUS_SINCE);
    rig_read(&g->rig, b, &all, 1u << BUS_METRICS, BUS_ALL);
    rig_wait_count(&g->rig, &since, 5);
    rig_wait_count(&g->rig, &all, 15);
    rig_unread(&g->rig, b, &first);
    rig_unread(&g->rig, b, &since);
    rig_unread(&g->rig, b, &all);
    bus_close(b, 2000);
}

/* A reader that is far behind in one partition reads on without pausing: 40,000 messages of a key within moments, not some thousand a second. */
static void test_far_behind(void **state)
{
    enum { MANY = 40000, BYTES = 400 };
    static char sample[BYTES];
    struct kafka_rig *g = *state;
    struct bus *b = rig_open(&g->rig);
    struct seen s = {0};

    memset(sample, 'x', BYTES);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % (BUS_QUEUE_MESSAGES / 2) == 0)
            rig_wait_settled(&g->rig, b);
        assert_true(bus_publish(b, BUS_METRICS, NR_STR("k1"), (struct nr_str){sample, BYTES}));
    }
    rig_wait_settled(&g->rig, b);
    uint64_t began_ms = nr_mono_ms();

    rig_read(&g->rig, b, &s, 1u << BUS_METRICS, BUS_ALL);
    rig_wait_count(&g->rig, &s, MANY);
    assert_true(nr_mono_ms() - began_ms < 10000);
    rig_unread(&g->rig, b, &s);
    bus_close(b, 2000);
}

struct heard_of {
    const struct bus_reader *reader;
    int64_t since_ms;
};

static bool is_heard(void *arg)
{
    const struct heard_of *h = arg;

    return bus_heard_ms(h->reader, NR_STR("k1")) >= h->since_ms;
}

static void note_early(struct seen *s, const struct bus_message *m)
{
    (void)m;
    s->out_of_order |= s->count < 3000 && bus_heard_ms(&s->reader, NR_STR("k1")) != 0;
}

/* A member knows until when it has heard a key: nothing before it has caught up with what was there, then it goes on by itself, also in partitions in which
 * nothing comes; what it names it has given to its reader. */
static void test_heard(void **state)
{
    struct kafka_rig *g = *state;
    struct bus *b = rig_open(&g->rig);
    struct seen s = {.hook = note_early};
    struct heard_of h = {&s.reader, 1};

    rig_wait(&g->rig, is_connected, b, "connected");
    for (unsigned i = 0; i < 3000; i++)
        assert_true(rig_publish(b, BUS_METRICS, 1, i + 1));
    rig_wait_settled(&g->rig, b);
    h.since_ms = nr_wall_ms();
    s.reader.group = "scaler";
    rig_read(&g->rig, b, &s, 1u << BUS_METRICS, BUS_ALL);
    assert_int_equal(bus_heard_ms(&s.reader, NR_STR("k1")), 0);
    rig_wait(&g->rig, is_heard, &h, "it has caught up");
    assert_int_equal(s.count, 3000);
    assert_false(s.out_of_order);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(rig_publish(b, BUS_METRICS, 1, i + 4000));
        rig_wait_settled(&g->rig, b);
        h.since_ms = nr_wall_ms();
        rig_wait(&g->rig, is_heard, &h, "it goes on");
        assert_int_equal(s.count, 3001 + i);
    }
    h.since_ms = nr_wall_ms(); /* nothing comes any more */
    rig_wait(&g->rig, is_heard, &h, "it goes on in silence");
    assert_true(bus_heard_ms(&s.reader, NR_STR("k2")) > 0); /* where nothing ever came */
    rig_unread(&g->rig, b, &s);
    assert_int_equal(bus_heard_ms(&s.reader, NR_STR("k1")), 0);
    bus_close(b, 2000);
}

struct lag_of {
    struct bus *bus;
    struct nr_str topic, group;
    int64_t wanted;
};

static bool lag_is(void *arg)
{
    struct lag_of *l = arg;
    struct kafka *k = kafka_of(l->bus);
    bool looked;
    int64_t lag = bus_lag(l->bus, l->topic, l->group);

    (void)pthread_mutex_lock(&k->lock);
    looked = k->lags[0].looks >= 2;
    (void)pthread_mutex_unlock(&k->lock);
    return looked && lag == l->wanted;
}

/* NARAE_LAG="TOPIC GROUP LAG": what another has confirmed. */
static void test_lag_is(void **state)
{
    struct kafka_rig *g = *state;
    struct bus *b = rig_open(&g->rig);
    struct nr_str rest = nr_str_of(getenv("NARAE_LAG"));
    struct lag_of l = {.bus = b};

    if (!rest.p) /* without it: a pair that cannot be */
        rest = NR_STR("no.such.topic nobody -1");
    assert_true(nr_str_split(&rest, ' ', &l.topic) && nr_str_split(&rest, ' ', &l.group));
    assert_true(nr_str_to_i64(rest, -1, INT64_MAX, &l.wanted));
    rig_wait(&g->rig, is_connected, b, "connected");
    rig_wait(&g->rig, lag_is, &l, "the lag");
    bus_close(b, 2000);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define REAL(f) cmocka_unit_test_setup_teardown(f, setup_real, teardown)

static int run_real(void)
{
    const struct CMUnitTest tests[] = {
        REAL(case_everybody_gets_everything),
        REAL(case_order_of_a_key),
        REAL(case_from_several_threads),
        REAL(case_latest_is_from_now),
        REAL(case_kept_policies),
        REAL(case_too_large),
        REAL(case_leave_inside_callback),
        REAL(case_group_has_one_owner),
        REAL(case_nul_and_empty),
        REAL(test_since),
        REAL(test_heard),
        REAL(test_far_behind),
        REAL(test_lag_is),
    };

    return cmocka_run_group_tests_name("bus over a real broker", tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(case_everybody_gets_everything),
        CASE(case_order_of_a_key),
        CASE(case_from_several_threads),
        CASE(case_too_large),
        CASE(case_group_has_one_owner),
        CASE(case_nul_and_empty),
        CASE(test_absent_at_start),
        CASE(test_full_queue_is_counted),
        CASE(test_bytes_are_bounded),
        CASE(test_errors_that_pass),
        CASE(test_refused_for_good),
        CASE(test_topic_is_refused),
        CASE(test_slow_broker),
        CASE(test_fatal_producer_is_replaced),
        CASE(test_lags_hold_up_nothing),
        CASE(test_close_while_away),
        CASE(test_heard),
        CASE(test_brokers_are_judged),
        CASE(test_settings_are_judged),
    };

    cmocka_set_test_filter(getenv("NARAE_TEST_FILTER"));
    if (getenv("NARAE_KAFKA"))
        return run_real();
    return cmocka_run_group_tests_name("bus over librdkafka's brokers", tests, NULL, NULL);
}
