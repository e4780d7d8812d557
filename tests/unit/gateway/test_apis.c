/* APIs: the question for a table of routes, asked once and never believed when it is old; which route serves a path; what management asks. */
#include "tests/unit/gateway/fakes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KEY "authorization: " GOOD_HEADER "\n"
#define JSON "content-type: application/json\n"
#define MANAGE "/api/v1/web/whisk.system/apimgmt/"

static const struct {
    const char *base, *path, *method, *name;
} shop[] = {
    {"/b", "/x", "GET", "getx"},         {"/b", "/x", "POST", "postx"},
    {"/b/c", "/y", "GET", "deep"},       {"/b", "/c/y", "GET", "shallow"},
    {"/", "/", "GET", "root"},           {"/b", "/{id}", "GET", "word"},
    {"/b", "/{id}/z/{n}", "PUT", "two"},
};

/* The first n routes of the shop, in the order in which the function manager gives them. */
static struct api_table *table_of(size_t n)
{
    struct api_table *t = nr_alloc(sizeof(*t));

    *t = (struct api_table){.refs = 1, .account = nr_strdup("shop"), .count = n};
    t->routes = nr_alloc(nr_countof(shop) * sizeof(*t->routes));
    for (size_t i = 0; i < n; i++)
        t->routes[i] = (struct api_route){.base_path = nr_strdup(shop[i].base),
                                          .path = nr_strdup(shop[i].path),
                                          .method = nr_strdup(shop[i].method),
                                          .extension = nr_strdup("http"),
                                          .secret = nr_strdup(""),
                                          .action = {.account = nr_strdup("shop"),
                                                     .package = nr_strdup("p"),
                                                     .name = nr_strdup(shop[i].name),
                                                     .alias = nr_strdup("")}};
    return t;
}

static void answer_table(struct fakes *f, size_t n)
{
    assert_non_null(f->call);
    assert_int_equal(f->call->op, FN_API_RESOLVE);
    assert_true(nr_str_eqz(f->call->name, "shop"));
    f->call->apis = table_of(n);
    answer_call(f, 200, "");
}

/* One request to its end, when the table is known. */
static const struct answer *serve(struct fakes *f, enum nr_http_method method, const char *target)
{
    struct gateway_request *q = ask(f, method, target, "", "");

    assert_null(f->call);
    request_over(f, q);
    return &f->answer;
}

static void test_one_question_for_all(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *a = ask(f, NR_HTTP_GET, "/apis/shop/none", "", "");
    struct gateway_request *b = ask(f, NR_HTTP_GET, "/apis/shop/none/either", "", "");

    assert_int_equal(f->posts, 1);
    assert_int_equal(f->answer.count, 0);
    answer_table(f, 1);
    assert_int_equal(f->answer.count, 2);
    assert_int_equal(f->answer.status, 404);
    request_over(f, a);
    request_over(f, b);
    assert_int_equal(serve(f, NR_HTTP_GET, "/apis/shop/none")->status, 404);
    assert_int_equal(f->posts, 1);
    gateway_apis_changed(f->gateway, "shop");
    gateway_apis_changed(f->gateway, "shop");
    gateway_apis_changed(f->gateway, "nobody");
    a = ask(f, NR_HTTP_GET, "/apis/shop/b/x", "", "");
    assert_int_equal(f->posts, 2);
    answer_table(f, 0);
    assert_int_equal(f->answer.status, 404);
    request_over(f, a);
    fakes_close(f);
}

static void test_an_old_answer_is_nobodys(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_DELETE, "/apis/shop/b/x", "", "");

    gateway_apis_changed(f->gateway, "shop");
    answer_table(f, 0);
    assert_int_equal(f->answer.count, 0);
    assert_int_equal(f->posts, 2);
    f->hooks->on_gone(&q->http);
    answer_table(f, 1);
    assert_int_equal(f->answer.status, 405); /* the new table has the path */
    request_over(f, q);
    fakes_close(f);
}

