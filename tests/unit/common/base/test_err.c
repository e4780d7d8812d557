/* The table in both directions, and sentences. */
#include "check.h"

#include <errno.h>

#include "common/base/mem.h"

static void test_table(void **state)
{
    assert_string_equal(nr_err_name(NR_EBUSY), "EBUSY");
    assert_string_equal(nr_err_name(NR_ECORRUPT), "ECORRUPT");
    assert_string_equal(nr_err_text(NR_EINVAL), "invalid argument");
    assert_int_equal(nr_err_status(NR_ETOOBIG), 413);
    assert_true(nr_err_retryable(NR_EQUOTA));
    assert_false(nr_err_retryable(NR_EINVAL));
}

static void test_unknown_codes_are_internal(void **state)
{
    static const int unknown[] = {0, 5, -27, -1000};

    for (size_t i = 0; i < nr_countof(unknown); i++) {
        assert_string_equal(nr_err_name(unknown[i]), "EINTERNAL");
        assert_int_equal(nr_err_status(unknown[i]), 500);
    }
}

static void test_numbers_are_unique(void **state)
{
    static const int codes[] = {
#define X(name, number, status, retry, text) NR_##name,
        NR_ERR_TABLE(X)
#undef X
    };

    for (size_t i = 0; i < nr_countof(codes); i++)
        assert_int_equal(codes[i], -(int)i - 1);
}

static void test_first_sentence_wins(void **state)
{
    struct nr_err e = {0};

    assert_int_equal(nr_err_set(NULL, NR_EBUSY, "lost"), NR_EBUSY);
    assert_int_equal(nr_err_set(&e, NR_EBUSY, "%d waiting", 3), NR_EBUSY);
    assert_int_equal(nr_err_set(&e, NR_EIO, "later"), NR_EIO);
    assert_int_equal(e.code, NR_EBUSY);
    assert_string_equal(e.text, "3 waiting");
}

static void test_wrap(void **state)
{
    struct nr_err e = {0}, empty = {0};

    nr_err_set(&e, NR_ENOENT, "no file");
    assert_int_equal(nr_err_wrap(&e, NR_EIO, "bucket %s", "b1"), NR_ENOENT);
    assert_string_equal(e.text, "bucket b1: no file");
    assert_int_equal(nr_err_wrap(&empty, NR_EIO, "bucket"), NR_EIO);
    assert_string_equal(empty.text, "bucket: input or output failed");
    assert_int_equal(nr_err_wrap(NULL, NR_EIO, "x"), NR_EIO);
}

static void test_long_sentences_are_cut(void **state)
{
    struct nr_err e = {0};
    char longer[1000];

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    nr_err_set(&e, NR_EIO, "%s", longer);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    nr_err_wrap(&e, NR_EIO, "where");
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    assert_memory_equal(e.text, "where: xxx", 10);
    nr_err_wrap(&e, NR_EIO, "%s", longer);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

static void test_errno(void **state)
{
    static const struct {
        int errnum, code;
    } cases[] = {
        {ENOENT, NR_ENOENT},        {-ENOENT, NR_ENOENT},  {ENOSPC, NR_ENOSPC},
        {-ECANCELED, NR_ECANCELED}, {-4095, NR_ECLOSED},   {EPIPE, NR_ECLOSED},
        {-3008, NR_EUNAVAIL},       {-3003, NR_ECANCELED}, {12345, NR_EIO},
        {ETIMEDOUT, NR_ETIMEOUT},
    };

    for (size_t i = 0; i < nr_countof(cases); i++)
        assert_int_equal(nr_err_from_errno(cases[i].errnum), cases[i].code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_unknown_codes_are_internal),
        cmocka_unit_test(test_numbers_are_unique),
        cmocka_unit_test(test_first_sentence_wins),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_long_sentences_are_cut),
        cmocka_unit_test(test_errno),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
