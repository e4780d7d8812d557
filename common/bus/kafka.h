/* What the files of the Kafka bus share.
 *
 * Threads, all of them counted and none joined: one that serves delivery reports, one that watches the broker (is it there, topics made
 * when they are missing, lag of consumer groups), one for each reader, one for each member of a group, and librdkafka's own. A publisher
 * enters librdkafka's queue from its own thread.
 */
#ifndef NR_COMMON_BUS_KAFKA_H
#define NR_COMMON_BUS_KAFKA_H

#include "common/bus/internal.h"
#include "common/bus/kafka_lib.h"

enum {
    KAFKA_TOPIC_BYTES = 250, /* a broker's bound and a NUL */
    KAFKA_PARTITIONS_MAX = 1024,
    KAFKA_LAGS_MAX = 64,
    KAFKA_RESERVE_MESSAGES = 1000, /* for decisions and policies, beyond the queue's bounds */
    KAFKA_RESERVE_BYTES = 1 << 20,
    KAFKA_SESSION_MS = 6000, /* after which the others take over from a member that says nothing */
};

enum kafka_role { KAFKA_PRODUCER, KAFKA_READER, KAFKA_MEMBER };

/* A line of the settings file. */
struct kafka_setting {
    char *key, *value;
};

/* A pair that somebody has asked the lag of. */
struct kafka_lag {
    char topic[KAFKA_TOPIC_BYTES], group[KAFKA_TOPIC_BYTES];
    uint64_t asked_ms, looks;
    int64_t lag;
};

struct kafka {
    struct bus bus;
    struct rdk rdk;
    struct kafka *self; /* opaque of the clients */
    char *brokers, *prefix, *client;
    struct kafka_setting *settings;
    size_t settings_n;
    char topic_names[BUS_TOPICS][KAFKA_TOPIC_BYTES];
    pthread_rwlock_t producer_lock; /* of the next two; changed by the serving thread only */
    rd_kafka_t *producer;
    rd_kafka_topic_t *topics[BUS_TOPICS];
    _Atomic int64_t waiting; /* messages that are neither delivered nor dropped */
    _Atomic bool stop, connected, fatal;
    _Atomic bool look_soon;             /* a topic was refused: how is it now? */
    _Atomic int partitions[BUS_TOPICS]; /* 0: not known yet */
    _Atomic bool
        refused[BUS_TOPICS]; /* the broker has said that we may not, or that it is not to be had */
    nr_counter broker_errors;
    _Atomic uint64_t quiet_until_ms; /* of librdkafka's lines in our log */
    nr_counter silenced;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    unsigned threads;
    bool left; /* closed, but threads run */
    struct kafka_lag lags[KAFKA_LAGS_MAX];
    unsigned lags_n;
    rd_kafka_t *lag_client; /* the watching thread's; NULL until a lag is asked for */
};

static inline struct kafka *kafka_of(struct bus *b)
{
    return nr_container_of(b, struct kafka, bus);
}

/* ---- kafka.c ---- */

/* Runs `run` in a thread of its own, which counts until it ends. False: the host gives none. */
bool kafka_spawn(struct kafka *k, void (*run)(void *arg), void *arg);
/* Waits, at most `ms`, until kafka_wake(). */
void kafka_wait(struct kafka *k, unsigned ms);
void kafka_wake(struct kafka *k);

/* ---- kafka_conf.c ---- */

/* Reads and judges the file (lent; NULL: none) into k->settings. */
int kafka_settings_read(struct kafka *k, const char *file, struct nr_err *err);
void kafka_settings_free(struct kafka *k);
/* "HOST[:PORT],..." */
int kafka_brokers_judge(const char *brokers, struct nr_err *err);
/* A client of librdkafka (made) for this role; `group` for members. Its callbacks get `opaque` (kept), which says where k is and what it
 * lies in. NULL with a sentence. */
rd_kafka_t *kafka_client(struct kafka *k, enum kafka_role role, const char *group,
                         struct kafka **opaque,
                         void (*rebalanced)(rd_kafka_t *, rd_kafka_resp_err_t,
                                            rd_kafka_topic_partition_list_t *, void *),
                         struct nr_err *err);
/* One line in our log, unless there was one within ten seconds: then it is only counted. */
void kafka_say(struct kafka *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- kafka_produce.c ---- */

/* Makes producer and topics. */
int kafka_produce_open(struct kafka *k, struct nr_err *err);
bool kafka_publish(struct bus *b, enum bus_topic topic, struct nr_str key, struct nr_str value);
/* The thread that serves delivery reports. */
void kafka_serve(void *arg);
/* A message has its delivery report. */
void kafka_on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque);
/* What waits has flush_ms; then it is dropped and counted. */
void kafka_produce_end(struct kafka *k, uint32_t flush_ms);
void kafka_produce_free(struct kafka *k);

/* ---- kafka_watch.c, kafka_lag.c ---- */

/* The thread that watches the broker. */
void kafka_watch(void *arg);
int64_t kafka_lag(struct bus *b, struct nr_str topic, struct nr_str group);
/* Looks at every pair that is asked for; blocking, without a lock. */
void kafka_lag_look(struct kafka *k);
void kafka_lag_end(struct kafka *k);

/* ---- kafka_read.c, kafka_group.c, kafka_heard.c ---- */

/* How far a partition of the metrics was heard: its end at a moment is asked for, and when the reader has taken what was before it, it has heard up to then. */
struct kafka_heard {
    int64_t end, asked_ms; /* 0: nothing is waited for */
    int64_t heard_ms;
};

struct kafka_reader {
    struct bus_feed feed;
    struct kafka *k;
    _Atomic unsigned held; /* by the loop's side and by the threads */
    _Atomic bool ending;
    unsigned topics;
    enum bus_from from;
    int64_t since_ms;
    char *group;
    /* of a member of a group */
    pthread_mutex_t owned_lock;
    unsigned char owned[KAFKA_PARTITIONS_MAX / 8];
    uint64_t alive_ms, doubt_until_ms;
    uint64_t ask_at_ms; /* its thread's, and the next */
    int ask_next;
    struct kafka_heard heard[KAFKA_PARTITIONS_MAX];
    int64_t taken[KAFKA_PARTITIONS_MAX]; /* by the loop; see bus_feed */
};

int kafka_read(struct bus *b, struct bus_reader *r, struct nr_err *err);
void kafka_unread(struct bus *b, struct bus_reader *r, void (*gone)(struct bus_reader *r));
void kafka_reader_free(struct kafka_reader *kr);
/* The thread of a member. */
void kafka_member(void *arg);
bool kafka_owns(const struct bus_reader *r, struct nr_str key);
/* Asks for the ends of all partitions, about once a second; the member's thread, seconds at most. */
void kafka_ask_ends(struct kafka_reader *kr, rd_kafka_t *rk);
int64_t kafka_heard_ms(const struct bus_reader *r, struct nr_str key);

#endif
