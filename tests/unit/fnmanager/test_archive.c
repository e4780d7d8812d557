/* Attacks made with the library that also reads them; what it will not write is patched into the bytes. */
#include "fnmanager/storage/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/mem.h"

enum { ROOM = 8 << 20 };

struct built {
    char *bytes;
    size_t n;
    struct archive *a;
};

static struct built begin(bool zip)
{
    struct built b = {.bytes = nr_alloc(ROOM), .a = archive_write_new()};

    if (zip) {
        archive_write_set_format_zip(b.a);
    } else {
        archive_write_add_filter_gzip(b.a);
        archive_write_set_format_pax_restricted(b.a);
    }
    return b;
}

static void start(struct built *b)
{
    assert_int_equal(archive_write_open_memory(b->a, b->bytes, ROOM, &b->n), ARCHIVE_OK);
}

static void add(struct built *b, const char *name, unsigned type, const char *link,
                const char *content, size_t n)
{
    struct archive_entry *e = archive_entry_new();

    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (la_int64_t)n);
    if (link != NULL && type == AE_IFLNK)
        archive_entry_set_symlink(e, link);
    else if (link != NULL)
        archive_entry_set_hardlink(e, link);
    assert_true(archive_write_header(b->a, e) >= ARCHIVE_WARN);
    if (n != 0)
        assert_int_equal(archive_write_data(b->a, content, n), n);
    archive_entry_free(e);
}

static struct nr_str end(struct built *b)
{
    assert_int_equal(archive_write_free(b->a), ARCHIVE_OK);
    return (struct nr_str){b->bytes, b->n};
}

static int check(struct nr_str bytes, struct nr_err *err)
{
    return archive_check(bytes, archive_format_of(bytes), &archive_limits_default, err);
}

static void test_good(void **state)
{
    for (int zip = 0; zip < 2; zip++) {
        struct nr_err err = {0};
        struct built b = begin(zip);
        start(&b);
        add(&b, "lib/", AE_IFDIR, NULL, NULL, 0);
        add(&b, "lib/util.py", AE_IFREG, NULL, "x = 1\n", 6);
        add(&b, "__main__.py", AE_IFREG, NULL, "def main(a): return a\n", 22);
        add(&b, "a..b/..c", AE_IFREG, NULL, "", 0);
        struct nr_str bytes = end(&b);
        assert_int_equal(archive_format_of(bytes), zip ? ARCHIVE_ZIP : ARCHIVE_TAR_GZIP);
        if (check(bytes, &err) != 0)
            fail_msg("%s", err.text);
        free(b.bytes);
    }
}

static void test_bad_entries(void **state)
{
    static const struct {
        const char *name;
        unsigned type;
        const char *link, *text;
        bool tar_only;
    } bad[] = {
        {"../evil.py", AE_IFREG, NULL,
         "The archive holds a path that leaves its folder: '../evil.py'.", false},
        {"a/../../evil.py", AE_IFREG, NULL,
         "The archive holds a path that leaves its folder: 'a/../../evil.py'.", false},
        {"a/..", AE_IFREG, NULL, "The archive holds a path that leaves its folder: 'a/..'.", false},
        {"..\\evil.py", AE_IFREG, NULL,
         "The archive holds a path that leaves its folder: '..\\evil.py'.", false},
        {"/etc/passwd", AE_IFREG, NULL, "The archive holds an absolute path: '/etc/passwd'.",
         false},
        {"c:\\evil", AE_IFREG, NULL, "The archive holds an absolute path: 'c:\\evil'.", false},
        {"link", AE_IFLNK, "/etc/shadow",
         "The archive holds a link: 'link'. Store the file itself.", false},
        {"hard", AE_IFREG, "__main__.py",
         "The archive holds a link: 'hard'. Store the file itself.", true},
        {"null", AE_IFCHR, NULL,
         "The archive holds something that is neither file nor folder: 'null'.", true},
        {"sda", AE_IFBLK, NULL,
         "The archive holds something that is neither file nor folder: 'sda'.", true},
        {"pipe", AE_IFIFO, NULL,
         "The archive holds something that is neither file nor folder: 'pipe'.", true},
    };

    for (size_t i = 0; i < nr_countof(bad); i++) {
        for (int zip = 0; zip < (bad[i].tar_only ? 1 : 2); zip++) {
            struct nr_err err = {0};
            struct built b = begin(zip);
            start(&b);
            add(&b, "__main__.py", AE_IFREG, NULL, "pass\n", 5);
            add(&b, bad[i].name, bad[i].type, bad[i].link, NULL, 0);
            assert_int_equal(check(end(&b), &err), NR_EINVAL);
            if (!zip ||
                strchr(bad[i].name, '\\') == NULL) /* the reader of zips turns them into slashes */
                assert_string_equal(err.text, bad[i].text);
            free(b.bytes);
        }
    }
}

static void test_encrypted(void **state)
{
    struct nr_err err = {0};
    struct built b = begin(true);

    if (archive_write_set_options(b.a, "zip:encryption=traditional") != ARCHIVE_OK)
        skip();
    assert_int_equal(archive_write_set_passphrase(b.a, "secret"), ARCHIVE_OK);
    start(&b);
    add(&b, "__main__.py", AE_IFREG, NULL, "pass\n", 5);
    assert_int_equal(check(end(&b), &err), NR_EINVAL);
    assert_string_equal(err.text, "The archive is encrypted: '__main__.py'.");
    free(b.bytes);
}

