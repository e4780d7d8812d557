/* Triggers and rules over a real data folder: what is stored, shown, refused and told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_rules.h"
#include "rig.h"

#define FUNCTION "{\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(args): return args\"}}"
#define RULE(t, a) "{\"trigger\":\"" t "\",\"action\":\"" a "\"}"
#define MALFORMED "The request content was malformed:\n"

/* The body (made), or the sentence of a refusal; the status must be as expected. */
static char *ask(struct rig *r, enum fn_op op, const char *name, const char *body, bool overwrite,
                 int status)
{
    struct rig_reply reply = rig_call(r, r->guest, op, NULL, name, body, overwrite);

    if (reply.status != status)
        fail_msg("op %d of %s %s: %d instead of %d: %.300s", (int)op, name, body ? body : "",
                 reply.status, status, reply.body);
    return reply.body;
}

/* The same; what comes must hold `part`. */
static void says(struct rig *r, enum fn_op op, const char *name, const char *body, int status,
                 const char *part)
{
    char *text = ask(r, op, name, body, false, status);

    if (strstr(text, part) == NULL)
        fail_msg("op %d of %s %s: no '%s' in: %.600s", (int)op, name, body ? body : "", part, text);
    free(text);
}

static void refused(struct rig *r, enum fn_op op, const char *name, const char *body, int status,
                    const char *sentence)
{
    char *text = ask(r, op, name, body, false, status);

    assert_string_equal(text, sentence);
    free(text);
}

static void done(struct rig *r, enum fn_op op, const char *name, const char *body)
{
    free(ask(r, op, name, body, true, 200));
}

/* A function, two triggers, and a rule of the first. */
static void begin(struct rig *r)
{
    rig_begin(r);
    free(rig_put(r, "f", FUNCTION, false, 200));
    done(r, FN_TRIGGER_PUT, "t", "{}");
    done(r, FN_TRIGGER_PUT, "u", "{}");
    done(r, FN_RULE_PUT, "r", RULE("/_/t", "/_/f"));
}

static struct trigger *resolve(struct rig *r, const char *name)
{
    struct fn_call call = {.op = FN_TRIGGER_RESOLVE, .account = r->guest, .name = nr_str_of(name)};
    struct rig_reply reply = rig_run(r, &call);

    if (call.trigger == NULL)
        fail_msg("%s: %s", name, reply.body);
    rig_reply_fini(&reply);
    return call.trigger;
}

static void a_trigger_is_stored_shown_and_deleted(void **state)
{
    struct rig r;
    char *text, *again;

    (void)state;
    rig_begin(&r);
    text = ask(&r, FN_TRIGGER_PUT, "t",
               "{\"name\":\"other\",\"namespace\":\"_\",\"limits\":{},\"unknown\":[1],"
               "\"parameters\":[{\"key\":\"a\",\"value\":1},{\"key\":\"a\",\"value\":[\"x\"],"
               "\"init\":true}],\"annotations\":[{\"key\":\"feed\",\"value\":\"/_/p/f\"}]}",
               false, 200);
    assert_true(
        strncmp(text, "{\"namespace\":\"guest\",\"name\":\"t\",\"version\":\"0.0.1\"", 47) == 0);
    assert_non_null(strstr(text, "\"publish\":false,\"updated\":1"));
    assert_non_null(strstr(text, "\"annotations\":[{\"key\":\"feed\",\"value\":\"/_/p/f\"}],"
                                 "\"parameters\":[{\"key\":\"a\",\"value\":[\"x\"]}],"
                                 "\"limits\":{}}"));
    again = ask(&r, FN_TRIGGER_GET, "t", NULL, false, 200);
    assert_string_equal(again, text);
    free(again);
    again = ask(&r, FN_TRIGGER_DELETE, "t", NULL, false, 200);
    assert_string_equal(again, text);
    free(again);
    free(text);
    refused(&r, FN_TRIGGER_GET, "t", NULL, 404, TEXT_NOT_FOUND);
    refused(&r, FN_TRIGGER_DELETE, "t", NULL, 404, TEXT_NOT_FOUND);
    rig_end(&r);
}

