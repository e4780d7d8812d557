/* Packages, bindings and what accounts share, over a real data folder: guest and admin are the two accounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_packages.h"
#include "rig.h"

#define CODE "\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(a): return a\"}"
#define FORBIDDEN(name) "The supplied authentication is not authorized to access '" name "'."
#define MISSING "The requested resource does not exist."
#define OTHER "Resource by this name exists but is not in this collection."

/* One question; "ns/package/name", of which each but the namespace may be empty. */
struct ask {
    enum fn_op op;
    const char *space, *package, *name, *body;
    bool overwrite, force, no_code, count;
};

static struct rig_reply ask(struct rig *r, struct account *who, struct ask a)
{
    struct fn_call call = {.op = a.op,
                           .account = who,
                           .space = nr_str_of(a.space),
                           .package = nr_str_of(a.package),
                           .name = nr_str_of(a.name),
                           .body = nr_str_of(a.body),
                           .overwrite = a.overwrite,
                           .force = a.force,
                           .count = a.count,
                           .with_code = !a.no_code};

    return rig_run(r, &call);
}

/* The answer has this status and holds this text. */
static void expect(struct rig *r, struct account *who, struct ask a, int status, const char *text)
{
    struct rig_reply reply = ask(r, who, a);

    if (reply.status != status || strstr(reply.body, text) == NULL)
        fail_msg("op %d: %d (expected %d), without '%s': %.600s", (int)a.op, reply.status, status,
                 text, reply.body);
    rig_reply_fini(&reply);
}

static void package(struct rig *r, struct account *who, const char *name, const char *body)
{
    expect(r, who, (struct ask){FN_PACKAGE_PUT, .package = name, .body = body, .overwrite = true},
           200, name);
}

static void action(struct rig *r, struct account *who, const char *package, const char *name,
                   const char *body)
{
    expect(r, who,
           (struct ask){FN_ACTION_PUT, .package = package, .name = name, .body = body,
                        .overwrite = true},
           200, name);
}

/* Shared, given; the caller asserts on it. */
static struct function *resolve(struct rig *r, struct account *who, const char *space,
                                const char *package, const char *name)
{
    struct rig_reply reply = ask(r, who, (struct ask){FN_RESOLVE, space, package, name, NULL});
    struct function *f = reply.fn;

    if (f == NULL)
        fail_msg("%s/%s: %s", package, name, reply.body);
    reply.fn = NULL;
    rig_reply_fini(&reply);
    return f;
}

static void refuse(struct rig *r, struct account *who, const char *space, const char *package,
                   const char *name, int code, const char *text)
{
    struct rig_reply reply = ask(r, who, (struct ask){FN_RESOLVE, space, package, name, NULL});

    assert_null(reply.fn);
    assert_int_equal(reply.code, code);
    assert_string_equal(reply.body, text);
    rig_reply_fini(&reply);
}

static void are_stored_and_shown(void **state)
{
    struct rig r;

    (void)state;
    rig_begin(&r);
    expect(
        &r, r.guest, (struct ask){FN_PACKAGE_PUT, .package = "p", .body = "{}"}, 200,
        "{\"namespace\":\"guest\",\"name\":\"p\",\"version\":\"0.0.1\",\"publish\":false,\"updated\":");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_PUT, .package = "p", .body = "{}"}, 409,
           "resource already exists");
    expect(
        &r, r.guest,
        (struct ask){
            FN_PACKAGE_PUT, .package = "p", .overwrite = true,
            .body =
                "{\"publish\":true,\"parameters\":[{\"key\":\"a\",\"value\":1},{\"key\":\"a\",\"value\":2}],"
                "\"annotations\":[{\"key\":\"k\",\"value\":\"v\"}],\"name\":\"x\",\"binding\":{}}"},
        200,
        "\"annotations\":[{\"key\":\"k\",\"value\":\"v\"}],\"parameters\":[{\"key\":\"a\",\"value\":2}],\"binding\":{}}");
    /* annotations are replaced, what is not given stays */
    expect(&r, r.guest,
           (struct ask){FN_PACKAGE_PUT, .package = "p", .overwrite = true,
                        .body = "{\"version\":\"2.0.0\",\"annotations\":[]}"},
           200, "\"version\":\"2.0.0\",\"publish\":true");
    expect(
        &r, r.guest, (struct ask){FN_PACKAGE_GET, .package = "p"}, 200,
        "\"annotations\":[],\"parameters\":[{\"key\":\"a\",\"value\":2}],\"binding\":{},\"actions\":[],\"feeds\":[]}");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_LIST}, 200,
           "\"annotations\":[],\"binding\":false}]");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_LIST, .count = true}, 200, "{\"packages\":1}");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_GET, .package = "q"}, 404, MISSING);
    expect(&r, r.guest, (struct ask){FN_PACKAGE_PUT, .package = "default", .body = "{}"}, 400,
           "Package name 'default' is reserved.");
    rig_end(&r);
}

