/* A reader of topics of the broker: a thread with a client of its own, so each reads all of them from where it wants to. It waits until
 * the topics are there, finds the offsets of its beginning, and hands over what comes; where the reader's loop is behind it waits too, and
 * the broker keeps the rest.
 *
 * "From now on" is from the moment of bus_read(), also when the broker is found later: the end of each partition is asked for first,
 * then the first message since that moment; whichever is earlier.
 */
#include "common/base/clock.h"
#include "common/bus/kafka.h"

enum {
    FEED_MESSAGES = 4096,
    FEED_BYTES = 8 << 20,
    BATCH = 64,
    POLL_MS = 100,
    GROW_EVERY_MS = 5000,
    ASK_MS = 1000, /* the first time; then longer and longer, for a slow broker */
    ASK_MAX_MS = 20000,
};

struct follow {
    struct kafka_reader *kr;
    struct kafka *k;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *topics[BUS_TOPICS];
    int started[BUS_TOPICS]; /* partitions that are being read */
    uint64_t grow_at_ms;
};

/* ---- where to begin ---- */

static bool all_known(const struct follow *f)
{
    for (unsigned i = 0; i < BUS_TOPICS; i++) {
        if (f->kr->topics & 1u << i && f->k->partitions[i] == 0)
            return false;
    }
    return true;
}

static rd_kafka_topic_partition_list_t *list_all(const struct follow *f, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = f->k->rdk.topic_partition_list_new(16);

    for (unsigned t = 0; t < BUS_TOPICS; t++) {
        int n = f->kr->topics & 1u << t ? f->k->partitions[t] : 0;

        for (int i = 0; i < n; i++)
            f->k->rdk.topic_partition_list_add(list, f->k->topic_names[t], i)->offset = offset;
    }
    return list;
}

static bool ask_times(const struct follow *f, rd_kafka_topic_partition_list_t *list, int ask_ms)
{
    if (f->k->rdk.offsets_for_times(f->rk, list, ask_ms) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return false;
    }
    return true;
}

/* The offsets to begin at (made), or NULL: the broker does not say. */
static rd_kafka_topic_partition_list_t *find_begin(const struct follow *f, int ask_ms)
{
    if (f->kr->from == BUS_ALL)
        return list_all(f, RD_KAFKA_OFFSET_BEGINNING);
    rd_kafka_topic_partition_list_t *ends = list_all(f, RD_KAFKA_OFFSET_END), *since = NULL;

    if (ask_times(f, ends, ask_ms)) {
        since = f->k->rdk.topic_partition_list_new(ends->cnt);
        for (int i = 0; i < ends->cnt; i++)
            f->k->rdk
                .topic_partition_list_add(since, ends->elems[i].topic, ends->elems[i].partition)
                ->offset = f->kr->since_ms;
        if (!ask_times(f, since, ask_ms)) {
            f->k->rdk.topic_partition_list_destroy(since);
            since = NULL;
        }
    }
    for (int i = 0; since && i < since->cnt; i++) {
        if (since->elems[i].offset < 0) /* nothing since then */
            since->elems[i].offset = ends->elems[i].offset;
    }
    f->k->rdk.topic_partition_list_destroy(ends);
    return since;
}

/* ---- reading ---- */

static bool start(struct follow *f, unsigned topic, int partition, int64_t offset)
{
    if (f->k->rdk.consume_start_queue(f->topics[topic], partition, offset, f->queue) == 0)
        return true;
    kafka_say(f->k, "%s[%d] cannot be read: %s", f->k->topic_names[topic], partition,
              f->k->rdk.err2str(f->k->rdk.last_error()));
    return false;
}

static void start_at(struct follow *f, const rd_kafka_topic_partition_list_t *begin)
{
    for (int i = 0; i < begin->cnt; i++) {
        unsigned topic = 0;

        while (strcmp(f->k->topic_names[topic], begin->elems[i].topic) != 0)
            topic++;
        if (start(f, topic, begin->elems[i].partition, begin->elems[i].offset))
            f->started[topic]++;
    }
}

/* Waits for topics and offsets; false: it has ended. */
static bool begin(struct follow *f)
{
    rd_kafka_topic_partition_list_t *at = NULL;
    int ask_ms = ASK_MS;

    while (!f->kr->ending && !f->k->stop && !at) {
        if (all_known(f)) {
            at = find_begin(f, ask_ms);
            ask_ms = ask_ms * 2 < ASK_MAX_MS ? ask_ms * 2 : ASK_MAX_MS;
        }
        if (!at)
            kafka_wait(f->k, POLL_MS);
    }
    if (!at)
        return false;
    start_at(f, at);
    f->k->rdk.topic_partition_list_destroy(at);
    return true;
}

/* Partitions that were added since: from their beginning, for all in them is new. */
static void grow(struct follow *f)
{
    uint64_t now_ms = nr_mono_ms();

    if (now_ms < f->grow_at_ms)
        return;
    f->grow_at_ms = now_ms + GROW_EVERY_MS;
    for (unsigned t = 0; t < BUS_TOPICS; t++) {
        int n = f->kr->topics & 1u << t ? f->k->partitions[t] : 0;

        while (f->started[t] < n && start(f, t, f->started[t], RD_KAFKA_OFFSET_BEGINNING))
            f->started[t]++;
    }
}

static enum bus_topic topic_of(const struct follow *f, const rd_kafka_message_t *m)
{
    unsigned t = 0;

    while (strcmp(f->k->topic_names[t], f->k->rdk.topic_name(m->rkt)) != 0)
        t++;
    return (enum bus_topic)t;
}

