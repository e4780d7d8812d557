/* Where the platform is and who calls, by flags, environment and ~/.wskprops; names in paths. */
#include <stdio.h>

#include "cli/cli.h"
#include "common/base/file.h"
#include "tests/unit/common/base/check.h"

static char home[] = "/tmp/narae-cli-XXXXXX";

static int make_home(void **state)
{
    (void)state;
    return mkdtemp(home) ? setenv("HOME", home, 1) : -1;
}

static int remove_home(void **state)
{
    struct nr_err err = {0};

    (void)state;
    return nr_dir_remove(home, &err);
}

static int forget(void **state)
{
    static const char *const names[] = {"NARAE_APIHOST",  "WHISK_APIHOST", "__OW_API_HOST",
                                        "NARAE_AUTH",     "WHISK_AUTH",    "__OW_API_KEY",
                                        "WSK_CONFIG_FILE"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < nr_countof(names); i++)
        (void)unsetenv(names[i]);
    (void)snprintf(path, sizeof(path), "%s/.wskprops", home);
    (void)unlink(path);
    return 0;
}

static void write_properties(const char *text)
{
    struct nr_err err = {0};

    assert_ok(nr_file_write(home, ".wskprops", nr_str_of(text), 0600, &err), &err);
}

static void assert_configured(struct cli c, const char *host, const char *auth)
{
    struct nr_err err = {0};

    assert_ok(cli_configure(&c, &err), &err);
    assert_string_equal(c.api_host, host);
    assert_string_equal(c.auth ? c.auth : "(none)", auth);
    nr_fetch_free(c.fetch);
    free(c.api_host);
    free(c.auth);
}

static void nothing_is_said(void **state)
{
    (void)state;
    assert_configured((struct cli){0}, "http://127.0.0.1:3233", "(none)");
}

static void the_stronger_wins(void **state)
{
    (void)state;
    write_properties("# by wsk\nAPIHOST=http://file:1 \r\nNAMESPACE=_\nAUTH=p:p\n");
    assert_configured((struct cli){0}, "http://file:1", "p:p");
    (void)setenv("__OW_API_HOST", "http://inside", 1);
    assert_configured((struct cli){0}, "http://inside", "p:p");
    (void)setenv("NARAE_APIHOST", "http://env", 1);
    (void)setenv("WHISK_AUTH", "e:e", 1);
    assert_configured((struct cli){0}, "http://env", "e:e");
    assert_configured((struct cli){.text = {[OPT_APIHOST] = "http://flag", [OPT_AUTH] = "f:f"}},
                      "http://flag", "f:f");
}

static void another_file(void **state)
{
    char path[128];
    struct nr_err err = {0};

    (void)state;
    write_properties("APIHOST=http://home\nAUTH=h:h\n");
    assert_ok(nr_file_write(home, "other", NR_STR("AUTH=o:o"), 0600, &err), &err);
    (void)snprintf(path, sizeof(path), "%s/other", home);
    (void)setenv("WSK_CONFIG_FILE", path, 1);
    assert_configured((struct cli){0}, "http://127.0.0.1:3233", "o:o");
}

static void an_address_without_a_scheme_is_https(void **state)
{
    (void)state;
    (void)setenv("WHISK_APIHOST", "box:443", 1);
    assert_configured((struct cli){0}, "https://box:443", "(none)");
}

static void names_in_paths(void **state)
{
    static const struct {
        const char *name, *path;
    } names[] = {{"hello", "hello"},
                 {"pkg/hello", "pkg/hello"},
                 {"a b@c", "a%20b%40c"},
                 {"50%", "50%25"},
                 {"\303\251", "%C3%A9"}};
    char out[64], small[16];

    (void)state;
    for (size_t i = 0; i < nr_countof(names); i++) {
        assert_true(cli_path_name(names[i].name, out, sizeof(out)));
        assert_string_equal(out, names[i].path);
    }
    assert_true(cli_path_name("12345", small, sizeof(small)));
    assert_false(cli_path_name("123456", small, sizeof(small)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_said, forget),
        cmocka_unit_test_setup(the_stronger_wins, forget),
        cmocka_unit_test_setup(another_file, forget),
        cmocka_unit_test_setup(an_address_without_a_scheme_is_https, forget),
        cmocka_unit_test_setup(names_in_paths, forget),
    };

    return cmocka_run_group_tests_name("cli/client", tests, make_home, remove_home);
}
