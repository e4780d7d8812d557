/* Who asks: the header in all its forms, and the bucket of failed logins. */
#include "tests/unit/gateway/fakes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "gateway/credentials.h"

static const struct {
    const char *header;
    int status;
} headers[] = {
    {"authorization: " GOOD_HEADER "\n", 200},
    {"authorization: basic bWU6c2VjcmV0\n", 200},
    {"authorization: BASIC   bWU6c2VjcmV0\n", 200},
    {"", 401},
    {"authorization: \n", 401},
    {"authorization: Basic\n", 401},
    {"authorization: Basic \n", 401},
    {"authorization: Basic !!!!\n", 401},
    {"authorization: Basic bWU=\n", 401},             /* me */
    {"authorization: Basic bWU6\n", 401},             /* me: */
    {"authorization: Basic OnNlY3JldA==\n", 401},     /* :secret */
    {"authorization: Basic bWU6c2VjcmV0OmE=\n", 401}, /* me:secret:a */
    {"authorization: Basic bWU6c2VjcmV0AA==\n", 401}, /* me:secret and a NUL */
    {"authorization: Bearer bWU6c2VjcmV0\n", 401},
    {"authorization: BasicbWU6c2VjcmV0\n", 401},
};

static void test_headers(void **state)
{
    for (size_t i = 0; i < nr_countof(headers); i++) {
        struct fakes *f = fakes_open();
        struct gateway_request *q =
            ask(f, NR_HTTP_GET, "/api/v1/namespaces", headers[i].header, NULL);

        if (f->answer.status != headers[i].status)
            print_error("%s", headers[i].header);
        assert_int_equal(f->answer.status, headers[i].status);
        assert_int_equal(strstr(f->answer.head,
                                "WWW-Authenticate: Basic realm=\"OpenWhisk secure realm\"\r\n") !=
                             NULL,
                         headers[i].status == 401);
        request_over(f, q);
        fakes_close(f);
    }
}

#define UUID "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
#define SECRET "0123456789abcdefghijABCDEFGHIJ_-klmnopqrstKLMNOPQRSTuvwxyzUVWXYZ"

static void test_what_shows_a_key(void **state)
{
    static const struct {
        const char *scheme, *credentials;
        bool coded, shown;
    } rows[] = {
        {"Basic ", UUID ":" SECRET, true, true},
        {"basic\t ", UUID ":" SECRET, true, true},
        {"", UUID ":" SECRET, true, true},
        {"", UUID ":" SECRET, false, true},
        {"Basic ", UUID ":" SECRET, false, true},
        {"Bearer ", UUID ":" SECRET, true, true},
        {"Bearer a, Basic ", UUID ":" SECRET, true, true},
        {"Basic dXNlcjpwYXNz,Basic ", UUID ":" SECRET, true, true},
        {"Basic ", UUID ":" SECRET "\n", true, true},
        {"Basic ", UUID ":guessed", true, true},
        {"Basic ", UUID ":", true, true},
        {"Basic ", "23bc46b1-71f6-4ed5-8c54-816aa4f8c50:" SECRET, true, true},
        {"Basic ", "23BC46B171F64ED58C54816AA4F8C502:x", true, true},
        {"Basic ", "me:" SECRET, true, true},
        {"Basic ", "me:" SECRET "x", true, false},
        {"Basic ", "user:password", true, false},
        {"Basic ", "user", true, false},
        {"Basic ", SECRET, true, false},
        {"Bearer ", "user:" SECRET, true, false},
        {"Bearer ", UUID ":of.their.own", false, false},
        {"Bearer ", "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln", false, false},
        {"Digest username=\"me\", nonce=", "\"abc\"", false, false},
        {"", "", false, false},
    };

    for (size_t i = 0; i < nr_countof(rows); i++) {
        char coded[512], header[1024];
        struct nr_str in = nr_str_of(rows[i].credentials);
        size_t n = nr_base64_encode(in.p, in.n, coded);

        (void)snprintf(header, sizeof(header), "%s%.*s", rows[i].scheme,
                       rows[i].coded ? (int)n : (int)in.n, rows[i].coded ? coded : in.p);
        if (credentials_show_key(nr_str_of(header)) != rows[i].shown)
            fail_msg("%s%s", rows[i].scheme, rows[i].credentials);
    }
}

static void test_texts(void **state)
{
    struct fakes *f = fakes_open();
    struct gateway_request *q =
        ask(f, NR_HTTP_GET, "/api/v1/namespaces", "x-request-id: t1\n", NULL);

    assert_string_equal(f->answer.body,
                        "{\"error\":\"The resource requires authentication, which was not supplied "
                        "with the request\",\"code\":\"t1\"}");
    request_over(f, q);
    q = ask(f, NR_HTTP_GET, "/api/v1/namespaces", "x-request-id: t2\nauthorization: Basic YTpi\n",
            NULL);
    assert_string_equal(f->answer.body,
                        "{\"error\":\"The supplied authentication is invalid\",\"code\":\"t2\"}");
    request_over(f, q);
    fakes_close(f);
}

