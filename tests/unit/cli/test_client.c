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

static void configured_fini(struct cli *c)
{
    nr_fetch_free(c->fetch);
    free(c->api_host);
    free(c->auth);
    free(c->host_from);
    free(c->auth_from);
}

static void assert_configured(struct cli c, const char *host, const char *auth)
{
    struct nr_err err = {0};

    assert_ok(cli_configure(&c, &err), &err);
    assert_string_equal(c.api_host, host);
    assert_string_equal(c.auth ? c.auth : "(none)", auth);
    configured_fini(&c);
}

/* What is said of the key that these settings choose. */
static void assert_key_said(struct cli c, const char *said)
{
    struct nr_err err = {0};
    char text[256];

    assert_ok(cli_configure(&c, &err), &err);
    cli_say_key(&c, text, sizeof(text));
    assert_string_equal(text, said);
    configured_fini(&c);
}

static void the_place_of_a_key_is_said(void **state)
{
    char said[192];

    (void)state;
    assert_key_said((struct cli){0}, "");
    write_properties("AUTH=p:p\n");
    (void)snprintf(said, sizeof(said), "the key comes from %s/.wskprops", home);
    assert_key_said((struct cli){0}, said);
    (void)setenv("__OW_API_KEY", "a:b", 1);
    assert_key_said((struct cli){0}, "the key comes from __OW_API_KEY");
    (void)setenv("NARAE_AUTH", "c:d", 1);
    assert_key_said((struct cli){0}, "the key comes from NARAE_AUTH; __OW_API_KEY is set too, and "
                                     "counts only without that");
    assert_key_said(
        (struct cli){.text = {[OPT_AUTH] = "e:f"}},
        "the key comes from --auth; NARAE_AUTH is set too, and counts only without that");
}

static void what_is_no_address_or_key_is_told(void **state)
{
    static const char *const addresses[] = {"",          "http://",    "ftp://host", "ht!tp://",
                                            "https:///", "http://a b", "://x"};

    (void)state;
    for (size_t i = 0; i < nr_countof(addresses); i++) {
        struct cli c = {.text = {[OPT_APIHOST] = addresses[i]}};
        struct nr_err err = {0};

        assert_int_equal(cli_configure(&c, &err), NR_EINVAL);
        assert_non_null(strstr(err.text, "is no address\n  --apihost says so"));
        configured_fini(&c);
    }
    struct cli c = {.text = {[OPT_AUTH] = "no-colon"}};
    struct nr_err err = {0};

    assert_int_equal(cli_configure(&c, &err), NR_EINVAL);
    assert_non_null(strstr(err.text, "the key of --auth has no colon"));
    assert_null(strstr(err.text, "no-colon"));
    configured_fini(&c);
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
        cmocka_unit_test_setup(the_place_of_a_key_is_said, forget),
        cmocka_unit_test_setup(what_is_no_address_or_key_is_told, forget),
        cmocka_unit_test_setup(the_stronger_wins, forget),
        cmocka_unit_test_setup(another_file, forget),
        cmocka_unit_test_setup(an_address_without_a_scheme_is_https, forget),
        cmocka_unit_test_setup(names_in_paths, forget),
    };

    return cmocka_run_group_tests_name("cli/client", tests, make_home, remove_home);
}
