/* Custom metrics: what is taken, what is refused and why, what one account can take from others (nothing). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "gateway/custom_series.h"

/* As a line of a log tells it. */
static enum custom_result tell(struct custom_series *t, const char *account, const char *line,
                               uint64_t now_ms)
{
    static struct sample_room room;
    struct nr_err err = {0};
    struct sample s;

    if (sample_read(nr_str_of(line), 1767603600000, &room, &s, &err) != 0)
        fail_msg("%s: %s", line, err.text);
    return custom_series_take(t, account, NR_STR("dht/store"), &s, now_ms);
}

static char *page(struct custom_series *t, const char *account, uint64_t now_ms)
{
    struct nr_buf b;

    nr_buf_init(&b, 16 << 20);
    custom_series_write(t, account, now_ms, &b);
    assert_false(b.failed);
    char *text = b.n ? nr_buf_detach(&b, NULL) : nr_strdup("");

    nr_buf_fini(&b);
    return text;
}

static void assert_page(struct custom_series *t, const char *account, uint64_t now_ms,
                        const char *wanted)
{
    char *text = page(t, account, now_ms);

    assert_string_equal(text, wanted);
    free(text);
}

#define HEAD(name, type)                                                                           \
    "# HELP " name " Told by functions in their logs.\n# TYPE " name " " type "\n"

static void test_gauge_and_counter(void **state)
{
    struct custom_series *t = custom_series_make();

    assert_int_equal(
        tell(t, "guest",
             "{\"metric\":\"room_temp_celsius\",\"value\":21.5,\"labels\":{\"room\":\"a\"}}", 1),
        CUSTOM_TAKEN);
    assert_int_equal(
        tell(t, "guest",
             "{\"metric\":\"room_temp_celsius\",\"value\":22,\"labels\":{\"room\":\"a\"}}", 2),
        CUSTOM_TAKEN);
    assert_int_equal(tell(t, "acme", "{\"metric\":\"room_temp_celsius\",\"value\":-4}", 3),
                     CUSTOM_TAKEN);
    assert_int_equal(tell(t, "guest", "{\"metric\":\"rows_total\",\"value\":3}", 4), CUSTOM_TAKEN);
    assert_int_equal(tell(t, "guest", "{\"metric\":\"rows_total\",\"value\":4}", 5), CUSTOM_TAKEN);
    assert_int_equal(tell(t, "guest", "{\"metric\":\"rows_total\",\"value\":-1}", 5), CUSTOM_VALUE);
    assert_int_equal(tell(t, "guest", "{\"metric\":\"room\",\"value\":1}", 5), CUSTOM_TAKEN);
    assert_page(
        t, NULL, 6,
        HEAD("room", "gauge") "room{account=\"guest\",function=\"dht/store\"} 1\n" HEAD(
            "room_temp_celsius",
            "gauge") "room_temp_celsius{account=\"acme\",function=\"dht/store\"} -4\n"
                     "room_temp_celsius{account=\"guest\",function=\"dht/store\",room=\"a\"} 22\n" HEAD(
                         "rows_total",
                         "counter") "rows_total{account=\"guest\",function=\"dht/store\"} 7\n");
    assert_page(t, "acme", 6,
                HEAD("room_temp_celsius",
                     "gauge") "room_temp_celsius{account=\"acme\",function=\"dht/store\"} -4\n");
    assert_page(t, "nobody", 6, "");

    /* a value of long ago is no value; a counter stays */
    assert_page(
        t, NULL, 7 + CUSTOM_KEEP_MS,
        HEAD("rows_total", "counter") "rows_total{account=\"guest\",function=\"dht/store\"} 7\n");
    custom_series_forget(t, "guest");
    custom_series_forget(t, "guest");
    assert_page(t, NULL, 7 + CUSTOM_KEEP_MS, "");
    custom_series_free(t);
    custom_series_free(NULL);
}