static void bad_bodies_are_told(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *text;
    } bad[] = {
        {"", 400, "Request entity expected"},
        {"[]", 400, "Object expected"},
        {"{", 400, "The request content was malformed"},
        {"{\"parameters\":{}}", 400, "'parameters' must be"},
        {"{\"annotations\":[1]}", 400, "annotations malformed: element 0"},
        {"{\"publish\":\"yes\"}", 400, "'publish' must be true or false"},
        {"{\"version\":\"1\"}", 400, "'version' must be three numbers"},
        {"{\"binding\":\"p\"}", 400, "'binding' must be an object"},
        {"{\"binding\":{\"name\":\"p\"}}", 400, "'binding' must be an object"},
        {"{\"binding\":{\"namespace\":1,\"name\":\"p\"}}", 400, "'namespace' must be a string"},
        {"{\"binding\":{\"namespace\":\"_\",\"name\":\"a/b\"}}", 400, "illegal characters"},
        {"{\"binding\":{\"namespace\":\"a/b\",\"name\":\"p\"}}", 400,
         "The namespace contains illegal"},
    };
    struct rig r;

    (void)state;
    rig_begin(&r);
    for (size_t i = 0; i < nr_countof(bad); i++)
        expect(&r, r.guest, (struct ask){FN_PACKAGE_PUT, .package = "p", .body = bad[i].body},
               bad[i].status, bad[i].text);
    expect(&r, r.guest, (struct ask){FN_PACKAGE_LIST}, 200, "[]");
    rig_end(&r);
}

static void contents_and_feeds(void **state)
{
    struct rig r;

    (void)state;
    rig_begin(&r);
    package(&r, r.guest, "p", "{}");
    action(&r, r.guest, "p", "a", "{" CODE "}");
    action(&r, r.guest, "p", "f", "{" CODE ",\"annotations\":[{\"key\":\"feed\",\"value\":true}]}");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_GET, .package = "p"}, 200,
           "\"actions\":[{\"name\":\"a\",\"version\":\"0.0.1\",\"annotations\":[");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_GET, .package = "p"}, 200,
           "],\"feeds\":[{\"name\":\"f\",\"version\":\"0.0.1\",\"annotations\":[");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p"}, 409,
           "Package not empty (contains 2 entities). Set force param or delete package contents.");
    expect(&r, r.guest, (struct ask){FN_ACTION_DELETE, .package = "p", .name = "a"}, 200,
           "guest/p");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p"}, 409,
           "(contains 1 entity).");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p", .force = true}, 200,
           "\"name\":\"p\"");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p"}, 404, MISSING);
    expect(&r, r.guest, (struct ask){FN_ACTION_GET, .package = "p", .name = "f"}, 404, MISSING);
    expect(&r, r.guest,
           (struct ask){FN_ACTION_PUT, .package = "p", .name = "f", .body = "{" CODE "}"}, 404,
           MISSING);
    expect(&r, r.guest, (struct ask){FN_ACTION_LIST}, 200, "[]");
    rig_end(&r);
}

