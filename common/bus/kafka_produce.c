/* Publishing to Kafka: into librdkafka's queue, within our own bounds, which count every message until its delivery report has come.
 *
 * A producer that ends by itself (the broker has fenced it, or its numbers have come apart: "fatal") is replaced by a new one; what
 * waited in it is dropped and counted.
 */
#include "common/bus/kafka.h"

enum { POLL_MS = 100, PURGE_MS = 500 };

/* ---- counting ---- */

/* What changes how the platform acts still goes when samples and events have filled the queue. */
static const struct {
    int messages, bytes;
} reserve[BUS_TOPICS] = {
    [BUS_DECISIONS] = {KAFKA_RESERVE_MESSAGES, KAFKA_RESERVE_BYTES},
    [BUS_POLICIES] = {KAFKA_RESERVE_MESSAGES, KAFKA_RESERVE_BYTES},
};

/* False: there is none; to be given back all the same. */
static bool take_room(struct kafka *k, enum bus_topic topic, size_t bytes)
{
    int64_t size = (int64_t)bytes;
    int64_t messages_before = atomic_fetch_add(&k->waiting, 1);
    int64_t bytes_before = atomic_fetch_add(&k->bus.unconfirmed_bytes, size);

    return messages_before < BUS_QUEUE_MESSAGES + reserve[topic].messages &&
           bytes_before + size <= BUS_QUEUE_BYTES + reserve[topic].bytes;
}

static void give_room(struct kafka *k, size_t bytes)
{
    atomic_fetch_sub(&k->bus.unconfirmed_bytes, (int64_t)bytes);
    atomic_fetch_sub(&k->waiting, 1);
}

void kafka_on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct kafka *k = *(struct kafka **)opaque;
    uintptr_t topic = (uintptr_t)m->_private;

    (void)rk;
    give_room(k, bus_size(m->key_len, m->len));
    if (m->err) {
        nr_count(&k->bus.dropped[topic], 1);
        return;
    }
    nr_count(&k->bus.delivered[topic], 1);
    k->connected = true;
}

static bool enqueue(struct kafka *k, enum bus_topic topic, struct nr_str key, struct nr_str value)
{
    /* librdkafka copies, but takes no pointer to what is constant */
    union {
        const char *lent;
        void *given;
    } payload = {value.p};

    (void)pthread_rwlock_rdlock(&k->producer_lock);
    bool taken =
        k->rdk.produce(k->topics[topic], RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, payload.given,
                       value.n, key.n ? key.p : NULL, key.n, (void *)(uintptr_t)topic) == 0;

    if (!taken) {
        k->look_soon = true;
        kafka_say(k, "%s: not taken: %s", k->topic_names[topic],
                  k->rdk.err2str(k->rdk.last_error()));
    }
    (void)pthread_rwlock_unlock(&k->producer_lock);
    return taken;
}

bool kafka_publish(struct bus *b, enum bus_topic topic, struct nr_str key, struct nr_str value)
{
    struct kafka *k = kafka_of(b);
    size_t size = bus_size(key.n, value.n);

    if (take_room(k, topic, size) && !k->refused[topic] && enqueue(k, topic, key, value))
        return true;
    give_room(k, size);
    nr_count(&b->dropped[topic], 1);
    return false;
}

/* ---- the producer ---- */

struct producer {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topics[BUS_TOPICS];
};

static void end(struct kafka *k, struct producer *p)
{
    for (unsigned i = 0; i < BUS_TOPICS; i++) {
        if (p->topics[i])
            k->rdk.topic_destroy(p->topics[i]);
    }
    if (p->rk)
        k->rdk.destroy_flags(p->rk, 0);
}

static int make(struct kafka *k, struct producer *ret, struct nr_err *err)
{
    struct producer p = {kafka_client(k, KAFKA_PRODUCER, NULL, &k->self, NULL, err), {NULL}};

    if (!p.rk)
        return NR_EUNAVAIL;
    for (unsigned i = 0; i < BUS_TOPICS; i++) {
        p.topics[i] = k->rdk.topic_new(p.rk, k->topic_names[i], NULL);
        if (!p.topics[i]) {
            end(k, &p);
            return nr_err_set(err, NR_EUNAVAIL, "Kafka: topic %s: %s", k->topic_names[i],
                              k->rdk.err2str(k->rdk.last_error()));
        }
    }
    *ret = p;
    return 0;
}

/* Puts p in its place; the old one is in p. */
static void swap(struct kafka *k, struct producer *p)
{
    struct producer old;

    (void)pthread_rwlock_wrlock(&k->producer_lock);
    old.rk = k->producer;
    memcpy(old.topics, k->topics, sizeof(old.topics));
    k->producer = p->rk;
    memcpy(k->topics, p->topics, sizeof(old.topics));
    (void)pthread_rwlock_unlock(&k->producer_lock);
    *p = old;
}

int kafka_produce_open(struct kafka *k, struct nr_err *err)
{
    struct producer p;
    int r = make(k, &p, err);

    if (r == 0)
        swap(k, &p);
    return r;
}

void kafka_produce_free(struct kafka *k)
{
    struct producer none = {0};

    swap(k, &none);
    end(k, &none);
}

/* Everything in it gets its report now: what is not delivered is dropped. */
static void purge(struct kafka *k, rd_kafka_t *rk)
{
    (void)k->rdk.purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    for (unsigned ms = 0; k->rdk.outq_len(rk) > 0 && ms < PURGE_MS; ms += POLL_MS)
        (void)k->rdk.poll(rk, POLL_MS);
}

static void renew(struct kafka *k)
{
    struct nr_err err = {0};
    struct producer p;
    char why[256] = "";

    (void)k->rdk.fatal_error(k->producer, why, sizeof(why));
    if (make(k, &p, &err) != 0) {
        kafka_say(k, "%s", err.text);
        return;
    }
    swap(k, &p);
    k->fatal = false;
    nr_log(k->bus.log, NR_LOG_WARN, "bus",
           "the producer was replaced (%s); what waited in it is dropped", why);
    purge(k, p.rk);
    end(k, &p);
}

void kafka_serve(void *arg)
{
    struct kafka *k = arg;

    while (!k->stop) {
        (void)k->rdk.poll(k->producer, POLL_MS);
        if (k->fatal)
            renew(k);
    }
}

void kafka_produce_end(struct kafka *k, uint32_t flush_ms)
{
    (void)pthread_rwlock_rdlock(&k->producer_lock);
    (void)k->rdk.flush(k->producer, (int)flush_ms);
    int64_t left = k->waiting;

    if (left > 0) {
        nr_log(k->bus.log, NR_LOG_WARN, "bus", "%lld messages were not delivered: dropped",
               (long long)left);
        purge(k, k->producer);
    }
    (void)pthread_rwlock_unlock(&k->producer_lock);
}
