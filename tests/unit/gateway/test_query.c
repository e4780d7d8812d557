/* Query parameters: what passes, what it means, and the exact texts of what does not. */
#include "tests/unit/gateway/fakes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ACTIONS "/api/v1/namespaces/_/actions"
#define ACTIVATIONS "/api/v1/namespaces/_/activations"
#define INTEGER_OF(v, c) "The value '" v "' is not an integer for " c "."
#define RANGE_OF(v, c) "The value '" v "' is not in the range of 0 to 200 for " c "."
#define SKIP_OF(v, c) "The value '" v "' is not greater than or equal to 0 for " c "."

static const struct {
    enum nr_http_method method;
    const char *target, *parameter, *detail;
} bad[] = {
    {NR_HTTP_GET, ACTIONS "?limit=201", "limit", RANGE_OF("201", "actions")},
    {NR_HTTP_GET, ACTIONS "?limit=-1", "limit", RANGE_OF("-1", "actions")},
    {NR_HTTP_GET, ACTIONS "?limit=", "limit", INTEGER_OF("", "actions")},
    {NR_HTTP_GET, ACTIONS "?limit=1.5", "limit", INTEGER_OF("1.5", "actions")},
    {NR_HTTP_GET, ACTIONS "?limit=99999999999999999999", "limit",
     INTEGER_OF("99999999999999999999", "actions")},
    {NR_HTTP_GET, ACTIONS "?skip=-2", "skip", SKIP_OF("-2", "actions")},
    {NR_HTTP_GET, ACTIONS "?skip=+", "skip", INTEGER_OF(" ", "actions")},
    {NR_HTTP_GET, ACTIONS "?count=2", "count", "'2' is not a valid Boolean value"},
    {NR_HTTP_GET, ACTIONS "?limit=%zz", "limit", "bad escape in its value."},
    {NR_HTTP_GET, ACTIONS "?limit=%ff", "limit", "bad escape in its value."},
    {NR_HTTP_GET, ACTIVATIONS "?limit=300", "limit", RANGE_OF("300", "activations")},
    {NR_HTTP_GET, ACTIVATIONS "?docs=oui", "docs", "'oui' is not a valid Boolean value"},
    {NR_HTTP_GET, ACTIVATIONS "?since=x", "since",
     "Parameter is not a valid value for epoch seconds: x"},
    {NR_HTTP_GET, ACTIVATIONS "?upto=-1", "upto",
     "Parameter is not a valid value for epoch seconds: -1"},
    {NR_HTTP_GET, ACTIVATIONS "?name=a/b/c", "name",
     "Parameter may be a 'simple' name or 'package-name/simple' name: a/b/c"},
    {NR_HTTP_GET, ACTIVATIONS "?name=a/", "name",
     "Parameter may be a 'simple' name or 'package-name/simple' name: a/"},
    {NR_HTTP_GET, ACTIVATIONS "?name=..%2Fb", "name",
     "Parameter may be a 'simple' name or 'package-name/simple' name: ../b"},
    {NR_HTTP_POST, ACTIONS "/a?timeout=0", "timeout",
     "Timeout must be number of milliseconds up to 60000."},
    {NR_HTTP_POST, ACTIONS "/a?timeout=60001", "timeout",
     "Timeout must be number of milliseconds up to 60000."},
    {NR_HTTP_POST, ACTIONS "/a?timeout=1s", "timeout",
     "Timeout must be number of milliseconds up to 60000."},
    {NR_HTTP_POST, ACTIONS "/a?blocking=", "blocking", "'' is not a valid Boolean value"},
    {NR_HTTP_POST, ACTIONS "/a?result=truth", "result", "'truth' is not a valid Boolean value"},
    {NR_HTTP_PUT, ACTIONS "/a?overwrite=2", "overwrite", "'2' is not a valid Boolean value"},
    {NR_HTTP_GET, ACTIONS "/a?code=nein", "code", "'nein' is not a valid Boolean value"},
    {NR_HTTP_PUT, ACTIONS "/a?overwrite=y", "overwrite", "'y' is not a valid Boolean value"},
    {NR_HTTP_PUT, ACTIONS "/a?overwrite=t", "overwrite", "'t' is not a valid Boolean value"},
};

