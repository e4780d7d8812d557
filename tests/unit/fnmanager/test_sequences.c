/* Sequences over a real data folder: every refusal with its exact text, what is stored and shown, versions, archives, differences; and the
 * annotations that become fields of the snapshot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "fnmanager/functions/kinds.h"
#include "fnmanager/manager.h"
#include "fnmanager/functions/sequence.h"
#include "tests/unit/fnmanager/rig.h"

#define PY "{\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(a): return a\"}"
#define SEQUENCE(components) "{\"exec\":{\"kind\":\"sequence\",\"components\":[" components "]}"
#define GONE "Sequence component does not exist."
#define CIRCLE "Sequence may not refer to itself."
#define TOO_MANY "Too many actions in the sequence."

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

static void put(struct rig *r, const char *name, const char *body)
{
    free(rig_put(r, name, body, true, 200));
}

static void expect_of(struct rig *r, struct account *who, const char *package, const char *name,
                      const char *body, int status, const char *text)
{
    struct rig_reply reply = rig_call(r, who, FN_ACTION_PUT, package, name, body, true);

    if (reply.status != status || (text != NULL && strcmp(reply.body, text) != 0))
        fail_msg("%s: %d %s\ninstead of\n%d %s", body, reply.status, reply.body, status,
                 text != NULL ? text : "anything");
    rig_reply_fini(&reply);
}

static void refuse(struct rig *r, const char *name, const char *body, const char *text)
{
    expect_of(r, r->guest, NULL, name, body, 400, text);
}

/* A call about `name` of guest; its text (made). */
static char *ask(struct rig *r, enum fn_op op, const char *name, int64_t number, const char *item,
                 const char *body, int status)
{
    struct fn_call call = {.op = op,
                           .account = r->guest,
                           .name = nr_str_of(name),
                           .number = number,
                           .item = nr_str_of(item),
                           .body = nr_str_of(body)};
    struct rig_reply reply = rig_run(r, &call);
    char *text = nr_strdup(reply.body);

    if (reply.status != status)
        fail_msg("%d of %s: %d instead of %d: %.300s", (int)op, name, reply.status, status, text);
    rig_reply_fini(&reply);
    return text;
}

static struct function *resolve(struct rig *r, const char *name, int64_t number)
{
    struct fn_call call = {
        .op = FN_RESOLVE, .account = r->guest, .name = nr_str_of(name), .number = number};
    struct rig_reply reply = rig_run(r, &call);
    struct function *f = reply.fn != NULL ? function_ref(reply.fn) : NULL;

    if (f == NULL)
        fail_msg("%s: %s", name, reply.body);
    rig_reply_fini(&reply);
    return f;
}

static void assert_in(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no %s in %s", part, text);
}

static void assert_not_in(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("%s in %s", part, text);
}

/* "a",...: n times. */
static void repeat(const char *component, int n, char *out, size_t bytes)
{
    size_t at = 0;

    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, bytes - at, "%s\"%s\"", i > 0 ? "," : "", component);
    assert_true(at < bytes);
}

static void put_repeated(struct rig *r, const char *name, const char *component, int n, int status,
                         const char *text)
{
    char list[8192], body[8300];

    repeat(component, n, list, sizeof(list));
    (void)snprintf(body, sizeof(body), SEQUENCE("%s") "}", list);
    expect_of(r, r->guest, NULL, name, body, status, text);
}

static void test_refusals(void **state)
{
    static const char type[] =
        "The request content was malformed:\n'components' must be an array of strings defined in 'exec' for 'sequence' actions";
    struct rig *r = *state;

    put(r, "a", PY "}");
    refuse(r, "s", "{\"exec\":{\"kind\":\"sequence\"}}", type);
    refuse(r, "s", "{\"exec\":{\"kind\":\"sequence\",\"components\":null}}", type);
    refuse(r, "s", "{\"exec\":{\"kind\":\"sequence\",\"components\":\"/_/a\"}}", type);
    refuse(r, "s", SEQUENCE("1") "}", type);
    refuse(r, "s", SEQUENCE("") "}", "No component specified for the sequence.");
    refuse(r, "s", SEQUENCE("\"/_/a\",\"/_/gone\"") "}", GONE);
    refuse(r, "s", SEQUENCE("\"/guest/nopkg/a\"") "}", GONE);
    refuse(r, "s", SEQUENCE("\"/guest/a?version=1\"") "}", GONE);
    refuse(r, "s", SEQUENCE("\"/guest/a?alias=prod\"") "}", GONE);
    refuse(r, "s", SEQUENCE("\"/_/s\"") "}", CIRCLE);
    refuse(r, "s", SEQUENCE("\"/_/\"") "}", "The name of the entity contains illegal characters.");
    refuse(r, "s", SEQUENCE("\"\"") "}", NULL);
    refuse(r, "s", SEQUENCE("\"/_/a/b/c\"") "}", NULL);
    refuse(r, "s", SEQUENCE("\"/_/a?version=x\"") "}", NULL);
    refuse(r, "s", SEQUENCE("\"/_/a\\u0000b\"") "}", NULL);
    put_repeated(r, "s", "/_/a", 51, 400, TOO_MANY);
    free(ask(r, FN_ACTION_GET, "s", 0, NULL, NULL, 404));
    put_repeated(r, "s", "/_/a", 50, 200, NULL);
}