static void an_overwrite_replaces_what_it_names(void **state)
{
    struct rig r;
    char *text;

    (void)state;
    rig_begin(&r);
    done(&r, FN_TRIGGER_PUT, "t",
         "{\"parameters\":[{\"key\":\"a\",\"value\":1}],\"annotations\":[{\"key\":\"b\","
         "\"value\":2}],\"publish\":true}");
    refused(&r, FN_TRIGGER_PUT, "t", "{}", 409, TEXT_EXISTS);
    text = ask(&r, FN_TRIGGER_PUT, "t", "{}", true, 200);
    assert_non_null(strstr(text, "\"version\":\"0.0.2\",\"publish\":true"));
    assert_non_null(strstr(text, "\"value\":2}],\"parameters\":[{\"key\":\"a\",\"value\":1}]"));
    free(text);
    text = ask(&r, FN_TRIGGER_PUT, "t", "{\"parameters\":[],\"publish\":false}", true, 200);
    assert_non_null(strstr(text, "\"version\":\"0.0.3\",\"publish\":false"));
    assert_non_null(strstr(text, "\"value\":2}],\"parameters\":[],"));
    free(text);
    text = ask(&r, FN_TRIGGER_PUT, "t", "{\"version\":\"4.5.6\"}", true, 200);
    assert_non_null(strstr(text, "\"version\":\"4.5.6\""));
    free(text);
    text = ask(&r, FN_TRIGGER_PUT, "t", "{}", true, 200);
    assert_non_null(strstr(text, "\"version\":\"4.5.7\""));
    free(text);
    rig_end(&r);
}

static void bad_bodies_of_triggers_change_nothing(void **state)
{
    static const struct {
        const char *body, *part;
    } bad[] = {
        {"", MALFORMED},
        {"[]", MALFORMED "Object expected"},
        {"{\"parameters\":{}}", MALFORMED "'parameters' must be"},
        {"{\"parameters\":[{\"value\":1}]}", MALFORMED "parameters malformed"},
        {"{\"annotations\":[7]}", MALFORMED "annotations malformed"},
        {"{\"limits\":3}", MALFORMED "'limits' must be an object"},
        {"{\"publish\":\"yes\"}", MALFORMED "'publish'"},
        {"{\"version\":\"1\"}", MALFORMED},
        {"{\"annotations\":[{\"key\":\"feed\",\"value\":5}]}", "Feed name is not valid"},
        {"{\"annotations\":[{\"key\":\"feed\",\"value\":\"\"}]}", "Feed name is not valid"},
        {"{\"annotations\":[{\"key\":\"feed\",\"value\":\"/\"}]}", "Feed name is not valid"},
        {"{\"annotations\":[{\"key\":\"feed\",\"value\":\"//f\"}]}", "Feed name is not valid"},
        {"{\"annotations\":[{\"key\":\"feed\",\"value\":\"a/b/c/d\"}]}", "Feed name is not valid"},
        {"{\"annotations\":[{\"key\":\"feed\",\"value\":\"a/b!\"}]}", "Feed name is not valid"},
    };
    struct rig r;
    char *before, *after;

    (void)state;
    begin(&r);
    before = ask(&r, FN_TRIGGER_GET, "t", NULL, false, 200);
    for (size_t i = 0; i < nr_countof(bad); i++) {
        char *text = ask(&r, FN_TRIGGER_PUT, "t", bad[i].body, true, 400);

        if (strstr(text, bad[i].part) == NULL)
            fail_msg("%s: %s", bad[i].body, text);
        free(text);
    }
    after = ask(&r, FN_TRIGGER_GET, "t", NULL, false, 200);
    assert_string_equal(after, before);
    free(before);
    free(after);
    for (const char *const *good = (const char *const[]){"f", "/_/f", "/guest/p/f", "p/f", NULL};
         *good != NULL; good++) {
        char body[128];

        (void)snprintf(body, sizeof(body),
                       "{\"annotations\":[{\"key\":\"feed\",\"value\":\"%s\"}]}", *good);
        done(&r, FN_TRIGGER_PUT, "t", body);
    }
    rig_end(&r);
}

static void fields_over_a_megabyte_are_413(void **state)
{
    static const char *const fields[] = {"parameters", "annotations"};
    size_t n = (1u << 20) + 1;
    char *body = nr_alloc(n + 128);
    char sentence[128];
    struct rig r;

    (void)state;
    begin(&r);
    for (size_t i = 0; i < nr_countof(fields); i++) {
        int head = snprintf(body, 64, "{\"%s\":[{\"key\":\"k\",\"value\":\"", fields[i]);

        memset(body + head, 'x', n);
        (void)snprintf(body + (size_t)head + n, 16, "\"}]}");
        (void)snprintf(sentence, sizeof(sentence), "%s larger than allowed: %zu > 1048576 bytes.",
                       fields[i], n + 3);
        refused(&r, FN_TRIGGER_PUT, "big", body, 413, sentence);
    }
    refused(&r, FN_TRIGGER_GET, "big", NULL, 404, TEXT_NOT_FOUND);
    free(body);
    rig_end(&r);
}

