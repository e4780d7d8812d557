/* Who acts for a key: a consumer group over the topic of metrics, whose members read nothing through it. Each partition has one member,
 * and a key is of the partition that its messages go to.
 *
 * A member that the others no longer count on must know it by itself: librdkafka takes its partitions away when the broker has not
 * answered a heartbeat for the session's time, and one that was itself stopped for long (its thread did not run) owns nothing until a
 * heartbeat can have told it how things stand.
 */
#include "common/base/clock.h"
#include "common/bus/kafka.h"

enum { POLL_MS = 200, DOUBT_MS = 3000, LEAVE_MS = 1000 };

/* ---- what is owned ---- */

static void set_owned(struct kafka_reader *kr, const rd_kafka_topic_partition_list_t *parts)
{
    (void)pthread_mutex_lock(&kr->owned_lock);
    memset(kr->owned, 0, sizeof(kr->owned));
    for (int i = 0; parts && i < parts->cnt; i++) {
        int32_t p = parts->elems[i].partition;

        if (p >= 0 && p < KAFKA_PARTITIONS_MAX)
            kr->owned[p / 8] |= (unsigned char)(1u << p % 8);
    }
    (void)pthread_mutex_unlock(&kr->owned_lock);
    bus_feed_owned(&kr->feed);
}

bool kafka_owns(const struct bus_reader *r, struct nr_str key)
{
    struct kafka_reader *kr = nr_container_of(r->impl, struct kafka_reader, feed);
    int n = kr->k->partitions[BUS_METRICS];
    uint64_t now_ms = nr_mono_ms();

    if (n == 0)
        return false;
    int32_t p = kr->k->rdk.msg_partitioner_murmur2(NULL, key.p, key.n, n, NULL, NULL);

    (void)pthread_mutex_lock(&kr->owned_lock);
    bool owned = kr->owned[p / 8] & 1u << p % 8 && now_ms < kr->alive_ms + KAFKA_SESSION_MS &&
                 now_ms >= kr->doubt_until_ms;

    (void)pthread_mutex_unlock(&kr->owned_lock);
    return owned;
}

/* The thread runs. After a gap in which the others may have taken over it is in doubt for a while. */
static void live(struct kafka_reader *kr)
{
    uint64_t now_ms = nr_mono_ms();

    (void)pthread_mutex_lock(&kr->owned_lock);
    bool gap = kr->alive_ms && now_ms >= kr->alive_ms + KAFKA_SESSION_MS;
    bool sure = kr->doubt_until_ms && now_ms >= kr->doubt_until_ms;

    if (gap)
        kr->doubt_until_ms = now_ms + DOUBT_MS;
    else if (sure)
        kr->doubt_until_ms = 0;
    kr->alive_ms = now_ms;
    (void)pthread_mutex_unlock(&kr->owned_lock);
    if (gap || sure)
        bus_feed_owned(&kr->feed);
}

/* ---- the member ---- */

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what,
                         rd_kafka_topic_partition_list_t *parts, void *opaque)
{
    struct kafka_reader *kr = nr_container_of((struct kafka **)opaque, struct kafka_reader, k);

    if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        (void)kr->k->rdk.assign(rk, parts);
        (void)kr->k->rdk.pause_partitions(rk, parts);
        set_owned(kr, parts);
    } else {
        set_owned(kr, NULL);
        (void)kr->k->rdk.assign(rk, NULL);
    }
}

static bool join(struct kafka_reader *kr, rd_kafka_t *rk)
{
    rd_kafka_topic_partition_list_t *topics = kr->k->rdk.topic_partition_list_new(1);

    (void)kr->k->rdk.topic_partition_list_add(topics, kr->k->topic_names[BUS_METRICS],
                                              RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t r = kr->k->rdk.subscribe(rk, topics);

    kr->k->rdk.topic_partition_list_destroy(topics);
    if (r != RD_KAFKA_RESP_ERR_NO_ERROR)
        nr_log(kr->k->bus.log, NR_LOG_ERROR, "bus", "the group %s cannot be joined: %s", kr->group,
               kr->k->rdk.err2str(r));
    return r == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Says so to the broker, so that the others need not wait for the session's time; not for long. */
static void leave(struct kafka_reader *kr, rd_kafka_t *rk)
{
    rd_kafka_queue_t *last = kr->k->rdk.queue_new(rk);
    rd_kafka_error_t *error = kr->k->rdk.consumer_close_queue(rk, last);
    uint64_t until_ms = nr_mono_ms() + LEAVE_MS;

    if (error)
        kr->k->rdk.error_destroy(error);
    else
        while (!kr->k->rdk.consumer_closed(rk) && nr_mono_ms() < until_ms)
            (void)kr->k->rdk.queue_poll_callback(last, POLL_MS);
    kr->k->rdk.queue_destroy(last);
}

void kafka_member(void *arg)
{
    struct kafka_reader *kr = arg;
    struct kafka *k = kr->k;
    struct nr_err err = {0};
    rd_kafka_t *rk = kafka_client(k, KAFKA_MEMBER, kr->group, &kr->k, on_rebalance, &err);

    if (!rk)
        nr_log(k->bus.log, NR_LOG_ERROR, "bus", "no member of %s: %s", kr->group, err.text);
    while (rk && !kr->ending && !k->stop && k->partitions[BUS_METRICS] == 0)
        kafka_wait(k, POLL_MS);
    if (rk && join(kr, rk)) {
        while (!kr->ending && !k->stop) {
            rd_kafka_message_t *m = k->rdk.consumer_poll(rk, POLL_MS);

            if (m)
                k->rdk.message_destroy(m);
            live(kr);
            kafka_ask_ends(kr, rk);
        }
        leave(kr, rk);
    }
    if (rk)
        k->rdk.destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    kafka_reader_free(kr);
}