/* What sequences in it run counts, and no way leads back. */
static void test_nested(void **state)
{
    struct rig *r = *state;

    put(r, "a", PY "}");
    put_repeated(r, "ten", "a", 10, 200, NULL);
    put_repeated(r, "fifty", "/_/ten", 5, 200, NULL);
    put(r, "again", SEQUENCE("\"fifty\"") "}");
    put(r, "x", PY "}");
    refuse(r, "more", SEQUENCE("\"/_/fifty\",\"/_/a\"") "}", TOO_MANY);
    put_repeated(r, "more", "/_/ten", 6, 400, TOO_MANY);
    refuse(r, "ten", SEQUENCE("\"/_/again\"") "}", CIRCLE);
    refuse(r, "ten", SEQUENCE("\"/_/a\",\"/_/fifty\"") "}", CIRCLE);
    refuse(r, "a", SEQUENCE("\"/_/x\",\"/_/ten\"") "}", CIRCLE);
    free(ask(r, FN_ACTION_DELETE, "a", 0, NULL, NULL, 200));
    put(r, "again",
        SEQUENCE("\"/_/x\",\"/_/ten\"") "}"); /* what is gone below is the call's matter */
    refuse(r, "ten", SEQUENCE("\"/_/x\",\"/_/a\"") "}", GONE);
}

/* One sequence inside the other, each with one component: the check ends. */
static void test_deep(void **state)
{
    struct rig *r = *state;
    char name[16], below[32] = "a";
    int depth = 0, status = 200;

    put(r, "a", PY "}");
    for (; depth < 200 && status == 200; depth++) {
        char body[128];

        (void)snprintf(name, sizeof(name), "s%d", depth);
        (void)snprintf(body, sizeof(body), SEQUENCE("\"/_/%s\"") "}", below);
        struct rig_reply reply = rig_call(r, r->guest, FN_ACTION_PUT, NULL, name, body, true);
        status = reply.status;
        if (status != 200)
            assert_string_equal(reply.body, TOO_MANY);
        rig_reply_fini(&reply);
        (void)snprintf(below, sizeof(below), "%s", name);
    }
    assert_int_equal(status, 400);
    assert_int_equal(depth, 51);
}

static void test_document(void **state)
{
    struct rig *r = *state;

    put(r, "a", PY "}");
    put(r, "b", PY ",\"parameters\":[{\"key\":\"p\",\"value\":1}]}");
    nr_auto_free char *made = rig_put(
        r, "s",
        SEQUENCE(
            "\"/_/a\",\"b\",\"/guest/default/a\"") ",\"parameters\":[{\"key\":\"q\",\"value\":2}],\"annotations\":[{\"key\":\"one\",\"value\":1}]}",
        false, 200);
    nr_auto_free char *got = ask(r, FN_ACTION_GET, "s", 0, NULL, NULL, 200);

    assert_string_equal(made, got);
    assert_in(
        made,
        "\"exec\":{\"kind\":\"sequence\",\"components\":[\"/guest/a\",\"/guest/b\",\"/guest/a\"]}}");
    assert_in(
        made,
        "\"parameters\":[{\"key\":\"_actions\",\"value\":[\"/guest/a\",\"/guest/b\",\"/guest/a\"]}]");
    assert_in(made, "{\"key\":\"exec\",\"value\":\"sequence\"}");
    assert_in(made, "{\"key\":\"provide-api-key\",\"value\":false}");
    nr_auto_free char *list = ask(r, FN_ACTION_LIST, "", 0, NULL, NULL, 200);

    assert_in(list, "\"exec\":{\"binary\":false}");
    assert_not_in(list, "_actions");
}

