/* The story of a request: what is said before its body, what after it, who answers, and that it is answered once. */
#include "tests/unit/gateway/fakes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ACTION "/api/v1/namespaces/_/actions/a"
#define KEY "authorization: " GOOD_HEADER "\n"
#define JSON "content-type: application/json\n"
#define MB (1 << 20)

static void has_error(const struct answer *a, int status, const char *text)
{
    assert_int_equal(a->status, status);
    if (strstr(a->body, text) == NULL)
        print_error("%s\n", a->body);
    assert_non_null(strstr(a->body, text));
    assert_non_null(strstr(a->head, "Content-Type: application/json\r\n"));
}

/* ---- before the body */

static void test_refused_before_a_large_body(void **state)
{
    static const struct {
        enum nr_http_method method;
        const char *target, *headers;
        int64_t length;
        int status;
        const char *text;
    } rows[] = {
        {NR_HTTP_POST, ACTION, KEY JSON, MB + 1, 413,
         "\"Request larger than allowed: 1048577 > 1048576 bytes.\""},
        {NR_HTTP_PUT, ACTION, KEY JSON, 52428801, 413,
         "\"exec larger than allowed: 52428801 > 50331648 bytes.\""},
        {NR_HTTP_PUT, ACTION, KEY "content-type: text/plain\n", MB, 415,
         "The request's Content-Type is not supported."},
        {NR_HTTP_PUT, ACTION, KEY, MB, 415, "The request's Content-Type is not supported."},
        {NR_HTTP_PUT, ACTION, JSON, MB, 401, "requires authentication"},
        {NR_HTTP_PUT, ACTION, JSON, -1, 401, "requires authentication"},
        {NR_HTTP_PUT, "/api/v1/namespaces/other/actions/a", KEY JSON, MB, 403, "'other/a'"},
        {NR_HTTP_PATCH, ACTION, KEY JSON, MB, 405, "supported methods: GET, PUT, DELETE, POST"},
        {NR_HTTP_PUT, "/nothing", KEY JSON, MB, 404, "does not exist"},
    };
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct gateway_request *q =
            ask_head(f, rows[i].method, rows[i].target, rows[i].headers, rows[i].length);

        assert_int_equal(f->answer.count, 1);
        has_error(&f->answer, rows[i].status, rows[i].text);
        request_over(f, q);
    }
    fakes_close(f);
}

static void test_a_small_refused_body_is_read(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask_head(f, NR_HTTP_PUT, "/nothing", JSON, 20);

    assert_int_equal(f->answer.count, 0);
    assert_int_equal(q->http.body_max_bytes, SWALLOW_MAX_BYTES);
    ask_body(f, q, NR_STR("{\"aaaaaaaa\":\"bbbbbb\"}"));
    assert_int_equal(f->answer.count, 1);
    assert_int_equal(f->answer.status, 404);
    request_over(f, q);
    fakes_close(f);
}

static void test_ceilings_by_route(void **state)
{
    static const struct {
        enum nr_http_method method;
        const char *target;
        int64_t length;
        size_t max_bytes;
    } rows[] = {
        {NR_HTTP_POST, ACTION, MB, MB},
        {NR_HTTP_POST, ACTION, -1, 2 * MB},
        {NR_HTTP_PUT, ACTION, 50 * MB, 50 * MB},
        {NR_HTTP_GET, ACTION, 10, 65536},
    };
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct gateway_request *q =
            ask_head(f, rows[i].method, rows[i].target, KEY JSON, rows[i].length);

        assert_int_equal(f->answer.count, 0);
        assert_int_equal(q->http.body_max_bytes, rows[i].max_bytes);
        q->http.gone = true;
        f->hooks->on_gone(&q->http);
        assert_int_equal(f->answer.count, 1);
        request_over(f, q);
    }
    fakes_close(f);
}

static void test_chunked_is_counted(void **state)
{
    struct fakes *f = fakes_open();
    char *body = nr_alloc(MB + 8);
    struct gateway_request *q = ask_head(f, NR_HTTP_POST, ACTION, KEY JSON, -1);

    memset(body, ' ', MB + 8);
    memcpy(body, "{}", 2);
    ask_body(f, q, (struct nr_str){body, MB + 8});
    has_error(&f->answer, 413, "Request larger than allowed: 1048584 > 1048576 bytes.");
    request_over(f, q);
    q = ask_head(f, NR_HTTP_POST, ACTION, KEY, -1);
    ask_body(f, q, (struct nr_str){NULL, 0});
    assert_int_equal(f->invokes, 1); /* chunked and empty needs no type */
    answer_activation(f, 202, "{}");
    request_over(f, q);
    free(body);
    fakes_close(f);
}

