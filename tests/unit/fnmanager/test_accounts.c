/* Keys: who gets in, what is on disk, and limits that change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "fnmanager/manager.h"
#include "tests/unit/fnmanager/rig.h"

#define DEV_PAIR                                                                                   \
    "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"

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

static int login(struct rig *r, const char *pair)
{
    struct account *a = NULL;
    int result = rig_login(r, pair, &a);

    account_unref(a);
    return result;
}

static void test_first_start(void **state)
{
    static const char *const files[] = {"guest.key", "admin.key", "secret.key"};
    struct rig *r = *state;
    nr_auto_free char *pair = rig_file(r, "guest.key");
    char path[256];
    struct stat st;

    assert_int_equal(strlen(pair), 36 + 1 + 64);
    for (size_t i = 0; i < nr_countof(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", r->dir, files[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    assert_string_equal(r->guest->name, "guest");
    assert_int_equal(r->guest->scopes, SCOPE_INVOKE | SCOPE_READ | SCOPE_WRITE);
    assert_int_equal(r->guest->invocations_per_minute, -1);
    assert_int_equal(r->guest->concurrent_invocations, 1000);
    assert_true((r->admin->scopes & SCOPE_ADMIN) != 0);
}

static void test_wrong_keys(void **state)
{
    struct rig *r = *state;
    nr_auto_free char *pair = rig_file(r, "guest.key");
    nr_auto_free char *admin = rig_file(r, "admin.key");
    char changed[512];

    assert_int_equal(login(r, pair), 0);
    for (size_t i = 0; i < strlen(pair); i++) {
        if (pair[i] == ':')
            continue;
        (void)snprintf(changed, sizeof(changed), "%s", pair);
        changed[i] = changed[i] == 'x' ? 'y' : 'x';
        assert_int_equal(login(r, changed), NR_EAUTH);
    }
    (void)snprintf(changed, sizeof(changed), "%.36s%s", pair, strchr(admin, ':'));
    assert_int_equal(login(r, changed), NR_EAUTH);
    (void)snprintf(changed, sizeof(changed), "%sx", pair);
    assert_int_equal(login(r, changed), NR_EAUTH);
    assert_int_equal(login(r, ":"), NR_EAUTH);
    assert_int_equal(login(r, DEV_PAIR), NR_EAUTH);
    (void)snprintf(changed, sizeof(changed), "%.36s:%0300d", pair, 1);
    assert_int_equal(login(r, changed), NR_EAUTH);
}

/* Neither the secret nor its hash without the key can be found in the database's files. */
static void test_secret_is_not_stored(void **state)
{
    static const char *const files[] = {"meta.db", "meta.db-wal"};
    struct rig *r = *state;
    nr_auto_free char *pair = rig_file(r, "guest.key");
    int seen = 0;

    for (size_t i = 0; i < nr_countof(files); i++) {
        nr_auto_free char *bytes = NULL;
        char path[256];
        size_t n = 0;
        (void)snprintf(path, sizeof(path), "%s/%s", r->dir, files[i]);
        if (nr_file_read(path, 64 << 20, &bytes, &n, NULL) < 0)
            continue;
        seen += memmem(bytes, n, pair, 36) != NULL;
        assert_null(memmem(bytes, n, strchr(pair, ':') + 1, 64));
    }
    assert_true(seen > 0);
}

static uint64_t time_logins(struct rig *r, const char *pair)
{
    uint64_t from_us = nr_thread_cpu_us();

    for (int i = 0; i < 20000; i++)
        (void)login(r, pair);
    return nr_thread_cpu_us() - from_us;
}

