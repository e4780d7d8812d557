/* What a backup may hold, which releases fit, and that an archive with a wrong byte is refused or gives exactly what was written. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/backup/backup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/data/schema_versions.h"
#include "tests/unit/common/base/check.h"

#define CODE "buckets/guest/hello/7/code.py"

struct room {
    char root[64];
    struct backup_progress progress;
    char *archive;
    size_t bytes;
};

static const struct {
    const char *name, *text;
} content[] = {{"meta.db", "the registry"},
               {CODE, "def main(args):\n    return args\n"},
               {"secret.key", "0123"}};

/* ---- names ------------------------------------------------------------------------------------------------------------ */

static void test_code_names(void **state)
{
    static const struct {
        const char *name;
        bool is;
    } cases[] = {
        {CODE, true},
        {"buckets/guest/pkg+name/1/sent", true},
        {"buckets/whisk.system/a%20b~0123/99/exec", true},
        {"buckets/guest/hello/7", false},
        {"buckets/guest/hello/7/", false},
        {"buckets/guest/hello/7/a/b", false},
        {"buckets/guest/hello//code.py", false},
        {"buckets/guest/../7/code.py", false},
        {"buckets/./hello/7/code.py", false},
        {"buckets/guest/hello/7/..", false},
        {"/buckets/guest/hello/7/code.py", false},
        {"bucket/guest/hello/7/code.py", false},
        {"buckets", false},
        {"buckets/", false},
        {"buckets/guest/he llo/7/code.py", false},
        {"buckets/guest/hel\nlo/7/code.py", false},
        {"buckets/guest/hel\xC2\x9Blo/7/code.py", false}, /* U+009B begins an escape sequence */
        {"buckets/guest/hell\xC3\xB6/7/code.py", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++)
        if (backup_is_code(cases[i].name) != cases[i].is)
            fail_msg("'%s' is %sa code file", cases[i].name, cases[i].is ? "" : "not ");
}

static void test_top_names(void **state)
{
    (void)state;
    assert_non_null(backup_file_find("meta.db"));
    assert_true(backup_file_find("meta.db")->needed);
    assert_non_null(backup_file_find("tls.key"));
    assert_null(backup_file_find("installation"));
    assert_null(backup_file_find("meta.db-wal"));
    assert_null(backup_file_find(""));
}

/* ---- releases ---------------------------------------------------------------------------------------------------------- */

static void test_heads(void **state)
{
    static const struct {
        int form, meta, calls;
        int code;
    } cases[] = {
        {1, NR_SCHEMA_META, NR_SCHEMA_CALLS, 0},
        {1, NR_SCHEMA_META - 1, NR_SCHEMA_CALLS - 1, 0},
        {1, NR_SCHEMA_META + 1, NR_SCHEMA_CALLS, 0},
        {1, NR_SCHEMA_META + 2, NR_SCHEMA_CALLS, NR_EINVAL},
        {1, NR_SCHEMA_META, NR_SCHEMA_CALLS + 2, NR_EINVAL},
        {1, NR_SCHEMA_META, 0, 0}, /* there was no such database */
        {1, NR_SCHEMA_META, -1, NR_EINVAL},
        {2, NR_SCHEMA_META, NR_SCHEMA_CALLS, NR_EINVAL},
        {0, NR_SCHEMA_META, NR_SCHEMA_CALLS, NR_EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct backup_reader r = {0};
        struct nr_err err = {0};
        char text[256];

        (void)snprintf(text, sizeof(text),
                       "{\"form\":%d,\"release\":\"9\",\"made\":\"now\",\"schema\":{\"meta.db\":%d,"
                       "\"calls.db\":%d}}",
                       cases[i].form, cases[i].meta, cases[i].calls);
        assert_int_equal(backup_head_read(&r, nr_str_of(text), &err), cases[i].code);
        assert_int_equal(err.text[0] != '\0', cases[i].code != 0);
    }
    struct backup_reader r = {0};

    assert_int_equal(backup_head_read(&r, NR_STR("[]"), NULL), NR_EINVAL);
    assert_int_equal(backup_head_read(&r, NR_STR("{\"form\":1,\"schema\":7}"), NULL), NR_EINVAL);
    assert_int_equal(backup_head_read(&r, NR_STR("no JSON"), NULL), NR_EINVAL);
}

static void test_head_comes_back(void **state)
{
    const int schema[3] = {NR_SCHEMA_SCALING, NR_SCHEMA_CALLS, NR_SCHEMA_META};
    struct backup_reader r = {0};
    struct nr_err err = {0};
    struct nr_buf text;

    (void)state;
    nr_buf_init(&text, 4096);
    backup_head_write(&text, schema);
    assert_ok(backup_head_read(&r, nr_buf_str(&text), &err), &err);
    assert_memory_equal(r.schema, schema, sizeof(schema));
    nr_buf_fini(&text);
}

/* What an archive says of itself is printed: no terminal obeys it, and what is cut is cut between characters. */
static void test_texts_of_a_head(void **state)
{
    static const struct {
        const char *said, *read;
    } cases[] = {
        {"0.1.0", "0.1.0"},
        {"9\\u001b[2J\\u007f", "9?[2J?"},
        {"9\xC2\x9B"
         "2J\xC2\x80\xC2\x9F!",
         "9?2J?\?!"},
        {"\xC3\xA9t\xC3\xA9", "\xC3\xA9t\xC3\xA9"},
        {"123456789012345678901234567890\xC3\xA9", "123456789012345678901234567890"},
        {"1234567890123456789012345678901\xC3\xA9", "1234567890123456789012345678901"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct backup_reader r = {0};
        struct nr_err err = {0};
        char text[256];

        (void)snprintf(text, sizeof(text),
                       "{\"form\":1,\"release\":\"%s\",\"made\":\"%s\",\"schema\":{}}",
                       cases[i].said, cases[i].said);
        assert_ok(backup_head_read(&r, nr_str_of(text), &err), &err);
        assert_string_equal(r.release, cases[i].read);
        assert_string_equal(r.made, cases[i].read);
    }
}

/* ---- archives ----------------------------------------------------------------------------------------------------------- */

static int make_room(void **state)
{
    static const int schema[3] = {0, 0, 1};
    struct room *m = nr_alloc(sizeof(*m));
    struct backup_writer w;
    struct nr_err err = {0};
    struct nr_buf head;
    char path[128];

    *state = m;
    (void)snprintf(m->root, sizeof(m->root), "/tmp/narae-backup-XXXXXX");
    assert_non_null(mkdtemp(m->root));
    backup_progress_open(&m->progress, false);
    (void)snprintf(path, sizeof(path), "%s/archive", m->root);
    nr_auto_close int fd = open(path, O_RDWR | O_CREAT, 0600);

    nr_buf_init(&head, 4096);
    backup_head_write(&head, schema);
    assert_ok(backup_writer_open(&w, fd, &m->progress, &err), &err);
    assert_ok(backup_writer_bytes(&w, BACKUP_HEAD, nr_buf_str(&head), 0600, &err), &err);
    for (size_t i = 0; i < nr_countof(content); i++)
        assert_ok(backup_writer_bytes(&w, content[i].name, nr_str_of(content[i].text), 0600, &err),
                  &err);
    assert_ok(backup_writer_end(&w, &err), &err);
    backup_writer_close(&w);
    nr_buf_fini(&head);
    return nr_file_read(path, 1 << 20, &m->archive, &m->bytes, &err);
}

static int remove_room(void **state)
{
    struct room *m = *state;
    struct nr_err err = {0};
    int e = nr_dir_remove(m->root, &err);

    backup_progress_close(&m->progress);
    free(m->archive);
    free(m);
    return e;
}

/* Unpacks `bytes` of an archive into a new folder; looks that what is accepted is what was written. The result. */
static int unpack(struct room *m, const char *bytes, size_t n)
{
    char into[128], path[256];
    struct nr_err err = {0};

    (void)snprintf(into, sizeof(into), "%s/into", m->root);
    assert_ok(nr_dir_make(into, 0700, &err), &err);
    assert_ok(nr_file_write(m->root, "other", (struct nr_str){bytes, n}, 0600, &err), &err);
    (void)snprintf(path, sizeof(path), "%s/other", m->root);
    struct backup_reader r = {.fd = open(path, O_RDONLY),
                              .dir_fd = open(into, O_RDONLY | O_DIRECTORY),
                              .uid = (uid_t)-1,
                              .gid = (gid_t)-1,
                              .progress = &m->progress};
    int e = backup_reader_run(&r, &err);

    for (size_t i = 0; e == 0 && i < nr_countof(content); i++) {
        nr_auto_free char *text = NULL;
        size_t length = 0;

        (void)snprintf(path, sizeof(path), "%s/%s", into, content[i].name);
        assert_ok(nr_file_read(path, 4096, &text, &length, &err), &err);
        assert_string_equal(text, content[i].text);
    }
    (void)close(r.fd);
    (void)close(r.dir_fd);
    assert_ok(nr_dir_remove(into, NULL), &err);
    return e;
}

static void test_whole(void **state)
{
    struct room *m = *state;

    assert_int_equal(unpack(m, m->archive, m->bytes), 0);
}

static void test_cut_anywhere(void **state)
{
    struct room *m = *state;

    for (size_t n = 0; n < m->bytes; n += 7)
        assert_true(unpack(m, m->archive, n) < 0);
    assert_true(unpack(m, m->archive, m->bytes - 1) < 0);
}

static void test_a_wrong_byte_anywhere(void **state)
{
    struct room *m = *state;
    size_t refused = 0;

    for (size_t i = 0; i < m->bytes; i++) {
        m->archive[i] ^= 0x55;
        refused += unpack(m, m->archive, m->bytes) < 0;
        m->archive[i] ^= 0x55;
    }
    assert_true(refused > m->bytes / 2);
}

static void test_a_place_is_locked_and_left_as_it_was(void **state)
{
    struct room *m = *state;
    char path[128];
    struct stat st;
    struct nr_err err = {0};
    struct backup_place p;

    (void)snprintf(path, sizeof(path), "%s/place", m->root);
    assert_ok(backup_place_open(&p, path, false, &err), &err);
    assert_true(p.staged[0] != '\0');
    struct backup_place other;

    assert_int_equal(backup_place_open(&other, path, true, &err), NR_EBUSY); /* locked */
    backup_place_close(&other);
    backup_place_close(&p);
    (void)snprintf(path, sizeof(path), "%s/place/%s", m->root, p.staged);
    assert_int_equal(stat(path, &st), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code_names),
        cmocka_unit_test(test_top_names),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_head_comes_back),
        cmocka_unit_test(test_texts_of_a_head),
        cmocka_unit_test_setup_teardown(test_whole, make_room, remove_room),
        cmocka_unit_test_setup_teardown(test_cut_anywhere, make_room, remove_room),
        cmocka_unit_test_setup_teardown(test_a_wrong_byte_anywhere, make_room, remove_room),
        cmocka_unit_test_setup_teardown(test_a_place_is_locked_and_left_as_it_was, make_room,
                                        remove_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
