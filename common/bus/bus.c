/* The door of the bus: which implementation, what is counted, what is too large. See bus.h. */
#include "common/bus/bus.h"

#include "common/bus/internal.h"

static const char *const topic_names[BUS_TOPICS] = {
    [BUS_METRICS] = "metrics",
    [BUS_EVENTS] = "events",
    [BUS_DECISIONS] = "decisions",
    [BUS_POLICIES] = "policies",
};

const char *bus_topic_name(enum bus_topic topic)
{
    return topic_names[topic];
}

int bus_open(const struct bus_config *c, struct bus **ret, struct nr_err *err)
{
    return c->brokers ? bus_kafka_open(c, ret, err) : bus_local_open(c, ret, err);
}

bool bus_publish(struct bus *b, enum bus_topic topic, struct nr_str key, struct nr_str value)
{
    nr_count(&b->published[topic], 1);
    if (key.n + value.n <= BUS_MESSAGE_MAX_BYTES && b->kind->publish(b, topic, key, value))
        return true;
    /* What was too large never reached the implementation; what it refused it has counted itself. */
    if (key.n + value.n > BUS_MESSAGE_MAX_BYTES)
        nr_count(&b->dropped[topic], 1);
    return false;
}

int bus_read(struct bus *b, struct bus_reader *r, struct nr_err *err)
{
    if (r->topics == 0 || r->topics >= 1u << BUS_TOPICS || !r->on_message || !r->loop)
        return nr_err_set(err, NR_EINVAL,
                          "a reader of the bus names its loop, topics and callback");
    return b->kind->read(b, r, err);
}

void bus_unread(struct bus *b, struct bus_reader *r, void (*gone)(struct bus_reader *r))
{
    b->kind->unread(b, r, gone);
}

bool bus_owns(const struct bus_reader *r, struct nr_str key)
{
    const struct bus_feed *f = r->impl;

    return f && (r->group == NULL || f->bus->kind->owns(r, key));
}

int64_t bus_heard_ms(const struct bus_reader *r, struct nr_str key)
{
    const struct bus_feed *f = r->impl;

    if (!f)
        return 0;
    return r->group && f->bus->kind->heard_ms ? f->bus->kind->heard_ms(r, key) : INT64_MAX;
}

int64_t bus_lag(struct bus *b, struct nr_str topic, struct nr_str group)
{
    return b->kind->lag(b, topic, group);
}

/* What has ended is read before what has begun: a message that is published meanwhile is unconfirmed, never negative. */
struct bus_stats bus_stats(struct bus *b)
{
    struct bus_stats s = {0};
    int64_t bytes = atomic_load(&b->unconfirmed_bytes);

    for (unsigned i = 0; i < BUS_TOPICS; i++) {
        s.delivered[i] = atomic_load(&b->delivered[i]);
        s.dropped[i] = atomic_load(&b->dropped[i]);
        s.received[i] = atomic_load(&b->received[i]);
    }
    for (unsigned i = 0; i < BUS_TOPICS; i++) {
        s.published[i] = atomic_load(&b->published[i]);
        s.unconfirmed += s.published[i] - s.delivered[i] - s.dropped[i];
    }
    s.unconfirmed_bytes = bytes > 0 ? (uint64_t)bytes : 0;
    s.connected = b->kind->connected(b);
    return s;
}

static void metrics_by_topic(struct nr_buf *out, const char *name, const char *help,
                             const uint64_t counts[BUS_TOPICS])
{
    char label[32];

    nr_metric_head(out, name, "counter", help);
    for (unsigned i = 0; i < BUS_TOPICS; i++) {
        (void)snprintf(label, sizeof(label), "topic=\"%s\"", topic_names[i]);
        nr_metric_sample(out, name, label, (double)counts[i]);
    }
}

void bus_metrics(struct bus *b, struct nr_buf *out)
{
    struct bus_stats s = bus_stats(b);

    metrics_by_topic(out, "narae_bus_published_total", "Messages given to the bus.", s.published);
    metrics_by_topic(out, "narae_bus_delivered_total",
                     "Messages that the broker has, or all readers in this process.", s.delivered);
    metrics_by_topic(out, "narae_bus_dropped_total",
                     "Messages that had no room, were too large or could not be delivered in time.",
                     s.dropped);
    metrics_by_topic(out, "narae_bus_received_total", "Messages given to readers of this process.",
                     s.received);
    nr_metric_one(out, "narae_bus_unconfirmed_messages", "gauge",
                  "Messages that are neither delivered nor dropped yet.", (double)s.unconfirmed);
    nr_metric_one(out, "narae_bus_unconfirmed_bytes", "gauge", "Their keys and values.",
                  (double)s.unconfirmed_bytes);
    nr_metric_one(out, "narae_bus_connected", "gauge",
                  "1: the broker answers, or there is none and the bus is this process.",
                  s.connected ? 1 : 0);
    if (b->kind->metrics)
        b->kind->metrics(b, out);
}

void bus_close(struct bus *b, uint32_t flush_ms)
{
    if (b)
        b->kind->close(b, flush_ms < BUS_FLUSH_MAX_MS ? flush_ms : BUS_FLUSH_MAX_MS);
}
