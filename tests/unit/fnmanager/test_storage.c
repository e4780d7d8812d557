/* Names on disk, the layout of the buckets, what crashes and full disks leave. */
#include "fnmanager/storage/storage.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "fnmanager/manager.h"
#include "fnmanager/storage/sweeper.h"
#include "tests/unit/fnmanager/rig.h"

#define PY "{\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(a): return a\"}"

static int setup(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));

    rig_begin(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_end(*state);
    free(*state);
    return 0;
}

static const char *folder(const char *account, const char *package, const char *name,
                          uint64_t upload, char out[STORAGE_FOLDER_BYTES])
{
    struct fn_key key = {nr_str_of(account), nr_str_of(package), nr_str_of(name)};

    storage_folder(key, upload, out);
    return out;
}

static void test_names(void **state)
{
    static const struct {
        const char *package, *name, *folder;
    } names[] = {
        {NULL, "hello", "guest/hello/7"},
        {"", "hello", "guest/hello/7"},
        {"pkg", "hello", "guest/pkg+hello/7"},
        {NULL, "hello world", "guest/hello%20world/7"},
        {"a b", "c@d&e", "guest/a%20b+c%40d%26e/7"},
        {NULL, "x.y-z", "guest/x.y-z/7"},
    };
    char out[STORAGE_FOLDER_BYTES], other[STORAGE_FOLDER_BYTES], name[257];

    for (size_t i = 0; i < nr_countof(names); i++)
        assert_string_equal(folder("guest", names[i].package, names[i].name, 7, out),
                            names[i].folder);
    memset(name, 'a', 256);
    name[200] = '\0';
    assert_int_equal(strlen(folder("guest", NULL, name, 1, out)), 6 + 200 + 2);
    name[200] = 'a';
    name[201] = '\0';
    assert_int_equal(strlen(folder("guest", NULL, name, 1, out)), 6 + 160 + 1 + 16 + 2);
    assert_int_equal(out[6 + 160], '~');
    name[200] = 'b';
    assert_string_not_equal(folder("guest", NULL, name, 1, other), out);
    memset(name, '&', 256);
    name[0] = 'a';
    name[256] = '\0';
    assert_int_equal(strlen(folder("guest", name, name, 1, out)), 6 + 160 + 1 + 16 + 2);
}

