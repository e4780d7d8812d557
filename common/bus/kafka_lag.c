/* Lag of consumer groups: for each pair that somebody asks for, the end of each partition less what the group has confirmed of it. A
 * partition that the group has confirmed nothing of counts whole; a group that has confirmed nothing of the topic at all is not known.
 */
#include "common/base/clock.h"
#include "common/bus/kafka.h"

enum { ASKED_MS = 60000, ASK_MS = 3000 };

int64_t kafka_lag(struct bus *b, struct nr_str topic, struct nr_str group)
{
    struct kafka *k = kafka_of(b);
    int64_t lag = -1;
    unsigned i = 0;

    if (topic.n == 0 || group.n == 0 || topic.n >= KAFKA_TOPIC_BYTES ||
        group.n >= KAFKA_TOPIC_BYTES)
        return -1;
    (void)pthread_mutex_lock(&k->lock);
    while (i < k->lags_n &&
           !(nr_str_eqz(topic, k->lags[i].topic) && nr_str_eqz(group, k->lags[i].group)))
        i++;
    if (i == k->lags_n && i < KAFKA_LAGS_MAX) {
        k->lags[i] = (struct kafka_lag){.lag = -1};
        memcpy(k->lags[i].topic, topic.p, topic.n);
        memcpy(k->lags[i].group, group.p, group.n);
        k->lags_n++;
    }
    if (i < k->lags_n) {
        k->lags[i].asked_ms = nr_mono_ms();
        lag = k->lags[i].lag;
    }
    (void)pthread_mutex_unlock(&k->lock);
    return lag;
}

/* ---- what the broker says ---- */

