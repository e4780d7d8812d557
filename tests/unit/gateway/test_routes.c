/* The table: each row is found by a path of its form, other methods are told what there is, and nothing in a path leads out of
 * the caller's own namespace. */
#include "tests/unit/gateway/fakes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct route *find(enum nr_http_method method, const char *text,
                                struct nr_str part[PART_COUNT], int *ret_status, char methods[64])
{
    static char room[4096];
    struct path path;
    struct nr_buf b;
    const struct route *r;

    assert_int_equal(route_split(nr_str_of(text), room, &path), 0);
    nr_buf_init(&b, 63);
    r = route_find(method, &path, part, ret_status, &b);
    memcpy(methods, b.p ? b.p : "", b.n);
    methods[b.n] = '\0';
    nr_buf_fini(&b);
    return r;
}

/* A path of a pattern's form: its parts by name, an optional slash left out or not. */
static void fill(const char *pattern, bool slash, char *out, size_t size)
{
    struct nr_str rest = nr_str_of(pattern), word;
    size_t n = rest.n;
    bool either = n > 1 && pattern[n - 1] == '?';

    if (either)
        rest.n -= slash ? 1 : 2;
    out[0] = '\0';
    rest.p++;
    rest.n--;
    n = 0;
    do {
        word = (struct nr_str){NULL, 0};
        (void)nr_str_split(&rest, '/', &word);
        bool part = word.n && word.p[0] == ':';
        n += (size_t)snprintf(out + n, size - n, "/%.*s", (int)word.n - part,
                              word.n ? word.p + part : "");
    } while (rest.p);
}

static void test_each_row(void **state)
{
    for (size_t i = 0; i < route_count(); i++)
        for (int slash = 0; slash < 2; slash++) {
            struct nr_str part[PART_COUNT];
            char path[256], methods[64];
            int status = 0;

            fill(routes[i].pattern, slash, path, sizeof(path));
            assert_ptr_equal(find(routes[i].method, path, part, &status, methods), &routes[i]);
            assert_int_equal(part[PART_NAME].p != NULL,
                             strstr(routes[i].pattern, ":name") &&
                                 (strstr(routes[i].pattern, ":name/") ||
                                  strcmp(strrchr(routes[i].pattern, '/'), "/:name") == 0));
        }
}

static const struct {
    const char *path;
    enum nr_http_method method;
    int status;
    const char *methods;
} misses[] = {
    {"/nothing", NR_HTTP_GET, 404, ""},
    {"//", NR_HTTP_GET, 404, ""},
    {"/", NR_HTTP_POST, 405, "GET"},
    {"/healthz/", NR_HTTP_GET, 404, ""},
    {"/api/v1/namespaces", NR_HTTP_PUT, 405, "GET"},
    {"/api/v1/nothing", NR_HTTP_PUT, 404, ""},
    {"/api/v1/namespaces/_/actions", NR_HTTP_POST, 405, "GET"},
    {"/api/v1/namespaces/_/actions/a", NR_HTTP_PATCH, 405, "GET, PUT, DELETE, POST"},
    {"/api/v1/namespaces/_/actions/a", NR_HTTP_HEAD, 405, "GET, PUT, DELETE, POST"},
    {"/api/v1/namespaces/_/actions/p/a", NR_HTTP_OTHER, 405, "GET, PUT, DELETE, POST"},
    {"/api/v1/namespaces/_/actions/p/", NR_HTTP_PUT, 405, "GET"},
    {"/api/v1/namespaces/_/actions/p/a/", NR_HTTP_GET, 404, ""},
    {"/api/v1/namespaces/_/actions/p/a/b", NR_HTTP_GET, 404, ""},
    {"/api/v1/namespaces/_/actions//a", NR_HTTP_GET, 404, ""},
    {"/api/v1/namespaces//actions", NR_HTTP_GET, 404, ""},
    {"/api/v1/namespaces/_/activations/x", NR_HTTP_DELETE, 405, "GET"},
    {"/api/v1/namespaces/_/activations/x/other", NR_HTTP_GET, 404, ""},
    {"/API/v1", NR_HTTP_GET, 404, ""},
    {"/narae/v1/accounts/a/limits", NR_HTTP_DELETE, 405, "GET, PUT"},
};

