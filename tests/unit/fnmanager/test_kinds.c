/* Kinds, versions, states and names: tables of words in, words out. */
#include "fnmanager/functions/kinds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "fnmanager/functions/version.h"
#include "tests/unit/fnmanager/rig.h"

static void test_words(void **state)
{
    static const struct {
        const char *word, *kind;
    } words[] = {
        {"python:3", "python:3"},
        {"PYTHON:3", "python:3"},
        {"python:3.11", "python:3"},
        {"python:default", "python:3"},
        {"nodejs:DEFAULT", "nodejs:18"},
        {"nodejs:18", "nodejs:18"},
        {"python", NULL},
        {"python:", NULL},
        {":default", NULL},
        {"py:default", NULL},
        {"", NULL},
        {"cobol:1", NULL},
    };

    for (size_t i = 0; i < nr_countof(words); i++) {
        struct nr_err err = {0};
        const struct runtime_kind *k = kinds_resolve(rig_kinds, words[i].word, &err);
        if (words[i].kind == NULL)
            assert_null(k);
        else
            assert_string_equal(k->kind, words[i].kind);
        assert_int_equal(err.code, words[i].kind == NULL ? NR_EINVAL : 0);
    }
}

static void test_unknown_kind_text(void **state)
{
    struct nr_err err = {0};

    assert_null(kinds_resolve(rig_kinds, "ruby:2", &err));
    assert_string_equal(
        err.text,
        "The specified runtime 'ruby:2' is not supported by this platform. Valid values are: "
        "'nodejs:18', 'python:3', 'python:3.11'.");
}

static void test_images(void **state)
{
    static const struct {
        const char *image;
        bool valid, native;
    } images[] = {
        {"openwhisk/dockerskeleton", true, true},
        {"openwhisk/dockerskeleton:1.3.2", true, true},
        {"docker.io/openwhisk/dockerskeleton:nightly", true, true},
        {"openwhisk/dockerskeleton2", true, false},
        {"registry.example:5000/team/reader:1", true, false},
        {"alpine", true, false},
        {"me/app@sha256:0123456789abcdef", true, false},
        {"", false, false},
        {"-v", false, false},
        {"a b", false, false},
        {"a//b", false, false},
        {"a/../b", false, false},
        {"a\"b", false, false},
    };

    for (size_t i = 0; i < nr_countof(images); i++) {
        assert_int_equal(kinds_image_valid(images[i].image), images[i].valid);
        assert_int_equal(kinds_image_is_native(images[i].image), images[i].native);
    }
}

static void test_runtimes_document(void **state)
{
    struct nr_buf out;

    nr_buf_init(&out, 8192);
    kinds_write(rig_kinds, &out);
    nr_buf_addc(&out, '\0');
    assert_string_equal(
        out.p,
        "{\"nodejs\":[{\"kind\":\"nodejs:18\",\"image\":\"narae/nodejs:0123456789ab\",\"deprecated\":false,\"default\":true,"
        "\"attached\":false,\"requireMain\":false}],\"python\":[{\"kind\":\"python:3\",\"image\":\"narae/python:ba9876543210\","
        "\"deprecated\":false,\"default\":true,\"attached\":false,\"requireMain\":false},{\"kind\":\"python:3.11\","
        "\"image\":\"narae/python:ba9876543210\",\"deprecated\":false,\"default\":false,\"attached\":false,"
        "\"requireMain\":false}]}");
    nr_buf_fini(&out);
}

static void test_deprecated(void **state)
{
    static const struct runtime_kind kinds[] = {
        {"old:1", "old", "narae/old:1", ".o", true, NULL, true},
        {"new:2", "new", "narae/new:2", ".n", true, NULL, false},
        {0},
    };
    static const struct {
        const char *kind;
        int r;
    } rows[] = {{"old:1", NR_EINVAL}, {"new:2", 0},    {"OLD:1", NR_EINVAL}, {"gone:3", NR_EINVAL},
                {"blackbox", 0},      {"sequence", 0}, {"", NR_EINVAL}};
    struct nr_buf out;

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct nr_err err = {0};
        assert_int_equal(kinds_judge(kinds, rows[i].kind, &err), rows[i].r);
        assert_int_equal(err.code, rows[i].r);
    }
    nr_buf_init(&out, 4096);
    kinds_write(kinds, &out);
    nr_buf_addc(&out, '\0');
    assert_non_null(
        strstr(out.p, "\"kind\":\"old:1\",\"image\":\"narae/old:1\",\"deprecated\":true"));
    assert_non_null(
        strstr(out.p, "\"kind\":\"new:2\",\"image\":\"narae/new:2\",\"deprecated\":false"));
    nr_buf_fini(&out);
}

static void test_versions(void **state)
{
    static const struct {
        const char *text, *next; /* NULL: not valid */
    } versions[] = {
        {"0.0.1", "0.0.2"}, {"1.2.9", "1.2.10"}, {"10.20.30", "10.20.31"},
        {"0.0", NULL},      {"0.0.0.1", NULL},   {"1.2.x", NULL},
        {"", NULL},         {"01.0.0", NULL},    {"1.0.-1", NULL},
        {"1.0.0.", NULL},   {"0..1", NULL},      {"0.0.99999999999", NULL},
    };

    for (size_t i = 0; i < nr_countof(versions); i++) {
        char next[VERSION_TEXT_BYTES];
        assert_int_equal(version_valid(versions[i].text), versions[i].next != NULL);
        if (versions[i].next == NULL)
            continue;
        version_bump(versions[i].text, next);
        assert_string_equal(next, versions[i].next);
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool good;
    } names[] = {
        {"a", true},    {"_", true},      {"hello world", true}, {"a@b.c&d-e", true}, {"9", true},
        {"a.", true},   {"", false},      {".a", false},         {" a", false},       {"a ", false},
        {"a/b", false}, {"a+b", false},   {"\xc3\xa9", false},   {"a\nb", false},     {"-a", false},
        {"..", false},  {"a%20b", false}, {"&", false},
    };
    char longest[258];
    struct nr_err err = {0};

    for (size_t i = 0; i < nr_countof(names); i++) {
        struct nr_err e = {0};
        assert_int_equal(entity_name_check(nr_str_of(names[i].name), &e),
                         names[i].good ? 0 : NR_EINVAL);
        if (!names[i].good)
            assert_string_equal(e.text, "The name of the entity contains illegal characters.");
    }
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(entity_name_check((struct nr_str){longest, 256}, &err), 0);
    assert_int_equal(entity_name_check((struct nr_str){longest, 257}, &err), NR_EINVAL);
    assert_string_equal(err.text, "Name segement longer than allowed: 257 > 256.");
    assert_int_equal(entity_name_check((struct nr_str){"a\0b", 3}, NULL), NR_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deprecated), cmocka_unit_test(test_versions),
        cmocka_unit_test(test_words),      cmocka_unit_test(test_unknown_kind_text),
        cmocka_unit_test(test_images),     cmocka_unit_test(test_runtimes_document),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