static void test_bad(void **state)
{
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(bad); i++) {
        char text[256];
        struct nr_buf wanted;
        const struct answer *a = asked(f, bad[i].method, bad[i].target, NULL);

        (void)snprintf(text, sizeof(text), "The query parameter '%s' was malformed:\n%s",
                       bad[i].parameter, bad[i].detail);
        nr_buf_init(&wanted, 512);
        nr_buf_adds(&wanted, "{\"error\":");
        nr_buf_json(&wanted, nr_str_of(text));
        nr_buf_addc(&wanted, '\0');
        assert_int_equal(a->status, 400);
        if (strncmp(a->body, wanted.p, wanted.n - 1) != 0)
            print_error("%s\n%s\n", a->body, wanted.p);
        assert_memory_equal(a->body, wanted.p, wanted.n - 1);
        nr_buf_fini(&wanted);
    }
    assert_int_equal(f->posts + f->invokes, 0);
    fakes_close(f);
}

static const struct {
    const char *query;
    int limit, skip;
    bool count;
} pages[] = {
    {"", 30, 0, false},
    {"?", 30, 0, false},
    {"?limit=0&skip=0", 0, 0, false},
    {"?limit=200&skip=7&count=true", 200, 7, true},
    {"?count=TRUE", 30, 0, true},
    {"?count=0&limit=%31", 1, 0, false},
    {"?count=yes", 30, 0, true},
    {"?count=On", 30, 0, true},
    {"?count=1", 30, 0, true},
    {"?count=no", 30, 0, false},
    {"?count=off", 30, 0, false},
    {"?limit=5&limit=6", 5, 0, false},
    {"?public=true&other", 30, 0, false},
};

static void test_pages(void **state)
{
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(pages); i++) {
        char target[128];

        (void)snprintf(target, sizeof(target), "%s%s", ACTIONS, pages[i].query);
        struct gateway_request *q =
            ask(f, NR_HTTP_GET, target, "authorization: " GOOD_HEADER "\n", NULL);
        assert_int_equal(f->call->op, FN_ACTION_LIST);
        assert_int_equal(f->call->limit, pages[i].limit);
        assert_int_equal(f->call->skip, pages[i].skip);
        assert_int_equal(f->call->count, pages[i].count);
        answer_call(f, 200, "[]");
        request_over(f, q);
    }
    fakes_close(f);
}

static void test_activation_filters(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q =
        ask(f, NR_HTTP_GET, ACTIVATIONS "?name=pkg%2Fa%20b&since=5&upto=9&docs=true&limit=0",
            "authorization: " GOOD_HEADER "\n", NULL);

    assert_int_equal(f->query->op, QUERY_LIST);
    assert_true(nr_str_eqz(f->query->package, "pkg") && nr_str_eqz(f->query->name, "a b"));
    assert_int_equal(f->query->since_ms, 5);
    assert_int_equal(f->query->upto_ms, 9);
    assert_true(f->query->docs && !f->query->count);
    assert_int_equal(f->query->limit, 0);
    answer_query(f, 0, "[]");
    assert_int_equal(f->answer.status, 200);
    request_over(f, q);
    const struct answer *a = asked(f, NR_HTTP_GET, ACTIVATIONS "?docs=true&count=true", NULL);
    assert_int_equal(a->status, 400);
    assert_non_null(strstr(a->body, "\"The parameter 'docs' is not permitted with 'count'.\""));
    fakes_close(f);
}