static void a_rule_ties_a_trigger_to_a_function(void **state)
{
    struct rig r;
    char *text;

    (void)state;
    begin(&r);
    text = ask(&r, FN_RULE_GET, "r", NULL, false, 200);
    assert_non_null(strstr(text, "\"version\":\"0.0.1\""));
    assert_non_null(strstr(text, "\"annotations\":[],\"status\":\"active\","
                                 "\"trigger\":{\"path\":\"guest\",\"name\":\"t\"},"
                                 "\"action\":{\"path\":\"guest\",\"name\":\"f\"}}"));
    free(text);
    says(&r, FN_TRIGGER_GET, "t", NULL, 200,
         ",\"rules\":{\"guest/r\":{\"action\":{\"path\":\"guest\",\"name\":\"f\"},"
         "\"status\":\"active\"}}}");
    refused(&r, FN_RULE_PUT, "r", RULE("t", "f"), 409, TEXT_EXISTS);
    refused(&r, FN_RULE_PUT, "r", RULE("none", "none"), 409, TEXT_EXISTS);
    refused(&r, FN_RULE_PUT, "t", RULE("none", "none"), 409, TEXT_OTHER_COLLECTION);
    text = ask(&r, FN_RULE_PUT, "r", "{\"annotations\":[{\"key\":\"a\",\"value\":1}]}", true, 200);
    assert_non_null(strstr(text, "\"version\":\"0.0.2\""));
    assert_non_null(strstr(text, "\"value\":1}],\"status\":\"active\",\"trigger\":{\"path\":"
                                 "\"guest\",\"name\":\"t\"}"));
    free(text);
    says(&r, FN_RULE_DELETE, "r", NULL, 200, "\"status\":\"inactive\"");
    text = ask(&r, FN_TRIGGER_GET, "t", NULL, false, 200);
    assert_null(strstr(text, "rules"));
    free(text);
    refused(&r, FN_RULE_DELETE, "r", NULL, 404, TEXT_NOT_FOUND);
    refused(&r, FN_RULE_GET, "r", NULL, 404, TEXT_NOT_FOUND);
    refused(&r, FN_RULE_STATE, "r", "{\"status\":\"active\"}", 404, TEXT_NOT_FOUND);
    rig_end(&r);
}

static void references_are_judged(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *part;
    } bad[] = {
        {"{}", 400, "rule requires a valid trigger and a valid action"},
        {"{\"trigger\":\"t\"}", 400, "rule requires a valid trigger and a valid action"},
        {"{\"trigger\":null,\"action\":\"f\"}", 400, "rule requires a valid trigger and a valid"},
        {RULE("/_/none", "/_/f"), 400, "trigger /guest/none does not exist"},
        {RULE("/_/p/t", "/_/f"), 400, "trigger /guest/p/t does not exist"},
        {RULE("/_/t", "/_/none"), 400, "action /guest/none does not exist"},
        {RULE("/_/t", "/_/p/none"), 400, "action /guest/p/none does not exist"},
        {RULE("/_/t", "/_/f?version=3"), 400, "action /guest/f?version=3 does not exist"},
        {RULE("/_/t", "/_/f?alias=prod"), 400, "action /guest/f?alias=prod does not exist"},
        {RULE("/other/t", "/_/f"), 403, "not authorized to access 'other/t'."},
        {RULE("other/t", "/_/f"), 403, "not authorized to access 'other/t'."},
        {RULE("/_/t", "/other/f"), 403, "not authorized to access 'other/f'."},
        {RULE("/_/t", "/other/p/f"), 403, "not authorized to access 'other/p/f'."},
        {"{\"trigger\":5,\"action\":\"f\"}", 400,
         MALFORMED "'trigger' must be a name or an object"},
        {"{\"trigger\":\"t\",\"action\":{}}", 400, MALFORMED "'action' needs a 'path' and a"},
        {"{\"trigger\":{\"path\":1,\"name\":\"t\"},\"action\":\"f\"}", 400,
         MALFORMED "'path' must be a string"},
        {RULE("/_/t", "/_/f!"), 400, MALFORMED},
        {RULE("/_/t", "/_/f?version=x"), 400, MALFORMED},
        {RULE("/_/t", "/_/a/b/c"), 400, MALFORMED},
        {RULE("", "f"), 400, MALFORMED},
    };
    struct rig r;

    (void)state;
    begin(&r);
    for (size_t i = 0; i < nr_countof(bad); i++)
        says(&r, FN_RULE_PUT, "new", bad[i].body, bad[i].status, bad[i].part);
    refused(&r, FN_RULE_GET, "new", NULL, 404, TEXT_NOT_FOUND);
    says(&r, FN_RULE_PUT, "o1", RULE("guest/t", "f"), 200, "\"name\":\"t\"}");
    says(&r, FN_RULE_PUT, "o2",
         "{\"trigger\":{\"path\":\"_\",\"name\":\"t\"},\"action\":{\"path\":\"guest\",\"name\":"
         "\"f\"},\"status\":\"\"}",
         200, "\"status\":\"active\"");
    rig_end(&r);
}