static void one_name_means_one_thing(void **state)
{
    struct rig r;

    (void)state;
    rig_begin(&r);
    action(&r, r.guest, NULL, "a", "{" CODE "}");
    package(&r, r.guest, "p", "{}");
    expect(&r, r.guest,
           (struct ask){FN_PACKAGE_PUT, .package = "a", .body = "{}", .overwrite = true}, 409,
           OTHER);
    expect(&r, r.guest, (struct ask){FN_PACKAGE_GET, .package = "a"}, 409, OTHER);
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "a"}, 409, OTHER);
    expect(&r, r.guest, (struct ask){FN_ACTION_PUT, .name = "p", .body = "{" CODE "}"}, 409, OTHER);
    expect(&r, r.guest, (struct ask){FN_ACTION_GET, .name = "p"}, 409, OTHER);
    expect(&r, r.guest, (struct ask){FN_ACTION_DELETE, .name = "p"}, 409, OTHER);
    refuse(&r, r.guest, NULL, NULL, "p", NR_EEXIST, OTHER);
    action(&r, r.guest, "p", "p", "{" CODE "}"); /* in a package it is another name */
    rig_end(&r);
}

static void bindings_lead_to_what_they_bind(void **state)
{
    struct rig r;

    (void)state;
    rig_begin(&r);
    package(
        &r, r.guest, "p",
        "{\"parameters\":[{\"key\":\"a\",\"value\":\"p\"},{\"key\":\"b\",\"value\":\"p\"},{\"key\":\"c\",\"value\":\"p\"}]}");
    action(&r, r.guest, "p", "f", "{" CODE ",\"parameters\":[{\"key\":\"c\",\"value\":\"f\"}]}");
    expect(
        &r, r.guest,
        (struct ask){FN_PACKAGE_PUT, .package = "b",
                     .body = "{\"binding\":{\"namespace\":\"_\",\"name\":\"p\"},"
                             "\"parameters\":[{\"key\":\"b\",\"value\":\"b\"}]}"},
        200,
        "\"annotations\":[{\"key\":\"binding\",\"value\":{\"namespace\":\"guest\",\"name\":\"p\"}}],"
        "\"parameters\":[{\"key\":\"b\",\"value\":\"b\"}],\"binding\":{\"namespace\":\"guest\",\"name\":\"p\"}}");
    expect(
        &r, r.guest, (struct ask){FN_PACKAGE_GET, .package = "b"}, 200,
        "\"parameters\":[{\"key\":\"a\",\"value\":\"p\"},{\"key\":\"c\",\"value\":\"p\"},{\"key\":\"b\",\"value\":\"b\"}],"
        "\"binding\":{\"namespace\":\"guest\",\"name\":\"p\"},\"actions\":[{\"name\":\"f\"");
    expect(&r, r.guest, (struct ask){FN_ACTION_GET, .package = "b", .name = "f", .no_code = true},
           200, "\"binding\":{\"namespace\":\"guest\",\"name\":\"b\"}}");
    expect(
        &r, r.guest, (struct ask){FN_ACTION_GET, .package = "b", .name = "f"}, 200,
        "\"parameters\":[{\"key\":\"a\",\"value\":\"p\"},{\"key\":\"b\",\"value\":\"b\"},{\"key\":\"c\",\"value\":\"f\"}]");
    expect(&r, r.guest, (struct ask){FN_ACTION_LIST, .package = "b"}, 200,
           "\"namespace\":\"guest/p\"");
    expect(&r, r.guest,
           (struct ask){FN_ACTION_PUT, .package = "b", .name = "g", .body = "{" CODE "}"}, 400,
           "Operation not permitted on package binding.");
    expect(&r, r.guest, (struct ask){FN_ACTION_DELETE, .package = "b", .name = "f"}, 400,
           "Operation not permitted on package binding.");
    /* an update without a binding keeps it, and the annotation is the platform's */
    expect(
        &r, r.guest,
        (struct ask){
            FN_PACKAGE_PUT, .package = "b", .overwrite = true,
            .body =
                "{\"annotations\":[{\"key\":\"binding\",\"value\":1},{\"key\":\"x\",\"value\":2}]}"},
        200,
        "[{\"key\":\"x\",\"value\":2},{\"key\":\"binding\",\"value\":{\"namespace\":\"guest\",\"name\":\"p\"}}]");
    package(&r, r.guest, "q", "{}");
    package(&r, r.guest, "b", "{\"binding\":{\"namespace\":\"_\",\"name\":\"q\"}}");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_GET, .package = "b"}, 200,
           "\"binding\":{\"namespace\":\"guest\",\"name\":\"q\"},\"actions\":[],\"feeds\":[]}");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "b"}, 200, "\"name\":\"b\"");
    expect(&r, r.guest, (struct ask){FN_ACTION_GET, .package = "p", .name = "f"}, 200, "guest/p");
    rig_end(&r);
}