/* An unknown uuid costs what a wrong key costs: the medians of interleaved rounds are near each other. */
static void test_equal_work(void **state)
{
    struct rig *r = *state;
    nr_auto_free char *pair = rig_file(r, "guest.key");
    char wrong[128], unknown[128];
    int slower = 0;
    uint64_t a = 0, b = 0;

    (void)snprintf(wrong, sizeof(wrong), "%s", pair);
    wrong[40] = wrong[40] == 'x' ? 'y' : 'x';
    (void)snprintf(unknown, sizeof(unknown), "%s", pair);
    unknown[3] = unknown[3] == 'f' ? 'e' : 'f';
    for (int round = 0; round < 9; round++) {
        uint64_t w = time_logins(r, wrong), u = time_logins(r, unknown);
        slower += w > 2 * u || u > 2 * w;
        a += w;
        b += u;
    }
    print_message("wrong key %.2f us, unknown uuid %.2f us\n", (double)a / 180000,
                  (double)b / 180000);
    assert_true(slower <= 4);
}

static struct rig_reply limits(struct rig *r, struct account *who, const char *name,
                               const char *body)
{
    return rig_call(r, who, FN_ACCOUNT_LIMITS, NULL, name, body, false);
}

static void expect(struct rig_reply reply, int status, const char *text)
{
    if (reply.status != status || strcmp(reply.body, text) != 0)
        fail_msg("%d %s\ninstead of\n%d %s", reply.status, reply.body, status, text);
    rig_reply_fini(&reply);
}

static void expect_status(struct rig_reply reply, int status)
{
    if (reply.status != status)
        fail_msg("%d %s\ninstead of %d", reply.status, reply.body, status);
    rig_reply_fini(&reply);
}

static void test_limits(void **state)
{
    struct rig *r = *state;
    nr_auto_free char *pair = rig_file(r, "guest.key");
    struct account *a = NULL;

    expect(
        rig_call(r, r->guest, FN_ACCOUNT_GET, NULL, "guest", NULL, false), 200,
        "{\"name\":\"guest\",\"profile\":\"local\",\"invocationsPerMinute\":-1,\"concurrentInvocations\":1000,\"firesPerMinute\":-1}");
    expect(
        limits(r, r->admin, "guest", "{\"invocationsPerMinute\":6000,\"concurrentInvocations\":7}"),
        200,
        "{\"name\":\"guest\",\"profile\":\"custom\",\"invocationsPerMinute\":6000,\"concurrentInvocations\":7,\"firesPerMinute\":-1}");
    assert_int_equal(r->guest->concurrent_invocations, 1000);
    assert_int_equal(rig_login(r, pair, &a), 0);
    assert_int_equal(a->concurrent_invocations, 7);
    account_unref(a);
    rig_close(r);
    rig_open(r);
    assert_int_equal(r->guest->concurrent_invocations, 7);
    assert_int_equal(r->guest->invocations_per_minute, 6000);
}

static void test_limits_refused(void **state)
{
    static const struct {
        const char *name, *body;
        bool admin;
        int status;
        const char *text;
    } bad[] = {
        {"guest", "{\"firesPerMinute\":1}", false, 403,
         "The supplied authentication is not authorized to access this resource."},
        {"nobody", "{\"firesPerMinute\":1}", true, 404, "The requested resource does not exist."},
        {"guest", "{\"firesPerMinut\":1}", true, 400,
         "The field 'firesPerMinut' is not known; there are invocationsPerMinute, concurrentInvocations and firesPerMinute."},
        {"guest", "{\"firesPerMinute\":-2}", true, 400,
         "The field 'firesPerMinute' must be an integer from -1 to 100000000."},
        {"guest", "{\"concurrentInvocations\":-1}", true, 400,
         "The field 'concurrentInvocations' must be an integer from 0 to 1000000."},
        {"guest", "{\"firesPerMinute\":\"1\"}", true, 400,
         "The field 'firesPerMinute' must be an integer from -1 to 100000000."},
        {"guest", "[]", true, 400, "The request content was malformed:\nObject expected"},
    };
    struct rig *r = *state;

    for (size_t i = 0; i < nr_countof(bad); i++)
        expect(limits(r, bad[i].admin ? r->admin : r->guest, bad[i].name, bad[i].body),
               bad[i].status, bad[i].text);
    expect(rig_call(r, r->guest, FN_ACCOUNT_GET, NULL, "admin", NULL, false), 404,
           "The requested resource does not exist.");
    expect(
        rig_call(r, r->admin, FN_ACCOUNT_GET, NULL, "guest", NULL, false), 200,
        "{\"name\":\"guest\",\"profile\":\"local\",\"invocationsPerMinute\":-1,\"concurrentInvocations\":1000,\"firesPerMinute\":-1}");
}

