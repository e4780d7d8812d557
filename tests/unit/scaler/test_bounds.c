/* What one may cost the others: one replay at a time, one dead channel, memory of policies that are gone; what is kept has an end.
 */
#include "tests/unit/scaler/rig.h"

#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "scaler/channels.h"
#include "scaler/store.h"

#define TRACK(name, function)                                                                      \
    "{\"policy\":\"" name "\",\"target\":{\"account\":\"guest\",\"function\":\"" function "\"},"   \
    "\"evaluate_every\":\"1s\",\"bounds\":{\"min\":1,\"max\":8}"                                   \
    ",\"rules\":[{\"id\":\"busy\",\"when\":{\"metric\":\"inflight\",\"aggregate\":\"last\","       \
    "\"window\":\"3s\"},\"do\":{\"action\":\"track\",\"target\":1}}]}"

enum { AT_ONCE = 20, TOLD = 25 };

static struct rig_reply ask(struct rig *r, enum scale_op op, const char *name, const char *body)
{
    return rig_call(
        r, &r->admin,
        (struct scale_call){.op = op, .name = nr_str_of(name), .body = nr_str_of(body)});
}

static int64_t number(const json_t *j, const char *name)
{
    const json_t *n = json_object_get(j, name);

    assert_true(json_is_number(n));
    return (int64_t)json_number_value(n);
}

static void put(struct rig *r, const char *name, const char *body)
{
    struct rig_reply reply = ask(r, SCALE_PUT, name, body);

    if (reply.code != 0)
        fail_msg("%s", reply.err.text);
    rig_reply_fini(&reply);
}

static bool is_wished(struct rig *r, const void *arg)
{
    const struct rig_wish *w = rig_wish_for(r, arg);

    return w && w->desired > 0;
}

static bool has_heard(struct rig *r, const void *arg)
{
    struct rig_reply reply = ask(r, SCALE_STATUS, "", "");
    bool heard = number(reply.json, "samples") >= *(const int64_t *)arg;

    rig_reply_fini(&reply);
    return heard;
}

/* ---- replays ------------------------------------------------------------------------------------------------ */

struct several {
    struct scale_call call[AT_ONCE];
    unsigned done, good, refused;
};

static void on_done(struct scale_call *c)
{
    struct several *all = c->owner;

    all->done++;
    all->good += c->err.code == 0;
    all->refused += c->err.code == NR_EQUOTA;
    nr_buf_fini(&c->reply);
}

static bool all_done(struct rig *r, const void *arg)
{
    (void)r;
    return ((const struct several *)arg)->done == AT_ONCE;
}

static void ask_at_once(struct rig *r, struct several *all, enum scale_op op, const char *body)
{
    *all = (struct several){0};
    for (unsigned i = 0; i < AT_ONCE; i++) {
        all->call[i] = (struct scale_call){.op = op,
                                           .account = &r->admin,
                                           .admin = true,
                                           .name = NR_STR("p"),
                                           .body = nr_str_of(body),
                                           .done = on_done,
                                           .owner = all};
        scaler_post(r->scaler, &all->call[i]);
    }
    rig_until(r, all_done, all);
}

static void test_one_replay_at_a_time(void **state)
{
    struct rig *r = *state;
    struct several all;

    put(r, "p", TRACK("p", "f"));
    rig_until(r, is_wished, "guest//f");
    ask_at_once(r, &all, SCALE_REPLAY, "");
    assert_in_range(all.good, 1, AT_ONCE - 1);
    assert_int_equal(all.good + all.refused, AT_ONCE);
    ask_at_once(r, &all, SCALE_CHECK, TRACK("p", "f")); /* answered, with or without a replay */
    assert_int_equal(all.good, AT_ONCE);
    ask_at_once(r, &all, SCALE_EXPLAIN, "");
    assert_int_equal(all.good, AT_ONCE);
    struct rig_reply reply = ask(r, SCALE_REPLAY, "p", "");

    assert_int_equal(reply.code, 0); /* and the next one is welcome again */
    rig_reply_fini(&reply);
}

static void test_a_replay_nobody_waits_for_is_given_up(void **state)
{
    struct rig *r = *state;

    put(r, "p", TRACK("p", "f"));
    rig_until(r, is_wished, "guest//f");
    struct rig_reply reply = rig_call(
        r, &r->admin, (struct scale_call){.op = SCALE_REPLAY, .name = NR_STR("p"), .gone = true});

    assert_int_equal(reply.code, NR_ECANCELED);
    rig_reply_fini(&reply);
    reply = ask(r, SCALE_REPLAY, "p", "");
    assert_int_equal(reply.code, 0);
    rig_reply_fini(&reply);
}