/* By `who`; 200. */
static void made(struct rig *r, struct account *who, enum fn_op op, const char *package,
                 const char *name, const char *body)
{
    struct rig_reply reply = rig_call(r, who, op, package, name, body, true);

    if (reply.status != 200)
        fail_msg("%s/%s: %d: %.300s", package, name ? name : "", reply.status, reply.body);
    rig_reply_fini(&reply);
}

static void rules_reach_where_calls_reach(void **state)
{
    static const struct {
        const char *package, *name;
        int status;
        const char *part;
    } cases[] = {
        {"shared", "f", 200, "\"action\":{\"path\":\"admin/shared\",\"name\":\"f\"}"},
        {"shared", "none", 400, "action /admin/shared/none does not exist"},
        {"closed", "f", 403, "not authorized to access 'admin/closed/f'."},
        {"closed", "none", 403, "not authorized to access 'admin/closed/none'."},
        {"none", "f", 403, "not authorized to access 'admin/none/f'."},
    };
    char body[256];
    struct rig r;

    (void)state;
    begin(&r);
    made(&r, r.admin, FN_PACKAGE_PUT, "shared", NULL, "{\"publish\":true}");
    made(&r, r.admin, FN_PACKAGE_PUT, "closed", NULL, "{}");
    made(&r, r.admin, FN_ACTION_PUT, "shared", "f", FUNCTION);
    made(&r, r.admin, FN_ACTION_PUT, "closed", "f", FUNCTION);
    for (size_t i = 0; i < nr_countof(cases); i++) {
        char rule[16];

        (void)snprintf(rule, sizeof(rule), "s%zu", i);
        (void)snprintf(body, sizeof(body), RULE("t", "/%s/%s/%s"), r.admin->name, cases[i].package,
                       cases[i].name);
        says(&r, FN_RULE_PUT, rule, body, cases[i].status, cases[i].part);
    }
    (void)snprintf(body, sizeof(body), "{\"binding\":{\"namespace\":\"%s\",\"name\":\"shared\"}}",
                   r.admin->name);
    made(&r, r.guest, FN_PACKAGE_PUT, "bound", NULL, body);
    says(&r, FN_RULE_PUT, "b", RULE("t", "/_/bound/f"), 200,
         "\"action\":{\"path\":\"guest/bound\",\"name\":\"f\"}");
    says(&r, FN_RULE_PUT, "c", RULE("t", "/_/bound/none"), 400,
         "action /guest/bound/none does not exist");
    made(&r, r.admin, FN_PACKAGE_PUT, "shared", NULL, "{\"publish\":false}");
    says(&r, FN_RULE_PUT, "d", RULE("t", "/_/bound/f"), 403, "not authorized to access");
    rig_end(&r);
}

static void a_rule_may_name_a_version_or_an_alias(void **state)
{
    struct fn_call call = {.number = FN_EVERY_VERSION, .name = nr_str_of("f")};
    struct rig_reply reply;
    struct trigger *t;
    struct rig r;

    (void)state;
    begin(&r);
    call.op = FN_VERSION_PUBLISH;
    call.account = r.guest;
    reply = rig_run(&r, &call);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    call = (struct fn_call){.op = FN_ALIAS_PUT,
                            .account = r.guest,
                            .name = nr_str_of("f"),
                            .item = nr_str_of("prod"),
                            .body = nr_str_of("{\"version\":1}")};
    reply = rig_run(&r, &call);
    assert_int_equal(reply.status, 201);
    rig_reply_fini(&reply);
    says(&r, FN_RULE_PUT, "v", RULE("t", "/_/f?version=1"), 200,
         "\"action\":{\"path\":\"guest\",\"name\":\"f?version=1\"}");
    says(&r, FN_RULE_PUT, "w", RULE("t", "/_/f?alias=prod"), 200,
         "\"action\":{\"path\":\"guest\",\"name\":\"f?alias=prod\"}");
    t = resolve(&r, "t");
    assert_int_equal(t->rule_count, 3); /* by name: r, v, w */
    assert_int_equal(t->rules[1].action.number, 1);
    assert_string_equal(t->rules[2].action.alias, "prod");
    trigger_unref(t);
    rig_end(&r);
}

