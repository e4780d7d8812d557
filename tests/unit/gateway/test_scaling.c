/* What is given to the scaler, how its answers are told, and who may ask it what. */
#include "tests/unit/gateway/fakes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S "/narae/v1/scaling"
#define KEY "authorization: " GOOD_HEADER "\n"
#define JSON "content-type: application/json\n"

static const struct {
    enum nr_http_method method;
    const char *target, *body;
    enum scale_op op;
    const char *name;
} calls[] = {
    {NR_HTTP_GET, S "/policies", NULL, SCALE_LIST, ""},
    {NR_HTTP_GET, S "/policies/p.1", NULL, SCALE_SHOW, "p.1"},
    {NR_HTTP_PUT, S "/policies/p", "{\"min\":0}", SCALE_PUT, "p"},
    {NR_HTTP_DELETE, S "/policies/p", NULL, SCALE_DELETE, "p"},
    {NR_HTTP_GET, S "/policies/p/versions", NULL, SCALE_VERSIONS, "p"},
    {NR_HTTP_GET, S "/policies/p/explain", NULL, SCALE_EXPLAIN, "p"},
    {NR_HTTP_GET, S "/policies/p/evaluate", NULL, SCALE_EVALUATE, "p"},
    {NR_HTTP_POST, S "/policies/p/replay", "{\"min\":0}", SCALE_REPLAY, "p"},
    {NR_HTTP_POST, S "/check", "{\"min\":0}", SCALE_CHECK, ""},
    {NR_HTTP_POST, S "/evaluate", "{\"min\":0}", SCALE_EVALUATE, ""},
    {NR_HTTP_POST, S "/import?from=hpa", "{\"min\":0}", SCALE_IMPORT, ""},
    {NR_HTTP_GET, S "/forecasts", NULL, SCALE_FORECASTS, ""},
    {NR_HTTP_GET, S "/channels", NULL, SCALE_CHANNELS, ""},
    {NR_HTTP_PUT, S "/channels/ops", "{\"min\":0}", SCALE_CHANNEL_PUT, "ops"},
    {NR_HTTP_DELETE, S "/channels/ops", NULL, SCALE_CHANNEL_DELETE, "ops"},
    {NR_HTTP_GET, S "/status", NULL, SCALE_STATUS, ""},
};

static void test_each_call(void **state)
{
    struct fakes *f = fakes_open();

    (void)state;
    f->scopes = SCOPE_READ | SCOPE_ADMIN;
    for (size_t i = 0; i < nr_countof(calls); i++) {
        struct gateway_request *q = ask(f, calls[i].method, calls[i].target, KEY, calls[i].body);
        struct scale_call *c = f->scale;

        assert_non_null(c);
        assert_int_equal(c->op, calls[i].op);
        assert_true(c->admin);
        assert_string_equal(c->account->name, "guest");
        assert_true(nr_str_eqz(c->name, calls[i].name) || (c->name.n == 0 && !*calls[i].name));
        assert_true(nr_str_eqz(c->body, calls[i].body ? calls[i].body : "") || c->body.n == 0);
        assert_int_equal(c->body.n > 0, calls[i].body != NULL);
        assert_int_equal(c->limit, 30);
        assert_int_equal(c->since_ms, 0);
        assert_true(c->upto_ms == INT64_MAX);
        c->created = i % 2;
        answer_scale(f, 0, "{\"done\":true}");
        assert_int_equal(f->answer.status, i % 2 ? 201 : 200);
        assert_string_equal(f->answer.body, "{\"done\":true}");
        request_over(f, q);
    }
    fakes_close(f);
}

/* An account reads; it writes nothing, and has the scaler work on nothing that is not stored. */
static void test_who_may(void **state)
{
    struct fakes *f = fakes_open();

    (void)state;
    for (size_t i = 0; i < nr_countof(calls); i++) {
        bool reads = calls[i].method == NR_HTTP_GET && calls[i].op != SCALE_CHANNELS &&
                     calls[i].op != SCALE_STATUS;
        struct gateway_request *q = ask(f, calls[i].method, calls[i].target, KEY, calls[i].body);

        assert_int_equal(f->scale != NULL, reads);
        if (reads) {
            assert_false(f->scale->admin);
            answer_scale(f, NR_ENOENT, "");
        }
        assert_int_equal(f->answer.status, reads ? 404 : 403);
        request_over(f, q);
        q = ask(f, calls[i].method, calls[i].target, "", calls[i].body);
        assert_int_equal(f->answer.status, 401);
        request_over(f, q);
    }
    f->scopes = SCOPE_INVOKE | SCOPE_WRITE;
    for (size_t i = 0; i < nr_countof(calls); i++)
        assert_int_equal(asked(f, calls[i].method, calls[i].target, calls[i].body)->status, 403);
    fakes_close(f);
}

