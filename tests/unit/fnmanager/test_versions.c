/* Versions and their files, and what goes with time: over a real data folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_export.h"
#include "fnmanager/functions/version_controller.h"
#include "rig.h"

#define DAY_MS 86400000ll
#define PUT(n) "{\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(args): return " #n "\"}}"

static void ask(struct rig *r, enum fn_op op, int64_t number, const char *item, const char *body,
                int status)
{
    struct fn_call call = {.op = op,
                           .account = r->guest,
                           .name = nr_str_of("f"),
                           .number = number,
                           .item = nr_str_of(item),
                           .body = nr_str_of(body),
                           .limit = 30};
    struct rig_reply reply = rig_run(r, &call);

    if (reply.status != status)
        fail_msg("%d: %d instead of %d: %.300s", (int)op, reply.status, status, reply.body);
    rig_reply_fini(&reply);
}

static void put(struct rig *r, const char *body)
{
    free(rig_put(r, "f", body, true, 200));
}

/* A stop and a start: garbage goes at once. */
static void restart(struct rig *r, int files)
{
    rig_close(r);
    rig_open(r);
    for (int i = 0; i < 1000 && rig_bucket_files(r) != files; i++)
        (void)usleep(10000); /* the walk through the buckets goes on beside the first calls */
    assert_int_equal(rig_bucket_files(r), files);
}

/* "[1,3]": the numbers of the versions that there are. */
static void assert_versions(struct rig *r, const char *numbers)
{
    struct rig_reply reply = rig_call(r, r->guest, FN_FUNCTION_GET, NULL, "f", NULL, false);
    const char *at = reply.status == 200 ? strstr(reply.body, "\"versions\":") : NULL;

    if (at == NULL || strncmp(at + strlen("\"versions\":"), numbers, strlen(numbers)) != 0)
        fail_msg("%s: %.600s", numbers, reply.body);
    rig_reply_fini(&reply);
}

static void versions_share_the_file_of_their_upload(void **state)
{
    struct rig r;

    (void)state;
    rig_begin(&r);
    put(&r, PUT(1));
    for (int i = 0; i < 3; i++)
        ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    assert_int_equal(rig_bucket_files(&r), 1);
    put(&r, PUT(2));
    ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    ask(&r, FN_VERSION_DELETE, 1, NULL, NULL, 200);
    ask(&r, FN_VERSION_DELETE, 2, NULL, NULL, 200);
    restart(&r, 2); /* version 3 names the first */
    ask(&r, FN_VERSION_DELETE, 3, NULL, NULL, 200);
    restart(&r, 1);
    assert_versions(&r, "[4]");
    ask(&r, FN_ACTION_DELETE, 0, NULL, NULL, 200);
    restart(&r, 0);
    rig_end(&r);
}

static void the_newest_are_kept(void **state)
{
    struct rig r;

    (void)state;
    rig_begin(&r);
    rig_close(&r);
    r.config.keep_versions = 3;
    rig_open(&r);
    put(&r, PUT(1));
    for (int i = 0; i < 2; i++)
        ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    ask(&r, FN_ALIAS_PUT, FN_EVERY_VERSION, "prod", "{\"version\":1}", 201);
    ask(&r, FN_MOVE_BLOCK, 2, NULL, NULL, 200);
    for (int i = 0; i < 4; i++)
        ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    assert_versions(&r, "[1,2,4,5,6]"); /* an alias names 1, and 2 is blocked */
    ask(&r, FN_ALIAS_DELETE, FN_EVERY_VERSION, "prod", NULL, 200);
    ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    assert_versions(&r, "[2,5,6,7]");
    rig_end(&r);
}

static void age_removes_what_no_alias_names(void **state)
{
    struct rig r;

    (void)state;
    rig_begin(&r);
    put(&r, PUT(1));
    for (int i = 0; i < 4; i++)
        ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    ask(&r, FN_ALIAS_PUT, FN_EVERY_VERSION, "prod", "{\"weights\":{\"1\":1,\"2\":99}}", 201);
    ask(&r, FN_MOVE_RETIRE, 2, NULL, NULL, 200);
    ask(&r, FN_MOVE_RETIRE, 3, NULL, NULL, 200);
    rig_close(&r);
    r.config.keep_retired_days = 30;
    r.config.keep_versions_days = 60;
    rig_open(&r);
    nr_clock_fake(0, 29 * DAY_MS);
    assert_int_equal(version_retention(r.m), 0);
    nr_clock_fake(0, 31 * DAY_MS);
    assert_int_equal(version_retention(r.m), 1); /* 3; an alias names 2 */
    assert_versions(&r, "[1,2,4]");
    nr_clock_fake(0, 61 * DAY_MS);
    assert_int_equal(version_retention(r.m), 1);
    assert_versions(&r, "[1,2]");
    nr_clock_fake(0, 0);
    rig_end(&r);
}