/* The profile that the option names is in force until somebody sets limits by hand. */
/* LATEST of guest/f becomes `bytes` of code in a folder of its own; what the registry says. */
static int replace_code(struct rig *r, const char *folder, int64_t bytes, struct nr_err *err)
{
    const struct fn_key key = {NR_STR("guest"), NR_STR(""), NR_STR("f")};
    struct fn_row old = {0};
    char name[64], version[] = "0.0.1", kind[] = "python:3", empty[] = "", list[] = "[]",
                   file[] = "code.py";
    int found = metadata_load(r->m->db, key, &old);

    (void)snprintf(name, sizeof(name), "guest/f/%s", folder);
    const struct fn_row row = {.revision = fnmanager_next_revision(r->m),
                               .state = FN_LATEST,
                               .from = FN_LATEST,
                               .version = version,
                               .kind = kind,
                               .image = empty,
                               .main = empty,
                               .has_code = true,
                               .folder = name,
                               .file = file,
                               .code_bytes = bytes,
                               .parameters = list,
                               .annotations = list,
                               .limits = {60000, 256, 10, 1, -1},
                               .updated_ms = nr_wall_ms()};
    int e = metadata_commit(r->m->db, key, &row, found == 0 ? old.revision : 0,
                            (struct fn_actor){NR_STR("guest"), NR_STR("")}, err);

    fn_row_fini(&old);
    return e;
}

/* What was replaced counts too: by then nobody fills a disk beside its quota. When it is swept there is room again. */
static void test_replaced_code_has_a_quota(void **state)
{
    struct rig *r = *state;
    struct nr_err err = {0};

    expect_status(
        rig_call(r, r->admin, FN_QUOTA_PUT, NULL, "guest", "{\"bytes\":300000000}", false), 200);
    assert_int_equal(replace_code(r, "1", 200000000, &err), 0);
    assert_int_equal(replace_code(r, "2", 200000000, &err), 0);
    assert_int_equal(replace_code(r, "3", 200000000, &err), NR_EFORBIDDEN);
    assert_string_equal(err.text,
                        "The account 'guest' has 200000000 bytes of replaced code that calls may "
                        "still use, and may have 300000000; they go within 16 minutes.");
    assert_int_equal(metadata_garbage_done(r->m->db, "guest/f/1"), 0);
    err = (struct nr_err){0};
    assert_int_equal(replace_code(r, "3", 200000000, &err), 0);
    assert_int_equal(replace_code(r, "4", 1000, &err), NR_EFORBIDDEN);
}

static void test_profile_option(void **state)
{
    struct rig *r = *state;
    struct nr_err err = {0};

    rig_close(r);
    r->config.guest_profile = "default";
    rig_open(r);
    assert_int_equal(r->guest->invocations_per_minute, 60);
    assert_int_equal(r->guest->concurrent_invocations, 30);
    struct rig_reply reply = limits(r, r->admin, "guest", "{\"firesPerMinute\":5}");
    rig_reply_fini(&reply);
    rig_close(r);
    r->config.guest_profile = "iot";
    rig_open(r);
    assert_int_equal(r->guest->invocations_per_minute, 60);
    assert_int_equal(r->guest->fires_per_minute, 5);
    rig_close(r);
    rig_end(r);
    rig_begin(r);
    rig_close(r);
    r->config.guest_profile = "huge";
    assert_int_equal(fnmanager_open(&r->config, &r->m, &err), NR_EINVAL);
    assert_string_equal(err.text,
                        "there is no account profile 'huge'; there are default, iot and local");
    r->m = NULL;
}

