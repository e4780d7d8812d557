/* Web actions: who may call what, what the function is given, what its caller gets, and that nothing of it breaks a reply. */
#include "tests/unit/gateway/fakes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "gateway/web_input.h"
#include "gateway/web_reply.h"

#define WEB "/api/v1/web/shop/default/hello"
#define KEY "authorization: " GOOD_HEADER "\n"
#define MB (1 << 20)

/* A function of the shop; texts of the program. */
static struct function open_function(void)
{
    static char none[] = "";

    return (struct function){.refs = 1, .web = {.access = WEB_OPEN, .secret = none}};
}

static void ends(const char *text, const char *tail)
{
    size_t n = strlen(text), t = strlen(tail);

    if (n < t || strcmp(text + n - t, tail) != 0)
        fail_msg("%s\ndoes not end with\n%s", text, tail);
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("%s\ndoes not hold\n%s", text, part);
}

static void has_not(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("%s\nholds\n%s", text, part);
}

/* What the function that is held was given (lent until the next one). */
static const char *input_of(const struct fakes *f)
{
    static char text[4096];

    assert_non_null(f->held);
    (void)snprintf(text, sizeof(text), "%.*s", (int)f->held->input.n, f->held->input.p);
    return text;
}

/* An error as web actions give it. */
static void is_error(const struct answer *a, int status, const char *text)
{
    char body[512];

    assert_int_equal(a->status, status);
    (void)snprintf(body, sizeof(body), ",\n  \"error\": \"%s\"\n}", text);
    ends(a->body, body);
    has(a->body, "{\n  \"code\": \"");
    has(a->head, "Content-Type: application/json\r\n");
    has(a->head, "Access-Control-Allow-Origin: *\r\n");
}

/* ---- paths ---- */

static void test_paths(void **state)
{
    static const struct {
        const char *target, *found, *path;
    } rows[] = {
        {WEB, "shop  hello 0", ""},
        {WEB ".http", "shop  hello 0", ""},
        {WEB ".json/a/b", "shop  hello 0", "/a/b"},
        {WEB ".jsonx", "shop  hello.jsonx 0", ""},
        {WEB ".v1.text", "shop  hello.v1 0", ""},
        {"/api/v1/web/shop/pkg/hello/", "shop pkg hello 0", "/"},
        {"/api/v1/web/shop/pkg/a%20b/x%20y//z", "shop pkg a b 0", "/x%20y//z"},
        {"/api/v1/web/shop/pkg/h/1/2/3/4/5/6/7/8/9", "shop pkg h 0", "/1/2/3/4/5/6/7/8/9"},
    };
    struct fakes *f = fakes_open();
    struct function fn = open_function();
    char path[128];

    f->function = &fn;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct gateway_request *q = ask(f, NR_HTTP_GET, rows[i].target, "", NULL);

        assert_string_equal(f->found, rows[i].found);
        (void)snprintf(path, sizeof(path), "\"__ow_path\":\"%s\"", rows[i].path);
        assert_non_null(f->held);
        has(input_of(f), path);
        answer_activation(f, 200, "{}");
        request_over(f, q);
    }
    fakes_close(f);
}

/* One 404 for all that is not there for the world. */
static void test_nothing_there(void **state)
{
    static const struct {
        const char *target;
        int status;
        const char *text;
    } rows[] = {
        {"/api/v1/web/nobody/default/hello", 404, "The requested resource does not exist."},
        {"/api/v1/web/_/default/hello", 404, "The requested resource does not exist."},
        {"/api/v1/web/asleep/default/hello", 404, "The requested resource does not exist."},
        {"/api/v1/web/shop/default/hello", 404, "The requested resource does not exist."},
        {"/api/v1/web/shop/default/a%20.json", 404, "The requested resource does not exist."},
        {"/api/v1/web/shop/default/.json", 400,
         "The name of the entity contains illegal characters."},
        {"/api/v1/web/shop/de%2Ffault/a", 400,
         "The name of the entity contains illegal characters."},
        {WEB "/%zz", 400, "bad escape in the path."},
    };
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct gateway_request *q = ask(f, NR_HTTP_GET, rows[i].target, "", NULL);

        assert_int_equal(f->answer.status, rows[i].status);
        has(f->answer.body, rows[i].text);
        request_over(f, q);
    }
    struct function fn = open_function(); /* it is there, but not for the world */

    fn.web.access = WEB_CLOSED;
    f->function = &fn;
    struct gateway_request *q = ask(f, NR_HTTP_GET, WEB, KEY, NULL);

    is_error(&f->answer, 404, "The requested resource does not exist.");
    request_over(f, q);
    assert_int_equal(f->invokes, 0);
    q = ask(f, NR_HTTP_GET, "/api/v1/web/shop/hello", "", NULL);
    assert_int_equal(f->answer.status, 404);
    request_over(f, q);
    q = ask(f, NR_HTTP_OTHER, WEB, "", NULL);
    assert_int_equal(f->answer.status, 405);
    has(f->answer.head, "Allow: GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS\r\n");
    request_over(f, q);
    fakes_close(f);
}

/* ---- who may ---- */

