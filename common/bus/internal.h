/* What the files of the bus share: the bus itself with its counters, the copy of a message, and a reader's queue. Any thread.
 */
#ifndef NR_COMMON_BUS_INTERNAL_H
#define NR_COMMON_BUS_INTERNAL_H

#include <pthread.h>

#include "common/base/list.h"
#include "common/base/metric.h"
#include "common/bus/bus.h"

/* An implementation; each function is the one of bus.h with the same name. */
struct bus_kind {
    bool (*publish)(struct bus *b, enum bus_topic topic, struct nr_str key, struct nr_str value);
    int (*read)(struct bus *b, struct bus_reader *r, struct nr_err *err);
    void (*unread)(struct bus *b, struct bus_reader *r, void (*gone)(struct bus_reader *r));
    bool (*owns)(const struct bus_reader *r, struct nr_str key);
    int64_t (*heard_ms)(const struct bus_reader *r, struct nr_str key); /* NULL: INT64_MAX */
    int64_t (*lag)(struct bus *b, struct nr_str topic, struct nr_str group);
    bool (*connected)(struct bus *b);
    void (*metrics)(struct bus *b, struct nr_buf *out);
    void (*close)(struct bus *b, uint32_t flush_ms);
};

/* Embedded first in what an implementation has of its own. */
struct bus {
    const struct bus_kind *kind;
    struct nr_log *log;
    nr_counter published[BUS_TOPICS], delivered[BUS_TOPICS], dropped[BUS_TOPICS];
    nr_counter received[BUS_TOPICS];
    _Atomic int64_t unconfirmed_bytes;
};

/* One message, copied. It lives as long as somebody holds it. */
struct bus_note {
    _Atomic unsigned held;
    _Atomic unsigned
        owed; /* readers who are still to have it, and the publisher while he hands it out */
    _Atomic bool missed; /* one of them had no room */
    struct bus *bus;     /* whose published message it is; NULL: one that came from a broker */
    int64_t at_ms;
    size_t key_n, value_n;
    enum bus_topic topic;
    bool empty; /* the key holds nothing any more */
    /* One that came from a broker: its place in its partition is before `next`. */
    int32_t partition;
    int64_t next;
    bool silent; /* no message: only that its partition goes no further than `next` */
    char bytes[];
};

/* Made with held = 1 and owed = 1; NULL: no memory. `bus` is kept, see above. */
struct bus_note *bus_note_make(struct bus *bus, enum bus_topic topic, struct nr_str key,
                               struct nr_str value, int64_t at_ms);
/* Lets go of one hold. */
void bus_note_free(struct bus_note *n);
/* One of those who were to have it has had it, or never will (`missed`): the last one counts it as delivered or dropped. */
void bus_note_settle(struct bus_note *n, bool missed);
static inline struct nr_str bus_note_key(const struct bus_note *n)
{
    return (struct nr_str){n->bytes, n->key_n};
}
/* What a message of this size takes of the queue's bytes. */
static inline size_t bus_size(size_t key_n, size_t value_n)
{
    return key_n + value_n;
}

/* A reader's queue: any thread pushes, its loop takes. The first member of what an implementation keeps of a reader. */
struct bus_feed {
    struct bus *bus;
    struct bus_reader *reader;
    pthread_mutex_t lock;
    pthread_cond_t room;
    struct bus_note **ring;
    size_t size, head, count, bytes; /* size: a power of two */
    size_t count_max, bytes_max;
    bool posted, closed, tell_owned;
    int64_t *
        taken; /* kept; of each partition of the metrics: `next` of what was taken last; NULL: not noted */
    void (*gone)(struct bus_reader *r);
    void (*freed)(
        struct bus_feed
            *f); /* its loop's side is done with it: bus_feed_fini(), and what it lies in */
    struct nr_mail mail;
};

/* r is kept until the feed is closed. */
void bus_feed_init(struct bus_feed *f, struct bus *b, struct bus_reader *r);
/* Holds n and owes it to the reader; false: no room (or closed: then it is nobody's debt). */
bool bus_feed_push(struct bus_feed *f, struct bus_note *n);
/* The same, but waits up to wait_ms for room; blocking, not for a loop. */
bool bus_feed_push_wait(struct bus_feed *f, struct bus_note *n, unsigned wait_ms);
/* on_owned will come. */
void bus_feed_owned(struct bus_feed *f);
/* Of a feed that is closed or never had a message. */
void bus_feed_fini(struct bus_feed *f);
/* No further message; `gone` and then `freed` come on its loop. */
void bus_feed_close(struct bus_feed *f, void (*gone)(struct bus_reader *r));

/* ---- the implementations: each makes a bus, or says why not ---- */

int bus_local_open(const struct bus_config *c, struct bus **ret, struct nr_err *err);
int bus_kafka_open(const struct bus_config *c, struct bus **ret, struct nr_err *err);

#endif