static void what_cannot_be_bound(void **state)
{
    static const char *const names[] = {"missing", "bound", "f", "p"};
    static const char *const texts[] = {
        "Binding references a package that does not exist.",
        "Cannot bind to another package binding.",
        "Cannot bind to a resource that is not a package.",
        "Resource is a package and cannot be converted into a binding."};
    static const int statuses[] = {400, 400, 409, 409};
    struct rig r;
    char body[128];

    (void)state;
    rig_begin(&r);
    package(&r, r.guest, "p", "{}");
    action(&r, r.guest, NULL, "f", "{" CODE "}");
    package(&r, r.guest, "bound", "{\"binding\":{\"namespace\":\"guest\",\"name\":\"p\"}}");
    for (size_t i = 0; i < nr_countof(names); i++) {
        (void)snprintf(body, sizeof(body), "{\"binding\":{\"namespace\":\"_\",\"name\":\"%s\"}}",
                       names[i]);
        expect(&r, r.guest,
               (struct ask){FN_PACKAGE_PUT, .package = i == 3 ? "p" : "b", .body = body,
                            .overwrite = true},
               statuses[i], texts[i]);
    }
    /* what was bound goes, and comes back as a binding */
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p"}, 200, "");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_GET, .package = "bound"}, 404, MISSING);
    refuse(&r, r.guest, NULL, "bound", "f", NR_ENOENT, MISSING);
    package(&r, r.guest, "q", "{}");
    package(&r, r.guest, "p", "{\"binding\":{\"namespace\":\"_\",\"name\":\"q\"}}");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_GET, .package = "bound"}, 400,
           "Cannot bind to another package binding.");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "q"}, 200, "");
    package(&r, r.guest, "third", "{}");
    package(&r, r.guest, "q", "{\"binding\":{\"namespace\":\"_\",\"name\":\"third\"}}");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p"}, 200, "");
    rig_end(&r);
}

/* Two PUTs at the same moment may leave it. */
static void bindings_in_a_circle(void **state)
{
    char version[] = "0.0.1", none[] = "[]", account[] = "guest", name[] = "b";
    struct package_row row = {.revision = 1000,
                              .version = version,
                              .parameters = none,
                              .annotations = none,
                              .binding_account = account,
                              .binding_name = name};
    const struct package_change c = {
        .account = NR_STR("guest"), .name = NR_STR("p"), .row = &row, .move = "package-create"};
    struct rig r;

    (void)state;
    rig_begin(&r);
    package(&r, r.guest, "p", "{}");
    package(&r, r.guest, "b", "{\"binding\":{\"namespace\":\"_\",\"name\":\"p\"}}");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p"}, 200, "");
    assert_int_equal(metadata_package_commit(r.m->db, &c, NULL), 0);
    expect(&r, r.guest, (struct ask){FN_PACKAGE_GET, .package = "b"}, 422,
           "Package binding 'guest/b' contains a circular reference.");
    refuse(&r, r.guest, NULL, "p", "f", NR_ELOOP,
           "Package binding 'guest/p' contains a circular reference.");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "b"}, 200, "\"name\":\"b\"");
    rig_end(&r);
}

