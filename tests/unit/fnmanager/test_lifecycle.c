/* The table of the lifecycle: every state with every move, and what a refusal says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "fnmanager/functions/lifecycle.h"

#define NO (-9) /* refused */
#define GONE LIFECYCLE_GONE

/* The design, row by row: what comes out of a move, in the order of enum lifecycle_move. */
static const struct {
    int64_t number;
    enum function_state from, before;
    int to[MOVES];
    const char *allowed;
} states[] = {
    /* update, begin, commit, abort, deadline, publish, block, unblock, retire, purge, delete */
    {0,
     FN_LATEST,
     FN_LATEST,
     {FN_LATEST, FN_UPDATING, NO, NO, NO, FN_LATEST, FN_BLOCKED, NO, FN_RETIRED, NO, GONE},
     "it allows update, update-begin, publish, block, retire, delete."},
    {0,
     FN_UPDATING,
     FN_LATEST,
     {NO, NO, FN_LATEST, FN_LATEST, FN_LATEST, NO, NO, NO, NO, NO, NO},
     "it allows update-commit, update-abort."},
    {0,
     FN_BLOCKED,
     FN_LATEST,
     {FN_BLOCKED, NO, NO, NO, NO, NO, NO, FN_LATEST, FN_RETIRED, NO, GONE},
     "it allows update, unblock, retire, delete."},
    {0,
     FN_RETIRED,
     FN_LATEST,
     {NO, NO, NO, NO, NO, NO, NO, NO, NO, GONE, GONE},
     "it allows purge, delete."},
    {3,
     FN_PUBLISHED,
     FN_PUBLISHED,
     {NO, NO, NO, NO, NO, NO, FN_BLOCKED, NO, FN_RETIRED, NO, GONE},
     "it allows block, retire, delete."},
    {3,
     FN_BLOCKED,
     FN_PUBLISHED,
     {NO, NO, NO, NO, NO, NO, NO, FN_PUBLISHED, FN_RETIRED, NO, GONE},
     "it allows unblock, retire, delete."},
    {3,
     FN_RETIRED,
     FN_PUBLISHED,
     {NO, NO, NO, NO, NO, NO, NO, NO, NO, GONE, GONE},
     "it allows purge, delete."},
};

static void every_state_with_every_move(void **state)
{
    (void)state;
    for (size_t i = 0; i < nr_countof(states); i++) {
        for (int move = 0; move < MOVES; move++) {
            const struct lifecycle_subject s = {
                .number = states[i].number, .state = states[i].from, .before = states[i].before};
            struct nr_err err = {0};
            char begin[100];
            int to = NO, r = lifecycle_judge(&s, (enum lifecycle_move)move, &to, &err);

            if (to != states[i].to[move])
                fail_msg("%s %s: %d", lifecycle_name(s.state),
                         lifecycle_move_name((enum lifecycle_move)move), to);
            assert_int_equal(r, to == NO ? NR_ECONFLICT : 0);
            if (r == 0) {
                assert_int_equal(err.code, 0);
                continue;
            }
            (void)snprintf(begin, sizeof(begin), "%s is %s and does not allow '%s'; ",
                           s.number ? "Version 3" : "The function", lifecycle_name(s.state),
                           lifecycle_move_name((enum lifecycle_move)move));
            assert_int_equal(strncmp(err.text, begin, strlen(begin)), 0);
            assert_string_equal(err.text + strlen(begin), states[i].allowed);
        }
    }
}

static void an_alias_stands_in_the_way_of_removal_only(void **state)
{
    static const char *const texts[] = {
        "The function has the protected alias 'prod' and does not allow '%s'.",
        "Version 3 is used by the alias 'prod' and does not allow '%s': move the alias first."};

    (void)state;
    for (size_t i = 0; i < nr_countof(states); i++) {
        for (int move = 0; move < MOVES; move++) {
            const struct lifecycle_subject s = {.number = states[i].number,
                                                .state = states[i].from,
                                                .before = states[i].before,
                                                .alias = "prod"};
            bool stopped = states[i].to[move] == GONE;
            struct nr_err err = {0};
            char text[200];
            int to = NO, r = lifecycle_judge(&s, (enum lifecycle_move)move, &to, &err);

            assert_int_equal(to, stopped ? NO : states[i].to[move]);
            assert_int_equal(r, to == NO ? NR_ECONFLICT : 0);
            if (!stopped)
                continue;
            (void)snprintf(text, sizeof(text), "%s", texts[s.number != 0]);
            *strchr(text, '%') = '\0';
            assert_int_equal(strncmp(err.text, text, strlen(text)), 0);
        }
    }
}

static void states_have_names_and_some_run(void **state)
{
    static const int runs[] = {[FN_LATEST] = 0,
                               [FN_PUBLISHED] = 0,
                               [FN_BLOCKED] = NR_EBLOCKED,
                               [FN_UPDATING] = 0,
                               [FN_RETIRED] = NR_EGONE};

    (void)state;
    for (size_t i = 0; i < nr_countof(runs); i++) {
        enum function_state s = (enum function_state)i;
        assert_int_equal(lifecycle_may_run(s, NULL), runs[i]);
        assert_int_equal(lifecycle_of_name(lifecycle_name(s)), s);
    }
    assert_int_equal(lifecycle_of_name("FROZEN"), FN_RETIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_with_every_move),
        cmocka_unit_test(an_alias_stands_in_the_way_of_removal_only),
        cmocka_unit_test(states_have_names_and_some_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