/* Samples of "off" are not those of "f", though its name is in theirs. */
static void test_a_replay_reads_samples_of_its_functions_only(void **state)
{
    struct rig *r = *state;
    int64_t told = 2 * TOLD;

    put(r, "p", TRACK("p", "f"));
    rig_until(r, is_wished, "guest//f");
    for (unsigned i = 0; i < TOLD; i++)
        rig_sample(r, i % 5 == 0 ? "f" : "off", 1, 1);
    rig_until(r, has_heard, &told);
    struct rig_reply reply = ask(r, SCALE_REPLAY, "p", "");

    assert_int_equal(number(reply.json, "samples"), TOLD + TOLD / 5); /* the node's, and f's */
    rig_reply_fini(&reply);
}

/* ---- what policies remember --------------------------------------------------------------------------------- */

struct expected {
    const char *what, *function;
    int desired;
};

/* Tells a sample a second of as many calls in flight as containers are expected. */
static bool is_wished_so(struct rig *r, const void *arg)
{
    const struct expected *x = arg;
    const struct rig_wish *w = rig_wish_for(r, x->what);
    static int64_t second;

    if (x->function && nr_wall_ms() / 1000 != second) {
        second = nr_wall_ms() / 1000;
        rig_sample(r, x->function, x->desired, 1);
    }
    return w && w->desired == x->desired;
}

static void until_wished(struct rig *r, struct expected x)
{
    rig_until(r, is_wished_so, &x);
}

static void assert_only_wished(const struct rig *r, const char *what, int desired)
{
    for (unsigned i = 0; i < r->wishes; i++)
        if (strcmp(r->wish[i].what, what) == 0)
            assert_int_equal(r->wish[i].desired, desired);
}

static int64_t evaluations(struct rig *r)
{
    struct rig_reply reply = ask(r, SCALE_STATUS, "", "");
    int64_t n = number(reply.json, "evaluations");

    rig_reply_fini(&reply);
    return n;
}

static bool has_evaluated(struct rig *r, const void *arg)
{
    return evaluations(r) >= *(const int64_t *)arg;
}

/* Some more evaluations. */
static void pass_evaluations(struct rig *r)
{
    int64_t n = evaluations(r) + 3;

    rig_until(r, has_evaluated, &n);
}

static void test_a_policy_that_scales_something_else_begins_anew(void **state)
{
    struct rig *r = *state;

    put(r, "p", TRACK("p", "f"));
    until_wished(r, (struct expected){"guest//f", "f", 5});
    put(r, "p", TRACK("p", "g"));
    until_wished(r, (struct expected){"guest//g", NULL, 1});
    pass_evaluations(r);
    assert_only_wished(r, "guest//g", 1);
    until_wished(r, (struct expected){"guest//f", NULL, -1});
}

/* Closed and opened again so that the one on its own is there first, and decides. */
static void reopen_both(struct rig *r, struct scaler **own)
{
    struct scaler *none = r->scaler;
    int64_t some = 1;

    if (*own)
        rig_close(r, *own);
    if (none)
        rig_close(r, none);
    r->wishes = 0;
    r->scaler = *own = rig_open(r, "own", false, true);
    for (bool heard = false; !heard;) {
        rig_sample(r, "h", 1, 1);
        rig_pass(r, 50);
        heard = has_heard(r, &some);
    }
    r->scaler = rig_open(r, "data", true, true);
}

/* Evaluations of the one on its own. */
static void pass_own(struct rig *r, struct scaler *own)
{
    struct scaler *platform = r->scaler;

    r->scaler = own;
    pass_evaluations(r);
    r->scaler = platform;
}

static void test_a_scaler_of_its_own_forgets_policies_that_are_gone(void **state)
{
    struct rig *r = *state;
    struct scaler *own = NULL;

    reopen_both(r, &own);
    put(r, "p", TRACK("p", "f"));
    until_wished(r, (struct expected){"guest//f", "f", 5});
    reopen_both(r, &own); /* what it remembers outlives a restart */
    pass_own(r, own);
    assert_only_wished(r, "guest//f", 5);
    assert_int_equal(evaluations(r), 0);
    struct rig_reply reply = ask(r, SCALE_DELETE, "p", ""); /* while it listens */

    rig_reply_fini(&reply);
    put(r, "p", TRACK("p", "f"));
    until_wished(r, (struct expected){"guest//f", NULL, 1});
    until_wished(r, (struct expected){"guest//f", "f", 4});
    rig_close(r, own); /* and while it does not */
    own = NULL;
    reply = ask(r, SCALE_DELETE, "p", "");
    rig_reply_fini(&reply);
    put(r, "p", TRACK("p", "g"));
    reopen_both(r, &own);
    pass_own(r, own);
    struct scaler *platform = r->scaler;

    r->scaler = own;
    reply = ask(r, SCALE_LIST, "", "");
    r->scaler = platform;
    assert_int_equal(number(json_array_get(json_object_get(reply.json, "policies"), 0), "desired"),
                     1);
    rig_reply_fini(&reply);
    rig_close(r, own);
}

/* ---- decisions ---------------------------------------------------------------------------------------------- */

static int count_row(void *arg, sqlite3_stmt *st)
{
    int64_t *n = arg;

    n[0]++;
    n[1] = sqlite3_column_int64(st, 0);
    return 0;
}