static void set_retention(struct rig *r, const char *account, const char *body)
{
    struct rig_reply reply = rig_call(r, r->admin, FN_RETENTION_PUT, NULL, account, body, false);

    assert_int_equal(reply.status, 200);
    rig_reply_fini(&reply);
}

/* An account's own numbers go before the platform's, in both directions; what it has no number of is the platform's. */
static void an_account_keeps_what_it_was_given(void **state)
{
    struct rig r;

    (void)state;
    rig_begin(&r);
    rig_close(&r);
    r.config.keep_versions = 2;
    r.config.keep_retired_days = 1;
    r.config.keep_versions_days = 0;
    rig_open(&r);
    set_retention(&r, "guest", "{\"keepVersions\":4,\"keepRetiredDays\":30}");
    put(&r, PUT(1));
    for (int i = 0; i < 5; i++)
        ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    assert_versions(&r, "[2,3,4,5]");
    set_retention(&r, "guest", "{\"keepVersions\":0}"); /* all */
    ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    assert_versions(&r, "[2,3,4,5,6]");
    ask(&r, FN_MOVE_RETIRE, 3, NULL, NULL, 200);
    nr_clock_fake(0, 29 * DAY_MS);
    assert_int_equal(version_retention(r.m), 0); /* the platform's day does not count */
    nr_clock_fake(0, 31 * DAY_MS);
    assert_int_equal(version_retention(r.m), 1);
    assert_versions(&r, "[2,4,5,6]");
    set_retention(&r, "admin", "{\"keepVersionsDays\":1}"); /* another's */
    assert_int_equal(version_retention(r.m), 0);
    set_retention(&r, "guest", "{\"keepVersions\":null,\"keepVersionsDays\":40}");
    nr_clock_fake(0, 39 * DAY_MS);
    assert_int_equal(version_retention(r.m), 0);
    ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    assert_versions(&r, "[6,7]"); /* the platform's two */
    nr_clock_fake(0, 41 * DAY_MS);
    assert_int_equal(version_retention(r.m), 1);
    assert_versions(&r, "[7]");
    nr_clock_fake(0, 0);
    rig_end(&r);
}

static void age_removes_a_retired_function(void **state)
{
    struct rig r;
    struct rig_reply reply;

    (void)state;
    rig_begin(&r);
    put(&r, PUT(1));
    ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    ask(&r, FN_ALIAS_PUT, FN_EVERY_VERSION, "prod", "{\"version\":1,\"protected\":true}", 201);
    ask(&r, FN_MOVE_RETIRE, FN_EVERY_VERSION, NULL, NULL, 200);
    rig_close(&r);
    r.config.keep_retired_days = 1;
    rig_open(&r);
    nr_clock_fake(0, 2 * DAY_MS);
    assert_int_equal(version_retention(r.m), 0); /* protected */
    ask(&r, FN_ALIAS_PUT, FN_EVERY_VERSION, "prod", "{\"protected\":false}", 200);
    assert_int_equal(version_retention(r.m), 2);
    reply = rig_call(&r, r.guest, FN_FUNCTION_GET, NULL, "f", NULL, false);
    assert_int_equal(reply.status, 404);
    rig_reply_fini(&reply);
    restart(&r, 0);
    nr_clock_fake(0, 0);
    rig_end(&r);
}