static void parameters_and_revisions(void **state)
{
    struct rig r;
    struct function *plain, *with, *bound, *again;

    (void)state;
    rig_begin(&r);
    package(&r, r.guest, "p", "{}");
    action(&r, r.guest, "p", "f", "{" CODE ",\"parameters\":[{\"key\":\"c\",\"value\":\"f\"}]}");
    plain = resolve(&r, r.guest, NULL, "p", "f");
    assert_true(plain->revision < 1u << 30);
    assert_string_equal(plain->binding, "");
    package(
        &r, r.guest, "p",
        "{\"parameters\":[{\"key\":\"a\",\"value\":1},{\"key\":\"c\",\"value\":2},{\"key\":\"s\",\"value\":3,\"init\":true}]}");
    assert_int_equal(r.change, FN_PACKAGE_CHANGED);
    assert_string_equal(r.changed, "guest/p/");
    with = resolve(&r, r.guest, NULL, "p", "f");
    assert_true(with->revision != plain->revision && with->revision > 1u << 30);
    assert_string_equal(with->parameters, "{\"a\":1,\"c\":\"f\"}");
    assert_string_equal(with->init_parameters, "{\"s\":3}");
    package(
        &r, r.guest, "b",
        "{\"binding\":{\"namespace\":\"_\",\"name\":\"p\"},\"parameters\":[{\"key\":\"a\",\"value\":9}]}");
    bound = resolve(&r, r.guest, NULL, "b", "f");
    assert_true(bound->revision != with->revision);
    assert_string_equal(bound->parameters, "{\"a\":9,\"c\":\"f\"}");
    assert_string_equal(bound->binding, "guest/b");
    assert_string_equal(bound->path, "guest/p/f");
    assert_string_equal(bound->package, "b");
    rig_close(&r);
    rig_open(&r);
    again = resolve(&r, r.guest, NULL, "b", "f");
    assert_true(again->revision == bound->revision);
    function_unref(plain);
    function_unref(with);
    function_unref(bound);
    function_unref(again);
    rig_end(&r);
}

static void nothing_unshared_is_seen(void **state)
{
    static const enum fn_op ops[] = {FN_PACKAGE_GET, FN_ACTION_GET, FN_ACTION_LIST};
    static const char *const packages[] = {"private", "absent", "bound"};
    struct rig r;

    (void)state;
    rig_begin(&r);
    package(&r, r.guest, "private", "{}");
    package(&r, r.guest, "shared", "{\"publish\":true}");
    package(&r, r.guest, "bound",
            "{\"publish\":true,\"binding\":{\"namespace\":\"_\",\"name\":\"shared\"}}");
    action(&r, r.guest, "private", "f", "{" CODE "}");
    action(&r, r.guest, "shared", "f", "{" CODE "}");
    for (size_t p = 0; p < nr_countof(packages); p++) {
        for (size_t o = 0; o < nr_countof(ops); o++) {
            char text[200];

            (void)snprintf(text, sizeof(text), FORBIDDEN("guest/%s%s"), packages[p],
                           ops[o] == FN_ACTION_GET ? "/f" : "");
            expect(&r, r.admin,
                   (struct ask){ops[o], "guest", packages[p], ops[o] == FN_ACTION_GET ? "f" : NULL,
                                NULL},
                   403, text);
        }
    }
    refuse(&r, r.admin, "guest", "private", "f", NR_EFORBIDDEN, FORBIDDEN("guest/private/f"));
    refuse(&r, r.admin, "guest", "absent", "f", NR_EFORBIDDEN, FORBIDDEN("guest/absent/f"));
    refuse(&r, r.admin, "nobody", "p", "f", NR_EFORBIDDEN, FORBIDDEN("nobody/p/f"));
    refuse(&r, r.admin, "guest", NULL, "f", NR_EFORBIDDEN, FORBIDDEN("guest/f"));
    expect(&r, r.admin,
           (struct ask){FN_PACKAGE_PUT, .package = "b",
                        .body = "{\"binding\":{\"namespace\":\"guest\",\"name\":\"private\"}}"},
           403, FORBIDDEN("guest/private"));
    expect(&r, r.admin,
           (struct ask){FN_PACKAGE_PUT, .package = "b",
                        .body = "{\"binding\":{\"namespace\":\"guest\",\"name\":\"absent\"}}"},
           403, FORBIDDEN("guest/absent"));
    expect(&r, r.admin, (struct ask){FN_PACKAGE_LIST, .space = "guest"}, 200,
           "\"name\":\"shared\"");
    expect(&r, r.admin, (struct ask){FN_PACKAGE_LIST, .space = "guest", .count = true}, 200,
           "{\"packages\":1}");
    expect(&r, r.admin, (struct ask){FN_PACKAGE_LIST, .space = "nobody"}, 200, "[]");
    rig_end(&r);
}