static void test_dev_keys(void **state)
{
    struct rig *r = *state;
    nr_auto_free char *first = rig_file(r, "guest.key");

    rig_close(r);
    r->config.dev_keys = true;
    rig_open(r);
    nr_auto_free char *dev = rig_file(r, "guest.key");
    assert_string_equal(dev, DEV_PAIR);
    assert_int_equal(login(r, first), 0);
    rig_close(r);
    r->config.dev_keys = false;
    rig_open(r);
    nr_auto_free char *last = rig_file(r, "guest.key");
    assert_string_not_equal(last, DEV_PAIR);
    assert_int_equal(login(r, DEV_PAIR), NR_EAUTH);
    assert_int_equal(login(r, last), 0);
}

static void test_lost_secret(void **state)
{
    struct rig *r = *state;
    struct nr_err err = {0};
    char path[256];

    rig_close(r);
    (void)snprintf(path, sizeof(path), "%s/secret.key", r->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fnmanager_open(&r->config, &r->m, &err), NR_ENOENT);
    assert_non_null(strstr(err.text, "secret.key cannot be read"));
    err = (struct nr_err){0};
    assert_int_equal(nr_file_write(r->dir, "secret.key", NR_STR("short"), 0600, NULL), 0);
    assert_int_equal(fnmanager_open(&r->config, &r->m, &err), NR_ECORRUPT);
    assert_non_null(strstr(err.text, "64 hexadecimal digits"));
    r->m = NULL;
}

static int by_name(struct rig *r, const char *name, struct account **ret, struct nr_err *err)
{
    *ret = NULL;
    return fnmanager_account(r->m, nr_str_of(name), ret, err);
}

/* Whom the platform acts for: no key, the limits as they are now, nobody who is suspended, nobody who is gone. */
static void test_by_name(void **state)
{
    struct rig *r = *state;
    struct nr_err err = {0};
    struct account *a;

    assert_int_equal(by_name(r, "guest", &a, NULL), 0);
    assert_string_equal(a->name, "guest");
    assert_string_equal(a->uuid, "");
    assert_int_equal(a->scopes, 0);
    assert_int_equal(a->key, 0);
    account_unref(a);
    assert_int_equal(by_name(r, "nobody", &a, NULL), NR_ENOENT);
    assert_int_equal(by_name(r, "", &a, NULL), NR_ENOENT);
    expect_status(rig_call(r, r->admin, FN_ACCOUNT_CREATE, NULL, "", "{\"name\":\"alice\"}", false),
                  201);
    expect_status(limits(r, r->admin, "alice", "{\"concurrentInvocations\":7}"), 200);
    assert_int_equal(by_name(r, "alice", &a, NULL), 0);
    assert_int_equal(a->concurrent_invocations, 7);
    account_unref(a);
    rig_close(r); /* and after a restart */
    rig_open(r);
    assert_int_equal(by_name(r, "alice", &a, NULL), 0);
    assert_int_equal(a->concurrent_invocations, 7);
    account_unref(a);
    expect_status(
        rig_call(r, r->admin, FN_ACCOUNT_SUSPEND, NULL, "alice", "{\"reason\":\"unpaid\"}", false),
        200);
    assert_int_equal(by_name(r, "alice", &a, &err), NR_EAUTH);
    assert_string_equal(err.text, "The account 'alice' is suspended: unpaid.");
    expect_status(rig_call(r, r->admin, FN_ACCOUNT_RESUME, NULL, "alice", "{}", false), 200);
    assert_int_equal(by_name(r, "alice", &a, NULL), 0);
    account_unref(a);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_first_start),    CASE(test_wrong_keys),     CASE(test_secret_is_not_stored),
        CASE(test_equal_work),     CASE(test_limits),         CASE(test_replaced_code_has_a_quota),
        CASE(test_limits_refused), CASE(test_profile_option), CASE(test_dev_keys),
        CASE(test_lost_secret),    CASE(test_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