static void test_updates(void **state)
{
    struct rig *r = *state;

    put(r, "a", PY "}");
    put(r, "s", "{\"exec\":{\"kind\":\"Sequence\",\"components\":[\"/_/a\"]}}");
    nr_auto_free char *other = rig_put(
        r, "s",
        "{\"annotations\":[{\"key\":\"x\",\"value\":1},{\"key\":\"exec\",\"value\":\"sequence\"}],"
        "\"parameters\":[{\"key\":\"q\",\"value\":2}]}",
        true, 200);

    assert_in(other, "\"components\":[\"/guest/a\"]");
    assert_in(other, "\"parameters\":[{\"key\":\"_actions\",\"value\":[\"/guest/a\"]}]");
    assert_in(other, "\"version\":\"0.0.2\"");
    nr_auto_free char *less = rig_put(r, "s", "{\"delAnnotations\":[\"x\",\"exec\"]}", true, 200);

    assert_not_in(less, "\"x\"");
    assert_in(less, "{\"key\":\"exec\",\"value\":\"sequence\"}");
    /* code in its place, and back */
    nr_auto_free char *code = rig_put(r, "s", PY "}", true, 200);

    assert_in(code, "\"parameters\":[],");
    assert_in(code, "\"kind\":\"python:3\"");
    assert_not_in(code, "components");
    assert_int_equal(rig_bucket_files(r), 2);
    put(r, "s", SEQUENCE("\"/_/a\"") "}");
    struct function *f = resolve(r, "s", 0);

    assert_string_equal(f->code_path, "");
    function_unref(f);
    /* a component that goes leaves the sequence alone */
    free(ask(r, FN_ACTION_DELETE, "a", 0, NULL, NULL, 200));
    put(r, "s", "{\"annotations\":[{\"key\":\"y\",\"value\":1}]}");
    free(ask(r, FN_ACTION_DELETE, "s", 0, NULL, NULL, 200));
}

static void test_versions(void **state)
{
    struct rig *r = *state;

    put(r, "a", PY "}");
    free(ask(r, FN_VERSION_PUBLISH, "a", FN_EVERY_VERSION, NULL, NULL, 201));
    free(ask(r, FN_ALIAS_PUT, "a", FN_EVERY_VERSION, "prod", "{\"version\":1}", 201));
    put(r, "s", SEQUENCE("\"/_/a?version=1\"") "}");
    free(ask(r, FN_VERSION_PUBLISH, "s", FN_EVERY_VERSION, NULL, NULL, 201));
    put(r, "s",
        SEQUENCE("\"/_/a?alias=prod\",\"/_/s?version=1\"") "}"); /* an older one of itself */
    struct function *one = resolve(r, "s", 1), *latest = resolve(r, "s", 0);

    assert_int_equal(one->step_count, 1);
    assert_string_equal(one->steps[0].account, "guest");
    assert_string_equal(one->steps[0].package, "");
    assert_string_equal(one->steps[0].name, "a");
    assert_int_equal(one->steps[0].number, 1);
    assert_int_equal(latest->step_count, 2);
    assert_string_equal(latest->steps[0].alias, "prod");
    assert_string_equal(latest->steps[1].name, "s");
    assert_string_equal(latest->parameters, "{}");
    assert_string_equal(latest->kind, "sequence");
    function_unref(one);
    function_unref(latest);
    nr_auto_free char *diff = ask(r, FN_VERSION_DIFF, "s", 1, "latest", NULL, 200);

    assert_in(
        diff,
        "{\"path\":\"components\",\"from\":[\"/guest/a?version=1\"],\"to\":[\"/guest/a?alias=prod\",\"/guest/s?version=1\"]}");
    assert_in(diff, "\"files\":[]");
    assert_not_in(diff, "_actions");
    /* an alias may lead to a version that leads here */
    put(r, "t", SEQUENCE("\"/_/s\"") "}");
    free(ask(r, FN_VERSION_PUBLISH, "t", FN_EVERY_VERSION, NULL, NULL, 201));
    free(ask(r, FN_ALIAS_PUT, "t", FN_EVERY_VERSION, "live", "{\"version\":1}", 201));
    refuse(r, "s", SEQUENCE("\"/_/t?alias=live\"") "}", CIRCLE);
}