/* silent: m says that its partition ends here for now. */
static void hand_over(struct follow *f, const rd_kafka_message_t *m, bool silent)
{
    rd_kafka_timestamp_type_t kind;
    struct nr_str none = {NULL, 0}, key = {m->key, m->key_len}, value = {m->payload, m->len};
    struct bus_note *n =
        bus_note_make(NULL, topic_of(f, m), silent ? none : key, silent ? none : value,
                      silent ? 0 : f->k->rdk.message_timestamp(m, &kind));

    if (!n) {
        kafka_say(f->k, "no memory for a message of %zu bytes: a reader misses it", m->len);
        return;
    }
    n->partition = m->partition;
    n->next = m->offset + (silent ? 0 : 1);
    n->silent = silent;
    while (!f->kr->ending && !bus_feed_push_wait(&f->kr->feed, n, POLL_MS))
        ;
    bus_note_free(n);
}

static void take_batch(struct follow *f)
{
    rd_kafka_message_t *batch[BATCH];
    ssize_t n = f->k->rdk.consume_batch_queue(f->queue, POLL_MS, batch, BATCH);

    for (ssize_t i = 0; i < n; i++) {
        if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            hand_over(f, batch[i], false);
        else if (batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            hand_over(f, batch[i], true);
        else
            kafka_say(f->k, "reading %s: %s", f->k->rdk.topic_name(batch[i]->rkt),
                      f->k->rdk.err2str(batch[i]->err));
        f->k->rdk.message_destroy(batch[i]);
    }
    (void)f->k->rdk.poll(f->rk, 0); /* errors of the client */
}

static bool open_client(struct follow *f)
{
    struct nr_err err = {0};

    f->rk = kafka_client(f->k, KAFKA_READER, NULL, &f->kr->k, NULL, &err);
    if (!f->rk) {
        nr_log(f->k->bus.log, NR_LOG_ERROR, "bus", "a reader has no client: %s", err.text);
        return false;
    }
    f->queue = f->k->rdk.queue_new(f->rk);
    for (unsigned i = 0; i < BUS_TOPICS; i++) {
        if (f->kr->topics & 1u << i)
            f->topics[i] = f->k->rdk.topic_new(f->rk, f->k->topic_names[i], NULL);
    }
    return true;
}

static void close_client(struct follow *f)
{
    for (unsigned t = 0; t < BUS_TOPICS; t++) {
        for (int i = 0; i < f->started[t]; i++)
            (void)f->k->rdk.consume_stop(f->topics[t], i);
    }
    if (f->queue)
        f->k->rdk.queue_destroy(f->queue);
    for (unsigned t = 0; t < BUS_TOPICS; t++) {
        if (f->topics[t])
            f->k->rdk.topic_destroy(f->topics[t]);
    }
    if (f->rk)
        f->k->rdk.destroy_flags(f->rk, 0);
}

static void follow(void *arg)
{
    struct kafka_reader *kr = arg;
    struct follow f = {.kr = kr, .k = kr->k};

    if (open_client(&f) && begin(&f)) {
        while (!kr->ending && !f.k->stop) {
            take_batch(&f);
            grow(&f);
        }
    }
    close_client(&f);
    kafka_reader_free(kr);
}

/* ---- the loop's side ---- */

void kafka_reader_free(struct kafka_reader *kr)
{
    if (atomic_fetch_sub(&kr->held, 1) != 1)
        return;
    bus_feed_fini(&kr->feed);
    (void)pthread_mutex_destroy(&kr->owned_lock);
    free(kr->group);
    free(kr);
}

static void on_freed(struct bus_feed *f)
{
    kafka_reader_free(nr_container_of(f, struct kafka_reader, feed));
}

static bool spawn(struct kafka_reader *kr, void (*run)(void *arg))
{
    atomic_fetch_add(&kr->held, 1);
    if (kafka_spawn(kr->k, run, kr))
        return true;
    atomic_fetch_sub(&kr->held, 1);
    return false;
}

int kafka_read(struct bus *b, struct bus_reader *r, struct nr_err *err)
{
    struct kafka_reader *kr = nr_alloc(sizeof(*kr));

    bus_feed_init(&kr->feed, b, r);
    kr->feed.freed = on_freed;
    kr->feed.count_max = FEED_MESSAGES;
    kr->feed.bytes_max = FEED_BYTES;
    kr->feed.taken = kr->taken;
    kr->k = kafka_of(b);
    kr->held = 1;
    kr->topics = r->topics;
    kr->from = r->from;
    kr->since_ms = r->from == BUS_SINCE ? r->since_ms : nr_wall_ms();
    (void)pthread_mutex_init(&kr->owned_lock, NULL);
    if (r->group) {
        struct nr_buf name;

        nr_buf_init(&name, KAFKA_TOPIC_BYTES);
        nr_buf_printf(&name, "%s.%s", kr->k->prefix, r->group);
        kr->group = nr_buf_detach(&name, NULL);
    }
    if ((r->group && !kr->group) || !spawn(kr, follow)) {
        kafka_reader_free(kr);
        return nr_err_set(err, NR_EBUSY, "no thread for a reader of the bus");
    }
    r->impl = &kr->feed;
    if (kr->group && !spawn(kr, kafka_member))
        nr_log(b->log, NR_LOG_ERROR, "bus", "no thread for a member of %s: it owns nothing",
               kr->group);
    return 0;
}

void kafka_unread(struct bus *b, struct bus_reader *r, void (*gone)(struct bus_reader *r))
{
    struct kafka_reader *kr = nr_container_of(r->impl, struct kafka_reader, feed);

    kr->ending = true;
    kafka_wake(kafka_of(b));
    bus_feed_close(&kr->feed, gone);
}