static void test_access(void **state)
{
    static char secret[] = "8675309", none[] = "";
    static const struct {
        enum web_access access;
        const char *headers;
        int status;
    } rows[] = {
        {WEB_OPEN, "", 0},
        {WEB_OPEN, "authorization: Basic nonsense\n", 0},
        {WEB_OPEN, "authorization: Bearer of.my.own\n", 0},
        {WEB_KEY, KEY, 0},
        {WEB_KEY, "", 401},
        {WEB_KEY, "authorization: Basic bWU6d3Jvbmc=\n", 401},
        {WEB_KEY, "x-require-whisk-auth: 8675309\n", 401},
        {WEB_SECRET, "x-require-whisk-auth: 8675309\n", 0},
        {WEB_SECRET, "x-require-whisk-auth: 8675308\n", 401},
        {WEB_SECRET, "x-require-whisk-auth: 867530\n", 401},
        {WEB_SECRET, "x-require-whisk-auth: \n", 401},
        {WEB_SECRET, KEY, 401},
        {WEB_SECRET, "", 401},
    };
    struct fakes *f = fakes_open();
    struct function fn = open_function();

    f->function = &fn;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        fn.web.access = rows[i].access;
        fn.web.secret = rows[i].access == WEB_SECRET ? secret : none;
        struct gateway_request *q = ask(f, NR_HTTP_POST, WEB, rows[i].headers, NULL);

        assert_true((f->held != NULL) == (rows[i].status == 0));
        if (f->held) {
            assert_string_equal(f->held->account->name, "shop");
            assert_null(f->held->api_key.p);
            answer_activation(f, 200, "{}");
            assert_int_equal(f->answer.status, 204);
        } else {
            is_error(&f->answer, 401,
                     "The resource requires authentication, which was not "
                     "supplied with the request");
            has(f->answer.head, "WWW-Authenticate: Basic");
        }
        request_over(f, q);
    }
    fakes_close(f);
}

/* Who guesses a secret is slowed down; who shows it is not, and neither is who shows nothing. */
static void test_guessing(void **state)
{
    static char secret[] = "8675309";
    struct fakes *f = fakes_open();
    struct function fn = open_function();
    struct gateway_request *q;

    fn.web.access = WEB_SECRET;
    fn.web.secret = secret;
    f->function = &fn;
    for (int i = 0; i < 40; i++) {
        q = ask(f, NR_HTTP_GET, WEB, "x-require-whisk-auth: no\n", NULL);
        assert_int_equal(f->answer.status, i < 20 ? 401 : 429);
        request_over(f, q);
    }
    has(f->answer.head, "Retry-After: ");
    q = ask(f, NR_HTTP_GET, WEB, "x-require-whisk-auth: 8675309\n", NULL);
    assert_non_null(f->held);
    answer_activation(f, 200, "{}");
    request_over(f, q);
    q = ask(f, NR_HTTP_GET, WEB, "", NULL);
    assert_int_equal(f->answer.status, 401);
    request_over(f, q);
    fakes_close(f);
}

#define UUID "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
/* UUID:mistyped */
#define WRONG_KEY                                                                                  \
    "authorization: Basic MjNiYzQ2YjEtNzFmNi00ZWQ1LThjNTQtODE2YWE0ZjhjNTAyOm1pc3R5cGVk\n"

/* An open function tells whether a key is good, so bad ones count. What is no key of ours is its own business. */
static void test_guessing_keys(void **state)
{
    static const struct {
        enum nr_http_method method;
        enum web_access access;
    } rows[] = {{NR_HTTP_GET, WEB_OPEN}, {NR_HTTP_OPTIONS, WEB_KEY}, {NR_HTTP_POST, WEB_SECRET}};
    static char secret[] = "8675309";
    struct function fn = open_function();

    fn.web.custom_options = true;
    fn.web.secret = secret;
    for (size_t r = 0; r < nr_countof(rows); r++) {
        struct fakes *f = fakes_open();
        struct gateway_request *q;

        fn.web.access = rows[r].access;
        f->function = &fn;
        for (int i = 0; i < 60; i++) {
            const char *header =
                i < 30 ? WRONG_KEY "x-require-whisk-auth: 8675309\n"
                       : "authorization: Basic dXNlcjpvdGhlcg==\nx-require-whisk-auth: 8675309\n";
            q = ask(f, rows[r].method, WEB, header, NULL);
            assert_int_equal(f->held != NULL, i < 20 || i >= 30);
            if (f->held) {
                has_not(input_of(f), "__ow_user");
                assert_int_equal(strstr(input_of(f), "\"authorization\"") != NULL, i >= 30);
                answer_activation(f, 200, "{}");
            } else {
                assert_int_equal(f->answer.status, 429);
                has(f->answer.head, "Retry-After: ");
            }
            request_over(f, q);
        }
        q = ask(f, rows[r].method, WEB, KEY "x-require-whisk-auth: 8675309\n", NULL);
        has(input_of(f), "\"__ow_user\":\"guest\"");
        answer_activation(f, 200, "{}");
        request_over(f, q);
        fakes_close(f);
    }
}

/* What a key may not do elsewhere it may not do here. */
static void test_scope_of_the_key(void **state)
{
    struct fakes *f = fakes_open();
    struct function fn = open_function();
    struct gateway_request *q;

    fn.web.access = WEB_KEY;
    f->function = &fn;
    f->scopes = SCOPE_READ | SCOPE_WRITE;
    q = ask(f, NR_HTTP_GET, WEB, KEY, NULL);
    is_error(&f->answer, 401,
             "The resource requires authentication, which was not supplied with the request");
    request_over(f, q);
    f->scopes = SCOPE_INVOKE;
    q = ask(f, NR_HTTP_GET, WEB, KEY, NULL);
    assert_non_null(f->held);
    answer_activation(f, 200, "{}");
    request_over(f, q);
    fakes_close(f);
}