static void retired_functions_take_no_rules(void **state)
{
    struct fn_call call = {.op = FN_MOVE_RETIRE,
                           .number = FN_EVERY_VERSION,
                           .name = nr_str_of("f"),
                           .body = nr_str_of("{}")};
    struct rig_reply reply;
    struct rig r;

    (void)state;
    begin(&r);
    call.account = r.guest;
    reply = rig_run(&r, &call);
    assert_int_equal(reply.status, 200);
    rig_reply_fini(&reply);
    refused(&r, FN_RULE_PUT, "new", RULE("t", "f"), 410, "The function is retired.");
    says(&r, FN_RULE_GET, "r", NULL, 200, "\"status\":\"active\"");
    rig_end(&r);
}

static void the_status_is_kept_and_changed(void **state)
{
    static const char *const bad[] = {"",
                                      "{}",
                                      "{\"status\":5}",
                                      "{\"status\":\"\"}",
                                      "{\"status\":\"Active\"}",
                                      "[]",
                                      "{\"status\":\"active\""};
    struct rig r;

    (void)state;
    begin(&r);
    for (size_t i = 0; i < nr_countof(bad); i++)
        says(&r, FN_RULE_STATE, "r", bad[i], 400, MALFORMED);
    for (int i = 0; i < 2; i++) { /* the second time it is so already */
        char *text = ask(&r, FN_RULE_STATE, "r",
                         "{\"status\":\"inactive\",\"trigger\":null,\"action\":null}", false, 200);

        assert_string_equal(text, "");
        free(text);
    }
    says(&r, FN_RULE_GET, "r", NULL, 200, "\"status\":\"inactive\"");
    says(&r, FN_TRIGGER_GET, "t", NULL, 200, "\"status\":\"inactive\"");
    done(&r, FN_RULE_PUT, "r", RULE("u", "f"));
    says(&r, FN_RULE_GET, "r", NULL, 200, "\"status\":\"inactive\"");
    done(&r, FN_RULE_STATE, "r", "{\"status\":\"active\"}");
    says(&r, FN_TRIGGER_GET, "u", NULL, 200, "\"status\":\"active\"");
    done(&r, FN_RULE_PUT, "r", "{}");
    says(&r, FN_RULE_GET, "r", NULL, 200, "\"status\":\"active\"");
    rig_end(&r);
}

static void rules_outlive_their_trigger(void **state)
{
    struct rig r;
    struct trigger *t;
    char *text;

    (void)state;
    begin(&r);
    done(&r, FN_TRIGGER_DELETE, "t", NULL);
    says(&r, FN_RULE_GET, "r", NULL, 200, "\"status\":\"inactive\"");
    refused(&r, FN_RULE_STATE, "r", "{\"status\":\"active\"}", 404,
            "Only rules with existing triggers can be activated");
    done(&r, FN_RULE_STATE, "r", "{\"status\":\"inactive\"}");
    text = ask(&r, FN_RULE_PUT, "r", "{}", true, 400);
    assert_string_equal(text, "trigger /guest/t does not exist");
    free(text);
    done(&r, FN_TRIGGER_PUT, "t", "{}"); /* another one: the rule is none of it */
    t = resolve(&r, "t");
    assert_int_equal(t->rule_count, 0);
    trigger_unref(t);
    says(&r, FN_RULE_GET, "r", NULL, 200, "\"status\":\"inactive\"");
    done(&r, FN_RULE_STATE, "r", "{\"status\":\"active\"}");
    t = resolve(&r, "t");
    assert_int_equal(t->rule_count, 1);
    assert_true(t->rules[0].active);
    trigger_unref(t);
    rig_end(&r);
}

static void rules_outlive_their_function(void **state)
{
    struct rig r;
    char *text;

    (void)state;
    begin(&r);
    done(&r, FN_ACTION_DELETE, "f", NULL);
    says(&r, FN_RULE_GET, "r", NULL, 200, "\"status\":\"active\"");
    text = ask(&r, FN_RULE_PUT, "r", "{}", true, 400);
    assert_string_equal(text, "action /guest/f does not exist");
    free(text);
    done(&r, FN_RULE_DELETE, "r", NULL);
    rig_end(&r);
}

