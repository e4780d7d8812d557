/* The metrics bus: messages from every part to whoever scales, shows or records. One interface, two implementations: in this process, and
 * Kafka (librdkafka, loaded only where a broker is configured).
 *
 * It is lossy under pressure and says so: a publisher never waits, what has no room is dropped and counted, and at any time
 * `published = delivered + dropped + unconfirmed`. Readers get messages of one key in the order in which they were published.
 */
#ifndef NR_COMMON_BUS_BUS_H
#define NR_COMMON_BUS_BUS_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/loop.h"

struct bus;

/* In Kafka: "<prefix>.metrics", ".events", ".decisions", ".policies" (compacted: the last value of a key is what holds). */
enum bus_topic { BUS_METRICS, BUS_EVENTS, BUS_DECISIONS, BUS_POLICIES, BUS_TOPICS };

enum {
    BUS_QUEUE_MESSAGES = 20000,
    BUS_QUEUE_BYTES = 32 << 20,
    BUS_MESSAGE_MAX_BYTES = 1 << 20, /* key and value */
    BUS_FLUSH_MAX_MS = 2000,
};

/* "metrics", ... */
const char *bus_topic_name(enum bus_topic topic);

struct bus_config {
    const char *brokers; /* lent; "HOST:PORT,..."; NULL: in this process */
    const char *prefix;  /* lent; of the topics; NULL: "narae" */
    const char *
        settings_file; /* lent; lines KEY=VALUE of librdkafka's configuration (sasl, ssl, ...); NULL: none */
    const char *client; /* lent; who this is, for the broker's logs */
    struct nr_log *log;
};

/* A broker that is away is no error here: it is asked for in the background. NR_EUNAVAIL with a sentence: librdkafka is not installed, or a
 * setting is none. */
int bus_open(const struct bus_config *c, struct bus **ret, struct nr_err *err);
/* Copies key and value (lent; key.n == 0: none). Any thread; never blocks, a microsecond or two. value absent (p == NULL): the key holds nothing
 * any more. False: dropped and counted. */
bool bus_publish(struct bus *b, enum bus_topic topic, struct nr_str key, struct nr_str value);

/* Lent for the call. */
struct bus_message {
    enum bus_topic topic;
    struct nr_str key, value; /* value.p == NULL: the key holds nothing any more */
    int64_t at_ms;            /* wall clock, when it was published */
};

enum bus_from {
    BUS_LATEST, /* what is published from now on */
    BUS_SINCE,  /* since `since_ms`, as far as it is kept; in this process: as BUS_LATEST */
    BUS_ALL /* all that is kept; in this process: the last value of each key of BUS_POLICIES, else as BUS_LATEST */
};

/* One who reads; embedded in its owner. It gets all messages of its topics, also when others read them. */
struct bus_reader {
    /* in: kept until bus_unread() has called `gone` */
    struct nr_loop *loop;
    unsigned topics; /* 1 << enum bus_topic */
    enum bus_from from;
    int64_t since_ms;
    const char *group; /* of those who share the work, see bus_owns(); NULL: it owns all */
    /* On `loop`, at most some milliseconds' worth in one turn; must be quick. */
    void (*on_message)(struct bus_reader *r, const struct bus_message *m);
    /* On `loop`: which keys it owns has changed. May be NULL. */
    void (*on_owned)(struct bus_reader *r);
    void *owner;
    /* private */
    void *impl;
};
/* Its loop's thread, or before that loop runs. */
int bus_read(struct bus *b, struct bus_reader *r, struct nr_err *err);
/* No further on_message; `gone` comes once, on its loop, and r may be used anew. Its loop's thread, also inside its callbacks. */
void bus_unread(struct bus *b, struct bus_reader *r, void (*gone)(struct bus_reader *r));
/* Any thread. Among all readers of its group: is it the one that acts for this key now? Exactly one does when nobody joins or leaves; none for some seconds
 * when one dies. In this process: the reader that joined the group first. on_owned comes also for what a reader
 * owns from its beginning. */
bool bus_owns(const struct bus_reader *r, struct nr_str key);

/* Wall clock here: all of BUS_METRICS that was published with this key until then has been given to the reader, as far as the broker knows. 0: it is still
 * behind what was there when it began; INT64_MAX: nothing is ever behind (in this process, or a reader without a group, which is not watched). Over Kafka it
 * goes on about once a second, and stands still while the key's partition is behind or not to be had. The reader's loop. */
int64_t bus_heard_ms(const struct bus_reader *r, struct nr_str key);

/* Messages of `topic` (any topic of the broker) that the consumer group has not confirmed yet are looked at every 2 s while somebody asks; -1: not
 * known (no broker, no such topic or group, not yet). Asked again within 60 s, or it is not looked at any more. At most 64 pairs. Any thread. */
int64_t bus_lag(struct bus *b, struct nr_str topic, struct nr_str group);

struct bus_stats {
    uint64_t published[BUS_TOPICS], delivered[BUS_TOPICS], dropped[BUS_TOPICS];
    uint64_t unconfirmed, unconfirmed_bytes; /* now */
    uint64_t received[BUS_TOPICS];           /* by the readers of this process */
    bool connected;                          /* in this process: always */
};
struct bus_stats bus_stats(struct bus *b);
/* narae_bus_... */
void bus_metrics(struct bus *b, struct nr_buf *out);

/* No reader is left. What waits is given flush_ms (2,000 at most) to be delivered; what is not by then counts as dropped. Blocking, at the end. */
void bus_close(struct bus *b, uint32_t flush_ms);

#endif