static void test_parameters(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q;

    (void)state;
    f->scopes = SCOPE_READ | SCOPE_ADMIN;
    q = ask(f, NR_HTTP_GET, S "/policies?limit=7&skip=3", KEY, NULL);
    assert_int_equal(f->scale->limit, 7);
    assert_int_equal(f->scale->skip, 3);
    answer_scale(f, 0, "{}");
    request_over(f, q);
    q = ask(f, NR_HTTP_GET, S "/policies/p/explain?limit=0&since=5&upto=9&all=true", KEY, NULL);
    assert_int_equal(f->scale->limit, 200);
    assert_int_equal(f->scale->since_ms, 5);
    assert_int_equal(f->scale->upto_ms, 9);
    assert_true(f->scale->all);
    answer_scale(f, 0, "{}");
    request_over(f, q);
    q = ask(f, NR_HTTP_GET, S "/policies/p?full=1&version=4", KEY, NULL);
    assert_true(f->scale->full);
    assert_int_equal(f->scale->number, 4);
    answer_scale(f, 0, "{}");
    request_over(f, q);
    q = ask(f, NR_HTTP_GET, S "/forecasts?account=farm&function=p%2Ff&limit=2", KEY, NULL);
    assert_true(nr_str_eqz(f->scale->whose, "farm"));
    assert_true(nr_str_eqz(f->scale->function, "p/f"));
    answer_scale(f, 0, "{}");
    request_over(f, q);
    fakes_close(f);
}

/* In the order that policy_import() knows. */
static void test_each_platform(void **state)
{
    static const char *const names[] = {"knative", "keda", "hpa", "openfaas", "fission"};
    struct fakes *f = fakes_open();

    (void)state;
    f->scopes = SCOPE_ADMIN;
    for (size_t i = 0; i < nr_countof(names); i++) {
        char target[128];

        (void)snprintf(target, sizeof(target), S "/import?from=%s", names[i]);
        struct gateway_request *q =
            ask(f, NR_HTTP_POST, target, KEY "content-type: application/yaml\n", "a: 1\n");
        assert_int_equal(f->scale->from, i);
        assert_true(nr_str_eqz(f->scale->body, "a: 1\n"));
        answer_scale(f, 0, "{}");
        request_over(f, q);
    }
    fakes_close(f);
}

static const struct {
    enum nr_http_method method;
    const char *target, *body;
    int status;
    const char *text;
} mistakes[] = {
    {NR_HTTP_GET, S "/policies?limit=201", NULL, 400, "0 to 200"},
    {NR_HTTP_GET, S "/policies/p?version=0", NULL, 400, "from 1, or 'latest', not '0'"},
    {NR_HTTP_GET, S "/policies/p?full=perhaps", NULL, 400, "valid Boolean"},
    {NR_HTTP_GET, S "/policies/p/explain?since=9&upto=5", NULL, 400,
     "since (9) is later than upto (5)"},
    {NR_HTTP_GET, S "/policies/p/explain?since=x", NULL, 400, "epoch"},
    {NR_HTTP_POST, S "/import", "{}", 400, "knative, keda"},
    {NR_HTTP_POST, S "/import?from=nuclio", "{}", 400, "not 'nuclio'"},
    {NR_HTTP_GET, S "/forecasts?function=a/b/c", NULL, 400, "'package/name', not 'a/b/c'"},
    {NR_HTTP_GET, S "/forecasts?function=/b", NULL, 400, "'package/name'"},
    {NR_HTTP_GET, S "/policies/%2e%2e%2fp", NULL, 400, ""},
    {NR_HTTP_GET, S "/policies/", NULL, 404, ""},
    {NR_HTTP_POST, S "/policies", "{}", 405, "GET"},
    {NR_HTTP_PUT, S "/status", "{}", 405, "GET"},
};

static void test_mistakes(void **state)
{
    struct fakes *f = fakes_open();

    (void)state;
    f->scopes = SCOPE_READ | SCOPE_ADMIN;
    for (size_t i = 0; i < nr_countof(mistakes); i++) {
        const struct answer *a = asked(f, mistakes[i].method, mistakes[i].target, mistakes[i].body);

        if (a->status != mistakes[i].status || !strstr(a->body, mistakes[i].text))
            fail_msg("%s: %d %s", mistakes[i].target, a->status, a->body);
        assert_null(f->scale);
    }
    f->scopes = SCOPE_READ;
    assert_int_equal(asked(f, NR_HTTP_GET, S "/forecasts?account=farm", NULL)->status, 403);
    assert_int_equal(asked(f, NR_HTTP_GET, S "/policies/p/explain?all=true", NULL)->status, 403);
    assert_null(f->scale);
    struct gateway_request *q = ask(f, NR_HTTP_GET, S "/forecasts", KEY, NULL);
    assert_true(nr_str_eqz(f->scale->whose, "guest")); /* its own, unasked */
    answer_scale(f, 0, "{}");
    request_over(f, q);
    fakes_close(f);
}