/* ---- the payload */

static void test_payloads(void **state)
{
    static const struct {
        const char *text;
        const char *error; /* NULL: taken */
    } rows[] = {
        {"{}", NULL},
        {" {\"a\": [1, {\"b\": null}]}\n", NULL},
        {"[]", "the payload must be a JSON object"},
        {"7", "the payload must be a JSON object"},
        {"\"a\"", "the payload must be a JSON object"},
        {"null", "the payload must be a JSON object"},
        {"{\"a\":}", ""},
        {"{\"a\":1", ""},
        {"{} {}", ""},
        {" ", ""},
        {"{\"a\":\"\xff\"}", ""},
    };
    struct fakes *f = fakes_open();

    f->answers_at_once = true;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        const struct answer *a = asked(f, NR_HTTP_POST, ACTION, rows[i].text);

        if (rows[i].error == NULL) {
            assert_int_equal(a->status, 200);
            continue;
        }
        has_error(a, 400, "The request content was malformed:\\n");
        has_error(a, 400, rows[i].error);
    }
    assert_int_equal(f->invokes, 2);
    fakes_close(f);
}

static void test_a_large_payload_is_scanned_elsewhere(void **state)
{
    static const struct {
        const char *head, *tail;
        int status;
    } rows[] = {{"{\"a\":\"", "\"}", 200}, {"{\"a\":\"", "\"]", 400}, {"[\"", "\"]", 400}};
    struct fakes *f = fakes_open();
    size_t n = 900000;
    char *body = nr_alloc(n);

    f->answers_at_once = true;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct gateway_request *q = ask_head(f, NR_HTTP_POST, ACTION, KEY JSON, (int64_t)n);

        memset(body, 'x', n);
        memcpy(body, rows[i].head, strlen(rows[i].head));
        memcpy(body + n - 2, rows[i].tail, 2);
        ask_body(f, q, (struct nr_str){body, n});
        assert_int_equal(f->answer.count, 0);
        while (f->answer.count == 0)
            (void)uv_run(&f->loop.uv, UV_RUN_ONCE);
        assert_int_equal(f->answer.status, rows[i].status);
        request_over(f, q);
    }
    free(body);
    fakes_close(f);
}

/* ---- answers */

static void test_the_answer_of_a_call(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q =
        ask(f, NR_HTTP_POST, ACTION "?blocking=true", KEY "x-request-id: mine\n", "{}");

    assert_int_equal(f->answer.count, 0);
    assert_true(nr_str_eqz(f->held->transaction, "mine"));
    answer_activation(f, 502, "{\"the\":\"record\"}");
    assert_int_equal(f->answer.count, 1);
    assert_int_equal(f->answer.status, 502);
    assert_string_equal(f->answer.body, "{\"the\":\"record\"}");
    assert_non_null(strstr(f->answer.head, "X-Request-ID: mine\r\n"));
    assert_non_null(
        strstr(f->answer.head, "x-openwhisk-activation-id: 0123456789abcdef0123456789abcdef\r\n"));
    assert_non_null(strstr(f->answer.head, "\r\nServer-Timing: total;dur="));
    assert_non_null(strstr(f->answer.head, "Access-Control-Allow-Origin: *\r\n"));
    assert_int_equal(q->activation == NULL, true);
    request_over(f, q);
    fakes_close(f);
}

static void test_a_refusal_of_the_controller(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_POST, ACTION, KEY, "{}");

    f->refuse_code = NR_EQUOTA;
    answer_activation(f, 0, "Too many.");
    has_error(&f->answer, 429, "{\"error\":\"Too many.\",\"code\":\"");
    assert_non_null(strstr(f->answer.head, "Retry-After: 7\r\n"));
    assert_null(strstr(f->answer.head, "activation-id"));
    assert_null(strstr(f->answer.head, "Server-Timing"));
    request_over(f, q);
    fakes_close(f);
}

static void test_a_client_that_goes_away(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_POST, ACTION, KEY, "{}");

    q->http.gone = true;
    f->hooks->on_gone(&q->http);
    assert_int_equal(f->answer.count, 0);
    assert_true(f->held->client_gone);
    answer_activation(f, 200, "{}");
    assert_int_equal(f->answer.count, 1);
    request_over(f, q);
    fakes_close(f);
}

