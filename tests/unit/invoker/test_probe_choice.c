/* Which way is taken: the first that works, or the forced one; what a person is told otherwise. */
#include "invoker/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "invoker/probe_choice.h"

static void chooses(void **state)
{
    static const struct {
        const char *forced;
        bool works[3];
        int want;
        const char *told;
    } table[] = {
        {"auto", {true, true, true}, 0, NULL},
        {NULL, {false, true, true}, 1, NULL},
        {"auto", {false, false, true}, 2, NULL},
        {"engine", {true, true, true}, 1, NULL},
        {"off", {true, true, true}, 2, NULL},
        {"cgroup",
         {false, true, true},
         NR_EUNAVAIL,
         "--freezer=cgroup does not work here (no files)"},
        {"magic", {true, true, true}, NR_EINVAL, "auto, cgroup, engine, off"},
        {"", {true, true, true}, NR_EINVAL, "auto, cgroup, engine, off"},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++) {
        const struct way ways[] = {{"cgroup", table[i].works[0], "no files"},
                                   {"engine", table[i].works[1], "no pause"},
                                   {"off", table[i].works[2], ""}};
        struct nr_err err = {0};
        int r = probe_choose("freezer", table[i].forced, ways, nr_countof(ways), &err);

        if (r != table[i].want || (table[i].told && strstr(err.text, table[i].told) == NULL))
            fail_msg("row %zu: %d \"%s\"", i, r, err.text);
    }
}

enum { SLOTS, BRIDGE, NONE };

/* The Engine's bridge, from which functions reach each other and the host, is taken by nobody but who names it. */
static void no_walls_are_taken_away_unasked(void **state)
{
    static const struct {
        const char *forced;
        bool slots, bridge;
        int want;
    } table[] = {
        {"auto", true, true, SLOTS},          {"auto", false, true, NONE},
        {"auto", false, false, NONE},         {NULL, false, true, NONE},
        {"bridge", true, true, BRIDGE},       {"bridge", false, true, BRIDGE},
        {"bridge", true, false, NR_EUNAVAIL}, {"slots", false, true, NR_EUNAVAIL},
        {"none", true, true, NONE},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++) {
        struct nr_err err = {0};
        int r = probe_network(table[i].forced, table[i].slots, "no rights", table[i].bridge, &err);

        if (r != table[i].want)
            fail_msg("row %zu: %d \"%s\"", i, r, err.text);
    }
}

enum { OWN, ENGINE };

/* Functions run unfiltered only where somebody says so. */
static void no_start_without_a_filter(void **state)
{
    static const struct {
        const char *forced;
        bool own, engine_filters;
        int want;
        const char *told;
    } table[] = {
        {"auto", true, true, OWN, NULL},
        {"auto", false, true, ENGINE, NULL},
        {"auto", false, false, NR_EUNAVAIL, "--seccomp=engine"},
        {NULL, false, false, NR_EUNAVAIL, "unfiltered"},
        {"engine", false, false, ENGINE, NULL},
        {"engine", true, true, ENGINE, NULL},
        {"own", false, false, NR_EUNAVAIL, "--seccomp=own does not work here (why)"},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++) {
        struct nr_err err = {0};
        int r = probe_seccomp(table[i].forced, table[i].own, "why", table[i].engine_filters, &err);

        if (r != table[i].want || (table[i].told && strstr(err.text, table[i].told) == NULL))
            fail_msg("row %zu: %d \"%s\"", i, r, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses),
        cmocka_unit_test(no_walls_are_taken_away_unasked),
        cmocka_unit_test(no_start_without_a_filter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