static void test_a_question_that_fails(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_GET, "/apis/shop/b/x", "", "");

    answer_call(f, 500, "There was an internal server error.");
    assert_true(f->answer.status >= 400);
    request_over(f, q);
    q = ask(f, NR_HTTP_DELETE, "/apis/shop/b/x", "", ""); /* is asked anew */
    answer_table(f, 1);
    assert_int_equal(f->answer.status, 405);
    request_over(f, q);
    fakes_close(f);
}

static void test_who_is_not_there(void **state)
{
    static const char *const targets[] = {"/apis",          "/apis/",     "/apis/nobody/b/x",
                                          "/apis/asleep/b", "/apis//b/x", "/apis/shop//b"};
    struct fakes *f = fakes_open();

    for (size_t i = 0; i < nr_countof(targets); i++) {
        assert_int_equal(serve(f, NR_HTTP_GET, targets[i])->status, 404);
        assert_null(strstr(f->answer.body, "secret"));
    }
    assert_int_equal(f->posts, 0);
    fakes_close(f);
}

static void test_which_route(void **state)
{
    static const struct {
        enum nr_http_method method;
        const char *target, *found; /* NULL: none, status tells */
        int status;
        const char *head; /* a line of it */
    } cases[] = {
        {NR_HTTP_GET, "/apis/shop/b/x", "getx"},
        {NR_HTTP_GET, "/apis/shop/b/x/", "getx"},
        {NR_HTTP_GET, "/apis/shop/b/%78?q=1", "getx"},
        {NR_HTTP_POST, "/apis/shop/b/x", "postx"},
        {NR_HTTP_GET, "/apis/shop/b/c/y", "deep"},
        {NR_HTTP_GET, "/apis/shop", "root"},
        {NR_HTTP_GET, "/apis/shop/", "root"},
        {NR_HTTP_GET, "/apis/shop/b/seven", "word"},
        {NR_HTTP_GET, "/apis/shop/b/a%2Fb", "word"},
        {NR_HTTP_PUT, "/apis/shop/b/1/z/2", "two"},
        {NR_HTTP_GET, "/apis/shop/b", NULL, 404},
        {NR_HTTP_GET, "/apis/shop/b//x", NULL, 404},
        {NR_HTTP_GET, "/apis/shop/B/x", NULL, 404},
        {NR_HTTP_GET, "/apis/shop/b/x/y/z/v", NULL, 404},
        {NR_HTTP_HEAD, "/apis/shop/b/c/y", NULL, 405, "Allow: GET\r\n"},
        {NR_HTTP_PATCH, "/apis/shop/b/x", NULL, 405, "Allow: GET, POST\r\n"},
        {NR_HTTP_OPTIONS, "/apis/shop/b/x", NULL, 200,
         "Access-Control-Allow-Methods: OPTIONS, GET, POST\r\n"},
        {NR_HTTP_OPTIONS, "/apis/shop/b/1/2", NULL, 404},
    };
    struct fakes *f = fakes_open();
    struct gateway_request *q = ask(f, NR_HTTP_GET, "/apis/shop/none/of/them", "", "");

    answer_table(f, nr_countof(shop));
    request_over(f, q);
    for (size_t i = 0; i < nr_countof(cases); i++) {
        char found[64];

        f->found[0] = '\0';
        (void)serve(f, cases[i].method, cases[i].target);
        (void)snprintf(found, sizeof(found), "shop p %s 0", cases[i].found ? cases[i].found : "");
        if (strcmp(f->found, cases[i].found ? found : "") != 0)
            fail_msg("%s: found '%s'", cases[i].target, f->found);
        if (cases[i].found == NULL)
            assert_int_equal(f->answer.status, cases[i].status);
        if (cases[i].head != NULL && strstr(f->answer.head, cases[i].head) == NULL)
            fail_msg("%s: %s", cases[i].target, f->answer.head);
    }
    assert_int_equal(f->posts, 1);
    fakes_close(f);
}

