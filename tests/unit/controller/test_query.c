/* Questions about records: filters, bounds, and how large an answer may be; with a real calls.db. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "tests/unit/controller/fakes.h"

static int set_up(void **state)
{
    struct fakes *f = nr_alloc(sizeof(*f));

    fakes_open(f, false);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fakes_close(*state, false);
    free(*state);
    return 0;
}

static void on_asked(struct activation_query *q)
{
    *(int *)q->owner = 1;
}

/* Lists what q asks for (made); NULL with *ret_err (lent). */
static json_t *list(struct fakes *f, struct activation_query q, struct nr_err *ret_err)
{
    int done = 0;
    json_t *j = NULL;

    q.op = QUERY_LIST;
    q.account = f->account;
    q.done = on_asked;
    q.owner = &done;
    controller_ask(f->controller, &q);
    fakes_until(f, &done, 1);
    *ret_err = q.err;
    if (q.err.code == 0) {
        j = nr_json_parse(nr_buf_str(&q.reply), NULL);
        assert_non_null(j);
    }
    nr_buf_fini(&q.reply);
    return j;
}

static size_t count_of(struct fakes *f, struct activation_query q)
{
    struct nr_err err;
    nr_auto_json json_t *j = list(f, q, &err);

    assert_non_null(j);
    q.count = true;
    nr_auto_json json_t *count = list(f, q, &err);
    assert_int_equal(json_integer_value(json_object_get(count, "activations")), json_array_size(j));
    return json_array_size(j);
}

static int64_t start_of(const json_t *items, size_t at)
{
    return json_integer_value(json_object_get(json_array_get(items, at), "start"));
}

static void lists_are_filtered_by_name(void **state)
{
    static const struct {
        const char *package, *name;
        size_t count;
    } rows[] = {{"", "", 4},   {"", "a", 1},  {"p", "a", 2}, {"", "b", 1},
                {"p", "b", 0}, {"x", "a", 0}, {"", "A", 0},  {"", "a' OR 1", 0}};
    struct fakes *f = *state;

    (void)fakes_call(f, "a", true, 60000);
    (void)fakes_call(f, "b", true, 60000);
    (void)fakes_call_package(f, NULL, "p", "a");
    (void)fakes_call_package(f, "other", "p", "a");
    fakes_until(f, &f->replies, 4);
    for (size_t i = 0; i < nr_countof(rows); i++)
        assert_int_equal(
            count_of(f, (struct activation_query){.upto_ms = INT64_MAX,
                                                  .package = nr_str_of(rows[i].package),
                                                  .name = nr_str_of(rows[i].name)}),
            rows[i].count);
}

static void bounds_of_the_start_are_inclusive(void **state)
{
    struct fakes *f = *state;
    struct nr_err err;

    for (int i = 0; i < 3; i++) {
        (void)fakes_call(f, "a", true, 60000);
        fakes_until(f, &f->replies, i + 1);
        fakes_turns(f, 2000); /* so that not all begin in one millisecond */
    }
    nr_auto_json json_t *all = list(f, (struct activation_query){.upto_ms = INT64_MAX}, &err);
    int64_t first = start_of(all, 2), last = start_of(all, 0);

    assert_int_equal(count_of(f, (struct activation_query){.since_ms = first, .upto_ms = last}), 3);
    assert_int_equal(
        count_of(f, (struct activation_query){.since_ms = last + 1, .upto_ms = INT64_MAX}), 0);
    assert_int_equal(count_of(f, (struct activation_query){.upto_ms = first - 1}), 0);
    assert_int_equal(count_of(f, (struct activation_query){.upto_ms = 0}), 0);
    assert_in_range(count_of(f, (struct activation_query){.since_ms = last, .upto_ms = last}), 1,
                    3);
}

static void an_answer_has_a_ceiling(void **state)
{
    enum { LARGE = 1000 << 10, CALLS = 66 };
    struct fakes *f = *state;
    struct activation_query q = {.upto_ms = INT64_MAX, .docs = true};
    nr_auto_free char *result = nr_alloc(LARGE + 16);
    struct nr_err err;

    (void)snprintf(result, LARGE + 16, "{\"a\":\"%0*d\"}", (int)LARGE, 1);
    f->result = result;
    for (int i = 0; i < CALLS; i++)
        (void)fakes_call(f, "large", true, 60000);
    fakes_until(f, &f->replies, CALLS);
    assert_null(list(f, q, &err));
    assert_int_equal(err.code, NR_ETOOBIG);
    assert_non_null(strstr(err.text, "more than 67108864 bytes"));
    q.limit = 2;
    nr_auto_json json_t *two = list(f, q, &err);
    assert_int_equal(json_array_size(two), 2);
    q.docs = false;
    q.limit = 0;
    nr_auto_json json_t *brief = list(f, q, &err);
    assert_int_equal(json_array_size(brief), CALLS);
}

/* calls.db as the release before triggers left it, with a record and a call that waits. */
static const char earlier[] =
    "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;"
    "CREATE TABLE calls("
    " seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, epoch INTEGER NOT NULL DEFAULT 0,"
    " lease_ms INTEGER, account TEXT NOT NULL, package TEXT NOT NULL, name TEXT NOT NULL, version TEXT, published INTEGER,"
    " cause TEXT, transaction_id TEXT, retries INTEGER NOT NULL DEFAULT 0, accepted_ms INTEGER NOT NULL,"
    " start_ms INTEGER, end_ms INTEGER, duration_ms INTEGER, status INTEGER, annotations TEXT, result TEXT, logs TEXT,"
    " input TEXT, alias TEXT);"
    "CREATE INDEX calls_by_start ON calls(account, start_ms, seq);"
    "CREATE INDEX calls_open ON calls(state, seq) WHERE state < 2;"
    "INSERT INTO calls(id,state,account,package,name,version,accepted_ms,start_ms,end_ms,duration_ms,status,annotations,result,logs)"
    " VALUES('0123456789abcdef0123456789abcdef',2,'guest','','a','0.0.1',5,5,9,4,0,'[]','{}','');"
    "INSERT INTO calls(id,state,account,package,name,transaction_id,accepted_ms,start_ms,input,published)"
    " VALUES('123456789abcdef0123456789abcdef0',0,'guest','','a','t',6,6,'{}',0);"
    "PRAGMA user_version=2;";

static void a_store_of_an_earlier_release_goes_on(void **state)
{
    struct fakes *f = nr_alloc(sizeof(*f));
    sqlite3 *db = NULL;
    char path[128];

    (void)state;
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/narae-controller-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(path, sizeof(path), "%s/calls.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, earlier, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    fakes_open(f, true);
    fakes_until(f, &f->runs, 1); /* what waited */
    struct activation_query q = {.upto_ms = INT64_MAX, .name = NR_STR("a")};
    struct nr_err err;
    nr_auto_json json_t *list_of_a = NULL;
    while (json_array_size(list_of_a) < 2) {
        json_decref(list_of_a);
        list_of_a = list(f, q, &err);
    }
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list_of_a, 1), "end")), 9);
    fakes_close(f, false);
    free(f);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        CASE(lists_are_filtered_by_name),
        CASE(bounds_of_the_start_are_inclusive),
        CASE(an_answer_has_a_ceiling),
        cmocka_unit_test(a_store_of_an_earlier_release_goes_on),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
