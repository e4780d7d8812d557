/* How librdkafka is set: our values by role in tables, then what the administrator's file says, but for the few that the bus stands on.
 */
#include <stdarg.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/bus/kafka.h"

enum { SETTINGS_FILE_MAX_BYTES = 1 << 16, QUIET_MS = 10000, LINE_BYTES = 512 };

/* ---- what we set ---- */

struct pair {
    const char *key, *value;
};

/* A broker that is back is found within seconds, also when packets vanished meanwhile. */
static const struct pair for_all[] = {
    {"socket.keepalive.enable", "true"},
    {"socket.timeout.ms", "20000"},
    {"socket.connection.setup.timeout.ms", "5000"},
    {"reconnect.backoff.ms", "100"},
    {"reconnect.backoff.max.ms", "2000"},
    {"topic.metadata.refresh.interval.ms", "30000"},
    {"allow.auto.create.topics", "false"}, /* made by kafka_watch.c, with their settings */
    {"log.connection.close", "false"},
    {"log_level", "4"},
    {NULL, NULL},
};

/* Idempotence: what a broker that stood still has taken twice it keeps once, and in order. */
static const struct pair for_producer[] = {
    {"enable.idempotence", "true"},
    {"linger.ms", "20"},
    {"queue.buffering.max.messages", "21000"}, /* with the reserve; the bounds are ours */
    {"queue.buffering.max.kbytes", "33792"},
    {"message.max.bytes", "1100000"},
    {"message.timeout.ms", "300000"},
    {"partitioner",
     "murmur2_random"}, /* as Java's clients: a key has the same partition from everybody */
    {NULL, NULL},
};

/* librdkafka waits a second when the queue of a partition is full: the queue is bounded by its bytes, and has room for many seconds of samples. */
static const struct pair for_reader[] = {
    {"enable.auto.commit", "false"},
    {"auto.offset.reset", "earliest"},
    {"fetch.message.max.bytes", "1100000"},
    {"fetch.max.bytes", "4194304"},
    {"queued.max.messages.kbytes", "8192"},
    {"queued.min.messages", "100000"},
    {"fetch.error.backoff.ms", "200"},
    {"enable.partition.eof", "true"}, /* kafka_heard.c */
    {NULL, NULL},
};

static const struct pair for_member[] = {
    {"enable.auto.commit", "false"},
    {"auto.offset.reset", "latest"},
    {"partition.assignment.strategy", "range"},
    {"session.timeout.ms", "6000"}, /* KAFKA_SESSION_MS */
    {"heartbeat.interval.ms", "1000"},
    {"max.poll.interval.ms", "60000"},
    {NULL, NULL},
};

static const struct pair *const by_role[] = {
    [KAFKA_PRODUCER] = for_producer,
    [KAFKA_READER] = for_reader,
    [KAFKA_MEMBER] = for_member,
};

/* Not for the file: an option of ours has its place, or the bus would not be what it says. */
static const char *const ours[] = {
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.instance.id",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "message.max.bytes",
    "partitioner",
    "enable.auto.commit",
    "allow.auto.create.topics",
    "plugin.library.paths",
    "opaque",
};

/* ---- the file ---- */

static struct nr_str trim(struct nr_str s)
{
    while (s.n && strchr(" \t\r", s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && strchr(" \t\r", s.p[s.n - 1]))
        s.n--;
    return s;
}

static int judge(struct kafka *k, rd_kafka_conf_t *conf, const char *file, unsigned line,
                 const struct kafka_setting *s, struct nr_err *err)
{
    char why[256] = "";

    for (size_t i = 0; i < nr_countof(ours); i++) {
        if (strcmp(s->key, ours[i]) == 0)
            return nr_err_set(err, NR_EINVAL, "%s:%u: \"%s\" is set by naraed itself", file, line,
                              s->key);
    }
    if (k->rdk.conf_set(conf, s->key, s->value, why, sizeof(why)) == RD_KAFKA_CONF_OK)
        return 0;
    /* The reason may repeat the value, and that may be a password. */
    if (strstr(s->key, "password") || strstr(s->key, "secret") || strstr(s->key, "pem"))
        (void)snprintf(why, sizeof(why), "its value is not accepted");
    return nr_err_set(err, NR_EINVAL, "%s:%u: \"%.64s\": %s", file, line, s->key, why);
}

static int read_line(struct kafka *k, rd_kafka_conf_t *conf, const char *file, unsigned number,
                     struct nr_str line, struct nr_err *err)
{
    struct nr_str key;

    line = trim(line);
    if (line.n == 0 || line.p[0] == '#')
        return 0;
    if (!memchr(line.p, '=', line.n) || !nr_str_split(&line, '=', &key) || trim(key).n == 0)
        return nr_err_set(err, NR_EINVAL, "%s:%u: a line is KEY=VALUE", file, number);
    struct kafka_setting *s = &k->settings[k->settings_n++];

