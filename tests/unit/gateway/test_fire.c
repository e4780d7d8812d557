/* The POST of a trigger: what is given to the controller, and how its answers are told. */
#include "tests/unit/gateway/fakes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TRIGGER "/api/v1/namespaces/_/triggers/t"
#define KEY "authorization: " GOOD_HEADER "\n"
#define JSON "content-type: application/json\n"

static void test_what_is_fired(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(
        f, NR_HTTP_POST, TRIGGER,
        KEY JSON "x-a: 1\nx-b: \"two\"\nx-a: 3\ncontent-length: 7\ntransfer-encoding: chunked\n",
        "{\"n\":1}");

    assert_int_equal(f->fires, 1);
    assert_int_equal(f->invokes, 0);
    assert_string_equal(
        f->fire_headers,
        "{\"content-type\":\"application/json\",\"x-a\":\"1, 3\",\"x-b\":\"\\\"two\\\"\"}");
    assert_true(nr_str_eqz(f->held->name, "t"));
    assert_true(nr_str_eqz(f->held->input, "{\"n\":1}"));
    assert_true(f->held->api_key.n > 0);
    answer_activation(f, 202, "{\"activationId\":\"x\"}");
    assert_int_equal(f->answer.status, 202);
    assert_string_equal(f->answer.body, "{\"activationId\":\"x\"}");
    assert_non_null(
        strstr(f->answer.head, "x-openwhisk-activation-id: 0123456789abcdef0123456789abcdef\r\n"));
    assert_null(strstr(f->answer.head, "Server-Timing"));
    request_over(f, q);
    fakes_close(f);
}

static void test_no_payload(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_POST, TRIGGER, KEY, "");

    assert_true(nr_str_eqz(f->held->input, "{}"));
    assert_string_equal(f->fire_headers, "{}");
    f->refuse_code = NR_EQUOTA;
    answer_activation(f, 0, "Too many.");
    assert_int_equal(f->answer.status, 429);
    assert_non_null(strstr(f->answer.body, "\"error\":\"Too many.\""));
    request_over(f, q);
    fakes_close(f);
}

static void test_a_client_that_goes_away(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_POST, TRIGGER, KEY JSON, "{}");

    f->hooks->on_gone(&q->http);
    assert_true(f->held->client_gone);
    answer_activation(f, 202, "{}");
    request_over(f, q);
    fakes_close(f);
}

static void test_what_is_not_fired(void **state)
{
    static const struct {
        const char *target, *headers, *body;
        int status;
    } rows[] = {
        {TRIGGER, JSON, "{}", 401},
        {TRIGGER, KEY JSON, "[]", 400},
        {TRIGGER, KEY JSON, "{\"a\":", 400},
        {TRIGGER, KEY "content-type: text/plain\n", "{}", 415},
        {"/api/v1/namespaces/other/triggers/t", KEY JSON, "{}", 403},
        {"/api/v1/namespaces/_/triggers/%20t", KEY JSON, "{}", 400},
        {"/api/v1/namespaces/_/triggers/a/b", KEY JSON, "{}", 404},
    };
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct gateway_request *q =
            ask(f, NR_HTTP_POST, rows[i].target, rows[i].headers, rows[i].body);

        assert_int_equal(f->answer.status, rows[i].status);
        assert_int_equal(f->fires, 0);
        request_over(f, q);
    }
    f->scopes = SCOPE_READ | SCOPE_WRITE;
    assert_int_equal(asked(f, NR_HTTP_POST, TRIGGER, "{}")->status, 403);
    assert_int_equal(f->fires, 0);
    fakes_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_fired),
        cmocka_unit_test(test_no_payload),
        cmocka_unit_test(test_a_client_that_goes_away),
        cmocka_unit_test(test_what_is_not_fired),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