static void add_decisions(struct store *s, unsigned n, int64_t t_ms, const char *record)
{
    for (unsigned i = 0; i < n; i++)
        store_post(s,
                   "INSERT INTO decisions(t, name, number, record, bytes) "
                   "VALUES(?1, 'p', 1, ?2, length(CAST(?2 AS BLOB)) + 100)",
                   "it", t_ms + i, nr_str_of(record));
}

static void test_decisions_have_an_end(void **state)
{
    struct rig *r = *state;
    struct store *s = NULL;
    struct nr_err err = {0};
    int64_t n[2] = {0};

    assert_int_equal(store_open(r->folder, &s, &err), 0);
    add_decisions(s, 100, 1000, "0123456789");
    store_trim_decisions(s, 2000, 0, 0); /* no bound */
    store_settle(s);
    assert_int_equal(store_read(s, count_row, n, "SELECT t FROM decisions ORDER BY t", ""), 0);
    assert_int_equal(n[0], 100);
    store_trim_decisions(s, 2000, 0, 110 * 30); /* the newest 30 stay */
    store_settle(s);
    n[0] = 0;
    assert_int_equal(store_read(s, count_row, n, "SELECT t FROM decisions ORDER BY t DESC", ""), 0);
    assert_int_equal(n[0], 30);
    assert_int_equal(n[1], 1070);
    store_trim_decisions(s, 2090, 1, 0); /* older than a second */
    store_settle(s);
    n[0] = 0;
    assert_int_equal(store_read(s, count_row, n, "SELECT t FROM decisions ORDER BY t DESC", ""), 0);
    assert_int_equal(n[0], 10);
    store_close(s);
}

/* ---- channels ----------------------------------------------------------------------------------------------- */

enum { TELLINGS = 5 };

/* Answers one request after the other until its socket is shut. */
static void *serve(void *arg)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    int at, *listening = arg;
    char request[4096];

    while ((at = accept(*listening, NULL, NULL)) >= 0) {
        if (read(at, request, sizeof(request)) > 0)
            (void)!write(at, answer, sizeof(answer) - 1);
        (void)close(at);
    }
    return NULL;
}

/* A socket of 127.0.0.1 and its port. */
static int listen_here(unsigned *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(s, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(s, 8), 0);
    assert_int_equal(getsockname(s, (struct sockaddr *)&a, &n), 0);
    *ret_port = ntohs(a.sin_port);
    return s;
}

static bool is_told(struct rig *r, const void *arg)
{
    struct channels *c = *(struct channels *const *)arg;

    (void)r;
    return channels_stats(c).told >= TELLINGS;
}

static void set_channel(struct channels *c, const char *name, unsigned port)
{
    struct nr_err err = {0};
    char url[64];
    int n = snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);

    assert_int_equal(channel_put(c, nr_str_of(name), (struct nr_str){url, (size_t)n}, 1, &err), 0);
}

/* What is for the dead one is tried three times, seconds apart; the others are told meanwhile. */
static void test_a_dead_channel_holds_up_no_other(void **state)
{
    struct rig *r = *state;
    struct store *s = NULL;
    struct nr_err err = {0};
    unsigned port, none;
    pthread_t server;
    int listening = listen_here(&port), gone = listen_here(&none);

    (void)close(gone); /* nobody answers there now */
    assert_int_equal(pthread_create(&server, NULL, serve, &listening), 0);
    assert_int_equal(store_open(r->folder, &s, &err), 0);
    struct channels *c = channels_open(s, &r->log);

    r->log.level = NR_LOG_ERROR;
    set_channel(c, "dead", none);
    set_channel(c, "good", port);
    for (unsigned i = 0; i < TELLINGS; i++)
        assert_true(channel_tell(c, "dead", NR_STR("{}")));
    for (unsigned i = 0; i < TELLINGS; i++)
        assert_true(channel_tell(c, "good", NR_STR("{}")));
    rig_until(r, is_told, &c);
    assert_int_equal(channels_stats(c).failed, 0);
    unsigned more = 0;

    while (channel_tell(c, "dead", NR_STR("{}")))
        more++;
    assert_in_range(more, 1, 40); /* it has room for so many, and others for theirs */
    assert_true(channel_tell(c, "good", NR_STR("{}")));
    channels_close(c);
    store_close(s);
    (void)shutdown(listening, SHUT_RDWR);
    (void)pthread_join(server, NULL);
    (void)close(listening);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_one_replay_at_a_time),
        CASE(test_a_replay_nobody_waits_for_is_given_up),
        CASE(test_a_replay_reads_samples_of_its_functions_only),
        CASE(test_a_policy_that_scales_something_else_begins_anew),
        CASE(test_a_scaler_of_its_own_forgets_policies_that_are_gone),
        CASE(test_decisions_have_an_end),
        CASE(test_a_dead_channel_holds_up_no_other),
    };

    cmocka_set_test_filter(getenv("NARAE_TEST_FILTER"));
    return cmocka_run_group_tests_name("bounds", tests, NULL, NULL);
}