/* A good key is told by name and never shown; a bad one is not either; anything else in that header is the function's business. */
static void test_authorization_of_the_caller(void **state)
{
    struct fakes *f = fakes_open();
    struct function fn = open_function();
    struct gateway_request *q;

    f->function = &fn;
    q = ask(f, NR_HTTP_GET, WEB, KEY "x-a: b\n", NULL);
    ends(input_of(f), "\"__ow_method\":\"get\",\"__ow_headers\":{\"x-a\":\"b\"},"
                      "\"__ow_path\":\"\",\"__ow_user\":\"guest\"}");
    answer_activation(f, 200, "{}");
    request_over(f, q);
    q = ask(f, NR_HTTP_GET, WEB, "authorization: Bearer x\n", NULL);
    ends(input_of(f), "\"__ow_headers\":{\"authorization\":\"Bearer x\"},\"__ow_path\":\"\"}");
    answer_activation(f, 200, "{}");
    request_over(f, q);
    q = ask(f, NR_HTTP_GET, WEB, WRONG_KEY "proxy-authorization: Basic dXNlcjpvdGhlcg==\nx-a: b\n",
            NULL);
    ends(input_of(f), "\"__ow_headers\":{\"x-a\":\"b\"},\"__ow_path\":\"\"}");
    answer_activation(f, 200, "{}");
    request_over(f, q);
    q = ask(f, NR_HTTP_GET, WEB,
            "authorization: Bearer x\n" WRONG_KEY "authorization: Bearer y\n" WRONG_KEY, NULL);
    ends(input_of(f),
         "\"__ow_headers\":{\"authorization\":\"Bearer x, Bearer y\"},\"__ow_path\":\"\"}");
    answer_activation(f, 200, "{}");
    request_over(f, q);
    fakes_close(f);
}

static void test_states(void **state)
{
    static char reason[] = "we owe rent";
    struct fakes *f = fakes_open();
    struct function fn = open_function();
    struct gateway_request *q;

    f->function = &fn;
    fn.reason = reason;
    fn.state = FN_BLOCKED;
    q = ask(f, NR_HTTP_GET, WEB, "", NULL);
    is_error(&f->answer, 423, "The function is blocked.");
    request_over(f, q);
    fn.state = FN_RETIRED;
    q = ask(f, NR_HTTP_GET, WEB, "", NULL);
    is_error(&f->answer, 410, "The function is retired.");
    request_over(f, q);
    fn.state = FN_LATEST;
    q = ask(f, NR_HTTP_GET, WEB, "", NULL);
    f->refuse_code = NR_EQUOTA;
    answer_activation(f, 0, "Too many requests in the last minute (count: 61, allowed: 60).");
    is_error(&f->answer, 429, "Too many requests in the last minute (count: 61, allowed: 60).");
    has(f->answer.head, "Retry-After: 7\r\n");
    request_over(f, q);
    f->refuse_code = NR_ENOMEM;
    q = ask(f, NR_HTTP_GET, WEB, "", NULL);
    is_error(&f->answer, 503, "cannot be looked up");
    request_over(f, q);
    f->refuse_code = NR_EFORBIDDEN;
    q = ask(f, NR_HTTP_GET, WEB, "", NULL);
    is_error(&f->answer, 404, "The requested resource does not exist.");
    request_over(f, q);
    fakes_close(f);
}

/* ---- OPTIONS and CORS ---- */

static void test_options(void **state)
{
    struct fakes *f = fakes_open();
    struct function fn = open_function();
    struct gateway_request *q;

    f->function = &fn;
    fn.web.access = WEB_KEY; /* is not asked for */
    q = ask(f, NR_HTTP_OPTIONS, WEB, "access-control-request-headers: x-one, x-two\n", NULL);
    assert_int_equal(f->answer.status, 200);
    assert_string_equal(f->answer.body, "");
    has(f->answer.head,
        "Access-Control-Allow-Origin: *\r\n"
        "Access-Control-Allow-Headers: x-one, x-two\r\n"
        "Access-Control-Allow-Methods: OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH\r\n");
    request_over(f, q);
    q = ask(f, NR_HTTP_OPTIONS, WEB, "", NULL);
    has(f->answer.head, "Access-Control-Allow-Headers: Authorization, Origin, X-Requested-With, "
                        "Content-Type, Accept, User-Agent\r\n");
    request_over(f, q);
    assert_int_equal(f->invokes, 0);
    fn.web.custom_options = true;
    q = ask(f, NR_HTTP_OPTIONS, WEB, "", NULL);
    has(input_of(f), "\"__ow_method\":\"options\"");
    answer_activation(f, 200, "{\"headers\":{\"Access-Control-Allow-Methods\":\"OPTIONS, GET\"}}");
    assert_int_equal(f->answer.status, 204);
    has(f->answer.head, "Access-Control-Allow-Methods: OPTIONS, GET\r\n");
    has_not(f->answer.head, "Access-Control-Allow-Origin");
    has_not(f->answer.head, "PATCH");
    request_over(f, q);
    fn.web.access = WEB_OPEN;
    q = ask(f, NR_HTTP_GET, WEB, "", NULL);
    answer_activation(f, 200, "{\"body\":\"x\"}");
    has_not(f->answer.head, "Access-Control");
    request_over(f, q);
    fn.web.access = WEB_CLOSED;
    q = ask(f, NR_HTTP_OPTIONS, WEB, "", NULL);
    assert_int_equal(f->answer.status, 404);
    request_over(f, q);
    fakes_close(f);
}

