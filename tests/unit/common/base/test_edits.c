/* How far words are apart: each kind of edit, both ways round, and the longest words that are compared. */
#include "check.h"

#include "common/base/edits.h"
#include "common/base/mem.h"

static void test_each_kind(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned edits;
    } rows[] = {
        {"", "", 0},
        {"same", "same", 0},
        {"", "abc", 3},
        {"deploy", "deplay", 1},  /* changed */
        {"deploy", "deplo", 1},   /* left out at the end */
        {"deploy", "eploy", 1},   /* and at the beginning */
        {"deploy", "deployy", 1}, /* added */
        {"deploy", "deplyo", 1},  /* swapped */
        {"deploy", "edplyo", 2},  /* twice */
        {"abc", "ca", 3},         /* what was swapped is not edited again */
        {"Deploy", "deploy", 1},  /* capitals are other letters */
        {"kitten", "sitting", 3},
        {"\303\251t\303\251", "ete", 4}, /* bytes, not characters */
    };

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct nr_str a = nr_str_of(rows[i].a), b = nr_str_of(rows[i].b);

        assert_int_equal(nr_edits(a, b), rows[i].edits);
        assert_int_equal(nr_edits(b, a), rows[i].edits);
    }
}

static void test_long_words(void **state)
{
    char a[NR_EDITS_MAX_BYTES + 1], b[NR_EDITS_MAX_BYTES + 1];

    memset(a, 'a', sizeof(a));
    memset(b, 'b', sizeof(b));
    assert_int_equal(
        nr_edits((struct nr_str){a, NR_EDITS_MAX_BYTES}, (struct nr_str){b, NR_EDITS_MAX_BYTES}),
        NR_EDITS_MAX_BYTES);
    assert_int_equal(nr_edits((struct nr_str){a, sizeof(a)}, (struct nr_str){a, sizeof(a)}),
                     NR_EDITS_FAR);
    assert_int_equal(nr_edits((struct nr_str){a, sizeof(a)}, (struct nr_str){NULL, 0}),
                     NR_EDITS_FAR);
    assert_int_equal(nr_edits((struct nr_str){NULL, 0}, (struct nr_str){a, sizeof(a)}),
                     NR_EDITS_FAR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind),
        cmocka_unit_test(test_long_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
