/* The bus over Kafka: how it opens and ends, and its threads.
 *
 * Opening needs no broker: librdkafka looks for it in the background. At the end what waits has its time (half a second when the
 * broker is away, for it will not come), then is dropped and counted; threads that hang in a call to the broker or to the resolver
 * are waited for another second, and else left alone; the last of them frees what is left.
 */
#include "common/bus/kafka.h"

#include <signal.h>

#include "common/base/clock.h"

enum { AWAY_FLUSH_MS = 500, THREADS_END_MS = 1000 };

static void free_all(struct kafka *k)
{
    kafka_settings_free(k);
    free(k->brokers);
    free(k->prefix);
    free(k->client);
    (void)pthread_rwlock_destroy(&k->producer_lock);
    (void)pthread_cond_destroy(&k->changed);
    (void)pthread_mutex_destroy(&k->lock);
    free(k);
}

/* ---- threads ---- */

struct thread_start {
    struct kafka *k;
    void (*run)(void *arg);
    void *arg;
};

static void *thread_main(void *arg)
{
    struct thread_start s = *(struct thread_start *)arg;

    free(arg);
    s.run(s.arg);
    (void)pthread_mutex_lock(&s.k->lock);
    bool last = --s.k->threads == 0 && s.k->left;

    (void)pthread_cond_broadcast(&s.k->changed);
    (void)pthread_mutex_unlock(&s.k->lock);
    if (last)
        free_all(s.k);
    return NULL;
}

bool kafka_spawn(struct kafka *k, void (*run)(void *arg), void *arg)
{
    struct thread_start *s = nr_alloc(sizeof(*s));
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t all, before;

    *s = (struct thread_start){k, run, arg};
    (void)pthread_mutex_lock(&k->lock);
    k->threads++;
    (void)pthread_mutex_unlock(&k->lock);
    (void)pthread_attr_init(&detached);
    (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool runs = pthread_create(&thread, &detached, thread_main, s) == 0;

    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&detached);
    if (runs)
        return true;
    free(s);
    (void)pthread_mutex_lock(&k->lock);
    k->threads--;
    (void)pthread_mutex_unlock(&k->lock);
    return false;
}

void kafka_wait(struct kafka *k, unsigned ms)
{
    struct timespec until = nr_mono_after(ms);

    (void)pthread_mutex_lock(&k->lock);
    if (!k->stop)
        (void)pthread_cond_timedwait(&k->changed, &k->lock, &until);
    (void)pthread_mutex_unlock(&k->lock);
}

void kafka_wake(struct kafka *k)
{
    (void)pthread_mutex_lock(&k->lock);
    (void)pthread_cond_broadcast(&k->changed);
    (void)pthread_mutex_unlock(&k->lock);
}

/* ---- life ---- */

/* The last thread: it gives the producer back when no other uses it any more. */
static void end_producer(void *arg)
{
    struct kafka *k = arg;

    (void)pthread_mutex_lock(&k->lock);
    while (k->threads > 1)
        (void)pthread_cond_wait(&k->changed, &k->lock);
    (void)pthread_mutex_unlock(&k->lock);
    kafka_produce_free(k);
}

static void kafka_close(struct bus *b, uint32_t flush_ms)
{
    struct kafka *k = kafka_of(b);
    struct timespec until;

    kafka_produce_end(k, k->connected || flush_ms < AWAY_FLUSH_MS ? flush_ms : AWAY_FLUSH_MS);
    k->stop = true;
    kafka_wake(k);
    until = nr_mono_after(THREADS_END_MS);
    if (!kafka_spawn(k, end_producer, k))
        return;
    (void)pthread_mutex_lock(&k->lock);
    while (k->threads > 0 && pthread_cond_timedwait(&k->changed, &k->lock, &until) == 0)
        ;
    bool left = k->left = k->threads > 0; /* the last of them frees it */

    if (left)
        nr_log(k->bus.log, NR_LOG_INFO, "bus",
               "%u threads still wait for the broker: not waited for", k->threads);
    (void)pthread_mutex_unlock(&k->lock);
    if (!left)
        free_all(k);
}

static bool kafka_connected(struct bus *b)
{
    return kafka_of(b)->connected;
}

static void kafka_metrics(struct bus *b, struct nr_buf *out)
{
    struct kafka *k = kafka_of(b);

    nr_metric_one(out, "narae_bus_broker_errors_total", "counter",
                  "Errors that librdkafka told of: brokers away, refusals.",
                  (double)atomic_load(&k->broker_errors));
}

static const struct bus_kind kafka_kind = {
    .publish = kafka_publish,
    .read = kafka_read,
    .unread = kafka_unread,
    .owns = kafka_owns,
    .heard_ms = kafka_heard_ms,
    .lag = kafka_lag,
    .connected = kafka_connected,
    .metrics = kafka_metrics,
    .close = kafka_close,
};

static int name_topics(struct kafka *k, struct nr_err *err)
{
    size_t n = strlen(k->prefix);

    if (n == 0 || n > 200 ||
        strspn(k->prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != n)
        return nr_err_set(
            err, NR_EINVAL,
            "--kafka-prefix: \"%.64s\" is no beginning of a topic's name: 1 to 200 of A-Z a-z 0-9 . _ -",
            k->prefix);
    for (unsigned i = 0; i < BUS_TOPICS; i++)
        (void)snprintf(k->topic_names[i], sizeof(k->topic_names[i]), "%s.%s", k->prefix,
                       bus_topic_name((enum bus_topic)i));
    return 0;
}

static void init_locks(struct kafka *k)
{
    (void)pthread_rwlock_init(&k->producer_lock, NULL);
    (void)pthread_mutex_init(&k->lock, NULL);
    nr_mono_cond_init(&k->changed);
}

int bus_kafka_open(const struct bus_config *c, struct bus **ret, struct nr_err *err)
{
    struct kafka *k = nr_alloc(sizeof(*k));
    int r;

    k->bus.kind = &kafka_kind;
    k->bus.log = c->log;
    k->self = k;
    k->brokers = nr_strdup(c->brokers);
    k->prefix = nr_strdup(c->prefix ? c->prefix : "narae");
    k->client = nr_strdup(c->client ? c->client : "narae");
    init_locks(k);
    if ((r = kafka_brokers_judge(k->brokers, err)) != 0 || (r = name_topics(k, err)) != 0 ||
        (r = rdk_load(&k->rdk, err)) != 0 ||
        (r = kafka_settings_read(k, c->settings_file, err)) != 0 ||
        (r = kafka_produce_open(k, err)) != 0) {
        free_all(k);
        return r;
    }
    if (!kafka_spawn(k, kafka_serve, k) || !kafka_spawn(k, kafka_watch, k)) {
        kafka_close(&k->bus, 0);
        return nr_err_set(err, NR_EBUSY, "no thread for the bus");
    }
    *ret = &k->bus;
    return 0;
}