    key = trim(key);
    line = trim(line);
    s->key = nr_strndup(key.p, key.n);
    s->value = line.n ? nr_strndup(line.p, line.n) : nr_strdup("");
    return judge(k, conf, file, number, s, err);
}

int kafka_settings_read(struct kafka *k, const char *file, struct nr_err *err)
{
    char *text;
    size_t n;
    unsigned number = 0, lines = 1;
    int r;

    if (!file)
        return 0;
    if ((r = nr_file_read(file, SETTINGS_FILE_MAX_BYTES, &text, &n, err)) != 0)
        return nr_err_wrap(err, r, "--kafka-settings");
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    k->settings = nr_alloc(lines * sizeof(*k->settings));
    rd_kafka_conf_t *conf = k->rdk.conf_new();
    struct nr_str rest = {text, n}, line;

    while (r == 0 && nr_str_split(&rest, '\n', &line))
        r = read_line(k, conf, file, ++number, line, err);
    k->rdk.conf_destroy(conf);
    nr_str_wipe((struct nr_str){text, n});
    free(text);
    return r;
}

void kafka_settings_free(struct kafka *k)
{
    for (size_t i = 0; i < k->settings_n; i++) {
        free(k->settings[i].key);
        nr_str_wipe(nr_str_of(k->settings[i].value));
        free(k->settings[i].value);
    }
    free(k->settings);
}

int kafka_brokers_judge(const char *brokers, struct nr_err *err)
{
    struct nr_str rest = nr_str_of(brokers), one;

    while (nr_str_split(&rest, ',', &one)) {
        const char *colon = one.n ? memrchr(one.p, ':', one.n) : NULL;
        size_t host = colon ? (size_t)(colon - one.p) : one.n;
        int64_t port;

        if (host == 0 || memchr(one.p, ' ', one.n) || memchr(one.p, '/', one.n) ||
            (colon &&
             !nr_str_to_i64((struct nr_str){colon + 1, one.n - host - 1}, 1, 65535, &port)))
            return nr_err_set(
                err, NR_EINVAL,
                "--kafka: \"%.*s\" is not HOST:PORT with a port of 1 to 65535 (like 127.0.0.1:9092)",
                one.n < 128 ? (int)one.n : 128, one.p ? one.p : "");
    }
    return 0;
}

/* ---- clients ---- */

void kafka_say(struct kafka *k, const char *fmt, ...)
{
    uint64_t now_ms = nr_mono_ms(), until_ms = atomic_load(&k->quiet_until_ms);
    char text[LINE_BYTES];
    va_list args;

    if (now_ms < until_ms ||
        !atomic_compare_exchange_strong(&k->quiet_until_ms, &until_ms, now_ms + QUIET_MS)) {
        nr_count(&k->silenced, 1);
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    uint64_t silenced = atomic_exchange(&k->silenced, 0);

    if (silenced)
        nr_log(k->bus.log, NR_LOG_WARN, "bus", "%s (and %llu lines before it)", text,
               (unsigned long long)silenced);
    else
        nr_log(k->bus.log, NR_LOG_WARN, "bus", "%s", text);
}

static struct kafka *kafka_by(void *opaque)
{
    return *(struct kafka **)opaque;
}

/* rk is NULL while a client is being made; what is wrong then is in the answer of new(). */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct kafka *k = kafka_by(opaque);

    (void)rk;
    nr_count(&k->broker_errors, 1);
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        k->connected = false;
    else if (code == RD_KAFKA_RESP_ERR__FATAL)
        k->fatal = true;
    kafka_say(k, "broker: %s: %s", k->rdk.err2str((rd_kafka_resp_err_t)code), reason);
}

static void set(struct kafka *k, rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[256];

    if (k->rdk.conf_set(conf, key, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        nr_log(k->bus.log, NR_LOG_WARN, "bus", "librdkafka does not take %s=%s: %s", key, value,
               why);
}

rd_kafka_t *kafka_client(struct kafka *k, enum kafka_role role, const char *group,
                         struct kafka **opaque,
                         void (*rebalanced)(rd_kafka_t *, rd_kafka_resp_err_t,
                                            rd_kafka_topic_partition_list_t *, void *),
                         struct nr_err *err)
{
    rd_kafka_conf_t *conf = k->rdk.conf_new();
    char why[256];

    set(k, conf, "bootstrap.servers", k->brokers);
    set(k, conf, "client.id", k->client);
    for (const struct pair *p = for_all; p->key; p++)
        set(k, conf, p->key, p->value);
    for (const struct pair *p = by_role[role]; p->key; p++)
        set(k, conf, p->key, p->value);
    for (size_t i = 0; i < k->settings_n; i++)
        set(k, conf, k->settings[i].key, k->settings[i].value);
    if (group)
        set(k, conf, "group.id", group);
    k->rdk.conf_set_opaque(conf, opaque);
    k->rdk.conf_set_log_cb(conf, NULL); /* what matters comes to on_error */
    k->rdk.conf_set_error_cb(conf, on_error);
    if (role == KAFKA_PRODUCER)
        k->rdk.conf_set_dr_msg_cb(conf, kafka_on_delivered);
    if (rebalanced)
        k->rdk.conf_set_rebalance_cb(conf, rebalanced);
    rd_kafka_t *rk = k->rdk.new(role == KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER,
                                conf, why, sizeof(why));

    if (rk)
        return rk;
    k->rdk.conf_destroy(conf);
    (void)nr_err_set(err, NR_EUNAVAIL, "no client for Kafka: %s", why);
    return NULL;
}