/* A line of the function's own is not doubled. */
static void test_cors_of_the_function(void **state)
{
    struct fakes *f = fakes_open();
    struct function fn = open_function();
    struct gateway_request *q;

    f->function = &fn;
    q = ask(f, NR_HTTP_GET, WEB, "", NULL);
    answer_activation(f, 200,
                      "{\"headers\":{\"access-control-allow-origin\":\"https://a.example\"},"
                      "\"body\":\"x\"}");
    has(f->answer.head, "access-control-allow-origin: https://a.example\r\n");
    has_not(f->answer.head, "Access-Control-Allow-Origin: *");
    has(f->answer.head, "Access-Control-Allow-Methods: ");
    has(f->answer.head, "Access-Control-Allow-Headers: Authorization");
    request_over(f, q);
    fakes_close(f);
}

/* ---- input ---- */

#define JSON "content-type: application/json\n"
#define FORM "content-type: application/x-www-form-urlencoded\n"
#define DEFINES "Request defines parameters that are not allowed (e.g., reserved properties)."

/* What stands before the request's own members, or the text of a 400. */
struct input_row {
    const char *query, *headers, *body;
    const char *members;
    const char *refusal;
};

static const struct input_row read_rows[] = {
    {"", "", NULL, "{\"__ow_method\"", NULL},
    {"?a=1&b=x%20y+z", "", NULL, "{\"a\":\"1\",\"b\":\"x y z\",\"__ow_method\"", NULL},
    {"?a=1&a=2&c&=e&&", "", NULL, "{\"a\":\"2\",\"c\":\"\",\"\":\"e\",\"__ow_method\"", NULL},
    {"?a=1&b=2", JSON, "{\"b\":3,\"c\":[4]}", "{\"b\":3,\"c\":[4],\"a\":\"1\",\"__ow_", NULL},
    {"?b=2", JSON, " {\"\\u0062\" : 3 }\n", "{\"\\u0062\":3,\"__ow_method\"", NULL},
    {"", "content-type: application/json; charset=utf-8\n", "{\"a\":1}", "{\"a\":1,", NULL},
    {"", "content-type: application/vnd.api+json\n", "{\"a\":1}", "{\"a\":1,", NULL},
    {"", JSON, "{}", "{\"__ow_method\"", NULL},
    {"?n=1", JSON, "", "{\"n\":\"1\",\"__ow_method\"", NULL},
    {"", JSON, "  \n", "{\"__ow_method\"", NULL},
    {"?a=1", JSON, "[1, 2]", "{\"a\":\"1\",\"__ow_body\":[1, 2],\"__ow_method\"", NULL},
    {"", JSON, "null", "{\"__ow_body\":null,\"__ow_method\"", NULL},
    {"", JSON, "\"text\"", "{\"__ow_body\":\"text\",\"__ow_method\"", NULL},
    {"?a=1", FORM, "a=2&b=%C3%A9+1", "{\"a\":\"2\",\"b\":\"\xC3\xA9 1\",\"__ow_method\"", NULL},
    {"", "content-type: text/plain\n", "a \"b\"", "{\"__ow_body\":\"a \\\"b\\\"\",", NULL},
    {"", "content-type: application/xml\n", "<a/>", "{\"__ow_body\":\"<a/>\",", NULL},
    {"", "content-type: image/png\n", "\x89PNG", "{\"__ow_body\":\"iVBORw==\",", NULL},
    {"", "content-type: image/svg+xml\n", "<svg/>", "{\"__ow_body\":\"PHN2Zy8+\",", NULL},
    {"", "content-type: application/octet-stream\n", "abc", "{\"__ow_body\":\"YWJj\",", NULL},
    {"", "content-type: multipart/form-data; boundary=x\n", "abc", "{\"__ow_body\":\"YWJj\",",
     NULL},
    /* what may not be */
    {"?__ow_method=x", "", NULL, NULL, DEFINES},
    {"?%5F_ow_x=1", "", NULL, NULL, DEFINES},
    {"?fixed=1", "", NULL, NULL, DEFINES},
    {"", JSON, "{\"__ow_user\":1}", NULL, DEFINES},
    {"", JSON, "{\"\\u005f_ow_user\":1}", NULL, DEFINES},
    {"", JSON, "{\"a\":1,\"fixed\":2}", NULL, DEFINES},
    {"", FORM, "fixed=", NULL, DEFINES},
    {"", JSON, "{\"a\":", NULL,
     "The request content was malformed:\\nthe text ends too early at byte 5"},
    {"", JSON, "{} {}", NULL,
     "The request content was malformed:\\nsomething stands behind the value"},
    {"?a=%zz", "", NULL, NULL, "The request target was malformed:\\nbad escape in the query."},
    {"", FORM, "a=%4", NULL, "The request content was malformed:\\nbad escape in the form."},
    {"", "content-type: nonsense\n", "x", NULL, "Content type is not supported."},
    {"", "content-type: /\n", "x", NULL, "Content type is not supported."},
};

static void try_input(struct fakes *f, const struct input_row *row)
{
    char target[256];
    struct gateway_request *q;

    (void)snprintf(target, sizeof(target), WEB "%s", row->query);
    q = ask(f, NR_HTTP_POST, target, row->headers, row->body);
    if (row->refusal) {
        assert_null(f->held);
        assert_int_equal(f->answer.status, 400);
        has(f->answer.body, row->refusal);
    } else {
        if (f->held == NULL)
            fail_msg("%s", f->answer.body);
        if (strncmp(input_of(f), row->members, strlen(row->members)) != 0)
            fail_msg("%s\ndoes not begin with\n%s", input_of(f), row->members);
        assert_int_equal(nr_json_scan(f->held->input), NR_JSON_OBJECT);
        answer_activation(f, 200, "{}");
    }
    request_over(f, q);
}