static void test_the_function_managers_answers(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_PUT, ACTION "?overwrite=true", KEY, "{\"exec\":{}}");

    assert_int_equal(f->call->op, FN_ACTION_PUT);
    assert_true(f->call->overwrite && nr_str_eqz(f->call->body, "{\"exec\":{}}"));
    answer_call(f, 200, "{\"name\":\"a\"}");
    assert_int_equal(f->answer.status, 200);
    assert_string_equal(f->answer.body, "{\"name\":\"a\"}");
    request_over(f, q);
    q = ask(f, NR_HTTP_GET, ACTION "?code=false", KEY, NULL);
    assert_false(f->call->with_code);
    answer_call(f, 404, "The requested resource does not exist.");
    has_error(&f->answer, 404, "The requested resource does not exist.");
    request_over(f, q);
    fakes_close(f);
}

/* A document with its code: never copied whole in one turn of the loop. */
static void test_a_large_answer_goes_in_parts(void **state)
{
    struct fakes *f = fakes_open();
    size_t n = 10 * MB + 5;
    char *large = nr_alloc(n + 1);

    for (size_t i = 0; i < n; i++)
        large[i] = (char)('a' + i % 23);
    for (int gone = 0; gone < 2; gone++) {
        struct gateway_request *q = ask(f, NR_HTTP_GET, ACTION, KEY, NULL);

        f->waits = MB;
        answer_call(f, 200, large);
        assert_int_equal(f->answer.status, 200);
        for (int parts = 1; parts <= 40; parts++) {
            assert_int_equal(f->answer.parts, parts);
            assert_int_equal(f->answer.count, 0);
            f->hooks->on_drained(&q->http);
        }
        if (gone) { /* the last one went with nobody there */
            q->http.gone = true;
            f->hooks->on_gone(&q->http);
        } else {
            f->waits = 0;
            f->hooks->on_drained(&q->http);
        }
        assert_int_equal(f->answer.count, 1);
        assert_int_equal(f->answer.parts, 41);
        assert_int_equal(strlen(f->answer.body), n);
        assert_memory_equal(f->answer.body, large, n);
        request_over(f, q);
    }
    free(large);
    fakes_close(f);
}

static void test_questions_about_activations(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q =
        ask(f, NR_HTTP_GET,
            "/api/v1/namespaces/_/activations/0123456789abcdef0123456789abcdef/logs", KEY, NULL);

    assert_int_equal(f->query->op, QUERY_LOGS);
    assert_int_equal(f->query->id.n, 32);
    answer_query(f, NR_ENOENT, "no such row");
    has_error(&f->answer, 404, "\"The requested resource does not exist.\"");
    request_over(f, q);
    has_error(asked(f, NR_HTTP_GET, "/api/v1/namespaces/_/activations/abc", NULL), 400,
              "Activation id length is 3 but must be 32.");
    has_error(asked(f, NR_HTTP_GET,
                    "/api/v1/namespaces/_/activations/0123456789ABCDEF0123456789abcdef", NULL),
              400, "The activation id is not valid.");
    fakes_close(f);
}

/* ---- transactions */

static void test_transactions(void **state)
{
    static const struct {
        const char *given;
        bool kept;
    } rows[] = {{"abc", true},  {"sid_abc", false}, {"", false},
                {"a b", false}, {"a\x7f", false},   {"a\xc3\xa4", false}};
    char t[TRANSACTION_MAX_BYTES + 1], again[TRANSACTION_MAX_BYTES + 1];
    char longest[TRANSACTION_MAX_BYTES + 1];

    for (size_t i = 0; i < nr_countof(rows); i++) {
        transaction_take(nr_str_of(rows[i].given), t);
        assert_int_equal(strcmp(t, rows[i].given) == 0, rows[i].kept);
        assert_int_equal(strlen(t), rows[i].kept ? strlen(rows[i].given) : 32);
    }
    memset(longest, 'x', sizeof(longest));
    transaction_take((struct nr_str){longest, TRANSACTION_MAX_BYTES}, t);
    assert_int_equal(strlen(t), TRANSACTION_MAX_BYTES);
    transaction_take((struct nr_str){longest, TRANSACTION_MAX_BYTES + 1}, t);
    assert_int_equal(strlen(t), 32);
    transaction_take((struct nr_str){NULL, 0}, again);
    assert_string_not_equal(t, again);
}

