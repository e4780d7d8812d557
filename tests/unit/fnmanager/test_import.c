/* What an archive says about a function: what no client could have brought about is refused with its sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "fnmanager/archive/import_parse.h"
#include "fnmanager/functions/kinds.h"
#include "rig.h"

#define ACTION                                                                                     \
    "\"action\":{\"exec\":{\"kind\":\"python:3\"},\"limits\":{\"memory\":128},\"version\":"        \
    "\"0.0.1\"},\"has_code\":true,\"updated_ms\":1"
#define NO_FIT(number) "Its version " number " cannot be: numbers and states do not fit."

static const struct import_limits some_limits = {.ranges = {4096, 100}};

static int parse(const char *text, struct imported *i, struct nr_err *err)
{
    return imported_parse(nr_str_of(text), rig_kinds, &some_limits, i, err);
}

/* A function with LATEST and versions 1 and 2. */
static void function_text(char *out, size_t room, const char *published, const char *states[3][2],
                          const char *aliases)
{
    int n = snprintf(out, room, "{\"package\":\"\",\"name\":\"f\",\"published\":%s,\"versions\":[",
                     published);

    for (int v = 0; v < 3; v++)
        n += snprintf(out + n, room - (size_t)n,
                      "%s{\"number\":%d,\"state\":\"%s\",\"state_before\":\"%s\"," ACTION "}",
                      v > 0 ? "," : "", v, states[v][0], states[v][1]);
    (void)snprintf(out + n, room - (size_t)n, "],\"aliases\":[%s]}", aliases);
}

static void only_states_that_moves_lead_to(void **state)
{
    static const struct {
        const char *states[3][2], *published, *aliases;
        const char *refusal; /* "": none */
    } rows[] = {
        {{{"LATEST", "LATEST"}, {"PUBLISHED", "LATEST"}, {"RETIRED", "BLOCKED"}}, "2", "", ""},
        {{{"BLOCKED", "LATEST"}, {"BLOCKED", "PUBLISHED"}, {"RETIRED", ""}}, "7", "", ""},
        {{{"RETIRED", "LATEST"}, {"RETIRED", "RETIRED"}, {"RETIRED", "PUBLISHED"}}, "2", "", ""},
        {{{"BLOCKED", "PUBLISHED"}, {"PUBLISHED", ""}, {"PUBLISHED", ""}}, "2", "", NO_FIT("0")},
        {{{"BLOCKED", "UPDATING"}, {"PUBLISHED", ""}, {"PUBLISHED", ""}}, "2", "", NO_FIT("0")},
        {{{"UPDATING", "LATEST"}, {"PUBLISHED", ""}, {"PUBLISHED", ""}}, "2", "", NO_FIT("0")},
        {{{"LATEST", ""}, {"BLOCKED", "UPDATING"}, {"PUBLISHED", ""}}, "2", "", NO_FIT("1")},
        {{{"LATEST", ""}, {"PUBLISHED", ""}, {"BLOCKED", "LATEST"}}, "2", "", NO_FIT("2")},
        {{{"LATEST", ""}, {"PUBLISHED", ""}, {"BLOCKED", ""}}, "2", "", NO_FIT("2")},
        {{{"LATEST", ""}, {"LATEST", ""}, {"PUBLISHED", ""}}, "2", "", NO_FIT("1")},
        {{{"LATEST", ""}, {"PUBLISHED", ""}, {"UNKNOWN", ""}}, "2", "", NO_FIT("2")},
        {{{"LATEST", ""}, {"PUBLISHED", ""}, {"PUBLISHED", ""}}, "1", "", NO_FIT("2")},
        {{{"LATEST", ""}, {"PUBLISHED", ""}, {"PUBLISHED", ""}},
         "2147483647",
         "",
         "Its count of publications cannot be (allowed: 1073741823)."},
        {{{"LATEST", ""}, {"PUBLISHED", ""}, {"PUBLISHED", ""}},
         "2",
         "{\"name\":\"prod\",\"weights\":{\"1\":90,\"2\":10}}",
         ""},
        {{{"LATEST", ""}, {"PUBLISHED", ""}, {"PUBLISHED", ""}},
         "2",
         "{\"name\":\"prod\",\"weights\":{\"1\":-7,\"2\":107}}",
         "Its alias 'prod' cannot be: The weight of version 1 must be a whole number from 1 to 100."},
        {{{"LATEST", ""}, {"PUBLISHED", ""}, {"PUBLISHED", ""}},
         "2",
         "{\"name\":\"prod\",\"weights\":{\"1\":1,\"2\":2}}",
         "Its alias 'prod' cannot be: The weights must sum to 100, not 3."},
        {{{"LATEST", ""}, {"PUBLISHED", ""}, {"PUBLISHED", ""}},
         "2",
         "{\"name\":\"prod\"}",
         "Its alias 'prod' cannot be: The field 'weights' must be an object of versions and their "
         "weights."},
    };

    (void)state;
    for (size_t n = 0; n < nr_countof(rows); n++) {
        char text[4096];
        struct imported i = {0};
        struct nr_err err = {0};
        const char *states[3][2];

        memcpy(states, rows[n].states, sizeof(states));
        function_text(text, sizeof(text), rows[n].published, states, rows[n].aliases);
        int r = parse(text, &i, &err);

        if (strcmp(err.text, rows[n].refusal) != 0 || (r == 0) != (rows[n].refusal[0] == '\0'))
            fail_msg("row %zu: %d %s", n, r, err.text);
        for (size_t v = 0; r == 0 && v < 3; v++) /* what an unblocking gives back */
            assert_int_equal(i.f.version[v].state_before, v == 0 ? FN_LATEST : FN_PUBLISHED);
        imported_fini(&i);
    }
}

static void many_values_are_refused_unread(void **state)
{
    struct imported i = {0};
    struct nr_err err = {0};
    struct nr_buf b;

    (void)state;
    nr_buf_init(&b, 16 << 20);
    nr_buf_adds(&b, "{\"package\":\"\",\"name\":\"f\",\"published\":0,\"versions\":[[]");
    for (int n = 0; n < 1000000; n++)
        nr_buf_adds(&b, ",[]");
    nr_buf_adds(&b, "]}");
    nr_buf_addc(&b, '\0');
    assert_int_equal(parse(b.p, &i, &err), NR_ETOOBIG);
    assert_non_null(strstr(err.text, "the values of a function.json need "));
    nr_buf_fini(&b);
    imported_fini(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_states_that_moves_lead_to),
        cmocka_unit_test(many_values_are_refused_unread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