static void test_input(void **state)
{
    static char fixed[] = "fixed", *final_names[] = {fixed, NULL};
    struct fakes *f = fakes_open();
    struct function fn = open_function();

    f->function = &fn;
    fn.final_names = final_names;
    for (size_t i = 0; i < nr_countof(read_rows); i++)
        try_input(f, &read_rows[i]);
    fakes_close(f);
}

static void test_raw_input(void **state)
{
    static const struct input_row rows[] = {
        {"", "", NULL, "{\"__ow_query\":\"\",\"__ow_body\":\"\",\"__ow_method\"", NULL},
        {"?a=%20&__ow_x=%zz", "", NULL, "{\"__ow_query\":\"a=%20&__ow_x=%zz\",\"__ow_body\":\"\",",
         NULL},
        {"", JSON, "{\"a\":", "{\"__ow_query\":\"\",\"__ow_body\":\"eyJhIjo=\",", NULL},
        {"", "content-type: a/b+json\n",
         "{\"a\":", "{\"__ow_query\":\"\",\"__ow_body\":\"{\\\"a\\\":\",", NULL},
        {"", FORM, "__ow_a=1", "{\"__ow_query\":\"\",\"__ow_body\":\"__ow_a=1\",", NULL},
        {"", "content-type: text/csv\n", "1,2", "{\"__ow_query\":\"\",\"__ow_body\":\"1,2\",",
         NULL},
        {"", "content-type: a/b\n", "abc", "{\"__ow_query\":\"\",\"__ow_body\":\"YWJj\",", NULL},
    };
    static char fixed[] = "a", *final_names[] = {fixed, NULL};
    struct fakes *f = fakes_open();
    struct function fn = open_function();

    f->function = &fn;
    fn.web.raw = true;
    fn.final_names = final_names; /* is not asked for */
    for (size_t i = 0; i < nr_countof(rows); i++)
        try_input(f, &rows[i]);
    fakes_close(f);
}

static void test_headers_of_the_request(void **state)
{
    struct fakes *f = fakes_open();
    struct function fn = open_function();
    struct gateway_request *q;

    f->function = &fn;
    q = ask(f, NR_HTTP_PATCH, WEB,
            "host: a\ncontent-length: 2\ntransfer-encoding: chunked\nconnection: close\n"
            "cookie: a=1\nx-a: \"1\"\ncookie: b=2\nx-a: 2\nexpect: 100-continue\n",
            "{}");
    ends(input_of(f),
         "\"__ow_method\":\"patch\",\"__ow_headers\":{\"host\":\"a\",\"cookie\":\"a=1; b=2\","
         "\"x-a\":\"\\\"1\\\", 2\",\"content-type\":\"application/json\"},\"__ow_path\":\"\"}");
    answer_activation(f, 200, "{}");
    request_over(f, q);
    fakes_close(f);
}

/* What an API route's path holds wins over all that is said of the same name. */
static void test_parameters_of_a_route(void **state)
{
    static const struct web_parameter more[] = {{NR_STR("id"), NR_STR("7")},
                                                {NR_STR("kind"), NR_STR("a \"b\"")}};
    static const struct {
        const char *query, *type, *body, *members;
    } rows[] = {
        {"", NULL, "", "{\"id\":\"7\",\"kind\":\"a \\\"b\\\"\",\"__ow_method\""},
        {"id=1&x=2&id=3", NULL, "", "{\"x\":\"2\",\"id\":\"7\","},
        {"x=2", "application/json", "{\"id\":1,\"x\":3,\"\\u0069d\":2}",
         "{\"x\":3,\"id\":\"7\",\"kind\""},
        {"", "application/x-www-form-urlencoded", "id=1&y=2", "{\"y\":\"2\",\"id\":\"7\","},
    };

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct nr_http_req *r = nr_alloc(sizeof(*r));
        const struct web_input in = {
            .http = r, .path = NR_STR("/x"), .more = more, .more_count = 2};
        struct nr_err err = {0};
        struct nr_buf out;

        r->query = nr_str_of(rows[i].query);
        r->body = nr_str_of(rows[i].body);
        if (rows[i].type)
            r->headers[r->header_count++] =
                (struct nr_http_header){NR_STR("content-type"), nr_str_of(rows[i].type)};
        nr_buf_init(&out, WEB_INPUT_MAX_BYTES);
        assert_int_equal(web_input_write(&in, &out, &err), 0);
        nr_buf_addc(&out, '\0');
        if (strncmp(out.p, rows[i].members, strlen(rows[i].members)) != 0)
            fail_msg("%s\ndoes not begin with\n%s", out.p, rows[i].members);
        nr_buf_fini(&out);
        free(r);
    }
}

/* Without memory a request is refused as one that may come again, wherever it ran out. */
static void test_no_memory(void **state)
{
    static const char body[] = "{\"\\u0061\":[1,2,3],\"b\":{\"c\":\"d\"}}";
    static const char result[] = "{\"headers\":{\"a\":[\"b\",\"c\"]},\"body\":{\"a\":1}}";
    struct nr_http_req *r = nr_alloc(sizeof(*r));
    const struct web_input in = {.http = r};
    int refused = 0;

    r->query = NR_STR("x=1&y=%20");
    r->body = (struct nr_str){body, sizeof(body) - 1};
    r->headers[r->header_count++] =
        (struct nr_http_header){NR_STR("content-type"), NR_STR("application/json")};
    for (int i = 0; i < 2; i++)
        r->headers[r->header_count++] = (struct nr_http_header){NR_STR("x-a"), NR_STR("1")};
    for (long n = 1;; n++) {
        struct nr_err err = {0};
        struct nr_buf out;

        nr_buf_init(&out, WEB_INPUT_MAX_BYTES);
        nr_mem_fail_at(n, 1);
        int status = web_input_write(&in, &out, &err);
        bool reached = nr_mem_tries() >= n;

        nr_mem_fail_at(0, 0);
        assert_true(status == 0 || (status == 503 && err.text[0]));
        if (status == 0)
            assert_non_null(memmem(out.p, out.n, "\"x-a\":\"1, 1\"", 12));
        refused += status != 0;
        nr_buf_fini(&out);
        if (!reached)
            break;
    }
    assert_true(refused > 2);
    for (long n = 1;; n++) {
        struct web_reply reply;

        nr_mem_fail_at(n, 1);
        web_reply_write(WEB_HTTP, (struct nr_str){result, sizeof(result) - 1}, false, &reply);
        bool reached = nr_mem_tries() >= n;

        nr_mem_fail_at(0, 0);
        assert_true(reply.refusal != NULL ||
                    (!reply.head.failed && !reply.body.failed && !reply.type.failed));
        web_reply_fini(&reply);
        if (!reached)
            break;
    }
    free(r);
}

