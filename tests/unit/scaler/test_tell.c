/* Alerts that another process decides reach the platform's channels: once, whatever is heard again, and whoever says so;
 * and whether anybody decides is known. */
#include "tests/unit/scaler/rig.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#define ALERT                                                                                      \
    "{\"policy\":\"p\",\"target\":{\"account\":\"guest\",\"function\":\"f\"},"                     \
    "\"evaluate_every\":\"1s\",\"bounds\":{\"min\":0,\"max\":8},\"rules\":[{\"id\":\"hot\","       \
    "\"when\":{\"metric\":\"inflight\",\"aggregate\":\"last\",\"window\":\"3s\",\"op\":\">\","     \
    "\"value\":3},\"do\":{\"action\":\"alert\"},\"notify\":[\"ops\"]}]}"
#define NODES                                                                                      \
    "{\"policy\":\"n\",\"target\":{\"nodes\":true},\"webhook\":\"ops\",\"bounds\":{\"min\":1,"     \
    "\"max\":4},\"rules\":[{\"id\":\"full\",\"when\":{\"metric\":\"node_memory_percent\","         \
    "\"aggregate\":\"avg\",\"window\":\"10s\",\"op\":\">\",\"value\":90},"                         \
    "\"do\":{\"action\":\"add\",\"count\":1}}]}"

/* Where a channel leads: answers 200 and keeps the last that it was told. */
struct receiver {
    int fd;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock;
    _Atomic bool stop;
    _Atomic unsigned count;
    char text[65536];
};

static void answer(struct receiver *h, int fd)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    size_t n = 0, length;
    ssize_t got;
    char *body, *head;

    (void)pthread_mutex_lock(&h->lock);
    memset(h->text, 0, sizeof(h->text));
    while ((got = read(fd, h->text + n, sizeof(h->text) - 1 - n)) > 0) {
        n += (size_t)got;
        if ((body = strstr(h->text, "\r\n\r\n")) == NULL ||
            (head = strcasestr(h->text, "content-length:")) == NULL)
            continue;
        length = strtoul(head + sizeof("content-length:") - 1, NULL, 10);
        if (n >= (size_t)(body + 4 - h->text) + length)
            break;
    }
    (void)pthread_mutex_unlock(&h->lock);
    (void)!write(fd, ok, sizeof(ok) - 1);
    if (got > 0)
        (void)atomic_fetch_add(&h->count, 1);
}

static void *receive(void *arg)
{
    struct receiver *h = arg;

    while (!atomic_load(&h->stop)) {
        struct pollfd p = {.fd = h->fd, .events = POLLIN};

        if (poll(&p, 1, 50) <= 0)
            continue;
        int fd = accept4(h->fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
            continue;
        answer(h, fd);
        (void)close(fd);
    }
    return NULL;
}

static void receiver_open(struct receiver *h)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);

    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(h->fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(getsockname(h->fd, (struct sockaddr *)&at, &n), 0);
    assert_int_equal(listen(h->fd, 8), 0);
    h->port = ntohs(at.sin_port);
    (void)pthread_mutex_init(&h->lock, NULL);
    assert_int_equal(pthread_create(&h->thread, NULL, receive, h), 0);
}

static void receiver_close(struct receiver *h)
{
    atomic_store(&h->stop, true);
    (void)pthread_join(h->thread, NULL);
    (void)close(h->fd);
    (void)pthread_mutex_destroy(&h->lock);
}

/* What it was told last (made). */
static json_t *told(struct receiver *h)
{
    (void)pthread_mutex_lock(&h->lock);
    const char *body = strstr(h->text, "\r\n\r\n");
    json_t *j = body ? nr_json_parse(nr_str_of(body + 4), NULL) : NULL;

    (void)pthread_mutex_unlock(&h->lock);
    assert_non_null(j);
    return j;
}

static void put(struct rig *r, enum scale_op op, const char *name, const char *body)
{
    struct rig_reply reply =
        rig_call(r, &r->admin,
                 (struct scale_call){.op = op, .name = nr_str_of(name), .body = nr_str_of(body)});

    if (reply.code != 0)
        fail_msg("%s", reply.err.text);
    rig_reply_fini(&reply);
}

/* A platform where others decide, with a channel that leads to h. */
static void only_hears(struct rig *r, struct receiver *h)
{
    char body[96];

    rig_close(r, r->scaler);
    r->scaler = rig_open(r, "data", true, false);
    (void)snprintf(body, sizeof(body), "{\"url\":\"http://127.0.0.1:%u/\"}", h->port);
    put(r, SCALE_CHANNEL_PUT, "ops", body);
}

struct expected {
    struct receiver *h;
    unsigned count;
    double inflight; /* of f, a sample a second; < 0: none */
};

static bool has_come(struct rig *r, const void *arg)
{
    const struct expected *x = arg;
    static int64_t second;

    if (x->inflight >= 0 && nr_wall_ms() / 1000 != second) {
        second = nr_wall_ms() / 1000;
        rig_sample(r, "f", x->inflight, 1);
    }
    return atomic_load(&x->h->count) >= x->count;
}

static void until_told(struct rig *r, struct expected x)
{
    rig_until(r, has_come, &x);
}

/* A decision as another process writes it. */
static void say(struct rig *r, const char *policy, int64_t t_ms, const char *more)
{
    char text[512];

    (void)snprintf(
        text, sizeof(text),
        "{%s\"by\":\"another\",\"sequence\":%lld,\"v\":1,\"kind\":\"decision\",\"t\":%lld,"
        "\"policy\":\"%s\",\"number\":1,\"fired\":[\"hot\"],\"from\":1,\"to\":2}",
        more, (long long)t_ms, (long long)t_ms, policy);
    assert_true(bus_publish(r->bus, BUS_DECISIONS, NR_STR("guest/f"), nr_str_of(text)));
}

