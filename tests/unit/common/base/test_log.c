/* Both forms of a record, levels, and messages that try to be two records. */
#include "check.h"

#include <jansson.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

struct sink {
    struct nr_log log;
    char *text;
    size_t n;
};

static void open_sink(struct sink *s, bool json, enum nr_log_level level)
{
    *s = (struct sink){0};
    s->log.out = open_memstream(&s->text, &s->n);
    s->log.json = json;
    s->log.level = (int)level;
    assert_non_null(s->log.out);
}

static void close_sink(struct sink *s)
{
    (void)fclose(s->log.out);
    free(s->text);
}

static void test_text_form(void **state)
{
    struct sink s;
    char when[25];

    open_sink(&s, false, NR_LOG_INFO);
    nr_log(&s.log, NR_LOG_INFO, "invoker", "started id=%d", 7);
    nr_log(&s.log, NR_LOG_DEBUG, "invoker", "not this");
    nr_log(&s.log, NR_LOG_ERROR, "fnmanager",
           "two\nlines\t\x1b[0m\xC2\x9B"
           "2J\xC3\xA9\xC2\xA0");
    nr_wall_text(nr_wall_ms(), when);
    assert_memory_equal(s.text, when, 11);
    assert_int_equal(s.text[23], 'Z');
    char *line = strchr(s.text, '\n');

    *line = '\0';
    assert_string_equal(s.text + 24, " info  invoker  started id=7");
    assert_string_equal(line + 1 + 24,
                        " error fnmanager two\\nlines\\x09\\x1b[0m\\xc2\\x9b2J\xC3\xA9\xC2\xA0\n");
    close_sink(&s);
}

static void test_json_form(void **state)
{
    struct sink s;

    open_sink(&s, true, NR_LOG_DEBUG);
    nr_log(&s.log, NR_LOG_WARN, "gateway", "say \"%s\"\n\xFF", "x");
    json_t *j = json_loadb(s.text, s.n, 0, NULL);

    assert_non_null(j);
    assert_int_equal(json_object_size(j), 4);
    assert_int_equal(strlen(json_string_value(json_object_get(j, "time"))), 24);
    assert_string_equal(json_string_value(json_object_get(j, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(j, "component")), "gateway");
    assert_string_equal(json_string_value(json_object_get(j, "msg")), "say \"x\"\n\xEF\xBF\xBD");
    assert_int_equal(s.text[s.n - 1], '\n');
    assert_ptr_equal(strchr(s.text, '\n'), s.text + s.n - 1);
    json_decref(j);
    close_sink(&s);
}

static void test_long_messages_are_cut(void **state)
{
    for (int json = 0; json < 2; json++) {
        struct sink s;
        char big[20000];

        memset(big, 1, sizeof(big) - 1);
        big[sizeof(big) - 1] = '\0';
        open_sink(&s, json, NR_LOG_INFO);
        nr_log(&s.log, NR_LOG_INFO, "invoker", "%s", big);
        assert_in_range(s.n, 4 * 4000, 7 * 4096);
        assert_non_null(strstr(s.text, json ? "...\"}\n" : "...\n"));
        close_sink(&s);
    }
}

static void test_levels(void **state)
{
    struct sink s;

    assert_int_equal(nr_log_level_of("error"), NR_LOG_ERROR);
    assert_int_equal(nr_log_level_of("debug"), NR_LOG_DEBUG);
    assert_int_equal(nr_log_level_of("loud"), -1);
    assert_int_equal(nr_log_level_of(""), -1);
    open_sink(&s, false, NR_LOG_ERROR);
    assert_false(nr_log_on(&s.log, NR_LOG_WARN));
    assert_false(nr_log_on(NULL, NR_LOG_ERROR));
    nr_log((struct nr_log *)NULL, NR_LOG_ERROR, "x", "nobody reads this");
    s.log.level = NR_LOG_DEBUG;
    assert_true(nr_log_on(&s.log, NR_LOG_DEBUG));
    close_sink(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_form),
        cmocka_unit_test(test_json_form),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