static void test_layout(void **state)
{
    struct rig *r = *state;
    char path[512];
    struct stat st;

    free(rig_put(r, "hello world", PY "}", false, 200));
    struct rig_reply reply = rig_call(r, r->guest, FN_RESOLVE, NULL, "hello world", NULL, false);
    (void)snprintf(path, sizeof(path), "%s/buckets/guest/hello%%20world/", r->dir);
    assert_true(nr_str_starts(nr_str_of(reply.fn->code_path), path));
    assert_string_equal(strrchr(reply.fn->code_path, '/'), "/code.py");
    for (char *at = reply.fn->code_path + strlen(r->dir) + 1; (at = strchr(at, '/')) != NULL;
         at++) {
        *at = '\0';
        assert_int_equal(stat(reply.fn->code_path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        *at = '/';
    }
    rig_reply_fini(&reply);
}

static void stray(struct rig *r, const char *below, const char *file)
{
    char path[768];

    (void)snprintf(path, sizeof(path), "%s/buckets/%s", r->dir, below);
    assert_int_equal(nr_dir_make(path, 0711, NULL), 0);
    assert_int_equal(nr_file_write(path, file, NR_STR("left"), 0600, NULL), 0);
}

/* What a kill can leave: a file without its row, a temporary name beside a good file, and emptied folders. */
static void test_crash_leftovers(void **state)
{
    struct rig *r = *state;
    char beside[600];

    free(rig_put(r, "keep", PY "}", false, 200));
    struct rig_reply fn = rig_call(r, r->guest, FN_RESOLVE, NULL, "keep", NULL, false);
    (void)snprintf(beside, sizeof(beside), "%s",
                   fn.fn->code_path + strlen(r->dir) + strlen("/buckets/"));
    *strrchr(beside, '/') = '\0';
    rig_close(r);
    stray(r, "guest/keep/900", "code.py");
    stray(r, "guest/gone/901", "code.py");
    stray(r, "nobody/x/1", ".tmp-0011223344556677");
    stray(r, beside, ".tmp-0011223344556677");
    assert_int_equal(rig_bucket_files(r), 5);
    rig_open(r);
    assert_int_equal(rig_bucket_files(r), 1);
    assert_int_equal(access(fn.fn->code_path, R_OK), 0);
    assert_int_equal(r->m->swept, 4);
    (void)snprintf(beside, sizeof(beside), "%s/buckets/nobody", r->dir);
    assert_int_equal(access(beside, F_OK), -1);
    rig_reply_fini(&fn);
}

/* While what earlier runs left is looked for, an upload of this run has no row yet: it is no leftover. */
static void test_uploads_of_this_run_are_no_leftovers(void **state)
{
    struct rig *r = *state;
    struct storage s = {0};

    assert_int_equal(storage_init(&s, r->dir, NULL), 0);
    assert_int_equal(storage_write(&s, "guest/new/7", "code.py", NR_STR("x"), 0444, NULL), 0);
    stray(r, "guest/new/6", "code.py");
    assert_true(storage_remove_old(&s, "guest/new/6"));
    assert_false(storage_remove_old(&s, "guest/new/7"));
    assert_int_equal(rig_bucket_files(r), 1);
    storage_old_gone(&s);
    storage_remove(&s, ""); /* no folder is not all of them */
    assert_int_equal(rig_bucket_files(r), 1);
    storage_remove(&s, "guest/new/7");
    storage_fini(&s);
    assert_int_equal(rig_bucket_files(r), 0);
}

/* A row of a foreign registry leads to nothing outside of the buckets. */
static void test_a_folder_that_leads_elsewhere_is_left_alone(void **state)
{
    static const char *const folders[] = {"../victim", "guest/../../victim", "./../victim",
                                          "guest/new/../../../victim"};
    struct rig *r = *state;
    struct storage s = {0};
    char path[256], *bytes = NULL;

    assert_int_equal(storage_init(&s, r->dir, NULL), 0);
    assert_int_equal(storage_write(&s, "guest/new/7", "code.py", NR_STR("x"), 0444, NULL), 0);
    (void)snprintf(path, sizeof(path), "%s/victim", r->dir);
    assert_int_equal(nr_dir_make(path, 0700, NULL), 0);
    assert_int_equal(nr_file_write(path, "code.py", NR_STR("x"), 0400, NULL), 0);
    (void)snprintf(path, sizeof(path), "%s/victim/code.py", r->dir);
    for (size_t i = 0; i < nr_countof(folders); i++) {
        assert_int_equal(storage_read(&s, folders[i], "code.py", 1, NULL, &bytes, NULL),
                         NR_ECORRUPT);
        storage_remove(&s, folders[i]);
        assert_int_equal(access(path, F_OK), 0);
    }
    assert_int_equal(storage_read(&s, "guest/new", "7/code.py", 1, NULL, &bytes, NULL),
                     NR_ECORRUPT);
    assert_int_equal(storage_read(&s, "guest/new/7", "code.py", 1, NULL, &bytes, NULL), 0);
    free(bytes);
    storage_remove(&s, "guest/new/7");
    storage_fini(&s);
}

/* Replaced and deleted code goes after its time, or with the next start; not before. */
static void test_garbage(void **state)
{
    struct rig *r = *state;

    free(rig_put(r, "a", PY "}", false, 200));
    free(rig_put(r, "a", PY "}", true, 200));
    free(rig_put(r, "b", PY "}", true, 200));
    struct rig_reply gone = rig_call(r, r->guest, FN_ACTION_DELETE, NULL, "b", NULL, false);
    rig_reply_fini(&gone);
    assert_int_equal(rig_bucket_files(r), 3);
    assert_int_equal(sweep_garbage(&r->m->storage, r->m->db, SWEEP_AFTER_MS), 0);
    nr_clock_fake(0, SWEEP_AFTER_MS + 1);
    assert_int_equal(sweep_garbage(&r->m->storage, r->m->db, SWEEP_AFTER_MS), 2);
    nr_clock_fake(0, 0);
    assert_int_equal(rig_bucket_files(r), 1);
    free(rig_put(r, "a", PY "}", true, 200));
    rig_close(r);
    rig_open(r);
    assert_int_equal(rig_bucket_files(r), 1);
}

static char *noise_body(unsigned seed, size_t n)
{
    static const char head[] = "{\"exec\":{\"kind\":\"python:3\",\"code\":\"";
    char *body = nr_alloc(sizeof(head) + n + 8);
    char *at = body + sizeof(head) - 1;

    memcpy(body, head, sizeof(head) - 1);
    *at++ = '#';
    for (size_t i = 1; i < n; i++)
        *at++ = (char)('a' + rand_r(&seed) % 26);
    memcpy(at, "\"}}", 4);
    return body;
}

/* Functions with this code until there is no room for another one; how many. */
static int fill(struct rig *r, char letter, const char *body)
{
    char name[16];
    int made = 0, status = 200;

    for (; made < 64 && status == 200; made++) {
        (void)snprintf(name, sizeof(name), "%c%d", letter, made);
        struct rig_reply reply = rig_call(r, r->guest, FN_ACTION_PUT, NULL, name, body, false);
        status = reply.status;
        if (status != 200)
            assert_string_equal(reply.body, "There is no space left to store this.");
        rig_reply_fini(&reply);
    }
    assert_int_equal(status, 507);
    return made - 1;
}

static void fill_and_recover(struct rig *r)
{
    nr_auto_free char *first = noise_body(1, 1 << 20);
    nr_auto_free char *more = noise_body(2, 1 << 20);
    nr_auto_free char *less = noise_body(3, 1 << 19);
    int made, files;

    free(rig_put(r, "old", first, false, 200));
    made = fill(r, 'f', more);
    made += fill(r, 'g', less);
    files = rig_bucket_files(r);
    /* "old" and those that were answered 200: nothing of the last ones */
    assert_int_equal(files, made + 1);
    struct rig_reply update = rig_call(r, r->guest, FN_ACTION_PUT, NULL, "old", more, true);
    assert_int_equal(update.status, 507);
    struct rig_reply old = rig_call(r, r->guest, FN_ACTION_GET, NULL, "old", NULL, false);
    assert_int_equal(old.status, 200);
    assert_non_null(strstr(old.body, "\"version\":\"0.0.1\""));
    assert_int_equal(rig_bucket_files(r), files);
    struct rig_reply gone = rig_call(r, r->guest, FN_ACTION_DELETE, NULL, "f0", NULL, false);
    assert_int_equal(gone.status, 200);
    /* Room by itself: garbage goes at once when the disk is full. Smaller than what went, for its row wants room too. */
    free(rig_put(r, "again", less, false, 200));
    rig_reply_fini(&update);
    rig_reply_fini(&old);
    rig_reply_fini(&gone);
}

static void test_full_disk(void **state)
{
    struct rig r;

    memset(&r, 0, sizeof(r));
    rig_begin(&r);
    rig_close(&r);
    /* In a mount namespace of this process: nothing is left outside, however the test ends. */
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", r.dir, "tmpfs", 0, "size=12m") != 0) {
        rig_end(&r);
        skip();
    }
    rig_open(&r);
    fill_and_recover(&r);
    rig_close(&r);
    assert_int_equal(umount(r.dir), 0);
    rig_end(&r);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), CASE(test_layout),
        CASE(test_crash_leftovers),   CASE(test_a_folder_that_leads_elsewhere_is_left_alone),
        CASE(test_garbage),           CASE(test_uploads_of_this_run_are_no_leftovers),
        CASE(test_garbage),           cmocka_unit_test(test_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
