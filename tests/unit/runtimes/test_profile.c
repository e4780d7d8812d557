/* The profile of an image, and the bodies that the relay makes. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtimes/agent/agent.h"
#include "runtimes/agent/relay_body.h"

static int read_text(const char *text, struct profile *p)
{
    char path[] = "/tmp/narae-profile-XXXXXX";
    const char *why = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    int status = profile_read(path, p, &why);
    assert_int_equal(status < 0, why != NULL);
    unlink(path);
    return status;
}

static void lines(void **state)
{
    struct profile p;
    const char *why;
    (void)state;
    assert_int_equal(
        read_text("# what\nkind=python:3\nmode=direct # so\nexec=/a b=c\nforks=yes\nacks=no\n", &p),
        0);
    assert_string_equal(p.kind, "python:3");
    assert_string_equal(p.exec, "/a b=c");
    assert_true(p.forks && !p.acks && !p.node_control);
    assert_int_equal(read_text("knd=python\n", &p), -EINVAL);
    assert_int_equal(read_text("no value\n", &p), -EINVAL);
    assert_int_equal(profile_read("/nonexistent/profile", &p, &why), 0);
    assert_string_equal(p.mode, "relay");
}

static void words(void **state)
{
    char line[] = "/bin/x  -a   b ";
    char *argv[3];
    (void)state;
    assert_int_equal(split_words(line, argv, 3), 2);
    assert_string_equal(argv[0], "/bin/x");
    assert_string_equal(argv[1], "-a");
    assert_null(argv[2]);
}

static void expect_body(const char *code, size_t length, const char *coded, bool binary)
{
    int fd = memfd_create("code", 0);
    json_t *value = json_pack("{s:s}", "name", "fn");
    size_t n;
    assert_int_equal(write(fd, code, length), length);
    char *body = relay_init_body(value, fd, &n);
    json_t *o = json_loadb(body, n, 0, NULL);
    json_t *sent = json_object_get(o, "value");
    assert_string_equal(json_string_value(json_object_get(sent, "code")), coded);
    assert_int_equal(json_is_true(json_object_get(sent, "binary")), binary);
    assert_string_equal(json_string_value(json_object_get(sent, "name")), "fn");
    assert_null(json_object_get(value, "code"));
    json_decref(o);
    json_decref(value);
    free(body);
    close(fd);
}

static void code_as_text_or_base64(void **state)
{
    (void)state;
    expect_body("def main(a): \xc3\xa9", 15, "def main(a): \xc3\xa9", false);
    expect_body("", 0, "", false);
    expect_body("\0", 1, "AA==", true);
    expect_body("\xff\xfe", 2, "//4=", true);
    expect_body("PK\3\4\xff\x80", 6, "UEsDBP+A", true);
}

static void init_errors(void **state)
{
    static const struct {
        const char *body, *error;
    } cases[] = {
        {"{\"error\":\"so\"}", "{\"error\":\"so\"}"},
        {"plain \xff",
         "{\"error\":\"The action failed during initialization: plain \xef\xbf\xbd\"}"},
        {"{\"other\":1}",
         "{\"error\":\"The action failed during initialization: {\\\"other\\\":1}\"}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text t = {.limit = 1000};
        text_add(&t, cases[i].body, strlen(cases[i].body));
        char *error = relay_init_error(&t);
        assert_string_equal(error, cases[i].error);
        free(error);
        text_clear(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(words),
        cmocka_unit_test(code_as_text_or_base64),
        cmocka_unit_test(init_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