static void what_is_shared_runs_for_who_calls(void **state)
{
    struct rig r;
    struct function *own, *direct, *bound;

    (void)state;
    rig_begin(&r);
    package(&r, r.guest, "lib", "{\"publish\":true}");
    action(&r, r.guest, "lib", "f",
           "{" CODE ",\"annotations\":[{\"key\":\"provide-api-key\",\"value\":true}]}");
    package(&r, r.admin, "b", "{\"binding\":{\"namespace\":\"guest\",\"name\":\"lib\"}}");
    own = resolve(&r, r.guest, NULL, "lib", "f");
    direct = resolve(&r, r.admin, "guest", "lib", "f");
    bound = resolve(&r, r.admin, NULL, "b", "f");
    assert_string_equal(direct->account, "admin");
    assert_string_equal(direct->path, "guest/lib/f");
    assert_string_equal(bound->account, "admin");
    assert_string_equal(bound->binding, "admin/b");
    assert_true(own->revision != direct->revision && direct->revision != bound->revision &&
                own->revision != bound->revision);
    assert_true(own->provide_api_key); /* an account's key is not for another's code */
    assert_false(direct->provide_api_key);
    assert_false(bound->provide_api_key);
    expect(&r, r.admin, (struct ask){FN_ACTION_GET, "guest", "lib", "f", NULL}, 200, "guest/lib");
    expect(&r, r.admin, (struct ask){FN_ACTION_GET, NULL, "b", "f", NULL}, 200, "guest/lib");
    refuse(&r, r.admin, "guest", "lib", "none", NR_ENOENT, MISSING);
    /* no longer shared */
    package(&r, r.guest, "lib", "{\"publish\":false}");
    refuse(&r, r.admin, "guest", "lib", "f", NR_EFORBIDDEN, FORBIDDEN("guest/lib/f"));
    refuse(&r, r.admin, NULL, "b", "f", NR_EFORBIDDEN, FORBIDDEN("admin/b/f"));
    expect(&r, r.admin, (struct ask){FN_PACKAGE_GET, .package = "b"}, 403, FORBIDDEN("admin/b"));
    expect(&r, r.admin, (struct ask){FN_PACKAGE_DELETE, .package = "b"}, 200, "\"name\":\"b\"");
    function_unref(own);
    function_unref(direct);
    function_unref(bound);
    rig_end(&r);
}

static void changes_are_told_before_the_answer(void **state)
{
    struct rig r;
    struct rig_reply reply;

    (void)state;
    rig_begin(&r);
    package(&r, r.guest, "p", "{}");
    r.changes = 0;
    reply = ask(&r, r.guest,
                (struct ask){FN_PACKAGE_PUT, .package = "p", .body = "{\"publish\":true}",
                             .overwrite = true});
    assert_int_equal(reply.changes_at_done, 1);
    rig_reply_fini(&reply);
    action(&r, r.guest, "p", "f", "{" CODE "}");
    r.changes = 0;
    reply = ask(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p", .force = true});
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.changes_at_done, 2); /* the function's, and the package's */
    assert_int_equal(r.change, FN_PACKAGE_CHANGED);
    rig_reply_fini(&reply);
    rig_end(&r);
}

/* ---- DELETE with force ---- */

struct sql_job {
    struct nr_db_job job;
    const char *text;
};