/* Whichever version an alias chooses counts, and the longest of them. */
static void test_alias_of_many(void **state)
{
    struct rig *r = *state;

    put(r, "a", PY "}");
    for (int i = 0; i < 5; i++) {
        put_repeated(r, "long", "/_/a", 41 + i, 200, NULL);
        free(ask(r, FN_VERSION_PUBLISH, "long", FN_EVERY_VERSION, NULL, NULL, 201));
    }
    put(r, "long", SEQUENCE("\"/_/a\"") "}");
    free(ask(r, FN_ALIAS_PUT, "long", FN_EVERY_VERSION, "mix",
             "{\"weights\":{\"1\":20,\"2\":20,\"5\":20,\"3\":20,\"4\":20}}", 201));
    put(r, "s", SEQUENCE("\"/_/a\",\"/_/a\",\"/_/long?alias=mix\",\"/_/a\",\"/_/a\",\"/_/a\"") "}");
    refuse(
        r, "s",
        SEQUENCE("\"/_/a\",\"/_/a\",\"/_/long?alias=mix\",\"/_/a\",\"/_/a\",\"/_/a\",\"/_/a\"") "}",
        TOO_MANY);
}

/* An update window ends with other components, which are judged as those of a PUT are. */
static void test_update_window(void **state)
{
    struct rig *r = *state;

    put(r, "a", PY "}");
    put(r, "b", PY "}");
    put(r, "s", SEQUENCE("\"/_/a\"") "}");
    free(ask(r, FN_UPDATE_BEGIN, "s", 0, NULL, "{}", 200));
    nr_auto_free char *gone =
        ask(r, FN_UPDATE_COMMIT, "s", 0, NULL, SEQUENCE("\"/_/gone\"") "}", 400);
    nr_auto_free char *round =
        ask(r, FN_UPDATE_COMMIT, "s", 0, NULL, SEQUENCE("\"/_/s\"") "}", 400);
    nr_auto_free char *done = ask(r, FN_UPDATE_COMMIT, "s", 0, NULL, SEQUENCE("\"/_/b\"") "}", 200);

    assert_string_equal(gone, GONE);
    assert_string_equal(round, CIRCLE);
    assert_in(done, "\"components\":[\"/guest/b\"]");
}

static void put_package(struct rig *r, struct account *who, const char *name, const char *body)
{
    struct rig_reply reply = rig_call(r, who, FN_PACKAGE_PUT, name, NULL, body, true);

    if (reply.status != 200)
        fail_msg("%s: %d %s", name, reply.status, reply.body);
    rig_reply_fini(&reply);
}

/* Of another account only what is in its shared packages, and the same refusal for what is there and what is not. */
static void test_other_accounts(void **state)
{
    static const char forbidden[] = "The supplied authentication is not authorized to access '";
    static const struct {
        const char *component;
        int status;
        const char *names; /* of the refusal; NULL: it is no 403 */
    } rows[] = {
        {"/admin/open/f", 200, NULL},           {"/_/bound/f", 200, NULL},
        {"/admin/open/gone", 400, NULL},        {"/_/bound/gone", 400, NULL},
        {"/admin/shut/f", 403, "admin/shut/f"}, {"/admin/never/f", 403, "admin/never/f"},
        {"/admin/f", 403, "admin/f"},           {"/admin/never", 403, "admin/never"},
        {"/nobody/f", 403, "nobody/f"},
    };
    struct rig *r = *state;
    char body[256], text[256];

    assert_string_equal(r->admin->name, "admin");
    put_package(r, r->admin, "open", "{\"publish\":true}");
    put_package(r, r->admin, "shut", "{}");
    expect_of(r, r->admin, "open", "f", PY "}", 200, NULL);
    expect_of(r, r->admin, "shut", "f", PY "}", 200, NULL);
    expect_of(r, r->admin, NULL, "f", PY "}", 200, NULL);
    put_package(r, r->guest, "bound", "{\"binding\":{\"namespace\":\"admin\",\"name\":\"open\"}}");
    for (size_t i = 0; i < nr_countof(rows); i++) {
        (void)snprintf(body, sizeof(body), SEQUENCE("\"%s\"") "}", rows[i].component);
        (void)snprintf(text, sizeof(text), "%s%s'.", forbidden,
                       rows[i].names != NULL ? rows[i].names : "");
        expect_of(r, r->guest, NULL, "s", body, rows[i].status,
                  rows[i].names != NULL   ? text
                  : rows[i].status == 400 ? GONE
                                          : NULL);
    }
    /* a binding is seen through */
    put_package(r, r->guest, "p", "{}");
    put_package(r, r->guest, "b", "{\"binding\":{\"namespace\":\"_\",\"name\":\"p\"}}");
    expect_of(r, r->guest, "p", "s", SEQUENCE("\"/_/bound/f\"") "}", 200, NULL);
    expect_of(r, r->guest, "p", "s", SEQUENCE("\"/_/b/s\"") "}", 400, CIRCLE);
}

