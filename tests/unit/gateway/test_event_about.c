/* Whom a message is about, and which streams are told of it: no account hears of another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "gateway/event_about.h"

#define SAMPLE                                                                                     \
    "{\"v\":1,\"account\":\"acme\",\"function\":\"p/parse\",\"metrics\":{\"account\":\"guest\"}}"
#define DECISION                                                                                   \
    "{\"kind\":\"decision\",\"target\":{\"account\":\"acme\",\"function\":\"p/parse\"},"           \
    "\"account\":\"guest\"}"

static const struct row {
    const char *message;
    bool decision;
    const char *account, *function; /* of the stream; account NULL: an administrator's */
    bool told;
} rows[] = {
    {SAMPLE, false, "acme", "", true},
    {SAMPLE, false, "acme", "p/parse", true},
    {SAMPLE, false, "acme", "parse", false},
    {SAMPLE, false, "acm", "", false},
    {SAMPLE, false, "guest", "", false},
    {SAMPLE, false, NULL, "", true},
    {SAMPLE, false, NULL, "p/parse", true},
    {SAMPLE, false, NULL, "other", false},
    {DECISION, true, "acme", "", true},
    {DECISION, true, "acme", "p/parse", true},
    {DECISION, true, "guest", "", false},
    {DECISION, true, NULL, "p/parse", true},
    /* what is called target elsewhere is not whom it is about */
    {DECISION, false, "acme", "", false},
    {DECISION, false, "guest", "", true},
    {"{\"account\":\"acme\",\"plan\":1}", true, "acme", "", true},
    {"{\"account\":\"acme\",\"target\":7}", true, "acme", "", false},
    /* of nobody */
    {"{\"node\":\"box-1\"}", false, "acme", "", false},
    {"{\"node\":\"box-1\"}", false, NULL, "", true},
    {"{\"node\":\"box-1\"}", false, NULL, "f", false},
    {"{\"account\":7,\"function\":[]}", false, "7", "", false},
    {"{\"target\":{\"nodes\":true}}", true, "acme", "", false},
    {"{\"target\":{\"nodes\":true}}", true, NULL, "", true},
};

static void test_who_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        const struct row *row = &rows[i];
        struct event_about about;

        assert_true(event_about_read(nr_str_of(row->message), row->decision, &about));
        if (event_about_fits(&about, row->account, nr_str_of(row->function)) != row->told)
            fail_msg("row %zu: %s", i, row->message);
    }
}

static void test_what_is_no_object(void **state)
{
    static const char *const bad[] = {
        "", "7", "[]", "\"target\"", "{\"account\":\"acme\"", "{\"account\":\"acme\"} x"};
    struct event_about about;

    (void)state;
    for (size_t i = 0; i < nr_countof(bad); i++) {
        assert_false(event_about_read(nr_str_of(bad[i]), i % 2, &about));
        assert_false(event_about_fits(&about, "acme", (struct nr_str){NULL, 0}));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_who_is_told),
                                       cmocka_unit_test(test_what_is_no_object)};

    return cmocka_run_group_tests_name("event_about", tests, NULL, NULL);
}
