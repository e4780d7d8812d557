/* Unpacking: what is written, and what is refused and leaves nothing outside of the folder. */
#include "unit.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtimes/agent/place.h"

struct entry {
    const char *path;
    mode_t type;
    mode_t mode;
    const char *content; /* or a link's target */
};

static int make_archive(const struct entry *entries, size_t count)
{
    int fd = memfd_create("archive", 0);
    struct archive *a = archive_write_new();
    archive_write_set_format_pax_restricted(a);
    archive_write_add_filter_none(a);
    archive_write_open_fd(a, fd);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, entries[i].path);
        archive_entry_set_filetype(e, entries[i].type);
        archive_entry_set_perm(e, entries[i].mode);
        if (entries[i].type == AE_IFLNK)
            archive_entry_set_symlink(e, entries[i].content);
        else if (entries[i].type == AE_IFREG)
            archive_entry_set_size(e, (la_int64_t)strlen(entries[i].content));
        archive_write_header(a, e);
        if (entries[i].type == AE_IFREG)
            archive_write_data(a, entries[i].content, strlen(entries[i].content));
        archive_entry_free(e);
    }
    archive_write_close(a);
    archive_write_free(a);
    return fd;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

/* Places the entries in a fresh folder with an outer one around it; the status and the note. */
static int place(const struct entry *entries, size_t count, char *folder, char *note, size_t size)
{
    int pipes[2];
    int fd = make_archive(entries, count);
    memcpy(folder, "/tmp/narae-place-XXXXXX", 24);
    assert_non_null(mkdtemp(folder));
    char inner[64];
    snprintf(inner, sizeof inner, "%s/in", folder);
    mkdir(inner, 0755);
    assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
    int status = place_archive(fd, inner, pipes[1]);
    ssize_t n = read(pipes[0], note, size - 1);
    note[n > 0 ? n : 0] = 0;
    close(pipes[0]);
    close(pipes[1]);
    close(fd);
    return status;
}

static void files_and_modes(void **state)
{
    static const struct entry entries[] = {
        {"./", AE_IFDIR, 0700, NULL},         {"bin/", AE_IFDIR, 0700, NULL},
        {"bin/run", AE_IFREG, 04711, "go"},   {"./deep/er/data", AE_IFREG, 0600, "x"},
        {"bin/run", AE_IFREG, 0755, "again"},
    };
    char folder[32], note[300], path[128], text[16] = "";
    struct stat st;
    (void)state;
    assert_int_equal(place(entries, 5, folder, note, sizeof note), 0);
    assert_string_equal(note, "");
    snprintf(path, sizeof path, "%s/in/bin/run", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, text, sizeof text - 1), 5);
    close(fd);
    assert_string_equal(text, "again");
    snprintf(path, sizeof path, "%s/in/deep/er/data", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void refusals(void **state)
{
    static const struct entry bad[] = {
        {"../out", AE_IFREG, 0644, "x"},   {"a/../../out", AE_IFREG, 0644, "x"},
        {"/tmp/out", AE_IFREG, 0644, "x"}, {"link", AE_IFLNK, 0644, "/etc/passwd"},
        {"fifo", AE_IFIFO, 0644, NULL},    {"dev", AE_IFCHR, 0644, NULL},
    };
    char folder[32], note[300], path[128];
    struct stat st;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(place(&bad[i], 1, folder, note, sizeof note), 1);
        assert_non_null(strstr(note, "The archive could not be unpacked: entry "));
        snprintf(path, sizeof path, "%s/out", folder);
        assert_int_equal(lstat(path, &st), -1);
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

/* A link that stands in the folder already is not followed. */
static void links_in_the_folder(void **state)
{
    char folder[] = "/tmp/narae-place-XXXXXX", path[64];
    static const struct entry entries[] = {{"link/out", AE_IFREG, 0644, "x"}};
    int fd = make_archive(entries, 1);
    int null = open("/dev/null", O_WRONLY);
    struct stat st;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/target", folder);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/link", folder);
    assert_int_equal(symlink("target", path), 0);
    assert_int_equal(place_archive(fd, folder, null), 1);
    snprintf(path, sizeof path, "%s/target/out", folder);
    assert_int_equal(stat(path, &st), -1);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    close(fd);
    close(null);
}

static void single_files(void **state)
{
    char folder[] = "/tmp/narae-place-XXXXXX", path[64], text[16] = "";
    int fd = memfd_create("code", 0);
    int null = open("/dev/null", O_WRONLY);
    struct stat st;
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(write(fd, "#!/bin/sh", 9), 9);
    assert_int_equal(place_file(fd, folder, "exec", null), 0);
    assert_int_equal(place_file(fd, folder, "../exec", null), 1);
    snprintf(path, sizeof path, "%s/exec", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_mode & 0100);
    int out = open(path, O_RDONLY);
    assert_int_equal(read(out, text, sizeof text - 1), 9);
    assert_string_equal(text, "#!/bin/sh");
    close(out);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    close(fd);
    close(null);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_modes),
        cmocka_unit_test(refusals),
        cmocka_unit_test(links_in_the_folder),
        cmocka_unit_test(single_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