static int sql_job_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct sql_job *j = nr_container_of(job, struct sql_job, job);

    return sqlite3_exec(db, j->text, NULL, NULL, NULL) == SQLITE_OK ? 0 : NR_EIO;
}

static void sql(struct rig *r, const char *text)
{
    struct sql_job j = {.job = {.run = sql_job_run}, .text = text};

    assert_int_equal(nr_db_write_wait(r->m->db, &j.job), 0);
}

/* What may not go keeps all of it: nothing is half emptied. */
static void a_package_goes_whole_or_stays(void **state)
{
    struct rig r;

    (void)state;
    rig_begin(&r);
    package(&r, r.guest, "p", "{}");
    action(&r, r.guest, "p", "a", "{" CODE "}");
    action(&r, r.guest, "p", "b", "{" CODE "}");
    action(&r, r.guest, "p", "c", "{" CODE "}");
    sql(&r,
        "UPDATE versions SET state = 'UPDATING', deadline_ms = 9000000000000 WHERE function_id ="
        " (SELECT id FROM functions WHERE name = 'c')");
    r.changes = 0;
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p", .force = true}, 409,
           "UPDATING and does not allow 'delete'");
    assert_int_equal(r.changes, 0);
    expect(&r, r.guest, (struct ask){FN_ACTION_GET, .package = "p", .name = "a"}, 200, "guest/p");
    expect(&r, r.guest, (struct ask){FN_ACTION_GET, .package = "p", .name = "b"}, 200, "guest/p");
    sql(&r, "UPDATE versions SET state = 'LATEST', deadline_ms = 0");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p", .force = true}, 200,
           "\"name\":\"p\"");
    expect(&r, r.guest, (struct ask){FN_ACTION_LIST}, 200, "[]");
    rig_end(&r);
}

#define CLONES                                                                                     \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)"               \
    " INSERT INTO functions(account, package, name, created_ms, revision)"                         \
    " SELECT 'guest', 'p', 'f' || i, 1, 1000000 + i FROM n;"                                       \
    "INSERT INTO versions(function_id, revision, state, version, kind, sha256, timeout_ms,"        \
    " memory_mb, logs_mb, concurrency, updated_ms) SELECT f.id, f.revision, v.state, v.version,"   \
    " v.kind, v.sha256, v.timeout_ms, v.memory_mb, v.logs_mb, v.concurrency, v.updated_ms"         \
    " FROM functions f JOIN versions v WHERE f.revision > 1000000;"

/* More functions than go in one transaction: each is told, and none is left. */
static void a_large_package_goes_too(void **state)
{
    struct rig r;

    (void)state;
    rig_begin(&r);
    package(&r, r.guest, "p", "{}");
    action(&r, r.guest, "p", "f", "{" CODE "}");
    sql(&r, CLONES);
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p"}, 409,
           "(contains 1201 entities)");
    r.changes = 0;
    expect(&r, r.guest, (struct ask){FN_PACKAGE_DELETE, .package = "p", .force = true}, 200,
           "\"name\":\"p\"");
    assert_int_equal(r.changes, 1202);
    expect(&r, r.guest, (struct ask){FN_ACTION_LIST}, 200, "[]");
    expect(&r, r.guest, (struct ask){FN_PACKAGE_GET, .package = "p"}, 404, MISSING);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_stored_and_shown),
        cmocka_unit_test(bad_bodies_are_told),
        cmocka_unit_test(contents_and_feeds),
        cmocka_unit_test(one_name_means_one_thing),
        cmocka_unit_test(bindings_lead_to_what_they_bind),
        cmocka_unit_test(what_cannot_be_bound),
        cmocka_unit_test(bindings_in_a_circle),
        cmocka_unit_test(parameters_and_revisions),
        cmocka_unit_test(nothing_unshared_is_seen),
        cmocka_unit_test(what_is_shared_runs_for_who_calls),
        cmocka_unit_test(changes_are_told_before_the_answer),
        cmocka_unit_test(a_package_goes_whole_or_stays),
        cmocka_unit_test(a_large_package_goes_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