static void test_names_and_labels(void **state)
{
    static const struct {
        const char *line;
        enum custom_result result;
    } rows[] = {
        {"{\"metric\":\"room.temp-c:1\",\"value\":1}", CUSTOM_TAKEN},
        {"{\"metric\":\"narae_gateway_ready\",\"value\":0}", CUSTOM_NAME},
        {"{\"metric\":\"narae.gateway.ready\",\"value\":0}", CUSTOM_NAME},
        {"{\"metric\":\"process_open_fds\",\"value\":0}", CUSTOM_NAME},
        {"{\"metric\":\"kepler_node_info\",\"value\":0}", CUSTOM_NAME},
        {"{\"metric\":\"scrape_duration_seconds\",\"value\":0}", CUSTOM_NAME},
        {"{\"metric\":\"up\",\"value\":0}", CUSTOM_NAME},
        {"{\"metric\":\"ALERTS\",\"value\":0}", CUSTOM_NAME},
        {"{\"metric\":\"__name__\",\"value\":0}", CUSTOM_NAME},
        {"{\"metric\":\"a\",\"value\":0,\"labels\":{\"account\":\"acme\"}}", CUSTOM_LABEL},
        {"{\"metric\":\"a\",\"value\":0,\"labels\":{\"function\":\"f\"}}", CUSTOM_LABEL},
        {"{\"metric\":\"a\",\"value\":0,\"labels\":{\"le\":\"1\"}}", CUSTOM_LABEL},
        {"{\"metric\":\"a\",\"value\":0,\"labels\":{\"__name__\":\"up\"}}", CUSTOM_LABEL},
        {"{\"metric\":\"a\",\"value\":0,\"labels\":{\"x-y\":\"1\",\"x.y\":\"2\"}}", CUSTOM_LABEL},
        {"{\"metric\":\"a\",\"value\":0,\"labels\":{\"a\":\"1\",\"b\":\"1\",\"c\":\"1\",\"d\":\"1\",\"e\":\"1\",\"f\":\"1\"}}",
         CUSTOM_TAKEN},
        {"{\"metric\":\"a\",\"value\":0,\"labels\":{\"a\":\"1\",\"b\":\"1\",\"c\":\"1\",\"d\":\"1\",\"e\":\"1\",\"f\":\"1\",\"g\":\"1\"}}",
         CUSTOM_LABEL},
        {"{\"metric\":\"b\",\"value\":0,\"labels\":{\"q\":\"\\\"} 1 x\\\\{\"}}", CUSTOM_TAKEN},
    };
    struct custom_series *t = custom_series_make();

    for (size_t i = 0; i < nr_countof(rows); i++)
        if (tell(t, "guest", rows[i].line, i * 1000) != rows[i].result)
            fail_msg("%s", rows[i].line);
    char *text = page(t, "guest", 20000);

    assert_non_null(strstr(text, "\nroom_temp_c_1{account=\"guest\",function=\"dht/store\"} 1\n"));
    assert_non_null(
        strstr(text, "\nb{account=\"guest\",function=\"dht/store\",q=\"\\\"} 1 x\\\\{\"} 0\n"));
    free(text);
    /* the order of labels makes no other series */
    assert_int_equal(
        tell(t, "acme", "{\"metric\":\"o\",\"value\":1,\"labels\":{\"x\":\"1\",\"y\":\"2\"}}", 1),
        CUSTOM_TAKEN);
    assert_int_equal(
        tell(t, "acme", "{\"metric\":\"o\",\"value\":2,\"labels\":{\"y\":\"2\",\"x\":\"1\"}}", 1),
        CUSTOM_TAKEN);
    assert_page(
        t, "acme", 2,
        HEAD("o", "gauge") "o{account=\"acme\",function=\"dht/store\",x=\"1\",y=\"2\"} 2\n");
    custom_series_free(t);
}