static void test_a_good_key_passes_a_blocked_address(void **state)
{
    struct fakes *f = fakes_open();

    for (int n = 0; n < 25; n++) {
        struct gateway_request *q =
            ask(f, NR_HTTP_GET, "/api/v1/namespaces", "authorization: Basic YTpi\n", NULL);

        assert_int_equal(f->answer.status, n < 20 ? 401 : 429);
        assert_int_equal(strstr(f->answer.head, "Retry-After: ") != NULL, n >= 20);
        request_over(f, q);
    }
    assert_int_equal(asked(f, NR_HTTP_GET, "/api/v1/namespaces", NULL)->status, 200);
    fakes_close(f);
}

static void test_scopes(void **state)
{
    static const struct {
        enum nr_http_method method;
        const char *target;
        unsigned needed;
    } rows[] = {
        {NR_HTTP_GET, "/api/v1/namespaces", SCOPE_READ},
        {NR_HTTP_POST, "/api/v1/namespaces/_/actions/a", SCOPE_INVOKE},
        {NR_HTTP_PUT, "/api/v1/namespaces/_/actions/a", SCOPE_WRITE},
        {NR_HTTP_DELETE, "/api/v1/namespaces/_/actions/a", SCOPE_WRITE},
        {NR_HTTP_GET, "/narae/v1/accounts/guest/limits", SCOPE_ADMIN},
    };

    for (size_t i = 0; i < nr_countof(rows); i++)
        for (unsigned scope = SCOPE_INVOKE; scope <= SCOPE_ADMIN; scope <<= 1) {
            struct fakes *f = fakes_open();

            f->scopes = scope;
            f->answers_at_once = true;
            struct gateway_request *q =
                ask(f, rows[i].method, rows[i].target, "authorization: " GOOD_HEADER "\n", NULL);
            if (f->call)
                answer_call(f, 200, "{}");
            assert_int_equal(f->answer.status, scope == rows[i].needed ? 200 : 403);
            request_over(f, q);
            fakes_close(f);
        }
}

static void test_bucket(void **state)
{
    struct nr_logins l;
    uint64_t wait_s = 0;

    nr_logins_init(&l, 20);
    for (int n = 0; n < 20; n++)
        assert_true(nr_logins_failed(&l, NR_STR("192.0.2.1"), 1000, &wait_s));
    assert_false(nr_logins_failed(&l, NR_STR("192.0.2.1"), 1000, &wait_s));
    assert_int_equal(wait_s, 4);
    assert_true(nr_logins_failed(&l, NR_STR("192.0.2.2"), 1000, &wait_s));
    assert_false(nr_logins_failed(&l, NR_STR("192.0.2.1"), 3999, &wait_s));
    assert_true(nr_logins_failed(&l, NR_STR("192.0.2.1"), 4000, &wait_s));
    assert_false(nr_logins_failed(&l, NR_STR("192.0.2.1"), 4000, &wait_s));
    for (int n = 0; n < 20; n++)
        assert_true(nr_logins_failed(&l, NR_STR("192.0.2.1"), 10000000, &wait_s));
    assert_false(nr_logins_failed(&l, NR_STR("192.0.2.1"), 10000000, &wait_s));
    nr_logins_fini(&l);
}

/* Many attempts in quick succession gain nothing by rounding. */
static void test_bucket_refills_exactly(void **state)
{
    struct nr_logins l;
    uint64_t wait_s;
    int passed = 0;

    nr_logins_init(&l, 20);
    for (uint64_t ms = 0; ms <= 60000; ms++)
        passed += nr_logins_failed(&l, NR_STR("192.0.2.1"), ms, &wait_s);
    assert_int_equal(passed, 40);
    nr_logins_fini(&l);
}

static void test_bucket_by_network(void **state)
{
    struct nr_logins l;
    uint64_t wait_s;

    nr_logins_init(&l, 1);
    assert_true(nr_logins_failed(&l, NR_STR("2001:db8::1"), 0, &wait_s));
    assert_false(nr_logins_failed(&l, NR_STR("2001:db8::2"), 0, &wait_s));
    assert_false(nr_logins_failed(&l, NR_STR("2001:db8:0:0:ffff::1"), 0, &wait_s));
    assert_true(nr_logins_failed(&l, NR_STR("2001:db8:0:1::1"), 0, &wait_s));
    nr_logins_fini(&l);
}

static void test_bucket_table_is_bounded(void **state)
{
    struct nr_logins l;
    uint64_t wait_s;
    char address[32];

    nr_logins_init(&l, 1);
    for (int n = 0; n < 10000; n++) {
        (void)snprintf(address, sizeof(address), "10.0.%d.%d", n / 256, n % 256);
        assert_true(nr_logins_failed(&l, nr_str_of(address), 0, &wait_s));
    }
    assert_int_equal(l.by_address.count, 4096);
    assert_false(nr_logins_failed(&l, nr_str_of(address), 0, &wait_s));
    nr_logins_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_what_shows_a_key),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_a_good_key_passes_a_blocked_address),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_bucket_refills_exactly),
        cmocka_unit_test(test_bucket_by_network),
        cmocka_unit_test(test_bucket_table_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