static void test_large_input(void **state)
{
    struct fakes *f = fakes_open();
    struct function fn = open_function();
    char *body = nr_alloc(MB + 1);
    struct gateway_request *q;

    f->function = &fn;
    q = ask_head(f, NR_HTTP_POST, WEB, "content-type: text/plain\n", MB + 1);
    is_error(&f->answer, 413, "Request larger than allowed: 1048577 > 1048576 bytes.");
    request_over(f, q);
    memset(body, 'x', MB); /* off the loop */
    q = ask_head(f, NR_HTTP_POST, WEB, "content-type: image/png\n", MB);
    ask_body(f, q, (struct nr_str){body, MB});
    assert_null(f->held);
    while (f->held == NULL)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_true(f->held->input.n > MB / 3 * 4);
    answer_activation(f, 200, "{}");
    request_over(f, q);
    memset(body, 1, MB); /* each byte takes six */
    q = ask_head(f, NR_HTTP_POST, WEB, "content-type: text/plain\n", MB);
    ask_body(f, q, (struct nr_str){body, MB});
    while (f->answer.count == 0)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    is_error(&f->answer, 413,
             "Request larger than allowed: as parameters it is above 1638400 bytes.");
    request_over(f, q);
    memset(body, '&', MB);
    q = ask_head(f, NR_HTTP_POST, WEB, FORM, MB);
    ask_body(f, q, (struct nr_str){body, MB});
    while (f->answer.count == 0)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    is_error(&f->answer, 400, "The request has too many parameters: 1048577, at most 10000.");
    request_over(f, q);
    free(body);
    fakes_close(f);
}

/* ---- output ---- */

#define TEXT_HTML "Content-Type: text/html; charset=UTF-8\r\n"
#define TYPE_JSON "Content-Type: application/json\r\n"
#define BAD_HTTP "Response is not valid 'message/http'."

struct output_row {
    const char *extension, *result;
    int status;
    const char *body; /* or the text of the refusal */
    const char *head; /* NULL: no type */
};