/* Whose API guesses a function's secret is slowed down by his name, from wherever it is called; what others fail at is not his. */
static void test_guessing_by_a_route(void **state)
{
    static char secret[] = "8675309";
    struct fakes *f = fakes_open();
    struct function fn = {.refs = 1, .web = {.access = WEB_SECRET, .secret = secret}};
    struct gateway_request *q;

    f->function = &fn;
    for (int i = 0; i < 30; i++) {
        q = ask(f, NR_HTTP_GET, i % 2 ? "/apis/shop/b/x" : "/apis/shop/b/c/y", "", "");
        if (i == 0) {
            struct api_table *t = table_of(nr_countof(shop));

            for (size_t k = 0; k < t->count; k++) {
                free(t->routes[k].secret);
                t->routes[k].secret = nr_strdup("8675308");
            }
            f->call->apis = t;
            answer_call(f, 200, "");
        }
        assert_int_equal(f->answer.status, i < 20 ? 401 : 429);
        assert_null(f->held);
        request_over(f, q);
    }
    assert_non_null(strstr(f->answer.body, "Too many failed logins from this API (allowed: 20"));
    assert_non_null(strstr(f->answer.head, "Retry-After: "));
    q = ask(f, NR_HTTP_GET, "/api/v1/namespaces", "authorization: Basic YTpi\n", NULL);
    assert_int_equal(f->answer.status, 401); /* the address has failed at nothing */
    request_over(f, q);
    fakes_close(f);
}

static void test_what_management_asks(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q =
        ask(f, NR_HTTP_POST,
            MANAGE "createApi.http?responsetype=http&spaceguid=u&accesstoken=DUMMY+TOKEN",
            KEY JSON "host: h.example:99\n", "{\"apidoc\":{}}");

    assert_int_equal(f->call->op, FN_API_CREATE);
    assert_true(nr_str_eqz(f->call->item, "http://h.example:99"));
    assert_true(nr_str_eqz(f->call->api->response_type, "http"));
    assert_true(nr_str_eqz(f->call->body, "{\"apidoc\":{}}"));
    answer_call(f, 200, "{\"gwApiUrl\":\"u\"}");
    assert_string_equal(f->answer.body, "{\"gwApiUrl\":\"u\"}");
    request_over(f, q);

    q = ask(f, NR_HTTP_GET,
            MANAGE "getApi?basepath=Book+Club&relpath=%2Fx&operation=GET&limit=7&skip=2",
            KEY "host: a\"b\n", "");
    assert_int_equal(f->call->op, FN_API_GET);
    assert_true(nr_str_starts(f->call->item, "http://localhost:"));
    assert_true(nr_str_eqz(f->call->api->base_path, "Book Club"));
    assert_true(nr_str_eqz(f->call->api->path, "/x") && nr_str_eqz(f->call->api->method, "GET"));
    assert_int_equal(f->call->api->limit, 7);
    assert_int_equal(f->call->api->skip, 2);
    answer_call(f, 404, "API 'x' does not exist.");
    assert_int_equal(f->answer.status, 404);
    request_over(f, q);

    q = ask(f, NR_HTTP_GET, MANAGE "getApi?limit=201", KEY, "");
    assert_int_equal(f->answer.status, 400);
    request_over(f, q);
    q = ask(f, NR_HTTP_DELETE, MANAGE "deleteApi.http?basepath=%zz", KEY, "");
    assert_int_equal(f->answer.status, 400);
    request_over(f, q);
    q = ask(f, NR_HTTP_DELETE, MANAGE "deleteApi.http?basepath=/b", "", "");
    assert_int_equal(f->answer.status, 401);
    request_over(f, q);
    fakes_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_question_for_all),
        cmocka_unit_test(test_an_old_answer_is_nobodys),
        cmocka_unit_test(test_a_question_that_fails),
        cmocka_unit_test(test_who_is_not_there),
        cmocka_unit_test(test_which_route),
        cmocka_unit_test(test_guessing_by_a_route),
        cmocka_unit_test(test_what_management_asks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
