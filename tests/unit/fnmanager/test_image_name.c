/* References of images: as people write them, as the Engine does, and what is neither. */
#include "fnmanager/images/image_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "fnmanager/images/image_annotation.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Where the Engine could be sent to by a reference. */
static void hosts_that_are_not_public(void **state)
{
    static const char *const local[] = {"localhost",
                                        "registry",
                                        "registry:5000",
                                        "127.0.0.1:5000",
                                        "10.1.2.3",
                                        "172.16.0.1",
                                        "172.31.255.255:80",
                                        "192.168.1.1",
                                        "169.254.169.254",
                                        "100.64.0.1",
                                        "0.0.0.0",
                                        "224.0.0.1",
                                        "255.255.255.255",
                                        "[::1]:5000",
                                        "[fe80::1]",
                                        "[fd00::1]:443",
                                        "[::ffff:10.0.0.1]",
                                        "[2002:7f00:1::]",
                                        "metadata.internal",
                                        "printer.local",
                                        "0x7f.1",
                                        "127.1",
                                        "2130706433"};
    static const char *const public[] = {
        "docker.io",      "registry.example:5000", "8.8.8.8",           "172.32.0.1",
        "100.128.0.1:80", "[2606:4700::1]:443",    "9.registry.example"};

    (void)state;
    for (size_t i = 0; i < nr_countof(local); i++)
        if (!image_host_is_local(local[i]))
            fail_msg("%s is taken for public", local[i]);
    for (size_t i = 0; i < nr_countof(public); i++)
        if (image_host_is_local(public[i]))
            fail_msg("%s is taken for local", public[i]);
}

static void a_reference_is_written_as_the_engine_does(void **state)
{
    static const struct {
        const char *text, *host, *repository, *reference;
    } cases[] = {
        {"python", "docker.io", "python", "python:latest"},
        {"library/python:3.11", "docker.io", "python", "python:3.11"},
        {"docker.io/library/python", "docker.io", "python", "python:latest"},
        {"index.docker.io/openwhisk/action-x:1", "docker.io", "openwhisk/action-x",
         "openwhisk/action-x:1"},
        {"me/app", "docker.io", "me/app", "me/app:latest"},
        {"localhost/app", "localhost", "localhost/app", "localhost/app:latest"},
        {"127.0.0.1:5000/team/app:1.2-b_c", "127.0.0.1:5000", "127.0.0.1:5000/team/app",
         "127.0.0.1:5000/team/app:1.2-b_c"},
        {"Registry.Example/a__b/c--d", "registry.example", "registry.example/a__b/c--d",
         "registry.example/a__b/c--d:latest"},
        {"r.example/a@sha256:" HEX64, "r.example", "r.example/a", "r.example/a@sha256:" HEX64},
        {"r.example/a:7@sha256:" HEX64, "r.example", "r.example/a", "r.example/a@sha256:" HEX64},
    };

    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct image_name n;
        struct nr_err err = {0};

        if (image_name_parse(cases[i].text, &n, &err) != 0)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_string_equal(n.host, cases[i].host);
        assert_string_equal(n.repository, cases[i].repository);
        assert_string_equal(n.reference, cases[i].reference);
    }
}

static void what_is_none_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "../a",
        "a/../b",
        "A",
        "a b",
        "a:",
        "a:.b",
        "a@",
        "a@sha256:12",
        "a@md5:" HEX64,
        "a@sha256:" HEX64 "0",
        "a@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
        "a..b",
        "a.-b",
        "a___b",
        "-a",
        "a-",
        "a_",
        ":1",
        "x:99999/a",
        "x:0/a",
        "x:p/a",
        "r..example/a",
        "-r.example/a",
        "a?b",
        "a%2fb",
        "a\nb",
        "a;b",
        HEX64,
        "sha256:" HEX64,
        "sha256",
        "a:1:2",
        "r.example/"};

    for (size_t i = 0; i < nr_countof(bad); i++) {
        struct image_name n;
        struct nr_err err = {0};

        if (image_name_parse(bad[i], &n, &err) != NR_EINVAL || err.text[0] == '\0')
            fail_msg("'%s' is taken as %s", bad[i], n.reference);
    }
}

static void lengths_have_ceilings(void **state)
{
    char text[1024];
    struct image_name n;

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(image_name_parse(text, &n, NULL), NR_EINVAL);
    text[IMAGE_REPOSITORY_BYTES - 1] = '\0';
    assert_int_equal(image_name_parse(text, &n, NULL), 0);
    text[200] = '.'; /* a host that is too long */
    text[201] = '/';
    assert_int_equal(image_name_parse(text, &n, NULL), NR_EINVAL);
    memset(text, 'a', 200);
    text[1] = ':'; /* a tag that is too long */
    text[2 + 129] = '\0';
    assert_int_equal(image_name_parse(text, &n, NULL), NR_EINVAL);
    text[2 + 128] = '\0';
    assert_int_equal(image_name_parse(text, &n, NULL), 0);
}

static void a_pin_replaces_what_was_there(void **state)
{
    char *text =
        nr_strdup("[{\"key\":\"a\",\"value\":1},{\"key\":\"narae.image\",\"value\":\"x@sha256:1\"},"
                  "{\"key\":\"narae.image\",\"value\":{}}]");
    char *pin = image_pin_of(nr_str_of(text));

    assert_string_equal(pin, "x@sha256:1");
    free(pin);
    assert_int_equal(image_pin_set(&text, "y@sha256:2", NULL), 0);
    assert_string_equal(
        text, "[{\"key\":\"a\",\"value\":1},{\"key\":\"narae.image\",\"value\":\"y@sha256:2\"}]");
    assert_int_equal(image_pin_set(&text, "", NULL), 0);
    assert_string_equal(text, "[{\"key\":\"a\",\"value\":1}]");
    pin = image_pin_of(nr_str_of(text));
    assert_string_equal(pin, "");
    free(pin);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_that_are_not_public),
        cmocka_unit_test(a_reference_is_written_as_the_engine_does),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(lengths_have_ceilings),
        cmocka_unit_test(a_pin_replaces_what_was_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