/* ---- life */

/* The page, asked with these header lines; what needs a key is written on a work thread. */
static const char *assert_metrics(struct fakes *f, const char *headers, int status)
{
    struct gateway_request *q = ask(f, NR_HTTP_GET, "/metrics", headers, NULL);

    while (f->answer.count == 0)
        (void)uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_int_equal(f->answer.status, status);
    request_over(f, q);
    return f->answer.body;
}

/* Without a key nobody is named, with one its account's functions are, with the administrator's all. */
static void test_metrics(void **state)
{
    static const char *const rows[] = {
        "narae_gateway_connections 3",         "narae_invoker_fake 3",        "\nprocess_open_fds ",
        "\nnarae_build_info{version=\"b\"} 1", "\nnarae_functions_known 2\n", NULL};
    const struct sample s = {.span_ms = 1000, .account = NR_STR("guest"), .function = NR_STR("f")};
    const struct sample other = {
        .span_ms = 1000, .account = NR_STR("acme"), .function = NR_STR("g")};
    const struct sample own = {.metric = NR_STR("room"), .metric_value = 4};
    struct fakes *f = fakes_open();
    const char *page;

    gateway_sample(f->gateway, &s, SERIES_WITHOUT);
    gateway_sample(f->gateway, &other, SERIES_WITHOUT);
    assert_true(gateway_custom_metric(f->gateway, "acme", NR_STR("g"), &own));
    assert_false(gateway_custom_metric(f->gateway, "acme", NR_STR("g"), NULL));
    page = assert_metrics(f, "", 200);
    for (size_t i = 0; rows[i]; i++)
        if (strstr(page, rows[i]) == NULL)
            fail_msg("no %s in\n%s", rows[i], page);
    assert_null(strstr(page, "guest"));
    assert_null(strstr(page, "acme"));
    page = assert_metrics(f, KEY, 200);
    assert_non_null(strstr(page, "account=\"guest\",function=\"f\""));
    assert_null(strstr(page, "acme"));
    f->scopes |= SCOPE_ADMIN;
    page = assert_metrics(f, KEY, 200);
    assert_non_null(strstr(page, "account=\"guest\",function=\"f\""));
    assert_non_null(strstr(page, "room{account=\"acme\",function=\"g\"} 4\n"));
    gateway_forget_account(f->gateway, "acme");
    assert_null(strstr(assert_metrics(f, KEY, 200), "acme"));
    f->scopes = SCOPE_INVOKE;
    (void)assert_metrics(f, KEY, 403);
    (void)assert_metrics(f, "authorization: Basic bWU6eW91\n", 401); /* me:you */
    fakes_close(f);
}

static void test_not_ready(void **state)
{
    struct fakes *f = fakes_open();

    gateway_set_ready(f->gateway, false);
    has_error(asked(f, NR_HTTP_GET, "/api/v1/namespaces", NULL), 503,
              "The server is currently unavailable");
    assert_non_null(strstr(f->answer.head, "Retry-After: 1\r\n"));
    assert_int_equal(asked(f, NR_HTTP_GET, "/readyz", NULL)->status, 503);
    assert_int_equal(asked(f, NR_HTTP_GET, "/healthz", NULL)->status, 200);
    assert_metrics(f, "", 200);
    assert_metrics(f, KEY, 200);
    gateway_set_ready(f->gateway, true);
    assert_int_equal(asked(f, NR_HTTP_GET, "/readyz", NULL)->status, 200);
    fakes_close(f);
}

static void on_once(void *arg)
{
    ++*(int *)arg;
}

static void test_drain(void **state)
{
    struct fakes *f = fakes_open();
    int idle = 0;

    gateway_drain(f->gateway, on_once, &idle);
    assert_int_equal(idle, 1);
    has_error(asked(f, NR_HTTP_POST, ACTION, "{}"), 503, "unavailable");
    assert_non_null(strstr(f->answer.head, "Retry-After: 5\r\n"));
    assert_int_equal(f->invokes, 0);
    fakes_close(f);
}