static double counted(struct custom_series *t, const char *result)
{
    struct nr_buf b;
    char line[64];

    nr_buf_init(&b, 4096);
    custom_series_count(t, &b);
    nr_buf_addc(&b, '\0');
    (void)snprintf(line, sizeof(line), "narae_custom_values_total{result=\"%s\"} ", result);
    const char *at = strstr(b.p, line);

    assert_non_null(at);
    double value = strtod(at + strlen(line), NULL);

    nr_buf_fini(&b);
    return value;
}

/* An account that tells ever new series, as fast as it can, fills its own share and nobody else's. */
static void test_bounds(void **state)
{
    struct custom_series *t = custom_series_make();
    unsigned results[CUSTOM_RESULTS] = {0};
    char line[128];
    uint64_t now_ms = 1;

    for (int i = 0; i < 3 * CUSTOM_PER_SECOND; i++) {
        (void)snprintf(line, sizeof(line),
                       "{\"metric\":\"m\",\"value\":1,\"labels\":{\"i\":\"%d\"}}", i);
        results[tell(t, "greedy", line, now_ms)]++;
    }
    assert_int_equal(results[CUSTOM_TAKEN], CUSTOM_OF_ACCOUNT_MAX);
    assert_int_equal(results[CUSTOM_RATE], 2 * CUSTOM_PER_SECOND);
    assert_int_equal(tell(t, "guest", "{\"metric\":\"m\",\"value\":1}", now_ms), CUSTOM_TAKEN);
    now_ms += 1000;
    assert_int_equal(tell(t, "greedy", "{\"metric\":\"one_more\",\"value\":1}", now_ms),
                     CUSTOM_ROOM);
    assert_int_equal(
        tell(t, "greedy", "{\"metric\":\"m\",\"value\":2,\"labels\":{\"i\":\"5\"}}", now_ms),
        CUSTOM_TAKEN);
    custom_series_refused(t, CUSTOM_FORM);
    assert_true(counted(t, "form") > 0 && counted(t, "room") > 0 && counted(t, "rate") > 0);
    assert_true(counted(t, "taken") > CUSTOM_OF_ACCOUNT_MAX);

    /* what is old makes room, the oldest first */
    now_ms += CUSTOM_KEEP_MS;
    assert_int_equal(tell(t, "greedy", "{\"metric\":\"one_more\",\"value\":1}", now_ms),
                     CUSTOM_TAKEN);
    assert_int_equal(tell(t, "greedy", "{\"metric\":\"one_more\",\"value\":1}", now_ms + 1),
                     CUSTOM_TAKEN);
    custom_series_free(t);
}

/* Of all accounts together. */
static void test_all_accounts(void **state)
{
    struct custom_series *t = custom_series_make();
    enum { ACCOUNTS = CUSTOM_SERIES_MAX / CUSTOM_OF_ACCOUNT_MAX };
    char line[128], account[32];

    for (int a = 0; a < ACCOUNTS; a++)
        for (int i = 0; i < CUSTOM_OF_ACCOUNT_MAX; i++) {
            (void)snprintf(account, sizeof(account), "a%d", a);
            (void)snprintf(line, sizeof(line), "{\"metric\":\"m%d\",\"value\":%d}", i, a);
            assert_int_equal(tell(t, account, line, 1), CUSTOM_TAKEN);
        }
    assert_int_equal(tell(t, "late", "{\"metric\":\"m\",\"value\":1}", 2), CUSTOM_ROOM);
    assert_int_equal(tell(t, "late", "{\"metric\":\"m\",\"value\":1}", 2 + CUSTOM_KEEP_MS),
                     CUSTOM_TAKEN);
    char *text = page(t, NULL, 2);
    size_t heads = 0;

    for (const char *p = text; (p = strstr(p, "# TYPE ")); p++)
        heads++;
    assert_int_equal(heads, CUSTOM_OF_ACCOUNT_MAX + 1); /* each name once, whoever tells it */
    free(text);
    custom_series_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gauge_and_counter), cmocka_unit_test(test_names_and_labels),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_all_accounts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