static const struct output_row output_rows[] = {
    {".http", "{}", 204, "", NULL},
    {".http", "{\"greeting\":\"x\"}", 204, "", NULL},
    {"", "{\"body\":\"<b>\\u00e9</b>\"}", 200, "<b>\xC3\xA9</b>", TEXT_HTML},
    {".http", "{\"body\":\"\"}", 204, "", NULL},
    {".http", "{\"body\":null,\"statusCode\":200}", 200, "", NULL},
    {".http", "{\"statusCode\":302,\"headers\":{\"Location\":\"https://a.example/?x=y\"}}", 302, "",
     "Location: https://a.example/?x=y\r\n"},
    {".http", "{\"statusCode\":\"404\",\"body\":\"none\"}", 404, "none", TEXT_HTML},
    {".http", "{\"statusCode\":418.0,\"body\":\"tea\"}", 418, "tea", TEXT_HTML},
    {".http", "{\"statusCode\":200,\"statusCode\":201,\"body\":\"x\"}", 201, "x", TEXT_HTML},
    {".http", "{\"\\u0062ody\":\"x\"}", 200, "x", TEXT_HTML},
    {".http", "{\"body\":{\"a\" : [1, 2]}}", 200, "{\"a\":[1,2]}", TYPE_JSON},
    {".http", "{\"body\":[]}", 200, "[]", TYPE_JSON},
    {".http", "{\"body\":false}", 200, "false", TYPE_JSON},
    {".http", "{\"body\":{\"a\":1},\"headers\":{\"content-TYPE\":\"application/vnd.api+json\"}}",
     200, "{\n  \"a\": 1\n}", "Content-Type: application/vnd.api+json\r\n"},
    {".http", "{\"body\":\"a,b\",\"headers\":{\"content-type\":\"text/csv\"}}", 200, "a,b",
     "Content-Type: text/csv; charset=UTF-8\r\n"},
    {".http", "{\"body\":\"a\",\"headers\":{\"content-type\":\"text/csv; charset=latin1\"}}", 200,
     "a", "Content-Type: text/csv; charset=latin1\r\n"},
    {".http", "{\"body\":\"iVBORw==\",\"headers\":{\"content-type\":\"image/png\"}}", 200,
     "\x89PNG", "Content-Type: image/png\r\n"},
    {".http", "{\"body\":\"<svg/>\",\"headers\":{\"content-type\":\"image/svg+xml\"}}", 200,
     "<svg/>", "Content-Type: image/svg+xml\r\n"},
    {".http", "{\"body\":\"PHN2Zy8+\",\"headers\":{\"content-type\":\"image/svg+xml\"}}", 200,
     "<svg/>", "Content-Type: image/svg+xml\r\n"},
    {".http", "{\"body\":\"eyJhIjoxfQ==\",\"headers\":{\"Content-Type\":\"application/json\"}}",
     200, "{\"a\":1}", TYPE_JSON},
    {".http", "{\"body\":\"{\\\"a\\\": 1}\",\"headers\":{\"Content-Type\":\"application/json\"}}",
     200, "{\"a\": 1}", TYPE_JSON},
    {".http", "{\"body\":\"1234\",\"headers\":{\"Content-Type\":\"application/json\"}}", 200,
     "1234", TYPE_JSON},
    {".http", "{\"headers\":{\"Set-Cookie\":[\"a=1\",\"b=2\"],\"X-N\":5,\"X-B\":true}}", 204, "",
     "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-N: 5\r\nX-B: true\r\n"},
    {".http", "{\"headers\":null,\"body\":\"x\"}", 200, "x", TEXT_HTML},
    /* framing is the server's */
    {".http",
     "{\"headers\":{\"Content-Length\":9,\"Date\":\"x\",\"connection\":\"close\",\"Transfer-Encoding\":"
     "\"chunked\",\"X-Request-Id\":\"mine\",\"X-OpenWhisk-Activation-Id\":\"mine\",\"x-a\":\"b\"},"
     "\"body\":\"x\"}",
     200, "x", TEXT_HTML "x-openwhisk-activation-id: 0123"},
    /* what may not be */
    {".http", "[1]", 400, BAD_HTTP, ""},
    {".http", "{\"statusCode\":\"abc\"}", 400, BAD_HTTP, ""},
    {".http", "{\"statusCode\":null}", 400, BAD_HTTP, ""},
    {".http", "{\"statusCode\":101}", 400, BAD_HTTP, ""},
    {".http", "{\"statusCode\":1000}", 400, BAD_HTTP, ""},
    {".http", "{\"statusCode\":200.5}", 400, BAD_HTTP, ""},
    {".http", "{\"headers\":[]}", 400, BAD_HTTP, ""},
    {".http", "{\"headers\":{\"a\":{}}}", 400, BAD_HTTP, ""},
    {".http", "{\"headers\":{\"a\":null}}", 400, BAD_HTTP, ""},
    {".http", "{\"headers\":{\"a\":[[\"b\"]]}}", 400, BAD_HTTP, ""},
    {".http", "{\"headers\":{\"a\":\"b\\r\\nSet-Cookie: c=d\"}}", 400, BAD_HTTP, ""},
    {".http", "{\"headers\":{\"a\":\"b\\u0000c\"}}", 400, BAD_HTTP, ""},
    {".http", "{\"headers\":{\"a: b\\r\\nc\":\"d\"}}", 400, BAD_HTTP, ""},
    {".http", "{\"headers\":{\"\":\"d\"}}", 400, BAD_HTTP, ""},
    {".http", "{\"headers\":{\"content-type\":5},\"body\":\"x\"}", 400, BAD_HTTP, ""},
    {".http", "{\"headers\":{\"content-type\":\"a/b\\nc: d\"},\"body\":\"x\"}", 400, BAD_HTTP, ""},
    {".http", "{\"headers\":{\"content-type\":\"xyz\"},\"body\":\"x\"}", 400,
     "Response did not specify a known content-type.", ""},
    {".http", "{\"headers\":{\"content-type\":\"image/png\"},\"body\":\"not base64!\"}", 400,
     "Response type in header did not match generated content type.", ""},
    {".http", "{\"headers\":{\"content-type\":\"text/plain\"},\"body\":{}}", 400,
     "Response type in header did not match generated content type.", ""},
    /* the others look at one member, and at no status or header */
    {".json", "{\"statusCode\":500, \"a\":[ 1 ]}", 200, "{\"statusCode\":500,\"a\":[1]}",
     TYPE_JSON},
    {".json", "[1, 2]", 200, "[1,2]", TYPE_JSON},
    {".html", "{\"html\":\"<p>\",\"statusCode\":500,\"headers\":5}", 200, "<p>", TEXT_HTML},
    {".html", "{\"html\":\"a\",\"body\":\"b\"}", 200, "b", TEXT_HTML},
    {".html", "{\"body\":\"\"}", 200, "", NULL},
    {".html", "{\"body\":5}", 400, "Response is not valid 'text/html'.", ""},
    {".html", "{}", 400, "Response is not valid 'text/html'.", ""},
    {".html", "[]", 400, "Response is not valid 'text/html'.", ""},
    {".svg", "{\"svg\":\"<svg/>\"}", 200, "<svg/>", "Content-Type: image/svg+xml\r\n"},
    {".svg", "{\"html\":\"<svg/>\"}", 400, "Response is not valid 'image/svg+xml'.", ""},
    {".text", "{\"text\":\"a\\nb\"}", 200, "a\nb", "Content-Type: text/plain; charset=UTF-8\r\n"},
    {".text", "{\"text\":{\"a\":1}}", 200, "{\n  \"a\": 1\n}", "Content-Type: text/plain"},
    {".text", "{\"body\":[1,2]}", 200, "[1, 2]", "Content-Type: text/plain"},
    {".text", "{\"text\":5}", 200, "5", "Content-Type: text/plain"},
    {".text", "{\"text\":null}", 200, "null", "Content-Type: text/plain"},
    {".text", "[1, 2]", 200, "[1, 2]", "Content-Type: text/plain"},
    {".text", "{\"other\":1}", 404, "Response does not include requested property.", ""},
};