/* Closing waits for the answers that others still owe. */
static void test_close_waits(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_POST, ACTION, KEY, "{}");
    int closed = 0;

    gateway_close(f->gateway, on_once, &closed);
    assert_int_equal(closed, 0);
    answer_activation(f, 200, "{}");
    assert_int_equal(closed, 0);
    request_over(f, q);
    assert_int_equal(closed, 1);
    assert_int_equal(nr_loop_fini(&f->loop), 0);
    free(f->answer.head);
    free(f->answer.body);
    free(f);
}

static void test_an_address_that_is_taken(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_config c = {.loop = &f->loop, .listen = "taken"};
    struct gateway *g = NULL;
    struct nr_err err = {0};

    assert_int_equal(gateway_open(&c, &g, &err), NR_EBUSY);
    assert_null(g);
    assert_string_equal(err.text, "cannot listen on taken");
    assert_int_equal(gateway_port(f->gateway), 4711);
    fakes_close(f);
}

/* ---- what it tells of itself */

static void test_information(void **state)
{
    static const struct {
        const char *target, *part;
    } rows[] = {
        {"/", "\"max_action_memory\":4294967296"},
        {"/", "\"min_action_duration\":100,\"max_action_duration\":600000"},
        {"/", "\"runtimes\":{\"python\":[{\"kind\":\"python:3\"}]}}"},
        {"/api/v1", "\"build\":\"b\",\"buildno\":\"n\""},
        {"/api/v1/", "\"api_version_path\":\"v1\""},
        {"/api/v1/namespaces/", "[\"guest\"]"},
        {"/api/v1/namespaces/guest/limits", "\"minActionMemory\":64,\"maxActionMemory\":4096"},
        {"/api/v1/namespaces/_/limits",
         "\"maxActionInstances\":30,\"maxParameterSize\":\"1048576 B\"}"},
        {"/narae/v1/invokers", "{\"capabilities\":[],\"of\":\"guest\"}"},
    };
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(rows); i++) {
        const struct answer *a = asked(f, NR_HTTP_GET, rows[i].target, NULL);

        assert_int_equal(a->status, 200);
        if (strstr(a->body, rows[i].part) == NULL)
            print_error("%s\n", a->body);
        assert_non_null(strstr(a->body, rows[i].part));
    }
    f->scopes |= SCOPE_ADMIN;
    assert_non_null(
        strstr(asked(f, NR_HTTP_GET, "/narae/v1/invokers", NULL)->body, "\"of\":\"all\""));
    const struct answer *a = asked(f, NR_HTTP_OPTIONS, "/api/v1/any/thing", NULL);
    assert_int_equal(a->status, 200);
    assert_string_equal(a->body, "");
    assert_non_null(
        strstr(a->head, "Access-Control-Allow-Methods: GET, DELETE, POST, PUT, HEAD\r\n"));
    fakes_close(f);
}

static void test_the_servers_own_refusals(void **state)
{
    struct fakes *f = fakes_open();
    struct nr_buf out, head;

    nr_buf_init(&out, 1024);
    nr_buf_init(&head, 1024);
    f->hooks->error_body(f->user, 431, "Request Header Fields Too Large", &head, &out);
    nr_buf_addc(&head, '\0');
    assert_int_equal(strncmp(head.p, "X-Request-ID: ", 14), 0);
    assert_non_null(strstr(head.p, "\r\nAccess-Control-Allow-Origin: *\r\n"));
    nr_buf_fini(&head);
    nr_buf_addc(&out, '\0');
    assert_int_equal(
        strncmp(out.p, "{\"error\":\"Request Header Fields Too Large\",\"code\":\"", 49), 0);
    nr_buf_fini(&out);
    fakes_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_before_a_large_body),
        cmocka_unit_test(test_a_small_refused_body_is_read),
        cmocka_unit_test(test_ceilings_by_route),
        cmocka_unit_test(test_chunked_is_counted),
        cmocka_unit_test(test_payloads),
        cmocka_unit_test(test_a_large_payload_is_scanned_elsewhere),
        cmocka_unit_test(test_the_answer_of_a_call),
        cmocka_unit_test(test_a_refusal_of_the_controller),
        cmocka_unit_test(test_a_client_that_goes_away),
        cmocka_unit_test(test_the_function_managers_answers),
        cmocka_unit_test(test_a_large_answer_goes_in_parts),
        cmocka_unit_test(test_questions_about_activations),
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_not_ready),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_close_waits),
        cmocka_unit_test(test_an_address_that_is_taken),
        cmocka_unit_test(test_information),
        cmocka_unit_test(test_the_servers_own_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