/* Out of one account, into another: its own functions are those of the other one then. */
static void test_movable(void **state)
{
    struct sequence s;
    nr_auto_json json_t *moved = sequence_movable(
        "[\"/guest/a?version=3\",\"/other/p/b\",\"/guest/p/c?alias=x\"]", NR_STR("guest"));
    struct nr_err err = {0};

    (void)state;
    assert_int_equal(sequence_read(moved, "new", &s, &err), 0);
    nr_auto_free char *text = sequence_text(&s);

    assert_string_equal(text, "[\"/new/a?version=3\",\"/other/p/b\",\"/new/p/c?alias=x\"]");
    sequence_fini(&s);
    assert_int_equal(sequence_load("[\"nonsense/a/b/c/d\"]", &s, &err), NR_ECORRUPT);
    sequence_fini(&s);
    assert_int_equal(sequence_load("", &s, &err), 0);
    assert_int_equal(s.count, 0);
}

static void test_annotations(void **state)
{
    static const struct {
        const char *annotations;
        enum web_access access;
        const char *secret;
        bool raw, options, conductor;
        enum store_policy store;
    } rows[] = {
        {"", WEB_CLOSED, "", false, false, false, STORE_ALL},
        {"{\"key\":\"web-export\",\"value\":true}", WEB_OPEN, "", false, false, false, STORE_ALL},
        {"{\"key\":\"web-export\",\"value\":\"true\"},{\"key\":\"require-whisk-auth\",\"value\":\"x\"}",
         WEB_CLOSED, "", false, false, false, STORE_ALL},
        {"{\"key\":\"web-export\",\"value\":true},{\"key\":\"require-whisk-auth\",\"value\":false},"
         "{\"key\":\"raw-http\",\"value\":true}",
         WEB_OPEN, "", true, false, false, STORE_ALL},
        {"{\"key\":\"web-export\",\"value\":true},{\"key\":\"require-whisk-auth\",\"value\":true}",
         WEB_KEY, "", false, false, false, STORE_ALL},
        {"{\"key\":\"web-export\",\"value\":true},{\"key\":\"require-whisk-auth\",\"value\":5577006791947779410},"
         "{\"key\":\"web-custom-options\",\"value\":true}",
         WEB_SECRET, "5577006791947779410", false, true, false, STORE_ALL},
        {"{\"key\":\"web-export\",\"value\":true},{\"key\":\"require-whisk-auth\",\"value\":\"open sesame\"}",
         WEB_SECRET, "open sesame", false, false, false, STORE_ALL},
        {"{\"key\":\"conductor\",\"value\":{\"type\":\"sequence\"}},{\"key\":\"narae.store\",\"value\":\"errors\"}",
         WEB_CLOSED, "", false, false, true, STORE_ERRORS},
        {"{\"key\":\"conductor\",\"value\":0},{\"key\":\"narae.store\",\"value\":\"none\"}",
         WEB_CLOSED, "", false, false, false, STORE_NONE},
        {"{\"key\":\"conductor\",\"value\":\"false\"}", WEB_CLOSED, "", false, false, false,
         STORE_ALL},
    };
    struct rig *r = *state;

    for (size_t i = 0; i < nr_countof(rows); i++) {
        char body[512];

        (void)snprintf(body, sizeof(body), PY ",\"annotations\":[%s]}", rows[i].annotations);
        free(ask(r, FN_ACTION_LIST, "", 0, NULL, NULL, 200));
        put(r, "w", PY "}");
        free(ask(r, FN_ACTION_DELETE, "w", 0, NULL, NULL, 200));
        put(r, "w", body);
        struct function *f = resolve(r, "w", 0);

        assert_int_equal(f->web.access, rows[i].access);
        assert_string_equal(f->web.secret, rows[i].secret);
        assert_int_equal(f->web.raw, rows[i].raw);
        assert_int_equal(f->web.custom_options, rows[i].options);
        assert_int_equal(f->conductor, rows[i].conductor);
        assert_int_equal(f->store, rows[i].store);
        assert_null(f->final_names);
        function_unref(f);
    }
    put(r, "s", SEQUENCE("\"/_/w\"") ",\"annotations\":[{\"key\":\"conductor\",\"value\":true}]}");
    struct function *s = resolve(r, "s", 0);

    assert_false(s->conductor); /* a sequence is none */
    function_unref(s);
}

