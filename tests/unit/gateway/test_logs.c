/* A stream of logs with a scripted store: what is written when, what a slow client costs and loses, how it ends. */
#include "tests/unit/gateway/fakes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LOGS "/narae/v1/functions/f/logs"
#define KEY "authorization: " GOOD_HEADER "\n"
#define EVENTS KEY "accept: text/event-stream\n"
#define KB 1024

static const char *id_of(int n)
{
    static char id[33];

    (void)snprintf(id, sizeof(id), "%032d", n);
    return id;
}

static struct gateway_request *begin(struct fakes *f, const char *target, const char *headers,
                                     int stored)
{
    struct gateway_request *q = ask(f, NR_HTTP_GET, target, headers, NULL);
    char ids[64 * 32 + 1] = "";

    assert_int_equal(f->call->op, FN_ACTION_GET);
    answer_call(f, 200, "{}");
    assert_int_equal(f->query->op, QUERY_LOG_IDS);
    for (int i = 0; i < stored; i++)
        memcpy(ids + 32 * i, id_of(i), 32);
    answer_query(f, 0, ids);
    return q;
}

static void ended(struct fakes *f, int n, struct nr_str logs)
{
    const struct activation_log l = {.id = {id_of(n), 32},
                                     .logs = logs,
                                     .start = NR_STR("warm"),
                                     .status = OUTCOME_APPLICATION_ERROR,
                                     .end_ms = 12,
                                     .duration_ms = 3};

    f->follower->on_end(f->follower, &l);
}

/* The store answers: the logs of all ids that were asked for. */
static int answer_read(struct fakes *f, const char *text)
{
    struct log_query *l = nr_container_of(f->query, struct log_query, q);

    assert_int_equal(l->q.op, QUERY_LOG_READ);
    l->read = (unsigned)(l->ids.n / 32);
    int n = (int)l->read;

    answer_query(f, 0, text);
    return n;
}

static bool sent(const struct fakes *f, const char *text)
{
    bool there = memmem(f->parts.p, f->parts.n, text, strlen(text)) != NULL;

    if (!there)
        print_error("%.*s\n", (int)f->parts.n, f->parts.p);
    return there;
}

/* Until the store is asked. */
static void turn(struct fakes *f)
{
    for (int i = 0; i < 100 && f->query == NULL; i++)
        (void)uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_non_null(f->query);
}

static void drained(void *arg)
{
    *(bool *)arg = true;
}

static void drain(struct fakes *f)
{
    bool told = false;

    gateway_drain(f->gateway, drained, &told);
    assert_true(told);
}

static void test_stored_only(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = begin(f, LOGS "?limit=7", KEY, 3);

    assert_null(f->follower);
    assert_int_equal(answer_read(f, "lines\n"), 3);
    assert_int_equal(f->answer.count, 1);
    assert_string_equal(f->answer.body, "lines\n");
    assert_non_null(strstr(f->answer.head, "Content-Type: text/plain; charset=utf-8\r\n"));
    request_over(f, q);
    fakes_close(f);
}

static void test_what_is_asked_of_the_store(void **state)
{
    static const struct {
        const char *target, *headers;
        int limit;
        int64_t since_ms;
    } rows[] = {
        {LOGS, KEY, 10, 0},
        {LOGS "?limit=0", KEY, 0, 0},
        {LOGS "?since=5", KEY, 200, 5},
        {LOGS "?since=5&limit=3", KEY, 3, 5},
        {LOGS, KEY "last-event-id: 00000000000000000000000000000007\n", 1024, 0},
        {LOGS "?limit=2", KEY "last-event-id: 00000000000000000000000000000007\n", 1024, 0},
        {LOGS, KEY "last-event-id: 7\n", 10, 0},
    };
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct gateway_request *q = ask(f, NR_HTTP_GET, rows[i].target, rows[i].headers, NULL);
        answer_call(f, 200, "{}");
        struct log_query *l = nr_container_of(f->query, struct log_query, q);

        assert_int_equal(l->q.limit, rows[i].limit);
        assert_int_equal(l->ended_since_ms, rows[i].since_ms);
        assert_int_equal(l->after_id.n, rows[i].limit == 1024 ? 32 : 0);
        assert_true(nr_str_eqz(l->q.name, "f"));
        answer_query(f, 0, "");
        assert_int_equal(f->answer.status, 200);
        request_over(f, q);
    }
    fakes_close(f);
}

static void test_events_as_they_end(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = begin(f, LOGS "?follow=1", EVENTS, 0);

    assert_non_null(f->follower);
    ended(f, 4, NR_STR("say \"hi\"\n\n"));
    assert_true(sent(f, "id: 00000000000000000000000000000004\nevent: activation\ndata: "
                        "{\"activationId\":\"00000000000000000000000000000004\",\"start\":\"warm\","
                        "\"status\":\"application error\",\"end\":12,\"duration\":3,\"logs\":"
                        "[\"say \\\"hi\\\"\",\"\"]}\n\n"));
    ended(f, 5, NR_STR(""));
    assert_true(sent(f, "\"logs\":[]}\n\n"));
    assert_int_equal(f->answer.count, 0);
    q->http.gone = true;
    f->hooks->on_gone(&q->http);
    assert_int_equal(f->answer.count, 1);
    assert_null(f->follower);
    request_over(f, q);
    fakes_close(f);
}

