/* What a backup copies while the registry changes under it: uploads are not committed in the order of their numbers, so a row that comes
 * later may name a folder with a lower one. stat() of large files is wrapped by the linker: when the backup looks for a folder that is gone, the
 * registry lets go of that one and names a new one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/backup/backup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/common/base/check.h"

#define CODE "def main(args):\n    return args\n"

struct room {
    char root[64], data[96];
    sqlite3 *registry;
    struct backup_progress progress;
};

static struct room
    *changing; /* whose registry changes at the next look at a missing folder; NULL: none */

int __real_stat64(const char *path, struct stat *st);
int __wrap_stat64(const char *path, struct stat *st);

static void run(sqlite3 *db, const char *sql)
{
    char *text = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
}

/* An upload: its file, and the row that names it. */
static void upload(struct room *m, int function, int number, bool file)
{
    unsigned char sum[NR_SHA256_BYTES];
    char name[64], path[256], hex[BACKUP_HEX_BYTES], sql[512];

    (void)snprintf(name, sizeof(name), "guest/f/%d", number);
    (void)snprintf(path, sizeof(path), "%s/" BACKUP_BUCKETS "/%s", m->data, name);
    if (file) {
        assert_int_equal(nr_dir_make(path, 0700, NULL), 0);
        assert_int_equal(nr_file_write(path, "code.py", NR_STR(CODE), 0444, NULL), 0);
    }
    nr_sha256(NR_STR(CODE), sum);
    nr_hex(sum, sizeof(sum), hex);
    (void)snprintf(sql, sizeof(sql),
                   "INSERT OR REPLACE INTO versions VALUES(%d, '%s', 'code.py', %zu, 0, x'%s', 1)",
                   function, name, sizeof(CODE) - 1, hex);
    run(m->registry, sql);
}

int __wrap_stat64(const char *path, struct stat *st)
{
    int r = __real_stat64(path, st);
    struct room *m = changing;

    if (r != 0 && m && strstr(path, "/guest/f/9/")) {
        changing = NULL;
        upload(m, 1, 3, true); /* the function that had the folder 9 was uploaded again */
        upload(m, 2, 2, true); /* another one came */
    }
    return r;
}

static int make_room(void **state)
{
    struct room *m = nr_alloc(sizeof(*m));
    char path[128];

    *state = m;
    (void)snprintf(m->root, sizeof(m->root), "/tmp/narae-copy-XXXXXX");
    assert_non_null(mkdtemp(m->root));
    (void)snprintf(m->data, sizeof(m->data), "%s/data", m->root);
    assert_int_equal(nr_dir_make(m->data, 0700, NULL), 0);
    assert_int_equal(nr_file_write(m->data, "secret.key", NR_STR("0123"), 0600, NULL), 0);
    (void)snprintf(path, sizeof(path), "%s/meta.db", m->data);
    assert_int_equal(sqlite3_open(path, &m->registry), SQLITE_OK);
    run(m->registry,
        "PRAGMA journal_mode=WAL; PRAGMA user_version=1;"
        "CREATE TABLE functions(account TEXT); CREATE TABLE counters(name TEXT);"
        "INSERT INTO functions VALUES('guest'), ('guest'), ('whisk.system');"
        "CREATE TABLE versions(function_id INTEGER PRIMARY KEY, code_folder TEXT, file TEXT, code_bytes INTEGER,"
        " sent_bytes INTEGER, sha256 BLOB, has_code INTEGER)");
    backup_progress_open(&m->progress, false);
    return 0;
}

static int remove_room(void **state)
{
    struct room *m = *state;
    struct nr_err err = {0};

    backup_progress_close(&m->progress);
    (void)sqlite3_close(m->registry);
    int r = nr_dir_remove(m->root, &err);

    free(m);
    return r;
}

/* Makes a backup, unpacks it, and gives what it told. */
static struct backup_copy copy(struct room *m)
{
    char path[128];
    struct nr_err err = {0};
    struct backup_writer w;
    struct backup_copy c = {
        .data = m->data, .tmp_dir = m->root, .progress = &m->progress, .writer = &w};

    (void)snprintf(path, sizeof(path), "%s/archive", m->root);
    nr_auto_close int fd = open(path, O_RDWR | O_CREAT, 0600);

    assert_ok(backup_writer_open(&w, fd, &m->progress, &err), &err);
    assert_ok(backup_copy_run(&c, &err), &err);
    backup_writer_close(&w);
    (void)snprintf(path, sizeof(path), "%s/into", m->root);
    assert_int_equal(nr_dir_make(path, 0700, NULL), 0);
    nr_auto_close int dir = open(path, O_RDONLY | O_DIRECTORY);
    struct backup_reader r = {
        .fd = fd, .dir_fd = dir, .uid = (uid_t)-1, .gid = (gid_t)-1, .progress = &m->progress};

    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_ok(backup_reader_run(&r, &err), &err);
    c.writer = NULL;
    return c;
}

static bool has(const struct room *m, int number)
{
    char path[192];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/into/" BACKUP_BUCKETS "/guest/f/%d/code.py", m->root,
                   number);
    return __real_stat64(path, &st) == 0 && st.st_size == sizeof(CODE) - 1;
}

static void test_a_later_row_has_a_lower_number(void **state)
{
    struct room *m = *state;

    upload(m, 1, 9, false);
    upload(m, 3, 7, true);
    changing = m;
    struct backup_copy c = copy(m);

    assert_null(changing); /* it did change in the middle */
    assert_true(has(m, 2) && has(m, 3) && has(m, 7));
    assert_int_equal(c.damaged, 0);
    assert_int_equal(c.files, 3);
}

static void test_what_is_named_and_gone_is_told(void **state)
{
    struct room *m = *state;

    upload(m, 1, 9, false);
    upload(m, 3, 2, true);
    struct backup_copy c = copy(m);

    assert_true(has(m, 2) && !has(m, 9));
    assert_int_equal(c.damaged, 1);
}

/* Those of the catalog come with the program. */
static void test_functions_of_people_are_counted(void **state)
{
    assert_int_equal(copy(*state).functions, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_later_row_has_a_lower_number, make_room,
                                        remove_room),
        cmocka_unit_test_setup_teardown(test_what_is_named_and_gone_is_told, make_room,
                                        remove_room),
        cmocka_unit_test_setup_teardown(test_functions_of_people_are_counted, make_room,
                                        remove_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