static void snapshots_hold_what_a_fire_needs(void **state)
{
    struct rig r;
    struct trigger *t;

    (void)state;
    begin(&r);
    done(&r, FN_TRIGGER_PUT, "t",
         "{\"parameters\":[{\"key\":\"a\",\"value\":{\"b\":null}},{\"key\":\"c\",\"value\":2}]}");
    done(&r, FN_RULE_PUT, "q", RULE("t", "f"));
    done(&r, FN_RULE_STATE, "q", "{\"status\":\"inactive\"}");
    t = resolve(&r, "t");
    assert_string_equal(t->account, "guest");
    assert_string_equal(t->name, "t");
    assert_string_equal(t->version, "0.0.2");
    assert_string_equal(t->parameters, "{\"a\":{\"b\":null},\"c\":2}");
    assert_int_equal(t->rule_count, 2);
    assert_string_equal(t->rules[0].name, "q");
    assert_false(t->rules[0].active);
    assert_string_equal(t->rules[1].name, "r");
    assert_true(t->rules[1].active);
    assert_string_equal(t->rules[1].action.account, "guest");
    assert_string_equal(t->rules[1].action.name, "f");
    trigger_unref(t);
    t = resolve(&r, "u");
    assert_string_equal(t->parameters, "{}");
    assert_int_equal(t->rule_count, 0);
    trigger_unref(t);
    refused(&r, FN_TRIGGER_RESOLVE, "none", NULL, 404, TEXT_NOT_FOUND);
    refused(&r, FN_TRIGGER_RESOLVE, "f", NULL, 409, TEXT_OTHER_COLLECTION);
    rig_end(&r);
}

/* Each change, which trigger it is told of, and how many are. */
static void changes_are_told_before_the_reply(void **state)
{
    static const struct {
        enum fn_op op;
        const char *name, *body, *told;
        int count;
    } steps[] = {
        {FN_TRIGGER_PUT, "t", "{}", "guest//t", 1},
        {FN_RULE_PUT, "q", RULE("u", "f"), "guest//u", 1},
        {FN_RULE_PUT, "q", "{\"annotations\":[]}", "guest//u", 1},
        {FN_RULE_STATE, "q", "{\"status\":\"inactive\"}", "guest//u", 1},
        {FN_RULE_STATE, "q", "{\"status\":\"inactive\"}", "guest//u", 0},
        {FN_RULE_PUT, "q", RULE("t", "f"), "guest//u", 2}, /* the old one last */
        {FN_RULE_DELETE, "q", NULL, "guest//t", 1},
        {FN_TRIGGER_DELETE, "u", NULL, "guest//u", 1},
    };
    struct rig r;

    (void)state;
    begin(&r);
    for (size_t i = 0; i < nr_countof(steps); i++) {
        int before = r.changes;
        struct rig_reply reply =
            rig_call(&r, r.guest, steps[i].op, NULL, steps[i].name, steps[i].body, true);

        assert_int_equal(reply.status, 200);
        if (reply.changes_at_done - before != steps[i].count)
            fail_msg("step %zu: %d changes were told", i, reply.changes_at_done - before);
        assert_string_equal(r.changed, steps[i].told);
        assert_int_equal(r.change, FN_TRIGGER_CHANGED);
        rig_reply_fini(&reply);
    }
    rig_end(&r);
}

static void lists_come_in_pages(void **state)
{
    struct fn_call call = {.op = FN_TRIGGER_LIST, .limit = 2, .skip = 1};
    struct rig_reply reply;
    struct rig r;
    char *text;

    (void)state;
    begin(&r);
    text = ask(&r, FN_RULE_LIST, "", NULL, false, 200);
    assert_null(strstr(text, "status"));
    assert_non_null(strstr(text, "\"trigger\":{\"path\":\"guest\",\"name\":\"t\"}"));
    free(text);
    done(&r, FN_TRIGGER_PUT, "v", "{\"parameters\":[{\"key\":\"a\",\"value\":1}]}");
    done(&r, FN_TRIGGER_PUT, "t", "{}");
    call.account = r.guest;
    reply = rig_run(&r, &call); /* t, v, u: the latest change first */
    assert_non_null(strstr(reply.body, "[{\"namespace\":\"guest\",\"name\":\"v\""));
    assert_non_null(
        strstr(reply.body, "\"annotations\":[]},{\"namespace\":\"guest\",\"name\":\"u\""));
    assert_null(strstr(reply.body, "parameters"));
    assert_null(strstr(reply.body, "rules"));
    rig_reply_fini(&reply);
    call = (struct fn_call){
        .op = FN_TRIGGER_LIST, .account = r.guest, .count = true, .skip = 1, .limit = 1};
    reply = rig_run(&r, &call);
    assert_string_equal(reply.body, "{\"triggers\":2}");
    rig_reply_fini(&reply);
    call = (struct fn_call){.op = FN_RULE_LIST, .account = r.guest, .count = true, .skip = 9};
    reply = rig_run(&r, &call);
    assert_string_equal(reply.body, "{\"rules\":0}");
    rig_reply_fini(&reply);
    call = (struct fn_call){.op = FN_RULE_LIST, .account = r.admin};
    reply = rig_run(&r, &call);
    assert_string_equal(reply.body, "[]"); /* nobody else's */
    rig_reply_fini(&reply);
    rig_end(&r);
}