/* What ends between following and listing is in both: it is written once, behind what is stored. */
static void test_nothing_twice_or_lost_at_the_seam(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_GET, LOGS "?follow=1", KEY, NULL);
    char ids[2 * 32 + 1];

    answer_call(f, 200, "{}");
    ended(f, 1, NR_STR("one\n"));
    ended(f, 2, NR_STR("two\n"));
    (void)snprintf(ids, sizeof(ids), "%032d%032d", 0, 1);
    answer_query(f, 0, ids);
    struct log_query *l = nr_container_of(f->query, struct log_query, q);
    assert_int_equal(l->ids.n, 3 * 32);
    for (int i = 0; i < 3; i++)
        assert_memory_equal(l->ids.p + 32 * i, id_of(i), 32);
    ended(f, 3, NR_STR("three\n")); /* while the store reads: it waits for its turn */
    assert_int_equal(answer_read(f, "three of them\n"), 3);
    assert_int_equal(answer_read(f, "and it\n"), 1);
    ended(f, 4, NR_STR("direct\n"));
    assert_true(sent(f, "three of them\nand it\n00000000000000000000000000000004 direct\n"));
    f->waits = 0;
    drain(f);
    assert_int_equal(f->answer.count, 1);
    request_over(f, q);
    fakes_close(f);
}

static void test_a_large_log_comes_from_the_store(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = begin(f, LOGS "?follow=1", EVENTS, 0);
    char *large = nr_alloc(65 * KB);

    memset(large, 'x', 65 * KB);
    ended(f, 1, (struct nr_str){large, 64 * KB});
    assert_null(f->query);
    ended(f, 2, (struct nr_str){large, 65 * KB});
    assert_null(f->query); /* never from inside the controller's story */
    turn(f);
    assert_non_null(f->query);
    assert_int_equal(answer_read(f, "large"), 1);
    drain(f);
    assert_true(strstr(f->answer.body, "largeevent: end\ndata: {\"reason\":\"stopping\"}\n\n") !=
                NULL);
    free(large);
    request_over(f, q);
    fakes_close(f);
}

static void test_a_slow_client_loses_what_it_is_told(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = begin(f, LOGS "?follow=1", EVENTS, 0);
    size_t before;
    int got = 0;

    f->waits = 257 * KB;
    ended(f, 0, NR_STR("fills\n")); /* what was told before was that nothing waits */
    before = f->parts.n;
    for (int i = 1; i <= 1500; i++)
        ended(f, i, NR_STR("x\n"));
    assert_int_equal(f->parts.n, before);
    assert_null(f->query);
    f->waits = 0;
    f->hooks->on_drained(&q->http);
    while (f->query) {
        assert_null(memmem(f->parts.p, f->parts.n, "dropped", 7)); /* it is told where the gap is */
        got += answer_read(f, ".");
    }
    assert_int_equal(got, 1024);
    assert_true(sent(f, "event: dropped\ndata: {\"activations\":476}\n\n"));
    ended(f, 2000, NR_STR("again\n"));
    assert_true(sent(f, "again"));
    assert_int_equal(f->gateway->counts.logs_dropped, 476);
    q->http.gone = true;
    f->hooks->on_gone(&q->http);
    request_over(f, q);
    fakes_close(f);
}

/* Gone while the store reads: the answer comes first, then the request ends. */
static void test_gone_while_the_store_reads(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = begin(f, LOGS "?follow=1", KEY, 5);

    q->http.gone = true;
    f->hooks->on_gone(&q->http);
    assert_int_equal(f->answer.count, 0);
    answer_read(f, "into the void");
    assert_int_equal(f->answer.count, 1);
    request_over(f, q);
    fakes_close(f);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *target;
        int status, call, refuse, list;
        const char *text;
    } rows[] = {
        {LOGS "?limit=201", 400, 0, 0, 0, "not in the range of 0 to 200 for logs"},
        {LOGS "?follow=x", 400, 0, 0, 0, "'x' is not a valid Boolean value"},
        {LOGS, 404, 404, 0, 0, "The requested resource does not exist."},
        {LOGS "?follow=1", 429, 200, NR_EQUOTA, 0, "Too many follow."},
        {LOGS, 500, 200, 0, NR_EIO, "cannot be read"},
    };
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(rows); i++) {
        f->refuse_code = rows[i].refuse;
        struct gateway_request *q = ask(f, NR_HTTP_GET, rows[i].target, KEY, NULL);

        if (rows[i].call)
            answer_call(f, rows[i].call, rows[i].call >= 400 ? MISSING_TEXT : "{}");
        if (rows[i].list)
            answer_query(f, rows[i].list, "The records cannot be read: x.");
        assert_int_equal(f->answer.count, 1);
        assert_int_equal(f->answer.status, rows[i].status);
        assert_non_null(strstr(f->answer.body, rows[i].text));
        assert_null(f->follower);
        request_over(f, q);
    }
    f->scopes = SCOPE_INVOKE;
    assert_int_equal(asked(f, NR_HTTP_GET, LOGS, NULL)->status, 403);
    f->scopes = SCOPE_READ;
    assert_int_equal(asked(f, NR_HTTP_DELETE, LOGS, NULL)->status, 405);
    fakes_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored_only),
        cmocka_unit_test(test_what_is_asked_of_the_store),
        cmocka_unit_test(test_events_as_they_end),
        cmocka_unit_test(test_nothing_twice_or_lost_at_the_seam),
        cmocka_unit_test(test_a_large_log_comes_from_the_store),
        cmocka_unit_test(test_a_slow_client_loses_what_it_is_told),
        cmocka_unit_test(test_gone_while_the_store_reads),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
