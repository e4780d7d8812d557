/* Files that are there whole or not at all, reading with a ceiling, folders, and removal that follows no link. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/mem.h"

static char root[64];

static int make_root(void **state)
{
    (void)snprintf(root, sizeof(root), "/tmp/narae-file-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    return nr_dir_remove(root, NULL);
}

static const char *at(const char *name)
{
    static char path[4][512];
    static int next;

    next = (next + 1) % 4;
    (void)snprintf(path[next], sizeof(path[0]), "%s/%s", root, name);
    return path[next];
}

static int entries(const char *path)
{
    DIR *d = opendir(path);
    int n = -2;

    assert_non_null(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void test_write_and_read(void **state)
{
    struct nr_err err = {0};
    nr_auto_free char *first = NULL, *second = NULL;
    size_t n = 0;

    assert_ok(nr_file_write(root, "a", NR_STR("one"), 0640, &err), &err);
    assert_int_equal(mode_of(at("a")), 0640);
    assert_ok(nr_file_read(at("a"), 100, &first, &n, &err), &err);
    assert_int_equal(n, 3);
    assert_string_equal(first, "one");
    assert_ok(nr_file_write(root, "a", NR_STR("t\0wo"), 0600, &err), &err);
    assert_ok(nr_file_read(at("a"), 4, &second, &n, &err), &err);
    assert_int_equal(n, 4);
    assert_memory_equal(second, "t\0wo", 5);
    assert_int_equal(entries(root), 1);
}

static void test_failed_write_leaves_nothing(void **state)
{
    struct nr_err err = {0}, err2 = {0};

    assert_int_equal(nr_file_write(at("absent"), "a", NR_STR("x"), 0600, &err), NR_ENOENT);
    assert_says(&err, "absent");
    assert_int_equal(mkdir(at("folder"), 0700), 0);
    assert_int_equal(nr_file_write(root, "folder", NR_STR("x"), 0600, &err2), NR_EINVAL);
    assert_says(&err2, "/folder");
    assert_int_equal(entries(at("folder")), 0);
    for (int n = 0; n < 3; n++)
        assert_int_not_equal(nr_file_write(root, "no/such", NR_STR("x"), 0600, NULL), 0);
    nr_auto_free char *bytes = NULL;

    assert_int_equal(nr_file_read(at("folder"), 10, &bytes, NULL, NULL), NR_EINVAL);
    assert_null(bytes);
    assert_int_equal(nr_dir_remove(at("folder"), NULL), 0);
    assert_int_equal(entries(root), 1);
}

static void test_read_ceiling(void **state)
{
    struct nr_err err = {0};
    char *bytes = NULL;
    size_t n = 7;

    assert_ok(nr_file_write(root, "b", NR_STR("12345"), 0600, &err), &err);
    assert_int_equal(nr_file_read(at("b"), 4, &bytes, &n, &err), NR_ETOOBIG);
    assert_null(bytes);
    assert_int_equal(n, 7);
    assert_ok(nr_file_read(at("b"), 5, &bytes, &n, NULL), &err);
    free(bytes);
    assert_ok(nr_file_read(at("b"), SIZE_MAX, &bytes, NULL, NULL), &err);
    free(bytes);
    assert_int_equal(nr_file_read(at("absent"), 5, &bytes, &n, NULL), NR_ENOENT);
    /* A file that does not tell its size. */
    assert_ok(nr_file_read("/proc/self/status", 100000, &bytes, &n, NULL), &err);
    assert_true(n > 100);
    assert_int_equal(strlen(bytes), n);
    free(bytes);
    bytes = NULL;
    assert_int_equal(nr_file_read("/proc/self/status", 100, &bytes, &n, NULL), NR_ETOOBIG);
    nr_mem_fail_at(1, 1);
    assert_int_equal(nr_file_read(at("b"), 5, &bytes, &n, NULL), NR_ENOMEM);
    nr_mem_fail_at(0, 0);
    assert_null(bytes);
}

static void test_empty_file(void **state)
{
    nr_auto_free char *bytes = NULL;
    size_t n = 9;

    assert_int_equal(nr_file_write(root, "empty", (struct nr_str){NULL, 0}, 0600, NULL), 0);
    assert_int_equal(nr_file_read(at("empty"), 0, &bytes, &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_string_equal(bytes, "");
}

static void test_make_folders(void **state)
{
    struct nr_err err = {0};

    assert_ok(nr_dir_make(at("x//y/z/"), 0711, &err), &err);
    assert_int_equal(mode_of(at("x/y")), 0755);
    assert_int_equal(mode_of(at("x/y/z")), 0711);
    assert_ok(nr_dir_make(at("x/y"), 0700, &err), &err);
    assert_int_equal(mode_of(at("x/y")), 0755);
    assert_int_equal(nr_file_write(root, "plain", NR_STR(""), 0600, NULL), 0);
    assert_int_equal(nr_dir_make(at("plain/z"), 0700, &err), NR_EINVAL);
    assert_says(&err, "plain");
    assert_int_equal(nr_dir_make("", 0700, NULL), NR_EINVAL);
    assert_int_equal(nr_dir_sync(at("x"), NULL), 0);
    assert_int_equal(nr_dir_sync(at("absent"), NULL), NR_ENOENT);
}

static void test_removal_follows_no_link(void **state)
{
    struct nr_err err = {0};

    assert_int_equal(nr_dir_make(at("keep"), 0700, NULL), 0);
    assert_int_equal(nr_file_write(at("keep"), "me", NR_STR("x"), 0600, NULL), 0);
    assert_int_equal(nr_dir_make(at("gone/sub/sub"), 0700, NULL), 0);
    assert_int_equal(nr_file_write(at("gone/sub"), "f", NR_STR("x"), 0400, NULL), 0);
    assert_int_equal(symlink(at("keep"), at("gone/sub/link")), 0);
    assert_int_equal(symlink("/nowhere", at("gone/dangling")), 0);
    assert_int_equal(symlink(at("keep"), at("top")), 0);
    assert_ok(nr_dir_remove(at("gone"), &err), &err);
    assert_int_not_equal(access(at("gone"), F_OK), 0);
    assert_int_not_equal(nr_dir_remove(at("top"), NULL), 0);
    assert_int_equal(access(at("keep/me"), F_OK), 0);
    assert_int_equal(nr_dir_remove(at("absent"), NULL), 0);
}

/* Deeper than there are descriptors for. */
static void test_removal_of_a_deep_tree(void **state)
{
    enum { DEPTH = 1500 };
    struct nr_err err = {0};

    assert_int_equal(mkdir(at("deep"), 0700), 0);
    int fd = open(at("deep"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(mkdirat(fd, "d", 0700), 0);
        if (i % 100 == 0)
            assert_int_equal(mkdirat(fd, "other", 0700), 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        (void)close(fd);
        fd = next;
        assert_true(fd >= 0);
    }
    (void)close(fd);
    assert_ok(nr_dir_remove(at("deep"), &err), &err);
    assert_int_not_equal(access(at("deep"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_failed_write_leaves_nothing),
        cmocka_unit_test(test_read_ceiling),
        cmocka_unit_test(test_empty_file),
        cmocka_unit_test(test_make_folders),
        cmocka_unit_test(test_removal_follows_no_link),
        cmocka_unit_test(test_removal_of_a_deep_tree),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}
