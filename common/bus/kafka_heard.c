/* How far a member has heard each partition. Once a second it asks the broker where the partitions end; when the reader has taken all that was before an
 * end, it has heard all that was published up to the question. A partition that is behind, or that has no leader, keeps its time while the others go on.
 *
 * The reader tells its place with each message and where a partition ends for now, so what is no message (marks of transactions) holds up nothing.
 */
#include "common/base/clock.h"
#include "common/bus/kafka.h"

enum { EVERY_MS = 1000, ASK_MS = 1000, ASK_ONE_MS = 300, ASK_ALL_MS = 2000 };

static int64_t taken_of(struct kafka_reader *kr, int32_t partition)
{
    (void)pthread_mutex_lock(&kr->feed.lock);
    int64_t taken = kr->taken[partition];

    (void)pthread_mutex_unlock(&kr->feed.lock);
    return taken;
}

/* What was waited for may have come. The lock is held. */
static void settle(struct kafka_heard *h, int64_t taken)
{
    if (h->asked_ms == 0 || taken < h->end)
        return;
    h->heard_ms = h->asked_ms;
    h->asked_ms = 0;
}

/* A partition ended there at that time. A question that is still open stays, or one that is always a little behind would never be answered. */
static void note_end(struct kafka_reader *kr, int32_t partition, int64_t end, int64_t at_ms)
{
    struct kafka_heard *h = &kr->heard[partition];
    int64_t taken = taken_of(kr, partition);

    (void)pthread_mutex_lock(&kr->owned_lock);
    settle(h, taken);
    if (h->asked_ms == 0) {
        h->end = end;
        h->asked_ms = at_ms;
        settle(h, taken);
    }
    (void)pthread_mutex_unlock(&kr->owned_lock);
}

/* Partitions first..first+n-1 in one question. False: it was not answered for all of them. */
static bool ask(struct kafka_reader *kr, rd_kafka_t *rk, int first, int n, int wait_ms)
{
    struct kafka *k = kr->k;
    rd_kafka_topic_partition_list_t *list = k->rdk.topic_partition_list_new(n);
    int64_t at_ms = nr_wall_ms();

    for (int i = 0; i < n; i++)
        k->rdk.topic_partition_list_add(list, k->topic_names[BUS_METRICS], first + i)->offset =
            RD_KAFKA_OFFSET_END;
    bool good = k->rdk.offsets_for_times(rk, list, wait_ms) == RD_KAFKA_RESP_ERR_NO_ERROR;

    for (int i = 0; good && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &list->elems[i];

        if (p->err == RD_KAFKA_RESP_ERR_NO_ERROR && p->offset >= 0)
            note_end(kr, p->partition, p->offset, at_ms);
    }
    k->rdk.topic_partition_list_destroy(list);
    return good;
}

void kafka_ask_ends(struct kafka_reader *kr, rd_kafka_t *rk)
{
    int n = kr->k->partitions[BUS_METRICS];
    uint64_t now_ms = nr_mono_ms();

    if (now_ms < kr->ask_at_ms || n == 0)
        return;
    kr->ask_at_ms = now_ms + EVERY_MS;
    if (ask(kr, rk, 0, n, ASK_MS))
        return;
    /* One without a leader spoils the answer of all: each by itself, and in turn, as long as there is time. */
    for (int i = 0; i < n && nr_mono_ms() < now_ms + ASK_ALL_MS; i++) {
        (void)ask(kr, rk, kr->ask_next % n, 1, ASK_ONE_MS);
        kr->ask_next = (kr->ask_next + 1) % n;
    }
}

int64_t kafka_heard_ms(const struct bus_reader *r, struct nr_str key)
{
    struct kafka_reader *kr = nr_container_of(r->impl, struct kafka_reader, feed);
    int n = kr->k->partitions[BUS_METRICS];

    if (n == 0)
        return 0;
    int32_t p = kr->k->rdk.msg_partitioner_murmur2(NULL, key.p, key.n, n, NULL, NULL);
    int64_t taken = taken_of(kr, p);

    (void)pthread_mutex_lock(&kr->owned_lock);
    settle(&kr->heard[p], taken);
    int64_t heard_ms = kr->heard[p].heard_ms;

    (void)pthread_mutex_unlock(&kr->owned_lock);
    return heard_ms;
}