static void a_name_belongs_to_one_collection(void **state)
{
    static const struct {
        const char *name;
        enum fn_op op;
        const char *body;
    } wrong[] = {
        {"f", FN_TRIGGER_PUT, "{}"},
        {"f", FN_TRIGGER_GET, NULL},
        {"f", FN_TRIGGER_DELETE, NULL},
        {"f", FN_RULE_PUT, RULE("t", "f")},
        {"f", FN_RULE_GET, NULL},
        {"f", FN_RULE_DELETE, NULL},
        {"f", FN_RULE_STATE, "{\"status\":\"active\"}"},
        {"t", FN_RULE_PUT, RULE("t", "f")},
        {"t", FN_RULE_GET, NULL},
        {"t", FN_ACTION_PUT, FUNCTION},
        {"t", FN_ACTION_GET, NULL},
        {"t", FN_ACTION_DELETE, NULL},
        {"r", FN_TRIGGER_PUT, "{}"},
        {"r", FN_TRIGGER_GET, NULL},
        {"r", FN_ACTION_PUT, FUNCTION},
        {"r", FN_ACTION_GET, NULL},
        {"r", FN_ACTION_DELETE, NULL},
        {"p", FN_TRIGGER_PUT, "{}"},
        {"p", FN_TRIGGER_GET, NULL},
        {"p", FN_TRIGGER_DELETE, NULL},
        {"p", FN_RULE_PUT, RULE("t", "f")},
        {"p", FN_RULE_GET, NULL},
        {"p", FN_RULE_DELETE, NULL},
        {"p", FN_ACTION_PUT, FUNCTION},
        {"p", FN_ACTION_GET, NULL},
        {"p", FN_ACTION_DELETE, NULL},
    };
    static const char *const names[] = {"f", "t", "r"};
    static const enum fn_op of_packages[] = {FN_PACKAGE_PUT, FN_PACKAGE_GET, FN_PACKAGE_DELETE};
    struct rig r;

    (void)state;
    begin(&r);
    made(&r, r.guest, FN_PACKAGE_PUT, "p", NULL, "{}");
    for (size_t i = 0; i < 9; i++) {
        struct rig_reply reply =
            rig_call(&r, r.guest, of_packages[i / 3], names[i % 3], NULL, "{}", true);

        if (reply.status != 409 || strcmp(reply.body, TEXT_OTHER_COLLECTION) != 0)
            fail_msg("package %s: %d: %.300s", names[i % 3], reply.status, reply.body);
        rig_reply_fini(&reply);
    }
    for (size_t i = 0; i < nr_countof(wrong); i++) {
        for (int overwrite = 0; overwrite < 2; overwrite++) {
            char *text = ask(&r, wrong[i].op, wrong[i].name, wrong[i].body, overwrite != 0, 409);

            if (strcmp(text, TEXT_OTHER_COLLECTION) != 0)
                fail_msg("%zu: op %d of %s: %s", i, (int)wrong[i].op, wrong[i].name, text);
            free(text);
        }
    }
    rig_end(&r);
}

static void a_trigger_has_room_for_so_many_rules(void **state)
{
    char name[32], sentence[128];
    struct rig r;

    (void)state;
    begin(&r);
    for (int i = 1; i < RULES_OF_TRIGGER_MAX; i++) {
        (void)snprintf(name, sizeof(name), "r%d", i);
        done(&r, FN_RULE_PUT, name, RULE("t", "f"));
    }
    (void)snprintf(sentence, sizeof(sentence),
                   "The trigger 't' has %d rules; at most %d are allowed.", RULES_OF_TRIGGER_MAX,
                   RULES_OF_TRIGGER_MAX);
    refused(&r, FN_RULE_PUT, "more", RULE("t", "f"), 429, sentence);
    done(&r, FN_RULE_PUT, "r", RULE("t", "f")); /* it is one of them */
    done(&r, FN_RULE_PUT, "more", RULE("u", "f"));
    rig_end(&r);
}

/* Rows as a year of use would leave them. */
struct rows_job {
    struct nr_db_job job;
    const char *sql;
};

static int rows_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct rows_job *j = nr_container_of(job, struct rows_job, job);
    int r = sqlite3_exec(db, j->sql, NULL, NULL, NULL);

    return r == SQLITE_OK ? 0 : nr_db_err(r);
}