static void test_sizes(void **state)
{
    static const struct {
        const char *target;
        size_t max;
    } rows[] = {{S "/policies/p", 65536}, {S "/import?from=keda", 65536}};
    struct fakes *f = fakes_open();

    (void)state;
    f->scopes = SCOPE_ADMIN;
    for (size_t i = 0; i < nr_countof(rows); i++)
        for (size_t more = 0; more < 2; more++) {
            nr_auto_free char *body = nr_alloc(rows[i].max + more + 1);

            memset(body, ' ', rows[i].max + more);
            struct gateway_request *q =
                ask(f, i ? NR_HTTP_POST : NR_HTTP_PUT, rows[i].target, KEY, body);
            assert_int_equal(f->scale != NULL, more == 0);
            if (f->scale)
                answer_scale(f, 0, "{}");
            assert_int_equal(f->answer.status, more ? 413 : 200);
            request_over(f, q);
        }
    struct gateway_request *q =
        ask(f, NR_HTTP_PUT, S "/policies/p", KEY "content-type: application/yaml\n", "a: 1");
    assert_int_equal(f->answer.status, 415);
    request_over(f, q);
    fakes_close(f);
}

static void test_problems(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q =
        (f->scopes = SCOPE_ADMIN,
         ask(f, NR_HTTP_PUT, S "/policies/p", KEY JSON "x-request-id: mine\n", "{}"));

    (void)state;
    answer_scale(f, NR_EINVAL,
                 "{\"error\":\"bounds.min\",\"problems\":[{\"path\":\"bounds.min\"}]}");
    assert_int_equal(f->answer.status, 400);
    assert_string_equal(
        f->answer.body,
        "{\"error\":\"bounds.min\",\"problems\":[{\"path\":\"bounds.min\"}],\"code\":\"mine\"}");
    request_over(f, q);
    q = ask(f, NR_HTTP_PUT, S "/policies/p", KEY JSON "x-request-id: mine\n", "{}");
    answer_scale(f, NR_EINVAL, "");
    assert_string_equal(f->answer.body, "{\"error\":\"the sentence\",\"code\":\"mine\"}");
    request_over(f, q);
    fakes_close(f);
}

static void test_other_refusals(void **state)
{
    static const struct {
        int code, status;
    } rows[] = {{NR_ENOENT, 404}, {NR_EFORBIDDEN, 403}, {NR_EQUOTA, 429}, {NR_ESTOPPING, 503},
                {NR_EIO, 500},    {NR_EUNAVAIL, 503},   {NR_ENOSPC, 507}};
    struct fakes *f = fakes_open();

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct gateway_request *q = ask(f, NR_HTTP_GET, S "/policies/p", KEY, NULL);

        answer_scale(f, rows[i].code, "{\"half\":");
        assert_int_equal(f->answer.status, rows[i].status);
        assert_non_null(strstr(f->answer.body, "\"error\":\"the sentence\""));
        request_over(f, q);
    }
    fakes_close(f);
}

static bool metrics_tell_of_it(struct fakes *f)
{
    struct gateway_request *q = ask(f, NR_HTTP_GET, "/metrics", "", NULL);
    bool told = strstr(f->answer.body, "narae_scaler_fake") != NULL;

    assert_int_equal(f->answer.status, 200);
    request_over(f, q);
    return told;
}

static void test_without_a_scaler(void **state)
{
    struct fakes *f = fakes_open();

    (void)state;
    f->gateway->config.scaler = NULL;
    f->scopes = SCOPE_READ | SCOPE_ADMIN;
    for (size_t i = 0; i < nr_countof(calls); i++) {
        const struct answer *a = asked(f, calls[i].method, calls[i].target, calls[i].body);

        assert_int_equal(a->status, 404);
        assert_non_null(strstr(a->body, "--scaler=off"));
    }
    assert_false(metrics_tell_of_it(f));
    f->gateway->config.scaler = (struct scaler *)f;
    assert_true(metrics_tell_of_it(f));
    fakes_close(f);
}

/* A day of decisions is large: it leaves in parts, and is kept until all of it has. */
static void test_a_large_answer(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_GET, S "/policies/p/explain", KEY, NULL);
    size_t n = 3 << 20;
    nr_auto_free char *text = nr_alloc(n + 1);

    (void)state;
    memset(text, 'x', n);
    answer_scale(f, 0, text);
    assert_true(f->answer.parts > 2);
    assert_int_equal(strlen(f->answer.body), n);
    request_over(f, q);
    fakes_close(f);
}

static void test_a_client_that_goes_away(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_GET, S "/policies", KEY, NULL);

    (void)state;
    q->http.gone = true;
    f->hooks->on_gone(&q->http);
    answer_scale(f, 0, "{}");
    assert_int_equal(f->answer.count, 1);
    request_over(f, q);
    fakes_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_call),
        cmocka_unit_test(test_who_may),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_each_platform),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_other_refusals),
        cmocka_unit_test(test_without_a_scaler),
        cmocka_unit_test(test_a_large_answer),
        cmocka_unit_test(test_a_client_that_goes_away),
    };

    return cmocka_run_group_tests_name("gateway/scaling", tests, NULL, NULL);
}
