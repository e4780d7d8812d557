/* Events: their text by the table, whose they are, their keys. */
#include "ports/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/json.h"

static struct nr_buf text;

static const char *written(const struct event *e)
{
    nr_buf_reset(&text, 0);
    event_write(e, "box \"1\"", 1767603600000, &text);
    nr_buf_addc(&text, '\0');
    assert_false(text.failed);
    return text.p;
}

static const char *key(const struct event *e)
{
    nr_buf_reset(&text, 0);
    event_key(e, "box", &text);
    nr_buf_addc(&text, '\0');
    return text.p;
}

static void test_every_event_has_a_row_and_is_json(void **state)
{
    for (int i = 0; i < EVENTS; i++) {
        const struct event e = {.id = (enum event_id)i, .account = "a", .package = "", .name = "f"};

        assert_non_null(event_table[i].name);
        assert_non_null(event_table[i].help);
        assert_non_null(event_table[i].members[0]);
        assert_int_equal(nr_json_scan(nr_str_of(written(&e))), NR_JSON_OBJECT);
    }
}

static void test_of_a_function(void **state)
{
    const struct event e = {
        .id = EVENT_CONTAINER_ENDED,
        .account = "acme",
        .package = "p",
        .name = "f",
        .version = "0.0.2",
        .member = {{.text = "ab12cd34"}, {.text = ""}, {.number = -1}, {.number = 7}}};

    assert_string_equal(written(&e),
                        "{\"v\":1,\"t\":1767603600000,\"node\":\"box \\\"1\\\"\",\"event\":"
                        "\"container_ended\",\"account\":\"acme\",\"function\":\"p/f\",\"version\":"
                        "\"0.0.2\",\"container\":\"ab12cd34\",\"lived_ms\":7}");
    assert_string_equal(key(&e), "acme/p/f");
}

static void test_of_the_node(void **state)
{
    const struct event e = {.id = EVENT_NODE_FULL, .member = {{.number = 288}, {.number = 0}}};

    assert_string_equal(written(&e), "{\"v\":1,\"t\":1767603600000,\"node\":\"box \\\"1\\\"\","
                                     "\"event\":\"node_full\",\"wanted_mb\":288,\"used_mb\":0,"
                                     "\"max_mb\":0}");
    assert_string_equal(key(&e), "node/box");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_event_has_a_row_and_is_json),
        cmocka_unit_test(test_of_a_function),
        cmocka_unit_test(test_of_the_node),
    };

    nr_buf_init(&text, 65536);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    nr_buf_fini(&text);
    return failed;
}