static void test_invoke_parameters(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q =
        ask(f, NR_HTTP_POST, ACTIONS "/p/a?blocking=true&result=yes&timeout=250",
            "authorization: " GOOD_HEADER "\n", " {\"a\":1}\n");

    assert_true(f->held->blocking && f->held->result_only);
    assert_int_equal(f->held->wait_ms, 250);
    assert_true(nr_str_eqz(f->held->package, "p") && nr_str_eqz(f->held->name, "a"));
    assert_true(nr_str_eqz(f->held->input, "{\"a\":1}"));
    assert_true(nr_str_eqz(f->held->api_key, GOOD_KEY));
    answer_activation(f, 200, "{}");
    request_over(f, q);
    q = ask(f, NR_HTTP_POST, ACTIONS "/a", "authorization: " GOOD_HEADER "\n", NULL);
    assert_false(f->held->blocking || f->held->result_only);
    assert_int_equal(f->held->wait_ms, 60000);
    assert_int_equal(f->held->package.n, 0);
    assert_true(nr_str_eqz(f->held->input, "{}"));
    answer_activation(f, 202, "{}");
    request_over(f, q);
    fakes_close(f);
}

/* Headers follow the authorization. */
static const struct {
    const char *query, *headers;
    int64_t number;
    const char *alias;
} targets[] = {
    {"", "", 0, ""},
    {"?version=3", "", 3, ""},
    {"?version=2147483647", "", 2147483647, ""},
    {"?version=latest", "", 0, ""},
    {"?alias=prod", "", 0, "prod"},
    {"?alias=a%20b", "", 0, "a b"},
    {"", "x-narae-version: 4\n", 4, ""},
    {"", "x-narae-version: latest\n", 0, ""},
    {"?blocking=true", "x-narae-alias: beta\n", 0, "beta"},
};

static void test_versions(void **state)
{
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(targets); i++) {
        char target[128], headers[512];

        (void)snprintf(target, sizeof(target), "%s/a%s", ACTIONS, targets[i].query);
        (void)snprintf(headers, sizeof(headers), "authorization: " GOOD_HEADER "\n%s",
                       targets[i].headers);
        struct gateway_request *q = ask(f, NR_HTTP_POST, target, headers, NULL);
        assert_int_equal(f->held->number, targets[i].number);
        assert_true(nr_str_eqz(f->held->alias, targets[i].alias));
        answer_activation(f, 202, "{}");
        request_over(f, q);
    }
    fakes_close(f);
}

#define A_NUMBER(v) "A version is a number from 1, or 'latest', not '" v "'."
#define ONCE                                                                                       \
    "A version or an alias can be named once: by ?version=, ?alias=, X-Narae-Version or "          \
    "X-Narae-Alias."
#define A_NAME "The alias is not a name: The name of the entity contains illegal characters."

static const struct {
    const char *query, *headers, *text;
} bad_targets[] = {
    {"?version=0", "", A_NUMBER("0")},
    {"?version=2147483648", "", A_NUMBER("2147483648")},
    {"?version=", "", A_NUMBER("")},
    {"?version=+1", "", A_NUMBER(" 1")},
    {"?version=v1", "", A_NUMBER("v1")},
    {"?alias=", "", A_NAME},
    {"?alias=a/b", "", A_NAME},
    {"", "x-narae-version: 1.0\n", A_NUMBER("1.0")},
    {"", "x-narae-alias: -\n", A_NAME},
    {"?version=1&alias=a", "", ONCE},
    {"?version=1", "x-narae-version: 1\n", ONCE},
    {"?alias=a", "x-narae-version: 1\n", ONCE},
    {"", "x-narae-version: 1\nx-narae-alias: a\n", ONCE},
};

static void test_bad_versions(void **state)
{
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(bad_targets); i++) {
        char target[128], headers[512];

        (void)snprintf(target, sizeof(target), "%s/a%s", ACTIONS, bad_targets[i].query);
        (void)snprintf(headers, sizeof(headers), "authorization: " GOOD_HEADER "\n%s",
                       bad_targets[i].headers);
        struct gateway_request *q = ask(f, NR_HTTP_POST, target, headers, NULL);
        assert_int_equal(q->status, 400);
        assert_string_equal(q->err.text, bad_targets[i].text);
        request_over(f, q);
    }
    assert_int_equal(f->invokes, 0);
    fakes_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_activation_filters),
        cmocka_unit_test(test_invoke_parameters),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_bad_versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