static void test_bomb(void **state)
{
    nr_auto_free char *zeros = nr_alloc(32 << 20);

    for (int zip = 0; zip < 2; zip++) {
        struct nr_err err = {0};
        struct built b = begin(zip);
        start(&b);
        add(&b, "zeros", AE_IFREG, NULL, zeros, 32 << 20);
        assert_int_equal(check(end(&b), &err), NR_ETOOBIG);
        assert_non_null(strstr(err.text, "unpacks to more than the allowed 200 times its size"));
        free(b.bytes);
    }
}

/* Bytes that do not pack, so that only the named ceiling is met. */
static void test_ceilings(void **state)
{
    static const struct {
        struct archive_limits limits;
        int files, status;
        const char *text;
    } cases[] = {
        {{10, 100000, 200, 1 << 20}, 10, 0, NULL},
        {{9, 100000, 200, 1 << 20},
         10,
         NR_ETOOBIG,
         "The archive holds more than the allowed 9 entries (10 and more)."},
        {{10, 10000, 200, 1 << 20}, 10, 0, NULL},
        {{10, 9999, 200, 1 << 20},
         10,
         NR_ETOOBIG,
         "The archive unpacks to more than the allowed 9999 bytes (10000 and more)."},
    };
    char noise[1000];
    unsigned seed = 1;

    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)rand_r(&seed);
    for (size_t i = 0; i < nr_countof(cases); i++) {
        for (int zip = 0; zip < 2; zip++) {
            struct nr_err err = {0};
            struct built b = begin(zip);
            start(&b);
            for (int f = 0; f < cases[i].files; f++) {
                char name[16];
                (void)snprintf(name, sizeof(name), "f%d", f);
                add(&b, name, AE_IFREG, NULL, noise, sizeof(noise));
            }
            struct nr_str bytes = end(&b);
            assert_int_equal(archive_check(bytes, archive_format_of(bytes), &cases[i].limits, &err),
                             cases[i].status);
            if (cases[i].text != NULL)
                assert_string_equal(err.text, cases[i].text);
            free(b.bytes);
        }
    }
}

/* The central directory claims four bytes where 100,000 are inflated: the claim is not believed. */
static void test_lying_size(void **state)
{
    static const struct archive_limits limits = {10, 50000, 1000, 1 << 30};
    nr_auto_free char *text = nr_alloc(100000);
    struct nr_err err = {0};
    struct built b = begin(true);
    struct nr_str bytes;
    int patched = 0;

    start(&b);
    add(&b, "big", AE_IFREG, NULL, text, 100000);
    bytes = end(&b);
    for (size_t i = 0; i + 30 < bytes.n; i++) {
        if (memcmp(bytes.p + i, "PK\1\2", 4) == 0) {
            memcpy(b.bytes + i + 24, "\4\0\0\0", 4);
            patched++;
        }
    }
    assert_int_equal(patched, 1);
    assert_true(archive_check(bytes, ARCHIVE_ZIP, &limits, &err) < 0);
    free(b.bytes);
}

static void test_damaged(void **state)
{
    static const char text[] = "def main(args):\n    return {'greeting': 'hello'}\n";

    for (int zip = 0; zip < 2; zip++) {
        struct built b = begin(zip);
        struct nr_str bytes;
        int refused = 0;
        start(&b);
        add(&b, "__main__.py", AE_IFREG, NULL, text, sizeof(text) - 1);
        bytes = end(&b);
        for (size_t n = 4; n < bytes.n; n++) {
            struct nr_err err = {0};
            int r = archive_check((struct nr_str){bytes.p, n}, zip ? ARCHIVE_ZIP : ARCHIVE_TAR_GZIP,
                                  &archive_limits_default, &err);
            refused += r < 0;
            if (r < 0)
                assert_true(err.text[0] != '\0');
        }
        assert_true(refused > (int)bytes.n / 2);
        free(b.bytes);
    }
}

static void test_no_archive(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        enum archive_format format;
    } words[] = {
        {"PK\3\4xxxx", 8, ARCHIVE_ZIP},
        {"PK", 2, ARCHIVE_NONE},
        {"\x1f\x8b\x08", 3, ARCHIVE_TAR_GZIP},
        {"print(1)", 8, ARCHIVE_NONE},
        {"", 0, ARCHIVE_NONE},
    };

    for (size_t i = 0; i < nr_countof(words); i++) {
        struct nr_str bytes = {words[i].bytes, words[i].n};
        struct nr_err err = {0};
        assert_int_equal(archive_format_of(bytes), words[i].format);
        if (words[i].format != ARCHIVE_NONE)
            assert_int_equal(check(bytes, &err), NR_EINVAL);
    }
}

static void test_empty(void **state)
{
    for (int zip = 0; zip < 2; zip++) {
        struct nr_err err = {0};
        struct built b = begin(zip);
        start(&b);
        assert_int_equal(check(end(&b), &err), NR_EINVAL);
        assert_string_equal(err.text,
                            zip ? "The archive cannot be read: Unrecognized archive format."
                                : "The archive holds no files.");
        free(b.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_bad_entries),
        cmocka_unit_test(test_encrypted), cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_ceilings),  cmocka_unit_test(test_lying_size),
        cmocka_unit_test(test_damaged),   cmocka_unit_test(test_no_archive),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