static void test_misses(void **state)
{
    for (size_t i = 0; i < nr_countof(misses); i++) {
        struct nr_str part[PART_COUNT];
        char methods[64];
        int status = 0;

        assert_null(find(misses[i].method, misses[i].path, part, &status, methods));
        assert_int_equal(status, misses[i].status);
        assert_string_equal(methods, misses[i].methods);
    }
}

static void test_split(void **state)
{
    char room[64];
    struct path p;

    assert_int_equal(route_split(NR_STR("/"), room, &p), 0);
    assert_int_equal(p.count, 0);
    assert_int_equal(route_split(NR_STR("/a%20b/c%2Fd/"), room, &p), 0);
    assert_int_equal(p.count, 2);
    assert_true(p.slash && nr_str_eqz(p.segment[0], "a b") && nr_str_eqz(p.segment[1], "c/d"));
    assert_int_equal(route_split(NR_STR("/a+b"), room, &p), 0);
    assert_true(nr_str_eqz(p.segment[0], "a+b"));
    static const char *const bad[] = {"", "a", "*", "/%", "/%4", "/%zz", "/a%00b", "/%-1"};
    for (size_t i = 0; i < nr_countof(bad); i++)
        assert_int_equal(route_split(nr_str_of(bad[i]), room, &p), NR_EINVAL);
    assert_int_equal(route_split(NR_STR("/1/2/3/4/5/6/7/8/9/10"), room, &p), 0);
    assert_int_equal(route_split(NR_STR("/1/2/3/4/5/6/7/8/9/10/11"), room, &p), 0);
    assert_true(p.more && p.count == PATH_SEGMENTS_MAX);
    assert_int_equal(route_split(NR_STR("/1/2/3/4/5/6/7/8/9/10/%2"), room, &p), NR_EINVAL);
}

/* Random paths of what might lead astray: a call that goes out names the own namespace and clean names. */
static void test_no_way_out(void **state)
{
    static const char *const pieces[] = {"..",       ".",  "%2e%2e", "%2f", "/",   "_",   "guest",
                                         "somebody", "a",  "%5c",    "\\",  "%25", "%2e", "actions",
                                         "%41",      "//", "@",      " ",   "%20", "-"};
    struct fakes *f = fakes_open();
    unsigned seed = 7;
    int went_out = 0;

    for (int n = 0; n < 20000; n++) {
        char path[256] = "/api/v1/namespaces/_/actions/";
        size_t at = strlen(path);

        for (int k = 0; k < 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            at += (size_t)snprintf(path + at, sizeof(path) - at, "%s",
                                   pieces[(seed >> 16) % nr_countof(pieces)]);
        }
        struct gateway_request *q =
            ask(f, NR_HTTP_GET, path, "authorization: " GOOD_HEADER "\n", NULL);
        if (f->call) {
            const struct nr_str names[] = {f->call->name, f->call->package};

            assert_string_equal(f->call->account->name, "guest");
            for (size_t k = 0; k < nr_countof(names); k++) {
                assert_null(names[k].n ? memchr(names[k].p, '/', names[k].n) : NULL);
                assert_null(names[k].n ? memchr(names[k].p, '\\', names[k].n) : NULL);
                assert_true(names[k].n == 0 || (names[k].p[0] != '.' && names[k].p[0] != ' '));
            }
            went_out++;
            answer_call(f, 200, "{}");
        }
        assert_int_equal(f->answer.count, 1);
        request_over(f, q);
    }
    assert_true(went_out > 100);
    fakes_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row),
        cmocka_unit_test(test_misses),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_no_way_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
