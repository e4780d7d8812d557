/* Which way is taken: the first that works, or the forced one; what a person is told otherwise. */
#include "invoker/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chooses)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