static void rows(struct rig *r, const char *sql)
{
    struct rows_job j = {.job = {.run = rows_run}, .sql = sql};

    assert_int_equal(nr_db_write_wait(r->m->db, &j.job), 0);
}

#define MANY                                                                                       \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) INSERT INTO "

static void an_account_has_room_for_so_many(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    done(&r, FN_TRIGGER_DELETE, "u", NULL);
    rows(&r, MANY "triggers(account, name, revision, version, updated_ms)"
                  " SELECT 'guest', 'many' || i, 1, '0.0.1', i FROM n");
    refused(&r, FN_TRIGGER_PUT, "more", "{}", 429,
            "The account has 10000 triggers; at most 10000 are allowed.");
    done(&r, FN_TRIGGER_PUT, "many7", "{}");
    done(&r, FN_TRIGGER_DELETE, "many8", NULL);
    done(&r, FN_TRIGGER_PUT, "more", "{}");
    rows(&r, MANY "rules(account, name, revision, version, status, trigger_account, trigger_name,"
                  " action_account, action_name, updated_ms)"
                  " SELECT 'guest', 'rule' || i, 1, '0.0.1', 'active', 'guest', 'many' || i,"
                  " 'guest', 'f', i FROM n");
    refused(&r, FN_RULE_PUT, "another", RULE("more", "f"), 429,
            "The account has 10000 rules; at most 10000 are allowed.");
    done(&r, FN_RULE_PUT, "rule7", RULE("more", "f"));
    rig_end(&r);
}

static void a_list_is_no_larger_than_an_answer(void **state)
{
    struct fn_call call = {.op = FN_TRIGGER_LIST, .limit = 200};
    struct rig_reply reply;
    struct rig r;

    (void)state;
    begin(&r);
    rows(&r, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70)"
             " INSERT INTO triggers(account, name, revision, version, annotations, updated_ms)"
             " SELECT 'guest', 'big' || i, 1, '0.0.1', '[{\"key\":\"a\",\"value\":\"' ||"
             " printf('%.*c', 1000000, 'x') || '\"}]', i FROM n");
    call.account = r.guest;
    reply = rig_run(&r, &call);
    assert_int_equal(reply.status, 413);
    assert_string_equal(reply.body,
                        "The answer is larger than one may be: more than 67108864 bytes; "
                        "ask for less at once (of a list: with 'limit').");
    rig_reply_fini(&reply);
    call = (struct fn_call){.op = FN_TRIGGER_LIST, .limit = 60, .account = r.guest};
    reply = rig_run(&r, &call);
    assert_int_equal(reply.status, 200);
    rig_reply_fini(&reply);
    rig_end(&r);
}

static void all_is_there_after_a_restart(void **state)
{
    struct rig r;
    char *before, *after;

    (void)state;
    begin(&r);
    done(&r, FN_RULE_STATE, "r", "{\"status\":\"inactive\"}");
    before = ask(&r, FN_TRIGGER_GET, "t", NULL, false, 200);
    rig_close(&r);
    rig_open(&r);
    after = ask(&r, FN_TRIGGER_GET, "t", NULL, false, 200);
    assert_string_equal(after, before);
    free(before);
    free(after);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trigger_is_stored_shown_and_deleted),
        cmocka_unit_test(an_overwrite_replaces_what_it_names),
        cmocka_unit_test(bad_bodies_of_triggers_change_nothing),
        cmocka_unit_test(fields_over_a_megabyte_are_413),
        cmocka_unit_test(a_rule_ties_a_trigger_to_a_function),
        cmocka_unit_test(references_are_judged),
        cmocka_unit_test(rules_reach_where_calls_reach),
        cmocka_unit_test(a_rule_may_name_a_version_or_an_alias),
        cmocka_unit_test(retired_functions_take_no_rules),
        cmocka_unit_test(the_status_is_kept_and_changed),
        cmocka_unit_test(rules_outlive_their_trigger),
        cmocka_unit_test(rules_outlive_their_function),
        cmocka_unit_test(snapshots_hold_what_a_fire_needs),
        cmocka_unit_test(changes_are_told_before_the_reply),
        cmocka_unit_test(lists_come_in_pages),
        cmocka_unit_test(a_name_belongs_to_one_collection),
        cmocka_unit_test(a_trigger_has_room_for_so_many_rules),
        cmocka_unit_test(an_account_has_room_for_so_many),
        cmocka_unit_test(a_list_is_no_larger_than_an_answer),
        cmocka_unit_test(all_is_there_after_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
