/* Watches the broker: is it there, how many partitions has each topic; a topic that is missing is made, with its settings. Then the lag of
 * consumer groups, when somebody asks.
 */
#include "common/base/clock.h"
#include "common/bus/kafka.h"

enum { TICK_MS = 1000, LOOK_EVERY_MS = 10000, ASK_MS = 5000, ERROR_BYTES = 256 };

/* Of topics that we make ourselves; one that is there already stays as it is. */
static const struct {
    int partitions;
    const char *cleanup, *retention_ms;
} wanted[BUS_TOPICS] = {
    [BUS_METRICS] = {8, "delete", "86400000"},
    [BUS_EVENTS] = {1, "delete", "604800000"},
    [BUS_DECISIONS] = {1, "delete", "604800000"},
    [BUS_POLICIES] = {1, "compact", NULL},
};

#define MESSAGE_BYTES "1100000"

static int topic_of(const struct kafka *k, const char *name)
{
    for (int i = 0; i < BUS_TOPICS; i++) {
        if (strcmp(k->topic_names[i], name) == 0)
            return i;
    }
    return -1;
}

static rd_kafka_NewTopic_t *describe(struct kafka *k, enum bus_topic topic)
{
    char why[ERROR_BYTES];
    rd_kafka_NewTopic_t *t =
        k->rdk.NewTopic_new(k->topic_names[topic], wanted[topic].partitions, -1, why, sizeof(why));

    if (!t) {
        kafka_say(k, "topic %s: %s", k->topic_names[topic], why);
        return NULL;
    }
    (void)k->rdk.NewTopic_set_config(t, "cleanup.policy", wanted[topic].cleanup);
    (void)k->rdk.NewTopic_set_config(t, "max.message.bytes", MESSAGE_BYTES);
    if (wanted[topic].retention_ms)
        (void)k->rdk.NewTopic_set_config(t, "retention.ms", wanted[topic].retention_ms);
    return t;
}

/* Another process may be quicker: what exists is fine. */
static void tell_made(struct kafka *k, rd_kafka_event_t *e)
{
    const rd_kafka_CreateTopics_result_t *result = k->rdk.event_CreateTopics_result(e);
    size_t n = 0;

    if (!result || k->rdk.event_error(e)) {
        kafka_say(k, "topics cannot be made: %s", k->rdk.event_error_string(e));
        return;
    }
    const rd_kafka_topic_result_t **topics = k->rdk.CreateTopics_result_topics(result, &n);

    for (size_t i = 0; i < n; i++) {
        rd_kafka_resp_err_t code = k->rdk.topic_result_error(topics[i]);

        int topic = topic_of(k, k->rdk.topic_result_name(topics[i]));

        if (topic >= 0 && code != RD_KAFKA_RESP_ERR_NO_ERROR &&
            code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            k->refused[topic] = true;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            nr_log(k->bus.log, NR_LOG_INFO, "bus", "made the topic %s",
                   k->rdk.topic_result_name(topics[i]));
        else if (code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            kafka_say(k, "topic %s cannot be made: %s", k->rdk.topic_result_name(topics[i]),
                      k->rdk.topic_result_error_string(topics[i]));
    }
}

static void make_topics(struct kafka *k, unsigned missing)
{
    rd_kafka_NewTopic_t *topics[BUS_TOPICS];
    size_t n = 0;

    for (unsigned i = 0; i < BUS_TOPICS; i++) {
        if (missing & 1u << i && (topics[n] = describe(k, (enum bus_topic)i)) != NULL)
            n++;
    }
    if (n == 0)
        return;
    rd_kafka_queue_t *answers = k->rdk.queue_new(k->producer);
    rd_kafka_AdminOptions_t *options =
        k->rdk.AdminOptions_new(k->producer, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    char why[ERROR_BYTES];

    (void)k->rdk.AdminOptions_set_request_timeout(options, ASK_MS, why, sizeof(why));
    k->rdk.CreateTopics(k->producer, topics, n, options, answers);
    rd_kafka_event_t *e = k->rdk.queue_poll(answers, ASK_MS + TICK_MS);

    if (e) {
        tell_made(k, e);
        k->rdk.event_destroy(e);
    }
    k->rdk.AdminOptions_destroy(options);
    k->rdk.queue_destroy(answers);
    for (size_t i = 0; i < n; i++)
        k->rdk.NewTopic_destroy(topics[i]);
}

/* Messages for a topic that we may not write would fill the queue of all. An election passes. */
static void learn_error(struct kafka *k, enum bus_topic topic, rd_kafka_resp_err_t code)
{
    kafka_say(k, "topic %s: %s", k->topic_names[topic], k->rdk.err2str(code));
    if (code != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
        k->refused[topic] = true;
}

static void learn_good(struct kafka *k, enum bus_topic topic, int partitions)
{
    k->refused[topic] = false;
    k->partitions[topic] = partitions < KAFKA_PARTITIONS_MAX ? partitions : KAFKA_PARTITIONS_MAX;
}

/* Which of ours the broker says are not there, as bits; all others are known afterwards. */
static unsigned learn(struct kafka *k, const struct rd_kafka_metadata *all)
{
    unsigned missing = 0;

    for (int i = 0; i < all->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *t = &all->topics[i];
        int topic = topic_of(k, t->topic);

        if (topic < 0)
            continue;
        if (t->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            missing |= 1u << topic;
        else if (t->err)
            learn_error(k, (enum bus_topic)topic, t->err);
        else
            learn_good(k, (enum bus_topic)topic, t->partition_cnt);
    }
    return missing;
}

/* True: all topics are there. */
static bool look(struct kafka *k, int ask_ms)
{
    const struct rd_kafka_metadata *all = NULL;
    unsigned missing;

    if (k->rdk.metadata(k->producer, 0, NULL, &all, ask_ms) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        k->connected = false;
        return false;
    }
    k->connected = true;
    missing = learn(k, all);
    k->rdk.metadata_destroy(all);
    if (missing)
        make_topics(k, missing);
    kafka_wake(k);
    for (unsigned i = 0; i < BUS_TOPICS; i++) {
        if (k->partitions[i] == 0)
            return false;
    }
    return missing == 0;
}

void kafka_watch(void *arg)
{
    struct kafka *k = arg;
    uint64_t next_ms = 0;
    int ask_ms = TICK_MS;

    while (!k->stop) {
        (void)pthread_rwlock_rdlock(&k->producer_lock);
        if (atomic_exchange(&k->look_soon, false) || nr_mono_ms() >= next_ms)
            next_ms = look(k, ask_ms) ? nr_mono_ms() + LOOK_EVERY_MS : 0;
        ask_ms = k->connected || ask_ms * 2 > ASK_MS ? ASK_MS : ask_ms * 2;
        (void)pthread_rwlock_unlock(&k->producer_lock);
        if (!k->stop)
            kafka_lag_look(k);
        kafka_wait(k, TICK_MS);
    }
    kafka_lag_end(k);
}
