/* References to functions: every form that clients write, and what is refused; what was read is written back as the same text. */
#include "ports/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"

static const struct {
    const char *text, *account, *package, *name, *alias;
    int64_t number;
    const char *written;
} good[] = {
    {"/guest/hello", "guest", "", "hello", "", 0, "/guest/hello"},
    {"/_/hello", "me", "", "hello", "", 0, "/me/hello"},
    {"hello", "me", "", "hello", "", 0, "/me/hello"},
    {"pkg/hello", "me", "pkg", "hello", "", 0, "/me/pkg/hello"},
    {"/_/pkg/hello", "me", "pkg", "hello", "", 0, "/me/pkg/hello"},
    {"/whisk.system/utils/echo", "whisk.system", "utils", "echo", "", 0,
     "/whisk.system/utils/echo"},
    {"/guest/default/hello", "guest", "", "hello", "", 0, "/guest/hello"},
    {"/guest/hello?version=3", "guest", "", "hello", "", 3, "/guest/hello?version=3"},
    {"pkg/hello?alias=prod", "me", "pkg", "hello", "prod", 0, "/me/pkg/hello?alias=prod"},
    {"a b@c", "me", "", "a b@c", "", 0, "/me/a b@c"},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < nr_countof(good); i++) {
        struct function_target t;
        struct nr_buf out;

        assert_int_equal(function_target_read(nr_str_of(good[i].text), "me", &t, NULL), 0);
        assert_string_equal(t.account, good[i].account);
        assert_string_equal(t.package, good[i].package);
        assert_string_equal(t.name, good[i].name);
        assert_string_equal(t.alias, good[i].alias);
        assert_int_equal(t.number, good[i].number);
        nr_buf_init(&out, 1024);
        function_target_write(&t, &out);
        nr_buf_addc(&out, '\0');
        assert_string_equal(out.p, good[i].written);
        nr_buf_fini(&out);
        function_target_fini(&t);
    }
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "",           "/",           "/guest",       "/guest/",
        "/a/b/c/d",   "a/b/c",       "//hello",      "/guest//a",
        "/guest/a/",  "/gu\nest/a",  "/guest/a?",    "/guest/a?version",
        "a?version=", "a?version=0", "a?version=-1", "a?version=1&alias=b",
        "a?alias=",   "a?alias=b/c", "a?other=1",    " a",
        "a ",         "?version=1",
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(bad); i++) {
        struct function_target t;
        struct nr_err err = {0};

        if (function_target_read(nr_str_of(bad[i]), "me", &t, &err) != NR_EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(err.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
