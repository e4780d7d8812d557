/* The ready policies are policies: each is read without a problem, is called as its file, and says what it is for. */
#include <dirent.h>
#include <stdio.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "scaler/policy/policy.h"
#include "tests/unit/common/base/check.h"

static void read_one(const char *folder, const char *file)
{
    struct policy_problem problems[8];
    struct policy *p = NULL;
    struct nr_err err = {0};
    size_t n, count = 0, stem = strlen(file) - strlen(".json");
    nr_auto_free char *path = NULL, *text = NULL, *name = nr_strndup(file, stem);

    assert_true(asprintf(&path, "%s/%s", folder, file) > 0);
    assert_int_equal(nr_file_read(path, POLICY_MAX_BYTES, &text, &n, &err), 0);
    if (policy_read((struct nr_str){text, n}, name, &p, problems, nr_countof(problems), &count,
                    &err) != 0)
        fail_msg("%s: %s", file, err.text);
    assert_string_equal(p->name, name);
    if (strcmp(name, "short") != 0)
        assert_non_null(p->description);
    policy_unref(p);
}

static void each_is_a_policy(void **state)
{
    DIR *d = opendir(EXAMPLES_SCALING);
    struct dirent *e;
    unsigned count = 0;

    (void)state;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL)
        if (strstr(e->d_name, ".json")) {
            read_one(EXAMPLES_SCALING, e->d_name);
            count++;
        }
    (void)closedir(d);
    assert_true(count >= 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_is_a_policy)};

    return cmocka_run_group_tests_name("examples/scaling", tests, NULL, NULL);
}