/* A door that was meant to be shut is never left open by a slip of the pen. */
static void test_judged_annotations(void **state)
{
    static const char *const slips[] = {"null", "\"\"", "{}", "[\"secret\"]", "\"a\\u0000b\""};
    struct rig *r = *state;
    char body[256];

    for (size_t i = 0; i < nr_countof(slips); i++) {
        (void)snprintf(body, sizeof(body),
                       PY ",\"annotations\":[{\"key\":\"require-whisk-auth\",\"value\":%s}]}",
                       slips[i]);
        refuse(
            r, "w", body,
            "The annotation 'require-whisk-auth' must be true, false, a number or a text that is not empty.");
    }
    refuse(r, "w", PY ",\"annotations\":[{\"key\":\"narae.store\",\"value\":\"never\"}]}",
           "The annotation 'narae.store' must be 'all', 'errors' or 'none'.");
}

static void test_final(void **state)
{
    struct rig *r = *state;

    put(r, "f",
        PY
        ",\"annotations\":[{\"key\":\"final\",\"value\":true}],\"parameters\":[{\"key\":\"b\",\"value\":0},"
        "{\"key\":\"open\",\"value\":null},{\"key\":\"free\",\"value\":\"\"},{\"key\":\"a\",\"value\":\"x\"},"
        "{\"key\":\"TOKEN\",\"value\":\"t\",\"init\":true}]}");
    struct function *f = resolve(r, "f", 0);

    assert_non_null(f->final_names);
    assert_string_equal(f->final_names[0], "TOKEN");
    assert_string_equal(f->final_names[1], "a");
    assert_string_equal(f->final_names[2], "b");
    assert_null(f->final_names[3]);
    function_unref(f);
    put(r, "f", "{\"annotations\":[{\"key\":\"final\",\"value\":false}]}");
    f = resolve(r, "f", 0);
    assert_null(f->final_names);
    function_unref(f);
    put(r, "f", "{\"annotations\":[{\"key\":\"final\",\"value\":true}],\"parameters\":[]}");
    f = resolve(r, "f", 0);
    assert_null(f->final_names);
    function_unref(f);
}

/* A kind that the platform no longer wants: what there is can be read and deleted. */
static void test_deprecated_kind(void **state)
{
    static const char text[] =
        "The 'python:3' runtime is no longer supported. You may read and delete but not update or invoke this action.";
    struct runtime_kind kinds[8] = {{0}};
    struct rig *r = *state;

    put(r, "old", PY "}");
    rig_close(r);
    for (size_t i = 0; rig_kinds[i].kind != NULL; i++) {
        kinds[i] = rig_kinds[i];
        kinds[i].deprecated = strcmp(kinds[i].kind, "python:3") == 0;
    }
    r->config.kinds = kinds;
    rig_open(r);
    refuse(r, "new", PY "}", text);
    refuse(r, "old", "{\"annotations\":[]}", text);
    struct rig_reply called = rig_call(r, r->guest, FN_RESOLVE, NULL, "old", NULL, false);

    assert_int_equal(called.code, NR_EINVAL);
    assert_string_equal(called.body, text);
    rig_reply_fini(&called);
    free(ask(r, FN_ACTION_GET, "old", 0, NULL, NULL, 200));
    put(r, "old", "{\"exec\":{\"kind\":\"nodejs:default\",\"code\":\"x\"}}");
    free(ask(r, FN_ACTION_DELETE, "old", 0, NULL, NULL, 200));
    rig_close(r); /* the table is this function's */
    r->config.kinds = rig_kinds;
    rig_open(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nested, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_document, setup, teardown),
        cmocka_unit_test_setup_teardown(test_updates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alias_of_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update_window, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_accounts, setup, teardown),
        cmocka_unit_test(test_movable),
        cmocka_unit_test_setup_teardown(test_annotations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_judged_annotations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_final, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deprecated_kind, setup, teardown),
    };

    return cmocka_run_group_tests_name("fnmanager/sequences", tests, NULL, NULL);
}