static void test_what_a_separate_scaler_decides_is_told(void **state)
{
    struct rig *r = *state;
    struct receiver h = {.fd = -1};

    receiver_open(&h);
    only_hears(r, &h);
    struct scaler *other = rig_open(r, "other", false, true);

    put(r, SCALE_PUT, "p", ALERT);
    until_told(r, (struct expected){&h, 1, 9});
    nr_auto_json json_t *j = told(&h);
    const json_t *decision = json_object_get(j, "decision");

    assert_string_equal(nr_json_string(j, "kind"), "alert");
    assert_string_equal(nr_json_string(j, "policy"), "p");
    assert_string_equal(nr_json_string(j, "rule"), "hot");
    assert_non_null(json_object_get(decision, "inputs"));
    assert_null(json_object_get(decision, "state"));
    rig_pass(r, 1500); /* it goes on being so, and is no news */
    assert_int_equal(atomic_load(&h.count), 1);
    rig_close(r, other);
    receiver_close(&h);
}

/* Messages are told in their order by one thread, so when the last has come, all have that were told before it. */
static void test_nothing_is_told_twice(void **state)
{
    struct rig *r = *state;
    struct receiver h = {.fd = -1};
    int64_t t = nr_wall_ms() - 60000;

    receiver_open(&h);
    only_hears(r, &h);
    put(r, SCALE_PUT, "p", ALERT);
    say(r, "p", t - 3600000, "");         /* of long ago */
    say(r, "p", t, "");                   /* 1 */
    say(r, "p", t, "");                   /* again */
    say(r, "p", t, "\"again\":true,");    /* what holds */
    say(r, "p", t - 1, "");               /* another's, of before */
    say(r, "p", t + 1, "\"told\":true,"); /* by who decided */
    say(r, "none", t + 2, "");            /* of no policy */
    say(r, "p", t + 3, "");               /* 2 */
    until_told(r, (struct expected){&h, 2, -1});
    rig_close(r, r->scaler);
    assert_int_equal(atomic_load(&h.count), 2);
    r->scaler = rig_open(r, "data", true, false);
    say(r, "p", t, ""); /* history */
    say(r, "p", t + 3, "");
    say(r, "p", t + 4, "\"again\":true,"); /* 3: what was said first was missed */
    until_told(r, (struct expected){&h, 3, -1});
    rig_pass(r, 200);
    assert_int_equal(atomic_load(&h.count), 3);
    receiver_close(&h);
}

static void test_node_wishes_that_are_heard(void **state)
{
    struct rig *r = *state;
    struct receiver h = {.fd = -1};
    int64_t t = nr_wall_ms() - 60000;

    receiver_open(&h);
    only_hears(r, &h);
    put(r, SCALE_PUT, "n", NODES);
    say(r, "n", t, "\"changed\":false,");
    say(r, "n", t + 1, "\"changed\":true,");
    until_told(r, (struct expected){&h, 1, -1});
    nr_auto_json json_t *j = told(&h);

    assert_string_equal(nr_json_string(j, "kind"), "node_wish");
    assert_int_equal(json_integer_value(json_object_get(j, "to")), 2);
    receiver_close(&h);
}

/* One process that decides and has the channels tells once, not when its own decision comes back as well. */
static void test_what_is_decided_here_is_told_once(void **state)
{
    struct rig *r = *state;
    struct receiver h = {.fd = -1};
    char body[96];

    receiver_open(&h);
    (void)snprintf(body, sizeof(body), "{\"url\":\"http://127.0.0.1:%u/\"}", h.port);
    put(r, SCALE_CHANNEL_PUT, "ops", body);
    put(r, SCALE_PUT, "p", ALERT);
    until_told(r, (struct expected){&h, 1, 9});
    rig_pass(r, 1500);
    assert_int_equal(atomic_load(&h.count), 1);
    receiver_close(&h);
}

static bool is_heard(struct rig *r, const void *arg)
{
    struct rig_reply reply =
        rig_call(r, &r->admin, (struct scale_call){.op = SCALE_STATUS, .name = NR_STR("")});
    int64_t heard = json_integer_value(json_object_get(reply.json, "heard_ms"));

    rig_reply_fini(&reply);
    return heard >= *(const int64_t *)arg;
}

/* With nothing to decide it is known all the same whether anybody would. */
static void test_whether_anybody_decides_is_known(void **state)
{
    struct rig *r = *state;
    struct receiver h = {.fd = -1};
    int64_t begun = nr_wall_ms() - 1000, any = 1, later = begun + 60000;

    receiver_open(&h);
    only_hears(r, &h);
    assert_false(is_heard(r, &any));
    assert_true(bus_publish(r->bus, BUS_DECISIONS, NR_STR("scaler"),
                            NR_STR("{\"kind\":\"alive\",\"by\":\"x\",\"t\":99999999999999}")));
    struct scaler *other = rig_open(r, "other", false, true);

    rig_until(r, is_heard, &begun);
    assert_false(is_heard(r, &later));
    rig_close(r, other);
    receiver_close(&h);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_what_a_separate_scaler_decides_is_told),
        CASE(test_nothing_is_told_twice),
        CASE(test_node_wishes_that_are_heard),
        CASE(test_what_is_decided_here_is_told_once),
        CASE(test_whether_anybody_decides_is_known),
    };

    cmocka_set_test_filter(getenv("NARAE_TEST_FILTER"));
    return cmocka_run_group_tests_name("tell", tests, NULL, NULL);
}