static int count_partitions(struct kafka *k, const char *topic)
{
    rd_kafka_topic_t *t = k->rdk.topic_new(k->lag_client, topic, NULL);
    const struct rd_kafka_metadata *m = NULL;
    int n = -1;

    if (!t)
        return -1;
    if (k->rdk.metadata(k->lag_client, 0, t, &m, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (m->topic_cnt == 1 && m->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR)
            n = m->topics[0].partition_cnt;
        k->rdk.metadata_destroy(m);
    }
    k->rdk.topic_destroy(t);
    return n > KAFKA_PARTITIONS_MAX ? -1 : n;
}

/* Offsets of all partitions at a special time: RD_KAFKA_OFFSET_BEGINNING or _END. NULL: not to be had. */
static rd_kafka_topic_partition_list_t *edges(struct kafka *k, const char *topic, int partitions,
                                              int64_t edge)
{
    rd_kafka_topic_partition_list_t *list = k->rdk.topic_partition_list_new(partitions);

    for (int i = 0; i < partitions; i++)
        k->rdk.topic_partition_list_add(list, topic, i)->offset = edge;
    bool good = k->rdk.offsets_for_times(k->lag_client, list, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;

    for (int i = 0; good && i < list->cnt; i++)
        good = list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[i].offset >= 0;
    if (good)
        return list;
    k->rdk.topic_partition_list_destroy(list);
    return NULL;
}

/* Writes what the group has confirmed into confirmed[], -1 where nothing; false: not to be had, or nothing at all. */
static bool read_confirmed(struct kafka *k, const rd_kafka_event_t *e, const char *topic,
                           int64_t *confirmed, int partitions)
{
    const rd_kafka_ListConsumerGroupOffsets_result_t *result =
        k->rdk.event_ListConsumerGroupOffsets_result((rd_kafka_event_t *)(uintptr_t)e);
    size_t n = 0;
    bool any = false;

    if (!result)
        return false;
    const rd_kafka_group_result_t **groups =
        k->rdk.ListConsumerGroupOffsets_result_groups(result, &n);
    const rd_kafka_topic_partition_list_t *list =
        n == 1 ? k->rdk.group_result_partitions(groups[0]) : NULL;

    for (int i = 0; list && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &list->elems[i];

        if (strcmp(p->topic, topic) != 0 || p->partition >= partitions || p->offset < 0)
            continue;
        confirmed[p->partition] = p->offset;
        any = true;
    }
    return any;
}

static bool ask_confirmed(struct kafka *k, const struct kafka_lag *l, int64_t *confirmed,
                          int partitions)
{
    rd_kafka_topic_partition_list_t *list = k->rdk.topic_partition_list_new(partitions);

    for (int i = 0; i < partitions; i++) {
        confirmed[i] = -1;
        (void)k->rdk.topic_partition_list_add(list, l->topic, i);
    }
    rd_kafka_ListConsumerGroupOffsets_t *question =
        k->rdk.ListConsumerGroupOffsets_new(l->group, list);
    rd_kafka_queue_t *answers = k->rdk.queue_new(k->lag_client);
    rd_kafka_AdminOptions_t *options =
        k->rdk.AdminOptions_new(k->lag_client, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    char why[128];

    (void)k->rdk.AdminOptions_set_request_timeout(options, ASK_MS, why, sizeof(why));
    k->rdk.ListConsumerGroupOffsets(k->lag_client, &question, 1, options, answers);
    rd_kafka_event_t *e = k->rdk.queue_poll(answers, ASK_MS + 1000);
    bool any = e && !k->rdk.event_error(e) && read_confirmed(k, e, l->topic, confirmed, partitions);

    if (e)
        k->rdk.event_destroy(e);
    k->rdk.AdminOptions_destroy(options);
    k->rdk.queue_destroy(answers);
    k->rdk.ListConsumerGroupOffsets_destroy(question);
    k->rdk.topic_partition_list_destroy(list);
    return any;
}

static int64_t sum_lag(const rd_kafka_topic_partition_list_t *begins,
                       const rd_kafka_topic_partition_list_t *ends, const int64_t *confirmed)
{
    int64_t lag = 0;

    for (int i = 0; i < ends->cnt; i++) {
        int64_t from =
            confirmed[i] > begins->elems[i].offset ? confirmed[i] : begins->elems[i].offset;

        if (ends->elems[i].offset > from)
            lag += ends->elems[i].offset - from;
    }
    return lag;
}

static int64_t look_at(struct kafka *k, const struct kafka_lag *l)
{
    int64_t confirmed[KAFKA_PARTITIONS_MAX], lag = -1;
    int partitions = count_partitions(k, l->topic);

    if (partitions <= 0 || k->stop || !ask_confirmed(k, l, confirmed, partitions))
        return -1;
    rd_kafka_topic_partition_list_t *begins =
        edges(k, l->topic, partitions, RD_KAFKA_OFFSET_BEGINNING);
    rd_kafka_topic_partition_list_t *ends = edges(k, l->topic, partitions, RD_KAFKA_OFFSET_END);

    if (begins && ends)
        lag = sum_lag(begins, ends, confirmed);
    if (begins)
        k->rdk.topic_partition_list_destroy(begins);
    if (ends)
        k->rdk.topic_partition_list_destroy(ends);
    return lag;
}

/* ---- the round ---- */

/* Copies the next pair that is still asked for; forgets those that are not. False: no more, or the end. */
static bool next_pair(struct kafka *k, unsigned i, struct kafka_lag *ret)
{
    uint64_t now_ms = nr_mono_ms();

    (void)pthread_mutex_lock(&k->lock);
    while (i < k->lags_n && k->lags[i].asked_ms + ASKED_MS < now_ms)
        k->lags[i] = k->lags[--k->lags_n];
    bool found = i < k->lags_n && !k->stop;

    if (found)
        *ret = k->lags[i];
    (void)pthread_mutex_unlock(&k->lock);
    return found;
}

/* Nobody but this thread moves pairs, so i is still its place. */
static void put(struct kafka *k, unsigned i, int64_t lag)
{
    (void)pthread_mutex_lock(&k->lock);
    k->lags[i].lag = lag;
    k->lags[i].looks++;
    (void)pthread_mutex_unlock(&k->lock);
}

/* Its own, made when the first pair is asked for: what takes long here holds up no producer. */
static bool open_client(struct kafka *k)
{
    struct nr_err err = {0};

    if (!k->lag_client &&
        !(k->lag_client = kafka_client(k, KAFKA_READER, NULL, &k->self, NULL, &err)))
        kafka_say(k, "%s", err.text);
    return k->lag_client;
}

void kafka_lag_end(struct kafka *k)
{
    if (k->lag_client)
        k->rdk.destroy_flags(k->lag_client, 0);
    k->lag_client = NULL;
}

void kafka_lag_look(struct kafka *k)
{
    struct kafka_lag l;

    if (!next_pair(k, 0, &l) || !open_client(k))
        return;
    (void)k->rdk.poll(k->lag_client, 0); /* errors of the client */
    for (unsigned i = 0; next_pair(k, i, &l); i++)
        put(k, i, k->connected ? look_at(k, &l) : -1);
}