/* What comes in an archive has its old dates and is kept from the day on which it comes. */
static void age_begins_with_the_import(void **state)
{
    struct rig r;
    struct whole_function f = {0};
    const struct fn_actor actor = {.account = NR_STR("guest")};
    struct nr_err err = {0};

    (void)state;
    rig_begin(&r);
    put(&r, PUT(1));
    for (int i = 0; i < 3; i++)
        ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    ask(&r, FN_MOVE_RETIRE, 2, NULL, NULL, 200);
    assert_int_equal(metadata_export_next(r.m->db, NR_STR("guest"), 0, &f), 0);
    assert_int_equal(f.versions, 4);
    ask(&r, FN_ACTION_DELETE, 0, NULL, NULL, 200);
    rig_close(&r);
    r.config.keep_retired_days = 30;
    r.config.keep_versions_days = 60;
    rig_open(&r);
    for (size_t i = 0; i < f.versions; i++) {
        f.version[i].revision = fnmanager_next_revision(r.m);
        f.version[i].updated_ms = 1 + (int64_t)i;
    }
    assert_int_equal(metadata_import(r.m->db, NR_STR("guest"), &f, actor, &err), 0);
    whole_function_fini(&f);
    assert_int_equal(version_retention(r.m), 0);
    nr_clock_fake(0, 29 * DAY_MS);
    assert_int_equal(version_retention(r.m), 0);
    assert_versions(&r, "[1,2,3]");
    nr_clock_fake(0, 31 * DAY_MS);
    assert_int_equal(version_retention(r.m), 1);
    assert_versions(&r, "[1,3]");
    nr_clock_fake(0, 61 * DAY_MS);
    assert_int_equal(version_retention(r.m), 2);
    nr_clock_fake(0, 0);
    rig_end(&r);
}

/* What runs is told of each move; a window and an alias leave containers alone. */
static void moves_say_what_they_mean(void **state)
{
    static const struct {
        enum fn_op op;
        const char *item, *body;
        int status;
        enum fn_change change;
        bool of_a_revision;
    } rows[] = {
        {FN_ALIAS_PUT, "prod", "{\"version\":1}", 201, FN_KEPT, false},
        {FN_UPDATE_BEGIN, NULL, NULL, 200, FN_KEPT, true},
        {FN_UPDATE_ABORT, NULL, NULL, 200, FN_KEPT, true},
        {FN_UPDATE_BEGIN, NULL, NULL, 200, FN_KEPT, true},
        {FN_UPDATE_COMMIT, NULL, PUT(2), 200, FN_REPLACED, true},
        {FN_MOVE_BLOCK, NULL, NULL, 200, FN_REPLACED, true},
        {FN_MOVE_UNBLOCK, NULL, NULL, 200, FN_REPLACED, true},
        {FN_MOVE_RETIRE, NULL, "{\"running\":\"cancel\"}", 200, FN_CANCEL, true},
        {FN_MOVE_PURGE, NULL, NULL, 200, FN_REPLACED, true},
    };
    struct rig r;

    (void)state;
    rig_begin(&r);
    put(&r, PUT(1));
    ask(&r, FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, 201);
    for (size_t i = 0; i < nr_countof(rows); i++) {
        int before = r.changes;
        ask(&r, rows[i].op, FN_EVERY_VERSION, rows[i].item, rows[i].body, rows[i].status);
        assert_true(r.changes > before);
        assert_int_equal(r.change, rows[i].change);
        assert_string_equal(r.changed, "guest//f");
        assert_int_equal(r.changed_revision != 0, rows[i].of_a_revision);
    }
    rig_end(&r);
}

/* The code is the same before, while and after a window that is aborted: so is the revision, and with it the containers. */
static void a_window_keeps_the_revision(void **state)
{
    struct rig r;
    uint64_t revision[3];
    const enum fn_op ops[] = {FN_UPDATE_BEGIN, FN_UPDATE_ABORT};

    (void)state;
    rig_begin(&r);
    put(&r, PUT(1));
    for (size_t i = 0; i < nr_countof(revision); i++) {
        struct rig_reply reply = rig_call(&r, r.guest, FN_RESOLVE, NULL, "f", NULL, false);
        revision[i] = reply.fn->revision;
        assert_int_equal(reply.fn->state, i == 1 ? FN_UPDATING : FN_LATEST);
        assert_int_equal(reply.fn->hold_ms, i == 1 ? 4000 : 0);
        rig_reply_fini(&reply);
        if (i < nr_countof(ops))
            ask(&r, ops[i], FN_EVERY_VERSION, NULL, i == 0 ? "{\"hold_s\":4}" : NULL, 200);
    }
    assert_int_equal(revision[0], revision[1]);
    assert_int_equal(revision[0], revision[2]);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_share_the_file_of_their_upload),
        cmocka_unit_test(the_newest_are_kept),
        cmocka_unit_test(age_removes_what_no_alias_names),
        cmocka_unit_test(an_account_keeps_what_it_was_given),
        cmocka_unit_test(age_removes_a_retired_function),
        cmocka_unit_test(age_begins_with_the_import),
        cmocka_unit_test(moves_say_what_they_mean),
        cmocka_unit_test(a_window_keeps_the_revision),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