/* The same for errors of functions: what stands under `error` takes the place of the result. */
static const struct output_row error_rows[] = {
    {".http", "{\"error\":{\"statusCode\":404,\"body\":\"x\"}}", 404, "x", TEXT_HTML},
    {".http", "{\"error\":{\"statusCode\":403}}", 403, "", NULL},
    {".http", "{\"error\":\"text\"}", 400, BAD_HTTP, ""},
    {".json", "{\"error\":\"text\"}", 400, "Response is not valid 'application/json'.", ""},
    {".json", "{\"error\":{\"code\":5}}", 200, "{\"code\":5}", TYPE_JSON},
    {".html", "{\"error\":\"text\"}", 200, "text", TEXT_HTML},
    {".html", "{\"error\":5}", 400, "Response is not valid 'text/html'.", ""},
    {".svg", "{\"error\":\"text\"}", 200, "text", "Content-Type: image/svg+xml\r\n"},
    {".text", "{\"error\":\"text\"}", 200, "text", "Content-Type: text/plain"},
    {".text", "{\"error\":5}", 200, "5", "Content-Type: text/plain"},
};

static void try_output(struct fakes *f, const struct output_row *row)
{
    char target[128];
    struct gateway_request *q;

    (void)snprintf(target, sizeof(target), WEB "%s", row->extension);
    q = ask(f, NR_HTTP_GET, target, "", NULL);
    answer_activation(f, 200, row->result);
    if (f->answer.status != row->status)
        fail_msg("%s: %d %s", row->result, f->answer.status, f->answer.body);
    if (row->head && row->head[0] == '\0')
        is_error(&f->answer, row->status, row->body);
    else
        assert_string_equal(f->answer.body, row->body);
    if (row->head)
        has(f->answer.head, row->head);
    else
        has_not(f->answer.head, "Content-Type: ");
    has(f->answer.head, "x-openwhisk-activation-id: 0123456789abcdef0123456789abcdef\r\n");
    has_not(f->answer.head, "mine");
    has_not(f->answer.head, "chunked");
    has_not(f->answer.head, "close");
    request_over(f, q);
}

static void test_output(void **state)
{
    struct fakes *f = fakes_open();
    struct function fn = open_function();

    f->function = &fn;
    for (size_t i = 0; i < nr_countof(output_rows); i++)
        try_output(f, &output_rows[i]);
    f->outcome = OUTCOME_APPLICATION_ERROR;
    for (size_t i = 0; i < nr_countof(error_rows); i++)
        try_output(f, &error_rows[i]);
    fakes_close(f);
}

static void test_other_ends(void **state)
{
    struct fakes *f = fakes_open();
    struct function fn = open_function();
    struct gateway_request *q;

    f->function = &fn;
    for (int outcome = OUTCOME_DEVELOPER_ERROR; outcome <= OUTCOME_INTERNAL_ERROR; outcome++) {
        f->outcome = (enum outcome_status)outcome;
        q = ask(f, NR_HTTP_GET, WEB ".json", "", NULL);
        answer_activation(f, 502, "{\"error\":\"a trace of the inside\"}");
        is_error(&f->answer, 400, "There was an error processing your request.");
        request_over(f, q);
    }
    f->outcome = OUTCOME_SUCCESS;
    q = ask(f, NR_HTTP_GET, WEB, "", NULL);
    answer_activation(f, 202, "{\"activationId\":\"x\"}");
    is_error(&f->answer, 202, "Response not yet ready.");
    has(f->answer.head, "x-openwhisk-activation-id: 0123456789abcdef0123456789abcdef\r\n");
    request_over(f, q);
    fakes_close(f);
}

/* Above 64 KiB on a work thread; the activation waits for it. */
static void test_large_output(void **state)
{
    struct fakes *f = fakes_open();
    struct function fn = open_function();
    struct gateway_request *q;
    struct nr_buf result;

    f->function = &fn;
    nr_buf_init(&result, 2 * MB);
    nr_buf_adds(&result, "{\"headers\":{\"content-type\":\"image/png\"},\"body\":\"");
    for (int i = 0; i < 60000; i++)
        nr_buf_adds(&result, "YWJj");
    nr_buf_adds(&result, "\"}");
    nr_buf_addc(&result, '\0');
    q = ask(f, NR_HTTP_GET, WEB, "", NULL);
    answer_activation(f, 200, result.p);
    assert_int_equal(f->answer.count, 0);
    while (f->answer.count == 0)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_int_equal(f->answer.status, 200);
    assert_int_equal(strlen(f->answer.body), 180000);
    request_over(f, q);
    nr_buf_fini(&result);
    nr_buf_init(&result, 2 * MB); /* more header lines than there may be */
    nr_buf_adds(&result, "{\"headers\":{\"x-a\":[\"\"");
    for (int i = 0; i < 5000; i++)
        nr_buf_adds(&result, ",\"b\"");
    nr_buf_adds(&result, "]}}");
    nr_buf_addc(&result, '\0');
    q = ask(f, NR_HTTP_GET, WEB, "", NULL);
    answer_activation(f, 200, result.p);
    is_error(&f->answer, 400, BAD_HTTP);
    request_over(f, q);
    nr_buf_fini(&result);
    fakes_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_nothing_there),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_guessing),
        cmocka_unit_test(test_guessing_keys),
        cmocka_unit_test(test_scope_of_the_key),
        cmocka_unit_test(test_authorization_of_the_caller),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_cors_of_the_function),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_raw_input),
        cmocka_unit_test(test_headers_of_the_request),
        cmocka_unit_test(test_parameters_of_a_route),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_large_input),
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_other_ends),
        cmocka_unit_test(test_large_output),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
