/* The value of a RUN: what is bound and what is given, each name once, and who wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "invoker/value.h"

static char a[] = "a", b[] = "b", q[] = "q\"r", none[] = "{}", init[] = "i";
static char text[] = "{\"a\":1,\"b\":{\"a\":[1,\"}\"]},\"q\\\"r\":null}";
static char *bound_names[] = {a, b, q, NULL};
static char *finals[] = {b, init, NULL};

static void who_wins(void **state)
{
    static const struct {
        bool binds, keeps;
        const char *input, *bound, *given;
    } rows[] = {
        {true, false, "{}", "\"a\":1,\"b\":{\"a\":[1,\"}\"]},\"q\\\"r\":null", ""},
        {true, false, "{\"x\" : 1}", "\"a\":1,\"b\":{\"a\":[1,\"}\"]},\"q\\\"r\":null",
         "\"x\" : 1"},
        {true, false, "{\"a\":2}", "\"b\":{\"a\":[1,\"}\"]},\"q\\\"r\":null", "\"a\":2"},
        {true, false, "{\"q\\u0022r\":2,\"\\u0061\":3}", "\"b\":{\"a\":[1,\"}\"]}",
         "\"q\\u0022r\":2,\"\\u0061\":3"},
        {true, false, " {\"a\":1,\"b\":2,\"q\\\"r\":3} ", "", "\"a\":1,\"b\":2,\"q\\\"r\":3"},
        {true, false, "{\"x\":{\"a\":1},\"y\":[{\"b\":1}]}",
         "\"a\":1,\"b\":{\"a\":[1,\"}\"]},\"q\\\"r\":null", "\"x\":{\"a\":1},\"y\":[{\"b\":1}]"},
        {true, true, "{\"b\":\"evil\"}", "\"a\":1,\"b\":{\"a\":[1,\"}\"]},\"q\\\"r\":null", ""},
        {true, true, "{\"x\":\"}\", \"\\u0062\":2,\"a\":3,\"b\":{\"b\":4},\"y\":5}",
         "\"b\":{\"a\":[1,\"}\"]},\"q\\\"r\":null", "\"x\":\"}\",\"a\":3,\"y\":5"},
        {true, true, "{\"i\":1,\"z\":2}", "\"a\":1,\"b\":{\"a\":[1,\"}\"]},\"q\\\"r\":null",
         "\"z\":2"},
        {false, true, "{\"i\":1,\"z\":2}", "", "\"z\":2"},
        {false, false, "{\"a\":1,\"b\":2}", "", "\"a\":1,\"b\":2"},
    };
    struct value_room room;

    (void)state;
    value_room_init(&room);
    for (size_t i = 0; i < nr_countof(rows); i++) {
        const struct function f = {.parameters = rows[i].binds ? text : none,
                                   .bound_names = rows[i].binds ? bound_names : NULL,
                                   .final_names = rows[i].keeps ? finals : NULL};
        struct nr_str bound, given;

        assert_int_equal(value_members(&f, nr_str_of(rows[i].input), &room, &bound, &given), 0);
        if (!nr_str_eqz(bound, rows[i].bound) || !nr_str_eqz(given, rows[i].given))
            fail_msg("%s: %.*s and %.*s", rows[i].input, (int)bound.n, bound.p, (int)given.n,
                     given.p);
    }
    value_room_fini(&room);
}

/* Without a name on both sides nothing is copied, and no memory is taken. */
static void nothing_is_copied(void **state)
{
    static const char input[] = "{\"x\":1,\"y\":\"z\"}";
    const struct function f = {
        .parameters = text, .bound_names = bound_names, .final_names = finals};
    struct value_room room;
    struct nr_str bound, given;

    (void)state;
    value_room_init(&room);
    assert_int_equal(value_members(&f, nr_str_of(input), &room, &bound, &given), 0);
    assert_ptr_equal(bound.p, text + 1);
    assert_ptr_equal(given.p, input + 1);
    assert_null(room.text.p);
    assert_null(room.name.p);
    assert_null(room.marks.p);
    value_room_fini(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_wins),
        cmocka_unit_test(nothing_is_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
